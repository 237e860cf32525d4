"""Families with extra zeros, made from those without: zero-inflated ones and hurdles.

psi is the share of rows that come from the distribution proper, as in Bambi and PyMC (brms' zi and hu are 1 - psi). A
zero-inflated distribution adds zeros to those that the distribution has itself; a hurdle takes those away.
"""

from typing import Any

import numpy as np

from speclet_formula.families.records import Density, Expectation, Parameters, Simulation


def inflated(density: Density) -> Density:
    """Return the density of a count with zeros added."""

    def log_density(y: np.ndarray, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
        proper = np.log(p["psi"]) + density(y, mean, p, trials)
        return np.where(y == 0, np.logaddexp(np.log1p(-p["psi"]), proper), proper)

    return log_density


def draw_inflated(simulate: Simulation) -> Simulation:
    """Return the simulation of a response with zeros added; for a hurdle, of one that is never 0."""

    def draw(rng: np.random.Generator, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
        return np.where(rng.random(np.shape(mean)) < p["psi"], simulate(rng, mean, p, trials), 0)

    return draw


def mean_of_inflated(mean: np.ndarray, p: Parameters) -> Any:
    """Return psi times the mean."""
    return p["psi"] * mean


def hurdle(density: Density) -> Density:
    """Return the density of positive numbers with zeros beside them."""

    def log_density(y: np.ndarray, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
        positive = density(np.where(y == 0, 1.0, y), mean, p, trials)
        return np.where(y == 0, np.log1p(-p["psi"]), np.log(p["psi"]) + positive)

    return log_density


def truncated(density: Density) -> Density:
    """Return the density of a count that is never 0."""

    def log_density(y: np.ndarray, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
        return density(y, mean, p, trials) - np.log(-np.expm1(density(np.zeros(1), mean, p, trials)))

    return log_density


def draw_truncated_poisson(rng: np.random.Generator, mean: np.ndarray, _p: Parameters, _trials: Any) -> Any:
    """Draw counts above 0: the first of a Poisson process's points, given that there is one, and those after it."""
    first = -np.log1p(rng.random(np.shape(mean)) * np.expm1(-mean))
    return 1 + rng.poisson(np.maximum(mean - first, 0.0))


def draw_truncated_negative_binomial(rng: np.random.Generator, mean: np.ndarray, p: Parameters, trials: Any) -> Any:
    """Draw counts above 0: a Poisson number of clusters, at least one, each of a logarithmic size."""
    mean = np.asarray(mean, dtype=float)
    alpha = np.broadcast_to(p["alpha"], mean.shape)
    clusters = np.ravel(draw_truncated_poisson(rng, alpha * np.log1p(mean / alpha), p, trials))
    sizes = rng.logseries(np.repeat(np.ravel(mean / (alpha + mean)), clusters))
    starts = np.concatenate([[0], np.cumsum(clusters)[:-1]])
    return np.add.reduceat(sizes, starts).reshape(mean.shape)


def mean_of_hurdle(density: Density) -> Expectation:
    """Return E[y] of a count's hurdle: psi times the mean of the counts above 0."""
    return lambda mean, p: p["psi"] * mean / -np.expm1(density(np.zeros(1), mean, p, None))
