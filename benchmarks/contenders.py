"""A contender, a case and its table go in; one timed run comes out.

How each contender is started stands here; what it does, in `child.py`, `lme4.R` and `brms.R`.
"""

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.cases import CREW, Case
from benchmarks.processes import Outcome, Status, run_process

HERE = Path(__file__).resolve().parent
WARM = 2  # second fits in the same process, of contenders that are quick
QUICK = ("exact", "reml", "lme4")
ENGINES = CREW


@dataclass(frozen=True)
class Run:
    """One run of one contender. Times in seconds; None where there is no such number."""

    engine: str
    status: Status
    message: str
    process: float  # from the start of the process until the first fit is there: imports, reading, compiling, fitting
    call: float | None  # the first fit: model, set-up, compiling, sampling
    warm: tuple[float, ...]  # later fits in the same process
    cpu: float  # processor time until the first fit is there
    peak_bytes: int
    ess: float | None  # the smallest of all parameters
    ess_parameter: str | None
    parameters: int | None
    load: float  # the machine's load average over a minute, before the run
    versions: dict[str, str]  # of R and its package, for a contender in R


def run_contender(
    engine: str, case: Case, table: Path, folder: Path, *, seed: int, limit: float, load: float, fresh: bool = True
) -> Run:
    """Run a contender once.

    Parameters
    ----------
    engine : str
        One of `ENGINES`.
    case : Case
        The model.
    table : Path
        Its data, as a CSV file.
    folder : Path
        For files in passing, and for what the contenders' compilers keep.
    seed : int
        Of the draws.
    limit : float
        Seconds after which the run is stopped.
    fresh : bool
        Whether what is compiled is kept in `folder`, empty at first, instead of where it always is.
    load : float
        What to note down as the machine's load.

    Returns
    -------
    Run
    """
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    outcome = run_process(
        _command(engine, case, table, folder, seed),
        limit=limit,
        environment=_environment(engine, case, folder if fresh else None),
    )
    found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8")) if outcome.status == "ok" else {}
    if engine == "brms" and found:
        found |= _judged(folder)
    return _as_run(engine, outcome, found, load)


def record_of(run: Run) -> dict[str, Any]:
    """Return a run as JSON has it."""
    return asdict(run)


def _command(engine: str, case: Case, table: Path, folder: Path, seed: int) -> list[str]:
    """Return what starts a contender, and write its job where it needs one."""
    answer = folder / "answer.json"
    if engine in ("lme4", "brms"):
        program = shutil.which("Rscript")
        if program is None:
            return [sys.executable, "-c", "raise SystemExit(3)"]
        own = [str(WARM)]
        if engine == "brms":
            own = [str(case.draws), str(case.tune), str(seed), str(folder / "draws.csv")]
        return [program, str(HERE / f"{engine}.R"), str(table), case.formula, str(answer), *own]
    job = {
        "engine": engine,
        "formula": case.formula,
        "bambi_formula": case.bambi_formula,
        "data": str(table),
        "draws": case.draws,
        "tune": case.tune,
        "chains": case.chains,
        "seed": seed,
        "keep": case.keep,
        "warm": WARM if engine in QUICK else 0,
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    return [sys.executable, "-m", "benchmarks.child", str(path), str(answer)]


def _environment(engine: str, case: Case, folder: Path | None) -> dict[str, str]:
    """Keep what a contender compiles in a folder of this sitting: it starts as on a machine that never ran it."""
    # JAX shows one device, on which numpyro runs chains one after the other; with one for each it uses all cores.
    variables = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={case.chains}"}
    if folder is not None:
        kept = folder / f"compiled-{engine}"
        variables["NUMBA_CACHE_DIR"] = str(kept / "numba")
        variables["PYTENSOR_FLAGS"] = f"base_compiledir={kept / 'pytensor'}"
    return variables


def _judged(folder: Path) -> dict[str, Any]:
    """Have the draws that R left in a file judged as all others are."""
    path = folder / "ess.json"
    command = [sys.executable, "-m", "benchmarks.effective", str(folder / "draws.csv"), str(path)]
    done = run_process(command, limit=600.0)
    return dict(json.loads(path.read_text(encoding="utf-8"))) if done.status == "ok" else {}


def _as_run(engine: str, outcome: Outcome, found: dict[str, Any], load: float) -> Run:
    return Run(
        engine=engine,
        status=outcome.status,
        message=outcome.message,
        process=found["finished"] - outcome.started if found else outcome.seconds,
        call=found.get("call"),
        warm=tuple(found.get("warm", ())),
        cpu=found.get("cpu_seconds", outcome.cpu_seconds),
        peak_bytes=found.get("peak_bytes", outcome.peak_bytes),
        ess=found.get("ess"),
        ess_parameter=found.get("ess_parameter"),
        parameters=found.get("parameters"),
        load=load,
        versions={engine: found["version"], "R": found["r"]} if "version" in found else {},
    )
