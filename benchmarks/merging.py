"""Numbers of genes, lines and replicates go in; time and memory of a fit of all rows and of merged ones come out.

`python -m benchmarks.merging` simulates a screen, replicate by replicate, into a Parquet file, and fits it by `exact`
in fresh processes that take turns. A fit of one replicate, which has as many rows as the merged table, is what merging
could come down to.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

FORMULA = "log_fc ~ 1 + (1 | gene) + (1 | cell_line)"
SEED = 103
WAYS = ("one replicate", "all rows", "merged")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.merging", description=__doc__)
    parser.add_argument("--genes", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=50)
    parser.add_argument("--replicates", type=int, default=20, help="rows of each gene in each line")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--child", nargs=3, metavar=("FILE", "WAY", "ROWS"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        path, way, rows = given.child
        sys.stdout.write(json.dumps(fit_once(Path(path), way, given.cores, int(rows))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "screen.parquet"
        write_screen(path, given.genes, given.lines, given.replicates)
        sys.stdout.write(
            "| rows of the fit | as | model s | fit s | peak MB | above one replicate, bytes a row | sigma |\n"
        )
        sys.stdout.write("|---|---|---|---|---|---|---|\n")
        total = given.genes * given.lines * given.replicates
        for _ in range(given.repeats):
            runs = [_run(path, way, given.cores, given.genes * given.lines) for way in WAYS]
            for way, run in zip(WAYS, runs, strict=True):
                above = (run["peak"] - runs[0]["peak"]) / total
                sys.stdout.write(
                    f"| {way} | {run['rows']:,.0f} | {run['model']:.1f} | {run['fit']:.1f} | "
                    f"{run['peak'] / 1e6:,.0f} | {above:.0f} | {run['sigma']:.10f} |\n"
                )


def write_screen(path: Path, genes: int, lines: int, replicates: int) -> None:
    """Simulate a screen into a Parquet file, one replicate after the other, so that no two rows of a cell are near."""
    import pyarrow as pa
    from pyarrow import parquet

    rng = np.random.default_rng(SEED)
    gene, line = rng.normal(0, 0.6, genes), rng.normal(0, 0.4, lines)
    names = [pa.array([f"{kind}_{k}" for k in range(count)]) for kind, count in (("gene", genes), ("cell", lines))]
    of_gene, of_line = np.repeat(np.arange(genes), lines), np.tile(np.arange(lines), genes)
    labels = {"gene": names[0].take(of_gene), "cell_line": names[1].take(of_line)}
    schema = pa.schema([("gene", pa.string()), ("cell_line", pa.string()), ("log_fc", pa.float64())])
    with parquet.ParquetWriter(path, schema) as writer:
        for _ in range(replicates):
            values = -0.5 + gene[of_gene] + line[of_line] + rng.normal(0, 0.5, len(of_gene))
            writer.write_table(pa.table({**labels, "log_fc": values}, schema=schema))


def fit_once(path: Path, way: str, cores: int, rows: int) -> dict[str, float]:
    """Fit a file, or its first rows, and say what that took.

    Returns
    -------
    dict
        `rows` (of the design), `model` and `fit` (seconds), `peak` (bytes) and `sigma` (its posterior mean).
    """
    import polars as pl

    import speclet_formula as sf

    source = pl.scan_parquet(path).head(rows) if way == "one replicate" else path
    started = time.perf_counter()
    model = sf.Model(FORMULA, sf.scan(source, merge=way == "merged"))
    read = time.perf_counter()
    fit = sf.fit(model, draws=250, random_seed=1, cores=cores, progress=False)
    return {
        "rows": len(model.design.response),
        "model": read - started,
        "fit": time.perf_counter() - read,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0,
        "sigma": float(fit.idata["posterior"]["sigma"].mean()),
    }


def _run(path: Path, way: str, cores: int, rows: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.merging", "--cores", str(cores), "--child", str(path), way]
    command += [str(rows)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


if __name__ == "__main__":
    main()
