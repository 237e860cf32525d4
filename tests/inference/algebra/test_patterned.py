"""Elimination by classes of alike columns, against plain linear algebra on whole matrices."""

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from speclet_formula.inference.algebra import elimination, forest, patterned
from speclet_formula.inference.algebra.equations import System, Units
from speclet_formula.inference.algebra.layout import CoefficientLayout
from speclet_formula.inference.algebra.solutions import (
    draw,
    left_out_densities,
    log_determinants,
    predict_rows,
    solve,
    without_rows,
)

S2, NUMBERS = np.array([0.7, 1.9]), np.array([0.3, 0.4, 2.0, 0.9, 0.2, 1.5, 1.1, 0.8])


def nested(
    plates: int = 3, slopes: bool = True, three_deep: bool = True, missing: float = 0.0
) -> tuple[Any, CoefficientLayout]:
    """Return W and its layout: 2 fixed columns, guides in genes (with slopes) in batches, crossed with plates.

    The rows repeat: all guides are seen at the same four times, but for what is missing.
    """
    rng = np.random.default_rng(3)
    genes = np.repeat(np.arange(12), [3, 2] * 6)  # of each guide
    guide, time = np.repeat(np.arange(30), 4), np.tile(np.arange(4), 30)
    kept = rng.random(120) >= missing
    guide, time = guide[kept], time[kept]
    gene, plate, n = genes[guide], time % plates, int(kept.sum())
    width = 2 if slopes else 1
    levels = {"guide": 30, "gene": 12, "batch": 4, "plate": plates} if three_deep else {"guide": 30, "gene": 12}
    widths = {"guide": 1, "gene": width, "batch": 1, "plate": 1}
    codes = {"guide": guide, "gene": gene, "batch": gene // 3, "plate": plate}
    starts, size = {}, 2
    for block, count in levels.items():
        starts[block] = size
        size += widths[block] * count
    W = np.zeros((n, size))
    W[:, 0], W[:, 1] = 1.0, time - 1.5
    for block in levels:
        W[np.arange(n), starts[block] + widths[block] * codes[block]] = 1.0
    if slopes:
        W[np.arange(n), starts["gene"] + 2 * gene + 1] = time - 1.5
    kept_widths = tuple(widths[block] for block in levels)
    blocks = len(levels)
    return sparse.csr_array(W), CoefficientLayout(
        2, (), tuple(starts.values()), kept_widths, tuple(levels.values()), size, (1,) * blocks, (None,) * blocks
    )


def prior_of(layout: CoefficientLayout) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, columns and numbers of the prior's precision: two columns of a block are correlated."""
    entries, number = [(0, 0, 0), (1, 1, 1)], 2
    for start, width, count in zip(layout.starts, layout.widths, layout.levels, strict=True):
        for i, j in [(0, 0), (0, 1), (1, 1)] if width == 2 else [(0, 0)]:
            entries += [(start + width * level + i, start + width * level + j, number) for level in range(count)]
            number += 1
    above, right, numbers = np.array(entries).T
    return above, right, numbers


def whole(W: Any, layout: CoefficientLayout, s2: float, weights: np.ndarray) -> np.ndarray:
    above, right, numbers = prior_of(layout)
    precision = np.zeros((layout.size, layout.size))
    precision[above, right] = precision[right, above] = NUMBERS[numbers]
    return precision + (W.T @ W.multiply(weights[:, None])).toarray() / s2


def system_of(W: Any, layout: CoefficientLayout, y: np.ndarray, weights: np.ndarray) -> System | None:
    """Return a system whose equations are eliminated by classes, its units and centre plain; None without such."""
    ranks = np.full(layout.size, len(layout.levels))
    for rank, (start, width, levels) in enumerate(zip(layout.starts, layout.widths, layout.levels, strict=True)):
        ranks[start : start + width * levels] = rank
    gram, prior = (W.T @ W.multiply(weights[:, None])).tocsr(), prior_of(layout)
    ones = sparse.csr_array((np.ones(W.nnz), W.indices, W.indptr), shape=W.shape)  # a sum of 0 keeps its place
    equations = patterned.patterned_equations(gram, ones.T @ ones, W.T @ (weights * y), prior, ranks)
    if equations is None:
        return None
    return System(
        layout=layout,
        W=W,
        response=y,
        weights=weights,
        equations=equations,
        square=float(weights @ y**2),
        within=0.0,
        units=Units(1.0, np.ones(layout.size), np.ones(len(NUMBERS))),
        prior=prior,
        centre=np.zeros(layout.size),
        pull=np.zeros(len(NUMBERS)),
        count=len(y),
        log_weights=float(np.log(weights).sum()),
    )


DESIGNS = {
    "guides in genes in batches, slopes, plates": {},
    "some rows missing": {"missing": 0.02},
    "guides in genes": {"three_deep": False, "slopes": False},
    "slopes over shared times": {"three_deep": False},
}


type Case = tuple[Any, CoefficientLayout, Any, np.ndarray]


@pytest.fixture(params=DESIGNS, ids=list(DESIGNS))
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setattr(forest, "MOST_CLASSES", 1.0)  # small designs have few columns of each class
    W, layout = nested(**DESIGNS[request.param])
    y = np.random.default_rng(4).normal(size=W.shape[0])
    system = system_of(W, layout, y, np.ones(len(y)))
    assert system is not None
    assert len(system.equations.forest.counts) < system.equations.forest.lead
    return W, layout, system, y


def check_all(W: Any, layout: CoefficientLayout, system: System, y: np.ndarray) -> None:
    """Compare determinant, quadratic form, solution, leverages and left-out densities with whole matrices."""
    numbers, X = np.tile(NUMBERS, (2, 1)), W.toarray()
    densities, leverages = left_out_densities(system, S2, numbers)
    evaluated, solved = log_determinants(system, S2, numbers), solve(system, S2, numbers)
    total = np.zeros(len(y))
    for k, s2 in enumerate(S2):
        P, r = whole(W, layout, s2, np.ones(len(y))), W.T @ y / s2
        mean = np.linalg.solve(P, r)
        assert evaluated[k] == pytest.approx([np.linalg.slogdet(P)[1], r @ mean], rel=1e-10)
        assert solved[k] == pytest.approx(mean, rel=1e-9, abs=1e-9)
        leverage = np.einsum("ij,jk,ik->i", X, np.linalg.inv(P), X) / s2
        total += leverage / 2
        variance, error = s2 / (1 - leverage), (y - X @ mean) / (1 - leverage)
        assert densities[k] == pytest.approx(-0.5 * (np.log(2 * np.pi * variance) + error**2 / variance), rel=1e-8)
    assert leverages == pytest.approx(total, rel=1e-9)


def test_all_that_is_asked_of_it(case: Case) -> None:
    check_all(*case)


def test_a_pass_over_the_coefficients_says_the_same_as_their_moments(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    W, layout, system, y = case
    numbers = np.tile(NUMBERS, (2, 1))
    by_moments = log_determinants(system, S2, numbers)
    monkeypatch.setattr(forest, "MOST_SQUARES", 0)
    slow = system_of(W, layout, y, np.ones(len(y)))
    assert slow.equations.moments is None
    assert log_determinants(slow, S2, numbers) == pytest.approx(by_moments, rel=1e-12)


def test_little_noise_costs_no_digits(case: Case) -> None:
    """y'y / s2 - r'P^-1 r is what augmented least squares leave, to rounding errors of y'y / s2.

    Where nearly all is explained, a gene's moment all but repeats those of its guides.
    """
    W, layout, system, y = case
    s2, (above, right, numbers) = 1e-8, prior_of(layout)
    precision = np.zeros((layout.size, layout.size))
    precision[above, right] = precision[right, above] = NUMBERS[numbers]
    stacked = np.vstack([W.toarray() / np.sqrt(s2), np.linalg.cholesky(precision).T])
    known = np.concatenate([y / np.sqrt(s2), np.zeros(layout.size)])
    left = known - stacked @ np.linalg.lstsq(stacked, known)[0]
    explained = log_determinants(system, np.array([s2]), NUMBERS[None])[0, 1]
    assert y @ y / s2 - explained == pytest.approx(left @ left, abs=1e-13 * (y @ y) / s2)


@pytest.mark.parametrize("everywhere", [True, False])
def test_another_centre(case: Case, everywhere: bool) -> None:
    """With the prior's means away from zero r gains D^-1 m, of all coefficients or of the corner's alone."""
    W, layout, system, y = case
    means = np.random.default_rng(5).normal(size=layout.size)
    if not everywhere:
        means[2:] = 0.0
    above, right, numbers = prior_of(layout)
    pull = np.zeros((layout.size, len(NUMBERS)))
    for a, b, number in zip(above, right, numbers, strict=True):
        pull[a, number] += means[b]
        if a != b:
            pull[b, number] += means[a]
    shifted = system.equations.moved(W.T @ y, sparse.csr_array(pull))
    assert (shifted.moments is None) == everywhere
    P = whole(W, layout, S2[0], np.ones(len(y)))
    r = W.T @ y / S2[0] + pull @ NUMBERS
    ((_, factors),) = shifted.factored(S2[:1], NUMBERS[None])
    assert factors.explained[0] == pytest.approx(r @ np.linalg.solve(P, r), rel=1e-10)


@pytest.mark.parametrize("gone", [[7], [7, 8, 40, 41, 60, 90]])
def test_rows_taken_out_and_predicted(case: Case, gone: list[int]) -> None:
    W, layout, system, y = case
    rows, left = np.array(gone), without_rows(system, np.array(gone))
    others = np.setdiff1d(np.arange(len(y)), rows)
    P = whole(W[others], layout, S2[0], np.ones(len(others)))
    mean = np.linalg.solve(P, W[others].T @ y[others] / S2[0])
    moments = predict_rows(system, rows, left, S2[:1], NUMBERS[None])[0]
    X = W[rows].toarray()
    assert moments[:, 0] == pytest.approx(X @ mean, rel=1e-9)
    assert moments[:, 1] == pytest.approx(np.einsum("ij,ij->i", X, np.linalg.solve(P, X.T).T), rel=1e-9)
    found = log_determinants(left, S2[:1], NUMBERS[None])[0, 0]
    assert found == pytest.approx(np.linalg.slogdet(P)[1], rel=1e-11)


def test_draws(case: Case) -> None:
    """Means of 5,000 draws within 5 standard errors, covariances within 5.5 of theirs: 1e-4 for all together."""
    W, layout, system, y = case
    count, columns = 5_000, np.r_[0:2, 2:8, layout.size - 5 : layout.size]
    numbers = np.tile(NUMBERS, (count, 1))
    out = draw(system, np.full(count, 0.7), numbers, np.array([3]), columns=columns)
    covariance = np.linalg.inv(whole(W, layout, 0.7, np.ones(len(y))))
    mean, covariance = (covariance @ (W.T @ y) / 0.7)[columns], covariance[np.ix_(columns, columns)]
    variances = np.diag(covariance)
    assert (np.abs(out.mean(axis=0) - mean) < 5 * np.sqrt(variances / count)).all()
    errors = np.sqrt((np.outer(variances, variances) + covariance**2) / count)
    assert (np.abs(np.cov(out.T) - covariance) < 5.5 * errors).all()


def test_the_loops_are_the_same_as_plain_python(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = (forest, elimination, patterned)
    compiled = {id(value) for module in modules for value in vars(module).values() if hasattr(value, "py_func")}
    for module in modules:
        for name, value in list(vars(module).items()):
            if id(value) in compiled:
                monkeypatch.setattr(module, name, value.py_func)
    W, layout, _, y = case
    with np.errstate(over="ignore"):  # hashes wrap around
        check_all(W, layout, system_of(W, layout, y, np.ones(len(y))), y)


def test_a_matrix_that_is_not_positive_definite_has_no_density(case: Case) -> None:
    assert np.isnan(log_determinants(case[2], S2[:1], np.full((1, len(NUMBERS)), -1e6))).all()


def test_levels_that_all_differ_are_left_to_the_other_algebra() -> None:
    W, layout = nested()
    y = np.zeros(W.shape[0])
    assert system_of(W, layout, y, np.random.default_rng(1).uniform(1, 2, len(y))) is None


def test_a_design_in_one_piece_is_left_to_the_other_algebra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "MOST_TOGETHER", 1)
    monkeypatch.setattr(forest, "MOST_IN_CORNER", 40)
    W, layout = nested()
    assert system_of(W, layout, np.zeros(W.shape[0]), np.ones(W.shape[0])) is None


def test_normals_are_those_of_numpy() -> None:
    """The same stream, so that draws by classes are those of any other elimination."""
    vector, rng, numpys = np.ones(1001), np.random.default_rng(5), np.random.default_rng(5)
    elimination.add_normals(rng, vector)
    assert (vector == 1 + numpys.standard_normal(1001)).all()
    assert rng.random() == numpys.random()
