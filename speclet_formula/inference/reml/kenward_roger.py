"""Kenward and Roger's adjustment after REML: the variances' expected information, and the fixed effects' covariance.

The paper's products of n x n matrices are sums over S = Z'V^-1 Z and R = Z'V^-1 X, where V, the rows' covariance, is
sigma^2 / w on the diagonal plus Z D Z'. S falls into parts where levels never meet, as genes with guides of their own;
each is made by itself. Related levels, whose effects are R z with independent z, all hang together, and Z R is in the
place of Z. The residual variance's share is what the group effects' shares leave of V. Where there are no more rows
than effects, as with `ar1(0 + visit | id)`, nothing keeps it from zero, and such a rest would be rounding: then all is
made from V itself.

Kenward and Roger (1997), doi:10.2307/2533558, in the letters of pbkrtest, Halekoh and Højsgaard (2014),
doi:10.18637/jss.v059.i09, whose residual has no weights. Where variances are made of other parameters, V bends with
these, and the paper's R_rs = X'V^-1 V_rs V^-1 X are not zero; pbkrtest leaves them out.
"""

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from speclet_formula.design import Design
from speclet_formula.inference.relative import Relative, relative_covariances
from speclet_formula.inference.reml.criterion import Profiled
from speclet_formula.inference.reml.structured_entries import entry_derivatives

SINGULAR = 1.5e-8  # eigenvalues of the information that count, relative to the largest


class Adjusted(NamedTuple):
    """What tests by Kenward and Roger's method are made of; p fixed effects, k variances and covariances."""

    plain: np.ndarray  # (p, p) the fixed effects' covariance
    gradients: np.ndarray  # (k, p, p) its derivatives
    uncertainty: np.ndarray  # (k, k) the covariance of the variances' estimates
    covariance: np.ndarray  # (p, p) `plain`, adjusted


@dataclass(frozen=True, eq=False)
class _Traces:
    """Sums over the group effects, for m entries of their covariance matrices."""

    P: np.ndarray  # (m, p, p) X'V^-1 G_r V^-1 X
    Q: np.ndarray  # (m, m, p, p) X'V^-1 G_r V^-1 G_s V^-1 X
    K: np.ndarray  # (m, m) tr(V^-1 G_r V^-1 G_s)
    t: np.ndarray  # (m,) tr(V^-1 G_r)

    @classmethod
    def none(cls, m: int, p: int) -> "_Traces":
        return cls(np.zeros((m, p, p)), np.zeros((m, m, p, p)), np.zeros((m, m)), np.zeros(m))


def components_of(design: Design) -> list[np.ndarray]:
    """Return the group effects in parts that share neither row nor relative, each the places of its effects."""
    cells, start, n = [], 0, len(design.response)
    rows: list[np.ndarray] = []
    for number, block in enumerate(design.mean.groups):
        width, size = len(block.columns), len(block.columns) * len(block.levels)
        cells += [start + codes * width + column for codes, _ in block.members() for column in range(width)]
        rows += [np.arange(n)] * (len(cells) - len(rows))
        if block.relation is not None:  # as if a row had all of them
            cells.append(start + np.arange(size))
            rows.append(np.full(size, n + number))
        start += size
    if not cells:
        return []
    places = np.concatenate(rows), np.concatenate(cells)
    Z = sparse.csr_array((np.ones(len(places[0])), places), shape=(n + len(design.mean.groups), start))
    labels = csgraph.connected_components(sparse.csr_array(Z.T @ Z), directed=False)[1]
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.cumsum(np.bincount(labels))[:-1])


def expected_information(
    criterion: Profiled, theta: np.ndarray, sigma: float, components: list[np.ndarray]
) -> Adjusted:
    """Return the adjusted covariance, of the criterion's own fixed columns.

    Parameters
    ----------
    criterion : Profiled
        Of REML.
    theta : ndarray of float, shape (m,)
    sigma : float
    components : list of ndarray of int
        As `components_of` gives them.
    """
    n = criterion.freedom + criterion.relative.n_fixed
    covariances = [sigma**2 * matrix for matrix in relative_covariances(criterion.relative, theta)]
    entries = list(criterion.relative.places)  # block, row and column of each variance and covariance
    values = np.array([covariances[block][i, j] for block, i, j in entries])
    if criterion.W.shape[0] == n <= sum(map(len, components)):
        whole, precision = _sums_of_rows(criterion, covariances, sigma**2, entries, components)
    else:
        sums, precision = _sums(criterion, covariances, sigma**2, entries, components)
        whole = _with_residual(sums, values, sigma**2, precision, n)
    bends = np.zeros_like(whole.Q)
    if not criterion.relative.is_free:
        whole, bends = _by_parameters(whole, *entry_derivatives(criterion.relative, covariances))
    plain = np.linalg.inv(precision)
    slopes = plain @ whole.P @ plain  # V' = -V (X'V^-1 X)' V
    information = (
        whole.K
        - 2 * np.einsum("rsab,ba->rs", whole.Q, plain)
        + np.einsum("rab,sba->rs", plain @ whole.P, plain @ whole.P)
    )
    uncertainty = 2 * _inverse((information + information.T) / 2)
    curved = whole.Q - np.einsum("rab,sbc->rsac", whole.P @ plain, whole.P) - bends / 4
    inner = np.einsum("rs,rsab->ab", uncertainty, curved)
    adjusted = plain + 2 * plain @ ((inner + inner.T) / 2) @ plain
    return Adjusted(plain, slopes, uncertainty, adjusted)


def _by_parameters(whole: _Traces, first: np.ndarray, second: np.ndarray) -> tuple[_Traces, np.ndarray]:
    """Carry the sums over entries and the residual variance to the parameters that make them, with the paper's R_rs."""
    m, r = first.shape
    turn, bend = np.zeros((m + 1, r + 1)), np.zeros((m + 1, r + 1, r + 1))
    turn[:m, :r], turn[m, r], bend[:m, :r, :r] = first, 1.0, second
    Q = np.einsum("er,efab,fs->rsab", turn, whole.Q, turn)
    traces = _Traces(np.einsum("er,eab->rab", turn, whole.P), Q, turn.T @ whole.K @ turn, turn.T @ whole.t)
    return traces, np.einsum("ers,eab->rsab", bend, whole.P)


def _inverse(information: np.ndarray) -> np.ndarray:
    """Return the inverse; where the data cannot tell variances apart, of what they can."""
    scale = np.sqrt(np.abs(np.diagonal(information)))
    scale[scale == 0] = 1.0
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    kept = np.abs(values) > SINGULAR * np.abs(values).max()
    return np.asarray((vectors[:, kept] / values[kept]) @ vectors[:, kept].T / np.outer(scale, scale))


def _sums(
    criterion: Profiled,
    covariances: list[np.ndarray],
    s2: float,
    entries: list[tuple[int, int, int]],
    components: list[np.ndarray],
) -> tuple[_Traces, np.ndarray]:
    """Add up what the parts come to, and X'V^-1 X."""
    relative, p, m = criterion.relative, criterion.relative.n_fixed, len(entries)
    gram = sparse.csr_array(criterion.gram)
    sums = _Traces.none(m, p)
    precision = gram[:p, :p].toarray() / s2
    kinds, widths = _kinds(relative), [len(matrix) for matrix in covariances]
    for part in components:
        own = part + p
        N, ZX = gram[own][:, own].toarray() / s2, gram[own][:, :p].toarray() / s2
        D, places = _part_of_prior(kinds, part, covariances, widths)
        root = _between_levels(relative, places, len(part))
        if root is not None:
            N, ZX = root.T @ N @ root, root.T @ ZX
        solved = np.linalg.solve(np.eye(len(part)) + N @ D, np.hstack([N, ZX]))
        S, R = solved[:, : len(part)], solved[:, len(part) :]
        S = (S + S.T) / 2
        precision -= ZX.T @ D @ R
        _add(sums, S, R, [_pairs(entry, places) for entry in entries])
    return sums, (precision + precision.T) / 2


def _sums_of_rows(
    criterion: Profiled,
    covariances: list[np.ndarray],
    s2: float,
    entries: list[tuple[int, int, int]],
    components: list[np.ndarray],
) -> tuple[_Traces, np.ndarray]:
    """Add up the same from the parts' rows, the residual variance's share as the last, and X'V^-1 X."""
    relative, p, m = criterion.relative, criterion.relative.n_fixed, len(entries)
    W, n = sparse.csc_array(criterion.W), criterion.W.shape[0]
    noise = np.ones(n) if criterion.weights is None else 1 / criterion.weights
    sums, precision = _Traces.none(m + 1, p), np.zeros((p, p))
    kinds, widths = _kinds(relative), [len(matrix) for matrix in covariances]
    for part in components:
        effects = sparse.csr_array(W[:, part + p])
        rows = np.flatnonzero(np.diff(effects.indptr))
        Z, X = effects[rows].toarray(), W[:, :p][rows].toarray()
        D, places = _part_of_prior(kinds, part, covariances, widths)
        root = _between_levels(relative, places, len(part))
        Z = Z if root is None else Z @ root
        inverse = np.linalg.inv(np.diag(s2 * noise[rows]) + Z @ D @ Z.T)
        inverse = (inverse + inverse.T) / 2
        R, once = Z.T @ inverse @ X, inverse * noise[rows]  # V^-1 G of the residual variance
        pairs = [_pairs(entry, places) for entry in entries]
        precision += X.T @ inverse @ X
        _add(sums, Z.T @ inverse @ Z, R, pairs)
        _add_residual(sums, once, (X, Z), (inverse @ X, inverse @ Z), R, pairs)
    return sums, precision


def _add_residual(
    sums: _Traces,
    once: np.ndarray,
    columns: tuple[np.ndarray, np.ndarray],
    solved: tuple[np.ndarray, np.ndarray],
    R: np.ndarray,
    entries: list[list[tuple[np.ndarray, np.ndarray]]],
) -> None:
    """Add a part's share of the residual variance, in place: `columns` are X and Z, `solved` V^-1 X and V^-1 Z."""
    m, (X, Z), (_, solved_Z) = len(entries), columns, solved
    across, between = X.T @ once @ solved_Z, Z.T @ once @ solved_Z  # X'V^-1 G V^-1 Z, and Z'V^-1 G V^-1 Z
    twice = once @ once
    sums.P[m] += X.T @ once @ solved[0]
    sums.Q[m, m] += X.T @ twice @ solved[0]
    sums.K[m, m] += np.trace(twice)
    sums.t[m] += np.trace(once)
    for r, own in enumerate(entries):
        for a, b in own:
            sums.Q[m, r] += across[:, a] @ R[b]
            sums.K[m, r] += between[b, a].sum()
        sums.Q[r, m], sums.K[r, m] = sums.Q[m, r].T, sums.K[m, r]


def _kinds(relative: Relative) -> np.ndarray:
    """Return block, level and column of each group effect, (effects, 3)."""
    parts = [
        np.column_stack(
            [
                np.full(levels * len(scale), block),
                np.repeat(np.arange(levels), len(scale)),
                np.tile(np.arange(len(scale)), levels),
            ]
        )
        for block, (levels, scale) in enumerate(zip(relative.levels, relative.scales, strict=True))
    ]
    return np.concatenate(parts) if parts else np.zeros((0, 3), dtype=np.int64)


def _part_of_prior(
    kinds: np.ndarray, part: np.ndarray, covariances: list[np.ndarray], widths: list[int]
) -> tuple[np.ndarray, dict[tuple[int, int], np.ndarray]]:
    """Return the covariance of a part's effects, and where each column of each block stands in it, level by level."""
    own = kinds[part]
    D = np.zeros((len(part), len(part)))
    places: dict[tuple[int, int], np.ndarray] = {}
    for block, width in enumerate(widths):
        columns = [np.flatnonzero((own[:, 0] == block) & (own[:, 2] == column)) for column in range(width)]
        places |= {(block, column): where for column, where in enumerate(columns)}
        for i, j in product(range(width), repeat=2):
            D[columns[i], columns[j]] = covariances[block][i, j]
    return D, places


def _between_levels(relative: Relative, places: dict[tuple[int, int], np.ndarray], size: int) -> np.ndarray | None:
    """Return what makes a part's effects of independent ones, (size, size); None where no levels are related."""
    root = None
    for (block, _), where in places.items():
        relation = relative.layout.relations[block]
        if relation is not None and len(where):
            root = np.eye(size) if root is None else root
            root[np.ix_(where, where)] = relation.drawn(np.eye(len(where)))
    return root


def _pairs(
    entry: tuple[int, int, int], places: dict[tuple[int, int], np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return where an entry of a block's matrix stands among a part's effects: once on the diagonal, else twice."""
    block, i, j = entry
    first, second = places[block, i], places[block, j]
    return [(first, second)] if i == j else [(first, second), (second, first)]


def _add(sums: _Traces, S: np.ndarray, R: np.ndarray, entries: list[list[tuple[np.ndarray, np.ndarray]]]) -> None:
    """Add a part's share, in place: G_r is Z E_r Z', and E_r has ones at the pairs of entry r."""
    for r, own in enumerate(entries):
        for a, b in own:
            sums.P[r] += R[a].T @ R[b]
            sums.t[r] += S[b, a].sum()
        for s, others in enumerate(entries[: r + 1]):
            for (a, b), (c, d) in product(own, others):
                sums.K[r, s] += np.vdot(S[np.ix_(b, c)], S[np.ix_(a, d)])
                sums.Q[r, s] += R[a].T @ (S[np.ix_(b, c)] @ R[d])
            sums.K[s, r], sums.Q[s, r] = sums.K[r, s], sums.Q[r, s].T


def _with_residual(sums: _Traces, values: np.ndarray, s2: float, precision: np.ndarray, n: int) -> _Traces:
    """Add the residual variance, whose G is (V - sum of values G) / sigma^2, as the last."""
    m, p = len(values), len(precision)
    P, Q, K = np.zeros((m + 1, p, p)), np.zeros((m + 1, m + 1, p, p)), np.zeros((m + 1, m + 1))
    t = np.append(sums.t, (n - values @ sums.t) / s2)
    P[:m], Q[:m, :m], K[:m, :m] = sums.P, sums.Q, sums.K
    P[m] = (precision - np.tensordot(values, sums.P, 1)) / s2
    Q[m, :m] = (sums.P - np.tensordot(values, sums.Q, 1)) / s2
    Q[:m, m] = Q[m, :m].transpose(0, 2, 1)
    K[m, :m] = K[:m, m] = (sums.t - values @ sums.K) / s2
    Q[m, m] = (P[m] - np.tensordot(values, Q[:m, m], 1)) / s2
    K[m, m] = (t[m] - values @ K[:m, m]) / s2
    return _Traces(P, Q, K, t)
