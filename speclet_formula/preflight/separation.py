"""Fixed columns and a response of 0 and 1, or of counts, go in; what predicts the response too well comes out.

Such a coefficient has no finite maximum of the likelihood. Group effects are held by their SD, which has a check of its
own here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from speclet_formula.design import Design, FixedTerm, GroupBlock
from speclet_formula.preflight.records import Finding, Support, listed

LARGEST_PROGRAM = 100_000  # entries of X up to which the linear program, of some 0.2 s at this size, is solved
CERTAIN = 1e-6  # by how much, for columns of size 1, a direction has to separate: ten times the solver's tolerance
WHY = (
    "The likelihood has no maximum for such a coefficient: lme4 and glm print a huge estimate with a huge Std.Error, "
    "and here its prior alone keeps it finite."
)
REMEDY = "Read it with its prior in mind (slots), and do not give it a flat one; or leave it out, or merge levels."


@dataclass(frozen=True, eq=False)
class _Sides:
    """Which rows hold the linear predictor from below, and which from above."""

    low: np.ndarray  # (n,) bool: the row would have the predictor go to -infinity
    high: np.ndarray  # (n,) bool: the row would have it go to +infinity; counts have no such rows
    words: tuple[str, str]  # what the response does in a low row and in a high one


def separation(design: Design, support: Support) -> Iterator[Finding]:
    """Look for levels and columns that predict a response of 0 and 1, or a count of 0, without error.

    Parameters
    ----------
    design : Design
    support : {"real", "binary", "count", "proportion", "ordinal", "other"}
        What the response's family takes; only in 0 and 1, counts and successes out of trials is anything looked for.

    Yields
    ------
    Finding
        One for each factor with such levels and each numeric column that separates by itself; where there is none, one
        for a combination of columns, exact, in designs of up to 100,000 entries. One for each grouping factor within
        whose levels the response never differs.
    """
    if support not in ("binary", "count", "proportion") or np.isnan(design.response).all():
        return
    sides = _sides(design, support)
    if sides.low.all() or sides.high.all():  # a constant response, which has its own finding
        return
    found = [finding for term in design.fixed for finding in _term(term, design, sides)]
    yield from found or _combination(design, sides)
    if support == "binary":
        yield from (finding for block in design.groups for finding in _pure_levels(block, design))


def _sides(design: Design, support: Support) -> _Sides:
    y = design.response
    if support == "count":
        return _Sides(y == 0, np.zeros(len(y), dtype=bool), ("is 0", ""))
    trials = np.ones(len(y)) if design.trials is None else design.trials
    words = ("is 0", "is 1") if support == "binary" else ("has no success", "has no failure")
    return _Sides((y == 0) & (trials > 0), (y == trials) & (trials > 0), words)


def _term(term: FixedTerm, design: Design, sides: _Sides) -> Iterator[Finding]:
    if term.kind == "categorical":
        yield from _levels(term, design, sides)
    elif term.kind == "numeric":
        for label, values in zip(term.columns, design.X[:, term.start : term.stop].T, strict=True):
            yield from _numeric(label, values, design, sides)


def _levels(term: FixedTerm, design: Design, sides: _Sides) -> Iterator[Finding]:
    """Look for levels, or cells of factors, all of whose rows are on one side."""
    cells = _cells(term, design)
    if cells is None:
        return
    codes, names = cells
    rows = np.bincount(codes, minlength=len(names))
    for side, words in zip((sides.low, sides.high), sides.words, strict=True):
        pure = np.flatnonzero((np.bincount(codes[side], minlength=len(names)) == rows) & (rows > 0))
        if len(pure):
            which = "one level" if len(pure) == 1 else f"{len(pure):,} levels"
            counted = [f"'{names[code]}' ({rows[code]:,} row{'' if rows[code] == 1 else 's'})" for code in pure]
            yield Finding(
                "separation",
                f"'{design.response_name}' {words} in every row of {which} of '{term.name}': "
                f"{listed(counted, quoted=False)}.",
                WHY,
                REMEDY,
            )


def _cells(term: FixedTerm, design: Design) -> tuple[np.ndarray, list[str]] | None:
    """Return a code for each row and the names of the cells of a term that is made of factor columns alone."""
    factors = term.name.split(":")
    if not all(name in design.frame and isinstance(design.frame[name].dtype, pd.CategoricalDtype) for name in factors):
        return None
    codes = np.zeros(len(design.frame), dtype=np.int64)
    for name in factors:
        column = design.frame[name].cat
        codes = codes * len(column.categories) + column.codes.to_numpy()
    observed, first = np.unique(codes, return_index=True)
    names = [":".join(str(design.frame[name].iloc[row]) for name in factors) for row in first]
    return np.searchsorted(observed, codes), names


def _numeric(label: str, values: np.ndarray, design: Design, sides: _Sides) -> Iterator[Finding]:
    """Look for a value below which all rows are on one side, and above which on the other; one on neither lies at it.

    That is a separation where an intercept can take the value up; without one the linear program decides.
    """
    if not any(term.kind == "intercept" for term in design.fixed) or np.ptp(values) == 0:
        return
    for sign, (lower, upper) in ((1, ("below", "above")), (-1, ("above", "below"))):
        x = sign * values
        cut = x[~sides.low].min()
        if x[~sides.high].max() <= cut:
            rest = f" and {sides.words[1]} where it is {upper}" if sides.high.any() else ""
            yield Finding(
                "separation",
                f"The column '{label}' separates '{design.response_name}', which {sides.words[0]} in each row where it "
                f"is {lower} {sign * cut:g}{rest}.",
                WHY,
                REMEDY,
            )


def _combination(design: Design, sides: _Sides) -> Iterator[Finding]:
    """Look for a combination of columns that separates (Konis 2007, doi:10.5287/ora-8gr6ymk8q)."""
    used = [j for j in range(design.X.shape[1]) if design.X[:, j].any()]
    if not used or len(design.X) * len(used) > LARGEST_PROGRAM:
        return
    direction = _separating(design.X[:, used], sides)
    if direction is None:
        return
    labels = [column for term in design.fixed for column in term.columns]
    named = [labels[used[j]] for j in np.flatnonzero(np.abs(direction) > CERTAIN) if labels[used[j]] != "Intercept"]
    yield Finding(
        "separation",
        f"A combination of fixed columns separates '{design.response_name}': {listed(named)}.",
        WHY,
        "Read them with their priors in mind (slots), and do not give them flat ones; or leave one of them out.",
    )


def _separating(X: np.ndarray, sides: _Sides) -> np.ndarray | None:
    """Return a direction along which no row's likelihood falls and some row's rises, or None.

    Maximise the sum of s x'b over the rows on one side (s = -1 low, 1 high), subject to s x'b >= 0 there, x'b = 0 in
    the others, -1 <= b <= 1.
    """
    from scipy.optimize import linprog

    scaled = X / np.abs(X).max(axis=0)
    one_sided = sides.low | sides.high
    signed = np.where(sides.high, 1.0, -1.0)[one_sided, None] * scaled[one_sided]
    fixed = np.unique(scaled[~one_sided], axis=0)
    found = linprog(
        -signed.sum(axis=0),
        A_ub=-signed,
        b_ub=np.zeros(len(signed)),
        A_eq=fixed if len(fixed) else None,
        b_eq=np.zeros(len(fixed)) if len(fixed) else None,
        bounds=[(-1, 1)] * X.shape[1],
        method="highs",
    )
    if found.status != 0 or (signed @ found.x).max() <= CERTAIN:
        return None
    return np.asarray(found.x)


def _pure_levels(block: GroupBlock, design: Design) -> Iterator[Finding]:
    """Look for a grouping factor whose every level has only 0 or only 1."""
    if "1" not in block.columns or len(block.levels) == len(block.codes):  # a level per row has its own finding
        return
    rows = np.bincount(block.codes, minlength=len(block.levels))
    ones = np.bincount(block.codes, weights=design.response, minlength=len(block.levels))
    if ((ones == 0) | (ones == rows)).all():
        yield Finding(
            "separation_by_group",
            f"Each level of '{block.group}' has only 0 or only 1 in '{design.response_name}'.",
            "The likelihood rises without end with the SD of its intercepts, so that only its prior keeps it finite; "
            "lme4 ends anywhere.",
            f"Leave (1 | {block.group}) out and fit one row for each level, or choose that SD's prior with care, "
            f"priors={{'{block.slots[block.columns.index('1')]}_sigma': ...}}.",
        )
