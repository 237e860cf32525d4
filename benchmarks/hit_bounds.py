"""What bounds the hits of a screen: misses of the mean by all of its data, and of the best score there can be.

    python -m benchmarks.hit_bounds FOLDER_OF_SCREENS [--screens hap1,aml,depmap] [--counts NAME=FILE ...] [--draws 6]

Settings, draws, misses and screens are those of benchmarks/hits.py. For each draw the mean of the guides is asked again
with what the draw does not have: all replicates of the same guides, all guides of the same replicates, all of both. An
essential gene that the mean of all guides and replicates misses does not fall in this line as far as the screen can
tell: no method finds it but by luck.

The best score: with the effects of essential and nonessential genes, efficacies, off-target effects and noise as the
mixture of `call_genes` has them, estimated from all guides and replicates of the screen (effects from the labels of
the controls, noise from the guides of nonessential genes in the draw), controls are simulated and scored by the ratio
of the two likelihoods. By the lemma of Neyman and Pearson no score of these fold changes finds more at as many false
ones. Its misses over those of the mean of the same simulated controls are the smallest ratio that a method can reach
that knows nothing of single guides. The simulated mean misses fewer than the real one where a screen has more than
the mixture knows of.

Of several lines each gene in each line is a gene of the estimates, and recall is that of each line by itself. Writes
benchmarks/results/hit_bounds.json.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import speclet_formula.screens.calls as calling
from benchmarks.hits import SETTINGS, draws_of, hap1, mean, of_counts, of_lines, recall
from speclet_formula.screens import gene_mixture as mixing

SIMULATIONS = 10  # of each draw
ROUNDS = 500  # of EM for the effects of the controls
KINDS = ("essential", "nonessential")


def apart(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with genes and guides of each line by themselves."""
    line = "|" + table["cell_line"].astype(str)
    return table.assign(gene=table["gene"].astype(str) + line, sgRNA=table["sgRNA"].astype(str) + line)


def guides_of(table: pd.DataFrame) -> tuple[pd.DataFrame, mixing.GuideData, pd.Index]:
    """Return guides with their noise, line by line, the data of call_genes' mixture and the genes' names.

    The noise's course over first reads is that of call_genes, its height the spread of nonessential genes' guides.
    """
    parts = []
    for _, line in table.groupby("cell_line"):
        part = calling._guides(line, "log_fc", "gene", "sgRNA", "count_initial")
        part["noise"] = calling._noise(part, pd.factorize(part["gene"])[0])
        kinds = part["gene"].map(line.drop_duplicates("gene").set_index("gene")["control"])
        null = part[kinds == "nonessential"]
        part["noise"] *= 1.4826 * ((null["value"] - null["value"].median()) / null["noise"]).abs().median()
        parts.append(part)
    guides = pd.concat(parts, ignore_index=True)
    codes, names = pd.factorize(guides["gene"])
    data = mixing.GuideData(guides["value"].to_numpy(), guides["noise"].to_numpy(), codes, len(names))
    return guides, data, pd.Index(names)


def known(table: pd.DataFrame) -> tuple[mixing.EffectMixture, dict[str, np.ndarray]]:
    """Estimate the mixture from all data, and the distribution of effects of each kind of controls."""
    _, data, names = guides_of(table)
    telling = data.of_genes(np.unique(np.linspace(0, len(names) - 1, min(5000, len(names))).astype(int)))
    mixture = mixing.fit_mixture(telling, df=10.0, grid=mixing.effect_grid(data.values))
    kinds = table.drop_duplicates("gene").set_index("gene")["control"].reindex(names).to_numpy(dtype=object)
    chosen = np.flatnonzero(np.isin(kinds, KINDS))
    likelihood, kinds = mixing.log_effects(data.of_genes(chosen), mixture)[0], kinds[chosen]
    parts = mixing._parts(mixture.grid)
    effects = {}
    for kind in KINDS:
        logs = likelihood[kinds == kind]
        of_parts = np.exp(logs - logs.max(axis=1, keepdims=True)) @ parts.T
        weights = np.full(len(parts), 1 / len(parts))
        for _ in range(ROUNDS):
            shares = of_parts * weights
            weights = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
        effects[kind] = weights @ parts
    return mixture, effects


def best(
    part: pd.DataFrame, mixture: mixing.EffectMixture, effects: dict[str, np.ndarray], rng: np.random.Generator
) -> dict[str, float]:
    """Return the misses of the mean and of the ratio of likelihoods, controls simulated."""
    guides, _, _ = guides_of(part)
    classes = part.drop_duplicates("gene").set_index("gene")["control"]
    guides = guides[guides["gene"].map(classes).isin(KINDS)]
    codes, names = pd.factorize(guides["gene"])
    kinds = classes.reindex(names)
    noise, n = guides["noise"].to_numpy(), len(guides)
    misses: dict[str, list[float]] = {"mean": [], "best": []}
    for _ in range(SIMULATIONS):
        theta = np.empty(len(names))
        for kind in KINDS:
            theta[kinds == kind] = rng.choice(mixture.grid, (kinds == kind).sum(), p=effects[kind])
        shown = rng.choice(mixing.EFFICACIES, n, p=mixture.efficacies) * theta[codes]
        off = rng.choice(mixing.OFF_TARGETS, n, p=mixture.off_targets)
        values = shown + off + noise * rng.standard_t(mixture.df, n)
        data = mixing.GuideData(values, noise, codes, len(names))
        likelihood = mixing.log_effects(data, mixture)[0]
        tops = likelihood.max(axis=1, keepdims=True)
        of_kinds = [np.log(np.exp(likelihood - tops) @ effects[kind] + 1e-300) for kind in KINDS]
        lines = pd.Series(names).str.rsplit("|", n=1).str[-1].to_numpy() if "|" in names[0] else np.zeros(len(names))
        scores = {
            "mean": pd.Series(np.bincount(codes, values) / np.bincount(codes), index=names),
            "best": pd.Series(of_kinds[1] - of_kinds[0], index=names),
        }
        for name, score in scores.items():
            by_line = [1 - recall(score[lines == line], kinds[lines == line]) for line in np.unique(lines)]
            misses[name].append(float(np.mean(by_line)))
    return {f"simulated, {name}": float(np.mean(found)) for name, found in misses.items()}


def bounds(table: pd.DataFrame, draws: int) -> dict[str, dict[str, list[float]]]:
    """Return the misses by what a draw has, by what it has not, and of the best score, setting by setting."""
    several = table["cell_line"].nunique() > 1
    mixture, effects = known(apart(table) if several else table)
    results: dict[str, dict[str, list[float]]] = {}
    for guides, replicates in SETTINGS[:3]:
        found: dict[str, list[float]] = {}
        parts: list[list[pd.DataFrame]] = []
        for _, line in table.groupby("cell_line"):
            classes = line.drop_duplicates("gene").set_index("gene")["control"]
            for number, part in enumerate(draws_of(line, guides, replicates, draws)):
                more = {
                    "mean": part,
                    "mean, all replicates": line[line["sgRNA"].isin(part["sgRNA"])],
                    "mean, all guides": line[line["sample"].isin(part["sample"])],
                    "mean, all of both": line,
                }
                for name, rows in more.items():
                    found.setdefault(name, []).append(1 - recall(mean("log_fc")(rows), classes))
                parts.extend([[]] if number == len(parts) else [])
                parts[number].append(part)
        rng = np.random.default_rng(1)
        for rows in parts:
            together = pd.concat(rows)
            for name, value in best(apart(together) if several else together, mixture, effects, rng).items():
                found.setdefault(name, []).append(value)
        results[f"{guides} guides, {replicates} replicates"] = found
        show(f"{guides} guides, {replicates} replicates", found)
    return results


def show(setting: str, found: dict[str, list[float]]) -> None:
    """Print mean misses, and the ratios that bound those of any method to the mean's."""
    means = {name: float(np.mean(values)) for name, values in found.items()}
    print(setting, *(f"\n  {name:26} {value:.4f}" for name, value in means.items()))
    print(f"  best over mean, simulated  {means['simulated, best'] / means['simulated, mean']:.3f}", flush=True)


def main() -> None:
    """Read the screens, measure their bounds, write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--screens", default="hap1,aml,depmap")
    parser.add_argument("--counts", action="append", default=[])
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "hit_bounds.json")
    given = parser.parse_args()
    controls = hap1(given.folder).drop_duplicates("gene")[["gene", "control"]]
    controls = controls[controls["control"] != "other"]
    results: dict[str, Any] = json.loads(given.output.read_text()) if given.output.exists() else {}
    for name in filter(None, given.screens.split(",")):
        table = hap1(given.folder) if name == "hap1" else of_lines(given.folder / f"{name}.csv")
        print(f"\n== {name}")
        results[name] = bounds(table, given.draws)
    for pair in given.counts:
        name, path = pair.split("=", 1)
        print(f"\n== {name}")
        results[name] = bounds(of_counts(Path(path), controls), given.draws)
    rounded = {
        name: {
            setting: {kind: [round(v, 5) for v in values] for kind, values in found.items()}
            for setting, found in by_setting.items()
        }
        for name, by_setting in results.items()
    }
    given.output.write_text(json.dumps(rounded, indent=1) + "\n")


if __name__ == "__main__":
    main()
