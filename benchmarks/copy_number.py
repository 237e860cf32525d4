"""Copy number as a term of the formula beside CRISPRcleanR's correction: misses, and calls of amplified genes.

    python -m benchmarks.copy_number FOLDER_OF_SCREENS CLONE_OF_CRISPRCLEANR

HT-29 with the library Brunello and with MiniLibCas9, whose counts, positions and HT-29's copies and expression are in
CRISPRcleanR's repository. It segments the fold changes along the genome (R, with DNAcopy) and takes off the mean of
each segment that has three genes or more. Beside it: the number of copies as a term of the formula, as a line and as a
curve, and the same segments, of three genes or more, as a group of it. A gene that is not expressed (FPKM below 0.05)
matters to no cell: its calls are false. Called are the genes down to the rank that keeps 5 % false ones by Hart's
controls, and those of `call_genes`. Writes benchmarks/results/copy_number.json.
"""

import argparse
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

import speclet_formula as sf
from benchmarks.hits import called, hap1, of_counts, recall

LIBRARIES = {"Brunello": "HT29-Brunello_counts.tsv", "MiniLibCas9": "HT29-MiniLibCas9_counts.tsv"}
FEWEST = 3  # genes of a segment that is corrected
SILENT = 0.05  # FPKM below which a gene is not expressed
BANDS = {"up to 3 copies": (0, 3), "4 copies": (4, 4), "5 copies": (5, 5), "8 copies or more": (8, 99)}
WITHOUT = "log_fc ~ (1 | gene) + (1 | gene:sgRNA)"


def cleaned(table: pd.DataFrame, clone: Path, library: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows with CRISPRcleanR's correction, segments and copies, and what is known of genes."""
    with TemporaryDirectory() as folder:
        wide = table.pivot_table(index=["sgRNA", "gene"], columns="sample", values="log_fc").reset_index()
        wide.to_csv(f"{folder}/foldchanges.csv", index=False)
        script = Path(__file__).with_suffix(".R")
        command = ["Rscript", str(script), str(clone), f"{library}_Library", folder]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        guides = pd.read_csv(
            f"{folder}/corrected.csv", dtype={"sgRNA": str, "segment": str}, low_memory=False
        ).set_index("sgRNA")
        genes = pd.read_csv(f"{folder}/genes.csv").set_index("gene")
    genes = genes[~genes.index.duplicated()]
    rows = table[table["sgRNA"].isin(guides.index) & table["gene"].isin(genes.index[genes["copies"] >= 0])]
    found = guides.loc[rows["sgRNA"]]
    rows = rows.assign(segment=found["segment"].to_numpy(), copies=genes["copies"].loc[rows["gene"]].to_numpy())
    rows["wide"] = (found["genes"] >= FEWEST).to_numpy().astype(float)
    rows["cleaned"] = rows["log_fc"] + (found["corrected"] - found["average"]).to_numpy()
    print(f"{library}: {rows['gene'].nunique():,} genes, {rows['segment'].nunique()} segments, "
          f"{guides['seconds'].iloc[0]:.0f} processor seconds of CRISPRcleanR", flush=True)  # fmt: skip
    return rows, genes


def scores(rows: pd.DataFrame) -> dict[str, Callable[[], tuple[pd.Series, pd.Series]]]:
    """Return how genes are scored: low ones are essential; and whether call_genes calls them."""

    def of_table(value: str) -> tuple[pd.Series, pd.Series]:
        genes = sf.call_genes(rows, value=value).table.set_index("gene")
        return rows.groupby("gene")[value].mean(), genes["called"]

    def of_formula(terms: str) -> tuple[pd.Series, pd.Series]:
        fit = sf.lmer(f"{WITHOUT} {terms}", rows, method="reml")
        print(sf.varcorr(fit)[["grp", "sdcor"]].to_string(), sf.fixef(fit).to_string(), flush=True)
        genes = sf.call_genes(fit).table.set_index("gene")
        return sf.rank_genes(fit, direction="negative").set_index("gene")["estimate"], genes["called"]

    return {
        "uncorrected": lambda: of_table("log_fc"),
        "CRISPRcleanR": lambda: of_table("cleaned"),
        "copies": lambda: of_formula("+ copies"),
        "s(copies)": lambda: of_formula("+ s(copies, k = 4)"),
        # Segments of fewer genes are single essential genes: they get no mean of their own.
        "0 + wide + (0 + wide | segment)": lambda: of_formula("+ 0 + wide + (0 + wide | segment)"),
    }


def judged(found: tuple[pd.Series, pd.Series], rows: pd.DataFrame, genes: pd.DataFrame) -> dict[str, Any]:
    """Return misses of essentials, and the share of the genes that are not expressed that is called, by copies."""
    classes = rows.drop_duplicates("gene").set_index("gene")["control"]
    by_controls = pd.Series(classes.index.isin(called(found[0], classes)), classes.index)
    silent = genes.loc[(genes["fpkm"] < SILENT) & genes.index.isin(classes.index)]
    essential = classes.index[classes == "essential"]
    result: dict[str, Any] = {
        "missed": 1 - recall(found[0], classes), "missed by call_genes": 1 - float(found[1][essential].mean()),
        "called by controls": int(by_controls.sum()), "called by call_genes": int(found[1].sum()),
    }  # fmt: skip
    for name, (low, high) in BANDS.items():
        those = silent.index[silent["copies"].between(low, high)]
        amplified = genes.index[genes["copies"].between(low, high) & genes.index.isin(classes.index)]
        for how, calls in (("controls", by_controls), ("call_genes", found[1])):
            result[f"{name}, not expressed, {how}"] = [int(calls[those].sum()), len(those)]
            result[f"{name}, all, {how}"] = [int(calls[amplified].sum()), len(amplified)]
    return result


def main() -> None:
    """Read the arguments, judge each correction of each library, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("clone", type=Path)
    given = parser.parse_args()
    controls = hap1(given.folder).drop_duplicates("gene")[["gene", "control"]]
    controls = controls[controls["control"] != "other"]
    output, results = Path(__file__).parent / "results" / "copy_number.json", {}
    for library, name in LIBRARIES.items():
        table = of_counts(given.clone / "inst" / "extdata" / name, controls)
        rows, genes = cleaned(table, given.clone.resolve(), library)
        for score, run in scores(rows).items():
            results.setdefault(library, {})[score] = judged(run(), rows, genes)
            print(score, json.dumps(results[library][score], indent=1), flush=True)
    output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
