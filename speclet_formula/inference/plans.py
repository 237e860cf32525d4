"""What a user asks of a fit, checked and frozen; read by every engine, each of which takes what concerns it.

How long and how carefully was sampled stays with the draws, so that a model is fitted again in the same way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from speclet_formula.errors import SamplingError

Sampler = Literal["nutpie", "pymc", "numpyro"]
SAMPLERS: tuple[Sampler, ...] = ("nutpie", "pymc", "numpyro")
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


def at_least(name: str, value: int, least: int) -> int:
    """Return a whole number of at least `least`, or raise a SamplingError."""
    if type(value) is not int or value < least:  # True is an int, but not a number of draws
        raise SamplingError(
            f"{name}={value!r} is out of range.",
            f"{name} is a whole number of at least {least}.",
            f"Leave {name}= out for its default.",
        )
    return value


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


# What stays with the draws, and is not to be seen from their number.
_NOTED: Mapping[str, Callable[[Any], Any]] = {"tune": int, "target_accept": float, "sampler": str}


def note_settings(idata: Any, plan: SamplingPlan) -> None:
    """Write into draws how they were asked for."""
    idata["sample_stats"].attrs.update({name: getattr(plan, name) for name in _NOTED})


def settings_of(idata: Any) -> dict[str, Any]:
    """Return the arguments of `fit` that made draws: numbers of draws and chains, and what was noted in them."""
    sizes = idata["posterior"].sizes
    noted = idata["sample_stats"].attrs if "sample_stats" in idata.children else {}
    return {"draws": sizes["draw"], "chains": sizes["chain"]} | {
        name: kind(noted[name]) for name, kind in _NOTED.items() if name in noted
    }
