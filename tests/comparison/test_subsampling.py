"""Sums over some rows stand for all: unbiased over every draw of rows, and what `loo` gives with all of them."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import speclet_formula as sf
from speclet_formula.comparison.subsampling import draw_rows, total


def test_the_estimates_are_unbiased_over_all_draws_of_rows() -> None:
    """All 70 draws of 4 of 8 rows, so that the means are exact: the sum, its error's square, and the spread's."""
    rng = np.random.default_rng(5)
    values = 1e4 + rng.normal(size=8)
    guesses = values + 0.2 * rng.normal(size=8)
    draws = [np.array(rows) for rows in combinations(range(8), 4)]
    found = [total(values[rows], rows, guesses) for rows in draws]
    sums = np.array([one.value for one in found])
    assert sums.mean() == pytest.approx(values.sum(), rel=1e-12)
    assert np.mean([one.error**2 for one in found]) == pytest.approx(sums.var(), rel=1e-6)
    # A spread's square is cut at 0; without any that is, their mean is that of the rows.
    assert min(one.spread for one in found) > 0
    assert np.mean([one.spread**2 for one in found]) == pytest.approx(8 * values.var(ddof=1), rel=1e-6)


def test_guesses_that_are_right_leave_no_error() -> None:
    values = np.arange(9.0)
    found = total(values[[1, 4]], np.array([1, 4]), values)
    assert (found.value, found.error) == (pytest.approx(36.0), 0.0)
    assert found.spread == pytest.approx(math.sqrt(9 * values.var(ddof=1)))


def test_a_guess_that_is_no_number_is_replaced() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    guesses = np.array([1.0, np.nan, 3.0, -np.inf])
    assert total(values, np.arange(4), guesses).value == pytest.approx(10.0)


def test_rows_are_drawn_once_each_and_again_from_the_same_seed() -> None:
    rows = draw_rows(100, 60, 8)
    assert len(set(rows.tolist())) == 60
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, draw_rows(100, 60, 8))


@pytest.fixture(scope="module")
def fit() -> sf.Fit:
    data, _ = sf.datasets.m7()
    return sf.lmer(
        "log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)", data, draws=250, cores=1, random_seed=1, progress=False
    )


@pytest.fixture(scope="module")
def whole(fit: sf.Fit) -> Any:
    return sf.loo(fit)


def test_all_rows_give_what_loo_gives(fit: sf.Fit, whole: Any) -> None:
    every = sf.loo(fit, rows=1100, random_seed=2)
    assert every.subsampling_se == 0
    assert (every.elpd, every.se, every.p) == pytest.approx((whole.elpd, whole.se, whole.p), rel=1e-10)
    np.testing.assert_array_equal(every.elpd_i.values, whole.elpd_i.values)


def test_some_rows_come_near(fit: sf.Fit, whole: Any) -> None:
    """The seed is fixed; 4.5 standard errors fail by chance once in 10^5. The guess errs by 0.02 a row or less."""
    some = sf.loo(fit, rows=100, random_seed=3)
    assert some.elpd_i.sizes["__obs__"] == some.subsample_size == 100
    np.testing.assert_array_equal(some.elpd_i.values, whole.elpd_i.values[some.loo_subsample_observations])
    assert 0 < some.subsampling_se < 0.1 * whole.se
    assert abs(some.elpd - whole.elpd) < 4.5 * some.subsampling_se
    assert some.se == pytest.approx(whole.se, rel=0.05)
    assert some.p == pytest.approx(whole.p, rel=0.02)
    assert some.n_data_points == 1100
    assert "subsampling SE" in str(some)


def test_a_conditional_estimate_of_some_rows(fit: sf.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speclet_formula.comparison.leave_one_out.why_not_exact", lambda _model: "not asked")
    whole, some = sf.loo(fit), sf.loo(fit, rows=300, random_seed=4)
    assert some.elpd_i.attrs["kind"] == "conditional"
    assert abs(some.elpd - whole.elpd) < 4.5 * some.subsampling_se
    assert some.subsampling_se < 0.1 * whole.se
    every = sf.loo(fit, rows=1100)
    assert (every.elpd, every.p) == pytest.approx((whole.elpd, whole.p), rel=1e-10)


@pytest.mark.parametrize("rows", [1, 1101, 0, 10.0, True])
def test_a_number_of_rows_that_is_out_of_range(fit: sf.Fit, rows: Any) -> None:
    with pytest.raises(sf.ComparisonError) as caught:
        sf.loo(fit, rows=rows)
    assert (caught.value.problem, caught.value.allowed, caught.value.remedy) == (
        f"rows={rows!r} is out of range.",
        "rows is a whole number from 2 to 1,100, the rows of the model.",
        "Leave rows= out for all of them; some thousands are enough for any number.",
    )
