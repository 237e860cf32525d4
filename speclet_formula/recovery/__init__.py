"""Data simulated from a known truth, and how well fits of them recover it."""

from speclet_formula.recovery.recover import Recoveries, Recovery, recover
from speclet_formula.recovery.truth import ImpliedTruth, implied_truth

__all__ = ["ImpliedTruth", "Recoveries", "Recovery", "implied_truth", "recover"]
