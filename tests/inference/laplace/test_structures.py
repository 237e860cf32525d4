"""Group terms with covariance structures by Laplace's approximation, against glmmTMB and the dense approximation.

tests/data/r/structures_laplace.R made the figures.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.design import centre_of
from speclet_formula.inference.laplace.criterion import problem_of
from speclet_formula.inference.laplace.search import Criterion, start_of

FOLDER = Path(__file__).parents[2] / "data" / "r"
ANSWERS = json.loads((FOLDER / "structures_laplace.json").read_text())
TERMS = {
    "cs": "cs(0 + {by} | {group})",
    "homcs": "cs(0 + {by} | {group}, hom = TRUE)",
    "homdiag": "diag(0 + {by} | {group}, hom = TRUE)",
    "ar1": "ar1(0 + {by} | {group})",
    "hetar1": "ar1(0 + {by} | {group}, hom = FALSE)",
}
AT_ZERO = {("cbpp", "cs"), ("cbpp", "hetar1")}  # an SD of period 4


@cache
def table(name):
    return pd.read_csv(FOLDER / "textbook" / f"{name}.csv")


def formula_of(answer):
    return f"{answer['fixed']} + {TERMS[answer['structure']].format(by=answer['by'], group=answer['group'])}"


@cache
def fit_of(place):
    answer = ANSWERS[place]
    return sf.glmer(formula_of(answer), table(answer["data"]), family=answer["family"], method="laplace")


@pytest.mark.parametrize("place", range(len(ANSWERS)), ids=lambda i: f"{ANSWERS[i]['data']} {ANSWERS[i]['structure']}")
def test_estimates_are_those_of_other_programs(place):
    answer, fit = ANSWERS[place], fit_of(place)
    assert fit.log_likelihood == pytest.approx(answer["logLik"], rel=1e-8)
    assert fit.df == len(answer["fixef"]) + fit.model.design.mean.groups[0].parameters
    at_zero = (answer["data"], answer["structure"]) in AT_ZERO
    assert fit.verdict == ("singular" if at_zero else "converged")
    table_ = sf.varcorr(fit)
    # both searches end within a thousandth of a standard error
    np.testing.assert_allclose(table_.loc[table_["var2"].isna(), "sdcor"], answer["sds"], rtol=1e-4, atol=1e-6)
    if answer["rho"] is not None:
        assert table_.loc[table_["var2"].notna(), "sdcor"].iloc[0] == pytest.approx(answer["rho"], abs=1e-4)
    fixed = sf.fixef(fit)
    errors = fixed["std_error"].to_numpy()
    np.testing.assert_allclose(fixed["estimate"] / errors, np.array(answer["fixef"]) / errors, atol=1e-3)
    if answer["se"] is not None and not at_zero:
        np.testing.assert_allclose(errors, answer["se"], rtol=1e-3)


@pytest.mark.parametrize("structure", TERMS)
def test_the_gradient_by_sds_and_rho_is_that_of_differences(structure):
    answer = next(one for one in ANSWERS if one["structure"] == structure)
    model = sf.Model(formula_of(answer), table(answer["data"]), family=answer["family"])
    problem = problem_of(model.design, model.family, centre_of(model.design))
    search, x, mode, _ = start_of(model, problem)
    x = x + 0.1 * np.arange(1, 1 + len(x)) / len(x)
    criterion = Criterion(search, mode, 1)
    _, found = criterion(x)
    for place in range(len(x)):
        step = 1e-4 * np.eye(len(x))[place]
        expected = (criterion.value(x + step) - criterion.value(x - step)) / 2e-4
        assert found[place] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_two_columns_of_cs_and_hetar1_are_correlated_freely():
    data = table("grouseticks")
    free = sf.glmer("TICKS ~ height + (height | location)", data, family="poisson", method="laplace")
    for term in ("cs(height | location)", "ar1(height | location, hom = FALSE)"):
        fit = sf.glmer(f"TICKS ~ height + {term}", data, family="poisson", method="laplace")
        assert fit.log_likelihood == pytest.approx(free.log_likelihood, abs=1e-5)
        assert fit.df == free.df
        for own, same in zip(fit.estimates.deviation_errors, free.estimates.deviation_errors, strict=True):
            np.testing.assert_allclose(own, same, rtol=1e-2)


def test_a_correlation_beside_an_sd_of_zero_is_not_said_to_be_flat():
    """All SDs of a level that says nothing are zero; their correlation is then not there."""
    rows = pd.DataFrame({"g": np.repeat(list("abcdef"), 6), "t": list("uvw") * 12})
    rows["y"] = [3, 5, 4] * 12
    fit = sf.glmer("y ~ t + ar1(0 + t | g)", rows, family="poisson", method="laplace")
    assert fit.singular
    assert fit.verdict == "singular"
    assert "flat" not in str(fit)
    assert (sf.varcorr(fit).loc[lambda frame: frame["var2"].isna(), "sdcor"] == 0).all()


def test_likelihood_ratios_of_structures_are_of_nested_models():
    places = {one["structure"]: place for place, one in enumerate(ANSWERS) if one["data"] == "epil"}
    ratios = sf.anova(fit_of(places["homcs"]), fit_of(places["cs"]))
    assert ratios.table["Chisq"].iloc[-1] == pytest.approx(2 * (-620.6770433 + 625.4588085), abs=1e-5)
