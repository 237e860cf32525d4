"""The exact engine: the variances of a Gaussian model sampled, its coefficients drawn exactly.

`density` has the density of the variances, `proposals` samples it. Judging the draws is left to `diagnose`.
"""

import sys
import time
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design import centre_of
from speclet_formula.design.design import mean_name
from speclet_formula.errors import SamplingError
from speclet_formula.inference.algebra.layout import CoefficientLayout
from speclet_formula.inference.algebra.solutions import draw, solve
from speclet_formula.inference.datatree import dimensions, make_tree, sampled
from speclet_formula.inference.exact.density import (
    Marginal,
    Variances,
    correlation_factors,
    edges_of,
    length_scales,
    log_posterior,
    marginal_of,
    natural,
    nothing_left,
    prior_precisions,
    settled,
    sloped_log_posterior,
    theta_of,
    why_not_exact,
)
from speclet_formula.inference.exact.modes import SlopedDensity, climb, find_mode
from speclet_formula.inference.exact.proposals import draw_more, draw_proposals, metropolis
from speclet_formula.inference.plans import COSTLY, LONG, Progress, SamplingPlan, evaluations, time_in_words
from speclet_formula.model import Model
from speclet_formula.posterior.convergence import smooth_weights
from speclet_formula.posterior.diagnostics import MOST_CHECKED, mixed

ROUND = {"cheap": 1000, "costly": 400}  # proposals in each round of fitting
GOOD = 0.75  # efficiency that ends the fitting
FULL = 0.6  # effective proposals that each draw should rest on,
ENOUGH = {"cheap": 1500, "costly": 500}  # and all draws together
MOST_THINNED = {"cheap": 32, "costly": 8}  # proposals for each draw at the most
FEWEST_WEIGHTS = 30  # whose tail has a shape
# A residual SD of the mode below this share of what the fixed effects leave is looked at: is there a rest of the
# response, next to the same, and next to what its own digits round away?
NO_RESIDUAL, NO_REST, ROUNDED = 1e-5, 1e-8, 32 * np.finfo(float).eps
TOLD_AT_ONCE = 50  # evaluations between two looks at how much is done
DRAWING, POINT_EVALUATIONS = 1.2, 72  # in evaluations, as `costs` has them
SMALL = 4.0  # how far below an equal share the log of a small SD begins
MOVES = 4


@in_one_blas_thread
def sample_exact(model: Model, plan: SamplingPlan) -> xr.DataTree:
    """Draw from the posterior of a Gaussian model.

    Parameters
    ----------
    model : Model
        Gaussian with the identity link; Normal or flat priors of the coefficients.
    plan : SamplingPlan
        Numbers of draws and chains; `cores` threads are used.

    Returns
    -------
    xarray.DataTree
        As the nuts engine's: `posterior`, `sample_stats` (`lp`, the log posterior of the variances up to a constant,
        and `accepted`) and `observed_data`.

    Raises
    ------
    SamplingError
        If the model is not one that this engine serves.
    """
    reason = why_not_exact(model)
    if reason:
        raise SamplingError(
            f"the exact engine cannot serve this model: {reason}.",
            "It serves gaussian models with the identity link and Normal priors of the coefficients.",
            "Write method='nuts', or leave method= out for the engine that serves the model.",
        )
    rng = np.random.default_rng(plan.random_seed)
    marginal, starts = _begun(model, marginal_of(model, threads=plan.cores))
    progress = _forecast(marginal, starts[0], plan) if plan.progress else None
    theta, statistics = _sample_variances(marginal, starts, plan, rng, progress)
    sds, partial, _ = natural(marginal.variances, theta)
    numbers, _ = prior_precisions(marginal.variances, sds, partial)
    seeds = rng.integers(2**31, size=plan.chains)
    kept = _kept(model, marginal.system.layout, plan)
    s2 = sds[:, 0] ** 2
    centre = (marginal.centre + marginal.system.centre)[kept.columns]
    coefficients = draw(
        marginal.system,
        s2,
        numbers,
        seeds,
        columns=kept.columns,
        centre=centre,
        threads=plan.cores,
        told=None if progress is None else progress.add,
    )
    variables = _variables(model, marginal, plan, kept, coefficients, sds, partial)
    return make_tree(model, variables, statistics, "exact")


@dataclass(frozen=True, eq=False)
class _Kept:
    """Which coefficients the posterior holds: fixed effects, group means, and the effects of some blocks."""

    columns: np.ndarray  # their places among all coefficients
    starts: dict[int, int]  # by block, where its effects start among those that are kept


def _kept(model: Model, layout: CoefficientLayout, plan: SamplingPlan) -> _Kept:
    starts, columns = {}, [np.arange(layout.n_fixed + len(layout.means))]
    for number, block in enumerate(model.design.mean.groups):
        if plan.keep is None or block.group in plan.keep:
            starts[number] = sum(map(len, columns))
            first = layout.starts[number]
            columns.append(np.arange(first, first + layout.widths[number] * layout.levels[number]))
    return _Kept(np.concatenate(columns), starts)


def _sample_variances(
    marginal: Marginal, starts: np.ndarray, plan: SamplingPlan, rng: np.random.Generator, progress: Progress | None
) -> tuple[np.ndarray, xr.Dataset]:
    """Return draws of theta (chains x draws, d), chain by chain, and how they came about."""

    def density(theta: np.ndarray) -> np.ndarray:
        if progress is None:
            return log_posterior(marginal, theta)
        values = np.empty(len(theta))
        for start in range(0, len(theta), TOLD_AT_ONCE):
            part = slice(start, start + TOLD_AT_ONCE)
            values[part] = log_posterior(marginal, theta[part])
            progress.add(len(values[part]))
        return values

    judged = min(MOST_CHECKED, marginal.system.layout.size) if _is_costly(marginal) else 0
    wanted = plan.draws * plan.chains
    cost = "costly" if _is_costly(marginal) else "cheap"

    mixture, proposals = draw_proposals(
        density,
        starts,
        rng,
        draws=ROUND[cost],
        good=GOOD,
        wanted=wanted,
        edges=edges_of(marginal.variances),
        sloped=_sloped(marginal),
    )
    needed = max(FULL * wanted, ENOUGH[cost])
    thin = int(np.clip(np.ceil(needed / (proposals.efficiency * wanted)), 1, MOST_THINNED[cost] // 2))
    while True:
        missing = wanted * thin - len(proposals.points)
        if missing > 0:
            proposals = draw_more(density, mixture, proposals, rng, missing)
        path = metropolis(proposals, plan.chains, rng)[:, thin - 1 :: thin][:, : plan.draws]
        if thin >= MOST_THINNED[cost] or mixed(proposals.points[path], judged):
            break
        thin = min(2 * thin, MOST_THINNED[cost])
    moved = np.diff(path, axis=1, prepend=-1) != 0
    k = smooth_weights(proposals.log_weights[None])[1] if len(proposals.points) >= FEWEST_WEIGHTS else [np.nan]
    statistics = xr.Dataset(
        {"lp": (("chain", "draw"), proposals.log_target[path]), "accepted": (("chain", "draw"), moved)},
        coords=sampled(plan),
        attrs={
            "efficiency": proposals.efficiency,
            "proposals_per_draw": thin,
            "effective_proposals": proposals.efficiency * len(proposals.points),
            "pareto_k": float(k[0]),
        },
    )
    return proposals.points[path.ravel()], statistics


def _is_costly(marginal: Marginal) -> bool:
    return marginal.system.equations.work >= COSTLY


def _sloped(marginal: Marginal) -> SlopedDensity | None:
    """Return the density with its gradient, which takes two or three evaluations; differences take two a parameter."""
    return (lambda theta: sloped_log_posterior(marginal, theta)) if _is_costly(marginal) else None


def _forecast(marginal: Marginal, start: np.ndarray, plan: SamplingPlan) -> Progress | None:
    """Say on the error stream how long a fit of more than a minute will take, and what is quicker; None of others."""
    started = time.perf_counter()
    log_posterior(marginal, start[None])
    each, size = time.perf_counter() - started, marginal.variances.size
    draws = plan.draws * plan.chains
    searching, proposing = evaluations(marginal.system.equations.work, size, draws)
    seconds = each * (searching + (proposing + DRAWING * draws) / plan.cores)
    if not seconds > LONG:
        return None
    quick = time_in_words(each * POINT_EVALUATIONS * size)
    print(
        f"{draws:,} draws from this posterior take {time_in_words(seconds)}. Fewer draws (draws=, chains=) take "
        f"less in proportion, lme4's own estimate {quick} (method='reml'). progress=False hides these lines.",
        file=sys.stderr,
        flush=True,
    )
    return Progress(searching + proposing + draws)


def _begun(model: Model, marginal: Marginal) -> tuple[Marginal, np.ndarray]:
    """Return the density measured from near its mode, and where to look for all of its modes (N, d)."""
    starts = _starts(marginal.variances)
    heights = log_posterior(marginal, starts)
    if not np.isfinite(heights).any():
        raise SamplingError(
            "the density of the standard deviations is zero or infinite wherever it was looked at.",
            "Their priors overlap with what the response allows.",
            "Compare the priors' scales with the response's, and leave priors= out for the default ones.",
        )
    start = starts[0] if np.isfinite(heights[0]) else starts[np.argmax(heights)]
    for _ in range(MOVES):
        start = _mode(marginal, start)
        sds, correlations, _ = natural(marginal.variances, start[None])
        nearer = settled(marginal, sds[0], correlations[0])
        if nearer is marginal:
            break
        marginal = nearer
    unit, rounded = marginal.variances.units[0], ROUNDED * np.abs(model.design.response).max()
    if not marginal.variances.has_known_residual and sds[0, 0] < max(NO_RESIDUAL * unit, rounded):
        sds[:, 0] = NO_RESIDUAL * unit  # small enough to leave nothing to the residual, and large enough to solve
        numbers, _ = prior_precisions(marginal.variances, sds, correlations)
        rest = marginal.system.response - marginal.system.W @ solve(marginal.system, sds[:, 0] ** 2, numbers)[0]
        if np.abs(rest).max() < max(NO_REST * unit, rounded):
            raise nothing_left(model)
    return marginal, np.vstack([start] if _is_costly(marginal) else [start, starts[1:]])


def _mode(marginal: Marginal, start: np.ndarray) -> np.ndarray:
    sloped = _sloped(marginal)
    if sloped is not None:
        return find_mode(sloped, start)
    return np.asarray(climb(lambda theta: log_posterior(marginal, theta), start[None])[0])


def _starts(variances: Variances) -> np.ndarray:
    """Return where to look for modes (N, d), without correlations.

    First where all variances share the response's equally, then with each SD small in its turn, and with each but one.
    """
    parts = len(variances.sd_priors)
    even = np.log(variances.units) - 0.5 * np.log(parts)
    small = [even - SMALL * chosen for chosen in np.eye(parts)[1:]]
    several = parts > 2  # noqa: PLR2004 - beside the residual's
    large = [even - SMALL * (chosen == 0) for chosen in np.eye(parts)[1:]] if several else []
    logs = np.array([even, *small, *large])
    if large:
        logs[-len(large) :, 0] = even[0]
    for k, ends in variances.ends.items():
        low, high = np.log(np.quantile(ends, (0.05, 0.95)))
        logs[:, k] = np.clip(logs[:, k], low, high)
    return theta_of(variances, np.exp(logs), np.zeros((len(logs), len(variances.partials))))


def _variables(
    model: Model,
    marginal: Marginal,
    plan: SamplingPlan,
    kept: _Kept,
    coefficients: np.ndarray,
    sds: np.ndarray,
    partial: np.ndarray,
) -> dict[str, xr.DataArray]:
    """Name the draws: coefficients in the predictors' own place, SDs, group means and correlations."""
    shape = (plan.chains, plan.draws)
    coords = sampled(plan)
    dims = dimensions(model)
    layout = marginal.system.layout

    def named(name: str, values: np.ndarray) -> xr.DataArray:
        if name not in dims:
            return xr.DataArray(values.reshape(shape), coords, ("chain", "draw"))
        dim, labels = dims[name]
        return xr.DataArray(values.reshape(*shape, -1), coords | {dim: labels}, ("chain", "draw", dim))

    design = model.design
    if design.mean.fixed and design.mean.fixed[0].kind == "intercept":
        coefficients[:, 0] -= coefficients[:, 1 : layout.n_fixed] @ centre_of(design)[1:]
    variables = {
        term.variable: named(term.variable, coefficients[:, term.start : term.stop]) for term in design.mean.fixed
    }
    variables |= {name: named(name, sds[:, 0]) for name in model.family.parameters}  # sigma, where it is not known
    for number, block in enumerate(design.mean.groups):
        width = layout.widths[number]
        for column, slot in enumerate(block.slots):
            mean = _group_mean(layout, coefficients, number, column)
            if mean is not None:
                variables[mean_name(slot)] = named(mean_name(slot), mean)
            if number in kept.starts:
                start = kept.starts[number]
                effects = coefficients[:, start + column : start + width * len(block.levels) : width]
                if mean is not None:
                    effects += mean[:, None]
                variables[slot] = named(slot, effects)
            own = block.sds[column]
            variables[own] = named(own, sds[:, marginal.variances.columns[number][column]])
        variables |= _shape(model, marginal.variances, number, partial, coords)
    return variables


def _group_mean(layout: CoefficientLayout, coefficients: np.ndarray, block: int, column: int) -> np.ndarray | None:
    """Return the draws of the mean of a block's column, where it is estimated."""
    if (block, column) not in layout.means:
        return None
    return np.asarray(coefficients[:, layout.n_fixed + layout.means.index((block, column))])


def _shape(
    model: Model, variances: Variances, number: int, partial: np.ndarray, coords: dict[str, pd.Index]
) -> dict[str, xr.DataArray]:
    """Return what one block has beside SDs: its correlations by pair of columns, or its length-scale, or nothing."""
    block = model.design.mean.groups[number]
    shape = (len(coords["chain"]), len(coords["draw"]))
    if block.stretches:
        lengths = length_scales(variances, number, partial).reshape(shape)
        return {block.length_scale: xr.DataArray(lengths, coords, ("chain", "draw"))}
    if not block.correlated:
        return {}
    factors = correlation_factors(variances, number, partial)
    matrices = factors @ np.swapaxes(factors, 1, 2)
    pairs = list(combinations(range(len(block.columns)), 2))
    values = np.stack([matrices[:, i, j] for i, j in pairs], axis=-1)
    dim = block.pair_dim
    names = pd.Index([f"{block.columns[i]}, {block.columns[j]}" for i, j in pairs], dtype=object)
    array = xr.DataArray(values.reshape(*shape, len(pairs)), coords | {dim: names}, ("chain", "draw", dim))
    return {block.correlation: array}
