"""Orders of elimination: what they keep whole, and that they change no number."""

import numpy as np
import pytest
from scipy import sparse as matrices

from speclet_formula.inference.algebra import forest, ordering
from speclet_formula.inference.algebra.sparse import SparseMatrix, sparse_matrix


def crossed(density: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a precision of an intercept, 40 levels and 30 levels crossed with them, and the levels' ranks."""
    rng = np.random.default_rng(5)
    cells = np.argwhere(rng.random((40, 30)) < density)
    cells = np.concatenate([cells, [(k, k % 30) for k in range(40)]])
    W = np.zeros((len(cells), 71))
    W[:, 0] = 1.0
    W[np.arange(len(cells)), 1 + cells[:, 0]] = 1.0
    W[np.arange(len(cells)), 41 + cells[:, 1]] = 1.0
    return W.T @ W + np.eye(71), np.repeat([2, 0, 1], [1, 40, 30])


def forced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have these few levels treated as thousands are."""
    monkeypatch.setattr(ordering, "SMALL_CORNER", 0)
    monkeypatch.setattr(forest, "MOST_TOGETHER", 5)


def ordered_matrix(P: np.ndarray, ranks: np.ndarray | None, last: int) -> SparseMatrix:
    return sparse_matrix(len(P), *np.nonzero(np.triu(P, 1)), ranks=ranks, last=last)


def numbers_of(matrix: SparseMatrix, P: np.ndarray) -> np.ndarray:
    entries = matrices.triu(matrices.csc_array(P[matrix.order][:, matrix.order]), format="csc")
    entries.sort_indices()
    return entries.data


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize(
    ("density", "by_blocks", "corner"),
    [(0.3, True, 31), (0.01, False, None), (0.3, False, None)],
    ids=["full corner", "sparse corner", "without blocks"],
)
def test_an_order_changes_no_number(
    density: float, by_blocks: bool, corner: int | None, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced(monkeypatch)
    P, ranks = crossed(density)
    matrix = ordered_matrix(P, ranks if by_blocks or density < 0.1 else None, last)
    assert sorted(matrix.order) == list(range(71))
    assert not last or matrix.order[-1] == 0
    if corner is not None:
        assert matrix.pattern.size - matrix.pattern.lead == corner
    factors = matrix.factor(numbers_of(matrix, P))
    assert factors.log_determinants[0] == pytest.approx(np.linalg.slogdet(P)[1], rel=1e-12)
    right = np.arange(71.0)
    np.testing.assert_allclose(factors.solve(right), np.linalg.solve(P, right), rtol=1e-10)
    places = matrix.places(np.arange(71), np.arange(71))
    np.testing.assert_allclose(factors.inverse(places)[0], np.diagonal(np.linalg.inv(P)), rtol=1e-10)


def test_a_corner_that_stays_sparse_is_not_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    forced(monkeypatch)
    for density, whole in ((0.3, True), (0.001, False)):
        P, ranks = crossed(density)
        P[0, 1:] = P[1:, 0] = 0.0  # the intercept would fill it
        matrix = ordered_matrix(P, ranks, 0)
        assert (matrix.pattern.size - matrix.pattern.lead >= 30) is whole
