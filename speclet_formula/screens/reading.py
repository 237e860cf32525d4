"""Counts, a guide map and a sample map go in; a `Screen` comes out: a long table to fit, and what was found on the way.

What files and frames mean is left to `layouts` and `maps`, depth to `normalising`.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.screens.layouts import SAMPLES, Counts, counts_of, find_column, read_frame
from speclet_formula.screens.maps import CONTROLS, Samples, control_classes, gene_of_guides, samples_of
from speclet_formula.screens.normalising import Normalisation, size_factors
from speclet_formula.screens.notes import Notes
from speclet_formula.screens.records import Screen

DROPS = ("no_gene", "several_genes", "low_initial", "missing_counts", "unmapped_samples")
FEW_CONTROLS = 50
_OWN = ("sgRNA", "gene", "sample", "cell_line", "replicate", "control", "count", "count_initial", "log_fc")
_LEFT_OUT = "Left out, as drop= asks."
_METHODS = {"median": "median of ratios", "total": "total reads", "none": "nothing"}


def read_screen(
    counts: Any,
    guides: Any = None,
    samples: Any = None,
    *,
    controls: Any = None,
    normalise: Normalisation = "median",
    pseudo_count: float = 5.0,
    min_initial: float = 30.0,
    duplicates: Literal["error", "sum"] = "error",
    drop: Sequence[str] = (),
) -> Screen:
    """Turn a matrix of read counts into a table of log fold changes, and say all that was found on the way.

    Parameters
    ----------
    counts : table or path
        Reads, guides x samples. Layouts are told by their columns: MAGeCK (`sgRNA`, `gene`, samples), BAGEL
        (`REAGENT_ID` or `SEQUENCE`, `GENE`, samples), Chronos (samples in rows, guides in columns), or a column of
        guides and samples. Any frame, or a file: CSV, TSV, TXT (tabs; also .gz), parquet.
    guides : table or path, optional
        The guide map: `sgRNA` (or another name of guides), `gene`, perhaps `control`. Not needed where the counts name
        the genes; where both do, the map's hold.
    samples : table or path
        The sample map: `sample` (Chronos: `sequence_ID`), `cell_line` (`cell_line_name`), perhaps `replicate`, and the
        references: `reference` has each sample's plasmid or first time point (several with ";" between), or True for
        references, those of the same `batch` (`pDNA_batch`) if there is one; in Chronos' layout a reference's cell
        line is "pDNA". Other columns (`lineage`, `days`) go along into the table.
    controls : mapping, table or path, optional
        Genes or guides by class, `{"essential": [...], "nonessential": [...]}` (lists, or paths of lists), or a table
        of `gene` and `control`. The guide map's column `control` by default.
    normalise : {"median", "total", "none"}
        How deep samples were read: median of ratios, or total reads; on the nonessential guides, on all if there are
        none.
    pseudo_count : float
        Reads that are added to both sides of a fold change, after normalising. More pulls guides with few reads to 0.
    min_initial : float
        A row with fewer reads in its references (their mean, not normalised) is a finding.
    duplicates : {"error", "sum"}
        What to do with several rows of one guide: refuse them, or add their reads up.
    drop : sequence of str
        Findings whose rows are left out: "no_gene", "several_genes", "low_initial", "missing_counts",
        "unmapped_samples". Without it all rows stay: a guide of two genes as one of the gene "A;B", one without a gene
        with a missing one, which a fit refuses unless it has missing="drop".

    Returns
    -------
    Screen
        `table` to fit, `findings`, `samples`.

    Raises
    ------
    DataError
        A table lacks a column, a sample has no reference, counts are negative or no numbers, a guide or a sample
        stands twice, or nothing is left.

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
    _check_choices(drop, duplicates, pseudo_count, min_initial)
    notes = Notes()
    sample_map = read_frame(samples, "samples")
    known = find_column(sample_map, SAMPLES)
    found = counts_of(read_frame(counts, "counts"), set() if known is None else set(sample_map[known].astype(str)))
    notes.add("annotations", "columns", found.annotations, "{n} columns of the counts are text.", "Not used.")
    genes, classes = gene_of_guides(found, guides, notes)
    placed = samples_of(found, sample_map, drop, notes)
    values, labels = _one_row_each(found, duplicates, notes)
    values = values[:, [found.samples.index(name) for name in placed.table["sample"]]]
    classes = control_classes(genes, classes, controls, notes)
    values, labels = _without_guides(values, labels, genes, drop, notes)
    classes, genes = classes.loc[labels], genes.loc[labels]
    factors, words = _depths(values, classes.to_numpy(), normalise, notes)
    table = _long(values, genes, classes, placed, factors, pseudo_count)
    table = _rows_left(table, min_initial, drop, notes)
    return Screen(
        table=table.drop(columns="initial"),
        findings=notes.frame(),
        samples=_sample_frame(placed, values, factors),
        layout=found.layout,
        normalised=words,
        pseudo_count=pseudo_count,
    )


def _check_choices(drop: Sequence[str], duplicates: str, pseudo_count: float, min_initial: float) -> None:
    asked = [drop] if isinstance(drop, str) else list(drop)
    unknown = next((name for name in asked if name not in DROPS), None)
    if unknown is not None or isinstance(drop, str):
        near = nearest(str(unknown or drop), DROPS)
        raise DataError(
            f"drop={drop!r} names no finding that can be left out." if unknown else f"drop={drop!r} is no list.",
            f"drop is a list of {', '.join(map(repr, DROPS))}.",
            f"Write drop=[{near!r}]." if near else "Leave drop= out to keep all rows.",
        )
    if duplicates not in ("error", "sum"):
        raise DataError(
            f"duplicates={duplicates!r} is no choice.",
            "'error' refuses several rows of one guide, 'sum' adds their reads up.",
            "Leave it out to refuse them.",
        )
    for name, value, least in (("pseudo_count", pseudo_count, "above 0"), ("min_initial", min_initial, "0 or more")):
        if not (np.isfinite(value) and (value > 0 or (value == 0 and name == "min_initial"))):
            raise DataError(f"{name}={value!r} is out of range.", f"It is a number of reads, {least}.", "Leave it out.")


def _one_row_each(counts: Counts, duplicates: str, notes: Notes) -> tuple[np.ndarray, np.ndarray]:
    """Return one row of reads for each guide."""
    codes, labels = pd.factorize(np.asarray(counts.guides, dtype=object))
    if len(labels) == len(codes):
        return counts.values, labels
    twice = labels[np.bincount(codes) > 1]
    if duplicates == "error":
        raise DataError(
            f"{len(twice):,} guides stand in several rows of the counts: {listed(map(repr, twice), 5)}.",
            "Each guide has one row.",
            "Write duplicates='sum' to add their reads up, or give each copy a name of its own.",
        )
    notes.add("duplicates", "guides", twice, "{n} guides stand in several rows of the counts.", "Their reads were added"
              " up, as duplicates= asks.")  # fmt: skip
    summed = np.zeros((len(labels), counts.values.shape[1]))
    np.add.at(summed, codes, counts.values)
    return summed, labels


def _without_guides(
    values: np.ndarray, labels: np.ndarray, genes: pd.Series, drop: Sequence[str], notes: Notes
) -> tuple[np.ndarray, np.ndarray]:
    """Note guides of no gene or of several; leave out those that `drop` names."""
    gene = genes.loc[labels]
    none, several = gene.isna().to_numpy(), gene.str.contains(";", na=False).to_numpy()
    notes.add("no_gene", "guides", labels[none], "{n} guides have no gene.",
              _LEFT_OUT if "no_gene" in drop else "Kept without one; a fit refuses their rows unless it has "
              "missing='drop', or leave them out here with drop=['no_gene'].")  # fmt: skip
    notes.add("several_genes", "guides", labels[several], "{n} guides hit several genes.",
              _LEFT_OUT if "several_genes" in drop else "Kept as guides of a gene of their own, 'A;B'; "
              "drop=['several_genes'] leaves them out.")  # fmt: skip
    keep = ~(none & ("no_gene" in drop)) & ~(several & ("several_genes" in drop))
    if not keep.any():
        raise DataError(
            f"no guide is left of {len(labels):,}.",
            "A screen has guides with a gene.",
            "Compare the guides' names in the counts and in the guide map, or leave drop= out.",
        )
    return values[keep], labels[keep]


def _depths(values: np.ndarray, classes: np.ndarray, normalise: Normalisation, notes: Notes) -> tuple[np.ndarray, str]:
    """Return the samples' depths and what they rest on, in words."""
    inside = classes == "nonessential"
    if not inside.any() and normalise != "none":
        notes.add("no_controls", "guides", range(len(values)), "No guide is a nonessential control.",
                  "Samples were normalised on all {n} guides.".replace("{n}", f"{len(values):,}"))  # fmt: skip
        notes.rows[-1] = (*notes.rows[-1][:5], "")
    elif inside.sum() < FEW_CONTROLS and normalise != "none":
        notes.add("few_controls", "guides", np.flatnonzero(inside), "Only {n} guides are nonessential controls.",
                  "Samples were normalised on them all the same.")  # fmt: skip
        notes.rows[-1] = (*notes.rows[-1][:5], "")
    chosen = inside if inside.any() else np.ones(len(values), dtype=bool)
    factors = size_factors(values[chosen], normalise)
    kind = "nonessential guides" if inside.any() else "guides"
    return factors, _METHODS[normalise] + ("" if normalise == "none" else f" on {chosen.sum():,} {kind}")


def _long(
    values: np.ndarray, genes: pd.Series, classes: pd.Series, placed: Samples, factors: np.ndarray, pseudo: float
) -> pd.DataFrame:
    """Return one row per guide and sample that is no reference."""
    names = placed.table["sample"].to_list()
    scaled = values / factors
    measured = [place for place, name in enumerate(names) if placed.references[name]]
    references = [[names.index(one) for one in placed.references[names[place]]] for place in measured]
    initial = np.stack([scaled[:, places].mean(axis=1) for places in references], axis=1)
    raw_initial = np.stack([values[:, places].mean(axis=1) for places in references], axis=1)
    count, n_guides = values[:, measured], len(genes)
    log_fc = np.log2(scaled[:, measured] + pseudo) - np.log2(initial + pseudo)
    reads = count.T.ravel()
    whole = not np.isnan(reads).any() and (reads == np.round(reads)).all()
    own = placed.table.iloc[measured]
    table = pd.DataFrame(
        {
            "sgRNA": np.tile(np.asarray(genes.index, dtype=object), len(measured)),
            "gene": np.tile(genes.to_numpy(dtype=object), len(measured)),
            **{name: np.repeat(own[name].to_numpy(), n_guides) for name in ("sample", "cell_line", "replicate")},
            "control": pd.Categorical(np.tile(classes.to_numpy(), len(measured)), categories=CONTROLS, ordered=True),
            "count": reads.astype(np.int64) if whole else reads,
            "count_initial": (initial * factors[measured]).T.ravel(),
            "log_fc": log_fc.T.ravel(),
            "initial": raw_initial.T.ravel(),
        }
    )
    taken = [name for name in own if name in _OWN[5:] or name in ("sgRNA", "gene")]
    if taken:
        raise DataError(
            f"the sample map has a column '{taken[0]}', which the table makes itself.",
            f"These names are taken: {', '.join(_OWN)}.",
            "Rename it.",
        )
    extra = own.drop(columns=["sample", "cell_line", "replicate"])
    return table.assign(**{str(name): np.repeat(extra[name].to_numpy(), n_guides) for name in extra})


def _rows_left(table: pd.DataFrame, min_initial: float, drop: Sequence[str], notes: Notes) -> pd.DataFrame:
    """Note rows with few or missing reads; leave out those that `drop` names."""
    low, missing = (table["initial"] < min_initial).to_numpy(), table["log_fc"].isna().to_numpy()
    left_out = "{n} rows were left out, as drop= asks."
    for finding, rows, what in (
        ("low_initial", low, f"{{n}} guides have fewer than {min_initial:g} reads in their references."),
        ("missing_counts", missing, "{n} guides have no count in a sample or its references."),
    ):
        kept = f"Their {rows.sum():,} rows were kept; drop=[{finding!r}] leaves them out."
        done = left_out.replace("{n}", f"{rows.sum():,}") if finding in drop else kept
        notes.add(finding, "guides", pd.unique(table.loc[rows, "sgRNA"]), what, done)
    keep = ~(low & ("low_initial" in drop)) & ~(missing & ("missing_counts" in drop))
    if not keep.any():
        raise DataError(
            f"no row is left of {len(table):,}.",
            "A screen has rows with reads in sample and reference.",
            "Leave drop= out, or lower min_initial=.",
        )
    return table[keep].reset_index(drop=True)


def _sample_frame(placed: Samples, values: np.ndarray, factors: np.ndarray) -> pd.DataFrame:
    table = placed.table[["sample", "cell_line", "replicate"]]
    return table.assign(
        references=["; ".join(placed.references[name]) for name in table["sample"]],
        total=np.nansum(values, axis=0),
        zeros=(values == 0).mean(axis=0),
        size_factor=factors,
    )
