"""The Bambi priors of a Model's terms, and PyMC variables where Bambi would change a prior: its hook puts ours in.

Bambi itself knows uncorrelated effects with mean zero. Here are those with a mean, those that share an SD or the one
correlation or length-scale of a structure, and those that are correlated freely:
`u = mu + diag(sigma) L z` with `L` the Cholesky factor of an LKJ correlation, either from standard normals z
(non-centred) or column by column given the earlier ones (centred). Where the data say much about each level, effects
mix best as themselves (centred); where they say little, as multiples of their SD. Betancourt & Girolami (2013),
doi:10.48550/arXiv.1312.0906. Levels that are related, by a covariance A = R R', have R z in the place of z.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import bambi
import numpy as np
import pymc as pm
import pytensor.tensor as pt

from speclet_formula.common.correlations import CONSTANTS, FREEDOM
from speclet_formula.common.structures import Structure
from speclet_formula.design import Design, FixedTerm, GroupBlock, Predictor
from speclet_formula.design.design import mean_name, offset_name, sd_name
from speclet_formula.families import specification_of
from speclet_formula.inference.translation.names import bambi_names, group_term_name
from speclet_formula.model import Model
from speclet_formula.priors import Prior, Slot
from speclet_formula.priors.densities import shapes_of

type Hook = Callable[..., Any]

_AT_MEANS = "threshold_offset"  # what is sampled; Bambi leaves variables of such names out of its draws
# From this on, the data about a level weigh more than its prior: both ways mix alike near 1.
WEIGHT_OF_DATA = 1.0
FEWEST_ROWS = 3  # of a level whose SD is looked at


@dataclass(frozen=True)
class CorrelatedBlock:
    """What the hooks of one correlated block share."""

    correlation: str  # "cor|Subject"
    pair_dim: str  # "Subject__pair_dim"
    pairs: dict[str, tuple[int, int]]  # "1, Days", and which two of the slots it means
    slots: tuple[str, ...]  # "1|Subject", "Days|Subject"
    means: tuple[float, ...]  # each column's mean where it is a number; a hyper-mean is a variable of the model
    eta: float  # of the LKJ prior; of a structure, whose correlation is uniform, it is not looked at
    centred: bool
    structure: Structure | None
    root: np.ndarray | None  # R (levels, levels) of related levels


def bambi_priors(model: Model) -> dict[str, Any]:
    """Return every slot's prior under Bambi's name for it, with a dict for each parameter that has a formula."""
    constant = {slot.slot: _bambi_prior(slot.prior) for slot in model.slots if slot.kind == "family"}
    varying = {name: _predictor_priors(model, predictor) for name, predictor in model.design.varying.items()}
    if "threshold" in constant:
        constant["threshold"] = _threshold_prior(model, constant["threshold"])
    return constant | varying | _predictor_priors(model, model.design.mean)


def _threshold_prior(model: Model, prior: bambi.Prior) -> bambi.Prior:
    """Return the prior of an ordinal family's thresholds, built by our hook."""
    slot = next(slot for slot in model.slots if slot.slot == "threshold")
    increasing = specification_of(model.family).increasing
    hook = threshold_hook(slot.prior, len(model.design.levels) - 1, increasing=increasing)
    return bambi.Prior(slot.prior.name, auto_scale=False, dist=hook, **prior.args)


def _predictor_priors(model: Model, predictor: Predictor) -> dict[str, bambi.Prior]:
    """Return the priors of one linear predictor, under the names that its terms have without the parameter's."""
    slots = {slot.slot: slot for slot in model.slots}
    names = bambi_names(model.design)
    priors = {name: _fixed_prior(term, slots) for name, term in names.fixed(predictor).items()}
    for block in predictor.groups:
        told = [group_term_name(names, block, column) for column in block.columns]
        priors |= dict(zip(told, _block_priors(model, block, slots), strict=True))
    return priors


def _fixed_prior(term: FixedTerm, slots: Mapping[str, Slot]) -> bambi.Prior:
    """Return the prior of a fixed term's coefficients; of a monotonic effect's steps one that our hook builds."""
    prior = _bambi_prior(slots[term.name].prior)
    if not term.levels:
        return prior
    hook = monotonic_steps(term, slots[term.name].prior, slots[term.simplex].prior)
    return bambi.Prior(prior.name, auto_scale=False, dist=hook, **prior.args)


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
    sds = [_bambi_argument(prior.parameters["sigma"]) for prior in priors]
    if block.hom:
        same = bambi.Prior("HalfNormal", auto_scale=False, dist=shared_sd(block.slots[0]))
        sds[1:] = [same] * (len(sds) - 1)
    if block.structure is not None and block.stretches:
        length = slots[block.length_scale].prior
        hooks = [wave_effects(block, block.structure, length, k, centred=centred) for k in range(len(priors))]
        return [_hooked(*one) for one in zip(priors, hooks, sds, strict=True)]
    if block.correlated:
        shared = _correlated_block(block, priors, slots[block.correlation].prior, centred)
        hooks = [correlated_effects(shared, column) for column in range(len(priors))]
        return [_hooked(*one) for one in zip(priors, hooks, sds, strict=True)]
    if block.relation is not None or any(prior.has_mean for prior in priors):
        hook = shifted_effects(centred=centred, root=_root(block))
        return [_hooked(prior, hook, sd) for prior, sd in zip(priors, sds, strict=True)]
    if block.hom:
        return [bambi.Prior("Normal", auto_scale=False, noncentered=not centred, mu=0, sigma=sd) for sd in sds]
    return [_bambi_prior(prior, noncentered=not centred) for prior in priors]


def _hooked(prior: Prior, hook: Hook, sd: Any) -> bambi.Prior:
    """Return a prior that Bambi builds by our hook, with the SD and a mean that is not zero as its arguments."""
    arguments = {"mu": _bambi_argument(prior.parameters["mu"])} if prior.has_mean else {}
    return bambi.Prior(
        "Normal",
        auto_scale=False,
        dist=hook,
        noncentered=False,
        sigma=sd,
        **arguments,
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
        eta=float(np.asarray(correlation.parameters.get("eta", 1.0))),
        centred=centred,
        structure=block.structure,
        root=_root(block),
    )


def _root(block: GroupBlock) -> np.ndarray | None:
    """Return R of A = R R', in the order of a block's levels; None of independent ones."""
    return None if block.relation is None else block.relation.drawn(np.eye(len(block.levels)))


def threshold_hook(prior: Prior, count: int, *, increasing: bool) -> Any:
    """Return the function that Bambi calls for the prior of thresholds.

    Parameters
    ----------
    prior : Prior
        Of each threshold at the predictors' means.
    count : int
        Number of thresholds.
    increasing : bool
        Whether each is greater than the one before.
    """
    start = np.linspace(-1, 1, count) if count > 1 else np.zeros(1)
    order = {"transform": pm.distributions.transforms.ordered, "initval": start} if increasing and count > 1 else {}

    def build(_name: str, *, dims: str, **arguments: Any) -> Any:
        return getattr(pm, prior.name)(_AT_MEANS, dims=dims, **arguments, **order)

    return build


def centred_family(kind: Any, design: Design) -> Any:
    """Return a family of Bambi whose thresholds belong to the predictors as they are, made from those at their means.

    Parameters
    ----------
    kind : type
        bambi's Cumulative or StoppingRatio.
    design : Design
    """

    class Centred(kind):  # type: ignore[misc]
        """The family, with thresholds moved."""

        @staticmethod
        def transform_backend_eta(eta: Any, kwargs: dict[str, Any]) -> Any:
            moved = kwargs["threshold"] + _at_means(design)
            threshold = pm.Deterministic("threshold", moved, dims="threshold_dim")
            return kind.transform_backend_eta(eta, {**kwargs, "threshold": threshold})

    return Centred


def _at_means(design: Design) -> Any:
    """Return the fixed part of the linear predictor at the predictors' means, in the model that is being built."""
    variables = pm.modelcontext(None).named_vars
    total: Any = 0.0
    for term in design.mean.fixed:
        means = design.mean.X[:, term.start : term.stop].mean(axis=0)
        total = total + (variables[term.variable] * (means if term.dim else means[0])).sum()
    return total


def monotonic_steps(term: FixedTerm, average: Prior, shares: Prior) -> Hook:
    """Return a hook for the steps of a monotonic effect: the average one times their number times their shares."""
    count = term.stop - term.start

    def build(name: str, *, dims: Sequence[str], **arguments: Any) -> Any:
        size = getattr(pm, average.name)(f"{name}_average", **arguments)
        parts = pm.Dirichlet(f"{name}_simplex", a=shapes_of(shares, count))
        return pm.Deterministic(name, size * count * parts, dims=dims)

    return build


def shared_sd(first: str) -> Hook:
    """Return a hook for the SD of a further column that shares the first one's, under its own name."""

    def build(name: str, *, dims: Sequence[str] = ()) -> Any:
        return pm.Deterministic(name, pm.modelcontext(None)[sd_name(first)], dims=dims)

    return build


def shifted_effects(*, centred: bool, root: np.ndarray | None) -> Hook:
    """Return a hook for uncorrelated effects of related levels, or around a mean.

    Bambi knows no relations, and leaves the mean out when it samples non-centred.
    """

    def build(name: str, *, sigma: Any, mu: Any = 0.0, dims: Sequence[str]) -> Any:
        if centred:
            return _normal(name, mu, sigma, root, dims)
        offset = pm.Normal(offset_name(name), dims=dims)
        return pm.Deterministic(name, mu + sigma * _between_levels(root, offset), dims=dims)

    return build


def wave_effects(block: GroupBlock, structure: Structure, prior: Prior, column: int, *, centred: bool) -> Hook:
    """Return the hook for one wave of a Gaussian process: `wave_sds` in PyTensor, of one length-scale for all."""

    def build(name: str, *, sigma: Any, dims: Sequence[str]) -> Any:
        model, own = pm.modelcontext(None), block.length_scale
        known = own in model.named_vars
        length = model[own] if known else getattr(pm, prior.name)(own, **prior.parameters)
        return shifted_effects(centred=centred, root=None)(
            name, sigma=sigma * _wave_sd(structure, length, column), dims=dims
        )

    return build


def _wave_sd(structure: Structure, length: Any, column: int) -> Any:
    ratio = length / structure.reach
    square = (ratio * (column + 1) * np.pi / 2) ** 2
    if structure.kernel == "exp_quad":
        return pt.sqrt(np.sqrt(2 * np.pi) * ratio) * pt.exp(-square / 4)
    freedom = FREEDOM[structure.kernel]
    return pt.sqrt(CONSTANTS[structure.kernel] * ratio) * (freedom + square) ** (-(freedom + 1) / 4)


def _between_levels(root: np.ndarray | None, standard: Any) -> Any:
    """Make independent standard numbers (levels,) vary together as related levels do."""
    return standard if root is None else pt.constant(root) @ standard


def _normal(name: str, mu: Any, sigma: Any, root: np.ndarray | None, dims: Sequence[str]) -> Any:
    """Return normal effects, independent or with the covariance sigma^2 R R'.

    PyMC's MvNormal would multiply R out and factor it again for each density.
    """
    if root is None:
        return pm.Normal(name, mu=mu, sigma=sigma, dims=dims)
    inverse, constant = np.linalg.inv(root), -np.linalg.slogdet(root)[1] - 0.5 * len(root) * np.log(2 * np.pi)

    def log_density(value: Any, mean: Any, sd: Any) -> Any:
        standard = (pt.constant(inverse) @ (value - mean)) / sd
        return constant - len(root) * pt.log(sd[0]) - 0.5 * (standard**2).sum()

    def draw(mean: np.ndarray, sd: np.ndarray, rng: np.random.Generator, size: Any = None) -> np.ndarray:
        return np.asarray(mean + sd * (rng.standard_normal((*(size or ()), len(root))) @ root.T))

    zeros = np.zeros(len(root))
    return pm.CustomDist(
        name, mu + zeros, sigma + zeros, logp=log_density, random=draw, signature="(n),(n)->(n)", dims=dims
    )


def correlated_effects(block: CorrelatedBlock, column: int) -> Hook:
    """Return the hook for one column of a correlated block; Bambi calls the columns' hooks in order."""

    def build(name: str, *, sigma: Any, mu: Any = 0.0, dims: Sequence[str]) -> Any:
        rows = _cholesky_rows(block)
        if block.centred:
            return _centred_column(block, column, name, sigma, mu, rows, dims)
        scores = [_between_levels(block.root, _scores(slot, dims)) for slot in block.slots[: column + 1]]
        effect = mu + sigma * sum(weight * score for weight, score in zip(rows[column], scores, strict=True))
        return pm.Deterministic(name, effect, dims=dims)

    return build


def _scores(slot: str, dims: Sequence[str]) -> Any:
    """Return the standard normals of one column, made by whichever hook asks first."""
    name = offset_name(slot)
    model = pm.modelcontext(None)
    return model[name] if name in model.named_vars else pm.Normal(name, dims=dims)


def _centred_column(
    block: CorrelatedBlock, column: int, name: str, sigma: Any, mu: Any, rows: list[list[Any]], dims: Sequence[str]
) -> Any:
    """Make one column given the earlier ones: its conditional normal under the shared correlation."""
    model = pm.modelcontext(None)
    scores: list[Any] = []
    for slot, number, row in zip(block.slots[:column], block.means, rows, strict=False):
        mean = model.named_vars.get(mean_name(slot), number)
        standard = (model[slot] - mean) / model[sd_name(slot)]
        scores.append((standard - _weighted(row, scores)) / row[-1])
    row = rows[column]
    return _normal(name, mu + sigma * _weighted(row, scores), sigma * row[-1], block.root, dims)


def _weighted(weights: list[Any], scores: list[Any]) -> Any:
    """Return the sum of the scores so far, each by its weight; 0 when there is none."""
    return sum((weight * score for weight, score in zip(weights, scores, strict=False)), 0.0)


def _cholesky_rows(block: CorrelatedBlock) -> list[list[Any]]:
    """Return the rows of the Cholesky factor of an LKJ(eta) correlation, by its partial correlations.

    The partial correlations of the canonical vine are independent under LKJ(eta), each 2 Beta(b, b) - 1 with
    b = eta + (k - 2 - i) / 2 for the i-th conditioning column (Lewandowski, Kurowicka & Joe 2009,
    doi:10.1016/j.jmva.2009.04.008), so that no Jacobian and no matrix decomposition is needed: a generic Cholesky
    takes a minute to compile.
    """
    if block.structure is not None:
        return _structured_rows(block, block.structure)
    size = len(block.slots)
    pairs = list(combinations(range(size), 2))
    partial = dict(zip(pairs, _partial_correlations(block, pairs), strict=True))
    rows: list[list[Any]] = []
    for j in range(size):
        row, left = [], pt.constant(1.0)
        for i in range(j):
            row.append(partial[i, j] * left)
            left = left * pt.sqrt(1 - partial[i, j] ** 2)
        rows.append([*row, left])
    _register_correlations(block, rows)
    return rows


def _structured_rows(block: CorrelatedBlock, structure: Structure) -> list[list[Any]]:
    """Return the rows of the factor of one correlation rho, uniform in its range: `structured_factors` in PyTensor."""
    model, k, name = pm.modelcontext(None), len(block.slots), f"{block.correlation}_partial"
    place = model[name] if name in model.named_vars else pm.Beta(name, alpha=1.0, beta=1.0)
    width = 1 - structure.lowest(k)
    rho, gap = structure.lowest(k) + width * place, width * (1 - place)
    powers = [pt.constant(1.0)]
    for _ in range(1, k):
        powers.append(powers[-1] * rho if structure.function == "ar1" else rho)
    if block.correlation not in model.named_vars:
        model.add_coords({block.pair_dim: tuple(block.pairs)})
        entries = [powers[j - i] for i, j in block.pairs.values()]
        pm.Deterministic(block.correlation, pt.stack(entries), dims=block.pair_dim)
    if structure.function == "ar1":
        rest = pt.sqrt(gap * (1 + rho))
        return [[powers[i], *(powers[i - j] * rest for j in range(1, i + 1))] for i in range(k)]
    sums = [1 + j * rho for j in range(k - 1)] + [(k - 1) * width * place]  # 1 + (k - 1) rho, where nothing cancels
    diagonal = [powers[0], *(pt.sqrt(gap * here / before) for before, here in pairwise(sums))]
    below = [rho, *(rho * pt.sqrt(gap / (before * here)) for before, here in pairwise(sums[:-1]))]
    return [[*below[:i], diagonal[i]] for i in range(k)]


def _partial_correlations(block: CorrelatedBlock, pairs: list[tuple[int, int]]) -> list[Any]:
    """Return one partial correlation for each pair of columns, made by whichever hook asks first."""
    model = pm.modelcontext(None)
    name = f"{block.correlation}_partial"
    if name in model.named_vars:
        halves = model[name]
    else:
        shape = [block.eta + (len(block.slots) - 2 - i) / 2 for i, _ in pairs]
        model.add_coords({block.pair_dim: tuple(block.pairs)})
        halves = pm.Beta(name, alpha=shape, beta=shape, dims=block.pair_dim)
    return [2 * halves[position] - 1 for position in range(len(pairs))]


def _register_correlations(block: CorrelatedBlock, rows: list[list[Any]]) -> None:
    if block.correlation not in pm.modelcontext(None).named_vars:
        entries = [sum(a * b for a, b in zip(rows[i], rows[j], strict=False)) for i, j in block.pairs.values()]
        pm.Deterministic(block.correlation, pt.stack(entries), dims=block.pair_dim)


def prefers_centred(design: Design, block: GroupBlock) -> bool:
    """Say whether the block's effects mix better centred, judged by a one-way analysis of variance.

    The response's variance within levels also holds what other terms explain, so that the data's weight comes out too
    small rather than too large. Effects on sigma are judged by the logarithms of the levels' SDs, those on other
    parameters are not centred: the data say little about them.
    """
    if block.prefix:
        return block.prefix == "sigma_" and _spreads_differ(design, block)
    codes, sizes = _observed(block)
    spare = sizes.sum() - len(sizes)
    if spare <= 0:
        return False  # one row per level: nothing but the prior tells effect and residual apart
    y = design.response if design.trials is None else design.response / np.maximum(design.trials, 1)
    means = np.bincount(codes, weights=y) / sizes
    within = float(((y - means[codes]) ** 2).sum() / spare)
    typical = float(np.median(sizes))
    between = float(np.var(means)) - within / typical
    return typical * between > WEIGHT_OF_DATA * within


def _spreads_differ(design: Design, block: GroupBlock) -> bool:
    """Compare the variance of log SDs between levels with their sampling variance, 1 / (2 (n - 1)) each."""
    codes, sizes = _observed(block)
    if sizes.min() < FEWEST_ROWS:
        return False
    means = np.bincount(codes, weights=design.response) / sizes
    squares = np.bincount(codes, weights=(design.response - means[codes]) ** 2)
    if squares.min() <= 0:
        return False
    error = 1 / (2 * (float(np.median(sizes)) - 1))
    between = float(np.var(0.5 * np.log(squares / (sizes - 1)))) - error
    return between > WEIGHT_OF_DATA * error


def _observed(block: GroupBlock) -> tuple[np.ndarray, np.ndarray]:
    """Return codes among the levels that have rows, and their numbers of rows: a fold leaves some levels none.

    Of rows with several levels the first one is looked at.
    """
    places = block.places if block.shares is None else block.places[:, 0]
    _, codes, sizes = np.unique(places, return_inverse=True, return_counts=True)
    return codes, sizes.astype(float)
