"""A Gaussian model goes in; the density of its variances, with all coefficients integrated out, comes out.

    log p(y | theta) = -n/2 log(2 pi s2) + 1/2 log|D^-1| - 1/2 log|P| - 1/2 (y'y / s2 - r'P^-1 r) + 1/2 sum log w

with P = W'W / s2 + D^-1, r = W'y / s2, and y already less what the prior's means predict. Coefficients may be measured
from any centre c: y is less W c as well, r gains -D^-1 c and y'y / s2 gains c'D^-1 c. Near what the data say these two
do not nearly cancel r'P^-1 r, whatever the units. Sampling is left to `sampling`, maximising to `reml`.
"""

from dataclasses import dataclass, replace

import numpy as np

from speclet_formula.design import centre_of
from speclet_formula.errors import SamplingError
from speclet_formula.inference.exact.variances import (
    Variances,
    first_precisions,
    hyperprior,
    log_prior,
    natural,
    number,
    prior_precisions,
    variances_of,
)
from speclet_formula.inference.precision import System, build_system, cancelling, log_determinants, moved, solve
from speclet_formula.model import Model
from speclet_formula.priors import Prior

# y'y / s2 + c'D^-1 c and r'P^-1 r nearly cancel where the centre is far from what the variances say. From this on their
# difference has fewer than three digits after the point; with the centre at the mode, that is far out in the tails.
MOST_CANCELLING = 1e-3 / np.finfo(float).eps
WORTH_MOVING = 1e-6 / np.finfo(float).eps  # from this on another centre is worth its while
MOVES = 4


@dataclass(frozen=True, eq=False)
class Marginal:
    """The density of a model's variances."""

    system: System
    variances: Variances
    centre: np.ndarray  # (p,) the prior's means of the coefficients: what the system's own centre is measured from
    threads: int


def why_not_exact(model: Model) -> str | None:
    """Say what keeps a model from the exact engine, or None if it serves."""
    if model.family.name != "gaussian" or model.family.link != "identity":
        return f"the family is {model.family.name} with the {model.family.link} link, not gaussian with identity"
    if reason := why_not_plain(model):
        return reason
    for slot in model.slots:
        if slot.kind in ("intercept", "b") and slot.prior.name not in ("Normal", "Flat"):
            return f"the prior of '{slot.slot}' is {slot.prior.name}, not Normal"
        mean = slot.prior.parameters.get("mu")
        if slot.kind == "group" and isinstance(mean, Prior) and mean.name != "Normal":
            return f"the prior of the mean of '{slot.slot}' is {mean.name}, not Normal"
    return None if _coefficients(model) else "the model has no coefficients"


def why_not_plain(model: Model) -> str | None:
    """Say what makes a Gaussian model more than one residual SD around a mean, or None if nothing does."""
    design = model.design
    if design.varying:
        return f"'{next(iter(design.varying))}' has a formula of its own"
    if design.limits is not None:
        return f"the response '{design.response_name}' is {'truncated' if design.limits.status is None else 'censored'}"
    return None


def _coefficients(model: Model) -> bool:
    return bool(model.design.mean.fixed or model.design.mean.groups)


def marginal_of(model: Model, *, threads: int = 1) -> Marginal:
    """Prepare the density of a model that `why_not_exact` lets pass."""
    slots = {slot.slot: slot.prior for slot in model.slots}
    blocks = model.design.mean.groups
    means = tuple(
        (position, column)
        for position, block in enumerate(blocks)
        for column, slot in enumerate(block.slots)
        if isinstance(slots[slot].parameters["mu"], Prior)
    )
    fixed_means = _fixed_means(model, slots)
    hyper_means = [number(hyperprior(slots[blocks[b].slots[c]], "mu"), "mu") for b, c in means]
    shift = (model.design.mean.X - centre_of(model.design)) @ fixed_means
    centre = [fixed_means, np.array(hyper_means)]
    for position, block in enumerate(blocks):
        known = np.zeros(len(block.slots))
        for column, slot in enumerate(block.slots):
            estimated = (position, column) in means
            known[column] = 0.0 if estimated else number(slots[slot], "mu")
            part = hyper_means[means.index((position, column))] if estimated else known[column]
            shift = shift + part * block.values[:, column]
        centre.append(np.tile(known, len(block.levels)))
    precisions = first_precisions(model, means)
    system = build_system(model.design, means=means, shift=shift, precisions=precisions)
    return Marginal(system, variances_of(model, system), np.concatenate(centre), threads)


def _fixed_means(model: Model, slots: dict[str, Prior]) -> np.ndarray:
    values: list[float] = []
    for term in model.design.mean.fixed:
        prior = slots[term.name]
        mean = 0.0 if prior.name == "Flat" else prior.parameters["mu"]
        values += list(np.broadcast_to(np.asarray(mean, dtype=float), term.stop - term.start))
    return np.array(values)


def settled(marginal: Marginal, sds: np.ndarray, partial: np.ndarray) -> Marginal:
    """Measure the coefficients from their means given some variances, where that saves digits.

    Parameters
    ----------
    marginal : Marginal
    sds : array of shape (m,)
    partial : array of shape (q,)
        Variances that the data make likely.

    Returns
    -------
    Marginal
        The same density.
    """
    s2, (numbers, _) = sds[None, 0] ** 2, prior_precisions(marginal.variances, sds[None], partial[None])
    for _ in range(MOVES):
        if not cancelling(marginal.system, s2, numbers)[0] > WORTH_MOVING:
            break
        step = solve(marginal.system, s2, numbers)[0]
        if not np.isfinite(step).all():
            break
        marginal = replace(marginal, system=moved(marginal.system, step))
    return marginal


def nothing_left(model: Model) -> SamplingError:
    """Return the error for a response that the terms reproduce without a rest."""
    response, name = model.design.response, model.design.response_name
    allowed = "A model needs a residual with a variance above zero."
    if np.ptp(response) == 0:
        what = f"'{name}' is {response[0]:g} in every row."
        return SamplingError(what, allowed, "Check the column: it says nothing of any term.")
    return SamplingError(
        f"nothing is left of '{name}': the model's terms reproduce every row.",
        allowed,
        "Check whether the response repeats within the levels, or leave a term out.",
    )


def log_posterior(marginal: Marginal, theta: np.ndarray) -> np.ndarray:
    """Return the log posterior density (N,) of N vectors theta (N, d), up to a constant; -inf where not finite."""
    result = np.full(len(theta), -np.inf)
    with np.errstate(all="ignore"):  # far out in the tails SDs overflow; these points get -inf below
        sds, partial, jacobian = natural(marginal.variances, theta)
        prior = log_prior(marginal.variances, sds, partial) + jacobian
        usable = np.isfinite(prior) & (sds > 0).all(axis=1) & np.isfinite(sds**-2.0).all(axis=1)
        usable &= (np.abs(partial) < 1).all(axis=1)
        if usable.any():
            density, bulk = _evaluated(marginal, sds[usable], partial[usable])
            density += prior[usable]
            result[usable] = np.where(np.isnan(density) | ~(bulk < MOST_CANCELLING), -np.inf, density)
    return result


def log_likelihood(marginal: Marginal, sds: np.ndarray, partial: np.ndarray) -> np.ndarray:
    """Return log p(y | theta), (N,), of SDs (N, m), the residual's first, and partial correlations (N, q)."""
    return _evaluated(marginal, sds, partial)[0]


def _evaluated(marginal: Marginal, sds: np.ndarray, partial: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log likelihoods (N,), and how large the numbers (N,) are whose difference they hold."""
    system = marginal.system
    s2 = sds[:, 0] ** 2
    numbers, log_prior_determinant = prior_precisions(marginal.variances, sds, partial)
    log_determinant, explained = log_determinants(system, s2, numbers, threads=marginal.threads).T
    n = system.count
    quadratic = system.square / s2 - explained
    density = (
        -0.5 * n * np.log(2 * np.pi * s2)
        + 0.5 * system.log_weights
        + 0.5 * (log_prior_determinant - log_determinant - quadratic)
    )
    return np.asarray(density), cancelling(system, s2, numbers)
