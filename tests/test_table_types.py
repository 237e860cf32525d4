"""Tables have plain columns, text, numbers and truth values; categories only where data had them. So without a row."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import speclet_formula as sf
from speclet_formula.common.files import read_file
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data

PLAIN = {"str", "float64", "int64", "bool", "category"}


def kinds(frame):
    return {str(kind) for kind in frame.dtypes}


@pytest.fixture(scope="module")
def fits():
    data = screen_data()
    return {
        "crossed": crossed_fit(draws=40),
        "correlated": correlated_fit(draws=40),
        "no groups": fake_fit(sf.Model("log_fc ~ guide", data), draws=40),
        "no fixed term": sf.lmer("log_fc ~ 0 + (1 | gene)", data, method="ml"),
        "laplace": sf.glmer("guide ~ (1 | gene)", data, family="binomial", method="laplace"),
    }


TABLES = ("fixef", "ranef", "coef", "varcorr", "family_parameters", "confint", "tidy", "glance", "augment", "fitted")


@pytest.mark.parametrize("name", ["crossed", "correlated", "no groups", "no fixed term", "laplace"])
@pytest.mark.parametrize("table", TABLES)
def test_columns_are_plain(fits, name, table):
    frame = getattr(sf, table)(fits[name])
    assert kinds(frame) <= PLAIN
    assert not frame.columns.has_duplicates
    assert frame.index.dtype == "int64"


@pytest.mark.parametrize("table", ["ranef", "fixef", "family_parameters"])
def test_a_table_without_rows_has_the_columns_types(fits, table):
    full = {"ranef": "crossed", "fixef": "crossed", "family_parameters": "t"}
    empty = {"ranef": "no groups", "fixef": "no fixed term", "family_parameters": "crossed"}
    own = {**fits, "t": fake_fit(sf.Model("log_fc ~ 1", screen_data(), family="t"), draws=40)}
    some, none = (getattr(sf, table)(own[chosen[table]]) for chosen in (full, empty))
    assert len(none) == 0
    shared = [column for column in none if column in some]
    assert none[shared].dtypes.to_dict() == some[shared].dtypes.to_dict()


def test_a_recovery_without_groups_has_typed_tables(fits):
    found = sf.recover(fits["no groups"], {"Intercept": -1, "guide": 0, "sigma": 0.5})
    assert len(found.groups) == len(found.levels) == 0
    assert kinds(found.groups) | kinds(found.levels) == {"str", "float64", "int64", "bool"}


def test_a_model_without_fixed_terms_has_shares_of_its_variance():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": np.repeat(list("abcdef"), 5), "y": rng.normal(size=6).repeat(5) + rng.normal(size=30)})
    fit = sf.lmer("y ~ 0 + (1 | g)", data, method="ml")
    within, between = sf.sigma(fit) ** 2, sf.varcorr(fit)["vcov"][0]
    share = between / (within + between)
    np.testing.assert_allclose(sf.icc(fit)["estimate"], [share, share])
    np.testing.assert_allclose(sf.r2(fit)["estimate"], [0, share])


def test_a_table_of_polars_gives_the_same_as_one_of_pandas():
    data = screen_data()
    factors = [
        pl.col(name).cast(pl.String).cast(pl.Enum(list(data[name].cat.categories))) for name in ("gene", "control")
    ]
    given = pl.from_pandas(data).with_columns(factors)
    formula = "log_fc ~ control + (1 | gene)"
    one, other = (sf.lmer(formula, table, method="reml") for table in (data, given))
    for table in ("fixef", "ranef", "varcorr"):
        pd.testing.assert_frame_equal(getattr(sf, table)(one), getattr(sf, table)(other))
    pd.testing.assert_frame_equal(sf.predict(one, data.head(4)), sf.predict(other, given.head(4).to_arrow()))


@pytest.mark.parametrize("merge", [False, True])
def test_a_factor_without_an_order_is_sorted_and_told(tmp_path, merge):
    frame = pl.DataFrame({"y": np.arange(12.0) ** 2, "f": ["b", "c", "a"] * 4, "x": [1.0, 2, 3, 4] * 3})
    given = frame.with_columns(pl.col("f").cast(pl.Categorical))
    given.write_parquet(tmp_path / "f.parquet")
    scans = [sf.scan(source, merge=merge) for source in (tmp_path / "f.parquet", given.lazy())]
    for data in (*([] if merge else [given, given.to_arrow(), read_file(tmp_path / "f.parquet")]), *scans):
        model = sf.Model("y ~ f", data)
        assert model.design.mean.fixed[-1].columns == ("f[b]", "f[c]")
        found = {finding.kind: finding for finding in model.findings}["sorted_levels"]
        assert found.why == "Its reference level is 'a'."
        assert "sorted_levels" not in {finding.kind for finding in sf.Model("y ~ 1 + (1 | f)", data).findings}
    declared = frame.with_columns(pl.col("f").cast(pl.Enum(["c", "b", "a"])))
    declared.write_parquet(tmp_path / "f.parquet")
    for data in (declared, declared.to_arrow(), read_file(tmp_path / "f.parquet"), sf.scan(tmp_path / "f.parquet")):
        model = sf.Model("y ~ f", data)
        assert model.design.mean.fixed[-1].columns == ("f[b]", "f[a]")
        assert "sorted_levels" not in {finding.kind for finding in model.findings}


def test_columns_of_several_levels_of_names_are_refused():
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ x", pd.DataFrame({("y", "mean"): [1.0, 2], ("x", "mean"): [1.0, 3]}))
    assert str(caught.value) == (
        "the data's columns have 2 levels of names each: ('y', 'mean'), ('x', 'mean').\n"
        "A formula names columns by one text each.\n"
        'Join the levels: data.columns = ["_".join(map(str, names)) for names in data.columns].'
    )


@pytest.mark.parametrize("name", ["x\n", "x ", " x", "\tx"])
def test_a_name_with_white_space_is_a_name_of_its_own(name):
    data = pd.DataFrame({"y": [1.0, 2, 4, 3], name: [5.0, 6, 7, 9]})
    with pytest.raises(sf.FormulaError) as caught:
        sf.Model("y ~ x", data)
    assert caught.value.allowed == f"Columns: y, {name!r}."
    assert caught.value.remedy == f"Nearest: {name!r}, with white space: data = data.rename(columns=str.strip)."
    both = data.assign(x=[0.0, 1, 0, 1])
    np.testing.assert_array_equal(sf.Model("y ~ x", both).design.mean.X[:, 1], both["x"])
    np.testing.assert_array_equal(sf.Model(f"y ~ `{name}`", both).design.mean.X[:, 1], both[name])
    fit = sf.lmer(f"y ~ `{name}`", both, method="reml")
    assert sf.fixef(fit)["estimate"][1] == pytest.approx(np.polyfit(both[name], both["y"], 1)[0])


ODD = {
    "signalling Decimals": (
        lambda: pd.DataFrame({"y": [1.0, 2], "x": [Decimal("1"), Decimal("sNaN")]}),
        "a column holds a Decimal that cannot be computed with: sNaN.\nA missing Decimal is None, or NaN.\n"
        "Replace it before the fit.",
    ),
    "sets": (
        lambda: {"y": [1.0, 2], "x": {1, 2}},
        "the columns do not make a table: 'set' type is unordered.\nA dictionary of columns needs arrays of equal "
        "length.\nGive every column one value for each row.",
    ),
    "bytes": (
        lambda: pd.DataFrame({"y": [1.0, 2], "x": [b"a", b"b"]}),
        "column 'x' holds values of type bytes, neither numbers nor labels.\nA formula uses numbers, booleans, text "
        "and Categoricals.\nConvert dates and durations to a number, such as days since the start; or, where each is a "
        "level, write data['x'] = data['x'].astype(str).",
    ),
}


@pytest.mark.parametrize(("data", "text"), ODD.values(), ids=ODD)
def test_odd_columns_are_refused_by_an_error_of_ours(data, text):
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ x", data())
    assert str(caught.value) == text


def test_a_type_that_no_frame_has_is_refused(monkeypatch):
    """As polars' 128 bits are with some versions of pyarrow, in words of theirs."""
    frame = pl.DataFrame({"y": [1.0, 2, 3], "x": [1, 2, 4]})

    def fail(*_arguments, **_keywords):
        raise pa.ArrowInvalid("no such type\nas this.")

    monkeypatch.setattr(pl.DataFrame, "to_pandas", fail)
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ x", frame)
    assert caught.value.problem == "the table has a column whose type cannot be read: no such type."


PLAIN_NUMBERS = {
    "Decimals with NaN": [Decimal("1.5"), Decimal("NaN"), Decimal("2"), Decimal("4")],
    "numpy's scalars": pd.Series([np.float32(1.5), None, np.int64(2), 4.0], dtype=object),
    "pyarrow's decimals": pd.Series([Decimal("1.5"), None, 2, 4], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
    "sparse": pd.arrays.SparseArray([1.5, np.nan, 2, 4]),
    "Float64": pd.array([1.5, None, 2, 4], dtype="Float64"),
}


@pytest.mark.parametrize("values", PLAIN_NUMBERS.values(), ids=PLAIN_NUMBERS)
def test_numbers_of_any_type_are_numbers(values):
    data = pd.DataFrame({"y": [1.0, 2, 5, 3], "x": values})
    np.testing.assert_array_equal(sf.Model("y ~ x", data, missing="drop").design.mean.X[:, 1], [1.5, 2, 4])
