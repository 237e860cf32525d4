"""Correlated blocks mean the same wherever their columns are measured from, in both engines."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.translation.effects import PLACED
from speclet_formula.inference.translation.models import to_pymc
from speclet_formula.priors import move_spread, places_of
from tests.inference.translation.test_models import TABLE, X

FORMULA = "y ~ x + (x + z | gene)"


def shifted(by: float) -> pd.DataFrame:
    return TABLE.assign(x=TABLE["x"] + by)


def test_default_priors_hold_at_the_means_and_stated_ones_at_zero() -> None:
    stated = sf.Prior("Normal", mu=0, sigma=sf.Prior("HalfNormal", sigma=1))
    correlation = {"cor|gene": sf.Prior("LKJ", eta=1)}
    for formula, priors, expected in [
        (FORMULA, None, [0, TABLE["x"].mean(), TABLE["z"].mean()]),
        (FORMULA, correlation, [0, TABLE["x"].mean(), TABLE["z"].mean()]),
        (FORMULA, {"1|gene": stated}, [0, 0, 0]),
        (FORMULA, "brms", [0, 0, 0]),
        ("y ~ x + (x || gene)", None, [0, 0]),
        ("y ~ x + (0 + x + z | gene)", None, [0, 0]),
        ("y ~ arm + (arm | gene)", None, [0, 0]),
        ("y ~ 0 + (x | gene)", {"x|gene": sf.Prior("Normal", mu=1, sigma=stated.parameters["sigma"])}, [0, 0]),
    ]:
        model = sf.Model(formula, TABLE, priors=priors)
        np.testing.assert_allclose(places_of(model.design, model.slots)[0], expected, err_msg=str((formula, priors)))


def test_a_moved_spread_is_that_of_moved_effects() -> None:
    """Against the covariance of the moved effects, written out for two columns."""
    sds, correlations = np.array([2.0, 0.5]), np.array([[1, -0.3], [-0.3, 1]])
    moved, matrix = move_spread(sds, correlations, ("1", "x"), np.array([0, 4.0]))
    variance = 2.0**2 + 2 * 4 * -0.3 * 2.0 * 0.5 + 16 * 0.5**2
    assert moved == pytest.approx([np.sqrt(variance), 0.5])
    assert matrix[0, 1] == pytest.approx((-0.3 * 2.0 * 0.5 + 4 * 0.25) / np.sqrt(variance) / 0.5)
    back, same = move_spread(moved, matrix, ("1", "x"), np.array([0, -4.0]))
    np.testing.assert_allclose(back, sds)
    np.testing.assert_allclose(same, correlations)


@pytest.mark.parametrize(("group", "centred"), [("gene", True), ("line", False)])
def test_the_translated_density_does_not_depend_on_where_x_is_measured_from(group, centred) -> None:
    """At x of mean zero it is the one that test_models writes by hand; a shifted x has the same at any point."""
    models = [to_pymc(sf.Model(f"y ~ x + (x + z | {group})", shifted(by))) for by in (-X.mean(), 7.0)]
    assert (f"1|{group}{PLACED}" in models[1].named_vars) == centred
    start, rng = models[0].initial_point(), np.random.default_rng(2)
    densities = [model.compile_logp(mode="FAST_COMPILE") for model in models]
    for _ in range(2):
        point = {key: np.asarray(rng.normal(0, 0.5, np.shape(value))) for key, value in start.items()}
        assert densities[0](point) == pytest.approx(densities[1](point), rel=1e-9)


def test_a_shift_of_x_changes_no_prediction_of_the_exact_engine() -> None:
    """The draws are the same but for rounding, the shift being three times as far as x is wide."""
    fits = [sf.lmer(FORMULA, shifted(by), draws=50, chains=2, random_seed=1, progress=False) for by in (0.0, 10.0)]
    means = [sf.fitted(fit)["estimate"].to_numpy() for fit in fits]
    np.testing.assert_allclose(means[0], means[1], atol=1e-8)
    here, there = (fit.idata["posterior"].to_dataset() for fit in fits)
    np.testing.assert_allclose(there["x|gene"], here["x|gene"], atol=1e-8)
    np.testing.assert_allclose(there["1|gene"], here["1|gene"] - 10 * here["x|gene"], atol=1e-8)
    sds, slopes = here["1|gene_sigma"], here["x|gene_sigma"]
    covariance = here["cor|gene"].sel(gene__pair_dim="1, x") * sds * slopes
    np.testing.assert_allclose(there["1|gene_sigma"] ** 2, sds**2 - 20 * covariance + 100 * slopes**2, rtol=1e-8)


@pytest.mark.slow
def test_a_shift_of_x_changes_no_prediction_of_nuts() -> None:
    """Means of 600 draws each, effective or nearly so, lie within 5 of their standard errors: one in 10^5 fails."""
    settings = {"method": "nuts", "draws": 300, "tune": 400, "chains": 2, "cores": 1, "random_seed": 3}
    fits = [sf.lmer("y ~ x + (x | gene)", shifted(by), progress=False, **settings) for by in (0.0, 25.0)]
    here, there = (sf.fitted(fit) for fit in fits)
    error = np.hypot(here["std_error"], there["std_error"]) / np.sqrt(300)
    assert (np.abs(here["estimate"] - there["estimate"]) / error).max() < 5
