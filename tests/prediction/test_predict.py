"""Predictions equal sums of draws by hand with pandas; new levels have the moments of their group's distribution."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import speclet_formula as sf
from speclet_formula.errors import SpecletError
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data, sleepstudy_data


def draws(fit, name, **select):
    return fit.idata["posterior"][name].sel(select).values.ravel()


def counted_fit(**settings):
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"count": rng.poisson(4, 24), "x": rng.normal(size=24), "g": np.repeat(list("abcd"), 6)})
    centres = {"Intercept": 1.0, "x": 0.2, "1|g": 0.1, "1|g_sigma": 0.3}
    return fake_fit(sf.Model("count ~ x + (1 | g)", data, family="poisson"), centres, **settings)


def test_means_of_new_rows_are_sums_of_draws_under_their_own_index():
    fit = correlated_fit()
    new = pd.DataFrame({"Days": [3, 12], "Subject": [372, 308]}, index=["p", "q"])
    frame = sf.predict(fit, new, interval="confidence", ci_prob=0.8, ci_kind="eti")
    by_hand = [
        draws(fit, "Intercept")
        + draws(fit, "Days") * day
        + draws(fit, "1|Subject", Subject__factor_dim=who)
        + draws(fit, "Days|Subject", Subject__factor_dim=who) * day
        for day, who in ((3, "372"), (12, "308"))
    ]
    assert frame.index.to_list() == ["p", "q"]
    np.testing.assert_allclose(frame["estimate"], [eta.mean() for eta in by_hand])
    np.testing.assert_allclose(frame["std_error"], [eta.std(ddof=1) for eta in by_hand])
    np.testing.assert_allclose(frame[["conf_low", "conf_high"]], [np.quantile(eta, [0.1, 0.9]) for eta in by_hand])
    assert frame.attrs["interval"] == "80% equal-tailed interval"


def test_without_new_rows_the_fitted_means_come_back():
    fit = crossed_fit()
    frame = sf.predict(fit, interval="confidence")
    pd.testing.assert_frame_equal(frame, sf.fitted(fit))
    assert sf.predict(fit).columns.to_list() == ["estimate"]
    np.testing.assert_allclose(sf.predict(fit)["estimate"], frame["estimate"])


CHOSEN = {
    "~0": (False, False),
    "NA": (False, False),
    False: (False, False),
    "~(1 | Subject)": (True, False),
    "~ (0 + Days | Subject)": (False, True),
    "~(Days | Subject)": (True, True),
    None: (True, True),
}  # fmt: skip


@pytest.mark.parametrize(("re_form", "kept"), CHOSEN.items())
def test_group_terms_are_chosen_by_re_form(re_form, kept):
    fit = correlated_fit()
    frame = sf.predict(fit, {"Days": [4], "Subject": [330]}, re_form=re_form)
    effects = (
        draws(fit, "1|Subject", Subject__factor_dim="330"),
        draws(fit, "Days|Subject", Subject__factor_dim="330") * 4,
    )
    eta = (
        draws(fit, "Intercept") + draws(fit, "Days") * 4 + sum(e for e, keep in zip(effects, kept, strict=True) if keep)
    )
    assert frame["estimate"].item() == pytest.approx(eta.mean())


def test_a_level_of_a_term_that_is_left_out_need_not_be_known():
    fit = crossed_fit()
    new = pd.DataFrame({"control": ["other"], "gene": ["KRAS"], "cell_line": ["new"]})
    eta = draws(fit, "Intercept") + draws(fit, "control", control_dim="other")
    assert sf.predict(fit, new, re_form="~0")["estimate"].item() == pytest.approx(eta.mean())
    eta = eta + draws(fit, "1|gene", gene__factor_dim="KRAS")
    assert sf.predict(fit, new, re_form="~(1|gene)")["estimate"].item() == pytest.approx(eta.mean())


def test_the_scales_are_the_link_and_the_response():
    fit = counted_fit()
    eta = draws(fit, "Intercept") + draws(fit, "x") * 0.5 + draws(fit, "1|g", g__factor_dim="b")
    new = {"x": [0.5], "g": ["b"]}
    assert sf.predict(fit, new, type="link")["estimate"].item() == pytest.approx(eta.mean())
    assert sf.predict(fit, new)["estimate"].item() == pytest.approx(np.exp(eta).mean())


@pytest.mark.parametrize("table", [pl.DataFrame, pa.table, dict])
def test_any_table_gives_new_rows(table):
    fit = correlated_fit(draws=20)
    columns = {"Days": [0, 5], "Subject": [308, 372]}
    frame = sf.predict(fit, table(columns))
    assert frame.index.to_list() == [0, 1]
    np.testing.assert_array_equal(frame, sf.predict(fit, pd.DataFrame(columns)))


@pytest.mark.slow
def test_a_new_response_spreads_by_the_residual_too():
    """20,000 draws: the SD's standard error is 0.5 %, so 3 % is six of them (false alarm below 1e-8)."""
    fit = correlated_fit(draws=5000)
    new = pd.DataFrame({"Days": [2], "Subject": [309]})
    mean = sf.predict(fit, new, interval="confidence")
    drawn = sf.predict(fit, new, interval="prediction", random_seed=4)
    sigma = draws(fit, "sigma")
    assert drawn["estimate"].item() == pytest.approx(mean["estimate"].item())
    expected = np.sqrt(mean["std_error"].item() ** 2 + (sigma**2).mean())
    assert drawn["std_error"].item() == pytest.approx(expected, rel=0.03)
    again = sf.predict(fit, new, interval="prediction", random_seed=4)
    pd.testing.assert_frame_equal(drawn, again)


@pytest.mark.slow
def test_new_levels_are_drawn_from_the_group_once_for_all_their_rows():
    """Moments of 20,000 draws within 4 %: eight standard errors of a standard deviation."""
    fit = correlated_fit(draws=5000)
    new = pd.DataFrame({"Days": [0, 10, 10], "Subject": [998, 998, 999]})
    frame = sf.predict(fit, new, allow_new_levels=True, interval="confidence", random_seed=1)
    tau0, tau1, rho = (draws(fit, name) for name in ("1|Subject_sigma", "Days|Subject_sigma", "cor|Subject"))
    fixed0, fixed1 = draws(fit, "Intercept"), draws(fit, "Days")
    at_zero = np.sqrt(fixed0.var() + (tau0**2).mean())
    at_ten = np.sqrt((fixed0 + 10 * fixed1).var() + (tau0**2 + 100 * tau1**2 + 20 * rho * tau0 * tau1).mean())
    np.testing.assert_allclose(frame["std_error"], [at_zero, at_ten, at_ten], rtol=0.04)
    pair = pd.DataFrame({"Days": [0, 0], "Subject": [998, 998]})
    both = sf.predict(fit, pair, allow_new_levels=True, interval="confidence", random_seed=1)
    assert both.iloc[0].equals(both.iloc[1])


def test_the_mean_of_a_group_is_that_of_its_new_levels():
    """4,000 draws of SD 0.5 at the mean 2: the mean's standard error is 0.01, so 0.06 is six of them."""
    priors = {"1|gene": sf.Prior("Normal", mu=sf.Prior("Normal", mu=0, sigma=5), sigma=sf.Prior("Exponential", lam=1))}
    model = sf.Model("log_fc ~ 0 + (1 | gene)", screen_data(), priors=priors)
    fit = fake_fit(model, {"1|gene_sigma": 0.5}, draws=1000)
    posterior = fit.idata["posterior"].to_dataset()
    posterior["1|gene_mu"] = posterior["sigma"] * 0 + 2.0
    fit.idata["posterior"] = fit.idata["posterior"].copy()
    fit.idata["posterior"].dataset = posterior
    found = sf.predict(fit, {"gene": ["new"]}, allow_new_levels=True, random_seed=3)
    assert found["estimate"].item() == pytest.approx(2.0, abs=0.06)


def test_trials_of_new_rows_make_the_spread_of_their_share():
    """Shares of 4,000 draws: SDs within 8 %, seven standard errors."""
    rng = np.random.default_rng(5)
    data = pd.DataFrame(
        {"hit": rng.integers(0, 5, 24), "miss": rng.integers(1, 5, 24), "g": np.repeat(list("abcd"), 6)}
    )
    model = sf.Model("cbind(hit, miss) ~ 1 + (1 | g)", data, family="binomial")
    fit = fake_fit(model, {"Intercept": 0.3, "1|g": 0.01}, draws=1000)
    new = pd.DataFrame({"g": ["a", "a"], "hit": [1, 50], "miss": [3, 350]})
    frame = sf.predict(fit, new, interval="prediction", random_seed=1)
    p = 1 / (1 + np.exp(-(draws(fit, "Intercept") + draws(fit, "1|g", g__factor_dim="a"))))
    expected = [np.sqrt(p.var() + (p * (1 - p) / n).mean()) for n in (4, 400)]
    np.testing.assert_allclose(frame["std_error"], expected, rtol=0.08)
    np.testing.assert_allclose(frame["estimate"], p.mean())


def test_an_ordinal_response_has_probabilities_by_level():
    data = screen_data().assign(grade=np.tile(["low", "mid", "high"], 16))
    data["grade"] = pd.Categorical(data["grade"], ["low", "mid", "high"], ordered=True)
    fit = fake_fit(sf.Model("grade ~ control + (1 | gene)", data, family="cumulative"), {"control": 0.1}, draws=20)
    frame = sf.predict(fit, data.head(2), interval="confidence")
    assert frame["level"].to_list() == ["low", "mid", "high"] * 2
    assert frame.index.to_list() == [0, 0, 0, 1, 1, 1]
    pd.testing.assert_frame_equal(frame.reset_index(drop=True), sf.fitted(fit).head(6).reset_index(drop=True))


def point_fit():
    return sf.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy_data(), method="reml")


def test_a_point_fit_predicts_as_lme4_at_modes_and_gives_new_levels_none():
    fit = point_fit()
    fixed = sf.fixef(fit).set_index("term")["estimate"]
    modes = sf.ranef(fit).set_index(["grp", "term"])["condval"]
    new = pd.DataFrame({"Days": [3, 3], "Subject": [310, 999]})
    found = sf.predict(fit, new, allow_new_levels=True)["estimate"]
    population = fixed["Intercept"] + 3 * fixed["Days"]
    known = population + modes["310", "Intercept"] + 3 * modes["310", "Days"]
    np.testing.assert_allclose(found, [known, population], rtol=1e-12)
    np.testing.assert_allclose(sf.predict(fit)["estimate"], sf.fitted(fit)["estimate"])


def test_a_point_fit_has_the_wald_interval_of_its_fixed_part():
    fit = point_fit()
    table = sf.fixef(fit, df="asymptotic", ci_prob=0.9).iloc[0]
    found = sf.predict(fit, {"Days": [0]} | {"Subject": [308]}, re_form="~0", interval="confidence", ci_prob=0.9).iloc[
        0
    ]
    np.testing.assert_allclose(found, table[["estimate", "std_error", "conf_low", "conf_high"]].astype(float))


ERRORS = {
    "new level": (
        {"newdata": {"Days": [1], "Subject": [999]}},
        "'Subject' has levels that were not fitted: '999'.\nGroup effects are known for the fitted levels.\n"
        "Leave those rows out, fit the model with them, or write predict(..., allow_new_levels=True).",
    ),
    "type": (
        {"type": "terms"},
        "type='terms' does not exist.\ntype= is one of 'response', 'link'.\nWrite type='link', or leave it out.",
    ),
    "interval": (
        {"interval": "credible"},
        "interval='credible' does not exist.\ninterval= is one of None, 'confidence', 'prediction'.\n"
        "Write interval='prediction', or leave it out.",
    ),
    "link prediction": (
        {"type": "link", "interval": "prediction"},
        "there is no interval for new values of the linear predictor.\n"
        "A new response is a number on the response's scale; levels have probabilities.\n"
        "Write interval='confidence'.",
    ),
    "unknown term": (
        {"re_form": "~(1 | gene)"},
        "the model has no group term (1 | gene).\nIts group terms: (1 + Days | Subject).\n"
        "Choose among them in re_form, or leave it out for all.",
    ),
    "fixed in re_form": (
        {"re_form": "~ Days"},
        "re_form='~ Days' has no group terms.\nIt chooses among the group terms; the fixed part is always there.\n"
        "For example re_form='~(1 | Subject)'.",
    ),
    "not a formula": (
        {"re_form": "Subject"},
        "re_form='Subject' is no formula of group terms.\n"
        "None stands for all group terms, '~0' or False for none, '~(1 | g)' for some.\n"
        "For example re_form='~(1 | Subject)'.",
    ),
}


@pytest.mark.parametrize(("arguments", "text"), ERRORS.values(), ids=ERRORS)
def test_an_error_says_what_to_do(arguments, text):
    with pytest.raises(SpecletError) as caught:
        sf.predict(correlated_fit(draws=5), **arguments)
    assert str(caught.value) == text


def test_a_point_fit_refuses_the_intervals_that_it_has_not():
    with pytest.raises(SpecletError) as caught:
        sf.predict(point_fit(), interval="prediction")
    assert str(caught.value) == (
        "a fit by maximum likelihood has no interval='prediction' for new responses.\n"
        "Its covariances are those of the fixed effects: interval='confidence' is for the fixed part alone.\n"
        "Write interval='confidence', re_form='~0'; or fit the model with draws (method='exact' or 'hmc')."
    )


def test_intervals_of_means_with_group_effects_are_pointed_to():
    with pytest.raises(SpecletError) as caught:
        sf.predict(point_fit(), interval="confidence")
    assert str(caught.value) == (
        "a fit by maximum likelihood has no interval='confidence' for means with group effects.\n"
        "Its covariances are those of the fixed effects: interval='confidence' is for the fixed part alone.\n"
        "Write re_form='~0', or sf.predictions(fit), which takes group effects as known; or fit the model with draws "
        "(method='exact' or 'hmc')."
    )


def test_weights_of_new_rows_have_to_be_known():
    data = sleepstudy_data().assign(w=2.0)
    fit = fake_fit(sf.Model("Reaction ~ Days + (1 | Subject)", data, weights="w"), draws=5)
    new = data[["Days", "Subject"]].head(1)
    assert sf.predict(fit, new, interval="confidence").shape == (1, 4)
    with pytest.raises(SpecletError) as caught:
        sf.predict(fit, new, interval="prediction")
    assert str(caught.value) == (
        "the new rows have no column 'w', so that their weights are unknown.\n"
        "An interval for new responses depends on the weights of the rows; one for means does not.\n"
        "Add the column (a model's weights= then names it), or write interval='confidence'."
    )
    assert sf.predict(fit, data.head(2), interval="prediction", random_seed=1).shape == (2, 4)


def two_factors():
    """24 rows of two crossed factors; the numbers below are lme4 1.1.31's of the same rows (R 4.2.2)."""
    y = [1.2, 2.9, 1.8, 4.4, 4.1, 5.9, 3.1, 4.2, 5.5, 5.2, 7.7, 7.4, 0.3, 0.1, 2.2, 1.6, 3.9, 3.2, 2.4, 2.2, 4.9, 4.3,
         5.1, 7.3]  # fmt: skip
    return pd.DataFrame(
        {"y": y, "x": np.tile(np.arange(6.0), 4), "g": np.repeat(list("abcd"), 6), "h": list("pqr") * 8}
    )


def reml_fit():
    return sf.lmer("y ~ x + (1 | g) + (1 | h)", two_factors(), method="reml")


@pytest.mark.parametrize(
    ("new", "re_form", "expected"),
    [
        ({"x": [0.0, 7.0]}, "~0", [1.65714286, 7.62214286]),
        ({"x": [0.0, 7.0]}, False, [1.65714286, 7.62214286]),
        ({"x": [0.0, 7.0], "g": ["a", "c"]}, "~(1 | g)", [1.26823652, 5.78987280]),
        ({"x": [np.nan, 7.0, 2.0], "g": list("acd"), "h": list("ppp")}, None, [np.nan, 5.78987280, 3.91872734]),
    ],
)
def test_only_the_columns_that_are_used_are_needed(new, re_form, expected):
    frame = sf.predict(reml_fit(), pd.DataFrame(new), re_form=re_form)
    np.testing.assert_allclose(frame["estimate"], expected, atol=2e-5)
    assert frame.attrs.get("missing", 0) == sum(np.isnan(expected))


def test_columns_that_are_not_used_are_not_looked_at():
    new = pd.DataFrame({"x": [0.0, 7.0], "g": [None, "never seen"], "h": ["z", None]})
    frame = sf.predict(reml_fit(), new, re_form="~0")
    np.testing.assert_allclose(frame["estimate"], [1.65714286, 7.62214286], atol=2e-5)


def test_a_slope_that_is_not_asked_for_needs_no_column():
    fit = correlated_fit()
    rows = pd.DataFrame({"Days": [3.0], "Subject": [372]})
    data = sleepstudy_data().assign(z=lambda frame: frame["Days"] % 3)
    other = fake_fit(sf.Model("Reaction ~ Days + (1 + z || Subject)", data), {"Intercept": 251.4, "Days": 10.5})
    found = sf.predict(other, rows, re_form="~(1 | Subject)")["estimate"].iloc[0]
    at_zero = sf.predict(other, rows.assign(z=0.0))["estimate"].iloc[0]
    assert found == pytest.approx(at_zero, rel=1e-12)
    assert np.isfinite(sf.predict(fit, rows[["Days"]], re_form="NA")["estimate"]).all()


@pytest.mark.parametrize("interval", [None, "confidence", "prediction"])
def test_rows_with_missing_values_have_missing_predictions(interval):
    fit = correlated_fit()
    new = pd.DataFrame({"Days": [3.0, np.nan, 5.0], "Subject": [372, 308, None]}, index=["p", "q", "r"])
    frame = sf.predict(fit, new, interval=interval, random_seed=1)
    whole = sf.predict(fit, new.iloc[:1], interval=interval, random_seed=1)
    assert frame.index.to_list() == ["p", "q", "r"]
    assert frame.isna().all(axis=1).to_list() == [False, True, True]
    np.testing.assert_array_equal(frame.iloc[0], whole.iloc[0])
    assert frame.attrs["missing"] == 2
    assert frame.attrs["interval"] == whole.attrs["interval"]


def test_levels_of_an_ordered_response_keep_their_names_in_rows_with_missing_values():
    data = pd.DataFrame({"x": np.linspace(-1, 1, 30), "o": pd.Categorical(np.tile(list("abc"), 10), ordered=True)})
    fit = fake_fit(sf.Model("o ~ x", data, family="cumulative"), {"threshold": np.array([-1.0, 1.0])})
    frame = sf.predict(fit, {"x": [np.nan, 0.5]})
    assert frame["level"].to_list() == ["a", "b", "c"] * 2
    assert frame["estimate"].isna().to_list() == [True] * 3 + [False] * 3
    assert frame["estimate"].iloc[3:].sum() == pytest.approx(1)


def test_data_of_a_fit_that_dropped_rows_can_be_predicted():
    data = two_factors()
    data.loc[2, "x"] = np.nan
    data.loc[6:11, ["g", "x"]] = ["e", np.nan]  # a level that occurs in dropped rows alone
    data["g"] = pd.Categorical(data["g"])
    fit = sf.lmer("y ~ x + (1 | g)", data, method="reml", missing="drop")
    frame = sf.predict(fit, data)
    assert frame.index[frame["estimate"].isna()].to_list() == [2, *range(6, 12)]
    np.testing.assert_allclose(frame["estimate"].dropna(), sf.fitted(fit)["estimate"], rtol=1e-12)


def test_nothing_to_predict():
    with pytest.raises(sf.DataError) as caught:
        sf.predict(reml_fit(), {"x": [np.nan]}, re_form="~0")
    assert str(caught.value) == (
        "no row can be predicted: each has a missing value.\nColumns that are needed: x.\n"
        "Fill in the missing values of one row or more."
    )


def test_group_terms_of_odd_columns_are_chosen_by_their_names():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"y": rng.normal(size=60), "my x": rng.normal(size=60), "a/b": list("abcdef") * 10})
    data["y"] += data["a/b"].map(dict(zip("abcdef", range(6), strict=True))) * (1 + data["my x"])
    fit = sf.lmer("y ~ `my x` + (`my x` | `a/b`)", data, method="reml")
    parts = [sf.predict(fit, data, re_form=form)["estimate"] for form in ("~(1 | `a/b`)", "~(0 + `my x` | `a/b`)")]
    none, every = (sf.predict(fit, data, re_form=form)["estimate"] for form in ("~0", None))
    np.testing.assert_allclose(parts[0] + parts[1] - none, every)
    assert np.abs(parts[1] - none).max() > 0.1
