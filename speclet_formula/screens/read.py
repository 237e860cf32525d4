"""Reading a screen: counts, or log fold changes, with a guide map and a sample map become a table to fit.

`Screen` holds the table and all that was found on the way. What files and frames mean is told by `counts`, `libraries`,
`samples` and `controls`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.common.table import Worded
from speclet_formula.errors import DataError, nearest
from speclet_formula.screens.columns import LINES, SAMPLES, Notes, found_columns, labels_of, read_frame
from speclet_formula.screens.controls import control_classes
from speclet_formula.screens.counts import FEWEST, Counts, Normalisation, counts_of, gini_indices, size_factors
from speclet_formula.screens.files import is_annotated, open_counts
from speclet_formula.screens.libraries import gene_of_guides, symbol_of
from speclet_formula.screens.rows import (
    Duplicates,
    label_rows,
    long_table,
    note_copies,
    note_fractions,
    one_row_each,
    without_guides,
)
from speclet_formula.screens.samples import Samples, samples_of

DROPS = (
    "no_gene", "several_genes", "non_targeting", "low_initial", "missing_counts", "unmapped_samples", "failed_qc",
)  # fmt: skip
FEW_CONTROLS = 50
_METHODS = {"median": "median of ratios", "total": "total reads", "none": "nothing"}


@dataclass(frozen=True, eq=False, repr=False)
class Screen(Worded):
    """A screen as a table to fit, with all that was found and done on the way from the counts.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per guide and sample, references aside, by sample and within it by guide:

        * `sgRNA`, `gene`, `sample`, `cell_line`, `replicate`: labels (a guide without a gene has a missing one);
        * `control`: ordered Categorical of nonessential, other, essential;
        * `count`: reads, as they were given;
        * `count_initial`: reads of the references (their mean after normalisation), scaled to the sample's depth: how
          many a guide without effect would have;
        * `log_offset`: its natural logarithm, by guide and sample: the logs of the sample's size factor and of the
          guide's normalised initial reads added up, for `offset(log_offset)` in a model of counts. Missing where the
          references have no read;
        * `log_fc`: log2 of (normalised count + pseudo-count) / (normalised initial count + pseudo-count);
        * the sample map's other columns.

        Of `read_fold_changes` without `count`, `count_initial` and `log_offset`.
    findings : pandas.DataFrame
        One row per finding, none if all is well: `finding` (a stable name), `unit` ("guides", "samples", "genes",
        "files", "columns"), `n` (how many), `what` (a sentence), `done` (what became of them), `examples` (the first
        names).
    samples : pandas.DataFrame
        One row per sample, references included: `sample`, `cell_line`, `replicate`, `references` (names, with "; "
        between; empty for a reference), `total` (reads), `reads_per_guide` (mean), `zeros` (share of guides without a
        read), `gini` (Gini index of log(reads + 1): 0 where all guides have equally many), `size_factor` (depth
        relative to the geometric mean of all samples).
    layout : str
        How the counts came: "MAGeCK", "BAGEL", "Chronos" or "table".
    normalised : str
        By what and on how many guides: "median of ratios on 120 nonessential guides".
    pseudo_count : float
        Missing where fold changes came as such.
    """

    table: pd.DataFrame
    findings: pd.DataFrame
    samples: pd.DataFrame
    layout: str
    normalised: str
    pseudo_count: float

    def __repr__(self) -> str:
        return "\n".join(_screen_lines(self))


def _screen_lines(screen: Screen) -> list[str]:
    table = screen.table
    classes = table.dropna(subset=["gene"]).drop_duplicates("gene")["control"].value_counts()
    genes = ", ".join(f"{classes.get(name, 0):,} {name}" for name in ("nonessential", "other", "essential"))
    guides, targets = ("constructs", "pairs of genes") if "gene_b" in table else ("guides", "genes")
    lines = [
        f"Screen ({screen.layout}): {table['sgRNA'].nunique():,} {guides} of {table['gene'].nunique():,} {targets} "
        f"({genes})",
        f"Samples: {table['sample'].nunique():,} of {table['cell_line'].nunique():,} cell lines   Rows: {len(table):,}",
        "Log fold changes as they came"
        if np.isnan(screen.pseudo_count)
        else f"Normalised by {screen.normalised}; pseudo-count {screen.pseudo_count:g}",
    ]
    if len(screen.findings):
        lines += ["", "Findings:"]
        lines += [f"* {row.what} {row.done} {_shown(row.examples)}".rstrip() for row in screen.findings.itertuples()]
    return lines


def _shown(examples: str) -> str:
    return f"({examples})" if examples else ""


def read_screen(
    counts: Any,
    guides: Any = None,
    samples: Any = None,
    *,
    controls: Any = None,
    normalise: Normalisation = "median",
    pseudo_count: float = 5.0,
    min_initial: float = 30.0,
    duplicates: Duplicates = "error",
    drop: Sequence[str] = (),
) -> Screen:
    """Turn a matrix of read counts into a table of log fold changes, and say all that was found on the way.

    Parameters
    ----------
    counts : table, path, AnnData, or paths by sample
        Reads, guides x samples. Layouts are told by their columns: MAGeCK (`sgRNA`, `gene`, samples; without a line of
        names too, its samples then being "0", "1", ... in the sample map), BAGEL (`REAGENT_ID` or `SEQUENCE`, `GENE`,
        samples), Chronos (samples in rows, guides in columns), or a column of guides and samples, as DepMap's raw read
        counts. Any frame, or a file: CSV, TSV, TXT (also .gz), parquet, Chronos' HDF5, AnnData (.h5ad, either way
        round, its layer `counts` or X); in text also other separators, lines of comment ("#") above the header,
        Windows' line ends, UTF-16. A dictionary of sample to path, a list of paths or a folder (samples are named as
        the files up to the first dot) stands for one file for each sample: a guide and its reads in a line, as
        featureCounts, HTSeq, samtools idxstats and `uniq -c` write them.
    guides : table or path, optional
        The guide map: `sgRNA` (or another name of guides), `gene`, perhaps `control`. Not needed where the counts name
        the genes; where both do, the map's hold. Of several columns of guides (names, sequences) the one that has the
        counts' names is taken; MAGeCK's library without a header is understood.
    samples : table or path
        The sample map; that of AnnData by default. `sample` (Chronos: `sequence_ID`), `cell_line` (`cell_line_name`),
        perhaps `replicate`, and the references: `reference` has each sample's plasmid or first time point (several
        with ";" between), or True (1, yes) for references. Each sample is then compared with those of its own line (a
        T0 for each line), or with those of no measured line (a plasmid), within its `batch` (`pDNA_batch`) if there is
        one. In Chronos' layout a reference's cell line is "pDNA", in DepMap's sequence map its `ScreenType`, in its
        replicate map of 2020 it has none; where nothing else marks references, samples of `days` or `timepoint` 0 are
        taken. JACKS' replicate map (`Replicate`, `Sample`, `Control`) and MAGeCK's design matrix (`Samples`,
        `baseline`, conditions) serve too. Other columns (`lineage`, `days`) go along into the table.
    controls : mapping, table or path, optional
        Genes or guides by class, `{"essential": [...], "nonessential": [...]}` (lists, or paths of lists, such as
        MAGeCK's list of control sgRNAs), or a table of `gene` and `control`. The guide map's column `control` by
        default. Genes match with or without DepMap's Entrez number, "A1BG (1)".
    normalise : {"median", "total", "none"}
        How deep samples were read: median of ratios, or total reads; on the nonessential guides, on all if there are
        fewer than 10.
    pseudo_count : float
        Reads that are added to both sides of a fold change, after normalising. More pulls guides with few reads to 0.
    min_initial : float
        A row with fewer reads in its references (their mean, not normalised) is a finding.
    duplicates : {"error", "same", "sum"}
        What to do with several rows of one guide: refuse them, take one where all have the same reads (a sequence that
        is listed for two genes), or add their reads up.
    drop : sequence of str
        Findings whose rows are left out: "no_gene", "several_genes", "non_targeting", "low_initial",
        "missing_counts", "unmapped_samples", "failed_qc". Without it all rows stay: a guide of two genes as one of the
        gene "A;B", one without a gene with a missing one, which a fit refuses unless it has missing="drop".

    Returns
    -------
    Screen
        `table` to fit, `findings`, `samples`.

    Raises
    ------
    DataError
        A table lacks a column, a sample has no reference, counts are negative or no numbers, a guide or a sample
        stands twice, two tables have no name in common, or nothing is left.

    References
    ----------
    Layouts: MAGeCK, Li et al. (2014), doi:10.1186/s13059-014-0554-4; BAGEL2, Kim and Hart (2021),
    doi:10.1186/s13073-020-00809-3; Chronos, Dempster et al. (2021), doi:10.1186/s13059-021-02540-7.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> simulated = sf.simulate_screen(genes=50, random_seed=1)
    >>> screen = sf.read_screen(simulated.counts, simulated.guides, simulated.samples)
    >>> len(screen.table), screen.layout  # 200 guides, 3 replicates
    (600, 'MAGeCK')
    """
    check_choices(drop, duplicates, pseudo_count, min_initial)
    notes = Notes()
    found, placed, genes, classes = gather(counts, guides, samples, controls, drop, notes)
    values, labels = one_row_each(found, duplicates, notes)
    note_fractions(values, notes)
    place_of = {name: place for place, name in enumerate(found.samples)}
    values = values[:, [place_of[name] for name in placed.table["sample"]]]
    note_copies(values, list(placed.table["sample"]), notes)
    values, labels = without_guides(values, labels, genes, drop, notes)
    classes, genes = classes.loc[labels], genes.loc[labels]
    factors, words = _depths(values, classes.to_numpy(), normalise, list(placed.table["sample"]), notes)
    table = long_table(values, genes, classes, placed, factors, (pseudo_count, min_initial), drop, notes)
    return Screen(
        table=table,
        findings=notes.frame(),
        samples=_sample_frame(placed, values, factors),
        layout=found.layout,
        normalised=words,
        pseudo_count=pseudo_count,
    )


def gather(
    counts: Any, guides: Any, samples: Any, controls: Any, drop: Sequence[str], notes: Notes, *, are_reads: bool = True
) -> tuple[Counts, Samples, pd.Series, pd.Series]:
    """Return the counts, the samples' facts, and the gene and class of each guide, of what a user handed over."""
    opened = open_counts(counts, (), notes, are_reads=are_reads) if is_annotated(counts) else None
    if opened is not None:
        guides = opened.guides if guides is None else guides
        samples = opened.samples if samples is None else samples
    if samples is None:
        raise DataError(
            "samples= is missing.",
            "It is a table, or the path of one, with a row for each column of reads: 'sample' (the column's name), "
            "'cell_line', 'replicate', and 'reference', which is True for a plasmid or first time point.",
            "Write samples=pandas.DataFrame({'sample': ['plasmid', 'A_1'], 'cell_line': ['', 'A'], 'reference': [True, "
            "False]}).",
        )
    sample_map = read_frame(samples, "samples", notes)
    columns = found_columns(sample_map, SAMPLES if are_reads else (*SAMPLES, *LINES))
    named = {name for column in columns for name in labels_of(sample_map[column]).dropna()}
    if opened is None:
        opened = open_counts(counts, named, notes, are_reads=are_reads)
    found = counts_of(opened.frame, named, notes, are_reads=are_reads, name_genes=guides is None)
    if guides is None and not are_reads:
        found = _of_genes(found, notes)
    genes, classes = gene_of_guides(found, guides, notes)
    placed = samples_of(found.samples, sample_map, drop, notes, compared=are_reads)
    return found, placed, genes, control_classes(genes, classes, controls, notes)


def _of_genes(found: Counts, notes: Notes) -> Counts:
    """Take genes for guides where a matrix has genes, as DepMap's of gene effects: "A1BG (1)" for each column."""
    if found.genes is not None or not all(symbol_of(label) != label for label in found.guides):
        return found
    notes.add("gene_matrix", "genes", found.guides, "The matrix has {n} genes in the place of guides.",
              "Each gene was taken for its own guide.")  # fmt: skip
    return replace(found, genes=pd.Series(found.guides, dtype=object))


def check_choices(
    drop: Sequence[str], duplicates: str, pseudo_count: float, min_initial: float, *, can_add: bool = True
) -> None:
    """Refuse arguments that are no choice."""
    asked = [drop] if isinstance(drop, str) else list(drop)
    unknown = next((name for name in asked if name not in DROPS), None)
    if unknown is not None or isinstance(drop, str):
        near = nearest(str(unknown or drop), DROPS)
        raise DataError(
            f"drop={drop!r} names no finding that can be left out." if unknown else f"drop={drop!r} is no list.",
            f"drop is a list of {', '.join(map(repr, DROPS))}.",
            f"Write drop=[{near!r}]." if near else "Leave drop= out to keep all rows.",
        )
    if duplicates not in ("error", "same", "sum")[: 2 + can_add]:
        raise DataError(
            f"duplicates={duplicates!r} is no choice.",
            "'error' refuses several rows of one guide, 'same' takes one of equal rows"
            + (", 'sum' adds their reads up." if can_add else "; fold changes cannot be added up."),
            "Leave it out to refuse them.",
        )
    for name, value, least in (("pseudo_count", pseudo_count, "above 0"), ("min_initial", min_initial, "0 or more")):
        if not (np.isfinite(value) and (value > 0 or (value == 0 and name == "min_initial"))):
            raise DataError(f"{name}={value!r} is out of range.", f"It is a number of reads, {least}.", "Leave it out.")


def _depths(
    values: np.ndarray, classes: np.ndarray, normalise: Normalisation, samples: Sequence[str], notes: Notes
) -> tuple[np.ndarray, str]:
    """Return the samples' depths and what they rest on, in words."""
    inside = classes == "nonessential"
    if 0 < inside.sum() < FEWEST and normalise != "none":
        notes.add("too_few_controls", "guides", np.flatnonzero(inside), "Only {n} guides are nonessential controls, "
                  f"fewer than {FEWEST}.", f"Samples were normalised on all {len(values):,} guides.")  # fmt: skip
        notes.rows[-1] = (*notes.rows[-1][:5], "")
        inside = np.zeros(len(values), dtype=bool)
    elif not inside.any() and normalise != "none":
        notes.add("no_controls", "guides", range(len(values)), "No guide is a nonessential control.",
                  "Samples were normalised on all {n} guides.".replace("{n}", f"{len(values):,}"))  # fmt: skip
        notes.rows[-1] = (*notes.rows[-1][:5], "")
    elif inside.sum() < FEW_CONTROLS and normalise != "none":
        notes.add("few_controls", "guides", np.flatnonzero(inside), "Only {n} guides are nonessential controls.",
                  "Samples were normalised on them all the same.")  # fmt: skip
        notes.rows[-1] = (*notes.rows[-1][:5], "")
    chosen = inside if inside.any() else np.ones(len(values), dtype=bool)
    factors = size_factors(values[chosen], normalise, samples)
    kind = "nonessential guides" if inside.any() else "guides"
    return factors, _METHODS[normalise] + ("" if normalise == "none" else f" on {chosen.sum():,} {kind}")


def _sample_frame(placed: Samples, values: np.ndarray, factors: np.ndarray) -> pd.DataFrame:
    table = placed.table[["sample", "cell_line", "replicate"]]
    return table.assign(
        references=["; ".join(placed.references[name]) for name in table["sample"]],
        total=np.nansum(values, axis=0),
        reads_per_guide=np.nanmean(values, axis=0),
        zeros=(values == 0).mean(axis=0),
        gini=gini_indices(values),
        size_factor=factors,
    )


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
    log_fc : table, path, AnnData, or paths by sample
        Log2 fold changes, guides x samples or, as Chronos has it, samples x guides; laid out as the counts of
        `read_screen`: BAGEL's `REAGENT_ID`, `GENE`, samples; DepMap's guides in a first column without a name, and its
        matrices of gene effects by model or by screen; MAGeCK's `.sgrna_summary.txt`, whose sample is called "LFC", or
        as it is named where each sample has a file.
    guides, samples, controls : optional
        As in `read_screen`; the sample map needs no references. A matrix that has a row for each cell line takes any
        table of lines for its map, such as DepMap's Model.csv.
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
