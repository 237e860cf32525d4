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
    def pull(self) -> Any:
        """(p, m) D^-1 (m - c), what the prior draws the coefficients to, by the numbers of D^-1; None for zero."""
        ...

    @property
    def order(self) -> np.ndarray:
        """(p,) the coefficient at each position."""
        ...


@dataclass(frozen=True, eq=False)
class Units:
    """What the equations count in. Powers of two, so that scaling rounds nothing; ones where nothing is scaled."""

    response: float
    coefficients: np.ndarray  # (p,) a change of each coefficient that moves the response by about its own unit
    numbers: np.ndarray  # (m,) of the prior's distinct precisions

    @property
    def log_determinant(self) -> float:
        """What is added to log|P| for P in the coefficients' own units."""
        return float(-2 * np.log(self.coefficients).sum())


@dataclass(frozen=True, eq=False)
class System:
    """The normal equations of a design, analysed. n rows, p coefficients."""

    layout: Layout
    W: Any  # (n, p) scipy CSR, in the coefficients' own order; fixed columns are centred
    response: np.ndarray  # (n,) the response less offset, known means and what W times the centre predicts
    weights: np.ndarray  # (n,)
    equations: Equations  # W'W, W'y and the prior's places
    square: float  # y'y, with what merged rows left around their means; all three weighted
    within: float  # the latter by itself
    units: Units  # of the equations; all else is in units of the data
    prior: tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, columns and numbers of D^-1's upper triangle
    centre: np.ndarray  # (p,) what the coefficients are measured from, itself measured from the prior's means
    pull: np.ndarray  # (m,) c'D^-1 c, c the centre, as a linear function of D^-1's numbers
    count: int  # of rows, as they were before they were merged
    log_weights: float  # the sum of the logs of their weights


class Rows(NamedTuple):
    """The rows of W in compressed form, with columns in the equations' order. n rows."""

    starts: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    weights: np.ndarray  # (n,)
    response: np.ndarray  # (n,)
