"""What a user asks of a fit, checked and frozen; read by every engine, each of which takes what concerns it.

How long and how carefully was sampled stays with the draws, so that a model is fitted again in the same way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

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
