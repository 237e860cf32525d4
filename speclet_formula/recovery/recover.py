"""How well one fit, or several of the same rows, recovered the truth that made their data.

Many data sets from one truth, and truths drawn from the priors, are left to `studies`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd
from scipy import sparse

from speclet_formula.common.table import Printed, Sheet, text_table
from speclet_formula.design.design import slot_of_sd
from speclet_formula.design.merged import require_rows
from speclet_formula.design.tables import as_pandas
from speclet_formula.errors import DataError
from speclet_formula.formula.terms import text_of
from speclet_formula.model import Model
from speclet_formula.posterior.draws import Draws, draws_of
from speclet_formula.posterior.estimates import without_rows
from speclet_formula.recovery.blocks import (
    Block,
    agreement,
    beside_truth,
    binomial_band,
    blocks_of,
    group_tables,
    with_coefficients,
)
from speclet_formula.recovery.parameters import INTERVAL, Scalar, parameter_table, reml_estimates, scalars_of
from speclet_formula.recovery.parts import data_factor, parts_of
from speclet_formula.recovery.truth import ImpliedTruth, implied_truth

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit


@dataclass(frozen=True, eq=False, repr=False)
class Recovery(Printed):
    """How well one fit recovered a known truth. The columns of the frames are defined in `recover`."""

    formula: str  # of the fitted model
    verdict: str  # the diagnostics' verdict on the fit: "converged", "doubtful" or "failed"
    diagnosis: str  # the same in a sentence
    parameters: pd.DataFrame  # one row per scalar
    groups: pd.DataFrame  # one row per block of group effects
    levels: pd.DataFrame  # one row per level of each block
    foot: tuple[str, ...]  # what to keep in mind while reading
    centred: bool = True  # whether effects were centred within their block before they were compared

    def sheet(self) -> Sheet:
        """Return the parts of the print-out: what must be read before any number, and the tables that have rows."""
        effects = "Group effects (centred)" if self.centred else "Group effects (with their fixed coefficient)"
        tables = (
            text_table(self.parameters, "Parameters (90 % intervals)", labels=3),
            text_table(self.groups, effects, labels=2),
        )
        return Sheet(f"Recovery of {self.formula}", (self._headline(),), tables, self.foot)

    def _headline(self) -> str:
        """What must be read before any number."""
        warning = " None of the numbers below can be relied on." if self.verdict == "failed" else ""
        return f"{self.verdict.capitalize()}: {self.diagnosis}{warning}"


@dataclass(frozen=True, eq=False, repr=False)
class Recoveries(Printed):
    """How well several fits of the same rows recovered the same truth. The columns are defined in `recover`."""

    recoveries: dict[str, Recovery]  # by the fits' names
    comparison: pd.DataFrame  # one row per factor and fit
    levels: pd.DataFrame  # one row per factor, level and fit
    parameters: pd.DataFrame  # one row per scalar and fit
    foot: tuple[str, ...]

    def sheet(self) -> Sheet:
        """Return the parts of the print-out: what each name stands for, and the tables that have rows."""
        columns = ["term", "group", "class", "fit", "truth", "median", "lo", "hi", "lme4", "verdict"]
        fits = [f"{name}: {found.formula} ({found.verdict})" for name, found in self.recoveries.items()]
        tables = (
            text_table(self.comparison, "Means of levels (90 % intervals)", labels=2),
            text_table(self.parameters[columns], "Parameters (90 % intervals)", labels=4),
        )
        return Sheet(f"Recovery of the same truth by {len(self.recoveries)} fits", fits, tables, self.foot)


@overload
def recover(fit: "Fit", truth: Mapping[str, Any], *, centred: bool = True) -> Recovery: ...


@overload
def recover(fit: Mapping[str, "Fit"], truth: Mapping[str, Any], *, centred: bool = True) -> Recoveries: ...


def recover(fit: "Fit | Mapping[str, Fit]", truth: Mapping[str, Any], *, centred: bool = True) -> Recovery | Recoveries:
    r"""Set a fit, or several by name, beside the truth that made their data.

    Parameters
    ----------
    fit : Fit, or mapping of str to Fit
        A fit by any engine, or several of the same rows: no pooling, partial pooling, hierarchical.
    truth : dict
        The true parameters by their names in a posterior, as `simulate` and `datasets.m7` return them: numbers, and
        effects as Series or dict by level. It may belong to another model of the same rows; `implied_truth` says how it
        is carried over. Parameters without a truth get no row and are named in the foot.
    centred : bool
        Whether group effects and their truth are centred within their block before they are compared. False: the fixed
        coefficient that they depart from is added instead, as in lme4's `coef`. The means of blocks trade places with
        each other and with the intercept, so that uncentred levels share a shift; only what averages over all other
        factors (`Intercept + mean of ...`) has none.

    Returns
    -------
    Recovery, or Recoveries for several fits
        All intervals are equal-tailed and hold 90 % of the draws.

        `parameters`, one row per scalar:

        * `term`, `group` (empty for what belongs to none), `class`: `b` coefficients and means, `share` of a step of a
          monotonic effect, `sd`, `cor`, `sigma`, `family`. `sum of means` is the intercept of a model that has none but
          learns the means of its effects.
        * `truth`; `realized`: what the drawn effects came to (their SD, mean or correlation; for `sigma` the root mean
          square of the true residuals), NaN where that is not known.
        * `median`, `sd`, `lo`, `hi` of the draws; `covered`: whether the interval holds the truth; `error`:
          median - truth.
        * `z`: (median - truth) / sd; for SDs, `sigma` included, all on the log scale. `pit`: share of draws below
          the truth.
        * `contraction`: 1 - (sd / prior sd)^2, 1 for a flat prior; of a half-Cauchy prior, which has no SD, that of the
          normal distribution with its quartiles counts. Below 0 the posterior is wider than the prior: the data
          contradict it. For the intercept the prior SD is that of the
          intercept on the data's scale, where the prior is stated at the predictors' means:
          :math:`\sqrt{s_0^2 + \sum_k \bar{x}_k^2 s_k^2}`.
        * `lme4`: the REML estimate of the same formula on the same data, without priors. NaN for families other than
          gaussian with the identity link, for models that learn the means of effects, and where the data cannot tell
          the variances apart.
        * `ess_bulk`, `r_hat`.
        * `verdict`: `ok` with the truth inside the 90 % interval, `edge` inside the 99 % interval, `miss` outside. The
          SD of a block counts as found if either its truth or the realized SD lies inside. A true SD of 0 lies at the
          edge of what an SD can be, where no equal-tailed interval reaches: it is `boundary` (and covered) where the
          posterior's density at 0 is at least 0.26 of its greatest, as at the ends of a normal 90 % interval, `edge`
          from 0.036 on, as at those of 99 %, else `miss`. Before that come `unreliable`, when the fit's diagnostics
          failed, and `prior-dominated`, with a contraction below 0.3.

        `groups`, one row per block of effects, then sums of nested blocks (`gene + gene:sgRNA`) and main effects of
        interactions and of such sums (`mean of gene:cell_line`, per draw, each level counted once) where no smaller
        block has the factor. Factors with more than 12 fixed coefficients are blocks too (term `fixed`). Truth and
        draws are centred within the block, each draw by its own mean, unless `centred=False`.

        * `n_levels`, `rows_per_level` (mean).
        * `coverage`: share of levels whose interval holds the truth; `coverage_lo`, `coverage_hi`: the equal-tailed
          95 % range of that share if each level were covered with probability 0.9, independently.
        * `bias`, `rmse`: mean and root mean square of median - truth; `rmse_null`: the same for an estimate of 0.
        * `corr`: correlation of median and truth; `slope`: of the median on the truth, both about their means.
        * `reliability`: var(m) / (var(m) + mean(v)) with m and v a level's posterior mean and variance. Shrinkage makes
          `slope` about as large: that is right, not a defect.
        * `sign_claims`: levels whose interval excludes 0; `type_s`: share of them with the wrong sign; `type_m`: how
          much they are exaggerated, mean \|median\| / mean \|truth\| among them. NaN without claims.

        `levels`, one row per level of each block: `group`, `term`, `level`, `truth`, `median`, `sd`, `lo`, `hi`,
        `covered`.

        For several fits: `recoveries`, each fit's own by name; `parameters`, all their scalars with the column `fit`.
        `comparison`, one row per factor and fit, and `levels`, one per level, compare **means of levels**: the mean of
        the linear predictor (offset included) over the rows of a level, which every model has, whatever its terms.
        Compared are the factors of all models' blocks and fixed cells, and those that these cross. Nothing is centred.

        * `levels`: `group`, `level`, `fit`, `n_rows`, `observed` (mean response; NaN unless the link is the identity),
          `truth`, `median`, `sd`, `lo`, `hi`, `covered`.
        * `comparison`: `group`, `fit`, `n_levels`, `coverage` with its binomial band, `bias` (mean of median - truth),
          `rmse`, `corr`, `slope`, `width` (mean of hi - lo). Both are empty where the truth states SDs without effects.

    Raises
    ------
    DataError
        If truth and fit have nothing in common, effects have levels that the data do not have, or several fits are of
        different rows.

    References
    ----------
    Type S and type M errors: Gelman and Carlin (2014), doi:10.1177/1745691614551642. z and contraction: Schad,
    Betancourt and Vasishth (2021), doi:10.1037/met0000275.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1|gene/sgRNA) + (1|cell_line)", data)  # doctest: +SKIP
    >>> sf.recover(fit, truth).groups[["group", "coverage"]]  # doctest: +SKIP
    """
    if isinstance(fit, Mapping):
        _check_fits(fit)
        return _side_by_side(fit, truth, centred=centred)
    implied = implied_truth(fit.model, truth)
    draws = draws_of(fit)
    scalars = scalars_of(fit.model, draws)
    blocks = blocks_of(fit.model, draws, implied)
    verdict = str(fit.diagnostics.verdict)
    parameters = parameter_table(
        scalars, implied.scalars, implied.realized, reml_estimates(fit.model), failed=verdict == "failed"
    )
    if not len(parameters) and not blocks:
        raise _nothing_in_common(scalars, truth)
    if not centred:
        blocks = with_coefficients(blocks, fit.model, draws, implied)
    groups, levels = group_tables(fit.model.design, blocks, centred=centred)
    return Recovery(
        formula=text_of(fit.model.formula),
        verdict=verdict,
        diagnosis=str(fit.diagnostics.sentence),
        parameters=parameters,
        groups=groups,
        levels=levels,
        foot=_foot(parameters, scalars, blocks if centred else (), implied),
        centred=centred,
    )


def _check_fits(fits: Mapping[str, Any]) -> None:
    """Refuse what holds no fits by name."""
    for name, fit in fits.items():
        if not hasattr(fit, "diagnostics") and not hasattr(type(fit), "idata"):  # a PointFit says that it has no draws
            raise DataError(
                f"'{name}' is a {type(fit).__name__}.",
                "Recoveries are of fits with draws, by name.",
                "Write sf.recover({'with guides': fit, 'without': other}, truth).",
            )


def _side_by_side(fits: Mapping[str, "Fit"], truth: Mapping[str, Any], *, centred: bool) -> Recoveries:
    """Return several fits' recoveries, and what they say of the same levels."""
    if not fits:
        raise DataError(
            "there is no fit to set beside the truth.", "recover takes a fit, or fits by name.", "Hand over a fit."
        )
    recoveries = {name: recover(fit, truth, centred=centred) for name, fit in fits.items()}
    comparison, levels = pooling_tables(fits, truth)
    parameters = pd.concat(
        [recovery.parameters.assign(fit=name) for name, recovery in recoveries.items()], ignore_index=True
    )
    order = parameters.assign(place=range(len(parameters))).groupby(["class", "group", "term"], sort=False)
    parameters = parameters.iloc[[row for _, part in order for row in part["place"]]].reset_index(drop=True)
    foot = tuple(f"{name}: {sentence}" for name, recovery in recoveries.items() for sentence in recovery.foot)
    shared = ("Means of levels are of the linear predictor, over the rows of each level; nothing is centred.",)
    return Recoveries(recoveries, comparison, levels, parameters, (*(shared if len(comparison) else ()), *foot))


def _nothing_in_common(scalars: Sequence[Scalar], truth: Mapping[str, Any]) -> DataError:
    return DataError(
        f"the truth has {', '.join(map(repr, truth)) or 'no entries'}, and nothing of that is in the fitted model.",
        f"The fit has {', '.join(repr(scalar.key) for scalar in scalars)}.",
        "Name the true values as the posterior does: 'Intercept', '1|gene_sigma', '1|gene' (effects), 'sigma'.",
    )


def _foot(
    parameters: pd.DataFrame, scalars: Sequence[Scalar], blocks: Sequence[Block], implied: ImpliedTruth
) -> tuple[str, ...]:
    """Return what to keep in mind: misses by chance, sums, and what has no counterpart."""
    boundary = (parameters["class"] == "sd") & (parameters["truth"] == 0)
    sentences = [_misses(parameters[~boundary])] if not boundary.all() else []
    sentences += [
        f"The SD of {row['term']} by {row['group']} is truly 0, at the edge of what an SD can be; it is not counted."
        for _, row in parameters[boundary].iterrows()
    ]
    if blocks:
        sentences.append("Effects are centred within their block before they are compared; so are their true values.")
    for slot, keys in implied.sources.items():
        if keys != (slot,):
            sentences.append(f"The truth of {slot} is {'the sum of ' if len(keys) > 1 else ''}{', '.join(keys)}.")
    unjudged = [scalar.key for scalar in scalars if scalar.key not in implied.scalars]
    if unjudged:
        sentences.append(f"No truth is given for {', '.join(unjudged)}.")
    if implied.left_out:
        sentences.append(f"The model leaves out {', '.join(implied.left_out)}.")
    if implied.unused:
        sentences.append(f"No part of the model corresponds to {', '.join(implied.unused)}.")
    return tuple(sentences)


def _misses(parameters: pd.DataFrame) -> str:
    """Return how many truths lie outside their intervals, and how many would by chance."""
    n = len(parameters)
    misses = int((~parameters["covered"].astype(bool)).sum())
    lo, hi = binomial_band(n, 1 - INTERVAL)
    return (
        f"{misses} of {n} true values lie outside their 90 % interval; chance alone would put {n * (1 - INTERVAL):.1f} "
        f"there on average, and between {lo} and {hi} in 95 % of cases."
    )


if TYPE_CHECKING:
    from speclet_formula.posterior import Fit

POOLING_COLUMNS = ("group", "level", "fit", "n_rows", "observed", "truth", "median", "sd", "lo", "hi", "covered")
COMPARISON_COLUMNS = (
    "group", "fit", "n_levels", "coverage", "coverage_lo", "coverage_hi", "bias", "rmse", "corr", "slope", "width",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ComparedFactor:
    """A factor of the data that is compared."""

    group: str
    levels: tuple[str, ...]
    average: Any  # (levels, n) scipy CSR: the mean over the rows of each level


def pooling_tables(fits: Mapping[str, "Fit"], truth: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the comparison by factor and fit, and the frame of levels behind it; `recover` defines the columns."""
    first = next(iter(fits.values())).model
    _check_rows(fits)
    known = _true_predictor(first, truth)
    if known is None:
        return without_rows(COMPARISON_COLUMNS), without_rows(POOLING_COLUMNS)
    factors = _factors(first, _groups([fit.model for fit in fits.values()]))
    if not factors:
        return without_rows(COMPARISON_COLUMNS), without_rows(POOLING_COLUMNS)
    observed = first.design.response if _is_identity(first) else np.full(len(known), np.nan)
    frames = [_levels(factor, name, fit, known, observed) for factor in factors for name, fit in fits.items()]
    comparison = pd.DataFrame([_summary(frame) for frame in frames], columns=list(COMPARISON_COLUMNS))
    return comparison, pd.concat(frames, ignore_index=True)


def _check_rows(fits: Mapping[str, "Fit"]) -> None:
    """Refuse fits of different rows: their levels have different means."""
    (reference, first), *others = fits.items()
    for fit in fits.values():
        require_rows(fit.model.design, "a comparison of several recoveries")
    for name, fit in others:
        design, compared = first.model.design, fit.model.design
        if design.response_name != compared.response_name or not np.array_equal(design.response, compared.response):
            raise DataError(
                f"'{reference}' and '{name}' are fits of different rows or responses.",
                "Fits side by side have the same rows in the same order, and the same response.",
                "Fit them to the same table; with missing='drop', leave the rows out of the table first.",
            )


def _is_identity(model: Model) -> bool:
    return model.family.link == "identity"


def _true_predictor(model: Model, truth: Mapping[str, Any]) -> np.ndarray | None:
    """Return the true linear predictor of each row; None where the effects of a stated SD are not known."""
    if any((slot := slot_of_sd(key)) and slot not in truth for key in truth):
        return None
    parts, _ = parts_of(model, truth)
    total: np.ndarray = model.design.mean.offset + np.sum([part.contribution for part in parts], axis=0)
    return total if len(parts) and np.isfinite(total).all() else None


def _groups(models: Sequence[Model]) -> list[tuple[str, ...]]:
    """Return the factors of all blocks and fixed cells, and each factor that these cross, the coarser ones first."""
    crossings: dict[tuple[str, ...], None] = {}
    for model in models:
        crossed = [block.factors for block in model.design.mean.groups]
        crossed += [tuple(term.name.split(":")) for term in model.design.mean.fixed if term.kind == "categorical"]
        for factors in crossed:
            crossings |= dict.fromkeys(part for k in range(1, len(factors) + 1) for part in combinations(factors, k))
    return sorted(crossings, key=len)


def _factors(model: Model, groups: Sequence[tuple[str, ...]]) -> list[ComparedFactor]:
    """Return the factors that the table has, of two levels or more and no two of the same partition."""
    table = as_pandas(model.data).iloc[model.design.rows]
    factors, seen = [], set()
    for columns in groups:
        made = data_factor(table, ":".join(columns))
        if made is None or len(made[1]) < 2:  # noqa: PLR2004 - one level leaves nothing to compare
            continue
        codes, levels = made
        used, codes = np.unique(codes, return_inverse=True)
        partition = tuple(np.unique(codes, return_index=True)[1][codes])
        if hash(partition) in seen:
            continue
        seen.add(hash(partition))
        n = len(codes)
        shares = 1 / np.bincount(codes)[codes]
        average = sparse.csr_array((shares, (codes, np.arange(n))), shape=(len(used), n))
        factors.append(ComparedFactor(":".join(columns), tuple(levels[level] for level in used), average))
    return factors


def _levels(factor: ComparedFactor, name: str, fit: "Fit", known: np.ndarray, observed: np.ndarray) -> pd.DataFrame:
    """Return one fit's levels of one factor."""
    draws = _averaged(fit.model, draws_of(fit), factor.average)
    about = {
        "group": factor.group,
        "level": list(factor.levels),
        "fit": name,
        "n_rows": np.diff(factor.average.indptr),
        "observed": factor.average @ observed,
    }
    return pd.DataFrame(about | beside_truth(draws, factor.average @ known))[list(POOLING_COLUMNS)]


def _averaged(model: Model, draws: Draws, average: Any) -> np.ndarray:
    """Return the linear predictor's mean over the rows of each level, (draws, levels), without one for each row."""
    design = model.design
    total = np.asarray(average @ design.mean.offset)[None, :]
    for term in design.mean.fixed:
        total = total + draws.term(term) @ (average @ design.mean.X[:, term.start : term.stop]).T
    n = len(design.response)
    for block in design.mean.groups:
        for column, effects in enumerate(draws.effects(block)):
            for codes, values in block.members():
                entries = (values[:, column], (np.arange(n), codes))
                shares = average @ sparse.csr_array(entries, shape=(n, len(block.levels)))
                total = total + (shares @ effects.T).T
    return np.asarray(total)


def _summary(levels: pd.DataFrame) -> dict[str, Any]:
    """Return one fit's row for one factor."""
    width = float(np.mean(levels["hi"] - levels["lo"]))
    return {"group": levels["group"].iloc[0], "fit": levels["fit"].iloc[0], **agreement(levels), "width": width}
