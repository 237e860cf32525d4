"""Fixed columns that earlier ones make up, against R: lme4 1.1-31 and emmeans 1.8.4-1 on the table below.

m <- lmer(y ~ f * h + (1 | g), d, REML = ...); logLik(m); fixef(m, add.dropped = TRUE); emmeans(m, ~ f * h)
"""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.inference.maximum_likelihood import independent_columns

N = 90
ROW = np.arange(N)
DATA = pd.DataFrame({
    "g": [f"g{i}" for i in ROW % 9],
    "f": np.array(["hi", "lo", "mid"])[(ROW // 2) % 3],
    "h": np.array(["p", "q"])[(ROW // 7) % 2],
    "x": np.round(np.sin(ROW * 1.7), 3),
    "y": np.round(np.cos(ROW * ROW * 0.37) + np.sin((ROW % 9) * 2.1), 3),
    "k": (3 + 2 * np.sin(ROW * 0.9) + ROW % 4).astype(int),
})  # fmt: skip
DATA = DATA[~((DATA["f"] == "hi") & (DATA["h"] == "q"))].assign(twice=lambda d: 2 * d["x"] + 1)
FIXED = {
    "reml": (-93.0890997, [0.28995812646, -0.65371835813, 0.02804928316, 0.00109843821, 0.43409522987, np.nan]),
    "ml": (-90.6344726, [0.29333361793, -0.66163022319, 0.02587284796, -0.00136557319, 0.43792064263, np.nan]),
}
ERRORS = {
    "reml": [0.313997179, 0.278033749, 0.281148412, 0.270643885, 0.388447224, np.nan],
    "ml": [0.297183097, 0.269632452, 0.272590787, 0.262601735, 0.376866794, np.nan],
}
MEANS = [0.2933, -0.3683, 0.3192, np.nan, 0.0683, 0.3178]  # by ML, of hi p, lo p, mid p, hi q, lo q, mid q
LAPLACE = [1.3701743002, 0.0469057831, -0.0819203398, 0.1148714918, 0.0084483497, np.nan, -0.1455186811, np.nan]


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_an_empty_cell_is_fitted_as_by_r(method):
    fit = sf.lmer("y ~ f * h + (1 | g)", DATA, method=method)
    likelihood, coefficients = FIXED[method]
    assert (fit.log_likelihood, fit.df, fit.verdict) == (pytest.approx(likelihood, abs=1e-6), 7, "converged")
    table = sf.fixef(fit)
    np.testing.assert_allclose(table["estimate"], coefficients, atol=2e-5)
    np.testing.assert_allclose(table["std_error"], ERRORS[method], rtol=2e-4)
    assert "Dropped: 1 fixed column that earlier ones make up: 'f[mid]:h[q]'" in str(fit)


def test_laplace_drops_the_same_columns_as_glmer():
    fit = sf.glmer("k ~ f * h + x + twice + (1 | g)", DATA, family="poisson", method="laplace")
    assert (fit.log_likelihood, fit.df) == (pytest.approx(-150.353158, abs=1e-5), 7)
    table = sf.fixef(fit).set_index("term")["estimate"]
    order = ["Intercept", "f[lo]", "f[mid]", "h[q]", "x", "twice", "f[lo]:h[q]", "f[mid]:h[q]"]
    np.testing.assert_allclose(table[order], LAPLACE, atol=2e-4)


def test_a_repeated_column_is_dropped_where_it_stands_later():
    fit = sf.lmer("y ~ x + twice + h + (1 | g)", DATA, method="reml")
    assert fit.log_likelihood == pytest.approx(-96.8863138, abs=1e-6)
    expected = [0.08354806266, -0.00207983253, np.nan, 0.14203405993]
    np.testing.assert_allclose(sf.fixef(fit)["estimate"], expected, atol=2e-5)


def test_columns_that_are_zero_in_every_row_are_dropped():
    """With 'lo' as reference the empty cell has a column of its own: the same model."""
    data = DATA.assign(f=pd.Categorical(DATA["f"], categories=["lo", "hi", "mid"]))
    fit = sf.lmer("y ~ f * h + (1 | g)", data, method="reml")
    assert fit.log_likelihood == pytest.approx(FIXED["reml"][0], abs=1e-6)
    assert sf.fixef(fit).set_index("term")["estimate"].isna().to_dict()["f[hi]:h[q]"]


def test_means_of_what_no_row_shows_are_nan_as_emmeans_says():
    fit = sf.lmer("y ~ f * h + (1 | g)", DATA, method="ml")
    cells = sf.marginal_means(fit, ["f", "h"])
    np.testing.assert_allclose(cells.table["estimate"], MEANS, atol=1e-4)
    assert "emmeans' nonEst" in " ".join(str(cells).split())
    np.testing.assert_allclose(sf.marginal_means(fit, "h").table["estimate"], [0.0814, np.nan], atol=1e-4)
    new = {"f": ["hi", "hi", "lo"], "h": ["p", "q", "q"], "g": ["g1"] * 3}
    found = sf.predict(fit, new, re_form="~0")
    np.testing.assert_allclose(found["estimate"], [0.2933, np.nan, 0.0683], atol=1e-4)
    assert "nonEst" in found.attrs["note"]


def test_contrasts_that_need_no_unknown_mean_are_known():
    pairs = sf.pairs(sf.marginal_means(sf.lmer("y ~ f * h + (1 | g)", DATA, method="ml"), ["f", "h"])).table
    known = ~pairs["contrast"].str.contains("hi q")
    assert pairs.loc[known, "p_value"].notna().all()
    assert pairs.loc[~known, "estimate"].isna().all()
    assert pairs.loc[pairs["contrast"] == "hi p - lo p", "estimate"].item() == pytest.approx(0.6616302, abs=2e-5)


@pytest.mark.slow
def test_the_rest_of_a_fit_is_that_of_the_model_without_the_column(tmp_path):
    fit = sf.lmer("y ~ x + twice + h + (1 | g)", DATA, method="ml")
    less = sf.lmer("y ~ x + h + (1 | g)", DATA, method="ml")
    np.testing.assert_allclose(sf.fitted(fit)["estimate"], sf.fitted(less)["estimate"], atol=1e-6)
    assert sf.glance(fit)["AIC"].item() == pytest.approx(sf.glance(less)["AIC"].item(), abs=1e-7)
    profile = sf.confint(fit, "profile").set_index("term")
    short = sf.confint(less, "profile").set_index("term")
    np.testing.assert_allclose(profile.loc[short.index, "conf_low"], short["conf_low"], atol=1e-3)
    assert profile.loc["twice", ["conf_low", "conf_high"]].isna().all()
    loaded = sf.load(sf.save(fit, tmp_path / "a.fit"))
    pd.testing.assert_frame_equal(sf.fixef(loaded), sf.fixef(fit))
    assert np.isnan(
        sf.predict(loaded, {"x": [0.0], "twice": [5.0], "h": ["p"], "g": ["g1"]}, re_form="~0")["estimate"].item()
    )


def test_whole_columns_stay_as_they_are():
    design = sf.Model("y ~ f + x", DATA).design
    same, kept = independent_columns(design)
    assert same is design
    assert kept.tolist() == [0, 1, 2, 3]


def test_the_finding_says_what_each_engine_does():
    (finding,) = [one for one in sf.Model("y ~ f * h + (1 | g)", DATA).findings if one.kind == "collinear"]
    assert "'f[mid]:h[q]'" in finding.what
    assert "is the priors' alone. By REML, ML and Laplace the first-named is dropped, as in R." in finding.why


@pytest.mark.parametrize(
    ("empty", "dropped"),
    [
        (["a2 b2", "a3 b3"], ["a2 b2", "a3 b3"]),
        (["a1 b2", "a2 b1"], ["a3 b2", "a2 b4"]),
        (["a1 b1", "a2 b1", "a2 b2"], ["a2 b2", "a2 b4", "a3 b4"]),
        (["a1 b2", "a2 b3", "a3 b4"], ["a3 b2", "a2 b3", "a3 b4"]),
        (["a2 b2", "a2 b3", "a3 b1", "a1 b4"], ["a2 b2", "a2 b3", "a2 b4", "a3 b4"]),
    ],
)
def test_of_an_interaction_the_columns_go_in_r_s_order(empty, dropped):
    """R 4.2.2: what `qr(model.matrix(~ a * b))$pivot` puts behind the rank, where the first factor varies fastest."""
    cells = [(f"a{i}", f"b{j}") for i in (1, 2, 3) for j in (1, 2, 3, 4) if f"a{i} b{j}" not in empty]
    rows = pd.DataFrame(cells * 6, columns=["a", "b"])
    rows["g"] = np.arange(len(rows)) % 7
    rows["y"] = np.sin(np.arange(len(rows)) ** 2 * 0.7) + np.cos(rows["g"])
    fit = sf.lmer("y ~ a * b + (1 | g)", rows, method="ml")
    table = sf.fixef(fit)
    expected = {"a[{}]:b[{}]".format(*cell.split()) for cell in dropped}
    assert set(table["term"][table["estimate"].isna()]) == expected
    unknown = sf.marginal_means(fit, ["a", "b"]).table.query("estimate != estimate")
    assert set(unknown["a"].astype(str) + " " + unknown["b"].astype(str)) == set(empty)
