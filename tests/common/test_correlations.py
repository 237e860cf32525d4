"""Covariance structures against matrices written out by hand."""

import numpy as np
import pytest

from speclet_formula.common.correlations import (
    log_stretch,
    number_at,
    numbers_of,
    share_of,
    structured_factors,
    structured_pairs,
    wave_sds,
)
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


def kernel_of(name, distance, length):
    if name == "exp_quad":
        return np.exp(-((distance / length) ** 2) / 2)
    root = np.sqrt(3.0 if name == "matern32" else 5.0) * distance / length
    return (1 + root + (root**2 / 3 if name == "matern52" else 0)) * np.exp(-root)


@pytest.mark.parametrize("kernel", ["exp_quad", "matern52", "matern32"])
def test_many_waves_in_a_wide_box_have_the_covariance_of_the_process(kernel):
    """In the middle of the box, but for what is left out: the waves beyond 400 and the walls."""
    structure, k = Structure("gp", hom=True, kernel=kernel, distance=2.0, box=4.0), 400
    x = np.linspace(-1, 1, 9)
    waves = np.sin(np.arange(1, k + 1) * np.pi / 2 * (x / structure.reach + 1)[:, None])
    for length, sds in zip((0.3, 1.0), wave_sds(structure, np.array([0.3, 1.0]), k), strict=True):
        made = (waves * sds**2) @ waves.T
        np.testing.assert_allclose(made, kernel_of(kernel, np.abs(x[:, None] - x), length), atol=2e-4)


@pytest.mark.parametrize("kernel", ["exp_quad", "matern52", "matern32"])
def test_sd_and_length_scale_are_read_from_the_covariance(kernel):
    structure, k = Structure("gp", hom=True, kernel=kernel, distance=3.0, box=1.5), 20
    lengths = np.array([0.01, 0.3, 1.0, 4.0])
    shares = share_of(structure, lengths, k)
    np.testing.assert_allclose(number_at(structure, shares, k), lengths)
    assert number_at(structure, np.zeros(1), k) == pytest.approx(1.5)
    for length, factor in zip(lengths, structured_factors(structure, shares, k), strict=True):
        sd, number = numbers_of(structure, 4.0 * factor @ factor.T)
        assert (sd[0], number[0]) == pytest.approx((2.0, length), rel=1e-6)
    ends = structured_factors(structure, np.array([-1.0, 1.0]), k)
    assert np.isfinite(ends).all()
    sd, number = numbers_of(structure, np.zeros((k, k)))
    assert sd[0] == 0
    assert np.isnan(number[0])
    slope = (number_at(structure, shares + 1e-6, k) - number_at(structure, shares - 1e-6, k)) / 2e-6
    np.testing.assert_allclose(log_stretch(structure, shares), np.log(slope), rtol=1e-5, atol=1e-5)
