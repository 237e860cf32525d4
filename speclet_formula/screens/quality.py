"""The quality of a screen before anything is fitted: depth, evenness, replicates, batches, clones that took off."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from speclet_formula.common.table import Printed, Sheet, text_table
from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.screens.columns import BATCHES, find_column
from speclet_formula.screens.read import Screen
from speclet_formula.screens.rows import OWN

# DepMap's own bounds, from the notes to its releases: mean reads of a guide, and null-normalised median difference.
FEWEST_READS, LEAST_NNMD = 185, -1.25
# MAGeCK's advice for a library or an early sample: Li et al. (2015).
MOST_ZEROS, MOST_GINI = 0.01, 0.1
RISE, GAP = 2.0, 2.0  # log2, of a clone that took off: Chronos' cutoffs
FEWEST_GUIDES = 3  # measured everywhere: with fewer samples cannot be compared
MOST_COMPONENTS, MOST_FACTORS = 10, 12
FAR = 3.0  # standard errors, beyond which correlations differ
_SHOWN = 5
_SAMPLES = (
    "sample", "cell_line", "replicate", "total", "reads_per_guide", "zeros", "gini", "nnmd", "replicate_r", "own_r",
    "other_r", "nearest_line", "outgrowths",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class ScreenQuality(Printed):
    r"""How good a screen is.

    Attributes
    ----------
    samples : pandas.DataFrame
        One row per sample, references included where there are counts: `sample`, `cell_line`, `replicate`; `total`
        (reads), `reads_per_guide`, `zeros` (share of the guides without a read), `gini` (Gini index of log(reads + 1):
        0 if all guides have equally many, 1 if one has all); `nnmd` (median fold change of essential less median of
        nonessential guides, over the median absolute deviation of the latter; missing without both kinds);
        `replicate_r` (mean Pearson correlation of its fold changes with the other samples of its line); `own_r`, the
        same of what differs between lines (fold changes less each guide's mean over the lines), `other_r` and
        `nearest_line`, the highest such mean with another line, and which; `outgrowths`. What is about fold changes is
        missing of references.
    correlations : pandas.DataFrame
        Samples x samples: Pearson correlations of log fold changes over the guides that both have.
    factors : pandas.DataFrame
        One row per column of the sample map that sorts samples into groups, the largest `adjusted` first: `factor`,
        `levels`, `share` (of the variance of all guides' fold changes between samples that lies between its levels),
        `chance` (the share that as many levels would have of noise, (levels - 1) / (samples - 1)), `adjusted`
        (:math:`(share - chance) / (1 - chance)`).
    components : pandas.DataFrame
        One row per principal component of the samples (guides centred, none scaled): `component`, `share` of the
        variance, `factor` that its scores go with most, `factor_share` (of the scores' variance between its levels).
    scores : pandas.DataFrame
        Samples x components.
    outgrowths : pandas.DataFrame
        One row per clone that took off, the largest first: `sgRNA`, `gene`, `sample`, `cell_line`, `log_fc`, `next`
        (the next largest of the gene's guides and the line's replicates), `gap`.
    sentences : tuple of str
        What was found; `amiss` has those of them that ask for a look.
    """

    samples: pd.DataFrame
    correlations: pd.DataFrame
    factors: pd.DataFrame
    components: pd.DataFrame
    scores: pd.DataFrame
    outgrowths: pd.DataFrame
    sentences: tuple[str, ...]
    amiss: tuple[str, ...]

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        shown = self.samples.dropna(axis=1, how="all")
        whole = {name: shown[name].round().astype("Int64") for name in ("total", "reads_per_guide") if name in shown}
        shown = shown.assign(**whole)
        tables = [text_table(shown, "Samples", labels=3)]
        tables += [text_table(self.factors, "What samples differ by")] if len(self.factors) else []
        more = len(self.outgrowths) - _SHOWN
        note = f"{more:,} more stand in .outgrowths." if more > 0 else ""
        tables.append(text_table(self.outgrowths.head(_SHOWN), "Clones that took off", labels=4, note=note))
        told = [f"* {sentence}" for sentence in (*self.amiss, *(s for s in self.sentences if s not in self.amiss))]
        return Sheet(f"Quality of a screen of {self.samples['sample'].size:,} samples", told, tables)


def screen_quality(screen: Screen, *, batch: str | None = None) -> ScreenQuality:
    r"""Judge a screen before anything is fitted.

    Parameters
    ----------
    screen : Screen
        As `read_screen` or `read_fold_changes` returns it; depth and evenness are judged of counts alone.
    batch : str, optional
        The column of batches in the sample map. By default one that is called `batch`, `pDNA_batch` or so.

    Returns
    -------
    ScreenQuality
        Tables of samples, correlations, factors, principal components and outgrown clones; sentences on what they say.
        A guide in one sample is a clone that took off where its log2 fold change exceeds 2 and is by more than 2 above
        the next of all its gene's guides in all replicates of the line: Chronos' rule. Samples are doubtful with fewer
        than 185 reads for a guide or a null-normalised median difference above -1.25 (DepMap's bounds), references with
        more than 1 % of guides without a read or a Gini index above 0.1 (MAGeCK's).

    Raises
    ------
    DataError
        What was handed over is no screen, the sample map has no such column, or the table has no rows.

    References
    ----------
    Gini index and zeros: Li et al. (2015), doi:10.1186/s13059-015-0843-6. Outgrowing clones: Dempster et al. (2021),
    doi:10.1186/s13059-021-02540-7. Null-normalised median difference: Dempster et al. (2019), doi:10.1101/720243.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> simulated = sf.simulate_screen(genes=50, replicates=2, random_seed=1)
    >>> quality = sf.screen_quality(sf.read_screen(simulated.counts, simulated.guides, simulated.samples))
    >>> quality.samples["sample"].tolist()
    ['plasmid', 'cell_0_1', 'cell_0_2']
    """
    _check(screen, batch)
    table = screen.table
    changes = _matrix(table)
    labels = table.drop_duplicates("sample").set_index("sample").loc[changes.columns]
    clones = outgrown_clones(table)
    correlations = changes.corr()
    special = _less_common(changes, labels["cell_line"])
    whole = changes.dropna().to_numpy(dtype=float)
    factors, components, scores = _spread(whole, labels)
    samples = _samples(screen, labels, (correlations, special), clones)
    told = [
        *_about_depth(samples, screen),
        *_about_controls(samples),
        *_about_replicates(samples, len(changes)),
        *_about_batches(factors, labels, _batch_of(labels, batch)),
        *_about_components(components),
        *_about_clones(clones, int(table["log_fc"].notna().sum())),
    ]
    return ScreenQuality(
        samples=samples,
        correlations=correlations,
        factors=factors,
        components=components,
        scores=scores,
        outgrowths=clones,
        sentences=tuple(text for text, _ in told),
        amiss=tuple(text for text, doubtful in told if doubtful),
    )


def _check(screen: Screen, batch: str | None) -> None:
    if not len(screen.table):
        raise DataError("the screen has no rows.", "Its table has one for each guide and sample.", "Read it anew.")
    if batch is not None and batch not in screen.table:
        own = [str(name) for name in screen.table if name not in OWN]
        near = nearest(batch, own)
        raise DataError(
            f"the screen's table has no column '{batch}'.",
            f"Columns of its sample map: {listed(own) or 'none'}.",
            f"Nearest: '{near}'." if near else "Add it to the sample map, or leave batch= out.",
        )


def _matrix(table: pd.DataFrame) -> pd.DataFrame:
    """Return guides x samples of log fold changes, in the order of the table."""
    samples, guides = pd.unique(table["sample"]), pd.unique(table["sgRNA"])
    values = np.full((len(guides), len(samples)), np.nan)
    places = [pd.Index(names).get_indexer(table[column]) for names, column in ((guides, "sgRNA"), (samples, "sample"))]
    values[places[0], places[1]] = table["log_fc"].to_numpy(dtype=float)
    return pd.DataFrame(values, index=pd.Index(guides), columns=pd.Index(samples))


def _less_common(changes: pd.DataFrame, lines: pd.Series) -> pd.DataFrame:
    """Return the samples' correlations in what differs between lines: guides less their mean over the lines."""
    if lines.nunique() < 2:  # noqa: PLR2004 - one does not differ
        return pd.DataFrame(np.nan, index=changes.columns, columns=changes.columns)
    by_line = changes.T.groupby(lines.to_numpy(), sort=False).mean()
    return changes.sub(by_line.mean(), axis=0).corr()


def _batch_of(labels: pd.DataFrame, batch: str | None) -> str | None:
    """Return the column of batches that tells samples apart."""
    name = find_column(labels, BATCHES) if batch is None else batch
    return None if name is None or labels[name].nunique() < 2 else name  # noqa: PLR2004 - two make a difference


def outgrown_clones(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of guides that take off in one sample, far above all else of their gene and line."""
    columns = ["sgRNA", "gene", "sample", "cell_line", "log_fc"]
    rows = table[columns].dropna().sort_values("log_fc", ascending=False, kind="stable")
    group = [rows["gene"].to_numpy(), rows["cell_line"].to_numpy()]
    place = rows.groupby(group, sort=False).cumcount()
    first = rows[place.to_numpy() == 0].set_index(["gene", "cell_line"])
    second = rows[place.to_numpy() == 1].set_index(["gene", "cell_line"])["log_fc"]
    first = first.assign(next=second.reindex(first.index)).reset_index()
    found = first.assign(gap=first["log_fc"] - first["next"])
    found = found[(found["log_fc"] > RISE) & (found["gap"] > GAP)].sort_values("log_fc", ascending=False)
    return found[[*columns, "next", "gap"]].reset_index(drop=True)


# --- what samples differ by -------------------------------------------------------------------------------------------


def _spread(whole: np.ndarray, labels: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return how much each factor explains of all guides, the principal components, and the samples' scores."""
    n = len(labels)
    factors = pd.DataFrame(columns=["factor", "levels", "share", "chance", "adjusted"])
    components = pd.DataFrame(columns=["component", "share", "factor", "factor_share"])
    if n < 3 or len(whole) < FEWEST_GUIDES:  # noqa: PLR2004 - two samples differ in one way
        return factors, components, pd.DataFrame(index=labels.index)
    centred = (whole - whole.mean(axis=1, keepdims=True)).T
    sorting = {name: pd.factorize(labels[name])[0] for name in _factors(labels)}
    rows = []
    for name, codes in sorting.items():
        levels = int(codes.max()) + 1
        share, chance = _between(centred, codes), (levels - 1) / (n - 1)
        rows.append((name, levels, share, chance, (share - chance) / (1 - chance)))
    factors = pd.DataFrame(rows, columns=factors.columns).sort_values("adjusted", ascending=False, ignore_index=True)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    kept = min(n - 1, MOST_COMPONENTS)
    left = left * np.sign(left[np.abs(left).argmax(axis=0), range(n)])  # the farthest sample lies on the right
    names = [f"PC{place + 1}" for place in range(kept)]
    scores = pd.DataFrame((left * sizes)[:, :kept], index=labels.index, columns=names)
    best = [_best_factor(scores[name].to_numpy()[:, None], sorting) for name in names]
    shares = sizes[:kept] ** 2 / (sizes**2).sum()
    components = pd.DataFrame({"component": names, "share": shares}).assign(
        factor=[name for name, _ in best], factor_share=[share for _, share in best]
    )
    return factors, components, scores


def _factors(labels: pd.DataFrame) -> list[str]:
    """Return the columns that sort samples into groups: more than one, fewer than samples."""
    wanted = ["cell_line", "replicate", *(str(name) for name in labels if name not in OWN)]
    few = [name for name in wanted if name in labels and labels[name].notna().all() and not _is_measure(labels[name])]
    return [name for name in few if 1 < labels[name].nunique() < len(labels)][:MOST_FACTORS]


def _is_measure(column: pd.Series) -> bool:
    return bool(column.dtype.kind == "f")


def _between(centred: np.ndarray, codes: np.ndarray) -> float:
    """Return the share of the sum of squares, samples x anything, that lies between groups of samples."""
    total = float((centred**2).sum())
    means = np.stack([centred[codes == code].mean(axis=0) for code in range(codes.max() + 1)])
    return float((np.bincount(codes)[:, None] * means**2).sum()) / total if total else 0.0


def _best_factor(scores: np.ndarray, sorting: dict[str, np.ndarray]) -> tuple[str | None, float]:
    """Return the factor that a component goes with, beyond what so many levels have by chance."""
    n = len(scores)
    shares = {name: _between(scores, codes) for name, codes in sorting.items()}
    adjusted = {name: (share - sorting[name].max() / (n - 1)) for name, share in shares.items()}
    best = max(adjusted, key=adjusted.__getitem__, default=None)
    return (None, float("nan")) if best is None else (best, shares[best])


# --- samples ----------------------------------------------------------------------------------------------------------


def _samples(
    screen: Screen, labels: pd.DataFrame, likeness: tuple[pd.DataFrame, pd.DataFrame], clones: pd.DataFrame
) -> pd.DataFrame:
    """Return the table of samples; `likeness` are correlations of all, and of what differs between lines."""
    known = screen.samples.set_index("sample")
    frame = known.reindex(columns=["cell_line", "replicate", "total", "reads_per_guide", "zeros", "gini"])
    frame["nnmd"] = _median_differences(screen.table)
    lines = labels["cell_line"]
    frame["replicate_r"] = pd.Series({sample: _likeness(sample, lines, likeness[0])[0] for sample in labels.index})
    special = [_likeness(sample, lines, likeness[1]) for sample in labels.index]
    frame = frame.join(pd.DataFrame(special, index=labels.index, columns=["own_r", "other_r", "nearest_line"]))
    counts = clones["sample"].value_counts()
    frame["outgrowths"] = counts.reindex(labels.index).fillna(0).astype("Int64")
    return frame.rename_axis("sample").reset_index()[list(_SAMPLES)]


def _median_differences(table: pd.DataFrame) -> pd.Series:
    """Return each sample's null-normalised median difference."""
    kinds = table["control"].astype(object)
    if not {"essential", "nonessential"} <= set(kinds):
        return pd.Series(dtype=float)
    null = table[(kinds == "nonessential").to_numpy()].groupby("sample")["log_fc"]
    centre = null.median()
    spread = null.agg(lambda values: (values - values.median()).abs().median())
    essential = table[(kinds == "essential").to_numpy()].groupby("sample")["log_fc"].median()
    return (essential - centre) / spread.where(spread > 0)


def _likeness(sample: str, lines: pd.Series, correlations: pd.DataFrame) -> tuple[float, float, str | None]:
    """Return how much a sample is like its own line's others, like those of the nearest other line, and which it is."""
    row = correlations.loc[sample].drop(sample)
    means = row.groupby(lines.loc[row.index].to_numpy()).mean()
    own = lines.loc[sample]
    others = means.drop(own, errors="ignore").dropna()
    nearest_line = None if others.empty else str(others.idxmax())
    return float(means.get(own, np.nan)), float("nan") if others.empty else float(others.max()), nearest_line


# --- sentences --------------------------------------------------------------------------------------------------------


def _about_depth(samples: pd.DataFrame, screen: Screen) -> Iterator[tuple[str, bool]]:
    if samples["total"].isna().all():
        yield "Fold changes came as such: nothing is known of depth and evenness.", False
        return
    shallow = samples.loc[samples["reads_per_guide"] < FEWEST_READS, "sample"]
    if len(shallow):
        yield (f"{len(shallow):,} samples have fewer than {FEWEST_READS} reads for a guide, which DepMap asks for: "
               f"{listed(shallow, _SHOWN)}."), True  # fmt: skip
    else:
        least = samples["reads_per_guide"].min()
        yield f"Samples have {least:,.0f} reads for a guide or more; DepMap asks for {FEWEST_READS}.", False
    used = {name for names in screen.samples["references"] for name in names.split("; ") if name}
    references = samples[samples["sample"].isin(used)]
    for column, most, words in (
        ("zeros", MOST_ZEROS, f"lack more than {MOST_ZEROS:.0%} of the guides"),
        ("gini", MOST_GINI, f"have a Gini index above {MOST_GINI}"),
    ):
        uneven = references.loc[references[column] > most, "sample"]
        if len(uneven):
            yield (f"{len(uneven):,} references {words}, MAGeCK's bound for a library: {listed(uneven, _SHOWN)}. What "
                   "a guide starts from is then poorly known."), True  # fmt: skip


def _about_controls(samples: pd.DataFrame) -> Iterator[tuple[str, bool]]:
    known = samples.dropna(subset=["nnmd"])
    weak = known[known["nnmd"] > LEAST_NNMD]
    if len(weak):
        names = [f"{row.sample} ({row.nnmd:.2f})" for row in weak.itertuples()]
        yield (f"In {len(weak):,} samples essential guides are hardly below nonessential ones, by a null-normalised "
               f"median difference above DepMap's bound of {LEAST_NNMD}: {listed(names, _SHOWN)}."), True  # fmt: skip
    elif len(known):
        yield (f"Essential guides lie below nonessential ones in every sample: null-normalised median differences of "
               f"{known['nnmd'].max():.1f} or less, DepMap's bound being {LEAST_NNMD}."), False  # fmt: skip


def _about_replicates(samples: pd.DataFrame, n_guides: int) -> Iterator[tuple[str, bool]]:
    repeated = samples.dropna(subset=["replicate_r"])
    if len(repeated):
        low, high = repeated["replicate_r"].min(), repeated["replicate_r"].max()
        yield (f"Fold changes of replicates correlate by {repeated['replicate_r'].mean():.2f} on average, of single "
               f"samples {low:.2f} to {high:.2f}."), False  # fmt: skip
    siblings = repeated.groupby("cell_line")["sample"].transform("size") - 1
    by_chance = FAR * np.sqrt(2 / (n_guides * siblings))  # of means of so many correlations of noise
    strange = repeated[repeated["other_r"] - repeated["own_r"] > by_chance]
    if len(strange):
        names = [f"{row.sample} (own line {row.own_r:.2f}, {row.nearest_line} {row.other_r:.2f})"
                 for row in strange.itertuples()]  # fmt: skip
        yield (f"In what differs between lines {len(strange):,} samples are more like another than their own: "
               f"{listed(names, _SHOWN)}. Look whether labels were exchanged."), True  # fmt: skip


def _about_batches(factors: pd.DataFrame, labels: pd.DataFrame, batch: str | None) -> Iterator[tuple[str, bool]]:
    adjusted = factors.set_index("factor")["adjusted"] if len(factors) else pd.Series(dtype=float)
    if batch is None or batch not in adjusted:
        return
    nested = (labels.groupby("cell_line")[batch].nunique() == 1).all() and labels["cell_line"].nunique() > 1
    if nested:
        yield (f"Each cell line lies in one '{batch}': what batches do and what lines do can only be told apart by "
               "lines of one batch."), True  # fmt: skip
    if "cell_line" not in adjusted:
        return
    ours, theirs = (max(0.0, float(adjusted[name])) for name in ("cell_line", batch))
    text = f"'{batch}' explains {theirs:.0%} of what samples differ by, lines {ours:.0%} (less what noise would have)"
    if theirs > ours and not nested:
        yield f"{text}: batches outweigh biology. Compare within batches, or give the model (1 | {batch}).", True
    else:
        yield f"{text}.", False


def _about_components(components: pd.DataFrame) -> Iterator[tuple[str, bool]]:
    for first in components.head(1).itertuples():
        goes = f"; {first.factor_share:.0%} of it lies between levels of '{first.factor}'" if first.factor else ""
        yield f"The first principal component has {first.share:.0%} of the variance between samples{goes}.", False


def _about_clones(clones: pd.DataFrame, n_rows: int) -> Iterator[tuple[str, bool]]:
    if clones.empty:
        yield "No guide took off in a single sample.", False
        return
    names = [f"{row.sgRNA} of {row.gene} in {row.sample}" for row in clones.itertuples()]
    yield (f"{len(clones):,} guides took off in a single sample, one in {n_rows / len(clones):,.0f} rows: "
           f"{listed(names, 3)}. Look at them before a gain of their genes is believed."), True  # fmt: skip
