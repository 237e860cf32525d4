"""Covariance structures against matrices written out by hand."""

import numpy as np
import pytest

from speclet_formula.common.correlations import number_at, share_of, structured_factors, structured_pairs
from speclet_formula.common.structures import Structure

SHARES = np.linspace(-0.999, 0.999, 11)


def written_out(function, rho, k):
    if function == "cs":
        return (1 - rho) * np.eye(k) + rho
    return np.array([[rho ** abs(i - j) for j in range(k)] for i in range(k)])


@pytest.mark.parametrize("k", [2, 3, 6])
@pytest.mark.parametrize("function", ["cs", "ar1"])
def test_factors_and_pairs_are_those_of_the_matrix(function, k):
    structure = Structure(function, hom=True)
    rho = number_at(structure, SHARES, k)
    factors = structured_factors(structure, SHARES, k)
    for one, lower, pairs in zip(rho, factors, structured_pairs(structure, rho, k), strict=True):
        matrix = written_out(function, one, k)
        np.testing.assert_allclose(lower, np.tril(lower))
        np.testing.assert_allclose(lower @ lower.T, matrix, atol=1e-14)
        np.testing.assert_allclose(pairs, matrix[np.triu_indices(k, 1)])
    np.testing.assert_allclose(share_of(structure, rho, k), SHARES, atol=1e-14)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_the_range_of_cs_ends_where_its_matrix_loses_a_direction(k):
    lowest = Structure("cs", hom=False).lowest(k)
    assert np.linalg.eigvalsh(written_out("cs", lowest, k))[0] == pytest.approx(0, abs=1e-14)
    assert np.linalg.eigvalsh(written_out("cs", lowest + 1e-6, k))[0] > 0


@pytest.mark.parametrize("function", ["cs", "ar1"])
@pytest.mark.parametrize("end", [-1.0, 1.0])
def test_factors_at_the_ends_of_the_range_are_finite(function, end):
    structure = Structure(function, hom=True)
    (lower,) = structured_factors(structure, np.array([end]), 4)
    (rho,) = number_at(structure, np.array([end]), 4)
    np.testing.assert_allclose(lower @ lower.T, written_out(function, rho, 4), atol=1e-14)
