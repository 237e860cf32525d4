"""Draws of a model's posterior by NUTS, as a DataTree in Bambi's variable names, and where its chains start.

The PyMC model is made in `translation`. This file chooses the sampler, leaves out what only the sampler needs, and
gives the intercept back for the predictors as they are. Judging the draws is left to `diagnostics`.

Chains start around the mode that Laplace's approximation finds. nutpie starts every variable up to 1 from its prior's
middle. A coefficient of a covariate that spans a hundred units then moves the linear predictor by a hundred, which no
chain of counts finds its way back from: the first gradients set the step size and the scales of all directions.
"""

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import FrameType
from typing import Any

import numpy as np
import pymc as pm
import xarray as xr

from speclet_formula.common.batch import quiet
from speclet_formula.common.correlations import numbers_of
from speclet_formula.design import Design, GroupBlock
from speclet_formula.design.design import STANDARDISED, offset_name, sd_name
from speclet_formula.errors import SamplingError, SpecletError
from speclet_formula.families import specification_of
from speclet_formula.inference.datatree import is_whole, promised
from speclet_formula.inference.laplace.fit import fit_laplace, why_not_laplace
from speclet_formula.inference.plans import SAMPLERS, Sampler, SamplingPlan
from speclet_formula.inference.translation.to_bambi import to_pymc
from speclet_formula.model import Model
from speclet_formula.posterior import PointFit
from speclet_formula.priors import Prior

MOST_FOR_LOW_RANK = 100  # parameters up to which nutpie's low-rank mass matrix was seen to pay
LEAST_SD = 0.1  # of a group's effects at the start: from 0 there is no way out
SPREAD = 0.3  # of the logarithms of SDs and other positive parameters between chains


def sample_nuts(model: Model, plan: SamplingPlan) -> xr.DataTree:
    """Draw from the posterior of a model.

    Parameters
    ----------
    model : Model
        The model to sample.
    plan : SamplingPlan
        Numbers of draws and chains, and the sampler.

    Returns
    -------
    xarray.DataTree
        Groups `posterior` (dims chain, draw, and each variable's own), `sample_stats` and `observed_data`.

    Raises
    ------
    SamplingError
        If the sampler is not installed, or cannot start or finish.
    KeyboardInterrupt
        If it is interrupted; nothing is kept of chains that are not whole.
    """
    _check_installed(plan.sampler)
    pymc_model = to_pymc(model)
    kept = _kept(model, pymc_model)
    renamed = _without_commas(pymc_model) if plan.sampler == "nutpie" else {}
    with _quiet(), _interrupts() as interrupts:
        try:
            tree = pm.sample(
                model=pymc_model,
                draws=plan.draws,
                tune=plan.tune,
                chains=plan.chains,
                cores=plan.cores,
                random_seed=plan.random_seed,
                nuts_sampler=plan.sampler,
                nuts=_settings(plan, pymc_model),
                var_names=kept,
                **_starts(model, plan, pymc_model),
                progressbar=plan.progress,
                compute_convergence_checks=False,  # `diagnostics` judges, in words
                quiet=not plan.progress,
            )
        except (RuntimeError, ValueError, pm.exceptions.SamplingError) as error:
            if interrupts:
                raise KeyboardInterrupt from error
            raise SamplingError(
                f"{plan.sampler} could not sample the model: {str(error).splitlines()[0]}",
                "The log density must be finite at the start, and every prior proper enough to stay there.",
                "Check the priors (model.slots) and the scale of the predictors, or try another sampler=.",
            ) from error
    if interrupts or not is_whole(tree, plan):
        raise KeyboardInterrupt
    return promised(model, tree, kept, renamed)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Note interrupts while sampling: the samplers take them as a wish to keep what there is, in chains of any length.

    Only the main thread is interrupted, and only it may ask to be told.
    """
    seen: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield seen
        return

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _check_installed(sampler: Sampler) -> None:
    needed = ["numpyro", "jax"] if sampler == "numpyro" else []  # an extra; the others come with the package
    absent = [package for package in needed if find_spec(package) is None]
    if absent:
        raise SamplingError(
            f"the sampler '{sampler}' needs what is not installed: {', '.join(absent)}.",
            f"Samplers: {', '.join(SAMPLERS)}.",
            f"Install it (pip install 'speclet_formula[{sampler}]'), or leave sampler= out for nutpie.",
        )


def _settings(plan: SamplingPlan, pymc_model: pm.Model) -> dict[str, Any]:
    """Return the sampler's settings.

    The intercept and the means of the group effects trade places. nutpie can learn such directions: with its low-rank
    mass matrix the smallest ESS on the crossed m7 data rises from 54 to 930 of 2,000 draws, in less time. With many
    parameters it gets slow instead: at 200 (m7a) it took more than ten times as long as the diagonal one.
    """
    settings: dict[str, Any] = {"target_accept": plan.target_accept}
    size = sum(value.size for value in pymc_model.initial_point().values())
    if plan.sampler == "nutpie" and size <= MOST_FOR_LOW_RANK:
        settings["adaptation"] = "low_rank"
    return settings


def _starts(model: Model, plan: SamplingPlan, pymc_model: pm.Model) -> dict[str, Any]:
    """Start nutpie's chains where `starts_of` says, and at random only what that does not know.

    On grouseticks (403 counts, three crossed and nested factors) two of four chains never left the start that nutpie
    chooses itself, and every draw of one was divergent.
    """
    starts = starts_of(model, pymc_model) if plan.sampler == "nutpie" else {}
    if not starts:
        return {}
    jittered = {variable for variable in pymc_model.free_RVs if variable.name not in starts}
    return {"initvals": starts, "compile_kwargs": {"jitter_rvs": jittered}}


def _kept(model: Model, pymc_model: pm.Model) -> list[str]:
    """Return the variables worth keeping: neither one value per row nor the scaffolding of a parametrisation."""
    helpers = (STANDARDISED, "_partial")
    varying = (name for name in model.design.varying)
    rows = {model.family.parent, *varying, *(rv.name for rv in pymc_model.observed_RVs)}
    steps = [f"{term.variable}{part}" for term in model.design.monotonic for part in ("_average", "_simplex")]
    rows |= set(steps)  # the steps themselves are kept
    names = [variable.name for variable in [*pymc_model.free_RVs, *pymc_model.deterministics]]
    made = {slot for block in model.design.blocks for slot in block.slots}
    made |= {term.variable for predictor in model.design.predictors for term in predictor.fixed}
    return [name for name in names if name not in rows and (name in made or not name.endswith(helpers))]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the stack's own log lines and its warnings about itself off the analyst's screen."""
    with quiet("pymc"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _without_commas(pymc_model: pm.Model) -> dict[str, str]:
    """Take the commas out of the names of dimensions, and say what each was: nutpie joins the names by commas.

    The dimension of `poly(x, 2)` would come back as two.
    """
    renamed = {dim.replace(",", ";"): dim for dim in pymc_model.coords if "," in dim}
    for new, old in renamed.items():
        for known in (pymc_model._coords, pymc_model._dim_lengths):
            known[new] = known.pop(old)
    places = {old: new for new, old in renamed.items()}
    for name, dims in pymc_model.named_vars_to_dims.items():
        pymc_model.named_vars_to_dims[name] = tuple(places.get(dim, dim) for dim in dims)
    return renamed


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
    if model.design.varying or model.design.limits is not None or why_not_laplace(model):
        return {}
    if any(parameter.link != "log" for parameter in specification_of(model.family).own_parameters):
        return {}  # starts of shares and thresholds are left to the sampler
    try:
        found = fit_laplace(model)
    except (SpecletError, np.linalg.LinAlgError):
        return {}  # where there is no maximum there may be a posterior
    starts = {**_fixed_starts(model, found), **_other_starts(found)}
    for place, block in enumerate(model.design.mean.groups):
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
    for term in design.mean.fixed:
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
    centre: np.ndarray = design.mean.X.mean(axis=0)
    intercepts = [term.start for term in design.mean.fixed if term.kind == "intercept"]
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
    if block.structure is not None and block.stretches:
        (sd,), (length,) = numbers_of(block.structure, estimates.covariances[place])
        if not np.isfinite(length):
            return {}
        starts = {block.length_scale: pm.LogNormal.dist(mu=np.log(length), sigma=SPREAD)}
        return starts | {block.sds[0]: pm.LogNormal.dist(mu=np.log(max(sd, LEAST_SD)), sigma=SPREAD)}
    for column, slot in enumerate(block.slots):
        sd = max(float(np.sqrt(estimates.covariances[place][column, column])), LEAST_SD)
        modes, widths = estimates.modes[place][:, column], np.minimum(estimates.mode_sds[place][:, column], sd)
        starts[sd_name(slot)] = pm.LogNormal.dist(mu=np.log(sd), sigma=SPREAD)
        starts[slot] = _around(modes, widths)
        if not block.correlated and block.relation is None:  # else each is a part of several, and starts as always
            starts[offset_name(slot)] = _around(modes / sd, widths / sd)
    return starts


def _around(values: Any, widths: Any) -> Any:
    values = np.asarray(values, dtype=np.float64)
    return pm.Normal.dist(mu=values, sigma=np.maximum(widths, 1e-6), shape=values.shape)
