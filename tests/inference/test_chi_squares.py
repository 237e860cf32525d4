"""Tails of weighted sums of chi-squared variables, against closed forms."""

import numpy as np
import pytest
from scipy import stats

from speclet_formula.inference.chi_squares import tail_of_chi_squares


@pytest.mark.parametrize("df", [1, 2, 7, 30])
@pytest.mark.parametrize("x", [1e-3, 1.0, 8.0, 60.0, 900.0])
def test_equal_weights_are_chi_squared(df, x):
    expected = stats.chi2.sf(x, df)
    assert tail_of_chi_squares(x, np.ones(df)) == pytest.approx(expected, rel=1e-7)
    assert tail_of_chi_squares(3 * x, np.array([3.0]), np.array([df])) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("dens", [1, 4, 31.5, 1e5])
@pytest.mark.parametrize("x", [0.02, 1.0, 9.0, 80.0])
def test_ratios_are_f(dens, x):
    weights, dofs = np.array([1.0, 1.0, 1.0, -3 * x / dens]), np.array([1, 1, 1, dens])
    assert tail_of_chi_squares(0.0, weights, dofs) == pytest.approx(stats.f.sf(x, 3, dens), rel=1e-7)


@pytest.mark.parametrize("x", [0.1, 2.0, 30.0, 300.0])
def test_pairs_are_sums_of_exponentials(x):
    """Two of a weight are exponential with mean 2 w; sums of these have a closed form."""
    w = np.array([1.0, 0.3, 0.05])
    parts = [np.prod([w[i] / (w[i] - w[j]) for j in range(3) if j != i]) * np.exp(-x / 2 / w[i]) for i in range(3)]
    assert tail_of_chi_squares(x, np.repeat(w, 2)) == pytest.approx(sum(parts), rel=1e-9)


def test_what_is_certain():
    assert tail_of_chi_squares(0.0, np.ones(2)) == 1.0
    assert tail_of_chi_squares(1.0, np.zeros(2)) == 0.0
    assert tail_of_chi_squares(-1.0, np.zeros(2)) == 1.0
