"""The posterior density of the variances of a Gaussian model, all coefficients integrated out, and what theta means.

    log p(y | theta) = -n/2 log(2 pi s2) + 1/2 log|D^-1| - 1/2 log|P| - 1/2 (y'y / s2 - r'P^-1 r) + 1/2 sum log w

with P = W'W / s2 + D^-1, r = W'y / s2, and y already less what the prior's means predict. Coefficients may be measured
from any centre c: y is less W c as well, r gains -D^-1 c and y'y / s2 gains c'D^-1 c. Near what the data say these two
do not nearly cancel r'P^-1 r, whatever the units.

theta holds the log SDs, the residual's first, then the partial correlations on their atanh scale; of a block with a
structure where its one correlation or length-scale lies between the ends of its range, -1 and 1, in their place. Where
one row stands for each level of a block, only the total of its variance and the residual's is well known: these two are
then held as log total SD and the logit of the block's share, which straightens their ridge. An SD whose prior has two
ends is held as the logit of its place between them. Where the residual SDs are known, w is one over their squares and
s2 is 1: theta has nothing for it, while SDs (N, m) still begin with a column of ones.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from speclet_formula.common.correlations import log_stretch, number_at, structured_factors, wave_sds
from speclet_formula.common.structures import Structure
from speclet_formula.design import Design, centre_of
from speclet_formula.design.merged import row_count
from speclet_formula.errors import SamplingError
from speclet_formula.families.registry import has_known_errors, is_linear
from speclet_formula.inference.algebra.equations import System, build_system, moved
from speclet_formula.inference.algebra.layout import CoefficientLayout, layout_of
from speclet_formula.inference.algebra.solutions import cancelling, log_determinants, slopes, solve
from speclet_formula.inference.hierarchy import (
    column_units,
    first_precisions,
    group_means,
    group_priors,
    prior_means,
    rate_at_zero,
    slot_priors,
    why_not_normal,
)
from speclet_formula.model import Model
from speclet_formula.priors import Prior, log_density

# y'y / s2 + c'D^-1 c and r'P^-1 r nearly cancel where the centre is far from what the variances say. From this on their
# difference has fewer than three digits after the point; with the centre at the mode, that is far out in the tails.
MOST_CANCELLING = 1e-3 / np.finfo(float).eps
WORTH_MOVING = 1e-6 / np.finfo(float).eps  # from this on another centre is worth its while
MOVES = 4
LEAST_SPREAD = 1e-150  # of a wave: its precision is a number
SLOPE_STEP = 2e-5  # of differences of what theta stands for: their error is 1e-9 of themselves
# A block with fewer rows than this for each level shares its variance with the residual's.
ROWS_TO_TELL_APART = 1.5
STEEPEST = 4.0  # an end that falls off faster is never reached


@dataclass(frozen=True, eq=False)
class Variances:
    """What theta stands for."""

    layout: CoefficientLayout
    sd_priors: tuple[Prior | None, ...]  # the residual's, None if it is known, then one for each column of each block
    columns: tuple[tuple[int, ...], ...]  # positions in sd_priors of each block's columns
    partials: tuple[tuple[int, int, int, float], ...]  # block, i, j, and b of the partial correlation's Beta(b, b)
    lengths: dict[int, Prior]  # those of `partials` that are length-scales, as their share, with the length's prior
    precisions: np.ndarray  # (n_fixed + group means,) of their priors; 0 for a flat one
    shared: int | None  # the SD held as its share of the total with the residual's
    units: np.ndarray  # (m,) SDs of each that would explain the response
    ends: dict[int, tuple[float, float]]  # of the SDs whose priors have two
    structures: tuple[Structure | None, ...]  # of each block; one that correlates has a single partial, as its share
    saturated: bool = False  # whether the effects of a structure may reproduce every row, with no residual

    @property
    def size(self) -> int:
        """The length of theta."""
        return len(self.sd_priors) + len(self.partials) - self.has_known_residual

    @property
    def has_known_residual(self) -> bool:
        """Whether theta lacks the first SD, which is 1 for what the rows' weights say."""
        return self.sd_priors[:1] == (None,)


@dataclass(frozen=True, eq=False)
class Marginal:
    """The density of a model's variances."""

    system: System
    variances: Variances
    centre: np.ndarray  # (p,) the prior's means of the coefficients: what the system's own centre is measured from
    threads: int


def variances_of(model: Model, system: System) -> Variances:
    """Collect the priors that the variances of a model have."""
    layout, slots, predictor = system.layout, slot_priors(model), model.design.mean
    priors = group_priors(predictor, slots, (slots.get("sigma"),))
    shared = None if has_known_errors(model.family) else _shared(model, priors.columns)
    return Variances(
        layout=layout,
        sd_priors=priors.sd_priors,
        columns=priors.columns,
        partials=priors.partials,
        lengths=priors.lengths,
        precisions=first_precisions(predictor, slots, layout.means),
        shared=None if priors.ends.keys() & {0, shared} else shared,
        units=_units(system, priors.columns),
        ends=priors.ends,
        structures=priors.structures,
        saturated=_is_saturated(model),
    )


def _is_saturated(model: Model) -> bool:
    """Tell whether a block of a structure, or of a matrix, has an effect for each row; it leaves a residual."""
    n = row_count(model.design)
    return any(
        (block.structure or block.relation) is not None and len(block.levels) * len(block.columns) >= n
        for block in model.design.mean.groups
    )


def _units(system: System, columns: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Return a size for each SD: the response's, over that of its column."""
    layout, sizes = system.layout, system.units.coefficients
    firsts = [start + np.arange(width) for start, width in zip(layout.starts, layout.widths, strict=True)]
    return np.concatenate([[system.units.response], column_units(columns, [sizes[first] for first in firsts], 1)])


def _shared(model: Model, columns: tuple[tuple[int, ...], ...]) -> int | None:
    """Return the intercept's SD of the first block that has hardly more rows than levels."""
    n = row_count(model.design)
    for block, positions in zip(model.design.mean.groups, columns, strict=True):
        if "1" in block.columns and n < ROWS_TO_TELL_APART * len(block.levels):
            return positions[block.columns.index("1")]
    return None


def natural(variances: Variances, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return SDs (N, m), partial correlations (N, q) and the log Jacobian (N,) of N vectors theta (N, m + q)."""
    n_sds = len(variances.sd_priors)
    if variances.has_known_residual:
        theta = np.insert(theta, 0, 0.0, axis=1)
    logs = theta[:, :n_sds].copy()
    jacobian = np.zeros(len(theta))
    if variances.shared is not None:
        total, share = theta[:, 0], theta[:, variances.shared]
        logs[:, 0] = total + 0.5 * special.log_expit(-share)
        logs[:, variances.shared] = total + 0.5 * special.log_expit(share)
        jacobian -= np.log(2.0)
    for k, (low, high) in variances.ends.items():
        down, up = special.log_expit(-theta[:, k]), special.log_expit(theta[:, k])
        lowest = np.log(low) if low > 0 else -np.inf
        logs[:, k] = np.logaddexp(lowest + down, np.log(high) + up)  # low (1 - share) + high share
        jacobian += np.log(high - low) + down + up - logs[:, k]
    partial = np.tanh(theta[:, n_sds:])
    # d sd = sd d log sd;  d tanh(z) = (1 - tanh(z)^2) dz, from log cosh without cancellation
    jacobian += logs.sum(axis=1) - 2 * (np.logaddexp(theta[:, n_sds:], -theta[:, n_sds:]) - np.log(2)).sum(axis=1)
    return np.exp(logs), partial, jacobian


def theta_of(variances: Variances, sds: np.ndarray, partial: np.ndarray) -> np.ndarray:
    """Return the vectors theta (N, m + q) of SDs (N, m) and partial correlations (N, q): the inverse of `natural`."""
    theta = np.hstack([np.log(sds), np.arctanh(partial)])
    if variances.shared is not None:
        residual, shared = theta[:, 0].copy(), theta[:, variances.shared].copy()
        theta[:, 0] = 0.5 * np.logaddexp(2 * residual, 2 * shared)
        theta[:, variances.shared] = 2 * (shared - residual)
    for k, (low, high) in variances.ends.items():
        inside = np.finfo(float).eps  # a draw may be rounded to the end itself
        theta[:, k] = special.logit(np.clip((sds[:, k] - low) / (high - low), inside, 1 - inside))
    return theta[:, int(variances.has_known_residual) :]


def edges_of(variances: Variances) -> tuple[tuple[int, float], ...]:
    """Return the places in theta where the density ends slowly, as exp(rate theta): an SD near zero or near an end.

    Returns
    -------
    tuple of (place, rate)
        To the left, with a positive rate, theta's density falls as exp(rate theta); with a negative one to the right.
    """
    found: list[tuple[int, float]] = []
    for k, prior in enumerate(variances.sd_priors):
        if prior is None:
            continue
        rate = rate_at_zero(prior, float(variances.units[k]))
        if k in variances.ends:
            found += [(k, 1.0), (k, -1.0)]
        elif rate < STEEPEST and variances.shared is not None and k in (0, variances.shared):
            # Shares are as variances are, and the residual's is the rest.
            found.append((variances.shared, rate / 2 if k else -rate / 2))
        elif rate < STEEPEST and (k or variances.saturated):  # else with no residual the data have no density
            found.append((k, rate))
    return tuple((place - variances.has_known_residual, rate) for place, rate in found)


def log_prior(variances: Variances, sds: np.ndarray, partial: np.ndarray) -> np.ndarray:
    """Return the log prior density (N,) of SDs (N, m) and partial correlations (N, q)."""
    total = np.zeros(len(sds))
    for k, prior in enumerate(variances.sd_priors):
        total = total + (0.0 if prior is None else log_density(prior, sds[:, k]))
    for k, (block, _, _, shape) in enumerate(variances.partials):
        if k in variances.lengths:
            structure, share = variances.structures[block], partial[:, k]
            assert structure is not None
            length = number_at(structure, share, len(variances.columns[block]))
            total = total + log_density(variances.lengths[k], length) + log_stretch(structure, share)
            continue
        # Beta(b, b) on (-1, 1): Lewandowski, Kurowicka & Joe (2009), doi:10.1016/j.jmva.2009.04.008
        constant = special.betaln(shape, shape) + (2 * shape - 1) * np.log(2)
        total = total + (shape - 1) * np.log1p(-(partial[:, k] ** 2)) - constant
    return total


def length_scales(variances: Variances, block: int, partial: np.ndarray) -> np.ndarray:
    """Return the length-scales (N,) of a Gaussian process."""
    structure = variances.structures[block]
    assert structure is not None
    (own,) = (k for k, (owner, *_) in enumerate(variances.partials) if owner == block)
    return number_at(structure, partial[:, own], len(variances.columns[block]))


def correlation_factors(variances: Variances, block: int, partial: np.ndarray) -> np.ndarray:
    """Return the Cholesky factors (N, k, k) of a block's covariances for SDs of one; identities without a number."""
    width, structure = len(variances.columns[block]), variances.structures[block]
    if structure is not None and structure.shaped:
        (own,) = (k for k, (owner, *_) in enumerate(variances.partials) if owner == block)
        return structured_factors(structure, partial[:, own], width)
    of_pair = {(i, j): partial[:, k] for k, (owner, i, j, _) in enumerate(variances.partials) if owner == block}
    factors = np.zeros((len(partial), width, width))
    for j in range(width):
        left = np.ones(len(partial))
        for i in range(j):
            value = of_pair.get((i, j), np.zeros(len(partial)))
            factors[:, j, i] = value * left
            left = left * np.sqrt(1 - value**2)
        factors[:, j, j] = left
    return factors


def prior_precisions(variances: Variances, sds: np.ndarray, partial: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct numbers (N, m) of the prior's precision D^-1, in `precision`'s order, and log|D^-1| (N,).

    A flat prior has precision 0 and is left out of the determinant.
    """
    n = len(sds)
    known = variances.precisions[variances.precisions > 0]
    log_determinant = np.full(n, np.log(known).sum() + variances.layout.log_determinant)
    numbers = [np.broadcast_to(variances.precisions, (n, len(variances.precisions)))]
    for block, positions in enumerate(variances.columns):
        if len(positions) == 1:
            sizes = sds[:, positions[0]]
            numbers.append(sizes[:, None] ** -2.0)
            log_determinant = log_determinant - 2 * variances.layout.levels[block] * np.log(sizes)
            continue
        structure, own = variances.structures[block], sds[:, list(positions)]
        waves = structure is not None and structure.stretches
        if waves or all(owner != block for owner, *_ in variances.partials):  # no correlations, as in a smooth
            spreads = _wave_spreads(structure, length_scales(variances, block, partial), own) if waves else own
            shown, log_spreads = _diagonal_precisions(spreads)
            numbers.append(shown)
            log_determinant = log_determinant - 2 * variances.layout.levels[block] * log_spreads
            continue
        scaled = correlation_factors(variances, block, partial) * sds[:, list(positions), None]
        inverse = np.linalg.inv(scaled)
        rows, columns = np.triu_indices(len(positions))
        numbers.append((np.swapaxes(inverse, 1, 2) @ inverse)[:, rows, columns])
        diagonal = np.diagonal(scaled, axis1=1, axis2=2)
        log_determinant = log_determinant - 2 * variances.layout.levels[block] * np.log(diagonal).sum(axis=1)
    return np.ascontiguousarray(np.concatenate(numbers, axis=1)), log_determinant


def _wave_spreads(structure: Structure | None, lengths: np.ndarray, sds: np.ndarray) -> np.ndarray:
    """Return the SDs (N, k) of the waves."""
    assert structure is not None
    return np.maximum(wave_sds(structure, lengths, sds.shape[1]) * sds, LEAST_SPREAD)


def _diagonal_precisions(spreads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the upper triangles (N, k (k + 1) / 2) of diagonal precisions, and the sums of the SDs' logs (N,)."""
    rows, columns = np.triu_indices(spreads.shape[1])
    numbers = np.zeros((len(spreads), len(rows)))
    numbers[:, rows == columns] = spreads**-2.0
    return numbers, np.log(spreads).sum(axis=1)


def why_not_exact(model: Model) -> str:
    """Say what keeps a model from the exact engine; "" if it serves."""
    if has_known_errors(model.family) and not model.design.mean.groups:
        return f"the residual SDs of '{model.design.response_name}' are known, and there is no variance to draw"
    if not (is_linear(model.family) or has_known_errors(model.family)):
        return f"the family is {model.family.name} with the {model.family.link} link, not gaussian with identity"
    if reason := why_not_plain(model):
        return reason
    if reason := why_not_normal(model):
        return reason
    return "" if _coefficients(model) else "the model has no coefficients"


def why_not_plain(model: Model) -> str:
    """Say what makes a Gaussian model more than one residual SD around a mean; "" if nothing does."""
    design = model.design
    if design.varying:
        return f"'{next(iter(design.varying))}' has a formula of its own"
    if design.limits is not None:
        return f"the response '{design.response_name}' is {'truncated' if design.limits.status is None else 'censored'}"
    return why_not_free(design)


def why_not_free(design: Design) -> str:
    """Say which steps have to go one way, so that their sizes are not free; "" without monotonic effects."""
    names = [term.name for term in design.monotonic]
    return f"the steps of '{names[0]}' go one way, which method='hmc' keeps to" if names else ""


def _coefficients(model: Model) -> bool:
    return bool(model.design.mean.fixed or model.design.mean.groups)


def marginal_of(model: Model, *, threads: int = 1) -> Marginal:
    """Prepare the density of a model that `why_not_exact` lets pass."""
    slots, predictor = slot_priors(model), model.design.mean
    means = group_means(predictor, slots)
    layout = layout_of(model.design, means)
    centre = prior_means(predictor, slots, layout)
    shift = (predictor.X - centre_of(model.design)) @ centre[: layout.n_fixed]
    for position, (block, start) in enumerate(zip(predictor.groups, layout.starts, strict=True)):
        for column in range(len(block.slots)):
            place = start + column
            if (position, column) in means:
                place = layout.n_fixed + means.index((position, column))
            shift = shift + centre[place] * block.summed[:, column]
    precisions = first_precisions(predictor, slots, means)
    system = build_system(model.design, means=means, shift=shift, precisions=precisions)
    return Marginal(system, variances_of(model, system), centre, threads)


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
        usable = _usable(prior, sds, partial)
        if usable.any():
            density, bulk = _evaluated(marginal, sds[usable], partial[usable])
            density += prior[usable]
            result[usable] = np.where(np.isnan(density) | ~(bulk < MOST_CANCELLING), -np.inf, density)
    return result


def _usable(prior: np.ndarray, sds: np.ndarray, partial: np.ndarray) -> np.ndarray:
    """Return which (N,) variances have a prior density, and precisions that are numbers."""
    finite = np.isfinite(prior) & (sds > 0).all(axis=1) & np.isfinite(sds**-2.0).all(axis=1)
    return np.asarray(finite & (np.abs(partial) < 1).all(axis=1))


def sloped_log_posterior(marginal: Marginal, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the log posterior density of one vector theta (d,), as `log_posterior` does, and its gradient (d,).

    What needs the equations is exact, by Fisher's identity; how theta becomes variances is told by differences, which
    cost nothing.
    """
    variances, system, shifts = marginal.variances, marginal.system, SLOPE_STEP * np.eye(len(theta))
    nowhere = -np.inf, np.zeros(len(theta))
    with np.errstate(all="ignore"):
        sds, partial, jacobian = natural(variances, np.concatenate([theta[None], theta + shifts, theta - shifts]))
        plain = log_prior(variances, sds, partial) + jacobian
        if not _usable(plain, sds, partial).all():
            return nowhere
        numbers, log_prior_determinant = prior_precisions(variances, sds, partial)
        plain += 0.5 * log_prior_determinant
        s2, bulk = sds[:, 0] ** 2, cancelling(system, sds[:1, 0] ** 2, numbers[:1])[0]
        log_determinant, explained, by_s2, by_numbers = slopes(system, float(s2[0]), numbers[0])
        n, square = system.count, system.square / s2[0]
        value = plain[0] - 0.5 * (n * np.log(2 * np.pi * s2[0]) + log_determinant + square - explained)
        by_s2 += (n - square) / s2[0]
        by_plain, s2_by, numbers_by = (_changed(values) for values in (plain, s2, numbers))
        slope = by_plain - 0.5 * (by_s2 * s2_by + numbers_by @ by_numbers)
    if not np.isfinite(value) or not np.isfinite(slope).all() or not bulk < MOST_CANCELLING:
        return nowhere
    return float(value + 0.5 * system.log_weights), np.asarray(slope)


def _changed(values: np.ndarray) -> np.ndarray:
    """Return the derivatives (d, ...) of what was computed at a point, ahead of it and behind it, (1 + 2 d, ...)."""
    ahead, behind = np.split(values[1:], 2)
    return np.asarray((ahead - behind) / (2 * SLOPE_STEP))


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
