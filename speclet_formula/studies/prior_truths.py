"""A model goes in; true parameters drawn from its priors come out, by the names that `simulate` takes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from speclet_formula.design import FixedTerm, GroupBlock
from speclet_formula.errors import PriorError
from speclet_formula.model import Model
from speclet_formula.priors import Prior, draw


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
    >>> from speclet_formula.studies.prior_truths import truth_from_priors
    >>> data, _ = sf.datasets.m7()
    >>> model = sf.Model("log_fc ~ (1 | gene)", data, priors="notebook")
    >>> sorted(truth_from_priors(model, np.random.default_rng(1)))
    ['1|gene_sigma', 'Intercept', 'sigma']
    """
    priors = {slot.slot: slot.prior for slot in model.slots}
    values: dict[str, Any] = {}
    for term in model.design.mean.fixed:
        values |= dict(zip(term.columns, _coefficients(term, priors[term.name], rng), strict=True))
    if "Intercept" in values:
        values["Intercept"] -= _at_means(model, values)
    for block in model.design.mean.groups:
        values |= _block(block, priors, rng)
    return values | {name: float(draw(priors[name], rng)) for name in model.family.parameters}


def check_proper(model: Model) -> None:
    """Raise a PriorError if a prior cannot be drawn from."""
    truth_from_priors(model, np.random.default_rng(0))


def _coefficients(term: FixedTerm, prior: Prior, rng: np.random.Generator) -> list[float]:
    """Draw a term's coefficients: a prior of vectors gives all at once, one of numbers each by itself."""
    try:
        drawn = np.atleast_1d(draw(prior, rng))
        others = [draw(prior, rng) for _ in term.columns[1:]] if len(drawn) == 1 else []
    except PriorError as error:
        raise PriorError(f"'{term.name}': {error.problem}", error.allowed, error.remedy) from error
    return [float(value) for value in np.concatenate([drawn, *map(np.atleast_1d, others)])]


def _at_means(model: Model, values: Mapping[str, float]) -> float:
    """Return what the other coefficients add at the predictors' means."""
    others = [term for term in model.design.mean.fixed if term.kind != "intercept"]
    means = model.design.mean.X.mean(axis=0)
    return sum(
        float(means[term.start + place]) * values[label] for term in others for place, label in enumerate(term.columns)
    )


def _block(block: GroupBlock, priors: Mapping[str, Prior], rng: np.random.Generator) -> dict[str, Any]:
    """Draw the SDs, means and correlations of a block."""
    values: dict[str, Any] = {}
    for slot in block.slots:
        mean, sd = priors[slot].parameters["mu"], priors[slot].parameters["sigma"]
        values[f"{slot}_sigma"] = float(draw(_prior(sd), rng))
        if isinstance(mean, Prior) or float(np.asarray(mean)):
            values[f"{slot}_mu"] = float(draw(mean, rng)) if isinstance(mean, Prior) else float(np.asarray(mean))
    if block.correlated:
        name = block.correlation
        values[name] = draw(priors[name], rng, dimension=len(block.columns))
    return values


def _prior(value: Any) -> Prior:
    """Return a hyperprior; a group term's SD always has one."""
    prior: Prior = value
    return prior
