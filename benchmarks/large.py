"""A screen of more rows than are held at once: simulated into Parquet files, read and merged by workers, and fitted.

`python -m benchmarks.large FOLDER` writes the files that are not there yet, each with all replicates of some cell
lines, and then, in a fresh process, reads them with workers of a Dask cluster on this machine, merges their rows and
fits the model by `exact`. What it took is printed as JSON: seconds of wall and processor time, and the highest memory
of this process and of the workers. `--check 2` compares the table of the first two files, read by the cluster, with
that of one process, to the last digit.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import GROWTH_GUIDES, HUGE_SIZE, M7

SEED = 103
EFFECTS = {"Intercept": -0.5, "gene": 0.6, "sgRNA": 0.4, "cell_line": 0.4, "sigma": 0.5}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--genes", type=int, default=HUGE_SIZE[0])
    parser.add_argument("--lines", type=int, default=HUGE_SIZE[1])
    parser.add_argument("--replicates", type=int, default=10, help="rows of each guide in each line")
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2, help="of the cluster; 0 for this process alone")
    parser.add_argument("--check", type=int, default=0, metavar="FILES", help="compare some files with one process")
    parser.add_argument("--no-fit", action="store_true", help="read only")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    paths = [given.folder / f"lines-{number:03}.parquet" for number in range(given.files)]
    for number, path in enumerate(paths):
        if not path.exists():
            lines = np.array_split(np.arange(given.lines), given.files)[number]
            write_lines(path, given.genes, lines, given.replicates)
    rows = given.genes * GROWTH_GUIDES * given.lines * given.replicates
    found = {"rows": rows, "files": given.files, "workers": given.workers, **_run(paths, given)}
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


def write_lines(path: Path, genes: int, lines: np.ndarray, replicates: int) -> None:
    """Simulate the replicates of some cell lines, a row group for each line; effects are those of the whole screen."""
    import pyarrow as pa
    from pyarrow import parquet

    guides = genes * GROWTH_GUIDES
    rng = np.random.default_rng(SEED)
    mean = EFFECTS["Intercept"] + np.repeat(rng.normal(0, EFFECTS["gene"], genes), GROWTH_GUIDES)
    mean += rng.normal(0, EFFECTS["sgRNA"], guides)
    of_guide = np.tile(np.arange(guides), replicates)
    gene, guide = (pa.array([f"{kind}_{k}" for k in range(count)]) for kind, count in (("gene", genes), ("sg", guides)))
    labels = {"gene": gene.take(of_guide // GROWTH_GUIDES), "sgRNA": guide.take(of_guide)}
    text, number = pa.string(), pa.float64()
    schema = pa.schema([("gene", text), ("sgRNA", text), ("cell_line", text), ("log_fc", number)])
    beside = path.with_suffix(".part")
    with parquet.ParquetWriter(beside, schema) as writer:
        for line in lines.tolist():
            own = np.random.default_rng([SEED, line])
            values = mean[of_guide] + own.normal(0, EFFECTS["cell_line"])
            values += own.normal(0, EFFECTS["sigma"], len(of_guide))
            name = pa.array([f"cell_{line}"]).take(np.zeros(len(of_guide), dtype=np.int64))
            writer.write_table(pa.table({**labels, "cell_line": name, "log_fc": values}, schema=schema))
    beside.rename(path)  # so that a file is whole, or not there


def _run(paths: list[Path], given: argparse.Namespace) -> dict[str, Any]:
    """Read on a cluster, or here, and fit."""
    import joblib

    if not given.workers:
        return _timed(paths, given, cores=1)
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=given.workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        found = _timed(paths, given, cores=None)
        of_workers = list(client.run(_used).values())
    found["workers_cpu"] = sum(used["cpu"] for used in of_workers)
    found["workers_peak_gb"] = sum(used["peak_gb"] for used in of_workers)
    return found


def _timed(paths: list[Path], given: argparse.Namespace, *, cores: int | None) -> dict[str, Any]:
    """Time the model and the fit, and compare a part of the table where that is asked for."""
    import speclet_formula as sf

    found: dict[str, Any] = {}
    if given.check:
        some = paths[: given.check]
        one, many = (sf.Model(M7, sf.scan(some, merge=True, cores=count)).data for count in (1, cores))
        found["same_as_one_process"] = bool(one.equals(many))
    started, processor = time.perf_counter(), time.process_time()
    model = sf.Model(M7, sf.scan(paths, merge=True, cores=cores))
    found |= {"cells": len(model.data), "read_wall": time.perf_counter() - started}
    found["read_cpu"] = time.process_time() - processor
    if not given.no_fit:
        fit = sf.fit(model, draws=250, random_seed=1, progress=False, keep=("gene", "cell_line"))
        sds = sf.varcorr(fit).set_index("grp")["sdcor"]
        found |= {"verdict": repr(fit).splitlines()[0], "sds": sds.round(4).to_dict()}
    found |= {"wall": time.perf_counter() - started, "cpu": time.process_time() - processor}
    return found | {"peak_gb": _used()["peak_gb"]}


def _used() -> dict[str, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": used.ru_utime + used.ru_stime, "peak_gb": used.ru_maxrss * 1024 / 1e9}


if __name__ == "__main__":
    main()
