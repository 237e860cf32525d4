"""Fits go in; one HTML file that tells of them, for a browser, a phone, a printer or a screen reader, comes out."""

from speclet_formula.reporting.html.report import report

__all__ = ["report"]
