"""The DataTree that every engine promises: variables named and ordered, effects that are not kept left out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from speclet_formula.errors import SamplingError, nearest
from speclet_formula.inference.plans import SamplingPlan
from speclet_formula.model import Model


def ordered(model: Model, posterior: xr.Dataset) -> xr.Dataset:
    """Return the variables as a reader expects them: fixed, group effects with their SDs, correlations, family."""
    names = []
    for predictor in model.design.predictors:
        names += [term.variable for term in predictor.fixed]
        for block in predictor.groups:
            names += [name for own in zip(block.slots, block.means, block.sds, strict=True) for name in own]
    chosen = [name for name in names if name in posterior]
    others = [str(name) for name in posterior.data_vars if name not in set(chosen)]
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
        name = model.design.response_variable
        groups["observed_data"] = xr.Dataset({name: ("__obs__", model.design.response)})
    return xr.DataTree.from_dict(groups)


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
    known = list(dict.fromkeys(block.group for block in model.design.blocks))
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
    others = [slot for block in model.design.blocks if block.group not in keep for slot in block.slots]
    posterior = idata["posterior"].to_dataset()
    left = posterior.drop_vars([name for name in others if name in posterior])
    unused = [name for name in left.coords if name not in left.dims or not _is_used(left, str(name))]
    return type(idata).from_dict(
        {name: node.to_dataset() for name, node in idata.children.items()} | {"posterior": left.drop_vars(unused)}
    )


def _is_used(dataset: Any, dimension: str) -> bool:
    return any(dimension in variable.dims for variable in dataset.data_vars.values())
