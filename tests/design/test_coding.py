"""Codings of factors, against R's coefficients, R's definitions of them, and what does not depend on them."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.design.coding import coding_labels, coding_matrix
from speclet_formula.formula.terms import CODINGS

FOLDER = Path(__file__).parents[1] / "data" / "r"
ANSWERS = json.loads((FOLDER / "codings.json").read_text(encoding="utf-8"))["fits"]


@cache
def odd_data():
    return pd.read_csv(FOLDER / "odd_formulas.csv")


@cache
def reml_fit(formula, given=()):
    return sf.lmer(formula, odd_data(), method="reml", contrasts=dict(given) or None)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer['model']}-{answer['coding']}")
def test_coefficients_are_those_of_r(answer):
    fit = reml_fit(answer["formula"], tuple((answer["given"] or {}).items()))
    fixed = sf.fixef(fit)
    # R's search stops within about 1e-6 of the SDs' optimum; estimates move with them by less.
    np.testing.assert_allclose(fixed["estimate"], answer["estimate"], rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(fixed["std_error"], answer["std_error"], rtol=2e-5)
    np.testing.assert_allclose(sf.varcorr(fit)["sdcor"], answer["sdcor"], rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(fit.log_likelihood, answer["reml"], atol=1e-5)
    np.testing.assert_allclose(sf.update(fit, method="ml").log_likelihood, answer["ml"], atol=1e-5)


def test_every_coding_has_answers_of_r():
    assert {answer["coding"] for answer in ANSWERS} == {*CODINGS, "treatment"}


def test_columns_are_called_as_r_calls_them_where_r_has_names():
    """R numbers the columns of sum and Helmert contrasts; the levels that they stand for are named here."""
    named = {answer["coding"]: answer["terms"][1:3] for answer in ANSWERS if answer["model"] == "argument"}
    assert named == {"sum": ["f1", "f2"], "helmert": ["f1", "f2"], "poly": ["f.L", "f.Q"], "sdif": ["fv-u", "fw-v"]}
    assert [f"f{label}" for label in coding_labels("poly", "uvw")] == named["poly"]
    assert [f"f{label}" for label in coding_labels("sdif", "uvw")] == named["sdif"]
    assert coding_labels("sum", "uvw") == ("u", "v")
    assert coding_labels("helmert", "uvw") == ("v", "w")
    assert coding_labels("poly", "abcdefg") == (".L", ".Q", ".C", "^4", "^5", "^6")


@pytest.mark.parametrize("count", [2, 3, 4, 7, 30, 95])
def test_matrices_are_what_their_names_say(count):
    """The inverse of a coding beside a column of ones says what each coefficient is of the levels' means."""
    level, before = np.arange(count), np.tri(count, k=-1) / np.maximum(np.arange(count), 1)[:, None]
    meanings = {
        None: (np.eye(count) - np.eye(count)[0])[1:],
        "sum": (np.eye(count) - 1 / count)[:-1],
        "helmert": ((np.eye(count) - before) / (level + 1)[:, None])[1:],
        "sdif": np.diff(np.eye(count), axis=0),
    }
    for coding, meaning in meanings.items():
        inverse = np.linalg.inv(np.column_stack([np.ones(count), coding_matrix(coding, count)]))
        np.testing.assert_allclose(inverse[1:], meaning, atol=1e-12)
        average = np.eye(count)[0] if coding is None else np.full(count, 1 / count)
        np.testing.assert_allclose(inverse[0], average, atol=1e-12)
    poly = coding_matrix("poly", count)
    np.testing.assert_allclose(poly.T @ poly, np.eye(count - 1), atol=1e-10)
    for power in range(1, min(count, 6)):  # orthogonal to all lower powers, and rising with its own
        products = poly[:, power - 1] @ np.vander(level / count, power + 1, increasing=True)
        np.testing.assert_allclose(products[:-1], 0, atol=1e-9)
        assert products[-1] > 0


CODED = [*CODINGS, "Treatment('v')"]
FORMULAS = ["y ~ {f} * x + (1 | g)", "y ~ x + {f} * h + (1 | g)", "y ~ x + {f}:h + (1 | g)", "y ~ 0 + x:{f} + (1 | g)"]


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("formula", FORMULAS)
def test_means_and_predictions_do_not_depend_on_the_coding(formula, coding):
    plain, coded = reml_fit(formula.format(f="f")), reml_fit(formula.format(f=f"C(f, {coding})"))
    new = odd_data().iloc[:40]
    for fit in (plain, coded):
        assert fit.verdict == "converged"
    # Both searches stop within 1e-7 or so of the same optimum.
    for of in (
        lambda fit: sf.predict(fit, new)["estimate"],
        lambda fit: sf.marginal_means(fit, "f", at={"x": 1.5}).table[["estimate", "std_error"]],
        lambda fit: sf.slopes(fit, "x", by="f").table[["estimate", "std_error"]],
        lambda fit: sf.avg_comparisons(fit, "f").table[["estimate", "std_error"]],
        lambda fit: sf.avg_slopes(fit, "x").table[["estimate", "std_error"]],
    ):
        np.testing.assert_allclose(of(coded), of(plain), rtol=1e-5, atol=1e-6)
    ml = [sf.update(fit, method="ml").log_likelihood for fit in (plain, coded)]
    np.testing.assert_allclose(*ml, atol=1e-6)


def test_a_poisson_fit_does_not_depend_on_the_coding():
    data = odd_data()
    data = data.assign(n=np.round(np.exp((data["y"] - data["y"].mean()) / 5 + 1)).astype(int))
    fits = [
        sf.glmer(f"n ~ {f} + x + (1 | g)", data, family="poisson", method="laplace") for f in ("a", "C(a, helmert)")
    ]
    np.testing.assert_allclose(*[fit.log_likelihood for fit in fits], atol=1e-5)
    means = [sf.marginal_means(fit, "a").table[["estimate", "std_error"]] for fit in fits]
    np.testing.assert_allclose(*means, rtol=1e-4, atol=1e-4)


def test_a_posterior_under_flat_priors_does_not_depend_on_the_coding():
    """Means of draws differ by their Monte Carlo error: 3 of 5 SDs each, a false alarm in 600,000."""
    flat, fits = sf.Prior("Flat"), []
    for f in ("f", "C(f, helmert)"):
        priors = dict.fromkeys(("Intercept", f, "x", f"{f}:x"), flat)
        fits.append(sf.lmer(f"y ~ {f} * x + (1 | g)", odd_data(), priors=priors, random_seed=5, progress=False))
    first, second = (sf.marginal_means(fit, "f").table for fit in fits)
    error = np.hypot(first["std_error"], second["std_error"]) / np.sqrt(1_000)  # at the least effective draws allowed
    assert (np.abs(first["estimate"] - second["estimate"]) < 5 * error).all()
    np.testing.assert_allclose(first["std_error"], second["std_error"], rtol=5 / np.sqrt(2 * 1_000))


def test_new_rows_are_coded_as_the_first_ones():
    """Rows of a single level, and in another order."""
    fit = reml_fit("y ~ C(a, poly) * h + (1 | g)")
    data = odd_data()
    whole = sf.predict(fit, data)["estimate"].to_numpy()
    for level in ("a0", "a3"):
        rows = np.flatnonzero(data["a"] == level)[::-1]
        np.testing.assert_allclose(sf.predict(fit, data.iloc[rows])["estimate"], whole[rows], rtol=1e-12)


def test_an_ordered_factor_is_told_of():
    data = odd_data().assign(a=lambda table: pd.Categorical(table["a"], ordered=True))
    found = {finding.kind: finding for finding in sf.Model("y ~ a + (1 | g)", data).findings}
    assert str(found["ordered_factor"]) == (
        "'a' is an ordered factor, and each of its levels is compared with 'a0', the first. R codes it by polynomials, "
        "a.L, a.Q, ...: the coefficients differ, the means do not. Write C(a, poly) for R's coefficients, or "
        "C(a, sdif) for the steps between levels."
    )
    for formula in ("y ~ C(a, poly) + (1 | g)", "y ~ x + (1 | a)"):
        assert "ordered_factor" not in {finding.kind for finding in sf.Model(formula, data).findings}
    assert "ordered_factor" not in {finding.kind for finding in sf.Model("y ~ a + (1 | g)", odd_data()).findings}


def test_a_number_is_no_factor_to_be_coded():
    message = "contrasts= names 'k', which holds numbers.\nFactors are coded: columns of text or of categories, and "
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ k + (1 | g)", odd_data(), contrasts={"k": "sum"})
    assert str(caught.value).startswith(message)
    coded = sf.Model("y ~ C(k, sum) + (1 | g)", odd_data())
    assert coded.design.mean.columns == ("Intercept", "C(k, sum)[1]", "C(k, sum)[2]")


def test_polynomials_of_too_many_levels_are_refused():
    data = pd.DataFrame({"y": np.arange(200.0), "f": [f"l{k % 100:02}" for k in range(200)]})
    with pytest.raises(sf.DataError, match="has 100 levels"):
        sf.Model("y ~ C(f, poly)", data)
    assert sf.Model("y ~ C(f, sum)", data).design.mean.X.shape == (200, 100)


def test_a_coded_fit_is_kept_changed_and_divided(tmp_path):
    fit = sf.lmer("y ~ f * x + (1 | g)", odd_data(), method="reml", contrasts={"f": "sum"})
    assert str(fit.model.formula) == "y ~ 1 + C(f, sum) + x + C(f, sum):x + (1 | g)"
    sf.save(fit, tmp_path / "coded.fit")
    pd.testing.assert_frame_equal(sf.fixef(sf.load(tmp_path / "coded.fit")), sf.fixef(fit))
    assert str(sf.update(fit, ". ~ . - f:x").model.formula) == "y ~ 1 + C(f, sum) + x + (1 | g)"
    assert str(sf.update(fit.model, contrasts={"f": "poly"}).formula).startswith("y ~ 1 + C(f, poly) + x + ")
    found = sf.fit_by("y ~ f + (1 | g)", odd_data(), by="h", method="reml", contrasts={"f": "sum"}, progress=False)
    assert {str(fit.model.formula) for fit in found.fits.values()} == {"y ~ 1 + C(f, sum) + (1 | g)"}
    assert sf.explain("y ~ f", contrasts={"f": "sum"}).spellings["lme4"] == "y ~ 1 + C(f, contr.sum)"


def test_terms_name_what_they_compare():
    fit = reml_fit("y ~ x + C(a, sdif) * h + (1 | g)")
    said = sf.tidy(fit)
    assert "C(a, sdif)[a1-a0]:h[q]" in set(said["term"])


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_tests_of_terms_do_not_depend_on_the_coding(kind):
    """F; lmerTest's denominators, which are followed here, do."""
    formulas = [f"y ~ {f} * h + x + (1 | g)" for f in ("f", "C(f, sum)", "C(f, poly)", "relevel(f, 'w')")]
    first, *others = [sf.anova(reml_fit(formula), type=kind).table["F value"] for formula in formulas]
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-5)
