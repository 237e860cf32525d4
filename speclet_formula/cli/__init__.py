"""A command line goes in; summaries, comparisons and recovery tables go out as plain text.

`reading` turns files and options into tables, `options` holds what several commands share, `commands` says what each
does. All that is computed is left to the rooms below.
"""

from speclet_formula.cli.commands import app, main

__all__ = ["app", "main"]
