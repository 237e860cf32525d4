"""A small screen to lay out in many ways: 24 guides of 8 genes, a plasmid and three samples."""

import numpy as np
import pandas as pd

SAMPLES = ["T0", "A_1", "A_2", "B_1"]
GENES = [f"GENE{k // 3}" for k in range(24)]
GUIDES = [f"s_{k}" for k in range(24)]
SEQUENCES = ["".join(letters) for letters in np.random.default_rng(0).choice(list("ACGT"), (24, 20))]
SAMPLE_MAP = pd.DataFrame(
    {
        "sample": SAMPLES, "cell_line": ["pool", "A", "A", "B"], "replicate": ["1", "1", "2", "1"],
        "reference": [None, "T0", "T0", "T0"],
    }
)  # fmt: skip


def reads():
    rng = np.random.default_rng(3)
    return pd.DataFrame({name: rng.integers(100, 900, 24) for name in SAMPLES})


def counts(guide="sgRNA", gene="Gene", guides=GUIDES, genes=GENES):
    columns = {guide: guides} if gene is None else {guide: guides, gene: genes}
    return pd.concat([pd.DataFrame(columns), reads()], axis=1)


def found(screen):
    """The findings by name: how many, what became of them."""
    return screen.findings.drop_duplicates("finding").set_index("finding")
