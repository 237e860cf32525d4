"""A case's name goes in; a CSV file comes out, and whether it holds real or simulated data.

Real screens are read from a folder beside the repository and are not part of it; where it is missing, a screen of the
same size is simulated. Run as `python -m benchmarks.tables NAME FOLDER`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

import speclet_formula as sf
from benchmarks.cases import CASES, GROWTH_GUIDES, HUGE_SIZE, M7, growth_case

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
EFFECTS = {"Intercept": -0.5, "1|gene_sigma": 0.6, "1|gene:sgRNA_sigma": 0.4, "sigma": 0.5}
LINE_SD = 0.4
SEED = 103


def write_table(name: str, folder: Path, shared: Path = SHARED) -> dict[str, object]:
    """Write a case's table.

    Parameters
    ----------
    name : str
        Of a case, or `growth-GENESxLINES`.
    folder : Path
        Where to write `NAME.csv`, or `NAME.parquet` for the size that is too large for it; what is returned goes into
        `NAME.json` beside it.
    shared : Path
        Folder of the real data.

    Returns
    -------
    dict
        `source` ("real" or "simulated"), `rows` (int), and `levels` (int by text column).
    """
    if name == growth_case(*HUGE_SIZE).name:
        return _write_huge(folder / f"{name}.parquet", *HUGE_SIZE)
    table, source = _table(name, shared)
    path = folder / f"{name}.csv"
    table.to_csv(path, index=False)
    levels = {str(column): int(table[column].nunique()) for column in table.columns if table[column].dtype == "str"}
    facts: dict[str, object] = {"source": source, "rows": len(table), "levels": levels}
    path.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")
    return facts


def _write_huge(path: Path, genes: int, lines: int, *, genes_at_once: int = 1000) -> dict[str, object]:
    """Simulate a screen of m7's make into a Parquet file, some genes at a time."""
    rng = np.random.default_rng(SEED)
    line = rng.normal(0, LINE_SD, lines)
    writer = None
    for first in range(0, genes, genes_at_once):
        count = min(genes_at_once, genes - first)
        gene = np.repeat(np.arange(count), GROWTH_GUIDES * lines)
        guide = np.repeat(np.arange(count * GROWTH_GUIDES), lines)
        column = np.tile(np.arange(lines), count * GROWTH_GUIDES)
        mean = EFFECTS["Intercept"] + rng.normal(0, EFFECTS["1|gene_sigma"], count)[gene] + line[column]
        mean += rng.normal(0, EFFECTS["1|gene:sgRNA_sigma"], count * GROWTH_GUIDES)[guide]
        piece = pa.table(
            {
                "gene": _numbered("gene", first, count).take(gene),
                "sgRNA": _numbered("sgRNA", first * GROWTH_GUIDES, count * GROWTH_GUIDES).take(guide),
                "cell_line": _numbered("cell", 0, lines).take(column),
                "log_fc": mean + rng.normal(0, EFFECTS["sigma"], len(mean)),
            }
        )
        writer = parquet.ParquetWriter(path, piece.schema) if writer is None else writer
        writer.write_table(piece)
    if writer is not None:
        writer.close()
    levels = {"gene": genes, "sgRNA": genes * GROWTH_GUIDES, "cell_line": lines}
    facts: dict[str, object] = {"source": "simulated", "rows": genes * GROWTH_GUIDES * lines, "levels": levels}
    path.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")
    return facts


def _numbered(prefix: str, first: int, count: int) -> pa.Array:
    return pa.array([f"{prefix}_{number}" for number in range(first, first + count)])


def _table(name: str, shared: Path) -> tuple[pd.DataFrame, str]:
    """Return the table, and where it comes from."""
    if name == "m7":
        return sf.datasets.m7()[0], "simulated"
    if name.startswith("growth-"):
        genes, lines = (int(part) for part in name.removeprefix("growth-").split("x"))
        return _screen(genes, GROWTH_GUIDES, lines), "simulated"
    if name == "cells":
        return _cells(1250, 40, 10), "simulated"
    real = {"sleepstudy": _sleepstudy, "hap1": _hap1, "depmap": _depmap, "hap1_full": _hap1_full}[name]
    try:
        table = real(shared)
    except FileNotFoundError:
        return _stand_in(name), "simulated"
    formula = next(case.formula for case in CASES if case.name == name)
    return table[[column for column in table.columns if column in formula]].dropna(), "real"


def _cells(genes: int, lines: int, rows: int) -> pd.DataFrame:
    """Simulate rows in each cell of gene and line."""
    layout = sf.datasets.screen_design(genes=genes, guides_per_gene=1, cell_lines=lines, replicates=rows)
    known = {"Intercept": -0.5, "1|gene_sigma": 0.6, "1|cell_line_sigma": LINE_SD, "1|gene:cell_line_sigma": 0.3}
    formula = next(case.formula for case in CASES if case.name == "cells")
    table, _ = sf.simulate(formula, layout, known | {"sigma": 0.5}, random_seed=SEED)
    return table[["log_fc", "gene", "cell_line"]]


def _sleepstudy(shared: Path) -> pd.DataFrame:
    return pd.read_csv(shared / "lme4" / "sleepstudy.csv", dtype={"Subject": "str"}).assign(
        Subject=lambda table: "S" + table["Subject"]  # a number would be read back as one
    )


def _hap1(shared: Path) -> pd.DataFrame:
    return pd.read_csv(shared / "screens" / "hap1.csv")


def _depmap(shared: Path) -> pd.DataFrame:
    return pd.read_csv(shared / "screens" / "depmap.csv").assign(
        cn=lambda table: table["copy_number"].clip(upper=3) - 1  # as in the reference fits
    )


def _hap1_full(shared: Path) -> pd.DataFrame:
    return pd.read_csv(shared / "screens" / "hap1_full.csv.gz")


def _stand_in(name: str) -> pd.DataFrame:
    """Simulate a table of a real one's size and make."""
    rng = np.random.default_rng(SEED)
    if name == "sleepstudy":
        layout = pd.DataFrame(
            {"Days": np.tile(np.arange(10), 18), "Subject": np.repeat([f"S{number}" for number in range(18)], 10)}
        )
        known = {"Intercept": 251.0, "Days": 10.5, "1|Subject_sigma": 24.7, "Days|Subject_sigma": 5.9}
        known |= {"cor|Subject": 0.07, "sigma": 25.6}
        return sf.simulate("Reaction ~ Days + (Days | Subject)", layout, known, random_seed=SEED)[0]
    if name == "hap1":
        screen = _screen(145, 4, 1, replicates=3)
        kind = rng.choice(["essential", "nonessential", "other"], 145)
        return screen.assign(control=kind[pd.factorize(screen["gene"])[0]])
    if name == "depmap":
        screen = _screen(63, 4, 12, replicates=2)
        return screen.assign(is_mutated=rng.binomial(1, 0.1, len(screen)), cn=rng.normal(0, 0.3, len(screen)))
    return _screen(17_484, 4, 1, replicates=3)


def _screen(genes: int, guides: int, lines: int, *, replicates: int = 1) -> pd.DataFrame:
    """Simulate a screen of m7's make; with one line, effects belong to genes and sgRNAs alone."""
    layout = sf.datasets.screen_design(genes=genes, guides_per_gene=guides, cell_lines=lines, replicates=replicates)
    crossed = {"1|cell_line_sigma": LINE_SD} if lines > 1 else {}
    formula = M7 if crossed else M7.replace(" + (1 | cell_line)", "")
    return sf.simulate(formula, layout, EFFECTS | crossed, random_seed=SEED)[0]


if __name__ == "__main__":
    write_table(sys.argv[1], Path(sys.argv[2]))
