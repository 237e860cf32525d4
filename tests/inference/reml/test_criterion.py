"""The three algebras of relative factors, which share no factorisation, against each other."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.algebra import forest
from speclet_formula.inference.algebra.dense import DenseMatrix
from speclet_formula.inference.algebra.sparse import SparseMatrix
from speclet_formula.inference.reml import criterion as profiled
from speclet_formula.inference.reml.classes import RelativeClasses
from speclet_formula.inference.reml.criterion import (
    deviances,
    is_costly,
    profile_of,
    residual_variance,
    sloped_deviance,
    solve,
)
from tests.fakes import sleepstudy_data

EQUAL = 1e-9


def table():
    rng = np.random.default_rng(5)
    g, h = rng.integers(0, 12, 150), rng.integers(0, 7, 150)
    x, w = rng.normal(40, 3, 150), rng.uniform(0.2, 4, 150)
    y = 200 + rng.normal(0, 2, 12)[g] + rng.normal(0, 1, 7)[h] + rng.normal(0.4, 0.3, 12)[g] * x + rng.normal(size=150)
    kinds = np.array(["a", "b", "c"])[np.where(g < 4, 1 + h % 2, h % 3)]  # the first levels lack "a"
    return pd.DataFrame({"g": g.astype(str), "h": h.astype(str), "k": kinds, "x": x, "w": w, "z": x % 1, "y": y})


FORMULAS = [
    "y ~ x + (1 | g)",
    "y ~ x + (x | g) + (1 | h)",
    "y ~ x + z + (x + z | g)",
    "y ~ x + (x || g) + offset(z)",
    "y ~ 0 + x + (1 | g/h)",
    "y ~ 0 + (1 | g)",
    "y ~ k + (0 + k | g)",
    "y ~ x",
]


def each(monkeypatch, make):
    """Make something with dense and with sparse algebra, and by classes of alike levels."""
    made = []
    for most_dense, most_classes in ((np.inf, 0.0), (0, -1.0), (0, 1.0)):
        monkeypatch.setattr(profiled, "MOST_DENSE", most_dense)
        monkeypatch.setattr(forest, "MOST_CLASSES", most_classes)
        profiled.recent.clear()  # where the same design is prepared anew
        made.append(make())
    return made


def kind_of(criterion):
    return RelativeClasses if isinstance(criterion.joint, RelativeClasses) else type(criterion.joint.matrix)


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.mostly_slow(every=4)
def test_dense_and_sparse_algebra_and_classes_agree(formula, reml, weights, monkeypatch):
    design = sf.Model(formula, table(), weights=weights).design
    dense, sparse, classes = each(monkeypatch, lambda: profile_of(design, reml=reml))
    assert (kind_of(dense), kind_of(sparse)) == (DenseMatrix, SparseMatrix)
    check_alike(dense, sparse)
    if kind_of(classes) is RelativeClasses:  # crossed in one piece, or without groups, there is nothing to share
        check_alike(dense, classes)


def check_alike(dense, sparse):
    size = dense.relative.size
    theta = np.random.default_rng(6).normal(0, 1.5, (20, size)) * (np.arange(20) > 0)[:, None]  # zeros among them
    np.testing.assert_allclose(deviances(dense, theta), deviances(sparse, theta), rtol=EQUAL)
    for one in theta[:4]:
        assert residual_variance(dense, one) == pytest.approx(residual_variance(sparse, one), rel=EQUAL)
        first, second = solve(dense, one), solve(sparse, one)
        for name in ("coefficients", "fixed_columns", "conditional"):
            found, expected = getattr(first, name), getattr(second, name)
            assert found.shape == expected.shape
            scale = np.abs(expected).max(initial=0.0)
            np.testing.assert_allclose(found, expected, rtol=EQUAL, atol=EQUAL * scale)


def nested(missing=0.0, shuffled=False):
    """Guides in genes in batches, all seen at the same four times, on plates: alike levels, but for what is missing."""
    rng = np.random.default_rng(7)
    guide, time = np.repeat(np.arange(40), 4), np.tile(np.arange(4.0), 40)
    gene = np.repeat(np.arange(15), [3, 2, 3] * 5)[guide]
    y = 3 + rng.normal(0, 1, 15)[gene] + rng.normal(0, 0.3, 15)[gene] * time + rng.normal(0, 0.6, 40)[guide]
    columns = {"guide": guide, "gene": gene, "batch": gene // 3, "plate": time % 3, "arm": np.where(time > 1, "a", "b")}
    data = pd.DataFrame(
        {"y": y + rng.normal(0, 0.5, 160), "time": time} | {k: v.astype(str) for k, v in columns.items()}
    )
    data = data[rng.random(160) >= missing]
    return data.sample(frac=1, random_state=1) if shuffled else data


NESTED = [
    "y ~ time + (1 | gene/guide) + (1 | plate)",
    "y ~ time + (time | gene) + (1 | guide)",
    "y ~ time + (time || gene) + (1 | gene:guide) + (1 | batch)",
    "y ~ 0 + arm + (0 + arm | gene) + (1 | guide)",
    "y ~ 1 + (1 | gene) + (1 | gene:plate) + (1 | guide)",
]


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("formula", FORMULAS[:-1])
@pytest.mark.mostly_slow(every=4)
def test_the_gradient_is_that_of_dense_algebra_by_differences(formula, reml, weights, monkeypatch):
    """Richardson's differences of steps 1e-3 and 5e-4: their error is of the fourth order."""
    design = sf.Model(formula, table(), weights=weights).design
    dense, sparse, _ = each(monkeypatch, lambda: profile_of(design, reml=reml))
    theta = np.random.default_rng(8).normal(0, 1.2, (4, dense.relative.size))
    theta[0, -1], theta[1] = 0.0, 0.0
    for one in theta:
        value, slope = sloped_deviance(sparse, one)
        assert value == pytest.approx(deviances(dense, one[None])[0], rel=EQUAL)
        steps = [step * np.eye(len(one)) for step in (1e-3, 5e-4)]
        wide, near = ((deviances(dense, one + s) - deviances(dense, one - s)) / (2 * s[0, 0]) for s in steps)
        np.testing.assert_allclose(slope, near + (near - wide) / 3, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("formula", FORMULAS[:-1])
@pytest.mark.mostly_slow(every=4)
def test_fits_by_the_gradient_agree(formula, method, monkeypatch):
    dense, sparse, _ = each(monkeypatch, lambda: sf.lmer(formula, table(), method=method))
    monkeypatch.setattr(profiled, "COSTLY", 0)
    monkeypatch.setattr(forest, "MOST_CLASSES", -1.0)
    profiled.recent.clear()
    sloped = sf.lmer(formula, table(), method=method)
    assert (sloped.verdict, sloped.sentence) == (dense.verdict, dense.sentence)
    assert sloped.log_likelihood == pytest.approx(dense.log_likelihood, abs=1e-7)
    assert sparse.log_likelihood == pytest.approx(dense.log_likelihood, abs=1e-7)


@pytest.mark.parametrize("formula", ["y ~ factor(g) + (1 | g)", "y ~ (1 | g) + (1 | g2)"])
def test_the_gradient_tells_what_the_likelihood_does_not(formula, monkeypatch):
    monkeypatch.setattr(profiled, "MOST_DENSE", 0)
    monkeypatch.setattr(profiled, "COSTLY", 0)
    monkeypatch.setattr(forest, "MOST_CLASSES", -1.0)
    fit = sf.lmer(formula, table().assign(g2=lambda data: data["g"]), method="reml")
    assert fit.verdict == "doubtful"
    assert fit.sentence.startswith("The likelihood is flat in the SD of 'Intercept' by g.")


def test_crossed_levels_with_a_large_corner_are_searched_by_the_gradient(monkeypatch):
    rng = np.random.default_rng(10)
    pairs = rng.permutation(900 * 600)[:12_000]
    g, h = pairs // 600, pairs % 600
    y = rng.normal(0, 0.6, 900)[g] + rng.normal(0, 0.4, 600)[h] + rng.normal(size=len(g))
    data = pd.DataFrame({"y": y, "g": g.astype(str), "h": h.astype(str)})
    fit = sf.lmer("y ~ (1 | g) + (1 | h)", data, method="reml")
    assert is_costly(profile_of(fit.model.design, reml=True))
    monkeypatch.setattr(profiled, "COSTLY", np.inf)
    other = sf.lmer("y ~ (1 | g) + (1 | h)", data, method="reml")
    assert fit.evaluations < other.evaluations / 2
    assert fit.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-7)


@pytest.mark.parametrize("missing", [0.0, 0.03])
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("formula", NESTED)
def test_alike_levels_are_eliminated_once(formula, reml, missing, monkeypatch):
    design = sf.Model(formula, nested(missing)).design
    dense, _, classes = each(monkeypatch, lambda: profile_of(design, reml=reml))
    assert len(classes.joint.forest.counts) < (0.5 if missing else 0.4) * classes.joint.forest.lead
    assert classes.joint.moments is not None
    check_alike(dense, classes)


@pytest.mark.parametrize("formula", NESTED[:3])
def test_a_pass_over_the_coefficients_says_the_same_as_their_moments(formula, monkeypatch):
    design = sf.Model(formula, nested()).design
    monkeypatch.setattr(forest, "MOST_SQUARES", 0)
    dense, _, classes = each(monkeypatch, lambda: profile_of(design, reml=True))
    assert classes.joint.moments is None
    check_alike(dense, classes)


def test_levels_that_differ_share_no_class(monkeypatch):
    """With weights of their own they are left to sparse algebra."""
    data = nested().assign(w=np.random.default_rng(9).uniform(0.5, 2, 160))
    monkeypatch.setattr(profiled, "MOST_DENSE", 0)
    for weights, kind in ((None, RelativeClasses), ("w", SparseMatrix)):
        design = sf.Model("y ~ time + (1 | gene/guide)", data, weights=weights).design
        assert kind_of(profile_of(design, reml=True)) is kind


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("formula", ["y ~ x + (x | g) + (1 | h)", "y ~ x + (1 | g)", "y ~ x"])
def test_fits_agree(formula, method, monkeypatch):
    dense, *others = each(monkeypatch, lambda: sf.lmer(formula, table(), method=method))
    for fit in others:
        assert dense.log_likelihood == pytest.approx(fit.log_likelihood, rel=EQUAL)
        np.testing.assert_allclose(sf.fixef(dense)["std_error"], sf.fixef(fit)["std_error"], rtol=1e-4)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("formula", NESTED)
@pytest.mark.mostly_slow(every=3)
def test_fits_of_alike_levels_agree(formula, method, monkeypatch):
    dense, sparse, classes = each(monkeypatch, lambda: sf.lmer(formula, nested(shuffled=True), method=method))
    for fit in (sparse, classes):
        assert dense.log_likelihood == pytest.approx(fit.log_likelihood, rel=EQUAL)
        assert dense.verdict == fit.verdict
        for name in ("modes", "mode_sds", "sum_sds"):
            for one, other in zip(getattr(dense.estimates, name), getattr(fit.estimates, name), strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_a_point_that_cannot_be_factored_spoils_no_other():
    criterion = profile_of(sf.Model("y ~ x + (1 | g)", table()).design, reml=True)
    assert isinstance(criterion.joint.matrix, DenseMatrix)
    found = deviances(criterion, np.array([[0.5], [np.nan], [2.0], [np.nan]]))
    assert np.isinf(found[[1, 3]]).all()
    alone = [deviances(criterion, np.array([[entry]]))[0] for entry in (0.5, 2.0)]
    np.testing.assert_allclose(found[[0, 2]], alone, rtol=1e-12)


def test_many_points_are_evaluated_as_few_are(monkeypatch):
    criterion = profile_of(sf.Model("y ~ x + (x | g)", table()).design, reml=True)
    theta = np.random.default_rng(7).normal(size=(11, 3))
    at_once = deviances(criterion, theta)
    monkeypatch.setattr("speclet_formula.inference.algebra.dense.CHUNK_ENTRIES", 3 * 27**2)
    np.testing.assert_allclose(deviances(criterion, theta), at_once, rtol=1e-12)


def test_large_designs_take_the_compiled_loops():
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"g": np.repeat(np.arange(900), 2).astype(str), "y": rng.normal(size=1800)})
    data["x"] = rng.normal(size=1800)
    for formula, kind in (("y ~ (1 | g)", RelativeClasses), ("y ~ x + (x | g)", SparseMatrix)):
        assert kind_of(profile_of(sf.Model(formula, data).design, reml=True)) is kind


@pytest.mark.slow
def test_a_small_fit_loads_no_compiled_loops(tmp_path):
    sleepstudy_data().to_csv(tmp_path / "data.csv", index=False)
    code = (
        "import sys, pandas as pd, speclet_formula as sf\n"
        "fit = sf.lmer('Reaction ~ Days + (Days | Subject)', pd.read_csv('data.csv'), method='reml')\n"
        "repr(fit), sf.fixef(fit), sf.ranef(fit), sf.varcorr(fit)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert set(run.stdout.split()).isdisjoint({"numba", "llvmlite", "qdldl", "pymc", "matplotlib"})
