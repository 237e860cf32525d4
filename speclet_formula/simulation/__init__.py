"""A formula, predictors and parameters go in; a drawn response and the truth come out, by numpy alone.

It shares no code with the engines, so that it can judge them. Comparing a fit with the truth is left to `recovery`.
"""

from speclet_formula.simulation.drawing import draw_data, simulator_of
from speclet_formula.simulation.parameters import check_params
from speclet_formula.simulation.records import Simulator
from speclet_formula.simulation.simulating import simulate

__all__ = ["Simulator", "check_params", "draw_data", "simulate", "simulator_of"]
