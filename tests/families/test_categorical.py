"""Levels without an order: densities against scipy's and against sums over all responses, draws, compiled loops."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from speclet_formula.families import FAMILIES, Family, draw_response, expected_response, kernels, log_density
from speclet_formula.families.registry import check_response, is_of_levels

N, K = 40, 4
RNG = np.random.default_rng(8)
ETA = RNG.normal(0.0, 1.2, (K, N))
COUNTS = RNG.integers(0, 7, (N, K)).astype(float)
TRIALS = COUNTS.sum(axis=1)
PLACES = RNG.integers(0, K, N)
DRAWS = 20_000


def family_of(name: str) -> Family:
    """The family with the parameters of four levels."""
    known = FAMILIES[name]
    first, *others = known.per_level.parameters(list("pqrs"))
    return Family(name, known.links[0], first, tuple(others))


def predicted(name: str, eta: np.ndarray = ETA) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The parent and the other parameters of linear predictors (K, ...), of which a reference is left out."""
    eta = eta[1:] if FAMILIES[name].per_level.reference else np.exp(eta)
    return eta[0], dict(zip(family_of(name).parameters, eta[1:], strict=True))


def shares() -> np.ndarray:
    """Softmax of the linear predictors, (N, K), the first level's being 0."""
    whole = np.vstack([np.zeros(N), ETA[1:]])
    return special.softmax(whole, axis=0).T


def test_one_level_in_a_row_has_its_share() -> None:
    found = log_density(family_of("categorical"), PLACES, *predicted("categorical"))
    assert np.allclose(found, np.log(shares()[np.arange(N), PLACES]), rtol=1e-12)


def test_counts_of_levels_have_scipys_density() -> None:
    found = log_density(family_of("multinomial"), COUNTS, *predicted("multinomial"), trials=TRIALS)
    assert np.allclose(found, stats.multinomial.logpmf(COUNTS, TRIALS, shares()), rtol=1e-10)
    found = log_density(family_of("dirichlet_multinomial"), COUNTS, *predicted("dirichlet_multinomial"), trials=TRIALS)
    wanted = [
        stats.dirichlet_multinomial.logpmf(COUNTS[i].astype(int), np.exp(ETA[:, i]), int(TRIALS[i])) for i in range(N)
    ]
    assert np.allclose(found, wanted, rtol=1e-10)


@pytest.mark.parametrize("name", ["categorical", "multinomial", "dirichlet_multinomial"])
def test_a_density_adds_up_to_one_and_has_its_expectation(name: str) -> None:
    """Over every response of five trials, or of one."""
    trials = 1 if name == "categorical" else 5
    every = np.array([counts for counts in product(range(trials + 1), repeat=K) if sum(counts) == trials], float)
    first, others = predicted(name, ETA[:, :1])
    y = every.argmax(axis=1) if name == "categorical" else every
    logs = log_density(family_of(name), y, first, others, trials=np.full(len(every), trials))
    assert np.exp(logs).sum() == pytest.approx(1, abs=1e-10)
    expected = expected_response(family_of(name), first, others)
    assert expected.shape == (1, K)
    assert expected[0] == pytest.approx(np.exp(logs) @ every / trials, rel=1e-9)


@pytest.mark.parametrize("name", ["categorical", "multinomial", "dirichlet_multinomial"])
def test_draws_have_the_frequencies_of_the_density(name: str) -> None:
    """Pearson's chi-square over all responses of three trials, or of one, at a level of 1e-5."""
    trials = 1 if name == "categorical" else 3
    every = np.array([counts for counts in product(range(trials + 1), repeat=K) if sum(counts) == trials], float)
    first, others = predicted(name, 0.5 * ETA[:, :1])
    repeated = {key: np.repeat(value, DRAWS) for key, value in others.items()}
    counts = np.full(DRAWS, float(trials))
    drawn = draw_response(family_of(name), np.random.default_rng(5), np.repeat(first, DRAWS), repeated, trials=counts)
    y = every.argmax(axis=1) if name == "categorical" else every
    wanted = DRAWS * np.exp(log_density(family_of(name), y, first, others, trials=np.full(len(every), trials)))
    seen = [(drawn == level if name == "categorical" else (drawn == level).all(axis=1)).sum() for level in y]
    assert sum(seen) == DRAWS
    assert ((seen - wanted) ** 2 / wanted).sum() < stats.chi2.isf(1e-5, len(every) - 1)


@pytest.mark.parametrize("name", ["categorical", "multinomial", "dirichlet_multinomial"])
def test_draws_broadcast_over_draws_and_rows(name: str) -> None:
    first, others = predicted(name, np.stack([ETA, ETA + 0.1], axis=1))
    y = PLACES if name == "categorical" else COUNTS
    both = log_density(family_of(name), y, first, others, trials=TRIALS)
    alone = [
        log_density(family_of(name), y, first[i], {key: value[i] for key, value in others.items()}, trials=TRIALS)
        for i in range(2)
    ]
    assert np.allclose(both, alone)
    drawn = draw_response(family_of(name), np.random.default_rng(1), first, others, trials=TRIALS)
    assert drawn.shape == ((2, N) if name == "categorical" else (2, N, K))
    assert expected_response(family_of(name), first, others).shape == (2, N, K)


def test_an_impossibly_rare_level_has_a_finite_density() -> None:
    found = log_density(family_of("categorical"), np.array([0, 1]), *predicted("categorical", np.full((K, 2), 900.0)))
    assert found == pytest.approx([-900 - np.log(3), -np.log(3)])


def test_concentrations_that_are_nearly_nothing_still_draw() -> None:
    first, others = predicted("dirichlet_multinomial", np.full((K, 50), -800.0))
    drawn = draw_response(
        family_of("dirichlet_multinomial"), np.random.default_rng(2), first, others, trials=np.full(50, 4.0)
    )
    assert (drawn.sum(axis=1) == 4).all()


KERNELS: dict[str, Any] = {
    "categorical": lambda eta, out: kernels.categorical(eta, PLACES.astype(float), out),
    "multinomial": lambda eta, out: kernels.multinomial(eta, COUNTS.ravel(), TRIALS, out),
    "dirichlet_multinomial": lambda eta, out: kernels.dirichlet_multinomial(eta, COUNTS.ravel(), TRIALS, out),
}


@pytest.mark.parametrize("name", KERNELS)
def test_compiled_loops_have_the_derivatives_of_the_density(name: str) -> None:
    """By differences of 1e-4, whose own error is about 1e-8 of a slope and, of a bend, 1e-6."""
    reference = FAMILIES[name].per_level.reference
    eta = np.ascontiguousarray(ETA[1:] if reference else ETA)
    y, count, step = PLACES if name == "categorical" else COUNTS, len(eta), 1e-4

    def density(eta: np.ndarray) -> np.ndarray:
        whole = np.vstack([np.zeros((1, N)), eta]) if reference else eta
        return log_density(family_of(name), y, *predicted(name, whole), trials=TRIALS)

    out = np.empty((1 + 2 * count, N))
    KERNELS[name](eta, out)
    apart = density(eta) - out[0]
    other = np.empty_like(out)
    KERNELS[name](eta + 0.3, other)
    assert np.allclose(density(eta + 0.3) - other[0], apart, atol=1e-10)  # what no linear predictor changes
    for k in range(count):
        ahead, behind = eta.copy(), eta.copy()
        ahead[k], behind[k] = eta[k] + step, eta[k] - step
        assert np.allclose(out[1 + k], (density(ahead) - density(behind)) / (2 * step), rtol=1e-5, atol=1e-6)
        bend = (density(ahead) - 2 * density(eta) + density(behind)) / step**2
        assert np.allclose(out[1 + count + k], bend, rtol=1e-4, atol=1e-4)


def test_what_is_no_count_is_refused_and_levels_give_a_family_its_parameters() -> None:
    family = family_of("multinomial")
    assert (family.parent, family.parameters) == ("muq", ("mur", "mus"))
    assert family_of("dirichlet_multinomial").parent == "ap"
    assert is_of_levels(family)
    check_response(family, COUNTS, "cbind(p, q, r, s)", TRIALS)
