"""Unordered levels in Bambi: the density of our model is that of Bambi's own families, and of their definition."""

from typing import Any

import bambi
import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import speclet_formula as sf

RNG = np.random.default_rng(9)
N = 30
ROWS = pd.DataFrame({"x": RNG.normal(2.0, 1.0, N), "g": pd.Categorical([f"g{k % 5}" for k in range(N)])})
ROWS["y"] = pd.Categorical(np.array(["bus", "car", "New train"])[np.r_[0, 1, 2, RNG.integers(0, 3, N - 3)]])
ROWS[["a", "b", "c"]] = RNG.multinomial(9, [0.2, 0.5, 0.3], N)
CASES = {  # response here, in Bambi, and the names that levels give, a reference among them
    "categorical": ("y", "y", ("muNewtrain", "mubus", "mucar")),
    "multinomial": ("cbind(a, b, c)", "counts(a, b, c)", ("mua", "mub", "muc")),
    "dirichlet_multinomial": ("cbind(a, b, c)", "counts(a, b, c)", ("aa", "ab", "ac")),
}


def density(family: str, eta: np.ndarray) -> float:
    """The log density of all rows by scipy, from linear predictors (rows, K)."""
    if family == "categorical":
        places = pd.Categorical(ROWS["y"]).codes
        return float(special.log_softmax(eta, axis=1)[np.arange(N), places].sum())
    counts = ROWS[["a", "b", "c"]].to_numpy()
    if family == "multinomial":
        return float(stats.multinomial.logpmf(counts, 9, special.softmax(eta, axis=1)).sum())
    return float(sum(stats.dirichlet_multinomial.logpmf(y, np.exp(e), 9) for y, e in zip(counts, eta, strict=True)))


@pytest.mark.parametrize("family", CASES)
@pytest.mark.mostly_slow("categorical")
def test_the_density_is_that_of_bambis_own_family_and_of_scipy(family: str) -> None:
    """At the same coefficients both have the same log posterior, up to none: every prior was read as it is."""
    ours_response, response, names = CASES[family]
    theirs = bambi.Model(f"{response} ~ x + (1|g)", ROWS, family=family)
    theirs.build()
    model = sf.from_bambi(theirs)
    assert model.design.response_name == ours_response
    own = [name for name in names if f"{name}_x" in {slot.slot for slot in model.slots}]
    rng = np.random.default_rng(3)
    K = len(own)
    intercept, slope = rng.normal(size=K), rng.normal(size=K)
    log_sd, offset = rng.normal(0, 0.3, K), rng.normal(size=(5, K))
    point: dict[str, Any] = {
        "Intercept": intercept, "x": slope, "1|g_sigma_log__": log_sd, "1|g_offset": offset
    }  # fmt: skip
    first = theirs.backend.model.compile_logp(mode="FAST_COMPILE")(point)
    mine: dict[str, Any] = {}
    for k, name in enumerate(own):
        mine |= {
            f"{name}_Intercept": intercept[k], f"{name}_x": slope[k], f"{name}_1|g_sigma_log__": log_sd[k],
            f"{name}_1|g_offset": offset[:, k],
        }  # fmt: skip
    translated = sf.to_pymc(model)
    second = translated.compile_logp(mode="FAST_COMPILE")({key: np.asarray(value) for key, value in mine.items()})
    assert first == pytest.approx(second, rel=1e-10)
    codes = pd.Categorical(ROWS["g"]).codes
    x = ROWS["x"].to_numpy()[:, None] - ROWS["x"].mean()
    eta = intercept + x * slope + (np.exp(log_sd) * offset)[codes]
    eta = np.column_stack([np.zeros(N), eta]) if len(names) > K else eta
    rest = translated.compile_logp(vars=translated.free_RVs, mode="FAST_COMPILE")(
        {key: np.asarray(value) for key, value in mine.items()}
    )
    assert second - rest == pytest.approx(density(family, eta), rel=1e-8)


@pytest.mark.parametrize("family", CASES)
def test_a_model_comes_back_as_itself(family: str) -> None:
    model = sf.Model(f"{CASES[family][0]} ~ x + (x | g)", ROWS, family=family)
    assert sf.from_bambi(sf.to_bambi(model)) is model


def test_a_prior_of_each_level_is_read_for_it() -> None:
    prior = bambi.Prior("Normal", mu=[0.0, 1.0], sigma=2.0)
    model = sf.from_bambi(bambi.Model("y ~ x", ROWS, family="categorical", priors={"x": prior}))
    slots = {slot.slot: slot.prior for slot in model.slots}
    assert slots["mubus_x"] == sf.Prior("Normal", mu=0, sigma=2)
    assert slots["mucar_x"] == sf.Prior("Normal", mu=1, sigma=2)


def test_a_level_can_have_a_formula_of_its_own() -> None:
    """As in brms: the others keep the first one."""
    model = sf.Model(["y ~ x + (1 | g)", "mucar ~ 1"], ROWS, family="categorical")
    assert [slot.slot for slot in model.slots] == ["mubus_Intercept", "mubus_x", "mubus_1|g", "mucar_Intercept"]
    names = {variable.name for variable in sf.to_pymc(model).free_RVs}
    assert names == {"mubus_Intercept", "mubus_x", "mubus_1|g_sigma", "mubus_1|g_offset", "mucar_Intercept"}
    assert "mucar ~ 1" in sf.spelling(model, "brms")
    assert "# Bambi has one formula for all levels of the response: mucar ~ 1" in sf.spelling(model, "bambi")
