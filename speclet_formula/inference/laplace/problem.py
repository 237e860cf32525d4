"""A design, a family and a link go in; Laplace's criterion comes out as arrays, its matrix laid out.

With eta = X beta + A u + offset, A = Z L(theta), u ~ N(0, I), the matrix is H = A'WA + I for weights W of the rows.
How H is factored is left to `matrix`, finding modes to `mode`.
"""

from dataclasses import dataclass

import numpy as np

from speclet_formula.design import Design
from speclet_formula.inference.laplace.curvature import CURVES, Curve, observed_of
from speclet_formula.inference.laplace.derivatives import Observed
from speclet_formula.inference.laplace.matrix import Layout, layout_of


@dataclass(frozen=True, eq=False)
class Problem:
    """Laplace's criterion of a design; n rows, p fixed columns, q group effects, r of which meet in each row."""

    curve: Curve
    observed: Observed
    offset: np.ndarray  # (n,)
    X: np.ndarray  # (n, p), each column centred where there is an intercept, with a mean square of one
    Z: np.ndarray  # (n, r) the blocks' columns, each with a mean square of one
    columns: np.ndarray  # (n, r) the effect that each entry of Z multiplies
    layout: Layout  # of H
    spans: tuple[slice, ...]  # each block's columns of Z
    starts: tuple[int, ...]  # each block's first effect
    thetas: tuple[tuple[int, int, int], ...]  # block, row and column in L of each entry of theta
    scales: tuple[np.ndarray, ...]  # (k,) root mean square of each block's columns
    backs: tuple[np.ndarray | None, ...]  # (k, k) turns a block's effects into those of the given columns
    carried: np.ndarray  # (p, p) turns coefficients of X into those of the design's columns

    @property
    def size(self) -> int:
        """How many group effects there are."""
        return self.layout.size


@dataclass(frozen=True, eq=False)
class Point:
    """Values of the parameters."""

    theta: np.ndarray  # (m,)
    beta: np.ndarray  # (p,) of the columns of X as they stand in the problem
    others: np.ndarray  # (e,) the family's other parameters


def problem_of(
    design: Design,
    family: str,
    link: str,
    centre: np.ndarray,
    backs: tuple[np.ndarray | None, ...] | None = None,
) -> Problem:
    """Order and analyse H for a design.

    Parameters
    ----------
    design : Design
        n rows.
    family, link : str
        A row of `CURVES`.
    centre : ndarray of float, shape (p,)
        What is taken off each fixed column.
    backs : tuple of ndarray of float, shape (k, k), or None, optional
        For each block whose columns were centred what turns its effects back.

    Returns
    -------
    Problem
    """
    widths = [block.values.shape[1] for block in design.mean.groups]
    sizes = [width * len(block.levels) for width, block in zip(widths, design.mean.groups, strict=True)]
    starts = tuple(int(start) for start in np.cumsum([0, *sizes])[:-1])
    ends = np.cumsum([0, *widths])
    scales = tuple(_root_mean_square(block.values) for block in design.mean.groups)
    values = [block.values / scale for block, scale in zip(design.mean.groups, scales, strict=True)]
    effects = [
        start + block.codes[:, None] * width + np.arange(width)
        for block, start, width in zip(design.mean.groups, starts, widths, strict=True)
    ]
    n, p = design.mean.X.shape
    X = design.mean.X - centre
    lengths = _root_mean_square(X)
    carried = np.diag(1 / lengths)
    if p:
        carried[0] -= centre / lengths
    columns = np.hstack([np.empty((n, 0), dtype=np.int64), *effects]).astype(np.int64)
    return Problem(
        curve=CURVES[family, link],
        observed=observed_of(design),
        offset=design.mean.offset,
        X=X / lengths,
        Z=np.ascontiguousarray(np.hstack([np.empty((n, 0)), *values])),
        columns=columns,
        layout=layout_of(columns, sum(sizes)),
        spans=tuple(slice(int(first), int(first) + width) for first, width in zip(ends, widths, strict=False)),
        starts=starts,
        thetas=tuple(
            (number, row, column)
            for number, block in enumerate(design.mean.groups)
            for column in range(widths[number])
            for row in range(column, widths[number] if block.correlated else column + 1)
        ),
        scales=scales,
        backs=backs or (None,) * len(design.mean.groups),
        carried=carried,
    )


def _root_mean_square(columns: np.ndarray) -> np.ndarray:
    """Return each column's root mean square, or one for a column of zeros."""
    found = np.sqrt(np.mean(columns**2, axis=0))
    return np.where(found > 0, found, 1.0)


def given_factors(problem: Problem, theta: np.ndarray) -> list[np.ndarray]:
    """Return for each block what makes effects of its given columns from independent ones, (k, k)."""
    own = [L / scale[:, None] for L, scale in zip(factors_of(problem, theta), problem.scales, strict=True)]
    return [L if back is None else back @ L for L, back in zip(own, problem.backs, strict=True)]


def factors_of(problem: Problem, theta: np.ndarray) -> list[np.ndarray]:
    """Return each block's L, (k, k), for columns with a mean square of one."""
    found = [np.zeros((span.stop - span.start,) * 2) for span in problem.spans]
    for entry, (block, row, column) in zip(theta, problem.thetas, strict=True):
        found[block][row, column] = entry
    return found
