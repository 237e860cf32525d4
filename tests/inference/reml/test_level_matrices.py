"""Levels that vary together by REML and ML, against dense algebra in R and a printed pedigree example.

tests/data/r/level_matrices.R made the figures, from dense covariances alone.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import speclet_formula as sf
from speclet_formula.inference.relative import theta_of_covariances
from speclet_formula.inference.reml import criterion as profiled
from speclet_formula.inference.reml.criterion import profile_of, solve

FOLDER = Path(__file__).parents[2] / "data" / "r"
ANSWERS = json.loads((FOLDER / "level_matrices.json").read_text())


def covariance(q):
    return 0.6 ** np.abs(np.subtract.outer(np.arange(q), np.arange(q))) + np.diag(np.linspace(0.1, 0.5, q))


def table(answer):
    data = pd.read_csv(FOLDER / "textbook" / f"{answer['data']}.csv")
    return data[~data[answer["group"]].astype(str).isin(answer["without"])]


def given(answer, argument, *, as_sparse=False):
    """Return the matrix as it is handed over, its levels in another order."""
    labels = np.array(answer["labels"])
    turned = np.random.default_rng(1).permutation(len(labels))
    matrix = covariance(len(labels))
    matrix = (np.linalg.inv(matrix) if argument == "precision" else matrix)[np.ix_(turned, turned)]
    if as_sparse:
        matrix = np.where(np.abs(matrix) > 1e-12, matrix, 0.0)
        return {"M": sf.LevelMatrix(sparse.csr_array(matrix), labels[turned])}
    return {"M": pd.DataFrame(matrix, labels[turned], labels[turned])}


def fit_of(answer, argument="cov", **options):
    columns = answer["slopes"].removeprefix("~ ")
    formula = f"{answer['fixed']} + ({columns} | gr({answer['group']}, {argument} = M))"
    matrices = given(answer, argument, **options)
    return sf.lmer(formula, table(answer), matrices=matrices, method="reml" if answer["REML"] else "ml")


def named(answer):
    return f"{answer['data']} {answer['slopes']} {'reml' if answer['REML'] else 'ml'}"


def check(fit, answer):
    """Both searches end within a thousandth of a standard error; the log-likelihood is far closer."""
    assert fit.log_likelihood == pytest.approx(answer["logLik"], rel=1e-10, abs=1e-7)
    varying = sf.varcorr(fit)
    block = varying[varying["grp"] != "Residual"]
    np.testing.assert_allclose(block.loc[block["var2"].isna(), "sdcor"], answer["sds"], rtol=5e-5)
    assert sf.sigma(fit) == pytest.approx(answer["sigma"], rel=5e-5)
    np.testing.assert_allclose(sf.fixef(fit)["estimate"], answer["fixef"], rtol=1e-5)
    if answer["rho"] is not None:
        assert block.loc[block["var2"].notna(), "sdcor"].iloc[0] == pytest.approx(answer["rho"], rel=2e-4)


@pytest.mark.parametrize("answer", ANSWERS, ids=named)
@pytest.mark.parametrize("argument", ["cov", "precision"])
def test_estimates_are_those_of_dense_algebra(answer, argument):
    check(fit_of(answer, argument), answer)


@pytest.mark.parametrize("answer", ANSWERS, ids=named)
def test_sparse_equations_find_the_same(answer, monkeypatch):
    monkeypatch.setattr(profiled, "MOST_DENSE", 0)
    monkeypatch.setattr(profiled, "COSTLY", 0)
    check(fit_of(answer, "precision", as_sparse=True), answer)


def test_independent_levels_are_those_of_a_plain_term():
    data = pd.read_csv(FOLDER / "textbook" / "sleepstudy.csv")
    labels = sorted(data["Subject"].unique())
    unit = {"I": (sparse.eye_array(len(labels)), labels)}
    plain = sf.lmer("Reaction ~ Days + (Days | Subject)", data, method="reml")
    same = sf.lmer("Reaction ~ Days + (Days | gr(Subject, precision = I))", data, method="reml", matrices=unit)
    assert same.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-12)
    for verb in (sf.fixef, sf.varcorr, sf.ranef):
        ours, theirs = (verb(fit).select_dtypes("number").to_numpy() for fit in (same, plain))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("beside", ["(1 | g)", "(1 | gr(g, cov = D))"])
def test_a_factor_has_terms_of_several_covariances(beside):
    """As over a copy of the column, under names of their own; levels without a row have no effect of their own."""
    data = (
        pd.read_csv(FOLDER / "textbook" / "sleepstudy.csv")
        .rename(columns={"Subject": "g"})
        .assign(g=lambda d: d["g"] % 7)
    )
    labels, related = list("01234567"), covariance(8)
    matrices = {"A": pd.DataFrame(related, labels, labels), "D": pd.DataFrame(related**2, labels, labels)}
    formula = "Reaction ~ Days + (1 | gr(g, cov = A)) + "
    fit = sf.lmer(formula + beside, data, matrices=matrices, method="ml")
    copied = sf.lmer(
        formula + beside.replace("g)", "h)").replace("g,", "h,"),
        data.assign(h=data["g"]),
        matrices=matrices,
        method="ml",
    )
    assert fit.log_likelihood == pytest.approx(copied.log_likelihood, rel=1e-12)
    own = "g" if beside == "(1 | g)" else "gr(g, cov = D)"
    assert sf.varcorr(fit)["grp"].tolist() == ["gr(g, cov = A)", own, "Residual"]
    assert sf.ranef(fit).groupby("grpvar").size()[own] == 7 + (own != "g")
    parts = [
        sf.predict(fit, data[:9], re_form=f"~{part}")["estimate"] for part in ("(1 | gr(g, cov = A))", beside, "0")
    ]
    whole = sf.predict(fit, data[:9])["estimate"]
    np.testing.assert_allclose(parts[0] + parts[1] - parts[2], whole)
    with pytest.raises(sf.FormulaError, match=r"no group term \(1 \| gr\(g, cov = B\)\)"):
        sf.predict(fit, data[:9], re_form="~(1 | gr(g, cov = B))")


MRODE = pd.DataFrame(
    {"calf": [4, 5, 6, 7, 8], "sire": [1, 3, 1, 4, 3], "dam": [None, 2, 2, 5, 6], "sex": list("mffmm"),
     "gain": [4.5, 2.9, 3.9, 3.5, 5.0]}
)  # fmt: skip


def test_predictions_are_those_of_a_printed_pedigree_example():
    """Mrode (2005), example 3.1: additive variance 20, residual variance 40, as printed to three digits."""
    relatives = {"P": sf.pedigree(MRODE, individual="calf")}
    model = sf.Model("gain ~ 0 + sex + (1 | gr(calf, precision = P))", MRODE, matrices=relatives)
    criterion = profile_of(model.design, reml=True)
    solution = solve(criterion, theta_of_covariances(criterion.relative, (np.array([[20 / 40]]),)))
    np.testing.assert_allclose(solution.coefficients[:2], [3.404, 4.358], atol=6e-4)
    printed = {"1": 0.098, "2": -0.019, "3": -0.041, "4": -0.009, "5": -0.186, "6": 0.177, "7": -0.249, "8": 0.183}
    found = dict(zip(model.design.mean.groups[0].levels, solution.coefficients[2:], strict=True))
    for calf, value in printed.items():
        assert found[calf] == pytest.approx(value, abs=6e-4)


def test_small_samples_and_profiles_are_those_of_dense_algebra():
    """Satterthwaite's degrees of freedom and a profile interval, from the dense likelihood by differences."""
    answer = ANSWERS[1]
    fit, data = fit_of(answer), table(answer)
    A = covariance(len(answer["labels"]))
    place = [answer["labels"].index(str(one)) for one in data["Subject"]]
    X = np.column_stack([np.ones(len(data)), data["Days"]])
    n, between = len(data), A[np.ix_(place, place)]

    def whole(variances):
        return variances[0] * between + variances[1] * np.eye(n)

    def deviance(variances):
        lower = np.linalg.cholesky(whole(variances))
        x, y = np.linalg.solve(lower, X), np.linalg.solve(lower, data["Reaction"].to_numpy())
        rest = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
        return n * np.log(2 * np.pi) + 2 * np.log(np.diag(lower)).sum() + rest @ rest

    def of_slope(variances):
        return np.linalg.inv(X.T @ np.linalg.solve(whole(variances), X))[1, 1]

    at = np.array([float(fit.estimates.covariances[0][0, 0]), float(fit.estimates.sigma) ** 2])
    steps = np.diag(1e-3 * at)
    slope = np.array([(of_slope(at + h) - of_slope(at - h)) / 2 / h.sum() for h in steps])
    hessian = np.array([
        [(deviance(at + h + k) - deviance(at + h - k) - deviance(at - h + k) + deviance(at - h - k))
         / 4 / h.sum() / k.sum() for k in steps] for h in steps
    ])  # fmt: skip
    df = 2 * of_slope(at) ** 2 / (slope @ (2 * np.linalg.inv(hessian)) @ slope)
    assert sf.fixef(fit)["df"].iloc[1] == pytest.approx(df, rel=1e-3)
    ends = sf.confint(fit, method="profile", ci_prob=0.95).iloc[0]
    from scipy.optimize import minimize_scalar

    for end in (ends["conf_low"], ends["conf_high"]):
        best = minimize_scalar(lambda v, end=end: deviance(np.array([end**2, v])), bounds=(1, 1e5), method="bounded")
        assert best.fun - deviance(at) == pytest.approx(3.8414588, abs=2e-3)


def test_what_is_not_made_for_related_levels_is_refused():
    fit = fit_of(ANSWERS[0])
    with pytest.raises(sf.EstimateError, match="kind='cases' draws levels again"):
        sf.bootstrap(fit, 2, kind="cases", group="Subject")
    draws = sf.bootstrap(fit, 2, random_seed=1)
    assert np.isfinite(draws.table.select_dtypes("number").to_numpy()).any()
