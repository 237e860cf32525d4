"""A formula that was read against a table of predictors."""

from dataclasses import dataclass

from speclet_formula.design import Design
from speclet_formula.design.design import Limits
from speclet_formula.families import Family
from speclet_formula.responses import DrawnResponse


@dataclass(frozen=True, eq=False)
class Simulator:
    """A formula read against a table of predictors, ready to draw responses from any parameters."""

    drawn: DrawnResponse  # the columns that the draws fill
    layout: Design
    family: Family
    limits: Limits | None  # between which a truncated response is drawn

    @property
    def response(self) -> str:
        """The column that the draws fill."""
        return self.drawn.column
