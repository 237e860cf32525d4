"""A posterior with its sampler's own records goes in; the worst of all its parameters comes out."""

import math
from typing import Any

import numpy as np

from speclet_formula.convergence import Array, Mixing, mixing
from speclet_formula.diagnostics.records import Evidence, Extreme
from speclet_formula.errors import SamplingError

# Of a variable with more parameters than this, as many are looked at, evenly spaced: among 10^5 effects chance alone
# passes the limits, and the variables that all effects share are looked at anyway.
MOST_CHECKED = 1000

FIXED = "fixed"  # attribute of a variable that the model holds at one value
DEPTH_NAMES = ("maxdepth_reached", "reached_max_treedepth")  # nutpie's name, pymc's and numpyro's name


def gather(idata: Any) -> Evidence:
    """Walk through the posterior, one variable at a time, and keep the worst."""
    posterior = _posterior(idata)
    not_finite: list[str] = []
    still: list[str] = []
    worst = {name: Extreme(math.nan, "") for name in ("r_hat", "ess_bulk", "ess_tail")}
    moving = False
    checked = parameters = 0
    for variable in posterior.data_vars.values():
        draws = _parameters_first(variable)
        finite = np.isfinite(draws).all(axis=(1, 2))
        constant = finite & (np.ptp(draws, axis=(1, 2)) == 0) if draws.size else finite
        not_finite += [_label(variable, int(index)) for index in np.flatnonzero(~finite)]
        moving = moving or bool((finite & ~constant).any())
        if not variable.attrs.get(FIXED):
            still += [_label(variable, int(index)) for index in np.flatnonzero(constant)]
        kept = np.flatnonzero(finite & ~constant)
        parameters += len(kept)
        if len(kept) > MOST_CHECKED:
            kept = kept[np.linspace(0, len(kept) - 1, MOST_CHECKED).astype(np.int64)]
        checked += len(kept)
        found = mixing(draws if len(kept) == len(draws) else draws[kept])
        _keep_worst(worst, found, variable, kept)
    return Evidence(
        chains=posterior.sizes["chain"],
        draws=posterior.sizes["draw"],
        not_finite=tuple(not_finite),
        still=tuple(still),
        moving=moving,
        **worst,
        by_nuts="sample_stats" in idata.children and "diverging" in idata["sample_stats"],
        divergences=_count(idata, ("diverging",)),
        tree_depth_hits=_count(idata, DEPTH_NAMES),
        checked=checked,
        parameters=parameters,
        pareto_k=_noted(idata, "pareto_k"),
        proposals=_noted(idata, "effective_proposals"),
    )


def _posterior(idata: Any) -> Any:
    """Return the posterior's dataset, or raise where there is nothing to judge."""
    try:
        posterior = idata["posterior"]
        size = posterior.sizes["chain"] * posterior.sizes["draw"] * len(posterior.data_vars)
    except (KeyError, TypeError, AttributeError):
        size = 0
    if size == 0:
        raise SamplingError(
            f"there are no posterior draws in this {type(idata).__name__}.",
            "Diagnostics need a group 'posterior' with variables over the dimensions 'chain' and 'draw'.",
            "Hand over a fit, or the DataTree that a sampler made.",
        )
    return posterior


def _parameters_first(variable: Any) -> Array:
    """Bring a variable's draws into the shape (parameters, chains, draws)."""
    ordered = variable.transpose("chain", "draw", ...)
    values = np.asarray(ordered.values, dtype=np.float64).reshape(*ordered.shape[:2], -1)
    return np.moveaxis(values, -1, 0)


def _label(variable: Any, index: int) -> str:
    """Name the parameter as a reader knows it: "1|gene[BRAF]"."""
    first = variable.transpose("chain", "draw", ...)[0, 0]
    if not first.dims:
        return str(variable.name)
    places = np.unravel_index(index, first.shape)
    labels = [str(first[dim].values[place]) for dim, place in zip(first.dims, places, strict=True)]
    return f"{variable.name}[{', '.join(labels)}]"


def _keep_worst(worst: dict[str, Extreme], found: Mixing, variable: Any, kept: np.ndarray) -> None:
    """Put a variable's worst numbers in the place of milder ones."""
    for name, values in (("r_hat", found.r_hat), ("ess_bulk", -found.ess_bulk), ("ess_tail", -found.ess_tail)):
        if not len(values) or np.isnan(values).all():
            continue
        place = int(np.nanargmax(values))
        value = float(values[place]) if name == "r_hat" else -float(values[place])
        known = worst[name].value
        if math.isnan(known) or (value > known if name == "r_hat" else value < known):
            worst[name] = Extreme(value, _label(variable, int(kept[place])))


def _count(idata: Any, names: tuple[str, ...]) -> int:
    """Count the draws that carry one of the sampler's flags; 0 where it does not report them."""
    if "sample_stats" not in idata.children:
        return 0
    stats = idata["sample_stats"]
    return next((int(np.asarray(stats[name].values).sum()) for name in names if name in stats.data_vars), 0)


def _noted(idata: Any, name: str) -> float:
    """Return a number that a sampler wrote beside its draws; NaN where it did not."""
    stats = idata["sample_stats"].attrs if "sample_stats" in idata.children else {}
    return float(stats.get(name, math.nan))
