"""What the fixed terms of a design are tested for: hypotheses of type I, II and III, and of leaving a term out.

A hypothesis is a matrix L (rows, p), whose products with the coefficients are zero where it holds. Each is the same
under every coding of factors, and as lmerTest has it, Kuznetsova, Brockhoff and Christensen (2017),
doi:10.18637/jss.v082.i13.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg

from speclet_formula.design.design import CodedFactor, Design, FixedTerm
from speclet_formula.design.evaluation import Scope
from speclet_formula.design.fixed import TermFactor, replayed_values
from speclet_formula.formula.terms import Name, Operation

TRUTHS = ("<", ">", "<=", ">=", "==", "!=", "&", "|", "!")
NEGLIGIBLE = 1e-8  # entries of contrasts that are rounding
_DEPENDENT = 1e-7  # of a column's length: what is left of one that others make up


@dataclass(frozen=True, eq=False)
class _Tested:
    """A term: its place in X, and the factors that it is made of."""

    record: FixedTerm
    coded: tuple[CodedFactor, ...]
    truths: frozenset[TermFactor]  # those that are true or false: factors of two levels, as in R

    @property
    def factors(self) -> frozenset[TermFactor]:
        return frozenset(coded.factor for coded in self.coded)

    @property
    def numbers(self) -> frozenset[TermFactor]:
        return frozenset(coded.factor for coded in self.coded if coded.levels is None) - self.truths

    def contains(self, other: "_Tested") -> bool:
        """Tell whether another term is part of this one: A of A:B, but not of A:x, whose slopes are of x."""
        return other.factors < self.factors and other.numbers == self.numbers


@dataclass(frozen=True, eq=False)
class _Plain:
    """The fixed columns as if no factor had a coding: all levels but the first, or all; p of them are independent."""

    terms: tuple[_Tested, ...]
    X: np.ndarray  # (n, p)
    owners: np.ndarray  # (p,) the term of each column, -1 for the intercept
    every: np.ndarray  # (n, all) columns of all levels of all terms
    places: np.ndarray  # (p,) where each column of X is among these
    mapped: np.ndarray  # (p, columns) X's own coefficients as sums of the design's

    def of(self, term: int) -> np.ndarray:
        """Return the columns of a term."""
        return np.flatnonzero(self.owners == term)

    def larger(self, term: int) -> list[int]:
        """Return the terms that a term is part of."""
        return [place for place, other in enumerate(self.terms) if other.contains(self.terms[term])]

    def hypotheses(self, rows: Callable[[int], np.ndarray]) -> dict[str, np.ndarray]:
        """Return each term's hypothesis, of the design's coefficients; `rows` gives those of X's."""
        return {term.record.name: rows(place) @ self.mapped for place, term in enumerate(self.terms)}


def sequential(design: Design, kept: np.ndarray) -> dict[str, np.ndarray]:
    """Return the hypothesis of each term that it adds nothing to those before it: type I.

    Parameters
    ----------
    design : Design
    kept : ndarray of int
        The columns of X that were not dropped.

    Returns
    -------
    dict of str to ndarray of float, shape (rows, columns of X)
        By the term's name; none of the intercept.
    """
    plain = _plain(design, kept)
    L = _eliminated(design, plain.X)
    return plain.hypotheses(lambda term: L[plain.of(term)])


def partial(design: Design, kept: np.ndarray) -> dict[str, np.ndarray]:
    """Return the hypothesis of each term that it adds nothing to all others that it is no part of: type II.

    Parameters and returns as `sequential`.
    """
    plain = _plain(design, kept)

    def rows(term: int) -> np.ndarray:
        larger = plain.larger(term)
        if not larger:
            return np.asarray(np.eye(plain.X.shape[1])[plain.of(term)])
        last = np.concatenate([plain.of(one) for one in (term, *larger)])
        order = np.concatenate([np.setdiff1d(np.arange(plain.X.shape[1]), last), last])
        L = np.zeros((len(order), len(order)))
        L[np.ix_(order, order)] = _eliminated(design, plain.X[:, order])
        return np.asarray(L[plain.of(term)])

    return plain.hypotheses(rows)


def marginal(design: Design, kept: np.ndarray) -> dict[str, np.ndarray]:
    """Return the hypothesis of each term that it is zero on average over the levels of the factors it meets: type III.

    Parameters and returns as `sequential`. Numbers that it meets are taken at zero.
    """
    plain = _plain(design, kept)
    if len(plain.terms) < 2:  # noqa: PLR2004 - there is nothing to average over
        return sequential(design, kept)
    # What each column of all levels is made of: rows of general estimable functions.
    estimable = _solved(plain.X, plain.every).T
    for term in sorted(range(len(plain.terms)), key=lambda one: -len(plain.terms[one].coded)):
        own, beside = plain.of(term), np.flatnonzero(np.isin(plain.owners, plain.larger(term)))
        if len(beside):
            x, y = estimable[:, beside], estimable[:, own]
            estimable[:, own] = y - x @ _solved(x, y, _DEPENDENT)
    estimable[np.abs(estimable) < NEGLIGIBLE] = 0.0
    L = estimable[plain.places].T
    return plain.hypotheses(lambda term: L[[row for row in plain.of(term) if np.abs(L[row]).sum() > NEGLIGIBLE]])


def deletions(design: Design, kept: np.ndarray) -> dict[str, np.ndarray]:
    """Return the hypothesis of each term that is no part of another, that its coefficients are zero: R's `drop1`.

    Parameters and returns as `sequential`.
    """
    plain = _plain(design, kept)
    unit = np.eye(plain.X.shape[1])
    found = plain.hypotheses(lambda term: unit[plain.of(term)])
    parts = [one for one in plain.terms if any(one.factors < other.factors for other in plain.terms)]
    return {name: L for name, L in found.items() if name not in {one.record.name for one in parts}}


def _solved(left: np.ndarray, right: np.ndarray, least: float | None = None) -> np.ndarray:
    """Return the least-squares solution."""
    return np.asarray(linalg.lstsq(left, right, cond=least, lapack_driver="gelsy", check_finite=False)[0])


def _eliminated(design: Design, X: np.ndarray) -> np.ndarray:
    """Return what each column adds to those before it, (p, p): the rows of R in X = QR."""
    rows = X if design.merged is None else X * np.sqrt(design.merged.rows)[:, None]
    upper = np.linalg.qr(rows, mode="r")
    return np.asarray(upper / np.diagonal(upper)[:, None])


def _terms(design: Design) -> tuple[_Tested, ...]:
    """Return the fixed terms but the intercept, with the factors that they are made of."""
    part = design.mean.recipe.fixed
    records = design.mean.fixed[len(design.mean.fixed) - len(part.coded) :]
    truths = frozenset(one.factor for coded in part.coded for one in coded if _is_truth(one.factor, design))
    return tuple(_Tested(record, coded, truths) for record, coded in zip(records, part.coded, strict=True))


def _is_truth(factor: TermFactor, design: Design) -> bool:
    """Tell whether the values of a factor are true or false: a column of such, or I(k > 1)."""
    if isinstance(factor, Name):
        return bool(design.frame[factor.name].dtype == bool)
    value = factor.arguments[0].value if factor.function == "I" else None
    return isinstance(value, Operation) and value.operator in TRUTHS


def _plain(design: Design, kept: np.ndarray) -> _Plain:
    """Make the columns without regard to codings."""
    recipe, terms = design.mean.recipe, _terms(design)
    scope = Scope(design.frame, recipe.memory, recipe.functions)
    coded = {one.factor: one for term in terms for one in term.coded}
    values = {factor: replayed_values(one, scope) for factor, one in coded.items()}
    # Of ordered levels the thresholds stand for the intercept.
    ones = [np.ones((len(design.frame), 1))] if design.mean.has_intercept or design.thresholds else []
    columns, every, places, start = list(ones), list(ones), [np.arange(len(ones))], len(ones)
    for term in terms:
        whole, chosen = np.ones((len(design.frame), 1)), np.ones(1, dtype=bool)
        for one in term.coded:
            own, used = _levels(one, values, truth=one.factor in term.truths)
            whole = (whole[:, :, None] * own[:, None, :]).reshape(len(whole), -1)
            chosen = (chosen[:, None] & used).ravel()
        columns.append(whole[:, chosen])
        every.append(whole)
        places.append(start + np.flatnonzero(chosen))
        start += whole.shape[1]
    none = np.zeros((len(design.frame), 0))
    X, owners = np.hstack([none, *columns]), np.repeat([-1, *range(len(terms))], [len(ones), *map(_width, terms)])
    independent = _independent(X)
    X = X[:, independent]
    mapped = np.zeros((X.shape[1], design.mean.X.shape[1]))
    mapped[:, kept] = _solved(X, design.mean.X[:, kept]) if len(kept) else 0.0
    mapped[np.abs(mapped) < NEGLIGIBLE] = 0.0
    return _Plain(terms, X, owners[independent], np.hstack([none, *every]), np.concatenate(places)[independent], mapped)


def _width(term: _Tested) -> int:
    return term.record.stop - term.record.start


def _levels(coded: CodedFactor, values: Mapping[TermFactor, object], *, truth: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a column for each level of a factor, or its numbers, and which of them stand for it in the term."""
    own = values[coded.factor]
    if coded.levels is None or not isinstance(own, pd.Categorical):
        numbers = np.asarray(own, dtype=float).reshape(len(np.asarray(own)), -1)
        if truth:
            return np.hstack([1 - numbers, numbers]), np.array([False, True])
        return numbers, np.ones(numbers.shape[1], dtype=bool)
    used = np.ones(len(coded.levels), dtype=bool)
    used[0] = coded.full
    return np.eye(len(coded.levels))[own.codes], used


def _independent(X: np.ndarray) -> np.ndarray:
    """Return the columns that earlier ones do not make up."""
    lengths = np.linalg.norm(X, axis=0)
    scaled = X / np.where(lengths > 0, lengths, 1.0)
    upper = np.linalg.qr(scaled, mode="r")
    if (np.abs(np.diagonal(upper)) > _DEPENDENT).all():
        return np.arange(X.shape[1])
    kept: list[int] = []
    basis = np.zeros((len(X), 0))
    for column in range(X.shape[1]):
        left = scaled[:, column] - basis @ (basis.T @ scaled[:, column])
        left -= basis @ (basis.T @ left)
        if np.linalg.norm(left) > _DEPENDENT:
            kept.append(column)
            basis = np.column_stack([basis, left / np.linalg.norm(left)])
    return np.array(kept, dtype=np.int64)
