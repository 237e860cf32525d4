"""The benchmarks' harness on tiny data with one engine; the formats of its table and its JSON file."""

import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import speclet_formula as sf
from benchmarks import peers
from benchmarks.cases import CASES, CREW, GROWTH_GUIDES, GROWTH_SIZES, growth_case
from benchmarks.contenders import record_of, run_contender
from benchmarks.effective import smallest_ess
from benchmarks.merging import fit_once, write_screen
from benchmarks.processes import run_process
from benchmarks.report import markdown_table, number, render
from benchmarks.run import Options, growth_of, main, run_all
from benchmarks.summary import slope, summarise
from benchmarks.tables import write_table
from benchmarks.targets import judge

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
RESULTS = BENCHMARKS / "results" / "two-cores.json"
TINY = replace(CASES[0], draws=50, tune=50, chains=2)


def python(code):
    return [sys.executable, "-c", code]


def record(engine, **changes):
    """One run, as JSON has it."""
    run = {
        "engine": engine, "status": "ok", "message": "", "process": 10.0, "call": 8.0, "warm": [], "cpu": 9.0,
        "peak_bytes": 300e6, "ess": 400.0, "ess_parameter": "sigma", "parameters": 86, "load": 1.0, "versions": {},
    }  # fmt: skip
    return run | changes


@pytest.fixture(scope="module")
def sitting(tmp_path_factory):
    """A whole sitting of one engine on m7, in the file that it writes."""
    path = tmp_path_factory.mktemp("sitting") / "tiny.json"
    options = Options((TINY,), (), ("exact",), True, repeats=1, budget=1.0, limit=100.0, fresh=False, add=False)
    run_all(options, path, lambda _: None)
    return json.loads(path.read_text(encoding="utf-8"))


# --- processes


def test_a_process_is_timed_and_its_memory_read():
    outcome = run_process(python("x = bytearray(200_000_000); import time; time.sleep(0.2)"), limit=30)
    assert outcome.status == "ok"
    assert outcome.seconds >= 0.2
    assert outcome.cpu_seconds > 0
    assert outcome.peak_bytes > 200e6
    assert outcome.message == ""


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        ("raise ValueError('no such thing')", "failed", "ValueError: no such thing"),
        ("open('/'.join(['', 'no', 'such', 'file.csv']))", "failed", "[Errno 2] No such file or directory: '...'"),
        ("raise SystemExit(3)", "absent", ""),
        ("raise SystemExit(0)", "ok", ""),
    ],
)
def test_how_a_process_ended(code, status, message):
    outcome = run_process(python(code), limit=30)
    assert outcome.status == status
    assert outcome.message.removeprefix("FileNotFoundError: ") == message


def test_a_process_that_takes_too_long_is_stopped_with_those_it_started(tmp_path):
    left = tmp_path / "left"
    inner = f"import time; time.sleep(2); open({str(left)!r}, 'w')"
    outcome = run_process(
        python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"), limit=0.5
    )
    assert outcome.status == "timeout"
    assert outcome.seconds < 2
    assert not left.exists()


# --- tables


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.mostly_slow("m7", "sleepstudy", "hap1", "depmap", "hap1_full")
def test_a_case_without_real_data_gets_a_stand_in_with_all_columns(case, tmp_path, monkeypatch):
    if case.name == "hap1_full":
        monkeypatch.setattr("benchmarks.tables._screen", lambda *_, **__: pd.DataFrame({"log_fc": [0.0]}))
    facts = write_table(case.name, tmp_path, tmp_path / "nowhere")
    table = pd.read_csv(tmp_path / f"{case.name}.csv")
    assert facts["source"] == "simulated"
    assert facts["rows"] == len(table)
    if case.name != "hap1_full":
        words = case.formula.replace("(", " ").replace(")", " ").replace(":", " ").split()
        assert {word for word in words if word.isidentifier()} <= set(table.columns)


def test_a_real_table_is_told_from_a_stand_in(shared_data, tmp_path):
    facts = write_table("depmap", tmp_path, shared_data)
    assert facts["source"] == "real"
    assert 6900 < facts["rows"] <= 6942
    assert facts["levels"] == {"sgRNA": 249, "gene": 63, "cell_line": 12}


@pytest.mark.parametrize(("genes", "lines"), GROWTH_SIZES[:3])
def test_a_size_has_the_rows_that_it_names(genes, lines, tmp_path):
    facts = write_table(growth_case(genes, lines).name, tmp_path)
    assert facts["rows"] == genes * GROWTH_GUIDES * lines
    assert facts["levels"] == {"gene": genes, "sgRNA": genes * GROWTH_GUIDES, "cell_line": lines}


def test_the_largest_size_is_a_file_to_be_read_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.tables.HUGE_SIZE", (7, 3))
    monkeypatch.setattr("benchmarks.cases.HUGE_SIZE", (7, 3))
    case = growth_case(7, 3)
    facts = write_table(case.name, tmp_path)
    model = sf.Model(case.formula, sf.scan(tmp_path / f"{case.name}{case.suffix}"))
    assert facts == {"source": "simulated", "rows": 84, "levels": {"gene": 7, "sgRNA": 28, "cell_line": 3}}
    assert [len(block.levels) for block in model.design.mean.groups] == [7, 28, 3]
    assert len(model.data) == 84
    assert set(case.keep) <= {block.group for block in model.design.mean.groups}


def test_bambi_gets_one_level_for_each_sgrna():
    assert TINY.bambi_formula == "log_fc ~ 1 + (1 | gene) + (1 | sgRNA) + (1 | cell_line)"


# --- effective draws


@pytest.mark.slow
def test_the_smallest_effective_sample_size_is_that_of_the_slowest_parameter():
    rng = np.random.default_rng(1)
    slow = np.cumsum(rng.normal(size=(4, 500)), axis=1)
    effects = rng.normal(size=(4, 500, 1200))
    effects[:, :, 777] = rng.normal(size=(4, 500)) + 0.2 * slow
    posterior = xr.Dataset(
        {
            "sigma": (("chain", "draw"), rng.normal(size=(4, 500))),
            "1|gene": (("chain", "draw", "gene"), effects),
            "mu": (("chain", "draw", "__obs__"), np.repeat(slow[:, :, None], 3, axis=2)),
        }
    )
    found = smallest_ess(posterior)
    assert found["ess_parameter"] == "1|gene"
    assert found["parameters"] == 1201
    assert found["ess"] < 500


# --- summaries


def test_medians_and_how_many_times_better():
    runs = [
        record("exact", process=4.0, call=2.0, warm=[0.5, 0.7], ess=2000.0),
        record("bambi-pymc", process=50.0, call=40.0, ess=400.0),
        record("exact", process=3.0, call=1.0, warm=[0.6, 0.9], ess=2400.0),
        record("lme4", process=1.0, call=0.1, ess=None),
    ]
    exact, pymc, lme4 = summarise(runs)
    assert [row["engine"] for row in (exact, pymc, lme4)] == ["exact", "bambi-pymc", "lme4"]
    assert (exact["runs"], exact["process"], exact["call"], exact["first"]) == (2, 3.0, 1.0, 4.0)
    assert exact["warm"] == 0.75
    assert (exact["ess_per_second"], exact["ess_per_call_second"], exact["ess_per_first_second"]) == (800, 2400, 500)
    assert exact["times_ess"] == exact["times_ess_first"] == 1
    assert (pymc["times_ess"], pymc["times_ess_call"], pymc["times_ess_first"]) == (100, 240, 62.5)
    assert (pymc["times_process"], pymc["times_call"], pymc["times_first"]) == (50 / 3, 40, 12.5)
    assert lme4["times_call"] == 0.1
    assert lme4["times_ess"] is None


def test_a_contender_that_never_ended_well_has_no_numbers():
    (row,) = summarise([record("nuts", status="timeout", ess=None, call=None)])
    assert (row["status"], row["runs"], row["process"], row["ess_per_second"]) == ("timeout", 0, None, None)


def test_the_slope_of_a_power_is_its_exponent():
    sizes = [10.0, 100.0, 1000.0]
    assert math.isclose(slope(sizes, [3 * size**1.5 for size in sizes]), 1.5)


def test_targets_are_judged_where_they_were_measured():
    runs = [record("exact", call=0.6, process=2.0, warm=[0.5], ess=1200.0), record("bambi-pymc", ess=80.0)]
    judged = judge({"cases": [{"name": "m7", "summary": summarise(runs)}], "growth": None})
    assert [(each["found"], each["met"]) for each in judged[:7]] == [
        (200, True),  # (1200 / 0.6) / (80 / 8)
        (200, True),
        (75, False),  # (1200 / 2) / (80 / 10)
        (75, True),
        (75, False),
        (75, True),
        (0.5, True),
    ]
    assert {each["met"] for each in judged[7:]} == {None}


# --- tables in Markdown


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0123456, "0.0123"), (2.345, "2.35"), (45.67, "45.7"), (123.4, "123"), (12345.6, "12,346")],
)
def test_numbers_have_three_figures(value, text):
    assert number(value) == text


def test_a_table_is_aligned():
    assert markdown_table(["engine", "s"], [["exact", "1.5"], ["lme4", "10"]]) == (
        "| engine |   s |\n|--------|----:|\n| exact  | 1.5 |\n| lme4   |  10 |"
    )


# --- a sitting


@pytest.mark.slow
def test_a_sitting_is_written_whole(sitting):
    assert list(sitting) == ["targets", "machine", "sittings", "cases", "growth"]
    assert set(sitting["machine"]) == {"cores", "memory_gib", "system", "versions"}
    (entry,) = sitting["sittings"]
    assert entry["ran"] == ["m7"]
    assert list(entry["load"]) == ["start", "end", "highest"]
    (case,) = sitting["cases"]
    assert (case["name"], case["rows"], case["source"]) == ("m7", 1100, "simulated")
    (run,) = case["runs"]
    assert run["status"] == "ok"
    assert 0 < run["call"] < run["process"]
    assert run["parameters"] == 10 + 55 + 20 + 5
    assert 10 < run["ess"] <= 1000
    assert run["peak_bytes"] > 50e6
    assert sitting["growth"] is None


def test_the_growth_curve_is_fitted_from_ten_thousand_rows():
    sizes = [
        {
            "rows": rows,
            "formula": TINY.formula,
            "levels": {"gene": 50, "sgRNA": 200, "cell_line": 5},
            "summary": summarise([record("exact", call=seconds, peak_bytes=1e8)]),
        }
        for rows, seconds in ((1_000, 9.0), (10_000, 1.0), (100_000, 20.0), (1_000_000, 400.0))
    ]
    growth = growth_of(sizes)
    assert growth["slopes"] == {"exact": pytest.approx(math.log10(20))}
    assert growth["memory_slopes"] == {"exact": pytest.approx(0)}
    assert growth["unfinished"] == {"exact": []}
    assert [size["coefficients"] for size in growth["sizes"]] == [256] * 4
    both = summarise([record("exact", call=40.0), record("lme4", call=3.0)])
    growth = growth_of([{**size, "summary": both} for size in sizes[:3]] + sizes[3:])
    assert growth["slopes"]["lme4"] == pytest.approx(0)  # of the sizes in which it takes part


def test_a_size_that_did_not_end_leaves_no_slope():
    good = record("exact", call=1.0)
    stopped = record("exact", status="timeout", call=None, ess=None)
    sizes = [
        {"rows": rows, "formula": TINY.formula, "levels": {"gene": 2}, "summary": summarise([run])}
        for rows, run in ((10_000, good), (100_000, good), (1_000_000, stopped))
    ]
    growth = growth_of(sizes)
    assert growth["slopes"] == {"exact": None}
    assert growth["unfinished"] == {"exact": [1_000_000]}
    judged = judge({"cases": [], "growth": growth})
    assert (judged[-1]["found"], judged[-1]["met"]) == (None, None)


@pytest.mark.slow
def test_a_sitting_is_shown_from_its_file(sitting, tmp_path, capsys):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(sitting), encoding="utf-8")
    assert main(["--show", str(path)]) == 0
    shown = capsys.readouterr().out
    assert shown == render(sitting)
    assert "### m7: a crossed and nested screen" in shown
    assert "| exact  |" in shown


def test_what_is_not_installed_is_a_row_without_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    run = run_contender("lme4", TINY, tmp_path / "none.csv", tmp_path, seed=1, limit=30, load=0.0)
    assert run.status == "absent"
    case = {
        **{name: getattr(TINY, name) for name in ("name", "formula", "meaning", "draws", "chains")},
        "source": "simulated",
        "rows": 3,
        "summary": summarise([record("exact"), record_of(run)]),
    }
    results = {
        "targets": [],
        "cases": [case],
        "growth": None,
        "machine": {"cores": 2, "memory_gib": 24.0, "system": "Linux", "versions": {"Python": "3.13"}},
        "sittings": [
            {"ran": ["m7"], "load": {"start": [0.1], "end": [0.2], "highest": 1.0}, "seconds": 60.0},
            {
                "ran": ["growth-50x5", "growth-112x7"],
                "load": {"start": [2], "end": [3], "highest": 4},
                "seconds": 600.0,
            },
        ],
    }
    text = render({**results, "targets": judge(results)})
    assert "\n\nlme4: not installed.\n\n" in text
    assert text.endswith(
        """### Machine

* 2 cores, 24 GiB, Linux. Python 3.13.
* m7: 1 minutes; load average 0.1 at the start, 0.2 at the end, 1.0 at the most.
* growth: 10 minutes; load average 2.0 at the start, 3.0 at the end, 4.0 at the most.
"""
    )


@pytest.mark.slow
def test_a_later_sitting_can_be_added_to_a_file(sitting, tmp_path):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(sitting), encoding="utf-8")
    options = Options(
        (replace(TINY, name="sleepstudy"),), (), (), True, repeats=1, budget=1.0, limit=9.0, fresh=True, add=True
    )
    results = run_all(options, path, lambda _: None)
    assert [case["name"] for case in results["cases"]] == ["m7", "sleepstudy"]
    assert results["cases"][0] == sitting["cases"][0]
    assert [entry["ran"] for entry in results["sittings"]] == [["m7"], ["sleepstudy"]]
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(results))
    again = run_all(replace(options, cases=(TINY,)), path, lambda _: None)
    assert [entry["ran"] for entry in again["sittings"]] == [["sleepstudy"], ["m7"]]
    assert again["cases"][0]["runs"] == []


@pytest.mark.slow
def test_a_sitting_that_is_broken_off_takes_nothing_away(sitting, tmp_path, monkeypatch):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(sitting), encoding="utf-8")
    monkeypatch.setattr("benchmarks.run.run_case", lambda *_: sys.exit("stopped"))
    options = Options((TINY,), (), (), True, repeats=1, budget=1.0, limit=9.0, fresh=True, add=True)
    with pytest.raises(SystemExit, match="stopped"):
        run_all(options, path, lambda _: None)
    assert json.loads(path.read_text(encoding="utf-8")) == sitting


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["--data", "m8"],
            "--data: there is no m8. Known: m7, sleepstudy, hap1_full, hap1, depmap, cells, growth, huge, none.",
        ),
        (["--engines", "stan"], f"--engines: there is no stan. Known: {', '.join(CREW)}."),
    ],
)
def test_an_unknown_name_is_refused(arguments, text, tmp_path):
    with pytest.raises(SystemExit) as refused:
        main([*arguments, "--output", str(tmp_path)])
    assert str(refused.value) == text


# --- what is committed


def test_the_readme_has_the_tables_of_the_committed_results():
    readme = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    assert render(json.loads(RESULTS.read_text(encoding="utf-8"))) in readme
    picture = RESULTS.with_name(f"{RESULTS.stem}-growth.png")
    assert f"(results/{picture.name})" in readme
    assert picture.exists()


@pytest.mark.slow
def test_merged_rows_of_the_benchmark_are_the_same_fit(tmp_path):
    write_screen(tmp_path / "screen.parquet", 5, 4, 6)
    ways = [fit_once(tmp_path / "screen.parquet", way, 1, 20) for way in ("one replicate", "all rows", "merged")]
    assert [run["rows"] for run in ways] == [20, 120, 20]
    assert ways[2]["sigma"] == pytest.approx(ways[1]["sigma"], rel=1e-9)


# --- peers


def test_the_page_of_peers_has_the_table_of_its_figures():
    found = json.loads((BENCHMARKS / "results" / "peers.json").read_text(encoding="utf-8"))
    page = (BENCHMARKS.parent / "docs" / "peers.md").read_text(encoding="utf-8")
    assert peers.markdown(found) in page
    assert set(peers.CASES) == set(found) - {"versions"}
