"""The power by `call_genes` that a plan forecasts from a pilot, beside fresh screens of counts.

    python -m benchmarks.plans [--screens 3]

The pilot is a simulated screen of 1,500 genes with four guides and three replicates, whose essential genes have an
effect of -2, fitted by REML. Forecasts are for other designs and effects. Fresh screens are of 5,000 genes, a tenth of
them hits: reads are negative binomial, guides show a Beta(8, 2) part of the effect. How far that is on average from the
fold changes of other genes (a little less than 0.8 of it, since reads are few where much is lost) is read off a screen
that serves for nothing else, and is the effect of the forecast. Called is by `call_genes` from the fold changes as they
are read. Writes benchmarks/results/plans.json.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd

import speclet_formula as sf

DESIGNS = ((2, 2), (4, 1), (4, 2))  # guides, replicates
EFFECTS = (-1.0, -1.1, -1.25)  # of perfect guides
HITS, GENES = 0.1, 5000
FORM = "log_fc ~ (1 | gene) + (1 | gene:sgRNA) + (1 | sample)"


def counted(guides: int, replicates: int, effect: float, seed: int, genes: int, hits: float) -> pd.DataFrame:
    """Return fold changes of simulated counts."""
    made = sf.simulate_screen(
        genes=genes, guides_per_gene=guides, replicates=replicates, essential=hits, nonessential=1 - hits,
        essential_effect=effect, gene_sd=0.0, guide_sd=0.2, dispersion=0.1, random_seed=seed,
    )  # fmt: skip
    return sf.read_screen(made.counts, made.guides, made.samples).table


def found(table: pd.DataFrame) -> tuple[float, float]:
    """Return the share of hits that are called, and of calls that are none."""
    genes = sf.call_genes(table).table
    hit, called = genes["control"] == "essential", genes["called"]
    return float((hit & called).sum() / hit.sum()), float((called & ~hit).sum() / max(1, called.sum()))


def main() -> None:
    """Forecast, simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--screens", type=int, default=3)
    n = parser.parse_args().screens
    pilot = sf.lmer(FORM, counted(4, 3, -2.0, 99, 1500, 0.2), method="reml")
    results = []
    shown = {}
    for effect in EFFECTS:
        table = counted(4, 3, effect, 98, GENES, HITS)
        means = table.groupby("control")["log_fc"].mean()
        shown[effect] = float(means["essential"] - means["nonessential"])
    for guides, replicates in DESIGNS:
        for effect in EFFECTS:
            asked = {"guides": guides, "replicates": replicates, "effect": shown[effect], "like": pilot, "hits": HITS}
            began = time.process_time()
            plan = sf.plan_screen(**asked, calls="call_genes", random_seed=1).table.iloc[0]
            seconds = time.process_time() - began
            tables = [counted(guides, replicates, effect, 1000 + seed, GENES, HITS) for seed in range(n)]
            powers, false = np.transpose([found(table) for table in tables])
            row = {
                "guides": guides, "replicates": replicates, "effect": effect, "shown": shown[effect],
                "forecast": plan["power"], "forecast_se": plan["power_se"], "forecast_seconds": seconds,
                "forecast_false": plan["false_discovery"], "by_means": sf.plan_screen(**asked).table["power"].iloc[0],
                "found": powers.mean(), "found_se": powers.std(ddof=1) / np.sqrt(n), "found_false": false.mean(),
            }  # fmt: skip
            results.append({key: round(float(value), 4) for key, value in row.items()})
            print(results[-1], flush=True)
    off = np.abs([row["forecast"] - row["found"] for row in results])
    print(f"off by {off.min():.3f} to {off.max():.3f}")
    (Path(__file__).parent / "results" / "plans.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
