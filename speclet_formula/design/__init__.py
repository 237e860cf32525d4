"""What a formula means for a table: response, columns, group blocks, offset and weights, and the same for new rows.

`tables` cleans the columns, `evaluation` and `transforms` compute calls, `fixed` and `groups` make the columns of
terms, `build` joins them. Judging a design is left to `model`.
"""

from speclet_formula.design.build import build_design, replay_design
from speclet_formula.design.design import Design, FixedTerm, GroupBlock, Predictor
from speclet_formula.design.groups import centre_of
from speclet_formula.design.level_matrices import LevelMatrix
from speclet_formula.design.scans import Scan, scan

__all__ = [
    "Design",
    "FixedTerm",
    "GroupBlock",
    "LevelMatrix",
    "Predictor",
    "Scan",
    "build_design",
    "centre_of",
    "replay_design",
    "scan",
]
