"""Sums over some rows stand for all: unbiased over every draw of rows, and what `loo` gives with all of them."""

import math
from importlib import import_module
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import speclet_formula as sf
from speclet_formula.comparison.pointwise import Drawn, draw_rows, total


def test_the_estimates_are_unbiased_over_all_draws_of_rows() -> None:
    """All 36 draws of 2 of 4 rows from each of two strata, so that means are exact."""
    rng = np.random.default_rng(5)
    values = 1e4 + rng.normal(size=8)
    guesses = values + 0.2 * rng.normal(size=8)
    pairs = list(combinations(range(4), 2))
    strata = np.array([0, 0, 1, 1])
    draws = [
        Drawn(np.array([*one, *(4 + k for k in other)]), strata, np.array([4, 4])) for one in pairs for other in pairs
    ]
    found = [total(values[drawn.rows], drawn, guesses) for drawn in draws]
    sums = np.array([one.value for one in found])
    assert sums.mean() == pytest.approx(values.sum(), rel=1e-12)
    assert np.mean([one.error**2 for one in found]) == pytest.approx(sums.var(), rel=1e-6)
    # A spread's square is cut at 0; without any that is, their mean is that of the rows.
    assert min(one.spread for one in found) > 0
    assert np.mean([one.spread**2 for one in found]) == pytest.approx(8 * values.var(ddof=1), rel=1e-6)


def test_guesses_that_are_right_leave_no_error() -> None:
    values = np.arange(9.0)
    found = total(values[[1, 4]], Drawn(np.array([1, 4]), np.zeros(2, dtype=int), np.array([9])), values)
    assert (found.value, found.error) == (pytest.approx(36.0), 0.0)
    assert found.spread == pytest.approx(math.sqrt(9 * values.var(ddof=1)))


def test_a_guess_that_is_no_number_is_replaced_and_its_row_looked_at() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    guesses = np.array([1.0, np.nan, 3.0, -np.inf])
    drawn = Drawn(np.arange(4), np.zeros(4, dtype=int), np.array([4]))
    assert total(values, drawn, guesses).value == pytest.approx(10.0)
    many = np.arange(100.0)
    many[[17, 60]] = np.nan, -np.inf
    assert {17, 60} <= set(draw_rows(many, 10, 1).rows.tolist())


@pytest.mark.parametrize(("n", "count"), [(100, 60), (100, 2), (7, 7), (50, 49), (1000, 9), (12, 11), (9, 8)])
def test_rows_are_drawn_once_each_and_again_from_the_same_seed(n: int, count: int) -> None:
    guesses = np.random.default_rng(3).normal(size=n)
    drawn = draw_rows(guesses, count, 8)
    assert len(drawn.rows) == len(set(drawn.rows.tolist())) == count
    assert (np.diff(drawn.rows) > 0).all()
    assert drawn.weights.sum() == pytest.approx(n)
    assert drawn.sizes.sum() == n
    np.testing.assert_array_equal(drawn.rows, draw_rows(guesses, count, 8).rows)


@pytest.mark.slow
def test_the_error_is_honest_where_few_rows_hold_nearly_all_of_it() -> None:
    """2,000 rows with t residuals of 1.5 degrees of freedom, whose guesses miss the more the farther out they lie.

    Of 300 draws of 200 rows, 5 % are to lie 1.96 standard errors off and 6e-5 4. More than 33 of the former have a
    chance of 2e-5, more than 2 of the latter of 1e-6. Rows drawn evenly were off by more in 240 of 300.
    """
    rng = np.random.default_rng(4)
    far = rng.standard_t(1.5, size=2000) ** 2
    guesses = -0.5 * far
    values = guesses - 1e-4 * far**2 / (1 + 1e-4 * far) - 1e-3 * rng.normal(size=2000)
    apart = []
    for seed in range(300):
        drawn = draw_rows(guesses, 200, seed)
        found = total(values[drawn.rows], drawn, guesses)
        apart.append(abs(found.value - values.sum()) / found.error)
    assert (np.array(apart) > 1.96).sum() <= 33
    assert (np.array(apart) > 4).sum() <= 2


@pytest.fixture(scope="module")
def fit() -> sf.Fit:
    data, _ = sf.datasets.m7()
    return sf.lmer(
        "log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)", data, draws=250, cores=1, random_seed=1, progress=False
    )


@pytest.fixture(scope="module")
def whole(fit: sf.Fit) -> Any:
    return sf.loo(fit)


@pytest.mark.slow
def test_all_rows_give_what_loo_gives(fit: sf.Fit, whole: Any) -> None:
    every = sf.loo(fit, observations=1100, random_seed=2)
    assert every.subsampling_se == 0
    assert (every.elpd, every.se, every.p) == pytest.approx((whole.elpd, whole.se, whole.p), rel=1e-10)
    np.testing.assert_array_equal(every.elpd_i.values, whole.elpd_i.values)


@pytest.mark.slow
def test_some_rows_come_near(fit: sf.Fit, whole: Any) -> None:
    """The seed is fixed; 4.5 standard errors fail by chance once in 10^5. The guess errs by 0.02 a row or less."""
    some = sf.loo(fit, observations=100, random_seed=3)
    assert some.elpd_i.sizes["__obs__"] == some.subsample_size == 100
    np.testing.assert_array_equal(some.elpd_i.values, whole.elpd_i.values[some.loo_subsample_observations])
    assert 0 < some.subsampling_se < 0.1 * whole.se
    assert abs(some.elpd - whole.elpd) < 4.5 * some.subsampling_se
    assert some.se == pytest.approx(whole.se, rel=0.05)
    assert some.p == pytest.approx(whole.p, rel=0.02)
    assert some.n_data_points == 1100
    assert "subsampling SE" in str(some)


def test_own_levels_are_integrated_for_some_rows(fit: sf.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("speclet_formula.comparison.loo"), "why_not_exact", lambda _model: "not asked")
    whole, some = sf.loo(fit), sf.loo(fit, observations=300, random_seed=4)
    assert some.elpd_i.attrs["kind"] == "own level"
    assert abs(some.elpd - whole.elpd) < 4.5 * some.subsampling_se
    assert some.subsampling_se < 0.1 * whole.se
    every = sf.loo(fit, observations=1100)
    assert (every.elpd, every.p) == pytest.approx((whole.elpd, whole.p), rel=1e-10)


@pytest.mark.parametrize("rows", [1, 1101, 0, 10.0, True])
def test_a_number_of_rows_that_is_out_of_range(fit: sf.Fit, rows: Any) -> None:
    with pytest.raises(sf.ComparisonError) as caught:
        sf.loo(fit, observations=rows)
    assert (caught.value.problem, caught.value.allowed, caught.value.remedy) == (
        f"observations={rows!r} is out of range.",
        "observations is a whole number from 2 to 1,100, the rows of the model.",
        "Leave observations= out for all of them; some thousands are enough for any number.",
    )
