"""Models whose parameters have formulas, from end to end: tables, print-out, storage, simulation, a recovering fit."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.posterior.draws import draws_of
from speclet_formula.prediction import linear_predictor
from tests.fakes import fake_fit, screen_data

FORMULA = ["log_fc ~ control + (1 | gene)", "sigma ~ control + (1 | cell_line)"]
CENTRES = {"Intercept": -1.0, "control": 0.2, "1|gene_sigma": 0.4, "sigma_Intercept": -0.7, "sigma_control": 0.3}


@pytest.fixture(scope="module")
def fit():
    return fake_fit(sf.Model(FORMULA, screen_data()), CENTRES)


def test_tables_have_the_parameters_name_before_its_terms(fit):
    assert sf.fixef(fit)["term"].tolist() == [
        "Intercept", "control[other]", "sigma_Intercept", "sigma_control[other]",
    ]  # fmt: skip
    assert sf.varcorr(fit)[["grp", "var1"]].to_numpy().tolist() == [
        ["gene", "Intercept"], ["cell_line", "sigma_Intercept"],
    ]  # fmt: skip
    ranef = sf.ranef(fit)
    assert ranef.groupby("grpvar", sort=False)["term"].first().tolist() == ["Intercept", "sigma_Intercept"]
    assert sf.coef(fit).query("grpvar == 'cell_line'")["term"].unique().tolist() == [
        "sigma_Intercept", "sigma_control[other]",
    ]  # fmt: skip
    assert sf.tidy(fit, "ran_pars")["term"].tolist() == ["sd__Intercept", "sd__sigma_Intercept"]
    assert sf.ngrps(fit) == {"gene": 6, "cell_line": 4}


def test_sigma_by_row_is_the_exponential_of_its_predictor(fit):
    posterior, design = fit.idata["posterior"], fit.model.design
    other = (screen_data()["control"] == "other").to_numpy(dtype=float)
    line = screen_data()["cell_line"].astype("category").cat.codes.to_numpy()
    expected = (
        posterior["sigma_Intercept"].to_numpy()[..., None]
        + posterior["sigma_control"].to_numpy()[..., 0][..., None] * other
        + posterior["sigma_1|cell_line"].to_numpy()[..., line]
    ).reshape(-1, len(other))
    np.testing.assert_allclose(linear_predictor(fit.model, draws_of(fit), parameter="sigma"), expected, rtol=1e-12)
    np.testing.assert_allclose(sf.fitted(fit, parameter="sigma")["estimate"], np.exp(expected).mean(axis=0), rtol=1e-9)
    mean = linear_predictor(fit.model, draws_of(fit))
    z = (design.response - mean) / np.exp(expected)
    by_hand = -0.5 * z**2 - expected - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(sf.log_likelihood(fit).to_numpy().reshape(by_hand.shape), by_hand, rtol=1e-10)


def test_the_print_out_has_a_block_for_sigma(fit):
    text = repr(fit)
    assert "Linear mixed model with a formula for sigma fit by NUTS (nutpie)" in text
    assert "sigma (log link), group effects:" in text
    block = text.partition("sigma (log link), fixed effects:\n")[2].splitlines()
    assert [line.split()[0] for line in block[1:3]] == ["sigma_Intercept", "sigma_control[other]"]
    assert "Residual" not in text
    assert ">sigma (log link), fixed effects</caption>" in fit._repr_html_()


def test_a_fit_is_saved_and_loaded(fit, tmp_path):
    again = sf.load(sf.save(fit, tmp_path / "sigma.fit"))
    assert again.model.slots == fit.model.slots
    pd.testing.assert_frame_equal(sf.fixef(again), sf.fixef(fit))


def test_one_number_is_not_to_be_had(fit):
    with pytest.raises(sf.SpecletError) as caught:
        sf.sigma(fit)
    assert str(caught.value) == (
        "sigma has a formula of its own, so that it is no single number.\n"
        "Its coefficients are among those of fixef(fit), on the log scale.\n"
        "For sigma in each row write fitted(fit, parameter='sigma')."
    )
    with pytest.raises(sf.DataError) as caught:
        sf.fitted(fit, parameter="nu")
    assert str(caught.value) == (
        "'nu' has no formula in this model.\nParameters with one: sigma.\nLeave parameter= out for the mean."
    )


@pytest.mark.parametrize("method", ["exact", "reml", "ml"])
@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        (FORMULA, "'sigma' has a formula of its own"),
        ("truncated(log_fc, -9) ~ (1 | gene)", "the response 'truncated(log_fc, -9)' is truncated"),
    ],
)
def test_other_engines_say_why_they_cannot(method, formula, reason):
    with pytest.raises(sf.SamplingError) as caught:
        sf.fit(sf.Model(formula, screen_data()), method=method)
    assert caught.value.problem.endswith(f"cannot serve this model: {reason}.")


def test_priors_go_to_the_terms_of_the_formula():
    one = sf.Prior("Normal", mu=0, sigma=1)
    changes = {
        "b": one,
        "sigma_b": sf.Prior("Normal", mu=0, sigma=0.2),
        "sigma_1|cell_line_sigma": sf.Prior("Exponential", lam=3),
    }
    slots = {slot.slot: slot.prior for slot in sf.Model(FORMULA, screen_data(), priors=changes).slots}
    assert str(slots["control"]) == "Normal(mu=0, sigma=1)"
    assert str(slots["sigma_control"]) == "Normal(mu=0, sigma=0.2)"
    assert str(slots["sigma_1|cell_line"]) == "Normal(mu=0, sigma=Exponential(lam=3))"
    with pytest.raises(sf.PriorError, match="the model has no slot 'sigma'"):
        sf.Model(FORMULA, screen_data(), priors={"sigma": sf.Prior("Exponential", lam=1)})


@pytest.mark.parametrize(
    ("preset", "intercept", "slope"),
    [
        ("bambi", "Normal(mu=0, sigma=1)", "Normal(mu=0, sigma=1)"),
        ("brms", "StudentT(nu=3, mu=0, sigma=2.5)", "Flat()"),
        ("notebook", "Normal(mu=0, sigma=5)", "Normal(mu=0, sigma=5)"),
    ],
)
def test_presets_that_have_fixed_numbers(preset, intercept, slope):
    slots = {slot.slot: str(slot.prior) for slot in sf.Model(FORMULA, screen_data(), priors=preset).slots}
    assert (slots["sigma_Intercept"], slots["sigma_control"]) == (intercept, slope)


def test_weak_gives_equal_spreads_the_moments_of_one_number():
    data = screen_data()
    prior = {slot.slot: slot.prior for slot in sf.Model(FORMULA, data).slots}["sigma_Intercept"]
    t = np.random.default_rng(1).standard_t(4, 400_000)
    logs = np.log(np.abs(t) * data["log_fc"].std())
    # 5 standard errors of mean and SD of 400,000 draws, whose SD is 1.2 and kurtosis below 9
    assert prior.parameters["mu"] == pytest.approx(logs.mean(), abs=5 * 1.2 / 632)
    assert prior.parameters["sigma"] == pytest.approx(logs.std(), abs=5 * 1.2 * np.sqrt(8 / 4) / 632)


def test_few_rows_of_a_level_of_sigma_are_found():
    data = screen_data()
    findings = sf.Model(["log_fc ~ 1", "sigma ~ (1 | gene:cell_line)"], data).findings
    assert [finding.kind for finding in findings] == ["parameter_of_few_rows"]
    assert findings[0].what.startswith("24 of the 24 levels of 'gene:cell_line' have fewer than 3 rows: ")


def test_simulated_spreads_are_those_that_were_stated():
    layout = pd.DataFrame({"arm": pd.Categorical(["a", "b"] * 20_000)})
    params = {"Intercept": 1.0, "sigma_Intercept": np.log(0.5), "sigma_arm[b]": np.log(3.0)}
    data, truth = sf.simulate(["y ~ 1", "sigma ~ arm"], layout, params, random_seed=1)
    assert truth == params
    spread = data.groupby("arm", observed=True)["y"].std()
    # 4 standard errors, sd / sqrt(2 n)
    assert spread["a"] == pytest.approx(0.5, abs=4 * 0.5 / 200)
    assert spread["b"] == pytest.approx(1.5, abs=4 * 1.5 / 200)


def test_simulated_values_beyond_the_limits_are_bounds():
    layout = pd.DataFrame({"x": np.zeros(2000)})
    params = {"Intercept": 0.0, "sigma": 1.0}
    free, _ = sf.simulate("y ~ 1", layout, params, random_seed=1)
    cut, _ = sf.simulate("censored(y, status) ~ 1", layout, params, censor=(-1, None), random_seed=1)
    assert (cut["status"] == np.where(free["y"] < -1, "left", "none")).all()
    assert cut["y"].tolist() == free["y"].clip(lower=-1).tolist()
    kept, _ = sf.simulate("truncated(y, 0, 2) ~ 1", layout, params, random_seed=1)
    assert kept["y"].between(0, 2).all()


@pytest.mark.parametrize(
    ("formula", "censor", "text"),
    [
        (
            "censored(y, status) ~ 1",
            None,
            "the response 'y' is censored, and nothing says where.\n"
            "censor=(lowest, highest) are the limits of measurement of a response 'censored(y, status)'.\n"
            "Write, for example, censor=(-5, None): what is lower is marked 'left'.",
        ),
        (
            "y ~ 1",
            (0, None),
            "censor=(0, None) has no use for the response 'y'.\n"
            "censor=(lowest, highest) are the limits of measurement of a response 'censored(y, status)'.\n"
            "Write censored(y, status) ~ ..., or leave censor= out.",
        ),
        (
            "censored(y, status) ~ 1",
            (2, 1),
            "censor=(2, 1) leaves no room between its limits.\n"
            "censor=(lowest, highest) are the limits of measurement of a response 'censored(y, status)'.\n"
            "Exchange the two limits.",
        ),
        (
            "truncated(y, 50) ~ 1",
            None,
            "no draw for row 0, whose mean is 0, falls between 50 and inf.\n"
            "A truncated response is drawn until it lies between its bounds, at most 10,000 times.\n"
            "Move the bounds or the coefficients, so that the range is likelier.",
        ),
    ],
)
def test_limits_that_cannot_be_are_refused(formula, censor, text):
    with pytest.raises(sf.DataError) as caught:
        sf.simulate(formula, pd.DataFrame({"x": [0.0]}), {"Intercept": 0.0, "sigma": 1.0}, censor=censor, random_seed=1)
    assert str(caught.value) == text


def test_recovery_takes_the_terms_of_sigma_by_name(fit):
    lines = {"A375": 0.1, "HEL": -0.1, "KU812": 0.2, "RVH421": -0.2}
    truth = {
        "Intercept": -1.0, "control[other]": 0.2, "1|gene_sigma": 0.4, "sigma_Intercept": -0.7,
        "sigma_control[other]": 0.3, "sigma_1|cell_line_sigma": 0.3, "sigma_1|cell_line": lines,
    }  # fmt: skip
    found = sf.recover(fit, truth)
    assert found.parameters["term"].tolist() == [
        "Intercept", "control[other]", "Intercept", "sigma_Intercept", "sigma_control[other]", "sigma_Intercept",
    ]  # fmt: skip
    row = found.parameters.iloc[-1]
    assert (row["group"], row["truth"]) == ("cell_line", 0.3)
    assert row["realized"] == pytest.approx(np.std(list(lines.values()), ddof=1))
    assert found.groups[["group", "term", "n_levels"]].to_numpy().tolist() == [["cell_line", "sigma_Intercept", 4]]
    assert not any("No part" in sentence or "leaves out" in sentence for sentence in found.foot)


def test_spellings_of_limits():
    told = sf.explain(["censored(y, status) ~ x", "sigma ~ x"])
    assert told.spellings["brms"] == "bf(y | cens(status) ~ 1 + x, sigma ~ 1 + x)"
    assert told.spellings["bambi"] == 'bmb.Formula("censored(y, status) ~ 1 + x", "sigma ~ 1 + x")'
    assert told.spellings["lme4"] == (
        "y ~ 1 + x\n# lme4 has no censored responses: censored(y, status)\n"
        "# lme4 has no formula for a parameter: sigma ~ 1 + x"
    )
    assert told.words.startswith(
        "censored(y, status): the response y, known only as a bound where status is 'left' (the true value is at most "
        "that) or 'right' (at least that)."
    )
    cut = sf.explain("truncated(y, 0, top) ~ x")
    assert cut.spellings["brms"] == "y | trunc(lb = 0, ub = top) ~ 1 + x"
    assert cut.words.startswith("truncated(y, 0, top): the response y, of which nothing below 0 or above top is ever")
    assert cut.equation.splitlines()[0] == "yᵢ ~ Normal(μᵢ, σ), seen only where 0 ≤ yᵢ ≤ topᵢ"
    one = sf.explain("truncated(y, ub = 3) ~ x")
    assert one.spellings["brms"] == "y | trunc(ub = 3) ~ 1 + x"
    assert one.equation.splitlines()[0] == "yᵢ ~ Normal(μᵢ, σ), seen only where yᵢ ≤ 3"


@pytest.mark.slow
def test_a_fit_recovers_spreads_and_predicts_better_for_them():
    layout = pd.DataFrame(
        {
            "gene": np.repeat([f"g{i}" for i in range(20)], 20),
            "control": pd.Categorical(np.tile(["no", "yes"], 200), categories=["no", "yes"]),
        }
    )
    params = {
        "Intercept": -1.0, "control[yes]": 0.5, "1|gene_sigma": 0.5, "sigma_Intercept": -0.7, "sigma_control[yes]": 0.8,
    }  # fmt: skip
    data, truth = sf.simulate(["y ~ control + (1 | gene)", "sigma ~ control"], layout, params, random_seed=4)
    settings = {"draws": 500, "tune": 500, "chains": 2, "cores": 1, "random_seed": 1, "progress": False}
    varying = sf.lmer(["y ~ control + (1 | gene)", "sigma ~ control"], data, **settings)
    found = sf.recover(varying, truth).parameters.set_index("term")
    # log sigma of 200 rows each has a standard error of 1 / sqrt(2 * 200) = 0.05, their difference 0.07; four of them
    # leave a false alarm in 16,000 for the data, and the draws' own error (100 effective ones at least) is 0.1 of that.
    assert found.loc["sigma_Intercept", "median"] == pytest.approx(-0.7, abs=4 * 0.055)
    assert found.loc["sigma_control[yes]", "median"] == pytest.approx(0.8, abs=4 * 0.078)
    equal = sf.lmer("y ~ control + (1 | gene)", data, random_seed=1)
    assert sf.compare({"equal": equal, "varying": varying}).table.index[0] == "varying"
