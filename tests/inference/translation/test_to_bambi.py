"""The translated PyMC models against densities written by hand from the raw tables, with scipy's distributions.

Nothing of the package's designs, families or priors is used on the right-hand side: each spells its own predictor.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import speclet_formula as sf
from speclet_formula.inference.translation.priors import prefers_centred
from speclet_formula.inference.translation.to_bambi import to_pymc

N = 60
RNG = np.random.default_rng(7)
TABLE = pd.DataFrame(
    {
        "gene": [f"g{i % 5}" for i in range(N)],
        "guide": [f"s{i % 15}" for i in range(N)],
        "line": [f"c{i // 15}" for i in range(N)],
        "x": RNG.normal(3.0, 1.0, N),
        "z": RNG.normal(-1.0, 2.0, N),
        "arm": pd.Categorical(RNG.choice(["vehicle", "drug"], N), categories=["vehicle", "drug"]),
        "n": RNG.integers(3, 12, N),
        "w": RNG.uniform(0.5, 2.0, N),
    }
)
EFFECT = dict(zip([f"g{i}" for i in range(5)], RNG.normal(0, 3.0, 5), strict=True))
TABLE["y"] = TABLE["gene"].map(EFFECT) + 0.3 * TABLE["x"] + RNG.normal(0, 0.5, N)
TABLE["count"] = RNG.poisson(4.0, N)
TABLE["hits"] = RNG.binomial(TABLE["n"], 0.4)
TABLE["dead"] = RNG.integers(0, 2, N)
GENE = TABLE["gene"].str[1:].astype(int).to_numpy()
LINE = TABLE["line"].str[1:].astype(int).to_numpy()
CELL = GENE * 4 + LINE  # labels "g0:c0", "g0:c1", ... in the order of the genes, then of the lines
X, Z = TABLE["x"].to_numpy(), TABLE["z"].to_numpy()
DRUG = (TABLE["arm"] == "drug").to_numpy(dtype=float)

Values = dict[str, np.ndarray]


@dataclass
class Case:
    """A formula, and the same model by hand: priors of what is sampled, the predictor, and the response's density."""

    formula: str
    priors: dict[str, Any]
    density: dict[str, Callable[[Values], Any]]
    predictor: Callable[[Values], np.ndarray]
    response: Callable[[np.ndarray, Values], np.ndarray] = lambda eta, v: stats.norm.logpdf(TABLE["y"], eta, v["sigma"])
    arguments: dict[str, Any] = field(default_factory=dict)


def half_normal(scale: float) -> Callable[[Any], Any]:
    return lambda value: stats.halfnorm.logpdf(value, scale=scale)


def normal(mean: float, sd: float) -> Callable[[Any], Any]:
    return lambda value: stats.norm.logpdf(value, mean, sd)


def given(name: str, density: Callable[[Any], Any]) -> Callable[[Values], Any]:
    return lambda v: density(v[name])


def around(name: str, centred: bool, mean: str | float = 0.0) -> dict[str, Callable[[Values], Any]]:
    """Return the density of group effects: of themselves, or of their standardised offsets."""
    if not centred:
        return {f"{name}_offset": lambda v: stats.norm.logpdf(v[f"{name}_offset"])}
    return {name: lambda v: stats.norm.logpdf(v[name], v[mean] if isinstance(mean, str) else mean, v[f"{name}_sigma"])}


def group(name: str, sd: float = 1.0, *, centred: bool) -> tuple[dict[str, Any], dict[str, Callable[[Values], Any]]]:
    prior = sf.Prior("Normal", mu=0, sigma=sf.Prior("HalfNormal", sigma=sd), noncentered=not centred)
    return {name: prior}, {f"{name}_sigma": given(f"{name}_sigma", half_normal(sd)), **around(name, centred)}


def effects(v: Values, name: str) -> np.ndarray:
    """Return group effects with mean zero, whichever way they were sampled."""
    return v[name] if name in v else v[f"{name}_offset"] * v[f"{name}_sigma"]


PLAIN = {"Intercept": sf.Prior("Normal", mu=1, sigma=2), "sigma": sf.Prior("Exponential", lam=0.5)}
PLAIN_DENSITY: dict[str, Callable[[Values], Any]] = {
    "Intercept": given("Intercept", normal(1, 2)),
    "sigma": given("sigma", lambda value: stats.expon.logpdf(value, scale=2)),
}
SIGMA = {"sigma": PLAIN["sigma"]}
SIGMA_DENSITY = {"sigma": PLAIN_DENSITY["sigma"]}
SLOPE = {"x": sf.Prior("StudentT", nu=3, mu=0, sigma=2)}
SLOPE_DENSITY = {"x": given("x", lambda value: stats.t.logpdf(value, 3, 0, 2))}


def crossed() -> Case:
    gene, gene_density = group("1|gene", 2.0, centred=True)
    line, line_density = group("1|line", 0.5, centred=False)
    return Case(
        "y ~ (1 | gene) + (1 | line)",
        PLAIN | gene | line,
        PLAIN_DENSITY | gene_density | line_density,
        lambda v: v["Intercept"] + effects(v, "1|gene")[GENE] + effects(v, "1|line")[LINE],
    )


def nested_fixed() -> Case:
    """A centred design: the intercept is the one at the predictors' means."""
    cell, cell_density = group("1|gene:line", centred=False)
    arm = {"arm": sf.Prior("Laplace", mu=0, b=1.5)}
    arm_density = {"arm": given("arm", lambda value: stats.laplace.logpdf(value, 0, 1.5))}
    return Case(
        "y ~ x + arm + (1 | gene:line)",
        PLAIN | SLOPE | arm | cell,
        PLAIN_DENSITY | SLOPE_DENSITY | arm_density | cell_density,
        lambda v: (
            v["Intercept"]
            + v["x"] * (X - X.mean())
            + v["arm"][0] * (DRUG - DRUG.mean())
            + effects(v, "1|gene:line")[CELL]
        ),
    )


def diagonal() -> Case:
    one, one_density = group("1|gene", centred=False)
    slope, slope_density = group("x|gene", 0.7, centred=False)
    return Case(
        "y ~ 1 + (x || gene)",
        PLAIN | one | slope,
        PLAIN_DENSITY | one_density | slope_density,
        lambda v: v["Intercept"] + effects(v, "1|gene")[GENE] + effects(v, "x|gene")[GENE] * X,
    )


def correlation_of(v: Values, size: int, name: str) -> np.ndarray:
    """Build a correlation matrix from partial correlations by the recursion for r_ij given earlier columns."""
    halves = v[f"{name}_partial"]
    pairs = [(i, j) for i in range(size) for j in range(i + 1, size)]
    partial = {pair: 2 * halves[k] - 1 for k, pair in enumerate(pairs)}
    matrix = np.eye(size)
    for i, j in pairs:
        value = partial[i, j]
        for k in range(i - 1, -1, -1):  # lift the partial correlation given columns 0..k to one given 0..k-1
            value = value * np.sqrt((1 - partial[k, i] ** 2) * (1 - partial[k, j] ** 2)) + partial[k, i] * partial[k, j]
        matrix[i, j] = matrix[j, i] = value
    return matrix


def lkj_on_partials(v: Values, size: int, eta: float, name: str) -> float:
    """Return LKJ's density of the correlation matrix plus the log Jacobian from the sampled halves, numerically."""
    halves = v[f"{name}_partial"]
    pairs = [(i, j) for i in range(size) for j in range(i + 1, size)]

    def entries(point: np.ndarray) -> np.ndarray:
        matrix = correlation_of({f"{name}_partial": point}, size, name)
        return np.array([matrix[pair] for pair in pairs])

    step = 1e-6
    jacobian = np.column_stack(
        [(entries(halves + step * unit) - entries(halves - step * unit)) / (2 * step) for unit in np.eye(len(pairs))]
    )
    constant = sum(  # Lewandowski, Kurowicka & Joe 2009, equation 16
        (2 * eta - 2 + size - k) * (size - k) * np.log(2)
        + (size - k) * special.betaln(eta + (size - k - 1) / 2, eta + (size - k - 1) / 2)
        for k in range(1, size)
    )
    density = (eta - 1) * np.linalg.slogdet(correlation_of(v, size, name))[1] - constant
    return float(density + np.linalg.slogdet(jacobian)[1])


def correlated(columns: dict[str, np.ndarray], formula: str, *, centred: bool, eta: float = 2.0) -> Case:
    names = [f"{column}|gene" for column in columns]
    size = len(names)
    priors, density = dict(PLAIN), dict(PLAIN_DENSITY)
    for name in names:
        more, sd_density = group(name, 1.5, centred=centred)
        priors |= more
        density[f"{name}_sigma"] = sd_density[f"{name}_sigma"]
    priors["cor|gene"] = sf.Prior("LKJ", eta=eta)
    density["cor|gene_partial"] = lambda v: lkj_on_partials(v, size, eta, "cor|gene")

    def matrix(v: Values) -> np.ndarray:
        sds = np.array([float(v[f"{name}_sigma"]) for name in names])
        return correlation_of(v, size, "cor|gene") * np.outer(sds, sds)

    def levels(v: Values) -> np.ndarray:
        if centred:
            return np.column_stack([v[name] for name in names])
        offsets = np.column_stack([v[f"{name}_offset"] for name in names])
        return offsets @ np.linalg.cholesky(matrix(v)).T

    def joint(v: Values) -> Any:
        return stats.multivariate_normal(np.zeros(size), matrix(v)).logpdf(levels(v)).sum()

    if centred:
        density[names[0]] = joint  # of all columns together
        density |= dict.fromkeys(names[1:], lambda v: 0.0)
    else:
        for name in names:
            density[f"{name}_offset"] = lambda v, name=name: stats.norm.logpdf(v[f"{name}_offset"])
    return Case(
        formula,
        priors,
        density,
        lambda v: v["Intercept"] + (levels(v)[GENE] * np.column_stack(list(columns.values()))).sum(axis=1),
    )


def hyper_means(*, centred: bool) -> Case:
    priors: dict[str, Any] = dict(SIGMA)
    density = dict(SIGMA_DENSITY)
    for name, mean, sd in (("1|gene", -1.0, 1.0), ("1|line", 0.0, 0.2)):
        priors[name] = sf.Prior(
            "Normal",
            mu=sf.Prior("Normal", mu=mean, sigma=sd),
            sigma=sf.Prior("Exponential", lam=1),
            noncentered=not centred,
        )
        density[f"{name}_mu"] = given(f"{name}_mu", normal(mean, sd))
        density[f"{name}_sigma"] = given(f"{name}_sigma", stats.expon.logpdf)
        density |= around(name, centred, f"{name}_mu")

    def whole(v: Values, name: str) -> np.ndarray:
        return v[name] if centred else v[f"{name}_mu"] + v[f"{name}_offset"] * v[f"{name}_sigma"]

    return Case(
        "y ~ 0 + (1 | gene) + (1 | line)",
        priors,
        density,
        lambda v: whole(v, "1|gene")[GENE] + whole(v, "1|line")[LINE],
    )


def fixed_mean() -> Case:
    """A group mean that is a number."""
    prior = sf.Prior("Normal", mu=-2.5, sigma=sf.Prior("HalfNormal", sigma=1), noncentered=True)
    return Case(
        "y ~ 0 + (1 | gene)",
        SIGMA | {"1|gene": prior},
        SIGMA_DENSITY | {"1|gene_sigma": given("1|gene_sigma", half_normal(1)), **around("1|gene", False)},
        lambda v: (-2.5 + effects(v, "1|gene"))[GENE],
    )


def unpooled() -> Case:
    return Case(
        "y ~ 0 + gene:line",
        SIGMA | {"gene:line": sf.Prior("Normal", mu=0, sigma=5)},
        SIGMA_DENSITY | {"gene:line": given("gene:line", normal(0, 5))},
        lambda v: v["gene:line"][CELL],
    )


def weighted() -> Case:
    gene, density = group("1|gene", centred=False)
    return Case(
        "y ~ 1 + (1 | gene)",
        PLAIN | gene,
        PLAIN_DENSITY | density,
        lambda v: v["Intercept"] + effects(v, "1|gene")[GENE],
        lambda eta, v: stats.norm.logpdf(TABLE["y"], eta, v["sigma"] / np.sqrt(TABLE["w"])),
        {"weights": "w"},
    )


def student() -> Case:
    nu = {"nu": sf.Prior("Gamma", alpha=2, beta=0.1)}
    return Case(
        "I(y / 2) ~ 1",
        PLAIN | nu,
        PLAIN_DENSITY | {"nu": given("nu", lambda value: stats.gamma.logpdf(value, 2, scale=10))},
        lambda v: np.full(N, v["Intercept"]),
        lambda eta, v: stats.t.logpdf(TABLE["y"] / 2, v["nu"], eta, v["sigma"]),
        {"family": "t"},
    )


def counts() -> Case:
    gene, density = group("1|gene", centred=False)
    return Case(
        "count ~ x + offset(log(n)) + (1 | gene)",
        {"Intercept": PLAIN["Intercept"]} | SLOPE | gene,
        {"Intercept": PLAIN_DENSITY["Intercept"]} | SLOPE_DENSITY | density,
        lambda v: v["Intercept"] + v["x"] * (X - X.mean()) + np.log(TABLE["n"]) + effects(v, "1|gene")[GENE],
        lambda eta, v: stats.poisson.logpmf(TABLE["count"], np.exp(eta)),
        {"family": "poisson"},
    )


def overdispersed() -> Case:
    alpha = {"alpha": sf.Prior("Exponential", lam=1)}
    return Case(
        "count ~ 1",
        {"Intercept": PLAIN["Intercept"]} | alpha,
        {"Intercept": PLAIN_DENSITY["Intercept"], "alpha": given("alpha", stats.expon.logpdf)},
        lambda v: np.full(N, v["Intercept"]),
        lambda eta, v: stats.nbinom.logpmf(TABLE["count"], v["alpha"], v["alpha"] / (v["alpha"] + np.exp(eta))),
        {"family": "negativebinomial"},
    )


def binomial() -> Case:
    gene, density = group("1|gene", centred=False)
    return Case(
        "cbind(hits, n - hits) ~ (1 | gene)",
        {"Intercept": PLAIN["Intercept"]} | gene,
        {"Intercept": PLAIN_DENSITY["Intercept"]} | density,
        lambda v: v["Intercept"] + effects(v, "1|gene")[GENE],
        lambda eta, v: stats.binom.logpmf(TABLE["hits"], TABLE["n"], special.expit(eta)),
        {"family": "binomial"},
    )


def bernoulli() -> Case:
    return Case(
        "dead ~ x",
        {"Intercept": PLAIN["Intercept"]} | SLOPE,
        {"Intercept": PLAIN_DENSITY["Intercept"]} | SLOPE_DENSITY,
        lambda v: v["Intercept"] + v["x"] * (X - X.mean()),
        lambda eta, v: stats.bernoulli.logpmf(TABLE["dead"], stats.norm.cdf(eta)),
        {"family": "bernoulli", "link": "probit"},
    )


ONE = np.ones(N)
CASES: dict[str, Case] = {
    "crossed": crossed(),
    "nested with fixed effects": nested_fixed(),
    "diagonal slopes": diagonal(),
    "correlated slope, non-centred": correlated({"1": ONE, "x": X}, "y ~ 1 + (x | gene)", centred=False),
    "correlated slope, centred": correlated({"1": ONE, "x": X}, "y ~ 1 + (x | gene)", centred=True),
    "three correlated columns": correlated(
        {"1": ONE, "x": X, "z": Z}, "y ~ 1 + (x + z | gene)", centred=False, eta=1.3
    ),
    "three correlated columns, centred": correlated({"1": ONE, "x": X, "z": Z}, "y ~ 1 + (x + z | gene)", centred=True),
    "hyper-means, centred": hyper_means(centred=True),
    "hyper-means, non-centred": hyper_means(centred=False),
    "a group mean that is a number": fixed_mean(),
    "unpooled cells": unpooled(),
    "weights": weighted(),
    "student's t": student(),
    "poisson with an offset": counts(),
    "negative binomial": overdispersed(),
    "binomial": binomial(),
    "bernoulli, probit": bernoulli(),
}


def constrained(point: dict[str, np.ndarray]) -> tuple[Values, float]:
    """Return the parameters of a point of PyMC's unconstrained space, and the log Jacobian of the way there."""
    values: Values = {}
    jacobian = 0.0
    for name, value in point.items():
        if name.endswith("_log__"):
            values[name[:-6]] = np.exp(value)
            jacobian += float(np.sum(value))
        elif name.endswith("_logodds__"):
            values[name[:-10]] = special.expit(value)
            jacobian += float(np.sum(special.log_expit(value) + special.log_expit(-value)))
        else:
            values[name] = value
    return values, jacobian


@pytest.mark.parametrize("name", CASES)
@pytest.mark.mostly_slow(every=5)
def test_the_log_density_is_the_one_written_by_hand(name: str) -> None:
    case = CASES[name]
    translated = to_pymc(sf.Model(case.formula, TABLE, priors=case.priors, **case.arguments))
    log_density = translated.compile_logp(mode="FAST_COMPILE")  # nothing to gain from optimising three calls
    rng = np.random.default_rng(11)
    start = translated.initial_point()
    for _ in range(3):
        point = {key: np.asarray(rng.normal(0, 0.5, np.shape(value))) for key, value in start.items()}
        values, jacobian = constrained(point)
        assert set(values) == set(case.density)
        by_hand = sum(float(np.sum(density(values))) for density in case.density.values()) + jacobian
        by_hand += float(np.sum(case.response(case.predictor(values), values)))
        # The only rounding beyond doubles is in the central differences of the correlations' Jacobian, about 1e-8.
        assert log_density(point) == pytest.approx(by_hand, rel=1e-7)


def test_a_data_rich_group_is_sampled_centred_and_a_sparse_one_is_not() -> None:
    design = sf.Model("y ~ (1 | gene) + (1 | line)", TABLE).design
    assert [prefers_centred(design, block) for block in design.mean.groups] == [True, False]


def test_one_row_per_level_is_sampled_non_centred() -> None:
    design = sf.Model("y ~ (1 | gene:guide:line)", TABLE).design
    assert not prefers_centred(design, design.mean.groups[0])


def test_what_bambi_cannot_hold_in_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speclet_formula.inference.translation.to_bambi.LARGEST_DENSE", 1000)
    with pytest.raises(sf.DataError) as caught:
        to_pymc(sf.Model("y ~ (1 | gene)", TABLE))
    assert str(caught.value) == (
        "60 rows with 5 group levels are too many for Bambi: it would need 0 GiB for one grouping factor alone.\n"
        "Bambi builds a dense column for each level; here up to 0 GiB are allowed.\n"
        "Fit a gaussian model with method='exact', which has no such limit, or fewer genes at a time."
    )


@pytest.mark.parametrize("family", ["gaussian", "t"])
@pytest.mark.slow
def test_weights_compile_in_silence(family: str, capfd: pytest.CaptureFixture[str]) -> None:
    """PyTensor once printed tracebacks of a rewrite that it then left undone."""
    model = to_pymc(sf.Model("y ~ 1", TABLE, family=family, weights="w"))
    function = model.logp_dlogp_function(ravel_inputs=True)
    function.set_extra_values({})
    value, _ = function(np.full(sum(start.size for start in model.initial_point().values()), 0.1))
    assert np.isfinite(value)
    assert capfd.readouterr() == ("", "")
