"""Draws go in; whether they can be trusted comes out, in plain words with a remedy."""

from speclet_formula.diagnostics.judging import diagnose
from speclet_formula.diagnostics.records import Diagnostics

__all__ = ["Diagnostics", "diagnose"]
