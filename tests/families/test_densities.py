"""Every family's density against scipy's, and the frequencies of what it draws."""

from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from speclet_formula.families import (
    FAMILIES,
    draw_response,
    expected_response,
    inverse_link,
    log_density,
    resolve_family,
)

N = 200
RNG = np.random.default_rng(3)
PROBABILITY = RNG.uniform(0.05, 0.95, N)
MEAN = RNG.uniform(0.2, 9.0, N)
COUNT = RNG.poisson(MEAN).astype(float)
TRIALS = RNG.integers(1, 20, N).astype(float)
SUCCESSES = TRIALS // 2
AMOUNT = RNG.gamma(2.0, MEAN / 2.0)
SPARSE = np.where(COUNT % 3 == 0, 0.0, AMOUNT)
SHARE = RNG.beta(2.0, 2.0, N)
ANGLE = RNG.uniform(-3.1, 3.1, N)
LEVEL = RNG.integers(0, 4, N)
CUTS = np.array([-1.0, 0.2, 1.5])

PARAMETERS: dict[str, dict[str, Any]] = {
    "gaussian": {"sigma": 0.7},
    "t": {"sigma": 0.7, "nu": 3.5},
    "laplace": {"b": 1.7},
    "asymmetriclaplace": {"b": 1.7, "kappa": 0.6},
    "exgaussian": {"sigma": 0.7, "nu": 1.2},
    "vonmises": {"kappa": 2.5},
    "gamma": {"alpha": 2.2},
    "exponential": {},
    "wald": {"lam": 3.3},
    "lognormal": {"sigma": 0.6},
    "weibull": {"alpha": 1.7},
    "beta": {"kappa": 6.0},
    "bernoulli": {},
    "binomial": {},
    "beta_binomial": {"kappa": 4.0},
    "zero_inflated_binomial": {"psi": 0.6},
    "poisson": {},
    "negativebinomial": {"alpha": 2.5},
    "zero_inflated_poisson": {"psi": 0.6},
    "zero_inflated_negativebinomial": {"alpha": 2.5, "psi": 0.6},
    "hurdle_poisson": {"psi": 0.6},
    "hurdle_negativebinomial": {"alpha": 2.5, "psi": 0.6},
    "hurdle_gamma": {"alpha": 2.2, "psi": 0.6},
    "hurdle_lognormal": {"sigma": 0.6, "psi": 0.6},
    "cumulative": {"threshold": CUTS},
    "sratio": {"threshold": CUTS},
}


def scipys(name: str, mean: Any, trials: Any = TRIALS) -> Any:
    """Scipy's distribution of a family with the parameters above, without extra zeros."""
    p = PARAMETERS[name]
    plain = name.removeprefix("zero_inflated_").removeprefix("hurdle_")
    return {
        "gaussian": lambda: stats.norm(mean, p["sigma"]),
        "t": lambda: stats.t(p["nu"], mean, p["sigma"]),
        "laplace": lambda: stats.laplace(mean, p["b"]),
        "exgaussian": lambda: stats.exponnorm(p["nu"] / p["sigma"], mean, p["sigma"]),
        "asymmetriclaplace": lambda: stats.laplace_asymmetric(p["kappa"], mean, 1 / p["b"]),
        "vonmises": lambda: stats.vonmises(p["kappa"], mean),
        "gamma": lambda: stats.gamma(p["alpha"], scale=mean / p["alpha"]),
        "exponential": lambda: stats.expon(scale=mean),
        "wald": lambda: stats.invgauss(mean / p["lam"], scale=p["lam"]),
        "lognormal": lambda: stats.lognorm(p["sigma"], scale=np.exp(mean)),
        "weibull": lambda: stats.weibull_min(p["alpha"], scale=mean / stats.weibull_min(p["alpha"]).mean()),
        "beta": lambda: stats.beta(mean * p["kappa"], (1 - mean) * p["kappa"]),
        "bernoulli": lambda: stats.bernoulli(mean),
        "binomial": lambda: stats.binom(trials.astype(int), mean),
        "beta_binomial": lambda: stats.betabinom(trials.astype(int), mean * p["kappa"], (1 - mean) * p["kappa"]),
        "poisson": lambda: stats.poisson(mean),
        "negativebinomial": lambda: stats.nbinom(p["alpha"], p["alpha"] / (p["alpha"] + mean)),
    }[plain]()


def by_scipy(name: str, y: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The log density of a family, its extra zeros written out."""
    known = scipys(name, mean)
    log = known.logpdf if hasattr(known.dist, "logpdf") else known.logpmf
    psi = PARAMETERS[name].get("psi", 1.0)
    if name.startswith("zero_inflated"):
        return np.log((y == 0) * (1 - psi) + psi * known.pmf(y))
    if name in ("hurdle_poisson", "hurdle_negativebinomial"):
        return np.where(y == 0, np.log(1 - psi), np.log(psi) + log(y) - np.log(1 - known.pmf(0)))
    if name.startswith("hurdle"):
        return np.where(y == 0, np.log(1 - psi), np.log(psi) + log(np.where(y == 0, 1.0, y)))
    return log(y)


RESPONSE = {
    "real": AMOUNT - 1,
    "angle": ANGLE,
    "positive": AMOUNT,
    "unit": SHARE,
    "nonnegative": SPARSE,
    "binary": COUNT % 2,
    "proportion": SUCCESSES,
    "count": COUNT,
}
WITHOUT_LEVELS = [name for name in FAMILIES if not FAMILIES[name].has_levels]
SHARES = ("beta", "bernoulli", "binomial", "beta_binomial", "zero_inflated_binomial")


def means(name: str) -> np.ndarray:
    return PROBABILITY if name in SHARES else MEAN / 3 if "lognormal" in name else MEAN


def test_every_family_is_checked() -> None:
    single = [name for name in FAMILIES if FAMILIES[name].per_level is None]  # others are in test_categorical
    assert list(PARAMETERS) == single
    assert all(tuple(PARAMETERS[name]) == FAMILIES[name].parameters for name in single)


@pytest.mark.parametrize("name", WITHOUT_LEVELS)
def test_log_density_is_scipys(name: str) -> None:
    y, mean = RESPONSE[FAMILIES[name].support], means(name)
    found = log_density(resolve_family(name), y, mean, PARAMETERS[name], trials=TRIALS)
    assert np.allclose(found, by_scipy(name, y, mean), rtol=1e-9)


DISTRIBUTION = {"logit": stats.logistic, "probit": stats.norm, "cloglog": stats.gumbel_l}


def level_probabilities(name: str, link: str, location: np.ndarray) -> np.ndarray:
    """The probability of each level, (n, K), from scipy's distribution functions."""
    share = DISTRIBUTION[link].cdf(CUTS[None, :] - location[:, None])
    if name == "cumulative":
        return np.diff(np.column_stack([0 * location, share, 1 + 0 * location]), axis=1)
    stays = np.column_stack([1 + 0 * location, np.cumprod(1 - share, axis=1)])
    return stays * np.column_stack([share, 1 + 0 * location])


@pytest.mark.parametrize("link", DISTRIBUTION)
@pytest.mark.parametrize("name", ["cumulative", "sratio"])
def test_levels_have_the_probabilities_of_their_definition(name: str, link: str) -> None:
    family, location = resolve_family(name, link), MEAN / 4 - 1
    wanted = level_probabilities(name, link, location)
    assert np.allclose(expected_response(family, location, PARAMETERS[name]), wanted, rtol=1e-10)
    found = log_density(family, LEVEL, location, PARAMETERS[name])
    assert np.allclose(found, np.log(wanted[np.arange(N), LEVEL]), rtol=1e-10)


@pytest.mark.parametrize("link", DISTRIBUTION)
@pytest.mark.parametrize("name", ["cumulative", "sratio"])
def test_thresholds_differ_from_draw_to_draw(name: str, link: str) -> None:
    family = resolve_family(name, link)
    cuts = CUTS + np.array([[0.0], [0.3], [-1.0]])
    locations = np.array([[0.1], [0.5], [-0.4]]) * MEAN[None, :]
    found = log_density(family, LEVEL, locations, {"threshold": cuts})
    alone = [log_density(family, LEVEL, locations[i], {"threshold": cuts[i]}) for i in range(3)]
    assert found.shape == (3, N)
    assert np.allclose(found, alone)
    shares = expected_response(family, locations, {"threshold": cuts})
    assert shares.shape == (3, N, 4)
    assert np.allclose(shares.sum(axis=-1), 1.0)


@pytest.mark.parametrize("link", DISTRIBUTION)
def test_far_from_all_thresholds_the_density_keeps_its_digits(link: str) -> None:
    """F(b) - F(a) far in a tail, from the density's integral there."""
    family = resolve_family("cumulative", link)
    for location in (-4.0, 25.0) if link != "cloglog" else (-1.5, 25.0):
        between, _ = integrate.quad(DISTRIBUTION[link].pdf, *(CUTS[:2] - location), epsabs=0.0, epsrel=1e-11)
        found = log_density(family, np.array([1]), np.array([location]), {"threshold": CUTS})
        assert found[0] == pytest.approx(np.log(between), rel=1e-8)


def test_weights_divide_the_variance() -> None:
    family = resolve_family("gaussian")
    weighted = log_density(family, MEAN, MEAN - 1, {"sigma": 2.0}, weights=np.full(200, 4.0))
    assert np.allclose(weighted, stats.norm.logpdf(1.0, 0.0, 1.0))


DRAWS = 20_000


@pytest.mark.parametrize("name", ["poisson", "negativebinomial"])
@pytest.mark.parametrize("kind", ["", "zero_inflated_", "hurdle_"])
def test_draws_of_counts_have_the_frequencies_of_the_density(name: str, kind: str) -> None:
    """Pearson's chi-square over 0, 1, ..., 7 and more, at a level of 1e-5."""
    family, p = resolve_family(kind + name), PARAMETERS[kind + name]
    drawn = draw_response(family, np.random.default_rng(9), np.full(DRAWS, 2.5), p)
    seen = np.bincount(np.minimum(drawn, 8).astype(int), minlength=9)
    shares = np.exp(log_density(family, np.arange(8.0), np.full(8, 2.5), p))
    wanted = DRAWS * np.append(shares, 1 - shares.sum())
    assert ((seen - wanted) ** 2 / wanted).sum() < stats.chi2.isf(1e-5, 8)


def test_draws_of_angles_have_scipys_distribution() -> None:
    """The Kolmogorov-Smirnov test at a level of 1e-5."""
    family, p = resolve_family("vonmises"), PARAMETERS["vonmises"]
    drawn = draw_response(family, np.random.default_rng(2), np.full(DRAWS, 0.5), p)
    known = stats.vonmises(p["kappa"], 0.5)
    assert np.abs(drawn).max() <= np.pi
    # From -pi on: scipy's function is measured from the mean.
    assert stats.kstest(drawn, lambda y: known.cdf(y) - known.cdf(-np.pi)).pvalue > 1e-5


def test_draws_above_a_hurdle_are_never_zero_however_small_the_mean() -> None:
    rng, mean = np.random.default_rng(1), np.array([[1e-8, 1e-3], [0.5, 400.0]])
    for name in ("hurdle_poisson", "hurdle_negativebinomial", "hurdle_gamma", "hurdle_lognormal"):
        drawn = draw_response(resolve_family(name), rng, mean, {**PARAMETERS[name], "psi": 1.0})
        assert drawn.shape == mean.shape
        assert (drawn > 0).all()


@pytest.mark.parametrize("link", DISTRIBUTION)
@pytest.mark.parametrize("name", ["cumulative", "sratio"])
def test_draws_of_levels_have_their_frequencies(name: str, link: str) -> None:
    """Pearson's chi-square over four levels, at a level of 1e-5."""
    location = np.full(DRAWS, 0.4)
    drawn = draw_response(resolve_family(name, link), np.random.default_rng(4), location, PARAMETERS[name])
    seen = np.bincount(drawn.astype(int), minlength=4)
    wanted = DRAWS * level_probabilities(name, link, location[:1])[0]
    assert ((seen - wanted) ** 2 / wanted).sum() < stats.chi2.isf(1e-5, 3)


@pytest.mark.parametrize(
    ("link", "inverse"),
    [
        ("identity", lambda eta: eta),
        ("log", np.exp),
        ("inverse", lambda eta: 1 / eta),
        ("inverse_squared", lambda eta: eta**-0.5),
        ("logit", stats.logistic.cdf),
        ("probit", stats.norm.cdf),
        ("cloglog", stats.gumbel_l.cdf),
    ],
)
def test_links(link: str, inverse: Any) -> None:
    name = next(name for name, known in FAMILIES.items() if link in known.links)
    eta = np.array([1.3, 0.4, 2.0])
    assert np.allclose(inverse_link(resolve_family(name, link), eta), inverse(eta))


def test_the_location_of_ordered_levels_is_the_linear_predictor() -> None:
    eta = np.array([-1.3, 0.4])
    assert inverse_link(resolve_family("cumulative", "cloglog"), eta) is eta
