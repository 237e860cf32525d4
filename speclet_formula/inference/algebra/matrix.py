"""Symmetric matrices that keep one pattern and are factored for many sets of numbers: what every kind of them answers.

There are two kinds: whole matrices in numpy's and LAPACK's algebra (`dense`), and sparse ones with a dense last corner
in compiled loops (`sparse`). Exact integration, REML and Laplace's approximation fill them, each in its own way, and
ask the same of their factors.

A third kind holds no entries. What exact integration asks of its normal equations is `Equations` below; `patterned`
eliminates nested levels once for each of their distinct patterns, and answers the same questions from a residual
variance and the prior's numbers.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy import sparse as matrices

type Fill = Callable[[slice], tuple[np.ndarray, np.ndarray | None]]


class CompressedRows(NamedTuple):
    """Some rows of W, their columns in the coefficients' own order. n rows."""

    W: Any  # (n, p) scipy CSR
    weights: np.ndarray  # (n,)
    response: np.ndarray  # (n,)

    @property
    def gram(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns first <= second, and the entries of W'W, weighted, at each pair of them."""
        pairs, first, second = row_pairs(self.W)
        products = pairs.T @ self.weights
        return first, second, np.where(first == second, products, products / 2)  # others are met in either order

    @property
    def moment(self) -> np.ndarray:
        """(p,) W'y, weighted."""
        return np.asarray(self.W.T @ (self.weights * self.response))


class DrawnColumns(NamedTuple):
    """What is kept of each draw of the coefficients: those at `columns`, times `sizes`, plus `centre`."""

    columns: np.ndarray  # (c,) in the coefficients' own order
    sizes: np.ndarray  # (c,)
    centre: np.ndarray  # (c,)


def write_draws(factors: "Factors", rng: np.random.Generator, kept: DrawnColumns, out: np.ndarray) -> None:
    """Fill out (k, c) with draws of coefficients, P^-1 r + C'^-1 z: `Factors.draw` where nothing is quicker."""
    half = factors.half
    out[:] = factors.backward(half + rng.standard_normal(half.shape))[:, kept.columns]
    out *= kept.sizes
    out += kept.centre


class Factors(Protocol):
    """Factors C of one or of some matrices P = C C', k at a time; NaN where P is not positive definite."""

    @property
    def log_determinants(self) -> np.ndarray:
        """(k,) log|P|."""
        ...

    @property
    def half(self) -> np.ndarray:
        """(k, p) C^-1 r of the right sides r that they were made with, by position."""
        ...

    @property
    def explained(self) -> np.ndarray:
        """(k,) r'P^-1 r."""
        ...

    def backward(self, half: np.ndarray) -> np.ndarray:
        """Return C'^-1 times vectors (k, p) by position, in the coefficients' own order: solutions, draws."""
        ...

    def draw(self, rng: np.random.Generator, kept: DrawnColumns, out: np.ndarray) -> None:
        """Fill out (k, c) with a draw of the coefficients for each P."""
        ...

    def spreads(self, rows: Any) -> np.ndarray:
        """Return w'P^-1 w, (k, n), of n rows of W, or of parts of such, as `prepared` makes them."""
        ...

    def squares(self, vectors: np.ndarray) -> np.ndarray:
        """Return v'P^-1 v, (k, n), of any vectors (n, p) in the coefficients' own order: a solution each."""
        ...


class Equations(Protocol):
    """Normal equations, whatever holds them: P = W'W / s2 + D^-1 and r = W'y / s2 + D^-1 (m - c), p coefficients."""

    def factored(self, s2: np.ndarray, numbers: np.ndarray, *, beside: int = 0) -> Iterator[tuple[slice, Factors]]:
        """Go through N draws of the variances by parts: which, and their factors, made with r.

        `beside` is how many numbers the caller makes of each draw: the parts leave room for them.
        """
        ...

    def moved(self, moment: np.ndarray, pull: Any) -> "Equations":
        """Return the equations of the same W with another W'y (p,) and D^-1 (m - c) by the numbers of D^-1 (p, m)."""
        ...

    def less(self, rows: CompressedRows) -> "Equations":
        """Take rows out."""
        ...

    def prepared(self, W: Any) -> Any:
        """Return sparse rows (n, p) as `Factors.spreads` takes them."""
        ...

    def prior_inverse(self, factors: Any, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the entries of one P^-1 where the prior's precision has its own, at those rows and columns."""
        ...

    def drawn(self, means: np.ndarray) -> np.ndarray:
        """Return, for each of the prior's numbers (m,), how far it draws coefficients (p,): u'D^-1 (m - c)."""
        ...

    @property
    def work(self) -> int:
        """About how many numbers a factorisation goes through."""
        ...


class Matrix(Protocol):
    """A symmetric matrix that keeps one pattern. p rows."""

    @property
    def order(self) -> np.ndarray:
        """(p,) the row at each position."""
        ...

    @property
    def position(self) -> np.ndarray:
        """(p,) where each row stands."""
        ...

    @property
    def entries(self) -> int:
        """How many numbers fill it."""
        ...

    @property
    def work(self) -> int:
        """About how many numbers a factorisation goes through."""
        ...

    def places(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return where entries stand among the numbers that fill it; each stands once, for both halves."""
        ...

    def factored(self, count: int, fill: Fill, *, beside: int = 0) -> Iterator[tuple[slice, Any]]:
        """Go through `count` fillings by parts: which, and their factors.

        `fill` returns the numbers (k, entries), which are used up, and the right sides (k, p) by position or None.
        """
        ...

    def factor(self, numbers: np.ndarray) -> Any:
        """Return the factor of one filling; None where it is not positive definite."""
        ...

    def prepared(self, W: Any) -> Any:
        """Return sparse rows (n, p) as `Factors.spreads` takes them."""
        ...


def row_pairs(W: Any) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return what sums of products of each row's entries need.

    Returns
    -------
    K : scipy CSR array (n, pairs)
    first, second : ndarray of int, shape (pairs,)
        Columns with first <= second, so that w_i' Z w_i = (K Z[first, second])_i for every symmetric Z.
    """
    counts = np.diff(W.indptr)
    of_entry = np.repeat(counts, counts)
    left = np.repeat(np.arange(len(W.indices)), of_entry)
    ahead = np.arange(len(left)) - np.repeat(np.cumsum(of_entry) - of_entry, of_entry)
    right = np.repeat(np.repeat(W.indptr[:-1], counts), of_entry) + ahead
    a, b = W.indices[left].astype(np.int64), W.indices[right].astype(np.int64)
    unique, places = np.unique(np.minimum(a, b) * W.shape[1] + np.maximum(a, b), return_inverse=True)
    owners = np.repeat(np.repeat(np.arange(W.shape[0]), counts), of_entry)
    K = matrices.csr_array((W.data[left] * W.data[right], (owners, places)), shape=(W.shape[0], len(unique)))
    return K, *np.divmod(unique, W.shape[1])
