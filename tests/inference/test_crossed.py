"""Factors that cross with very many levels of both are refused, with a forecast; those that do not cross are fitted."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import SamplingError
from speclet_formula.inference import crossed

RNG = np.random.default_rng(1)


def table(each: int) -> pd.DataFrame:
    """Return 60 levels of a that meet so many of 50 levels of b each."""
    a = np.repeat(np.arange(60), each)
    b = (np.tile(np.arange(each), 60) + a) % 50
    return pd.DataFrame({"y": RNG.normal(size=len(a)), "a": [f"a{k}" for k in a], "b": [f"b{k}" for k in b]})


@pytest.mark.parametrize(("method", "time"), [("exact", "about 20 hours"), ("reml", "about 30 minutes")])
def test_both_large_and_crossed_is_refused(method: str, time: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many levels as they have, at the price of 15,000: 28 s for each factorisation."""
    monkeypatch.setattr(crossed, "MOST_CROSSED", 40)
    monkeypatch.setattr(crossed, "SECONDS_PER_PRODUCT", 2.5e-11 * (15_000 / 50) ** 3)
    draws = {"draws": 250} if method == "exact" else {}
    with pytest.raises(SamplingError) as error:
        sf.lmer("y ~ (1 | a) + (1 | b)", table(8), method=method, **draws)
    text = str(error.value)
    assert "a (60 levels) and b (50) cross" in text
    assert "a whole matrix of 50 rows. To factor it takes about 30 s" in text
    assert f"this fit {time}" in text
    assert "set speclet_formula.inference.crossed.MOST_CROSSED" in text


def test_what_is_small_is_fitted() -> None:
    assert sf.lmer("y ~ (1 | a) + (1 | b)", table(8), method="reml").df == 4


def test_what_hardly_crosses_is_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two levels each, or none but its own."""
    monkeypatch.setattr(crossed, "MOST_CROSSED", 40)
    rows = pd.concat([table(2)] * 3, ignore_index=True)
    rows["y"] = RNG.normal(size=len(rows))
    assert sf.lmer("y ~ (1 | a) + (1 | b)", rows, method="reml").df == 4
    assert sf.lmer("y ~ (1 | a) + (1 | a:b)", rows, method="reml").df == 4
