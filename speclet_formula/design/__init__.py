"""A Formula and a table go in; a `Design` comes out, and replays itself on new rows.

`tables` cleans the columns, `evaluation` and `transforms` compute calls, `fixed` codes terms, `build` joins them.
Judging a design is left to `preflight`.
"""

from speclet_formula.design.build import build_design, replay_design
from speclet_formula.design.centring import centre_of
from speclet_formula.design.records import Design, FixedTerm, GroupBlock
from speclet_formula.design.scanning import Scan, scan

__all__ = ["Design", "FixedTerm", "GroupBlock", "Scan", "build_design", "centre_of", "replay_design", "scan"]
