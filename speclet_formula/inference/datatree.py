"""The DataTree that every engine promises: variables named and ordered, effects that are not kept left out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from speclet_formula.common.engines import BY_NAME
from speclet_formula.design.design import Predictor, sd_name
from speclet_formula.errors import SamplingError, nearest
from speclet_formula.inference.plans import SamplingPlan
from speclet_formula.model import Model
from speclet_formula.posterior import PointFit
from speclet_formula.posterior.draws import Fitted, draws_of, statistics_in


def ordered(model: Model, posterior: xr.Dataset) -> xr.Dataset:
    """Return the variables as a reader expects them: fixed, group effects with their SDs, correlations, family."""
    names = []
    for predictor in model.design.predictors:
        names += [term.variable for term in predictor.fixed]
        for block in predictor.groups:
            names += [name for own in zip(block.slots, block.means, block.sds, strict=True) for name in own]
    chosen = [name for name in dict.fromkeys(names) if name in posterior]
    # Bambi's order of these varies from one process to the next.
    chosen += [name for name in model.family.parameters if name in posterior and name not in chosen]
    # PyMC has an SD for each column of a smooth, all of them that of the first.
    shared = {sd_name(slot) for block in model.design.smooths for slot in block.slots[1:]}
    others = [str(name) for name in posterior.data_vars if name not in {*chosen, *shared}]
    return posterior[chosen + others].transpose("chain", "draw", ...)


def dimensions(model: Model) -> dict[str, tuple[str, Any]]:
    """Return the dimension of each variable that has one beside chain and draw, and its coordinates."""
    found: dict[str, tuple[str, Any]] = {}
    for term in model.design.mean.fixed:
        if term.dim is not None:
            labels = object if isinstance(term.coords[0], str) else None
            found[term.variable] = (term.dim, pd.Index(term.coords, dtype=labels))
    for block in model.design.mean.groups:
        found |= dict.fromkeys(block.slots, (block.dim, pd.Index(block.levels, dtype=object)))
    return found


def make_tree(model: Model, draws: Mapping[str, xr.DataArray], statistics: xr.Dataset, library: str) -> xr.DataTree:
    """Return the groups posterior, sample_stats and, where each row was observed by itself, observed_data."""
    posterior = ordered(model, xr.Dataset(draws)).assign_attrs(inference_library=library)
    groups = {"posterior": posterior, "sample_stats": statistics}
    if model.design.merged is None:
        groups["observed_data"] = observed_data(model)
    return xr.DataTree.from_dict(groups)


def observed_data(model: Model) -> xr.Dataset:
    """Return the response; counts of levels have a dimension of these, called as Bambi calls it."""
    design, name = model.design, model.design.response_variable
    if design.response.ndim == 1:
        return xr.Dataset({name: ("__obs__", design.response)})
    levels = pd.Index(design.levels, dtype=object)
    return xr.Dataset({name: (("__obs__", f"{name}_dim"), design.response)}, {f"{name}_dim": levels})


def is_whole(tree: xr.DataTree, plan: SamplingPlan) -> bool:
    """Tell whether every chain has all its draws; nutpie fills those that an interrupt left out with NaN."""
    posterior = tree["posterior"]
    if (posterior.sizes["chain"], posterior.sizes["draw"]) != (plan.chains, plan.draws):
        return False
    last = [variable.isel(draw=-1).to_numpy().reshape(plan.chains, -1) for variable in posterior.data_vars.values()]
    return not np.isnan(np.hstack(last).astype(np.float64)).all(axis=1).any()


def promised(
    model: Model,
    tree: xr.DataTree,
    kept: Sequence[str],
    renamed: Mapping[str, str],
) -> xr.DataTree:
    """Return a sampler's tree with the promised groups and order of variables, the intercept moved back.

    Parameters
    ----------
    model : Model
    tree : xarray.DataTree
    kept : sequence of str
        The variables that were asked for: nutpie keeps others too.
    renamed : mapping of str to str
        Dimensions as they are to be called, by what they are called in the tree.
    """
    posterior = tree["posterior"].to_dataset()
    posterior = posterior.rename({new: old for new, old in renamed.items() if new in posterior.dims})
    posterior = posterior[[name for name in kept if name in posterior]]
    for predictor in model.design.predictors:
        for term in predictor.fixed:
            if term.kind == "intercept":
                posterior[term.variable] = posterior[term.variable] - _centre_offset(predictor, posterior)
    groups: dict[str, Any] = {"posterior": ordered(model, posterior)}
    for name in ("sample_stats", "observed_data"):
        if name in tree.children:
            groups[name] = tree[name].to_dataset()
    if model.design.response.ndim > 1:
        groups["observed_data"] = observed_data(model)
    groups["sample_stats"] = _plain_statistics(groups["sample_stats"])
    return xr.DataTree.from_dict(groups)


def _centre_offset(predictor: Predictor, posterior: Any) -> Any:
    """Return what to subtract from a PyMC intercept so that it belongs to the predictors as they are.

    Bambi centres the predictors whenever there is an intercept: eta = a + (x - mean x) b, so Intercept = a - mean(x) b.
    """
    total: Any = 0.0
    for term in predictor.fixed:
        if term.kind == "intercept":
            continue
        means = predictor.X[:, term.start : term.stop].mean(axis=0)
        values = posterior[term.variable]
        total = total + (values * means[0] if term.dim is None else (values * means).sum(term.dim))
    return total


def _plain_statistics(statistics: xr.Dataset) -> xr.Dataset:
    """Drop what cannot be saved as numbers, such as nutpie's messages."""
    return statistics[[name for name in statistics.data_vars if statistics[name].dtype != object]]


def sampled(plan: SamplingPlan) -> dict[str, pd.Index]:
    """Return the coordinates of chains and draws.

    Given an array, xarray asks whether it is one of the package `sparse`, and imports that, and numba with it; an index
    is taken as it is.
    """
    return {"chain": pd.Index(np.arange(plan.chains)), "draw": pd.Index(np.arange(plan.draws))}


def kept_factors(model: Model, keep: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the grouping factors whose effects are kept."""
    if keep is None:
        return None
    names = (keep,) if isinstance(keep, str) else tuple(keep)
    known = list(dict.fromkeys(block.group for block in model.design.factors))
    for name in names:
        if name not in known:
            near = nearest(str(name), known)
            raise SamplingError(
                f"keep names '{name}', which is not a grouping factor of this model.",
                f"Grouping factors: {', '.join(known) or 'none'}.",
                f"Nearest: {near}." if near else "Leave keep= out to keep all group effects.",
            )
    return names


def without_others(model: Model, keep: tuple[str, ...], idata: Any) -> Any:
    """Return draws without the group effects that are not to be kept; the exact engine has not even made them."""
    others = [slot for block in model.design.factors if block.group not in keep for slot in block.slots]
    posterior = idata["posterior"].to_dataset()
    left = posterior.drop_vars([name for name in others if name in posterior])
    unused = [name for name in left.coords if name not in left.dims or not _is_used(left, str(name))]
    return type(idata).from_dict(
        {name: node.to_dataset() for name, node in idata.children.items()} | {"posterior": left.drop_vars(unused)}
    )


def _is_used(dataset: Any, dimension: str) -> bool:
    return any(dimension in variable.dims for variable in dataset.data_vars.values())


# What stays with the draws, and is not to be seen from their number.
_NOTED: Mapping[str, Callable[[Any], Any]] = {"tune": int, "target_accept": float, "sampler": str}


def note_settings(idata: Any, plan: SamplingPlan) -> None:
    """Write into draws how they were asked for."""
    idata["sample_stats"].attrs.update({name: getattr(plan, name) for name in _NOTED})
    if plan.random_seed is not None:
        idata["sample_stats"].attrs["random_seed"] = plan.random_seed


def seed_of(fit: Fitted) -> int | None:
    """Return the seed that a fit's draws were asked for with; None where none was, or it is not known."""
    seed = statistics_in(fit.idata)[1].get("random_seed")
    return seed if type(seed) is int else None


def nodes_of(fit: PointFit) -> int | None:
    """Return the argument nAGQ of `fit` that made a fit without draws; None where it was left out."""
    return None if fit.estimates.nodes == 1 else fit.estimates.nodes


def settings_of(fit: Fitted, method: str) -> dict[str, Any]:
    """Return the arguments of `fit` that made draws, those that the method takes: their numbers, and what was noted."""
    draws, (_, noted) = draws_of(fit), statistics_in(fit.idata)
    found = {"draws": draws.length, "chains": draws.chains} | {
        name: kind(noted[name]) for name, kind in _NOTED.items() if name in noted
    }
    engine = BY_NAME.get(method)  # "auto" takes the arguments of all
    return {name: value for name, value in found.items() if engine is None or engine.takes(name)}
