"""Many fits: of data sets simulated from one truth or from the priors, of the groups of one table, of a bootstrap."""

from speclet_formula.studies.bootstrap import Bootstrap, bootstrap
from speclet_formula.studies.by_group import GroupedFits, fit_by
from speclet_formula.studies.calibrate import Calibration, calibrate
from speclet_formula.studies.confint import confint
from speclet_formula.studies.study import Study, power, study

__all__ = [
    "Bootstrap",
    "Calibration",
    "GroupedFits",
    "Study",
    "bootstrap",
    "calibrate",
    "confint",
    "fit_by",
    "power",
    "study",
]
