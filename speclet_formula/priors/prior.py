"""A prior, a slot that has one, and a preset: checked, frozen records.

A distribution's name, its parameters' names and their values are checked when the record is made. Which slot takes
which prior is left to `slots`, densities and draws to `densities`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from speclet_formula.common.arguments import is_among
from speclet_formula.design import FixedTerm, GroupBlock
from speclet_formula.errors import PriorError
from speclet_formula.priors.distributions import (
    DISTRIBUTION_NAMES,
    JOINT_FORMS,
    SCALAR_DISTRIBUTIONS,
    FloatArray,
    Support,
    domain_text,
    forms_of,
    missing_parameters,
    not_positive,
    number_text,
    pattern,
    unknown_distribution,
    unknown_parameter,
)

_SHOWN = 3  # values of a vector that the short text shows


@dataclass(frozen=True, init=False, repr=False, eq=False)
class Prior:
    """A prior distribution, checked when it is made.

    Parameters
    ----------
    name : str
        PyMC's name of the distribution: "Normal", "StudentT", "HalfNormal", "Exponential", ...; "LKJ" for a
        correlation matrix, "Dirichlet" for shares that add up to 1.
    noncentered : bool, optional
        For a group term that NUTS samples: whether its effects are sampled as standard normal numbers. None leaves the
        choice to the engine.
    **parameters : float, one-dimensional array or Prior
        PyMC's parameters of that distribution, all of them. An array gives one prior for each column of a term; a
        Prior is a hyperprior, which group terms have for `sigma` and may have for `mu`.

    Attributes
    ----------
    parameters : mapping of str to float, array or Prior
        In the distribution's own order; read-only.

    Raises
    ------
    PriorError
        If the distribution does not exist, a parameter is unknown, missing or not a possible value.

    Examples
    --------
    >>> Prior("Normal", mu=0, sigma=2.5)
    Prior("Normal", mu=0, sigma=2.5)
    >>> print(Prior("Normal", mu=0, sigma=Prior("Exponential", lam=1)))
    Normal(mu=0, sigma=Exponential(lam=1))
    """

    name: str
    parameters: Mapping[str, "float | FloatArray | Prior"]
    noncentered: bool | None

    def __init__(self, name: str, *, noncentered: bool | None = None, **parameters: Any) -> None:
        if not is_among(name, DISTRIBUTION_NAMES):
            raise unknown_distribution(name)
        if noncentered not in (None, True, False):
            raise PriorError(
                f"noncentered={noncentered!r} is neither true nor false.",
                "noncentered is True, False or None (the engine chooses).",
                "Leave it out, unless the sampler reports divergences.",
            )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "noncentered", noncentered)
        object.__setattr__(self, "parameters", MappingProxyType(_checked(name, parameters)))

    @property
    def support(self) -> Support:
        """What it allows: "real", "positive", "unit", "correlation" or "simplex"; Uniform's depends on its bounds."""
        if self.name in JOINT_FORMS:
            return "correlation" if self.name == "LKJ" else "simplex"
        if self.name == "Uniform" and not self.has_hyperpriors:
            lower, upper = (np.asarray(self.parameters[bound], dtype=float) for bound in ("lower", "upper"))
            if np.all(lower >= 0):
                return "unit" if np.all(upper <= 1) else "positive"
        return SCALAR_DISTRIBUTIONS[self.name].support

    @property
    def has_hyperpriors(self) -> bool:
        """Whether any of its parameters is a Prior itself, as in the priors of group terms."""
        return any(isinstance(value, Prior) for value in self.parameters.values())

    @property
    def has_mean(self) -> bool:
        """Whether effects with this prior have a mean `mu` that is not 0, stated or to be estimated."""
        mean = self.parameters["mu"]
        return isinstance(mean, Prior) or bool(np.any(np.asarray(mean) != 0))

    def __repr__(self) -> str:
        parts = [f'"{self.name}"', *(f"{key}={_value_text(value)}" for key, value in self.parameters.items())]
        if self.noncentered is not None:
            parts.append(f"noncentered={self.noncentered}")
        return f"Prior({', '.join(parts)})"

    def __str__(self) -> str:
        parts = [f"{key}={_short_text(value)}" for key, value in self.parameters.items()]
        return f"{self.name}({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        return _key(self) == _key(other) if isinstance(other, Prior) else NotImplemented

    def __hash__(self) -> int:
        return hash(_key(self))

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled; a worker process makes the prior anew.
        return _remake, (self.name, self.noncentered, dict(self.parameters))


@dataclass(frozen=True)
class Slot:
    """One row of the slot table: something in a model that has a prior."""

    slot: str  # its name, as a user writes it: "Intercept", "cn:control", "1|gene", "cor|gene", "sigma"
    # "shared": as a smooth's first one
    kind: Literal["intercept", "b", "group", "shared", "sd", "cor", "length", "simplex", "family"]
    group: str | None  # the grouping factor, for kinds "group", "cor" and "length"
    prior: Prior
    source: str  # where the prior comes from: a preset's name, "user", "file priors.toml"
    parameter: str = ""  # "sigma" for a term of the formula of sigma; empty for the mean's terms


@dataclass(frozen=True)
class Preset:
    """The default prior of each kind of slot, for one design."""

    intercept: Prior
    fixed: Callable[[FixedTerm], Prior]
    group_sd: Callable[[GroupBlock, int], Prior]  # of one column of a block
    correlation: Prior
    parameters: Mapping[str, Prior]  # of the families' parameters, by name: sigma, nu, alpha, psi


def _remake(name: str, noncentered: bool | None, parameters: dict[str, Any]) -> Prior:
    """Make a prior again from its parts."""
    return Prior(name, noncentered=noncentered, **parameters)


def _key(prior: Prior) -> tuple[Any, ...]:
    """Give what makes two priors equal, in a form that can be compared and hashed."""
    parts = ((key, tuple(v) if isinstance(v, np.ndarray) else v) for key, v in prior.parameters.items())
    return (prior.name, prior.noncentered, *parts)


def _value_text(value: "float | FloatArray | Prior") -> str:
    """Spell a parameter so that it can be typed again."""
    if isinstance(value, Prior):
        return repr(value)
    return f"[{', '.join(map(number_text, value))}]" if isinstance(value, np.ndarray) else number_text(value)


def _short_text(value: "float | FloatArray | Prior") -> str:
    """Spell a parameter for a table: four digits, and no more than the beginning of a vector."""
    if isinstance(value, Prior):
        return str(value)
    if not isinstance(value, np.ndarray):
        return number_text(value, 4)
    shown = [number_text(number, 4) for number in value[:_SHOWN]]
    return f"[{', '.join(shown)}]" if len(value) <= _SHOWN else f"[{', '.join(shown)}, ... {len(value)} values]"


def _checked(name: str, given: Mapping[str, Any]) -> dict[str, "float | FloatArray | Prior"]:
    """Return the parameters in the distribution's order, or raise."""
    forms = forms_of(name)
    for parameter, value in given.items():
        if not any(parameter in form for form in forms):
            raise unknown_parameter(name, forms, parameter, value)
    form = next((form for form in forms if set(form) == set(given)), None)
    if form is None:
        raise missing_parameters(name, forms, given)
    checked = {parameter: _parameter(name, parameter, domain, given[parameter]) for parameter, domain in form.items()}
    _check_together(name, checked)
    return checked


def _parameter(name: str, parameter: str, domain: str, value: Any) -> "float | FloatArray | Prior":
    """Return one parameter as a float, an array or a Prior, or raise."""
    if isinstance(value, Prior):
        return _hyperprior(name, parameter, domain, value)
    number = _number(value)
    more = "" if name == "LKJ" else ", an array of such numbers, or a Prior"
    allowed = f"{parameter} in {name} is {domain_text(domain)}{more}."
    if number is None or (name == "LKJ" and isinstance(number, np.ndarray)):
        raise PriorError(f"{parameter}={value!r} is not a number.", allowed, f"Write {parameter}={_example(domain)}.")
    if not _in_domain(number, domain):
        problem = f"{parameter}={_value_text(number)} is not possible for {name}."
        raise PriorError(problem, allowed, f"Write, for example, {parameter}={_example(domain)}.")
    return number


def _number(value: Any) -> float | FloatArray | None:
    """Return a float, or an array of floats that nobody can change; None for what is neither."""
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, Real):
        return _float(value)
    if not isinstance(value, np.ndarray | list | tuple):
        return None
    array = np.array(value)
    if array.dtype.kind not in "iuf" or array.ndim > 1 or array.size == 0:
        return None
    if array.size == 1:  # one number is that number, whatever it came in
        return float(array.reshape(()))
    array = array.astype(float)
    array.flags.writeable = False
    return array


def _float(value: Any) -> float:
    """Return a float, infinite for a whole number of hundreds of digits."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _in_domain(number: float | FloatArray, domain: str) -> bool:
    """Tell whether all of a parameter's numbers are possible."""
    values = np.asarray(number)
    lower = -np.inf if domain == "real" else 0
    upper = 1 if domain == "unit" else np.inf
    return bool(np.all((values > lower) & (values < upper)))


def _example(domain: str) -> str:
    """Give a number that a parameter could have."""
    return {"real": "0", "positive": "1", "unit": "0.5"}[domain]


def _hyperprior(name: str, parameter: str, domain: str, prior: Prior) -> Prior:
    """Return a parameter's prior if it can be one, or raise."""
    support = prior.support
    if name in JOINT_FORMS or support in ("correlation", "simplex") or prior.has_hyperpriors:
        raise PriorError(
            f"{prior} cannot be the prior of {parameter} in {name}.",
            "A hyperprior is a distribution of single numbers whose own parameters are numbers.",
            f"Write numbers: {parameter}={_example(domain)}.",
        )
    if domain != "real" and support == "real":
        scale = prior.parameters.get("sigma", 1.0)
        raise not_positive(f"{parameter} in {name}", str(prior), _short_text(scale))
    return prior


def _check_together(name: str, parameters: Mapping[str, "float | FloatArray | Prior"]) -> None:
    """Raise if parameters that are possible one by one are impossible together."""
    numbers = [value for value in parameters.values() if not isinstance(value, Prior)]
    sizes = {len(value) for value in numbers if isinstance(value, np.ndarray)}
    text = ", ".join(f"{key}={_short_text(value)}" for key, value in parameters.items())
    if len(sizes) > 1:
        raise PriorError(
            f"{name}({text}) has vectors of different lengths: {', '.join(map(str, sorted(sizes)))}.",
            "Vectors of one prior have one value for each column of the term.",
            "Give all vectors the same length, or plain numbers.",
        )
    if len(numbers) < len(parameters):
        return
    if name == "Uniform" and not np.all(np.less(numbers[0], numbers[1])):
        remedy = "Exchange the two bounds, or move them apart."
        raise PriorError(f"{name}({text}) has no room between its bounds.", "lower is below upper.", remedy)
    if name == "Beta" and "mu" in parameters and not np.all(np.square(numbers[1]) < numbers[0] * (1 - numbers[0])):
        remedy = f"Make sigma smaller, or write {pattern(name, forms_of(name)[0])}."
        raise PriorError(f"{name}({text}) does not exist.", "sigma is below sqrt(mu (1 - mu)).", remedy)
