"""What is known of draws, what is wrong with them, and the verdict: plain records."""

from dataclasses import dataclass
from typing import Literal

type Verdict = Literal["converged", "doubtful", "failed"]


@dataclass(frozen=True)
class Diagnostics:
    """What the draws say about themselves.

    Attributes
    ----------
    verdict : {"converged", "doubtful", "failed"}
    sentence : str
        What is wrong, the gravest first; for a converged fit, what was found.
    remedy : str
        What to do about it; empty for a converged fit.
    r_hat_max, r_hat_parameter : float, str
        The largest rank-normalised R-hat and its parameter; NaN and "" where none can be computed (one chain).
    ess_bulk_min, ess_bulk_parameter : float, str
        The smallest effective sample size of the bulk, in draws.
    ess_tail_min, ess_tail_parameter : float, str
        The smallest effective sample size of the 5 % and 95 % quantiles, in draws.
    divergences : int
        Number of draws after a divergent transition.
    tree_depth_hits : int
        Number of draws for which the sampler stopped at its greatest tree depth: slow, not wrong.
    chains, draws : int
        Number of chains, and of draws in each.
    n_not_finite : int
        Number of parameters with a draw that is NaN or infinite.
    """

    verdict: Verdict
    sentence: str
    remedy: str
    r_hat_max: float
    r_hat_parameter: str
    ess_bulk_min: float
    ess_bulk_parameter: str
    ess_tail_min: float
    ess_tail_parameter: str
    divergences: int
    tree_depth_hits: int
    chains: int
    draws: int
    n_not_finite: int


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and what helps."""

    failed: bool
    sentence: str
    remedy: str


@dataclass(frozen=True)
class Extreme:
    """The worst value of one number, and the parameter that has it."""

    value: float
    parameter: str


@dataclass(frozen=True)
class Evidence:
    """All that a verdict rests on."""

    chains: int
    draws: int
    not_finite: tuple[str, ...]
    still: tuple[str, ...]  # parameters whose draws are all equal, though the model does not fix them
    moving: bool
    r_hat: Extreme
    ess_bulk: Extreme
    ess_tail: Extreme
    by_nuts: bool
    divergences: int
    tree_depth_hits: int
    checked: int
    parameters: int
    pareto_k: float  # of the weights of an importance sampler's proposals; NaN of other samplers
    proposals: float  # how many draws from the posterior itself its proposals are worth; NaN of other samplers
