"""Tests of the fixed terms of one fit against lmerTest's anova and drop1."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import ComparisonError
from tests.fakes import crossed_fit
from tests.lmertest import MODELS, fit_of, rows_of

TABLES = [(name, table) for name, answer in MODELS.items() for table in answer["anova"] if table.get("term")]
DELETED = [(name, table) for name, answer in MODELS.items() for table in answer["drop1"] if table.get("term")]


def agrees(found, expected):
    """Assert that a table holds R's numbers: those of the denominators to a thousandth, p-values to 1e-4."""
    assert found.index.to_list() == expected["term"]
    columns = {key: np.atleast_1d(expected[key]) for key in ("num", "den", "F", "sum_sq", "mean_sq", "p")}
    np.testing.assert_array_equal(found["NumDF"], columns["num"])
    np.testing.assert_allclose(found["DenDF"], columns["den"], rtol=1e-3)
    for ours, theirs in (("F value", "F"), ("Sum Sq", "sum_sq"), ("Mean Sq", "mean_sq")):
        np.testing.assert_allclose(found[ours], columns[theirs], rtol=1e-3)
    np.testing.assert_allclose(found["Pr(>F)"], columns["p"], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("name", "expected"), TABLES, ids=[f"{n}, {t['type']}, {t['method']}" for n, t in TABLES])
def test_types_one_to_three_are_those_of_lmertest(name, expected):
    agrees(sf.anova(fit_of(name), type=expected["type"], df=expected["method"]).table, expected)


@pytest.mark.parametrize(("name", "expected"), DELETED, ids=[f"{n}, {t['method']}" for n, t in DELETED])
def test_deletions_are_those_of_lmertest(name, expected):
    agrees(sf.drop1(fit_of(name), df=expected["method"]).table, expected)


def test_type_three_by_satterthwaite_is_the_default():
    fit = fit_of("crossed, two factors")
    found = sf.anova(fit)
    pd.testing.assert_frame_equal(found.table, sf.anova(fit, type="III", df="satterthwaite").table)
    assert repr(found) == (
        "Type III tests of fixed terms by Satterthwaite's method: y ~ 1 + f + h + z + f:h + (1 | g) + (1 |\n"
        "a:b)\n\n"
        "term  Sum Sq  Mean Sq  NumDF  DenDF  F value  Pr(>F)\n"
        "f     40.523   20.261      2  366.6    3.936  0.0204\n"
        "h     11.572   11.572      1  368.6    2.248  0.1346\n"
        "z     41.837   41.837      1  371.6    8.127  0.0046\n"
        "f:h    0.864    0.432      2  367.7    0.084  0.9196\n\n"
        "Each term is tested on average over the levels of the factors that it meets, numbers at zero."
    )


def test_asymptotic_tests_are_chi_squared_and_called_so():
    found = sf.anova(fit_of("machines"), df="asymptotic")
    assert found.table.columns.to_list() == ["Chisq", "Df", "Pr(>Chisq)"]
    assert found.title.startswith("Type III tests of fixed terms by Wald's chi-squared: ")
    assert "Pr(>Chisq) is asymptotic: too small where there are few groups." in found.notes
    satterthwaite = sf.anova(fit_of("machines")).table
    np.testing.assert_allclose(found.table["Chisq"], 2 * satterthwaite["F value"], rtol=1e-9)


def test_laplace_has_walds_test():
    counts = pd.DataFrame({"k": [0, 1, 3, 2, 5, 4, 1, 0, 2, 6, 3, 1], "g": list("abcd") * 3, "f": list("uuuvvvwwwuvw")})
    fit = sf.glmer("k ~ f + (1 | g)", counts, family="poisson", method="laplace")
    estimates = fit.estimates
    by_hand = estimates.coefficients[1:] @ np.linalg.solve(estimates.covariance[1:, 1:], estimates.coefficients[1:])
    for found in (sf.anova(fit).table, sf.drop1(fit).table):
        assert found.loc["f", "Chisq"] == pytest.approx(by_hand, rel=1e-9)
        assert found.loc["f", "Df"] == 2
    assert "too small where there are few groups" in repr(sf.anova(fit)).replace("\n", " ")


def test_a_model_without_fixed_terms_has_no_tests():
    found = sf.anova(fit_of("one way"))
    assert found.table.empty
    assert found.notes == ("There is no fixed term to test.",)
    assert "There is no fixed term to test." in repr(found)


def test_a_singular_fit_and_dropped_columns_are_told():
    assert any("estimated as zero" in note for note in sf.anova(fit_of("one of two, singular")).notes)
    assert any("earlier ones make up" in note for note in sf.anova(fit_of("an empty cell")).notes)


def test_draws_are_compared_otherwise():
    for verb in (sf.anova, sf.drop1):
        with pytest.raises(ComparisonError) as error:
            verb(crossed_fit())
        assert str(error.value) == (
            "a fit with draws has no tests of its terms.\n"
            "They are of fits by method='reml', 'ml' or 'laplace'; of draws, models with and without a term are "
            "compared.\n"
            "Fit it with method='reml', or rank both models with compare."
        )


def test_what_is_no_type_and_what_is_of_one_fit_is_told():
    fit = fit_of("machines")
    with pytest.raises(ComparisonError, match="there are no tests of type='IV'"):
        sf.anova(fit, type="IV")
    with pytest.raises(ComparisonError, match="type= is given, and 2 fits"):
        sf.anova(fit, fit, type=2)
    with pytest.raises(ComparisonError, match="df= is given, and 2 fits"):
        sf.anova(fit, fit, df="satterthwaite")
    with pytest.raises(ComparisonError, match="nsim= is given, and one fit"):
        sf.anova(fit, nsim=10)
    with pytest.raises(sf.EstimateError, match="Kenward and Roger's method is for fits by method='reml'"):
        sf.anova(fit_of("slopes by ML"), df="kenward-roger")


@pytest.mark.parametrize("formula", ["y ~ f * h + z + (1 | g)", "y ~ f * x + h + (x | g)"])
def test_no_test_depends_on_how_factors_are_coded(formula):
    """Not even Satterthwaite's denominators, which in lmerTest do: they depend on the basis of a joint test."""
    data = rows_of(MODELS["three ways"])
    plain = sf.lmer(formula, data, method="reml")
    for contrasts in ({"f": "sum", "h": "helmert"}, {"f": "poly"}):
        coded = sf.lmer(formula, data, method="reml", contrasts=contrasts)
        for df in ("satterthwaite", "kenward-roger"):
            for verb in (
                *(lambda fit, df, k=k: sf.anova(fit, type=k, df=df) for k in (1, 2, 3)),
                lambda fit, df: sf.drop1(fit, df=df),
            ):
                expected, found = (verb(fit, df).table for fit in (plain, coded))
                # A coded factor is called as it is written.
                np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), rtol=1e-4, atol=1e-6)
