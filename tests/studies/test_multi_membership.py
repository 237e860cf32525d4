"""Data sets drawn from fits whose rows belong to several levels of a term."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.studies.resampling import draw_model, resampling_of


@cache
def fit():
    data = pd.read_csv(Path(__file__).parents[1] / "data" / "r" / "multi_membership.csv")
    return sf.lmer("y ~ x + (1 | mm(a, b)) + (1 | c)", data, method="reml")


def test_residual_bootstraps_draw_effects_for_each_level():
    """Without residuals and the other term, rows of the same two levels are alike, and a row has half of each."""
    drawn = resampling_of(fit(), "residual", False, None)
    members, single = drawn.effects
    still = type(drawn)(np.zeros(300), (members, np.zeros_like(single)), np.zeros(300))
    response = draw_model(fit(), still, np.random.default_rng(1), tables=False).design.response
    block = fit().model.design.mean.groups[0]
    Z = np.zeros((300, len(block.levels)))
    for codes, values in block.members():
        np.add.at(Z, (np.arange(300), codes), values[:, 0])
    effects, *_ = np.linalg.lstsq(Z, response, rcond=None)
    np.testing.assert_allclose(Z @ effects, response, atol=1e-9)
    assert set(np.round(effects, 8)) <= set(np.round(members[:, 0], 8))


@pytest.mark.parametrize("group", ["a", "c", "mm(a, b)"])
def test_levels_cannot_be_drawn_with_their_rows(group):
    with pytest.raises(sf.EstimateError, match=r"each row belongs to several levels of 'mm\(a, b\)'"):
        sf.bootstrap(fit(), 5, kind="cases", group=group, random_seed=1)
