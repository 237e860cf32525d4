"""A Model goes in; where NUTS starts its chains comes out: around the mode that Laplace's approximation finds.

nutpie starts every variable up to 1 from its prior's middle. A coefficient of a covariate that spans a hundred units
then moves the linear predictor by a hundred, which no chain of counts finds its way back from: the first gradients set
the step size and the scales of all directions. Sampling is left to `nuts`.
"""

from typing import Any

import numpy as np
import pymc as pm

from speclet_formula.design import Design, GroupBlock
from speclet_formula.errors import SpecletError
from speclet_formula.inference.laplace.fitting import fit_laplace, why_not_laplace
from speclet_formula.model import Model
from speclet_formula.posterior import PointFit
from speclet_formula.priors import Prior

LEAST_SD = 0.1  # of a group's effects at the start: from 0 there is no way out
SPREAD = 0.3  # of the logarithms of SDs and other positive parameters between chains


def starts_of(model: Model, pymc_model: pm.Model) -> dict[str, Any]:
    """Say where the chains start.

    Parameters
    ----------
    model : Model
    pymc_model : pymc.Model
        As from `to_pymc`.

    Returns
    -------
    dict of str to PyTensor variable
        By the names of the model's free variables, distributions that each chain draws its start from: about as wide
        as the posterior, so that chains which come together have found it. Empty for a model that Laplace's
        approximation does not serve.
    """
    if model.design.parameters or model.design.limits is not None or why_not_laplace(model):
        return {}
    try:
        found = fit_laplace(model)
    except (SpecletError, np.linalg.LinAlgError):
        return {}  # where there is no maximum there may be a posterior
    starts = {**_fixed_starts(model, found), **_other_starts(found)}
    for place, block in enumerate(model.design.groups):
        starts |= _block_starts(block, found, place)
    free = {variable.name for variable in pymc_model.free_RVs}
    return {name: start for name, start in starts.items() if name in free}


def _fixed_starts(model: Model, found: PointFit) -> dict[str, Any]:
    """Start the coefficients where likelihood and prior meet; the intercept is that of the centred predictors."""
    design, estimates = model.design, found.estimates
    priors = {slot.slot: slot.prior for slot in model.slots}
    centre = _centre(design)
    sums = estimates.covariance @ centre
    errors = np.sqrt(np.clip(np.diagonal(estimates.covariance), 0, None))
    starts = {}
    for term in design.fixed:
        part = slice(term.start, term.stop)
        values, widths = estimates.coefficients[part], errors[part]
        if term.kind == "intercept":
            values = values + centre @ estimates.coefficients
            variance = estimates.covariance[term.start, term.start] + 2 * sums[term.start] + centre @ sums
            widths = np.array([np.sqrt(max(float(variance), 0.0))])
        values, widths = _met(priors[term.name], values, widths)
        single = term.dim is None
        starts[term.variable] = _around(values[0] if single else values, widths[0] if single else widths)
    return starts


def _centre(design: Design) -> np.ndarray:
    """Return the predictors' means where the model has an intercept, which Bambi then places there; else zeros."""
    centre: np.ndarray = design.X.mean(axis=0)
    intercepts = [term.start for term in design.fixed if term.kind == "intercept"]
    centre[intercepts] = 0.0
    return centre if intercepts else np.zeros_like(centre)


def _met(prior: Prior, values: np.ndarray, widths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weigh estimates against a Normal prior by their precision: a separated group's estimate is anywhere."""
    if prior.name != "Normal" or any(isinstance(value, Prior) for value in prior.parameters.values()):
        return values, np.minimum(widths, 1.0)
    mean, sd = (np.broadcast_to(np.asarray(prior.parameters[name], float), values.shape) for name in ("mu", "sigma"))
    precision = np.where(widths > 0, 1 / np.maximum(widths, 1e-8) ** 2, 0.0)  # 0: a column that was dropped
    total = precision + 1 / sd**2
    return (values * precision + mean / sd**2) / total, np.sqrt(1 / total)


def _other_starts(found: PointFit) -> dict[str, Any]:
    """Start the family's other parameters at their estimates, where these are of a size that a prior can know."""
    return {
        name: pm.LogNormal.dist(mu=np.log(value), sigma=SPREAD)
        for name, value, _ in found.estimates.others
        if 1e-2 < value < 1e2  # noqa: PLR2004
    }


def _block_starts(block: GroupBlock, found: PointFit, place: int) -> dict[str, Any]:
    """Start SDs and effects of a block; effects are there as themselves, or as multiples of their SDs."""
    estimates = found.estimates
    starts = {}
    for column, slot in enumerate(block.slots):
        sd = max(float(np.sqrt(estimates.covariances[place][column, column])), LEAST_SD)
        modes, widths = estimates.modes[place][:, column], np.minimum(estimates.mode_sds[place][:, column], sd)
        starts[f"{slot}_sigma"] = pm.LogNormal.dist(mu=np.log(sd), sigma=SPREAD)
        starts[slot] = _around(modes, widths)
        if not block.correlated:  # else multiples of all SDs at a time, which start where they always do
            starts[f"{slot}_offset"] = _around(modes / sd, widths / sd)
    return starts


def _around(values: Any, widths: Any) -> Any:
    values = np.asarray(values, dtype=np.float64)
    return pm.Normal.dist(mu=values, sigma=np.maximum(widths, 1e-6), shape=values.shape)
