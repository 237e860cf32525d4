"""The exact engine: against long runs of NUTS, and in what it returns."""

from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from tests.fits import m7_fit

RNG = np.random.default_rng(31)
N = 120
TABLE = pd.DataFrame(
    {
        "x": RNG.normal(1.0, 1.0, N),
        "g": [f"g{i % 12}" for i in range(N)],
        "h": [f"h{i // 20}" for i in range(N)],
        "few": [f"k{i % 3}" for i in range(N)],
        "w": RNG.uniform(0.5, 3.0, N),
    }
)
LEVEL = dict(zip([f"g{i}" for i in range(12)], RNG.normal(0, 1.0, 12), strict=True))
SLOPE = dict(zip([f"g{i}" for i in range(12)], RNG.normal(0, 0.6, 12), strict=True))
OTHER = dict(zip([f"h{i}" for i in range(6)], RNG.normal(0, 0.5, 6), strict=True))
TABLE["y"] = (
    2.0
    + TABLE["g"].map(LEVEL)
    + TABLE["h"].map(OTHER)
    + (0.8 + TABLE["g"].map(SLOPE)) * TABLE["x"]
    + RNG.normal(0, 0.7, N)
)
MEAN = sf.Prior("Normal", mu=sf.Prior("Normal", mu=1, sigma=1), sigma=sf.Prior("Exponential", lam=1))
MODELS: dict[str, dict[str, Any]] = {
    "crossed": {"formula": "y ~ x + (1 | g) + (1 | h)"},
    "nested": {"formula": "y ~ (1 | g/h)"},
    "correlated slope": {"formula": "y ~ x + (x | g)"},
    "weights": {"formula": "y ~ x + (1 | g)", "weights": "w"},
    "hyper-means": {"formula": "y ~ 0 + (1 | g) + (1 | h)", "priors": {"1|g": MEAN, "1|h": MEAN}},
    "few groups": {"formula": "y ~ x + (1 | few)"},
}
# Each of the four summaries below is compared within this many joint Monte Carlo standard errors. The parameters of
# all six models make about 500 comparisons; the largest of so many exceeds 5.2 with probability 500 x 2e-7 = 1e-4.
STANDARD_ERRORS = 5.2


def summaries(draws: np.ndarray) -> dict[str, tuple[float, float]]:
    """Return mean, SD and two quantiles of one parameter's (chain, draw), each with its Monte Carlo standard error."""
    found = {"mean": (float(draws.mean()), float(az.mcse(draws, method="mean")))}
    found["sd"] = (float(draws.std(ddof=1)), float(az.mcse(draws, method="sd")))
    for share in (0.05, 0.95):
        found[f"{share}"] = (float(np.quantile(draws, share)), float(az.mcse(draws, method="quantile", prob=share)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_agrees_with_a_long_run_of_nuts(name: str) -> None:
    arguments = dict(MODELS[name])
    model = sf.Model(arguments.pop("formula"), TABLE, **arguments)
    exact = sf.fit(model, method="exact", draws=5000, random_seed=1)
    nuts = sf.fit(model, method="nuts", draws=5000, tune=2000, random_seed=2, progress=False, target_accept=0.95)
    ours, theirs = exact.idata["posterior"], nuts.idata["posterior"]
    assert list(ours.data_vars) == list(theirs.data_vars)
    for variable in ours.data_vars:
        assert ours[variable].dims == theirs[variable].dims
        pairs = [tree[variable].to_numpy().reshape(4, 5000, -1) for tree in (ours, theirs)]
        for k in range(pairs[0].shape[2]):
            first, second = (summaries(values[..., k]) for values in pairs)
            for what, (value, error) in first.items():
                other, other_error = second[what]
                assert abs(value - other) < STANDARD_ERRORS * np.hypot(error, other_error), (variable, k, what)


def test_the_tree_is_the_one_that_nuts_returns() -> None:
    fit = m7_fit("m7")
    assert fit.method == "exact"
    assert set(fit.idata.children) == {"posterior", "sample_stats", "observed_data"}
    assert list(fit.idata["posterior"].data_vars) == [
        "Intercept", "1|gene", "1|gene_sigma", "1|gene:sgRNA", "1|gene:sgRNA_sigma", "1|cell_line",
        "1|cell_line_sigma", "sigma",
    ]  # fmt: skip
    assert fit.idata["posterior"]["1|gene:sgRNA"].dims == ("chain", "draw", "gene:sgRNA__factor_dim")
    assert fit.diagnostics.verdict == "converged"
    assert fit.diagnostics.ess_bulk_min > 1000


@pytest.mark.parametrize("name", ["m7a", "m7a_pool", "m7b", "m7b_pool", "m7c", "m7"])
def test_the_notebooks_models_converge(name: str) -> None:
    """Those with one row for each effect too, which neither the notebook nor NUTS brought to converge."""
    assert m7_fit(name).diagnostics.verdict == "converged"


def test_seeds_repeat_draws_whatever_the_number_of_threads() -> None:
    first, second = (
        sf.lmer("y ~ x + (x | g)", TABLE, draws=50, random_seed=5, cores=cores).idata["posterior"] for cores in (1, 2)
    )
    for name in first.data_vars:
        assert np.allclose(first[name], second[name])


def test_the_intercept_belongs_to_the_predictors_as_they_are() -> None:
    """Shifting a predictor moves the intercept and nothing else, with a correlated block as well."""
    shifted = TABLE.assign(x=TABLE["x"] + 100)
    text = "y ~ x + (1 | g)"
    here, there = (sf.lmer(text, table, draws=200, random_seed=3).idata["posterior"] for table in (TABLE, shifted))
    assert np.allclose(here["x"], there["x"])
    assert np.allclose(here["Intercept"], there["Intercept"] + 100 * there["x"])
    assert np.allclose(here["1|g"], there["1|g"], atol=1e-8)


def test_auto_takes_nuts_where_exact_does_not_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def noted(model: Any, plan: Any) -> Any:
        taken.append(model.family.name)
        return m7_fit("m7").idata

    monkeypatch.setattr("speclet_formula.inference.nuts.sample_nuts", noted)
    table = TABLE.assign(count=RNG.poisson(3.0, N))
    assert sf.glmer("count ~ x", table, family="poisson").method == "nuts"
    assert taken == ["poisson"]


MESSAGES: list[tuple[dict[str, Any], str]] = [
    (
        {"method": "gibbs"},
        "there is no method 'gibbs'.\nMethods: auto, exact, nuts, reml, ml, laplace.\n"
        "Leave method= out: 'auto' takes the engine that serves the model.",
    ),
    (
        {"draws": 1},
        "draws=1 is out of range.\ndraws is a whole number of at least 4.\nLeave draws= out for its default.",
    ),
    (
        {"chains": True},
        "chains=True is out of range.\nchains is a whole number of at least 1.\nLeave chains= out for its default.",
    ),
    (
        {"target_accept": 1.0},
        "target_accept=1.0 is out of range.\ntarget_accept lies between 0 and 1.\n"
        "Leave it out for 0.9; 0.95 or 0.99 help against divergences.",
    ),
    (
        {"sampler": "stan"},
        "there is no sampler 'stan'.\nSamplers: nutpie, pymc, numpyro.\nLeave sampler= out for nutpie.",
    ),
    (
        {"method": "exact", "tune": 500},
        "method='exact' has no use for tune=500.\n"
        "These are for method='nuts', which adapts: tune=, target_accept= and sampler=.\n"
        "Leave it out, or write method='nuts'.",
    ),
    (
        {"method": "reml", "keep": ()},
        "method='reml' has no use for keep=().\nIt makes no draws, and takes cores= alone.\n"
        "Leave it out, or write method='auto'.",
    ),
    (
        {"method": "ml", "sampler": "nutpie", "draws": 1000},
        "method='ml' has no use for draws=1000, sampler='nutpie'.\nIt makes no draws, and takes cores= alone.\n"
        "Leave them out, or write method='auto'.",
    ),
    (
        {"method": "laplace", "chains": 4, "target_accept": 0.9},
        "method='laplace' has no use for chains=4, target_accept=0.9.\nIt makes no draws, and takes cores= alone.\n"
        "Leave them out, or write method='auto'.",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), MESSAGES)
def test_messages(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(sf.SamplingError) as caught:
        sf.lmer("y ~ x", TABLE, **arguments)
    assert str(caught.value) == message
