"""Normal equations of one block of related levels in coordinates in which its part of P is diagonal, at any variances.

With A = R R' between the levels, W_b'W_b of the block's columns and the eigenvectors V of R'W_b'W_b R, the effects are
b = R V c. Their part of W'W is then diagonal, and their precision is the prior's number times I, so that P is an arrow:
a factor takes as many numbers as there are levels, times the square of all other coefficients, where that of P itself
fills in. The eigenvectors are found once (as in EMMA, Kang et al. 2008, doi:10.1534/genetics.107.080101).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, sparse

from speclet_formula.inference.algebra.dense import DenseFactors, DenseMatrix
from speclet_formula.inference.algebra.matrix import CompressedRows, DrawnColumns, Equations, write_draws


class PreparedRows(NamedTuple):
    """n rows of W, for `RotatedFactors.spreads`."""

    levels: np.ndarray  # (n,) the level of the related effect that a row has
    values: np.ndarray  # (n,) and what it is multiplied by
    others: np.ndarray  # (n, r) the other coefficients' values, by position


@dataclass(frozen=True, eq=False)
class RotatedEquations:
    """Equations of p coefficients, q of them related effects from `start` on."""

    inner: Any  # NormalEquations of the rotated coefficients, the related ones first, in a whole matrix
    plain: Equations  # the same equations as they are, for rows that are taken out: these would not stay diagonal
    rotation: np.ndarray  # (q, q) R V
    start: int
    log_determinant: float  # log|A^-1|

    @property
    def work(self) -> int:
        """About how many numbers a factorisation goes through."""
        others = self.inner.matrix.size + 1 - self.inner.matrix.lead
        return int(others * self.inner.matrix.size)

    @property
    def related(self) -> slice:
        """Where the related effects stand among the coefficients."""
        return slice(self.start, self.start + len(self.rotation))

    def turned(self, rows: Any) -> Any:
        """Return sparse W, or other columns of coefficients transposed, (n, p) in terms of the rotated ones; whole."""
        whole = rows.toarray() if sparse.issparse(rows) else np.array(rows)
        whole[:, self.related] = np.asarray(rows[:, self.related] @ self.rotation)
        return whole

    def factored(self, s2: np.ndarray, numbers: np.ndarray, *, beside: int = 0) -> Iterator[tuple[slice, Any]]:
        """Go through N draws of the variances by parts: which, and their factors, made with r."""
        for part, factors in self.inner.factored(s2, numbers, beside=beside):
            yield part, RotatedFactors(self, factors)

    def moved(self, moment: np.ndarray, pull: Any) -> "RotatedEquations":
        """Return the equations of the same W with another W'y (p,) and D^-1 (m - c) by the numbers of D^-1 (p, m)."""
        inner = self.inner.moved(self.turned(moment[None])[0], sparse.csr_array(self.turned(pull.T.tocsr()).T))
        return replace(self, inner=inner, plain=self.plain.moved(moment, pull))

    def with_moment(self, moment: np.ndarray) -> "RotatedEquations":
        """Return the equations with W'y (p,), and means that are all zero."""
        turned = self.turned(moment[None])[0]
        return replace(self, inner=replace(self.inner, moment=turned[self.inner.matrix.order]))

    def less(self, rows: CompressedRows) -> Equations:
        """Take rows out."""
        return self.plain.less(rows)

    def prepared(self, W: Any) -> Any:
        """Return sparse rows (n, p) as `RotatedFactors.spreads` takes them; whole, where one has several levels."""
        own = W[:, self.related].tocsr()
        if (np.diff(own.indptr) > 1).any():
            return self.turned(W)
        levels, values = np.zeros(W.shape[0], dtype=np.int64), np.zeros(W.shape[0])
        has = np.diff(own.indptr) == 1
        levels[has], values[has] = own.indices, own.data
        return PreparedRows(levels, values, W[:, self.inner.matrix.order[self.inner.matrix.lead :]].toarray())

    def prior_inverse(self, factors: Any, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the entries of one P^-1 where the prior's precision has its own."""
        inner: DenseFactors = factors.inner
        size = inner.matrix.size
        C = np.zeros((size, size))
        lead = inner.matrix.lead
        C[np.arange(lead), np.arange(lead)] = inner.leading[0]
        C[lead:] = inner.rows[0, :-1, :-1]
        root = np.empty_like(C)
        root[:, inner.matrix.order] = linalg.solve_triangular(C, np.eye(size), lower=True)
        root[:, self.related] = root[:, self.related] @ self.rotation.T
        return np.asarray(np.einsum("ij,ij->j", root[:, first], root[:, second]))

    def drawn(self, means: np.ndarray) -> np.ndarray:
        """Return, for each of the prior's numbers (m,), how far it draws coefficients (p,): u'D^-1 (m - c)."""
        return self.plain.drawn(means)


@dataclass(frozen=True, eq=False)
class RotatedFactors:
    """Factors of k matrices P."""

    equations: RotatedEquations
    inner: DenseFactors

    @property
    def log_determinants(self) -> np.ndarray:
        """(k,) log|P|."""
        return self.inner.log_determinants + self.equations.log_determinant

    @property
    def half(self) -> np.ndarray:
        """(k, p) C^-1 r of the right sides r that they were made with, by position."""
        return self.inner.half

    @property
    def explained(self) -> np.ndarray:
        """(k,) r'P^-1 r."""
        return self.inner.explained

    def backward(self, half: np.ndarray) -> np.ndarray:
        """Return C'^-1 times vectors (k, p) by position, in the coefficients' own order: solutions, draws."""
        found, related = self.inner.backward(half), self.equations.related
        found[:, related] = found[:, related] @ self.equations.rotation.T
        return found

    def draw(self, rng: np.random.Generator, kept: DrawnColumns, out: np.ndarray) -> None:
        """Fill out (k, c) with a draw of the coefficients for each P."""
        write_draws(self, rng, kept, out)

    def spreads(self, rows: Any) -> np.ndarray:
        """Return w'P^-1 w, (k, n), of n rows of W, or of parts of such, as `prepared` makes them."""
        if not isinstance(rows, PreparedRows):
            return self._whole_spreads(rows)
        lead, found = self.inner.matrix.lead, []
        for leading, own in zip(self.inner.leading, self.inner.rows[:, :-1, :-1], strict=True):
            shares = self.equations.rotation / leading
            alone = np.einsum("ij,ij->i", shares, shares)
            met = shares @ own[:, :lead].T  # (q, r)
            left = rows.others - rows.values[:, None] * met[rows.levels]
            beyond = np.linalg.solve(own[:, lead:], left.T)
            found.append(rows.values**2 * alone[rows.levels] + (beyond**2).sum(axis=0))
        return np.array(found)

    def _whole_spreads(self, rows: np.ndarray) -> np.ndarray:
        """Return the same of whole rows (n, p) in terms of the rotated coefficients, in their own order."""
        lead, ordered = self.inner.matrix.lead, rows[:, self.inner.matrix.order]
        found = []
        for leading, own in zip(self.inner.leading, self.inner.rows[:, :-1, :-1], strict=True):
            shares = ordered[:, :lead] / leading
            beyond = np.linalg.solve(own[:, lead:], (ordered[:, lead:] - shares @ own[:, :lead].T).T)
            found.append((shares**2).sum(axis=1) + (beyond**2).sum(axis=0))
        return np.array(found)

    def squares(self, vectors: np.ndarray) -> np.ndarray:
        """Return v'P^-1 v, (k, n), of any vectors (n, p) in the coefficients' own order: a solution each."""
        return self._whole_spreads(self.equations.turned(vectors))


def rotation_of(gram: Any, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return R V (q, q) and the eigenvalues (q,) of R'W'W R, given the block's W'W, sparse, and R, (q, q)."""
    values, vectors = linalg.eigh(root.T @ (gram @ root), check_finite=False)
    return root @ vectors, np.maximum(values, 0.0)


def arrow_matrix(size: int, start: int, levels: int) -> DenseMatrix:
    """Return a whole matrix of p rows whose related effects come first, each alone."""
    every = np.arange(size)
    related = every[start : start + levels]
    return DenseMatrix(np.concatenate([related, np.setdiff1d(every, related)]), levels)
