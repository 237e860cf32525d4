"""The scales of a table of means: functions from the linear predictor to the response.

The response's scale is that of the data's own columns: a computed response, log(y + 5), is taken back.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from speclet_formula.errors import EstimateError, listed, nearest
from speclet_formula.families import inverse_link, inverse_parameter_link, is_ordinal, is_unordered, specification_of
from speclet_formula.formula.terms import (
    LIMITED,
    Argument,
    Call,
    Expression,
    Name,
    Number,
    Operation,
    columns_of,
    text_of,
)
from speclet_formula.interpretation.combinations import Function
from speclet_formula.interpretation.grids import Grid
from speclet_formula.posterior.draws import Fitted
from speclet_formula.posterior.estimates import Array

type Scale = Literal["link", "response"]

_INVERSE: Mapping[str, Function] = {
    "log": np.exp,
    "log2": np.exp2,
    "log10": lambda values: np.power(10.0, values),
    "log1p": np.expm1,
    "sqrt": np.square,
    "exp": np.log,
    "expm1": np.log1p,
}
_BASES = {"log": math.e, "log2": 2.0, "log10": 10.0}
_ARITHMETIC = ("+", "-", "*", "/", "^")


@dataclass(frozen=True, eq=False)
class Back:
    """The way back from a computed response, log(y + 5), to what it was computed from.

    Attributes
    ----------
    text : str
        The response as the formula spells it.
    response : str
        What it was computed from, "y".
    inverse : callable
        From values of the one to values of the other.
    base : float or None
        Of a logarithm that was taken last: differences are logarithms of ratios to this base.
    inside : str
        What that logarithm is of, "y + 5"; the ratios are of this.
    """

    text: str
    response: str
    inverse: Callable[[Array], Array]
    base: float | None
    inside: str


def check_type(given: object) -> None:
    """Refuse what is no scale.

    Raises
    ------
    EstimateError
    """
    if given not in ("link", "response"):
        near = nearest(str(given), ("link", "response"))
        raise EstimateError(
            f"type={given!r} is not a scale.",
            "Scales: 'link', that of the linear predictor, and 'response'.",
            f"Nearest: type='{near}'." if near else "Write type='link'.",
        )


def response_function(fit: Fitted, grid: Grid, scale: Scale) -> Function | None:
    """Return what leads from the linear predictor to the wanted scale; None where it is that already.

    Raises
    ------
    EstimateError
        An ordinal response has no mean.
    """
    if scale == "link":
        return None
    if is_unordered(fit.model.family):
        raise EstimateError(
            f"one linear predictor alone does not say how likely a level of '{fit.model.design.response_name}' is.",
            "Of unordered levels each linear predictor has means, type='link'.",
            "Write type='link'; sf.avg_predictions(fit) has each level's probability.",
        )
    if grid.parameter is not None:
        parameter = grid.parameter
        return lambda eta: np.asarray(inverse_parameter_link(fit.model.family, parameter, eta))
    family, back = fit.model.family, way_back(fit, grid, scale)
    if is_ordinal(family):
        raise EstimateError(
            f"the levels of '{fit.model.design.response_name}' have no mean.",
            "Of an ordinal model the location of the latent response has means, type='link'.",
            "Write type='link'; sf.fitted(fit) has each level's probability.",
        )
    if family.link == "identity":
        return None if back is None else back.inverse
    return lambda eta: back.inverse(inverse_link(family, eta)) if back else inverse_link(family, eta)


def way_back(fit: Fitted, grid: Grid, scale: Scale) -> Back | None:
    """Return how a computed response is taken back to what it was computed from; None where there is nothing to do.

    Returns
    -------
    Back or None
        Of the lognormal families, whose linear predictor is the mean of the logarithm, its exponential.

    Raises
    ------
    EstimateError
        The response is computed by a function that cannot be undone.
    """
    return None if scale == "link" or grid.parameter is not None else back_of(fit)


def back_of(fit: Fitted) -> Back | None:
    """Return how the response of a fit is taken back; None where it is a plain column. Errors as `way_back`."""
    response = fit.model.formula.response
    measured = specification_of(fit.model.family).responses.is_measured
    if response is None or not measured:
        return None
    if isinstance(response, Call) and response.function in LIMITED:
        response = response.arguments[0].value
    if specification_of(fit.model.family).logarithm_of:
        response = Call("log", (Argument(None, response),))
    steps, left = _undone(response, fit.model.design.response_name)
    if not steps:
        return None
    base, inside = _last_logarithm(response, identity=fit.model.family.link == "identity")
    return Back(text_of(response), text_of(left), _chained(steps), base, inside)


def _chained(steps: list[Function]) -> Function:
    """Return one function of several, the first first."""

    def inverse(values: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for step in steps:
                values = step(values)
        return values

    return inverse


def _last_logarithm(response: Expression, *, identity: bool) -> tuple[float | None, str]:
    """Return the base of the logarithm that a response is, and what it is of."""
    while isinstance(response, Call) and response.function == "I":
        response = response.arguments[0].value
    if not identity or not isinstance(response, Call) or response.function not in _BASES:
        return None, text_of(response)
    value, *base = (argument.value for argument in response.arguments)
    if not base:
        return _BASES[response.function], text_of(value)
    return (float(base[0].value), text_of(value)) if isinstance(base[0], Number) else (None, text_of(response))


def _undone(expression: Expression, response: str) -> tuple[list[Function], Expression]:
    """Return the functions that undo an expression, the outermost first, and the part that is left."""
    steps: list[Function] = []
    while not isinstance(expression, Name):
        if isinstance(expression, Call) and expression.function == "I":
            expression = expression.arguments[0].value
            continue
        if isinstance(expression, Call):
            undone = _undone_call(expression)
            if undone is None:
                raise _not_undone(expression.function, response)
        elif isinstance(expression, Operation) and expression.operator in _ARITHMETIC:
            undone = _undone_operation(expression)
            if undone is None:  # of several columns, such as a / b: a quantity of its own
                return steps, expression
        else:
            raise _not_undone(getattr(expression, "operator", text_of(expression)), response)
        steps.append(undone[0])
        expression = undone[1]
    return steps, expression


def _undone_call(call: Call) -> tuple[Function, Expression] | None:
    """Return what undoes a call, and its argument."""
    value, *others = (argument.value for argument in call.arguments)
    if call.function == "log" and len(others) == 1 and isinstance(others[0], Number):
        base = float(others[0].value)
        return lambda values: np.power(base, values), value
    return (_INVERSE[call.function], value) if call.function in _INVERSE and not others else None


def _undone_operation(operation: Operation) -> tuple[Function, Expression] | None:
    """Return what undoes arithmetic with a constant, and the operand that is none."""
    if len(operation.operands) == 1:
        return (lambda values: -values if operation.operator == "-" else values), operation.operands[0]
    left, right = operation.operands
    constants = [None if columns_of(side) else _constant(side) for side in (left, right)]
    if constants[1] is not None:
        return _UNDO_RIGHT[operation.operator](constants[1]), left
    if constants[0] is not None:
        return _UNDO_LEFT[operation.operator](constants[0]), right
    return None


def _constant(expression: Expression) -> float | None:
    """Return the value of a number, perhaps with a sign; None for anything else."""
    if isinstance(expression, Operation) and len(expression.operands) == 1:
        value = _constant(expression.operands[0])
        return None if value is None else -value if expression.operator == "-" else value
    return float(expression.value) if isinstance(expression, Number) else None


_UNDO_RIGHT: Mapping[str, Callable[[float], Function]] = {  # of x + c, x - c, x * c, x / c, x^c
    "+": lambda c: lambda values: values - c,
    "-": lambda c: lambda values: values + c,
    "*": lambda c: lambda values: values / c,
    "/": lambda c: lambda values: values * c,
    "^": lambda c: lambda values: np.power(values, 1 / c),
}
_UNDO_LEFT: Mapping[str, Callable[[float], Function]] = {  # of c + x, c - x, c * x, c / x, c^x
    "+": lambda c: lambda values: values - c,
    "-": lambda c: lambda values: c - values,
    "*": lambda c: lambda values: values / c,
    "/": lambda c: lambda values: c / values,
    "^": lambda c: lambda values: np.log(values) / np.log(c),
}


def _not_undone(function: str, response: str) -> EstimateError:
    """Refuse to take back what has no inverse here."""
    return EstimateError(
        f"the response '{response}' cannot be taken back: '{function}' has no inverse here.",
        f"Taken back: {listed(_INVERSE, 20)}, and arithmetic with numbers.",
        f"Write type='link' for means of '{response}' itself.",
    )
