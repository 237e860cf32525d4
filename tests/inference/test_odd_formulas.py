"""Odd formulas against R's own answers, which tests/data/r/odd_formulas.R wrote with lme4 from the same table.

Compared are the log-likelihood, the fixed effects, standard deviations and correlations, modes and fitted values, each
within a thousandth of its standard error; where lme4 stopped short of the optimum, ours may be higher.
"""

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from tests.inference.reml.test_fit import dense

HERE = Path(__file__).resolve().parents[1] / "data" / "r"
ANSWERS = json.loads((HERE / "odd_formulas.json").read_text())["fits"]
# What is allowed beside lme4: of a log-likelihood relatively, of an estimate in its standard errors.
LOG_LIKELIHOOD, STANDARD_ERRORS = 1e-6, 1e-3
# The columns of these blocks hold each other's: only what they add up to has a single answer.
NOT_IDENTIFIED = {"y ~ f + (1 | g) + (0 + f | g)", "y ~ x + f + (1 | g) + (0 + x | g) + (0 + h | g)"}

# Here lme4 ends on an edge of its theta, whatever its start; dense algebra says that ours is likelier.
STOPPED_SHORT = {"y ~ q + (q | g) + (1 | a:b)"}


@cache
def table():
    data = pd.read_csv(HERE / "odd_formulas.csv")
    orders = {"f": ["w", "v", "u"], "q": ["n", "o", "e"]}
    return data.assign(**{name: pd.Categorical(data[name], categories=order) for name, order in orders.items()})


def fitted(fit):
    """Add up the terms of a point fit, row by row."""
    design = fit.model.design
    total = design.mean.X @ fit.estimates.coefficients + design.mean.offset
    for block, modes in zip(design.mean.groups, fit.estimates.modes, strict=True):
        total = total + (modes.reshape(len(block.levels), -1)[block.codes] * block.values).sum(axis=1)
    return total


def plain(name):
    """Spell a column of either side in one way: as a set of parts, since R puts them in an order of its own."""
    name = name.replace("(Intercept)", "Intercept").replace("`", "").removesuffix("TRUE").replace("I(x * hq)", "x:hq")
    name = re.sub(r"\)\[(\d)\]", lambda found: f"){int(found[1]) + (not name.startswith('factor'))}", name)
    return frozenset(re.sub(r"\[(\w*)\]", r"\1", name).split(":"))


def parted(name):
    """Take a grouping factor, or a level of one, apart; lme4 writes c:(b:a), b.a, or g.1 for a second block."""
    return frozenset(
        re.split(r"[:().]+", re.sub(r"\.\d$", "", name).replace("factor(k)", "K").strip("()").replace("`", ""))
    )


def test_there_are_enough_odd_formulas():
    assert len(ANSWERS) > 60


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer['formula']} {answer['method']}")
@pytest.mark.mostly_slow(every=5)
def test_lme4_gives_the_same(answer):
    fit = sf.lmer(answer["formula"], table(), method=answer["method"], weights=answer["weights"])
    if answer["formula"] in STOPPED_SHORT:
        assert fit.log_likelihood > answer["logLik"] + LOG_LIKELIHOOD * abs(answer["logLik"])
        assert fit.log_likelihood == pytest.approx(dense(fit)[0], rel=1e-8)
        return
    assert fit.log_likelihood == pytest.approx(answer["logLik"], rel=LOG_LIKELIHOOD)
    fixed = {plain(row.term): row for row in sf.fixef(fit).itertuples()}
    assert set(fixed) == {plain(row["term"]) for row in answer["fixef"]}
    for row in answer["fixef"]:
        mine = fixed[plain(row["term"])]
        assert abs(mine.estimate - row["estimate"]) < STANDARD_ERRORS * row["se"], row["term"]
        assert mine.std_error == pytest.approx(row["se"], rel=STANDARD_ERRORS), row["term"]
    np.testing.assert_allclose(fitted(fit)[::40], answer["fitted"], atol=STANDARD_ERRORS * answer["sigma"])
    assert sf.sigma(fit) == pytest.approx(answer["sigma"], rel=STANDARD_ERRORS)
    if answer["formula"] not in NOT_IDENTIFIED:
        check_variances(fit, answer)
        check_modes(fit, answer)


def check_variances(fit, answer):
    """Hold standard deviations and correlations against lme4's; those of a zero SD mean nothing."""
    found = {}
    for row in sf.varcorr(fit).itertuples():
        names = [plain(name) for name in (row.var1, row.var2) if isinstance(name, str) and name]
        found[parted(row.grp), frozenset(names)] = row.sdcor
    for row in answer["varcorr"]:
        names = frozenset(plain(name) for name in (row["var1"], row["var2"]) if name)
        mine = found.pop((parted(row["grp"]), names))
        assert mine == pytest.approx(row["sdcor"], rel=STANDARD_ERRORS, abs=STANDARD_ERRORS * answer["sigma"]), row
    assert not found


def check_modes(fit, answer):
    """Hold modes and their SDs against lme4's."""
    modes = {(parted(row.grpvar), plain(row.term), parted(row.grp)): row for row in sf.ranef(fit).itertuples()}
    for row in answer["ranef"]:
        mine = modes[parted(row["grpvar"]), plain(row["term"]), parted(row["grp"])]
        assert abs(mine.condval - row["condval"]) < STANDARD_ERRORS * max(row["condsd"], answer["sigma"]), row
        assert mine.condsd == pytest.approx(row["condsd"], rel=STANDARD_ERRORS, abs=STANDARD_ERRORS), row


def test_correlated_and_uncorrelated_blocks_differ_as_lme4s_do():
    """Of the same data, by the same criterion: what the correlation is worth."""
    lme4 = {row["formula"]: row["logLik"] for row in ANSWERS if row["method"] == "reml" and row["weights"] is None}
    with_it, without = (sf.lmer(f"y ~ x + (x {bar} g)", table(), method="reml") for bar in ("|", "||"))
    expected = lme4["y ~ x + (x | g)"] - lme4["y ~ x + (x || g)"]
    assert expected > 0.5  # so that the difference is not what is left between two equal numbers
    assert with_it.log_likelihood - without.log_likelihood == pytest.approx(expected, abs=2e-3)
    correlations = [fit_table["var2"].notna().sum() for fit_table in map(sf.varcorr, (with_it, without))]
    assert correlations == [1, 0]


@pytest.mark.parametrize("shift", [-3.0, 10.0, 200.0])
def test_a_shift_of_x_changes_a_correlated_fit_by_nothing(shift):
    """The same likelihood and the same fitted values; the intercepts and their SD belong to another x."""
    plain = sf.lmer("y ~ x + (x | g)", table(), method="reml")
    moved = sf.lmer("y ~ x + (x | g)", table().assign(x=table()["x"] + shift), method="reml")
    assert moved.log_likelihood == pytest.approx(plain.log_likelihood, rel=LOG_LIKELIHOOD)
    np.testing.assert_allclose(fitted(moved), fitted(plain), atol=STANDARD_ERRORS * sf.sigma(plain))
    slopes = [sf.varcorr(fit)["sdcor"].iloc[1] for fit in (plain, moved)]
    assert slopes[1] == pytest.approx(slopes[0], rel=STANDARD_ERRORS)
