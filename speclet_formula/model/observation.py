"""The log density of what was observed: a value, a bound (censored), or a value that was only seen between bounds.

Plain densities are those of `families`; what PyMC makes of the same rows is left to `inference`.
"""

import numpy as np

from speclet_formula.design import Design
from speclet_formula.design.design import Limits
from speclet_formula.errors import DataError
from speclet_formula.families import (
    Family,
    draw_response,
    families_with,
    log_density,
    specification_of,
    weighted,
)
from speclet_formula.families.specification import Parameters, Tails

MOST_ROUNDS = 10_000  # of drawing anew what fell outside the bounds: a range of probability 1e-3 is then hit for sure


def check_limits(family: Family, design: Design) -> None:
    """Refuse a censored or truncated response of a family without a distribution function here."""
    if design.limits is not None and specification_of(family).tails is None:
        raise DataError(
            f"'{design.response_name}' has no meaning for the family '{family.name}'.",
            f"A response can be censored or truncated in the families {families_with('tails')}.",
            "Write the response as a plain column, or choose another family.",
        )


def observed_log_density(
    family: Family, design: Design, rows: slice | np.ndarray, mean: np.ndarray, parameters: Parameters
) -> np.ndarray:
    """Return the log density of each observation: of its value, or the probability of its bound.

    Parameters
    ----------
    family : Family
    design : Design
        With the response, and its trials, weights and limits where it has them.
    rows : slice or array of int
        r rows of the design.
    mean : array of shape (..., r)
        The mean of the response before it was censored or truncated.
    parameters : mapping of str to array
        The family's other parameters: one for all rows, (..., 1), or one for each, (..., r).

    Returns
    -------
    array of shape (..., r)
        For a value of a truncated response log f(y) - log P(lb <= Y <= ub); for a censored one log P(Y <= y) or
        log P(Y >= y).

    Examples
    --------
    >>> import numpy as np
    >>> import speclet_formula as sf
    >>> data = {"y": [1.0, 2.0], "x": [0.0, 1.0], "status": ["none", "right"]}
    >>> model = sf.Model("censored(y, status) ~ x", data)
    >>> density = observed_log_density(model.family, model.design, slice(None), np.array([1.0, 2.0]), {"sigma": 1.0})
    >>> np.exp(density).round(3).tolist()
    [0.399, 0.5]
    """
    weights = None if design.weights is None else design.weights[rows]
    y = design.response[rows]
    density = log_density(
        family, y, mean, parameters, trials=None if design.trials is None else design.trials[rows], weights=weights
    )
    tails = specification_of(family).tails
    if design.limits is None or tails is None:
        return density
    limits = _limits_of_rows(design.limits, rows)
    return _limited(tails, density, y, mean, weighted(parameters, weights), limits)


def _limits_of_rows(limits: Limits, rows: slice | np.ndarray) -> Limits:
    return Limits(None if limits.status is None else limits.status[rows], limits.lower[rows], limits.upper[rows])


def _limited(
    tails: Tails, density: np.ndarray, y: np.ndarray, mean: np.ndarray, parameters: Parameters, limits: Limits
) -> np.ndarray:
    """Put probabilities in the place of the densities of bounds, or divide by the probability of being seen."""
    if limits.status is None:
        return np.asarray(density - _log_mass(tails, mean, parameters, limits))
    logs = np.array(density)
    for sign, tail in ((-1, tails.at_most), (1, tails.at_least)):
        held = np.flatnonzero(limits.status == sign)
        if len(held):
            held_parameters = {name: _columns(value, held) for name, value in parameters.items()}
            logs[..., held] = tail(y[held], mean[..., held], held_parameters)
    return logs


def _columns(value: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Take some rows' values of a parameter; a parameter that all rows share is returned as it is."""
    shared = np.ndim(value) == 0 or np.shape(value)[-1] == 1
    return value if shared else value[..., columns]


def _log_mass(tails: Tails, mean: np.ndarray, parameters: Parameters, limits: Limits) -> np.ndarray:
    """Return log P(lower <= Y <= upper), as a difference in the thinner tail so that no digits are lost."""
    below = tails.at_most(limits.upper, mean, parameters)
    above = tails.at_least(limits.lower, mean, parameters)
    in_lower_tail = _log_difference(below, tails.at_most(limits.lower - tails.step, mean, parameters))
    in_upper_tail = _log_difference(above, tails.at_least(limits.upper + tails.step, mean, parameters))
    return np.where(below <= above, in_lower_tail, in_upper_tail)


def _log_difference(larger: np.ndarray, smaller: np.ndarray) -> np.ndarray:
    """Return log(exp(larger) - exp(smaller))."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(larger + np.log1p(-np.exp(smaller - larger)))


def draw_between(
    family: Family,
    rng: np.random.Generator,
    mean: np.ndarray,
    parameters: Parameters,
    limits: Limits,
    *,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Draw one response for each mean, drawing anew where it falls outside its bounds.

    Raises
    ------
    DataError
        If a row's range is so unlikely that none of 10,000 draws falls into it.
    """
    parameters = weighted(parameters, weights)
    drawn = draw_response(family, rng, mean, parameters)
    for _ in range(MOST_ROUNDS):
        outside = np.flatnonzero((drawn < limits.lower) | (drawn > limits.upper))
        if not len(outside):
            return drawn
        rest = {name: _columns(value, outside) for name, value in parameters.items()}
        drawn[outside] = draw_response(family, rng, mean[outside], rest)
    row = outside[0]
    raise DataError(
        f"no draw for row {row}, whose mean is {mean[row]:.4g}, falls between {limits.lower[row]:g} and "
        f"{limits.upper[row]:g}.",
        f"A truncated response is drawn until it lies between its bounds, at most {MOST_ROUNDS:,} times.",
        "Move the bounds or the coefficients, so that the range is likelier.",
    )
