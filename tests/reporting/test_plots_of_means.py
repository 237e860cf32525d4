"""Pictures of marginal means and of tables of effects: what is drawn, labelled and told."""

import doctest

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

import speclet_formula as sf
from speclet_formula.errors import DataError
from speclet_formula.model import Model
from speclet_formula.reporting.plots import means
from speclet_formula.reporting.plots.picture import png_bytes
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data


def by_line():
    return fake_fit(Model("log_fc ~ control * cell_line + (1 | gene)", screen_data()))


def nested():
    return fake_fit(Model("log_fc ~ 1 + (1 | gene) + (1 | gene:cell_line)", screen_data().iloc[2:]))


def test_means_by_a_second_factor():
    found = sf.marginal_means(by_line(), "cell_line", by="control")
    picture = sf.plot_means(found)
    axis = picture.figure.axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["RVH421", "KU812", "HEL", "A375"]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["nonessential", "other"]
    assert axis.get_xlabel() == "log_fc,\n89% equal-tailed interval"
    assert axis.get_ylabel() == "cell_line"
    drawn = [marks.get_offsets() for marks in axis.collections if isinstance(marks, PathCollection)]
    np.testing.assert_allclose(np.sort(np.concatenate(drawn)[:, 0]), np.sort(found.table["estimate"]))
    assert drawn[0][0, 1] > drawn[1][0, 1]  # the first level stands above
    assert picture.alt.startswith(
        "Marginal means of log_fc by cell_line and control; group effects at zero. Smallest: "
    )
    assert png_bytes(picture.figure).startswith(b"\x89PNG")


@pytest.mark.parametrize(("scale", "line", "what"), [("link", 0, "difference"), ("response", 1, "odds ratio")])
def test_contrasts_have_a_line_where_nothing_differs(scale, line, what):
    data = screen_data().assign(hit=lambda d: (d["log_fc"] > -1).astype(int))
    fit = fake_fit(Model("hit ~ control + (1 | gene)", data, family="bernoulli"))
    axis = sf.plot_means(sf.pairs(sf.marginal_means(fit, "control", type=scale))).figure.axes[0]
    assert axis.lines[-1].get_xdata() == [line, line]
    suffix = " (logit scale)" if scale == "link" else ""
    assert axis.get_xlabel() == f"{what} of hit{suffix},\n89% equal-tailed interval"


def test_slopes():
    picture = sf.plot_means(sf.slopes(correlated_fit(), "Days"))
    assert picture.figure.axes[0].get_xlabel() == "slope of Reaction,\n89% equal-tailed interval"


def test_a_table_of_effects():
    matrix = sf.effect_matrix(nested(), "gene", "cell_line")
    picture = sf.plot_matrix(matrix)
    axis, scale = picture.figure.axes
    assert (axis.get_xlabel(), axis.get_ylabel(), scale.get_ylabel()) == ("cell_line", "gene", "effect")
    assert [label.get_text() for label in axis.get_xticklabels()] == ["A375", "HEL", "KU812", "RVH421"]
    tiles = axis.collections[0]
    np.testing.assert_array_equal(np.ma.filled(tiles.get_array(), np.nan), matrix.to_numpy())
    assert tiles.get_clim()[0] == -tiles.get_clim()[1]
    assert picture.alt.startswith("Table of estimate of 6 levels of gene in 4 levels of cell_line. Smallest: ")
    assert picture.alt.endswith("Combinations that are not in the data: 1.")
    assert png_bytes(picture.figure).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("value", "ends", "label"),
    [
        ("lfsr", (0, 0.5), "local false sign rate"),
        ("p_negative", (0, 1), "probability of an effect below zero"),
    ],
)
def test_probabilities_have_fixed_ends(value, ends, label):
    axis, scale = sf.plot_matrix(sf.effect_matrix(nested(), "gene", "cell_line", value=value)).figure.axes
    assert axis.collections[0].get_clim() == ends
    assert scale.get_ylabel() == label


def test_nothing_to_draw():
    matrix = sf.effect_matrix(nested(), "gene", "cell_line")
    with pytest.raises(DataError) as error:
        sf.plot_matrix(matrix * np.nan)
    assert str(error.value) == (
        "the table of effects has no number.\nA picture needs one combination that is in the data, or more.\n"
        "Make it with effect_matrix(fit, 'gene', 'cell_line')."
    )


def test_examples():
    crossed = fake_fit(Model("log_fc ~ 1 + (1 | gene/cell_line)", screen_data()))
    assert doctest.testmod(means, extraglobs={"fit": correlated_fit(), "crossed": crossed}).failed == 0
    assert "control" in sf.plot_means(sf.marginal_means(crossed_fit(), "control")).alt


def test_a_table_of_text_is_no_table_of_effects():
    with pytest.raises(sf.DataError) as caught:
        sf.plot_matrix(pd.DataFrame({"gene": ["a", "b"], "effect": [1.0, 2.0]}))
    assert str(caught.value) == (
        "column 'gene' of the table of effects holds no numbers.\n"
        "Each cell is a number, or NaN where the combination is not in the data.\n"
        "Make it with effect_matrix(fit, 'gene', 'cell_line'), or put labels into the index: table.set_index(...)."
    )
