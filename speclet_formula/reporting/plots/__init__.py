"""Pictures of results, each a figure with a text that says what it shows; one file for each kind of result."""

from speclet_formula.reporting.plots.checks import plot_predictive, plot_priors, plot_residuals
from speclet_formula.reporting.plots.comparison import plot_compare, plot_pareto_k
from speclet_formula.reporting.plots.effects import plot_effects, plot_shrinkage, plot_variances
from speclet_formula.reporting.plots.means import plot_matrix, plot_means
from speclet_formula.reporting.plots.picture import Picture
from speclet_formula.reporting.plots.recovery import (
    plot_coverage,
    plot_intervals,
    plot_parameters,
    plot_recoveries,
    plot_recovery,
    save_pictures,
)
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
