"""Pedigrees: the tabular method on whole matrices, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf


def tabular(fathers, mothers):
    """Return the numerator relationship matrix by the tabular method (Emik and Terrill 1949), parents first."""
    n = len(fathers)
    A = np.zeros((n, n))
    for i, (father, mother) in enumerate(zip(fathers, mothers, strict=True)):
        for j in range(i):
            A[i, j] = A[j, i] = 0.5 * sum(A[parent, j] for parent in (father, mother) if parent >= 0)
        A[i, i] = 1 + (0.5 * A[father, mother] if father >= 0 and mother >= 0 else 0.0)
    return A


@pytest.mark.parametrize("seed", range(4))
def test_the_inverse_is_that_of_the_tabular_method(seed):
    """With inbreeding, selfing, and one parent unknown; rows in any order."""
    rng, n = np.random.default_rng(seed), 60
    fathers, mothers = (np.array([rng.integers(-1, i) if i > 4 else -1 for i in range(n)]) for _ in range(2))
    mothers[20:23] = fathers[20:23]
    table = pd.DataFrame({"id": np.arange(n), "sire": fathers, "dam": mothers}).astype("Int64")
    table[["sire", "dam"]] = table[["sire", "dam"]].mask(table[["sire", "dam"]] < 0)
    table = table.replace({0: 1000})
    found = sf.pedigree(table.sample(frac=1, random_state=seed))
    order = [0 if label == "1000" else int(label) for label in found.labels]
    expected = tabular(fathers, mothers)[np.ix_(order, order)]
    np.testing.assert_allclose(np.linalg.inv(found.matrix.toarray()), expected, atol=1e-10)
    assert found.role == "precision"
    assert max(np.diag(expected)) > 1.2


def test_parents_without_a_row_are_founders():
    found = sf.pedigree({"id": ["c"], "sire": ["a"], "dam": [None]})
    assert found.labels == ("a", "c")
    np.testing.assert_allclose(np.linalg.inv(found.matrix.toarray()), [[1, 0.5], [0.5, 1]])


@pytest.mark.parametrize(("table", "text"), [
    ({"id": ["a", "b", "c"], "sire": ["b", "a", "a"], "dam": [None] * 3},
     "some are their own ancestors, or descend from such: a, b, c.\nParents are born before their offspring.\n"
     "Look for a parent and its offspring in each other's place."),
    ({"id": ["a", "a"], "sire": [None] * 2, "dam": [None] * 2},
     "'a' has two rows or more.\n"
     "A pedigree has a row for each individual, with its parents, or missing values where they are not known.\n"
     "Keep one of them."),
    ({"id": [1, 2], "sire": [0, 1], "dam": [0, 0]},
     "a parent is called '0', which has no row.\n"
     "A pedigree has a row for each individual, with its parents, or missing values where they are not known.\n"
     "Write data[['sire', 'dam']].replace({'0': None, 0: None}) if it stands for an unknown parent."),
    ({"id": ["a", None], "sire": [None] * 2, "dam": [None] * 2},
     "'id' lacks a value in a row.\n"
     "A pedigree has a row for each individual, with its parents, or missing values where they are not known.\n"
     "Give each individual a label."),
])  # fmt: skip
def test_what_is_no_pedigree(table, text):
    with pytest.raises(sf.DataError) as caught:
        sf.pedigree(table)
    assert str(caught.value) == text


def test_a_pedigree_is_no_covariance():
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0], "id": ["a", "c", "c"]})
    relatives = {"P": sf.pedigree({"id": ["c"], "sire": ["a"], "dam": [None]})}
    with pytest.raises(sf.DataError, match=r"Write precision = P\."):
        sf.Model("y ~ 1 + (1 | gr(id, cov = P))", data, matrices=relatives)
