"""Estimates of maximum likelihood against closed forms, dense algebra, and lme4's own answers."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import speclet_formula as sf
from speclet_formula.errors import EstimateError, SamplingError
from speclet_formula.inference.reml.fit import fit_point, why_not_reml
from tests.fakes import screen_data, sleepstudy_data

# What is allowed beside an oracle: of a log-likelihood relatively, of an estimate in its standard errors.
LOG_LIKELIHOOD, STANDARD_ERRORS = 1e-6, 1e-3


# --- a balanced one-way layout, solved by its analysis of variance ----------------------------------------------------


def one_way(between, seed=3, levels=8, rows=5):
    rng = np.random.default_rng(seed)
    level = np.repeat(np.arange(levels), rows)
    y = 3 + rng.normal(0, between, levels)[level] + rng.normal(0, 1.0, len(level))
    return pd.DataFrame({"g": [f"g{k}" for k in level], "y": y})


def mean_squares(table, levels=8, rows=5):
    y = table["y"].to_numpy().reshape(levels, rows)
    between = rows * ((y.mean(axis=1) - y.mean()) ** 2).sum()
    return between, ((y - y.mean(axis=1, keepdims=True)) ** 2).sum() / (levels * (rows - 1))


@pytest.mark.parametrize(("method", "divisor"), [("reml", 7), ("ml", 8)])
def test_the_balanced_one_way_layout_has_its_closed_form(method, divisor):
    table = one_way(1.5)
    between, within = mean_squares(table)
    variance = (between / divisor - within) / 5
    fit = sf.lmer("y ~ 1 + (1 | g)", table, method=method)
    frame = sf.varcorr(fit)
    np.testing.assert_allclose(frame["vcov"], [variance, within], rtol=1e-5)
    np.testing.assert_allclose(frame["sdcor"], np.sqrt(frame["vcov"]), rtol=1e-12)
    fixed = sf.fixef(fit, ci_prob=0.95).iloc[0]
    error = np.sqrt((5 * variance + within) / 40)
    assert fixed["estimate"] == pytest.approx(table["y"].mean(), rel=1e-12)
    assert fixed["std_error"] == pytest.approx(error, rel=1e-5)
    assert fixed["df"] == pytest.approx(7 if method == "reml" else 8, rel=1e-4)  # that of the mean square of groups
    assert fixed["conf_high"] - fixed["estimate"] == pytest.approx(stats.t.ppf(0.975, fixed["df"]) * error, rel=1e-5)
    assert fixed["p_value"] == pytest.approx(2 * stats.t.sf(abs(fixed["statistic"]), fixed["df"]), rel=1e-9)
    assert fixed["statistic"] == pytest.approx(fixed["estimate"] / error, rel=1e-5)
    shrunk = 5 * variance / (5 * variance + within)
    means = table.groupby("g")["y"].mean()
    effects = sf.ranef(fit).set_index("grp")
    np.testing.assert_allclose(effects["condval"], shrunk * (means - means.mean()).loc[effects.index], rtol=1e-5)
    np.testing.assert_allclose(effects["condsd"], np.sqrt(variance * within / (5 * variance + within)), rtol=1e-5)
    assert (fit.verdict, fit.singular, fit.remedy) == ("converged", False, "")


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_a_variance_below_zero_is_exactly_zero_and_said_in_words(method):
    table = one_way(0.0, seed=2)
    between, within = mean_squares(table)
    assert between / 7 < within
    fit = sf.lmer("y ~ 1 + (1 | g)", table, method=method)
    frame = sf.varcorr(fit)
    assert frame["sdcor"].iloc[0] == 0.0
    total = ((table["y"] - table["y"].mean()) ** 2).sum()
    assert sf.sigma(fit) ** 2 == pytest.approx(total / (39 if method == "reml" else 40), rel=1e-9)
    assert not sf.ranef(fit)[["condval", "condsd"]].to_numpy().any()
    assert (fit.verdict, fit.singular) == ("singular", True)
    assert fit.sentence == "The SD of 'Intercept' by g is estimated as zero."


# --- dense algebra on small tables ------------------------------------------------------------------------------------


def dense(fit):
    """Everything again from the covariance of all rows, with the response as it is: no sparse matrices, no profile."""
    design = fit.model.design
    n, p = design.mean.X.shape
    weights = np.ones(n) if design.weights is None else design.weights
    V = np.diag(fit.estimates.sigma**2 / weights)
    D, Z = [], []
    for block, matrix in zip(design.mean.groups, fit.estimates.covariances, strict=True):
        for level in range(len(block.levels)):
            Z.append(np.where((block.codes == level)[:, None], block.values, 0.0))
            D.append(matrix)
    for z, d in zip(Z, D, strict=True):
        V = V + z @ d @ z.T
    inverse = np.linalg.inv(V)
    information = design.mean.X.T @ inverse @ design.mean.X
    y = design.response - design.mean.offset
    beta = np.linalg.solve(information, design.mean.X.T @ inverse @ y) if p else np.zeros(0)
    rest = y - design.mean.X @ beta
    modes = [d @ z.T @ inverse @ rest for z, d in zip(Z, D, strict=True)]
    mode_sds = [np.sqrt(np.diag(d - d @ z.T @ inverse @ z @ d)) for z, d in zip(Z, D, strict=True)]
    deviance = n * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + rest @ inverse @ rest
    if fit.method == "reml" and p:
        deviance += np.linalg.slogdet(information)[1] - p * np.log(2 * np.pi)
    covariance = np.linalg.inv(information) if p else np.zeros((0, 0))
    return -deviance / 2, beta, covariance, np.concatenate(modes), np.concatenate(mode_sds)


def weighted_table():
    rng = np.random.default_rng(11)
    table = pd.DataFrame({
        "g": np.repeat([f"g{k}" for k in range(9)], 8), "h": np.tile([f"h{k}" for k in range(6)], 12),
        "x": rng.normal(5, 2, 72), "w": rng.uniform(0.5, 3, 72), "o": rng.normal(0, 4, 72),
    })  # fmt: skip
    slopes = rng.multivariate_normal([0, 0], [[1.0, 0.2], [0.2, 0.3]], 9)[np.repeat(np.arange(9), 8)]
    crossed = rng.normal(0, 0.8, 6)[np.tile(np.arange(6), 12)]
    noise = rng.normal(0, 1, 72) / np.sqrt(table["w"])
    return table.assign(
        y=1000 + 2 * table["x"] + table["o"] + slopes[:, 0] + slopes[:, 1] * table["x"] + crossed + noise
    )


FORMULAS = [
    "y ~ x + (1 | g)",
    "y ~ x + (x | g) + (1 | h)",
    "y ~ x + (x || g) + (1 | h)",
    "y ~ x + offset(o) + (0 + x | g) + (1 | g:h)",
    "y ~ 0 + h + (1 | g)",
    "y ~ 0 + (1 | g)",
    "y ~ x",
]


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.mostly_slow(every=2)
def test_all_numbers_are_those_of_dense_algebra(formula, method, weights):
    table = weighted_table().iloc[1:].drop(index=20)  # unbalanced
    if formula == "y ~ 0 + (1 | g)":  # a thousand away from zero, the dense matrix would lose six digits
        table = table.assign(y=table["y"] - 1000)
    if "g:h" in formula:
        table = pd.concat([table, table.assign(y=table["y"] + np.cos(np.arange(len(table))))])
    fit = sf.lmer(formula, table, method=method, weights=weights)
    log_likelihood, beta, covariance, modes, mode_sds = (
        dense(fit) if fit.model.design.mean.groups else (*dense_linear(fit), np.zeros(0), np.zeros(0))
    )
    assert fit.log_likelihood == pytest.approx(log_likelihood, rel=1e-8)
    np.testing.assert_allclose(fit.estimates.coefficients, beta, rtol=1e-8)
    np.testing.assert_allclose(fit.estimates.covariance, covariance, rtol=1e-6, atol=1e-12)
    found = [array.ravel() for array in fit.estimates.modes]
    np.testing.assert_allclose(np.concatenate([*found, []]), modes, atol=1e-6)
    found = [array.ravel() for array in fit.estimates.mode_sds]
    np.testing.assert_allclose(np.concatenate([*found, []]), mode_sds, atol=1e-6)


def dense_linear(fit):
    """Least squares without group terms."""
    design = fit.model.design
    n, p = design.mean.X.shape
    root = np.ones(n) if design.weights is None else np.sqrt(design.weights)
    X, y = root[:, None] * design.mean.X, root * (design.response - design.mean.offset)
    beta, rss = np.linalg.lstsq(X, y)[:2]
    freedom = n - p if fit.method == "reml" else n
    s2 = rss[0] / freedom
    deviance = freedom * (np.log(2 * np.pi * s2) + 1) - 2 * np.log(root).sum()
    if fit.method == "reml":
        deviance += np.linalg.slogdet(X.T @ X)[1]
    return -deviance / 2, beta, s2 * np.linalg.inv(X.T @ X)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.slow
def test_no_other_variances_are_likelier(method):
    """The criterion from dense algebra, minimised over log SDs by a search that needs no derivatives."""
    table = weighted_table()
    fit = sf.lmer("y ~ x + (1 | g) + (1 | h)", table, method=method)
    X = np.column_stack([np.ones(72), table["x"]])
    same = [(table[name].to_numpy()[:, None] == table[name].to_numpy()[None, :]).astype(float) for name in ("g", "h")]

    def deviance(logs):
        s2 = np.exp(2 * logs)
        V = s2[0] * same[0] + s2[1] * same[1] + s2[2] * np.eye(72)
        inverse = np.linalg.inv(V)
        information = X.T @ inverse @ X
        rest = table["y"] - X @ np.linalg.solve(information, X.T @ inverse @ table["y"])
        value = 72 * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + rest @ inverse @ rest
        return value + (np.linalg.slogdet(information)[1] - 2 * np.log(2 * np.pi) if method == "reml" else 0.0)

    least = optimize.minimize(deviance, np.zeros(3), method="Nelder-Mead", options={"fatol": 1e-10, "xatol": 1e-7})
    assert fit.deviance == pytest.approx(least.fun, rel=1e-9)
    np.testing.assert_allclose(sf.varcorr(fit)["sdcor"], np.exp(least.x), rtol=1e-4)


def test_coefficients_of_levels_have_the_error_of_the_sum():
    """Henderson's equations, dense: the inverse of the joint precision of fixed and group effects."""
    table = weighted_table()
    level = table["g"].str[1:].astype(int)
    effects = 2 * np.sin(2.1 * level) + np.cos(1.3 * level) * (table["x"] - 5)
    fit = sf.lmer("y ~ x + (x | g)", table.assign(y=table["y"] + 3 * effects), method="reml")
    assert not fit.singular
    design, block = fit.model.design, fit.model.design.mean.groups[0]
    Z = np.concatenate([np.where((block.codes == k)[:, None], block.values, 0.0) for k in range(9)], axis=1)
    W = np.concatenate([design.mean.X, Z], axis=1)
    prior = np.zeros((20, 20))
    prior[2:, 2:] = np.kron(np.eye(9), np.linalg.inv(fit.estimates.covariances[0]))
    joint = np.linalg.inv(W.T @ W / sf.sigma(fit) ** 2 + prior)
    sums = np.concatenate([np.kron(np.ones((9, 1)), np.eye(2)), np.eye(18)], axis=1)
    errors = np.sqrt(np.diag(sums @ joint @ sums.T)).reshape(9, 2)
    frame = sf.coef(fit)
    np.testing.assert_allclose(frame["std_error"], errors.T.ravel(), rtol=1e-6)
    modes = sf.ranef(fit)["condval"].to_numpy().reshape(2, 9) + fit.estimates.coefficients[:, None]
    np.testing.assert_allclose(frame["estimate"], modes.ravel(), rtol=1e-12)


def test_a_fixed_effect_without_group_effect_is_the_same_for_all_levels():
    fit = sf.lmer("y ~ x + (1 | g)", weighted_table(), method="ml")
    slopes = sf.coef(fit).query("term == 'x'")
    fixed = sf.fixef(fit).set_index("term").loc["x"]
    assert len(slopes) == 9
    assert set(slopes["estimate"]) == {fixed["estimate"]}
    # The fixed effect's is that of its test, computed anew from the estimated SDs: rounded by itself.
    assert slopes["std_error"].tolist() == pytest.approx([fixed["std_error"]] * 9, rel=1e-13)


@pytest.mark.parametrize(
    ("seed", "correlation", "lme4"), [(0, 1, -107.48905749), (10, -1, -102.12349857), (37, 1, -119.99106546)]
)
def test_perfectly_correlated_effects_are_said_to_be(seed, correlation, lme4):
    table, rng = weighted_table(), np.random.default_rng(seed)
    level = table["g"].str[1:].astype(int)
    y = rng.normal(0, 0.3, 9)[level] * table["x"] + rng.normal(0, 1, 72)
    fit = sf.lmer("y ~ x + (x | g)", table.assign(y=y), method="reml")
    assert sf.varcorr(fit)["sdcor"].iloc[2] == pytest.approx(correlation, abs=1e-4)
    assert fit.verdict == "singular"
    assert fit.sentence == "The effects of 'Intercept' and 'x' by g are estimated as perfectly correlated."
    assert fit.log_likelihood == pytest.approx(dense(fit)[0], rel=1e-7)
    assert fit.log_likelihood > lme4 - 1e-6  # of 37 lme4 finds an SD of zero, which is not the maximum


@pytest.mark.parametrize("factor", [1e-6, 1e5])
def test_units_do_not_matter(factor):
    table = weighted_table()
    plain = sf.lmer("y ~ x + (x | g)", table, method="reml")
    scaled = sf.lmer("y ~ x + (x | g)", table.assign(y=table["y"] * factor, x=table["x"] / factor), method="reml")
    expected = sf.varcorr(plain)["sdcor"].to_numpy() * [factor, factor**2, 1.0, factor]
    np.testing.assert_allclose(sf.varcorr(scaled)["sdcor"], expected, rtol=1e-4)


# --- what it is for users ---------------------------------------------------------------------------------------------


def test_priors_have_no_part():
    table = one_way(1.5)
    prior = {"Intercept": sf.Prior("Normal", mu=100, sigma=0.01), "sigma": sf.Prior("HalfNormal", sigma=1e-3)}
    with_priors, without = (sf.fit(sf.Model("y ~ 1 + (1 | g)", table, priors=p), method="reml") for p in (prior, None))
    assert with_priors.log_likelihood == without.log_likelihood


def test_information_criteria():
    fit = sf.lmer("y ~ x + (x | g)", weighted_table(), method="ml")
    assert fit.df == 6
    assert fit.deviance == -2 * fit.log_likelihood
    assert fit.aic == pytest.approx(fit.deviance + 12)
    assert fit.bic == pytest.approx(fit.deviance + 6 * np.log(72))


def test_tables():
    fit = sf.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy_data(), method="reml")
    assert sf.nobs(fit) == 180
    assert sf.ngrps(fit) == {"Subject": 18}
    tidy = sf.tidy(fit)
    assert tidy["effect"].value_counts().to_dict() == {"ran_vals": 36, "ran_pars": 4, "fixed": 2}
    names = ["sd__Intercept", "sd__Days", "cor__Intercept.Days", "sd__Observation"]
    assert tidy.query("effect == 'ran_pars'")["term"].to_list() == names
    assert tidy.query("effect == 'ran_pars'")[["std_error", "conf_low", "conf_high"]].isna().all(axis=None)
    assert tidy.attrs == {
        "interval": "95% t interval (Satterthwaite)",
        "point_estimate": "REML",
        "tests": "statistic is a t value; df and p_value are by Satterthwaite's method.",
    }
    assert sf.sigma(fit) == sf.varcorr(fit)["sdcor"].iloc[-1]


def test_it_prints_as_lme4_does():
    fit = sf.lmer("y ~ 1 + (1 | g)", one_way(1.5), method="reml")
    text = re.sub(r"[\d.]+ seconds", "0.0 seconds", repr(fit))
    assert text == PRINTED
    assert re.search(r'<th scope="row"[^>]*>Residual</th>', fit._repr_html_())


PRINTED = """\
Converged: The likelihood is at its maximum, to within a thousandth of a standard error.
Linear mixed model fit by REML
Formula: y ~ 1 + (1 | g)
   Data: 40 rows, 0.0 seconds
REML criterion at convergence: 143.5
AIC, BIC: 149.5, 154.6
 logLik: -71.8 (3 parameters)

Group effects:
 Groups    Name       Variance  Std.Dev.
 g         Intercept      5.65      2.38
 Residual                 1.19      1.09
Number of obs: 40, groups: g, 8

Fixed effects:
           Estimate  Std.Error   df  t value  Pr(>|t|)
Intercept     2.416      0.858  7.0    2.817    0.0259

Degrees of freedom are Satterthwaite's; a fit by method='exact' carries the variances' uncertainty
in draws."""


def test_what_needs_draws_says_that_there_are_none():
    fit = sf.lmer("y ~ 1 + (1 | g)", one_way(1.5), method="reml")
    for use in (sf.diagnose, lambda fit: sf.recover(fit, {"Intercept": 3.0})):
        with pytest.raises(EstimateError, match=r"^a fit by REML has no draws\.\n"):
            use(fit)


def test_it_comes_back_from_a_file(tmp_path):
    fit = sf.lmer("y ~ x + (x | g)", weighted_table(), method="ml")
    again = sf.load(sf.save(fit, tmp_path / "screen.fit"))
    assert repr(again) == repr(fit)
    pd.testing.assert_frame_equal(sf.tidy(again), sf.tidy(fit))
    pd.testing.assert_frame_equal(sf.coef(again), sf.coef(fit))


ALLOWED = "It serves gaussian models with the identity link whose variances the data can tell apart.\n"
REMEDY = "Leave method= out for the engine that serves the model."
REFUSED = {
    "n ~ (1 | gene)": (
        {"family": "poisson"},
        "maximum likelihood cannot serve this model: the family is poisson with the log link, not gaussian with "
        f"identity.\n{ALLOWED}{REMEDY}",
    ),
    "log_fc ~ (1 | one)": (
        {},
        "maximum likelihood cannot serve this model: 'one' has a single level, which says nothing of a variance.\n"
        f"{ALLOWED}{REMEDY}",
    ),
    "log_fc ~ (1 | row)": (
        {},
        "maximum likelihood cannot serve this model: 'row' has 48 levels for 48 rows, which the residual cannot be "
        f"told apart from.\n{ALLOWED}{REMEDY}",
    ),
    "log_fc ~ (1 + n | half)": (
        {},
        "maximum likelihood cannot serve this model: 'half' has 48 effects (24 levels x 2) for 48 rows, which the "
        f"residual cannot be told apart from.\n{ALLOWED}{REMEDY}",
    ),
    "log_fc ~ row": (
        {},
        "the model has 48 fixed coefficients and 48 rows.\n"
        "Maximum likelihood needs more rows than fixed coefficients.\n"
        "Leave fixed terms out, turn factors into group terms, or use method='exact', where priors help.",
    ),
    "level ~ (1 | gene)": (
        {},
        "nothing is left of 'level': the model's terms reproduce every row.\n"
        "A model needs a residual with a variance above zero.\n"
        "Check whether the response repeats within the levels, or leave a term out.",
    ),
    "same ~ n + (1 | gene)": (
        {},
        "'same' is 1.1 in every row.\nA model needs a residual with a variance above zero.\n"
        "Check the column: it says nothing of any term.",
    ),
}


@pytest.mark.parametrize("formula", REFUSED)
def test_what_has_no_answer_is_refused(formula):
    data = screen_data()
    data = data.assign(
        n=np.arange(48) % 5, twice=2.0 * (np.arange(48) % 5), one="a", row=[f"r{k}" for k in range(48)],
        half=[f"h{k // 2}" for k in range(48)], level=data["gene"].cat.codes.astype(float), same=1.1,
    )  # fmt: skip
    settings, text = REFUSED[formula]
    model = sf.Model(formula, data, **settings)
    with pytest.raises(SamplingError) as error:
        fit_point(model)
    assert str(error.value) == text


# --- lme4's own answers -----------------------------------------------------------------------------------------------


def references(folder):
    """Every Gaussian formula of lme4/reference.json with its data."""
    reference = json.loads((folder / "lme4" / "reference.json").read_text())
    for name, fits in reference["fits"].items():
        data = pd.read_csv(folder / "lme4" / f"{name}.csv")
        factors = [column for column, kind in reference["columns"][name].items() if kind["type"] == "factor"]
        data = data.assign(**{column: data[column].astype(str) for column in factors})
        yield from ((fit, data) for fit in fits if fit["family"] == "gaussian")


def screens(folder):
    """Every Gaussian formula of screens/lme4.json but the genome-wide one."""
    for name, fit in json.loads((folder / "screens" / "lme4.json").read_text()).items():
        if not fit["method"].startswith("lmer") or name == "hap1_full_nested":
            continue
        data = pd.read_csv(folder / "screens" / fit["data"])
        data["control"] = pd.Categorical(data["control"], categories=["nonessential", "other", "essential"])
        if "copy_number" in data:
            data = data.assign(cn=np.minimum(data["copy_number"], 3) - 1)
        yield fit, data


def check(fit, expected):
    """Hold a fit against lme4's record of one."""
    assert fit.log_likelihood == pytest.approx(expected["logLik"], rel=LOG_LIKELIHOOD)
    assert fit.log_likelihood > expected["logLik"] - 1e-7  # where lme4 stopped short, this is higher
    fixed = sf.fixef(fit)
    terms = expected.get("fixef") or expected["fixed"]
    errors = np.array([term["se"] for term in terms])
    assert np.abs(fixed["estimate"] - [term["estimate"] for term in terms]).max() < STANDARD_ERRORS * errors.min()
    np.testing.assert_allclose(fixed["std_error"], errors, rtol=STANDARD_ERRORS)
    found = {
        tuple(_plain(value) for value in (row.grp, row.var1, row.var2)): row.sdcor
        for row in sf.varcorr(fit).itertuples()
    }
    for row in expected["varcomp"]:
        key = re.sub(r"\.\d$", "", row["grp"]), *(_plain(row[name]) for name in ("var1", "var2"))
        assert found[key] == pytest.approx(row["sdcor"], rel=STANDARD_ERRORS, abs=1e-4)


def _plain(value):
    """Spell a name as this package does."""
    return "" if value is None or value != value else str(value).replace("(Intercept)", "Intercept")  # noqa: PLR0124


def test_lme4s_textbook_answers(shared_data):
    for expected, data in references(shared_data):
        for method in ("reml", "ml"):
            fit = sf.lmer(expected["formula"], data, method=method)
            answer = expected[method.upper()]
            check(fit, answer)
            assert (fit.df, fit.singular) == (answer["df"], answer["singular"])
            assert fit.aic == pytest.approx(answer["AIC"], rel=LOG_LIKELIHOOD)
            assert fit.bic == pytest.approx(answer["BIC"], rel=LOG_LIKELIHOOD)
            modes = sf.ranef(fit).set_index(["grpvar", "term", "grp"])
            for row in answer["ranef"]:
                mode = modes.loc[(row["grpvar"], _plain(row["term"]), row["grp"])]
                assert abs(mode["condval"] - row["condval"]) <= STANDARD_ERRORS * row["condsd"] + 1e-9
                assert mode["condsd"] == pytest.approx(row["condsd"], rel=STANDARD_ERRORS, abs=1e-9)


@pytest.mark.slow
def test_lme4s_answers_for_screens(shared_data):
    for expected, data in screens(shared_data):
        fit = sf.lmer(expected["formula"], data, method="reml", missing="drop")
        check(fit, expected)
        assert fit.singular == expected["singular"]
        modes = sf.ranef(fit).query("grpvar == 'gene' and term == 'Intercept'").set_index("grp")
        for row in expected["some_gene_modes"]:
            mode = modes.loc[row["gene"]]
            assert abs(mode["condval"] - row["(Intercept)"]) < STANDARD_ERRORS * row["se_intercept"]
            assert mode["condsd"] == pytest.approx(row["se_intercept"], rel=STANDARD_ERRORS)


def test_why_not_is_empty_where_it_serves():
    assert why_not_reml(sf.Model("y ~ x + (x | g)", weighted_table())) == ""


def slopes_by_group(shift=0.0, x_unit=1.0, y_unit=1.0):
    """Twelve groups of ten, each with a line of its own."""
    rng = np.random.default_rng(6)
    g, x = np.repeat(np.arange(12), 10), np.tile(np.arange(10.0), 12)
    y = 3 + 0.5 * x + rng.normal(0, 0.7, 12)[g] + rng.normal(0, 0.2, 12)[g] * x + rng.normal(0, 0.4, 120)
    return pd.DataFrame({"g": g, "x": (x + shift) * x_unit, "y": y * y_unit})


@pytest.mark.parametrize("shift", [1990.0, -1e5])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_a_slope_far_from_zero_is_the_same_model(shift, method):
    """The intercepts of years are those of the year 0; the rest is that of the year less 1990."""
    near, far = (
        sf.lmer("y ~ x + (x | g)", slopes_by_group(moved), method=method) for moved in (0.0, shift)
    )  # fmt: skip
    assert (far.verdict, near.verdict) == ("converged", "converged")
    assert far.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-7)
    np.testing.assert_allclose(far.estimates.coefficients[1], near.estimates.coefficients[1], rtol=1e-5)
    np.testing.assert_allclose(sf.fixef(far)["std_error"][1], sf.fixef(near)["std_error"][1], rtol=1e-5)
    np.testing.assert_allclose(sf.fitted(far)["estimate"], sf.fitted(near)["estimate"], atol=1e-5)
    back = np.array([[1.0, -shift], [0.0, 1.0]])
    expected = back @ near.estimates.covariances[0] @ back.T
    np.testing.assert_allclose(far.estimates.covariances[0], expected, rtol=1e-4)
    np.testing.assert_allclose(far.estimates.modes[0][:, 1], near.estimates.modes[0][:, 1], atol=1e-5)
    np.testing.assert_allclose(far.estimates.mode_sds[0][:, 1], near.estimates.mode_sds[0][:, 1], rtol=1e-3)


@pytest.mark.parametrize("x_unit", [1e-12, 1e-4, 1e12])
@pytest.mark.parametrize("y_unit", [1e-12, 1e12])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_units_change_nothing_but_the_units(x_unit, y_unit, method):
    """A nanometre for a metre, a count of bases for a megabase: the same fit, read in other units."""
    plain = sf.lmer("y ~ x + (x | g)", slopes_by_group(), method=method)
    scaled = sf.lmer("y ~ x + (x | g)", slopes_by_group(x_unit=x_unit, y_unit=y_unit), method=method)
    assert scaled.verdict == plain.verdict
    rows = 120 - (2 if method == "reml" else 0)
    # Of REML the fixed columns' determinant counts too: dx -> x_unit dx.
    shift = -rows * np.log(y_unit) - (np.log(x_unit) if method == "reml" else 0.0)
    assert scaled.log_likelihood == pytest.approx(plain.log_likelihood + shift, abs=1e-5)
    units = np.array([y_unit, y_unit / x_unit])
    np.testing.assert_allclose(scaled.estimates.coefficients, plain.estimates.coefficients * units, rtol=1e-5)
    np.testing.assert_allclose(
        scaled.estimates.covariances[0], plain.estimates.covariances[0] * np.outer(units, units), rtol=1e-3
    )
    assert sf.sigma(scaled) == pytest.approx(sf.sigma(plain) * y_unit, rel=1e-5)


FLAT = "The likelihood is flat in the SD of '{}' by {}."


@pytest.mark.parametrize(
    ("formula", "sentence"),
    [
        ("y ~ factor(g) + (1 | g)", FLAT.format("Intercept", "g")),
        ("y ~ factor(g) * x + (x | g)", f"{FLAT.format('Intercept', 'g')} {FLAT.format('x', 'g')}"),
        ("y ~ x + (1 | g) + (1 | h)", "The likelihood is flat in the SD of 'Intercept' by "),  # one or both
    ],
)
def test_a_group_term_that_another_one_repeats_is_told(formula, sentence):
    """A fixed factor of the same levels, or a second name for them: any SD is as likely as the one that is found."""
    data = slopes_by_group()
    fit = sf.lmer(formula, data.assign(h=[f"h{g}" for g in data["g"]]), method="reml")
    assert fit.verdict == "doubtful"
    assert fit.sentence == sentence or (formula.endswith("h)") and fit.sentence.startswith(sentence))
    assert fit.remedy.startswith("Any value is as likely as this one: another term says the same as this group term")


def test_ordinary_fits_are_not_called_flat():
    for formula in ("y ~ x + (x | g)", "y ~ x + (1 | g)", "y ~ x + (x || g)", "y ~ 1 + (1 | g)"):
        for method in ("reml", "ml"):
            assert "flat" not in sf.lmer(formula, slopes_by_group(), method=method).sentence


def test_effects_are_counted_for_each_term_as_lme4_counts_them():
    """lme4 1.1-31: 75 effects of `||` for 60 rows are three terms of 25; of `|` they are refused."""
    i = np.arange(60)
    data = pd.DataFrame({"g": i % 25, "a": np.round(np.sin(i * 1.3), 3), "b": np.round(np.cos(i * 0.7), 3)})
    wave = data["a"] + np.sin(i * i * 0.9) + np.cos((i % 25) * 2.0) + np.sin((i % 25) * 3.0) * data["b"]
    data["y"] = np.round(wave, 3)
    for method, expected in (("reml", -85.3515671), ("ml", -83.1336268)):
        fit = sf.lmer("y ~ a + b + (1 + a + b || g)", data, method=method)
        assert fit.log_likelihood == pytest.approx(expected, abs=2e-6)
    assert not [f for f in fit.model.findings if f.kind == "as_many_effects_as_rows"]
    with pytest.raises(SamplingError, match=r"'g' has 75 effects \(25 levels x 3\) for 60 rows"):
        sf.lmer("y ~ a + b + (1 + a + b | g)", data, method="reml")


def test_a_constant_column_beside_the_intercept_is_dropped_and_told():
    table = weighted_table().assign(batch=3.0)
    fit, without = (sf.lmer(f"y ~ x{more} + (1 | g)", table, method="reml") for more in (" + batch", ""))
    assert [finding.kind for finding in fit.model.findings] == ["collinear"]
    assert np.isnan(sf.fixef(fit).set_index("term").loc["batch", "estimate"])
    assert "Dropped: 1 fixed column that earlier ones make up: 'batch'" in str(fit)
    assert fit.log_likelihood == pytest.approx(without.log_likelihood, abs=1e-9)
    assert fit.df == without.df
    with pytest.raises(sf.FormulaError, match="'batch' is constant, which Bambi refuses"):
        sf.to_bambi(fit.model)
