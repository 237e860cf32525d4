"""Fitted values, log densities, tables, print-outs, recovery and comparison of families beside the gaussian one."""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import speclet_formula as sf
from speclet_formula.comparison.compare import check_comparable
from speclet_formula.families import FAMILIES
from speclet_formula.prediction import fitted, log_likelihood
from tests.fakes import fake_fit

ORDER = ["low", "middle", "top"]
RNG = np.random.default_rng(6)
TABLE = pd.DataFrame(
    {
        "x": RNG.normal(2.0, 1.0, 24),
        "g": np.repeat(["g1", "g2", "g3", "g4"], 6),
        "count": RNG.poisson(2.0, 24),
        "grade": pd.Categorical(np.tile(ORDER, 8), categories=ORDER, ordered=True),
        "n": RNG.integers(2, 6, 24),
        "zero": np.arange(24) % 2,
    }
)
TABLE["amount"] = RNG.gamma(2.0, 1.0, 24) * TABLE["zero"]


def draws(fit, name):
    values = fit.idata["posterior"][name].to_numpy()
    return values.reshape(values.shape[0] * values.shape[1], -1)


def ordinal_fit():
    centres = {"x": 0.5, "1|g": 0.2, "1|g_sigma": 0.4, "threshold": 1.0}
    fit = fake_fit(sf.Model("grade ~ x + (1 | g)", TABLE, family="cumulative"), centres)
    posterior = fit.idata["posterior"].to_dataset()
    posterior["threshold"] = posterior["threshold"] + np.array([-1.0, 1.5])
    fit.idata["posterior"] = posterior
    return fit


def hurdle_fit():
    centres = {"Intercept": 0.4, "x": 0.1, "1|g": 0.1, "alpha": 2.0, "psi": 0.6}
    return fake_fit(sf.Model("count ~ x + (1 | g)", TABLE, family="hurdle_negativebinomial"), centres)


def location(fit):
    """X b + u without an intercept, (draws, rows)."""
    codes = TABLE["g"].str[1:].astype(int).to_numpy() - 1
    return draws(fit, "x") * TABLE["x"].to_numpy() + draws(fit, "1|g")[:, codes]


def test_an_ordinal_response_has_the_probability_of_each_level():
    fit = ordinal_fit()
    cuts, eta = draws(fit, "threshold"), location(fit)
    below = special.expit(cuts[:, None, :] - eta[:, :, None])
    shares = np.stack([below[..., 0], below[..., 1] - below[..., 0], 1 - below[..., 1]], axis=-1)
    found = fitted(fit)
    assert found.columns.tolist() == ["level", "estimate", "std_error", "conf_low", "conf_high"]
    assert found.index.tolist() == np.repeat(np.arange(24), 3).tolist()
    assert found["level"].tolist() == ORDER * 24
    assert np.allclose(found["estimate"], shares.mean(axis=0).ravel())
    wanted = np.log(shares[:, np.arange(24), np.tile([0, 1, 2], 8)])
    assert np.allclose(log_likelihood(fit).to_numpy().reshape(wanted.shape), wanted)


def test_a_hurdles_fitted_value_is_the_mean_with_its_zeros():
    fit = hurdle_fit()
    mu = np.exp(draws(fit, "Intercept") + location(fit))
    alpha, psi = draws(fit, "alpha"), draws(fit, "psi")
    positive = 1 - stats.nbinom.pmf(0, alpha, alpha / (alpha + mu))
    assert np.allclose(fitted(fit)["estimate"], (psi * mu / positive).mean(axis=0))


def test_blocks_of_rows_do_not_change_the_probabilities(monkeypatch):
    fit = ordinal_fit()
    whole = fitted(fit)
    monkeypatch.setattr(
        "speclet_formula.prediction.linear_predictors.BLOCK_BYTES", 8 * 1000 * 3 * 5
    )  # five rows at a time
    pd.testing.assert_frame_equal(fitted(fit), whole)


def test_thresholds_come_first_among_the_fixed_effects():
    fit = ordinal_fit()
    found = sf.fixef(fit)
    assert found["term"].tolist() == ["low|middle", "middle|top", "x"]
    assert found["estimate"][0] == pytest.approx(draws(fit, "threshold")[:, 0].mean())
    assert sf.family_parameters(fit).empty
    text = repr(fit)
    assert "Ordinal mixed model fit by NUTS" in text
    assert "low|middle" in text
    assert "more: sf.fixef" not in text
    assert "Family parameters" not in text


def test_the_familys_parameters_are_a_table_of_their_own():
    fit = hurdle_fit()
    found = sf.family_parameters(fit)
    assert found["term"].tolist() == ["alpha", "psi"]
    assert found["estimate"][1] == pytest.approx(draws(fit, "psi").mean())
    lines = repr(fit).splitlines()
    start = lines.index("Family parameters:")
    assert lines[start + 1].split()[:2] == ["Estimate", "Std.Error"]
    assert [line.split()[0] for line in lines[start + 2 : start + 4]] == ["alpha", "psi"]
    assert ">Family parameters</caption>" in fit._repr_html_()


def test_thresholds_are_recovered_as_coefficients_with_the_prior_of_their_place():
    """Their prior holds at the mean of x, and moves with the slope from there to 0."""
    fit = ordinal_fit()
    table = sf.recover(fit, {"x": 0.5, "threshold": [0.0, 2.5]}).parameters
    assert table["term"].tolist() == ["low|middle", "middle|top", "x"]
    assert table["truth"].tolist() == [0.0, 2.5, 0.5]
    prior = 2.5**2 + (TABLE["x"].mean() * 2.5 / TABLE["x"].std()) ** 2
    spread = draws(fit, "threshold")[:, 0].std(ddof=1)
    assert table["contraction"][0] == pytest.approx(1 - spread**2 / prior)


def test_a_bernoulli_and_a_binomial_of_single_trials_can_be_compared():
    models = {family: sf.Model("zero ~ x", TABLE, family=family) for family in ("bernoulli", "binomial")}
    check_comparable(models)


def test_a_point_mass_and_a_density_cannot():
    """A gaussian gives a zero a density, a hurdle a probability."""
    models = {
        "g": sf.Model("amount ~ x", TABLE),
        "h": sf.Model("amount ~ x", TABLE, family="hurdle_gamma"),
    }
    with pytest.raises(sf.ComparisonError) as caught:
        check_comparable(models)
    assert str(caught.value) == (
        "'g' is gaussian, 'h' is hurdle_gamma.\n"
        "The first gives a row a density, the second a probability at 0 and a density elsewhere, and the two have no "
        "common scale.\n"
        "Compare families of counts with each other, and families of real numbers with each other."
    )


def test_rows_without_a_trial_say_nothing_of_the_scale():
    table = pd.DataFrame({"s": [1, 3, 0, 4], "f": [1, 1, 0, 6], "g": ["a", "b", "a", "b"]})
    with_empty = sf.Model("cbind(s, f) ~ (1 | g)", table, family="binomial").slots[0].prior
    without = sf.Model("cbind(s, f) ~ (1 | g)", table.drop(2), family="binomial").slots[0].prior
    assert with_empty == without


def test_simulated_proportions_are_shares_of_their_trials():
    truth = {"Intercept": 0.3, "x": 0.1}
    data, _ = sf.simulate("y ~ x", TABLE, truth, family="binomial", weights="n", random_seed=1)
    counts = data["y"] * TABLE["n"]
    assert np.allclose(counts, counts.round())
    assert counts.max() > 1
    assert sf.Model("y ~ x", data, family="binomial", weights="n").design.trials is not None


def test_simulated_levels_are_whole_numbers_from_one_on():
    data, _ = sf.simulate("y ~ x", TABLE, {"x": 0.1, "threshold": [-1, 0, 1]}, family="sratio", random_seed=1)
    assert set(data["y"]) == {1, 2, 3, 4}


@pytest.mark.parametrize(
    ("family", "link", "line", "lme4", "brms"),
    [
        (
            "gamma", None, "1/μᵢ = β₀ + β₁·xᵢ",
            "glm(y ~ 1 + x, data = data, family = Gamma)", "family = Gamma())",
        ),
        (
            "wald", "log", "log(μᵢ) = β₀ + β₁·xᵢ",
            'glm(y ~ 1 + x, data = data, family = inverse.gaussian(link = "log"))',
            'family = inverse.gaussian(link = "log"))',
        ),
        ("wald", None, "1/μᵢ² = β₀ + β₁·xᵢ", "family = inverse.gaussian)", "family = inverse.gaussian())"),
        (
            "cumulative", "probit", "probit(P(yᵢ ≤ k)) = θₖ − ηᵢ",
            'library(ordinal)\nclm(y ~ 1 + x, data = data, link = "probit")', 'family = cumulative(link = "probit"))',
        ),
        (
            "sratio", None, "logit(P(yᵢ = k ∣ yᵢ ≥ k)) = θₖ − ηᵢ",
            "# neither lme4 nor glmmTMB has a family like sratio", "family = sratio())",
        ),
        (
            "lognormal", None, "yᵢ ~ LogNormal(μᵢ, σ)",
            "lm(log(y) ~ 1 + x, data = data)", "family = lognormal())",
        ),
        (
            "laplace", None, "yᵢ ~ Laplace(μᵢ, b)",
            "# neither lme4 nor glmmTMB has a family like laplace",
            "# b is 2 sigma there\nbrm(bf(y ~ 1 + x, quantile = 0.5), data = data, family = asym_laplace())",
        ),
        (
            "exgaussian", None, "yᵢ ~ ExGaussian(μᵢ, σ, ν)",
            "# neither lme4 nor glmmTMB has a family like exgaussian",
            "# mu is the mean there, which here is mu + nu: with the identity link its intercept is larger by nu\n"
            "brm(y ~ 1 + x, data = data, family = exgaussian())",
        ),
        ("vonmises", None, "yᵢ ~ VonMises(μᵢ, κ)", "vonmises", 'family = von_mises(link = "identity"))'),
        (
            "zinb", None, "yᵢ ~ ZeroInflatedNegativeBinomial(μᵢ, α, ψ)",
            "library(glmmTMB)\nglmmTMB(y ~ 1 + x, data = data, family = nbinom2(), ziformula = ~1)",
            "family = zero_inflated_negbinomial())",
        ),
        (
            "beta", "cloglog", "cloglog(μᵢ) = β₀ + β₁·xᵢ",
            'family = beta_family(link = "cloglog"))', 'family = Beta(link = "cloglog"))',
        ),
    ],
)  # fmt: skip
def test_explained_families(family, link, line, lme4, brms):
    explained = sf.explain("y ~ x", family=family, link=link)
    assert line in explained.equation.splitlines()
    assert explained.code["lme4"].endswith(lme4)
    assert explained.code["brms"].endswith(brms)


def test_every_family_is_spelled_in_every_dialect():
    for name in FAMILIES:
        explained = sf.explain("y ~ x + (1 | g)", family=name)
        assert all(explained.code.values())
        assert f'family="{name}"' in explained.code["bambi"] or name == "gaussian"


def test_proportions_are_written_as_counts_where_weights_are_no_trials():
    code = sf.explain("y ~ x", family="binomial", weights="n").code
    assert code["lme4"] == "glm(y ~ 1 + x, data = data, family = binomial, weights = n)"
    assert "brm(round(y * n) | trials(n) ~ 1 + x, data = data, family = binomial())" in code["brms"]
    assert code["bambi"].splitlines()[1:] == [
        'data["successes"] = (data["y"] * data["n"]).round().astype(int)',
        'bmb.Model("p(successes, n) ~ 1 + x", data, family="binomial").fit()',
    ]


def test_an_ordinal_model_is_explained_with_thresholds():
    explained = sf.explain("y ~ x", family="ordinal", link="cloglog")
    assert explained.words.splitlines()[1].startswith("thresholds: one between each two levels")
    assert "β₀" not in explained.equation


def test_proportions_that_are_never_0_or_1_are_not_searched_for_separation():
    table = pd.DataFrame({"s": [1, 3, 2], "f": [1, 1, 5], "x": [0.1, 0.5, 0.2]})
    assert "separat" not in repr(sf.Model("cbind(s, f) ~ x", table, family="binomial").findings)


def test_what_a_level_per_row_means_depends_on_the_family():
    table = TABLE.assign(row=[f"r{i}" for i in range(24)], positive=TABLE["amount"] + 0.1)
    words = {
        (
            "grade",
            "cumulative",
        ): "A single level says nothing of an effect of its own, so that its SD follows its prior.",
        ("positive", "gamma"): "Its SD and the family's own spread share one variance, and the priors split it.",
        ("zero", "binomial"): "A single 0 or 1 says nothing of an effect of its own, so that its SD follows its prior.",
    }
    for (response, family), why in words.items():
        assert why in " ".join(repr(sf.Model(f"{response} ~ x + (1 | row)", table, family=family)).split())
