"""Whether 5 % false calls are 5 %: screens of known effects, simulated and with the noise of real guides.

    python -m benchmarks.calls FOLDER_OF_SCREENS

The folder holds hap1_full.csv.gz. The noise of the second kind of screens is the fold changes of its guides of
nonessential genes, less their median, drawn at random with their first reads; effects are added to it: of 1,500 genes
15 % have Normal(-2.5, 0.5), 15 % Normal(0, 0.3), the rest none, and guides show Beta(4, 2) of it. A call is false if
the effect of a guide of mean efficacy is not below the limit.

The third kind has two arms: one real replicate of HAP1 is taken for the vehicle's, another for the drug's, with all
their noise and all that their genes do to the cells; of 1,500 random genes a tenth respond to the drug, by
Normal(-2, 0.5). Called are the effects of the drug of a fit by REML. Writes benchmarks/results/calls.json.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import speclet_formula as sf

SEEDS, GENES = 6, 1500
LIMITS = (0.5, 1.0)
RESPONDING = 0.1  # the share of genes that the drug makes matter
ARMS = (("A", "B"), ("B", "C"), ("C", "A"))  # replicates of the vehicle and of the drug
SIMULATED: dict[str, dict[str, Any]] = {
    "4 guides, 3 replicates": {"guides_per_gene": 4, "replicates": 3},
    "2 guides, 1 replicate": {"guides_per_gene": 2, "replicates": 1},
    "few reads": {"replicates": 1, "gene_sd": 0.6, "reads_per_guide": 100, "reference_reads": 300},
    "poor guides": {"replicates": 2, "efficacy": (3, 2), "essential_effect": -2.0},
}


def simulated(seed: int, settings: dict[str, Any]) -> tuple[pd.DataFrame, pd.Series]:
    """Simulate counts; return fold changes and the effects of guides of mean efficacy."""
    made = sf.simulate_screen(genes=GENES, random_seed=seed, **settings)
    first, second = settings.get("efficacy", (8, 2))
    table = sf.read_screen(made.counts, made.guides, made.samples).table
    return table, made.effects.iloc[:, 0] * first / (first + second)


def of_real_noise(noise: pd.DataFrame, reads: pd.DataFrame, seed: int, setting: tuple[int, int]) -> Any:
    """Add effects to the noise of real guides; return fold changes and the effects of guides of mean efficacy."""
    rng, (guides, replicates) = np.random.default_rng(seed), setting
    chosen, genes = rng.integers(0, len(noise), GENES * guides), np.repeat(np.arange(GENES), guides)
    kinds = rng.choice(3, GENES, p=[0.15, 0.15, 0.7])
    effects = np.select([kinds == 0, kinds == 1], [rng.normal(-2.5, 0.5, GENES), rng.normal(0, 0.3, GENES)], 0.0)
    shown = rng.beta(4, 2, len(genes)) * effects[genes]
    names = [f"gene_{gene}" for gene in genes]
    samples = [
        pd.DataFrame(
            {
                "sgRNA": np.arange(len(genes)), "gene": names, "sample": sample,
                "log_fc": noise[sample].to_numpy()[chosen] + shown, "count_initial": reads[sample].to_numpy()[chosen],
            }
        )
        for sample in list(noise)[:replicates]
    ]  # fmt: skip
    return pd.concat(samples), pd.Series(effects * 4 / 6, index=[f"gene_{gene}" for gene in range(GENES)])


def of_two_arms(table: pd.DataFrame, seed: int) -> tuple[Any, pd.Series]:
    """Return a fit of two replicates taken for two arms, and the drug's effects on guides of mean efficacy."""
    rng, arms = np.random.default_rng(seed), dict(zip(ARMS[seed % 3], ("vehicle", "drug"), strict=True))
    genes = rng.choice(table["gene"].unique(), GENES, replace=False)
    rows = table[table["gene"].isin(genes) & table["replicate"].isin(arms)].copy()
    rows["arm"] = pd.Categorical(rows["replicate"].map(arms), ["vehicle", "drug"])
    effects = pd.Series(np.where(rng.random(GENES) < RESPONDING, rng.normal(-2.0, 0.5, GENES), 0.0), index=genes)
    guides = rows["sgRNA"].unique()
    shown = pd.Series(rng.beta(4, 2, len(guides)), index=guides)[rows["sgRNA"]].to_numpy()
    rows["log_fc"] += np.where(rows["arm"] == "drug", shown * effects[rows["gene"]].to_numpy(), 0.0)
    fit = sf.lmer("log_fc ~ arm + (1 + arm | gene) + (1 | gene:sgRNA)", rows, method="reml")
    return fit, effects * 4 / 6


def called(screen: Any, limit: float) -> pd.DataFrame:
    """Return the calls of a table of fold changes, or of the drug's effects of a fit."""
    if isinstance(screen, pd.DataFrame):
        return sf.call_genes(sf.adjust_fold_changes(screen), value="log_fc_adjusted", beyond=limit).table
    return sf.call_genes(screen, term="arm[drug]", beyond=limit).table


def rates(screens: list[tuple[Any, pd.Series]]) -> dict[str, dict[str, float]]:
    """Return the share of false ones among all calls, and of the true hits that are called, for each limit."""
    found: dict[str, dict[str, float]] = {}
    for limit in LIMITS:
        false, n, powers = 0, 0, []
        for table, effects in screens:
            calls = called(table, limit)
            shown = effects[calls.loc[calls["called"], "gene"]]
            false, n = false + int((shown >= -limit).sum()), n + len(shown)
            powers.append((shown < -limit).sum() / (effects < -limit).sum())
        found[f"beyond {limit}"] = {
            "false": round(false / n, 4), "calls": n, "power": round(float(np.mean(powers)), 4)
        }  # fmt: skip
    return found


def main() -> None:
    """Measure all screens, print and write the rates."""
    table = pd.read_csv(Path(sys.argv[1]) / "hap1_full.csv.gz")
    null = table[table["control"] == "nonessential"]
    noise, reads = (
        null.pivot_table(index="sgRNA", columns="sample", values=v) for v in ("log_fc", "count_initial_adj")
    )
    noise = noise - noise.median()
    results = {}
    for name, settings in SIMULATED.items():
        results[f"simulated, {name}"] = rates([simulated(seed, settings) for seed in range(SEEDS)])
    for setting in ((2, 1), (2, 3), (4, 1), (4, 3)):
        name = f"real noise, {setting[0]} guides, {setting[1]} replicates"
        results[name] = rates([of_real_noise(noise, reads, seed, setting) for seed in range(SEEDS)])
    results["real noise, two arms, 4 guides"] = rates([of_two_arms(table, seed) for seed in range(3 * SEEDS)])
    text = json.dumps(results, indent=1)
    print(text)
    (Path(__file__).parent / "results" / "calls.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
