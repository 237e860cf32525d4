"""R's mixed-model formulas on Bambi and PyMC: fit, summarise as lme4 does, compare by leave-one-out, recover effects.

The public names, gathered from the rooms. Nothing is computed here, and a room is opened when its name is first used,
so that importing the package takes no time. Each verb is handed out with a look at the kind of what it is given.
"""

from importlib import import_module
from inspect import isfunction
from typing import TYPE_CHECKING, Any

from speclet_formula.common.arguments import public

if TYPE_CHECKING:
    from speclet_formula.comparison import Comparison as Comparison
    from speclet_formula.comparison import LikelihoodRatios as LikelihoodRatios
    from speclet_formula.comparison import anova as anova
    from speclet_formula.comparison import compare as compare
    from speclet_formula.comparison import glance as glance
    from speclet_formula.comparison import kfold as kfold
    from speclet_formula.comparison import loo as loo
    from speclet_formula.design.scans import Scan as Scan
    from speclet_formula.design.scans import scan as scan
    from speclet_formula.errors import ComparisonError as ComparisonError
    from speclet_formula.errors import DataError as DataError
    from speclet_formula.errors import EstimateError as EstimateError
    from speclet_formula.errors import FormulaError as FormulaError
    from speclet_formula.errors import PriorError as PriorError
    from speclet_formula.errors import SamplingError as SamplingError
    from speclet_formula.errors import SpecletError as SpecletError
    from speclet_formula.inference.confint import confint as confint
    from speclet_formula.inference.costs import Costs as Costs
    from speclet_formula.inference.costs import costs as costs
    from speclet_formula.inference.fit import fit as fit
    from speclet_formula.inference.lmer import glmer as glmer
    from speclet_formula.inference.lmer import lmer as lmer
    from speclet_formula.inference.refit import refit as refit
    from speclet_formula.inference.translation.from_bambi import from_bambi as from_bambi
    from speclet_formula.inference.translation.to_bambi import to_bambi as to_bambi
    from speclet_formula.inference.translation.to_bambi import to_pymc as to_pymc
    from speclet_formula.inference.update import update as update
    from speclet_formula.interpretation import Means as Means
    from speclet_formula.interpretation import contrasts as contrasts
    from speclet_formula.interpretation import effect_matrix as effect_matrix
    from speclet_formula.interpretation import hypothesis as hypothesis
    from speclet_formula.interpretation import level_effects as level_effects
    from speclet_formula.interpretation import marginal_means as marginal_means
    from speclet_formula.interpretation import pairs as pairs
    from speclet_formula.interpretation import reference_grid as reference_grid
    from speclet_formula.interpretation import selectivity as selectivity
    from speclet_formula.interpretation import slopes as slopes
    from speclet_formula.interpretation.explain import Explanation as Explanation
    from speclet_formula.interpretation.explain import equation as equation
    from speclet_formula.interpretation.explain import explain as explain
    from speclet_formula.interpretation.explain import spelling as spelling
    from speclet_formula.model import Model as Model
    from speclet_formula.posterior import Fit as Fit
    from speclet_formula.posterior import PointFit as PointFit
    from speclet_formula.posterior.archive import load as load
    from speclet_formula.posterior.archive import save as save
    from speclet_formula.posterior.diagnostics import diagnose as diagnose
    from speclet_formula.posterior.draws import ngrps as ngrps
    from speclet_formula.posterior.draws import nobs as nobs
    from speclet_formula.posterior.effects import coef as coef
    from speclet_formula.posterior.effects import family_parameters as family_parameters
    from speclet_formula.posterior.effects import fixef as fixef
    from speclet_formula.posterior.effects import ranef as ranef
    from speclet_formula.posterior.r2 import icc as icc
    from speclet_formula.posterior.r2 import r2 as r2
    from speclet_formula.posterior.singular import is_singular as is_singular
    from speclet_formula.posterior.singular import near_singular as near_singular
    from speclet_formula.posterior.tidy import tidy as tidy
    from speclet_formula.posterior.variances import sigma as sigma
    from speclet_formula.posterior.variances import varcorr as varcorr
    from speclet_formula.prediction import augment as augment
    from speclet_formula.prediction import fitted as fitted
    from speclet_formula.prediction import log_likelihood as log_likelihood
    from speclet_formula.prediction import predict as predict
    from speclet_formula.prediction import residuals as residuals
    from speclet_formula.prediction.predictive import Predictive as Predictive
    from speclet_formula.prediction.predictive import posterior_predictive as posterior_predictive
    from speclet_formula.prediction.predictive import prior_predictive as prior_predictive
    from speclet_formula.prediction.sensitivity import sensitivity as sensitivity
    from speclet_formula.priors import Prior as Prior
    from speclet_formula.recovery import Recoveries as Recoveries
    from speclet_formula.recovery import Recovery as Recovery
    from speclet_formula.recovery import recover as recover
    from speclet_formula.recovery.simulate import simulate as simulate
    from speclet_formula.reporting.plots.checks import plot_predictive as plot_predictive
    from speclet_formula.reporting.plots.checks import plot_priors as plot_priors
    from speclet_formula.reporting.plots.checks import plot_residuals as plot_residuals
    from speclet_formula.reporting.plots.comparison import plot_compare as plot_compare
    from speclet_formula.reporting.plots.comparison import plot_pareto_k as plot_pareto_k
    from speclet_formula.reporting.plots.effects import plot_effects as plot_effects
    from speclet_formula.reporting.plots.effects import plot_fixed as plot_fixed
    from speclet_formula.reporting.plots.effects import plot_shrinkage as plot_shrinkage
    from speclet_formula.reporting.plots.effects import plot_variances as plot_variances
    from speclet_formula.reporting.plots.means import plot_matrix as plot_matrix
    from speclet_formula.reporting.plots.means import plot_means as plot_means
    from speclet_formula.reporting.plots.plot import plot as plot
    from speclet_formula.reporting.plots.recovery import plot_coverage as plot_coverage
    from speclet_formula.reporting.plots.recovery import plot_intervals as plot_intervals
    from speclet_formula.reporting.plots.recovery import plot_parameters as plot_parameters
    from speclet_formula.reporting.plots.recovery import plot_recoveries as plot_recoveries
    from speclet_formula.reporting.plots.recovery import plot_recovery as plot_recovery
    from speclet_formula.reporting.plots.screens import plot_ranks as plot_ranks
    from speclet_formula.reporting.plots.screens import plot_separation as plot_separation
    from speclet_formula.reporting.plots.screens import plot_volcano as plot_volcano
    from speclet_formula.reporting.plots.study import plot_calibration as plot_calibration
    from speclet_formula.reporting.plots.study import plot_study as plot_study
    from speclet_formula.reporting.report import report as report
    from speclet_formula.reporting.tables import render_table as render_table
    from speclet_formula.screens import datasets as datasets
    from speclet_formula.screens.controls import Separation as Separation
    from speclet_formula.screens.controls import control_separation as control_separation
    from speclet_formula.screens.controls import scale_effects as scale_effects
    from speclet_formula.screens.ranking import guide_table as guide_table
    from speclet_formula.screens.ranking import rank_genes as rank_genes
    from speclet_formula.screens.read import Screen as Screen
    from speclet_formula.screens.read import read_fold_changes as read_fold_changes
    from speclet_formula.screens.read import read_screen as read_screen
    from speclet_formula.screens.simulate import SimulatedScreen as SimulatedScreen
    from speclet_formula.screens.simulate import simulate_screen as simulate_screen
    from speclet_formula.studies import Calibration as Calibration
    from speclet_formula.studies import GroupedFits as GroupedFits
    from speclet_formula.studies import Study as Study
    from speclet_formula.studies import calibrate as calibrate
    from speclet_formula.studies import fit_by as fit_by
    from speclet_formula.studies import power as power
    from speclet_formula.studies import study as study

__version__ = "0.1.0"

_ROOMS = {
    "comparison": (
        "Comparison",
        "LikelihoodRatios",
        "anova",
        "compare",
        "glance",
        "kfold",
        "loo",
    ),
    "design.scans": (
        "Scan",
        "scan",
    ),
    "errors": (
        "ComparisonError",
        "DataError",
        "EstimateError",
        "FormulaError",
        "PriorError",
        "SamplingError",
        "SpecletError",
    ),
    "interpretation.explain": (
        "Explanation",
        "equation",
        "explain",
        "spelling",
    ),
    "inference.confint": ("confint",),
    "inference.costs": (
        "Costs",
        "costs",
    ),
    "inference.fit": ("fit",),
    "inference.lmer": ("glmer", "lmer"),
    "inference.refit": ("refit",),
    "inference.translation.from_bambi": ("from_bambi",),
    "inference.translation.to_bambi": (
        "to_bambi",
        "to_pymc",
    ),
    "inference.update": ("update",),
    "interpretation": (
        "Means",
        "contrasts",
        "effect_matrix",
        "hypothesis",
        "level_effects",
        "marginal_means",
        "pairs",
        "reference_grid",
        "selectivity",
        "slopes",
    ),
    "model": ("Model",),
    "posterior.singular": ("is_singular", "near_singular"),
    "posterior": (
        "Fit",
        "PointFit",
    ),
    "posterior.archive": (
        "load",
        "save",
    ),
    "posterior.diagnostics": ("diagnose",),
    "posterior.draws": (
        "ngrps",
        "nobs",
    ),
    "posterior.effects": (
        "coef",
        "family_parameters",
        "fixef",
        "ranef",
    ),
    "posterior.r2": (
        "icc",
        "r2",
    ),
    "posterior.tidy": ("tidy",),
    "posterior.variances": (
        "sigma",
        "varcorr",
    ),
    "prediction": (
        "augment",
        "fitted",
        "log_likelihood",
        "predict",
        "residuals",
    ),
    "prediction.predictive": ("Predictive", "posterior_predictive", "prior_predictive"),
    "prediction.sensitivity": ("sensitivity",),
    "priors": ("Prior",),
    "recovery": (
        "Recoveries",
        "Recovery",
        "recover",
    ),
    "reporting.report": ("report",),
    "recovery.simulate": ("simulate",),
    "reporting.plots.checks": (
        "plot_predictive",
        "plot_priors",
        "plot_residuals",
    ),
    "reporting.plots.comparison": (
        "plot_compare",
        "plot_pareto_k",
    ),
    "reporting.plots.effects": (
        "plot_effects",
        "plot_fixed",
        "plot_shrinkage",
        "plot_variances",
    ),
    "reporting.plots.means": (
        "plot_matrix",
        "plot_means",
    ),
    "reporting.plots.plot": ("plot",),
    "reporting.plots.recovery": (
        "plot_coverage",
        "plot_intervals",
        "plot_parameters",
        "plot_recoveries",
        "plot_recovery",
    ),
    "reporting.plots.screens": (
        "plot_ranks",
        "plot_separation",
        "plot_volcano",
    ),
    "reporting.plots.study": (
        "plot_calibration",
        "plot_study",
    ),
    "reporting.tables": ("render_table",),
    "screens.controls": (
        "Separation",
        "control_separation",
        "scale_effects",
    ),
    "screens.ranking": (
        "guide_table",
        "rank_genes",
    ),
    "screens.read": (
        "Screen",
        "read_fold_changes",
        "read_screen",
    ),
    "screens.simulate": (
        "SimulatedScreen",
        "simulate_screen",
    ),
    "studies": (
        "Calibration",
        "GroupedFits",
        "Study",
        "calibrate",
        "fit_by",
        "power",
        "study",
    ),
}
_HOME = {name: f"{__name__}.{room}" for room, names in _ROOMS.items() for name in names}
__all__ = ["__version__", "datasets", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return import_module(f"{__name__}.screens.datasets")
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        found = globals()[name] = public(value) if isfunction(value) else value
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
