"""A Model goes in; the Bambi priors of all its terms come out.

Where Bambi would change a prior (a group mean, a correlation), its public hook puts ours in place. The terms themselves
are made in `models`.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import bambi
import numpy as np

from speclet_formula.design import Design, GroupBlock
from speclet_formula.inference.translation.centring import prefers_centred
from speclet_formula.inference.translation.effects import CorrelatedBlock, correlated_effects, shifted_effects
from speclet_formula.inference.translation.names import bambi_names, group_term_name
from speclet_formula.inference.translation.ordinal import threshold_hook
from speclet_formula.model import Model
from speclet_formula.priors import Prior, Slot, has_mean


def bambi_priors(model: Model) -> dict[str, Any]:
    """Return every slot's prior under Bambi's name for it, with a dict for each parameter that has a formula."""
    constant = {slot.slot: _bambi_prior(slot.prior) for slot in model.slots if slot.kind == "family"}
    varying = {name: _side_priors(model, side) for name, side in model.design.parameters}
    if "threshold" in constant:
        constant["threshold"] = _threshold_prior(model, constant["threshold"])
    return constant | varying | _side_priors(model, model.design)


def _threshold_prior(model: Model, prior: bambi.Prior) -> bambi.Prior:
    """Return the prior of an ordinal family's thresholds, built by our hook."""
    slot = next(slot for slot in model.slots if slot.slot == "threshold")
    increasing = model.family.name == "cumulative"
    hook = threshold_hook(slot.prior, len(model.design.levels) - 1, increasing=increasing)
    return bambi.Prior(slot.prior.name, auto_scale=False, dist=hook, **prior.args)


def _side_priors(model: Model, side: Design) -> dict[str, bambi.Prior]:
    """Return the priors of one linear predictor, under the names that its terms have without the parameter's."""
    slots = {slot.slot: slot for slot in model.slots}
    names = bambi_names(model.design)
    priors = {name: _bambi_prior(slots[term.name].prior) for name, term in names.fixed(side).items()}
    for block in side.groups:
        told = [group_term_name(names, block, column) for column in block.columns]
        priors |= dict(zip(told, _block_priors(model, block, slots), strict=True))
    return priors


def _bambi_prior(prior: Prior, *, noncentered: bool | None = None) -> bambi.Prior:
    return bambi.Prior(
        prior.name,
        auto_scale=False,
        noncentered=noncentered,
        **{name: _bambi_argument(value) for name, value in prior.parameters.items()},
    )


def _bambi_argument(value: Any) -> Any:
    return _bambi_prior(value) if isinstance(value, Prior) else value


def _block_priors(model: Model, block: GroupBlock, slots: Mapping[str, Slot]) -> list[bambi.Prior]:
    """Return the priors of one block's columns: Bambi's own where it has them right, else our hooks."""
    priors = [slots[slot].prior for slot in block.slots]
    wishes = [prior.noncentered for prior in priors if prior.noncentered is not None]
    centred = not wishes[0] if wishes else prefers_centred(model.design, block)
    if block.correlated:
        shared = _correlated_block(block, priors, slots[block.correlation].prior, centred)
        hooks = [correlated_effects(shared, column) for column in range(len(priors))]
        return [_hooked(prior, hook) for prior, hook in zip(priors, hooks, strict=True)]
    if any(has_mean(prior) for prior in priors):
        hook = shifted_effects(centred=centred)
        return [_hooked(prior, hook) for prior in priors]
    return [_bambi_prior(prior, noncentered=not centred) for prior in priors]


def _hooked(prior: Prior, hook: Any) -> bambi.Prior:
    """Return a prior that Bambi builds by our hook, with the SD and a mean that is not zero as its arguments."""
    arguments = {name: value for name, value in prior.parameters.items() if name == "sigma" or has_mean(prior)}
    return bambi.Prior(
        "Normal",
        auto_scale=False,
        dist=hook,
        noncentered=False,
        **{name: _bambi_argument(value) for name, value in arguments.items()},
    )


def _correlated_block(block: GroupBlock, priors: list[Prior], correlation: Prior, centred: bool) -> CorrelatedBlock:
    means = [prior.parameters["mu"] for prior in priors]
    pairs = combinations(range(len(priors)), 2)
    return CorrelatedBlock(
        correlation=block.correlation,
        pair_dim=block.pair_dim,
        pairs={f"{block.columns[a]}, {block.columns[b]}": (a, b) for a, b in pairs},
        slots=tuple(block.slots),
        means=tuple(0.0 if isinstance(mean, Prior) else float(np.asarray(mean)) for mean in means),
        eta=float(np.asarray(correlation.parameters["eta"])),
        centred=centred,
    )
