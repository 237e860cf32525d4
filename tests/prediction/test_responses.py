"""New responses of a fit against closed forms: their covariance within levels, and the errors of a bootstrap."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from tests.fakes import correlated_fit, crossed_fit, fake_fit

BETWEEN, DAYS = 40.0, np.tile(np.arange(5), 12)
NSIM = 3000


def layout():
    """Twelve subjects on five days, with slopes of their own."""
    rng = np.random.default_rng(8)
    subject = np.repeat(np.arange(12), 5)
    line = 250 + rng.normal(0, 25, 12)[subject] + (10 + rng.normal(0, 6, 12)[subject]) * DAYS
    return pd.DataFrame({"y": line + rng.normal(0, 8, 60), "day": DAYS, "subject": subject})


def marginal_covariance(fit):
    """Z Sigma Z' + sigma^2 I of the five rows of a subject."""
    Z = np.column_stack([np.ones(5), np.arange(5)])
    return Z @ fit.estimates.covariances[0] @ Z.T + sf.sigma(fit) ** 2 * np.eye(5)


@pytest.mark.slow
def test_new_effects_give_the_covariance_of_the_model_and_kept_ones_the_residual_s():
    """Of 12 x 3,000 subjects an entry has a standard error below 0.9 % of its SDs' product: 5 % is beyond five of them.

    Fifteen entries, twice: false alarms below 1e-5.
    """
    fit = sf.lmer("y ~ day + (day | subject)", layout(), method="reml")
    for use_u, expected in ((False, marginal_covariance(fit)), (True, sf.sigma(fit) ** 2 * np.eye(5))):
        new = sf.simulate(fit, nsim=NSIM, use_u=use_u, random_seed=1).to_numpy()
        centre = sf.predict(fit, re_form=None if use_u else "~0")["estimate"].to_numpy()
        by_subject = (new - centre[:, None]).reshape(12, 5, NSIM)
        found = np.einsum("sin,sjn->ij", by_subject, by_subject) / (12 * NSIM)
        scale = np.sqrt(np.outer(np.diagonal(expected), np.diagonal(expected)))
        np.testing.assert_allclose(found / scale, expected / scale, atol=0.05)


@pytest.mark.slow
def test_a_bootstrap_of_a_balanced_design_has_the_standard_errors_of_the_fit():
    """Least squares are the generalised ones there. An SD of 3,000 has an error of 1.3 %: 7 % is beyond five of them.

    Kept effects would give 2.0 and 0.8 for 8.0 and 1.9: they are far outside.
    """
    fit = sf.lmer("y ~ day + (day | subject)", layout(), method="reml")
    new = sf.simulate(fit, nsim=NSIM, random_seed=2).to_numpy()
    slopes = np.linalg.lstsq(fit.model.design.mean.X, new, rcond=None)[0]
    np.testing.assert_allclose(slopes.std(axis=1), sf.fixef(fit)["std_error"], rtol=0.07)


def test_the_bootstrap_of_sleepstudy_is_that_of_bootmer(shared_data):
    """lme4 1.1-31: the fit's SEs are 6.825 and 1.546, bootMer of 500 gave 6.72 and 1.51; tolerance as above."""
    data = pd.read_csv(shared_data / "lme4" / "sleepstudy.csv")
    fit = sf.lmer("Reaction ~ Days + (Days | Subject)", data, method="reml")
    new = sf.simulate(fit, nsim=NSIM, random_seed=3).to_numpy()
    slopes = np.linalg.lstsq(fit.model.design.mean.X, new, rcond=None)[0]
    np.testing.assert_allclose(slopes.std(axis=1), [6.825, 1.546], rtol=0.07)


@pytest.mark.slow
def test_a_likelihood_ratio_bootstrap_is_calibrated_by_new_effects_alone():
    """Of the null model's data ratios are about chi-square's with new effects: a mean of about 1.1, SE 0.3 of 30.

    With kept effects each response repeats the levels' differences, and with them the predictor's: about the observed
    ratio, 5.8, SE 0.2. Between 1.1 and 5.8 the limit of 3 is six SEs from the one and more from the other.
    """
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"g": np.repeat(np.arange(12), 3), "x": np.repeat([0.0, 1.0], 18)})
    table["y"] = 1.5 * table["x"] + rng.normal(0, 1, 12)[table["g"]] + rng.normal(0, 0.4, 36)
    small, large = (sf.lmer(f"y ~ {fixed} + (1 | g)", table, method="ml") for fixed in ("1", "x"))

    def mean_ratio(use_u, nsim):
        new = sf.simulate(small, nsim=nsim, use_u=use_u, random_seed=5)
        ratios = [2 * (sf.refit(large, y).log_likelihood - sf.refit(small, y).log_likelihood) for _, y in new.items()]
        return np.mean(ratios)

    assert mean_ratio(False, 30) < 3
    assert mean_ratio(True, 5) > 3


def test_new_effects_of_draws_are_drawn_from_each_draw_s_own_spread():
    """Draws of which half have an SD of 0.1 and half of 10: so have the responses that are made of them.

    A subject's mean deviates by its intercept alone; one SD of 12 intercepts is below 1 or above 2 but for 1e-7.
    """
    fit = fake_fit(
        sf.Model("y ~ 1 + (1 | subject)", layout()),
        {"1|subject_sigma": 0.1, "sigma": 0.01, "Intercept": 0.0}, draws=100, chains=2,
    )  # fmt: skip
    sds = fit.idata["posterior"]["1|subject_sigma"]
    sds[1] = 10.0
    new = sf.simulate(fit, nsim=200, random_seed=1)
    spread = new.groupby(np.repeat(np.arange(12), 5)).mean().std()
    assert ((spread < 1).sum(), (spread > 2).sum()) == (100, 100)


def test_new_effects_need_no_fitted_ones():
    fit = crossed_fit(draws=20)
    kept = type(fit.idata).from_dict({
        name: node.to_dataset().drop_vars(["1|gene", "1|cell_line"], errors="ignore")
        for name, node in fit.idata.children.items()
    })  # fmt: skip
    less = sf.Fit(fit.model, kept, fit.method, fit.diagnostics, fit.seconds)
    pd.testing.assert_frame_equal(sf.simulate(less, random_seed=1), sf.simulate(fit, random_seed=1))


def test_correlated_draws_serve():
    new = sf.simulate(correlated_fit(draws=20), nsim=100, random_seed=1)
    assert new.shape == (180, 100)
    assert np.isfinite(new.to_numpy()).all()


def test_a_wrong_choice_is_told():
    with pytest.raises(DataError) as caught:
        sf.simulate(crossed_fit(draws=5), use_u="new")
    assert str(caught.value) == (
        "use_u='new' is no choice.\nuse_u is False, effects are drawn anew, or True, they are those of the fit.\n"
        "Leave it out to draw them anew."
    )
    with pytest.raises(DataError) as caught:
        sf.simulate("y ~ x", layout(), {"Intercept": 0}, use_u=True)
    assert str(caught.value) == (
        "use_u=True beside a formula would change nothing.\n"
        "Effects of which truth has the SD are drawn, effects that it holds by level are used.\nLeave use_u= out."
    )
