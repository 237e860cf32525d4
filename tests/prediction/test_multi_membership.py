"""Predictions, leave-one-out and comparisons of models whose rows belong to several levels of a term."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.comparison.nesting import why_not_nested
from speclet_formula.inference.refit import with_rows
from speclet_formula.posterior.draws import draws_of
from speclet_formula.prediction.left_out import plan_levels
from speclet_formula.prediction.linear_predictors import linear_predictor

FORMULA = "y ~ x + (1 + x | mm(a, b, weights = cbind(u, v))) + (1 | a:b)"


@cache
def table():
    return pd.read_csv(Path(__file__).parents[1] / "data" / "r" / "multi_membership.csv")


@cache
def fit_of(formula=FORMULA, method="exact"):
    settings = {"draws": 400, "random_seed": 1} if method == "exact" else {}
    return sf.lmer(formula, table(), method=method, **settings)


def by_hand(fixed, effects, data):
    """Return the predictor of rows from coefficients and effects by slot and level, from the table alone."""
    eta = fixed["Intercept"] + fixed["x"] * data["x"].to_numpy()
    share = (data["u"] / (data["u"] + data["v"])).to_numpy()
    for name, weight in (("a", share), ("b", 1 - share)):
        own = [effects[slot].reindex(data[name]).fillna(0.0).to_numpy() for slot in ("1|mm(a, b)", "x|mm(a, b)")]
        eta = eta + weight * (own[0] + own[1] * data["x"].to_numpy())
    return eta + effects["1|a:b"].reindex(data["a"] + ":" + data["b"]).fillna(0.0).to_numpy()


def test_linear_predictors_are_the_weighted_sums():
    fit = fit_of()
    posterior = fit.idata["posterior"].to_dataset().isel(chain=0, draw=7)
    effects = {slot: posterior[slot].to_series() for slot in fit.model.design.effect_variables}
    expected = by_hand({name: float(posterior[name]) for name in ("Intercept", "x")}, effects, table())
    np.testing.assert_allclose(linear_predictor(fit.model, draws_of(fit))[7], expected, rtol=1e-9)


@pytest.mark.parametrize("method", ["ml", "exact"])
def test_new_rows_with_new_levels_have_the_rest_of_their_levels(method):
    fit = fit_of(method=method)
    new = table().iloc[20:24].copy()
    new.loc[new.index[:2], "b"] = "never seen"
    with pytest.raises(sf.DataError, match=r"'mm\(a, b\)' has levels that were not fitted: 'never seen'"):
        sf.predict(fit, new)
    found = sf.predict(fit, new, allow_new_levels=True, **({} if method == "ml" else {"random_seed": 1}))["estimate"]
    fixed = sf.fixef(fit).set_index("term")["estimate"]
    modes = sf.ranef(fit)
    effects = {
        f"{'1' if term == 'Intercept' else term}|{group}": part.set_index("grp")["condval"]
        for (group, term), part in modes.groupby(["grpvar", "term"])
    }
    expected = by_hand(fixed, effects, new)
    # of draws: the mean of 1,600 effects of a new level is within 4.5 errors of 0
    error = 4.5 * sf.varcorr(fit)["sdcor"].iloc[:2].sum() * 3 / np.sqrt(1600) if method == "exact" else 1e-9
    np.testing.assert_allclose(found, expected, atol=error)


def test_one_of_several_terms_is_chosen_by_its_name_in_tables():
    fit = fit_of(method="ml")
    for group in ("mm(a, b)", "mm(a, b, weights = cbind(u, v))"):
        found = sf.predict(fit, table().head(3), re_form=f"~(1 + x | {group})")
        whole = sf.predict(fit, table().head(3))["estimate"]
        pairs = sf.ranef(fit).query("grpvar == 'a:b'").set_index("grp")["condval"]
        left = whole - pairs[(table()["a"] + ":" + table()["b"]).head(3)].to_numpy()
        np.testing.assert_allclose(found["estimate"], left, rtol=1e-9)


def test_leave_one_out_of_exact_fits_is_that_of_fits_without_the_row():
    fit = sf.lmer("y ~ x + (1 | mm(a, b))", table().head(60), random_seed=1, draws=500)
    elpd = sf.loo(fit).elpd_i.to_numpy()
    for row in (0, 17, 41):
        others = np.delete(np.arange(60), row)
        without = sf.fit(with_rows(fit.model, others), random_seed=2, draws=500, progress=False)
        new = table().iloc[[row]]
        draws = draws_of(without)
        design = sf.Model("y ~ x + (1 | mm(a, b))", table().head(60)).design
        Z = np.zeros(len(design.mean.groups[0].levels))
        for name in ("a", "b"):
            Z[design.mean.groups[0].levels.index(new[name].item())] += 0.5
        eta = (
            draws.coefficients(design.mean) @ np.array([1.0, new["x"].item()])
            + draws.effects(without.model.design.mean.groups[0])[0] @ Z
        )
        sigma = draws.parameter("sigma")[:, 0]
        density = np.exp(-0.5 * ((new["y"].item() - eta) / sigma) ** 2) / sigma / np.sqrt(2 * np.pi)
        error = density.std() / density.mean() / np.sqrt(without.diagnostics.ess_bulk_min)
        assert elpd[row] == pytest.approx(np.log(density.mean()), abs=4.5 * np.sqrt(2) * error + 0.01)


def test_left_out_rows_integrate_other_factors_levels_alone():
    model = sf.Model("k ~ x + (1 | mm(a, b)) + (1 | c)", table(), family="poisson")
    fit = sf.fit(model, method="hmc", draws=100, chains=2, random_seed=1, progress=False)
    assert plan_levels(model, draws_of(fit)).groups == ("c",)


def test_folds_are_of_columns_not_of_memberships():
    fit = fit_of()
    assert len(sf.kfold(fit, group="a").elpd_i) == len(table())
    with pytest.raises(sf.DataError, match="one level for each row is needed"):
        sf.kfold(fit, group="mm(a, b)")


def test_nested_models_are_told():
    larger, smaller = fit_of("y ~ x + (1 + x | mm(a, b))", "ml"), fit_of("y ~ x + (1 | mm(a, b))", "ml")
    found = sf.anova(smaller, larger)
    assert found.table["Chisq"].iloc[1] == pytest.approx(2 * (larger.log_likelihood - smaller.log_likelihood))
    assert not why_not_nested(smaller.model, larger.model)
    for other in ("(1 | a)", "(1 | mm(a, b, weights = cbind(u, v)))", "(1 | mm(a, c))"):
        assert "none of the other's" in why_not_nested(sf.Model(f"y ~ x + {other}", table()), larger.model)


def test_variance_shares_are_those_of_rows():
    """A row of two different levels has half of the variance of one that names a level twice."""
    fit = fit_of("y ~ x + (1 | mm(a, b))", "ml")
    frame = sf.varcorr(fit)
    alike = (table()["a"] == table()["b"]).to_numpy()
    groups = frame["vcov"].iloc[0] * np.where(alike, 1.0, 0.5).mean()
    found = sf.icc(fit)
    fixed = float(np.var(sf.fixef(fit)["estimate"].iloc[1] * table()["x"], ddof=1))
    known = {
        "conditional": groups / (groups + fixed + frame["vcov"].iloc[-1]),
        "adjusted": groups / (groups + frame["vcov"].iloc[-1]),
    }
    for measure, value in known.items():
        if measure in set(found["measure"]):
            assert found.set_index("measure").loc[measure, "estimate"] == pytest.approx(value, rel=1e-6)
    assert set(found["measure"]) & set(known)


def test_saved_fits_come_back(tmp_path):
    fit = fit_of()
    sf.save(fit, tmp_path / "fit.sf")
    pd.testing.assert_frame_equal(sf.ranef(sf.load(tmp_path / "fit.sf")), sf.ranef(fit))
    assert (
        str(sf.update(fit.model, ". ~ . - (1 + x | mm(a, b, weights = cbind(u, v)))").formula)
        == "y ~ 1 + x + (1 | a:b)"
    )
