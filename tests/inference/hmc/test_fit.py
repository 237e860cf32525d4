"""Hamiltonian Monte Carlo around a Gaussian: against exact integration, quadrature and long runs of NUTS."""

import itertools
import os
import re
import signal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import speclet_formula as sf
from speclet_formula.inference.hmc.centre import centred
from speclet_formula.inference.hmc.chain import run_chain
from speclet_formula.inference.hmc.chains import Chains
from speclet_formula.inference.hmc.parameters import first_theta, parameters_of
from speclet_formula.inference.hmc.surrogate import surrogate_of
from speclet_formula.inference.plans import plan_of
from tests.inference.exact.test_fit import MODELS as GAUSSIAN_MODELS, STANDARD_ERRORS, TABLE, summaries

RNG = np.random.default_rng(77)
N = 90
ROWS = pd.DataFrame(
    {
        "x": RNG.normal(0.0, 1.0, N),
        "g": [f"g{i % 9}" for i in range(N)],
        "h": [f"h{i // 15}" for i in range(N)],
        "row": [f"r{i}" for i in range(N)],
        "time": RNG.uniform(0.5, 2.0, N),
        "trials": RNG.integers(1, 9, N),
    }
)
ETA = (
    0.3
    + 0.5 * ROWS["x"]
    + ROWS["g"].map(dict(zip([f"g{i}" for i in range(9)], RNG.normal(0, 0.7, 9), strict=True)))
    + ROWS["h"].map(dict(zip([f"h{i}" for i in range(6)], RNG.normal(0, 0.4, 6), strict=True)))
).to_numpy()
SHARE = special.expit(ETA)
ROWS["one"] = (RNG.random(N) < SHARE).astype(int)
ROWS["hits"] = RNG.binomial(ROWS["trials"], SHARE)
ROWS["misses"] = ROWS["trials"] - ROWS["hits"]
ROWS["count"] = RNG.poisson(np.exp(ETA) * ROWS["time"] * RNG.gamma(2.0, 0.5, N))
ROWS["zeros"] = np.where(RNG.random(N) < 0.3, 0, RNG.poisson(2 * np.exp(ETA)))
ROWS["size"] = RNG.gamma(3.0, np.exp(ETA) / 3.0)
ROWS["part"] = np.clip(RNG.beta(8 * SHARE, 8 * (1 - SHARE)), 1e-3, 1 - 1e-3)
ROWS["heavy"] = ETA + 0.5 * RNG.standard_t(3, N)
ROWS["level"] = pd.Categorical.from_codes(
    np.clip(np.floor(ETA + RNG.logistic(0, 1, N) + 1), 0, 3).astype(int), list("abcd"), ordered=True
)
ROWS["jumpy"] = ETA + RNG.laplace(0, 0.5, N)
ROWS["late"] = ETA + RNG.normal(0, 0.3, N) + RNG.exponential(0.8, N)
WEIGHTS = np.exp(np.column_stack([np.zeros(N), ETA, 0.5 - ETA]))
ROWS["way"] = np.array(["bus", "car", "train"])[
    (RNG.random((N, 1)) > np.cumsum(WEIGHTS, 1) / WEIGHTS.sum(1)[:, None]).sum(1)
]
ROWS[["a", "b", "c"]] = RNG.multinomial(6, RNG.dirichlet((2.0, 4.0, 3.0), N))
ROWS["spread"] = RNG.normal(ETA, np.exp(-0.5 + 0.4 * ROWS["x"]))

FAMILIES: dict[str, tuple[Any, str]] = {
    "binomial": ("cbind(hits, misses) ~ x + (x | g)", "binomial"),
    "bernoulli": ("one ~ x + (1 | g)", "bernoulli"),
    "poisson with a level for each row": ("count ~ x + (1 | g) + (1 | row)", "poisson"),
    "negative binomial with offset": ("count ~ x + offset(log(time)) + (1 | g/h)", "negativebinomial"),
    "gamma": ("size ~ x + (1 | g)", "gamma"),
    "beta": ("part ~ x + (1 | g)", "beta"),
    "t": ("heavy ~ x + (1 | g)", "t"),
    "laplace": ("jumpy ~ x + (1 | g)", "laplace"),
    "asymmetric laplace": ("jumpy ~ x + (1 | g)", "asymmetriclaplace"),
    "exgaussian": ("late ~ x + (1 | g)", "exgaussian"),
    "b": (["jumpy ~ x + (1 | g)", "b ~ x"], "laplace"),
    "cumulative": ("level ~ x + (1 | g)", "cumulative"),
    "zero-inflated": (["zeros ~ x + (1 | g)", "psi ~ x"], "zero_inflated_poisson"),
    "sigma": (["spread ~ x + (1 | g)", "sigma ~ x + (1 | h)"], "gaussian"),
    "categorical": (["way ~ x + (1 | g)", "mutrain ~ x"], "categorical"),
    "multinomial": (["cbind(a, b, c) ~ x + (x | g)", "muc ~ x"], "multinomial"),
    "Dirichlet-multinomial": (["cbind(a, b, c) ~ x", "ab ~ x + (1 | g)"], "dirichlet_multinomial"),
}
IN_EVERY_TEST = (
    "binomial",
    "negative binomial with offset",
    "cumulative",
    "zero-inflated",
    "sigma",
    "laplace",
    "exgaussian",
    "categorical",
    "multinomial",
    "Dirichlet-multinomial",
)


# Its slopes hardly differ by group: sampled as themselves, NUTS does not come near an SD of zero and says so.
AS_MULTIPLES = sf.Prior("Normal", mu=0, sigma=sf.Prior("HalfNormal", sigma=1), noncentered=True)
PRIORS: dict[str, dict[str, sf.Prior]] = {"binomial": {"x|g": AS_MULTIPLES}}


def family_model(name: str) -> sf.Model:
    """Return one of the models of `FAMILIES`."""
    formula, family = FAMILIES[name]
    return sf.Model(
        formula, ROWS, family=family, link="log" if family == "gamma" else None, priors=PRIORS.get(name, {})
    )


def differences(ours: sf.Fit, theirs: sf.Fit) -> list[tuple[float, str]]:
    """Return how far mean, SD and two quantiles of every parameter lie apart, in joint Monte Carlo errors."""
    first, second = ours.idata["posterior"], theirs.idata["posterior"]
    assert set(first.data_vars) == set(second.data_vars)
    found = []
    for variable in first.data_vars:
        assert first[variable].dims == second[variable].dims
        assert first[variable].shape[2:] == second[variable].shape[2:]
        pairs = [tree[variable].to_numpy() for tree in (first, second)]
        pairs = [values.reshape(*values.shape[:2], -1) for values in pairs]
        for k in range(pairs[0].shape[2]):
            told, other = (summaries(values[..., k]) for values in pairs)
            for what, (value, error) in told.items():
                errors = abs(value - other[what][0]) / np.hypot(error, other[what][1])
                found.append((float(errors), f"{what} of {variable} {k}"))
    return found


def assert_agree(ours: sf.Fit, theirs: sf.Fit) -> None:
    """Compare every parameter within joint Monte Carlo errors, in the same order of variables."""
    assert list(ours.idata["posterior"].data_vars) == list(theirs.idata["posterior"].data_vars)
    far = [difference for difference in differences(ours, theirs) if not difference[0] < STANDARD_ERRORS]
    assert far == []


@pytest.mark.parametrize("name", GAUSSIAN_MODELS)
def test_gaussian_models_agree_with_exact_integration(name: str) -> None:
    # 2 x 500 parameters and summaries at most: a false alarm in 10^4 runs, as the exact engine's test has it.
    arguments = dict(GAUSSIAN_MODELS[name])
    model = sf.Model(arguments.pop("formula"), TABLE, **arguments)
    ours = sf.fit(model, method="hmc", draws=1500, random_seed=3)
    assert ours.diagnostics.verdict == "converged"
    assert_agree(ours, sf.fit(model, method="exact", draws=3000, random_seed=4))


def test_counts_in_groups_agree_with_quadrature() -> None:
    counts = np.array([[0, 1, 0], [3, 5, 4], [2, 0, 1], [9, 12, 7], [1, 1, 2]])
    table = pd.DataFrame({"y": counts.ravel(), "g": np.repeat(list("abcde"), 3)})
    priors = {"1|g": sf.Prior("Normal", mu=0, sigma=sf.Prior("HalfNormal", sigma=1.5))}
    model = sf.Model("y ~ 0 + (1 | g)", table, family="poisson", priors=priors)
    fitted = sf.fit(model, method="hmc", draws=4000, random_seed=5)
    u, sds = np.linspace(-12, 12, 4801), np.linspace(0.01, 9, 1500)
    height = counts.sum(axis=1)[:, None] * u - 3 * np.exp(u)  # (groups, u)
    inner = special.logsumexp(height[:, None] + stats.norm.logpdf(u, 0, sds[:, None]), axis=2).sum(axis=0)
    density = np.exp(inner - inner.max() + stats.halfnorm.logpdf(sds, scale=1.5))
    density /= density.sum()
    mean = density @ sds
    expected = {
        "mean": mean,
        "sd": np.sqrt(density @ (sds - mean) ** 2),
        "0.05": np.interp(0.05, np.cumsum(density), sds),
        "0.95": np.interp(0.95, np.cumsum(density), sds),
    }
    found = summaries(fitted.idata["posterior"]["1|g_sigma"].to_numpy())
    for what, (value, error) in found.items():  # four comparisons: 2e-7 each
        assert abs(value - expected[what]) < STANDARD_ERRORS * error, what


def test_separated_levels_far_from_zero_agree_with_quadrature() -> None:
    # Three levels, told apart by x: the thresholds lie between far effects, and their priors hold at the mean of x.
    x = np.tile([5.0, 5.0, 6.0, 6.0], 3)
    table = pd.DataFrame({"x": x, "g": np.repeat(list("abc"), 4)})
    table["level"] = pd.Categorical(
        np.tile(["low", "low", "middle", "high"], 3), ["low", "middle", "high"], ordered=True
    )
    priors = {
        "x": sf.Prior("Normal", mu=0, sigma=4),
        "threshold": sf.Prior("Normal", mu=[0.0, 1.0], sigma=2.5),
        "1|g": sf.Prior("Normal", mu=0, sigma=sf.Prior("HalfNormal", sigma=1)),
    }
    model = sf.Model("level ~ x + (1 | g)", table, family="cumulative", priors=priors)
    fitted = sf.fit(model, method="hmc", draws=3000, random_seed=14)
    assert fitted.diagnostics.verdict == "converged"
    below, above, slope, sd = np.meshgrid(  # thresholds at the mean of x, 5.5
        np.linspace(-7, 8, 46),
        np.linspace(-5, 14, 58),
        np.linspace(-6, 20, 66),
        np.linspace(0.02, 4, 12),
        indexing="ij",
    )
    likelihood = np.zeros_like(below)
    for node, share in zip(*np.polynomial.hermite_e.hermegauss(11), strict=True):
        low, high = -0.5 * slope + sd * node, 0.5 * slope + sd * node
        middle = special.expit(above - high) - special.expit(below - high)
        likelihood += share * special.expit(below - low) ** 2 * np.maximum(middle, 0) * special.expit(high - above)
    with np.errstate(divide="ignore"):
        height = 3 * np.log(likelihood) + stats.norm.logpdf(slope, 0, 4) + stats.halfnorm.logpdf(sd)
    height += stats.norm.logpdf(below, 0, 2.5) + stats.norm.logpdf(above, 1, 2.5)
    density = np.exp(height - height.max()) * (above > below)
    density /= density.sum()
    posterior = fitted.idata["posterior"]
    drawn = {"x": posterior["x"].to_numpy()} | {
        f"threshold {k}": posterior["threshold"].to_numpy()[..., k] - 5.5 * posterior["x"].to_numpy() for k in (0, 1)
    }
    for name, values in {"x": slope, "threshold 0": below, "threshold 1": above}.items():
        mean = (density * values).sum()
        expected = {"mean": mean, "sd": np.sqrt((density * (values - mean) ** 2).sum())}
        found = summaries(drawn[name])
        for what, value in expected.items():  # six comparisons; the grid's own error is below 0.01
            assert abs(found[what][0] - value) < STANDARD_ERRORS * found[what][1] + 0.01, (name, what)


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_EVERY_TEST)
def test_other_families_agree_with_a_long_run_of_nuts(name: str) -> None:
    model = family_model(name)
    ours = sf.fit(model, method="hmc", draws=3000, random_seed=6)
    assert ours.method == "hmc"
    assert ours.diagnostics.verdict == "converged"
    assert_agree(ours, sf.fit(model, method="nuts", draws=3000, tune=1500, random_seed=7, progress=False))


def test_a_seed_makes_draws_repeatable() -> None:
    model = family_model("binomial")
    first, second = (sf.fit(model, draws=50, random_seed=8, cores=cores) for cores in (1, 2))
    for variable in first.idata["posterior"].data_vars:
        both = [fit.idata["posterior"][variable].to_numpy() for fit in (first, second)]
        np.testing.assert_allclose(*both, rtol=1e-6, atol=1e-9)


def test_what_is_not_kept_changes_nothing_else() -> None:
    model = family_model("poisson with a level for each row")
    whole, part = (sf.fit(model, draws=50, random_seed=9, keep=keep) for keep in (None, "g"))
    assert "1|row" not in part.idata["posterior"]
    for variable in part.idata["posterior"].data_vars:
        both = [fit.idata["posterior"][variable].to_numpy() for fit in (whole, part)]
        np.testing.assert_allclose(*both, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("table", "family"),
    [
        pytest.param({"y": [0] * 24}, "poisson", id="zeros only"),
        pytest.param({"y": [0] * 12 + [1] * 12}, "bernoulli", id="separated"),
        pytest.param({"y": [10**7 + 1000 * i for i in range(24)]}, "poisson", id="huge counts"),
        pytest.param({"y": [1, 0] * 12, "g": ["a"] * 24}, "bernoulli", id="one level"),
        pytest.param({"y": [0] * 23 + [10**6]}, "negativebinomial", id="one huge count"),
        # The default link is the inverse, which has no mean at zero or below.
        pytest.param({"y": [1.0 + (7 * i % 24) / 12 for i in range(24)]}, "gamma", id="inverse link"),
    ],
)
def test_awkward_responses_come_to_an_end(table: dict[str, Any], family: str) -> None:
    x = [0.0] * 12 + [1.0] * 12
    frame = pd.DataFrame({"x": x, "g": [f"g{i % 6}" for i in range(24)]} | table)
    fitted = sf.fit(sf.Model("y ~ x + (1 | g)", frame, family=family), draws=500, random_seed=10)
    assert fitted.method == "hmc"
    assert all(np.isfinite(values).all() for values in fitted.idata["posterior"].data_vars.values())
    assert fitted.diagnostics.verdict == "converged"


def test_heavy_tailed_priors_of_coefficients_against_a_grid() -> None:
    """Two coefficients that their priors pull away from the counts; 8 comparisons, chance of a false alarm 2e-6."""
    x = np.tile([-1.0, 0.0, 1.0], 4)
    y = np.array([1, 3, 9, 2, 2, 11, 1, 4, 8, 0, 3, 12])
    priors = {
        "Intercept": sf.Prior("StudentT", nu=4, mu=-0.5, sigma=0.3),
        "x": sf.Prior("Cauchy", alpha=-0.2, beta=0.1),
    }
    table = pd.DataFrame({"y": y, "x": x})
    fitted = sf.glmer("y ~ x", table, family="poisson", priors=priors, draws=4000, random_seed=3)
    assert fitted.method == "hmc"
    grids = {"Intercept": np.linspace(-1.5, 2.5, 801), "x": np.linspace(-1.0, 3.0, 801)}
    a, b = np.meshgrid(*grids.values(), indexing="ij")
    logs = stats.t.logpdf(a, 4, -0.5, 0.3) + stats.cauchy.logpdf(b, -0.2, 0.1)
    logs += y.sum() * a + (y @ x) * b - 4 * sum(np.exp(a + b * at) for at in (-1.0, 0.0, 1.0))
    weights = np.exp(logs - logs.max())
    for axis, (name, points) in enumerate(grids.items()):
        shares = weights.sum(axis=1 - axis) / weights.sum()
        mean = shares @ points
        expected = {"mean": mean, "sd": np.sqrt(shares @ (points - mean) ** 2)}
        ends = points + 0.5 * (points[1] - points[0])  # of the cells that the shares are of
        expected |= {f"{share}": np.interp(share, np.cumsum(shares), ends) for share in (0.05, 0.95)}
        for what, (value, error) in summaries(fitted.idata["posterior"][name].to_numpy()).items():
            assert abs(value - expected[what]) < STANDARD_ERRORS * error, (name, what)


def test_a_model_without_any_variance_is_fitted() -> None:
    """One coefficient, so that its posterior is a sum over a grid; 4.5 standard errors of 4,000 draws."""
    table = pd.DataFrame({"y": [0, 1, 1, 1, 0, 1, 1, 1, 1, 0]})
    fitted = sf.glmer(
        "y ~ 1", table, family="bernoulli", priors={"Intercept": sf.Prior("Normal", mu=0, sigma=1)}, random_seed=2
    )
    grid = np.linspace(-8, 8, 4001)
    density = np.exp(7 * grid - 10 * np.logaddexp(0, grid) + stats.norm.logpdf(grid))
    density /= density.sum()
    value, error = summaries(fitted.idata["posterior"]["Intercept"].to_numpy())["mean"]
    assert fitted.method == "hmc"
    assert abs(value - density @ grid) < STANDARD_ERRORS * error


def test_groups_of_zeros_among_large_counts_do_not_lead_astray() -> None:
    # Guides that kill: next to counts of hundreds their rows promise any gain where a quadratic is taken at its word.
    rng = np.random.default_rng(16)
    guides = 300 * np.exp(rng.normal(0.0, 0.3, 80)).repeat(5)
    lost = np.repeat(np.arange(40) % 5 == 0, 10)
    table = pd.DataFrame(
        {"gene": np.repeat(np.arange(40), 10).astype(str), "guide": np.repeat(np.arange(80), 5).astype(str)}
    )
    table["count"] = rng.poisson(np.where(lost, 0.3, guides) * rng.gamma(3.0, 1 / 3, 400))
    model = sf.Model("count ~ 1 + (1 | gene) + (1 | guide)", table, family="negativebinomial")
    fitted = sf.fit(model, method="hmc", draws=500, random_seed=17)
    assert fitted.diagnostics.verdict == "converged"
    assert fitted.idata["posterior"]["1|gene_sigma"].mean() < 5


def test_chains_that_start_beyond_a_cliff_are_started_anew() -> None:
    """A level whose rows are all zero has a posterior that ends where its mean grows, far within the Gaussian's SDs.

    From thirty SDs off no trajectory is ever accepted; of chains that are started anew most are.
    """
    tool = np.repeat(["a", "b", "c"], [60, 15, 15])
    table = ROWS.assign(tool=tool, opened=np.where(tool == "a", ROWS["count"], 0))
    model = sf.Model("opened ~ x + tool + (1 | g)", table, family="poisson")
    with surrogate_of(model, threads=1) as surrogate:
        centre, theta = centred(surrogate, first_theta(model, surrogate.parameters))
        chains = Chains(centre, theta, plan_of({"cores": 1}), np.random.default_rng(19))
        for chain, side in enumerate((-30.0, 30.0)):
            chains._z[chain][:] = side
        chains.tune()
        assert chains._run(50, np.zeros(0, dtype=np.int64)).acceptance.min() > 0.5


def test_an_interrupt_stops_all_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    model = family_model("gamma")
    surrogate, theta = centred(surrogate_of(model), first_theta(model, parameters_of(model)))
    plan = plan_of({"draws": 200_000, "chains": 2, "cores": 2})
    chains = Chains(surrogate, theta, plan, np.random.default_rng(18))
    whole, seen, calls = run_chain, [], itertools.count(1)

    def broken(*arguments: Any) -> None:
        whole(*arguments)
        seen.append(len(arguments[4].places))
        if next(calls) == 6:  # in whichever thread, once
            os.kill(os.getpid(), signal.SIGINT)  # which the main thread answers, as it does Ctrl-C

    monkeypatch.setattr("speclet_formula.inference.hmc.chains.run_chain", broken)
    monkeypatch.setattr("speclet_formula.inference.hmc.chains.SEGMENT", 0.01)  # seconds; the usual one may be the rest
    with pytest.raises(KeyboardInterrupt):
        chains.draw(np.zeros(0, dtype=np.int64))
    assert sum(seen) < 200_000  # of 400,000: neither chain went on to its end


@pytest.mark.slow
def test_a_long_fit_says_so_and_how_much_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = family_model("binomial")
    monkeypatch.setattr("speclet_formula.inference.hmc.chains.LONG", 0.0)
    monkeypatch.setattr("speclet_formula.inference.hmc.chains.SEGMENT", 1e-4)
    sf.fit(model, draws=400, chains=2, random_seed=1, progress=False)
    assert capsys.readouterr().err == ""
    sf.fit(model, draws=400, chains=2, random_seed=1)
    told = capsys.readouterr().err.splitlines()
    span = r"(under 1 s|about [\d,]+ \w+)"  # of a machine that has other work, too
    assert re.match(rf"800 draws from this posterior take {span}\. Fewer draws \(draws=, chains=\) take less", told[0])
    assert any(re.fullmatch(rf"90 % after {span}", line) for line in told)
