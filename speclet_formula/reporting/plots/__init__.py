"""Results go in; figures with a text that says what they show come out, one file for each kind of result."""

from speclet_formula.reporting.plots.fits import plot_compare, plot_pareto_k, plot_priors, plot_variances
from speclet_formula.reporting.plots.levels import plot_effects, plot_shrinkage
from speclet_formula.reporting.plots.means import plot_matrix, plot_means
from speclet_formula.reporting.plots.pictures import Picture
from speclet_formula.reporting.plots.predictive import plot_predictive
from speclet_formula.reporting.plots.recovering import (
    plot_coverage,
    plot_intervals,
    plot_parameters,
    plot_recoveries,
    plot_recovery,
    save_pictures,
)
from speclet_formula.reporting.plots.residuals import plot_residuals
from speclet_formula.reporting.plots.screens import plot_ranks, plot_separation, plot_volcano

__all__ = [
    "Picture",
    "plot_compare",
    "plot_coverage",
    "plot_effects",
    "plot_intervals",
    "plot_matrix",
    "plot_means",
    "plot_parameters",
    "plot_pareto_k",
    "plot_predictive",
    "plot_priors",
    "plot_ranks",
    "plot_recoveries",
    "plot_recovery",
    "plot_residuals",
    "plot_separation",
    "plot_shrinkage",
    "plot_variances",
    "plot_volcano",
    "save_pictures",
]
