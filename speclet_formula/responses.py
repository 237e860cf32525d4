"""The left-hand side of a formula and drawn values go in; the columns that an analyst would have measured come out.

A censored response is cut off at the limits of measurement, a truncated one has been drawn between its bounds by
`observation`. Drawing is left to `simulation`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.design import Limits
from speclet_formula.design.evaluation import Scope
from speclet_formula.design.response import truncation_of
from speclet_formula.design.tables import clean_columns, select_columns
from speclet_formula.errors import DataError, FormulaError
from speclet_formula.formula.terms import LIMITED, Call, Expression, Name, columns_of, text_of

type Censor = tuple[float | None, float | None] | None


@dataclass(frozen=True)
class DrawnResponse:
    """What draws fill."""

    column: str
    status: str | None  # the column of the statuses of a censored response
    lowest: float  # that can be measured
    highest: float


def response_to_draw(node: Expression | None, censor: Censor) -> DrawnResponse:
    """Return the columns that draws will fill.

    Parameters
    ----------
    node : Expression or None
        The response, as the formula has it.
    censor : (float, float), optional
        Lowest and highest value that can be measured, None for no limit; for a censored response only.

    Returns
    -------
    DrawnResponse

    Raises
    ------
    FormulaError
        If the response is not made of plain names.
    DataError
        If `censor` is missing, of no use here, or not two limits in order.
    """
    call = node if isinstance(node, Call) and node.function in LIMITED else None
    names = [argument.value for argument in call.arguments] if call else [node]
    plain = names if call is not None and call.function == "censored" else names[:1]
    if not all(isinstance(name, Name) for name in plain):
        written = "nothing" if node is None else f"'{text_of(node)}'"
        raise FormulaError(
            f"the response is {written}, which is not a column that draws can fill.",
            "The response of simulated data is a plain name: 'y ~ ...'.",
            "Write the successes as a share, 'p ~ ...', and the column of the trials as weights=."
            if isinstance(node, Call) and node.function == "cbind"
            else "Simulate the transformed response under a name of its own.",
        )
    column, *status = [name.name for name in plain if isinstance(name, Name)]
    lowest, highest = _limits(column, censor, censored=bool(status))
    return DrawnResponse(column, status[0] if status else None, lowest, highest)


def _limits(column: str, censor: Censor, *, censored: bool) -> tuple[float, float]:
    if not censored and censor is None:
        return -np.inf, np.inf
    allowed = "censor=(lowest, highest) are the limits of measurement of a response 'censored(y, status)'."
    if not censored:
        raise DataError(
            f"censor={censor!r} has no use for the response '{column}'.",
            allowed,
            f"Write censored({column}, status) ~ ..., or leave censor= out.",
        )
    if censor is None:
        raise DataError(
            f"the response '{column}' is censored, and nothing says where.",
            allowed,
            "Write, for example, censor=(-5, None): what is lower is marked 'left'.",
        )
    lowest, highest = (
        limit if given is None else float(given) for given, limit in zip(censor, (-np.inf, np.inf), strict=True)
    )
    if not lowest < highest:
        raise DataError(f"censor={censor!r} leaves no room between its limits.", allowed, "Exchange the two limits.")
    return lowest, highest


def bounds_of_rows(node: Expression | None, table: pd.DataFrame) -> Limits | None:
    """Return the bounds of a truncated response for the rows of a table; None for any other response.

    Raises
    ------
    FormulaError, DataError
        If a bound is a column that does not exist or is not numeric.
    """
    if not isinstance(node, Call) or node.function != "truncated":
        return None
    names = list(dict.fromkeys(name for bound in node.arguments[1:] for name in columns_of(bound)))
    frame = clean_columns(select_columns(table, names)) if names else pd.DataFrame(index=table.index)
    return truncation_of(node, Scope(frame, {}, {}))


def observed_columns(response: DrawnResponse, drawn: np.ndarray) -> dict[str, Any]:
    """Return the response as it is measured, and what is known of each value where that is not all."""
    if response.status is None:
        return {response.column: drawn}
    status = np.select([drawn < response.lowest, drawn > response.highest], ["left", "right"], "none")
    return {response.column: np.clip(drawn, response.lowest, response.highest), response.status: status}
