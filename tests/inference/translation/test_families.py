"""The PyMC model of every family against its own density of the raw table; a new family is covered by itself.

Nothing of the package's designs or priors is used on the right-hand side, nor any of Bambi's or PyMC's.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import speclet_formula as sf
from speclet_formula.families import FAMILIES
from speclet_formula.inference.translation.to_bambi import to_pymc

N = 40
RNG = np.random.default_rng(17)
TABLE = pd.DataFrame(
    {
        "x": RNG.normal(30.0, 0.3, N),  # far from 0: the intercept and thresholds have their priors at its mean
        "amount": RNG.gamma(3.0, 0.5, N),
        "share": RNG.beta(2.0, 2.0, N),
        "angle": RNG.uniform(-3.0, 3.0, N),
        "count": RNG.poisson(2.0, N),
        "n": RNG.integers(2, 9, N),
        "dead": RNG.integers(0, 2, N),
    }
)
TABLE["hits"] = RNG.binomial(TABLE["n"], 0.4)
TABLE["rate"] = TABLE["hits"] / TABLE["n"]
TABLE["sparse"] = np.where(RNG.random(N) < 0.4, 0.0, TABLE["amount"])
LEVELS = ["low", "middle", "high", "top"]
TABLE["grade"] = pd.Categorical([LEVELS[i % 4] for i in range(N)], categories=LEVELS, ordered=True)
GRADE = TABLE["grade"].cat.codes.to_numpy()
X = TABLE["x"].to_numpy()
AMOUNT, SPARSE, COUNT, HITS, TRIALS = (
    TABLE[name].to_numpy(dtype=float) for name in ("amount", "sparse", "count", "hits", "n")
)

INVERSE: dict[str, Callable[[Any], Any]] = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "inverse": lambda eta: 1 / eta,
    "inverse_squared": lambda eta: eta**-0.5,
    "logit": stats.logistic.cdf,
    "probit": stats.norm.cdf,
    "cloglog": stats.gumbel_l.cdf,
}
PRIORS = {
    "Intercept": sf.Prior("Normal", mu=0.7, sigma=0.2),
    "x": sf.Prior("Normal", mu=0, sigma=0.3),
    "psi": sf.Prior("Beta", alpha=2, beta=3),
    "threshold": sf.Prior("StudentT", nu=3, mu=[-1.0, 0.0, 0.5], sigma=2),
    **dict.fromkeys(("sigma", "nu", "alpha", "kappa", "lam", "b"), sf.Prior("Gamma", alpha=3, beta=2)),
}
PRIOR_DENSITY: dict[str, Callable[[Any], Any]] = {
    "Intercept": lambda v: stats.norm.logpdf(v, 0.7, 0.2),
    "x": lambda v: stats.norm.logpdf(v, 0, 0.3),
    "psi": lambda v: stats.beta.logpdf(v, 2, 3),
    "threshold_offset": lambda v: stats.t.logpdf(v, 3, [-1.0, 0.0, 0.5], 2).sum(),
    **dict.fromkeys(("sigma", "nu", "alpha", "kappa", "lam", "b"), lambda v: stats.gamma.logpdf(v, 3, scale=0.5)),
}


Values = dict[str, Any]
# The response that a family of each support takes, and its numbers.
RESPONSES: dict[str, tuple[str, np.ndarray]] = {
    "real": ("amount", AMOUNT),
    "positive": ("amount", AMOUNT),
    "angle": ("angle", TABLE["angle"].to_numpy()),
    "unit": ("share", TABLE["share"].to_numpy()),
    "binary": ("dead", TABLE["dead"].to_numpy()),
    "proportion": ("cbind(hits, n - hits)", HITS),
    "count": ("count", COUNT),
    "nonnegative": ("sparse", SPARSE),
}


def levels(family: str, link: str, eta: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """The log probability of each row's level."""
    share = INVERSE[link](cuts[None, :] - eta[:, None])
    if family == "cumulative":
        table = np.diff(np.column_stack([0 * eta, share, 1 + 0 * eta]), axis=1)
    else:
        table = np.column_stack([1 + 0 * eta, np.cumprod(1 - share, axis=1)]) * np.column_stack([share, 1 + 0 * eta])
    return np.log(table[np.arange(N), GRADE])


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
        elif name.endswith("_ordered__"):
            values[name[:-10]] = np.cumsum(np.concatenate([value[:1], np.exp(value[1:])]))
            jacobian += float(np.sum(value[1:]))
        else:
            values[name] = value
    return values, jacobian


def compiled(formula: str, family: str, link: str, **arguments: Any) -> tuple[Any, dict[str, np.ndarray]]:
    needed = {"x", *FAMILIES[family].parameters} | ({"Intercept"} if FAMILIES[family].support != "ordinal" else set())
    priors = {name: prior for name, prior in PRIORS.items() if name in needed}
    model = to_pymc(sf.Model(formula, TABLE, family=family, link=link, priors=priors, **arguments))
    return model.compile_logp(mode="FAST_COMPILE"), model.initial_point()


def check(formula: str, family: str, link: str, response: Callable[[Values], Any], **arguments: Any) -> None:
    log_density, start = compiled(formula, family, link, **arguments)
    rng = np.random.default_rng(11)
    for _ in range(3):
        point = {key: np.asarray(rng.normal(0.0, 0.15, np.shape(value))) for key, value in start.items()}
        if "Intercept" in point:
            point["Intercept"] = np.asarray(0.6)  # a mean that every link takes: 0.6, 1.8, 1.7, ...
        values, jacobian = constrained(point)
        by_hand = sum(float(np.sum(PRIOR_DENSITY[name](value))) for name, value in values.items()) + jacobian
        by_hand += float(np.sum(response(values)))
        assert np.isfinite(by_hand)
        assert log_density(point) == pytest.approx(by_hand, rel=1e-7)


def eta_of(v: Values) -> np.ndarray:
    return v["Intercept"] + v["x"] * (X - X.mean())


# Each family with its own link, and each link that Bambi computes once more where it is nobody's own.
OTHER_LINKS = [
    ("gamma", "log"),
    ("wald", "inverse"),
    ("bernoulli", "probit"),
    ("beta", "cloglog"),
    ("binomial", "identity"),
]


OWN_LINKS = [(name, known.links[0]) for name, known in FAMILIES.items() if not known.has_levels]


@pytest.mark.parametrize(("family", "link"), [*OWN_LINKS, *OTHER_LINKS])
@pytest.mark.mostly_slow(every=5)
def test_the_log_density_is_the_familys_own(family: str, link: str) -> None:
    """Which shares no code with PyMC's, and is scipy's in tests/families."""
    written, y = RESPONSES[FAMILIES[family].support]
    density = FAMILIES[family].log_density
    check(f"{written} ~ x", family, link, lambda v: density(y, INVERSE[link](eta_of(v)), v, TRIALS))


@pytest.mark.parametrize(
    ("family", "link"),
    [("cumulative", "logit"), ("cumulative", "probit"), ("sratio", "logit"), ("sratio", "cloglog")],
)
@pytest.mark.mostly_slow("cumulative-logit")
def test_thresholds_have_their_prior_at_the_predictors_means(family: str, link: str) -> None:
    check(
        "grade ~ x",
        family,
        link,
        lambda v: levels(family, link, v["x"] * (X - X.mean()), v["threshold_offset"]),
    )


@pytest.mark.parametrize("family", ["cumulative", "sratio"])
def test_thresholds_are_those_of_the_predictors_as_they_are(family: str) -> None:
    model = to_pymc(sf.Model("grade ~ x", TABLE, family=family, priors={"x": PRIORS["x"]}))
    (graph,) = model.replace_rvs_by_values([model["threshold"]])
    threshold = model.compile_fn(graph, inputs=model.value_vars, mode="FAST_COMPILE")
    start = model.initial_point()
    start["x"] = np.asarray(0.4)
    ours = constrained(start)[0]["threshold_offset"] + 0.4 * X.mean()
    assert np.allclose(threshold(start), ours)


def test_a_proportion_with_weights_is_the_binomial_of_its_counts() -> None:
    check(
        "rate ~ x",
        "binomial",
        "logit",
        lambda v: stats.binom.logpmf(HITS, TRIALS, special.expit(eta_of(v))),
        weights="n",
    )


def test_zeros_and_ones_are_single_trials() -> None:
    check("dead ~ x", "binomial", "logit", lambda v: stats.bernoulli.logpmf(TABLE["dead"], special.expit(eta_of(v))))
