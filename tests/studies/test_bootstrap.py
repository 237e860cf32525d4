"""Bootstraps against closed forms and lme4's bootMer; the same whoever does the replicates; failures counted."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from tests.fakes import correlated_fit

DATA = Path(__file__).resolve().parents[1] / "data" / "r"
REACH = 4.6  # standard errors: twelve comparisons have a false alarm with a probability below 1e-4


def layout(seed=8):
    """Twelve subjects on five days, with slopes of their own."""
    rng, days = np.random.default_rng(seed), np.tile(np.arange(5), 12)
    subject = np.repeat(np.arange(12), 5)
    line = 250 + rng.normal(0, 25, 12)[subject] + (10 + rng.normal(0, 6, 12)[subject]) * days
    return pd.DataFrame({"y": line + rng.normal(0, 8, 60), "day": days, "subject": subject})


def small_fit(formula="y ~ day + (1 | subject)"):
    return sf.lmer(formula, layout(), method="reml")


def test_new_effects_give_the_standard_errors_of_a_balanced_design():
    """Least squares are the generalised ones there. An SD of 300 has an error of 4.1 %: five of them.

    With kept effects the slope's would be 0.8 for 1.9, the intercept's 2 for 8.
    """
    fit = sf.lmer("y ~ day + (day | subject)", layout(), method="reml")
    found = sf.bootstrap(fit, 300, random_seed=1, cores=1).table.set_index("term")
    expected = sf.fixef(fit).set_index("term")["std_error"]
    np.testing.assert_allclose(found["std_error"][expected.index], expected, rtol=0.21)
    kept = sf.bootstrap(fit, 100, use_u=True, random_seed=1, cores=1).table.set_index("term")
    assert (kept["std_error"][expected.index] < 0.6 * expected).all()


def test_levels_drawn_with_replacement_give_the_standard_error_of_a_mean_of_means():
    """In a balanced design the intercept is the mean of the levels' means: SD / sqrt(12) of these, divisor 12.

    An SD of 200 has an error of 5 %: five of them.
    """
    fit = small_fit("y ~ 1 + (1 | subject)")
    found = sf.bootstrap(fit, 200, kind="cases", group="subject", random_seed=1, cores=1).table.set_index("term")
    means = layout().groupby("subject")["y"].mean()
    assert found.loc["Intercept", "std_error"] == pytest.approx(means.std(ddof=0) / np.sqrt(12), rel=0.25)


def test_own_residuals_and_effects_give_the_standard_errors_of_the_model():
    """They have the estimated variances, so that a balanced design's coefficients have the model's standard errors."""
    fit = sf.lmer("y ~ day + (day | subject)", layout(), method="reml")
    found = sf.bootstrap(fit, 200, kind="residual", random_seed=1, cores=1).table.set_index("term")
    expected = sf.fixef(fit).set_index("term")["std_error"]
    np.testing.assert_allclose(found["std_error"][expected.index], expected, rtol=0.25)


def check_against_bootmer(found, expected):
    """SDs within REACH Monte Carlo errors of both, and the share of our replicates below each of R's quantiles."""
    values = found.replicates.to_numpy()[:, : len(expected["estimate"])]
    spread, n = np.nanstd(values, axis=0, ddof=1), len(values)
    centred = values - np.nanmean(values, axis=0)
    errors = spread * np.sqrt((np.nanmean(centred**4, axis=0) / spread**4 - 1) / (4 * n))
    theirs = np.array(expected["sd_error"])
    steady = np.array([name != "period4" for name in expected["names"]])  # separated data sets: their SDs are chance
    distance = np.abs(spread - expected["sd"]) / np.hypot(errors, theirs)
    assert (distance[steady] < REACH).all()
    below = np.nanmean(values[:, :, None] <= np.array(expected["quartiles"])[None], axis=0)
    shares = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    assert (np.abs(below - shares) < 5.2 * np.sqrt(shares * (1 - shares) * (1 / n + 1 / expected["nsim"]))).all()


@pytest.mark.slow
def test_sleepstudy_is_that_of_bootmer(shared_data):
    """1,000 data sets each; 6 SDs and 30 shares."""
    fit = sf.lmer(
        "Reaction ~ Days + (Days | Subject)", pd.read_csv(shared_data / "lme4" / "sleepstudy.csv"), method="reml"
    )
    expected = json.loads((DATA / "bootmer.json").read_text())["sleepstudy"]
    found = sf.bootstrap(fit, 1000, random_seed=1, progress=False)
    np.testing.assert_allclose(found.table["estimate"], expected["estimate"], rtol=1e-4, atol=1e-4)
    check_against_bootmer(found, expected)


@pytest.mark.slow
def test_cbpp_is_that_of_bootmer(shared_data):
    """By Laplace's approximation; 500 data sets for 1,000, 4 SDs and 25 shares."""
    herds = pd.read_csv(shared_data / "lme4" / "cbpp.csv")
    formula = "cbind(incidence, size - incidence) ~ factor(period) + (1 | herd)"
    fit = sf.glmer(formula, herds, family="binomial", method="laplace")
    expected = json.loads((DATA / "bootmer.json").read_text())["cbpp"]
    found = sf.bootstrap(fit, 500, random_seed=1, progress=False)
    np.testing.assert_allclose(found.table["estimate"], expected["estimate"], rtol=2e-3)
    check_against_bootmer(found, expected)


def test_who_does_the_replicates_changes_nothing_and_more_begin_with_the_same():
    fit = small_fit()
    alone, shared = (sf.bootstrap(fit, 12, random_seed=3, cores=cores, progress=False) for cores in (1, 2))
    pd.testing.assert_frame_equal(alone.replicates, shared.replicates)
    pd.testing.assert_frame_equal(sf.bootstrap(fit, 7, random_seed=3).replicates, alone.replicates.iloc[:7])
    assert not alone.replicates.equals(sf.bootstrap(fit, 12, random_seed=4).replicates)


def test_a_bootstrap_goes_on_in_its_folder_and_another_is_refused(tmp_path, monkeypatch):
    fit = small_fit()
    whole = sf.bootstrap(fit, 20, random_seed=3)
    sf.bootstrap(fit, 9, random_seed=3, folder=tmp_path / "kept")
    calls = []

    def counted(fit):
        calls.append(1)
        return sf.fixef(fit).set_index("term")["estimate"]

    again = sf.bootstrap(fit, 20, folder=tmp_path / "kept")
    pd.testing.assert_frame_equal(again.replicates, whole.replicates)
    with pytest.raises(sf.DataError, match="belongs to another bootstrap: statistic differs"):
        sf.bootstrap(fit, 20, folder=tmp_path / "kept", statistic=counted)
    sf.bootstrap(fit, 8, random_seed=3, folder=tmp_path / "own", statistic=counted)
    before = len(calls)
    sf.bootstrap(fit, 8, random_seed=3, folder=tmp_path / "own", statistic=counted)
    assert len(calls) == before + 1  # that of the fit itself


def test_failures_are_counted_with_their_reasons():
    def fragile(fit):
        estimate = sf.fixef(fit)["estimate"].iloc[0]
        if estimate > 260:
            raise ValueError("too high\nand more")
        return {"doubled": 2 * estimate}

    fit = small_fit()
    found = sf.bootstrap(fit, 30, statistic=fragile, random_seed=1)
    failed = found.replicates["doubled"].isna()
    assert 0 < failed.sum() < 30
    assert (found.verdicts == "failed").sum() == len(found.failures) == failed.sum()
    assert set(found.failures["reason"]) == {"ValueError: too high"}
    assert f"{failed.sum()} of 30 refits failed and are in no number here: ValueError: too high" in repr(found)
    assert found.table["std_error"].item() == pytest.approx(found.replicates["doubled"].std())


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (1.5, ["statistic"]),
        (np.array([1, 2]), ["statistic[1]", "statistic[2]"]),
        ({"a": 1}, ["a"]),
        (pd.Series([1.0, 2.0], index=["x", "z"]), ["x", "z"]),
        (pd.DataFrame({"f": ["u", "v"], "estimate": [1.0, 2.0]}), ["u", "v"]),
    ],
)
def test_a_statistic_may_be_any_numbers(value, names):
    found = sf.bootstrap(small_fit(), 2, statistic=lambda fit: value, random_seed=1)
    assert found.table["term"].to_list() == names
    assert (found.replicates.to_numpy() == np.ravel(found.observed)).all()


def test_intervals_are_those_of_davison_and_hinkley():
    """Of 99 replicates the 5 % and 95 % quantiles are the 5th and the 95th."""
    found = sf.bootstrap(small_fit(), 99, random_seed=1)
    ordered, estimate = np.sort(found.replicates["Intercept"]), found.observed["Intercept"]
    tables = [found.intervals(kind, ci_prob=0.9) for kind in ("percentile", "basic", "normal")]
    percentile, basic, normal = (table.query("term == 'Intercept'")[["conf_low", "conf_high"]] for table in tables)
    np.testing.assert_allclose(percentile.to_numpy()[0], [ordered[4], ordered[94]])
    np.testing.assert_allclose(basic.to_numpy()[0], [2 * estimate - ordered[94], 2 * estimate - ordered[4]])
    middle, reach = 2 * estimate - ordered.mean(), 1.6448536 * ordered.std(ddof=1)
    np.testing.assert_allclose(normal.to_numpy()[0], [middle - reach, middle + reach])
    assert tables[1].attrs["interval"] == "90% basic bootstrap interval"


def test_too_few_replicates_for_an_interval_are_told():
    """Of 38 the 2.5 % quantile lies below the smallest, of 39 it is the smallest."""
    few, enough = (sf.bootstrap(small_fit(), count, random_seed=1, cores=1) for count in (38, 39))
    assert "38 replicates are too few for it: its ends are the outermost ones." in repr(few)
    assert "note" not in enough.table.attrs
    assert "note" not in few.intervals("normal").attrs
    assert enough.table["conf_low"].iloc[-1] == pytest.approx(enough.replicates["day"].min())


def test_an_array_of_weights_goes_with_the_rows_that_are_drawn():
    """Of levels drawn with replacement it is taken along: with equal weights within levels a scale of their own."""
    table = layout().assign(w=np.repeat(np.linspace(0.5, 2, 12), 5))
    named, given = (
        sf.lmer("y ~ day + (1 | subject)", table, weights=weights, method="ml") for weights in ("w", table["w"])
    )
    for kind, more in (("parametric", {}), ("residual", {}), ("cases", {"group": "subject"})):
        one, two = (sf.bootstrap(fit, 4, kind=kind, random_seed=1, cores=1, **more) for fit in (named, given))
        pd.testing.assert_frame_equal(one.replicates, two.replicates)


def counts():
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"g": np.repeat(np.arange(15), 6), "x": rng.normal(size=90), "n": 12, "w": 12.0})
    eta = 0.4 * table["x"] + rng.normal(0, 0.6, 15)[table["g"]]
    hits = rng.binomial(12, 1 / (1 + np.exp(-eta)))
    return table.assign(
        hits=hits, share=hits / 12, count=rng.poisson(np.exp(1 + eta)), size=np.exp(eta + rng.normal(0, 0.3, 90)),
        level=pd.cut(eta, [-np.inf, -0.5, 0.5, np.inf], labels=["low", "mid", "high"]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("formula", "settings"),
    [
        ("cbind(hits, n - hits) ~ x + (1 | g)", {"family": "binomial"}),
        ("share ~ x + (1 | g)", {"family": "binomial", "weights": "w"}),
        ("count ~ x + (x | g)", {"family": "poisson"}),
        ("count ~ x + (1 | g)", {"family": "negativebinomial"}),
        ("level ~ x + (1 | g)", {"family": "cumulative"}),
        ("log(size) ~ x + (1 | g)", {}),
        ("log(size) ~ 1 + (1 | g)", {"weights": "w"}),
    ],
)
def test_every_response_is_drawn_and_fitted(formula, settings):
    """The default statistic of the fit is what `tidy` says; no replicate fails."""
    family, method = settings.get("family", "gaussian"), "laplace" if "family" in settings else "ml"
    fit = sf.fit(sf.Model(formula, counts(), **settings), method=method)
    found = sf.bootstrap(fit, 6, random_seed=1, cores=1)
    assert not len(found.failures)
    assert found.replicates.drop(columns="alpha", errors="ignore").nunique().min() > 1, family
    tidied = sf.tidy(fit, ("ran_pars", "fixed"))
    table = found.table[found.table["effect"] != "family"]
    pd.testing.assert_frame_equal(table[["effect", "group", "term", "estimate"]], tidied[table.columns[:4]])


def test_a_response_that_was_computed_leaves_no_old_column_behind():
    fit = sf.lmer("log(size) ~ x + (1 | g)", counts(), method="ml")
    with pytest.raises(sf.SamplingError, match=r"all 2 refits failed: .*no column 'size'"):
        sf.bootstrap(fit, 2, statistic=lambda one: sf.fixef(sf.update(one, ". ~ . - x"))["estimate"], random_seed=1)


def test_nested_levels_are_drawn_with_theirs():
    data, _ = sf.datasets.m7()
    fit = sf.lmer("log_fc ~ (1 | gene/sgRNA)", data, method="ml")
    found = sf.bootstrap(fit, 5, kind="cases", group="gene", random_seed=1, statistic=sf.ngrps)
    assert (found.replicates["gene"] == 10).all()
    assert found.replicates["gene:sgRNA"].nunique() > 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sf.bootstrap(correlated_fit(draws=5)),
         "a bootstrap is of a fit by maximum likelihood, and this is a Fit.\nFits by method='reml', 'ml' or 'laplace' "
         "are bootstrapped; the draws of other fits are their intervals.\nWrite sf.confint(fit), or fit the model by "
         "method='reml' or 'laplace'."),
        (lambda: sf.bootstrap(small_fit(), kind="case"),
         "kind='case' does not exist.\nkind= is one of 'parametric', 'residual', 'cases'.\nWrite kind='parametric', or "
         "leave it out."),
        (lambda: sf.bootstrap(small_fit(), kind="cases"),
         "group= is missing.\nIts grouping factors: subject.\nWrite group='subject'."),
        (lambda: sf.bootstrap(small_fit(), group="subject"),
         "group='subject' beside kind='parametric' would change nothing.\nuse_u= is of kind='parametric', group= of "
         "kind='cases'.\nLeave it out, or choose the other kind."),
        (lambda: sf.bootstrap(small_fit("y ~ factor(subject) + (1 | subject)"), kind="cases", group="subject"),
         "'subject' is a grouping factor and in the fixed part.\nOf kind='cases' each level that is drawn becomes a "
         "new one, which has no fixed effect.\nWrite kind='parametric', or kind='residual'."),
        (lambda: sf.bootstrap(small_fit(), interval="bca"),
         "interval='bca' does not exist.\ninterval= is one of 'percentile', 'basic', 'normal'.\nWrite "
         "interval='percentile', or leave it out."),
        (lambda: sf.bootstrap(small_fit(), statistic=lambda fit: "many"),
         "the statistic gives a str of other things than numbers.\nIt is a number, an array of one dimension, a "
         "dictionary or Series of numbers, or a frame with 'estimate'.\nFor example statistic=lambda fit: "
         'sf.fixef(fit).set_index("term")["estimate"].'),
    ],
)  # fmt: skip
def test_what_is_not_bootstrapped_is_refused(call, message):
    with pytest.raises(sf.EstimateError) as caught:
        call()
    assert str(caught.value) == message
