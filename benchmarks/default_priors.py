"""Coverage of few levels under default priors: levels that scatter by a known SD, and intervals by brute force.

y = mu + u_level + e with ten rows in each level, mu = 0, a residual SD of 1 and a true SD of the levels. Of each data
set the posterior is summed on a grid of both SDs, mu being integrated by its normal distribution given them (a Student
prior of mu is a mixture of normals). Prints, for every number of levels and true SD, how often the 90 % interval of the
SD and that of the intercept hold the truth, and the median width of the former in true SDs; writes them to
benchmarks/results/default_priors.json. Nothing of the package is used: its test asks the exact engine for some of the
intervals.

    python benchmarks/default_priors.py [data sets for each cell]
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

LEVELS, TRUE_SDS, ROWS = (3, 5, 10), (0.2, 0.5, 1.0, 3.0, 10.0), 10
TAUS = np.geomspace(1e-4, 300, 161)
RESIDUALS = np.linspace(-4.5, 4.5, 25)  # of log sigma around its estimate, in standard errors
MASS = 0.9
AT_ONCE = 100  # data sets

Array = np.ndarray


@dataclass(frozen=True)
class Candidate:
    """A default prior of the SD of levels and of the intercept."""

    name: str
    spread: Callable[[Array, Array], Array]  # scale of the SD's prior, from the response's SD and MAD
    density: Callable[[Array], Array]  # of the SD over that scale
    wide: float  # the SD of the intercept's prior over sd y; of brms' 0: the SD's own scale, Student's t


def _half_t(degrees: float) -> Callable[[Array], Array]:
    return lambda value: stats.t.pdf(value, degrees)


CANDIDATES = (
    Candidate("HalfNormal(SD y), 2.5", lambda sd, _: sd, stats.norm.pdf, 2.5),
    Candidate("Bambi: HalfNormal(2.5 SD y), 2.5", lambda sd, _: 2.5 * sd, stats.norm.pdf, 2.5),
    Candidate("brms: HalfStudentT(3, MAD y)", lambda _, mad: np.maximum(2.5, mad), _half_t(3), 0.0),
    Candidate("HalfStudentT(3, 2.5 SD y), 10", lambda sd, _: 2.5 * sd, _half_t(3), 10.0),
    Candidate("HalfCauchy(SD y), 10", lambda sd, _: sd, _half_t(1), 10.0),
    Candidate("HalfCauchy(2 SD y), 10", lambda sd, _: 2 * sd, _half_t(1), 10.0),
    Candidate("HalfStudentT(0.5, 1.2 SD y), 10", lambda sd, _: 1.2 * sd, _half_t(0.5), 10.0),
)
SHOWN = tuple(CANDIDATES[place].name for place in (0, 1, 2, 4, 5, 6))  # in the table; the file has all


@dataclass(frozen=True)
class DataSets:
    """N data sets, by what their likelihood needs."""

    levels: int
    mean: Array
    within: Array  # sums of squares
    between: Array
    sd: Array  # of the response
    median: Array
    mad: Array


def draw_responses(levels: int, true_sd: float, count: int, seed: int) -> Array:
    """Return responses, (count, levels, ROWS)."""
    rng = np.random.default_rng([seed, levels, round(10 * true_sd)])
    return rng.normal(0, true_sd, (count, levels, 1)) + rng.normal(0, 1, (count, levels, ROWS))


def measure(responses: Array) -> DataSets:
    """Reduce responses to their moments."""
    means = responses.mean(axis=2)
    flat = responses.reshape(len(responses), -1)
    median = np.median(flat, axis=1)
    return DataSets(
        responses.shape[1],
        flat.mean(axis=1),
        ((responses - means[..., None]) ** 2).sum(axis=(1, 2)),
        ROWS * ((means - means.mean(axis=1, keepdims=True)) ** 2).sum(axis=1),
        flat.std(axis=1, ddof=1),
        median,
        1.4826 * np.median(np.abs(flat - median[:, None]), axis=1),
    )


def judge(data: DataSets, candidate: Candidate, true_sd: float) -> dict[str, float]:
    """Return how often intervals hold the truth, the SD's median width, and its mean probability below the truth."""
    on_tau, on_mean = _integrate(data, candidate)
    spread = candidate.spread(data.sd, data.mad)[:, None]
    weights = candidate.density(TAUS / spread) * TAUS
    density = weights * on_tau
    total = density.sum(axis=1, keepdims=True)
    cumulative = (np.cumsum(density, axis=1) - density / 2) / total
    tail, logs = (1 - MASS) / 2, np.log(TAUS)
    below = np.array([np.interp(np.log(true_sd), logs, row) for row in cumulative])
    ends = np.exp([np.interp([tail, 1 - tail], row, logs) for row in cumulative])
    of_mean = (weights * on_mean).sum(axis=1) / total[:, 0]
    return {
        "sd": float(np.mean(np.abs(below - 0.5) < MASS / 2)),
        "intercept": float(np.mean(np.abs(of_mean - 0.5) < MASS / 2)),
        "width": float(np.median(ends[:, 1] - ends[:, 0]) / true_sd),
        "below": float(np.mean(below)),
    }


def _integrate(data: DataSets, candidate: Candidate) -> tuple[Array, Array]:
    """Return the likelihood of each tau, (N, taus), and the same times the probability of mu < 0, sigma integrated."""
    n, k = data.levels * ROWS, data.levels
    sigma = np.sqrt(data.within / (n - k))[:, None] * np.exp(RESIDUALS / np.sqrt(2 * (n - k)))
    noise, variance = (sigma**2)[:, None, :], (sigma**2)[:, None, :] + ROWS * (TAUS**2)[:, None]
    log_density = -(n - k) / 2 * np.log(noise) - _at(data.within) / (2 * noise)
    log_density = log_density - (k - 1) / 2 * np.log(variance) - _at(data.between) / (2 * variance)
    log_density += (stats.t.logpdf(sigma / data.sd[:, None], 4) + np.log(sigma))[:, None, :]
    log_density -= log_density.max(axis=(1, 2), keepdims=True)
    density, of_mean = np.zeros_like(log_density), np.zeros_like(log_density)
    for share, centre, wide in _normals(data, candidate):
        spread = variance / n + _at(wide**2)
        part = share * np.exp(log_density - _at(data.mean - centre) ** 2 / (2 * spread)) / np.sqrt(spread)
        precision = n / variance + 1 / _at(wide**2)
        mean = (n / variance * _at(data.mean) + _at(centre / wide**2)) / precision
        density += part
        of_mean += part * stats.norm.cdf(-mean * np.sqrt(precision))
    return density.sum(axis=2), of_mean.sum(axis=2)


def _at(values: Array) -> Array:
    return values[:, None, None]


def _normals(data: DataSets, candidate: Candidate) -> Iterator[tuple[float, Array, Array]]:
    """Yield shares, means and SDs of the normals that mix to the intercept's prior."""
    if candidate.wide:
        yield 1.0, data.mean, candidate.wide * data.sd
        return
    shares = (np.arange(12) + 0.5) / 12  # equal parts of a gamma distribution of precisions: Student's t with 3
    for precision in stats.gamma.ppf(shares, 1.5, scale=1 / 1.5):
        yield 1 / 12, data.median, candidate.spread(data.sd, data.mad) / np.sqrt(precision)


def study(count: int, seed: int = 1, candidates: tuple[Candidate, ...] = CANDIDATES) -> list[dict[str, Any]]:
    """Judge all candidates on all cells."""
    found: list[dict[str, Any]] = []
    for levels, true_sd in product(LEVELS, TRUE_SDS):
        data = [
            measure(responses)
            for responses in np.array_split(draw_responses(levels, true_sd, count, seed), max(1, count // AT_ONCE))
        ]
        for candidate in candidates:
            parts = [(len(part.mean), judge(part, candidate, true_sd)) for part in data]
            mean = {name: sum(n * values[name] for n, values in parts) / count for name in parts[0][1]}
            found.append({"levels": levels, "true_sd": true_sd, "prior": candidate.name, **mean})
    return found


def table(found: list[dict[str, Any]], names: tuple[str, ...] = SHOWN) -> str:
    """Return a Markdown table: coverage of the SD / of the intercept in %, and the SD's width."""
    cells = {(row["levels"], row["true_sd"], row["prior"]): row for row in found}
    lines = ["| levels | true SD | " + " | ".join(names) + " |", "|---" * (2 + len(names)) + "|"]
    for levels, true_sd in dict.fromkeys((row["levels"], row["true_sd"]) for row in found):
        texts = []
        for name in names:
            row = cells[levels, true_sd, name]
            texts.append(f"{100 * row['sd']:.0f} / {100 * row['intercept']:.0f}, {row['width']:.1f}")
        lines.append(f"| {levels} | {true_sd:g} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def main(count: int = 2000) -> None:
    """Judge with so many data sets in each cell, print the table and write the numbers down."""
    found = study(count)
    print(table(found))
    results = Path(__file__).parent / "results"
    record = {"data_sets": count, "rows_in_a_level": ROWS, "cells": found}
    (results / "default_priors.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
