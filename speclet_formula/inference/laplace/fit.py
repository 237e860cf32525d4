"""Maximum likelihood of any family by Laplace's approximation, as lme4's glmer, as a PointFit.

`criterion` has what is minimised and its gradient, `minimum` finds where it is least, and `estimates` says what that
means. The model's priors are not looked at.
"""

import time
from dataclasses import dataclass, replace

import numpy as np

from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design import centre_of
from speclet_formula.design.groups import centred_blocks
from speclet_formula.errors import SamplingError
from speclet_formula.families import families_with, is_linear, specification_of
from speclet_formula.families.links import FORWARD_LINKS, MEANS
from speclet_formula.families.specification import Parameter
from speclet_formula.inference.laplace.criterion import (
    Mode,
    Point,
    Problem,
    find_mode,
    gradient,
    joint_mode,
    numbers_of,
    problem_of,
    searched_of,
    sensitivities,
)
from speclet_formula.inference.laplace.estimates import covariance_of, estimates_of, is_wide, judged
from speclet_formula.inference.laplace.quadrature import MOST_NODES, quadrature, quadrature_gradient
from speclet_formula.inference.maximum_likelihood import independent_columns, point_fit, too_few_levels, with_dropped
from speclet_formula.inference.minimum import CONVERGED, Minimum, bent, descend
from speclet_formula.inference.plans import SamplingPlan, at_least
from speclet_formula.model import Model, replace_parts
from speclet_formula.posterior import PointFit

STARTS = (0.1, 0.3, 1.0, 3.0)  # of all SDs at a time, in units of the linear predictor's spread
SHIFTS = np.log([0.1, 10.0])  # of logarithms and logits of other parameters from their first guess
INFINITE = 1e10  # times the largest response
LARGEST_LOGIT = 30.0


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
    family = model.family
    if is_linear(family):
        return "a gaussian response with the identity link needs no approximation: method='ml' has its exact likelihood"
    if family.link not in specification_of(family).curves:
        known = families_with("curves")
        return f"it lacks the derivatives of the family {family.name} with the {family.link} link (it has {known})"
    if not model.design.mean.X.shape[1] and not model.design.mean.groups:
        return "the model has no coefficients"
    n = len(model.design.response)
    for block in model.design.mean.groups:
        levels = len(block.levels)
        if few := too_few_levels(block):
            return few
        if specification_of(family).support == "binary" and levels >= n:
            return (
                f"'{block.label}' has {levels:,} levels for {n:,} rows, and single trials say nothing of its variance"
            )
    return ""


@dataclass(frozen=True, eq=False)
class _Search:
    """How the numbers that are searched make a point: theta, beta, and those of the other parameters."""

    problem: Problem
    sizes: np.ndarray  # (d,) bool
    units: np.ndarray  # (d,)
    largest: np.ndarray  # (e,) at which another parameter counts as infinite, or a share as all

    def point(self, x: np.ndarray) -> Point:
        """Return the parameters at x."""
        m, p = len(self.problem.thetas), self.problem.X.shape[1]
        others = numbers_of(self.problem, np.clip(x[m + p :], -self.largest, self.largest))
        return Point(x[:m], x[m : m + p], others)

    def slope(self, x: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Return the gradient at x: nothing changes with a parameter that counts as infinite."""
        m, p = len(self.problem.thetas), self.problem.X.shape[1]
        inside = np.ones(len(x), dtype=bool)
        inside[m + p :] = np.abs(x[m + p :]) < self.largest
        return np.where(inside, slope, 0.0)


class _Criterion:
    """The criterion as a function of plain numbers: Laplace's, or with more nodes than one that of quadrature.

    It counts, and starts each climb at the last mode.
    """

    def __init__(self, search: _Search, mode: Mode, nodes: int) -> None:
        self._search = search
        self._u = mode.u
        self.nodes = nodes
        self.evaluations = 0

    def mode(self, x: np.ndarray) -> Mode | None:
        """Return the mode at x."""
        self.evaluations += 1
        return find_mode(self._search.problem, self._search.point(x), self._u)

    def value(self, x: np.ndarray) -> float:
        """Return the criterion at x; infinite where there is no mode."""
        return self._value(x, self.mode(x))

    def _value(self, x: np.ndarray, mode: Mode | None) -> float:
        if mode is None or self.nodes == 1:
            return np.inf if mode is None else mode.criterion
        return quadrature(self._search.problem, self._search.point(x), mode, self.nodes)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the criterion and its gradient."""
        mode = self.mode(x)
        value = self._value(x, mode)
        if mode is None or not np.isfinite(value):
            return np.inf, np.zeros_like(x)
        self._u = mode.u
        problem, point = self._search.problem, self._search.point(x)
        if self.nodes == 1:
            return value, self._search.slope(x, gradient(problem, point, mode))
        return value, self._search.slope(x, quadrature_gradient(problem, point, mode, self.nodes))


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
    search, x, mode, information = _start(model, problem)
    criterion = _Criterion(search, mode, nodes)
    guess = _first_hessian(criterion, problem, x, information)
    found = descend(criterion, criterion.value, x, guess, search.sizes, search.units)
    lost = None
    if specification_of(model.family).limit and (not found.converged or is_wide(found)):
        there = _at_the_limit(search, criterion, found)
        lost = (there.value - found.value) / 2 if there.converged else None
        found = there if there.converged and there.value <= found.value + CONVERGED else found
    fit = _point_fit(replace_parts(model, design=design), search, criterion, found, lost, started)
    return replace(fit, model=model, estimates=with_dropped(fit.estimates, model.design, kept))


def fit_by_laplace(model: Model, plan: SamplingPlan) -> PointFit:
    """Fit by Laplace's approximation, on one core."""
    return fit_laplace(model, plan.nodes)


def _check_nodes(model: Model, nodes: int) -> None:
    """Refuse quadrature where levels do not stand apart, or have several effects each."""
    at_least("nAGQ", nodes, 1, MOST_NODES)
    groups = model.design.mean.groups
    if nodes == 1 or (len(groups) == 1 and len(groups[0].columns) == 1):
        return
    terms = ", ".join(f"{len(block.columns)} by {block.label}" for block in groups) or "none"
    raise SamplingError(
        f"nAGQ={nodes} does not serve this model, whose levels have these group effects: {terms}.",
        "Quadrature is for a single group term of one column, such as (1 | g), as in lme4.",
        "Leave nAGQ= out for Laplace's approximation, or use method='nuts', which needs none.",
    )


def _at_the_limit(search: _Search, criterion: _Criterion, found: Minimum) -> Minimum:
    """Look at the edge, such as Poisson's counts: on the way there everything is so flat that a search gets lost."""
    x = found.point.copy()
    x[-1] = search.largest[-1]
    return descend(criterion, criterion.value, x, found.hessian, search.sizes, search.units)


# --- where to start ---------------------------------------------------------------------------------------------------


def _start(model: Model, problem: Problem) -> tuple[_Search, np.ndarray, Mode, np.ndarray]:
    """Find a good start: fixed and group effects at their joint mode, for the best of a few SDs and parameters."""
    y, link = _measured(model, problem), model.family.link
    level = 0.0 if model.design.thresholds else float(FORWARD_LINKS[link](_typical(model, y)))
    slope = 1.0 if model.design.thresholds else float(np.broadcast_to(MEANS[link](np.array([level])).first, 1)[0])
    spread = float(np.std(y) / abs(slope)) or 1.0
    sizes = np.array([row == column for _, row, column in problem.thetas], dtype=bool)
    beta = np.linalg.lstsq(problem.X, level - problem.offset, rcond=None)[0]
    others = _guesses(model, problem, y)
    tries = [Point(scale * spread * sizes, beta, others) for scale in (STARTS if len(sizes) else (1.0,))]
    best = _best(problem, tries)
    for place in np.flatnonzero([known is not None for known in problem.parameter_links]):
        shifts = np.outer(SHIFTS, np.eye(len(others))[place])
        searched = searched_of(problem, best[0].others) + shifts
        moved = [Point(best[0].theta, best[0].beta, numbers_of(problem, numbers)) for numbers in searched]
        best = _best(problem, moved, best)
    point, mode = best
    information, _ = sensitivities(problem, mode)
    units = np.concatenate([np.full(len(sizes), spread), np.full(len(beta), 2 * spread), np.full(len(others), 2.0)])
    flags = np.concatenate([sizes, np.zeros(len(beta) + len(others), dtype=bool)])
    x = np.concatenate([point.theta, point.beta, searched_of(problem, point.others)])
    return _Search(problem, flags, units, _largest(problem, y)), x, mode, information


def _measured(model: Model, problem: Problem) -> np.ndarray:
    """Return the responses on the scale of their mean: shares of trials, logarithms; without those that say nothing."""
    known, (y, trials, _) = specification_of(model.family), problem.observed
    if trials is not None:
        return np.asarray(y[trials > 0] / trials[trials > 0])
    above = y[y > 0] if known.zeros == "hurdle" and (y > 0).any() else y
    return np.log(above) if known.logarithm_of else np.asarray(above)


def _typical(model: Model, y: np.ndarray) -> float:
    """Return a mean inside the family's range."""
    if "logit" in specification_of(model.family).links:
        return float((y.sum() + 0.5) / (len(y) + 1))
    mean = float(np.mean(y))
    return mean if mean > 0 or model.family.link == "identity" else max(mean, 0.1 * float(np.std(y)), 0.1)


def _guesses(model: Model, problem: Problem, y: np.ndarray) -> np.ndarray:
    """Return first guesses of the family's other numbers."""
    if model.design.thresholds:
        counts = np.bincount(np.asarray(y, dtype=int), minlength=len(model.design.levels))
        shares = (np.cumsum(counts)[:-1] + 0.5) / (counts.sum() + 1)
        if not specification_of(model.family).increasing:  # each of those at or above its level
            shares = (counts[:-1] + 0.5) / (np.cumsum(counts[::-1])[::-1][:-1] + 1)
        return np.asarray(FORWARD_LINKS[model.family.link](shares), dtype=float)
    known = specification_of(model.family).own_parameters
    return np.array([_guess(model, problem, parameter, y) for parameter in known])


def _guess(model: Model, problem: Problem, parameter: Parameter, y: np.ndarray) -> float:
    """Return a first guess of a family's parameter."""
    if parameter.is_share:  # of a hurdle it is the estimate, else it lies above
        share = float(np.mean(problem.observed.response > 0))
        return min(max(share if specification_of(model.family).zeros == "hurdle" else (1 + share) / 2, 0.01), 0.99)
    return parameter.guess or float(np.std(y)) or 1.0


def _largest(problem: Problem, y: np.ndarray) -> np.ndarray:
    """Return where the family's other numbers, as they are searched for, count as infinite."""
    height = float(np.max(np.abs(y))) or 1.0
    ends = {"log": float(np.log(INFINITE * max(1.0, height, 1 / height))), "logit": LARGEST_LOGIT, None: np.inf}
    return np.array([ends[link] for link in problem.parameter_links])


def _best(problem: Problem, tries: list[Point], found: tuple[Point, Mode] | None = None) -> tuple[Point, Mode]:
    """Return the best of several starts with its joint mode."""
    for point in tries:
        there = joint_mode(problem, point)
        if there is not None and (found is None or there[1].criterion < found[1].criterion):
            found = there
    if found is None:
        raise SamplingError(
            "no parameters were found at which every row is possible.",
            "The link must be able to reach the observed means: 'identity' and 'inverse' also reach impossible ones.",
            "Choose the family's usual link, or add an intercept, or use method='nuts'.",
        )
    return found


def _first_hessian(criterion: _Criterion, problem: Problem, x: np.ndarray, information: np.ndarray) -> np.ndarray:
    """Return a guess of the Hessian: the fixed effects' from the joint mode, the others' by differences."""
    m, p = len(problem.thetas), problem.X.shape[1]
    guess = np.eye(len(x))
    guess[m : m + p, m : m + p] = 2 * information
    wanted = np.ones(len(x), dtype=bool)
    wanted[m : m + p] = False
    return bent(criterion, x, guess, wanted)


def _point_fit(
    model: Model, search: _Search, criterion: _Criterion, found: Minimum, lost_at_limit: float | None, started: float
) -> PointFit:
    """Put the estimates together."""
    problem, point, mode = search.problem, search.point(found.point), criterion.mode(found.point)
    if mode is None:
        raise SamplingError(
            "the likeliest group effects were found on the way, but not again at the end.",
            "Laplace's approximation needs a single likeliest value of the group effects.",
            "Use method='nuts', which needs none.",
        )
    covariance, lost = covariance_of(found)
    likelihood = "The likelihood by Laplace's approximation" if criterion.nodes == 1 else "The likelihood by quadrature"
    judgement = judged(model, problem, point, found, covariance, lost, lost_at_limit, likelihood=likelihood)
    estimates = replace(estimates_of(model, problem, point, mode, covariance), nodes=criterion.nodes)
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
