"""A model and a truth, or its priors, go in; a `Study` or `Calibration` of many simulated data sets comes out."""

from speclet_formula.studies.calibrating import calibrate
from speclet_formula.studies.records import Calibration, Study
from speclet_formula.studies.studying import power, study

__all__ = ["Calibration", "Study", "calibrate", "power", "study"]
