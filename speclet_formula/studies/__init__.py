"""Many fits: of data sets simulated from one truth or from the priors, and of the groups of one table."""

from speclet_formula.studies.by_group import GroupedFits, fit_by
from speclet_formula.studies.calibrate import Calibration, calibrate
from speclet_formula.studies.study import Study, power, study

__all__ = ["Calibration", "GroupedFits", "Study", "calibrate", "fit_by", "power", "study"]
