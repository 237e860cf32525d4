"""How much single rows, and whole levels of a factor, move the fixed effects: leverage, Cook's distance, refits.

Rows are left out by formula where there is one, else by weights of the draws; levels by fitting again without them.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from speclet_formula.common.batch import run_batch
from speclet_formula.common.engines import BY_NAME
from speclet_formula.common.table import Printed, Sheet, number, text_table
from speclet_formula.comparison.kfold import row_levels
from speclet_formula.comparison.loo import check_draws
from speclet_formula.comparison.own_level import affordable
from speclet_formula.comparison.pointwise import good_pareto_k, relative_efficiency
from speclet_formula.design import Design
from speclet_formula.design.merged import require_rows
from speclet_formula.errors import DataError
from speclet_formula.families import Family, specification_of
from speclet_formula.families.links import MEANS
from speclet_formula.families.registry import weighted
from speclet_formula.families.specification import Parameters
from speclet_formula.inference.datatree import nodes_of, settings_of
from speclet_formula.inference.maximum_likelihood import independent_columns
from speclet_formula.inference.refit import with_rows
from speclet_formula.inference.reml.criterion import rows_given_variances
from speclet_formula.model import Model
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.convergence import smooth_weights
from speclet_formula.posterior.draws import draws_of, values_of
from speclet_formula.posterior.estimates import Array, stated_coefficients
from speclet_formula.prediction.left_out import left_out_blocks, plan_levels
from speclet_formula.prediction.linear_predictors import from_predictors, gather, predictors_at, row_blocks
from speclet_formula.prediction.residuals import residuals

if TYPE_CHECKING:
    from speclet_formula.posterior.draws import Draws

SHOWN = 5
LARGE = 1.0  # of Cook's distances: the estimates then leave the middle of their own uncertainty
SEED = 103  # of refits by draws, so that the answer is the same each time


@dataclass(frozen=True, eq=False, repr=False)
class Influence(Printed):
    """How much rows and levels move a fit's fixed effects.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row for each row that was fitted, under its place in the given table; the columns are defined in
        `influence`.
    levels : pandas.DataFrame
        One row for each level that was left out; none where no factor was asked for.
    changes : pandas.DataFrame
        One row for each level that was left out and fixed effect.
    notes : tuple of str
        What to keep in mind while reading.
    """

    rows: pd.DataFrame
    levels: pd.DataFrame
    changes: pd.DataFrame
    notes: tuple[str, ...] = ()

    def sheet(self) -> Sheet:
        """Return the parts of the print-out: the most influential rows and levels."""
        rows = self.rows.nlargest(SHOWN, "cooks_distance").reset_index()
        tables = [text_table(rows.astype({"row": str}), f"The {len(rows)} most influential rows")]
        head = [_largest("row", self.rows["cooks_distance"])]
        if len(self.levels):
            levels = self.levels.nlargest(SHOWN, "cooks_distance")
            tables.append(text_table(levels, f"The {len(levels)} most influential levels", labels=2))
            named = self.levels.set_index(self.levels["group"] + " " + self.levels["level"])["cooks_distance"]
            head.append(_largest("level", named))
        return Sheet(f"Influence on the fixed effects of {len(self.rows):,} rows", head, tables, self.notes)


def influence(
    fit: Fit | PointFit,
    group: str | None = None,
    *,
    random_seed: int | None = None,
    cores: int | None = None,
    progress: bool = True,
) -> Influence:
    r"""Measure how much each row, and each level of a factor, moves the fixed effects: R's `influence`.

    Parameters
    ----------
    fit : Fit or PointFit
    group : str, optional
        A column of the model's table, or one of its grouping factors: each of its levels is left out of a fit of its
        own. Without it rows alone are looked at, which takes no fit.
    random_seed : int, optional
        Of the fits without a level, of a Fit.
    cores : int, optional
        Processes for these; all cores by default. Point fits are made in this one.
    progress : bool
        Whether to show a line with the time left, where standard error is a terminal.

    Returns
    -------
    Influence
        `rows`:

        * `leverage`: the row's share in its own linear predictor, :math:`w_i \mathrm{Var}(\eta_i)`, where w is one over
          the variance that the model gives the row, on the link's scale. All rows' add up to the effective number of
          coefficients. For given variances of a point fit: R's `hatvalues` of a linear model. Missing for families
          whose variance has no short form;
        * `cooks_distance`: how far the fixed effects move without the row, squared, over their covariance and their
          number p. Of a point fit for given variances, by formula (one step of a generalized model); of draws the
          difference of their mean by Pareto-smoothed weights, the effect of the row's own level integrated as in `loo`;
        * `cooks_distance_all`: only of point fits, R's `cooks.distance(m)`, :math:`r^2 h / (1 - h)^2 / p` with Pearson
          residual r and leverage h: how far fixed and group effects move together. It is much larger where a row says
          more of its own level than of the fixed effects;
        * `pareto_k`: only of draws; above the limit that a note tells, the row's Cook's distance is unreliable.

        `levels`: `group`, `level`, `n_rows`, `cooks_distance` (of the fixed effects of the fit without the level) and
        `verdict` of that fit.

        `changes`: `group`, `level`, `term`, `estimate` without the level, `change` from the whole fit, and `dfbetas`,
        the change over the standard error of the fit without the level.

    Raises
    ------
    EstimateError
        The response is ordinal, censored or truncated, so that it has no residuals; or draws were not kept.
    ComparisonError
        The table has no column `group`, or there are fewer than 30 draws.
    DataError
        Rows were merged, the model has no fixed effects, or `group` has one level.
    SamplingError
        The model cannot be fitted without a level.

    Notes
    -----
    lme4 multiplies Cook's distances of levels by (m - p) / m for m levels; here, as in HLMdiag and influence.ME, they
    are not. Of generalized models leverage has the weights of the fitted means, which lme4's `hatvalues` leaves out.

    References
    ----------
    Cook (1977), doi:10.2307/1268249. Of mixed models: Christensen, Pearson and Johnson (1992), doi:10.2307/1269550. By
    weights of draws: Bradlow and Zaslavsky (1997), doi:10.1080/10618600.1997.10474747.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, method="reml")
    >>> sf.influence(fit, "gene").levels["level"].to_list()[:2]
    ['gene0', 'gene1']
    """
    design = fit.model.design
    require_rows(design, "influence()")
    if not design.mean.X.shape[1]:
        raise DataError(
            "the model has no fixed effects.",
            "Influence is on the fixed effects.",
            "Add an intercept, or look at sf.loo(fit).pareto_k, which tells rows that the fit depends on.",
        )
    pearson = residuals(fit, "pearson", random_seed=0)
    notes: list[str] = []
    if isinstance(fit, PointFit):
        rows: dict[str, Array] = _point_rows(fit, pearson.to_numpy())
        notes.append("Rows: for the variances of the fit, which are not estimated again without the row.")
    else:
        check_draws(fit)
        rows, limit = _drawn_rows(fit)
        high = int((~(rows["pareto_k"] <= limit)).sum())
        notes.append(f"Rows: by weights of the draws; {high:,} have a Pareto k above {limit:.2f}, and are unreliable.")
    frame = pd.DataFrame(rows, index=pearson.index)
    if group is None:
        return Influence(frame, pd.DataFrame(columns=LEVELS), pd.DataFrame(columns=CHANGES), tuple(notes))
    levels, changes = _levels(fit, group, random_seed, cores, progress)
    notes.append(f"Levels: by {len(levels):,} fits by {BY_NAME[fit.method].title}, each without one of them.")
    return Influence(frame, levels, changes, tuple(notes))


LEVELS = ("group", "level", "n_rows", "cooks_distance", "verdict")
CHANGES = ("group", "level", "term", "estimate", "change", "dfbetas")


def _largest(what: str, distances: pd.Series) -> str:
    """Say which is the most influential."""
    if distances.isna().all():
        return f"Cook's distance of a {what} is not known."
    large = int((distances > LARGE).sum())
    which, most = distances.idxmax(), float(distances.max())
    lead = f"{large:,} {what}{'s have' if large != 1 else ' has'} a Cook's distance above 1" if large else (
        f"No {what} has a Cook's distance above 1"
    )  # fmt: skip
    return f"{lead}; the largest is {number(most, '.2g')}, of {f'row {which}' if what == 'row' else which}."


def _working_weights(family: Family, eta: Array, parameters: Parameters, design: Design, rows: slice) -> Array | None:
    """Return one over the variance of each row on the link's scale; None where the family has no short form of it."""
    variance = specification_of(family).variance
    if variance is None or family.link not in MEANS:
        return None
    trials, weights = (None if known is None else known[rows] for known in (design.trials, design.weights))
    mean = MEANS[family.link](eta)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(mean.first**2 / variance(mean.value, weighted(parameters, weights), trials))


def _point_rows(fit: PointFit, pearson: Array) -> dict[str, Array]:
    """Return leverages and Cook's distances for given variances."""
    every = slice(None)
    design, kept = independent_columns(fit.model.design)
    drawn = gather(fit.model, values_of(fit))
    (eta,) = predictors_at(drawn, fit.model.design, every)[0]
    weights = _working_weights(fit.model.family, eta, {**_single(drawn.parameters)}, design, every)
    if weights is None:
        unknown = np.full(len(eta), np.nan)
        return {"leverage": unknown, "cooks_distance": unknown, "cooks_distance_all": unknown}
    known = rows_given_variances(replace(design, weights=weights), fit.estimates.covariances)
    with np.errstate(divide="ignore", invalid="ignore"):
        far = pearson**2 / (1 - known.leverages) ** 2
        fixed = weights * _squares(known.together, known.fixed)
    h = known.leverages
    return {"leverage": h, "cooks_distance": far * fixed / len(kept), "cooks_distance_all": far * h / len(kept)}


def _single(parameters: Parameters) -> dict[str, Array]:
    """Return the one value of each parameter."""
    return {name: values[0] for name, values in parameters.items()}


def _drawn_rows(fit: Fit) -> tuple[dict[str, Array], float]:
    """Return what draws say of each row, and up to which Pareto k its Cook's distance can be trusted."""
    model, n = fit.model, len(fit.model.design.response)
    whole = draws_of(fit)
    whole.require(model.design.blocks)
    plan = plan_levels(model, whole)
    draws = affordable(whole, n, plan) if plan.levels else whole
    efficiency, fixed = relative_efficiency(draws), draws.coefficients(model.design.mean)
    moved, k = np.empty((n, fixed.shape[1])), np.empty(n)
    for part in left_out_blocks(model, draws, plan):
        log_weights, k[part.rows] = smooth_weights(-np.ascontiguousarray(part.log_densities.T), efficiency)
        moved[part.rows] = np.exp(log_weights) @ fixed - fixed.mean(axis=0)
    distances = _distances(moved, np.atleast_2d(np.cov(fixed, rowvar=False)))
    rows = {"leverage": _drawn_leverages(model, whole), "cooks_distance": distances, "pareto_k": k}
    return rows, good_pareto_k(len(draws))


def _drawn_leverages(model: Model, draws: "Draws") -> Array:
    """Return the variance of each row's linear predictor over that of its observation."""
    design, drawn = model.design, gather(model, draws)
    found = np.full(len(design.response), np.nan)
    for rows in row_blocks(len(found), len(draws)):
        predictors = predictors_at(drawn, design, rows)
        _, parameters = from_predictors(drawn, design, model.family, predictors)
        weights = _working_weights(model.family, predictors[0], parameters, design, rows)
        if weights is not None:
            found[rows] = weights.mean(axis=0) * predictors[0].var(axis=0, ddof=1)
    return found


def _distances(moved: Array, covariance: Array) -> Array:
    """Return Cook's distances of changes (m, p) of the fixed effects; what was dropped has a variance of zero."""
    kept = np.diagonal(covariance) > 0
    return _squares(moved[:, kept], covariance[np.ix_(kept, kept)]) / kept.sum()


def _squares(vectors: Array, covariance: Array) -> Array:
    """Return v'C^-1 v, (m,), of vectors (m, p)."""
    return np.asarray((vectors * np.linalg.solve(covariance, vectors.T).T).sum(axis=1))


def _levels(
    fit: Fit | PointFit, group: str, random_seed: int | None, cores: int | None, progress: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit again without each level."""
    codes, labels = row_levels(fit.model, group, "group")
    if len(labels) < 2:  # noqa: PLR2004
        raise DataError(
            f"'{group}' has one level.",
            "Without a level there are the others.",
            "Give a factor with more levels.",
        )
    tasks = {
        label: (fit.model, np.flatnonzero(codes != code), _settings(fit, random_seed))
        for code, label in enumerate(labels)
    }
    outcomes = run_batch(
        fixed_without,
        tasks,
        what="levels",
        cores=1 if isinstance(fit, PointFit) else cores,
        progress=progress,
        stop=True,
    )
    without = [outcome.result for outcome in outcomes if outcome.result is not None]
    labelled, estimates, covariance = _fixed(fit)
    changes = np.array([found.estimates for found in without]) - estimates
    levels = pd.DataFrame({
        "group": group, "level": list(labels), "n_rows": np.bincount(codes, minlength=len(labels)),
        "cooks_distance": _distances(changes, covariance), "verdict": [found.verdict for found in without],
    })  # fmt: skip
    errors = np.array([found.errors for found in without])
    frame = pd.DataFrame({
        "group": group, "level": np.repeat(list(labels), len(labelled)), "term": np.tile(labelled, len(labels)),
        "estimate": (changes + estimates).ravel(), "change": changes.ravel(), "dfbetas": (changes / errors).ravel(),
    })  # fmt: skip
    return levels, frame


@dataclass(frozen=True, eq=False)
class _Without:
    """The fixed effects of a fit without some rows."""

    estimates: Array  # (p,) NaN where a column was dropped
    errors: Array  # (p,)
    verdict: str


def fixed_without(model: Model, rows: np.ndarray, settings: dict[str, Any]) -> _Without:
    """Fit a model to some of its rows; it runs in the workers."""
    from speclet_formula.inference.fit import fit as fit_model  # here, since it brings PyMC along

    again = fit_model(with_rows(model, rows), **settings)
    verdict = again.verdict if isinstance(again, PointFit) else again.diagnostics.verdict
    _, estimates, covariance = _fixed(again)
    return _Without(estimates, np.sqrt(np.diagonal(covariance)), verdict)


def _settings(fit: Fit | PointFit, random_seed: int | None) -> dict[str, Any]:
    """Return the arguments that make such a fit again."""
    if isinstance(fit, PointFit):
        return {"method": fit.method, "nAGQ": nodes_of(fit)}
    seed = SEED if random_seed is None else random_seed
    return {"method": fit.method, **settings_of(fit, fit.method), "random_seed": seed, "cores": 1, "progress": False}


def _fixed(fit: Fit | PointFit) -> tuple[tuple[str, ...], Array, Array]:
    """Return the labels of the fixed effects, their estimates and their covariance."""
    labels = fit.model.design.mean.columns
    if isinstance(fit, PointFit):
        return labels, stated_coefficients(fit.estimates), fit.estimates.covariance
    drawn = draws_of(fit).coefficients(fit.model.design.mean)
    return labels, drawn.mean(axis=0), np.atleast_2d(np.cov(drawn, rowvar=False))
