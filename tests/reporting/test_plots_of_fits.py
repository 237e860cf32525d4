"""Each picture shows the frame's numbers, says them in its text, and names what it cannot draw."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

import speclet_formula as sf
from speclet_formula.errors import DataError
from speclet_formula.prediction.predictive import Predictive
from speclet_formula.reporting.plots.effects import shrinkage
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data


@cache
def fit():
    return crossed_fit()


@cache
def comparison():
    return sf.compare({"one": fit(), "two": crossed_fit(seed=2)})


@cache
def recoveries():
    levels = fit().model.design.mean.groups[0].levels
    truth = {"Intercept": -1.0, "1|gene_sigma": 0.4, "1|gene": {level: 0.1 * n for n, level in enumerate(levels)}}
    lines = {"1|cell_line": dict.fromkeys(fit().model.design.mean.groups[1].levels, 0.0)}
    only_lines = fake_fit(sf.Model("log_fc ~ (1 | cell_line)", screen_data()))
    return {"one": sf.recover(fit(), truth), "lines": sf.recover(only_lines, lines)}


def points(axis, label=None):
    """Return where marks are, of the only kind or of the one that is labelled so."""
    found = [c for c in axis.collections if isinstance(c, PathCollection) and label in (None, c.get_label())]
    return found[0].get_offsets().T


def axis_of(picture):
    (axis,) = picture.figure.axes
    return axis


def test_effects_are_sorted_with_their_intervals():
    picture, frame = sf.plot_effects(correlated_fit(), "Subject", "Days"), sf.ranef(correlated_fit())
    frame = frame[frame["term"] == "Days"].sort_values("condval")
    axis = axis_of(picture)
    assert [label.get_text() for label in axis.get_yticklabels()] == frame["grp"].to_list()
    np.testing.assert_allclose(points(axis)[0], frame["condval"])
    segments = np.array([segment[:, 0] for segment in axis.collections[0].get_segments()])
    np.testing.assert_allclose(segments, frame[["conf_low", "conf_high"]])
    assert picture.alt.startswith("Effects of 18 levels of Subject (Days) with their 89% equal-tailed interval.")
    assert f"largest: {frame['grp'].iloc[-1]} {frame['condval'].iloc[-1]:.2f}" in picture.alt


def test_shrinkage_is_from_the_partial_residuals():
    data = pd.DataFrame({"g": list("aaabbbbc"), "y": [1.0, 2, 3, 5, 6, 7, 8, -4]})
    pooled = sf.lmer("y ~ (1 | g)", data, random_seed=1, progress=False)
    frame, fixed = shrinkage(pooled).set_index("level"), float(pooled.idata["posterior"]["Intercept"].mean())
    np.testing.assert_allclose(frame["alone"], data.groupby("g")["y"].mean() - fixed)
    assert frame["rows"].to_list() == [3, 4, 1]
    far = frame.loc[["b", "c"]]  # a lies where the mean does: nothing to shrink
    assert (far["pooled"].abs() < far["alone"].abs()).all()
    axis = axis_of(sf.plot_shrinkage(pooled))
    np.testing.assert_allclose(points(axis, "own rows alone")[0], frame["alone"].sort_values())


def test_a_group_keeps_what_is_nested_in_it():
    data = screen_data().assign(y=lambda d: d["log_fc"])
    nested = fake_fit(sf.Model("y ~ (1 | gene / guide)", data), {"Intercept": 0.0, "1|gene": 0.0, "1|gene:guide": 5.0})
    frame = shrinkage(nested, "gene").set_index("level")
    means = data.groupby("gene", observed=True)["y"].mean()
    fixed = float(nested.idata["posterior"]["Intercept"].mean())
    np.testing.assert_allclose(frame["alone"], means.loc[frame.index] - fixed)


def test_variances_are_those_of_varcorr():
    picture, frame = sf.plot_variances(correlated_fit()), sf.varcorr(correlated_fit())
    frame = frame[frame["var2"].isna()]
    axis = axis_of(picture)
    np.testing.assert_allclose(points(axis)[0], frame["sdcor"][::-1])
    assert [label.get_text() for label in axis.get_yticklabels()] == ["Residual", "Subject (Days)", "Subject"]
    assert f"Subject (Days) {frame['sdcor'].iloc[1]:.3g}" in picture.alt


def test_variances_without_intervals_name_none():
    fit = sf.lmer("log_fc ~ (1 | gene)", screen_data(), method="reml")
    picture = sf.plot_variances(fit)
    assert axis_of(picture).get_xlabel() == "standard deviation in log_fc"
    assert picture.alt.startswith(f"Standard deviations: gene {sf.varcorr(fit)['sdcor'].iloc[0]:.3g}; Residual ")


def test_models_are_ranked_from_above():
    picture, table = sf.plot_compare(comparison()), comparison().table
    axis = axis_of(picture)
    assert [label.get_text() for label in axis.get_yticklabels()] == list(table.index[::-1])
    drawn = points(axis, "elpd ± SE")[0]
    np.testing.assert_allclose(np.asarray(drawn, dtype=float), table["elpd"][::-1].to_numpy(dtype=float))
    assert f"{table.index[0]} {table['elpd'].iloc[0]:.1f} (SE {table['se'].iloc[0]:.1f})" in picture.alt


def test_pareto_k_is_drawn_by_row():
    estimate = comparison().estimates["one"]
    picture = sf.plot_pareto_k(estimate, "one")
    assert points(axis_of(picture)).shape[1] == int((estimate.pareto_k <= estimate.good_k).sum())
    assert f"limit of {estimate.good_k:.2f}" in picture.alt


def test_prior_and_posterior_have_a_panel_each():
    picture = sf.plot_priors(correlated_fit())
    titles = [axis.get_title() for axis in picture.figure.axes if axis.get_visible()]
    assert titles == ["Intercept", "Days", "1|Subject_sigma", "Days|Subject_sigma", "cor|Subject[1, Days]", "sigma"]
    assert picture.alt.startswith("Prior and posterior of 6 parameters")


def test_real_responses_are_drawn_as_shares():
    check = sf.posterior_predictive(fit(), 20, random_seed=1)
    picture = sf.plot_predictive(check)
    observed = axis_of(picture).get_lines()[-1]
    np.testing.assert_allclose(observed.get_xdata()[1:], np.sort(check.observed))
    assert observed.get_ydata()[-1] == 1
    assert "among 20 replicates" in picture.alt


def test_groups_get_a_panel_each():
    check, lines = sf.posterior_predictive(fit(), 20, random_seed=1), screen_data()["cell_line"]
    picture = sf.plot_predictive(check, group=lines)
    panels = [axis for axis in picture.figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in panels] == ["A375", "HEL", "KU812", "RVH421"]
    for axis, level in zip(panels, lines.unique(), strict=True):
        np.testing.assert_allclose(axis.get_lines()[-1].get_xdata()[1:], np.sort(check.observed[lines == level]))
    assert "HEL: " in picture.alt


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (
            ["a", "b"],
            "group= has 2 labels for 48 rows.\nEach row that the model uses has one.\n"
            "Give a column of the table, without the rows that were dropped: group=data['cell_line'].",
        ),
        (
            range(48),
            "group= has 48 levels, too many to look at.\nThere are up to 12 panels, one for each level.\n"
            "Choose a factor with fewer levels, or merge some.",
        ),
    ],
)
def test_groups_that_cannot_be_drawn(group, message):
    with pytest.raises(DataError) as caught:
        sf.plot_predictive(sf.posterior_predictive(fit(), 5, random_seed=1), group=group)
    assert str(caught.value) == message


def test_counts_hang_from_the_expected_ones():
    observed = np.array([0.0, 0, 0, 0, 1, 2, 2, 2, 2])
    check = Predictive("prior", "n", True, observed, np.array([observed, observed]), 0, pd.DataFrame(
        {"statistic": ["mean"], "observed": [1.0], "lo": [0.0], "median": [1.0], "hi": [2.0],
         "tail": [0.5]}))  # fmt: skip
    bars = axis_of(sf.plot_predictive(check)).containers[0]
    # Where the replicates are the data, every bar ends at zero.
    np.testing.assert_allclose(
        [(bar.get_y(), bar.get_y() + bar.get_height()) for bar in bars], [(2, 0), (1, 0), (2, 0)]
    )


def test_parameters_show_truth_realized_and_lme4():
    recovery = recoveries()["one"]
    figure = sf.plot_parameters(recovery).figure
    row = recovery.parameters.iloc[1]
    marks = {text: points(figure.axes[1], text)[0, 0] for text in ("truth", "realized", "lme4 (REML)")}
    assert (marks["truth"], marks["realized"], marks["lme4 (REML)"]) == (row["truth"], row["realized"], row["lme4"])
    assert figure.axes[1].get_yticklabels()[0].get_text() == "SD of gene"


def test_coverage_has_its_band():
    recovery = recoveries()["one"]
    picture, row = sf.plot_coverage(recovery), recovery.groups.iloc[0]
    segment = axis_of(picture).collections[0].get_segments()[0]
    np.testing.assert_allclose(segment[:, 0], [row["coverage_lo"], row["coverage_hi"]])
    assert f"{row['coverage']:.2f} of 6 levels" in picture.alt


def test_models_stand_side_by_side():
    picture = sf.plot_recoveries(recoveries(), "gene")
    labels = [text.get_text() for text in picture.figure.legends[0].get_texts()]
    assert labels == ["one", "truth"]
    assert picture.alt.endswith("Without such effects: lines.")


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (
            lambda: sf.plot_effects(fit(), "guide"),
            "the model has no group term 'guide'.\nIts group terms: 'gene' (Intercept), 'cell_line' (Intercept).\n"
            "Name one of these.",
        ),
        (
            lambda: sf.plot_effects(fake_fit(sf.Model("log_fc ~ control", screen_data()))),
            "the model has no group term to draw.\nThe effects of levels are those of terms such as (1 | gene).\n"
            "Its fixed effects are in sf.fixef(fit).",
        ),
        (
            lambda: sf.plot_shrinkage(fit(), "guide"),
            "the model has no intercept for each level of 'guide'.\nIt has those of 'gene', 'cell_line'.\n"
            "Name one of these.",
        ),
        (
            lambda: sf.plot_recoveries(recoveries(), "guide"),
            "no recovery has a block 'guide'.\nTheir blocks: 'cell_line', 'gene'.\nName one of these.",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, text):
    with pytest.raises(DataError) as caught:
        draw()
    assert str(caught.value) == text
