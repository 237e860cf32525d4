"""Matrices of levels: what is accepted, what it comes to, and what is refused, word by word."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import speclet_formula as sf
from speclet_formula.design.level_matrices import relation_of
from speclet_formula.formula.terms import GivenMatrix

LABELS = [f"l{k}" for k in range(9)]
TABLE = pd.DataFrame({"y": np.arange(12.0), "x": np.tile([0.0, 1.0, 2.0], 4), "line": np.repeat(["l3", "l0", "l8"], 4)})


def covariance(seed=1, q=9):
    root = np.random.default_rng(seed).normal(size=(q, q + 4))
    return root @ root.T / q


def tridiagonal(q=9):
    return sparse.diags_array([np.full(q - 1, -0.6), np.full(q, 1.5), np.full(q - 1, -0.6)], offsets=[-1, 0, 1])


def related(given, argument="cov", labels=LABELS, levels=("l3", "l0", "l8")):
    matrices = {"A": given if isinstance(given, sf.LevelMatrix) else sf.LevelMatrix(given, labels)}
    return relation_of(GivenMatrix(argument, "A"), "line", levels, matrices)


CASES = {
    "covariance": (covariance(), "cov", covariance()),
    "sparse covariance": (sparse.csr_array(covariance()), "cov", covariance()),
    "precision": (covariance(), "precision", np.linalg.inv(covariance())),
    "sparse precision": (tridiagonal(), "precision", np.linalg.inv(tridiagonal().toarray())),
}


@pytest.mark.parametrize("case", CASES)
def test_a_matrix_comes_to_its_parts_in_the_levels_order(case):
    given, argument, A = CASES[case]
    relation, levels = related(given, argument)
    assert levels == ("l3", "l0", "l8", "l1", "l2", "l4", "l5", "l6", "l7")
    order = [LABELS.index(level) for level in levels]
    A = A[np.ix_(order, order)]
    rows, columns, values = relation.upper
    assert (rows <= columns).all()
    assert len(set(zip(rows.tolist(), columns.tolist(), strict=True))) == len(rows)
    upper = np.zeros((9, 9))
    upper[rows, columns] = values
    np.testing.assert_allclose(upper + np.triu(upper, 1).T, np.linalg.inv(A), atol=1e-11)
    np.testing.assert_allclose(relation.precision.toarray(), np.linalg.inv(A), atol=1e-11)
    assert relation.log_determinant == pytest.approx(-np.linalg.slogdet(A)[1], rel=1e-11)
    np.testing.assert_allclose(relation.variances, np.diag(A), rtol=1e-11)
    root = relation.drawn(np.eye(9))
    np.testing.assert_allclose(root @ root.T, A, atol=1e-11)
    several = np.random.default_rng(2).normal(size=(5, 9, 2))
    np.testing.assert_allclose(relation.drawn(several)[3], relation.drawn(several[3]))
    again = pickle.loads(pickle.dumps(relation))
    np.testing.assert_array_equal(again.drawn(several), relation.drawn(several))


@pytest.mark.parametrize("case", CASES)
def test_mean_squares_of_some_levels_are_those_of_their_own_covariance(case):
    given, argument, A = CASES[case]
    relation, levels = related(given, argument)
    order = [LABELS.index(level) for level in levels]
    effects, places = np.random.default_rng(3).normal(size=(4, 2)), np.array([5, 0, 2, 8])
    own = A[np.ix_(order, order)][np.ix_(places, places)]
    np.testing.assert_allclose(relation.mean_squares(effects, places), effects.T @ np.linalg.solve(own, effects) / 4)
    every = np.random.default_rng(4).normal(size=(9, 1))
    found = relation.mean_squares(every, np.arange(9))
    np.testing.assert_allclose(found, every.T @ np.linalg.solve(A[np.ix_(order, order)], every) / 9)


def test_an_inverse_of_many_zeros_is_sparse():
    """A pedigree's covariance is whole, what it comes to is not: rounding is no relationship."""
    whole = np.linalg.inv(tridiagonal(40).toarray())
    relation, _ = related(whole, labels=range(40), levels=())
    assert len(relation.upper[0]) == 40 + 39


@pytest.mark.parametrize("given", [
    pd.DataFrame(covariance(), LABELS, LABELS),
    pd.DataFrame(covariance(), LABELS, LABELS).loc[LABELS[::-1], [*LABELS[3:], *LABELS[:3]]],
    sf.LevelMatrix(covariance(), LABELS),
    (sparse.coo_array(covariance()), LABELS),
], ids=["table", "turned table", "matrix", "pair"])  # fmt: skip
def test_ways_of_handing_over_are_the_same(given):
    fit = sf.lmer("y ~ x + (1 | gr(line, cov = A))", TABLE, matrices={"A": given}, method="ml")
    first = sf.lmer("y ~ x + (1 | gr(line, cov = A))", TABLE, matrices={"A": (covariance(), LABELS)}, method="ml")
    assert fit.log_likelihood == pytest.approx(first.log_likelihood, rel=1e-12)
    assert fit.model.design.mean.groups[0].levels[:3] == ("l0", "l3", "l8")
    assert fit.model.matrices["A"].labels in (tuple(LABELS), tuple(LABELS[::-1]))


def test_whole_numbers_are_labels_as_levels_are():
    data = TABLE.assign(line=np.repeat([3, 0, 8], 4))
    frame = pd.DataFrame(covariance(), range(9), np.arange(9.0))
    fit = sf.lmer("y ~ x + (1 | gr(line, cov = A))", data, matrices={"A": frame}, method="ml")
    assert set(fit.model.design.mean.groups[0].levels) == set("012345678")


A = covariance()
REFUSED = {
    "no matrix": (None, "no matrix 'A' was handed over, which gr(line) names.\nMatrices that were: none.\n"
                  "Write matrices={'A': A}."),
    "another name": ({"AA": (A, LABELS)}, "no matrix 'A' was handed over, which gr(line) names.\n"
                     "Matrices that were: AA.\nNearest: 'AA'."),
    "no mapping": (A, "matrices= is a ndarray.\nIt hands matrices over by the names that the formula has for them.\n"
                   "Write matrices={'A': A} for gr(line, cov = A)."),
    "no labels": ({"A": A}, "the matrix 'A' is a ndarray without labels.\n"
                  "A matrix of levels is square, symmetric and positive definite, and each of its rows has a label.\n"
                  "Write matrices={'A': sf.LevelMatrix(A, labels)}, or hand over a DataFrame whose index and columns "
                  "are the levels."),
    "shape": ({"A": (A[:4], LABELS)}, "the matrix 'A' has the shape (4, 9).\n"
              "A matrix of levels is square, symmetric and positive definite, and each of its rows has a label.\n"
              "Give it a row and a column for each level."),
    "labels": ({"A": (A, LABELS[:3])}, "the matrix 'A' has 9 rows and 3 labels.\n"
               "A matrix of levels is square, symmetric and positive definite, and each of its rows has a label.\n"
               "Give a label for each row, in their order."),
    "twice": ({"A": (A, [*LABELS[:8], "l0"])}, "the matrix 'A' has two rows with the label 'l0'.\n"
              "A matrix of levels is square, symmetric and positive definite, and each of its rows has a label.\n"
              "Keep one of them."),
    "other columns": ({"A": pd.DataFrame(A, LABELS, range(9))}, "the matrix 'A' has other labels in its columns than "
                      "in its index, such as '0'.\n"
                      "A matrix of levels is square, symmetric and positive definite, and each of its rows has a "
                      "label.\nWrite A.index = A.columns if only the labels of the rows are missing."),
    "infinite": ({"A": (np.where(np.eye(9), np.inf, A), LABELS)}, "the matrix 'A' holds a number that is missing or "
                 "infinite.\n"
                 "A matrix of levels is square, symmetric and positive definite, and each of its rows has a label.\n"
                 "Fill it in before."),
    "asymmetric": ({"A": (A + 0.25 * np.eye(9, k=1), LABELS)}, "the matrix 'A' is not symmetric: two entries that "
                   "mirror each other differ by 0.25.\n"
                   "A matrix of levels is square, symmetric and positive definite, and each of its rows has a label.\n"
                   "Write (A + A.T) / 2 if they differ by rounding alone."),
    "text": ({"A": pd.DataFrame([["a"]], ["l0"], ["l0"])}, "the matrix 'A' does not hold numbers: could not convert "
             "string to float: 'a'.\n"
             "A matrix of levels is square, symmetric and positive definite, and each of its rows has a label.\n"
             "Convert its columns."),
    "negative": ({"A": (np.diag([1.0] * 8 + [-2.0]), LABELS)}, "the matrix 'A' is not positive definite: its smallest "
                 "eigenvalue is -2, the largest 1.\n"
                 "A matrix of levels is square, symmetric and positive definite, and each of its rows has a label.\n"
                 "Keep one of two levels that are the same (twins, clones), or add a little to the diagonal: "
                 "A + 0.01 I."),
    "lacks": ({"A": (A[:7, :7], LABELS[:7])}, "the matrix 'A' lacks 1 of the levels of 'line': l8.\n"
              "Each level has a row in the matrix, found by its label; it has l0, l1, l2, l3, l4 and 2 more.\n"
              "Nearest to 'l8': 'l6'."),
    "other role": ({"A": sf.LevelMatrix(A, LABELS, "precision")}, "the matrix 'A' is a precision, the inverse of a "
                   "covariance, and gr() takes it for the other.\n"
                   "cov = A is a covariance of the levels, precision = Q its inverse.\nWrite precision = A."),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    given, text = REFUSED[case]
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ x + (1 | gr(line, cov = A))", TABLE, matrices=given)
    assert str(caught.value) == text


@pytest.mark.parametrize("matrix", [
    sparse.csc_array(np.diag([1.0] * 8 + [-2.0])),
    sparse.diags_array([np.full(49, -1.0), np.r_[1.0, np.full(48, 2.0), 1.0], np.full(49, -1.0)], offsets=[-1, 0, 1]),
    np.ones((9, 9)) + 1e-14 * np.eye(9),
], ids=["negative", "intrinsic neighbours", "clones"])  # fmt: skip
def test_a_matrix_without_an_inverse_is_refused(matrix):
    labels = [*LABELS, *range(matrix.shape[0] - 9)]
    for argument in ("precision", "cov"):
        with pytest.raises(sf.DataError, match="the matrix 'A' is not positive definite: its smallest eigenvalue is"):
            sf.Model(f"y ~ x + (1 | gr(line, {argument} = A))", TABLE, matrices={"A": (matrix, labels)})


def test_new_rows_may_have_levels_of_the_matrix_and_no_others():
    fit = sf.lmer("y ~ x + (1 | gr(line, cov = A))", TABLE, matrices={"A": (A, LABELS)}, method="reml")
    new = pd.DataFrame({"x": [0.0, 1.0], "line": ["l5", "l3"]})
    found = sf.predict(fit, new)["estimate"].to_numpy()
    observed, other = [LABELS.index(one) for one in ("l0", "l3", "l8")], LABELS.index("l5")
    effects = sf.ranef(fit).set_index("grp")["condval"]
    shares = np.linalg.solve(A[np.ix_(observed, observed)], A[observed, other])
    assert effects["l5"] == pytest.approx(float(shares @ effects[["l0", "l3", "l8"]]), rel=1e-9)
    assert found[0] == pytest.approx(sf.fixef(fit)["estimate"].iloc[0] + effects["l5"], rel=1e-9)
    with pytest.raises(sf.DataError, match="the matrix 'A' lacks 1 of the levels of 'line': zz"):
        sf.predict(fit, new.assign(line=["l5", "zz"]), allow_new_levels=True)


def test_many_levels_of_a_covariance_alone_are_told():
    q = 80
    labels = [*LABELS, *range(q - 9)]
    model = sf.Model("y ~ x + (1 | gr(line, cov = A))", TABLE, matrices={"A": (covariance(q=q), labels)})
    assert [finding.kind for finding in model.findings] == ["few_levels", "levels_of_the_matrix_alone"]
    quiet = sf.Model("y ~ x + (1 | gr(line, precision = A))", TABLE, matrices={"A": (covariance(q=q), labels)})
    assert [finding.kind for finding in quiet.findings] == ["few_levels"]


def test_levels_of_other_names_do_not_share_a_manifest():
    """A study that was stopped goes on with the same matrix alone."""
    from speclet_formula.common.checkpoints import spelled

    one, other = (sf.LevelMatrix(covariance(seed), LABELS) for seed in (1, 2))
    assert spelled({"matrices": {"A": one}}) != spelled({"matrices": {"A": other}})
    assert spelled({"matrices": {"A": one}}) == spelled({"matrices": {"A": sf.LevelMatrix(covariance(), LABELS)}})
