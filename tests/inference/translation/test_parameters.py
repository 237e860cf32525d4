"""Translated models with formulas of parameters, or limits of the response, against densities written by hand."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import speclet_formula as sf
from speclet_formula.inference.translation.priors import prefers_centred
from speclet_formula.inference.translation.to_bambi import to_bambi, to_pymc
from tests.inference.translation.test_to_bambi import (
    DRUG,
    GENE,
    PLAIN,
    PLAIN_DENSITY,
    SIGMA,
    SIGMA_DENSITY,
    SLOPE,
    SLOPE_DENSITY,
    TABLE,
    Case,
    N,
    Values,
    X,
    Z,
    constrained,
    effects,
    given,
    group,
    normal,
)

RNG = np.random.default_rng(3)
TABLE = TABLE.assign(
    status=RNG.choice(["none", "left", "right"], N, p=[0.5, 0.2, 0.3]),
    high=TABLE["y"] + RNG.uniform(0.1, 2, N),
    low_count=np.minimum(TABLE["count"], 1),
)
LEFT, RIGHT = (TABLE["status"] == "left").to_numpy(), (TABLE["status"] == "right").to_numpy()
INTERCEPT = {"Intercept": PLAIN["Intercept"]}
INTERCEPT_DENSITY = {"Intercept": PLAIN_DENSITY["Intercept"]}


def own(name: str, mean: float, sd: float) -> tuple[dict[str, sf.Prior], dict[str, Callable[[Values], float]]]:
    return {name: sf.Prior("Normal", mu=mean, sigma=sd)}, {name: given(name, normal(mean, sd))}


SPREAD, SPREAD_DENSITY = own("sigma_Intercept", -0.5, 1.2)


def fixed_sigma() -> Case:
    """Centred columns, an alias (poly), an offset of its own, and a term that both formulas have."""
    drug, drug_density = own("sigma_arm", 0, 0.7)
    curve, curve_density = own("sigma_I(z^2)", 0, 0.3)
    square = Z**2

    def log_sigma(v: Values) -> np.ndarray:
        own_part = v["sigma_arm"][0] * (DRUG - DRUG.mean()) + v["sigma_I(z^2)"] * (square - square.mean())
        return v["sigma_Intercept"] + own_part + np.log(TABLE["n"].to_numpy() / 5)

    return Case(
        "y ~ x + I(z^2); sigma ~ arm + I(z^2) + offset(log(n / 5))",
        INTERCEPT | SLOPE | SPREAD | drug | curve | {"I(z^2)": sf.Prior("Normal", mu=0, sigma=0.4)},
        INTERCEPT_DENSITY
        | SLOPE_DENSITY
        | SPREAD_DENSITY
        | drug_density
        | curve_density
        | {"I(z^2)": given("I(z^2)", normal(0, 0.4))},
        lambda v: v["Intercept"] + v["x"] * (X - X.mean()) + v["I(z^2)"] * (square - square.mean()),
        lambda eta, v: stats.norm.logpdf(TABLE["y"], eta, np.exp(log_sigma(v))),
    )


def grouped_sigma(*, weighted: bool, centred: bool) -> Case:
    """Genes that differ in mean and in spread; with weights each SD is divided by the root of its weight."""
    gene, gene_density = group("1|gene", 2.0, centred=True)
    spread, spread_density = group("sigma_1|gene", 0.5, centred=centred)
    root = np.sqrt(TABLE["w"].to_numpy()) if weighted else 1.0
    return Case(
        "y ~ 1 + (1 | gene); sigma ~ 1 + (1 | gene)",
        INTERCEPT | SPREAD | gene | spread,
        INTERCEPT_DENSITY | SPREAD_DENSITY | gene_density | spread_density,
        lambda v: v["Intercept"] + effects(v, "1|gene")[GENE],
        lambda eta, v: stats.norm.logpdf(
            TABLE["y"], eta, np.exp(v["sigma_Intercept"] + effects(v, "sigma_1|gene")[GENE]) / root
        ),
        {"weights": "w"} if weighted else {},
    )


def correlated_sigma() -> Case:
    """Two correlated columns: the density of a 2 x 2 LKJ(2) on its correlation r is 3/4 (1 - r^2), and r = 2 h - 1."""
    priors, density = {}, {}
    for slot in ("sigma_1|gene", "sigma_x|gene"):
        prior, found = group(slot, 1.0, centred=False)
        priors |= prior
        density |= found

    def log_sigma(v: Values) -> np.ndarray:
        r = 2 * v["sigma_cor|gene_partial"][0] - 1
        first, second = v["sigma_1|gene_offset"], v["sigma_x|gene_offset"]
        slope = v["sigma_x|gene_sigma"] * (r * first + np.sqrt(1 - r**2) * second)
        return v["sigma_Intercept"] + (v["sigma_1|gene_sigma"] * first)[GENE] + slope[GENE] * X

    return Case(
        "y ~ 1; sigma ~ 1 + (x | gene)",
        INTERCEPT | SPREAD | priors | {"sigma_cor|gene": sf.Prior("LKJ", eta=2)},
        INTERCEPT_DENSITY
        | SPREAD_DENSITY
        | density
        | {
            "sigma_cor|gene_partial": lambda v: np.log(
                0.75 * (1 - (2 * v["sigma_cor|gene_partial"] - 1) ** 2) * 2
            ).sum()
        },
        lambda v: np.full(N, v["Intercept"]),
        lambda eta, v: stats.norm.logpdf(TABLE["y"], eta, np.exp(log_sigma(v))),
    )


def varying_nu() -> Case:
    nu, nu_density = own("nu_Intercept", 2.0, 0.5)
    slope, slope_density = own("nu_x", 0, 0.2)
    return Case(
        "y ~ 1; nu ~ x",
        PLAIN | nu | slope,
        PLAIN_DENSITY | nu_density | slope_density,
        lambda v: np.full(N, v["Intercept"]),
        lambda eta, v: stats.t.logpdf(
            TABLE["y"], np.exp(v["nu_Intercept"] + v["nu_x"] * (X - X.mean())), eta, v["sigma"]
        ),
        {"family": "t"},
    )


def by_status(density: np.ndarray, below: np.ndarray, above: np.ndarray) -> np.ndarray:
    return np.select([LEFT, RIGHT], [below, above], density)


def censored(family: str) -> Case:
    """Of a t response with a formula of sigma, of a gaussian one without."""
    plain = family == "gaussian"
    nu = {} if plain else {"nu": sf.Prior("Gamma", alpha=2, beta=0.1)}
    nu_density = {} if plain else {"nu": given("nu", lambda value: stats.gamma.logpdf(value, 2, scale=10))}
    slope, slope_density = ({}, {}) if plain else own("sigma_x", 0, 0.3)

    def response(eta: np.ndarray, v: Values) -> np.ndarray:
        if plain:
            made = stats.norm(eta, v["sigma"])
        else:
            made = stats.t(v["nu"], eta, np.exp(v["sigma_Intercept"] + v["sigma_x"] * (X - X.mean())))
        return by_status(*(method(TABLE["y"]) for method in (made.logpdf, made.logcdf, made.logsf)))

    return Case(
        "censored(y, status) ~ x" + ("" if plain else "; sigma ~ x"),
        INTERCEPT | SLOPE | (SIGMA if plain else SPREAD) | nu | slope,
        INTERCEPT_DENSITY | SLOPE_DENSITY | (SIGMA_DENSITY if plain else SPREAD_DENSITY) | nu_density | slope_density,
        lambda v: v["Intercept"] + v["x"] * (X - X.mean()),
        response,
        {"family": family},
    )


def censored_counts() -> Case:
    """Of a count, a bound is itself a possible value."""

    def response(eta: np.ndarray, v: Values) -> np.ndarray:
        made, y = stats.nbinom(v["alpha"], v["alpha"] / (v["alpha"] + np.exp(eta))), TABLE["count"]
        return by_status(made.logpmf(y), made.logcdf(y), made.logsf(y - 1))

    return Case(
        "censored(count, status) ~ 1",
        INTERCEPT | {"alpha": sf.Prior("Exponential", lam=1)},
        INTERCEPT_DENSITY | {"alpha": given("alpha", stats.expon.logpdf)},
        lambda v: np.full(N, v["Intercept"]),
        response,
        {"family": "negativebinomial"},
    )


def truncated() -> Case:
    """Bounds as a number and as a column, and a spread that differs by gene."""
    spread, spread_density = group("sigma_1|gene", 0.5, centred=False)

    def response(eta: np.ndarray, v: Values) -> np.ndarray:
        made = stats.norm(eta, np.exp(v["sigma_Intercept"] + effects(v, "sigma_1|gene")[GENE]))
        return made.logpdf(TABLE["y"]) - np.log(made.cdf(TABLE["high"]) - made.cdf(-20))

    return Case(
        "truncated(y, -20, high) ~ x; sigma ~ 1 + (1 | gene)",
        INTERCEPT | SLOPE | SPREAD | spread,
        INTERCEPT_DENSITY | SLOPE_DENSITY | SPREAD_DENSITY | spread_density,
        lambda v: v["Intercept"] + v["x"] * (X - X.mean()),
        response,
    )


def truncated_counts() -> Case:
    """Without zeros: the bound 1 is itself seen."""

    def response(eta: np.ndarray, v: Values) -> np.ndarray:
        rate = np.exp(eta)
        return stats.poisson.logpmf(TABLE["count"] + 1, rate) - np.log(-np.expm1(-rate))

    return Case(
        "truncated(count + 1, lb = 1) ~ 1",
        INTERCEPT,
        INTERCEPT_DENSITY,
        lambda v: np.full(N, v["Intercept"]),
        response,
        {"family": "poisson"},
    )


CASES: dict[str, Case] = {
    "sigma with fixed terms": fixed_sigma(),
    "sigma by group, centred": grouped_sigma(weighted=False, centred=True),
    "sigma by group, with weights": grouped_sigma(weighted=True, centred=False),
    "sigma with correlated effects": correlated_sigma(),
    "nu of a t": varying_nu(),
    "censored": censored("gaussian"),
    "censored t, sigma with a slope": censored("t"),
    "censored counts": censored_counts(),
    "truncated": truncated(),
    "truncated counts": truncated_counts(),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.mostly_slow(every=5)
def test_the_log_density_is_the_one_written_by_hand(name: str) -> None:
    case = CASES[name]
    translated = to_pymc(sf.Model(case.formula, TABLE, priors=case.priors, **case.arguments))
    log_density = translated.compile_logp(mode="FAST_COMPILE")
    rng = np.random.default_rng(11)
    start = translated.initial_point()
    for _ in range(2):
        point = {key: np.asarray(rng.normal(0, 0.5, np.shape(value))) for key, value in start.items()}
        values, jacobian = constrained(point)
        assert set(values) == set(case.density)
        by_hand = sum(float(np.sum(density(values))) for density in case.density.values()) + jacobian
        by_hand += float(np.sum(case.response(case.predictor(values), values)))
        assert log_density(point) == pytest.approx(by_hand, rel=1e-7)


def test_bambis_own_names_and_default_priors_are_kept() -> None:
    import bambi

    model = sf.Model(["y ~ x", "sigma ~ arm + (1 | gene)"], TABLE, priors="bambi")
    table = TABLE[["y", "x", "arm"]].assign(gene=pd.Categorical(TABLE["gene"].astype(object)))
    theirs = bambi.Model(bambi.Formula("y ~ x", "sigma ~ arm + (1 | gene)"), table)
    theirs.build()
    ours = to_bambi(model)
    assert set(ours.backend.model.named_vars) == set(theirs.backend.model.named_vars)
    for name, term in theirs.parameters["sigma"].terms.items():
        own_prior = ours.parameters["sigma"].terms[name].prior
        assert own_prior.name == term.prior.name
        # As text, since Bambi's hyperpriors do not compare equal; whether effects are centred is ours to choose.
        assert str(own_prior.args) == str(term.prior.args)


def test_genes_that_differ_clearly_in_spread_are_sampled_centred() -> None:
    rng = np.random.default_rng(1)
    gene = np.repeat([f"g{i}" for i in range(8)], 50)
    sd = np.repeat(np.exp(rng.normal(0, 1, 8)), 50)
    table = {"y": rng.normal(0, sd), "flat": rng.normal(0, 1, 400), "gene": gene}
    for response, expected in (("y", True), ("flat", False)):
        design = sf.Model([f"{response} ~ 1", "sigma ~ (1 | gene)"], table).design
        assert prefers_centred(design, design.predictors[1].groups[0]) is expected
