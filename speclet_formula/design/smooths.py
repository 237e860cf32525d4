"""What smooth terms learn from the first rows, and the columns that they make of any: fixed ones and penalised ones.

A curve s(x) has the fixed column x - mean(x), which the penalty does not see, and penalised columns, whose
coefficients are effects with one SD. These are orthogonal to the fixed one and the intercept over the first rows, and
of such a size that the SD is that of the curve around its straight line, in the linear predictor's unit, on average
over the rows. Beyond the first rows' range curves go on as straight lines, as mgcv's do, and those of "cc" in circles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.structures import Structure
from speclet_formula.design.bases import Basis, cubic_regression, cyclic, penalised_splines, rotated, thin_plate
from speclet_formula.errors import DataError, FormulaError, listed
from speclet_formula.formula.smooths import LEAST_WAVES, Smooth
from speclet_formula.formula.terms import text_of

Array = np.ndarray
_BASES = {"cr": cubic_regression, "cc": cyclic, "ps": penalised_splines}


@dataclass(frozen=True, eq=False)
class SmoothPart:
    """The penalised columns of a smooth that have one SD."""

    name: str  # what stands behind the smooth's label: "", or "[a]" for the curve of a level
    columns: Array  # (n, r)
    factor: pd.Categorical | None = None  # of bs = "fs" and gp(): each level has coefficients of its own
    structure: Structure | None = None  # of gp(); of all others the columns have one SD


@dataclass(frozen=True, eq=False)
class SmoothColumns:
    """The columns of a smooth."""

    fixed: Array  # (n, m), what the penalty does not see
    labels: tuple[str, ...]  # what stands behind the smooth's label in the names of the fixed columns
    parts: tuple[SmoothPart, ...]


@dataclass(frozen=True, eq=False)
class SmoothCurve:
    """A curve, or a surface s(x, z), without its mean over the rows that it was learnt from."""

    basis: Basis
    centre: Array  # (d,) means of the variables
    straight: bool  # whether the penalty leaves straight lines alone; those of "cc" cannot rise for ever
    wiggles: Array  # (K, r), what turns the raw basis into the penalised columns, but for `removed`
    removed: Array  # (1 + m, r), the constant and straight part taken off them

    def line(self, points: Array) -> Array:
        """Return the columns that the penalty does not see (n, m)."""
        return points - self.centre if self.straight else np.empty((len(points), 0))

    def columns(self, points: Array) -> Array:
        """Return the penalised columns (n, r)."""
        unseen = np.column_stack([np.ones(len(points)), self.line(points)])
        return np.asarray(self.basis.values(points) @ self.wiggles - unseen @ self.removed)


def learn_curve(points: Array, basis: str, k: int) -> SmoothCurve:
    """Learn a curve from points (n, d)."""
    raw = thin_plate(points, k) if basis in ("tp", "fs") else _BASES[basis](points[:, 0], k)
    straight, centre = basis != "cc", points.mean(axis=0)
    unseen = np.column_stack([np.ones(len(points)), *([points - centre] if straight else [])])
    made = raw.values(points) @ raw.wiggles
    removed = np.linalg.solve(unseen.T @ unseen, unseen.T @ made)
    made = made - unseen @ removed
    size = np.sqrt(np.square(made).sum() / len(made))
    turn = rotated(made[_spread_rows(points, made.shape[1])]) / size
    return SmoothCurve(raw, centre, straight, raw.wiggles @ turn, removed @ turn)


def _spread_rows(points: Array, count: int) -> Array:
    """Return rows of distinct points far from each other, in the points' order; the same on every machine."""
    _, rows = np.unique(points, axis=0, return_index=True)
    if points.shape[1] == 1:
        return np.asarray(rows[np.round(np.linspace(0, len(rows) - 1, count)).astype(np.int64)])
    spread = points[rows] / points.std(axis=0)
    chosen, distance = [0], np.full(len(rows), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.round(np.square(spread - spread[chosen[-1]]).sum(axis=1), 9))
        chosen.append(int(distance.argmax()))
    return np.asarray(rows[chosen])


@dataclass(frozen=True, eq=False)
class Margin:
    """One variable of t2(): wiggles with a penalty of their own, and a straight line of the same size as a constant."""

    basis: Basis
    centre: float
    spread: float
    turned: Array  # (K, r), what turns the raw basis into the penalised columns

    def wiggles(self, x: Array) -> Array:
        """Return the penalised columns (n, r)."""
        return np.asarray(self.basis.values(x[:, None]) @ self.turned)

    def line(self, x: Array) -> Array:
        """Return the straight line (n,)."""
        return np.asarray((x - self.centre) / self.spread)


@dataclass(frozen=True, eq=False)
class Surface:
    """The tensor product t2(x, z) of Wood, Scheipl and Faraway (2013): wiggly in both, or in one of them."""

    margins: tuple[Margin, Margin]
    sizes: tuple[float, float, float]  # of its parts, before they are divided by them
    means: Array  # (3,) of the fixed columns
    removed: tuple[Array, Array, Array]  # (r,) means of the penalised columns

    def fixed(self, points: Array) -> Array:
        """Return x, z and x z (n, 3), each without its mean."""
        return np.asarray(_products(self.margins, points) - self.means)

    def parts(self, points: Array) -> tuple[Array, Array, Array]:
        """Return the penalised columns: wiggly in both, in the second, in the first variable."""
        raw = _tensors(self.margins, points)
        first, second, third = (
            one / size - mean for one, size, mean in zip(raw, self.sizes, self.removed, strict=True)
        )
        return first, second, third


def _learn_margin(x: Array, basis: str, k: int) -> Margin:
    raw = thin_plate(x[:, None], k) if basis == "tp" else _BASES[basis](x, k)
    made = raw.values(x[:, None]) @ raw.wiggles
    turn = rotated(made[_spread_rows(x[:, None], made.shape[1])]) / np.sqrt(np.square(made).mean())
    return Margin(raw, float(x.mean()), float(x.std()), raw.wiggles @ turn)


def _products(margins: tuple[Margin, Margin], points: Array) -> Array:
    first, second = (margin.line(x) for margin, x in zip(margins, points.T, strict=True))
    return np.column_stack([first, second, first * second])


def _tensors(margins: tuple[Margin, Margin], points: Array) -> tuple[Array, Array, Array]:
    (x, z), n = points.T, len(points)
    wiggles = margins[0].wiggles(x), margins[1].wiggles(z)
    lines = [np.column_stack([np.ones(n), margin.line(own)]) for margin, own in zip(margins, (x, z), strict=True)]
    pairs = ((wiggles[0], wiggles[1]), (lines[0], wiggles[1]), (wiggles[0], lines[1]))
    made = [(left[:, :, None] * right[:, None, :]).reshape(n, -1) for left, right in pairs]
    return made[0], made[1], made[2]


def learn_surface(points: Array, bases: Sequence[str], ks: Sequence[int]) -> Surface:
    """Learn t2(x, z) from points (n, 2)."""
    x, z = points.T
    margins = _learn_margin(x, bases[0], ks[0]), _learn_margin(z, bases[1], ks[1])
    tensors = _tensors(margins, points)
    sizes = tuple(float(np.sqrt(np.square(made).sum() / len(made))) for made in tensors)
    removed = tuple(made.mean(axis=0) / size for made, size in zip(tensors, sizes, strict=True))
    return Surface(margins, sizes, _products(margins, points).mean(axis=0), removed)  # type: ignore[arg-type]


def make_columns(smooth: Smooth, learnt: dict[str, Any], variables: Sequence[Any], by: Any) -> SmoothColumns:
    """Make the columns of a smooth for the rows of some variables, learning from them where nothing is learnt yet.

    Parameters
    ----------
    smooth : Smooth
    learnt : dict
        What the first rows taught; it is filled when it is empty.
    variables : sequence of ndarray or Categorical, shape (n,)
        The factor of bs = "fs" is the last.
    by : ndarray, Categorical or None

    Raises
    ------
    DataError
        A variable has fewer distinct values than k, holds labels where there must be numbers, or the other way round.
    """
    if smooth.is_process:
        return _process_columns(smooth, learnt, _points(smooth, variables), by)
    factor = variables[-1] if smooth.basis == "fs" else None
    points = _points(smooth, variables if factor is None else variables[:-1])
    if factor is not None and not isinstance(factor, pd.Categorical):
        raise _no_factor(smooth)
    if smooth.function == "t2":
        return _surface_columns(smooth, learnt, points)
    if "curve" not in learnt:
        _check_distinct(smooth, points)
        learnt["curve"] = learn_curve(points, smooth.basis, smooth.sizes[0])
    curve: SmoothCurve = learnt["curve"]
    line, wiggles = curve.line(points), curve.columns(points)
    if factor is not None:
        parts = (
            SmoothPart("", wiggles, factor),
            SmoothPart(".1", np.ones((len(points), 1)), factor),
            SmoothPart(".2", line, factor),
        )
        return SmoothColumns(np.empty((len(points), 0)), (), parts)
    if by is None:
        return SmoothColumns(line, _numbered(line.shape[1]), (SmoothPart("", wiggles),))
    if isinstance(by, pd.Categorical):
        return _by_levels(learnt, line, wiggles, by)
    by = np.asarray(by, dtype=float)
    fixed = np.column_stack([by, line * by[:, None]])
    return SmoothColumns(fixed, _numbered(fixed.shape[1]), (SmoothPart("", wiggles * by[:, None]),))


def _surface_columns(smooth: Smooth, learnt: dict[str, Any], points: Array) -> SmoothColumns:
    if "surface" not in learnt:
        _check_distinct(smooth, points)
        learnt["surface"] = learn_surface(points, smooth.bases, smooth.sizes)
    surface: Surface = learnt["surface"]
    names = [text_of(variable) for variable in smooth.variables]
    parts = tuple(map(SmoothPart, ("", f"[{names[1]}]", f"[{names[0]}]"), surface.parts(points)))
    return SmoothColumns(surface.fixed(points), _numbered(3), parts)


def _process_columns(smooth: Smooth, learnt: dict[str, Any], points: Array, by: Any) -> SmoothColumns:
    """Make the waves of a Gaussian process: they are zero at the ends of a box around the middle of the first rows.

    Half its width is c times the largest distance of a row from the mean, as Bambi and PyMC have it.
    """
    x = points[:, 0]
    if by is not None and not isinstance(by, pd.Categorical):
        name = "by" if smooth.by is None else text_of(smooth.by)
        raise DataError(
            f"'{name}' of {smooth.label} holds numbers.",
            "by = is a factor, each of whose levels has a curve.",
            f"Write factor({name}) for it.",
        )
    _check_finite(smooth, points)
    if "box" not in learnt:
        _check_spread(smooth, x)
        learnt["box"] = ((x.max() + x.min()) / 2, float(np.abs(x - x.mean()).max()))
    centre, distance = learnt["box"]
    structure = Structure("gp", hom=True, kernel=smooth.basis, distance=distance, box=smooth.box)
    reach = structure.reach
    outside = np.flatnonzero(np.abs(x - centre) > reach)
    if len(outside):
        name = text_of(smooth.variables[0])
        raise DataError(
            f"'{name}' of {smooth.label} lies outside the process's box in {len(outside)} of {len(x)} rows "
            f"(counted from 0: {listed(outside, 5)}).",
            f"The box goes from {centre - reach:.4g} to {centre + reach:.4g}, and nothing is known beyond it.",
            f"Fit with a larger c than {smooth.box:g}, or leave those rows out.",
        )
    waves = np.sin((x - centre + reach)[:, None] / reach * (np.arange(1, smooth.sizes[0] + 1) * np.pi / 2))
    return SmoothColumns(np.empty((len(x), 0)), (), (SmoothPart("", waves, by, structure),))


def _check_spread(smooth: Smooth, x: Array) -> None:
    """Refuse a curve of fewer distinct values than `LEAST_WAVES`."""
    count = len(np.unique(x))
    if count < LEAST_WAVES:
        name = text_of(smooth.variables[0])
        raise DataError(
            f"'{name}' of {smooth.label} takes {count} distinct values.",
            f"A Gaussian process takes {LEAST_WAVES} or more.",
            f"Write factor({name}).",
        )


def _by_levels(learnt: dict[str, Any], line: Array, wiggles: Array, by: pd.Categorical) -> SmoothColumns:
    """Give each level of a factor a curve, which is zero in the rows of the others."""
    levels = learnt.setdefault("levels", tuple(map(str, by.categories)))
    labels = np.asarray(by, dtype=object).astype(str)
    own = [(f"[{level}]", (labels == level)[:, None]) for level in levels]
    fixed = np.column_stack([line * rows for _, rows in own])
    several = line.shape[1] > 1
    names = [f"{name[:-1]}, {j}]" if several else name for name, _ in own for j in range(line.shape[1])]
    return SmoothColumns(fixed, tuple(names), tuple(SmoothPart(name, wiggles * rows) for name, rows in own))


def _numbered(count: int) -> tuple[str, ...]:
    return ("",) if count == 1 else tuple(f"[{place}]" for place in range(count))


def _points(smooth: Smooth, variables: Sequence[Any]) -> Array:
    for variable, values in zip(smooth.variables, variables, strict=False):
        if isinstance(values, pd.Categorical) or np.asarray(values).dtype.kind not in "biuf":
            name = text_of(variable)
            raise DataError(
                f"'{name}' of {smooth.label} holds labels, not numbers.",
                'A smooth is a curve over numbers; a factor can be by =, or the last variable of bs = "fs".',
                f"Write (1 | {name}) for effects of its levels.",
            )
        if np.ndim(values) > 1:
            raise FormulaError(
                f"'{text_of(variable)}' of {smooth.label} has {np.shape(values)[1]} columns.",
                "A smooth takes one column for each variable.",
                "Name a column, or make it before the fit.",
            )
    return np.column_stack([np.asarray(values, dtype=float) for values in variables])


def _no_factor(smooth: Smooth) -> DataError:
    name = text_of(smooth.variables[-1])
    return DataError(
        f"'{name}' of {smooth.label} holds numbers, and bs = \"fs\" gives each level of a factor a curve.",
        "Its last variable is a factor.",
        f"Write factor({name}) for it, or leave bs out for a surface.",
    )


def _check_finite(smooth: Smooth, points: Array) -> None:
    if not np.isfinite(points).all():
        bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
        raise DataError(
            f"{smooth.label} is not a finite number in {len(bad)} of {len(points)} rows (counted from 0: "
            f"{listed(bad, 5)}).",
            "Every value that the formula makes must be finite.",
            "Often a log of zero or of a negative number: add a pseudo-count, or drop those rows first.",
        )


def _check_distinct(smooth: Smooth, points: Array) -> None:
    """Refuse more coefficients than distinct values, as mgcv does, and those that never vary."""
    sizes = smooth.sizes if smooth.function == "t2" else smooth.sizes[:1]
    sets = [points[:, [j]] for j in range(points.shape[1])] if smooth.function == "t2" else [points]
    _check_finite(smooth, points)
    for k, values in zip(sizes, sets, strict=True):
        count = len(np.unique(values, axis=0))
        if count >= k:
            continue
        names = ", ".join(text_of(variable) for variable in smooth.variables[: points.shape[1]])
        raise DataError(
            f"{smooth.label} has k = {k}, and {names} takes {count} distinct values.",
            "k is at most the number of distinct values.",
            f"Write {smooth.function}({names}, k = {count}) or a smaller k."
            if count > 3  # noqa: PLR2004
            else f"Write {names} for a straight line, or factor({names}).",
        )
