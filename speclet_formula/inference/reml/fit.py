"""REML and maximum likelihood of a Gaussian Model, as lme4 makes them, as a PointFit. Its priors are not looked at.

`criterion` has what is minimised, `minimum` finds where it is least.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from speclet_formula.common.recent import Recent
from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design import Design, Predictor, centre_of
from speclet_formula.design.groups import centred_blocks
from speclet_formula.design.merged import row_count
from speclet_formula.errors import SamplingError
from speclet_formula.families import has_known_errors, is_linear
from speclet_formula.inference.exact.density import nothing_left, why_not_plain
from speclet_formula.inference.maximum_likelihood import (
    SINGULAR,
    independent_columns,
    point_fit,
    singularities,
    too_few_levels,
    verdict_of,
    with_dropped,
)
from speclet_formula.inference.minimum import Minimum, minimise, minimise_sloped
from speclet_formula.inference.plans import SamplingPlan
from speclet_formula.inference.relative import moved_theta, relative_covariances, theta_at, theta_slopes
from speclet_formula.inference.reml.criterion import (
    Profiled,
    deviances,
    deviances_at,
    is_costly,
    profile_of,
    residual_variance,
    sloped_deviance,
    solve,
)
from speclet_formula.model import Model
from speclet_formula.posterior import PointFit
from speclet_formula.posterior.estimates import PointEstimates

NOTHING_TO_ESTIMATE = "there is no variance to estimate: method='laplace' has the weighted least squares"
NO_RESIDUAL = 1e-10  # share of the response's variance below which a residual is rounding
ROUNDED = 32 * np.finfo(float).eps  # share of the response's size, likewise
MOVED = 1e-5  # relative change of a variance, of a step along which the likelihood does not change
FLAT_REMEDY = (
    "Any value is as likely as this one: another term says the same as this group term, perhaps a fixed factor "
    "with the same levels. Leave one of them out, or {instead}, where priors tell them apart."
)

Method = Literal["reml", "ml"]

_recent = Recent[tuple[Predictor | None, tuple[np.ndarray | None, ...]]](1)


def why_not_reml(model: Model) -> str:
    """Say what keeps a model from maximum likelihood, or "" if it serves.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> from speclet_formula.inference.reml.fit import why_not_reml
    >>> data, truth = sf.datasets.m7()
    >>> why_not_reml(sf.Model("log_fc ~ (1 | sgRNA:cell_line)", data))
    "'sgRNA:cell_line' has 1,100 levels for 1,100 rows, which the residual cannot be told apart from"
    """
    if has_known_errors(model.family):
        few = filter(None, map(too_few_levels, model.design.mean.groups))
        return why_not_plain(model) or next(few, "") or ("" if model.design.mean.groups else NOTHING_TO_ESTIMATE)
    if not is_linear(model.family):
        return f"the family is {model.family.name} with the {model.family.link} link, not gaussian with identity"
    if not model.design.mean.X.shape[1] and not model.design.mean.groups:
        return why_not_plain(model) or "the model has no coefficients"
    return why_not_plain(model) or _why_not_told_apart(model)


def _why_not_told_apart(model: Model) -> str:
    """Say which grouping factor cannot be told from the residual."""
    n = row_count(model.design)
    for block in model.design.mean.groups:
        levels, effects = len(block.levels), len(block.levels) * block.joint
        if few := too_few_levels(block):
            return few
        if block.relation is not None:  # its effects are alike, a residual's are not; if not, the likelihood is flat
            continue
        if levels >= n:
            return f"'{block.label}' has {levels:,} levels for {n:,} rows, which the residual cannot be told apart from"
        if effects >= n:
            return (
                f"'{block.label}' has {effects:,} effects ({levels:,} levels x {block.joint}) for {n:,} rows, which "
                "the residual cannot be told apart from"
            )
    return ""


@in_one_blas_thread
def fit_point(model: Model, *, method: Method = "reml", cores: int | None = None) -> PointFit:
    """Fit a linear mixed model by REML or maximum likelihood.

    The priors of the model, group means included, are left out by design: the answer is lme4's for the same formula and
    data. Estimates are of the variances' maximum, found to a thousandth of a standard error; a variance of zero is
    found as exactly zero and reported in words.

    Parameters
    ----------
    model : Model
        Gaussian with the identity link, any number of group terms, offsets and weights (sigma^2 / weight).
    method : {"reml", "ml"}
        Which likelihood is maximised: with the fixed effects integrated out, or at their best.
    cores : int, optional
        Processor cores to use; all of them by default.

    Raises
    ------
    SamplingError
        The model is not Gaussian, or the data cannot tell its parameters apart: more fixed columns than rows, a
        grouping factor with one level or with as many levels as there are rows, no residual.

    Notes
    -----
    Fixed columns that earlier ones make up are dropped, as in lme4; their coefficients are NaN in `fixef`.

    References
    ----------
    Bates, Mächler, Bolker and Walker (2015). Fitting linear mixed-effects models using lme4. Journal of Statistical
    Software 67(1). doi:10.18637/jss.v067.i01.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> from speclet_formula.inference.reml.fit import fit_point
    >>> data, truth = sf.datasets.m7()
    >>> fit = fit_point(sf.Model("log_fc ~ (1 | gene) + (1 | cell_line)", data))
    >>> round(fit.log_likelihood, 3)
    -467.303
    """
    reason = why_not_reml(model)
    if reason:
        raise SamplingError(
            f"maximum likelihood cannot serve this model: {reason}.",
            "It serves gaussian models with the identity link whose variances the data can tell apart.",
            "Leave method= out for the engine that serves the model.",
        )
    started = time.perf_counter()
    design, kept = independent_columns(model.design)
    design, known = _in_typical_errors(design, has_known_errors(model.family))
    threads = cores or os.cpu_count() or 1
    centred, moves = centred_columns(design)
    searched = profile_of(centred, reml=method == "reml", threads=threads)
    found = _search(searched, known)
    theta = theta_at(searched.relative, found.point[None])[0]
    if known is None:
        _check_residual(model, searched, found, theta)
    criterion, estimates = searched, _estimates(centred, searched, theta, known)
    # At the means, since far from them any correlation is all but perfect.
    blocks, means = model.design.mean.groups, theta
    if centred is not design:
        criterion = profile_of(design, reml=method == "reml", threads=threads)
        theta = moved_theta(searched.relative, criterion.relative, theta, moves)
        estimates = _moved(estimates, _estimates(design, criterion, theta, known), moves)
    n_parameters = len(kept) + sum(block.parameters for block in blocks) + (known is None)
    singular = " ".join(singularities(blocks, _standard_covariances(searched, means)))
    singular = " ".join(singularities(blocks, _standard_covariances(criterion, theta))) or singular if singular else ""
    verdict = verdict_of(
        found,
        " ".join(_unknown(model, searched, found)),
        singular,
        method=method,
        flat_remedy=FLAT_REMEDY,
        unknown="how large the SD may be",
        likelihood="The likelihood",
    )
    return point_fit(
        model,
        method,
        with_dropped(estimates, model.design, kept),
        found.value,
        n_parameters,
        (bool(singular), *verdict),
        evaluations=found.evaluations,
        started=started,
    )


def centred_columns(design: Design) -> tuple[Design, tuple[np.ndarray | None, ...]]:
    """Centre a design's blocks: the same predictor for all responses of one."""

    def make() -> tuple[Predictor | None, tuple[np.ndarray | None, ...]]:
        centred, moves = centred_blocks(design)
        return None if centred is design else centred.mean, moves

    mean, moves = _recent.of((design.mean,), make)
    return design if mean is None else replace(design, predictors=(mean, *design.predictors[1:])), moves


def _in_typical_errors(design: Design, known: bool) -> tuple[Design, float | None]:
    """Return the design with standard errors in units of a typical one, and that; of other responses as it is."""
    if not known or design.weights is None:
        return design, None
    typical = float(np.exp(-np.log(design.weights).mean() / 2))
    return replace(design, weights=design.weights * typical**2), typical


def _search(criterion: Profiled, known: float | None = None) -> Minimum:
    """Find psi, by the exact gradient where an evaluation is costly; sigma is at its best unless it is known."""
    relative = criterion.relative

    def values(psi: np.ndarray) -> np.ndarray:
        theta = theta_at(relative, psi)
        return deviances(criterion, theta) if known is None else deviances_at(criterion, theta, known)

    def sloped(psi: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = sloped_deviance(criterion, theta_at(relative, psi[None])[0])
        return value, slope if relative.is_free else slope @ theta_slopes(relative, psi)

    if not is_costly(criterion) or known is not None:
        return minimise(values, relative.sizes)
    return minimise_sloped(values, sloped, relative.sizes, 2.0 * np.repeat(relative.levels, relative.counts))


def fit_reml(model: Model, plan: SamplingPlan) -> PointFit:
    """Fit by REML."""
    return fit_point(model, method="reml", cores=plan.cores)


def fit_ml(model: Model, plan: SamplingPlan) -> PointFit:
    """Fit by maximum likelihood."""
    return fit_point(model, method="ml", cores=plan.cores)


def _check_residual(model: Model, criterion: Profiled, found: Minimum, theta: np.ndarray) -> None:
    """Refuse a response that the terms reproduce without a rest."""
    scale = criterion.square / criterion.freedom
    variance = residual_variance(criterion, theta) if np.isfinite(found.value) else 0.0
    rounded = (ROUNDED * np.abs(model.design.response).max()) ** 2
    if model.design.weights is not None:
        rounded *= model.design.weights.min()
    if not variance > max(NO_RESIDUAL * scale, rounded):
        raise nothing_left(model)


def _estimates(design: Design, criterion: Profiled, theta: np.ndarray, known: float | None) -> PointEstimates:
    """Solve for the coefficients, and carry them from the centred columns to the formula's."""
    p, s2 = design.mean.X.shape[1], residual_variance(criterion, theta) if known is None else known**2
    solution = solve(criterion, theta)
    carried = np.eye(p)
    if p:
        carried[0] -= centre_of(design)
    fixed = solution.fixed_columns @ carried.T  # next to sigma^2: covariances with each fixed effect
    covariance = carried @ fixed[:p]
    conditional = solution.conditional
    labels = design.mean.columns
    covariances = tuple(s2 * matrix for matrix in relative_covariances(criterion.relative, theta))
    modes, mode_sds, sum_sds = [], [], []
    for block, matrix, start in zip(design.mean.groups, covariances, criterion.relative.starts, strict=True):
        stop, shape = start + len(block.levels) * len(block.columns), (len(block.levels), len(block.columns))
        shared = fixed[start:stop]
        spread = np.einsum("ij,ij->i", shared, np.linalg.solve(covariance, shared.T).T) if p else 0.0
        total = (conditional[start - p : stop - p] + spread).reshape(shape)
        for k, label in enumerate(block.terms):
            if label in labels:
                place = labels.index(label)
                total[:, k] += 2 * shared[k :: shape[1], place] + covariance[place, place]
        moving = np.diagonal(matrix) > 0
        modes.append(solution.coefficients[start:stop].reshape(shape) * moving)
        mode_sds.append(np.sqrt(s2 * conditional[start - p : stop - p]).reshape(shape) * moving)
        sum_sds.append(np.sqrt(s2 * np.maximum(total, 0.0)))
    return PointEstimates(
        criterion="REML" if criterion.reml else "ML",
        coefficients=carried @ solution.coefficients[:p],
        covariance=s2 * covariance,
        sigma=float(np.sqrt(s2)) if known is None else None,
        covariances=covariances,
        modes=tuple(modes),
        mode_sds=tuple(mode_sds),
        sum_sds=tuple(sum_sds),
    )


def _moved(centred: PointEstimates, given: PointEstimates, moves: tuple[np.ndarray | None, ...]) -> PointEstimates:
    """Take what is the same for centred columns from there, where little is lost to rounding, and move the effects."""
    backs = [
        np.eye(len(matrix)) if back is None else back for matrix, back in zip(given.covariances, moves, strict=True)
    ]
    pairs = list(zip(backs, centred.covariances, centred.modes, strict=True))
    return replace(
        given,
        coefficients=centred.coefficients,
        covariance=centred.covariance,
        sigma=centred.sigma,
        covariances=tuple(back @ matrix @ back.T for back, matrix, _ in pairs),
        modes=tuple(modes @ back.T for back, _, modes in pairs),
    )


def _unknown(model: Model, criterion: Profiled, found: Minimum) -> Iterator[str]:
    """Name the SDs that may be changed without changing the likelihood, by themselves or with others."""

    def covariances(psi: np.ndarray) -> tuple[np.ndarray, ...]:
        return relative_covariances(criterion.relative, theta_at(criterion.relative, psi[None])[0])

    changes = [
        [
            ahead - behind
            for ahead, behind in zip(covariances(found.point + step), covariances(found.point - step), strict=True)
        ]
        for step in found.flat
    ]
    now = covariances(found.point)
    for place, block in enumerate(model.design.mean.groups):
        # Where an SD is zero, other entries of theta turn without a change of what they stand for.
        moved = np.array([np.abs(np.diagonal(change[place])) for change in changes]).reshape(-1, len(block.columns))
        if block.stretches:  # of a curve without variance no length-scale is known, and that is said
            size, own = moved.max(axis=0, initial=0.0), np.diagonal(now[place])
            if own.max() * np.square(block.values).mean() > SINGULAR**2 and (size > MOVED * own).any():
                yield f"The likelihood is flat in the SD and the length-scale of {block.label}."
            continue
        for name, size, own in zip(block.terms, moved.max(axis=0, initial=0.0), np.diagonal(now[place]), strict=True):
            if size > MOVED * own:
                yield f"The likelihood is flat in the SD of '{name}' by {block.label}."


def _standard_covariances(criterion: Profiled, theta: np.ndarray) -> Iterator[np.ndarray]:
    """Return each block's covariance over sigma^2, as if its columns had a mean square of one."""
    matrices = relative_covariances(criterion.relative, theta)
    return (matrix * np.outer(scale, scale) for matrix, scale in zip(matrices, criterion.relative.scales, strict=True))
