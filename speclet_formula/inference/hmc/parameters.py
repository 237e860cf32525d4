"""What theta stands for in a model of any family: SDs and correlations of each linear predictor, the family's own.

theta holds, for each linear predictor, the log SDs and the partial correlations on their atanh scale, as the exact
engine has them; then the family's other parameters, each on a scale without ends; then the shares of monotonic effects'
steps. Of each of these effects there is one column, whose values follow from the shares: `design.condensed` makes it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special
from scipy.linalg import helmert

from speclet_formula.design import Design, Predictor
from speclet_formula.families import specification_of
from speclet_formula.families.links import FORWARD_LINKS
from speclet_formula.inference.algebra.layout import layout_of
from speclet_formula.inference.exact.density import STEEPEST, Variances, log_prior, natural, prior_precisions
from speclet_formula.inference.hierarchy import (
    SlotPriors,
    column_units,
    first_precisions,
    group_means,
    group_priors,
    prior_means,
    rate_at_zero,
    slot_priors,
)
from speclet_formula.model import Model
from speclet_formula.priors import Prior, log_density
from speclet_formula.priors.densities import shapes_of

FIRST_SD = 0.3


@dataclass(frozen=True)
class OwnParameter:
    """A parameter of the family that is one number, or one for each threshold."""

    name: str
    prior: Prior
    scale: Literal["log", "logit", "ordered", "identity"]
    size: int


@dataclass(frozen=True, eq=False)
class StepShares:
    """The shares that the steps of a monotonic effect have of the whole way; D of them, D - 1 numbers of theta."""

    column: int  # its coefficient among those of all linear predictors, the average step
    codes: np.ndarray  # (n,) the level of each row, from 0
    taken: np.ndarray  # (D + 1,) what is taken off the column: the share of the rows at each level, or zeros
    shapes: np.ndarray  # (D,) of the Dirichlet prior

    @property
    def size(self) -> int:
        """The numbers of theta that stand for them."""
        return len(self.shapes) - 1

    def values(self, shares: np.ndarray) -> np.ndarray:
        """Return the column's value at each level (N, D + 1) for shares (N, D): D times what was gone of the way."""
        gone = np.hstack([np.zeros((len(shares), 1)), np.cumsum(shares, axis=1)]) * len(self.shapes)
        return np.asarray(gone - gone @ self.taken[:, None])


@dataclass(frozen=True, eq=False)
class Parameters:
    """What theta stands for. d numbers."""

    predictors: tuple[Variances, ...]
    own: tuple[OwnParameter, ...]
    steps: tuple[StepShares, ...]
    prior_means: tuple[np.ndarray, ...]  # of each predictor's coefficients (p_k,): they are measured from there

    @property
    def size(self) -> int:
        """The length of theta."""
        return sum(self._sizes)

    @property
    def _sizes(self) -> list[int]:
        variances, own = [part.size for part in self.predictors], [one.size for one in self.own]
        return variances + own + [effect.size for effect in self.steps]

    @property
    def coefficients(self) -> int:
        """How many coefficients all linear predictors have."""
        return sum(part.layout.size for part in self.predictors)

    def split(self, theta: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
        """Return the parts of N vectors theta (N, d) by predictor, by parameter of the family, by monotonic effect."""
        sizes = self._sizes
        parts = np.split(theta, np.cumsum(sizes)[:-1], axis=1) if sizes else []
        first, last = len(self.predictors), len(self.predictors) + len(self.own)
        return parts[:first], parts[first:last], parts[last:]


@dataclass(frozen=True, eq=False)
class Natural:
    """N vectors theta on their own scales."""

    sds: list[np.ndarray]  # for each predictor (N, m)
    partials: list[np.ndarray]  # (N, q)
    own: np.ndarray  # (N, e) the family's parameters, thresholds among them
    shares: list[np.ndarray]  # of each monotonic effect (N, D)
    log_prior: np.ndarray  # (N,) of theta itself, Jacobian included


def parameters_of(model: Model) -> Parameters:
    """Collect what the SDs, correlations and other parameters of a model are, with their priors."""
    slots = slot_priors(model)
    parts, means = zip(*(_predictor(model, one, slots) for one in model.design.predictors), strict=True)
    own = tuple(_own(model, name, slots[name]) for name in model.family.parameters if name not in model.design.varying)
    return Parameters(parts, own, tuple(_steps(model.design, parts, slots)), means)


def _steps(design: Design, parts: Sequence[Variances], slots: SlotPriors) -> Iterator[StepShares]:
    """Go through the monotonic effects of a design that has one column for each."""
    start = 0
    for predictor, variances in zip(design.predictors, parts, strict=True):
        for term in predictor.fixed:
            if term.levels:
                codes = predictor.X[:, term.start].astype(np.int64)
                counts = np.bincount(codes, minlength=len(term.levels)) / max(len(codes), 1)
                taken = counts if predictor.has_intercept or design.thresholds else np.zeros(len(counts))
                shapes = shapes_of(slots[term.simplex], len(term.levels) - 1)
                yield StepShares(start + term.start, codes, taken, shapes)
        start += variances.layout.size


def own_design(design: Design, predictor: Predictor) -> Design:
    """Return a design whose mean is one of the linear predictors; beside thresholds their columns are centred.

    The priors of thresholds hold at the predictors' means, as those of intercepts do.
    """
    if design.thresholds:
        predictor = replace(predictor, X=predictor.X - predictor.X.mean(axis=0))
    return replace(design, predictors=(predictor,))


def _own(model: Model, name: str, prior: Prior) -> OwnParameter:
    specification = specification_of(model.family)
    if name == "threshold":
        scale: Literal["ordered", "identity"] = "ordered" if specification.increasing else "identity"
        return OwnParameter(name, prior, scale, len(model.design.levels) - 1)
    return OwnParameter(name, prior, "logit" if specification.parameter(name).is_share else "log", 1)


def _predictor(model: Model, predictor: Predictor, slots: SlotPriors) -> tuple[Variances, np.ndarray]:
    """Return the SDs of one linear predictor, and the prior's means of its coefficients."""
    means = group_means(predictor, slots)
    layout = layout_of(own_design(model.design, predictor), means)
    priors = group_priors(predictor, slots)
    variances = Variances(
        layout=layout,
        sd_priors=priors.sd_priors,
        columns=priors.columns,
        partials=priors.partials,
        lengths=priors.lengths,
        precisions=first_precisions(predictor, slots, means),
        shared=None,
        units=column_units(priors.columns, [1 / _sizes(block.values) for block in predictor.groups], 0),
        ends=priors.ends,
        structures=priors.structures,
    )
    return variances, prior_means(predictor, slots, layout)


def _sizes(values: np.ndarray) -> np.ndarray:
    """Return each column's root mean square; one for a column of zeros."""
    found = np.sqrt(np.mean(values**2, axis=0))
    return np.where(found > 0, found, 1.0)


def natural_of(parameters: Parameters, theta: np.ndarray) -> Natural:
    """Return N vectors theta (N, d) on their own scales; a log prior of -inf where they are impossible."""
    parts, owns, steps = parameters.split(theta)
    total = np.zeros(len(theta))
    sds, partials, values, shares = [], [], [np.empty((len(theta), 0))], []
    with np.errstate(all="ignore"):
        for variances, part in zip(parameters.predictors, parts, strict=True):
            own_sds, partial, jacobian = natural(variances, part)
            total += log_prior(variances, own_sds, partial) + jacobian
            usable = (own_sds > 0).all(axis=1) & np.isfinite(own_sds**-2.0).all(axis=1)
            usable &= np.isfinite(own_sds).all(axis=1) & (np.abs(partial) < 1).all(axis=1)
            total[~usable] = -np.inf
            own_sds[~usable], partial[~usable] = 1.0, 0.0  # covariances that have an inverse, for whoever asks
            sds.append(own_sds)
            partials.append(partial)
        for one, part in zip(parameters.own, owns, strict=True):
            value, log_jacobian = _natural_own(one, part)
            density = log_density(one.prior, value if one.size > 1 or one.name == "threshold" else value[:, 0])
            total += np.reshape(density, (len(theta), one.size)).sum(axis=1) + log_jacobian
            values.append(value)
        for own_steps, part in zip(parameters.steps, steps, strict=True):
            share, density = _natural_shares(own_steps, part)
            total += density
            shares.append(share)
    total[~np.isfinite(total)] = -np.inf
    return Natural(sds, partials, np.hstack(values), shares, total)


def _natural_shares(steps: StepShares, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return shares (N, D), and the log density (N,) of the part of theta that they are made of.

    Their logarithms, less the mean, have these coordinates: no share is told from another (Egozcue et al. 2003,
    doi:10.1023/A:1023818214614). The Jacobian is sqrt(D) times the product of the shares.
    """
    logs = special.log_softmax(part @ helmert(len(steps.shapes)), axis=1)
    constant = special.gammaln(steps.shapes.sum()) - special.gammaln(steps.shapes).sum()
    return np.exp(logs), logs @ steps.shapes + constant + 0.5 * np.log(len(steps.shapes))


def _natural_own(one: OwnParameter, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return values (N, size) and the log Jacobian (N,)."""
    if one.scale == "log":
        return np.exp(part), part.sum(axis=1)
    if one.scale == "logit":
        return special.expit(part), (special.log_expit(part) + special.log_expit(-part)).sum(axis=1)
    if one.scale == "ordered":
        steps = np.hstack([part[:, :1], np.exp(part[:, 1:])])
        return np.cumsum(steps, axis=1), part[:, 1:].sum(axis=1)
    return part, np.zeros(len(part))


def first_theta(model: Model, parameters: Parameters) -> np.ndarray:
    """Return a theta (d,) to begin with: SDs that move the linear predictor a little, parameters of a usual size."""
    parts: list[np.ndarray] = [np.zeros(0)]
    for variances in parameters.predictors:
        logs = np.log(FIRST_SD * variances.units)
        logs[list(variances.ends)] = 0.0
        parts += [logs, np.zeros(len(variances.partials))]
    parts += [_theta_of_own(one, _first_value(model, one)) for one in parameters.own]
    parts += [np.zeros(steps.size) for steps in parameters.steps]
    return np.concatenate(parts)


def _first_value(model: Model, one: OwnParameter) -> np.ndarray:
    """Return what a parameter of the family begins with."""
    specification, response = specification_of(model.family), model.design.response
    if one.name == "threshold":
        counts = np.bincount(response.astype(int), minlength=one.size + 1) + 1.0
        reached = counts.sum() if one.scale == "ordered" else np.cumsum(counts[::-1])[:0:-1]
        stopped = np.cumsum(counts)[:-1] if one.scale == "ordered" else counts[:-1]
        return np.asarray(FORWARD_LINKS[model.family.link](stopped / reached))
    known = specification.parameter(one.name)
    usual = 0.5 if known.is_share else known.guess or float(np.std(response))
    return np.array([usual if usual > 0 else 1.0])


def _theta_of_own(one: OwnParameter, value: np.ndarray) -> np.ndarray:
    """Return the part (size,) of theta that stands for a parameter's value (size,)."""
    if one.scale == "log":
        return np.asarray(np.log(value))
    if one.scale == "logit":
        return np.asarray(special.logit(value))
    if one.scale == "ordered":
        return np.concatenate([value[:1], np.log(np.diff(value))])
    return value


def precisions_of(parameters: Parameters, known: Natural) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct numbers (N, m) of D^-1, predictor by predictor, and log|D^-1| (N,).

    Behind them stand the values of the columns of monotonic effects at each level.
    """
    numbers, total = [np.empty((len(known.log_prior), 0))], np.zeros(len(known.log_prior))
    for variances, sds, partial in zip(parameters.predictors, known.sds, known.partials, strict=True):
        own, determinant = prior_precisions(variances, sds, partial)
        numbers.append(own)
        total += determinant
    numbers += [steps.values(shares) for steps, shares in zip(parameters.steps, known.shares, strict=True)]
    return np.ascontiguousarray(np.hstack(numbers)), total


def edges_of(parameters: Parameters) -> tuple[tuple[int, float], ...]:
    """Return the places in theta where the density ends slowly, as exp(rate theta): an SD near zero or near an end."""
    found: list[tuple[int, float]] = []
    start = 0
    for variances in parameters.predictors:
        for k, prior in enumerate(variances.sd_priors):
            if k in variances.ends:
                found += [(start + k, 1.0), (start + k, -1.0)]
                continue
            rate = np.inf if prior is None else rate_at_zero(prior, float(variances.units[k]))
            if rate < STEEPEST:
                found.append((start + k, rate))
        start += variances.size
    return tuple(found)
