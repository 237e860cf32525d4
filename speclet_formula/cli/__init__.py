"""The command line: summaries, comparisons, recovery tables and ranked genes as plain text.

All that is computed is left to the rooms below.
"""

from speclet_formula.cli.commands import app, main

__all__ = ["app", "main"]
