"""Fixed columns together: those that can be computed from earlier ones, and those that part a response of 0 and 1.

A design without the former is what REML, ML and Laplace search, as in R.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from speclet_formula.design import Design, FixedTerm, GroupBlock, Predictor
from speclet_formula.design.design import replace_mean
from speclet_formula.design.merged import row_count
from speclet_formula.formula.terms import columns_of
from speclet_formula.model.findings import Finding, Support, listed

MOST_COLUMNS = 1000  # collinearity is looked for up to here: the work grows with the cube
SUSPECT = 1e-9  # squared distance of a scaled column from the others' span, at the Gram matrix' precision
COLLINEAR = 1e-7  # the same distance, not squared, as computed from the column itself
NEARLY = 1e-12  # eigenvalue of the scaled Gram matrix below which doubles leave a solution few digits
_SHOWN = 3  # dependent columns that a sentence names
_ROWS_AT_ONCE = 16_384


def collinear_columns(design: Design, predictor: Predictor) -> Iterator[Finding]:
    """Look for fixed columns that are combinations of others.

    Parameters
    ----------
    design : Design
    predictor : Predictor
        One of its linear predictors.

    Yields
    ------
    Finding
        One for all such columns; without any, one for products and powers so far from zero that they nearly are such.
    """
    X, labels, intercept = predictor.X, predictor.columns, predictor.has_intercept
    used = _informed(predictor)  # zero columns are reported as empty cells
    if len(used) > MOST_COLUMNS or len(used) >= row_count(design) or _disjoint(X):
        return
    dependent = []
    for column, others in _dependent_columns(X, used, centred=intercept):
        sources = [listed([labels[other] for other in others])] if others else []
        sources += ["the intercept"] if intercept else []
        dependent.append(f"'{labels[column]}' from {' and '.join(sources)}")
    if dependent:
        left = f"; and {len(dependent) - _SHOWN:,} more" if len(dependent) > _SHOWN else ""
        shown = "; ".join(dependent[:_SHOWN]) + left
        yield Finding(
            "collinear",
            f"Fixed columns can be computed from other ones: {shown}.",
            "The data cannot tell their coefficients apart: the priors split them, and what no row shows, such as the "
            "mean of an empty cell, is the priors' alone. By REML, ML and Laplace the first-named is dropped, as in R.",
            "Leave the first-named column out, or the others.",
        )
    elif (far := _multiplied_numbers(design, predictor)) and np.linalg.eigvalsh(
        _scaled_gram(X, used, X.mean(axis=0) if intercept else np.zeros(len(labels)))
    )[0] < NEARLY:
        yield Finding(
            "nearly_collinear",
            f"So far from zero, products or powers of {listed(far)} are nearly sums of the other fixed columns.",
            "Doubles cannot tell them apart: coefficients, and what is made of them, have few right digits or none.",
            f"Centre them: write {' and '.join(f'center({own})' for own in far[:_SHOWN])} wherever they stand.",
        )


def _multiplied_numbers(design: Design, predictor: Predictor) -> list[str]:
    """Return the numeric columns that several fixed terms use."""
    used = [name for term in predictor.formula.terms for name in columns_of(term)]
    numeric = (name for name in dict.fromkeys(used) if used.count(name) > 1 and name in design.frame.columns)
    return [name for name in numeric if design.frame[name].dtype.kind in "iuf"]


def _informed(predictor: Predictor) -> list[int]:
    """Return the columns that are not zero in every row, but the intercept's, in R's order."""
    counts = np.count_nonzero(predictor.X, axis=0)
    return [place for place in _scanned(predictor) if place >= int(predictor.has_intercept) and counts[place]]


def _scanned(predictor: Predictor) -> list[int]:
    """Return the columns in R's order, which decides what is dropped: an interaction's first factor goes fastest."""
    order: list[int] = []
    for term in predictor.fixed:
        parts = [label.split("]:") for label in term.columns]
        depth = max(map(len, parts), default=0)
        seen: list[dict[str, int]] = [{} for _ in range(depth)]
        keys = []
        for split in parts:
            places = [known.setdefault(name, len(known)) for known, name in zip(seen, split, strict=False)]
            keys.append(tuple(reversed(places)))
        order += [term.start + place for place in sorted(range(len(keys)), key=keys.__getitem__)]
    return order


def without_dependent(design: Design) -> tuple[Design, np.ndarray]:
    """Leave out the mean's fixed columns that can be computed from earlier ones, or are zero: those that R drops.

    Returns
    -------
    design : Design
        With the other columns, whose terms know their new places.
    kept : ndarray of int
        Which columns these are.
    """
    mean = design.mean
    counts = np.count_nonzero(mean.X, axis=0)
    dependent = {column for column, _ in _dependent_columns(mean.X, _informed(mean), centred=mean.has_intercept)}
    kept = np.array([j for j in range(len(counts)) if counts[j] and j not in dependent], dtype=np.int64)
    if len(kept) == len(counts):
        return design, kept
    terms, first = [], 0
    for term in mean.fixed:
        columns = tuple(
            label for place, label in enumerate(term.columns, term.start) if counts[place] and place not in dependent
        )
        terms.append(replace(term, columns=columns, start=first, stop=first + len(columns)))
        first += len(columns)
    return replace_mean(design, X=mean.X[:, kept], fixed=tuple(terms)), kept


def null_vectors(X: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return for each column that is not kept the combination of columns with it that is zero in every row.

    Parameters
    ----------
    X : ndarray of float, shape (n, p)
    kept : ndarray of int
        Columns that no combination of them makes zero.

    Returns
    -------
    tuple of ndarray of float, shape (p,)
        One at the dropped column.
    """
    lengths = np.where(X.any(axis=0), np.linalg.norm(X, axis=0), 1.0)
    scaled, vectors = X / lengths, []
    for column in np.setdiff1d(np.arange(X.shape[1]), kept):
        weights = np.linalg.lstsq(scaled[:, kept], scaled[:, column], rcond=None)[0]
        vector = np.zeros(X.shape[1])
        vector[kept] = np.where(np.abs(weights) > COLLINEAR, -weights, 0.0) / lengths[kept] * lengths[column]
        vector[column] = 1.0
        vectors.append(vector)
    return tuple(vectors)


def _disjoint(X: np.ndarray) -> bool:
    """Whether each row has at most one entry, as with 0 + a:b: then no column depends on others."""
    blocks = range(0, len(X), _ROWS_AT_ONCE)
    return all((np.count_nonzero(X[start : start + _ROWS_AT_ONCE], axis=1) <= 1).all() for start in blocks)


def _dependent_columns(X: np.ndarray, used: list[int], *, centred: bool) -> Iterator[tuple[int, list[int]]]:
    """Yield each column that is a combination of earlier ones, with those; of several, as in R, the last one.

    A Cholesky factor of the scaled Gram matrix grows by a row for each independent column. Its precision is half that
    of X, so that a suspect is checked on the columns themselves.
    """
    from scipy.linalg import solve_triangular

    centre = X.mean(axis=0) if centred else np.zeros(X.shape[1])
    gram = _scaled_gram(X, used, centre)
    factor = np.zeros_like(gram)
    basis: list[int] = []  # positions in `used`
    for j, column in enumerate(used):
        known = factor[: len(basis), : len(basis)]
        head = solve_triangular(known, gram[basis, j], lower=True) if basis else np.empty(0)
        rest = gram[j, j] - head @ head
        if rest < SUSPECT:
            weights = solve_triangular(known.T, head) if basis else np.empty(0)
            others = [used[basis[i]] for i in np.flatnonzero(np.abs(weights) > np.sqrt(SUSPECT))]
            if _is_combination(X, centre, column, others):
                yield column, others
                continue
        factor[len(basis), : len(basis)] = head
        factor[len(basis), len(basis)] = np.sqrt(max(rest, SUSPECT**2))
        basis.append(j)


def _scaled_gram(X: np.ndarray, used: list[int], centre: np.ndarray) -> np.ndarray:
    """Return the inner products of the centred columns at unit length; zeros for a constant one."""
    gram = np.zeros((len(used), len(used)))
    for start in range(0, len(X), _ROWS_AT_ONCE):
        rows = X[start : start + _ROWS_AT_ONCE, used] - centre[used]
        gram += rows.T @ rows
    norms = np.sqrt(np.diag(gram))
    norms[norms == 0] = 1
    return np.asarray(gram / np.outer(norms, norms))


def _is_combination(X: np.ndarray, centre: np.ndarray, column: int, others: list[int]) -> bool:
    """Whether least squares leaves nothing of the column."""
    target = X[:, column] - centre[column]
    if not others:
        return bool(np.abs(target).max() <= COLLINEAR * np.abs(X[:, column]).max())
    known = X[:, others] - centre[others]
    scales = np.linalg.norm(known, axis=0)
    weights = np.linalg.lstsq(known / scales, target, rcond=None)[0]
    return bool(np.linalg.norm(target - known / scales @ weights) <= COLLINEAR * np.linalg.norm(target))


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
    support : {"real", "binary", "count", "proportion", "ordinal", "levels", "other"}
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
    if not (sides.low | sides.high).any():  # every row has successes and failures: nothing can be separated
        return
    single = [finding for term in design.mean.fixed for finding in _term(term, design, sides)]
    yield from single or _combination(design, sides)
    if support == "binary":
        yield from (finding for block in design.mean.factors for finding in _pure_levels(block, design))


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
        for label, values in zip(term.columns, design.mean.X[:, term.start : term.stop].T, strict=True):
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
    if not design.mean.has_intercept or np.ptp(values) == 0:
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
    used = [j for j in range(design.mean.X.shape[1]) if design.mean.X[:, j].any()]
    if not used or len(design.mean.X) * len(used) > LARGEST_PROGRAM:
        return
    direction = _separating(design.mean.X[:, used], sides)
    if direction is None:
        return
    labels = design.mean.columns
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
    if not one_sided.any():  # no row can be told apart from its neighbours: all lie between, or have no trial
        return None
    signed = np.where(sides.high, 1.0, -1.0)[one_sided, None] * scaled[one_sided]
    fixed = np.unique(scaled[~one_sided], axis=0)
    solution = linprog(
        -signed.sum(axis=0),
        A_ub=-signed,
        b_ub=np.zeros(len(signed)),
        A_eq=fixed if len(fixed) else None,
        b_eq=np.zeros(len(fixed)) if len(fixed) else None,
        bounds=[(-1, 1)] * X.shape[1],
        method="highs",
    )
    if solution.status != 0 or (signed @ solution.x).max() <= CERTAIN:
        return None
    return np.asarray(solution.x)


def _pure_levels(block: GroupBlock, design: Design) -> Iterator[Finding]:
    """Look for a grouping factor whose every level has only 0 or only 1."""
    if "1" not in block.columns or block.shares is not None or len(block.levels) == len(block.codes):
        return  # a level per row has its own finding
    rows = np.bincount(block.codes, minlength=len(block.levels))
    ones = np.bincount(block.codes, weights=design.response, minlength=len(block.levels))
    if ((ones == 0) | (ones == rows)).all():
        yield Finding(
            "separation_by_group",
            f"Each level of '{block.group}' has only 0 or only 1 in '{design.response_name}'.",
            "The likelihood rises without end with the SD of its intercepts, so that only its prior keeps it finite; "
            "lme4 ends anywhere.",
            f"Leave (1 | {block.group}) out and fit one row for each level, or choose that SD's prior with care, "
            f"priors={{'{block.sds[block.columns.index('1')]}': ...}}.",
        )
