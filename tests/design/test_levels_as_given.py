"""Levels are told apart by all their digits and print as they were given, or are refused."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

import speclet_formula as sf
from tests.fakes import fake_fit

FIRST = 2**53 + 1
IDS = [FIRST + k for k in range(6) for _ in range(4)]
NAMES = tuple(str(FIRST + k) for k in range(6))
Y = np.random.default_rng(0).normal(size=24)
KINDS = {
    "int64": np.array(IDS),
    "Int64": pd.array(IDS, dtype="Int64"),
    "pyarrow": pd.array(IDS, dtype="int64[pyarrow]"),
    "object": pd.Series(IDS, dtype=object),
    "numpy objects": pd.Series([np.int64(one) for one in IDS], dtype=object),
    "Categorical": pd.Categorical(IDS),
    "text": [str(one) for one in IDS],
}


def table(g, **more):
    return pd.DataFrame({"y": Y, "g": g, **more})


@pytest.mark.parametrize("kind", KINDS)
def test_long_ids_are_all_levels(kind):
    data = table(KINDS[kind], h=list("ab") * 12)
    for formula in ("y ~ (1 | g)", "y ~ (1 | h/g)", "y ~ (1 | factor(g))"):
        assert sum(level.endswith(NAMES) for level in sf.Model(formula, data).design.mean.groups[-1].levels) >= 6
    assert sf.Model("y ~ (1 | g)", data).design.mean.groups[0].levels == NAMES
    assert sf.Model("y ~ factor(g)", data).design.mean.fixed[-1].columns == tuple(
        f"factor(g)[{name}]" for name in NAMES[1:]
    )


def test_long_unsigned_ids_are_all_levels():
    ids = np.array(IDS, dtype=np.uint64) + np.uint64(2**63)
    assert sf.Model("y ~ (1 | g)", table(ids)).design.mean.groups[0].levels == tuple(map(str, np.unique(ids).tolist()))


def test_long_ids_keep_their_digits_beside_missing_ones(tmp_path):
    ids = [None, *IDS[1:]]
    frame = pl.DataFrame({"y": Y, "g": ids})
    frame.write_parquet(tmp_path / "d.parquet")
    frame.write_csv(tmp_path / "d.csv")
    scanned = [
        sf.scan(source, chunksize=5, merge=merge)
        for source in (tmp_path / "d.parquet", tmp_path / "d.csv", pl.scan_parquet(tmp_path / "d.parquet"))
        for merge in (False, True)
    ]
    for data in (frame, frame.to_arrow(), table(pd.array(ids, dtype="Int64")), *scanned):
        assert sf.Model("y ~ (1 | g)", data, missing="drop").design.mean.groups[0].levels == NAMES


def test_new_rows_of_long_ids_find_their_level():
    fit = sf.lmer("y ~ (1 | g)", table(np.array(IDS)), method="reml")
    values = [sf.predict(fit, pd.DataFrame({"g": [one]}))["estimate"][0] for one in (FIRST, FIRST + 1)]
    np.testing.assert_allclose(values, sf.fitted(fit)["estimate"].iloc[[0, 4]])
    assert values[0] != values[1]
    with pytest.raises(sf.DataError, match=str(FIRST + 8)):
        sf.predict(fit, pd.DataFrame({"g": [FIRST + 8]}))


def test_marginal_means_of_long_ids_and_of_booleans():
    data = table(np.array(IDS), b=np.arange(24) % 2 == 0, s=(np.arange(24) % 3 / 10).astype(np.float32))
    found = sf.marginal_means(sf.lmer("y ~ factor(s)", data, method="reml"), "s").table
    np.testing.assert_allclose(found["estimate"], data.groupby("s")["y"].mean())
    found = sf.marginal_means(sf.lmer("y ~ factor(g) + factor(b)", data, method="reml"), "g").table
    assert len(found) == 6
    found = sf.marginal_means(sf.lmer("y ~ factor(b)", data, method="reml"), "b").table
    np.testing.assert_allclose(found["estimate"], data.groupby("b")["y"].mean())
    chosen = sf.marginal_means(sf.lmer("y ~ factor(b)", data, method="reml"), "b", at={"b": [True]}).table
    np.testing.assert_allclose(chosen["estimate"], data["y"][data["b"]].mean())


FLOATS = (
    "column 'g' has levels that are floats with too many digits, such as 9007199254740992: the last are lost.\n"
    "Numbers of more than 15 digits are told apart as integers, or as text.\n"
    "Read the column as such, for example pandas.read_csv(path, dtype={'g': str})."
)


@pytest.mark.parametrize("formula", ["y ~ (1 | g)", "y ~ factor(g)", "y ~ (1 | h:g)", "y ~ relevel(g, ref = 1)"])
def test_ids_that_floats_have_merged_are_refused(formula):
    with pytest.raises(sf.DataError) as caught:
        sf.Model(formula, table(np.array(IDS, dtype=float), h=list("ab") * 12))
    assert str(caught.value) == FLOATS


def test_categories_that_floats_have_merged_are_refused():
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ g", table(pd.Categorical(np.array(IDS, dtype=float))))
    assert str(caught.value) == FLOATS


def test_whole_numbers_of_more_than_64_bits_are_refused():
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ (1 | g)", table([2**70 + one for one in range(24)]))
    assert str(caught.value) == (
        "column 'g' holds whole numbers that 64 bits have no room for, such as 1180591620717411303447.\n"
        "Whole numbers lie between -9223372036854775808 and 18446744073709551615.\n"
        "Names of levels are text: data['g'] = data['g'].astype(str); measurements are .astype(float)."
    )


def test_a_long_number_is_still_a_number():
    found = sf.Model("y ~ x", table(IDS, x=np.arange(24) * 1000 + 2**60)).design
    np.testing.assert_array_equal(found.mean.X[:, 1], (np.arange(24) * 1000 + 2**60).astype(float))


PRINTED = {
    "whole": ([1, 2], ("1", "2")),
    "whole floats": ([1.0, 2.0], ("1", "2")),
    "decimals": ([2.5, 1.0], ("1", "2.5")),
    "powers of ten": ([1e16, 1e-7], ("1e-07", "1e+16")),
    "sums": ([0.1 + 0.2, 0.5], ("0.30000000000000004", "0.5")),
    "zeros": ([-0.0, 1.0], ("0", "1")),
    "short floats": (np.array([0.1, 2], dtype=np.float32), ("0.1", "2")),
    "truth values": ([True, False], ("False", "True")),
    "pandas' truth values": (pd.array([True, False], dtype="boolean"), ("False", "True")),
    "truth values as objects": (pd.Series([True, False], dtype=object), ("False", "True")),
    "Decimals": ([Decimal("1.25"), Decimal("3")], ("1.25", "3")),
    "days": (pd.Categorical(pd.to_datetime(["2020-01-01", "2021-02-03"])), ("2020-01-01", "2021-02-03")),
    "times": (
        pd.Categorical(pd.to_datetime(["2020-01-01 08:30", "2021-02-03 09:00"])),
        ("2020-01-01 08:30:00", "2021-02-03 09:00:00"),
    ),
    "Python's days": (
        pd.Categorical([datetime.date(2020, 1, 1), datetime.date(2020, 1, 2)]), ("2020-01-01", "2020-01-02"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "printed"), PRINTED.values(), ids=PRINTED)
def test_levels_print_as_they_were_given(given, printed):
    data = table(pd.Series(given).repeat(12).array)
    assert sf.Model("y ~ (1 | g)", data).design.mean.groups[0].levels == printed
    assert sf.Model("y ~ factor(g)", data).design.mean.fixed[-1].columns == (f"factor(g)[{printed[1]}]",)


def test_a_boolean_predictor_is_still_0_and_1():
    data = table(IDS, b=np.arange(24) % 2 == 0)
    for formula in ("y ~ b", "y ~ I(b)", "y ~ twice(b)"):
        X = sf.Model(formula, data, functions={"twice": lambda b: 1 - (1 - b)}).design.mean.X
        np.testing.assert_array_equal(X[:, 1], data["b"].astype(float))
    assert sf.fixef(fake_fit(sf.Model("y ~ b", data), draws=20))["term"].tolist() == ["Intercept", "b"]


@pytest.mark.parametrize("kind", ["bool", "float32", "uint64"])
@pytest.mark.mostly_slow("float32")
def test_columns_of_short_types_serve_every_verb_as_floats_do(kind):
    """Their types are kept for the sake of their levels; numbers must not depend on them."""
    b = (np.arange(24) % 2).astype(kind)
    data = table(np.repeat(np.arange(4), 6), b=b, x=np.arange(24) ** 2 / 100)
    formula = "y ~ b * x + (1 | g)"
    fit, same = (sf.lmer(formula, one, method="reml") for one in (data, data.assign(b=b.astype(float))))
    verbs = {
        "slopes of b": lambda fit: sf.slopes(fit, "b").table,
        "slopes of x": lambda fit: sf.slopes(fit, "x", by="b").table,
        "means": lambda fit: sf.marginal_means(fit, "b").table,
        "grid": lambda fit: sf.reference_grid(fit, at={"b": 0.5}),
        "augment": lambda fit: sf.augment(fit).drop(columns="b"),
        "predict": lambda fit: sf.predict(fit, fit.model.data.head(3)),
        "explanation": lambda fit: pd.Series(repr(sf.explain(formula, fit.model.data)).splitlines()[:12]),
    }
    for name, verb in verbs.items():
        one, other = verb(fit), verb(same)
        if isinstance(one, pd.Series):
            assert one.tolist() == other.tolist(), name
        else:
            pd.testing.assert_frame_equal(one, other, check_dtype=False, rtol=1e-6, obj=name)


def test_crossed_levels_are_told_with_all_their_digits():
    ids = np.array([1234567, 1234568]).repeat(12)
    data = table(np.arange(24) % 6, plate=ids, well=np.arange(24) % 2 == 0)
    model = sf.Model("y ~ 1 + (1 | plate:well) + (1 | g)", data)
    assert model.design.mean.groups[0].levels == ("1234567:False", "1234567:True", "1234568:False", "1234568:True")
    assert "e+06" not in " ".join(map(str, model.findings))


def test_contrasts_name_whole_numbers_with_all_their_digits():
    data = table(np.arange(24) % 6, plate=np.array([1234567, 1234568]).repeat(12))
    means = sf.marginal_means(sf.lmer("y ~ factor(plate)", data, method="reml"), "plate")
    assert sf.pairs(means).table["contrast"].tolist() == ["1234567 - 1234568"]


@pytest.mark.slow
def test_names_with_leading_zeros_stay_text_in_scans(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("y,g,x\n" + "".join(f"{y},{i // 4:03d},{i}\n" for i, y in enumerate(Y)))
    expected = tuple(f"{k:03d}" for k in range(6))
    assert sf.Model("y ~ x + (1 | g)", sf.scan(path)).design.mean.groups[0].levels == expected
    path.write_text("y;g;x\n" + "".join(f"{i};{i % 7 + 10};{i}\n" for i in range(300_000)) + "3;007;1\n")
    assert "007" in sf.Model("y ~ x + (1 | g)", sf.scan(path)).design.mean.groups[0].levels
