"""The dense and the sparse algebra of relative factors, which share no factorisation, against each other."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.algebra.dense import DenseMatrix
from speclet_formula.inference.algebra.sparse import SparseMatrix
from speclet_formula.inference.reml import criterion as profiled
from speclet_formula.inference.reml.criterion import deviances, profile_of, residual_variance, solve
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


def both(monkeypatch, make):
    """Make something with dense and with sparse algebra."""
    monkeypatch.setattr(profiled, "MOST_DENSE", np.inf)
    dense = make()
    monkeypatch.setattr(profiled, "MOST_DENSE", 0)
    return dense, make()


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("reml", [True, False])
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.mostly_slow(every=4)
def test_dense_and_sparse_algebra_agree(formula, reml, weights, monkeypatch):
    design = sf.Model(formula, table(), weights=weights).design
    dense, sparse = both(monkeypatch, lambda: profile_of(design, reml=reml))
    assert (type(dense.joint.matrix), type(sparse.joint.matrix)) == (DenseMatrix, SparseMatrix)
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


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("formula", ["y ~ x + (x | g) + (1 | h)", "y ~ x + (1 | g)", "y ~ x"])
def test_fits_agree(formula, method, monkeypatch):
    dense, sparse = both(monkeypatch, lambda: sf.lmer(formula, table(), method=method))
    assert dense.log_likelihood == pytest.approx(sparse.log_likelihood, rel=EQUAL)
    np.testing.assert_allclose(sf.fixef(dense)["std_error"], sf.fixef(sparse)["std_error"], rtol=1e-4)


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


def test_large_designs_take_the_sparse_loops():
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"g": np.repeat(np.arange(900), 2).astype(str), "y": rng.normal(size=1800)})
    assert isinstance(profile_of(sf.Model("y ~ (1 | g)", data).design, reml=True).joint.matrix, SparseMatrix)


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
