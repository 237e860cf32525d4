"""Group terms with covariance structures by REML and ML, against glmmTMB, nlme and the dense likelihood.

tests/data/r/structures.R made the figures; where two programs could fit a model they agree there.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.common.structures import Structure
from speclet_formula.inference.algebra import forest
from speclet_formula.inference.relative import psi_of, relative_covariances, theta_at, theta_of, theta_slopes
from speclet_formula.inference.reml import criterion as profiled
from speclet_formula.inference.reml.criterion import profile_of
from speclet_formula.inference.reml.degrees_of_freedom import small_sample
from tests.inference.reml.dense import dense_of

FOLDER = Path(__file__).parents[2] / "data" / "r"
ANSWERS = json.loads((FOLDER / "structures.json").read_text())
TERMS = {
    "cs": "cs(0 + {by} | {group})",
    "homcs": "cs(0 + {by} | {group}, hom = TRUE)",
    "homdiag": "diag(0 + {by} | {group}, hom = TRUE)",
    "ar1": "ar1(0 + {by} | {group})",
    "hetar1": "ar1(0 + {by} | {group}, hom = FALSE)",
}


@cache
def table(name):
    data = pd.read_csv(FOLDER / "textbook" / f"{name}.csv")
    if name == "sleepstudy":
        data["day"] = pd.Categorical(data["Days"]).rename_categories(lambda day: f"day {day}")
    if name == "cake":
        data["degrees"], data["batch"] = data["temp"].astype(str), data["recipe"] + data["replicate"].astype(str)
    return data


@cache
def fit_of(name, fixed, term, method):
    return sf.lmer(f"{fixed} + {term}", table(name), method=method)


def named(answer):
    return f"{answer['data']} {answer['structure']} {'reml' if answer['REML'] else 'ml'}"


@pytest.mark.parametrize("answer", ANSWERS, ids=named)
def test_estimates_are_those_of_other_programs(answer):
    term = TERMS[answer["structure"]].format(by=answer["by"], group=answer["group"])
    fit = fit_of(answer["data"], answer["fixed"], term, "reml" if answer["REML"] else "ml")
    assert fit.log_likelihood == pytest.approx(answer["logLik"], rel=1e-8)
    assert fit.df == len(answer["fixef"]) + fit.model.design.mean.groups[0].parameters + 1
    table_ = sf.varcorr(fit)
    block = table_[table_["grp"] != "Residual"]
    # both searches end within a thousandth of a standard error
    np.testing.assert_allclose(block.loc[block["var2"].isna(), "sdcor"], answer["sds"], rtol=5e-5)
    assert sf.sigma(fit) == pytest.approx(answer["sigma"], rel=5e-5)
    np.testing.assert_allclose(sf.fixef(fit)["estimate"], answer["fixef"], rtol=1e-5)
    if answer["rho"] is not None:
        assert block.loc[block["var2"].notna(), "sdcor"].iloc[0] == pytest.approx(answer["rho"], rel=5e-5)


def test_two_columns_of_cs_and_hetar1_are_correlated_freely():
    data = table("sleepstudy")
    free = sf.lmer("Reaction ~ Days + (Days | Subject)", data, method="reml")
    for term in ("cs(Days | Subject)", "ar1(Days | Subject, hom = FALSE)"):
        fit = sf.lmer(f"Reaction ~ Days + {term}", data, method="reml")
        assert fit.log_likelihood == pytest.approx(free.log_likelihood, abs=1e-6)
        assert fit.df == free.df
        np.testing.assert_allclose(sf.varcorr(fit)["sdcor"], sf.varcorr(free)["sdcor"], rtol=2e-3)
        np.testing.assert_allclose(sf.fixef(fit)["df"], sf.fixef(free)["df"], rtol=1e-3)


@pytest.mark.parametrize("structure", TERMS)
def test_the_search_by_gradient_ends_where_that_without_does(structure, monkeypatch):
    term = TERMS[structure].format(by="Machine", group="Worker")
    plain = fit_of("Machines", "score ~ Machine", term, "reml")
    for name in ("MOST_DENSE", "COSTLY"):
        monkeypatch.setattr(profiled, name, 0)
    monkeypatch.setattr(forest, "MOST_CLASSES", -1.0)
    profiled.recent.clear()
    fit = sf.lmer(f"score ~ Machine + {term}", table("Machines"), method="reml")
    profiled.recent.clear()
    assert fit.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)
    assert fit.verdict == plain.verdict
    assert fit.evaluations != plain.evaluations


@pytest.mark.parametrize("structure", TERMS)
def test_psi_theta_and_covariances_stand_for_each_other(structure):
    term = TERMS[structure].format(by="Machine", group="Worker")
    design = sf.Model(f"score ~ Machine + {term}", table("Machines")).design
    relative = profile_of(design, reml=True).relative
    kind = design.mean.groups[0].structure
    assert isinstance(kind, Structure)
    rng = np.random.default_rng(5)
    psi = np.concatenate([rng.uniform(0.5, 2, kind.parameters(3) - kind.correlates), [0.4] * kind.correlates])
    theta = theta_at(relative, psi[None])[0]
    (matrix,) = relative_covariances(relative, theta)
    np.testing.assert_allclose(psi_of(relative, [matrix]), psi)
    np.testing.assert_allclose(theta_of(relative, [matrix]), theta)
    slopes = theta_slopes(relative, psi)
    for place in range(len(psi)):
        step = np.eye(len(psi))[place] * 1e-3
        ahead, behind = theta_at(relative, psi[None] + step)[0], theta_at(relative, psi[None] - step)[0]
        np.testing.assert_allclose(slopes[:, place], (ahead - behind) / 2e-3, atol=1e-6)
    assert relative.sizes.tolist() == [True] * (len(psi) - kind.correlates) + [False] * kind.correlates


def test_satterthwaite_s_degrees_of_freedom_follow_the_structure():
    """By the dense likelihood of SDs and rho themselves, all derivatives by differences."""
    fit = fit_of("Machines", "score ~ Machine", TERMS["ar1"].format(by="Machine", group="Worker"), "reml")
    design = fit.model.design
    block = design.mean.groups[0]
    same = np.equal.outer(block.codes, block.codes)
    powers = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))

    def covariance(point):
        sd, rho, sigma = point
        matrix = sd**2 * rho**powers
        return same * (block.values @ matrix @ block.values.T) + sigma**2 * np.eye(len(design.response))

    def deviance(point):
        V = covariance(point)
        found = dense_of(fit, V)
        y = design.response
        return np.linalg.slogdet(V)[1] - np.linalg.slogdet(found.covariance)[1] + y @ found.projected

    table_ = sf.varcorr(fit)
    best = np.array([table_["sdcor"][0], table_["sdcor"][3], sf.sigma(fit)])
    steps = 1e-3 * np.maximum(best, 0.1)
    shifts = np.diag(steps)
    hessian = np.array([
        [
            (deviance(best + a + b) - deviance(best + a - b) - deviance(best - a + b) + deviance(best - a - b))
            / (4 * a.max() * b.max())
            for b in shifts
        ]
        for a in shifts
    ])  # fmt: skip
    uncertainty = 2 * np.linalg.inv(hessian)

    def variances(point):
        return np.diagonal(dense_of(fit, covariance(point)).covariance)

    slopes = np.array([(variances(best + a) - variances(best - a)) / (2 * a.max()) for a in shifts])
    expected = 2 * variances(best) ** 2 / np.einsum("ki,kl,li->i", slopes, uncertainty, slopes)
    np.testing.assert_allclose(sf.fixef(fit)["df"], expected, rtol=1e-3)


@pytest.mark.parametrize("structure", TERMS)
def test_kenward_and_roger_s_covariance_is_that_of_dense_algebra(structure):
    """The paper's formulas for whole matrices, with all derivatives of V by variances and rho from differences."""
    fit = fit_of("Machines", "score ~ Machine", TERMS[structure].format(by="Machine", group="Worker"), "reml")
    design, (matrix,) = fit.model.design, fit.estimates.covariances
    (block,), X, n = design.mean.groups, design.mean.X, len(design.response)
    same = np.equal.outer(block.codes, block.codes)
    apart = np.abs(np.subtract.outer(np.arange(3), np.arange(3)))
    power = {"s": apart > 0, "g": np.where(apart, np.inf, 0), "1": apart}[structure[-1]].astype(float)
    one = structure.startswith("hom") or structure == "ar1"

    def covariance(phi):
        variances = np.full(3, phi[0]) if one else phi[:3]
        inner = np.sqrt(np.outer(variances, variances)) * phi[-2] ** power
        return same * (block.values @ inner @ block.values.T) + phi[-1] * np.eye(n)

    variances = np.diagonal(matrix)[:1] if one else np.diagonal(matrix)
    rho = [] if structure == "homdiag" else [matrix[0, 1] / np.sqrt(matrix[0, 0] * matrix[1, 1])]
    phi = np.array([*variances, *rho, fit.estimates.sigma**2])
    if structure == "homdiag":  # its last but one is the variance, whose power does not matter
        power = np.where(apart, np.inf, 0)

        def covariance(phi):
            return phi[0] * same * (block.values @ block.values.T) + phi[-1] * np.eye(n)

    steps = np.diag(1e-3 * phi)
    r = len(phi)
    first = [(covariance(phi + h) - covariance(phi - h)) / (2 * h.sum()) for h in steps]
    second = [
        [
            (covariance(phi + a + b) - covariance(phi + a - b) - covariance(phi - a + b) + covariance(phi - a - b))
            / (4 * a.sum() * b.sum())
            for b in steps
        ]
        for a in steps
    ]
    found = dense_of(fit, covariance(phi))
    inverse, plain = found.inverse, found.covariance
    P = [-X.T @ inverse @ G @ inverse @ X for G in first]
    Q = [[X.T @ inverse @ G @ inverse @ H @ inverse @ X for H in first] for G in first]
    R = [[X.T @ inverse @ bend @ inverse @ X for bend in row] for row in second]
    information = [
        [
            np.trace(inverse @ first[i] @ inverse @ first[j]) / 2
            - np.trace(plain @ Q[i][j])
            + np.trace(plain @ P[i] @ plain @ P[j]) / 2
            for j in range(r)
        ]
        for i in range(r)
    ]
    W = np.linalg.inv(information)
    inner = sum(W[i, j] * (Q[i][j] - P[i] @ plain @ P[j] - R[i][j] / 4) for i in range(r) for j in range(r))
    expected = plain + 2 * plain @ inner @ plain
    made = small_sample(fit, "kenward-roger")
    np.testing.assert_allclose(made.covariance, expected, rtol=1e-4)  # as exact as the second differences
    np.testing.assert_allclose(np.diagonal(made.uncertainty), np.diagonal(W), rtol=1e-3)
    assert (sf.fixef(fit, df="kenward-roger")["df"] > 1).all()


def test_one_column_has_nothing_to_correlate():
    with pytest.raises(sf.FormulaError, match=r"one column, 'Days'(.|\n)*ar1\(0 \+ factor\(Days\) \| Subject\)"):
        sf.Model("Reaction ~ ar1(0 + Days | Subject)", table("sleepstudy"))
    with pytest.raises(sf.FormulaError, match=r"one column, '1'(.|\n)*Write \(1 \| Subject\)"):
        sf.Model("Reaction ~ cs(1 | Subject)", table("sleepstudy"))
