"""All of HAP1 by its reads, sampled: seconds, memory, R-hat, effective draws and misses of essential genes.

    python -m benchmarks.counts_by_hmc FOLDER_OF_SCREENS [--family poisson] [--draws 100]

209,802 rows of 18,045 genes and 69,934 guides, first reads as offset; rows of a Poisson vary by a normal effect. Four
chains on two threads. Writes benchmarks/results/counts_by_hmc.json.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import speclet_formula as sf
from benchmarks.hits import hap1, recall

FORMULA = "count ~ offset(log(count_initial)) + (1 | gene) + (1 | gene:sgRNA)"


def main() -> None:
    """Fit, rank, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--family", choices=["poisson", "negativebinomial"], default="poisson")
    parser.add_argument("--draws", type=int, default=100)
    given = parser.parse_args()
    table = hap1(given.folder).reset_index(drop=True)
    table["row"] = range(len(table))
    formula = FORMULA + (" + (1 | row)" if given.family == "poisson" else "")
    wall, processor = time.time(), time.process_time()
    fit = sf.glmer(
        formula, table, family=given.family, method="hmc", draws=given.draws, keep=["gene"], cores=2, random_seed=1
    )
    spent = {"processor seconds": time.process_time() - processor, "wall seconds": time.time() - wall}
    ranked = sf.rank_genes(fit, direction="negative").set_index("gene")["rank"].astype(float)
    classes = table.drop_duplicates("gene").set_index("gene")["control"]
    record = {key: round(value) for key, value in spent.items()} | {
        "draws": 4 * given.draws,
        "peak GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "missed": round(1 - recall(ranked, classes), 4),
        "sentence": fit.diagnostics.sentence,
        "sds": sf.varcorr(fit).set_index("grp")["sdcor"].round(4).to_dict(),
    }
    output = Path(__file__).parent / "results" / "counts_by_hmc.json"
    results = json.loads(output.read_text()) if output.exists() else {}
    results[given.family] = record
    print(json.dumps(record, indent=1))
    output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
