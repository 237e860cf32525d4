"""Pictures of smooths: curves and bands are mgcv's, partial residuals are what is left of the response."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

import speclet_formula as sf

ANSWERS = json.loads((Path(__file__).parents[1] / "data" / "r" / "smooths.json").read_text())
# mgcv 1.8-41: b <- gam(accel ~ s(times), data = MASS::mcycle, method = "REML"), with tolerances of 1e-10;
# predict(b, data.frame(times = c(10, 20, 33.3, 50)), type = "terms", se.fit = TRUE)
TIMES = [10, 20, 33.3, 50]
EFFECTS = [27.59084802, -90.18106017, 58.43297149, 18.09654647]
ERRORS = [5.889763375, 5.144339686, 5.542729125, 9.102417642]


def line_of(axis):
    return next(line for line in axis.lines if len(line.get_xdata()) > 2)


def rows_of(axis):
    """Return the marks of the rows (n, 2), of which there may be none."""
    marks = [part for part in axis.collections if isinstance(part, PathCollection)]
    return np.asarray(marks[0].get_offsets()) if marks else np.empty((0, 2))


def band_of(axis):
    """Return the lower and the upper end by x."""
    corners = axis.collections[-1].get_paths()[0].vertices
    x = np.unique(corners[:, 0])
    return x, *(np.array([pick(corners[corners[:, 0] == one, 1]) for one in x]) for pick in (np.min, np.max))


@pytest.fixture(scope="module")
def made():
    return pd.DataFrame(ANSWERS["made"])


def test_a_curve_is_mgcvs_with_its_band_over_partial_residuals():
    data = pd.DataFrame(ANSWERS["mcycle"])
    fit = sf.lmer("accel ~ s(times)", data, method="reml")
    picture = sf.plot(fit, "smooths")
    (axis,) = picture.figure.axes
    line = line_of(axis)
    grid = np.linspace(data["times"].min(), data["times"].max(), 80)
    intercept = sf.fixef(fit)["estimate"][0]
    expected = sf.predict(fit, pd.DataFrame({"times": grid}))["estimate"] - intercept
    np.testing.assert_allclose(line.get_ydata(), expected, atol=1e-8)
    np.testing.assert_allclose(np.interp(TIMES, grid, expected), EFFECTS, atol=1.0)  # between points of the grid
    x, low, high = band_of(axis)
    np.testing.assert_allclose(np.interp(TIMES, x, (high - low) / 2) / 1.959964, ERRORS, rtol=0.02)
    np.testing.assert_allclose(rows_of(axis), data[["times", "accel"]] - [0, intercept], atol=1e-8)
    assert axis.get_title() == "s(times), edf 8.6"
    assert picture.alt.startswith("Partial effects of 1 smooth (95% Wald interval): s(times) from -")


def test_each_smooth_has_a_panel(made):
    """Curves of levels in the rows of their levels, surfaces, and curves that a number multiplies."""
    fit = sf.lmer("y2 ~ f + s(x, by = f, k = 5) + t2(z, y) + (1 | g)", made, method="reml")
    picture = sf.plot_smooths(fit)
    u, v, w, surface = [axis for axis in picture.figure.axes if axis.get_title()]
    for level, axis in zip("uvw", (u, v, w), strict=True):
        own = made["f"] == level
        assert axis.get_title().startswith(f"s(x, by = f)[{level}], edf")
        assert sorted(rows_of(axis)[:, 0]) == sorted(made.loc[own, "x"])
        assert axis.get_ylim() == u.get_ylim()
    assert (surface.get_xlabel(), surface.get_ylabel()) == ("z", "y")
    (one,) = [axis for axis in sf.plot_smooths(fit, "s(x, by = f)[v]").figure.axes if axis.get_visible()]
    np.testing.assert_allclose(line_of(one).get_ydata(), line_of(v).get_ydata())
    assert not len(rows_of(sf.plot_smooths(fit, "s(x, by = f)[v]", rows="none").figure.axes[0]))


def test_draws_have_bands_of_their_own(made):
    fit = sf.lmer('y2 ~ s(x, f, bs = "fs", k = 5) + s(z, by = x, k = 4)', made, random_seed=1, draws=200)
    picture = sf.plot_smooths(fit)
    curves, scaled = [axis for axis in picture.figure.axes if axis.get_visible()]
    assert [text.get_text() for text in curves.get_legend().get_texts()] == ["u", "v", "w"]
    assert len(rows_of(curves)) == len(made)
    assert not len(rows_of(scaled))
    assert "(89% equal-tailed interval)" in picture.alt
    _, low, high = band_of(scaled)
    assert (low < high).all()


@pytest.mark.parametrize(
    ("smooth", "rows", "problem"),
    [("s(w)", None, r"the model has no smooth 's\(w\)'"), (None, "raw", "rows='raw' is no choice")],
)
def test_what_is_not_there_is_refused(smooth, rows, problem, made):
    fit = sf.lmer("y ~ s(x, k = 4)", made, method="reml")
    with pytest.raises((sf.EstimateError, sf.DataError), match=problem):
        sf.plot_smooths(fit, smooth, rows=rows)


def test_a_variable_of_several_columns_is_refused(made):
    fit = sf.lmer("y ~ s(x + z, k = 4)", made, method="reml")
    with pytest.raises(sf.EstimateError, match=r"'x \+ z' of s\(x \+ z\) is made of 2 columns"):
        sf.plot_smooths(fit)
    with pytest.raises(sf.EstimateError, match="the model has no smooth"):
        sf.plot_smooths(sf.lmer("y ~ x", made, method="reml"))
