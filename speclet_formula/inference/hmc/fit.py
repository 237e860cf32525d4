"""The engine of every family: the Gaussian closest to the posterior, chains that correct it, draws by name.

`surrogate` and `centre` find the Gaussian, `chains` samples. Judging the draws is left to `diagnostics`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design import Design, Predictor
from speclet_formula.design.design import mean_name
from speclet_formula.design.monotonic import condensed
from speclet_formula.errors import SamplingError
from speclet_formula.inference.datatree import make_tree, sampled
from speclet_formula.inference.exact.density import Variances, correlation_factors, length_scales
from speclet_formula.inference.hierarchy import HEAVY_TAILED, why_not_normal
from speclet_formula.inference.hmc.centre import centred
from speclet_formula.inference.hmc.chains import ChainDraws, Chains
from speclet_formula.inference.hmc.parameters import Parameters, first_theta, natural_of
from speclet_formula.inference.hmc.surrogate import surrogate_of
from speclet_formula.inference.plans import SamplingPlan
from speclet_formula.model import Model
from speclet_formula.model.model import replace_parts

MOST_PRODUCTS = 2**28  # of two entries of a row, of all rows: their places take 2 GiB

type Naming = Callable[..., xr.DataArray]


@in_one_blas_thread
def sample_hmc(model: Model, plan: SamplingPlan) -> xr.DataTree:
    """Draw from the posterior of a model of any family.

    Parameters
    ----------
    model : Model
        With Normal, Student t, Cauchy or flat priors of the fixed effects, Normal ones of the groups' means.
    plan : SamplingPlan
        Numbers of draws and chains; `cores` threads are used.

    Returns
    -------
    xarray.DataTree
        As the nuts engine's: `posterior`, `sample_stats` (`acceptance_rate` of the trajectories) and `observed_data`.

    Raises
    ------
    SamplingError
        If the model is not one that this engine serves, or its posterior is not found.
    """
    reason = why_not_hmc(model)
    if reason:
        raise SamplingError(
            f"this engine cannot serve the model: {reason}.",
            "It serves all families with Normal, Student t, Cauchy or flat priors of the fixed effects.",
            "Write method='nuts', or leave method= out for the engine that serves the model.",
        )
    rng = np.random.default_rng(plan.random_seed)
    whole, model = model.design, replace_parts(model, design=condensed(model.design))
    with surrogate_of(model, threads=plan.cores) as surrogate:
        centre, theta = centred(surrogate, first_theta(model, surrogate.parameters))
        chains = Chains(centre, theta, plan, rng)
        chains.tune()
        draws = chains.draw(_kept_columns(model, surrogate.parameters, plan))
    statistics = xr.Dataset(
        {"acceptance_rate": (("chain", "draw"), np.exp(np.minimum(0.0, -draws.energy[:, :, 1])))},
        coords=sampled(plan),
        attrs={
            "kicks": chains.kicks,
            "moves": chains.moves,
            "rounds_per_draw": chains.thin,
            "moved": draws.moved,
        },
    )
    return make_tree(model, _variables(whole, surrogate.parameters, plan, draws), statistics, "hmc")


def why_not_hmc(model: Model) -> str:
    """Say what keeps a model from this engine; "" if it serves."""
    design = model.design
    if design.merged is not None:
        return "its rows were merged"
    if reason := why_not_normal(model, *HEAVY_TAILED):
        return reason
    if not any(predictor.fixed or predictor.groups for predictor in design.predictors):
        return "the model has no coefficients"
    for term in design.monotonic:
        prior = next(slot.prior for slot in model.slots if slot.slot == term.name)
        if np.any(np.asarray(prior.parameters.get("mu", prior.parameters.get("alpha", 0.0)))):
            return f"the prior of '{term.name}', the average step, is not around zero"
    widths = [p.X.shape[1] + sum(b.values.shape[1] for b in p.groups) for p in design.predictors]
    if len(design.response) * sum(width * (width + 1) // 2 for width in widths) > MOST_PRODUCTS:
        return "its rows have too many fixed columns"
    return ""


def _kept_columns(model: Model, parameters: Parameters, plan: SamplingPlan) -> np.ndarray:
    """Return the places of the coefficients that the posterior holds: fixed effects, group means, some blocks."""
    columns, start = [], 0
    for predictor, variances in zip(model.design.predictors, parameters.predictors, strict=True):
        layout = variances.layout
        columns.append(start + np.arange(layout.n_fixed + len(layout.means)))
        for number, block in enumerate(predictor.groups):
            if plan.keep is None or block.group in plan.keep:
                first = start + layout.starts[number]
                columns.append(np.arange(first, first + layout.widths[number] * layout.levels[number]))
        start += layout.size
    return np.concatenate(columns)


def _at_means(predictor: Predictor, fixed: np.ndarray) -> np.ndarray:
    """Return draws (chains x draws, 1) of the fixed part at the predictors' means, where thresholds are sampled."""
    return np.reshape(fixed @ predictor.X.mean(axis=0), (-1, 1))


@dataclass(frozen=True, eq=False)
class _NamedPart:
    """The draws of one linear predictor."""

    predictor: Predictor
    variances: Variances
    sds: np.ndarray  # (chains x draws, m)
    partial: np.ndarray  # (chains x draws, q)
    coefficients: np.ndarray  # (chains, draws, k) of all predictors
    columns: np.ndarray  # (k,) which they are
    start: int  # its first coefficient among all
    shares: list[np.ndarray]  # of the steps of its monotonic effects (chains x draws, D)

    def place(self, coefficient: int) -> int:
        """Return where one of its coefficients stands among those that were kept."""
        return int(np.searchsorted(self.columns, self.start + coefficient))

    @cached_property
    def fixed(self) -> np.ndarray:
        """The fixed effects (chains, draws, p); of monotonic effects the steps, which are the average one by shares."""
        place, shares = self.place(0), iter(self.shares)
        whole = np.empty((*self.coefficients.shape[:2], self.predictor.X.shape[1]))
        for term in self.predictor.fixed:
            width = 1 if term.levels else term.stop - term.start
            own = self.coefficients[:, :, place : place + width]
            if term.levels:
                steps = term.stop - term.start
                own = own * next(shares).reshape(*own.shape[:2], steps) * steps
            whole[:, :, term.start : term.stop] = own
            place += width
        return whole


def _variables(
    design: Design, parameters: Parameters, plan: SamplingPlan, draws: ChainDraws
) -> dict[str, xr.DataArray]:
    """Name the draws: coefficients in the predictors' own place, SDs, group means, correlations, the family's own."""
    coords, shape = sampled(plan), (plan.chains, plan.draws)

    def named(values: np.ndarray, dim: str | None = None, labels: Any = ()) -> xr.DataArray:
        if dim is None:
            return xr.DataArray(values.reshape(shape), coords, ("chain", "draw"))
        index = pd.Index(labels, dtype=object if isinstance(labels[0], str) else None)
        return xr.DataArray(values.reshape(*shape, -1), coords | {dim: index}, ("chain", "draw", dim))

    known = natural_of(parameters, np.concatenate(draws.theta))
    draws.coefficients[:] += np.concatenate(parameters.prior_means)[draws.columns]
    parts, start, shares = [], 0, iter(known.shares)
    for number, (predictor, variances) in enumerate(zip(design.predictors, parameters.predictors, strict=True)):
        own = [next(shares) for term in predictor.fixed if term.levels]
        sds, partials = known.sds[number], known.partials[number]
        parts.append(_NamedPart(predictor, variances, sds, partials, draws.coefficients, draws.columns, start, own))
        start += variances.layout.size
    variables: dict[str, xr.DataArray] = {}
    first = 0
    for one in parameters.own:
        values = known.own[:, first : first + one.size]
        if one.name == "threshold":
            values = values + _at_means(design.mean, parts[0].fixed)
        thresholds = ("threshold_dim", np.arange(one.size)) if one.name == "threshold" else ()
        variables[one.name] = named(values, *thresholds)
        first += one.size
    for part in parts:
        variables |= _fixed(part, named)
        for number, block in enumerate(part.predictor.groups):
            kept = plan.keep is None or block.group in plan.keep
            variables |= _block(part, number, named, kept=kept)
    return variables


def _fixed(part: _NamedPart, named: Naming) -> dict[str, xr.DataArray]:
    """Name the fixed effects; the intercept is given back for the predictors as they are."""
    predictor, fixed = part.predictor, part.fixed
    if predictor.has_intercept:
        fixed[:, :, 0] -= fixed[:, :, 1:] @ predictor.X[:, 1:].mean(axis=0)
    return {
        term.variable: named(fixed[:, :, term.start : term.stop], *((term.dim, term.coords) if term.dim else ()))
        for term in predictor.fixed
    }


def _block(part: _NamedPart, number: int, named: Naming, *, kept: bool) -> dict[str, xr.DataArray]:
    """Name the means, effects, SDs and correlations of one block."""
    layout, block = part.variances.layout, part.predictor.groups[number]
    width, found = layout.widths[number], {}
    for column, slot in enumerate(block.slots):
        mean = None
        if (number, column) in layout.means:
            place = part.place(layout.n_fixed + layout.means.index((number, column)))
            mean = part.coefficients[:, :, place]
            found[mean_name(slot)] = named(mean)
        if kept:
            first = part.place(layout.starts[number])
            effects = part.coefficients[:, :, first + column : first + width * len(block.levels) : width]
            if mean is not None:
                effects += mean[:, :, None]
            found[slot] = named(effects, block.dim, block.levels)
        found[block.sds[column]] = named(part.sds[:, part.variances.columns[number][column]])
    if block.correlated:
        factors = correlation_factors(part.variances, number, part.partial)
        matrices = factors @ np.swapaxes(factors, 1, 2)
        values = np.stack([matrices[:, i, j] for i, j in combinations(range(width), 2)], axis=-1)
        found[block.correlation] = named(values, block.pair_dim, block.pairs)
    if block.stretches:
        found[block.length_scale] = named(length_scales(part.variances, number, part.partial))
    return found
