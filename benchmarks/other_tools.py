"""MAGeCK's mle beside its test, drugZ and BAGEL: misses on HAP1, agreement of halves on AML, DepMap and HT-29.

    python -m benchmarks.other_tools FOLDER_OF_SCREENS --mageck PROGRAM [--drugz drugz.py] [--bagel BAGEL.py]
        [--python INTERPRETER_OF_THE_OTHERS] [--screens aml,depmap] [--counts NAME=FILE ...] [--misses] [--draws 1]

What misses and halves are `benchmarks.hits` says; halves are of all guides up to four of a gene. mle has an intercept
and one condition, and ranks by its z. Writes benchmarks/results/other_tools.json.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from benchmarks import hits


def mle(program: str) -> hits.Scores:
    """Score genes by the z of MAGeCK's maximum likelihood."""

    def score(table: pd.DataFrame) -> pd.Series:
        with TemporaryDirectory() as folder:
            hits._counts(table).to_csv(f"{folder}/counts.txt", sep="\t", index=False)
            samples = list(table["sample"].unique())
            design = pd.DataFrame({"Samples": ["T0", *samples], "baseline": 1, "line": [0] + [1] * len(samples)})
            design.to_csv(f"{folder}/design.txt", sep="\t", index=False)
            hits._run([program, "mle", "-k", "counts.txt", "-d", "design.txt", "-n", "out"], folder)
            return pd.read_csv(f"{folder}/out.gene_summary.txt", sep="\t").set_index("Gene")["line|z"]

    return score


def main() -> None:
    """Read the arguments, run the tools, write what they agree on or miss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for program in ("mageck", "drugz", "bagel"):
        parser.add_argument(f"--{program}")
    parser.add_argument("--python", default="python3")
    parser.add_argument("--screens", default="")
    parser.add_argument("--counts", action="append", default=[])
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--no-mle", action="store_true")
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "other_tools.json")
    given = parser.parse_args()
    scores: dict[str, hits.Scores] = {"mean": hits.mean("log_fc"), "call_genes": hits.calls("log_fc")}
    if given.mageck:
        scores |= {"MAGeCK2 test": hits.mageck(given.mageck)}
        scores |= {} if given.no_mle else {"MAGeCK2 mle": mle(given.mageck)}
    if given.drugz:
        scores["drugZ"] = hits.drugz(given.python, given.drugz)
    if given.bagel:
        scores["BAGEL2 (with the controls)"] = hits.bagel(given.python, given.bagel)
    hits.PARTS = {"four": (0, 1, 2, 3)}
    hits.HALVES = {"4 guides": ("four", "four")}
    hits.SETTINGS = ((2, 1), (2, 3), (4, 1))
    results = json.loads(given.output.read_text()) if given.output.exists() else {}
    controls = hits.hap1(given.folder).drop_duplicates("gene")[["gene", "control"]]
    controls = controls[controls["control"] != "other"]
    tables: dict[str, Any] = {
        name: lambda name=name: hits.of_lines(given.folder / f"{name}.csv") for name in ("aml", "depmap")
    } | {"hap1": lambda: hits.hap1(given.folder)}
    wanted = {name: tables[name] for name in given.screens.split(",") if name}
    for pair in given.counts:
        name, path = pair.split("=", 1)
        wanted[name] = lambda path=path: hits.of_counts(Path(path), controls)
    for name, read in wanted.items():
        began = time.process_time()
        print(f"\n== {name}")
        found = (hits.compare if given.misses else hits.agreements)(read(), scores, given.draws)
        for score, by_setting in found.items():
            place = results.setdefault(name if given.misses else f"{name}, halves", {}).setdefault(score, {})
            place.update({key: [round(one, 5) for one in values] for key, values in by_setting.items()})
        given.output.write_text(json.dumps(results, indent=1) + "\n")
        print(f"{time.process_time() - began:.0f} CPU seconds of this process")


if __name__ == "__main__":
    main()
