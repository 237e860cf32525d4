"""The exact engine: against long runs of NUTS, and in what it returns."""

import re
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.algebra import equations, patterned
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


@pytest.mark.slow
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
@pytest.mark.mostly_slow("m7", "m7c")
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


def test_auto_takes_nuts_where_neither_exact_nor_hmc_serves(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken: list[str] = []

    def noted(model: Any, plan: Any) -> Any:
        taken.append(model.family.name)
        return m7_fit("m7").idata

    monkeypatch.setattr("speclet_formula.inference.nuts.sample_nuts", noted)
    table = TABLE.assign(count=RNG.poisson(3.0, N))
    odd = {"x": sf.Prior("Laplace", mu=0, b=1)}
    assert sf.glmer("count ~ x", table, family="poisson", priors=odd).method == "nuts"
    assert taken == ["poisson"]
    assert capsys.readouterr().err == "Sampled by nuts: the prior of 'x' is Laplace, not StudentT, Normal or Cauchy.\n"
    assert sf.glmer("count ~ x", table, family="poisson", tune=10).method == "nuts"


MESSAGES: list[tuple[dict[str, Any], str]] = [
    (
        {"method": "gibbs"},
        "there is no method 'gibbs'.\nMethods: auto, exact, hmc, nuts, reml, ml, laplace.\n"
        "Leave method= out: 'auto' takes the engine that serves the model.",
    ),
    *(
        (
            {"method": given},
            f"there is no method {given!r}.\nMethods: auto, exact, hmc, nuts, reml, ml, laplace.\n"
            f"Write method={meant!r}.",
        )
        for given, meant in {"REML": "reml", "ML": "ml", "Laplace": "laplace", "remll": "reml", "mcmc": "nuts"}.items()
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


UNITS = [(1e-12, 1e12), (1e12, 1e-12), (1e8, 1.0), (1.0, 1e8), (1e-12, 1e-12)]


@pytest.mark.parametrize(("of_x", "of_y"), UNITS)
@pytest.mark.mostly_slow("1e-12-1000000000000.0")
def test_the_posterior_is_the_same_in_any_units(of_x: float, of_y: float) -> None:
    """The default priors follow the data, and what is scaled inside is scaled by powers of two.

    The same seed makes the same draws, but for the search's own precision.
    """
    whole = TABLE[["x", "y", "g"]]
    here, there = (
        sf.lmer("y ~ x + (x | g)", table, draws=250, random_seed=1, progress=False)
        for table in (whole, whole.assign(x=whole["x"] * of_x, y=whole["y"] * of_y))
    )
    # In one of some 20 seeds chance alone makes so few draws doubtful, then in all units alike.
    assert there.diagnostics.verdict == here.diagnostics.verdict != "failed"
    units = {"Intercept": of_y, "x": of_y / of_x, "1|g": of_y, "x|g": of_y / of_x, "cor|g": 1.0}
    units |= {"1|g_sigma": of_y, "x|g_sigma": of_y / of_x, "sigma": of_y}
    for name, unit in units.items():
        ours, theirs = here.idata["posterior"][name], there.idata["posterior"][name] / unit
        assert np.allclose(ours.mean(), theirs.mean(), rtol=1e-3, atol=1e-3), name
        assert np.allclose(ours.std(), theirs.std(), rtol=1e-3), name


@pytest.mark.parametrize("far", [1e6, 1e8])
@pytest.mark.slow
def test_a_response_far_from_zero_keeps_its_residual(far: float) -> None:
    """Without a prior of the intercept the place of the response means nothing."""
    flat = {"Intercept": sf.Prior("Flat"), "sigma": sf.Prior("HalfNormal", sigma=2)}
    flat["1|g_sigma"] = sf.Prior("HalfNormal", sigma=2)
    here, there = (
        sf.lmer("y ~ 1 + (1 | g)", TABLE.assign(y=TABLE["y"] + shift), priors=flat, random_seed=1, progress=False)
        for shift in (0.0, far)
    )
    assert there.diagnostics.verdict == "converged"
    for name in ("sigma", "1|g_sigma"):
        ours, theirs = here.idata["posterior"][name], there.idata["posterior"][name]
        assert np.allclose(ours.mean(), theirs.mean(), rtol=1e-3)
        assert np.allclose(ours.std(), theirs.std(), rtol=1e-3)


@pytest.mark.slow
def test_effects_that_dwarf_the_residual_leave_it_as_it_is() -> None:
    """Levels 10^7 residual SDs apart: sigma is known from within them alone, as closely as 108 degrees of freedom tell.

    Its mean is within 10 % of the least-squares estimate, eight times what draws and prior move it by.
    """
    level = TABLE["g"].map(dict(zip([f"g{i}" for i in range(12)], np.linspace(-1e7, 1e7, 12), strict=True)))
    noise = np.random.default_rng(8).normal(size=N)
    table = TABLE.assign(y=level + noise)
    fit = sf.lmer("y ~ 1 + (1 | g)", table, random_seed=1, progress=False)
    expected = np.sqrt(pd.Series(noise).groupby(TABLE["g"]).var(ddof=1).mean())
    assert fit.diagnostics.verdict == "converged"
    assert float(fit.idata["posterior"]["sigma"].mean()) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.4), (3.0, 5.0), (0.0, 50.0)])
@pytest.mark.mostly_slow("3.0-5.0")
def test_a_prior_with_ends_holds_the_sd_between_them(low: float, high: float) -> None:
    """Against the density on a grid: the mean of the SD within 4.5 standard errors of its draws, 7e-6."""
    prior = {"1|g_sigma": sf.Prior("Uniform", lower=low, upper=high), "sigma": sf.Prior("HalfNormal", sigma=1)}
    prior["Intercept"] = sf.Prior("Normal", mu=2, sigma=3)
    fit = sf.lmer("y ~ 1 + (1 | g)", TABLE, priors=prior, random_seed=2, progress=False)
    draws = fit.idata["posterior"]["1|g_sigma"].to_numpy()
    assert low <= draws.min()
    assert draws.max() <= high
    assert fit.diagnostics.verdict == "converged"
    sds, weights = _on_a_grid(np.linspace(low, min(high, 12.0), 200)[1:-1])
    error = float(az.mcse(draws, method="mean"))
    assert abs(draws.mean() - sds @ weights) < 4.5 * error + 1e-3 * (high - low) / 50


def _on_a_grid(sds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return SDs of g with their shares in the posterior, where its prior is uniform, from the dense normal density."""
    same = (TABLE["g"].to_numpy()[:, None] == TABLE["g"].to_numpy()).astype(float)
    values, vectors = np.linalg.eigh(same)  # 10 within a level, else 0
    residuals = np.linspace(0.6, 3.0, 60)
    y, one = vectors.T @ (TABLE["y"].to_numpy() - 2), vectors.T @ np.ones(N)
    logs = np.empty((len(sds), len(residuals)))
    for i, sd in enumerate(sds):
        for j, residual in enumerate(residuals):
            v = residual**2 + sd**2 * values
            pull = 9 / (1 + 9 * (one**2 / v).sum())
            quadratic = (y**2 / v).sum() - pull * (one * y / v).sum() ** 2
            logs[i, j] = -0.5 * (np.log(v).sum() + np.log(9 / pull) + quadratic + residual**2)
    weights = np.exp(logs - logs.max()).sum(axis=1)
    return sds, weights / weights.sum()


@pytest.mark.slow
def test_both_modes_of_priors_that_fight_the_data_have_their_mass() -> None:
    """Two factors that one row in each level tells apart, and priors that want small SDs: either of them is large.

    The shares against sums over a grid of the dense normal density; 4.5 standard errors of the draws, 7e-6.
    """
    table, priors = _confounded(seed=4)
    fit = sf.lmer("y ~ 1 + (1 | a) + (1 | b)", table, priors=priors, random_seed=4, progress=False)
    assert fit.diagnostics.verdict == "converged"
    first, second = (fit.idata["posterior"][f"1|{name}_sigma"].to_numpy() for name in "ab")
    larger = (first > second).astype(float)
    expected = _share_of_first(table)
    assert 0.2 < expected < 0.8
    assert abs(larger.mean() - expected) < 4.5 * float(az.mcse(larger, method="mean")) + 0.005  # the grid's own error


def _confounded(seed: int) -> tuple[pd.DataFrame, dict[str, sf.Prior]]:
    rng = np.random.default_rng(seed)
    a = np.repeat(np.arange(8), 6)
    b = np.where(np.arange(48) % 6 == 0, (a + 1) % 8 * (a == 0) + a * (a != 0), a)
    table = pd.DataFrame({"y": rng.normal(0, 3, 8)[a] + rng.normal(size=48), "a": a.astype(str), "b": b.astype(str)})
    small = sf.Prior("LogNormal", mu=float(np.log(0.3)), sigma=0.4)
    return table, {
        "1|a_sigma": small,
        "1|b_sigma": small,
        "sigma": sf.Prior("HalfNormal", sigma=2),
        "Intercept": sf.Prior("Normal", mu=0, sigma=4),
    }


def _share_of_first(table: pd.DataFrame) -> float:
    """Return the probability that the SD of a is the larger one."""
    same = [(table[name].to_numpy()[:, None] == table[name].to_numpy()).astype(float) for name in "ab"]
    logs, residuals = np.linspace(np.log(0.08), np.log(15), 30), np.linspace(0.65, 1.6, 8)
    grid = np.array([(s, u, v) for s in residuals for u in logs for v in logs])
    prior = -0.5 * (((grid[:, 1:] - np.log(0.3)) / 0.4) ** 2).sum(axis=1) - grid[:, 0] ** 2 / 8
    y, density = table["y"].to_numpy(), np.empty(len(grid))
    for k, (s, u, v) in enumerate(grid):
        covariance = s**2 * np.eye(48) + np.exp(2 * u) * same[0] + np.exp(2 * v) * same[1] + 16
        factor = np.linalg.cholesky(covariance)
        density[k] = -np.log(np.diag(factor)).sum() - 0.5 * (np.linalg.solve(factor, y) ** 2).sum()
    weights = np.exp(density + prior - (density + prior).max())
    larger = np.where(grid[:, 1] == grid[:, 2], 0.5, grid[:, 1] > grid[:, 2])
    return float(weights @ larger / weights.sum())


SAME = (
    "'y' is 1 in every row.\nA model needs a residual with a variance above zero.\n"
    "Check the column: it says nothing of any term."
)
REPRODUCED = (
    "nothing is left of 'y': the model's terms reproduce every row.\n"
    "A model needs a residual with a variance above zero.\n"
    "Check whether the response repeats within the levels, or leave a term out."
)
NOTHING_LEFT = {
    "constant": (np.ones(N), SAME),
    "reproduced": (3.0 + 2.0 * TABLE["x"].to_numpy() + TABLE["g"].map(LEVEL).to_numpy(), REPRODUCED),
    "the same in each level": (TABLE["g"].isin(["g1", "g2", "g3"]).to_numpy() * 1.0, REPRODUCED),
    "reproduced, far away": (1e8 + 2.0 * TABLE["x"].to_numpy(), REPRODUCED),
}


@pytest.mark.parametrize(("response", "message"), NOTHING_LEFT.values(), ids=NOTHING_LEFT)
def test_a_response_without_a_rest_is_refused(response: np.ndarray, message: str) -> None:
    with pytest.raises(sf.SamplingError) as caught:
        sf.lmer("y ~ x + (1 | g)", TABLE.assign(y=response), random_seed=1, progress=False)
    assert str(caught.value) == message


@pytest.mark.slow
def test_small_fits_are_seldom_doubted() -> None:
    """Of 24 small data sets, half with an SD of zero, at 4 x 250 draws: at most 1 in 100 is to be doubted.

    Four or more of 24 have a chance of 9e-5 then; of 480 like them none was.
    """
    doubted = 0
    for seed in range(24):
        rng = np.random.default_rng(seed)
        g, x = np.arange(40) % 8, rng.normal(1, 1, 40)
        effects = rng.normal(0, 0.8, 8)[g] + rng.normal(0, 0.6 * (seed % 2), 8)[g] * x
        table = pd.DataFrame({"y": 1 + x + effects + rng.normal(size=40), "x": x, "g": g.astype(str)})
        fit = sf.lmer("y ~ x + (x | g)", table, draws=250, random_seed=seed, progress=False, cores=1)
        doubted += fit.diagnostics.verdict != "converged"
    assert doubted < 4


@pytest.mark.slow
def test_a_long_fit_says_so_before_it_draws(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments: dict[str, Any] = {"draws": 10, "chains": 2, "random_seed": 1}
    sf.lmer("y ~ x + (1 | g)", TABLE, **arguments)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("speclet_formula.inference.exact.fit.LONG", 0.0)
    sf.lmer("y ~ x + (1 | g)", TABLE, **arguments, progress=False)
    assert capsys.readouterr().err == ""
    sf.lmer("y ~ x + (1 | g)", TABLE, **arguments)
    told = capsys.readouterr().err
    first, *tenths = told.splitlines()
    span = r"(under 1 s|about [\d,]+ \w+)"  # of a machine that has other work, too
    assert re.fullmatch(
        rf"20 draws from this posterior take {span}\. Fewer draws \(draws=, chains=\) take less in proportion, "
        rf"lme4's own estimate {span} \(method='reml'\)\. progress=False hides these lines\.",
        first,
    )
    assert re.fullmatch(rf"90 % after {span}", tenths[-1])
    assert [int(line.split()[0]) for line in tenths] == sorted({int(line.split()[0]) for line in tenths})


NESTED = "log_fc ~ (1 | gene) + (1 | gene:sgRNA) + (1 | cell_line)"
SCREEN = {"Intercept": -1.0, "1|gene_sigma": 0.6, "1|gene:sgRNA_sigma": 0.4, "1|cell_line_sigma": 0.5, "sigma": 0.5}
DRAWS = 2_000  # of all chains


def flat_draws(fit: Any) -> np.ndarray:
    """Return all draws (parameters, draws), SDs by their logs."""
    posterior = fit.idata["posterior"].to_dataset()
    columns = []
    for name, variable in posterior.data_vars.items():
        values = variable.to_numpy().reshape(DRAWS, -1).T
        columns.append(np.log(values) if str(name).endswith("sigma") else values)
    return np.concatenate(columns)


def test_both_ways_draw_from_one_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means and log SDs of all parameters within 5.2 standard errors: 9e-5 for all 422 together.

    Variances are known by effective draws, of which a chain has 0.6 of all at least.
    """
    layout = sf.datasets.screen_design(genes=40, guides_per_gene=4, cell_lines=6, replicates=1)
    table, _ = sf.simulate(NESTED, layout, SCREEN, random_seed=3)
    model = sf.Model(NESTED, table)
    found = {}
    for seed, way in enumerate(("by classes", "sparse")):
        if way == "sparse":
            monkeypatch.setattr(equations, "_by_classes", lambda *_: None)
        system = equations.build_system(model.design, means=())
        assert isinstance(system.equations, patterned.PatternedEquations) == (way == "by classes")
        fit = sf.fit(model, draws=DRAWS // 4, chains=4, random_seed=seed, progress=False)
        assert fit.diagnostics.verdict == "converged"
        found[way] = flat_draws(fit)
    first, second = found.values()
    assert first.shape == (211, DRAWS)
    effective = 0.6 * DRAWS
    spreads = np.sqrt((first.var(axis=1) + second.var(axis=1)) / 2)
    assert (np.abs(first.mean(axis=1) - second.mean(axis=1)) < 5.2 * spreads * np.sqrt(2 / effective)).all()
    ratio = np.log(first.std(axis=1) / second.std(axis=1))
    kurtosis = np.maximum(((first.T - first.mean(axis=1)) ** 4).mean(axis=0) / first.var(axis=1) ** 2, 3.0)
    assert (np.abs(ratio) < 5.2 * np.sqrt((kurtosis - 1) / 4 * 2 / effective)).all()
