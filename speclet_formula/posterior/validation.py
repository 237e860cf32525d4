"""What a saved fit must be, checked before it is used: draws, estimates and settings that are those of the model."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from speclet_formula.common.engines import WITH_DRAWS, WITHOUT_DRAWS
from speclet_formula.design.design import Design, GroupBlock, variable_name
from speclet_formula.model import Model
from speclet_formula.posterior.diagnostics import Diagnostics
from speclet_formula.posterior.draws import POSTERIOR, STATISTICS
from speclet_formula.posterior.estimates import PointEstimates
from speclet_formula.priors import Prior, Slot

MOST_OF_A_FORMULA = 1_000_000  # characters
MOST_OF_A_NAME = 10_000
_VERDICTS, _POINT_VERDICTS = ("converged", "doubtful", "failed"), ("converged", "singular", "doubtful")
# What later calls read in the attributes of draws.
_NOTED = {"tune": (int,), "target_accept": (int, float), "sampler": (str,), "inference_library": (str,)}
_LARGEST = 1e300  # a whole number of JSON may have any number of digits
_ROUNDING = 1e-6  # by which a correlation may pass 1


class MismatchError(ValueError):
    """What a file holds is not of its model."""


def require(holds: object, what: str) -> None:
    """Raise unless something holds."""
    if not holds:
        raise MismatchError(what)


def is_number(value: Any) -> bool:
    """Tell a number of JSON that every later step can take from other values; NaN is one."""
    return type(value) in (int, float) and (math.isnan(value) or abs(value) < _LARGEST)


def check_settings(settings: Mapping[str, Any], functions: Any, weights: Any) -> None:
    """Check what a model is to be built from: strangers' text, of a bounded length."""
    formula = settings["formula"]
    require(isinstance(formula, str) and len(formula) <= MOST_OF_A_FORMULA, "formula")
    for name in ("family", "link"):
        require(isinstance(settings[name], str) and len(settings[name]) <= MOST_OF_A_NAME, name)
    require(settings["missing"] in ("drop", "error"), "missing")
    require(isinstance(functions, list) and all(map(is_name, functions)), "functions")
    require(weights is None or isinstance(weights, dict) or is_name(weights), "weights")


def is_name(value: Any) -> bool:
    """Tell a name of a bounded length from other values."""
    return isinstance(value, str) and len(value) <= MOST_OF_A_NAME


def check_slots(model: Model, slots: Sequence[Slot]) -> None:
    """Check that a table of priors has the rows of its model."""
    require([_row(slot) for slot in slots] == [_row(slot) for slot in model.slots], "slots")
    require(all(is_name(slot.source) for slot in slots), "sources")


def _row(slot: Slot) -> tuple[Any, ...]:
    return slot.slot, slot.kind, slot.group, slot.parameter


def check_fit(model: Model, idata: Any, diagnostics: Diagnostics, method: Any, seconds: Any) -> None:
    """Check that draws, and what was found out about them, are of a model."""
    require(method in WITH_DRAWS and is_number(seconds), "method and seconds")
    require(POSTERIOR in idata.children and STATISTICS in idata.children, "groups")
    posterior, statistics = idata[POSTERIOR].to_dataset(), idata[STATISTICS].to_dataset()
    _check_attributes(posterior.attrs)
    _check_attributes(statistics.attrs)
    _check_sampled(posterior, statistics)
    finite = _check_posterior(model, posterior)
    require(finite or diagnostics.n_not_finite, "draws that are no numbers")
    _check_diagnostics(diagnostics, posterior.sizes)


def _check_attributes(attributes: Mapping[str, Any]) -> None:
    for name, kinds in _NOTED.items():
        value = attributes.get(name)
        require(value is None or type(value) in kinds, name)
        require(isinstance(value, str | None) or is_number(value), name)


def _check_sampled(posterior: Any, statistics: Any) -> None:
    """Check chains and draws, which both groups share."""
    for name in ("chain", "draw"):
        require(name in posterior.coords and posterior[name].dims == (name,), name)
        values = posterior[name].to_numpy()
        require(values.dtype.kind in "iu" and len(set(values.tolist())) == len(values) > 0, name)
        own = statistics[name].to_numpy() if name in statistics.coords else values
        require(np.array_equal(values, own), name)
    size = (posterior.sizes["chain"], posterior.sizes["draw"])
    for variable in statistics.data_vars.values():
        require(variable.dims[:2] == ("chain", "draw") and variable.shape[:2] == size, str(variable.name))
        require(variable.dtype.kind in "biuf", str(variable.name))
    if "diverging" in statistics:
        require(statistics["diverging"].dims == ("chain", "draw"), "diverging")


@dataclass(frozen=True)
class _Variable:
    """What a variable of the posterior is, beside its chains and draws."""

    labels: tuple[Any, ...] | None = None  # of its own dimension; None without one
    least: float = -math.inf
    most: float = math.inf
    optional: bool = False


def _check_posterior(model: Model, posterior: Any) -> bool:
    """Check that variables are those of the model, each with its own shape and labels; say if all are finite."""
    expected = dict(_variables(model))
    finite = True
    for name in posterior.data_vars:
        require(name in expected, f"{name} is of no part of the model")
        finite &= _check_variable(posterior[name], expected[str(name)])
    absent = [name for name, variable in expected.items() if not variable.optional and name not in posterior]
    require(not absent, f"{absent} are not there")
    for block in model.design.blocks:
        require(len({slot in posterior for slot in block.slots}) == 1, f"some of {block.slots} are not there")
    return finite


def _check_variable(variable: Any, expected: _Variable) -> bool:
    """Check one variable, and say if its draws are finite."""
    own = 0 if expected.labels is None else 1
    require(variable.dims[:2] == ("chain", "draw") and len(variable.dims) == 2 + own, f"dimensions of {variable.name}")
    require(variable.dtype.kind == "f", f"type of {variable.name}")
    if expected.labels is not None:
        dimension = variable.dims[2]
        known = variable[dimension].to_numpy().tolist() if dimension in variable.coords else None
        require(known == list(expected.labels), f"labels of {variable.name}")
    draws = variable.to_numpy()
    usable = draws[np.isfinite(draws)]
    require(np.all((usable >= expected.least) & (usable <= expected.most)), f"range of {variable.name}")
    return bool(usable.size == draws.size)


def _variables(model: Model) -> Iterator[tuple[str, _Variable]]:
    """Go through the variables that a posterior of the model has."""
    for predictor in model.design.predictors:
        for term in predictor.fixed:
            yield term.variable, _Variable(None if term.dim is None else term.coords)
        for block in predictor.groups:
            yield from _of_block(block)
    varying = model.design.varying
    for name in model.family.parameters:
        if name == "threshold":
            yield name, _Variable(tuple(range(len(model.design.levels) - 1)))
        elif name not in varying:
            yield name, _Variable(least=0.0 if name == "sigma" else -math.inf)
    for slot in model.slots:  # a hyperprior's parameter is drawn too
        named = [name for name, value in slot.prior.parameters.items() if isinstance(value, Prior) and name != "sigma"]
        for name in (f"{slot.slot}_{parameter}" for parameter in named):
            yield from ((spelled, _Variable(optional=True)) for spelled in {name, variable_name(name)})


def _of_block(block: GroupBlock) -> Iterator[tuple[str, _Variable]]:
    """Go through the effects of a block, which may have been left out, their SDs and correlations."""
    for slot, sd in zip(block.slots, block.sds, strict=True):
        yield slot, _Variable(block.levels, optional=True)
        yield sd, _Variable(least=0.0)
    if block.correlated:
        yield block.correlation, _Variable(block.pairs, -1 - _ROUNDING, 1 + _ROUNDING)
    if block.stretches:
        yield block.length_scale, _Variable(least=0.0)


def _check_diagnostics(diagnostics: Diagnostics, sizes: Mapping[Any, int]) -> None:
    require(diagnostics.verdict in _VERDICTS, "verdict")
    require((diagnostics.chains, diagnostics.draws) == (sizes["chain"], sizes["draw"]), "chains and draws")
    for name, value in asdict(diagnostics).items():
        of_text = name in ("verdict", "sentence", "remedy") or name.endswith("_parameter")
        require(isinstance(value, str) if of_text else is_number(value) or value == math.inf, name)


def check_point(model: Model, method: Any, seconds: Any, point: Mapping[str, Any]) -> None:
    """Check that estimates of maximum likelihood are of a model."""
    require(method in WITHOUT_DRAWS and is_number(seconds), "method and seconds")
    require(not model.design.varying, "formulas of parameters")
    for name in ("log_likelihood", "deviance", "aic", "bic", "df", "evaluations"):
        require(is_number(point[name]), name)
    require(type(point["df"]) is int and type(point["evaluations"]) is int, "counts")
    require(type(point["singular"]) is bool and point["verdict"] in _POINT_VERDICTS, "verdict")
    require(isinstance(point["sentence"], str) and isinstance(point["remedy"], str), "words")
    _check_estimates(model, point["estimates"])


def _check_estimates(model: Model, estimates: PointEstimates) -> None:
    """Check the estimates' shapes, and that what cannot be missing is there."""
    design = model.design
    size = design.mean.X.shape[1]
    require(estimates.criterion in ("REML", "ML") and type(estimates.approximate) is bool, "criterion")
    _check_array(estimates.coefficients, (size,), "coefficients", finite=True)
    _check_array(estimates.covariance, (size, size), "covariance", finite=False)
    require((estimates.sigma is None) == ("sigma" not in model.family.parameters), "sigma")
    require(estimates.sigma is None or (is_number(estimates.sigma) and estimates.sigma >= 0), "sigma")
    _check_blocks(design, estimates)
    columns = list(estimates.dropped) if type(estimates.dropped) is tuple else [None]
    require(all(type(column) is int and 0 <= column < size for column in columns), "dropped")
    require(len(set(columns)) == len(columns) and type(estimates.aliases) is tuple, "dropped")
    for alias in estimates.aliases:
        _check_array(alias, (size,), "aliases", finite=True)
        require(alias.any(), "aliases")
    _check_array(estimates.thresholds, (len(design.thresholds),), "thresholds", finite=True)
    _check_array(estimates.threshold_errors, (len(design.thresholds),), "thresholds", finite=False)
    require(type(estimates.nodes) is int and estimates.nodes >= 1, "nodes")
    require(isinstance(estimates.others, tuple), "others")
    for parameter in estimates.others:
        name, *numbers = parameter
        require(name in model.family.parameters and len(numbers) == 2, "others")  # noqa: PLR2004 - with its error
        require(all(is_number(number) or number == math.inf for number in numbers), "others")  # alpha of no spread


def _check_blocks(design: Design, estimates: PointEstimates) -> None:
    several = ("covariances", "modes", "mode_sds", "sum_sds")
    for name in several:
        require(
            isinstance(getattr(estimates, name), tuple) and len(getattr(estimates, name)) == len(design.mean.groups),
            name,
        )
    errors: Any = estimates.deviation_errors
    require(isinstance(errors, tuple) and len(errors) in (0, len(design.mean.groups)), "deviation_errors")
    for number, block in enumerate(design.mean.groups):
        width = len(block.columns)
        levels = (len(block.levels), width)
        for name in several:
            shape = (width, width) if name == "covariances" else levels
            _check_array(getattr(estimates, name)[number], shape, name, finite=name in ("covariances", "modes"))
        pairs = width * (width - 1) // 2
        if errors:
            sizes = (width + pairs,) if block.correlated else (width, width + pairs)
            require(errors[number].dtype.kind == "f" and errors[number].shape in [(size,) for size in sizes], "errors")


def _check_array(array: Any, shape: tuple[int, ...], name: str, *, finite: bool) -> None:
    require(isinstance(array, np.ndarray) and array.shape == shape and array.dtype.kind == "f", name)
    require(np.isfinite(array).all() if finite else not np.isinf(array).any(), name)


def of_class(record: type[Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record takes of a file: an older one may lack what came later, none has anything else."""
    known = {field.name for field in fields(record)}
    require(set(saved) <= known, f"{sorted(set(saved) - known)} are no part of {record.__name__}")
    return dict(saved)
