"""A job goes in, one model is fitted as a user would fit it, and what it took comes out, in a fresh process.

`python -m benchmarks.child JOB.json OUT.json`. The clock of the whole process stops when the first fit is there;
the second fit of a package that is quick, and judging the draws, come after it.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ABSENT = 3
WARM_LIMIT = 60.0  # seconds: a first fit that took longer is not repeated

type Job = dict[str, Any]
type Fitter = Callable[[Job, Any, int], Any]  # job, table, seed -> what was fitted


def own_engine(method: Any) -> Fitter:
    """Return a fit by this package."""

    def fitted(job: Job, table: Any, seed: int) -> Any:
        import speclet_formula as sf

        taken = {"reml": (), "exact": ("draws", "chains")}.get(method, ("draws", "tune", "chains"))
        lengths = {key: job[key] for key in taken}
        kept = {} if method == "reml" or job.get("keep") is None else {"keep": tuple(job["keep"])}
        return sf.lmer(job["formula"], table, method=method, random_seed=seed, progress=False, **lengths, **kept)

    return fitted


def bambi_engine(inference_method: str) -> Fitter:
    """Return a fit by plain Bambi, with its own priors and settings."""

    def fitted(job: Job, table: Any, seed: int) -> Any:
        import bambi

        return bambi.Model(job["bambi_formula"], table).fit(
            inference_method=inference_method,
            random_seed=seed,
            progressbar=False,
            **{key: job[key] for key in ("draws", "tune", "chains")},
        )

    return fitted


ENGINES: dict[str, Fitter] = {
    "exact": own_engine("exact"),
    "nuts": own_engine("nuts"),
    "reml": own_engine("reml"),
    "bambi-pymc": bambi_engine("pymc"),
    "bambi-nutpie": bambi_engine("nutpie"),
    "bambi-numpyro": bambi_engine("numpyro"),
}


def run_job(job: Job) -> dict[str, Any]:
    """Fit, stop the clock, fit again where that is asked for, and judge the draws.

    Parameters
    ----------
    job : dict
        `engine`, `formula`, `bambi_formula`, `data` (path of a CSV file; of a Parquet file, which is read in pieces as
        part of the call), `draws`, `tune`, `chains`, `seed`, `keep` (factors whose effects are kept; None for all),
        and `warm`: how often to fit again.

    Returns
    -------
    dict
        `ready` and `finished` (seconds since 1970), `call` (seconds of the first fit, model included), `warm`
        (seconds of each later one), `cpu_seconds`, `peak_bytes`, and for draws what `smallest_ess` returns.
    """
    engine = job["engine"]
    _check_installed(engine)
    import pandas as pd

    _import_library(engine)
    table = _scanned(job["data"]) if job["data"].endswith(".parquet") else pd.read_csv(job["data"])
    ready = time.time()
    fitted = ENGINES[engine](job, table, job["seed"])
    finished = time.time()
    result = {"ready": ready, "finished": finished, "call": finished - ready, **_used(), "warm": []}
    for number in range(job["warm"] if finished - ready < WARM_LIMIT else 0):
        started = time.perf_counter()
        fitted = ENGINES[engine](job, table, job["seed"] + 1 + number)
        result["warm"].append(time.perf_counter() - started)
    return result if engine == "reml" else result | _judged(fitted)


def _scanned(path: str) -> Any:
    """Return a file that is read in pieces; only this package takes one."""
    import speclet_formula as sf

    return sf.scan(path)


def _check_installed(engine: str) -> None:
    """Leave, saying so, where the engine's software is missing."""
    from importlib.util import find_spec

    needed = {"bambi-nutpie": ["nutpie"], "bambi-numpyro": ["numpyro", "jax"]}.get(engine, [])
    if any(find_spec(name) is None for name in needed):
        sys.exit(ABSENT)
    if engine == "reml":
        from speclet_formula.common.engines import METHODS

        if engine not in METHODS:
            sys.exit(ABSENT)


def _import_library(engine: str) -> None:
    """Import what a user imports by name, so that it counts as importing and not as fitting."""
    if engine.startswith("bambi"):
        import bambi  # noqa: F401
    else:
        # What `import bambi` does as well: without it the engine's libraries would count as fitting.
        import speclet_formula.inference.exact.fit
        import speclet_formula.inference.fit  # noqa: F401


def _used() -> dict[str, Any]:
    """Return what this process and those that it started and waited for have used so far."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "cpu_seconds": sum(usage.ru_utime + usage.ru_stime for usage in both),
        "peak_bytes": max(usage.ru_maxrss for usage in both) * 1024,
    }


def _judged(fitted: Any) -> dict[str, Any]:
    """Return the smallest effective sample size of the draws."""
    from benchmarks.effective import smallest_ess

    tree = getattr(fitted, "idata", fitted)
    return smallest_ess(tree["posterior"].to_dataset())


if __name__ == "__main__":
    answer = run_job(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(answer), encoding="utf-8")
