"""K-fold cross-validation: groups, or parts of the rows, left out whole, and predicted by what is left.

Folds are the levels of a factor, some of them together, or rows at random. Of a Gaussian model the coefficients are
integrated out, exactly; any other model is fitted again without each fold.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from speclet_formula.common.batch import run_batch, with_progress
from speclet_formula.common.seeds import generator
from speclet_formula.comparison.loo import check_draws, check_finite
from speclet_formula.comparison.pointwise import (
    COSTLY_DRAWS,
    DRAWS,
    MOST_REFITS,
    REFITS,
    SEED,
    good_pareto_k,
    relative_efficiency,
    weigh,
)
from speclet_formula.design import FixedTerm
from speclet_formula.design.merged import require_rows
from speclet_formula.design.transforms import label_of
from speclet_formula.errors import ComparisonError, listed, nearest
from speclet_formula.inference.datatree import settings_of
from speclet_formula.inference.exact.density import Marginal, log_likelihood, marginal_of, why_not_exact
from speclet_formula.inference.exact.drawn_variances import DrawnVariances, read_variances, thinned
from speclet_formula.inference.exact.leave_one_out import LeftOut, predict_without, refit_without
from speclet_formula.inference.plans import DrawsArguments, at_least
from speclet_formula.model import Model, in_order_of
from speclet_formula.posterior import Fit
from speclet_formula.posterior.convergence import log_sum_exp, smooth_weights
from speclet_formula.posterior.draws import draws_of
from speclet_formula.prediction import OBSERVATION_DIM, log_likelihood_blocks

if TYPE_CHECKING:
    from speclet_formula.comparison.elpd import KFold

FOLD_DIM = "fold"
COSTLY = 500_000  # folds x coefficients, from which on fewer draws are used
FEWEST = 2
DEFAULT = 10  # folds of rows
_NAMED = 8


@dataclass(frozen=True, eq=False)
class Folds:
    """Which fold each row of a model is in. n rows."""

    labels: tuple[str, ...]  # of the folds: a factor's levels, or "1", "2", ...
    codes: np.ndarray  # (n,) int64, index into labels; every fold has a row


@dataclass(frozen=True, eq=False)
class _Fold:
    """What is known of a fold once it was left out."""

    each: np.ndarray  # (rows,) elpd of each row
    joint: float  # of all rows at once
    k: float  # Pareto k; NaN after a refit, which has no weights
    redone: bool  # the model was fitted anew without the fold
    verdict: str  # of that fit; "" without one


def kfold(
    fit: Fit,
    *,
    group: str | Sequence[Any] | np.ndarray | None = None,
    k: int | None = None,
    joint: bool = False,
    stratify: str | None = None,
    random_seed: int | None = 1,
    cores: int | None = None,
    progress: bool = True,
    **fit_arguments: Unpack[DrawsArguments],
) -> "KFold":
    """Estimate how well a model predicts whole groups, or parts of the rows, that were left out of the fit.

    `kfold(fit, group="gene")` leaves out each gene with all its rows: it asks how well a gene is predicted that the
    model has never seen. `loo` asks for one more row of known genes.

    Of a Gaussian model with Normal priors of its coefficients, whichever engine fitted it, nothing is fitted again: the
    rows' density given the others and a draw of the variances is exact, all coefficients integrated out, and
    Pareto-smoothed weights turn the draws into those of the posterior without the fold. For folds whose Pareto k is
    high the variances are drawn anew without the fold. Any other model is fitted again for each fold.

    In both the design and the priors stay as all rows made them: splines keep their knots, and priors of a preset the
    scale of the whole response. A level without rows has its prior, given the group's SD.

    Parameters
    ----------
    fit : Fit
    group : str or array of shape (n,), optional
        A column of the table, or a grouping factor such as "gene:sgRNA": each level is a fold. An array has a label for
        each row.
    k : int, optional
        Number of folds: of rows, 10 by default; with `group`, of whole levels.
    joint : bool
        What is added up. False, as is usual for K-fold cross-validation: the log densities of the rows of a fold, each
        by itself given the other folds. True: one log density for all rows of a fold at once, which also asks whether
        they vary together as the model says.
    stratify : str, optional
        A column whose levels are spread evenly over folds of rows.
    random_seed : int, optional
        Of the folds and of refits. The same seed gives the same folds for each model of the same rows.
    cores : int, optional
        Processes for refits; those of joblib's configuration, else one for each core.
    progress : bool
        Whether to show a line with the time left, where standard error is a terminal.
    **fit_arguments
        Of refits, as in `fit`: `draws`, `tune`, `chains`, `target_accept` and `sampler` are the fit's own by default.

    Returns
    -------
    KFold
        As `arviz.loo_kfold` returns, for `arviz.compare`: `elpd`, `se`, `p`, `n_samples`, `n_data_points`, `n_folds`
        and, with the dimension "__obs__", `elpd_i` and `p_kfold_i`; with `joint=True` their dimension is "fold". In
        `elpd_i` the coordinate "fold" names each row's fold, so that `elpd_i.groupby("fold").sum()` has the elpd of
        every fold. `caveat` says which folds cannot be trusted and what to do, beneath the numbers too; it is empty
        where all can. `pareto_k`, of the row's fold, and `good_k` are None after refits. `elpd_i.attrs` holds `kind`,
        "integrated" or "refitted", `joint`, `n_redone` (folds that were fitted anew) and `not_converged` (the names of
        folds whose refit did not converge; `warning` is true then, and where a k is high).

    Raises
    ------
    ComparisonError
        The folds cannot be made, a coefficient with a flat prior rests on one fold alone, an argument would change
        nothing, or a row has density 0.
    EstimateError
        It is a fit without draws.
    SamplingError
        As `fit`.

    References
    ----------
    Vehtari, Gelman and Gabry (2017). Practical Bayesian model evaluation using leave-one-out cross-validation and
    WAIC. Statistics and Computing 27, 1413-1432. doi:10.1007/s11222-016-9696-4.

    Merkle, Furr and Rabe-Hesketh (2019). Bayesian comparison of latent variable models: conditional versus marginal
    likelihoods. Psychometrika 84, 802-829. doi:10.1007/s11336-019-09679-0.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, random_seed=1)
    >>> sf.kfold(fit, group="gene").n_folds
    10
    """
    check_draws(fit)
    cores = None if cores is None else at_least("cores", cores, 1)
    require_rows(fit.model.design, "kfold()")
    folds = make_folds(fit.model, group=group, k=k, stratify=stratify, random_seed=random_seed)
    _check_flat(fit.model, folds)
    if not why_not_exact(fit.model):
        _refuse_unused(fit_arguments, cores)
        predicted, n_draws = _integrated(fit, folds, progress)
        kind = "integrated"
    else:
        predicted, n_draws = _refitted(fit, folds, cores, progress, {"random_seed": random_seed, **fit_arguments})
        kind = "refitted"
    return _estimate(fit, folds, predicted, joint=joint, kind=kind, n_draws=n_draws)


def make_folds(
    model: Model,
    *,
    group: str | Sequence[Any] | np.ndarray | None = None,
    k: int | None = None,
    stratify: str | None = None,
    random_seed: int | None = None,
) -> Folds:
    """Deal the rows of a model into folds.

    Parameters
    ----------
    model : Model
    group : str or array of shape (n,), optional
        A column of the model's table, a grouping factor such as "gene:sgRNA", or a label for each row: rows of one
        level are never parted; a pandas Series is matched by its index.
    k : int, optional
        Folds; a fold for each level by default, or 10 without `group`.
    stratify : str, optional
        A column whose levels are spread evenly over the folds; of rows, not of levels.
    random_seed : int, optional
        Which rows or levels go together.

    Raises
    ------
    ComparisonError
        There is no such column, it lacks values, or there are fewer than two folds or more than can be filled.
    """
    rng = generator(random_seed)
    n = len(model.design.response)
    if group is None:
        wanted = _checked(DEFAULT if k is None else k, n, "rows")
        strata = np.zeros(n, dtype=np.int64) if stratify is None else row_levels(model, stratify, "stratify")[0]
        return _numbered(_dealt(strata, wanted, rng), wanted)
    if stratify is not None:
        raise ComparisonError(
            f"stratify={stratify!r} is given beside group=.",
            "Rows are spread evenly by a column where they are dealt one by one; with group= whole levels are.",
            "Leave one of the two out.",
        )
    codes, labels = row_levels(model, group, "group")
    wanted = _checked(len(labels) if k is None else k, len(labels), "levels")
    if wanted == len(labels):
        return Folds(labels, codes)
    return _numbered(_dealt(np.zeros(len(labels), dtype=np.int64), wanted, rng)[codes], wanted)


def rows_in(folds: Folds, number: int) -> np.ndarray:
    """Return the rows of a fold."""
    return np.flatnonzero(folds.codes == number)


def _integrated(fit: Fit, folds: Folds, progress: bool) -> tuple[list[_Fold], int]:
    """Predict each fold with all coefficients integrated out."""
    marginal = marginal_of(fit.model, threads=os.cpu_count() or 1)
    costly = marginal.system.layout.size * len(folds.labels) >= COSTLY
    known = thinned(fit.model, draws_of(fit), COSTLY_DRAWS if costly else DRAWS)
    draws, efficiency = read_variances(fit.model, known), relative_efficiency(known)
    whole = log_likelihood(marginal, draws.sds, draws.partial)
    limit, left = good_pareto_k(len(draws.sds)), MOST_REFITS
    predicted: list[_Fold] = []
    for number in with_progress(range(len(folds.labels)), "folds", len(folds.labels), shown=progress):
        rows = rows_in(folds, number)
        left_out = predict_without(marginal, rows, draws, whole)
        weights, k = smooth_weights(-left_out.joint[None], efficiency)
        fold = _weighed(weights, left_out, float(k[0]), redone=False)
        if not fold.k <= limit and left > 0:
            left -= 1
            fold = _redrawn(marginal, rows, draws, limit)
        predicted.append(fold)
    return predicted, len(draws.sds)


def _weighed(log_weights: np.ndarray, left_out: LeftOut, k: float, *, redone: bool) -> _Fold:
    """Add up draws with normalised weights (1, draws)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        each = log_sum_exp(np.ascontiguousarray(left_out.each.T) + log_weights)
        joint = float(log_sum_exp(left_out.joint[None] + log_weights)[0])
    return _Fold(each, joint, k, redone, "")


def _redrawn(marginal: Marginal, rows: np.ndarray, draws: DrawnVariances, limit: float) -> _Fold:
    """Predict a fold from draws of the variances without it, the more the longer its Pareto k stays high."""
    for count in REFITS:
        rng = np.random.default_rng((SEED, int(rows[0])))
        log_ratios, left_out = refit_without(marginal, rows, draws, rng, proposals=count)
        _, k = weigh(log_ratios[:, None], left_out.joint[:, None])
        weights, _ = smooth_weights(log_ratios[None])
        fold = _weighed(weights, left_out, float(k[0]), redone=True)
        if fold.k <= limit:
            break
    return fold


def _refitted(
    fit: Fit, folds: Folds, cores: int | None, progress: bool, arguments: dict[str, Any]
) -> tuple[list[_Fold], int]:
    """Fit the model again without each fold, in joblib's workers."""
    settings = {"method": fit.method, **settings_of(fit, fit.method), "cores": 1, **arguments}
    refits = {number: (fit.model, rows_in(folds, number), settings) for number in range(len(folds.labels))}
    outcomes = run_batch(fit_without, refits, what="folds", cores=cores, progress=progress, stop=True)
    predicted = [outcome.result for outcome in outcomes if outcome.result is not None]
    return predicted, settings["draws"] * settings["chains"]


def fit_without(model: Model, rows: np.ndarray, settings: dict[str, Any]) -> _Fold:
    """Fit a model without some of its rows and predict these; it runs in the workers."""
    from speclet_formula.inference.fit import fit  # here, since it brings PyMC along
    from speclet_formula.inference.refit import with_rows

    others = np.setdiff1d(np.arange(len(model.design.rows)), rows)
    again = fit(with_rows(model, others), **{**settings, "progress": False})
    draws = draws_of(again)
    n_draws = len(draws)
    each, total = np.empty(len(rows)), np.zeros(n_draws)
    for part, block in log_likelihood_blocks(with_rows(model, rows), draws):
        each[part] = log_sum_exp(np.ascontiguousarray(block.T)) - math.log(n_draws)
        total += block.sum(axis=1)
    joint = float(log_sum_exp(total[None])[0]) - math.log(n_draws)
    return _Fold(each, joint, math.nan, redone=True, verdict=again.diagnostics.verdict)


def _estimate(fit: Fit, folds: Folds, predicted: list[_Fold], *, joint: bool, kind: str, n_draws: int) -> "KFold":
    """Put the folds together as ArviZ has it."""
    from xarray import DataArray

    from speclet_formula.comparison.elpd import KFold

    each, labels = np.empty(len(folds.codes)), np.asarray(folds.labels, dtype=object)
    for number, fold in enumerate(predicted):
        each[rows_in(folds, number)] = fold.each
    elpd = np.array([fold.joint for fold in predicted]) if joint else each
    check_finite(each, fit, np.arange(len(each)))
    within = _within_sample(fit, folds, joint=joint)
    k = np.array([fold.k for fold in predicted])
    limit = good_pareto_k(n_draws)
    named = list(zip(folds.labels, predicted, strict=True))
    unconverged = [label for label, fold in named if fold.verdict not in ("", "converged")]
    high = [label for label, fold in named if kind == "integrated" and not fold.k <= limit]
    about = {
        "kind": kind,
        "joint": joint,
        "n_redone": sum(fold.redone for fold in predicted) if kind == "integrated" else 0,
        "not_converged": unconverged,
    }
    coords: dict[str, Any] = {FOLD_DIM: labels}
    if not joint:
        coords = {OBSERVATION_DIM: fit.model.design.rows, FOLD_DIM: (OBSERVATION_DIM, labels[folds.codes])}

    def labelled(values: np.ndarray, name: str) -> DataArray:
        return DataArray(values, coords, (FOLD_DIM if joint else OBSERVATION_DIM,), name, about)

    n, weighted = len(elpd), kind == "integrated"
    # ArviZ's own K-fold estimate has None where there are no weights, though its record is typed otherwise.
    smoothing: dict[str, Any] = {"good_k": None, "pareto_k": None}
    if weighted:
        smoothing = {"good_k": limit, "pareto_k": labelled(k if joint else k[folds.codes], "pareto_k")}
    return KFold(
        elpd=float(elpd.sum()),
        se=math.sqrt(n * elpd.var(ddof=1)) if n > 1 else math.nan,
        p=float((within - elpd).sum()),
        n_samples=n_draws,
        n_data_points=n,
        scale="log",
        warning=bool(unconverged or high),
        caveat=_caveat(high, unconverged, len(named), limit),
        elpd_i=labelled(elpd, "elpd_i"),
        n_folds=len(folds.labels),
        p_kfold_i=labelled(within - elpd, "p_kfold_i"),
        **smoothing,
    )


def _caveat(high: Sequence[str], unconverged: Sequence[str], n_folds: int, limit: float) -> str:
    """Say which folds cannot be trusted, why, and what to do; nothing where all can."""
    if high:
        return (
            f"This estimate cannot be trusted: the Pareto k of {len(high):,} of {n_folds:,} folds is above {limit:.2f} "
            f"({listed(high, _NAMED)}): draws of the variances with these rows say too little of what they are without "
            "them. Fit the model with more draws, or make other folds."
        )
    if unconverged:
        return (
            f"This estimate cannot be trusted: the fit without {len(unconverged):,} of {n_folds:,} folds did not "
            f"converge ({listed(unconverged, _NAMED)}). Give kfold() more draws= or tune=, which its fits take."
        )
    return ""


def _within_sample(fit: Fit, folds: Folds, *, joint: bool) -> np.ndarray:
    """Return the log predictive density of each row, or fold, by the fit that has seen it."""
    draws = draws_of(fit)
    n_draws = len(draws)
    each = np.empty(len(folds.codes))
    totals = np.zeros((len(folds.labels), n_draws))
    for rows, block in log_likelihood_blocks(fit.model, draws):
        each[rows] = log_sum_exp(np.ascontiguousarray(block.T)) - math.log(n_draws)
        if joint:
            np.add.at(totals, folds.codes[rows], block.T)
    return log_sum_exp(totals) - math.log(n_draws) if joint else each


def _check_flat(model: Model, folds: Folds) -> None:
    """Refuse folds without which a coefficient with a flat prior has no posterior."""
    flat = {slot.slot for slot in model.slots if slot.prior.name == "Flat"}
    for predictor in model.design.predictors:
        terms = [term for term in predictor.fixed if term.name in flat]
        if terms:
            _check_rank(predictor.X[:, [j for term in terms for j in range(term.start, term.stop)]], terms, folds)


def _check_rank(X: np.ndarray, terms: Sequence[FixedTerm], folds: Folds) -> None:
    """Refuse folds without which some of the columns depend on others."""
    rank = np.linalg.matrix_rank(X)
    for number, label in enumerate(folds.labels):
        if np.linalg.matrix_rank(X[folds.codes != number]) < rank:
            raise ComparisonError(
                f"without the fold '{label}' the coefficients with flat priors have no posterior.",
                "A coefficient with a flat prior needs rows in the other folds.",
                f"Give {', '.join(repr(term.name) for term in terms)} a Normal prior, or make other folds.",
            )


def _refuse_unused(fit_arguments: Mapping[str, Any], cores: int | None) -> None:
    unused = [*fit_arguments, *([] if cores is None else ["cores"])]
    if unused:
        raise ComparisonError(
            f"{', '.join(f'{name}=' for name in unused)} would change nothing: this model is not fitted again.",
            "Arguments of fit() are for models that are fitted anew for each fold; this one's coefficients are "
            "integrated out.",
            "Leave them out.",
        )


def _numbered(codes: np.ndarray, count: int) -> Folds:
    return Folds(tuple(str(number + 1) for number in range(count)), codes)


def _dealt(strata: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Deal out places at random, those of one stratum after the other, so that each fold gets as many of it."""
    shuffled = rng.permutation(len(strata))
    in_turn = shuffled[np.argsort(strata[shuffled], kind="stable")]
    codes = np.empty(len(strata), dtype=np.int64)
    codes[in_turn] = np.arange(len(strata)) % k
    return codes


def _checked(k: Any, most: int, what: str) -> int:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not FEWEST <= k <= most:
        raise ComparisonError(
            f"{k!r} folds cannot be made of {most:,} {what}.",
            f"The number of folds is a whole number from {FEWEST} to that of the {what}.",
            f"For example k={min(DEFAULT, max(most, FEWEST))}.",
        )
    return int(k)


def row_levels(model: Model, group: Any, argument: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return each row's level, and the observed levels in the analyst's order."""
    design = model.design
    if not isinstance(group, str):
        given = in_order_of(model, group, argument)
        if np.ndim(given) != 1:
            raise ComparisonError(
                f"{argument}= is {given!r}, which is no label for each row."
                if np.ndim(given) == 0
                else f"{argument}= has {np.ndim(given)} dimensions.",
                "There is one label for each row that the model uses, or for each row of its table.",
                f"Give a column's name: {argument}='gene'.",
            )
        column = given if isinstance(given, pd.Series) else pd.Series(list(given))
        if len(column) == len(model.data) != len(design.rows):
            column = column.iloc[design.rows].reset_index(drop=True)
    elif group in model.data.columns:
        column = model.data[group].iloc[design.rows].reset_index(drop=True)
    else:
        blocks = {block.group: block for block in design.factors}
        if group not in blocks:
            raise _unknown(model, group, argument, [*map(str, model.data.columns), *blocks])
        return blocks[group].codes, blocks[group].levels
    if len(column) != len(design.rows):
        raise ComparisonError(
            f"{argument}= has {len(column):,} values for {len(design.rows):,} rows of the model.",
            "There is one for each row that the model uses, or for each row of its table.",
            f"Give a column's name: {argument}='gene'.",
        )
    if column.isna().any():
        raise ComparisonError(
            f"'{group if isinstance(group, str) else argument}' lacks a value in {int(column.isna().sum()):,} rows.",
            "Each row belongs to one fold.",
            "Fill them in, or leave these rows out of the table.",
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        return column.cat.codes.to_numpy(np.int64), tuple(map(label_of, column.cat.categories))
    codes, levels = pd.factorize(column)
    return codes.astype(np.int64), tuple(map(label_of, levels.tolist()))


def _unknown(model: Model, name: str, argument: str, known: list[str]) -> ComparisonError:
    near = nearest(name, known)
    return ComparisonError(
        f"there is no column '{name}' to make folds of.",
        f"{argument}= names a column of the model's table: "
        f"{', '.join(known[:_NAMED])}{', ...' if known[_NAMED:] else ''}.",
        f"Nearest: {near}." if near else f"For example {argument}={str(model.data.columns[0])!r}.",
    )
