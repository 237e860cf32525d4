"""A Gaussian Model goes in, draws from its posterior come out: variances sampled, coefficients drawn exactly.

`marginal` has the density of the variances, `adaptive` samples it. Judging the draws is left to `diagnostics`.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import xarray as xr

from speclet_formula.design import centre_of
from speclet_formula.design.records import correlation_name, pair_dim
from speclet_formula.errors import SamplingError
from speclet_formula.inference.exact.adaptive import draw_more, draw_proposals, metropolis
from speclet_formula.inference.exact.marginal import Marginal, log_posterior, marginal_of, why_not_exact
from speclet_formula.inference.exact.variances import Variances, correlation_factors, natural, prior_precisions
from speclet_formula.inference.plans import SamplingPlan
from speclet_formula.inference.precision import Layout, draw
from speclet_formula.inference.trees import dimensions, make_tree, sampled
from speclet_formula.model import Model
from speclet_formula.threads import in_one_blas_thread

COSTLY = 20_000  # coefficients from which on an evaluation, some milliseconds then, is saved where it can be
ROUND = {"cheap": 1000, "costly": 400}  # proposals in each round of fitting
GOOD = 0.75  # efficiency that ends the fitting
FULL = 0.6  # effective proposals that each draw should rest on,
ENOUGH = 1500  # and all draws together
MOST_THINNED = 5  # proposals for each draw at the most


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
    if reason is not None:
        raise SamplingError(
            f"the exact engine cannot serve this model: {reason}.",
            "It serves gaussian models with the identity link and Normal priors of the coefficients.",
            "Write method='nuts', or leave method= out for the engine that serves the model.",
        )
    rng = np.random.default_rng(plan.random_seed)
    marginal = marginal_of(model, threads=plan.cores)
    theta, statistics = _sample_variances(marginal, plan, rng)
    sds, partial, _ = natural(marginal.variances, theta)
    numbers, _ = prior_precisions(marginal.variances, sds, partial)
    seeds = rng.integers(2**31, size=plan.chains)
    kept = _kept(model, marginal.system.layout, plan)
    s2 = sds[:, 0] ** 2
    coefficients = draw(marginal.system, s2, numbers, seeds, columns=kept.columns, threads=plan.cores)
    coefficients += marginal.centre[kept.columns]
    variables = _variables(model, marginal, plan, kept, coefficients, sds, partial)
    return make_tree(model, variables, statistics, "exact")


@dataclass(frozen=True, eq=False)
class _Kept:
    """Which coefficients the posterior holds: fixed effects, group means, and the effects of some blocks."""

    columns: np.ndarray  # their places among all coefficients
    starts: dict[int, int]  # by block, where its effects start among those that are kept


def _kept(model: Model, layout: Layout, plan: SamplingPlan) -> _Kept:
    starts, columns = {}, [np.arange(layout.n_fixed + len(layout.means))]
    for number, block in enumerate(model.design.groups):
        if plan.keep is None or block.group in plan.keep:
            starts[number] = sum(map(len, columns))
            first = layout.starts[number]
            columns.append(np.arange(first, first + layout.widths[number] * layout.levels[number]))
    return _Kept(np.concatenate(columns), starts)


def _sample_variances(
    marginal: Marginal, plan: SamplingPlan, rng: np.random.Generator
) -> tuple[np.ndarray, xr.Dataset]:
    """Return draws of theta (chains x draws, d), chain by chain, and how they came about."""

    def density(theta: np.ndarray) -> np.ndarray:
        return log_posterior(marginal, theta)

    wanted = plan.draws * plan.chains
    cost = "cheap" if marginal.system.layout.size < COSTLY else "costly"

    mixture, proposals = draw_proposals(density, _start(marginal), rng, draws=ROUND[cost], good=GOOD, wanted=wanted)
    thin, needed = 1, max(FULL * wanted, ENOUGH)
    if proposals.efficiency * wanted < needed:
        thin = min(int(np.ceil(needed / (proposals.efficiency * wanted))), MOST_THINNED)
        proposals = draw_more(density, mixture, proposals, rng, wanted * (thin - 1))
    path = metropolis(proposals, plan.chains, rng)[:, thin - 1 :: thin]
    moved = np.diff(path, axis=1, prepend=-1) != 0
    statistics = xr.Dataset(
        {"lp": (("chain", "draw"), proposals.log_target[path]), "accepted": (("chain", "draw"), moved)},
        coords=sampled(plan),
        attrs={"efficiency": proposals.efficiency, "proposals_per_draw": thin},
    )
    return proposals.points[path.ravel()], statistics


def _start(marginal: Marginal) -> np.ndarray:
    """Start the search for the mode where all variances share the response's equally, without correlations."""
    system, variances = marginal.system, marginal.variances
    spread = np.sqrt(system.square / system.weights.sum())
    parts = len(variances.sd_priors)
    theta = np.zeros(variances.size)
    theta[:parts] = np.log(max(float(spread), 1e-8) / np.sqrt(parts))
    if variances.shared is not None:
        theta[0] += 0.5 * np.log(2.0)  # the log of the total of two equal variances' root
        theta[variances.shared] = 0.0
    return theta


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
    if design.fixed and design.fixed[0].kind == "intercept":
        coefficients[:, 0] -= coefficients[:, 1 : layout.n_fixed] @ centre_of(design)[1:]
    variables = {term.variable: named(term.variable, coefficients[:, term.start : term.stop]) for term in design.fixed}
    variables["sigma"] = named("sigma", sds[:, 0])
    for number, block in enumerate(design.groups):
        width = layout.widths[number]
        for column, slot in enumerate(block.slots):
            mean = _group_mean(layout, coefficients, number, column)
            if mean is not None:
                variables[f"{slot}_mu"] = named(f"{slot}_mu", mean)
            if number in kept.starts:
                start = kept.starts[number]
                effects = coefficients[:, start + column : start + width * len(block.levels) : width]
                if mean is not None:
                    effects += mean[:, None]
                variables[slot] = named(slot, effects)
            variables[f"{slot}_sigma"] = named(f"{slot}_sigma", sds[:, marginal.variances.columns[number][column]])
        if block.correlated:
            name, array = _correlations(model, marginal.variances, number, partial, coords)
            variables[name] = array
    return variables


def _group_mean(layout: Layout, coefficients: np.ndarray, block: int, column: int) -> np.ndarray | None:
    """Return the draws of the mean of a block's column, where it is estimated."""
    if (block, column) not in layout.means:
        return None
    return np.asarray(coefficients[:, layout.n_fixed + layout.means.index((block, column))])


def _correlations(
    model: Model, variances: Variances, number: int, partial: np.ndarray, coords: dict[str, pd.Index]
) -> tuple[str, xr.DataArray]:
    """Return the correlations of one block, by pair of columns."""
    block = model.design.groups[number]
    factors = correlation_factors(variances, number, partial)
    matrices = factors @ np.swapaxes(factors, 1, 2)
    pairs = list(combinations(range(len(block.columns)), 2))
    values = np.stack([matrices[:, i, j] for i, j in pairs], axis=-1)
    dim = pair_dim(block)
    names = pd.Index([f"{block.columns[i]}, {block.columns[j]}" for i, j in pairs], dtype=object)
    shape = (len(coords["chain"]), len(coords["draw"]), len(pairs))
    return correlation_name(block), xr.DataArray(values.reshape(shape), coords | {dim: names}, ("chain", "draw", dim))
