"""Several contrasts at a time against emmeans and mvtnorm, closed forms, and the joint draws."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import EstimateError
from speclet_formula.interpretation.adjustment import NAMES, ContrastFamily, adjusted_p, reach, simultaneous
from tests.fakes import fake_fit
from tests.lmertest import MODELS, fit_of

FOCAL = [name for name, answer in MODELS.items() if "focal" in answer]


@pytest.mark.parametrize("name", FOCAL)
def test_means_have_emmeans_degrees_of_freedom(name):
    expected = MODELS[name]["means"]
    found = sf.marginal_means(fit_of(name), MODELS[name]["focal"]).table
    error = np.array(expected["se"])
    np.testing.assert_allclose(found["df"], expected["df"], rtol=1e-3)
    for ours, theirs in (("estimate", "estimate"), ("conf_low", "low"), ("conf_high", "high")):
        np.testing.assert_allclose(found[ours] / error, np.array(expected[theirs]) / error, atol=1e-3)
    assert {"kenward-roger": "Kenward-Roger", "satterthwaite": "Satterthwaite"}[expected["method"]] in found.attrs[
        "interval"
    ]


@pytest.mark.parametrize("name", FOCAL)
def test_pairs_are_adjusted_as_in_emmeans(name):
    means = sf.marginal_means(fit_of(name), MODELS[name]["focal"])
    for expected in MODELS[name]["pairs"]:
        found, error = sf.pairs(means, adjust=expected["adjust"]).table, np.array(expected["se"])
        assert found["contrast"].to_list() == expected["contrast"]
        np.testing.assert_allclose(found["df"], expected["df"], rtol=1e-3)
        np.testing.assert_allclose(found["statistic"], expected["t"], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(found["p_value"], expected["p"], atol=1e-4, rtol=0, err_msg=expected["adjust"])
        for ours, theirs in (("conf_low", "low"), ("conf_high", "high")):
            np.testing.assert_allclose(found[ours] / error, np.array(expected[theirs]) / error, atol=1e-3)


@pytest.mark.parametrize("name", FOCAL)
def test_the_joint_t_distribution_is_that_of_mvtnorm(name):
    """mvtnorm was asked for an error of 1e-6."""
    joint = MODELS[name]["joint"]
    t, correlation = np.array(joint["t"]), np.array(joint["correlation"])
    tested = ContrastFamily(t, np.full(len(t), float(joint["df"])), correlation, 3, 2)
    np.testing.assert_allclose(adjusted_p("mvt", tested), joint["p"], atol=1e-4, rtol=0)


def test_tukeys_is_the_default_of_pairs_and_machines_are_as_everybody_has_them():
    """Kenward-Roger's p of B against A, 0.0217, is 0.0481 among three differences."""
    means = sf.marginal_means(fit_of("machines"), "Machine")
    found = sf.pairs(means)
    pd.testing.assert_frame_equal(found.table, sf.pairs(means, adjust="tukey").table)
    assert found.table.loc[0, "p_value"] == pytest.approx(0.0481, abs=5e-5)
    assert sf.pairs(means, adjust="none").table.loc[0, "p_value"] == pytest.approx(0.0217, abs=5e-5)
    told = "p_value and intervals are adjusted by Tukey's method for a family of 3 estimates."
    assert found.table.attrs["adjustment"] == told
    assert found.table.attrs["interval"] == "95% simultaneous t interval (Kenward-Roger, Tukey's method)"
    asymptotic = sf.pairs(sf.marginal_means(fit_of("machines"), "Machine", df="asymptotic"), adjust="holm")
    assert asymptotic.table.attrs["interval"] == "95% simultaneous Wald interval (Bonferroni's method)"
    assert sf.pairs(means, adjust="none").table.attrs["interval"] == "95% t interval (Kenward-Roger)"
    assert repr(found).replace("\n", " ").endswith(told)


@pytest.mark.parametrize(
    ("method", "adjust", "told"),
    [
        (
            "consec",
            "mvt",
            "p_value and intervals are adjusted by the joint t distribution for a family of 2 contrasts.",
        ),
        ("reference", "dunnett", "p_value and intervals are adjusted by Dunnett's method for a family of 2 contrasts."),
        (
            "eff",
            "fdr",
            "p_value is adjusted by the false discovery rate (Benjamini and Hochberg), intervals by Bonferroni's "
            "method, for a family of 3 contrasts.",
        ),
    ],
)
def test_the_defaults_belong_to_the_contrasts(method, adjust, told):
    means = sf.marginal_means(fit_of("machines"), "Machine")
    found = sf.contrasts(means, method)
    assert (found.table.attrs["adjust"], found.table.attrs["adjustment"]) == (adjust, told)
    pd.testing.assert_frame_equal(found.table, sf.contrasts(means, method, adjust=adjust).table)


def test_weights_of_your_own_are_not_adjusted_unless_asked():
    means = sf.marginal_means(fit_of("machines"), "Machine")
    weights = {"C against A": {"C": 1, "A": -1}, "B against A": {"B": 1, "A": -1}}
    assert "adjustment" not in sf.contrasts(means, weights).table.attrs
    plain, both = (sf.contrasts(means, weights, adjust=adjust).table["p_value"] for adjust in ("none", "bonferroni"))
    np.testing.assert_allclose(both, 2 * plain, rtol=1e-9)


def test_a_family_is_a_group_of_by():
    fit = fit_of("crossed, two factors")
    means = sf.marginal_means(fit, "f", by="h")
    found = sf.pairs(means)
    assert found.table.attrs["adjustment"] == (
        "p_value and intervals are adjusted by Tukey's method for a family of 3 estimates in each group."
    )
    one = sf.marginal_means(fit, "f", at={"h": "q"})
    alone = sf.pairs(one).table["p_value"].to_numpy()
    np.testing.assert_allclose(found.table.query("h == 'q'")["p_value"], alone, rtol=1e-6)


def test_a_single_contrast_is_not_adjusted():
    found = sf.pairs(sf.marginal_means(fit_of("crossed, two factors"), "h"))
    assert len(found.table) == 1
    assert "adjustment" not in found.table.attrs


def test_what_the_data_do_not_know_is_no_part_of_the_family():
    fit = fit_of("an empty cell")
    found = sf.pairs(sf.marginal_means(fit, ["f", "h"]), adjust="bonferroni").table
    plain = sf.pairs(sf.marginal_means(fit, ["f", "h"]), adjust="none").table
    unknown = plain["p_value"].isna()
    assert 0 < unknown.sum() < len(plain)
    np.testing.assert_array_equal(found["p_value"].isna(), unknown)
    np.testing.assert_array_equal(found["conf_low"].isna(), unknown)
    expected = np.minimum((~unknown).sum() * plain["p_value"][~unknown], 1)
    np.testing.assert_allclose(found["p_value"][~unknown], expected, rtol=1e-9)


# --- the distributions ------------------------------------------------------------------------------------------------


def differences(count):
    """Return the contrasts of all pairs of independent means of one variance."""
    rows = [np.eye(count)[i] - np.eye(count)[j] for i in range(count) for j in range(i + 1, count)]
    return np.array(rows)


@pytest.mark.parametrize(("count", "error"), [(3, 1e-8), (4, 3e-5), (7, 2e-4)])
def test_of_means_with_one_variance_tukeys_is_the_joint_distribution(count, error):
    """The directions are the same each time, so that these errors are, too."""
    L = differences(count)
    t = np.linspace(0.5, 5, len(L))
    tested = ContrastFamily(t, np.full(len(t), 11.3), L @ L.T / 2, count, count - 1)
    np.testing.assert_allclose(adjusted_p("mvt", tested), adjusted_p("tukey", tested), atol=error)
    assert reach("mvt", 0.95, tested)[0] == pytest.approx(reach("tukey", 0.95, tested)[0], rel=20 * error)


@pytest.mark.parametrize("adjust", NAMES)
def test_an_interval_excludes_zero_where_the_p_value_is_small(adjust):
    """At the end of its interval a contrast has just the p-value that the interval's probability leaves."""
    L = differences(4)
    tested = ContrastFamily(np.full(6, 1.0), np.full(6, 8.0), L @ L.T / 2, 4, 3)
    far = reach(adjust, 0.9, tested)[0]
    at_end = ContrastFamily(np.full(6, far), np.full(6, 8.0), L @ L.T / 2, 4, 3)
    if adjust not in ("holm", "fdr"):  # whose intervals are Bonferroni's
        np.testing.assert_allclose(adjusted_p(adjust, at_end), 0.1, atol=1e-6)
    else:
        assert far == pytest.approx(reach("bonferroni", 0.9, tested)[0])


def test_independent_contrasts_are_sidaks():
    tested = ContrastFamily(np.array([0.5, 1.0, 2.0, 3.0]), np.full(4, np.inf), np.eye(4), 5, 4)
    np.testing.assert_allclose(adjusted_p("mvt", tested), adjusted_p("sidak", tested), atol=2e-5)


def test_many_degrees_of_freedom_have_the_quantiles_of_each():
    """From thirteen on they are of a polynomial, which is the same function."""
    L, df = differences(6), np.linspace(3, 40, 15)
    tested = ContrastFamily(np.ones(15), df, L @ L.T / 2, 6, 5)
    alone = [
        reach("tukey", 0.95, ContrastFamily(np.ones(1), np.array([one]), np.eye(1), 6, 5))[0] for one in df[[0, 7, 14]]
    ]
    np.testing.assert_allclose(reach("tukey", 0.95, tested)[[0, 7, 14]], alone, rtol=1e-5)


# --- of draws ---------------------------------------------------------------------------------------------------------


def test_simultaneous_intervals_hold_all_draws_of_that_share():
    rng = np.random.default_rng(5)
    draws = rng.multivariate_normal(np.zeros(3), [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 4]], 2_000)
    centre, spread = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    far = simultaneous(draws, centre, spread, 0.9)
    assert (np.abs(draws - centre) <= far * spread * (1 + 1e-12)).all(axis=1).mean() == pytest.approx(0.9, abs=1e-3)


def drawn():
    data = pd.DataFrame({"y": np.arange(30.0) % 7, "f": list("abc") * 10})
    return sf.marginal_means(fake_fit(sf.Model("y ~ f", data)), "f")


def test_pairs_of_draws_are_simultaneous_where_asked():
    means = drawn()
    plain, joint = sf.pairs(means), sf.pairs(means, adjust="simultaneous")
    assert plain.table.attrs["interval"] == "89% equal-tailed interval"
    assert joint.table.attrs["interval"] == "89% simultaneous interval"
    assert joint.table.attrs["adjustment"] == (
        "Intervals hold all of a family of 3 contrasts at once, in that share of the joint draws."
    )
    draws = means.values.draws @ np.array([[1, -1, 0], [1, 0, -1], [0, 1, -1]]).T
    inside = (draws >= joint.table["conf_low"].to_numpy()) & (draws <= joint.table["conf_high"].to_numpy())
    assert abs(inside.all(axis=1).sum() - 0.89 * len(draws)) <= 2  # the draw at the end itself may round either way
    np.testing.assert_array_equal(joint.table["estimate"], plain.table["estimate"])


# --- what is said -----------------------------------------------------------------------------------------------------


def test_what_is_no_adjustment_is_told():
    means = sf.marginal_means(fit_of("machines"), "Machine")
    with pytest.raises(EstimateError) as error:
        sf.pairs(means, adjust="turkey")
    assert str(error.value) == (
        "there is no adjust='turkey'.\n"
        "Adjustments: 'none', 'tukey', 'dunnett', 'mvt', 'scheffe', 'sidak', 'bonferroni', 'holm', 'fdr'.\n"
        "Write adjust='tukey'."
    )


def test_tukeys_is_not_for_every_contrast():
    means = sf.marginal_means(fit_of("machines"), "Machine")
    with pytest.raises(EstimateError) as error:
        sf.contrasts(means, "eff", adjust="tukey")
    assert str(error.value) == (
        "adjust='tukey' does not belong to these contrasts.\n"
        "It is for method='pairwise'; 'mvt', 'sidak', 'holm' and 'bonferroni' are for any.\n"
        "Write adjust='mvt', which takes account of how the contrasts hang together."
    )


def test_draws_have_no_p_values_to_adjust():
    with pytest.raises(EstimateError) as error:
        sf.pairs(drawn(), adjust="holm")
    assert str(error.value) == (
        "adjust='holm' adjusts p-values, and a fit with draws has none.\n"
        "Of draws: 'none', each interval by itself, and 'simultaneous', which hold all at once.\n"
        "Write adjust='simultaneous', or leave it out."
    )
