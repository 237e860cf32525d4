"""Groups are fitted as by hand, whoever does it; what fails is counted and named, what was made is not made again."""

import os
import signal
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError, FormulaError, SamplingError
from speclet_formula.studies import by_group as tasks

FORMULA = "y ~ x + (1 | g)"
QUICK = {"method": "reml", "random_seed": 5, "cores": 1}


def rows(groups=("skin", "blood", "lung")):
    rng = np.random.default_rng(1)
    parts = [
        pd.DataFrame(
            {"tissue": name, "g": np.repeat(list("abcde"), 6), "x": rng.normal(size=30), "y": rng.normal(size=30)}
        )
        for name in groups
    ]
    return pd.concat(parts, ignore_index=True)


def test_each_group_is_fitted_as_by_hand():
    found = sf.fit_by(FORMULA, rows(), by="tissue", **QUICK)
    assert list(found.fits) == ["skin", "blood", "lung"]
    for name, part in rows().groupby("tissue"):
        alone = sf.tidy(sf.lmer(FORMULA, part.reset_index(drop=True), method="reml"))
        mine = found.table[found.table["tissue"] == name].drop(columns="tissue").reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, alone, check_dtype=False)
        pd.testing.assert_frame_equal(sf.tidy(found.fits[name]), alone)
    assert found.groups["n_rows"].tolist() == [30, 30, 30]
    assert found.failures.empty


def test_fits_without_draws_print_their_verdicts_and_no_seed():
    found = sf.fit_by(FORMULA, rows(), by="tissue", **QUICK)
    assert found.groups["verdict"].tolist() == [found.fits[name].verdict for name in found.groups["group"]]
    first, second, *_ = repr(found).split("\n")
    assert first == "y ~ 1 + x + (1 | g) by tissue: 3 groups"
    flagged = (found.groups["verdict"] != "converged").sum()
    assert not flagged or second.startswith(f"{flagged} fit")
    drawn = sf.fit_by(FORMULA, rows(("skin",)), by="tissue", draws=50, chains=2, random_seed=5, cores=1)
    assert repr(drawn).startswith("y ~ 1 + x + (1 | g) by tissue: 1 groups, seed 5\n")


def test_several_columns_make_the_groups_and_any_summary_the_table():
    data = rows().assign(half=lambda d: np.arange(len(d)) % 2)
    found = sf.fit_by(FORMULA, data, by=["tissue", "half"], summarise=sf.fixef, keep_fits=False, **QUICK)
    assert found.table.columns[:3].tolist() == ["tissue", "half", "term"]
    assert found.groups["group"].tolist()[:2] == ["skin:0", "skin:1"]
    assert len(found.table) == 12
    assert not found.fits


def test_failures_are_counted_and_named():
    data = rows().assign(y=lambda d: d["y"].where(d["tissue"] != "blood"))
    found = sf.fit_by(FORMULA, data, by="tissue", **QUICK)
    assert list(found.fits) == ["skin", "lung"]
    assert set(found.table["tissue"]) == {"skin", "lung"}
    assert found.failures[["group", "reason"]].to_numpy().tolist() == [
        ["blood", "DataError: 30 of 30 rows have missing values, in 'y' (30)."]
    ]
    assert "1 of 3 groups failed and are in no row of the table:\n* blood: DataError: 30 of 30" in repr(found)
    with pytest.raises(SamplingError) as caught:
        sf.fit_by(FORMULA, data[data["tissue"] == "blood"], by="tissue", **QUICK)
    assert str(caught.value) == (
        "all 1 groups failed: DataError: 30 of 30 rows have missing values, in 'y' (30). (1).\nAt least one "
        "group can be "
        "fitted.\nFit one group by itself with sf.fit, and the same arguments."
    )


def test_a_folder_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    whole = sf.fit_by(FORMULA, rows(), by="tissue", **QUICK)
    made = []
    honest = tasks.fit

    def counting(model, **arguments):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(model)
        return honest(model, **arguments)

    monkeypatch.setattr(tasks, "fit", counting)
    with pytest.raises(KeyboardInterrupt):
        sf.fit_by(FORMULA, rows(), by="tissue", folder=tmp_path, **QUICK)
    del made[:]
    resumed = sf.fit_by(FORMULA, rows(), by="tissue", folder=tmp_path, **QUICK)
    assert len(made) == 1, "only what was missing"
    pd.testing.assert_frame_equal(resumed.table, whole.table, check_exact=True, check_dtype=False)
    pd.testing.assert_frame_equal(sf.tidy(resumed.fits["skin"]), sf.tidy(whole.fits["skin"]))
    del made[:]
    changed = rows().assign(y=lambda d: d["y"] + (d["tissue"] == "lung"))
    sf.fit_by(FORMULA, changed, by="tissue", folder=tmp_path, **QUICK)
    assert len(made) == 1, "only the group whose rows changed"


OTHERS = {
    "another call's": lambda own, other: [
        (other / name.name).rename(name) for name in own.glob("*") if len(name.stem) == 20
    ],
    "another call's table": lambda own, other: [next(other.glob("*.parquet")).rename(next(own.glob("*.parquet")))],
    "a list": lambda own, other: next(own.glob("[!g]*.json")).write_text("[]"),
    "no end of lists": lambda own, other: next(own.glob("[!g]*.json")).write_text("[" * 100_000),
    "a fit cut short": lambda own, other: next(own.glob("*.fit")).write_bytes(b"PK"),
    "no fit": lambda own, other: next(own.glob("*.fit")).unlink(),
}


@pytest.mark.parametrize("swap", OTHERS.values(), ids=OTHERS)
@pytest.mark.mostly_slow("no fit")
def test_foreign_and_broken_files_are_made_again(tmp_path, swap):
    data, own, other = rows(("skin",)), tmp_path / "own", tmp_path / "other"
    whole = sf.fit_by(FORMULA, data, by="tissue", folder=own, **QUICK)
    sf.fit_by("y ~ (1 | g)", data, by="tissue", folder=other, **QUICK)
    swap(own, other)
    again = sf.fit_by(FORMULA, data, by="tissue", folder=own, **QUICK)
    pd.testing.assert_frame_equal(again.table, whole.table, check_exact=True, check_dtype=False)
    pd.testing.assert_frame_equal(sf.tidy(again.fits["skin"]), sf.tidy(whole.fits["skin"]))


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        (
            {"by": "tisue"}, DataError,
            "no column 'tisue' in the data to divide them by.\nColumns: tissue, g, x, y.\nNearest: 'tissue'.",
        ),
        (
            {"method": "reml", "draws": 100, "chains": None}, SamplingError,
            "method='reml' has no use for draws=100.\nIt makes no draws, and takes cores= alone.\n"
            "Leave it out, or write method='auto'.",
        ),
        (
            {"draw": 10}, SamplingError,
            "there is no setting 'draw'.\nOf Model there are family, link, priors, weights, missing, functions, "
            "contrasts, matrices; of fit method, draws, tune, chains, target_accept, sampler, keep, nAGQ.\n"
            "Nearest: 'draws'.",
        ),
        (
            {"data": rows().assign(tissue=lambda d: d["tissue"].where(d.index > 3))}, DataError,
            "4 of 90 rows belong to no group: 'tissue' is missing.\nEach row is of one group.\nLeave them out: "
            "data.dropna(subset=['tissue']), or give them a label.",
        ),
        (
            {"weights": np.ones(90)}, DataError,
            "weights= is a sequence, which cannot be divided by group.\nIt is the name of a column here.\nPut "
            "the weights "
            "into the data, and write weights='name'.",
        ),
        (
            {"data": rows().assign(tissue="a:b", g2=["c", "b:c"] * 45).assign(
                tissue=lambda d: np.where(d["g2"] == "c", "a:b", "a")), "by": ["tissue", "g2"]}, DataError,
            "different groups are all called 'a:b:c'.\nEach group has a label of its own, its columns joined by ':'.\n"
            "Make one column of labels first, and divide by it.",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_found_before_anything_runs(changes, error, text):
    with pytest.raises(error) as caught:
        sf.fit_by(**({"formula": FORMULA, "data": rows(), "by": "tissue", **QUICK} | changes))
    assert str(caught.value) == text


def test_a_misspelt_column_is_not_a_failure_of_every_group():
    with pytest.raises(FormulaError, match="no column 'z' in the data"):
        sf.fit_by("y ~ z + (1 | g)", rows(), by="tissue", **QUICK)


def test_a_folder_of_something_else_is_refused(tmp_path):
    sf.fit_by(FORMULA, rows(("skin",)), by="tissue", folder=tmp_path / "one", **QUICK)
    with pytest.raises(DataError) as caught:
        sf.fit_by("y ~ (1 | g)", rows(("skin",)), by="tissue", folder=tmp_path / "one", **QUICK)
    assert str(caught.value).startswith(f"the folder '{tmp_path / 'one'}' belongs to another call: formula differs.\n")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds other files, and none called groups\.json"):
        sf.fit_by(FORMULA, rows(("skin",)), by="tissue", folder=tmp_path / "two", **QUICK)


# --- other processes --------------------------------------------------------------------------------------------------


def deadly(marker, times):
    """A function for formulas that kills its process in the group `blood`, so many times."""

    def survive(x):
        values = np.asarray(x, dtype=float)
        if values.max() > 100:
            deaths = Path(marker).read_text() if Path(marker).exists() else ""
            if len(deaths) < times:
                Path(marker).write_text(deaths + "x")
                os.kill(os.getpid(), signal.SIGKILL)
        return np.minimum(values, 3.0)

    return survive


def with_poison():
    data = rows()
    data.loc[data.index[data["tissue"] == "blood"][0], "x"] = 1000.0
    return data


def fitted_here(tmp_path):
    return sf.fit_by("y ~ survive(x) + (1 | g)", with_poison(), by="tissue", summarise=sf.fixef, keep_fits=False,
                     functions={"survive": deadly(tmp_path / "none", 0)}, **QUICK).table  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.filterwarnings("default")  # joblib's resource tracker, of a process that was killed
def test_a_killed_process_costs_only_its_group(tmp_path, times):
    found = sf.fit_by(
        "y ~ survive(x) + (1 | g)", with_poison(), by="tissue", summarise=sf.fixef, keep_fits=False,
        functions={"survive": deadly(tmp_path / "deaths", times)}, **QUICK | {"cores": 2},
    )  # fmt: skip
    expected = fitted_here(tmp_path)
    if times == 1:
        assert found.failures.empty
    else:
        assert found.failures["group"].tolist() == ["blood"]
        assert found.failures["reason"].str.startswith("the process that fitted it was killed, twice").all()
        expected = expected[expected["tissue"] != "blood"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.table, expected, check_exact=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Dask's and tornado's own are not ours
def test_a_dask_cluster_gives_the_same_table_though_a_worker_is_killed(tmp_path):
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
            found = sf.fit_by(
                "y ~ survive(x) + (1 | g)", with_poison(), by="tissue", summarise=sf.fixef, keep_fits=False,
                functions={"survive": deadly(tmp_path / "deaths", 1)}, method="reml", random_seed=5,
            )  # fmt: skip
    finally:
        cloudpickle.unregister_pickle_by_value(here)
    assert (tmp_path / "deaths").read_text() == "x", "a worker was killed on the way"
    assert found.failures.empty
    pd.testing.assert_frame_equal(found.table, fitted_here(tmp_path), check_exact=True)
