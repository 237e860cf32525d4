"""Genes of a fitted screen ranked by how sure their effect is, and guides beside the others of their gene."""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from speclet_formula.design.design import Design, GroupBlock
from speclet_formula.errors import DataError, EstimateError, listed, nearest
from speclet_formula.interpretation.level_effects import level_effects, sign_probabilities
from speclet_formula.posterior.draws import Fitted, draws_of
from speclet_formula.posterior.estimates import Array, IntervalKind, choose_interval, points_of, stack, summarise
from speclet_formula.screens.columns import text_of_labels

RANKED = ("estimate", "std_error", "conf_low", "conf_high", "p_negative", "lfsr", "s_value")
GUIDE_COLUMNS = (
    "sgRNA", "gene", "control", "n_guides", "n_rows", "effect", "siblings", "distance", "std_error", "conf_low",
    "conf_high", "lfsr", "z", "doubtful",
)  # fmt: skip
_LEVELS = re.compile(r"\[[^\]]*\]")  # of the columns of a factor: arm[drug]
_BLOCK = 32 * 2**20  # bytes of draws that are summed up at a time


def rank_genes(
    fit: Fitted,
    *,
    gene: str = "gene",
    guide: str = "sgRNA",
    control: str = "control",
    term: str = "Intercept",
    add: str | Sequence[str] | None = None,
    direction: Literal["both", "negative", "positive"] = "both",
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> pd.DataFrame:
    """Rank the genes of a screen by how sure their effect is.

    Parameters
    ----------
    fit : Fit or PointFit
        Of a model with `(1 | gene)`, or with what varies by gene: `arm + (1 + arm | gene)`.
    gene, guide, control : str
        Columns of the data. The last two may be missing. Of constructs with two guides gene="mm(gene_a, gene_b)"; a
        gene's `n_guides` are its constructs then.
    term : str
        Which of the effects that vary by gene is ranked: "arm[drug]" for the genes that a drug makes matter more or
        less, "cell_line[A375]" for the difference of a line from the first one, "day" for slopes,
        "arm[drug]:day" for interactions. The brackets may be left out ("armdrug", as in R), and the level too where
        there is one ("arm").
    add : str or sequence of str, optional
        What is added to a gene's effect, as in `level_effects`: the fixed effect of the same term by default (of
        "Intercept" the intercept), so that zero is no change rather than the average gene. Without such a fixed effect
        nothing is added. With a fixed term of the controls, write add=("Intercept", "control").
    direction : {"both", "negative", "positive"}
        Rank 1 is the surest effect of either sign, the surest loss, or the surest gain.
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        One row per gene, rank 1 first: `rank`, `gene`, `control` (missing without such a column), `n_guides`, `n_rows`
        (that were fitted), then `estimate`, `std_error`, `conf_low`, `conf_high`, `p_negative`, `lfsr` and `s_value`
        as in `level_effects`. Equal probabilities, as counted draws give, are ordered by estimate / std_error; those
        of a fit by the exact engine are normal ones, and tell 1e-4 from 1e-40. A plain pandas frame:
        `.to_csv("genes.csv", index=False)` and `.to_parquet("genes.parquet")` write it.

    Raises
    ------
    DataError
        The data lack the column of genes, or the direction does not exist.
    EstimateError
        The model has no effects of genes, none of that term, or what is added cannot be.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> simulated = sf.simulate_screen(genes=20, random_seed=1)
    >>> screen = sf.read_screen(simulated.counts, simulated.guides, simulated.samples)
    >>> fit = sf.lmer("log_fc ~ (1|gene) + (1|gene:sgRNA)", screen.table, random_seed=1)  # doctest: +SKIP
    >>> sf.rank_genes(fit, direction="negative").head()  # doctest: +SKIP
    """
    _check_direction(direction)
    term = effect_named(fit.model.design, gene, term)
    effects = level_effects(
        fit, gene, term=term, add=_same_fixed(fit, term) if add is None else add, ci_prob=ci_prob, ci_kind=ci_kind
    )
    facts = _facts(fit, gene, guide, control).reindex(effects["level"])
    frame = pd.DataFrame({"gene": effects["level"], **{name: facts[name].to_numpy() for name in facts}})
    frame = pd.concat([frame, effects[list(RANKED)]], axis=1)
    frame = frame.iloc[ranked_order(effects, direction)].reset_index(drop=True)
    frame.insert(0, "rank", np.arange(1, len(frame) + 1))
    frame.attrs.update(effects.attrs)
    return frame


def effect_named(design: Design, gene: str, name: str) -> str:
    """Return which of the effects that vary by gene a name means, with or without its brackets.

    Parameters
    ----------
    design : Design
        Of the model.
    gene : str
        The grouping factor.
    name : str
        "arm[drug]", "armdrug" or "arm". One that the model does not have is returned as it is.

    Raises
    ------
    EstimateError
        The name means several effects.
    """
    blocks = [block for block in design.mean.groups if gene in (block.group, block.label)]
    terms = list(dict.fromkeys(block.term_of(column) for block in blocks for column in block.columns))
    if name in terms:
        return name
    joined = [term for term in terms if re.sub(r"[\[\]]", "", term) == name]
    without = [term for term in terms if _LEVELS.sub("", term) == name]
    if not joined and len(without) > 1:
        raise EstimateError(
            f"'{name}' has {len(without)} effects that vary by {gene}: {listed(without)}.",
            "One of them is ranked at a time.",
            f"Write term='{without[0]}'.",
        )
    return next(iter([*joined, *without]), name)


def _same_fixed(fit: Fitted, term: str) -> tuple[str, ...]:
    """Return the fixed effect that the effects of a term vary around, if the model has it."""
    mean = fit.model.design.mean
    if term == "Intercept":
        return tuple(each.name for each in mean.fixed if each.kind == "intercept")
    return (term,) if term in mean.columns else ()


def _check_direction(direction: str) -> None:
    choices = ("both", "negative", "positive")
    if direction not in choices:
        near = nearest(str(direction), choices)
        raise DataError(
            f"direction={direction!r} is no direction.",
            "direction is 'both', 'negative' (losses first) or 'positive' (gains first).",
            f"Nearest: {near!r}." if near else "Leave it out for both.",
        )


def ranked_order(effects: pd.DataFrame, direction: str) -> np.ndarray:
    """Return the places of the levels, the first in rank first; `effects` as `level_effects` gives them.

    Raises
    ------
    DataError
        The direction does not exist.
    """
    _check_direction(direction)
    if direction == "both":
        return np.argsort(effects["rank"].to_numpy())
    sign, lfsr, negative = 1.0 if direction == "negative" else -1.0, effects["lfsr"], effects["p_negative"]
    likelier = np.where(sign > 0, negative > 0.5, negative < 0.5)  # noqa: PLR2004
    against = np.where(likelier, lfsr, np.where(sign > 0, 1 - negative, negative))
    unsure = np.where(likelier, 0.0, -lfsr)  # of those on the other side, which are all as near to 1 as numbers get
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.nan_to_num((effects["estimate"] / effects["std_error"]).to_numpy(), nan=0.0)
    return np.lexsort((sign * size, unsure, against))


def _facts(fit: Fitted, gene: str, guide: str, control: str) -> pd.DataFrame:
    """Return control class, guides and rows of each gene, of the rows that were fitted."""
    shared = next((one for one in fit.model.design.mean.groups if one.group == gene and one.shares is not None), None)
    if shared is not None:
        return _facts_of_members(fit, shared, guide)
    data = fitted_rows(fit, gene)
    keys = text_of_labels(data[gene])
    facts = pd.DataFrame({"control": None}, index=pd.Index(pd.unique(keys)), dtype=object)
    if control in data:
        facts["control"] = data[control].astype(object).groupby(keys.to_numpy()).first()
    guides = data[guide].groupby(keys.to_numpy(), observed=True).nunique() if guide in data else pd.NA
    return facts.assign(n_guides=guides, n_rows=keys.value_counts())


def _facts_of_members(fit: Fitted, block: GroupBlock, guide: str) -> pd.DataFrame:
    """Return the constructs and rows of each gene of mm(gene_a, gene_b); a class of control is of constructs."""
    rows, codes = block.belongings
    data, guides = fitted_rows(fit), pd.Series(pd.NA, index=range(len(block.levels)), dtype=object)
    if guide in data:
        guides = data[guide].iloc[rows].groupby(codes, observed=True).nunique()
    facts = {"control": None, "n_guides": guides.to_numpy(), "n_rows": np.bincount(codes, minlength=len(block.levels))}
    return pd.DataFrame(facts, index=pd.Index(block.levels, dtype=object))


def fitted_rows(fit: Fitted, *needed: str) -> pd.DataFrame:
    """Return the rows of the model's data that were fitted."""
    model = fit.model
    data: pd.DataFrame = model.data  # type: ignore[attr-defined]
    absent = next((name for name in needed if name not in data), None)
    if absent is not None:
        raise DataError(
            f"the fitted data have no column '{absent}'.",
            f"Columns: {listed(map(str, data.columns))}.",
            f"Name the column, for example gene='{_likely(fit, str(data.columns[0]))}'.",
        )
    return data.iloc[model.design.rows]


def _likely(fit: Fitted, column: str) -> str:
    """Return a grouping factor of several columns where the model has one, else a column."""
    return next((one.group for one in fit.model.design.mean.groups if one.shares is not None), column)


def guide_table(
    fit: Fitted,
    *,
    gene: str = "gene",
    guide: str = "sgRNA",
    control: str = "control",
    term: str = "Intercept",
    limit: float = 2.0,
    ci_prob: float | None = None,
    ci_kind: IntervalKind | None = None,
) -> pd.DataFrame:
    r"""Compare each guide with its gene's other guides, and mark those that are far from them.

    A guide's distance is its effect less the mean effect of its siblings, draw by draw; with n guides of a gene
    and an SD :math:`\sigma` of guides within genes, a guide like the others is Normal(0, :math:`\sigma \sqrt{n/(n-1)}`)
    away.

    Parameters
    ----------
    fit : Fit
        Of a model with `(1 | gene)` and effects of guides within genes, `(1 | gene:sgRNA)`.
    gene, guide, control : str
        Columns of the data. The last one may be missing.
    term : str
        As in `rank_genes`; it varies by gene and by guide, as in `arm + (1 + arm | gene) + (1 + arm | gene:sgRNA)`.
    limit : float
        A guide is doubtful if the size of its `z` exceeds this and the interval of its distance excludes zero.
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        One row per guide, the most distant first: `sgRNA`, `gene`, `control`, `n_guides` (of the gene), `n_rows` (of
        the guide); `effect` (of gene and guide, with the fixed effect of the term), `siblings` (effect - distance),
        `distance` with `std_error`, `conf_low`, `conf_high` and the local false sign rate `lfsr`, counted over the
        draws; `z`, the mean of distance / (sigma sqrt(n / (n - 1))); `doubtful`. Distances of a gene's only guide are
        missing.

    Raises
    ------
    EstimateError
        The model has no such effects, or was fitted by maximum likelihood, which has no joint draws.
    DataError
        The data lack a column.
    """
    if points_of(fit) is not None:
        raise EstimateError(
            "a fit by maximum likelihood has no draws of guides and genes together.",
            "Guides are compared draw by draw.",
            "Fit the model with method='exact' or 'hmc'.",
        )
    data = fitted_rows(fit, gene, guide)
    term = effect_named(fit.model.design, gene, term)
    block = _guide_block(fit, gene, guide, term)
    first = np.unique(block.codes, return_index=True)[1]  # one row of each level
    genes, labels = (text_of_labels(data[name]).to_numpy()[first] for name in (gene, guide))
    codes = pd.factorize(genes)[0]
    n_guides = np.bincount(codes)[codes]
    interval = choose_interval(ci_prob, ci_kind)
    parts = [_distances(*part, interval) for part in _gene_blocks(fit, block, codes, term)]
    found = pd.concat(parts).sort_index()
    effect = level_effects(fit, block.group, term=term, add=(gene, *_same_fixed(fit, term)))["estimate"].to_numpy()
    frame = found.assign(
        sgRNA=labels,
        gene=genes,
        control=data[control].astype(object).to_numpy()[first] if control in data else None,
        n_guides=n_guides,
        n_rows=np.bincount(block.codes, minlength=len(block.levels)),
        effect=effect,
        siblings=effect - found["estimate"].to_numpy(),
        doubtful=(found["z"].abs() > limit) & ((found["conf_low"] > 0) | (found["conf_high"] < 0)),
    ).rename(columns={"estimate": "distance"})
    order = np.argsort(-frame["z"].abs().fillna(-1.0).to_numpy(), kind="stable")
    return stack([frame.iloc[order]], GUIDE_COLUMNS, interval)


def _guide_block(fit: Fitted, gene: str, guide: str, term: str) -> GroupBlock:
    """Return the block with an effect of the term for each guide."""
    groups = fit.model.design.mean.factors
    varying = [block for block in groups if term in map(block.term_of, block.columns)]
    found = [block for block in varying if guide in block.factors and set(block.factors) <= {gene, guide}]
    if found and any(block.factors == (gene,) for block in varying):
        return found[0]
    column = "1" if term == "Intercept" else "1 + " + _LEVELS.sub("", term)
    raise EstimateError(
        f"the model has no effects of '{guide}' within '{gene}'{'' if term == 'Intercept' else f' of {term!r}'}.",
        f"Grouping factors: {listed(block.group for block in groups) or 'none'}.",
        f"Fit a model with ({column} | {gene}) + ({column} | {gene}:{guide}).",
    )


def _gene_blocks(
    fit: Fitted, block: GroupBlock, codes: np.ndarray, term: str
) -> Iterator[tuple[np.ndarray, Array, np.ndarray, Array]]:
    """Go through whole genes: the places of their guides, the guides' draws, where genes start, and the draws' SD."""
    draws, place = draws_of(fit), [block.term_of(column) for column in block.columns].index(term)
    own, sigma = draws.effects(block)[place], draws.sds(block)[:, [place]]
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(codes[order]) > 0])
    size = max(1, _BLOCK // (8 * len(own)))
    place = 0
    while place < len(starts):
        after = max(int(np.searchsorted(starts, starts[place] + size, side="right")) - 1, place + 1)
        stop = starts[after] if after < len(starts) else len(order)
        places = order[starts[place] : stop]
        yield places, own[:, places], starts[place:after] - starts[place], sigma
        place = after


def _distances(places: np.ndarray, draws: Array, starts: np.ndarray, sigma: Array, interval: object) -> pd.DataFrame:
    """Summarise the distances of guides from the means of their siblings."""
    sizes = np.diff(np.r_[starts, draws.shape[1]])
    n = np.repeat(sizes, sizes).astype(float)
    n[n == 1] = np.nan
    sums = np.repeat(np.add.reduceat(draws, starts, axis=1), sizes, axis=1)
    distance = (n * draws - sums) / (n - 1)
    frame = summarise(distance, interval).set_index(places)  # type: ignore[arg-type]
    lfsr = np.where(np.isnan(n), np.nan, sign_probabilities(distance)[1])
    return frame.assign(lfsr=lfsr, z=(distance / (sigma * np.sqrt(n / (n - 1)))).mean(axis=0))
