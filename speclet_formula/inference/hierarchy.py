"""What the priors of one linear predictor say of its coefficients: their means and precisions, and the groups' SDs.

Read by the engines that integrate coefficients under Normal or flat priors. Of heavier tails they get the Normal prior
that has the same curvature in the middle; `tails_of` says what it lacks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np

from speclet_formula.common.structures import Structure
from speclet_formula.design import Predictor
from speclet_formula.inference.algebra.layout import CoefficientLayout
from speclet_formula.model import Model
from speclet_formula.priors import Prior, log_density

FAR = np.array([1e-6, 2e-6])  # of an SD's own unit: near enough to zero to see how its prior's density ends there
WITH_ENDS = ("Beta", "Uniform")
UNIFORM = 1.0  # b of a Beta(b, b) that is uniform

HEAVY_TAILED = ("StudentT", "Cauchy")

type SlotPriors = Mapping[str, Prior]  # by slot


@dataclass(frozen=True)
class GroupPriors:
    """The priors of SDs and correlations."""

    sd_priors: tuple[Prior | None, ...]  # those given first, then one for each column of each block
    columns: tuple[tuple[int, ...], ...]  # positions in sd_priors of each block's columns
    partials: tuple[tuple[int, int, int, float], ...]  # block, i, j, and b of the partial correlation's Beta(b, b)
    lengths: dict[int, Prior]  # those of `partials` that are length-scales, as their share, with the length's prior
    ends: dict[int, tuple[float, float]]  # of the SDs whose priors have two
    structures: tuple[Structure | None, ...]  # of each block; one that correlates has a single partial, as its share


def slot_priors(model: Model) -> SlotPriors:
    """Return the prior of each slot of a model."""
    return {slot.slot: slot.prior for slot in model.slots}


def hyperprior(prior: Prior, name: str) -> Prior:
    """Return a parameter that is a prior itself."""
    return cast(Prior, prior.parameters[name])


def number(prior: Prior, name: str) -> float:
    """Return a parameter that is one number."""
    return float(cast(float, prior.parameters[name]))


def why_not_normal(model: Model, *others: str) -> str:
    """Say which prior of a coefficient or a group's mean is not Normal or flat, nor for the first one of `others`."""
    served = " or ".join(("Normal", *others[-1:]))
    for slot in model.slots:
        if slot.kind in ("intercept", "b") and slot.prior.name not in ("Normal", "Flat", *others):
            return f"the prior of '{slot.slot}' is {slot.prior.name}, not {', '.join((*others[:-1], served))}"
        mean = slot.prior.parameters.get("mu")
        if slot.kind == "group" and isinstance(mean, Prior) and mean.name != "Normal":
            return f"the prior of the mean of '{slot.slot}' is {mean.name}, not Normal"
    return ""


def group_means(predictor: Predictor, slots: SlotPriors) -> tuple[tuple[int, int], ...]:
    """Return block and column of each group mean that is estimated."""
    return tuple(
        (position, column)
        for position, block in enumerate(predictor.groups)
        for column, slot in enumerate(block.slots)
        if isinstance(slots[slot].parameters["mu"], Prior)
    )


def group_priors(predictor: Predictor, slots: SlotPriors, first: Sequence[Prior | None] = ()) -> GroupPriors:
    """Collect the priors of the SDs, after those of some others, None of a known one, and of what is beside SDs."""
    sd_priors, lengths = list(first), {}
    columns: list[tuple[int, ...]] = []
    partials: list[tuple[int, int, int, float]] = []
    for position, block in enumerate(predictor.groups):
        start, width = len(sd_priors), len(block.slots)
        own = block.slots[:1] if block.hom else block.slots
        sd_priors += [hyperprior(slots[slot], "sigma") for slot in own]
        columns.append((start,) * width if block.hom else tuple(range(start, start + width)))
        if block.stretches:
            lengths[len(partials)] = slots[block.length_scale]
        if block.stretches or (block.correlated and block.structure is not None):
            partials.append((position, 0, 1, UNIFORM))
        elif block.correlated:
            eta = number(slots[block.correlation], "eta")
            pairs = combinations(range(width), 2)
            partials += [(position, i, j, eta + (width - 2 - i) / 2) for i, j in pairs]
    ends = {k: _ends(prior) for k, prior in enumerate(sd_priors) if prior is not None and prior.name in WITH_ENDS}
    structures = tuple(block.structure for block in predictor.groups)
    return GroupPriors(tuple(sd_priors), tuple(columns), tuple(partials), lengths, ends, structures)


def column_units(block_columns: Sequence[Sequence[int]], sizes: Sequence[np.ndarray], first: int) -> np.ndarray:
    """Return the size of each SD's column (m - first,); of an SD of several columns their geometric mean."""
    logs = {}
    for places, own in zip(block_columns, sizes, strict=True):
        for place in sorted(set(places)):
            logs[place] = np.mean([np.log(size) for at, size in zip(places, own, strict=True) if at == place])
    return np.exp(np.array([logs[place] for place in range(first, first + len(logs))]))


def _ends(prior: Prior) -> tuple[float, float]:
    """Return where a prior's density begins and ends."""
    return (0.0, 1.0) if prior.name == "Beta" else (number(prior, "lower"), number(prior, "upper"))


def rate_at_zero(prior: Prior, unit: float) -> float:
    """Return the power of an SD, plus one, as which its prior's density begins."""
    with np.errstate(all="ignore"):  # where the prior does not reach, the rate is no number
        near, next_to_it = log_density(prior, FAR * unit)
        rate = 1 + (next_to_it - near) / np.log(2.0)
    return float(rate) if rate > 0 else np.inf


def tails_of(prior: Prior) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return degrees of freedom, location and scale of a Student t or Cauchy prior; numbers, or one for each column."""
    known = {name: np.asarray(value, dtype=float) for name, value in prior.parameters.items()}
    if prior.name == "Cauchy":
        return np.ones(()), known["alpha"], known["beta"]
    return known["nu"], known["mu"], known["sigma"]


def first_precisions(predictor: Predictor, slots: SlotPriors, means: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Return the prior precisions of fixed effects and group means (block, column); 0 for a flat one."""
    values: list[float] = []
    for term in predictor.fixed:
        prior = slots[term.name]
        if prior.name in HEAVY_TAILED:
            nu, _, scale = tails_of(prior)
            precision = (nu + 1) / (nu * np.square(scale))
        else:
            sd = np.inf if prior.name == "Flat" else np.asarray(prior.parameters["sigma"], dtype=float)
            precision = 1 / np.square(sd)
        values += list(np.broadcast_to(precision, term.stop - term.start))
    for block, column in means:
        mean = hyperprior(slots[predictor.groups[block].slots[column]], "mu")
        values.append(1 / number(mean, "sigma") ** 2)
    return np.array(values)


def prior_means(predictor: Predictor, slots: SlotPriors, layout: CoefficientLayout) -> np.ndarray:
    """Return the prior's means of all coefficients (p,); zero for effects around a mean that is estimated."""
    centre = np.zeros(layout.size)
    for term in predictor.fixed:
        prior = slots[term.name]
        if prior.name in HEAVY_TAILED:
            centre[term.start : term.stop] = tails_of(prior)[1]
        elif prior.name != "Flat":
            centre[term.start : term.stop] = np.asarray(prior.parameters["mu"], dtype=float)
    for place, (block, column) in enumerate(layout.means):
        mean = hyperprior(slots[predictor.groups[block].slots[column]], "mu")
        centre[layout.n_fixed + place] = number(mean, "mu")
    for position, (group, start) in enumerate(zip(predictor.groups, layout.starts, strict=True)):
        known = np.zeros(len(group.slots))
        for column, slot in enumerate(group.slots):
            if (position, column) not in layout.means:
                known[column] = number(slots[slot], "mu")
        centre[start : start + len(known) * len(group.levels)] = np.tile(known, len(group.levels))
    return centre
