"""The reader of draws: every parameter of a model by its part of the design, whatever stands behind.

A posterior, draws from the priors, and a point estimate, which is a single draw, answer the same questions. No other
module knows how the parts of a model are called among the draws. Making draws is left to `inference`, summarising them
to the files beside this one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np

from speclet_formula.common.correlations import numbers_of, wave_sds
from speclet_formula.design.design import Design, FixedTerm, GroupBlock, Predictor, sd_name, slot_of_sd
from speclet_formula.design.merged import row_count
from speclet_formula.errors import EstimateError, SamplingError
from speclet_formula.families import Family
from speclet_formula.formula.terms import Formula
from speclet_formula.posterior.estimates import Array, PointEstimates, points_of

POSTERIOR, STATISTICS = "posterior", "sample_stats"  # the groups of an ArviZ tree that are read


class FittedModel(Protocol):
    """What estimates read of a model."""

    @property
    def formula(self) -> Formula:
        """The parsed formula."""

    @property
    def design(self) -> Design:
        """The rows, terms and levels that were fitted."""

    @property
    def n_dropped(self) -> int:
        """How many rows were left out for missing values."""

    @property
    def family(self) -> Family:
        """Family and link."""


class Fitted(Protocol):
    """What estimates read of a fit."""

    @property
    def model(self) -> FittedModel:
        """The model."""

    @property
    def idata(self) -> Any:
        """The DataTree with the group "posterior"."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws of a model's parameters.

    Every array has the draws first, those of the first chain before those of the second; `by_chain` parts them.

    Attributes
    ----------
    chains, length : int
        Number of chains, and of draws in each; 1 and 1 of a point estimate.
    names : tuple of str
        The variables that there are.
    read : callable
        Gives a variable by its name, (draws, elements); nothing is copied before it is asked for.
    label : callable
        Names an element of a variable, by the variable's name and its place: "sigma", "1|gene[BRAF]".
    """

    chains: int
    length: int
    names: tuple[str, ...]
    read: Callable[[str], Array]
    label: Callable[[str, int], str]

    def __len__(self) -> int:
        return self.chains * self.length

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def coefficients(self, predictor: Predictor) -> Array:
        """Return the fixed effects of a linear predictor, (draws, p), in the order of X."""
        return np.hstack([np.empty((len(self), 0)), *map(self.term, predictor.fixed)])

    def whole(self, predictor: Predictor) -> Array:
        """Return the fixed effects and behind them those of smooths, (draws, p), in the order of `predictor.whole`."""
        effects = [np.stack(self.effects(block), axis=2).reshape(len(self), -1) for block in predictor.smooths]
        return np.hstack([self.coefficients(predictor), *effects])

    def term(self, term: FixedTerm) -> Array:
        """Return the coefficients of a fixed term, (draws, columns)."""
        return self.variable(term.variable, term.stop - term.start)

    def steps(self, term: FixedTerm) -> tuple[Array, Array]:
        """Return the average step of a monotonic effect, (draws, 1), and each step's share of all, (draws, columns).

        A term's coefficients are the steps themselves: the average one by their number by the shares.
        """
        steps = self.term(term)
        return steps.mean(axis=1, keepdims=True), steps / steps.sum(axis=1, keepdims=True)

    def effects(self, block: GroupBlock) -> tuple[Array, ...]:
        """Return the group effects, (draws, levels), of each column of a block."""
        return tuple(self.variable(slot, len(block.levels)) for slot in block.slots)

    def keeps(self, block: GroupBlock) -> bool:
        """Tell whether there are draws of a block's effects: a fit with `keep` has those of some factors alone."""
        return not any(self._is_left_out(slot) for slot in block.slots)

    def sds(self, block: GroupBlock) -> Array:
        """Return the standard deviations of a block's effects, (draws, columns); of a process always its own."""
        return np.hstack([self.variable(name, 1) for name in block.sds])

    def correlation(self, block: GroupBlock) -> Array:
        """Return the correlations of a block's columns, (draws, pairs), as `block.pairs` has them; perhaps none."""
        if not block.correlated:
            return np.empty((len(self), 0))
        return self.variable(block.correlation, len(block.pairs))

    def length_scale(self, block: GroupBlock) -> Array:
        """Return the length-scale of a Gaussian process, (draws, 1)."""
        return self.variable(block.length_scale, 1)

    def covariances(self, block: GroupBlock) -> Array:
        """Return the covariances of one level's effects, (draws, columns, columns)."""
        sds, k = self.sds(block), len(block.columns)
        if block.structure is not None and block.stretches:
            sds = sds * wave_sds(block.structure, self.length_scale(block)[:, 0], k)
        matrices = np.zeros((len(self), k, k))
        matrices[:, range(k), range(k)] = sds**2
        if block.correlated:
            i, j = np.triu_indices(k, 1)
            known = np.where(sds[:, i] * sds[:, j] == 0, 0.0, self.correlation(block))  # an estimate of zero has none
            matrices[:, i, j] = matrices[:, j, i] = known * sds[:, i] * sds[:, j]
        return matrices

    def parameter(self, name: str) -> Array:
        """Return a parameter of the family, "sigma", (draws, 1); or "threshold", of ordered levels, (draws, count)."""
        return self.variable(name)

    def variable(self, name: str, size: int | None = None) -> Array:
        """Return a variable by its own name, (draws, elements).

        Raises
        ------
        EstimateError
            There is none of that name, or it has another size than the model's.
        """
        if name not in self.names:
            raise EstimateError(*(self._not_kept(name) or self._unknown(name)))
        values = self.read(name)
        if size is not None and values.shape[1] != size:
            raise EstimateError(
                f"the posterior's '{name}' has {values.shape[1]:,} elements for {size:,} of the model.",
                "Draws and model have the same levels and columns.",
                "Fit the model again, or hand over the model that these draws belong to.",
            )
        return values

    def elements(self, name: str) -> tuple[str, ...]:
        """Name the elements of a variable, in the order of its columns."""
        return tuple(self.label(name, element) for element in range(self.variable(name).shape[1]))

    def by_chain(self, values: Array) -> Array:
        """Part the chains of what has all draws first: (chains, draws, ...)."""
        return values.reshape(self.chains, self.length, *values.shape[1:])

    def take(self, chosen: slice | np.ndarray) -> "Draws":
        """Return some of the draws, counted over all chains, as one chain."""
        length = len(np.empty(len(self), dtype=bool)[chosen])
        return replace(self, chains=1, length=length, read=lambda name: self.read(name)[chosen])

    def thinned(self, step: int) -> "Draws":
        """Return every so many draws of each chain."""
        if step == 1:
            return self

        def read(name: str) -> Array:
            values = self.by_chain(self.read(name))[:, ::step]
            return values.reshape(-1, values.shape[-1])

        return replace(self, length=len(range(0, self.length, step)), read=read)

    def only(self, names: tuple[str, ...]) -> "Draws":
        """Return the draws of some variables, of those that there are."""
        return replace(self, names=tuple(name for name in names if name in self.names))

    def mean(self) -> "Draws":
        """Return the means over all draws, as the only draw."""
        return replace(self, chains=1, length=1, read=lambda name: self.read(name).mean(axis=0, keepdims=True))

    def require(self, blocks: Iterable[GroupBlock]) -> None:
        """Raise an EstimateError unless there are draws of the effects of these blocks."""
        for slot in (slot for block in blocks for slot in block.slots):
            if parts := self._not_kept(slot):
                raise EstimateError(*parts)

    def _is_left_out(self, slot: str) -> bool:
        """Tell whether a name is that of group effects whose draws were not kept; their SD is there all the same."""
        return slot not in self.names and sd_name(slot) in self.names

    def _not_kept(self, name: str) -> tuple[str, str, str] | None:
        """Word the error of group effects whose draws were not kept; None where that is not what is wrong."""
        if not self._is_left_out(name):
            return None
        slots = [slot for variable in self.names if (slot := slot_of_sd(variable))]
        kept = [slot for slot in slots if slot in self.names]
        needed = dict.fromkeys(slot.rpartition("|")[2] for slot in slots if slot in (*kept, name))
        return (
            f"the fit kept no draws of '{name}'.",
            f"It kept: {', '.join(kept) or 'no group effects'}.",
            f"Fit the model again with keep={tuple(needed)!r}, or leave keep= out to keep all.",
        )

    def _unknown(self, name: str) -> tuple[str, str, str]:
        return (
            f"the posterior holds no variable '{name}'.",
            f"It holds: {', '.join(self.names)}.",
            "Fit the model again, or hand over the fit that these draws belong to.",
        )


def draws_of(fit: Fitted) -> Draws:
    """Return the draws of a fit.

    Raises
    ------
    EstimateError
        It is a fit by maximum likelihood, which has none.
    """
    return draws_in(fit.idata[POSTERIOR])


def draws_in(posterior: Any) -> Draws:
    """Return the draws of a dataset: a posterior's, or those that `prior_draws` made.

    Parameters
    ----------
    posterior : xarray.Dataset
        Variables over the dimensions "chain" and "draw", and perhaps one of their own.

    Returns
    -------
    Draws
    """
    sizes = posterior.sizes
    names = tuple(map(str, posterior.data_vars))
    return Draws(sizes["chain"], sizes["draw"], names, partial(_pooled, posterior), partial(_label, posterior))


def _pooled(posterior: Any, name: str) -> Array:
    """Return a variable of a dataset, (draws of all chains, elements)."""
    array = posterior[name].transpose("chain", "draw", ...)
    return np.asarray(array.values, dtype=np.float64).reshape(array.shape[0] * array.shape[1], -1)


def _label(posterior: Any, name: str, element: int) -> str:
    """Name an element of a variable as a reader knows it: "1|gene[BRAF]"."""
    variable = posterior[name]
    dims = [dim for dim in variable.dims if dim not in ("chain", "draw")]
    if not dims:
        return name
    places = np.unravel_index(element, [variable.sizes[dim] for dim in dims])
    return f"{name}[{', '.join(str(variable[dim].values[k]) for dim, k in zip(dims, places, strict=True))}]"


def values_of(fit: Fitted) -> Draws:
    """Return the draws of a fit, or its estimates of maximum likelihood as a single draw.

    Parameters
    ----------
    fit : Fit or PointFit

    Returns
    -------
    Draws
        Of a PointFit without the family's parameters that it did not estimate.
    """
    points = points_of(fit)
    return draws_of(fit) if points is None else _estimates(fit.model.design, points)


def _estimates(design: Design, points: PointEstimates) -> Draws:
    """Return estimates of maximum likelihood as one draw, under the names of a posterior."""
    values = {term.variable: points.coefficients[term.start : term.stop] for term in design.mean.fixed}
    for block, covariance, modes in zip(design.mean.groups, points.covariances, points.modes, strict=True):
        sds = np.sqrt(np.diagonal(covariance))
        if block.structure is not None and block.stretches:
            sd, values[block.length_scale] = numbers_of(block.structure, covariance)
            sds = np.repeat(sd, len(sds))
        values |= dict(zip(block.slots, modes.T, strict=True)) | dict(zip(block.sds, sds, strict=True))
        if block.correlated:
            i, j = np.triu_indices(len(sds), 1)
            with np.errstate(invalid="ignore", divide="ignore"):  # of an SD of zero it is unknown
                values[block.correlation] = np.clip(covariance[i, j] / (sds[i] * sds[j]), -1, 1)
    values |= {name: np.array(number) for name, number, _ in points.others}
    if design.thresholds:
        values["threshold"] = points.thresholds
    if points.sigma is not None:
        values["sigma"] = np.array(points.sigma)

    def read(name: str) -> Array:
        return np.reshape(values[name], (1, -1)).astype(np.float64)

    return Draws(1, 1, tuple(values), read, lambda name, k: f"{name}[{k}]" if read(name).size > 1 else name)


def posterior_in(idata: Any) -> Any:
    """Return the dataset of the draws that a sampler made.

    Raises
    ------
    SamplingError
        There is none, or it is empty.
    """
    try:
        posterior = idata[POSTERIOR]
        size = posterior.sizes["chain"] * posterior.sizes["draw"] * len(posterior.data_vars)
    except (KeyError, TypeError, AttributeError):
        size = 0
    if size == 0:
        raise SamplingError(
            f"there are no posterior draws in this {type(idata).__name__}.",
            "Diagnostics need a group 'posterior' with variables over the dimensions 'chain' and 'draw'.",
            "Hand over a fit, or the DataTree that a sampler made.",
        )
    return posterior


def posterior_of(fit: Fitted) -> Any:
    """Return the draws of a fit as ArviZ takes them."""
    return fit.idata[POSTERIOR].to_dataset()


def library_of(fit: Fitted) -> str:
    """Return the sampler's library, "nutpie"; empty where it is not known."""
    return str(fit.idata[POSTERIOR].attrs.get("inference_library") or "")


def statistics_in(idata: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return what a sampler told of each draw, by name, and of all of them; empty where it told nothing."""
    if STATISTICS not in idata.children:
        return {}, {}
    statistics = idata[STATISTICS]
    return statistics.data_vars, statistics.attrs


def nobs(fit: Fitted) -> int:
    """Count the observations that were fitted.

    Parameters
    ----------
    fit : Fit or PointFit

    Returns
    -------
    int
        Rows left out for missing values are not counted; rows that were merged are.

    Examples
    --------
    >>> from speclet_formula.posterior.draws import nobs
    >>> nobs(fit)  # fit: Reaction ~ Days + (1 + Days | Subject), 18 subjects on 10 days
    180
    """
    return row_count(fit.model.design)


def ngrps(fit: Fitted) -> dict[str, int]:
    """Count the levels of each grouping factor.

    Parameters
    ----------
    fit : Fit or PointFit

    Returns
    -------
    dict of str to int
        By grouping factor, in the formula's order; only levels that occur in the data.

    Examples
    --------
    >>> from speclet_formula.posterior.draws import ngrps
    >>> ngrps(fit)  # fit: Reaction ~ Days + (1 + Days | Subject), 18 subjects
    {'Subject': 18}
    """
    return {block.group: len(block.levels) for block in fit.model.design.factors}
