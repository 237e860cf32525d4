"""The command: names of cases and contenders go in; tables, a JSON file and a picture come out.

All contenders of a case run in one sitting and take turns, so that whatever else the machine does slows them alike.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, GROWTH_FROM, GROWTH_SIZES, HUGE_SIZE, Case, growth_case
from benchmarks.contenders import ENGINES, Run, record_of, run_contender
from benchmarks.machine import describe_machine
from benchmarks.processes import run_process
from benchmarks.report import render
from benchmarks.summary import slope, summarise
from benchmarks.targets import judge

RESULTS = Path(__file__).resolve().parent / "results"
PREPARING = 600.0  # seconds, for simulating a table or drawing the picture
QUICK_SIZES = GROWTH_SIZES[:2]
QUICK_CREW = ("exact", "reml", "lme4")

type Echo = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What to run, and for how long."""

    cases: tuple[Case, ...]
    sizes: tuple[tuple[int, int], ...]
    engines: tuple[str, ...]
    every_engine: bool  # engines were named: they run wherever they can, not only where they do by default
    repeats: int
    budget: float  # seconds that a contender may take of a case before it is not repeated
    limit: float
    fresh: bool  # nothing compiled earlier is used
    add: bool  # cases of the file that do not run again stay in it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    given = _parser().parse_args(arguments)
    if given.show:
        sys.stdout.write(render(json.loads(given.show.read_text(encoding="utf-8"))))
        return 0
    given.output.mkdir(parents=True, exist_ok=True)
    path = given.output / f"{given.name}.json"
    results = run_all(_options(given), path, _say)
    if results["growth"]:
        picture = path.with_name(f"{path.stem}-growth.png")
        run_process([sys.executable, "-m", "benchmarks.picture", str(path), str(picture)], limit=PREPARING)
    sys.stdout.write("\n" + render(results))
    return 0


def run_all(options: Options, path: Path, echo: Echo) -> dict[str, Any]:
    """Run every case and size, and write what is known after each.

    Parameters
    ----------
    options : Options
        What to run.
    path : Path
        The JSON file.
    echo : callable
        Takes a line of news.

    Returns
    -------
    dict
        What the file holds: `targets`, `machine`, `sittings` (what ran, the load averages of the machine at its
        start and end and the highest before a run, and seconds), `cases`, `growth`.
    """
    started, first, loads = time.time(), os.getloadavg(), [os.getloadavg()[0]]
    wanted = [*options.cases, *(growth_case(genes, lines) for genes, lines in options.sizes)]
    records, sittings = _earlier(path) if options.add else ([], [])
    results = _results(records, sittings)
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(wanted, 1):
            record = run_case(case, options, Path(folder), echo)
            # Only now: a sitting that is broken off takes nothing away that an earlier one found.
            records, sittings = _without(case.name, records, sittings)
            records.append(record)
            loads += [run["load"] for run in records[-1]["runs"]]
            sitting = {
                "ran": [each.name for each in wanted[:number]],
                "load": {"start": first, "end": os.getloadavg(), "highest": max(loads)},
                "seconds": time.time() - started,
            }
            results = _results(records, [*sittings, sitting])
            path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return results


def _earlier(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the cases, sizes among them, and the sittings of a file that was written earlier."""
    if not path.exists():
        return [], []
    known = json.loads(path.read_text(encoding="utf-8"))
    return [*known["cases"], *(known["growth"] or {"sizes": []})["sizes"]], known["sittings"]


def _without(
    name: str, records: list[dict[str, Any]], sittings: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return both without a case that ran again; a sitting of which nothing is left goes too."""
    left = [{**each, "ran": [other for other in each["ran"] if other != name]} for each in sittings]
    return [record for record in records if record["name"] != name], [each for each in left if each["ran"]]


def run_case(case: Case, options: Options, folder: Path, echo: Echo) -> dict[str, Any]:
    """Run the contenders of a case in turn, the quick ones again.

    Returns
    -------
    dict
        The case's fields, its table's `source`, `rows` and `levels`, `runs` and their `summary`.
    """
    prepared = run_process([sys.executable, "-m", "benchmarks.tables", case.name, str(folder)], limit=PREPARING)
    if prepared.status != "ok":
        raise RuntimeError(f"the table of {case.name} could not be made: {prepared.message}")
    table = folder / f"{case.name}{case.suffix}"
    facts = json.loads(table.with_suffix(".json").read_text(encoding="utf-8"))
    crew = [engine for engine in options.engines if options.every_engine or engine in case.crew]
    runs: list[Run] = []
    for turn in range(options.repeats):
        for engine in crew:
            if _has_turn(engine, runs, turn, options.budget):
                limit = min(options.limit, case.seconds)
                run = run_contender(
                    engine,
                    case,
                    table,
                    folder,
                    seed=1 + turn,
                    limit=limit,
                    load=os.getloadavg()[0],
                    fresh=options.fresh,
                )
                runs.append(run)
                echo(_news(case, run))
    table.unlink()
    records = [record_of(run) for run in runs]
    named = {name: getattr(case, name) for name in ("name", "formula", "meaning", "draws", "tune", "chains")}
    return {**named, **facts, "summary": summarise(records), "runs": records}


def _has_turn(engine: str, runs: Sequence[Run], turn: int, budget: float) -> bool:
    """Say whether a contender runs (again): it ended well, and another run fits into its time."""
    own = [run for run in runs if run.engine == engine]
    if turn == 0:
        return True
    spent = sum(run.process for run in own)
    return own[-1].status == "ok" and spent + own[-1].process <= budget


def _results(records: list[dict[str, Any]], sittings: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the file holds, cases and sizes in the order of the lists."""
    sizes = sorted(
        (record for record in records if record["name"].startswith("growth-")), key=lambda size: size["rows"]
    )
    found = {record["name"]: record for record in records}
    machine = describe_machine()
    versions = {name: text for record in records for run in record["runs"] for name, text in run["versions"].items()}
    machine["versions"] = {**machine["versions"], **versions}  # type: ignore[dict-item]
    results: dict[str, Any] = {
        "machine": machine,
        "sittings": sittings,
        "cases": [found[case.name] for case in CASES if case.name in found],
        "growth": growth_of(sizes) if sizes else None,
    }
    return {"targets": judge(results), **results}


def growth_of(sizes: list[dict[str, Any]]) -> dict[str, Any]:
    """Gather the sizes of the growth curve.

    Parameters
    ----------
    sizes : list of dict
        As `run_case` returns them; each gets its number of `coefficients`.

    Returns
    -------
    dict
        `formula`, `fitted_from` (rows), `sizes`, and by engine `slopes` and `memory_slopes`, of the logarithms of time
        and peak memory on that of rows, and `unfinished`: the rows of the sizes that did not end well. With one of
        those there is no slope, which would come from the sizes that went well alone.
    """
    for size in sizes:
        size["coefficients"] = 1 + sum(size["levels"].values())  # the intercept
    engines = dict.fromkeys(row["engine"] for size in sizes for row in size["summary"])
    return {
        "formula": sizes[0]["formula"],
        "fitted_from": GROWTH_FROM,
        "unfinished": {engine: _unfinished(sizes, engine) for engine in engines},
        "slopes": {engine: _slope(sizes, engine, "call") for engine in engines},
        "memory_slopes": {engine: _slope(sizes, engine, "peak_bytes") for engine in engines},
        "sizes": sizes,
    }


def _slope(sizes: list[dict[str, Any]], engine: str, name: str) -> float | None:
    large = [size for size in sizes if size["rows"] >= GROWTH_FROM and _rows_of(size, engine)]
    points = [(size["rows"], row[name]) for size in large for row in _rows_of(size, engine) if row["status"] == "ok"]
    return slope(*zip(*points, strict=True)) if len(points) > 1 and len(points) == len(large) else None


def _unfinished(sizes: list[dict[str, Any]], engine: str) -> list[int]:
    return [size["rows"] for size in sizes for row in _rows_of(size, engine) if row["status"] != "ok"]


def _rows_of(size: dict[str, Any], engine: str) -> list[dict[str, Any]]:
    return [row for row in size["summary"] if row["engine"] == engine]


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _news(case: Case, run: Run) -> str:
    ess = "" if run.ess is None else f", smallest ESS {run.ess:,.0f}"
    ending = "" if run.status == "ok" else f" ({run.status}: {run.message})"
    memory = f"{run.peak_bytes / 1e6:,.0f} MB"
    return f"{case.name:>14}  {run.engine:<14} {run.process:8.2f} s, {memory}{ess}{ending}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    names = ",".join(case.name for case in CASES)
    parser.add_argument("--quick", action="store_true", help="a minute's look: m7 and two small sizes, few draws")
    parser.add_argument("--engines", type=_names, help=f"only these, wherever they can: {','.join(ENGINES)}")
    parser.add_argument("--skip", type=_names, default=(), help="engines to leave out")
    parser.add_argument("--data", type=_names, help=f"only these cases: {names},growth,huge; 'none' for no case")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each quick contender")
    parser.add_argument("--budget", type=float, default=90.0, help="seconds of a case after which it is not repeated")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds after which a run is stopped")
    parser.add_argument("--name", default="results", help="of the files that are written")
    parser.add_argument("--output", type=Path, default=RESULTS, help="their folder")
    parser.add_argument("--add", action="store_true", help="keep the other cases of a file that is there")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the tables of a file that was written earlier")
    return parser


def _options(given: argparse.Namespace) -> Options:
    """Return what the arguments ask for."""
    known = {case.name: case for case in CASES}
    chosen = given.data or (("m7", "growth") if given.quick else (*known, "growth"))
    _check(chosen, (*known, "growth", "huge", "none"), "data")
    engines = given.engines or (QUICK_CREW if given.quick else ENGINES)
    _check((*engines, *given.skip), ENGINES, "engines")
    sizes = (QUICK_SIZES if given.quick else GROWTH_SIZES) if "growth" in chosen else ()
    sizes += (HUGE_SIZE,) if "huge" in chosen else ()
    cases = [known[name] for name in chosen if name in known]
    if given.quick:
        cases = [replace(case, draws=100, tune=100) for case in cases]
    return Options(
        cases=tuple(cases),
        sizes=sizes,
        engines=tuple(engine for engine in engines if engine not in given.skip),
        every_engine=given.engines is not None,
        repeats=1 if given.quick else given.repeats,
        budget=given.budget,
        limit=given.limit,
        fresh=not given.quick,
        add=given.add,
    )


def _check(names: Sequence[str], known: Sequence[str], argument: str) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"--{argument}: there is no {', '.join(unknown)}. Known: {', '.join(known)}.")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


if __name__ == "__main__":
    sys.exit(main())
