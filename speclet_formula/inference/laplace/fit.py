"""Maximum likelihood of any family by Laplace's approximation, as lme4's glmer, as a PointFit.

`criterion` has what is minimised and its gradient, `minimum` finds where it is least, and `estimates` says what that
means. The model's priors are not looked at.
"""

import time
from dataclasses import replace

from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design import centre_of
from speclet_formula.design.groups import centred_blocks
from speclet_formula.errors import SamplingError
from speclet_formula.families import families_with, is_linear, specification_of
from speclet_formula.inference.exact.density import why_not_free
from speclet_formula.inference.laplace.criterion import problem_of
from speclet_formula.inference.laplace.estimates import covariance_of, estimates_of, is_wide, judged
from speclet_formula.inference.laplace.quadrature import MOST_NODES
from speclet_formula.inference.laplace.search import Criterion, Search, first_hessian, start_of
from speclet_formula.inference.maximum_likelihood import independent_columns, point_fit, too_few_levels, with_dropped
from speclet_formula.inference.minimum import CONVERGED, Minimum, descend
from speclet_formula.inference.plans import SamplingPlan, at_least
from speclet_formula.model import Model, replace_parts
from speclet_formula.posterior import PointFit


def why_not_laplace(model: Model) -> str:
    """Say what keeps a model from Laplace's approximation, or "" if it serves.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> from speclet_formula.inference.laplace.fit import why_not_laplace
    >>> data, truth = sf.datasets.m7()
    >>> why_not_laplace(sf.Model("log_fc ~ (1 | gene)", data))
    "a gaussian response with the identity link needs no approximation: method='ml' has its exact likelihood"
    """
    return next(filter(None, (_why_not_response(model), _why_not_terms(model))), "")


def _why_not_response(model: Model) -> str:
    """Say what the family, or what is known of the response, lacks."""
    family = model.family
    if is_linear(family) and not model.design.varying and model.design.limits is None:
        return "a gaussian response with the identity link needs no approximation: method='ml' has its exact likelihood"
    if family.link not in specification_of(family).curves:
        known = families_with("curves")
        return f"it lacks the derivatives of the family {family.name} with the {family.link} link (it has {known})"
    if model.design.varying:
        return f"it has no formulas of other parameters than the mean, here of {', '.join(model.design.varying)}"
    if model.design.limits is not None:
        return "it lacks the derivatives of censored and truncated responses"
    return why_not_free(model.design)


def _why_not_terms(model: Model) -> str:
    """Say which group term the data say nothing of."""
    if not model.design.mean.X.shape[1] and not model.design.mean.groups and not model.design.thresholds:
        return "the model has no coefficients"
    n = len(model.design.response)
    for block in model.design.mean.groups:
        levels = len(block.levels)
        if few := too_few_levels(block):
            return few
        single = specification_of(model.family).support == "binary" and block.relation is None
        if single and levels >= n:
            return (
                f"'{block.label}' has {levels:,} levels for {n:,} rows, and single trials say nothing of its variance"
            )
    return ""


@in_one_blas_thread
def fit_laplace(model: Model, nodes: int = 1) -> PointFit:
    """Fit a generalized linear mixed model by maximum likelihood, the group effects integrated by Laplace's method.

    The integral over the group effects is that of the normal density which touches the integrand at its mode. It errs
    most where a level has little data: single trials of 0 and 1, few rows to a level, large variances. The curvature at
    the mode is the observed information, as in glmmTMB; lme4 takes the expected one, which is the same for the usual
    links of bernoulli, binomial and poisson, and differs a little elsewhere. Priors, group means included, are left
    out by design.

    Parameters
    ----------
    model : Model
        Any family and link with `curves` in its specification, any number of group terms (none is a generalized linear
        model), offsets and weights.
    nodes : int
        lme4's `nAGQ`: with more than one, each level's integral is a sum over so many nodes of Gauss and Hermite. Only
        for a single group term of one column.

    Returns
    -------
    PointFit
        Standard errors are from the Hessian of all parameters together, as lme4's `vcov(use.hessian = TRUE)`.

    Raises
    ------
    SamplingError
        The family has no row in the table, or the data cannot tell the parameters apart: a grouping factor of one
        level, single trials with a level for each row.

    Notes
    -----
    Fixed columns that earlier ones make up are dropped, as in lme4; their coefficients are NaN in `fixef`.

    References
    ----------
    Bates, Mächler, Bolker and Walker (2015), doi:10.18637/jss.v067.i01. Kristensen, Nielsen, Berg, Skaug and Bell
    (2016). TMB: automatic differentiation and Laplace approximation. doi:10.18637/jss.v070.i05.

    Examples
    --------
    >>> import pandas as pd
    >>> import speclet_formula as sf
    >>> table = pd.DataFrame({"y": [0, 1, 3, 2, 9, 7, 8, 6], "g": list("aabbccdd")})
    >>> fit = sf.glmer("y ~ 1 + (1 | g)", table, family="poisson", method="laplace")
    >>> fit.verdict
    'converged'
    """
    reason = why_not_laplace(model)
    if reason:
        raise SamplingError(
            f"Laplace's approximation cannot serve this model: {reason}.",
            "It serves generalized linear mixed models whose variances the data can tell apart.",
            "Leave method= out for the engine that serves the model.",
        )
    _check_nodes(model, nodes)
    started = time.perf_counter()
    design, kept = independent_columns(model.design)
    centred, backs = centred_blocks(design)
    problem = problem_of(centred, model.family, centre_of(design), backs)
    search, x, mode, information = start_of(model, problem)
    criterion = Criterion(search, mode, nodes)
    guess = first_hessian(criterion, problem, x, information)
    found = descend(criterion, criterion.value, x, guess, search.sizes, search.units)
    lost = None
    if specification_of(model.family).limit and (not found.converged or is_wide(found)):
        there = _at_the_limit(search, criterion, found)
        lost = (there.value - found.value) / 2 if there.converged else None
        found = there if there.converged and there.value <= found.value + CONVERGED else found
    searched = model if design is model.design else replace_parts(model, design=design)
    fit = _point_fit(searched, search, criterion, found, lost, started)
    return replace(fit, model=model, estimates=with_dropped(fit.estimates, model.design, kept))


def fit_by_laplace(model: Model, plan: SamplingPlan) -> PointFit:
    """Fit by Laplace's approximation, on one core."""
    return fit_laplace(model, plan.nodes)


def _check_nodes(model: Model, nodes: int) -> None:
    """Refuse quadrature where levels do not stand apart, or have several effects each."""
    at_least("nAGQ", nodes, 1, MOST_NODES)
    groups = model.design.mean.groups
    alone = len(groups) == 1 and len(groups[0].columns) == 1 and groups[0].shares is None
    if nodes == 1 or (alone and groups[0].relation is None):
        return
    related = next((block for block in groups if block.relation is not None), None)
    if related is not None:
        raise SamplingError(
            f"nAGQ={nodes} does not serve this model: the levels of '{related.label}' vary together.",
            "Quadrature goes level by level, and is for levels that are independent of each other.",
            "Leave nAGQ= out for Laplace's approximation, or use method='hmc', which needs none.",
        )
    terms = ", ".join(f"{len(block.columns)} by {block.label}" for block in groups) or "none"
    raise SamplingError(
        f"nAGQ={nodes} does not serve this model, whose levels have these group effects: {terms}.",
        "Quadrature is for a single group term of one column, such as (1 | g), as in lme4.",
        "Leave nAGQ= out for Laplace's approximation, or use method='hmc', which needs none.",
    )


def _at_the_limit(search: Search, criterion: Criterion, found: Minimum) -> Minimum:
    """Look at the edge, such as Poisson's counts: on the way there everything is so flat that a search gets lost."""
    x = found.point.copy()
    x[-1] = search.largest[-1]
    return descend(criterion, criterion.value, x, found.hessian, search.sizes, search.units)


def _point_fit(
    model: Model, search: Search, criterion: Criterion, found: Minimum, lost_at_limit: float | None, started: float
) -> PointFit:
    """Put the estimates together."""
    problem, point, mode = search.problem, search.point(found.point), criterion.mode(found.point)
    if mode is None:
        raise SamplingError(
            "the likeliest group effects were found on the way, but not again at the end.",
            "Laplace's approximation needs a single likeliest value of the group effects.",
            "Use method='hmc', which needs none.",
        )
    covariance, lost = covariance_of(found)
    likelihood = "The likelihood by Laplace's approximation" if criterion.nodes == 1 else "The likelihood by quadrature"
    judgement = judged(model, problem, point, found, covariance, lost, lost_at_limit, likelihood=likelihood)
    estimates = replace(estimates_of(model, problem, point, mode, found, covariance), nodes=criterion.nodes)
    return point_fit(
        model,
        "laplace",
        estimates,
        found.value,
        len(found.point),
        judgement,
        evaluations=criterion.evaluations,
        started=started,
    )
