"""Log fold changes that another program computed go in; the same table to fit as of counts comes out.

BAGEL's foldchange file, DepMap's matrices of guides by sequences, any table of guides and samples. Counts are left to
`reading`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from speclet_formula.screens.cleaning import Duplicates, one_row_each, without_guides
from speclet_formula.screens.lengthening import label_rows
from speclet_formula.screens.notes import Notes
from speclet_formula.screens.reading import check_choices, gather
from speclet_formula.screens.records import Screen


def read_fold_changes(
    log_fc: Any,
    guides: Any = None,
    samples: Any = None,
    *,
    controls: Any = None,
    duplicates: Duplicates = "error",
    drop: Sequence[str] = (),
) -> Screen:
    """Turn a matrix of log fold changes into a table to fit, and say all that was found on the way.

    Where there are counts, `read_screen` is better: it knows how few reads a fold change rests on.

    Parameters
    ----------
    log_fc : table or path
        Log2 fold changes, guides x samples or, as Chronos has it, samples x guides; laid out as the counts of
        `read_screen`: BAGEL's `REAGENT_ID`, `GENE`, samples; DepMap's guides in a first column without a name.
    guides, samples, controls : optional
        As in `read_screen`; the sample map needs no references.
    duplicates : {"error", "same", "sum"}
        As in `read_screen`; fold changes cannot be added up, so that "sum" is refused.
    drop : sequence of str
        "no_gene", "several_genes", "non_targeting", "missing_counts", "unmapped_samples", "failed_qc".

    Returns
    -------
    Screen
        `table` with `sgRNA`, `gene`, `sample`, `cell_line`, `replicate`, `control`, `log_fc` and the sample map's other
        columns; `findings`; `samples` with `sample`, `cell_line`, `replicate`, `median` and `missing` (share of the
        guides).

    Raises
    ------
    DataError
        As `read_screen`.

    Examples
    --------
    >>> import pandas as pd
    >>> import speclet_formula as sf
    >>> changes = pd.DataFrame({"REAGENT_ID": ["g1", "g2"], "GENE": ["A", "B"], "HAP1_A": [-1.5, 0.1]})
    >>> samples = pd.DataFrame({"sample": ["HAP1_A"], "cell_line": ["HAP1"], "replicate": ["A"]})
    >>> sf.read_fold_changes(changes, samples=samples).table["log_fc"].tolist()
    [-1.5, 0.1]
    """
    check_choices(drop, duplicates, 1.0, 0.0, can_add=False)
    notes = Notes()
    found, placed, genes, classes = gather(log_fc, guides, samples, controls, drop, notes, are_reads=False)
    values, labels = one_row_each(found, duplicates, notes)
    place_of = {name: place for place, name in enumerate(found.samples)}
    values = values[:, [place_of[name] for name in placed.table["sample"]]]
    values, labels = without_guides(values, labels, genes, drop, notes)
    missing = np.isnan(values)
    leave = "missing_counts" in drop
    notes.add("missing_counts", "guides", labels[missing.any(axis=1)], "{n} guides have no fold change in some sample.",
              f"Their {missing.sum():,} rows were left out, as drop= asks." if leave else
              f"Their {missing.sum():,} rows were kept; drop=['missing_counts'] leaves them out.")  # fmt: skip
    keep = ~(missing & leave).T.ravel()
    table = label_rows({"log_fc": values.T.ravel()[keep]}, keep, genes.loc[labels], classes.loc[labels], placed.table)
    shares = placed.table[["sample", "cell_line", "replicate"]].assign(
        median=np.nanmedian(values, axis=0), missing=missing.mean(axis=0)
    )
    return Screen(table, notes.frame(), shares, found.layout, "nothing", float("nan"))
