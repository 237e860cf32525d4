"""Tables of any kind give the same numbers, and frames that are handed back hold plain columns."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import speclet_formula as sf
from tests.fakes import crossed_fit

LINES = ["b", "a", "c"]
KINDS = {
    "polars": lambda table: pl.from_pandas(table).with_columns(pl.col("line").cast(pl.Enum(LINES))),
    "polars categorical": lambda table: pl.from_pandas(table.assign(line=table["line"].astype(str))).with_columns(
        pl.col("line").cast(pl.Categorical), pl.col("gene").cast(pl.Categorical)
    ),
    "pyarrow": pa.Table.from_pandas,
    "dict of arrays": lambda table: {name: table[name].to_numpy() for name in table},
}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"gene": np.repeat([f"g{n}" for n in range(8)], 6), "x": rng.normal(size=48)})
    frame["line"] = pd.Categorical(np.tile(LINES, 16), categories=LINES)
    frame["w"] = rng.uniform(1, 2, 48)
    frame["y"] = rng.normal(size=8).repeat(6) + frame["x"] + rng.normal(size=48)
    return frame


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_goes_in_everywhere(kind, table):
    other = KINDS[kind](table)
    formula = "y ~ x + (1 | gene) + (1 | line)"
    expected, found = (sf.lmer(formula, one, method="reml", weights="w") for one in (table, other))
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, abs=1e-9)
    for one, two in ((sf.fixef(found), sf.fixef(expected)), (sf.varcorr(found), sf.varcorr(expected))):
        pd.testing.assert_frame_equal(one, two, rtol=1e-6)
    np.testing.assert_allclose(sf.predict(found, other)["estimate"], sf.predict(expected, table)["estimate"], rtol=1e-6)
    truth = {"Intercept": 1.0, "x": 0.5, "1|gene_sigma": 0.4, "1|line_sigma": 0.2, "sigma": 1.0}
    # numpy's text and polars' Categorical have no order, so that the levels are drawn in that of the alphabet
    same = table.assign(line=table["line"].astype(str)) if kind in ("dict of arrays", "polars categorical") else table
    simulated = [sf.simulate(formula, one, truth, random_seed=1)[0] for one in (same, other)]
    np.testing.assert_allclose(simulated[0]["y"], simulated[1]["y"])


def test_frames_that_come_out_have_no_object_columns():
    fit = crossed_fit()
    frames = {verb.__name__: verb(fit) for verb in (sf.fixef, sf.ranef, sf.coef, sf.varcorr, sf.tidy, sf.fitted)}
    frames["predict"] = sf.predict(fit, fit.model.data)
    frames["level_effects"] = sf.level_effects(fit, "gene")
    objects = {name: [c for c in frame if frame[c].dtype == object] for name, frame in frames.items()}
    assert objects == {name: [] for name in frames}
