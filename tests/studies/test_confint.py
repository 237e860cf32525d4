"""Intervals by a bootstrap: those of the bootstrap itself; arguments that would change nothing are refused."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from tests.fakes import correlated_fit


def point_fit():
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"g": np.repeat(np.arange(9), 4), "x": rng.normal(size=36)})
    table["y"] = table["x"] + rng.normal(size=9)[table["g"]] + rng.normal(size=36)
    return sf.lmer("y ~ x + (1 | g)", table, method="reml")


def test_intervals_by_a_bootstrap_are_its_own():
    fit = point_fit()
    boot = sf.bootstrap(fit, 40, random_seed=2)
    columns = ["effect", "group", "term", "estimate", "conf_low", "conf_high"]
    for kind in ("percentile", "basic"):
        found = sf.confint(fit, "boot", nsim=40, random_seed=2, interval=kind, ci_prob=0.8)
        pd.testing.assert_frame_equal(found, boot.intervals(kind, ci_prob=0.8)[columns])
        pd.testing.assert_frame_equal(sf.confint(boot, interval=kind, ci_prob=0.8), found)
        assert found.attrs["interval"] == f"80% {kind} bootstrap interval"
    own = sf.bootstrap(fit, 5, random_seed=2, statistic=sf.sigma)
    assert sf.confint(own).columns.to_list() == ["term", "estimate", "conf_low", "conf_high"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sf.confint(point_fit(), nsim=100),
         "nsim=100 beside method='wald' would change nothing.\nnsim=, interval=, random_seed= and cores= are of "
         "method='boot'.\nLeave them out, or write method='boot'."),
        (lambda: sf.confint(correlated_fit(draws=5), "boot"),
         "this fit has no intervals by method='boot'.\nFits with draws have 'posterior' intervals, fits by maximum "
         "likelihood 'wald', 'profile' and 'boot'.\nWrite method='posterior', or leave it out."),
        (lambda: sf.confint(sf.bootstrap(point_fit(), 3), "wald"),
         "this fit has no intervals by method='wald'.\nFits with draws have 'posterior' intervals, fits by maximum "
         "likelihood 'wald', 'profile' and 'boot'.\nWrite method='boot', or leave it out."),
    ],
)  # fmt: skip
def test_what_would_change_nothing_is_refused(call, message):
    with pytest.raises(sf.EstimateError) as caught:
        call()
    assert str(caught.value) == message
