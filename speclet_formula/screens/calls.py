"""Hits of a screen at a stated rate of false ones, checked on the controls: `call_genes`."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from scipy.stats import binom

from speclet_formula.common.table import Printed, Sheet, text_table
from speclet_formula.errors import DataError, EstimateError, listed, nearest
from speclet_formula.families.registry import specification_of
from speclet_formula.interpretation.level_effects import least_told, s_values
from speclet_formula.posterior.draws import Fitted, values_of
from speclet_formula.posterior.estimates import Array
from speclet_formula.prediction.linear_predictors import gather_predictor, predictor_of
from speclet_formula.screens.adjust import robust_spline_fit
from speclet_formula.screens.columns import text_of_labels
from speclet_formula.screens.gene_mixture import (
    EFFICACIES,
    OFF_TARGETS,
    EffectMixture,
    GuideData,
    effect_grid,
    fit_mixture,
    log_effects,
)
from speclet_formula.screens.ranking import effect_named, fitted_rows

Direction = Literal["negative", "positive", "both"]
CALL_COLUMNS = (
    "rank", "gene", "control", "n_guides", "estimate", "conf_low", "conf_high", "p_negative", "local_fdr", "fdr",
    "called", "control_fdr", "log2_bf",
)  # fmt: skip
_DF = 10.0  # degrees of freedom of guides' noise
_TELLING = 5000  # genes that the distributions are estimated from
_FEWEST_GENES, _FEWEST_PAIRS, _FEWEST_CONTROLS = 50, 30, 20
_SHOWN = 10
_SURPRISE = 0.01  # the chance below which controls and model disagree
_MASS = 0.89
_BEYOND = 0.5  # log2
_EFFECT = "effect of the term"  # the column of guides' own effects


@dataclass(frozen=True, eq=False, repr=False)
class GeneCalls(Printed):
    """Genes called at a stated false discovery rate.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per gene, the surest first; columns as `call_genes` says.
    guides : pandas.DataFrame
        One row per guide: `sgRNA`, `gene`, `value` (mean log2 fold change of its samples), `noise` (its SD).
    mixture : pandas.DataFrame
        The distribution of genes' effects: `effect` (log2, of a guide of mean efficacy) and `probability`.
    efficacies : pandas.DataFrame
        The distribution of guides' efficacies: `efficacy` (1 for the best guides) and `probability`.
    off_targets : pandas.DataFrame
        The distribution of what guides do elsewhere than in their gene: `effect` (log2) and `probability`.
    direction, beyond, rate
        As they were asked for.
    term
        What was called: "Intercept" of a table.
    unit
        Of a slope the range of its variable, over which it was told from noise; 1 of all else.
    checks : dict of float
        With nonessential controls: `n_controls`, `called` of them, the number `expected` by the model, and `p_value`,
        the two-sided chance of a number as far from it. Empty without.
    """

    table: pd.DataFrame
    guides: pd.DataFrame
    mixture: pd.DataFrame
    efficacies: pd.DataFrame
    off_targets: pd.DataFrame
    direction: Direction
    beyond: float
    rate: float
    checks: dict[str, float]
    term: str = "Intercept"
    unit: float = 1.0

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        n_called = int(self.table["called"].sum())
        what = {"negative": "below -", "positive": "above ", "both": "beyond +-"}[self.direction]
        of_term = "" if self.term == "Intercept" else f"of {self.term} "
        scale = "log2" if self.unit == 1 else "log2 per unit"
        head = (
            f"{n_called:,} of {len(self.table):,} genes called: effects {of_term}{what}{self.beyond:.3g} ({scale}), at "
            f"most {100 * self.rate:g} % of the calls false."
        )
        shown = self.table.drop(columns="called").head(_SHOWN)
        shown = shown.loc[:, shown.notna().any()]
        note = f"The first {len(shown)} of {len(self.table):,} genes; all are in .table."
        return Sheet(title="", head=(head, self.agreement()), tables=(text_table(shown, labels=2, note=note),))

    def agreement(self) -> str:
        """Say whether the nonessential controls agree with the model's rates."""
        if not self.checks:
            return "No nonessential controls: nothing checks these rates."
        n, called, expected = (self.checks[name] for name in ("n_controls", "called", "expected"))
        seen = f"{called:,.0f} of {n:,.0f} nonessential controls are called, where the model expects {expected:,.1f}"
        if self.checks["p_value"] >= _SURPRISE and n < _FEWEST_CONTROLS:
            return f"{seen}: controls of {_FEWEST_CONTROLS} genes or more would check these rates."
        if self.checks["p_value"] >= _SURPRISE:
            return f"{seen}: the rates agree with the controls."
        if called < expected:
            return f"{seen}: the stated rates are on the safe side."
        return (
            f"{seen}: more than by chance (p = {self.checks['p_value']:.1g}). The stated rates are too low, as "
            "where guides hit other targets, or some of these controls are none; the column control_fdr has the rates "
            "by the controls."
        )


def call_genes(
    table: pd.DataFrame | Fitted,
    *,
    term: str | None = None,
    value: str = "log_fc",
    direction: Direction = "negative",
    beyond: float | None = None,
    rate: float = 0.05,
    gene: str = "gene",
    guide: str = "sgRNA",
    control: str = "control",
    initial: str | None = "count_initial",
) -> GeneCalls:
    r"""Call the genes whose effect is beyond a limit, with at most a stated share of false calls.

    Guides are averaged over their samples. A guide's mean is its gene's effect times its own efficacy, what the guide
    does elsewhere, and noise,

    .. math:: y_i = e_i\,\theta_{g(i)} + h_i + s_i\,\varepsilon_i,

    with :math:`\varepsilon` of a t distribution with 10 degrees of freedom and an SD :math:`s_i` that depends on the
    guide's first reads: its course over them is a robust regression of the logs of all sizes, its height the median
    difference of guides of one gene. Genes' effects are of a mixture of a point at zero and normal distributions around
    zero and elsewhere, efficacies of a distribution on 0, 1/8, ..., 1, off-target effects :math:`h` of one on -5, -4.5,
    ..., 5, most of it at 0; all are estimated from the screen by the greatest marginal likelihood, from at most 5,000
    genes, evenly of those in alphabetical order. No controls are used for this. So two guides that show an effect tell
    more than their mean if a third does not work, one strong guide among others that do nothing tells less, the more
    so the more often guides of the library hit something else, and a guide with few reads tells less. Probabilities are
    sums over a grid of effects, not counted draws: 1e-4 is told from 1e-40.

    Of a fit the effects of a term are called, such as that of a drug: a guide's value is then the coefficient of the
    term in the least squares of its own rows on all columns that vary by gene, after other fixed effects and the
    effects of other groups are taken out; with `log_fc ~ arm + (1 + arm | gene)` its mean in the drug's arm less that
    in the vehicle's. The gene effects of the fit, which are shrunken already, are not used.

    Parameters
    ----------
    table : pandas.DataFrame, Fit or PointFit
        One row per guide and sample of one screen, as `read_screen(...).table` or `adjust_fold_changes` gives it. Of
        several lines the mean over the lines is called; hand over the rows of one for that one. Or a fit of log fold
        changes with effects that vary by gene.
    term : str, optional
        Of a fit: which of the effects that vary by gene is called, named as in `rank_genes`: "arm[drug]" for a drug,
        "cell_line[A375]" for the difference of a line from the first one, "day" for slopes; "Intercept" by default.
    value : str
        The column of log2 fold changes; "log_fc_adjusted" after `adjust_fold_changes`, which gives better ranks. Rows
        without one are not used. Zero is no change. Of a fit it is the response.
    direction : {"negative", "positive", "both"}
        What is called: effects below -`beyond`, above `beyond`, or either.
    beyond : float, optional
        The effect of a guide of mean efficacy, log2, that a gene has to exceed to be no false call; 0 or more, 0.5 by
        default. Of slopes it is one per unit, by default 0.5 over the range that the variable has in the rows.
    rate : float
        The false discovery rate of the called genes, between 0 and 1.
    gene, guide, control : str
        Columns of the table. The last one may be missing.
    initial : str, optional
        The column of first reads, on which the noise depends. None, or a column that is not there: the same noise for
        all guides.

    Returns
    -------
    GeneCalls
        `table` has one row per gene, the surest first: `rank`, `gene`, `control` (missing without such a column),
        `n_guides`; `estimate`, `conf_low`, `conf_high`: posterior mean and central 89 % interval of the effect of a
        guide of mean efficacy, log2; `p_negative`, the probability that it is below zero; `local_fdr`, the probability
        that the effect is not beyond the limit; `fdr`, the mean of these of all genes down to this one; `called`, where
        `fdr` is at most `rate`. With nonessential controls `control_fdr`: the rate of false calls down to this gene if
        all null genes are called as often as these controls are. With controls of both kinds `log2_bf`: the log2 of
        the Bayes factor for the effects of the essential controls against those of the nonessential ones, each gene's
        own part in them left out; missing of a term other than "Intercept".

    Raises
    ------
    DataError
        A column is missing, a number is out of range, or there are fewer than 50 genes, or fewer than 30 pairs of
        guides of one gene, which tell the noise.
    EstimateError
        The response of the fit is not log fold changes but, say, counts; or it has no effects of that term that vary by
        gene.

    References
    ----------
    Local false discovery rates: Efron (2008), doi:10.1214/07-STS236. Mixtures for effects: Stephens (2017),
    doi:10.1093/biostatistics/kxw041. Bayes factors against reference sets: Hart and Moffat (2016),
    doi:10.1186/s12859-016-1015-8. Guides' efficacies: Allen et al. (2019), doi:10.1101/gr.238923.118.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> simulated = sf.simulate_screen(genes=200, random_seed=1)
    >>> screen = sf.read_screen(simulated.counts, simulated.guides, simulated.samples)
    >>> calls = sf.call_genes(sf.adjust_fold_changes(screen.table), value="log_fc_adjusted")
    >>> bool(calls.table["called"].head(25).all())
    True
    """
    unit, of_term = 1.0, term or "Intercept"
    if not isinstance(table, pd.DataFrame):
        table, of_term, unit = _of_fit(table, term, gene, guide)
        value = _EFFECT
    elif term is not None:
        raise DataError(
            f"term={term!r} goes with a fit, and a table was given.",
            "Of a table its column of fold changes is called.",
            "Fit log_fc ~ arm + (1 + arm | gene), say, and hand over the fit.",
        )
    beyond = _BEYOND / unit if beyond is None else beyond
    _check(table, {"value": value, "gene": gene, "guide": guide}, direction, beyond, rate)
    guides = _guides(table, value, gene, guide, initial)
    codes, names = pd.factorize(guides["gene"])
    if len(names) < _FEWEST_GENES:
        raise DataError(
            f"the table has {len(names)} genes.",
            f"The share of genes with an effect is estimated from {_FEWEST_GENES} genes or more.",
            "Rank few genes by sf.rank_genes(fit).",
        )
    guides["value"] *= unit  # all parts of the mixture are on the scale of fold changes
    guides["noise"] = _noise(guides, codes)
    data = GuideData(guides["value"].to_numpy(), guides["noise"].to_numpy(), codes, len(names))
    telling = data.of_genes(np.unique(np.linspace(0, len(names) - 1, min(_TELLING, len(names))).astype(int)))
    mixture = fit_mixture(telling, df=_DF, grid=effect_grid(data.values))
    likelihood, logs = log_effects(data, mixture)
    mean = float(mixture.efficacies @ EFFICACIES)
    effects = mean * mixture.grid / unit
    frame = pd.DataFrame({"gene": names, "n_guides": np.bincount(codes)})
    frame["control"] = _classes(table, gene, control).reindex(names).to_numpy()
    frame = frame.assign(**_summaries(effects, logs), **_rates(effects, logs, direction, beyond, rate))
    of_knockouts = of_term == "Intercept"  # the known effects of the controls are those of losing the gene
    frame["log2_bf"] = _bayes_factors(likelihood, logs, mixture, frame["control"]) if of_knockouts else np.nan
    frame = frame.sort_values("log_local_fdr", kind="stable", ignore_index=True)
    frame["control_fdr"] = _by_controls(frame)
    frame["rank"] = np.arange(1, len(frame) + 1)
    return GeneCalls(
        table=frame[list(CALL_COLUMNS)],
        guides=guides[["sgRNA", "gene"]].assign(value=guides["value"] / unit, noise=guides["noise"] / unit),
        mixture=pd.DataFrame({"effect": effects, "probability": mixture.prior}),
        efficacies=pd.DataFrame({"efficacy": EFFICACIES, "probability": mixture.efficacies}),
        off_targets=pd.DataFrame({"effect": OFF_TARGETS / unit, "probability": mixture.off_targets}),
        direction=direction,
        beyond=beyond,
        rate=rate,
        checks=_checks(frame),
        term=of_term,
        unit=unit,
    )


def _check(table: pd.DataFrame, columns: dict[str, str], direction: str, beyond: float, rate: float) -> None:
    for argument, name in columns.items():
        if name not in table:
            near = nearest(name, map(str, table.columns))
            raise DataError(
                f"the table has no column '{name}'.",
                f"Columns: {listed(map(str, table.columns))}.",
                f"Nearest: {argument}='{near}'." if near else f"Name the column with {argument}=.",
            )
    if direction not in ("negative", "positive", "both"):
        near = nearest(str(direction), ("negative", "positive", "both"))
        raise DataError(
            f"direction={direction!r} is no direction.",
            "direction is 'negative' (losses), 'positive' (gains) or 'both'.",
            f"Nearest: {near!r}." if near else "Leave it out for losses.",
        )
    for argument, number, inside, allowed in (
        ("beyond", beyond, beyond >= 0, "It is a log2 fold change, 0 or more."),
        ("rate", rate, 0 < rate < 1, "A false discovery rate is between 0 and 1."),
    ):
        if not inside:
            raise DataError(f"{argument}={number!r} is out of range.", allowed, f"Leave {argument}= out.")


def _of_fit(fit: Fitted, term: str | None, gene: str, guide: str) -> tuple[pd.DataFrame, str, float]:
    """Return the fitted rows with each guide's own effect of a term, the term's name, and the range of a slope."""
    mean, name = fit.model.design.mean, effect_named(fit.model.design, gene, term or "Intercept")
    family = fit.model.family
    if family.link != "identity" or not specification_of(family).is_unbounded:
        raise EstimateError(
            f"the fit is of the family '{family.name}' with the link '{family.link}'.",
            "Genes are called by log fold changes, which may be any number: of a Gaussian fit, or a table.",
            "Write sf.rank_genes(fit, term=...) for ranks of this fit.",
        )
    if fit.model.design.merged is not None:
        raise EstimateError(
            "the fit is of merged rows, which have no single guides' values.",
            "Genes are called by their guides.",
            "Fit the rows themselves: sf.scan(..., merge=False), or a table.",
        )
    own = [block for block in mean.factors if block.factors == (gene,) and block.shares is None]
    labels = [block.term_of(column) for block in own for column in block.columns]
    if name not in labels:
        raise EstimateError(
            f"the fit has no effects of '{name}' that vary by '{gene}'.",
            f"Those that do: {listed(labels) or 'none'}.",
            "Add it to the formula: arm + (1 + arm | gene).",
        )
    rows = fitted_rows(fit, gene, guide)
    codes = pd.MultiIndex.from_frame(rows[[gene, guide]]).factorize()[0]
    columns = np.column_stack([block.values for block in own])
    values = _left(fit, gene, guide, set(labels))
    place = labels.index(name)
    effects = _least_squares(columns, values, codes)[:, place]
    return rows.assign(**{_EFFECT: effects[codes]}), name, float(np.ptp(columns[:, place])) or 1.0


def _left(fit: Fitted, gene: str, guide: str, own: set[str]) -> Array:
    """Return the response without the fixed effects and the groups that are not of genes or guides."""
    design = fit.model.design
    groups = [block for block in design.mean.groups if not block.factors or not set(block.factors) <= {gene, guide}]
    rest = replace(design.mean, groups=tuple(groups))
    drawn = gather_predictor(rest, values_of(fit).mean())
    coefficients = np.where(np.isin(rest.columns, list(own)), 0.0, drawn.coefficients)
    taken = predictor_of(replace(drawn, coefficients=coefficients), rest, slice(None))[0]
    return np.asarray(design.response - taken, dtype=float)


def _least_squares(columns: Array, values: Array, codes: np.ndarray) -> Array:
    """Return each guide's own coefficients of the columns; those that its rows do not tell are missing."""
    n = codes.max() + 1
    products = np.zeros((n, columns.shape[1], columns.shape[1]))
    np.add.at(products, codes, columns[:, :, None] * columns[:, None, :])
    moments = np.zeros((n, columns.shape[1]))
    np.add.at(moments, codes, columns * values[:, None])
    found = (np.linalg.pinv(products, hermitian=True) @ moments[:, :, None])[:, :, 0]
    found[np.linalg.matrix_rank(products, hermitian=True) < columns.shape[1]] = np.nan
    return np.asarray(found)


def _guides(table: pd.DataFrame, value: str, gene: str, guide: str, initial: str | None) -> pd.DataFrame:
    """Return the mean fold change and the mean log of first reads of each guide."""
    rows = table[table[value].notna() & table[gene].notna()]
    known = initial is not None and initial in rows
    reads = np.log2(rows[initial].to_numpy(dtype=float) + 1) if known else 0.0
    frame = pd.DataFrame(
        {"gene": text_of_labels(rows[gene]).to_numpy(), "sgRNA": text_of_labels(rows[guide]).to_numpy()}
    ).assign(value=rows[value].to_numpy(dtype=float), reads=reads)
    means = frame.groupby(["gene", "sgRNA"], as_index=False).mean()  # sorted: the order of rows does not matter
    bad = means[~np.isfinite(means[["value", "reads"]]).all(axis=1)]
    if len(bad):
        raise DataError(
            f"guide '{bad['sgRNA'].iloc[0]}' has a fold change or first reads that are infinite or missing.",
            "Fold changes and first reads are finite numbers.",
            "Leave its rows out, or write initial=None." if initial is not None else "Leave its rows out.",
        )
    return means


def _noise(guides: pd.DataFrame, codes: np.ndarray) -> Array:
    """Return the SD of each guide's noise: its course over first reads, and its height by guides of one gene."""
    values, reads = guides["value"].to_numpy(), guides["reads"].to_numpy()
    course = np.ones(len(values))
    if np.ptp(reads) > 0:
        sizes = np.log(np.abs(values - np.median(values)) + 0.05)
        course = np.exp(robust_spline_fit(reads, sizes))
        course /= np.median(course)
    order = np.argsort(codes, kind="stable")
    same = np.diff(codes[order]) == 0
    if same.sum() < _FEWEST_PAIRS:
        raise DataError(
            f"only {same.sum()} pairs of guides are of one gene.",
            f"The noise of guides is told from {_FEWEST_PAIRS} such pairs or more.",
            "Rank genes with one guide each by sf.rank_genes(fit).",
        )
    apart = np.abs(np.diff((values / course)[order]))[same]
    return np.asarray(course * max(np.median(apart) * 1.4826 / np.sqrt(2), 1e-3))


def _classes(table: pd.DataFrame, gene: str, control: str) -> pd.Series:
    """Return the control class of each gene."""
    if control not in table:
        return pd.Series(dtype=object)
    return table[control].astype(object).groupby(text_of_labels(table[gene]).to_numpy(), sort=False).first()


def _summaries(effects: Array, logs: Array) -> dict[str, Array]:
    """Return mean, central interval and the probability of being negative of each gene's effect."""
    chances = np.exp(logs)
    below = np.cumsum(chances, axis=1)
    ends = [effects[np.minimum((below < p).sum(axis=1), len(effects) - 1)] for p in ((1 - _MASS) / 2, (1 + _MASS) / 2)]
    return {
        "estimate": chances @ effects, "conf_low": ends[0], "conf_high": ends[1],
        "p_negative": np.minimum(chances[:, effects < 0].sum(axis=1), 1.0),
    }  # fmt: skip


def _rates(effects: Array, logs: Array, direction: Direction, beyond: float, rate: float) -> dict[str, Any]:
    """Return the probability of being no hit, the false discovery rate of all genes down to each, and the calls."""
    hits = {"negative": effects < -beyond, "positive": effects > beyond, "both": np.abs(effects) > beyond}[direction]
    local = np.minimum(logsumexp(logs[:, ~hits], axis=1), 0.0)
    rates = least_told(local)
    fdr = s_values(rates)
    return {"log_local_fdr": local, "local_fdr": rates, "fdr": fdr, "called": fdr <= rate}


def _bayes_factors(likelihood: Array, logs: Array, mixture: EffectMixture, control: pd.Series) -> Array | float:
    """Return the log2 Bayes factor of essential against nonessential effects, each gene's own part in them left out."""
    kinds = control.to_numpy(dtype=object)
    if not all((kinds == kind).sum() > 1 for kind in ("essential", "nonessential")):
        return np.nan
    chances, marginal = np.exp(logs), {}
    for kind in ("essential", "nonessential"):
        chosen = kinds == kind
        whole = chances[chosen].sum(axis=0) + mixture.prior  # one gene of the prior more: no effect is impossible
        own = np.where(chosen[:, None], chances, 0.0)
        effects = np.maximum(whole - own, 1e-300) / (1 + chosen.sum() - chosen[:, None])
        marginal[kind] = logsumexp(likelihood + np.log(effects), axis=1)
    return np.asarray((marginal["essential"] - marginal["nonessential"]) / np.log(2))


def _by_controls(frame: pd.DataFrame) -> Array | float:
    """Return the rate of false calls down to each gene if null genes are called as often as nonessential controls."""
    controls = (frame["control"] == "nonessential").to_numpy()
    if not controls.any():
        return np.nan
    n_null = frame["local_fdr"].sum()
    rates = np.cumsum(controls) / controls.sum() * n_null / np.arange(1, len(frame) + 1)
    return np.minimum.accumulate(np.minimum(rates, 1.0)[::-1])[::-1]


def _checks(frame: pd.DataFrame) -> dict[str, float]:
    """Compare the number of called nonessential controls with the model's chance that a null gene is called."""
    controls = (frame["control"] == "nonessential").to_numpy()
    if not controls.any():
        return {}
    called, n = int((frame["called"] & controls).sum()), int(controls.sum())
    chance = float(frame.loc[frame["called"], "local_fdr"].sum() / max(frame["local_fdr"].sum(), 1e-300))
    p_value = min(1.0, 2 * min(binom.cdf(called, n, chance), binom.sf(called - 1, n, chance)))
    return {"n_controls": n, "called": called, "expected": n * chance, "p_value": float(p_value)}
