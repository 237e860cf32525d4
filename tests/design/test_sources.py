"""A table in several files is that of the same rows in one, whoever reads which file."""

import itertools
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest

import speclet_formula as sf
from speclet_formula.design import cells, scans, sources
from tests.design.test_scans import FORMULA, assert_same_design, table

BY_GENE = "y ~ kind + (1 | gene) + (1 | batch)"
CUTS = (0, 1, 90, 300, 500)


def rows() -> pd.DataFrame:
    """Levels that occur in one file alone, or first in the last one."""
    frame = table()
    frame.loc[499, "gene"], frame.loc[0, "gene"] = "a first name that comes last", "only here"
    return frame


def in_files(frame: pd.DataFrame, folder: Path, kind: str = "parquet") -> list[Path]:
    paths = []
    for number, (start, stop) in enumerate(itertools.pairwise(CUTS)):
        paths.append(folder / f"part-{number}.{kind}")
        part = frame.iloc[start:stop]
        if kind == "parquet":
            part.to_parquet(paths[-1], row_group_size=70)
        elif kind == "feather":
            part.reset_index(drop=True).to_feather(paths[-1])
        else:
            part.to_csv(paths[-1], index=False)
    return paths


@pytest.mark.parametrize("kind", ["parquet", "feather", "csv"])
@pytest.mark.parametrize("given", ["list", "pattern", "folder"])
def test_files_give_the_design_that_memory_gives(kind: str, given: str, tmp_path: Path) -> None:
    paths = in_files(rows(), tmp_path, kind)
    if given == "folder" and kind != "parquet":
        pytest.skip("folders are of Parquet files")
    source = {"list": paths, "pattern": str(tmp_path / f"part-*.{kind}"), "folder": tmp_path}[given]
    scanned = sf.Model(FORMULA, sf.scan(source, chunksize=33))
    assert_same_design(scanned, sf.Model(FORMULA, rows()))


@pytest.mark.parametrize("size", [1, 80, 10**6])
def test_row_groups_are_divided_into_parts(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS_OF_A_PART", size)
    rows().to_parquet(tmp_path / "one.parquet", row_group_size=70)
    scanned = sf.scan(tmp_path / "one.parquet")
    wanted = {1: range(0, 500, 70), 80: range(0, 500, 140), 10**6: [0]}[size]
    assert [part.start for part in scanned.source.parts] == list(wanted)
    assert_same_design(sf.Model(FORMULA, scanned), sf.Model(FORMULA, rows()))


def test_dictionaries_of_several_files_keep_the_order_in_which_levels_come(tmp_path: Path) -> None:
    frame = rows()
    orders = [["treated", "Mock", "ßcontrol"], ["Mock", "ßcontrol"], ["ßcontrol", "Mock", "treated"]]
    for number, order in enumerate(orders):
        part = frame[frame["kind"].isin(order)].iloc[number::3]
        part.assign(kind=pd.Categorical(part["kind"], order)).to_parquet(tmp_path / f"{number}.parquet")
    model = sf.Model("y ~ kind", sf.scan(tmp_path))
    assert model.design.mean.fixed[1].coords == ("Mock", "ßcontrol")
    backwards = sf.scan([tmp_path / f"{number}.parquet" for number in (1, 2, 0)])
    assert sf.Model("y ~ kind", backwards).design.mean.fixed[1].coords == ("ßcontrol", "treated")


def test_unordered_categories_of_polars_are_sorted_in_several_files_too(tmp_path: Path) -> None:
    for number in range(2):
        part = pl.DataFrame({"y": [1.0, 2.0, 4.0], "g": ["c", "a", "b"]}).with_columns(pl.col("g").cast(pl.Categorical))
        part.write_parquet(tmp_path / f"{number}.parquet")
    data = sf.Model("y ~ g", sf.scan(tmp_path)).data
    assert list(data["g"].cat.categories) == ["a", "b", "c"]


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_a_fit_of_files_is_that_of_memory(merge: bool, method: str, tmp_path: Path) -> None:
    in_files(rows(), tmp_path)
    found = sf.lmer(BY_GENE, sf.scan(tmp_path, chunksize=50, merge=merge), method=method)
    wanted = sf.lmer(BY_GENE, rows(), method=method)
    assert found.log_likelihood == pytest.approx(wanted.log_likelihood, abs=1e-8)


@pytest.mark.slow
def test_processes_change_no_digit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ROWS_OF_A_PART", 100)
    in_files(rows(), tmp_path)
    for merge in (False, True):
        alone, many = (sf.Model(BY_GENE, sf.scan(tmp_path, merge=merge, cores=cores)).data for cores in (1, 2))
        pd.testing.assert_frame_equal(alone, many, check_exact=True)


def test_parts_merge_alike_in_whatever_order_they_come() -> None:
    rng = np.random.default_rng(3)
    parts = [pd.DataFrame({"k": rng.integers(0, 9, 40), "y": 1e5 + rng.normal(size=40)}) for _ in range(5)]

    def piled(order: tuple[int, ...]) -> pd.DataFrame:
        held: cells.Pile = {}
        for place in order:
            single = cells.single_rows(parts[place], ["k"], "y", None, 0)
            cells.pile(held, place, cells.merged([single], ["k"]), ["k"])
            assert sum(map(len, held.values())) <= 9 * 4
        return cells.whole_pile(held, ["k"])

    first = piled((0, 1, 2, 3, 4))
    for order in itertools.permutations(range(5)):
        pd.testing.assert_frame_equal(piled(order), first, check_exact=True)
    whole = pd.concat(parts, ignore_index=True).groupby("k", sort=False)["y"]
    assert first["k"].tolist() == whole.size().index.tolist()
    np.testing.assert_allclose(first["(mean)"], whole.mean(), rtol=1e-14)
    np.testing.assert_allclose(first["(left)"], whole.var(ddof=0) * whole.size(), rtol=1e-9)


def test_cells_of_many_wide_columns_are_told_apart() -> None:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({f"k{i}": rng.integers(0, 2, 300) * (2**30 - i) for i in range(4)})
    frame = frame.assign(x=rng.choice([0.0, -0.0, np.nan, 2.5], 300), y=rng.normal(size=300))
    keys = [name for name in frame if name != "y"]
    found = cells.merged([cells.single_rows(frame, keys, "y", None, 0)], keys)
    wanted = frame.groupby(keys, sort=False, dropna=False)["y"]
    assert found["(rows)"].tolist() == wanted.size().tolist()
    pd.testing.assert_frame_equal(found[keys], wanted.size().reset_index()[keys])


def test_files_without_rows_are_passed_over(tmp_path: Path) -> None:
    in_files(rows(), tmp_path)
    rows().head(0).astype(object).to_parquet(tmp_path / "part-0a.parquet")
    rows().head(0).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame({"other": []}).to_parquet(tmp_path / "b.parquet")
    for merge in (False, True):
        data = sf.Model(BY_GENE, sf.scan(tmp_path, merge=merge)).data
        one = sf.Model(BY_GENE, sf.scan(sorted(tmp_path.glob("part-?.parquet")), merge=merge)).data
        pd.testing.assert_frame_equal(data, one, check_exact=True)
    (tmp_path / "only.csv").write_text("y,g\n")
    rows()[["y", "gene"]].head(0).to_feather(tmp_path / "none.feather")
    for name in ("only.csv", "a.parquet", "none.feather"):
        with pytest.raises(sf.DataError, match="the data have no rows"):
            sf.Model("y ~ 1", sf.scan(tmp_path / name))


def test_files_may_have_nothing_but_missing_values_and_whole_numbers_beside_decimals(tmp_path: Path) -> None:
    frame = rows()[["y", "kind", "z"]]
    parts = [frame[:100].astype({"z": "int32"}), frame[100:300].astype({"z": float}), frame[300:].assign(kind=None)]
    for number, part in enumerate(parts):
        part.to_parquet(tmp_path / f"{number}.parquet")
    whole = pd.concat(parts, ignore_index=True)
    model, wanted = (sf.Model("y ~ z + kind", data, missing="drop") for data in (sf.scan(tmp_path), whole))
    assert_same_design(model, wanted)
    assert model.n_dropped == 200
    merged = sf.Model("y ~ z + kind", sf.scan(tmp_path, merge=True), missing="drop")
    one, other = (sf.fit(each, method="ml").log_likelihood for each in (merged, wanted))
    assert one == pytest.approx(other, abs=1e-8)


def test_missing_values_of_a_response_are_counted_over_all_files(tmp_path: Path) -> None:
    frame = rows()
    frame.loc[[0, 3, 499], "y"] = np.nan
    in_files(frame, tmp_path)
    for merge in (False, True):
        with pytest.raises(sf.DataError) as caught:
            sf.Model(BY_GENE, sf.scan(tmp_path, merge=merge))
        assert caught.value.problem == "3 of 500 rows have missing values, in 'y' (3)."


def test_a_pattern_that_is_a_name_is_a_name(tmp_path: Path) -> None:
    rows().to_csv(tmp_path / "a[1].csv", index=False)
    assert len(sf.Model("y ~ 1", sf.scan(tmp_path / "a[1].csv")).data) == 500


def test_a_scan_of_files_shows_them(tmp_path: Path) -> None:
    paths = in_files(rows()[["y", "x"]], tmp_path)
    assert repr(sf.scan(paths[:2])) == f"Scan of '{paths[0]}', '{paths[1]}': y, x"


# --- what is wrong is told with the file ------------------------------------------------------------------------------


def refused(source: Any, formula: str = "y ~ x", **settings: Any) -> sf.DataError:
    with pytest.raises(sf.DataError) as caught:
        sf.Model(formula, sf.scan(source, **settings))
    return caught.value


def test_a_file_that_lacks_a_column_is_named(tmp_path: Path) -> None:
    paths = in_files(rows(), tmp_path)
    rows().drop(columns="x").to_parquet(paths[2])
    error = refused(paths)
    assert error.problem == f"the file '{paths[2]}' has no column 'x', which '{paths[0]}' has."
    assert error.allowed == "All files of a table have the columns that a formula names."
    assert error.remedy == "Leave the file out, or write it anew with 'x'."
    assert len(sf.Model("y ~ z", sf.scan(paths)).data) > 500


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda part: part["x"].astype(str), "text"),
        (lambda part: pd.Categorical(part["x"].round().astype(str)), "a factor (dictionary)"),
        (lambda part: part["x"] > 0, "of the type bool"),
        (lambda part: part["x"].astype("float32"), "of the type float"),
    ],
)
def test_a_file_of_another_type_is_named(change: Any, said: str, tmp_path: Path) -> None:
    paths = in_files(rows(), tmp_path)
    part = rows()[90:300]
    part.assign(x=change(part)).to_parquet(paths[2])
    error = refused(paths)
    assert error.problem == f"column 'x' is {said} in '{paths[2]}', and of the type double in '{paths[0]}'."
    assert error.remedy == "Write one of the files anew, with 'x' as in the other."


def test_padded_names_in_one_text_are_not_numbers_in_another(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("y,g\n1,7\n2,8\n")
    (tmp_path / "b.csv").write_text("y,g\n1,007\n2,008\n")
    error = refused(str(tmp_path / "*.csv"), "y ~ (1 | g)")
    assert error.problem == f"column 'g' is text in '{tmp_path}/b.csv', and of the type double in '{tmp_path}/a.csv'."


@pytest.mark.parametrize("cores", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_infinite_response_is_found_in_its_file(cores: int, tmp_path: Path) -> None:
    frame = rows()
    frame.loc[97, "y"] = np.inf
    paths = in_files(frame, tmp_path)
    error = refused(paths, "y ~ kind", merge=True, cores=cores)
    assert error.problem == f"in '{paths[2]}' column 'y' has infinite values, the first in row 7."


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    paths = in_files(rows(), tmp_path)
    whole = paths[1].read_bytes()
    broken = bytearray(whole)
    broken[20:2000] = bytes(1980)
    paths[1].write_bytes(broken)
    assert refused(paths).problem.startswith(f"'{paths[1]}' cannot be read: ")
    paths[1].write_bytes(b"PAR1 and no more")
    assert refused(paths).problem.startswith(f"'{paths[1]}' cannot be read: ")


@pytest.mark.parametrize(
    ("source", "problem", "remedy"),
    [
        ([], "the list of files is empty.", "Check what made the list."),
        ([3], "the list of files has a int in it.", "List paths, such as 'screen.parquet'."),
        (["d.csv", "d.csv"], "the file 'd.csv' is given twice.", "Leave it out of the list."),
        ("no*.csv", "no file's name matches 'no*.csv'.", "Check the path and the pattern."),
        (["d.csv", "e.csv"], "there is no file 'e.csv'.", "Check the path."),
    ],
)
def test_words(source: Any, problem: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.csv").write_text("y,x\n1,2\n2,3\n")
    error = refused(source)
    assert (error.problem, error.remedy) == (problem, remedy)


def test_cores_are_a_number() -> None:
    with pytest.raises(sf.DataError, match=r"cores=0 is out of range\."):
        sf.scan("x.csv", cores=0)


# --- workers that are lost --------------------------------------------------------------------------------------------


class Deadly:
    """A format that kills the process that reads it, so many times."""

    def __init__(self, form: Any, marker: Path, times: int) -> None:
        self.form, self.marker, self.times = form, marker, times

    def make_fragment(self, *given: Any, **named: Any) -> Any:
        deaths = self.marker.read_text() if self.marker.exists() else ""
        if len(deaths) < self.times:
            self.marker.write_text(deaths + "x")
            os.kill(os.getpid(), signal.SIGKILL)
        return self.form.make_fragment(*given, **named)


def with_poison(folder: Path, times: int) -> scans.Scan:
    scanned = sf.scan(in_files(rows(), folder), merge=True)
    *others, last = scanned.source.parts
    poisoned = replace(last, form=Deadly(last.form, folder / "deaths", times))
    return replace(scanned, source=sources.Files((*others, poisoned)))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # joblib's resource tracker, of a process that was killed
def test_a_killed_process_costs_its_part_alone(tmp_path: Path) -> None:
    found = sf.Model(BY_GENE, replace(with_poison(tmp_path, 1), cores=2)).data
    assert (tmp_path / "deaths").read_text() == "x", "a process was killed on the way"
    wanted = sf.Model(BY_GENE, sf.scan(tmp_path / "part-*.parquet", merge=True)).data
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Dask's and tornado's own are not ours
@pytest.mark.parametrize("times", [1, 99])
def test_a_lost_worker_of_a_dask_cluster_costs_its_part_alone(tmp_path: Path, times: int) -> None:
    distributed = pytest.importorskip("distributed")
    cloudpickle = pytest.importorskip("cloudpickle")
    here = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(here)  # the workers cannot import this file
    try:
        with (
            distributed.LocalCluster(
                n_workers=2, processes=True, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
            ) as cluster,
            distributed.Client(cluster),
            joblib.parallel_config(backend="dask"),
        ):
            poisoned = with_poison(tmp_path, times)
            if times > 1:
                with pytest.raises(sf.DataError, match="the processes that read a part of it were killed"):
                    sf.Model(BY_GENE, poisoned)
                return
            found = sf.Model(BY_GENE, poisoned).data
    finally:
        cloudpickle.unregister_pickle_by_value(here)
    assert (tmp_path / "deaths").read_text() == "x", "a worker was killed on the way"
    wanted = sf.Model(BY_GENE, sf.scan(tmp_path / "part-*.parquet", merge=True)).data
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)
