"""Estimates of maximum likelihood go in; JSON and plain arrays come out, and back.

Files and models are left to `archive`.
"""

from dataclasses import fields
from typing import Any

import numpy as np

from speclet_formula.estimates.points import PointEstimates
from speclet_formula.posterior import PointFit
from speclet_formula.storage.checking import of_class
from speclet_formula.storage.packing import Json, Take, pack_array, unpack_array

NUMBERS = ("log_likelihood", "df", "deviance", "aic", "bic", "singular", "verdict", "sentence", "remedy", "evaluations")


def pack_point(fit: PointFit, arrays: list[np.ndarray]) -> Json:
    """Write what a fit by maximum likelihood has beside its model.

    Parameters
    ----------
    fit : PointFit
    arrays : list of ndarray
        Where arrays are put aside.

    Returns
    -------
    dict
    """
    estimates = {field.name: _packed(getattr(fit.estimates, field.name), arrays) for field in fields(PointEstimates)}
    return {"estimates": estimates, **{name: getattr(fit, name) for name in NUMBERS}}


def unpack_point(packed: Json, take: Take) -> dict[str, Any]:
    """Read what `pack_point` wrote.

    Parameters
    ----------
    packed : dict
    take : callable
        Gives an array by its place.

    Returns
    -------
    dict
        Arguments of `PointFit`.
    """
    saved = of_class(PointEstimates, packed["estimates"])  # an older file lacks what came later, which has a default
    estimates = {
        field.name: _unpacked(saved[field.name], take) for field in fields(PointEstimates) if field.name in saved
    }
    return {"estimates": PointEstimates(**estimates), **{name: packed[name] for name in NUMBERS}}


def _packed(value: Any, arrays: list[np.ndarray]) -> Any:
    """Put arrays aside; text and numbers stay."""
    if isinstance(value, tuple):
        return [_packed(item, arrays) for item in value]
    return pack_array(value, arrays, "estimates") if isinstance(value, np.ndarray) else value


def _unpacked(value: Any, take: Take) -> Any:
    """Take arrays back."""
    if isinstance(value, list):
        return tuple(_unpacked(item, take) for item in value)
    return unpack_array(value, take) if isinstance(value, dict) else value
