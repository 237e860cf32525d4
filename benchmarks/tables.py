"""A case's name goes in; a CSV file comes out, and whether it holds real or simulated data.

Real screens are read from a folder beside the repository and are not part of it; where it is missing, a screen of the
same size is simulated. Run as `python -m benchmarks.tables NAME FOLDER`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

import speclet_formula as sf
from benchmarks.cases import CASES, GROWTH_GUIDES, M7

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
EFFECTS = {"Intercept": -0.5, "1|gene_sigma": 0.6, "1|gene:sgRNA_sigma": 0.4, "sigma": 0.5}
SEED = 103


def write_table(name: str, folder: Path, shared: Path = SHARED) -> dict[str, object]:
    """Write a case's table.

    Parameters
    ----------
    name : str
        Of a case, or `growth-GENESxLINES`.
    folder : Path
        Where to write `NAME.csv`; what is returned goes into `NAME.json` beside it.
    shared : Path
        Folder of the real data.

    Returns
    -------
    dict
        `source` ("real" or "simulated"), `rows` (int), and `levels` (int by text column).
    """
    table, source = _table(name, shared)
    path = folder / f"{name}.csv"
    table.to_csv(path, index=False)
    levels = {str(column): int(table[column].nunique()) for column in table.columns if table[column].dtype == "str"}
    facts: dict[str, object] = {"source": source, "rows": len(table), "levels": levels}
    path.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")
    return facts


def _table(name: str, shared: Path) -> tuple[pd.DataFrame, str]:
    """Return the table, and where it comes from."""
    if name == "m7":
        return sf.datasets.m7()[0], "simulated"
    if name.startswith("growth-"):
        genes, lines = (int(part) for part in name.removeprefix("growth-").split("x"))
        return _screen(genes, GROWTH_GUIDES, lines), "simulated"
    real = {"sleepstudy": _sleepstudy, "hap1": _hap1, "depmap": _depmap, "hap1_full": _hap1_full}[name]
    try:
        table = real(shared)
    except FileNotFoundError:
        return _stand_in(name), "simulated"
    formula = next(case.formula for case in CASES if case.name == name)
    return table[[column for column in table.columns if column in formula]].dropna(), "real"


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
    crossed = {"1|cell_line_sigma": 0.4} if lines > 1 else {}
    formula = M7 if crossed else M7.replace(" + (1 | cell_line)", "")
    return sf.simulate(formula, layout, EFFECTS | crossed, random_seed=SEED)[0]


if __name__ == "__main__":
    write_table(sys.argv[1], Path(sys.argv[2]))
