"""Matrices that say how the levels of a grouping factor vary together: kinship, phylogeny, neighbours; pedigrees.

A covariance A, or a precision Q = A^-1, which may be sparse, with the labels of its rows. Effects of k columns with the
covariance S then have kron(A, S) over all levels. What engines need is Q entry by entry, log|Q| and a root for draws;
all of it is computed once for a matrix, in the order of its own labels.
"""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import linalg, sparse
from scipy.sparse import linalg as sparse_linalg

from speclet_formula.common.table import Worded
from speclet_formula.design.transforms import label_of
from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.formula.terms import GivenMatrix

ASYMMETRIC = 1e-8  # of the largest entry: as numbers that were read from a file may differ
SINGULAR = 1e-10  # of its own diagonal entry: what is left of a level's variance once the others are known
DENSE_SHARE = 0.2  # of entries that are not zero, from which on a whole matrix is as quick to factor
AT_ONCE = 500  # columns of a root
MOST_WHOLE = 6_000  # rows of a covariance, whose inverse takes 300 MB
_ALLOWED = "A matrix of levels is square, symmetric and positive definite, and each of its rows has a label."


@dataclass(frozen=True, eq=False)
class LevelMatrix(Worded):
    """A matrix of the levels of a grouping factor, with labels: for `matrices=` of `Model`.

    Parameters
    ----------
    matrix : array or scipy sparse matrix of shape (q, q)
        A covariance or a precision; the formula says which: ``gr(line, cov = A)``, ``gr(line, precision = Q)``.
    labels : sequence
        The level of each row, and of each column. Levels of the data are found by their labels; the order is free.
    role : {"cov", "precision"}, optional
        Which of the two it is, so that a formula cannot take it for the other.

    Raises
    ------
    DataError
        It is not square, not symmetric, not finite, or the labels are not as many as its rows, or not distinct.
        Whether it is positive definite is seen when a model takes it.

    Examples
    --------
    >>> import numpy as np
    >>> import speclet_formula as sf
    >>> sf.LevelMatrix(np.array([[1.0, 0.5], [0.5, 1.0]]), ["parent", "child"])
    LevelMatrix of 2 levels: parent, child
    """

    matrix: Any
    labels: Sequence[Hashable]
    role: Literal["cov", "precision"] | None = None
    _analysed: dict[str, "Analysed"] = field(default_factory=dict, repr=False)  # by what the formula says it is

    def __post_init__(self) -> None:
        matrix = _checked(self.matrix)
        labels = tuple(label_of(label) for label in self.labels)
        _check_labels(labels, matrix.shape[0])
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "labels", labels)

    def __repr__(self) -> str:
        return f"LevelMatrix of {len(self.labels):,} levels: {listed([str(one) for one in self.labels], 5)}"

    @cached_property
    def digest(self) -> str:
        """A digest of its labels and entries, by which equal ones are known."""
        entries = sparse.coo_array(self.matrix)
        parts = (entries.row.astype(np.int64), entries.col.astype(np.int64), entries.data)
        known = hashlib.sha256(repr(self.labels).encode())
        for part in parts:
            known.update(np.ascontiguousarray(part).tobytes())
        return known.hexdigest()

    def analysed(self, given: GivenMatrix) -> "Analysed":
        """Return what it comes to as a covariance, or as a precision.

        Raises
        ------
        DataError
            It is the other of the two, not positive definite, or a covariance of too many levels.
        """
        if self.role not in (None, given.argument):
            word = {"cov": "a covariance", "precision": "a precision, the inverse of a covariance"}[str(self.role)]
            raise DataError(
                f"the matrix '{given.name}' is {word}, and gr() takes it for the other.",
                "cov = A is a covariance of the levels, precision = Q its inverse.",
                f"Write {self.role} = {given.name}.",
            )
        if given.argument not in self._analysed:
            analyse = _covariance if given.argument == "cov" else _precision
            self._analysed[given.argument] = analyse(self.matrix, f"the matrix '{given.name}'")
        return self._analysed[given.argument]


@dataclass(frozen=True, eq=False)
class SparseRoot:
    """C of a sparse Q = C C' in an order of its rows."""

    lower: Any  # (q, q) scipy CSC
    order: np.ndarray  # (q,)

    @property
    def log_determinant(self) -> float:
        """log|Q|."""
        return float(2 * np.log(self.lower.diagonal()).sum())

    def drawn(self, standard: np.ndarray) -> np.ndarray:
        """Return C'^-1 times independent standard numbers (q, k), in the rows' own order."""
        solved = np.empty_like(standard)
        solved[self.order] = sparse_linalg.spsolve_triangular(self.lower.T.tocsr(), standard, lower=False)
        return solved


@dataclass(frozen=True, eq=False)
class Analysed:
    """What a matrix comes to, in the order of its labels."""

    upper: tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, columns and entries of Q, those of the upper triangle
    log_determinant: float  # log|Q|
    root: Any  # (q, q) R of A = R R'; None where Q is sparse
    sparse_root: SparseRoot | None

    def drawn(self, standard: np.ndarray) -> np.ndarray:
        """Return effects with the covariance A, made of independent standard numbers (q, k)."""
        if self.sparse_root is not None:
            return self.sparse_root.drawn(standard)
        return np.asarray(self.root @ standard)


@dataclass(frozen=True, eq=False)
class LevelRelation:
    """A matrix in the order of a block's levels. q levels."""

    given: GivenMatrix
    matrix: LevelMatrix
    places: np.ndarray  # (q,) where each level stands among the labels

    @property
    def _analysed(self) -> Analysed:
        return self.matrix.analysed(self.given)

    @property
    def log_determinant(self) -> float:
        """log|Q|."""
        return self._analysed.log_determinant

    @cached_property
    def upper(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and entries of Q between the block's levels, each two of them once."""
        rows, columns, values = self._analysed.upper
        level = np.empty(len(self.places), dtype=np.int64)
        level[self.places] = np.arange(len(self.places))
        first, second = level[rows], level[columns]
        return np.minimum(first, second), np.maximum(first, second), values

    @cached_property
    def precision(self) -> Any:
        """(q, q) scipy CSR, Q between the block's levels."""
        rows, columns, values = self.upper
        apart = rows != columns
        both = np.concatenate([rows, columns[apart]]), np.concatenate([columns, rows[apart]])
        return sparse.csr_array((np.concatenate([values, values[apart]]), both), shape=(len(self.places),) * 2)

    @cached_property
    def variances(self) -> np.ndarray:
        """(q,) the diagonal of A."""
        total, q = np.zeros(len(self.places)), len(self.places)
        for start in range(0, q, AT_ONCE):
            units = np.eye(q, min(AT_ONCE, q - start), -start)
            total += (self._analysed.drawn(units) ** 2).sum(axis=1)
        return np.asarray(total[self.places])

    def drawn(self, standard: np.ndarray) -> np.ndarray:
        """Return effects (..., q, k) with the covariance A over the levels, made of independent standard numbers."""
        own = np.empty((len(self.places), standard.size // len(self.places)))
        own[self.places] = np.moveaxis(standard, -2, 0).reshape(len(own), -1)
        drawn = self._analysed.drawn(own)[self.places]
        return np.asarray(np.moveaxis(drawn.reshape(len(own), *np.delete(standard.shape, -2)), 0, -2))

    def mean_squares(self, effects: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Return the mean squares and products (k, k) of effects (p, k), as if their levels (p,) were independent.

        Those of some levels have a precision of their own, as all others are where these make them likeliest.
        """
        whole, others = (
            np.zeros((len(self.places), effects.shape[1])),
            np.setdiff1d(np.arange(len(self.places)), levels),
        )
        whole[levels] = effects
        if len(others):
            unknown = self.precision[others]
            factor = sparse_linalg.splu(unknown[:, others].tocsc())
            whole[others] = -factor.solve(np.asarray(unknown[:, levels] @ effects))
        return np.asarray(whole.T @ (self.precision @ whole) / len(effects))


def given_matrices(matrices: Any) -> dict[str, LevelMatrix]:
    """Read what `matrices=` hands over, by name.

    Raises
    ------
    DataError
        One is not a LevelMatrix, nor a table whose index and columns are the same labels.
    """
    if matrices is None:
        return {}
    if not isinstance(matrices, Mapping):
        raise DataError(
            f"matrices= is a {type(matrices).__name__}.",
            "It hands matrices over by the names that the formula has for them.",
            "Write matrices={'A': A} for gr(line, cov = A).",
        )
    read = {}
    for name, given in matrices.items():
        try:
            read[str(name)] = _read(str(name), given)
        except DataError as error:
            problem = error.problem.replace("the matrix ", f"the matrix '{name}' ", 1)
            raise DataError(problem, error.allowed, error.remedy) from error
    return read


def _read(name: str, given: Any) -> LevelMatrix:
    """Read one matrix."""
    if isinstance(given, LevelMatrix):
        return given
    if isinstance(given, tuple) and len(given) == 2:  # noqa: PLR2004 - a matrix and its labels
        return LevelMatrix(*given)
    if not isinstance(given, pd.DataFrame):
        raise DataError(
            f"the matrix is a {type(given).__name__} without labels.",
            _ALLOWED,
            f"Write matrices={{'{name}': sf.LevelMatrix({name}, labels)}}, or hand over a DataFrame whose index and "
            "columns are the levels.",
        )
    rows, columns = ([label_of(label) for label in axis] for axis in (given.index, given.columns))
    _check_labels(rows, len(rows))
    if sorted(rows) != sorted(columns):
        stray = next(iter([*(one for one in columns if one not in set(rows)), *rows]))
        raise DataError(
            f"the matrix has other labels in its columns than in its index, such as '{stray}'.",
            _ALLOWED,
            f"Write {name}.index = {name}.columns if only the labels of the rows are missing.",
        )
    place = {label: k for k, label in enumerate(columns)}
    return LevelMatrix(given.to_numpy()[:, [place[label] for label in rows]], rows)


def _checked(matrix: Any) -> Any:
    """Return a matrix as numbers, symmetric to the last digit: CSC where it is sparse, else whole."""
    is_sparse = sparse.issparse(matrix)
    shape = np.shape(matrix)
    if len(shape) != 2 or shape[0] != shape[1] or not shape[0]:  # noqa: PLR2004
        raise DataError(f"the matrix has the shape {shape}.", _ALLOWED, "Give it a row and a column for each level.")
    try:
        numbers = sparse.csc_array(matrix, dtype=float) if is_sparse else np.array(matrix, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"the matrix does not hold numbers: {error}.", _ALLOWED, "Convert its columns.") from error
    entries = numbers.data if is_sparse else numbers
    if not np.isfinite(entries).all():
        raise DataError("the matrix holds a number that is missing or infinite.", _ALLOWED, "Fill it in before.")
    apart, largest = abs(numbers - numbers.T).max(), np.abs(entries).max(initial=0.0)
    if apart > ASYMMETRIC * largest:
        problem = f"the matrix is not symmetric: two entries that mirror each other differ by {apart:.3g}."
        raise DataError(problem, _ALLOWED, "Write (A + A.T) / 2 if they differ by rounding alone.")
    return (numbers + numbers.T) / 2


def _check_labels(labels: Sequence[str], count: int) -> None:
    if len(labels) != count:
        problem = f"the matrix has {count:,} rows and {len(labels):,} labels."
        raise DataError(problem, _ALLOWED, "Give a label for each row, in their order.")
    seen = set[str]()
    for label in labels:
        if label in seen:
            raise DataError(f"the matrix has two rows with the label '{label}'.", _ALLOWED, "Keep one of them.")
        seen.add(label)


def _covariance(matrix: Any, called: str) -> Analysed:
    """Analyse A = R R'."""
    q = matrix.shape[0]
    if q > MOST_WHOLE:
        raise DataError(
            f"{called} is a covariance of {q:,} levels, whose inverse would fill the memory.",
            f"A covariance has up to {MOST_WHOLE:,} levels; a sparse precision may have many more.",
            "Hand over its inverse, sparse, and write gr(g, precision = Q).",
        )
    root = _cholesky(matrix.toarray() if sparse.issparse(matrix) else matrix, called)
    precision = linalg.cho_solve((root, True), np.eye(q), check_finite=False)
    return Analysed(_upper(precision, clean=True), -_log_determinant(root), root, None)


def _precision(matrix: Any, called: str) -> Analysed:
    """Analyse Q = C C'."""
    if not sparse.issparse(matrix) or matrix.nnz > DENSE_SHARE * matrix.shape[0] ** 2:
        whole = matrix.toarray() if sparse.issparse(matrix) else matrix
        lower = _cholesky(whole, called)
        root = linalg.solve_triangular(lower, np.eye(len(lower)), lower=True, trans="T", check_finite=False)
        return Analysed(_upper(whole), _log_determinant(lower), root, None)
    found = _sparse_cholesky(matrix, called)
    return Analysed(_upper(matrix), found.log_determinant, None, found)


def _cholesky(matrix: np.ndarray, called: str) -> np.ndarray:
    """Factor a whole matrix; refuse what is not positive definite to working precision."""
    try:
        lower = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise _not_positive(matrix, called) from None
    if (np.diagonal(lower) ** 2 < SINGULAR * np.diagonal(matrix)).any():
        raise _not_positive(matrix, called)
    return np.asarray(lower)


def _sparse_cholesky(matrix: Any, called: str) -> SparseRoot:
    """Factor a sparse matrix in an order that fills little in."""
    diagonal = matrix.diagonal()
    if not (diagonal > 0).all():
        raise _not_positive(matrix, called)
    options = {"SymmetricMode": True}
    try:
        found = sparse_linalg.splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    except RuntimeError:  # a pivot that is zero to the last digit
        raise _not_positive(matrix, called) from None
    pivots, order = found.U.diagonal(), np.argsort(found.perm_c)
    if not (found.perm_r == found.perm_c).all() or (pivots < SINGULAR * diagonal[order]).any():
        raise _not_positive(matrix, called)
    lower = found.L @ sparse.dia_array((np.sqrt(pivots)[None], [0]), shape=matrix.shape)
    return SparseRoot(sparse.csc_array(lower), order)


def _not_positive(matrix: Any, called: str) -> DataError:
    """Word the error of a matrix that is not positive definite, by its smallest eigenvalue."""
    if sparse.issparse(matrix) and matrix.shape[0] > MOST_WHOLE:
        ends = [float(sparse_linalg.eigsh(matrix, 1, which=which)[0][0]) for which in ("SA", "LA")]
    else:
        values = np.linalg.eigvalsh(matrix.toarray() if sparse.issparse(matrix) else matrix)
        ends = [float(values[0]), float(values[-1])]
    return DataError(
        f"{called} is not positive definite: its smallest eigenvalue is {ends[0]:.3g}, the largest {ends[1]:.3g}.",
        _ALLOWED,
        "Keep one of two levels that are the same (twins, clones), or add a little to the diagonal: A + 0.01 I.",
    )


def _log_determinant(lower: np.ndarray) -> float:
    return float(2 * np.log(np.diagonal(lower)).sum())


def _upper(matrix: Any, *, clean: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the entries of the upper triangle that are not zero, the whole diagonal among them.

    `clean` leaves out what an inverse holds for zeros: numbers no larger than its rounding.
    """
    if not sparse.issparse(matrix):
        scale = np.sqrt(np.diagonal(matrix))
        least = len(scale) * np.finfo(float).eps * np.outer(scale, scale) if clean else 0.0
        matrix = np.where(np.abs(matrix) > least, matrix, 0.0)
    entries = sparse.triu(sparse.coo_array(matrix), 1).tocoo()
    kept = entries.data != 0
    every = np.arange(matrix.shape[0])
    return (
        np.concatenate([every, entries.row[kept]]),
        np.concatenate([every, entries.col[kept]]),
        np.concatenate([np.asarray(matrix.diagonal()), entries.data[kept]]),
    )


def relation_of(
    given: GivenMatrix, group: str, levels: Sequence[str], matrices: Mapping[str, LevelMatrix]
) -> tuple[LevelRelation, tuple[str, ...]]:
    """Find a term's matrix and its levels: those of the data, then those that the matrix alone has.

    Raises
    ------
    DataError
        There is no such matrix, it is not positive definite, or it lacks a level of the data.
    """
    if given.name not in matrices:
        near = nearest(given.name, matrices)
        remedy = f"Nearest: '{near}'." if near else f"Write matrices={{'{given.name}': {given.name}}}."
        allowed = f"Matrices that were: {listed(matrices) or 'none'}."
        raise DataError(f"no matrix '{given.name}' was handed over, which gr({group}) names.", allowed, remedy)
    matrix = matrices[given.name]
    matrix.analysed(given)  # which tells whether it can be a covariance
    place = {str(label): k for k, label in enumerate(matrix.labels)}
    check_has_levels(given, group, levels, place)
    observed = set(levels)
    ordered = (*levels, *(label for label in place if label not in observed))
    return LevelRelation(given, matrix, np.array([place[level] for level in ordered])), ordered


def check_has_levels(given: GivenMatrix, group: str, levels: Sequence[str], known: Mapping[str, Any]) -> None:
    """Raise a DataError that names the levels of data that a matrix lacks."""
    lacking = [level for level in levels if level not in known]
    if lacking:
        near = nearest(lacking[0], known)
        raise DataError(
            f"the matrix '{given.name}' lacks {len(lacking):,} of the levels of '{group}': {listed(lacking, 5)}.",
            f"Each level has a row in the matrix, found by its label; it has {listed(list(known), 5)}.",
            f"Nearest to '{lacking[0]}': '{near}'." if near else "Add them to the matrix, or leave their rows out.",
        )
