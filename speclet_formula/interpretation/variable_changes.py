"""Variables at other values: counterfactual points, and the two values that a comparison is between."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.design.transforms import label_of, text_of_value
from speclet_formula.errors import EstimateError, listed, nearest
from speclet_formula.formula.terms import bare_name, columns_of
from speclet_formula.interpretation.grids import inside_factors
from speclet_formula.interpretation.means import named
from speclet_formula.interpretation.row_averages import RowTable
from speclet_formula.posterior.estimates import Array

type Comparison = Literal["difference", "ratio", "odds_ratio", "lift", "slope"]
type Variables = str | Sequence[str] | Mapping[str, Any] | None

STEP = 1e-4  # of a covariate's range, over which its slope is taken; marginaleffects'
PAIRS = ("reference", "sequential", "pairwise")
SPREADS = ("sd", "2sd", "iqr", "minmax")
RATIOS = ("ratio", "odds_ratio")
_ENDS = 2  # values that are compared


@dataclass(frozen=True, eq=False)
class VariableChange:
    """A variable at two values.

    Attributes
    ----------
    variable : str
    label : str
        "b - a", "+1", "dy/dx".
    low, high : value, or ndarray of shape (n,)
    step : float
        What the difference is divided by: 1 but for slopes.
    """

    variable: str
    label: str
    low: Any
    high: Any
    step: float = 1.0


def changes_of(rows: RowTable, variables: Variables, comparison: Comparison) -> Iterator[VariableChange]:
    """Go through the changes of all variables that are asked for."""
    known = _variables(rows, offsets=False)
    if variables is None:
        wanted: Mapping[str, Any] = dict.fromkeys(known)
    else:
        wanted = variables if isinstance(variables, Mapping) else dict.fromkeys(named(variables))
    if not wanted:
        raise EstimateError(
            "there is no variable to change.",
            f"Variables of the fixed terms: {listed(known) or 'none'}.",
            "Name one of these." if known else "Effects of groups' levels are in level_effects(fit, ...).",
        )
    for given, how in wanted.items():
        name = bare_name(given, known)
        _check_variable(rows, name, offsets=False)
        levels = _levels(rows, name)
        if levels is None:
            yield from _of_number(rows, name, how, comparison)
        else:
            yield from _of_levels(rows, name, levels, how, comparison)


def _of_levels(
    rows: RowTable, name: str, levels: list[Any], how: Any, comparison: Comparison
) -> Iterator[VariableChange]:
    """Compare the levels of a factor."""
    if how is None or how == "reference":
        pairs = [(0, place) for place in range(1, len(levels))]
    elif how == "sequential":
        pairs = [(place - 1, place) for place in range(1, len(levels))]
    elif isinstance(how, str) and how == "pairwise":
        pairs = list(itertools.combinations(range(len(levels)), 2))
    elif isinstance(how, Sequence) and not isinstance(how, str) and len(how) == _ENDS:
        low, high = (levels.index(_as_known(rows, name, value)) for value in how)
        pairs = [(low, high)]
    else:
        raise EstimateError(
            f"variables={{'{name}': {how!r}}} is no change of a factor.",
            f"A factor goes by {', '.join(map(repr, PAIRS))}, or between two of its levels.",
            f"Write {{'{name}': 'pairwise'}}, or leave it out for the first level against the others.",
        )
    sign = "/" if comparison in RATIOS else "-"
    for low, high in pairs:
        yield VariableChange(
            name, f"{label_of(levels[high])} {sign} {label_of(levels[low])}", levels[low], levels[high]
        )


def _of_number(rows: RowTable, name: str, how: Any, comparison: Comparison) -> Iterator[VariableChange]:
    """Compare two values of a number; its slope is over a small step."""
    fitted = rows.fit.model.design.frame[name].to_numpy(dtype=float)
    own = rows.frame[name].to_numpy(dtype=float)
    if how is None and set(np.unique(fitted)) == {0.0, 1.0}:
        sign = "/" if comparison in RATIOS else "-"
        yield VariableChange(name, f"1 {sign} 0", 0.0, 1.0)
        return
    if how is None and comparison == "slope":
        step = STEP * float(np.ptp(fitted)) or STEP
        yield VariableChange(name, "dy/dx", own - step / 2, own + step / 2, step)
        return
    low, high, label = _ends(rows, name, 1.0 if how is None else how, fitted, own)
    step = float(np.mean(high - low)) if comparison == "slope" else 1.0
    yield VariableChange(name, label, low, high, step)


def _ends(rows: RowTable, name: str, how: Any, fitted: Array, own: Array) -> tuple[Any, Any, str]:
    """Return the two values of a number, and what to call the change."""
    spread = float(np.std(fitted, ddof=1))
    if isinstance(how, str) and how in ("sd", "2sd"):
        reach = spread / 2 if how == "sd" else spread
        return own - reach, own + reach, "+1 SD" if how == "sd" else "+2 SD"
    if isinstance(how, str) and how in ("iqr", "minmax"):
        low, high = np.quantile(fitted, [0.25, 0.75] if how == "iqr" else [0.0, 1.0])
        return low, high, "Q3 - Q1" if how == "iqr" else "maximum - minimum"
    if isinstance(how, Sequence) and not isinstance(how, str) and len(how) == _ENDS:
        low, high = (_as_known(rows, name, value) for value in how)
        return low, high, f"{text_of_value(high)} - {text_of_value(low)}"
    if isinstance(how, int | float) and not isinstance(how, bool) and np.isfinite(how) and how != 0:
        return own - how / 2, own + how / 2, f"{how:+g}"
    raise EstimateError(
        f"variables={{'{name}': {how!r}}} is no change of a number.",
        f"A number goes by a width, between two values, or by {', '.join(map(repr, SPREADS))}.",
        f"Write {{'{name}': 1}} or {{'{name}': [0, 1]}}, or leave it out for one unit.",
    )


def points_at(rows: RowTable, at: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Go through all combinations of the values of `at`, the first variable varying fastest."""
    chosen = {name: _values_at(rows, name, wanted) for name, wanted in (at or {}).items()}
    for point in itertools.product(*reversed(chosen.values())):
        yield dict(zip(chosen, point[::-1], strict=True))


def _values_at(rows: RowTable, name: str, wanted: Any) -> list[Any]:
    """Return the values that a variable is set to, checked."""
    _check_variable(rows, name, offsets=True)
    given = [wanted] if isinstance(wanted, str) or np.ndim(wanted) == 0 else list(wanted)
    if not given:
        raise EstimateError(
            f"at={{'{name}': []}} leaves no row.", "It holds one value or more.", f"Leave '{name}' out."
        )
    return [_as_known(rows, name, value) for value in given]


def _as_known(rows: RowTable, name: str, value: Any) -> Any:
    """Return a value as the column has it: a level that was fitted, or a number."""
    levels = _levels(rows, name)
    if levels is None:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = np.nan
        if not np.isfinite(number):
            raise EstimateError(f"{name} = {value!r} is no number.", f"'{name}' holds numbers.", "Give finite numbers.")
        return number
    labels = [label_of(level) for level in levels]
    if label_of(value) not in labels:
        near = nearest(label_of(value), labels)
        raise EstimateError(
            f"'{name}' has no level '{label_of(value)}'.",
            f"Levels: {listed(labels)}.",
            f"Nearest: '{near}'." if near else "Name one of these.",
        )
    return levels[labels.index(label_of(value))]


def _levels(rows: RowTable, name: str) -> list[Any] | None:
    """Return the values of a variable that is compared level by level; None of one that is a number."""
    design = rows.fit.model.design
    column = design.frame[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.categories)
    if pd.api.types.is_bool_dtype(column.dtype):
        return [False, True]
    return sorted(column.unique().tolist()) if name in inside_factors(design, design.mean) else None


def _check_variable(rows: RowTable, name: str, *, offsets: bool) -> None:
    """Refuse a variable that predictions do not depend on, and grouping factors."""
    known = _variables(rows, offsets=offsets)
    if name in known:
        return
    near = nearest(name, known)
    remedy = f"Nearest: '{near}'." if near else "Name one of these."
    if any(name in (block.group, *block.factors) for block in rows.fit.model.design.blocks):
        remedy = f"The effects of the levels of '{name}' are in level_effects(fit, '{name}')."
    raise EstimateError(
        f"'{name}' is in no fixed term of the model.",
        f"Variables of its fixed terms: {listed(known) or 'none'}.",
        remedy,
    )


def _variables(rows: RowTable, *, offsets: bool) -> list[str]:
    """Return the columns of the fixed terms of all linear predictors, and perhaps those of offsets."""
    formulas = [predictor.formula for predictor in rows.fit.model.design.predictors]
    nodes = [node for formula in formulas for node in (*formula.terms, *(formula.offsets if offsets else ()))]
    slopes = [part for formula in formulas for term in formula.group_terms for part in term.terms]
    return list(dict.fromkeys(name for node in (*nodes, *slopes) for name in columns_of(node)))
