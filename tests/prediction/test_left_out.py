"""A row's density given the others of its level is a ratio of two integrals, which a dense grid finds as well."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special

import speclet_formula as sf
from speclet_formula.model.observation import observed_log_density
from speclet_formula.posterior.draws import draws_of
from speclet_formula.prediction.left_out import left_out_blocks, plan_levels
from speclet_formula.prediction.linear_predictors import from_predictors, gather, predictors_at
from tests.fakes import fake_fit

RNG = np.random.default_rng(31)
N = 36
ROWS = pd.DataFrame(
    {
        "x": RNG.normal(size=N),
        "g": np.repeat([f"g{k}" for k in range(12)], 3),
        "h": [f"h{k % 4}" for k in range(N)],
        "row": [f"r{k}" for k in range(N)],
        "count": np.r_[0, 2, 500, RNG.poisson(3, N - 3)],
        "hits": RNG.integers(0, 4, N),
        "misses": RNG.integers(0, 4, N) + 1,
        "heavy": np.r_[6.0, RNG.normal(size=N - 1)],
        "status": np.where(np.arange(N) % 5 == 0, "right", "none"),
        "way": np.array(list("abc"))[RNG.integers(0, 3, N)],
        "level": pd.Categorical.from_codes(RNG.integers(0, 3, N), list("abc"), ordered=True),
    }
)
CENTRES: dict[str, float] = {
    "1|g_sigma": 0.8,
    "1|h_sigma": 0.5,
    "1|row_sigma": 0.6,
    "x|g_sigma": 0.4,
    "nu": 5.0,
    "psi": 0.5,
}
MODELS: dict[str, tuple[Any, str]] = {
    "binomial": ("cbind(hits, misses) ~ x + (1 | g)", "binomial"),
    "one row in each level": ("count ~ x + (1 | h) + (1 | row)", "poisson"),
    "one of three says nearly all": ("count ~ x + (1 | g)", "poisson"),
    "negative binomial, nested": ("count ~ x + (1 | h/g)", "negativebinomial"),
    "zero-inflated": ("count ~ x + (1 | g)", "zero_inflated_poisson"),
    "stopping ratio": ("level ~ x + (1 | g)", "sratio"),
    "t": ("heavy ~ x + (1 | g)", "t"),
    "a slope alone": ("count ~ x + (0 + x | g)", "poisson"),
    "a level of sigma": (["heavy ~ x", "sigma ~ 1 + (1 | g)"], "gaussian"),
    "a level of a level": ("way ~ x + (1 | g)", "categorical"),
    "counts of levels": ("cbind(hits, misses, count) ~ x + (1 | g)", "multinomial"),
    "counts of levels that vary": ("cbind(hits, misses, count) ~ x + (1 | h) + (1 | g)", "dirichlet_multinomial"),
    "censored": ("censored(heavy, status) ~ x + (1 | g)", "gaussian"),
}
GRID = np.linspace(-60, 60, 60_001)
TOLERANCE = 2e-3  # of each log density: nodes 0.3 scales apart leave less than that in the worst case


def fit_of(name: str) -> sf.Fit:
    """Return a fit with 40 made-up draws of one of the models."""
    formula, family = MODELS[name]
    model = sf.Model(formula, ROWS, family=family)
    return fake_fit(model, CENTRES, chains=1, draws=40)


def by_grid(fit: sf.Fit, row: int, draw: int) -> float:
    """Integrate the effect of the level of the row that has the fewest rows, over a grid."""
    model = fit.model
    draws = draws_of(fit).take(slice(draw, draw + 1))
    pairs = [(k, block) for k, predictor in enumerate(model.design.predictors) for block in predictor.groups]
    k, block = min(pairs, key=lambda pair: int((pair[1].codes == pair[1].codes[row]).sum()))
    rows = np.flatnonzero(block.codes == block.codes[row])
    sd, now = float(draws.sds(block)[0, 0]), float(draws.effects(block)[0][0, block.codes[row]])
    gathered = gather(model, draws)
    etas = [np.tile(eta, (len(GRID), 1)) for eta in predictors_at(gathered, model.design, rows)]
    etas[k] = etas[k] + (sd * GRID[:, None] - now) * block.values[rows, 0]
    mean, parameters = from_predictors(gathered, model.design, model.family, tuple(etas))
    with np.errstate(all="ignore"):
        logs = observed_log_density(model.family, model.design, rows, mean, parameters)
    logs = np.where(np.isnan(logs), -np.inf, logs)
    prior = -0.5 * GRID**2
    both = special.logsumexp(prior + logs.sum(axis=1)), special.logsumexp(prior + logs[:, rows != row].sum(axis=1))
    return float(both[0] - both[1])


@pytest.mark.parametrize("name", MODELS)
def test_it_is_a_ratio_of_integrals(name: str) -> None:
    fit = fit_of(name)
    draws = draws_of(fit)
    found = np.empty((len(draws), N))
    for part in left_out_blocks(fit.model, draws, plan_levels(fit.model, draws)):
        found[:, part.rows] = part.log_densities
    for row in (0, 1, 2, 5, 20):
        for draw in (0, 17, 39):
            assert found[draw, row] == pytest.approx(by_grid(fit, row, draw), abs=TOLERANCE)


def test_levels_with_the_same_rows_are_integrated_together() -> None:
    """Two effects of one row each are one effect whose variance is the sum of theirs."""
    data = ROWS.assign(again=ROWS["row"])
    model = sf.Model("count ~ x + (1 | row) + (1 | again)", data, family="poisson")
    fit = fake_fit(model, {"1|row_sigma": 0.6, "1|again_sigma": 0.8}, chains=1, draws=40)
    draws = draws_of(fit)
    plan = plan_levels(model, draws)
    assert plan.groups == ("row", "again")
    (part,) = left_out_blocks(model, draws, plan)
    eta = predictors_at(gather(model, draws), model.design, part.rows)[0]
    blocks = model.design.mean.groups
    total = np.hypot(*(draws.sds(block)[:, 0] for block in blocks))
    for row in (0, 2, 9):
        place = int(np.flatnonzero(part.rows == row)[0])
        for draw in (0, 39):
            effects = sum(draws.effects(block)[0][draw, block.codes[row]] for block in blocks)
            mean = np.exp(eta[draw, place] - effects + total[draw] * GRID)
            y = ROWS["count"][row]
            logs = y * np.log(mean) - mean - special.gammaln(y + 1) - 0.5 * GRID**2
            expected = special.logsumexp(logs) - special.logsumexp(-0.5 * GRID**2)
            assert part.log_densities[draw, place] == pytest.approx(expected, abs=TOLERANCE)


def test_correlated_slopes_are_integrated_along_the_rows_direction() -> None:
    """With v = w'u, the rest of u is u - cov(u, v) v / var(v), which stays."""
    model = sf.Model("count ~ x + (x | g)", ROWS, family="poisson")
    fit = fake_fit(model, {"1|g_sigma": 0.8, "x|g_sigma": 0.5, "cor|g": 0.3}, chains=1, draws=40)
    draws, (block,) = draws_of(fit), model.design.mean.groups
    found = np.empty((40, N))
    for part in left_out_blocks(model, draws, plan_levels(model, draws)):
        found[:, part.rows] = part.log_densities
    eta = predictors_at(gather(model, draws), model.design, np.arange(N))[0]
    covariances, effects = draws.covariances(block), np.stack(draws.effects(block), axis=2)
    for row in (0, 4, 30):
        for draw in (0, 39):
            w, rows = block.values[row], np.flatnonzero(block.codes == block.codes[row])
            towards = covariances[draw] @ w
            sd = np.sqrt(w @ towards)
            moves = block.values[rows] @ towards / sd**2
            apart = sd * GRID[:, None] - w @ effects[draw, block.codes[row]]
            at = eta[draw, rows] + apart * moves
            logs = (
                ROWS["count"].to_numpy()[rows] * at - np.exp(at) - special.gammaln(ROWS["count"].to_numpy()[rows] + 1)
            )
            prior = -0.5 * GRID**2
            both = special.logsumexp(prior + logs.sum(axis=1)), special.logsumexp(prior + logs[:, rows != row].sum(1))
            assert found[draw, row] == pytest.approx(both[0] - both[1], abs=TOLERANCE)


def test_some_rows_are_found_without_the_others() -> None:
    fit = fit_of("negative binomial, nested")
    draws = draws_of(fit)
    (whole,) = left_out_blocks(fit.model, draws, plan_levels(fit.model, draws))
    (some,) = left_out_blocks(fit.model, draws, plan_levels(fit.model, draws, np.array([3, 30])))
    assert sorted(some.rows) == [3, 30]
    places = [int(np.flatnonzero(whole.rows == row)[0]) for row in some.rows]
    np.testing.assert_allclose(some.log_densities, whole.log_densities[:, places], rtol=1e-9)
