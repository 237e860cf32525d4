"""What the tables of error texts share: a test for each block, and the text of the error that its formula raises."""

import pytest

from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.refusals import alphabetical
from speclet_formula.formula.terms import FUNCTIONS

CALLABLE = ", ".join(sorted(FUNCTIONS, key=alphabetical))


def each_message(table):
    """Run a test once for each block of a table; blocks are parted by empty lines."""
    return pytest.mark.parametrize("message", table.strip().split("\n\n"), ids=lambda block: block.split("\n")[0])


def refusal(message):
    """Parse the first line of a message, and give the whole text of the error."""
    with pytest.raises(FormulaError) as error:
        parse_formula(message.split("\n")[0])
    return str(error.value)
