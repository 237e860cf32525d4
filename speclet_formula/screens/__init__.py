"""Read counts go in; a table to fit comes out, and of its fit ranked genes, doubtful guides and separated controls.

The model between the two is the analyst's: `read_screen`, then `lmer`, then `rank_genes`.
"""

from speclet_formula.screens.changes import read_fold_changes
from speclet_formula.screens.ranking import guide_table, rank_genes
from speclet_formula.screens.reading import read_screen
from speclet_formula.screens.records import Screen, Separation, SimulatedScreen
from speclet_formula.screens.separating import control_separation, scale_effects
from speclet_formula.screens.simulating import simulate_screen

__all__ = [
    "Screen",
    "Separation",
    "SimulatedScreen",
    "control_separation",
    "guide_table",
    "rank_genes",
    "read_fold_changes",
    "read_screen",
    "scale_effects",
    "simulate_screen",
]
