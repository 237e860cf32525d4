"""The priors of a Bambi model go in, its defaults among them; this package's priors come out, by slot.

Every number is stated, so that the model means the same whatever either package's defaults are. Which slot a term has
here is `back`'s to say.
"""

from collections.abc import Mapping
from typing import Any

import bambi
import numpy as np

from speclet_formula.errors import PriorError
from speclet_formula.priors import Prior

# What PyMC takes for a parameter that is not given.
_DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "Normal": {"mu": 0.0, "sigma": 1.0},
    "StudentT": {"mu": 0.0, "sigma": 1.0},
    "Logistic": {"mu": 0.0, "s": 1.0},
    "LogNormal": {"mu": 0.0, "sigma": 1.0},
    "Uniform": {"lower": 0.0, "upper": 1.0},
    "HalfNormal": {"sigma": 1.0},
    "HalfStudentT": {"sigma": 1.0},
}


def stated_prior(prior: Any, place: str, column: int | None = None) -> Prior:
    """Read the prior of one of Bambi's terms or parameters.

    Parameters
    ----------
    prior : bambi.Prior
    place : str
        Bambi's name of what has it, for the error.
    column : int, optional
        The column whose number to take where there is one for each.

    Raises
    ------
    PriorError
        If there is no such prior here.
    """
    if not isinstance(prior, bambi.Prior):
        raise PriorError(
            f"'{place}' is fixed at {prior} in the Bambi model.",
            "Here every parameter is estimated, and has a prior.",
            "Give it a narrow prior: "
            f"model.set_priors({{'{place}': bmb.Prior('Gamma', mu={prior}, sigma={prior / 100:g})}}).",
        )
    if prior.dist is not None:
        raise PriorError(
            f"the prior of '{place}' in the Bambi model is built by a function of its own, {_name_of(prior.dist)}.",
            "Priors that are read have a name and numbers: Normal, StudentT, HalfNormal, ...",
            "Give it a named prior with model.set_priors(...), or fit the Bambi model itself.",
        )
    given = {name: _argument(value, place, column) for name, value in prior.args.items()}
    try:
        return Prior(prior.name, **{**_DEFAULTS.get(prior.name, {}), **given})
    except PriorError as error:
        raise PriorError(
            f"the prior of '{place}' in the Bambi model, {prior}, cannot be read: {error.problem}",
            error.allowed,
            "Give it another prior with model.set_priors(...), or fit the Bambi model itself.",
        ) from error


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _argument(value: Any, place: str, column: int | None) -> Any:
    """Return a number, an array, one column's number, or a hyperprior."""
    if isinstance(value, bambi.Prior):
        return stated_prior(value, place, column)
    values = np.asarray(value)
    if values.dtype.kind not in "iuf":
        return value  # a transformation and the like: the prior here says that it takes none
    if values.ndim == 0:
        return float(values)
    return values if column is None else float(values[column])


def stated_group_priors(prior: Any, place: str, columns: int, *, noncentered: bool) -> list[Prior]:
    """Read the prior of a group term, for each of its columns.

    `noncentered` is the model's own choice, which the prior may change.

    Raises
    ------
    PriorError
        If its effects are not Normal, or have a mean that Bambi leaves out.
    """
    if prior.name != "Normal" and prior.dist is None:
        raise PriorError(
            f"the effects of '{place}' in the Bambi model are {prior.name}.",
            "Group effects are Normal here, as in lme4.",
            "Give them a Normal prior with model.set_priors(...), or fit the Bambi model itself.",
        )
    offset = noncentered if prior.noncentered is None else prior.noncentered
    mean = prior.args.get("mu", 0.0)
    if offset and (isinstance(mean, bambi.Prior) or np.any(np.asarray(mean) != 0)):
        raise PriorError(
            f"the prior of '{place}' has a mean, {prior}, which Bambi leaves out of a model that is not centred.",
            "A group term's mean counts here, whichever way it is sampled.",
            "Say which is meant: bmb.Prior(..., noncentered=False) for the mean, or mu=0 for none.",
        )
    own = prior.noncentered if noncentered else offset
    stated = [stated_prior(prior, place, column) for column in range(columns)]
    return [Prior("Normal", noncentered=own, **each.parameters) for each in stated]


def stated_thresholds(prior: Any, place: str) -> Prior:
    """Read the prior of thresholds; that they increase is part of the family here."""
    if isinstance(prior, bambi.Prior):
        left = {name: value for name, value in prior.args.items() if name not in ("transform", "initval")}
        prior = bambi.Prior(prior.name, auto_scale=False, dist=prior.dist, **left)
    return stated_prior(prior, place)
