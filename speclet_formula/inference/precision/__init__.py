"""A design's normal equations and what they say for many draws of the variances.

`systems` builds them; `dense` and `sparse` are two kinds of algebra for them, of which each system has one.
"""

from speclet_formula.inference.precision.records import Layout, System
from speclet_formula.inference.precision.systems import (
    build_system,
    cancelling,
    draw,
    left_out_densities,
    log_determinants,
    moved,
    predict_rows,
    solve,
    without_rows,
)

__all__ = [
    "Layout",
    "System",
    "build_system",
    "cancelling",
    "draw",
    "left_out_densities",
    "log_determinants",
    "moved",
    "predict_rows",
    "solve",
    "without_rows",
]
