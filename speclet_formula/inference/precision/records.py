"""What the normal equations of a design are: records that `systems` fills and that both kinds of algebra read."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np


@dataclass(frozen=True)
class Layout:
    """Where each coefficient stands: fixed effects, group means, then each block's effects, level by level."""

    n_fixed: int
    means: tuple[tuple[int, int], ...]  # block and column of each group mean that is estimated
    starts: tuple[int, ...]  # each block's first coefficient
    widths: tuple[int, ...]  # each block's columns
    levels: tuple[int, ...]  # each block's levels
    size: int  # p, the number of coefficients


class Equations(Protocol):
    """Normal equations, in whatever order suits the algebra. p coefficients."""

    @property
    def moment(self) -> np.ndarray:
        """(p,) W'y."""
        ...

    @property
    def order(self) -> np.ndarray:
        """(p,) the coefficient at each position."""
        ...


@dataclass(frozen=True, eq=False)
class System:
    """The normal equations of a design, analysed. n rows, p coefficients."""

    layout: Layout
    W: Any  # (n, p) scipy CSR, in the coefficients' own order; fixed columns are centred
    response: np.ndarray  # (n,) the response less offset and known means
    weights: np.ndarray  # (n,)
    equations: Equations  # W'W, W'y and the prior's places
    square: float  # y'y, with what merged rows left around their means; all three weighted
    count: int  # of rows, as they were before they were merged
    log_weights: float  # the sum of the logs of their weights


class Rows(NamedTuple):
    """The rows of W in compressed form, with columns in the equations' order. n rows."""

    starts: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    weights: np.ndarray  # (n,)
    response: np.ndarray  # (n,)
