"""Lines are marginal means; rows beneath are the observed ones, or the line at each row's place and its residual."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from tests.fakes import correlated_fit


@cache
def rows():
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"g": np.repeat(np.arange(12), 8), "x": rng.normal(size=96).round(2), "n": 4.0})
    table["f"] = np.tile(["u", "v"], 48)
    table.loc[::3, "n"] = 8.0
    eta = 0.5 * table["x"] + 0.4 * (table["f"] == "v") + rng.normal(0, 0.5, 12)[table["g"]]
    return table.assign(y=eta + rng.normal(0, 0.4, 96), k=rng.poisson(table["n"] * np.exp(eta)))


@cache
def gaussian():
    return sf.lmer("y ~ x * f + (1 | g)", rows(), method="reml")


@cache
def counts():
    return sf.glmer("k ~ x + f + offset(log(n)) + (1 | g)", rows(), family="poisson", method="laplace")


def drawn(picture):
    """The lines' points, and the marks beneath as one array."""
    (axis,) = picture.figure.axes
    lines = [np.column_stack(line.get_data()) for line in axis.lines]
    marks = [np.asarray(marked.get_offsets()) for marked in axis.collections if len(marked.get_offsets()) > 1]
    return lines, np.vstack(marks) if marks else np.empty((0, 2))


def same(found, expected):
    """The same points in any order."""
    found, expected = found[np.lexsort(found.round(6).T)], expected[np.lexsort(expected.round(6).T)]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_lines_are_predictions_without_group_effects_and_rows_the_data():
    lines, marks = drawn(sf.plot_predictions(gaussian(), "x", by="f"))
    assert len(lines) == 2
    for line, level in zip(lines, "uv", strict=True):
        new = pd.DataFrame({"x": line[:, 0], "f": level, "g": 0})
        np.testing.assert_allclose(line[:, 1], sf.predict(gaussian(), new, re_form="~0")["estimate"], rtol=1e-9)
        assert (line[0, 0], line[-1, 0]) == (rows()["x"].min(), rows()["x"].max())
    same(marks, rows()[["x", "y"]].to_numpy())


def test_partial_residuals_are_the_line_and_what_is_left_of_each_row():
    """Of a straight line nothing is lost between the points of the line."""
    _, marks = drawn(sf.plot_predictions(gaussian(), "x", by="f", rows="partial"))
    left = rows()["y"] - sf.fitted(gaussian())["estimate"].to_numpy()
    line = sf.predict(gaussian(), rows(), re_form="~0")["estimate"].to_numpy()
    same(marks, np.column_stack([rows()["x"], line + left]))


def test_rows_stand_at_the_exposure_of_the_lines():
    lines, marks = drawn(sf.plot_predictions(counts(), "x", by="f", at={"n": 2}))
    new = pd.DataFrame({"x": lines[0][:, 0], "f": "u", "g": 0, "n": 2})
    np.testing.assert_allclose(lines[0][:, 1], sf.predict(counts(), new, re_form="~0")["estimate"], rtol=1e-9)
    same(marks, np.column_stack([rows()["x"], rows()["k"] * 2 / rows()["n"]]))
    _, marks = drawn(sf.plot_predictions(counts(), "x", by="f"))
    same(marks, np.column_stack([rows()["x"], rows()["k"] * np.exp(np.log(rows()["n"]).mean()) / rows()["n"]]))
    picture = sf.plot_predictions(counts(), "x")
    assert "offset(log(n)) at its mean" in picture.alt
    assert "offset(log(n)) at its mean" in picture.figure.axes[0].get_xlabel()


def test_partial_residuals_of_a_link_are_working_residuals():
    """On the log scale (k - mu) / mu is added to the line."""
    _, marks = drawn(sf.plot_predictions(counts(), "x", by="f", type="link"))
    mean = sf.fitted(counts())["estimate"].to_numpy()
    held = rows().assign(n=np.exp(np.log(rows()["n"]).mean()))
    line = sf.predict(counts(), held, re_form="~0", type="link")["estimate"].to_numpy()
    same(marks, np.column_stack([rows()["x"], line + (rows()["k"].to_numpy() - mean) / mean]))


def test_a_computed_response_is_drawn_as_it_was_measured():
    table = rows().assign(size=np.exp(rows()["y"]))
    fit = sf.lmer("log(size) ~ x + (1 | g)", table, method="reml")
    _, marks = drawn(sf.plot_predictions(fit, "x"))
    same(marks, table[["x", "size"]].to_numpy())
    left = table["y"] - sf.fitted(fit)["estimate"].to_numpy()
    line = sf.predict(fit, table, re_form="~0")["estimate"].to_numpy()
    same(drawn(sf.plot_predictions(fit, "x", rows="partial"))[1], np.column_stack([table["x"], np.exp(line + left)]))


def test_levels_are_points_with_their_intervals_and_a_number_in_by_has_three_values():
    picture = sf.plot_predictions(gaussian(), "f", by="x")
    (axis,) = picture.figure.axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["u", "v"]
    centre, spread = rows()["x"].mean(), rows()["x"].std()
    names = [f"{value:.4g}" for value in (centre - spread, centre, centre + spread)]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == names
    assert "The rows are drawn beneath." in picture.alt
    assert sf.plot_predictions(gaussian(), "f", rows="none").alt.endswith("at f = v.")


def test_draws_have_lines_too():
    lines, marks = drawn(sf.plot_predictions(correlated_fit(), "Days"))
    assert len(lines) == 1
    assert len(marks) == len(correlated_fit().model.data)
    partial = drawn(sf.plot_predictions(correlated_fit(), "Days", rows="partial"))[1]
    assert len(partial) == len(marks)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sf.plot_predictions(counts(), "x", type="link", rows="raw"),
         "observed responses are not on the scale of the log link.\nThey are drawn with type='response'; partial "
         "residuals on either scale.\nWrite rows='partial', or type='response'."),
        (lambda: sf.plot_predictions(gaussian(), "x", rows="row"),
         "rows='row' is no choice.\nrows= is one of 'raw', 'partial', 'none'.\nNearest: rows='raw'."),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(sf.DataError) as caught:
        call()
    assert str(caught.value) == message
