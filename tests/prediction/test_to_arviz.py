"""The groups that ArviZ reads: what is in them, and ArviZ's own functions run on them."""

from functools import cache

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.prediction.to_arviz import GROUPS

THERE = ("posterior", "sample_stats", "observed_data")


@cache
def data():
    rng = np.random.default_rng(17)
    group, x = np.repeat(np.arange(8), 8), np.tile(np.linspace(-1, 1, 8), 8)
    mean = 0.5 * x + rng.normal(0, 0.7, 8)[group]
    return pd.DataFrame(
        {
            "y": mean + rng.normal(0, 0.5, 64),
            "n": rng.poisson(np.exp(1 + mean)),
            "hit": (mean + rng.logistic(size=64) > 0).astype(int),
            "x": x,
            "g": [f"g{k}" for k in group],
            "f": np.tile(["a", "b"], 32),
            "w": rng.uniform(0.5, 2, 64),
        }
    )


@cache
def fit_of(name):
    settings = {"random_seed": 4, "progress": False, "draws": 250}
    match name:
        case "gaussian":
            return sf.lmer("y ~ x + (1 | g)", data(), **settings)
        case "smaller":
            return sf.lmer("y ~ 1 + (1 | g)", data(), **settings)
        case "poisson":
            return sf.glmer("n ~ x + f + (1 | g)", data(), family="poisson", **settings)
        case "bernoulli":
            return sf.glmer("hit ~ x + (1 | g)", data(), family="bernoulli", **settings)
    raise KeyError(name)


@cache
def tree(name, **settings):
    return sf.to_arviz(fit_of(name), random_seed=8, prior_draws=200, **settings)


def test_all_groups_are_there_and_the_fit_is_not_changed():
    fit = fit_of("gaussian")
    before = list(fit.idata.children)
    assert list(tree("gaussian").children) == [*THERE, *GROUPS]
    assert list(fit.idata.children) == before
    assert "__obs__" not in fit.idata["observed_data"].coords


def test_groups_are_made_on_demand():
    fit = fit_of("gaussian")
    assert list(sf.to_arviz(fit, []).children) == list(THERE)
    assert list(sf.to_arviz(fit, "log_prior").children) == [*THERE, "log_prior"]
    assert list(sf.to_arviz(fit, ["posterior", "prior"]).children) == [*THERE, "prior"]


def test_the_log_likelihood_is_that_of_the_draws():
    fit = fit_of("gaussian")
    found = tree("gaussian")["log_likelihood"]["y"]
    draws = fit.idata["posterior"]
    own = draws["1|g"].sel(g__factor_dim=data()["g"].to_numpy()).to_numpy()
    mean = draws["Intercept"].to_numpy()[..., None] + draws["x"].to_numpy()[..., None] * data()["x"].to_numpy() + own
    sigma = draws["sigma"].to_numpy()[..., None]
    by_hand = -0.5 * ((data()["y"].to_numpy() - mean) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(found, by_hand, atol=1e-10)
    np.testing.assert_allclose(tree("gaussian", row_parameters=True)["posterior"]["mu"], mean, atol=1e-12)


def test_predictive_draws_have_the_mean_and_the_spread_of_the_model():
    """64,000 draws: a mean within 5 of its Monte Carlo errors, a false alarm in 1.7 million."""
    dt = tree("gaussian", row_parameters=True)
    errors = (dt["posterior_predictive"]["y"] - dt["posterior"]["mu"]) / dt["posterior"]["sigma"]
    assert errors.shape == (4, 250, 64)
    assert abs(float(errors.mean())) < 5 / np.sqrt(errors.size)
    assert abs(float((errors**2).mean()) - 1) < 5 * np.sqrt(2 / errors.size)


def test_each_prior_predictive_draw_belongs_to_its_prior_draw():
    """The response's deviation from the mean of its own draw is of the size of that draw's sigma."""
    dt = tree("gaussian")
    prior, made = dt["prior"], dt["prior_predictive"]["y"]
    own = prior["1|g"].sel(g__factor_dim=data()["g"].to_numpy()).to_numpy()
    mean = prior["Intercept"].to_numpy()[..., None] + prior["x"].to_numpy()[..., None] * data()["x"].to_numpy() + own
    errors = (made.to_numpy() - mean) / prior["sigma"].to_numpy()[..., None]
    assert abs((errors**2).mean() - 1) < 5 * np.sqrt(2 / errors.size)


def test_the_columns_of_the_formula_are_constant_data():
    constant = tree("poisson")["constant_data"]
    assert set(constant.data_vars) == {"x", "f", "g"}
    assert constant["f"].to_numpy().tolist() == data()["f"].tolist()
    weighted = sf.lmer("y ~ x + (1 | g)", data(), weights="w", random_seed=1, draws=100, progress=False)
    np.testing.assert_allclose(sf.to_arviz(weighted, "constant_data")["constant_data"]["weights"], data()["w"])


def test_rows_that_were_left_out_keep_their_places():
    table = data().assign(x=data()["x"].where(data().index != 3))
    fit = sf.lmer("y ~ x + (1 | g)", table, missing="drop", random_seed=1, draws=100, progress=False)
    dt = sf.to_arviz(fit, ["log_likelihood", "posterior_predictive", "constant_data"], random_seed=1)
    kept = [row for row in range(64) if row != 3]
    for group in ("observed_data", "log_likelihood", "posterior_predictive", "constant_data"):
        assert dt[group]["__obs__"].to_numpy().tolist() == kept


def test_all_groups_are_thinned_alike():
    dt = sf.to_arviz(fit_of("gaussian"), thin=10, random_seed=1, prior_draws=20)
    whole = tree("gaussian")
    for group in ("posterior", "sample_stats", "log_likelihood", "log_prior", "posterior_predictive"):
        assert dt[group].sizes["draw"] == 25
    for group in ("log_likelihood", "log_prior"):
        np.testing.assert_array_equal(
            dt[group].to_dataset().to_dataarray(),
            whole[group].to_dataset().isel(draw=slice(None, None, 10)).to_dataarray(),
        )


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            {"groups": ["log_lik"]},
            sf.DataError,
            "groups names 'log_lik'.\nGroups: posterior, sample_stats, observed_data, ",
        ),
        ({"thin": 0}, sf.DataError, "thin=0 is out of range."),
        ({"prior_draws": 0}, sf.DataError, "draws=0 is out of range."),
    ],
)
def test_what_cannot_be_made_is_refused(arguments, kind, message):
    with pytest.raises(kind) as caught:
        sf.to_arviz(fit_of("gaussian"), **arguments)
    assert str(caught.value).startswith(message)


def test_ordered_levels_have_no_mean():
    table = data().assign(level=pd.cut(data()["y"], 3, labels=["low", "middle", "high"]))
    fit = sf.glmer("level ~ x + (1 | g)", table, family="cumulative", random_seed=1, draws=100, progress=False)
    with pytest.raises(sf.EstimateError, match="has no mean"):
        sf.to_arviz(fit, [], row_parameters=True)
    assert sf.to_arviz(fit, "posterior_predictive", random_seed=1)["posterior_predictive"]["level"].dtype == np.int64


def test_a_flat_prior_has_no_draws():
    priors = {"x": sf.Prior("Flat")}
    fit = sf.lmer("y ~ x + (1 | g)", data(), priors=priors, random_seed=1, draws=100, progress=False)
    with pytest.raises(sf.PriorError):
        sf.to_arviz(fit)
    assert "log_prior" in sf.to_arviz(fit, ["log_prior"]).children


@pytest.fixture(autouse=True)
def _close_pictures():
    yield
    plt.close("all")


# What ArviZ offers, each called as its documentation calls it. Samplers are needed by reloo, loo_kfold and lfo_cv, and
# densities of unconstrained parameters by loo_moment_match; simulated fits by plot_ecdf_pit.
STATISTICS = {
    "summary": lambda dt: az.summary(dt),
    "summary of the prior": lambda dt: az.summary(dt, group="prior", kind="stats"),
    "diagnose": lambda dt: az.diagnose(dt, show_diagnostics=False, return_diagnostics=True),
    "rhat": lambda dt: az.rhat(dt),
    "ess": lambda dt: az.ess(dt),
    "mcse": lambda dt: az.mcse(dt),
    "hdi": lambda dt: az.hdi(dt),
    "eti": lambda dt: az.eti(dt),
    "loo": lambda dt: az.loo(dt, pointwise=True),
    "loo_i": lambda dt: az.loo_i(3, dt),
    "loo_expectations": lambda dt: az.loo_expectations(dt),
    "loo_influence": lambda dt: az.loo_influence(dt),
    "loo_metrics": lambda dt: az.loo_metrics(dt),
    "loo_pit": lambda dt: az.loo_pit(dt),
    "loo_r2": lambda dt: az.loo_r2(dt, var_name="y"),
    "loo_score": lambda dt: az.loo_score(dt),
    "loo_subsample": lambda dt: az.loo_subsample(dt, observations=20),
    "metrics": lambda dt: az.metrics(dt),
    "bayesian_r2": lambda dt: az.bayesian_r2(dt, pred_mean="mu", scale="sigma"),
    "residual_r2": lambda dt: az.residual_r2(dt, pred_mean="mu", obs_name="y"),
    "psense": lambda dt: az.psense(dt, var_names=["x", "sigma"]),
    "psense of the likelihood": lambda dt: az.psense(dt, var_names=["x"], group="likelihood"),
    "psense_summary": lambda dt: az.psense_summary(dt, var_names=["Intercept", "x", "sigma"]),
    "bayes_factor": lambda dt: az.bayes_factor(dt, var_names="x", ref_vals=0.5),
    "thin": lambda dt: az.thin(dt),
    "extract": lambda dt: az.extract(dt, var_names=["x"]),
    "ci_in_rope": lambda dt: az.ci_in_rope(dt, rope=(-0.1, 0.1), var_names=["x"]),
    "compare": lambda dt: az.compare({"x": dt, "1": tree("smaller")}),
    "weight_predictions": lambda dt: az.weight_predictions([dt, tree("smaller")], random_seed=1),
    "kl_divergence": lambda dt: az.kl_divergence(dt, tree("smaller"), var_names=["sigma"]),
    "wasserstein": lambda dt: az.wasserstein(dt, tree("smaller"), var_names=["sigma"]),
}
PICTURES = {
    "plot_dist": lambda dt: az.plot_dist(dt, var_names=["x", "sigma"]),
    "plot_forest": lambda dt: az.plot_forest(dt, var_names=["x", "1|g"]),
    "plot_ridge": lambda dt: az.plot_ridge(dt, var_names=["1|g"]),
    "plot_trace": lambda dt: az.plot_trace(dt, var_names=["x"]),
    "plot_trace_dist": lambda dt: az.plot_trace_dist(dt, var_names=["x"]),
    "plot_rank": lambda dt: az.plot_rank(dt, var_names=["x"]),
    "plot_rank_dist": lambda dt: az.plot_rank_dist(dt, var_names=["x"]),
    "plot_autocorr": lambda dt: az.plot_autocorr(dt, var_names=["x"]),
    "plot_ess": lambda dt: az.plot_ess(dt, var_names=["x"]),
    "plot_ess_evolution": lambda dt: az.plot_ess_evolution(dt, var_names=["x"]),
    "plot_mcse": lambda dt: az.plot_mcse(dt, var_names=["x"]),
    "plot_convergence_dist": lambda dt: az.plot_convergence_dist(dt),
    "plot_pair": lambda dt: az.plot_pair(dt, var_names=["x", "sigma"]),
    "plot_pair_focus": lambda dt: az.plot_pair_focus(dt, "x", var_names=["sigma"]),
    "plot_parallel": lambda dt: az.plot_parallel(dt, var_names=["x", "sigma"]),
    "plot_dgof": lambda dt: az.plot_dgof(dt, var_names=["x"]),
    "plot_prior_posterior": lambda dt: az.plot_prior_posterior(dt, var_names=["x", "sigma"]),
    "plot_bf": lambda dt: az.plot_bf(dt, var_names="x", ref_val=0.5),
    "plot_psense_dist": lambda dt: az.plot_psense_dist(dt, var_names=["x"]),
    "plot_psense_quantities": lambda dt: az.plot_psense_quantities(dt, var_names=["x"]),
    "plot_ppc_dist": lambda dt: az.plot_ppc_dist(dt),
    "plot_ppc_dist of the prior": lambda dt: az.plot_ppc_dist(dt, group="prior_predictive"),
    "plot_ppc_pit": lambda dt: az.plot_ppc_pit(dt),
    "plot_ppc_dist_pit": lambda dt: az.plot_ppc_dist_pit(dt),
    "plot_ppc_interval": lambda dt: az.plot_ppc_interval(dt),
    "plot_ppc_tstat": lambda dt: az.plot_ppc_tstat(dt, t_stat="std"),
    "plot_lm": lambda dt: az.plot_lm(dt, x="x", y="y"),
    "plot_loo_pit": lambda dt: az.plot_loo_pit(dt),
    "plot_loo_interval": lambda dt: az.plot_loo_interval(dt),
    "plot_khat": lambda dt: az.plot_khat(az.loo(dt, pointwise=True)),
    "plot_compare": lambda dt: az.plot_compare(az.compare({"x": dt, "1": tree("smaller")})),
    "combine_plots": lambda dt: az.combine_plots(dt, [(az.plot_trace, {}), (az.plot_rank, {})], var_names=["x"]),
}
OTHERS = {
    "plot_ppc_rootogram": ("poisson", lambda dt: az.plot_ppc_rootogram(dt)),
    "loo_pit of counts": ("poisson", lambda dt: az.loo_pit(dt)),
    "psense of counts": ("poisson", lambda dt: az.psense_summary(dt, var_names=["x", "f"])),
    "plot_ppc_pava": ("bernoulli", lambda dt: az.plot_ppc_pava(dt)),
    "plot_ppc_pava_residuals": ("bernoulli", lambda dt: az.plot_ppc_pava_residuals(dt, "x")),
    "plot_loo_pava": ("bernoulli", lambda dt: az.plot_loo_pava(dt)),
    "loo of 0 and 1": ("bernoulli", lambda dt: az.loo(dt)),
    "bayesian_r2 of 0 and 1": ("bernoulli", lambda dt: az.residual_r2(dt, pred_mean="p", obs_name="hit")),
}


@pytest.mark.parametrize("call", STATISTICS.values(), ids=STATISTICS)
def test_statistics_of_arviz_run(call):
    assert call(tree("gaussian", row_parameters=True)) is not None


@pytest.mark.parametrize("call", PICTURES.values(), ids=PICTURES)
def test_pictures_of_arviz_are_drawn(call):
    assert call(tree("gaussian")) is not None


@pytest.mark.parametrize(("name", "call"), OTHERS.values(), ids=OTHERS)
def test_arviz_runs_on_other_families(name, call):
    assert call(tree(name, row_parameters=True)) is not None


@pytest.mark.slow
def test_arviz_has_the_energy_of_nuts():
    fit = sf.lmer("y ~ x + (1 | g)", data(), method="nuts", random_seed=1, draws=200, tune=300, progress=False)
    dt = sf.to_arviz(fit, random_seed=1)
    assert (az.bfmi(dt)["energy"] > 0).all()
    assert az.plot_energy(dt) is not None
