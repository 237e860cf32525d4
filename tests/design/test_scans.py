"""Tables that are read in pieces give the design that they give in memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import dataset, feather, parquet

import speclet_formula as sf

FORMULA = "y ~ x + kind + scale(z) + (1 + x | gene/guide) + (1 | batch)"
MISSING = "missing values, in 'kind' (7)"


def table() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    gene = rng.integers(0, 12, 500)
    return pd.DataFrame(
        {
            "y": rng.normal(size=500),
            "x": rng.normal(size=500),
            "z": rng.integers(0, 30, 500),
            "kind": rng.choice(["treated", "ßcontrol", "Mock"], 500),
            "gene": [f"gene_{i}" for i in gene],
            "guide": [f"s{i}" for i in gene * 3 + rng.integers(0, 3, 500)],
            "batch": rng.integers(1, 8, 500),
            "unused": ["a long text that no formula names"] * 500,
        }
    )


def ordered_table() -> pd.DataFrame:
    kinds = pd.Categorical(table()["kind"], categories=["treated", "never", "Mock", "ßcontrol"])
    return table().assign(kind=kinds, flag=table()["x"] > 0)


def as_parquet(frame: pd.DataFrame, folder: Path) -> Any:
    frame.to_parquet(folder / "table.parquet", row_group_size=120)
    return folder / "table.parquet"


def as_folder(frame: pd.DataFrame, folder: Path) -> Any:
    for part in range(3):
        frame.iloc[part * 200 : (part + 1) * 200].to_parquet(folder / f"part-{part}.parquet")
    return folder


def as_csv(frame: pd.DataFrame, folder: Path) -> Any:
    frame.to_csv(folder / "table.csv", index=False)
    return str(folder / "table.csv")


def as_tsv(frame: pd.DataFrame, folder: Path) -> Any:
    frame.to_csv(folder / "table.TSV", index=False, sep="\t")
    return folder / "table.TSV"


def as_feather(frame: pd.DataFrame, folder: Path) -> Any:
    feather.write_feather(frame, folder / "table.feather", chunksize=90)
    return folder / "table.feather"


def as_dataset(frame: pd.DataFrame, folder: Path) -> Any:
    return dataset.dataset(as_parquet(frame, folder))


def as_lazy(frame: pd.DataFrame, folder: Path) -> Any:
    return pl.scan_parquet(as_parquet(frame, folder))


KINDS = [as_parquet, as_folder, as_csv, as_tsv, as_feather, as_dataset, as_lazy]


def assert_same_design(one: sf.Model, other: sf.Model) -> None:
    np.testing.assert_array_equal(one.design.response, other.design.response)
    np.testing.assert_array_equal(one.design.mean.X, other.design.mean.X)
    assert [term.columns for term in one.design.mean.fixed] == [term.columns for term in other.design.mean.fixed]
    for left, right in zip(one.design.mean.groups, other.design.mean.groups, strict=True):
        assert (left.label, left.levels, left.columns) == (right.label, right.levels, right.columns)
        np.testing.assert_array_equal(left.codes, right.codes)
        np.testing.assert_array_equal(left.values, right.values)
    assert one.slots == other.slots
    assert one.findings == other.findings


@pytest.mark.parametrize("written", KINDS)
@pytest.mark.parametrize("rows", [37, 1_000_000])
@pytest.mark.mostly_slow(every=3)
def test_pieces_give_the_design_that_memory_gives(
    written: Callable[[pd.DataFrame, Path], Any], rows: int, tmp_path: Path
) -> None:
    scanned = sf.Model(FORMULA, sf.scan(written(table(), tmp_path), chunksize=rows))
    assert_same_design(scanned, sf.Model(FORMULA, table()))
    assert set(scanned.data.columns) == {"y", "x", "kind", "z", "gene", "guide", "batch"}


@pytest.mark.parametrize("written", [as_parquet, as_feather, as_dataset])
def test_categories_keep_the_analysts_order(written: Callable[[pd.DataFrame, Path], Any], tmp_path: Path) -> None:
    scanned = sf.Model("y ~ kind * flag", sf.scan(written(ordered_table(), tmp_path), chunksize=50))
    assert_same_design(scanned, sf.Model("y ~ kind * flag", ordered_table()))
    assert scanned.design.mean.fixed[1].coords == ("Mock", "ßcontrol")


@pytest.mark.slow
def test_a_fit_is_the_same_to_the_last_digit(tmp_path: Path) -> None:
    data, _ = sf.datasets.m7()
    short = {"draws": 20, "chains": 2, "cores": 1, "random_seed": 1, "progress": False}
    formula = "log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)"
    scanned = sf.lmer(formula, sf.scan(as_parquet(data, tmp_path), chunksize=111), **short)
    for name, values in sf.lmer(formula, data, **short).idata["posterior"].data_vars.items():
        np.testing.assert_array_equal(scanned.idata["posterior"][name].values, values.values)
    again = sf.load(sf.save(scanned, tmp_path / "screen.fit"))
    assert again.model.design.mean.groups[0].levels == scanned.model.design.mean.groups[0].levels


def test_only_the_columns_of_the_formula_are_read(tmp_path: Path) -> None:
    read: list[list[str]] = []

    class Watched:
        schema = pa.schema([("y", pa.float64()), ("g", pa.string()), ("huge", pa.string())])

        def get_fragments(self) -> None: ...

        def to_batches(self, columns: list[str], **_: Any) -> Any:
            read.append(columns)
            yield pa.record_batch({"y": [1.0, 2.0, 4.0], "g": ["a", "b", "a"]})

    assert len(sf.Model("y ~ 1 + (1 | g)", sf.scan(Watched())).data) == 3
    assert read == [["y", "g"]]


def test_all_columns_are_read_where_all_may_be_used(tmp_path: Path) -> None:
    data, _ = sf.datasets.m7()
    scanned = sf.scan(as_parquet(data, tmp_path))
    table, _truth = sf.simulate("new ~ (1 | gene)", scanned, {"Intercept": 0.0, "1|gene_sigma": 1.0, "sigma": 1.0})
    assert set(data.columns) < set(table.columns)


def test_weights_are_read_too(tmp_path: Path) -> None:
    scanned = sf.Model("y ~ 1", sf.scan(as_parquet(table().assign(w=2.0), tmp_path)), weights="w")
    assert scanned.design.weights is not None
    assert (scanned.design.weights == 2).all()


@pytest.mark.parametrize("written", [as_parquet, as_csv, as_lazy])
def test_missing_values_stay_missing(written: Callable[[pd.DataFrame, Path], Any], tmp_path: Path) -> None:
    frame = table()
    frame.loc[[0, 1, 40, 41, 42, 43, 499], "kind"] = None
    scanned = sf.scan(written(frame, tmp_path), chunksize=10)
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ kind", scanned)
    assert MISSING in caught.value.problem
    assert_same_design(sf.Model("y ~ kind", scanned, missing="drop"), sf.Model("y ~ kind", frame, missing="drop"))


def test_whole_numbers_may_be_followed_by_decimals(tmp_path: Path) -> None:
    rows = "".join(f"{k},g{k % 3}\n" for k in range(400_000)) + "0.5,g1\n"  # more than pyarrow looks at first
    (tmp_path / "late.csv").write_text("y,g\n" + rows, encoding="utf-8")
    assert sf.Model("y ~ (1 | g)", sf.scan(tmp_path / "late.csv")).design.response[-1] == 0.5


def test_a_scan_shows_its_columns(tmp_path: Path) -> None:
    path = as_parquet(table()[["y", "gene"]], tmp_path)
    assert repr(sf.scan(path)) == f"Scan of '{path}': y, gene"


SOURCES = (
    "scan() takes the path of a file or folder, a list of paths or a pattern such as 'screens/*.parquet', a pyarrow "
    "Dataset or a LazyFrame of polars 1.34 or newer."
)


@pytest.mark.parametrize(
    ("asked", "problem", "allowed", "remedy"),
    [
        (lambda _: sf.scan("nowhere.parquet"), "there is no file 'nowhere.parquet'.", SOURCES, "Check the path."),
        (
            lambda _: sf.scan(table()),
            "a DataFrame cannot be read in pieces.",
            SOURCES,
            "Hand a table in memory to Model as it is.",
        ),
        (
            lambda folder: sf.scan(folder, chunksize=0),
            "chunksize=0 is out of range.",
            "chunksize is a whole number of at least 1.",
            "Leave chunksize= out.",
        ),
        (
            lambda _: sf.Model("y ~ 1", "screen.csv"),
            "a str is not a table.",
            "A pandas, polars or pyarrow table is, or a dictionary of arrays.",
            "Write pandas.read_csv('screen.csv'), or sf.scan('screen.csv') for a file that memory does not hold.",
        ),
    ],
)
def test_words(asked: Callable[[Path], Any], problem: str, allowed: str, remedy: str, tmp_path: Path) -> None:
    with pytest.raises(sf.DataError) as caught:
        asked(tmp_path)
    assert (caught.value.problem, caught.value.allowed, caught.value.remedy) == (problem, allowed, remedy)


def test_a_kind_that_is_no_table(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    path.write_bytes(b"")
    with pytest.raises(sf.DataError) as caught:
        sf.scan(path)
    assert caught.value.problem == f"'{path}' is of a kind that cannot be read."


@pytest.mark.parametrize("ending", [".csv.gz", ".txt", ".tab", ".count", ".foldchange", ".other"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_other_text_is_read_too(tmp_path: Path, ending: str, separator: str) -> None:
    data = pd.DataFrame({"y": [1.0, 2, 4, 3], "g": list("abab"), "x": [1, 2, 3, 5]})
    data.to_csv(tmp_path / f"d{ending}", sep=separator, index=False)
    model = sf.Model("y ~ x + (1 | g)", sf.scan(tmp_path / f"d{ending}"))
    np.testing.assert_array_equal(model.design.mean.X[:, 1], data["x"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# made by us\ny,x\n1,2\n", "1 lines of comment stand above the header."),
        ("y x\n1 2\n", "Columns are separated by spaces, not by commas as the name promises."),
    ],
)
def test_text_that_pieces_cannot_be_read_of(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "d.csv"
    path.write_text(text)
    with pytest.raises(sf.DataError) as caught:
        sf.scan(path)
    assert caught.value.problem == f"'{path}' cannot be read in pieces: {said}"


def test_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(sf.DataError, match="cannot be read: ") as caught:
        sf.scan(path)
    assert caught.value.remedy == "Check the file, or convert it to Parquet."


def test_a_file_that_is_damaged_further_down(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("y,g\n" + "1.5,a\n" * 300_000 + "text,a\n", encoding="utf-8")
    with pytest.raises(sf.DataError, match="cannot be read: "):
        sf.Model("y ~ 1", sf.scan(path))


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(sf.FormulaError) as caught:
        sf.Model("y ~ (1 | genes)", sf.scan(as_parquet(table(), tmp_path)))
    assert caught.value.problem == "no column 'genes' in the data."
    assert caught.value.remedy == "Nearest: gene."


def test_a_table_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "empty.parquet"
    parquet.write_table(pa.table({"y": pa.array([], pa.float64()), "g": pa.array([], pa.string())}), path)
    with pytest.raises(sf.DataError, match="the data have no rows"):
        sf.Model("y ~ 1 + (1 | g)", sf.scan(path))
