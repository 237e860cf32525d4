"""A histogram of the replicates of each number, with its estimate and its interval."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf


def boot(**asked):
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"g": np.repeat(np.arange(9), 4), "x": rng.normal(size=36)})
    table["y"] = table["x"] + rng.normal(size=9)[table["g"]] + rng.normal(size=36)
    return sf.bootstrap(sf.lmer("y ~ x + (1 | g)", table, method="reml"), 25, random_seed=1, **asked)


def test_each_number_has_its_replicates_its_estimate_and_its_interval():
    made = boot()
    picture = sf.plot(made)
    axes = [axis for axis in picture.figure.axes if axis.get_visible()]
    assert len(axes) == len(made.table) == 4
    for axis, (_, row) in zip(axes, made.table.iterrows(), strict=True):
        estimate, mean = (line.get_xdata()[0] for line in axis.lines)
        assert (estimate, mean) == pytest.approx((row["estimate"], row["estimate"] + row["bias"]))
        band, *bars = axis.patches
        assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((row["conf_low"], row["conf_high"]))
        assert sum(bar.get_height() for bar in bars) == 25
    assert picture.alt.startswith("25 data sets of y ~ 1 + x + (1 | g); estimates with the 95% percentile bootstrap")
    assert "sd__Intercept g " in picture.alt


def test_replicates_without_a_number_are_refused():
    with pytest.raises(sf.DataError) as caught:
        sf.plot(boot(statistic=lambda fit: np.nan))
    assert str(caught.value) == (
        "no number of the bootstrap has two replicates to draw.\nA picture shows how they are spread.\n"
        "Ask for more data sets: nsim=1000."
    )
