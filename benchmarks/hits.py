"""How many essential genes a screen's ranks miss at 5 % false discoveries, beside the mean of guides and other tools.

    python -m benchmarks.hits FOLDER_OF_SCREENS [--draws 20] [--counts NAME=FILE ...] [--mageck PROGRAM]
        [--bagel BAGEL.py] [--drugz drugz.py] [--jacks run_JACKS.py] [--chronos INTERPRETER_WITH_IT]
        [--python INTERPRETER_OF_THE_OTHERS] [--model] [--as-counts laplace] [--halves] [--sequences NAME=FILE]

The folder holds hap1_full.csv.gz, and aml.csv and depmap.csv, of which each line is a screen. In each draw genes keep
some of their guides and the screen some of its replicates, both at random. A score misses what it does not find: 1 less
the largest recall of essential genes (Hart's list) down to a rank where nonessential ones are at most 5 % of the two.
Ratios are to the misses of the plain mean over the same draws, with a jackknife standard error. Other screens come as
tables of counts, the plasmid first (those of HT-29 are in CRISPRcleanR's repository, inst/extdata), with the controls
of hap1_full by their names. Where a file says the sequences of their guides (columns sgRNA and sequence; of Brunello
the 20 bases before the PAM in the library of the same repository), these are taken out too, and guides without them are
left out. Other tools are run where their programs are named; BAGEL is given the controls, and scores each gene by the
others; JACKS and Chronos are given the nonessential ones. Writes benchmarks/results/hits.json.

With --halves the question is another one: how far do the hits of one half of the replicates agree with those of the
other half? Hits are the genes down to the rank of above, or as many of the first as there are essential genes in the
screen; agreement is the genes that are hits of both, of those that are hits of either. Both halves see the same guides,
or each half others. Their first reads are the same, and so is what a guide does besides: agreement is not truth.
"""

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pandas as pd

import speclet_formula as sf

RATE = 0.05
SETTINGS = ((2, 1), (2, 3), (4, 1), (4, 3))  # guides, replicates
PARTS = {"four": (0, 1, 2, 3), "two": (0, 1), "others": (2, 3)}  # of a gene's guides in random order
HALVES = {
    "4 guides": ("four", "four"),
    "2 guides": ("two", "two"),
    "2 guides each": ("two", "others"),
}  # of the one half and of the other
ADJUSTED = "log_fc_adjusted"
_ADJUSTED: dict[tuple[int, bool], pd.DataFrame] = {}  # of the draw that is scored
type Scores = Callable[[pd.DataFrame], pd.Series]


def called(scores: pd.Series, classes: pd.Series) -> pd.Index:
    """Return the genes down to the last rank that keeps 5 % false discoveries; low scores are essential."""
    frame = pd.DataFrame({"score": scores.reindex(classes.index).fillna(np.inf), "essential": classes == "essential"})
    known = frame[classes.isin(["essential", "nonessential"]).to_numpy()].sort_values("score", kind="stable")
    ranks, hits = np.arange(1, len(known) + 1), known["essential"].cumsum()
    last = known["score"].ne(known["score"].shift(-1)).to_numpy()
    kept = known["score"].to_numpy()[last & ((ranks - hits) / ranks <= RATE).to_numpy()]
    return frame.index[frame["score"] <= kept.max()] if len(kept) else frame.index[:0]


def recall(scores: pd.Series, classes: pd.Series) -> float:
    """Return the largest recall of essential genes at 5 % false discoveries."""
    essential = classes.index[classes == "essential"]
    return len(called(scores, classes).intersection(essential)) / len(essential)


def draws_of(table: pd.DataFrame, guides: int, replicates: int, n: int) -> Iterator[pd.DataFrame]:
    """Draw guides and replicates; where all are kept there is one draw."""
    library = table.drop_duplicates("sgRNA")[["sgRNA", "gene"]]
    samples = table["sample"].unique()
    everything = guides >= library.groupby("gene").size().max() and replicates >= len(samples)
    for seed in range(1 if everything else n):
        rng = np.random.default_rng(seed)
        place = library.assign(order=rng.random(len(library))).sort_values("order").groupby("gene").cumcount()
        kept = library.loc[place.index[place < guides], "sgRNA"]
        yield table[table["sgRNA"].isin(kept) & table["sample"].isin(rng.permutation(samples)[:replicates])]


def mean(value: str) -> Scores:
    """Score genes by the mean of their guides and samples."""
    return lambda table: table.groupby("gene")[value].mean()


def calls(value: str) -> Scores:
    """Score genes by their ranks in call_genes."""

    def score(table: pd.DataFrame) -> pd.Series:
        found = sf.call_genes(table, value=value).table
        return found.set_index("gene")["rank"].astype(float)

    return score


def adjusted(score: Callable[[str], Scores], sequence: bool) -> Scores:
    """Score by what is left when first reads, and sequences too, are taken out."""

    def run(table: pd.DataFrame) -> pd.Series:
        if (id(table), sequence) not in _ADJUSTED:
            found = sf.adjust_fold_changes(table, sequence="sequence" if sequence else None)
            _ADJUSTED[id(table), sequence] = found
        return score(ADJUSTED)(_ADJUSTED[id(table), sequence])

    return run


def by_model(value: str) -> Scores:
    """Rank by the exact engine: genes and, of several guides a gene measured more than once, guides."""

    def score(table: pd.DataFrame) -> pd.Series:
        several = table.duplicated("sgRNA").any()
        formula = f"{value} ~ (1 | gene)" + (" + (1 | gene:sgRNA)" if several else "")
        fit = sf.lmer(formula, table, draws=250, random_seed=1, progress=False)
        return sf.rank_genes(fit, direction="negative").set_index("gene")["rank"].astype(float)

    return score


def as_counts(family: Literal["negativebinomial", "poisson"], method: Literal["laplace", "hmc"]) -> Scores:
    """Rank by a model of the reads, the first reads as its offset; rows of a Poisson vary by a normal effect."""

    def score(table: pd.DataFrame) -> pd.Series:
        formula = "count ~ offset(log(count_initial)) + (1 | gene) + (1 | gene:sgRNA)"
        if family == "poisson" and table.duplicated("sgRNA").any():  # else guides are rows
            table, formula = table.assign(row=range(len(table))), formula + " + (1 | row)"
        sampled = {} if method == "laplace" else {"draws": 250, "random_seed": 1, "progress": False}
        fit = sf.glmer(formula, table, family=family, method=method, **sampled)
        return sf.rank_genes(fit, direction="negative").set_index("gene")["rank"].astype(float)

    return score


def _run(command: list[str], folder: str) -> None:
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"  # MAGeCK looks there for its parts
    environment = {**os.environ, "PATH": path, "PYTHONPATH": ""}
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)


def _counts(table: pd.DataFrame) -> pd.DataFrame:
    """Return the reads of guides in the first time point and the samples."""
    wide = table.pivot_table(index=["sgRNA", "gene"], columns="sample", values="count", aggfunc="first")
    wide.insert(0, "T0", table.groupby(["sgRNA", "gene"])["count_initial"].mean().reindex(wide.index))
    return wide.round().astype(int).reset_index()


def mageck(program: str) -> Scores:
    """Score genes by MAGeCK's ranks of losses."""

    def score(table: pd.DataFrame) -> pd.Series:
        with TemporaryDirectory() as folder:
            _counts(table).to_csv(f"{folder}/counts.txt", sep="\t", index=False)
            samples = ",".join(table["sample"].unique())
            _run([program, "test", "-k", "counts.txt", "-t", samples, "-c", "T0", "-n", "out"], folder)
            found = pd.read_csv(f"{folder}/out.gene_summary.txt", sep="\t").set_index("id")
            return found["neg|rank"].astype(float)

    return score


def drugz(python: str, program: str) -> Scores:
    """Score genes by drugZ's normalised sums."""

    def score(table: pd.DataFrame) -> pd.Series:
        with TemporaryDirectory() as folder:
            _counts(table).to_csv(f"{folder}/counts.txt", sep="\t", index=False)
            samples = list(table["sample"].unique())
            wanted = ["-i", "counts.txt", "-o", "out.txt", "-c", "T0", "-x", ",".join(samples), "-unpaired"]
            _run([python, program, *wanted], folder)
            return pd.read_csv(f"{folder}/out.txt", sep="\t").set_index("GENE")["normZ"]

    return score


def bagel(python: str, program: str) -> Scores:
    """Score genes by BAGEL's Bayes factors, most essential first."""

    def score(table: pd.DataFrame) -> pd.Series:
        with TemporaryDirectory() as folder:
            wide = table.pivot_table(index=["sgRNA", "gene"], columns="sample", values="log_fc").reset_index()
            wide.rename(columns={"sgRNA": "REAGENT_ID", "gene": "GENE"}).to_csv(
                f"{folder}/fc.txt", sep="\t", index=False
            )
            for kind in ("essential", "nonessential"):
                names = table.loc[table["control"] == kind, "gene"].unique()
                Path(folder, kind).write_text("GENE\n" + "\n".join(names) + "\n")
            columns = ",".join(map(str, range(1, len(wide.columns) - 1)))
            wanted = ["bf", "-i", "fc.txt", "-o", "bf.txt", "-e", "essential", "-n", "nonessential", "-c", columns]
            _run([python, program, *wanted], folder)
            return -pd.read_csv(f"{folder}/bf.txt", sep="\t").set_index("GENE")["BF"]

    return score


def jacks(python: str, program: str) -> Scores:
    """Score genes by JACKS' effects, most negative first."""

    def score(table: pd.DataFrame) -> pd.Series:
        with TemporaryDirectory() as folder:
            counts = _counts(table)
            counts.drop(columns="gene").to_csv(f"{folder}/counts.txt", sep="\t", index=False)
            counts[["sgRNA", "gene"]].to_csv(f"{folder}/guides.txt", sep="\t", index=False)
            samples = ["T0\tCONTROL", *(f"{name}\tline" for name in table["sample"].unique())]
            Path(folder, "samples.txt").write_text("Replicate\tSample\n" + "\n".join(samples) + "\n")
            names = table.loc[table["control"] == "nonessential", "gene"].unique()
            Path(folder, "null.txt").write_text("\n".join(names) + "\n")
            wanted = ["--rep_hdr=Replicate", "--sample_hdr=Sample", "--sgrna_hdr=sgRNA", "--gene_hdr=gene"]
            wanted += ["--common_ctrl_sample=CONTROL", "--outprefix=out", "--ctrl_genes=null.txt"]
            _run([python, program, "counts.txt", "samples.txt", "guides.txt", *wanted], folder)
            return pd.read_csv(f"{folder}/out_gene_JACKS_results.txt", sep="\t").set_index("Gene").iloc[:, 0]

    return score


CHRONOS = """
import sys
import pandas as pd
from chronos.model import Chronos
counts = pd.read_csv("counts.txt", sep="\\t")
reads = counts.drop(columns="gene").set_index("sgRNA").T.astype(float)
start, *samples = reads.index
placed = pd.DataFrame({"sequence_ID": reads.index, "cell_line_name": ["pDNA"] + ["line"] * len(samples),
    "days": [0] + [int(sys.argv[1])] * len(samples), "pDNA_batch": "one", "replicate_ID": ["pDNA", *samples]})
guides = counts[["sgRNA", "gene"]].rename(columns={"sgRNA": "sgrna"})
null = guides.loc[guides["gene"].isin(open("null.txt").read().split()), "sgrna"].tolist()
model = Chronos(readcounts={"lib": reads}, sequence_map={"lib": placed}, guide_gene_map={"lib": guides},
    negative_control_sgrnas={"lib": null})
model.train()
model.gene_effect.iloc[0].rename("effect").rename_axis("gene").to_csv("effects.txt", sep="\\t")
"""


def chronos(python: str, days: int = 18) -> Scores:
    """Score genes by Chronos' effects with its own number of epochs (301)."""

    def score(table: pd.DataFrame) -> pd.Series:
        with TemporaryDirectory() as folder:
            _counts(table).to_csv(f"{folder}/counts.txt", sep="\t", index=False)
            names = table.loc[table["control"] == "nonessential", "gene"].unique()
            Path(folder, "null.txt").write_text("\n".join(names) + "\n")
            _run([python, "-c", CHRONOS, str(days)], folder)
            return pd.read_csv(f"{folder}/effects.txt", sep="\t").set_index("gene")["effect"]

    return score


def hap1(folder: Path) -> pd.DataFrame:
    """Return the genome-wide screen, whose guides are named by their sequences."""
    table = pd.read_csv(folder / "hap1_full.csv.gz").rename(columns={"count_initial_adj": "count_initial"})
    return table.assign(sequence=table["sgRNA"])


def of_counts(path: Path, controls: pd.DataFrame) -> pd.DataFrame:
    """Read a table of counts whose first sample is the plasmid."""
    counts = pd.read_csv(path, sep="\t")
    counts.columns = [str(name).strip() for name in counts.columns]
    counts = counts[~counts["gene"].str.contains("Non-Targ|Control|INTERGENIC|CTRL", case=False)]
    plasmid, *samples = counts.columns[2:]
    placed = pd.DataFrame({"sample": [plasmid, *samples], "cell_line": ["plasmid"] + ["line"] * len(samples)})
    placed["replicate"], placed["reference"] = range(len(placed)), [None] + [plasmid] * len(samples)
    known = controls[controls["gene"].isin(counts["gene"])]
    return sf.read_screen(counts, samples=placed, controls=known, drop=["low_initial"]).table


def with_sequences(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the rows of the guides whose sequences a file says, with these."""
    sequences = pd.read_csv(path, dtype=str).set_index("sgRNA")["sequence"]
    placed = table.assign(sequence=table["sgRNA"].astype(str).map(sequences))
    return placed[placed["sequence"].notna()]


def of_lines(path: Path) -> pd.DataFrame:
    """Read the screens of several lines."""
    table = pd.read_csv(path).rename(columns={"count_initial_adj": "count_initial"})
    return table[table["log_fc"].notna()]


def compare(table: pd.DataFrame, scores: dict[str, Scores], draws: int) -> dict[str, dict[str, list[float]]]:
    """Return the misses of each score in each setting, line by line and draw by draw."""
    classes = table.drop_duplicates("gene").set_index("gene")["control"]
    misses: dict[str, dict[str, list[float]]] = {name: {} for name in scores}
    spent: dict[str, dict[str, list[float]]] = {name: {} for name in scores}
    for guides, replicates in SETTINGS:
        setting = f"{guides} guides, {replicates} replicates"
        for _, line in table.groupby("cell_line"):
            for part in draws_of(line, guides, replicates, draws):
                _ADJUSTED.clear()
                for name, score in scores.items():
                    began = sum(os.times()[:4])  # with those of other programs
                    found = score(part)
                    spent[name].setdefault(f"{setting}: CPU seconds", []).append(sum(os.times()[:4]) - began)
                    misses[name].setdefault(setting, []).append(1 - recall(found, classes))
        show(misses)
    return {name: misses[name] | spent[name] for name in scores}


def agreements(table: pd.DataFrame, scores: dict[str, Scores], draws: int) -> dict[str, dict[str, list[float]]]:
    """Return how hits of halves of the replicates agree, line by line, draw by draw, pair of halves by pair."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in scores}
    for _, line in table.groupby("cell_line"):
        classes = line.drop_duplicates("gene").set_index("gene")["control"]
        samples = sorted(line["sample"].unique())
        halves = list(combinations(samples, len(samples) // 2))
        pairs = [pair for pair in combinations(halves, 2) if not set(pair[0]) & set(pair[1])]
        for seed in range(draws if pairs else 0):
            hits = {half: hits_of(line[line["sample"].isin(half)], classes, scores, seed) for half in halves}
            for one, other in pairs:
                for setting, (mine, yours) in HALVES.items():
                    for name in scores:
                        for kind, genes in hits[one][mine][name].items():
                            shared = genes & hits[other][yours][name][kind]
                            either = genes | hits[other][yours][name][kind]
                            found[name].setdefault(f"{setting}: {kind}", []).append(len(shared) / max(1, len(either)))
    for name, by_setting in found.items():
        print(f"  {name:34}", *(f"{key} {np.mean(values):.3f};" for key, values in by_setting.items()), flush=True)
    return found


def hits_of(
    half: pd.DataFrame, classes: pd.Series, scores: dict[str, Scores], seed: int
) -> dict[str, dict[str, dict[str, set[str]]]]:
    """Return the hits by four guides of a gene, by two of them and by the other two, of each score."""
    library = half.drop_duplicates("sgRNA")[["sgRNA", "gene"]]
    library = library.assign(order=np.random.default_rng(seed).random(len(library))).sort_values(["gene", "order"])
    place = library.groupby("gene").cumcount()
    hits: dict[str, dict[str, dict[str, set[str]]]] = {}
    for part, places in PARTS.items():
        table = half[half["sgRNA"].isin(library.loc[place.isin(places), "sgRNA"])]
        _ADJUSTED.clear()
        for name, score in scores.items():
            found = score(table)
            first = found.sort_values(kind="stable").index[: (classes == "essential").sum()]
            by_kind = {"as many as essential": set(first), "5 % false": set(called(found, classes))}
            hits.setdefault(part, {})[name] = by_kind
    return hits


def ratio_of(mine: np.ndarray, base: np.ndarray) -> tuple[float, float]:
    """Return the ratio of the means of paired misses, and its jackknife standard error; NaN of a single pair."""
    n = len(mine)
    if n == 1:
        return float(mine[0] / base[0]), float("nan")
    left_out = (mine.sum() - mine) / (base.sum() - base)
    return float(mine.mean() / base.mean()), float(np.sqrt((n - 1) * ((left_out - left_out.mean()) ** 2).mean()))


def show(misses: dict[str, dict[str, list[float]]]) -> None:
    """Print the last setting: misses, and their ratio to those of the mean with its jackknife standard error."""
    setting = list(misses["mean"])[-1]
    print(f"\n{setting}")
    for name, by_setting in misses.items():
        mine = np.array(by_setting[setting])
        ratio, error = ratio_of(mine, np.array(misses["mean"][setting]))
        print(f"  {name:34} {mine.mean():.4f}  {ratio:.3f} ({error:.3f})", flush=True)


def scores_of(given: argparse.Namespace) -> dict[str, Scores]:
    """Return the scores that were asked for."""
    scores: dict[str, Scores] = {"mean": mean("log_fc")}
    if not given.tools:
        scores["mean, first reads out"] = adjusted(mean, False)
        scores["call_genes, first reads out"] = adjusted(calls, False)
    if given.model:
        scores |= {"rank_genes": by_model("log_fc"), "rank_genes, first reads out": adjusted(by_model, False)}
    if given.as_counts:
        scores[f"negative binomial, {given.as_counts}"] = as_counts("negativebinomial", given.as_counts)
        scores[f"Poisson and rows, {given.as_counts}"] = as_counts("poisson", given.as_counts)
    if given.mageck:
        scores["MAGeCK2 test"] = mageck(given.mageck)
    if given.drugz:
        scores["drugZ"] = drugz(given.python, given.drugz)
    if given.bagel:
        scores["BAGEL2 (with the controls)"] = bagel(given.python, given.bagel)
    if given.jacks:
        scores["JACKS (with the nonessential controls)"] = jacks(given.python, given.jacks)
    if given.chronos:
        scores["Chronos (with the nonessential controls)"] = chronos(given.chronos)
    return scores


def screens_of(
    given: argparse.Namespace, scores: dict[str, Scores]
) -> dict[str, tuple[Callable[[], pd.DataFrame], Any]]:
    """Return how the screens that were asked for are read, and their scores."""
    controls = hap1(given.folder).drop_duplicates("gene")[["gene", "control"]]
    controls = controls[controls["control"] != "other"]
    of_sequences = {"mean, reads and sequence out": adjusted(mean, True), "call_genes, both out": adjusted(calls, True)}
    plain = {"mean": scores["mean"], "call_genes": calls("log_fc")}
    if given.halves and not given.tools:
        scores |= {"call_genes": plain["call_genes"]}
    if given.model:
        plain["rank_genes"] = scores["rank_genes"]
    screens: dict[str, tuple[Callable[[], pd.DataFrame], Any]] = {}
    if "hap1" in given.screens:
        of_hap1 = scores | ({} if given.tools else of_sequences)
        if given.halves:
            of_hap1 = {name: score for name, score in of_hap1.items() if "first reads" not in name}
        screens["hap1"] = (lambda: hap1(given.folder), of_hap1)
    for name in ("aml", "depmap"):
        if name in given.screens:
            of_line = scores if given.tools else plain
            screens[name] = (lambda name=name: of_lines(given.folder / f"{name}.csv"), of_line)
    for pair in given.counts:
        name, path = pair.split("=", 1)
        screens[name] = (lambda path=path: of_counts(Path(path), controls), scores)
    for pair in given.sequences:
        name, path = pair.split("=", 1)
        read = screens.pop(name)[0]
        screens[f"{name}, sequences"] = (
            lambda read=read, path=path: with_sequences(read(), Path(path)),
            scores | of_sequences,
        )
    return screens


def main() -> None:
    """Read the arguments, compare the scores on each screen, write the misses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--counts", action="append", default=[])
    parser.add_argument("--sequences", action="append", default=[], help="of a screen of --counts")
    parser.add_argument("--screens", default="hap1")
    parser.add_argument("--tools", action="store_true", help="the mean and other tools only")
    for program in ("mageck", "bagel", "drugz", "jacks", "chronos"):
        parser.add_argument(f"--{program}")
    parser.add_argument("--python", default="python3")
    parser.add_argument("--model", action="store_true", help="also the exact engine's ranks")
    parser.add_argument("--as-counts", choices=["laplace", "hmc"], help="also models of the reads")
    parser.add_argument("--halves", action="store_true", help="agreement of halves of the replicates, not misses")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "hits.json")
    given = parser.parse_args()
    results = json.loads(given.output.read_text()) if given.output.exists() else {}
    for name, (read, wanted) in screens_of(given, scores_of(given)).items():
        began = time.process_time()
        print(f"\n== {name}")
        found = (agreements if given.halves else compare)(read(), wanted, given.draws)
        for score, by_setting in found.items():
            results.setdefault(f"{name}, halves" if given.halves else name, {}).setdefault(score, {}).update(
                {key: [round(one, 5) for one in values] for key, values in by_setting.items()}
            )
        given.output.write_text(json.dumps(results, indent=1) + "\n")
        print(f"{time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
