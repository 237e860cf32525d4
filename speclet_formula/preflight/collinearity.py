"""The fixed columns go in; those that can be computed from earlier ones come out, or a design without them."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from speclet_formula.design import Design
from speclet_formula.design.merged import row_count
from speclet_formula.formula.terms import columns_of
from speclet_formula.preflight.records import Finding, listed

MOST_COLUMNS = 1000  # collinearity is looked for up to here: the work grows with the cube
SUSPECT = 1e-9  # squared distance of a scaled column from the others' span, at the Gram matrix' precision
COLLINEAR = 1e-7  # the same distance, not squared, as computed from the column itself
NEARLY = 1e-12  # eigenvalue of the scaled Gram matrix below which doubles leave a solution few digits
_SHOWN = 3  # dependent columns that a sentence names
_ROWS_AT_ONCE = 16_384


def collinear_columns(design: Design) -> Iterator[Finding]:
    """Look for fixed columns that are combinations of others.

    Parameters
    ----------
    design : Design

    Yields
    ------
    Finding
        One for all such columns; without any, one for products and powers so far from zero that they nearly are such.
    """
    counts = np.count_nonzero(design.X, axis=0)
    intercept = any(term.kind == "intercept" for term in design.fixed)
    labels = [column for term in design.fixed for column in term.columns]
    used = [
        j for j in _scanned(design) if j >= int(intercept) and counts[j]
    ]  # zero columns are reported as empty cells
    if len(used) > MOST_COLUMNS or len(used) >= row_count(design) or _disjoint(design.X):
        return
    found = []
    for column, others in _dependent_columns(design.X, used, centred=intercept):
        sources = [listed([labels[other] for other in others])] if others else []
        found.append(f"'{labels[column]}' from {' and '.join([*sources, *(['the intercept'] if intercept else [])])}")
    if found:
        shown = "; ".join(found[:_SHOWN]) + (f"; and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else "")
        yield Finding(
            "collinear",
            f"Fixed columns can be computed from other ones: {shown}.",
            "The data cannot tell their coefficients apart: the priors split them, and what no row shows, such as the "
            "mean of an empty cell, is the priors' alone. By REML, ML and Laplace the first-named is dropped, as in R.",
            "Leave the first-named column out, or the others.",
        )
    elif (far := _multiplied_numbers(design)) and np.linalg.eigvalsh(
        _scaled_gram(design.X, used, design.X.mean(axis=0) if intercept else np.zeros(len(labels)))
    )[0] < NEARLY:
        yield Finding(
            "nearly_collinear",
            f"So far from zero, products or powers of {listed(far)} are nearly sums of the other fixed columns.",
            "Doubles cannot tell them apart: coefficients, and what is made of them, have few right digits or none.",
            f"Centre them: write {' and '.join(f'center({own})' for own in far[:_SHOWN])} wherever they stand.",
        )


def _multiplied_numbers(design: Design) -> list[str]:
    """Return the numeric columns that several fixed terms use."""
    used = [name for term in design.formula.terms for name in columns_of(term)]
    numeric = (name for name in dict.fromkeys(used) if used.count(name) > 1 and name in design.frame.columns)
    return [name for name in numeric if design.frame[name].dtype.kind in "iuf"]


def _scanned(design: Design) -> list[int]:
    """Return the columns in R's order, which decides what is dropped: an interaction's first factor goes fastest."""
    order: list[int] = []
    for term in design.fixed:
        parts = [label.split("]:") for label in term.columns]
        depth = max(map(len, parts), default=0)
        seen: list[dict[str, int]] = [{} for _ in range(depth)]
        keys = []
        for split in parts:
            places = [one.setdefault(name, len(one)) for one, name in zip(seen, split, strict=False)]
            keys.append(tuple(reversed(places)))
        order += [term.start + place for place in sorted(range(len(keys)), key=keys.__getitem__)]
    return order


def without_dependent(design: Design) -> tuple[Design, np.ndarray]:
    """Leave out the fixed columns that can be computed from earlier ones, or are zero: those that R drops.

    Parameters
    ----------
    design : Design

    Returns
    -------
    design : Design
        With the other columns, whose terms know their new places.
    kept : ndarray of int
        Which columns these are.
    """
    counts = np.count_nonzero(design.X, axis=0)
    intercept = any(term.kind == "intercept" for term in design.fixed)
    used = [j for j in _scanned(design) if j >= int(intercept) and counts[j]]
    dependent = {column for column, _ in _dependent_columns(design.X, used, centred=intercept)}
    kept = np.array([j for j in range(len(counts)) if counts[j] and j not in dependent], dtype=np.int64)
    if len(kept) == len(counts):
        return design, kept
    terms, first = [], 0
    for term in design.fixed:
        columns = tuple(
            label for place, label in enumerate(term.columns, term.start) if counts[place] and place not in dependent
        )
        terms.append(replace(term, columns=columns, start=first, stop=first + len(columns)))
        first += len(columns)
    return replace(design, X=design.X[:, kept], fixed=tuple(terms)), kept


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
    scaled, found = X / lengths, []
    for column in np.setdiff1d(np.arange(X.shape[1]), kept):
        weights = np.linalg.lstsq(scaled[:, kept], scaled[:, column], rcond=None)[0]
        vector = np.zeros(X.shape[1])
        vector[kept] = np.where(np.abs(weights) > COLLINEAR, -weights, 0.0) / lengths[kept] * lengths[column]
        vector[column] = 1.0
        found.append(vector)
    return tuple(found)


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
