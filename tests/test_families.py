"""The families' densities against scipy's, and their simulations against the densities."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from speclet_formula.errors import DataError
from speclet_formula.families import FAMILIES, check_response, draw_response, inverse_link, log_density, resolve_family

RNG = np.random.default_rng(3)
PROBABILITY = RNG.uniform(0.05, 0.95, 200)
MEAN = RNG.uniform(0.2, 9.0, 200)
COUNT = RNG.poisson(MEAN).astype(float)
TRIALS = RNG.integers(1, 20, 200).astype(float)

DENSITIES: list[tuple[str, np.ndarray, np.ndarray, dict[str, Any], np.ndarray]] = [
    ("gaussian", MEAN - 1, MEAN, {"sigma": 0.7}, stats.norm.logpdf(MEAN - 1, MEAN, 0.7)),
    ("t", MEAN - 1, MEAN, {"sigma": 0.7, "nu": 3.5}, stats.t.logpdf(MEAN - 1, 3.5, MEAN, 0.7)),
    ("bernoulli", COUNT % 2, PROBABILITY, {}, stats.bernoulli.logpmf(COUNT % 2, PROBABILITY)),
    ("binomial", TRIALS // 2, PROBABILITY, {}, stats.binom.logpmf(TRIALS // 2, TRIALS, PROBABILITY)),
    ("poisson", COUNT, MEAN, {}, stats.poisson.logpmf(COUNT, MEAN)),
    ("negativebinomial", COUNT, MEAN, {"alpha": 2.5}, stats.nbinom.logpmf(COUNT, 2.5, 2.5 / (2.5 + MEAN))),
]


@pytest.mark.parametrize(("name", "y", "mean", "parameters", "wanted"), DENSITIES)
def test_log_density_is_scipys(
    name: str, y: np.ndarray, mean: np.ndarray, parameters: dict[str, Any], wanted: np.ndarray
) -> None:
    family = resolve_family(name)
    trials = TRIALS if name == "binomial" else None
    assert np.allclose(log_density(family, y, mean, parameters, trials=trials), wanted, rtol=1e-10)


def test_every_family_is_checked() -> None:
    assert {row[0] for row in DENSITIES} == set(FAMILIES)


def test_weights_divide_the_variance() -> None:
    family = resolve_family("gaussian")
    weighted = log_density(family, MEAN, MEAN - 1, {"sigma": 2.0}, weights=np.full(200, 4.0))
    assert np.allclose(weighted, stats.norm.logpdf(1.0, 0.0, 1.0))


@pytest.mark.parametrize(("name", "y", "mean", "parameters", "_wanted"), DENSITIES)
def test_draws_follow_the_density(
    name: str, y: np.ndarray, mean: np.ndarray, parameters: dict[str, Any], _wanted: np.ndarray
) -> None:
    """The mean log density of draws is the negative entropy; compare two independent estimates of it.

    Under the family itself the difference is normal with its standard error: beyond 4.5 SE in 7e-6 of seeds.
    """
    family, trials = resolve_family(name), np.full(20_000, 7.0)
    centre = np.full(20_000, 0.3 if mean is PROBABILITY else 2.5)
    ours = draw_response(family, np.random.default_rng(5), centre, parameters, trials=trials)
    scipys = {
        "gaussian": lambda r: stats.norm.rvs(centre, 0.7, random_state=r),
        "t": lambda r: stats.t.rvs(3.5, centre, 0.7, random_state=r),
        "bernoulli": lambda r: stats.bernoulli.rvs(centre, random_state=r),
        "binomial": lambda r: stats.binom.rvs(7, centre, random_state=r),
        "poisson": lambda r: stats.poisson.rvs(centre, random_state=r),
        "negativebinomial": lambda r: stats.nbinom.rvs(2.5, 2.5 / (2.5 + centre), random_state=r),
    }[name](np.random.default_rng(6))
    first, second = (log_density(family, draws, centre, parameters, trials=trials) for draws in (ours, scipys))
    error = np.hypot(first.std(), second.std()) / np.sqrt(20_000)
    assert abs(first.mean() - second.mean()) < 4.5 * error


@pytest.mark.parametrize(
    ("link", "inverse"),
    [
        ("identity", lambda eta: eta),
        ("log", np.exp),
        ("inverse", lambda eta: 1 / eta),
        ("logit", stats.logistic.cdf),
        ("probit", stats.norm.cdf),
        ("cloglog", stats.gumbel_l.cdf),
    ],
)
def test_links(link: str, inverse: Any) -> None:
    name = next(name for name, known in FAMILIES.items() if link in known.links)
    eta = np.array([-1.3, 0.4, 2.0])
    assert np.allclose(inverse_link(resolve_family(name, link), eta), inverse(eta))


def test_other_names_are_understood() -> None:
    assert resolve_family("Negative_Binomial").name == "negativebinomial"
    assert resolve_family("student").name == "t"


MESSAGES = [
    (
        lambda: resolve_family("gausian"),
        "there is no family 'gausian'.\n"
        "Families: gaussian, t, bernoulli, binomial, poisson, negativebinomial.\nNearest: gaussian.",
    ),
    (
        lambda: resolve_family("poisson", "logit"),
        "the family 'poisson' has no link 'logit'.\nIts links: log, identity.\nLeave link= out for its default, log.",
    ),
    (
        lambda: check_response(resolve_family("poisson"), np.array([1.0, -2.0]), "count", None),
        "'count' has 1 values that a poisson response cannot take, such as -2.\n"
        "A poisson response takes whole numbers from 0 on.\nChoose another family than 'poisson', or mend the column.",
    ),
    (
        lambda: check_response(resolve_family("binomial"), np.array([1.0, 2.0]), "hits", None),
        "'hits' does not fit the family 'binomial'.\n"
        "cbind(successes, failures) goes with family='binomial', and a binomial response is written that way.\n"
        "For single trials of 0 and 1 use family='bernoulli'.",
    ),
]


@pytest.mark.parametrize(("action", "message"), MESSAGES)
def test_messages(action: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        action()
    assert str(caught.value) == message
