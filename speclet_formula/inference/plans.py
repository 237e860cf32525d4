"""What a user asks of a fit, checked and frozen; read by every engine, each of which takes what concerns it."""

from dataclasses import dataclass
from typing import Literal

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
