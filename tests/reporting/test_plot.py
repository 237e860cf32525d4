"""`plot` chooses the picture that a result has, hands it its arguments, and lists what can be drawn."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

import speclet_formula as sf
from speclet_formula.errors import DataError
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data, sleepstudy_data

TRUTH = {"Intercept": -1.0, "control[other]": 0.2, "1|gene_sigma": 0.4, "1|cell_line_sigma": 0.3, "sigma": 0.5}


@cache
def fit():
    return crossed_fit()


@cache
def recovery():
    return sf.recover(
        fit(), {"Intercept": -1.0, "1|gene": dict.fromkeys(fit().model.design.mean.groups[0].levels, 0.0)}
    )


@cache
def study():
    formula = "log_fc ~ control + (1 | gene) + (1 | cell_line)"
    return sf.study(formula, screen_data(), TRUTH, nsim=4, random_seed=1, progress=False, cores=1, draws=50)


@cache
def calibration():
    options = {"nsim": 4, "random_seed": 1, "progress": False, "cores": 1, "draws": 50, "ranked": 20}
    return sf.calibrate("log_fc ~ control + (1 | gene)", screen_data(), **options)


def matrix():
    nested = fake_fit(sf.Model("log_fc ~ 1 + (1 | gene) + (1 | gene:cell_line)", screen_data()))
    return sf.effect_matrix(nested, "gene", "cell_line")


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (fit, None, "Effects of 6 levels of gene"),
        (fit, "fixed", "Fixed effects on log_fc"),
        (fit, "variances", "Standard deviations"),
        (fit, "predictive", "Posterior predictive check"),
        (lambda: sf.lmer("Reaction ~ Days", sleepstudy_data(), method="ml"), None, "Fixed effects on Reaction"),
        (lambda: sf.lmer("Reaction ~ (1|Subject)", sleepstudy_data(), method="reml"), "residuals", "Residuals of 180"),
        (lambda: sf.lmer("Reaction ~ (1|Subject)", sleepstudy_data(), method="reml"), "variances", "Standard dev"),
        (lambda: sf.compare({"one": fit(), "two": crossed_fit(seed=2)}), None, "Models by expected log predictive"),
        (lambda: sf.loo(fit()), None, "Pareto k of 48 rows"),
        (recovery, None, "Estimates against true effects"),
        (recovery, "intervals", "90 % intervals of 6 levels of gene"),
        (recovery, "parameters", "Parameters of "),
        (lambda: sf.recover({"a": fit(), "b": fit()}, {"1|gene": recovery().levels.set_index("level")["truth"]}), None,
         "Effects of 6 levels of gene by 2 models"),
        (lambda: sf.marginal_means(fit(), "control"), None, "Marginal means of log_fc"),
        (lambda: sf.posterior_predictive(fit(), 5, random_seed=1), None, "Posterior predictive check"),
        (lambda: sf.rank_genes(fit()), None, "Effects of 6 genes against the local false sign rate"),
        (lambda: sf.rank_genes(fit()), "ranks", "Effects of 6 genes in order"),
        (lambda: sf.control_separation(pd.DataFrame(
            {"estimate": [-2.0, -1, -1, 0], "control": ["essential"] * 2 + ["nonessential"] * 2})), None,
         "Scores of 2 essential and 2 nonessential controls"),
        (matrix, None, "Table of estimate of 6 levels of gene"),
        (lambda: sf.residuals(fit()), None, "Distribution of 48 numbers"),
        (study, None, "Bias and coverage of "),
        (calibration, None, "Ranks of "),
    ],
)  # fmt: skip
@pytest.mark.mostly_slow(every=4)
def test_a_result_has_its_picture(make, kind, words):
    assert sf.plot(make(), kind).alt.startswith(words)


def test_arguments_go_to_the_picture():
    assert sf.plot(correlated_fit(), group="Subject", term="Days").alt.startswith("Effects of 18 levels of Subject (D")


def test_pictures_are_drawn_on_given_axes():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert sf.plot(fit(), "variances", ax=left).figure is figure
    assert sf.plot(recovery(), "intervals", ax=right).figure is figure
    assert left.get_xlabel().startswith("standard deviation in log_fc")
    assert len(right.get_yticklabels()) == 6
    assert right.get_legend() is not None
    assert figure.legends == []


def test_fixed_effects_are_those_of_fixef():
    frame = sf.fixef(fit())
    (axis,) = sf.plot(fit(), "fixed").figure.axes
    segments = [segment[:, 0] for segment in axis.collections[0].get_segments()]
    shown = frame[frame["term"] != "Intercept"]
    np.testing.assert_allclose(segments, shown[["conf_low", "conf_high"]])
    assert [label.get_text() for label in axis.get_yticklabels()] == ["control[other]"]
    alone = sf.plot_fixed(fake_fit(sf.Model("log_fc ~ 1", screen_data())))
    assert "Intercept" in alone.alt


def test_a_study_shows_bias_and_coverage_of_each_parameter():
    left, right = sf.plot(study()).figure.axes
    table = study().table.iloc[::-1]
    assert [label.get_text() for label in left.get_yticklabels()] == table["parameter"].tolist()
    biases = next(marks for marks in left.collections if isinstance(marks, PathCollection)).get_offsets()[:, 0]
    np.testing.assert_allclose(biases, table["bias"] / table["mean_sd"])
    drawn = [marks.get_offsets() for marks in right.collections if isinstance(marks, PathCollection)]
    shares = np.concatenate(drawn)
    np.testing.assert_allclose(shares[np.argsort(shares[:, 1]), 0], table["cover90"])


def test_a_calibration_shows_the_distance_from_uniform_ranks():
    (axis,) = sf.plot(calibration()).figure.axes
    frame = calibration().ecdf
    lines = [line for line in axis.lines if len(line.get_xdata()) > 2]
    assert len(lines) == frame["parameter"].nunique()
    drawn = np.sort(np.concatenate([line.get_ydata() for line in lines]))
    np.testing.assert_allclose(drawn, np.sort(frame["difference"]))


def test_long_names_are_elided_and_many_are_counted():
    names = [f"a gene with quite a long name, number {number:02d}" for number in range(41)]
    data = pd.DataFrame({"a_gene_with_a_name": np.repeat(names, 2), "y": np.arange(82.0)})
    formula = "y ~ (1 | a_gene_with_a_name)"
    (axis,) = sf.plot(fake_fit(sf.Model(formula, data.head(80)))).figure.axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert {len(label) for label in labels} == {32}
    assert len(set(labels)) == 40
    (axis,) = sf.plot(fake_fit(sf.Model(formula, data))).figure.axes
    assert (len(axis.get_yticks()), axis.get_ylabel()) == (0, "a_gene_with_a_name (41 levels, sorted)")


PICTURES = (
    "Pictures are made of a Fit, a PointFit, a Comparison, what loo returned, a Recovery or Recoveries, Means, a "
    "Predictive, a Separation, a ScreenQuality, a ScreenPlan, a Study, a Calibration, a Bootstrap, an Influence, a "
    "ModelCheck, ranked or called genes, a matrix of effects, and residuals."
)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: sf.plot(3), f"there is no picture of a int.\n{PICTURES}\nHand over one of these."),
        (
            lambda: sf.plot(pd.DataFrame({"a": ["x"], "b": [1.0]})),
            f"there is no picture of a table with the columns 'a', 'b'.\n{PICTURES}\nHand over one of these.",
        ),
        (
            lambda: sf.plot(recovery(), "interval"),
            "there is no picture 'interval' of a Recovery.\n"
            "Its pictures: 'recovery', 'intervals', 'coverage', 'parameters'.\nNearest: 'intervals'.",
        ),
        (
            lambda: sf.plot(crossed_fit(), "ranef"),
            "there is no picture 'ranef' of a Fit.\nIts pictures: 'effects', 'fixed', 'variances', 'residuals', "
            "'predictive', 'shrinkage', 'priors', 'pareto_k'.\nNearest: 'effects'.",
        ),
        (
            lambda: sf.plot(crossed_fit(), "fixed", group="gene"),
            "the picture 'fixed' has no argument group=.\nArguments: ax.\nLeave it out, or draw a picture that has "
            "it: 'effects', 'residuals', 'predictive', 'shrinkage'.",
        ),
        (
            lambda: sf.plot(crossed_fit(), "fixed", figsize=(3, 3)),
            "the picture 'fixed' has no argument figsize=.\nArguments: ax.\n"
            "Draw into an axis of that size: ax=matplotlib.pyplot.subplots(figsize=(3, 3))[1].",
        ),
        (
            lambda: sf.plot(crossed_fit(), trm="gene"),
            "the picture 'effects' has no argument trm=.\nArguments: group, term, ax.\nNearest: term=.",
        ),
        (
            lambda: sf.plot(recovery(), "coverage", x=1),
            "the picture 'coverage' has no argument x=.\nArguments: ax.\nNearest: ax=.",
        ),
        (
            lambda: sf.plot(recovery(), "recovery", x=1),
            "the picture 'recovery' has no argument x=.\nIt has no arguments by name.\nLeave x= out.",
        ),
        (
            lambda: sf.plot(pd.Series([np.nan])),
            "the series has no number to draw.\nResiduals are numbers.\nHand over what sf.residuals returned.",
        ),
        (
            lambda: sf.plot_fixed(fake_fit(sf.Model("log_fc ~ 0 + (1 | gene)", screen_data()))),
            "the model has no fixed effect to draw.\nFixed effects are those of terms outside of (... | group).\n"
            "Its group effects are in sf.ranef(fit).",
        ),
    ],
)
def test_what_has_no_picture_is_refused(call, text):
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value) == text


def test_a_fit_without_draws_lists_the_pictures_that_it_has():
    fit = sf.lmer("Reaction ~ (1|Subject)", sleepstudy_data(), method="reml")
    with pytest.raises(sf.DataError) as caught:
        sf.plot(fit, "trace")
    assert "Its pictures: 'effects', 'fixed', 'variances', 'residuals', 'predictive'.\n" in str(caught.value)
    for kind in ("effects", "fixed", "variances", "residuals", "predictive"):
        assert sf.plot(fit, kind).alt
    for kind in ("shrinkage", "priors", "pareto_k"):
        with pytest.raises(sf.EstimateError) as refused:
            sf.plot(fit, kind)
        assert str(refused.value) == (
            "a fit by REML has no draws.\n"
            "Leave-one-out, recovery, diagnostics and prediction intervals are made from draws; sf.predict, "
            "sf.residuals, checks and pictures of estimates need none.\n"
            "Fit the model with method='exact'; likelihoods are compared by sf.anova."
        )
    assert len(sf.predict(fit)) == len(sf.residuals(fit)) == 180


def level_table(rates):
    names = [f"g{place}" for place in range(len(rates))]
    frame = pd.DataFrame({
        "group": "g", "level": names, "term": "Intercept", "estimate": np.linspace(-2, 2, len(rates)), "lfsr": rates,
        "rank": np.arange(len(rates)) + 1,
    }).assign(conf_low=lambda d: d["estimate"] - 1, conf_high=lambda d: d["estimate"] + 1)  # fmt: skip
    frame.attrs.update(draws=4000, interval="89% equal-tailed interval")
    return frame


def test_pictures_of_levels_name_their_factor():
    table = level_table([0.0, 0.2, 0.3, 0.0])
    for kind, axis in (("volcano", "x"), ("ranks", "y")):
        picture = sf.plot(table, kind)
        assert picture.alt.startswith("Effects of 4 levels of g ")
        assert getattr(picture.figure.axes[0], f"get_{axis}label")().startswith("effect of g")
    labels = sf.plot(table.assign(term="x")).figure.axes[0].get_xlabel()
    assert labels == "effect of g (x)"


@pytest.mark.parametrize(("rates", "rotation"), [([0.0, 0.2, 0.3, 0.0], 0), ([0.0] * 60, 90)])
def test_names_at_the_top_stand_upright_only_where_they_would_meet_and_none_covers_the_remark(rates, rotation):
    figure = sf.plot(level_table(rates), label=60).figure
    axis = figure.axes[0]
    figure.draw_without_rendering()
    remark, *names = axis.texts
    assert remark.get_text() == "dashed: surer than 4,000 draws can tell"
    top = [name for name in names if name.get_text() in ("g0", f"g{len(rates) - 1}")]
    assert {name.get_rotation() for name in top} == {rotation}
    box = remark.get_window_extent()
    assert not any(box.overlaps(name.get_window_extent()) for name in names)
