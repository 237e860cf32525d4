"""The effects of one grouping factor's levels in each level of another, and how selective they are, row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from speclet_formula.design.design import Design, GroupBlock
from speclet_formula.errors import EstimateError, listed, nearest
from speclet_formula.inference.exact.given_variances import Addend, GivenVariances, given_variances, log_signs
from speclet_formula.interpretation.level_effects import least_told, sign_probabilities
from speclet_formula.posterior.draws import Fitted, draws_of
from speclet_formula.posterior.estimates import Array, Interval, IntervalKind, interval_of, points_of, stack, summarise
from speclet_formula.prediction import BLOCK_BYTES

type Value = Literal["estimate", "std_error", "conf_low", "conf_high", "p_negative", "lfsr"]

PROBABILITIES = ("p_negative", "lfsr")
VALUES = ("estimate", "std_error", "conf_low", "conf_high", "p_negative", "lfsr")
SELECTIVITY = (
    "level", "columns", "sd", "sd_low", "sd_high", "most_negative", "estimate", "difference", "std_error", "conf_low",
    "conf_high", "p_lowest", "p_negative",
)  # fmt: skip
_TWO = 2


@dataclass(frozen=True, eq=False)
class _Crossing:
    """Two factors' observed combinations, sorted by row, and what makes up their effects."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_codes: np.ndarray  # (cells,)
    column_codes: np.ndarray  # (cells,)
    parts: tuple[tuple[str, np.ndarray], ...]  # variables, with the element that belongs to each cell; -1 for none
    first: np.ndarray  # (cells,) a row of the data in each
    label: str


def effect_matrix(
    fit: Fitted,
    rows: str,
    columns: str,
    *,
    value: Value = "estimate",
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> pd.DataFrame:
    """Tabulate the total effect of each level of one factor in each level of another: genes by cell lines.

    A cell is the sum, draw by draw, of what group terms give the level of `rows` there: of `(1 | gene) +
    (1 | gene:cell_line)` the gene's effect and that of the combination; of `(cell_line | gene)` the gene's intercept
    and its effect in that line. Effects of `columns` alone and fixed effects are not in it, since they are the same for
    all rows; nor are slopes of covariates, whose part differs within a cell.

    Parameters
    ----------
    fit : Fit
    rows, columns : str
        The factors: "gene", "cell_line".
    value : {"estimate", "std_error", "conf_low", "conf_high", "p_negative", "lfsr"}
        What the cells hold, as `level_effects` describes it.
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        One row per level of `rows`, which is the index, one column per level of `columns`, both in the data's order, on
        the link's scale. A combination that is not in the data is NaN. `.attrs` holds "value", "effect" (the names of
        what was added up), "interval" and "point_estimate".

    Raises
    ------
    EstimateError
        The model has no effect that differs between the columns, `value` is none of these, or the fit has no draws.

    Examples
    --------
    >>> from speclet_formula.interpretation import effect_matrix
    >>> effect_matrix(crossed, "gene", "cell_line").shape  # crossed: log_fc ~ 1 + (1 | gene/cell_line)
    (6, 4)
    """
    interval = interval_of(fit, ci_prob, ci_kind)
    if value not in VALUES:
        near = nearest(str(value), VALUES)
        raise EstimateError(
            f"value={value!r} is not in the table of an effect.",
            f"Values: {listed(VALUES)}.",
            f"Nearest: value='{near}'." if near else "Write value='estimate'.",
        )
    crossing = _cross(fit, rows, columns)
    values = np.full((len(crossing.rows), len(crossing.columns)), np.nan)
    given = given_variances(fit) if value in PROBABILITIES else None
    if given is not None:
        values[crossing.row_codes, crossing.column_codes] = _normal(given, crossing, value)
    for cells, draws in _cell_blocks(fit, crossing) if given is None else ():
        values[crossing.row_codes[cells], crossing.column_codes[cells]] = _values(draws, value, interval)
    frame = pd.DataFrame(
        values, index=pd.Index(crossing.rows, name=rows), columns=pd.Index(crossing.columns, name=columns)
    )
    frame.attrs.update(value=value, effect=crossing.label, interval=str(interval), point_estimate=interval.point)
    frame.attrs["draws"] = len(draws_of(fit)) if given is None else 0
    return frame


def selectivity(
    fit: Fitted, rows: str, columns: str, *, ci_prob: float | None = None, ci_kind: IntervalKind | None = None
) -> pd.DataFrame:
    """Tell of each level of one factor how much its effect differs between the levels of another: selective genes.

    All numbers are made draw by draw from the total effects of `effect_matrix`.

    Parameters
    ----------
    fit : Fit
    rows, columns : str
        The factors: "gene", "cell_line".
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        One row per level of `rows` that was observed in two columns or more, in the data's order, on the link's scale:

        * `level`, `columns`: its label, and in how many columns it was observed;
        * `sd`, `sd_low`, `sd_high`: standard deviation of its effects over the columns (n - 1), with its interval. It
          is above zero even where the effects do not differ, by what is not known of them: compare it between rows;
        * `most_negative`: the column in which its effect is lowest, by the mean over draws; `estimate`: the effect
          there;
        * `difference`, `std_error`, `conf_low`, `conf_high`: the effect there less the mean of the effects in the other
          columns;
        * `p_lowest`: probability that this column's effect is the lowest of the row's. With n columns that do not
          differ it is about 1 / n, and somewhat above since the lowest is looked at;
        * `p_negative`: probability that the difference is below zero; it too is of a column chosen for its low effect,
          so that 0.9 says little among many columns, though the shrinkage of group effects makes up for part of it.

    Raises
    ------
    EstimateError
        The model has no effect that differs between the columns, or the fit has no draws.

    Examples
    --------
    >>> from speclet_formula.interpretation import selectivity
    >>> len(selectivity(crossed, "gene", "cell_line"))  # crossed: log_fc ~ 1 + (1 | gene/cell_line), 6 genes
    6
    """
    interval = interval_of(fit, ci_prob, ci_kind)
    crossing = _cross(fit, rows, columns)
    parts = [
        _selectivity_of(draws, crossing, cells, interval) for cells, draws in _cell_blocks(fit, crossing, whole=True)
    ]
    frame = stack(parts, SELECTIVITY, interval)
    frame.attrs["effect"] = crossing.label
    return frame


def _normal(given: GivenVariances, crossing: _Crossing, value: Value) -> Array:
    """Return the wanted probability of each cell of an exact fit, as `level_effects` does."""
    addends = [Addend(slot, np.maximum(codes, 0), (codes >= 0).astype(float)) for slot, codes in crossing.parts]
    negative, positive = log_signs(given, addends, crossing.first)
    return least_told(negative if value == "p_negative" else np.minimum(negative, positive))


def _values(draws: Array, value: Value, interval: Interval) -> Array:
    """Return the wanted summary of each cell."""
    if value in PROBABILITIES:
        negative, lfsr = sign_probabilities(draws)
        return negative if value == "p_negative" else lfsr
    return np.asarray(summarise(draws, interval)[value], dtype=np.float64)


def _selectivity_of(draws: Array, crossing: _Crossing, cells: slice, interval: Interval) -> pd.DataFrame:
    """Summarise the rows of one block of cells, which holds each of them whole."""
    codes, places = np.unique(crossing.row_codes[cells], return_inverse=True)
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    counts = np.diff(starts, append=len(places))
    sums = np.add.reduceat(draws, starts, axis=1)
    centred = draws - (sums / counts)[:, places]
    with np.errstate(invalid="ignore", divide="ignore"):
        sds = np.sqrt(np.add.reduceat(centred**2, starts, axis=1) / (counts - 1))
        low = _first_lowest(draws.mean(axis=0), starts, places)
        difference = draws[:, low] - (sums - draws[:, low]) / (counts - 1)
    lowest = draws[:, low] <= np.minimum.reduceat(draws, starts, axis=1)
    spread, apart = summarise(sds, interval), summarise(difference, interval)
    frame = apart.assign(
        level=[crossing.rows[code] for code in codes],
        columns=counts,
        sd=spread["estimate"],
        sd_low=spread["conf_low"],
        sd_high=spread["conf_high"],
        most_negative=[crossing.columns[code] for code in crossing.column_codes[cells][low]],
        difference=apart["estimate"],
        estimate=summarise(draws[:, low], interval)["estimate"],
        p_lowest=lowest.mean(axis=0),
        p_negative=(difference < 0).mean(axis=0),
    )
    return frame[counts >= _TWO]


def _first_lowest(means: Array, starts: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return for each row the cell whose mean is lowest."""
    order = np.lexsort((means, places))
    return np.asarray(order[starts])


def _cell_blocks(fit: Fitted, crossing: _Crossing, *, whole: bool = False) -> Iterator[tuple[slice, Array]]:
    """Go through the cells in blocks, with the draws of their total effects; rows are kept whole on demand."""
    known = draws_of(fit)
    parts = [(known.variable(slot), codes) for slot, codes in crossing.parts]
    n_draws = len(parts[0][0])
    size = max(1, BLOCK_BYTES // (8 * n_draws))
    firsts = np.flatnonzero(np.diff(crossing.row_codes, prepend=-1))
    start, n_cells = 0, len(crossing.row_codes)
    while start < n_cells:
        stop = min(start + size, n_cells)
        if whole and stop < n_cells:
            before = firsts[(firsts > start) & (firsts <= stop)]
            stop = int(before[-1] if len(before) else next(iter(firsts[firsts > start]), n_cells))
        cells = slice(start, stop)
        total = np.zeros((n_draws, stop - start))
        for draws, codes in parts:
            there = np.flatnonzero(codes[cells] >= 0)
            total[:, there] += draws[:, codes[cells][there]]
        yield cells, total
        start = stop


def _cross(fit: Fitted, rows: str, columns: str) -> _Crossing:
    """Find the observed combinations and the group effects that make them up."""
    points = points_of(fit)
    if points is not None:
        raise EstimateError(
            f"effects of '{rows}' by '{columns}' are sums, which have no standard error in a fit by "
            f"{points.criterion}.",
            "Sums of group effects are made draw by draw.",
            "Fit the model with method='exact' or 'hmc'.",
        )
    design = fit.model.design
    factors = [_factor(design, name) for name in (rows, columns)]
    wide = factors[0].codes.astype(np.int64) * len(factors[1].categories) + factors[1].codes
    cells, first = np.unique(wide, return_index=True)
    parts = [
        (slot, codes, differs)
        for block in design.mean.factors
        if rows in block.factors and set(block.factors) <= {rows, columns}
        for place, slot in enumerate(block.slots)
        for codes, differs in _part(block, place, columns, list(factors[1].categories), first)
    ]
    if not any(differs for *_, differs in parts):
        raise _nothing_differs(design, rows, columns)
    row_codes, column_codes = np.divmod(cells, len(factors[1].categories))
    return _Crossing(
        rows=tuple(factors[0].categories),
        columns=tuple(factors[1].categories),
        row_codes=row_codes,
        column_codes=column_codes,
        parts=tuple((slot, codes) for slot, codes, _ in parts),
        first=first,
        label=" + ".join(slot for slot, *_ in parts),
    )


def _part(
    block: GroupBlock, place: int, columns: str, levels: Sequence[str], first: np.ndarray
) -> Iterator[tuple[np.ndarray, bool]]:
    """Give the element of a block that belongs to each cell, and whether it differs between the columns.

    Only intercepts and indicators of the other factor's levels belong to a cell, whatever else is in its rows.
    """
    of_columns = block.columns[place] in {f"{columns}[{level}]" for level in levels}
    if block.columns[place] == "1" or of_columns:
        codes = np.where(block.values[first, place] != 0, block.codes[first], -1)
        yield codes, of_columns or columns in block.factors


def _factor(design: Design, name: str) -> pd.Categorical:
    """Return a factor of the data with its observed levels."""
    known = [str(column) for column in design.frame if isinstance(design.frame[column].dtype, pd.CategoricalDtype)]
    if name in known:
        return pd.Categorical(design.frame[name])
    near = nearest(name, known)
    raise EstimateError(
        f"'{name}' is no factor of the model.",
        f"Its factors: {listed(known) or 'none'}.",
        f"Nearest: '{near}'." if near else "Name two of these.",
    )


def _nothing_differs(design: Design, rows: str, columns: str) -> EstimateError:
    groups: Sequence[str] = list(dict.fromkeys(block.group for block in design.mean.factors))
    return EstimateError(
        f"no effect of '{rows}' differs between the levels of '{columns}'.",
        f"Grouping factors: {listed(groups) or 'none'}.",
        f"Add (1 | {rows}:{columns}) to the formula; sf.level_effects(fit, '{rows}') has one effect for all columns.",
    )
