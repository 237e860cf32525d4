"""Pictures of influence show the numbers of its frames, the most influential levels on top."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from tests.fakes import fake_fit


@cache
def rows():
    rng, group = np.random.default_rng(2), np.repeat(list("abcdef"), 8)
    x = rng.normal(size=48)
    return pd.DataFrame({"y": x + rng.normal(size=48), "x": x, "g": group, "k": rng.poisson(2, 48)})


def test_rows_and_levels_are_those_of_the_frames():
    found = sf.influence(sf.lmer("y ~ x + (1 | g)", rows(), method="reml"), "g")
    picture = sf.plot(found)
    left, right = picture.figure.axes
    (lines,) = left.collections
    assert [segment[1, 1] for segment in lines.get_segments()] == found.rows["cooks_distance"].to_list()
    assert {text.get_text() for text in left.texts} == set(map(str, found.rows["cooks_distance"].nlargest(3).index))
    top = found.levels.loc[found.levels["cooks_distance"].idxmax(), "level"]
    assert right.get_yticklabels()[-1].get_text() == top
    drawn = {(round(x, 9), y) for marks in right.collections for x, y in marks.get_offsets().tolist()}
    changes = found.changes[found.changes["level"] == top]["dfbetas"]
    assert {(round(change, 9), 5.0) for change in changes} <= drawn
    assert picture.alt.startswith("Influence on the fixed effects of 48 rows. No row has")
    assert len(sf.plot_influence(sf.influence(sf.lmer("y ~ x", rows(), method="ml"))).figure.axes) == 1


def test_what_is_not_known_is_not_drawn():
    fit = sf.glmer("k ~ x + (1 | g)", rows(), family="zero_inflated_poisson", method="laplace")
    with pytest.raises(DataError, match="no Cook's distance is known"):
        sf.plot_influence(sf.influence(fit))


def test_checks_have_a_picture():
    fit = fake_fit(sf.Model("k ~ x + (1 | g)", rows(), family="poisson"), {"Intercept": 0.5, "x": 0.3})
    check = sf.check_model(fit)
    assert sf.plot(check) is check.picture
