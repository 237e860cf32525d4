"""R's mixed-model formulas on Bambi and PyMC: fit, summarise as lme4 does, compare by leave-one-out, recover effects.

The public names, gathered from the rooms. Nothing is computed here, and a room is opened when its name is first used,
so that importing the package takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from speclet_formula import datasets as datasets
    from speclet_formula.comparison import Comparison as Comparison
    from speclet_formula.comparison import LikelihoodRatios as LikelihoodRatios
    from speclet_formula.comparison import anova as anova
    from speclet_formula.comparison import compare as compare
    from speclet_formula.comparison import loo as loo
    from speclet_formula.costing import Costs as Costs
    from speclet_formula.costing import costs as costs
    from speclet_formula.diagnostics import diagnose as diagnose
    from speclet_formula.errors import ComparisonError as ComparisonError
    from speclet_formula.errors import DataError as DataError
    from speclet_formula.errors import FormulaError as FormulaError
    from speclet_formula.errors import PriorError as PriorError
    from speclet_formula.errors import SamplingError as SamplingError
    from speclet_formula.errors import SpecletError as SpecletError
    from speclet_formula.estimates import coef as coef
    from speclet_formula.estimates import family_parameters as family_parameters
    from speclet_formula.estimates import fixef as fixef
    from speclet_formula.estimates import ngrps as ngrps
    from speclet_formula.estimates import nobs as nobs
    from speclet_formula.estimates import ranef as ranef
    from speclet_formula.estimates import sigma as sigma
    from speclet_formula.estimates import tidy as tidy
    from speclet_formula.estimates import varcorr as varcorr
    from speclet_formula.explanation import Explanation as Explanation
    from speclet_formula.explanation import explain as explain
    from speclet_formula.inference.fitting import fit as fit
    from speclet_formula.inference.fitting import glmer as glmer
    from speclet_formula.inference.fitting import lmer as lmer
    from speclet_formula.inference.translate import to_bambi as to_bambi
    from speclet_formula.inference.translate import to_pymc as to_pymc
    from speclet_formula.model import Model as Model
    from speclet_formula.posterior import Fit as Fit
    from speclet_formula.posterior import PointFit as PointFit
    from speclet_formula.prediction import fitted as fitted
    from speclet_formula.prediction import log_likelihood as log_likelihood
    from speclet_formula.priors import Prior as Prior
    from speclet_formula.recovery import Recovery as Recovery
    from speclet_formula.recovery import recover as recover
    from speclet_formula.simulation import simulate as simulate
    from speclet_formula.storage import load as load
    from speclet_formula.storage import save as save

__version__ = "0.1.0"

_ROOMS = {
    "comparison": ("Comparison", "LikelihoodRatios", "anova", "compare", "loo"),
    "costing": ("Costs", "costs"),
    "diagnostics": ("diagnose",),
    "errors": ("ComparisonError", "DataError", "FormulaError", "PriorError", "SamplingError", "SpecletError"),
    "estimates": ("coef", "family_parameters", "fixef", "ngrps", "nobs", "ranef", "sigma", "tidy", "varcorr"),
    "explanation": ("Explanation", "explain"),
    "inference.fitting": ("fit", "glmer", "lmer"),
    "inference.translate": ("to_bambi", "to_pymc"),
    "model": ("Model",),
    "posterior": ("Fit", "PointFit"),
    "prediction": ("fitted", "log_likelihood"),
    "priors": ("Prior",),
    "recovery": ("Recovery", "recover"),
    "simulation": ("simulate",),
    "storage": ("load", "save"),
}
_HOME = {name: f"{__name__}.{room}" for room, names in _ROOMS.items() for name in names}
__all__ = ["__version__", "datasets", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return import_module(f"{__name__}.datasets")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
