"""A fit and a known truth go in; a `Recovery` comes out: tables of how well each parameter and effect was found."""

from speclet_formula.recovery.records import Recoveries, Recovery
from speclet_formula.recovery.tables import recover
from speclet_formula.recovery.truth import ImpliedTruth, implied_truth

__all__ = ["ImpliedTruth", "Recoveries", "Recovery", "implied_truth", "recover"]
