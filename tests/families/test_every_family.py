"""What a family's file says, held against its own density by integrals and sums: a new family is covered by itself."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from speclet_formula.families import (
    FAMILIES,
    check_response,
    draw_response,
    expected_response,
    inverse_link,
    log_density,
    resolve_family,
)
from speclet_formula.families.links import MEANS

TRIALS, LEVELS, DRAWS = 7, 4, 20_000
CUTS = np.array([-1.0, 0.2, 1.5])
SINGLE = [name for name, known in FAMILIES.items() if known.per_level is None]  # others are in test_categorical
WITH_MEAN = [name for name in SINGLE if not FAMILIES[name].is_ordinal and FAMILIES[name].support != "angle"]


def parameters_of(name: str) -> dict[str, Any]:
    """A value for each parameter: a share, thresholds, or a positive number at which four moments exist."""
    values = {"logit": 0.6, "log": 2.2, None: CUTS}
    return {
        parameter.name: values[parameter.link] + (3.5 * place if parameter.link == "log" else 0)
        for place, parameter in enumerate(FAMILIES[name].own_parameters)
    }


def centre_of(name: str) -> float:
    """A mean that the family and all of its links take."""
    return 0.3 if "logit" in FAMILIES[name].links else 0.4 if FAMILIES[name].is_unbounded else 2.5


def density_of(name: str, centre: float | None = None) -> Callable[[Any], Any]:
    """The density of one observation, or the probability of a whole number."""
    mean = np.array([centre_of(name) if centre is None else centre])

    def density(y: Any) -> Any:
        return np.exp(
            log_density(resolve_family(name), np.atleast_1d(y), mean, parameters_of(name), trials=np.array([TRIALS]))
        )

    return density


def expectation_of(name: str, function: Callable[[Any], Any]) -> float:
    """E[function(y)] by a sum over whole numbers, by an integral elsewhere; zeros beside positive numbers are added."""
    support, density = FAMILIES[name].support, density_of(name)
    whole = {"binary": 2, "proportion": TRIALS + 1, "ordinal": LEVELS, "count": 2000}.get(support)
    if whole is not None:
        y = np.arange(float(whole))
        return float(np.sum(function(y) * density(y)))
    bounds = {"real": (-np.inf, np.inf), "unit": (0, 1), "angle": (-np.pi, np.pi)}.get(support, (0, np.inf))
    pieces = [bounds[0], 0.4, bounds[1]]  # 0.4 is where a real density may have its peak
    total = sum(
        integrate.quad(lambda y: float(function(y) * density(y)[0]), low, high, epsabs=1e-11, epsrel=1e-9, limit=200)[0]
        for low, high in pairwise(pieces)
    )
    at_zero = float(function(0.0) * density(0.0)[0]) if support == "nonnegative" else 0.0
    return total + at_zero


@pytest.mark.parametrize("name", SINGLE)
def test_a_density_adds_up_to_one(name: str) -> None:
    assert expectation_of(name, np.ones_like) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("name", WITH_MEAN)
def test_an_expectation_and_a_variance_are_the_densitys(name: str) -> None:
    known, own, mean = FAMILIES[name], parameters_of(name), np.array([centre_of(name)])
    trials = TRIALS if known.support == "proportion" else 1
    expected = expected_response(resolve_family(name), mean, own)[0] * trials
    assert expected == pytest.approx(expectation_of(name, lambda y: y), rel=1e-6)
    if known.variance is not None:
        square = expectation_of(name, lambda y: (y - expected) ** 2) / trials**2
        assert known.variance(mean, own, np.array([TRIALS]))[0] == pytest.approx(square, rel=1e-6)


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.mostly_slow(every=2)
def test_draws_have_the_densitys_distribution(name: str) -> None:
    """Means of two bounded functions of 20,000 draws: beyond 5 standard errors in 6e-7 of seeds each."""
    family, mean = resolve_family(name), np.full(DRAWS, centre_of(name))
    drawn = draw_response(
        family, np.random.default_rng(8), mean, parameters_of(name), trials=np.full(DRAWS, float(TRIALS))
    )
    check_response(family, drawn, "y", np.ones(DRAWS) if FAMILIES[name].support == "proportion" else None)
    for function in (lambda y: np.tanh(y / 2), lambda y: np.exp(-((y - 1) ** 2))):
        values = function(drawn)
        assert abs(values.mean() - expectation_of(name, function)) < 5 * values.std() / np.sqrt(DRAWS)


@pytest.mark.parametrize("name", [name for name, known in FAMILIES.items() if known.is_ordinal])
def test_levels_have_the_probabilities_of_their_density(name: str) -> None:
    found = expected_response(resolve_family(name), np.array([centre_of(name)]), parameters_of(name))[0]
    assert found == pytest.approx(density_of(name)(np.arange(LEVELS)), rel=1e-10)


@pytest.mark.parametrize("name", [name for name, known in FAMILIES.items() if known.tails])
def test_tails_are_integrals_of_the_density(name: str) -> None:
    known, mean = FAMILIES[name], np.array([centre_of(name)])
    for y in (-1.0, 0.0, 1.0, 4.0):
        below = expectation_of_step(name, lambda value, y=y: value <= y, y)
        above = expectation_of_step(name, lambda value, y=y: value >= y, y)
        with np.errstate(divide="ignore"):
            assert np.exp(known.tails.at_most(np.array([y]), mean, parameters_of(name)))[0] == pytest.approx(below)
            assert np.exp(known.tails.at_least(np.array([y]), mean, parameters_of(name)))[0] == pytest.approx(above)


def expectation_of_step(name: str, inside: Callable[[Any], Any], edge: float) -> float:
    """The probability of a half line that ends at an edge."""
    if FAMILIES[name].tails.step:
        return expectation_of(name, inside)
    density = density_of(name)
    ends = (-np.inf, edge) if inside(edge - 1) else (edge, np.inf)
    return integrate.quad(lambda y: float(density(y)[0]), *ends, epsabs=1e-11)[0]


@pytest.mark.parametrize("name", [name for name, known in FAMILIES.items() if known.deviance])
def test_a_deviance_is_what_the_density_falls_short_of_its_largest(name: str) -> None:
    """Up to one factor for all observations, which is the dispersion that R's deviances do not know."""
    known, family, own = FAMILIES[name], resolve_family(name), parameters_of(name)
    trials = np.array([float(TRIALS)])
    seen = {"binary": [0.0, 1.0], "count": [0.0, 1.0, 3.0, 9.0], "proportion": [0.0, 2.0, 6.0, 7.0]}
    y = np.array(seen.get(known.support, [0.2, 0.9, 1.7, 5.0]))
    share = y / TRIALS if known.support == "proportion" else y
    mean = np.full(len(y), 0.45 if "logit" in known.links else 1.3)
    largest, there = (log_density(family, y, at, own, trials=trials) for at in (share, mean))
    factors = 2 * (largest - there) / known.deviance(share, mean, own)
    assert factors == pytest.approx(np.full(len(y), factors[0]), rel=1e-9)
    if not known.own_parameters:
        assert factors[0] == pytest.approx({"proportion": TRIALS}.get(known.support, 1))


LATENT = [(name, link) for name, known in FAMILIES.items() for link in known.latent_variances]


@pytest.mark.parametrize(("name", "link"), LATENT)
def test_a_latent_variance_is_that_of_what_the_link_stands_for(name: str, link: str) -> None:
    """Of a distribution function's inverse that distribution's; of a logarithm, Nakagawa's log(1 + Var / mean^2)."""
    known, own, location = FAMILIES[name], parameters_of(name), np.array([-0.4, 0.9])
    found = known.latent_variances[link](location, own)
    standard = {"logit": stats.logistic, "probit": stats.norm, "cloglog": stats.gumbel_l}
    if link in standard:
        wanted = np.full(2, standard[link].var())
    elif link == "identity":
        wanted = own["sigma"] ** 2
    else:
        mean = inverse_link(resolve_family(name, link), location)
        wanted = np.log1p(known.variance(mean, own, None) / mean**2)
    assert np.allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("name", FAMILIES)
def test_names_and_links_hang_together(name: str) -> None:
    known = FAMILIES[name]
    assert set(known.spelling.arguments) <= {"n", known.parent, *known.parameters}
    assert known.spelling.brms or known.support == "levels"
    assert {*known.curves, *known.latent_variances, *known.spelling.brms_lacks} <= set(known.links)
    assert set(known.curves) <= set(MEANS)
    assert [resolve_family(alias).name for alias in known.aliases] == [name] * len(known.aliases)
    assert all(other in FAMILIES for other in (known.logarithm_of, known.limit, known.single_trials) if other)


def test_no_two_families_share_a_name() -> None:
    names = [name for known in FAMILIES.values() for name in (known.name.replace("_", ""), *known.aliases)]
    assert len(names) == len(set(names))


def test_at_an_infinite_parameter_a_family_is_its_limit() -> None:
    """As Laplace's approximation estimates it: a beta-binomial draws as a binomial, and NB deviances are Poisson's."""
    mean, trials = np.full(4000, 0.3), np.full(4000, 10)
    known = FAMILIES["beta_binomial"]
    drawn = known.simulate(np.random.default_rng(1), mean, {"kappa": np.array([[np.inf]])}, trials)
    assert drawn.shape == (1, 4000)
    # Var / (n p (1 - p)) of 4,000 draws has an SD of 0.022; the false alarm is below 1e-5.
    assert drawn.var() / 2.1 == pytest.approx(1, abs=0.1)
    assert drawn.mean() == pytest.approx(3, abs=0.1)
    y, mu = np.array([0.0, 3.0, 9.0]), np.array([2.0, 2.5, 4.0])
    negative, poisson = FAMILIES["negativebinomial"].deviance, FAMILIES["poisson"].deviance
    assert negative is not None
    assert poisson is not None
    np.testing.assert_allclose(negative(y, mu, {"alpha": np.array([np.inf])}), poisson(y, mu, {}), rtol=1e-9)
