"""The estimate with each row's own level integrated is that of fits without the row, and says what it is."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.comparison import own_level
from speclet_formula.comparison.loo import count_high_k
from speclet_formula.inference.refit import with_rows
from speclet_formula.posterior.draws import draws_of
from speclet_formula.prediction import log_likelihood_blocks
from speclet_formula.prediction.left_out import plan_levels


def counts() -> pd.DataFrame:
    """Twelve broods of three chicks; a Poisson count for each, with an effect of its own."""
    rng = np.random.default_rng(44)
    data = pd.DataFrame({"brood": np.repeat(np.arange(12), 3).astype(str), "chick": np.arange(36).astype(str)})
    eta = 0.8 + rng.normal(0, 0.8, 12)[np.arange(36) // 3] + rng.normal(0, 0.5, 36)
    return data.assign(ticks=rng.poisson(np.exp(eta)), x=rng.normal(size=36))


FORMULA = "ticks ~ x + (1 | brood) + (1 | chick)"


@pytest.fixture(scope="module")
def fit() -> sf.Fit:
    return sf.glmer(FORMULA, counts(), family="poisson", random_seed=1, progress=False)


def without(model: sf.Model, row: int) -> tuple[float, float]:
    """Return the log density of a row that a fit has not seen, its own effects drawn, and its standard error."""
    others = np.delete(np.arange(len(model.design.response)), row)
    again = sf.fit(with_rows(model, others), draws=2000, random_seed=row, progress=False)
    ((_, block),) = log_likelihood_blocks(with_rows(model, np.array([row])), draws_of(again))
    densities = np.exp(block[:, 0])
    return float(np.log(densities.mean())), float(densities.std() / densities.mean() / np.sqrt(len(densities)))


def test_fewer_draws_are_taken_where_integrals_add_up_much(fit: sf.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = draws_of(fit)
    plan = plan_levels(fit.model, draws)
    assert len(own_level.affordable(draws, 36, plan)) == 4000
    monkeypatch.setattr(own_level, "MOST_ADDED", 36 * 1000)
    assert len(own_level.affordable(draws, 36, plan)) == 1000
    monkeypatch.setattr(own_level, "MOST_ADDED", 1)
    assert len(own_level.affordable(draws, 36, plan)) == 252  # 63 of each chain


@pytest.mark.slow
def test_the_sum_is_that_of_fits_without_each_row(fit: sf.Fit) -> None:
    """36 refits; within 0.5, which is more than 4.5 of their joint standard errors."""
    estimate = sf.loo(fit)
    assert count_high_k(estimate) == 0
    expected = np.array([without(fit.model, row) for row in range(36)])
    assert 4.5 * np.sqrt((expected[:, 1] ** 2).sum()) < 0.5
    assert abs(float(estimate.elpd) - expected[:, 0].sum()) < 0.5


def test_it_says_what_was_integrated(fit: sf.Fit) -> None:
    estimate = sf.loo(fit)
    assert estimate.elpd_i.attrs["kind"] == "own level"
    assert estimate.elpd_i.attrs["groups"] == ["chick"]
    assert not estimate.warning
    assert 5 < estimate.p < 36
    row = sf.glance(fit, loo=True).iloc[0]
    assert (row["kind"], row["caveat"], row["elpd_loo"]) == ("own level", "", float(estimate.elpd))


def test_a_row_whose_k_is_high_is_left_out_of_a_fit(fit: sf.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a limit below all k of the first draws three rows are fitted without; a second estimate of the same."""
    plain = sf.loo(fit)
    third = np.sort(plain.pareto_k.values)[-3]
    monkeypatch.setattr(own_level, "good_pareto_k", lambda _: float(third) - 1e-9)
    redone = sf.loo(fit)
    assert redone.elpd_i.attrs["n_redone"] == 3 + plain.elpd_i.attrs["n_redone"]
    changed = np.flatnonzero(redone.elpd_i.values != plain.elpd_i.values)
    assert len(changed) == 3
    assert np.abs(redone.elpd_i.values - plain.elpd_i.values).max() < 0.3  # far above the error of 4,000 draws
    monkeypatch.setattr(own_level, "MOST_REFITS", 2)
    assert sf.loo(fit).elpd_i.attrs["n_redone"] == 0


def test_a_comparison_ranks_such_fits(fit: sf.Fit) -> None:
    plain = sf.glmer("ticks ~ x", counts(), family="poisson", random_seed=1, progress=False)
    comparison = sf.compare({"levels": fit, "plain": plain})
    assert comparison.table.index[0] == "levels"
    assert comparison.table["kind"].to_list() == ["own level", "conditional"]
    assert "cannot be trusted" not in comparison.sentence
