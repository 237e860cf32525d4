"""The priors of a whole model: draws from them, shaped and named as a posterior, and their density at draws.

So whatever reads a posterior reads them too. Group effects are drawn from the SDs and correlations drawn before.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from speclet_formula.common.correlations import structured_pairs, wave_sds
from speclet_formula.common.seeds import generator
from speclet_formula.design import Design, FixedTerm, GroupBlock, Predictor
from speclet_formula.design.merged import column_means
from speclet_formula.errors import DataError, PriorError
from speclet_formula.families import specification_of
from speclet_formula.model import Model
from speclet_formula.posterior.draws import Draws
from speclet_formula.posterior.estimates import Array
from speclet_formula.priors import Prior, Slot, draw, log_density, matrices_of, pairs_of

MOST_TRIES = 2000  # new draws of thresholds that do not increase
type _Drawn = tuple[tuple[str, ...], Array, dict[str, Any]]  # dimensions, values with draws first, coordinates


def prior_draws(model: Model, draws: int = 500, *, random_seed: int | None = None) -> xr.Dataset:
    """Draw every parameter from its prior.

    Parameters
    ----------
    model : Model
        Its response is looked at only where the default priors were scaled to it.
    draws : int
        How many.
    random_seed : int, optional
        The same seed gives the same draws.

    Returns
    -------
    xarray.Dataset
        One chain, under the names and coordinates of a posterior. The intercept is the formula's own; its prior holds
        at the predictors' means.

    Raises
    ------
    PriorError
        A prior is improper (flat).
    DataError
        `draws` is not a positive whole number.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> from speclet_formula.posterior.prior_draws import prior_draws
    >>> list(prior_draws(sf.Model("log_fc ~ (1 | gene)", data), 10, random_seed=1))
    ['Intercept', '1|gene', '1|gene_sigma', 'sigma']
    """
    check_draws(draws)
    rng, slots = generator(random_seed), {slot.slot: slot for slot in model.slots}
    drawn: dict[str, _Drawn] = {}
    for predictor in model.design.predictors:
        drawn |= _fixed(model.design, predictor, slots, rng, draws)
        for block in predictor.groups:
            drawn |= _block(block, slots, rng, draws)
    for name in (name for name in model.family.parameters if name not in model.design.varying):
        if name == "threshold":
            drawn[name] = _thresholds(model, slots[name], drawn, rng, draws)
        else:
            drawn[name] = ((), _drawn(slots[name], slots[name].prior, rng, draws), {})
    coords = {"chain": [0], "draw": np.arange(draws)}
    variables = {}
    for name, (dims, values, labels) in drawn.items():
        variables[name] = (("chain", "draw", *dims), values[np.newaxis])
        coords |= labels
    return xr.Dataset(variables, coords)


def log_prior(model: Model, draws: Draws) -> Array:
    """Return the joint log density of all priors but that of the group effects, (chains, draws)."""
    priors = {slot.slot: slot.prior for slot in model.slots}
    total = np.zeros(len(draws))
    for predictor in model.design.predictors:
        total += _log_prior_of_predictor(model.design, predictor, priors, draws)
    for name in (name for name in model.family.parameters if name not in model.design.varying):
        values = draws.parameter(name)
        if name == "threshold":  # as of an intercept; that they increase only adds a constant
            values = values - _at_means(model.design, model.design.mean, draws)
        total += log_density(priors[name], values).sum(axis=-1)
    return draws.by_chain(total)


def check_draws(draws: int) -> None:
    """Raise a DataError unless the number of draws is a positive whole one."""
    if type(draws) is not int or draws < 1:
        raise DataError(
            f"draws={draws!r} is out of range.",
            "draws is a whole number of at least 1.",
            "Leave draws= out for its default.",
        )


def _fixed(
    design: Design, predictor: Predictor, slots: dict[str, Slot], rng: np.random.Generator, draws: int
) -> dict[str, _Drawn]:
    """Draw the coefficients; the intercept's prior is moved from the predictors' means to zero."""
    drawn = {term.name: _of_term(term, slots, rng, draws) for term in predictor.fixed}
    means = column_means(design, predictor.X) if len(predictor.X) else np.zeros(predictor.X.shape[1])
    for term in predictor.fixed:
        if term.kind == "intercept":
            others = [slope for slope in predictor.fixed if slope.kind != "intercept"]
            for slope in others:
                drawn[term.name] = drawn[term.name] - drawn[slope.name] @ means[slope.start : slope.stop, np.newaxis]
    return {
        term.variable: ((term.dim,), drawn[term.name], {term.dim: list(term.coords)})
        if term.dim
        else ((), drawn[term.name][:, 0], {})
        for term in predictor.fixed
    }


def _thresholds(model: Model, slot: Slot, known: dict[str, _Drawn], rng: np.random.Generator, draws: int) -> _Drawn:
    """Draw the thresholds between levels at the predictors' means, and move them to zero as an intercept."""
    design, count = model.design, len(model.design.levels) - 1
    drawn = _coefficients(slot, count, rng, draws)
    if specification_of(model.family).increasing:
        drawn = _increasing(drawn, lambda: _coefficients(slot, count, rng, draws), slot)
    means = column_means(design, design.mean.X) if len(design.mean.X) else np.zeros(design.mean.X.shape[1])
    for term in design.mean.fixed:
        values = known[term.variable][1].reshape(draws, -1)
        drawn = drawn + values @ means[term.start : term.stop, np.newaxis]
    return ("threshold_dim",), drawn, {"threshold_dim": list(range(count))}


def _increasing(drawn: Array, again: Callable[[], Array], slot: Slot) -> Array:
    """Draw again what does not increase, which is the prior given that the thresholds do."""
    for _ in range(MOST_TRIES):
        wrong = np.flatnonzero((np.diff(drawn, axis=1) < 0).any(axis=1))
        if not len(wrong):
            return drawn
        drawn = drawn.copy()
        drawn[wrong] = again()[wrong]
    raise PriorError(
        f"'{slot.slot}': {slot.prior} hardly ever gives thresholds that increase.",
        "The thresholds of ordered levels increase, and a prior of each may not forbid it.",
        "Give each threshold a mean of its own, in their order: Prior('Normal', mu=[-1, 0, 1], sigma=1).",
    )


def _block(block: GroupBlock, slots: dict[str, Slot], rng: np.random.Generator, draws: int) -> dict[str, _Drawn]:
    """Draw SDs, means and correlations of a block, and from these its effects."""
    k, levels = len(block.columns), len(block.levels)
    parameters = [slots[name].prior.parameters for name in block.slots]
    estimated = list(zip(block.slots, parameters, strict=True))[: 1 if block.hom else k]
    sds = np.column_stack([_hyper(slots[s], p["sigma"], rng, draws) for s, p in estimated])
    sds = np.repeat(sds, k // len(estimated), axis=1)
    means = np.column_stack(
        [_hyper(slots[s], p["mu"], rng, draws) for s, p in zip(block.slots, parameters, strict=True)]
    )
    factor = np.broadcast_to(np.eye(k), (draws, k, k))
    correlations: dict[str, _Drawn] = {}
    if block.correlated:
        name = block.correlation
        matrices = _correlations(block, slots[name].prior, rng, draws)
        factor = np.linalg.cholesky(matrices)
        correlations[name] = ((block.pair_dim,), pairs_of(matrices), {block.pair_dim: list(block.pairs)})
    if block.structure is not None and block.stretches:
        lengths = draw(slots[block.length_scale].prior, rng, draws)
        factor = wave_sds(block.structure, lengths, k)[:, :, np.newaxis] * np.eye(k)
        correlations[block.length_scale] = ((), lengths, {})
    standard = block.between_levels(rng.standard_normal((draws, levels, k)))
    effects = np.einsum("sij,slj->sli", factor, standard) * sds[:, np.newaxis]
    effects += means[:, np.newaxis]
    own: dict[str, _Drawn] = {}
    for column, (slot, stated) in enumerate(zip(block.slots, parameters, strict=True)):
        own[slot] = ((block.dim,), effects[:, :, column], {block.dim: list(block.levels)})
        own[block.sds[column]] = ((), sds[:, column], {})
        if isinstance(stated["mu"], Prior):
            own[block.means[column]] = ((), means[:, column], {})
    return own | correlations


def _correlations(block: GroupBlock, prior: Prior, rng: np.random.Generator, draws: int) -> Array:
    """Draw correlation matrices, (draws, k, k)."""
    k = len(block.columns)
    if block.structure is None:
        return np.asarray(draw(prior, rng, draws, dimension=k))
    return matrices_of(structured_pairs(block.structure, draw(prior, rng, draws), k))


def _hyper(slot: Slot, value: Any, rng: np.random.Generator, draws: int) -> Array:
    """Draw a hyperparameter, or repeat the number that it is."""
    return _drawn(slot, value, rng, draws) if isinstance(value, Prior) else np.full(draws, float(value))


def _of_term(term: FixedTerm, slots: dict[str, Slot], rng: np.random.Generator, draws: int) -> Array:
    """Draw a fixed term's coefficients, (draws, columns); of a monotonic effect the average step by the shares."""
    count = term.stop - term.start
    if not term.levels:
        return _coefficients(slots[term.name], count, rng, draws)
    average = _coefficients(slots[term.name], 1, rng, draws)
    return average * count * draw(slots[term.simplex].prior, rng, draws, dimension=count)


def _coefficients(slot: Slot, k: int, rng: np.random.Generator, draws: int) -> Array:
    """Draw a term's coefficients, (draws, k): a prior of vectors gives all at once, one of numbers each by itself."""
    vector = any(np.ndim(value) for value in slot.prior.parameters.values() if not isinstance(value, Prior))
    return _drawn(slot, slot.prior, rng, draws) if vector else _drawn(slot, slot.prior, rng, (draws, k))


def _drawn(slot: Slot, prior: Prior, rng: np.random.Generator, size: int | tuple[int, ...]) -> Array:
    """Draw from a prior; an error names the slot that has it."""
    try:
        return draw(prior, rng, size)
    except PriorError as error:
        raise PriorError(f"'{slot.slot}': {error.problem}", error.allowed, error.remedy) from error


def _log_prior_of_predictor(design: Design, predictor: Predictor, priors: Mapping[str, Prior], draws: Draws) -> Array:
    """Return the log density, (draws,), of the priors of a linear predictor's coefficients, SDs and correlations."""
    total = np.zeros(len(draws))
    for term in predictor.fixed:
        values = draws.term(term)
        if term.levels:
            values, shares = draws.steps(term)
            total += log_density(priors[term.simplex], shares)
        if term.kind == "intercept":
            values = values + _at_means(design, predictor, draws)
        total += log_density(priors[term.name], values).sum(axis=-1)
    for block in predictor.groups:
        sds = draws.sds(block)
        if block.correlated:
            known = draws.correlation(block)
            of_one = block.structure is not None
            total += log_density(priors[block.correlation], known[:, 0] if of_one else matrices_of(known))
        if block.stretches:
            total += log_density(priors[block.length_scale], draws.length_scale(block)[:, 0])
        for column, (slot, name) in enumerate(zip(block.slots, block.means, strict=True)):
            mean, sd = (priors[slot].parameters[part] for part in ("mu", "sigma"))
            shared = block.hom and column > 0
            total += log_density(sd, sds[:, column]) if isinstance(sd, Prior) and not shared else 0.0
            total += log_density(mean, draws.variable(name, 1)[:, 0]) if isinstance(mean, Prior) else 0.0
    return total


def _at_means(design: Design, predictor: Predictor, draws: Draws) -> Array:
    """Return what all but the intercept add at the predictors' means, (draws, 1), where the intercept's prior holds."""
    means = np.where(np.arange(predictor.X.shape[1]) < predictor.has_intercept, 0.0, column_means(design, predictor.X))
    return draws.coefficients(predictor) @ means[:, np.newaxis]


def truth_from_priors(model: Model, rng: np.random.Generator) -> dict[str, Any]:
    """Draw every scalar parameter from its prior; group effects are left to `simulate`, which draws them from these.

    Parameters
    ----------
    model : Model
        Its response is not looked at; its priors are taken as they are.
    rng : numpy.random.Generator

    Returns
    -------
    dict
        What `simulate` takes. The intercept's prior holds at the predictors' means; here it is the formula's own, at
        zero.

    Raises
    ------
    PriorError
        A prior is improper (flat).

    Examples
    --------
    >>> import numpy as np, speclet_formula as sf
    >>> from speclet_formula.posterior.prior_draws import truth_from_priors
    >>> data, _ = sf.datasets.m7()
    >>> model = sf.Model("log_fc ~ (1 | gene)", data, priors="notebook")
    >>> sorted(truth_from_priors(model, np.random.default_rng(1)))
    ['1|gene_sigma', 'Intercept', 'sigma']
    """
    slots = {slot.slot: slot for slot in model.slots}
    values: dict[str, Any] = {}
    for predictor in model.design.predictors:
        for term in predictor.fixed:
            drawn = _of_term(term, slots, rng, 1)[0]
            values |= dict(zip(term.columns, drawn.tolist(), strict=True))
        if predictor.has_intercept:
            values[predictor.columns[0]] -= _truth_at_means(predictor, values)
        for block in predictor.groups:
            values |= _block_truth(block, slots, rng)
    constant = (name for name in model.family.parameters if name not in model.design.varying)
    return values | {name: float(_drawn(slots[name], slots[name].prior, rng, 1)[0]) for name in constant}


def check_proper(model: Model) -> None:
    """Raise a PriorError if a prior cannot be drawn from."""
    truth_from_priors(model, np.random.default_rng(0))


def _truth_at_means(predictor: Predictor, values: Mapping[str, float]) -> float:
    """Return what the coefficients but the intercept add at the means of their columns."""
    others = [term for term in predictor.fixed if term.kind != "intercept"]
    means = predictor.X.mean(axis=0)
    return sum(
        float(means[term.start + column]) * values[label]
        for term in others
        for column, label in enumerate(term.columns)
    )


def _block_truth(block: GroupBlock, slots: dict[str, Slot], rng: np.random.Generator) -> dict[str, Any]:
    """Draw the SDs, means and correlations of a block."""
    values: dict[str, Any] = {}
    for slot, sd_name, mean_name in zip(block.slots, block.sds, block.means, strict=True):
        mean, sd = (slots[slot].prior.parameters[part] for part in ("mu", "sigma"))
        shared = values[block.sds[0]] if block.hom and sd_name != block.sds[0] else None
        values[sd_name] = float(_hyper(slots[slot], sd, rng, 1)[0]) if shared is None else shared
        if isinstance(mean, Prior) or float(np.asarray(mean)):
            values[mean_name] = float(_hyper(slots[slot], mean, rng, 1)[0])
    if block.correlated:
        values[block.correlation] = _correlations(block, slots[block.correlation].prior, rng, 1)[0]
    if block.stretches:
        values[block.length_scale] = float(draw(slots[block.length_scale].prior, rng, 1)[0])
    return values
