"""Screens whose constructs carry two guides: tables of pairs become a table to fit, and pairs of genes are ranked.

A construct's fold change is taken for the sum of what its two genes do and of what only the pair does,

    (1 | mm(gene_a, gene_b, weights = cbind(w_a, w_b), scale = FALSE)) + (0 + both | gene_a:gene_b),

where a control without a target has the weight 0. Of what reads and samples are, `read_screen` knows.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from speclet_formula.design.design import GroupBlock
from speclet_formula.errors import DataError, EstimateError, listed
from speclet_formula.interpretation.level_effects import level_effects
from speclet_formula.posterior.draws import Fitted
from speclet_formula.posterior.effects import fixef
from speclet_formula.posterior.estimates import IntervalKind
from speclet_formula.screens.columns import (
    GENES,
    GUIDES,
    Notes,
    find_column,
    is_numeric,
    plain_name,
    read_frame,
    text_of_labels,
)
from speclet_formula.screens.controls import control_classes
from speclet_formula.screens.counts import Normalisation
from speclet_formula.screens.libraries import non_targeting
from speclet_formula.screens.ranking import RANKED, ranked_order
from speclet_formula.screens.read import Screen, read_screen
from speclet_formula.screens.rows import Duplicates

CONSTRUCTS = ("construct", "construct_id", "pair_id", "guide_pair", "guide_pair_id", "sgrna_pair", *GUIDES)
BETWEEN = "~"  # what stands between the genes of a pair, as in "BRCA1~PARP1": no separator of several genes
_SIDES = (("a", "b"), ("1", "2"), ("left", "right"))


def read_pairs(
    counts: Any,
    pairs: Any = None,
    samples: Any = None,
    *,
    controls: Any = None,
    normalise: Normalisation = "median",
    pseudo_count: float = 5.0,
    min_initial: float = 30.0,
    duplicates: Duplicates = "error",
) -> Screen:
    """Turn read counts of constructs with two guides into a table of log fold changes with both genes in each row.

    Parameters
    ----------
    counts : table or path
        One row for each construct: its name, or its guides in two columns, and a column of reads for each sample. The
        two sides are told by the ends of columns' names: `guide_a`, `guide_b`, `gene_a`, `gene_b`; also `sgRNA1`,
        `Gene_2`, `target_left` and the like.
    pairs : table or path, optional
        The library: `construct`, its guides (which may be missing), its genes. Not needed where the counts have the
        genes.
    samples : table or path
        As for `read_screen`.
    controls : mapping, table or path, optional
        Genes by class, as for `read_screen`. Controls that are named as without a target count as nonessential anyway.
    normalise, pseudo_count, min_initial, duplicates
        As for `read_screen`. Samples are normalised on constructs both of whose genes are nonessential.

    Returns
    -------
    Screen
        Its `table` has one row per construct and sample, with `sgRNA` (the construct) and `gene` ("A~B") as
        `read_screen` describes, and besides

        * `guide_a`, `guide_b`, `gene_a`, `gene_b`: both sides, the genes in alphabetical order, so that each pair of
          genes has one name; controls without a target come second;
        * `exchanged`: whether they stood the other way round;
        * `w_a`, `w_b`: 1, or 0 of a control without a target; `both`: 1 where both are genes.

        `control` is "essential" where either gene is, "nonessential" where both are.

    Raises
    ------
    DataError
        A side lacks its column of genes, a construct is not in the library, or as `read_screen`.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> simulated = sf.simulate_pairs(genes=12, random_seed=1)
    >>> screen = sf.read_pairs(simulated.counts, samples=simulated.samples)
    >>> screen.table[["gene_a", "gene_b", "w_b"]].head(2).to_numpy().tolist()
    [['gene_00', 'gene_01', 1.0], ['gene_00', 'gene_01', 1.0]]
    """
    notes = Notes()
    frame = read_frame(counts, "counts", notes)
    library, labels, name = _library(frame, None if pairs is None else read_frame(pairs, "pairs", notes), notes)
    taken = {*_sides(frame, GENES), *_sides(frame, GUIDES), name}
    reads = [column for column in frame if column not in taken and is_numeric(frame[column])]
    names = pd.DataFrame({"sgRNA": labels, "gene": library["gene"].loc[labels].to_numpy()})
    classes = _classes(library, controls, notes)
    screen = read_screen(
        pd.concat([names, frame[reads].reset_index(drop=True)], axis=1),
        library.assign(control=classes, sgRNA=library.index)[["sgRNA", "gene", "control"]].reset_index(drop=True),
        samples,
        normalise=normalise,
        pseudo_count=pseudo_count,
        min_initial=min_initial,
        duplicates=duplicates,
    )  # fmt: skip
    own = library.drop(columns="gene").reindex(screen.table["sgRNA"].astype(str)).set_axis(screen.table.index)
    blind = own[own["both"] == 0].groupby(screen.table["sgRNA"].astype(str)).size().index
    notes.add("non_targeting", "guides", blind, "{n} constructs have a control without a target on a side, or on both.",
              "Its weight, w_a or w_b, is 0.")  # fmt: skip
    found = screen.findings[screen.findings["finding"] != "non_targeting"]
    findings = pd.concat([notes.frame(), found], ignore_index=True)
    return replace(screen, table=pd.concat([screen.table, own], axis=1), findings=findings, layout="pairs of guides")


def _sides(frame: pd.DataFrame, names: Sequence[str]) -> tuple[str, str] | tuple[()]:
    """Return the two columns that bear one of the names and a side's; none where there are none."""
    known = {plain_name(column): str(column) for column in frame.columns[::-1]}
    for name in names:
        for first, second in _SIDES:
            for joint in ("_", ""):
                if f"{name}{joint}{first}" in known and f"{name}{joint}{second}" in known:
                    return known[f"{name}{joint}{first}"], known[f"{name}{joint}{second}"]
    return ()


def _library(
    counts: pd.DataFrame, pairs: pd.DataFrame | None, notes: Notes
) -> tuple[pd.DataFrame, list[str], str | None]:
    """Return guides and genes by construct, the construct of each row of the counts, and the column that names them."""
    told = counts if pairs is None else pairs
    genes, guides = _sides(told, GENES), _sides(told, GUIDES)
    if not genes:
        raise DataError(
            f"no two columns name the genes of a pair: {listed(map(repr, told.columns), 8)}.",
            "They are called gene_a and gene_b, or gene1 and gene2, in any case.",
            "Rename them in the counts, or hand over the library as pairs=.",
        )
    labels, name = _constructs(told, guides)
    both = pd.DataFrame({"gene_a": text_of_labels(told[genes[0]]), "gene_b": text_of_labels(told[genes[1]])})
    for side, place in (("guide_a", 0), ("guide_b", 1)):
        both[side] = text_of_labels(told[guides[place]]).to_numpy() if guides else ""
    both = _in_order(both.set_axis(pd.Index(labels, dtype=object)), notes)
    both = both[~both.index.duplicated()]
    if pairs is not None:
        labels, name = _constructs(counts, _sides(counts, GUIDES))
        absent = sorted(set(labels) - set(both.index))
        if absent:
            raise DataError(
                f"{len(absent):,} constructs of the counts are not in pairs=: {listed(map(repr, absent), 5)}.",
                f"Constructs of the library are called {listed(map(repr, both.index), 3)}.",
                "Hand over the library of these counts, or leave those rows out.",
            )
    return both, labels, name


def _constructs(frame: pd.DataFrame, guides: tuple[str, ...]) -> tuple[list[str], str | None]:
    """Return the name of each row's construct, and the column that holds it; of two columns of guides "a;b"."""
    name = find_column(frame.drop(columns=list(guides)), CONSTRUCTS)
    if name is not None:
        return text_of_labels(frame[name]).tolist(), name
    if not guides:
        raise DataError(
            f"no column names constructs or guides: {listed(map(repr, frame.columns), 8)}.",
            "There is a column 'construct', or two of guides, 'guide_a' and 'guide_b'.",
            "Rename the columns.",
        )
    first, second = (text_of_labels(frame[column]) for column in guides)
    return (first + ";" + second).tolist(), None


def _in_order(both: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Put the genes of each pair in order, those without a target last, and say which rows are the other way round."""
    blind = [
        non_targeting(pd.Series(both[gene].to_numpy(), index=pd.Index(both[guide], dtype=object))).to_numpy()
        for gene, guide in (("gene_a", "guide_a"), ("gene_b", "guide_b"))
    ]
    later = (both["gene_a"] > both["gene_b"]).to_numpy()
    exchanged = np.where(blind[0] == blind[1], later, blind[0])
    ordered = both.copy()
    for kind in ("gene", "guide"):
        one, other = both[f"{kind}_a"], both[f"{kind}_b"]
        ordered[f"{kind}_a"], ordered[f"{kind}_b"] = one.where(~exchanged, other), other.where(~exchanged, one)
    notes.add("exchanged", "guides", both.index[exchanged], "{n} constructs name their genes in the other order.",
              "Written in order, as one pair; the column 'exchanged' tells which.")  # fmt: skip
    first, second = np.where(exchanged, blind[1], blind[0]), np.where(exchanged, blind[0], blind[1])
    return ordered.assign(
        exchanged=exchanged,
        w_a=1.0 - first,
        w_b=1.0 - second,
        both=(1.0 - first) * (1.0 - second),
        gene=ordered["gene_a"] + BETWEEN + ordered["gene_b"],
    )


def _classes(library: pd.DataFrame, controls: Any, notes: Notes) -> np.ndarray:
    """Return the control class of each construct: essential where either gene is, nonessential where both are."""
    genes = pd.unique(pd.concat([library["gene_a"], library["gene_b"]]))
    named = pd.Series(genes, index=pd.Index(genes, dtype=object), dtype=object)
    known = control_classes(named, pd.Series(None, index=named.index, dtype=object), controls, notes)
    sides = [
        known.loc[library[f"gene_{side}"]].mask((library[f"w_{side}"] == 0).to_numpy(), "nonessential").to_numpy()
        for side in "ab"
    ]
    either, neither = (sides[0] == "essential") | (sides[1] == "essential"), (sides[0] == sides[1])
    return np.where(either, "essential", np.where(neither, sides[0], "other"))


def rank_pairs(
    fit: Fitted,
    *,
    genes: tuple[str, str] = ("gene_a", "gene_b"),
    construct: str = "sgRNA",
    direction: Literal["both", "negative", "positive"] = "both",
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> pd.DataFrame:
    """Rank pairs of genes by how sure it is that they do more, or less, than the sum of what each does.

    Parameters
    ----------
    fit : Fit or PointFit
        Of a model with effects of single genes, `(1 | mm(gene_a, gene_b))`, and of pairs, `(1 | gene_a:gene_b)` or
        `(0 + both | gene_a:gene_b)`.
    genes : tuple of str
        The two columns of genes.
    construct : str
        The column of constructs, which may be missing.
    direction : {"both", "negative", "positive"}
        Rank 1 is the surest interaction of either sign, the surest loss beyond the sum (synthetic lethality), or the
        surest gain (buffering).
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        One row per pair, rank 1 first: `rank`, `gene_a`, `gene_b`, `n_constructs` (missing without such a column),
        `n_rows`; `expected`, the intercept and the effects of both genes added up, and `total`, the same with the
        interaction: means of the posterior, or conditional modes, on the link's scale; then of the interaction
        `estimate`, `std_error`, `conf_low`, `conf_high`, `p_negative`, `lfsr` and `s_value` as in `level_effects`.
        Pairs that are none, as of a gene and a control where the term says `0 + both`, are left out.

    Raises
    ------
    EstimateError
        The model lacks one of the two terms.
    DataError
        The direction does not exist.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> simulated = sf.simulate_pairs(genes=12, random_seed=1)
    >>> screen = sf.read_pairs(simulated.counts, samples=simulated.samples)
    >>> formula = "log_fc ~ (1 | mm(gene_a, gene_b)) + (1 | gene_a:gene_b)"
    >>> sf.rank_pairs(sf.lmer(formula, screen.table, method="reml")).columns[5:7].to_list()
    ['expected', 'total']
    """
    single, pair = _blocks(fit, genes)
    term = pair.terms[0]
    effects = level_effects(fit, pair.group, term=term, ci_prob=ci_prob, ci_kind=ci_kind)
    attributes = effects.attrs
    used = np.flatnonzero(pair.values[:, 0])
    codes, first = np.unique(pair.codes[used], return_index=True)
    rows = used[first]
    data = fit.model.data.iloc[fit.model.design.rows]  # type: ignore[attr-defined]
    effects = effects.iloc[codes].reset_index(drop=True)
    expected = _expected(fit, single)[rows]
    n_rows = np.bincount(pair.codes[used], minlength=len(pair.levels))[codes]
    counted: Any = pd.NA
    if construct in data:
        counted = data[construct].iloc[used].groupby(pair.codes[used], observed=True).nunique().to_numpy()
    frame = pd.DataFrame(
        {
            "gene_a": text_of_labels(data[genes[0]]).to_numpy()[rows],
            "gene_b": text_of_labels(data[genes[1]]).to_numpy()[rows],
            "n_constructs": counted,
            "n_rows": n_rows,
            "expected": expected,
            "total": expected + effects["estimate"].to_numpy() * pair.values[rows, 0],
        }
    )
    frame = pd.concat([frame, effects[list(RANKED)]], axis=1)
    frame = frame.iloc[ranked_order(effects, direction)].reset_index(drop=True)
    frame.insert(0, "rank", np.arange(1, len(frame) + 1))
    frame.attrs.update(attributes)
    return frame


def _blocks(fit: Fitted, genes: tuple[str, str]) -> tuple[GroupBlock, GroupBlock]:
    """Return the blocks of single genes and of pairs."""
    groups = fit.model.design.mean.groups
    single = [block for block in groups if block.shares is not None and block.columns[0] == "1"
              and block.group in (f"mm({genes[0]}, {genes[1]})", f"mm({genes[1]}, {genes[0]})")]  # fmt: skip
    pairs = [block for block in groups if block.shares is None and set(block.factors) == set(genes)]
    if single and pairs:
        return single[0], pairs[0]
    lacks = f"(1 | mm({genes[0]}, {genes[1]}))" if not single else f"(1 | {genes[0]}:{genes[1]})"
    raise EstimateError(
        f"the model has no term {lacks}.",
        "What a pair does beyond its genes is told beside effects of single genes: "
        f"(1 | mm({genes[0]}, {genes[1]})) + (1 | {genes[0]}:{genes[1]}).",
        f"Fit the model with it; its grouping factors are {listed(block.group for block in groups) or 'none'}.",
    )


def _expected(fit: Fitted, single: GroupBlock) -> np.ndarray:
    """Return the intercept and the effects of a row's genes, added up (n,)."""
    names = [term.name for term in fit.model.design.mean.fixed if term.kind == "intercept"]
    fixed = fixef(fit).set_index("term")["estimate"]
    total = np.full(len(single.places), float(fixed[names[0]]) if names else 0.0)
    effects = level_effects(fit, single.group)["estimate"].to_numpy()
    for codes, values in single.members():
        total += values[:, 0] * effects[codes]
    return total
