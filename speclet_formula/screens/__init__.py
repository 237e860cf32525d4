"""Read counts of a screen go in; a table to fit comes out, and later ranked genes, doubtful guides and separated controls.

The model between the two is the analyst's: `read_screen`, then `lmer`, then `rank_genes`.
"""

from speclet_formula.screens.reading import read_screen
from speclet_formula.screens.records import Screen, Separation, SimulatedScreen
from speclet_formula.screens.simulating import simulate_screen

__all__ = ["Screen", "Separation", "SimulatedScreen", "read_screen", "simulate_screen"]
