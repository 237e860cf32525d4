"""R's mixed-model formulas on Bambi and PyMC: fit, summarise as lme4 does, compare by leave-one-out, recover effects.

The public names, gathered from the rooms. Nothing is computed here, and a room is opened when its name is first used,
so that importing the package takes no time. Each verb is handed out with a look at the kind of what it is given.
"""

from importlib import import_module
from inspect import isfunction
from typing import TYPE_CHECKING, Any

from speclet_formula.common.arguments import public
from speclet_formula.common.habits import note_public_names, unknown_name

if TYPE_CHECKING:
    from speclet_formula.comparison import (
        Comparison as Comparison,
        LikelihoodRatios as LikelihoodRatios,
        TermTests as TermTests,
        anova as anova,
        compare as compare,
        drop1 as drop1,
        glance as glance,
        kfold as kfold,
        loo as loo,
    )
    from speclet_formula.comparison.elpd import (
        KFold as KFold,
        LeaveOneOut as LeaveOneOut,
        SampledLeaveOneOut as SampledLeaveOneOut,
    )
    from speclet_formula.comparison.influence import Influence as Influence, influence as influence
    from speclet_formula.design.level_matrices import LevelMatrix as LevelMatrix
    from speclet_formula.design.pedigree import pedigree as pedigree
    from speclet_formula.design.scans import Scan as Scan, scan as scan
    from speclet_formula.errors import (
        ComparisonError as ComparisonError,
        DataError as DataError,
        EstimateError as EstimateError,
        FormulaError as FormulaError,
        PriorError as PriorError,
        SamplingError as SamplingError,
        SpecletError as SpecletError,
        UnknownNameError as UnknownNameError,
    )
    from speclet_formula.formula.terms import Formula as Formula
    from speclet_formula.inference.costs import Costs as Costs, costs as costs
    from speclet_formula.inference.fit import fit as fit, glmer as glmer, lmer as lmer
    from speclet_formula.inference.refit import refit as refit
    from speclet_formula.inference.translation.from_bambi import from_bambi as from_bambi
    from speclet_formula.inference.translation.to_bambi import to_bambi as to_bambi, to_pymc as to_pymc
    from speclet_formula.inference.update import update as update
    from speclet_formula.interpretation import (
        Means as Means,
        avg_comparisons as avg_comparisons,
        avg_predictions as avg_predictions,
        avg_slopes as avg_slopes,
        comparisons as comparisons,
        contrasts as contrasts,
        effect_matrix as effect_matrix,
        hypothesis as hypothesis,
        level_effects as level_effects,
        marginal_means as marginal_means,
        pairs as pairs,
        predictions as predictions,
        reference_grid as reference_grid,
        selectivity as selectivity,
        slopes as slopes,
        smooths as smooths,
    )
    from speclet_formula.interpretation.explain import (
        Equation as Equation,
        Explanation as Explanation,
        equation as equation,
        explain as explain,
        spelling as spelling,
    )
    from speclet_formula.model import Model as Model
    from speclet_formula.model.findings import Finding as Finding, Findings as Findings
    from speclet_formula.posterior import Fit as Fit, PointFit as PointFit
    from speclet_formula.posterior.diagnostics import Diagnostics as Diagnostics, diagnose as diagnose
    from speclet_formula.posterior.draws import ngrps as ngrps, nobs as nobs
    from speclet_formula.posterior.effects import (
        coef as coef,
        family_parameters as family_parameters,
        fixef as fixef,
        monotonic as monotonic,
        ranef as ranef,
    )
    from speclet_formula.posterior.save import load as load, save as save
    from speclet_formula.posterior.singular import is_singular as is_singular, near_singular as near_singular
    from speclet_formula.posterior.tidy import tidy as tidy
    from speclet_formula.posterior.variances import icc as icc, r2 as r2, sigma as sigma, varcorr as varcorr
    from speclet_formula.prediction import (
        augment as augment,
        fitted as fitted,
        log_likelihood as log_likelihood,
        predict as predict,
        residuals as residuals,
    )
    from speclet_formula.prediction.check_residuals import (
        ResidualChecks as ResidualChecks,
        check_residuals as check_residuals,
    )
    from speclet_formula.prediction.predictive import (
        Predictive as Predictive,
        posterior_predictive as posterior_predictive,
        prior_predictive as prior_predictive,
    )
    from speclet_formula.prediction.sensitivity import sensitivity as sensitivity
    from speclet_formula.prediction.to_arviz import to_arviz as to_arviz
    from speclet_formula.priors import Prior as Prior
    from speclet_formula.recovery import Recoveries as Recoveries, Recovery as Recovery, recover as recover
    from speclet_formula.recovery.simulate import simulate as simulate
    from speclet_formula.reporting.check_model import ModelCheck as ModelCheck, check_model as check_model
    from speclet_formula.reporting.model_table import ModelTable as ModelTable, table as table
    from speclet_formula.reporting.plots.bootstrap import plot_bootstrap as plot_bootstrap
    from speclet_formula.reporting.plots.calls import plot_calls as plot_calls
    from speclet_formula.reporting.plots.checks import (
        plot_predictive as plot_predictive,
        plot_priors as plot_priors,
        plot_residuals as plot_residuals,
    )
    from speclet_formula.reporting.plots.comparison import plot_compare as plot_compare, plot_pareto_k as plot_pareto_k
    from speclet_formula.reporting.plots.effects import (
        plot_effects as plot_effects,
        plot_fixed as plot_fixed,
        plot_shrinkage as plot_shrinkage,
        plot_variances as plot_variances,
    )
    from speclet_formula.reporting.plots.influence import plot_influence as plot_influence
    from speclet_formula.reporting.plots.means import plot_matrix as plot_matrix, plot_means as plot_means
    from speclet_formula.reporting.plots.picture import Picture as Picture
    from speclet_formula.reporting.plots.plan import plot_plan as plot_plan
    from speclet_formula.reporting.plots.plot import plot as plot
    from speclet_formula.reporting.plots.predictions import plot_predictions as plot_predictions
    from speclet_formula.reporting.plots.quality import plot_quality as plot_quality
    from speclet_formula.reporting.plots.recovery import (
        plot_coverage as plot_coverage,
        plot_intervals as plot_intervals,
        plot_parameters as plot_parameters,
        plot_recoveries as plot_recoveries,
        plot_recovery as plot_recovery,
    )
    from speclet_formula.reporting.plots.screens import (
        plot_ranks as plot_ranks,
        plot_separation as plot_separation,
        plot_volcano as plot_volcano,
    )
    from speclet_formula.reporting.plots.smooths import plot_smooths as plot_smooths
    from speclet_formula.reporting.plots.study import plot_calibration as plot_calibration, plot_study as plot_study
    from speclet_formula.reporting.report import report as report
    from speclet_formula.reporting.tables import render_table as render_table
    from speclet_formula.screens import datasets as datasets
    from speclet_formula.screens.adjust import adjust_fold_changes as adjust_fold_changes
    from speclet_formula.screens.calls import GeneCalls as GeneCalls, call_genes as call_genes
    from speclet_formula.screens.controls import (
        Separation as Separation,
        control_separation as control_separation,
        scale_effects as scale_effects,
    )
    from speclet_formula.screens.pairs import rank_pairs as rank_pairs, read_pairs as read_pairs
    from speclet_formula.screens.plan import ScreenPlan as ScreenPlan, plan_screen as plan_screen
    from speclet_formula.screens.quality import ScreenQuality as ScreenQuality, screen_quality as screen_quality
    from speclet_formula.screens.ranking import guide_table as guide_table, rank_genes as rank_genes
    from speclet_formula.screens.read import (
        Screen as Screen,
        read_fold_changes as read_fold_changes,
        read_screen as read_screen,
    )
    from speclet_formula.screens.simulate import (
        SimulatedScreen as SimulatedScreen,
        simulate_pairs as simulate_pairs,
        simulate_screen as simulate_screen,
    )
    from speclet_formula.screens.to_anndata import to_anndata as to_anndata
    from speclet_formula.studies import (
        Bootstrap as Bootstrap,
        Calibration as Calibration,
        GroupedFits as GroupedFits,
        Study as Study,
        bootstrap as bootstrap,
        calibrate as calibrate,
        confint as confint,
        fit_by as fit_by,
        power as power,
        study as study,
    )

__version__ = "0.1.0"

_ROOMS = {  # the public names of each, between blanks
    "comparison": "Comparison LikelihoodRatios TermTests anova compare drop1 glance kfold loo",
    "comparison.elpd": "KFold LeaveOneOut SampledLeaveOneOut",
    "comparison.influence": "Influence influence",
    "design.level_matrices": "LevelMatrix",
    "design.pedigree": "pedigree",
    "design.scans": "Scan scan",
    "errors": (
        "ComparisonError DataError EstimateError FormulaError PriorError SamplingError SpecletError UnknownNameError"
    ),
    "formula.terms": "Formula",
    "inference.costs": "Costs costs",
    "inference.fit": "fit glmer lmer",
    "inference.refit": "refit",
    "inference.translation.from_bambi": "from_bambi",
    "inference.translation.to_bambi": "to_bambi to_pymc",
    "inference.update": "update",
    "interpretation": (
        "Means avg_comparisons avg_predictions avg_slopes comparisons contrasts effect_matrix hypothesis level_effects "
        "marginal_means pairs predictions reference_grid selectivity slopes smooths"
    ),
    "interpretation.explain": "Equation Explanation equation explain spelling",
    "model": "Model",
    "model.findings": "Finding Findings",
    "posterior": "Fit PointFit",
    "posterior.save": "load save",
    "posterior.diagnostics": "Diagnostics diagnose",
    "posterior.draws": "ngrps nobs",
    "posterior.effects": "coef family_parameters fixef monotonic ranef",
    "posterior.singular": "is_singular near_singular",
    "posterior.tidy": "tidy",
    "posterior.variances": "icc r2 sigma varcorr",
    "prediction": "augment fitted log_likelihood predict residuals",
    "prediction.check_residuals": "ResidualChecks check_residuals",
    "prediction.predictive": "Predictive posterior_predictive prior_predictive",
    "prediction.sensitivity": "sensitivity",
    "prediction.to_arviz": "to_arviz",
    "priors": "Prior",
    "recovery": "Recoveries Recovery recover",
    "recovery.simulate": "simulate",
    "reporting.check_model": "ModelCheck check_model",
    "reporting.model_table": "ModelTable table",
    "reporting.plots.bootstrap": "plot_bootstrap",
    "reporting.plots.calls": "plot_calls",
    "reporting.plots.checks": "plot_predictive plot_priors plot_residuals",
    "reporting.plots.comparison": "plot_compare plot_pareto_k",
    "reporting.plots.effects": "plot_effects plot_fixed plot_shrinkage plot_variances",
    "reporting.plots.influence": "plot_influence",
    "reporting.plots.means": "plot_matrix plot_means",
    "reporting.plots.picture": "Picture",
    "reporting.plots.plot": "plot",
    "reporting.plots.predictions": "plot_predictions",
    "reporting.plots.plan": "plot_plan",
    "reporting.plots.quality": "plot_quality",
    "reporting.plots.recovery": "plot_coverage plot_intervals plot_parameters plot_recoveries plot_recovery",
    "reporting.plots.screens": "plot_ranks plot_separation plot_volcano",
    "reporting.plots.smooths": "plot_smooths",
    "reporting.plots.study": "plot_calibration plot_study",
    "reporting.report": "report",
    "reporting.tables": "render_table",
    "screens.adjust": "adjust_fold_changes",
    "screens.calls": "GeneCalls call_genes",
    "screens.controls": "Separation control_separation scale_effects",
    "screens.pairs": "rank_pairs read_pairs",
    "screens.plan": "ScreenPlan plan_screen",
    "screens.quality": "ScreenQuality screen_quality",
    "screens.ranking": "guide_table rank_genes",
    "screens.read": "Screen read_fold_changes read_screen",
    "screens.simulate": "SimulatedScreen simulate_pairs simulate_screen",
    "screens.to_anndata": "to_anndata",
    "studies": "Bootstrap Calibration GroupedFits Study bootstrap calibrate confint fit_by power study",
}
_HOME = {name: f"{__name__}.{room}" for room, names in _ROOMS.items() for name in names.split()}
note_public_names(_HOME)
__all__ = ["__version__", "datasets", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return import_module(f"{__name__}.screens.datasets")
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
        shown = globals()[name] = public(value) if isfunction(value) else value
        return shown
    raise unknown_name(name)


def __dir__() -> list[str]:
    return __all__
