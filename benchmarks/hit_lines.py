"""What other lines tell of genes in one line: one model of all lines beside means in the line and over the lines.

    python -m benchmarks.hit_lines FOLDER_OF_SCREENS [--draws 6]

Of aml.csv and depmap.csv the same guides are drawn for all lines, and replicates for each; settings and misses are
those of benchmarks/hits.py, line by line. Who sees what: "mean in line" and "call_genes in line" the rows of the line
alone; all others those of all lines. "mean over lines" and "call_genes over lines" say the same of a gene in each line;
"model" adds what a line differs by,
log_fc ~ cell_line + (1 | gene) + (1 | gene:cell_line) + (1 | gene:sgRNA), and of more than one replicate
(1 | gene:sgRNA:cell_line), by the exact engine.

Essential genes are essential everywhere, so that their recall cannot reward who knows one line from another. Therefore
also the error of what is said of a gene in a line: the root mean square of its difference from the mean of the guides
that were not drawn, in that line, by all replicates, after the median of the line's genes; and the correlation, gene by
gene over the lines after the gene's mean over them, of what is said with what is seen. Writes
benchmarks/results/hit_lines.json.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import speclet_formula as sf
from benchmarks.hits import SETTINGS, calls, of_lines, ratio_of, recall

MODEL = "log_fc ~ cell_line + (1 | gene) + (1 | gene:cell_line) + (1 | gene:sgRNA)"
TINY = 1e-9  # what is the same in all lines has no correlation
OF_GUIDES = " + (1 | gene:sgRNA:cell_line)"


def draws_of(table: pd.DataFrame, guides: int, replicates: int, n: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Draw guides for all lines and replicates of each; return the rows, and those of the other guides."""
    library = table.drop_duplicates("sgRNA")[["sgRNA", "gene"]]
    for seed in range(n):
        rng = np.random.default_rng(seed)
        place = library.assign(order=rng.random(len(library))).sort_values("order").groupby("gene").cumcount()
        drawn = table["sgRNA"].isin(library.loc[place.index[place < guides], "sgRNA"])
        samples = [
            sample
            for _, line in table.groupby("cell_line")
            for sample in rng.permutation(line["sample"].unique())[:replicates]
        ]
        yield table[drawn & table["sample"].isin(samples)], table[~drawn]


def in_lines(table: pd.DataFrame) -> pd.DataFrame:
    """Return means, genes x lines."""
    return table.pivot_table(index="gene", columns="cell_line", values="log_fc")


def by_model(table: pd.DataFrame, formula: str) -> pd.DataFrame:
    """Return what genes do in lines by one model of all, genes x lines."""
    fit = sf.lmer(formula, table, draws=250, random_seed=1, progress=False)
    effects = sf.level_effects(fit, "gene:cell_line", add="gene")
    pairs = table[["gene", "cell_line"]].astype(str).drop_duplicates()
    places = effects.set_index("level")["estimate"].reindex(pairs["gene"] + ":" + pairs["cell_line"])
    return pairs.assign(estimate=places.to_numpy()).pivot_table(index="gene", columns="cell_line", values="estimate")


def said_of(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return what is said of genes in lines by each score, low ones essential."""
    alone = in_lines(table)
    parts = dict(tuple(table.groupby("cell_line")))
    several = table.groupby(["cell_line", "sgRNA"], observed=True).size().max() > 1
    over, called = alone.mean(axis=1), calls("log_fc")(table)
    return {
        "mean in line": alone,
        "call_genes in line": pd.DataFrame({name: calls("log_fc")(part) for name, part in parts.items()}),
        "mean over lines": pd.DataFrame(dict.fromkeys(alone.columns, over)),
        "call_genes over lines": pd.DataFrame(dict.fromkeys(alone.columns, called)),
        "model": by_model(table, MODEL + (OF_GUIDES if several else "")),
    }


def agreement(said: pd.DataFrame, seen: pd.DataFrame) -> dict[str, float]:
    """Return the error of what is said, and its correlation with what is seen of differences between lines."""
    said = said.reindex(index=seen.index, columns=seen.columns)
    said, seen = said - said.median(), seen - seen.median()
    apart, really = said.sub(said.mean(axis=1), axis=0).stack(), seen.sub(seen.mean(axis=1), axis=0).stack()
    return {
        "error": float(np.sqrt(((said - seen) ** 2).stack().mean())),
        "correlation": float(apart.corr(really)) if apart.std() > TINY else 0.0,
    }


def compare(table: pd.DataFrame, draws: int) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return misses, errors and correlations: setting by setting, score by score."""
    results: dict[str, dict[str, dict[str, list[float]]]] = {}
    for guides, replicates in SETTINGS[:3]:
        found: dict[str, dict[str, list[float]]] = {}
        for part, rest in draws_of(table, guides, replicates, draws):
            classes = {
                name: line.drop_duplicates("gene").set_index("gene")["control"]
                for name, line in part.groupby("cell_line")
            }
            for name, said in said_of(part).items():
                mine = found.setdefault(name, {})
                misses = [1 - recall(said[line].dropna(), kinds) for line, kinds in classes.items()]
                mine.setdefault("misses", []).extend(misses)
                if len(rest) and "call_genes" not in name:  # ranks are no log fold changes
                    for kind, value in agreement(said, in_lines(rest)).items():
                        mine.setdefault(kind, []).append(value)
        results[f"{guides} guides, {replicates} replicates"] = found
        show(f"{guides} guides, {replicates} replicates", found)
    return results


def show(setting: str, found: dict[str, dict[str, list[float]]]) -> None:
    """Print means, and misses over those of the mean in the line with a jackknife standard error."""
    base = np.array(found["mean in line"]["misses"])
    print(setting)
    for name, by_kind in found.items():
        mine = np.array(by_kind["misses"])
        ratio, error = ratio_of(mine, base)
        means = "  ".join(f"{kind} {np.mean(values):.4f}" for kind, values in by_kind.items())
        print(f"  {name:24} ratio {ratio:.3f} ({error:.3f})  {means}", flush=True)


def main() -> None:
    """Read the screens, compare, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--screens", default="aml,depmap")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "hit_lines.json")
    given = parser.parse_args()
    results = json.loads(given.output.read_text()) if given.output.exists() else {}
    for name in given.screens.split(","):
        print(f"\n== {name}")
        found = compare(of_lines(given.folder / f"{name}.csv"), given.draws)
        results[name] = {
            setting: {
                score: {kind: [round(one, 5) for one in values] for kind, values in by_kind.items()}
                for score, by_kind in by_score.items()
            }
            for setting, by_score in found.items()
        }
        given.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
