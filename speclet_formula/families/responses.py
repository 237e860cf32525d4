"""A family and a response go in; nothing comes out, or the error that says why the two do not go together."""

from collections.abc import Callable

import numpy as np

from speclet_formula.errors import DataError
from speclet_formula.families.records import Family
from speclet_formula.families.registry import FAMILIES

_SUPPORT: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "real": (np.isfinite, "numbers"),
    "positive": (lambda y: y > 0, "numbers above 0"),
    "unit": (lambda y: (y > 0) & (y < 1), "numbers between 0 and 1, neither 0 nor 1 themselves"),
    "angle": (lambda y: np.abs(y) <= np.pi, "angles in radians, from -pi to pi"),
    "nonnegative": (lambda y: y >= 0, "0 and numbers above it"),
    "binary": (lambda y: (y == 0) | (y == 1), "0 or 1, True or False, or a factor of two levels"),
    "count": (lambda y: (y >= 0) & (y == np.round(y)), "whole numbers from 0 on"),
    "proportion": (lambda y: (y >= 0) & (y == np.round(y)), "counts of successes"),
    "ordinal": (lambda y: (y >= 0) & (y == np.round(y)), "ordered levels"),
}
_WITH_TRIALS = tuple(name for name, known in FAMILIES.items() if known.support == "proportion")


def check_response(family: Family, y: np.ndarray, name: str, trials: np.ndarray | None) -> None:
    """Raise a DataError if the family cannot have produced the response.

    Parameters
    ----------
    family : Family
    y : array of shape (n,)
        As a design holds it: successes of a proportion, places of ordered levels.
    name : str
        The response as the formula spells it.
    trials : array of shape (n,) or None
        Numbers of trials.

    Raises
    ------
    DataError
    """
    _check_trials(family, name, trials)
    inside, words = _SUPPORT[FAMILIES[family.name].support]
    outside = np.flatnonzero(~inside(y))
    if len(outside):
        raise DataError(
            f"'{name}' has {len(outside)} values that a {family.name} response cannot take, such as {y[outside[0]]:g}.",
            f"A {family.name} response takes {words}.",
            _remedy(family, y[outside]),
        )


def _remedy(family: Family, outside: np.ndarray) -> str:
    """Name the family that takes the values, where there is one."""
    support = FAMILIES[family.name].support
    if support == "positive" and (outside == 0).all():
        return "For zeros beside positive numbers take family='hurdle_gamma' or 'hurdle_lognormal'."
    if support == "unit" and ((outside == 0) | (outside == 1)).all():
        return "Shares of 0 or 1 mostly come from counts: cbind(successes, failures) with family='beta_binomial'."
    return f"Choose another family than '{family.name}', or mend the column."


def _check_trials(family: Family, name: str, trials: np.ndarray | None) -> None:
    needed = FAMILIES[family.name].support == "proportion"
    if needed and trials is None:
        single = ", or single trials of 0 and 1" if family.name == "binomial" else ""
        raise DataError(
            f"'{name}' says nothing of the numbers of trials.",
            f"A {family.name} response is cbind(successes, failures), or a proportion with the numbers of trials as "
            f"weights{single}.",
            f"Write cbind({name}, trials - {name}) for successes, or add weights='trials' for a proportion.",
        )
    if not needed and trials is not None:
        raise DataError(
            f"'{name}' does not fit the family '{family.name}'.",
            f"Successes out of trials have the families {', '.join(_WITH_TRIALS)}.",
            "Choose one of these, or write the response as one column.",
        )
