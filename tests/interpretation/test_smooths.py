"""The table of smooths, curves drawn from a fit's draws, and what smooths are to other verbs."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.uniform(0, 1, 160), "g": rng.choice(list("pqrst"), 160)})
    data["y"] = np.sin(6 * data["x"]) + data["g"].map(dict(zip("pqrst", rng.normal(size=5), strict=True)))
    data["y"] += rng.normal(0, 0.3, 160)
    return data


@pytest.fixture(scope="module")
def fit(table):
    return sf.lmer("y ~ s(x) + (1|g)", table, random_seed=1, draws=400)


@pytest.fixture(scope="module")
def point(table):
    return sf.lmer("y ~ s(x) + (1|g)", table, method="reml")


def test_draws_and_estimates_agree(fit, point):
    exact, reml = sf.smooths(fit), sf.smooths(point)
    assert exact["smooth"].to_list() == ["s(x)"]
    assert exact["columns"].to_list() == [9]
    assert abs(exact["edf"][0] - reml["edf"][0]) < 1
    assert exact["conf_low"][0] < reml["estimate"][0] < exact["conf_high"][0]
    assert np.isnan(reml["conf_low"][0])
    assert np.isnan(exact["p_value"][0])
    assert str(point).split("\n\n")[-2].splitlines() == [
        "Smooth terms:",
        "        edf  Ref.df        F     Pr(>F)",
        f"s(x)  {reml['edf'][0]:.3f}   {reml['ref_df'][0]:.3f}  {reml['statistic'][0]:.3f}  < 2.2e-16",
    ]


def test_a_model_without_smooth_has_no_table_of_them(table):
    with pytest.raises(sf.EstimateError, match="the model has no smooth"):
        sf.smooths(sf.lmer("y ~ x + (1|g)", table, method="reml"))


def test_a_curve_is_there_without_the_group_effects(fit, point, table):
    """Predictions without group terms, means over a grid and slopes are those of the curve."""
    new = pd.DataFrame({"x": [0.1, 0.3, 0.9], "g": "p"})
    without = sf.predict(fit, new, re_form="~0", interval="confidence")
    means = sf.marginal_means(fit, "x", at={"x": [0.1, 0.3, 0.9]}).table
    np.testing.assert_allclose(means["estimate"], without["estimate"], atol=1e-8)
    np.testing.assert_allclose(means["std_error"], without["std_error"], rtol=1e-6)
    reml = sf.marginal_means(point, "x", at={"x": [0.1, 0.3, 0.9]}).table
    np.testing.assert_allclose(reml["estimate"], sf.predict(point, new, re_form="~0")["estimate"], atol=1e-8)
    ends = sf.predict(point, pd.DataFrame({"x": [0.3, 0.3 + 1e-5], "g": "p"}), re_form="~0")["estimate"]
    slope = sf.slopes(point, "x", at={"x": [0.3]}).table["estimate"][0]
    assert slope == pytest.approx(np.diff(ends)[0] / 1e-5, rel=1e-3)


def test_a_smooth_is_no_grouping_factor(fit):
    assert sf.ngrps(fit) == {"g": 5}
    assert set(sf.ranef(fit)["grpvar"]) == {"g"}
    assert sf.varcorr(fit)["grp"].to_list() == ["g", "s(x)", "Residual"]
    assert sf.varcorr(fit)["var1"].to_list()[:2] == ["Intercept", "wiggles"]
    assert not [finding for finding in fit.model.findings if "s(x)" in finding.what]
    assert [slot.slot for slot in fit.model.slots if slot.kind != "shared"] == [
        "Intercept", "line(x)", "1|g", "1|s(x)", "sigma",
    ]  # fmt: skip
    with pytest.raises(sf.EstimateError, match=r"no group effects of 's\(x\)'"):
        sf.level_effects(fit, "s(x)")


def test_the_explained_share_holds_the_curve(point):
    shares = sf.r2(point).set_index("measure")["estimate"]
    curve = sf.predict(point, point.model.data, re_form="~0")["estimate"].var()
    between, residual = sf.varcorr(point)["vcov"].iloc[[0, 2]]
    assert shares["marginal"] == pytest.approx(curve / (curve + between + residual), rel=1e-6)
    assert shares["conditional"] == pytest.approx((curve + between) / (curve + between + residual), rel=1e-6)


def test_what_is_simulated_has_the_curve(fit, table):
    """New responses keep the curve, whether the levels are new or not: their mean follows it."""
    drawn = sf.simulate(fit, nsim=200, random_seed=2)
    mean = drawn.to_numpy().mean(axis=1)
    curve = sf.predict(fit, table, re_form="~0")["estimate"].to_numpy()
    assert np.corrcoef(mean, curve)[0, 1] > 0.97


def test_a_fit_is_saved_and_predicts_as_before(fit, tmp_path):
    again = sf.load(sf.save(fit, tmp_path / "one.fit"))
    new = pd.DataFrame({"x": [-0.2, 0.5, 1.4], "g": "q"})
    np.testing.assert_array_equal(sf.predict(again, new)["estimate"], sf.predict(fit, new)["estimate"])


def test_a_smooth_is_tested_as_a_whole(point, table):
    for tests in (sf.anova(point), sf.drop1(point)):
        assert tests.table.empty
        assert list(tests.smooths.columns) == ["edf", "Ref.df", "F", "Pr(>F)"]
        assert tests.smooths.loc["s(x)", "Pr(>F)"] == sf.smooths(point)["p_value"][0] < 1e-10
        assert "Smooths are tested by Wood's method" in " ".join(tests.notes)
        assert "Smooth terms:" in str(tests)
    line, curve = (sf.lmer(f"y ~ {term} + (1|g)", table, method="ml") for term in ("x", "s(x)"))
    compared = sf.anova(line, curve)
    assert compared.table["Pr(>Chisq)"].iloc[1] < 1e-10
    assert compared.table["Df"].iloc[1] == 1


def test_a_prior_of_the_sd_is_given_by_its_name(table):
    prior = sf.Prior("HalfNormal", sigma=0.1)
    model = sf.Model("y ~ s(x) + (1|g)", table, priors={"1|s(x)_sigma": prior})
    own = [slot for slot in model.slots if slot.group == "s(x)"]
    assert {slot.prior.parameters["sigma"] for slot in own} == {prior}
    assert len(own) == 8
    with pytest.raises(sf.PriorError, match=r"'3\|s\(x\)' is a coefficient of the smooth"):
        sf.Model("y ~ s(x)", table, priors={"3|s(x)": sf.Prior("Normal", mu=0, sigma=prior)})
    with pytest.raises(sf.PriorError, match="cannot be the prior of the coefficients of the smooth"):
        sf.Model("y ~ s(x)", table, priors={"1|s(x)": sf.Prior("Normal", mu=1, sigma=prior)})


@pytest.mark.parametrize(
    ("formula", "dialect", "lines"),
    [
        ("y ~ s(x)", "lme4", ["library(mgcv)", 'gam(y ~ 1 + s(x), data = data, method = "REML")']),
        (
            "y ~ f + s(x, by = f) + (x|g)",
            "lme4",
            [
                "# a column of text is a factor first: data$f <- factor(data$f)",
                "library(gamm4)",
                "gamm4(y ~ 1 + f + s(x, by = f), random = ~ (1 + x | g), data = data)",
            ],
        ),
        (
            "y ~ t2(x, z)",
            "brms",
            [
                "library(brms)",
                "# sds() are those of mgcv's coordinates, and not of the curve: their priors are of another size",
                "# nearly the same model: brms penalises constants and straight lines in coordinates of LAPACK's",
                "brm(y ~ 1 + t2(x, z), data = data, family = gaussian())",
            ],
        ),
        (
            "y ~ s(x, k = 20)",
            "bambi",
            [
                "# not the same model: Bambi has no s(x), and here is a spline without a penalty",
                "import bambi as bmb",
                'bmb.Model("y ~ 1 + bs(x, df=5)", data).fit()',
            ],
        ),
    ],
)
def test_it_is_spelled_as_others_write_it(formula, dialect, lines):
    assert str(sf.spelling(formula, dialect)).splitlines() == lines


def test_it_is_explained_in_words_and_as_an_equation():
    said = str(sf.explain("y ~ s(x) + (1|g)"))
    assert "s(x): a smooth curve of x: a line and wiggles around it, whose SD is estimated" in said
    assert "s(x) = β₁·line(x) + Σⱼ uⱼ[s(x)]·zⱼ(x)" in said
    assert "uⱼ[s(x)] ~ Normal(0, τ[s(x)])" in said


def test_what_is_not_made_for_smooths_is_refused(point):
    with pytest.raises(sf.EstimateError, match=r"not made for smooths, 's\(x\)'"):
        sf.fixef(point, df="kenward-roger")
    with pytest.raises(sf.EstimateError, match="df='satterthwaite' is not for models with smooths"):
        sf.marginal_means(point, "x", df="satterthwaite")


@pytest.mark.parametrize(
    ("formula", "dialect", "lines"),
    [
        (
            "y ~ gp(x)",
            "lme4",
            [
                '# not the same model: mgcv\'s bs = "gp" has a fixed length-scale, and a line without a penalty',
                "library(mgcv)",
                'gam(y ~ 1 + s(x, k = 20, bs = "gp"), data = data, method = "REML")',
            ],
        ),
        (
            'y ~ gp(x, m = 9, c = 3, cov = "matern52")',
            "brms",
            [
                "library(brms)",
                "# nearly the same model: brms' box lies around the mean, and lscale is in units of the range",
                "# its Matern covariances need brms 2.22",
                'brm(y ~ 1 + gp(x, k = 9, c = 1.5, cov = "matern52"), data = data, family = gaussian())',
            ],
        ),
        (
            "y ~ gp(x, by = f) + (1|g)",
            "bambi",
            [
                "# scale=False: with its default Bambi scales the variable, and not its box",
                "# not the same model: Bambi has a box for each level of by",
                "import bambi as bmb",
                'bmb.Model("y ~ 1 + hsgp(x, m=20, c=2.5, cov=\\"ExpQuad\\", by=f, scale=False) + (1 | g)", data).fit()',
            ],
        ),
    ],
)
def test_a_process_is_spelled_as_others_have_it(formula, dialect, lines):
    assert sf.spelling(formula, dialect).splitlines() == lines


def test_a_process_is_explained_and_has_priors_of_its_own(table):
    said = " ".join(str(sf.explain("y ~ gp(x, m = 9)")).split())
    assert "a Gaussian process of x; its SD and length-scale are estimated; made of m = 9 waves" in said
    assert "uⱼ[gp(x)] ~ Normal(0, τ[gp(x)]·wⱼ(ℓ[gp(x)]))" in said
    prior = sf.Prior("InverseGamma", alpha=3, beta=1)
    slots = {slot.slot: str(slot.prior) for slot in sf.Model("y ~ gp(x)", table, priors={"ell|gp(x)": prior}).slots}
    assert slots["ell|gp(x)"] == "InverseGamma(alpha=3, beta=1)"
    with pytest.raises(sf.PriorError, match=r"'ell\|gp\(x\)'"):
        sf.Model("y ~ gp(x)", table, priors={"ell|gp(x)": sf.Prior("Normal", mu=1, sigma=1)})


@pytest.mark.parametrize(
    ("waves", "formula", "said"),
    [(3, "y ~ gp(x, m = 8)", "shorter than its 8 waves follow"), (1, "y ~ gp(x, c = 1)", "longer than its box")],
)
def test_a_length_scale_that_cannot_be_followed_is_told(waves, formula, said):
    rng = np.random.default_rng(2)
    x = rng.uniform(-2, 2, 90)
    made = pd.DataFrame({"x": x, "y": np.cos(waves * x) + rng.normal(0, 0.1, 90)})
    assert said in str(sf.lmer(formula, made, method="reml"))
