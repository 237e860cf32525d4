"""What a user asks of a fit, checked and frozen; read by every engine, each of which takes what concerns it.

How long and how carefully was sampled stays with the draws, so that a model is fitted again in the same way.
"""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal, TypedDict

from speclet_formula.common.seeds import checked_seed
from speclet_formula.errors import SamplingError

Sampler = Literal["nutpie", "pymc", "numpyro"]


class RunArguments(TypedDict, total=False):
    """Arguments of `fit` that every engine takes."""

    cores: int | None
    random_seed: int | None
    progress: bool


class PointArguments(RunArguments, total=False):
    """Arguments of `fit` of an engine that maximises the likelihood of other families than gaussian."""

    nAGQ: int | None


class DrawsArguments(TypedDict, total=False):
    """Arguments of `fit` that are about draws."""

    draws: int | None
    tune: int | None
    chains: int | None
    target_accept: float | None
    sampler: Sampler | None


class FitArguments(RunArguments, DrawsArguments, total=False):
    """Arguments of `fit` of an engine that draws."""

    keep: str | Sequence[str] | None


SAMPLERS: tuple[Sampler, ...] = ("nutpie", "pymc", "numpyro")
_DEFAULTS: Mapping[str, Any] = {
    "draws": 1000, "tune": 1000, "chains": 4, "target_accept": 0.9, "sampler": "nutpie", "progress": True,
}  # fmt: skip
MOST_DRAWS = 10_000_000  # of all chains
LONG = 60.0  # seconds from which on a forecast is said, and then how much is done
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
LEAST_PROPOSALS = (1000, 1900)  # that few draws rest on, and as many as there are, where an evaluation costs little,
MOST_FOR_A_DRAW = 16  # though for each of them no more than so many
PROPOSALS_PER_PARAMETER = 0.7  # more for each draw, with each parameter beyond ...
FEW_PARAMETERS = 4  # ... these: their proposals cover the posterior less well
COSTLY = 100_000  # numbers to go through from which on an evaluation of exact takes a millisecond, and is saved
LARGEST_DENSE = 4 * 2**30  # bytes of Bambi's dense columns; formulae makes some copies on its way to a sparse matrix


@dataclass(frozen=True)
class SamplingPlan:
    """How long and how to sample."""

    draws: int
    tune: int
    chains: int
    cores: int
    target_accept: float
    random_seed: int | None
    progress: bool
    sampler: Sampler
    keep: tuple[str, ...] | None = None  # labels of the blocks whose effects are kept; None: all of them
    nodes: int = 1  # of quadrature, lme4's nAGQ; 1 is Laplace's approximation


def plan_of(asked: Mapping[str, Any]) -> SamplingPlan:
    """Return the plan of what was asked for, with the defaults of what was not (None), or raise a SamplingError."""
    given = {**_DEFAULTS, **{name: value for name, value in asked.items() if value is not None}}
    chains, draws = at_least("chains", given["chains"], 1), at_least("draws", given["draws"], 4)
    _check_number(draws, chains)
    return SamplingPlan(
        draws=draws,
        tune=at_least("tune", given["tune"], 1),
        chains=chains,
        cores=at_least("cores", given.get("cores", min(chains, os.cpu_count() or 1)), 1),
        target_accept=acceptance(given["target_accept"]),
        random_seed=checked_seed(given.get("random_seed")),
        progress=given["progress"],
        sampler=known_sampler(given["sampler"]),
        keep=given.get("keep"),
        nodes=given.get("nAGQ", 1),
    )


def at_least(name: str, value: int, least: int, most: int | None = None) -> int:
    """Return a whole number of at least `least`, and of at most `most`, or raise a SamplingError."""
    beyond = most is not None and type(value) is int and value > most
    if type(value) is not int or value < least or beyond:  # True is an int, but not a number of draws
        raise SamplingError(
            f"{name}={value!r} is out of range.",
            f"{name} is a whole number of at least {least}{f' and at most {most:,}' if beyond else ''}.",
            f"Leave {name}= out for its default.",
        )
    return value


def _check_number(draws: int, chains: int) -> None:
    """Refuse draws that no memory holds and no question needs."""
    if draws * chains > MOST_DRAWS:
        raise SamplingError(
            f"draws={draws:,}, chains={chains:,} are {draws * chains:,} draws.",
            f"A fit keeps up to {MOST_DRAWS:,}; some thousands serve every summary.",
            "Leave draws= and chains= out for 4 chains of 1,000.",
        )


def acceptance(value: float) -> float:
    """Return a share of steps to be accepted, or raise a SamplingError."""
    if not 0 < value < 1:
        raise SamplingError(
            f"target_accept={value!r} is out of range.",
            "target_accept lies between 0 and 1.",
            "Leave it out for 0.9; 0.95 or 0.99 help against divergences.",
        )
    return value


def known_sampler(sampler: Sampler) -> Sampler:
    """Return a sampler's name, or raise a SamplingError."""
    if sampler not in SAMPLERS:
        raise SamplingError(
            f"there is no sampler {sampler!r}.",
            f"Samplers: {', '.join(SAMPLERS)}.",
            "Leave sampler= out for nutpie.",
        )
    return sampler


def evaluations(work: float, variances: int, draws: int) -> tuple[float, float]:
    """Say how often the exact engine evaluates its density before it draws coefficients, seen on many designs.

    Parameters
    ----------
    work : float
        Numbers that an evaluation goes through.
    variances : int
        Parameters that are sampled.
    draws : int
        In all chains.

    Returns
    -------
    searching, proposing : float
        To find the modes and fit the proposals; and of the proposals that the draws are chosen from, which all cores
        share.
    """
    more = 1 + PROPOSALS_PER_PARAMETER * max(variances - FEW_PARAMETERS, 0)
    if work >= COSTLY:
        return 400 + 60.0 * variances + 2 * variances**2, draws * more
    least = min(max(MOST_FOR_A_DRAW * draws, LEAST_PROPOSALS[0]), LEAST_PROPOSALS[1])
    return 30.0 * variances**3, max(draws, least) * more


class Progress:
    """Says on the error stream, tenth by tenth, how much of a long fit is done."""

    def __init__(self, total: float) -> None:
        self._total, self._done, self._told = total, 0, 0
        self._begun, self._lock = time.perf_counter(), Lock()

    def add(self, count: int) -> None:
        """Count evaluations or draws; more than were foreseen leave it at nine tenths."""
        with self._lock:
            self._done += count
            tenths = min(int(10 * self._done / self._total), 9)
            if tenths > self._told:
                self._told, passed = tenths, time_in_words(time.perf_counter() - self._begun)
                print(f"{10 * tenths} % after {passed}", file=sys.stderr, flush=True)


def time_in_words(seconds: float) -> str:
    """Return a time with one digit, which is what the estimates are good for.

    Returns
    -------
    str
        "under 1 s", "about 3 s", "about 20 minutes", ...
    """
    if seconds < 1:
        return "under 1 s"
    units = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"))
    for length, unit in units:
        if seconds >= 0.95 * length:
            count = max(1, one_digit(seconds / length))
            return f"about {count:,} {unit}{'' if count == 1 else 's'}"
    return f"about {one_digit(seconds)} s"


def memory_in_words(size: float) -> str:
    """Return bytes as gigabytes, with one digit.

    Returns
    -------
    str
        "0.3 GB", "20 GB", ...
    """
    gigabytes = size / 1e9
    return f"{gigabytes:.1f} GB" if gigabytes < 1 else f"{one_digit(gigabytes):,} GB"


def one_digit(number: float) -> int:
    """Return a number with one digit that counts."""
    return int(float(f"{number:.1g}"))
