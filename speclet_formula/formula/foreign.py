"""A word of another package's formulas goes in; what to write here comes out.

R, lme4, brms, mgcv, glmmTMB, patsy and Bambi have words that have no place here, or another name. Each is answered by
name: the nearest of our own words is no help to who means another thing.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What is so here, and what to do; `{x}` stands for the text of the call's first argument."""

    allowed: str
    remedy: str


_CODING = "A factor has treatment contrasts: each level is compared with the first."
_REFERENCE = (
    "Order the categories: pandas.Categorical(column, categories=['control', ...]), or write relevel({x}, 'control')."
)
_NO_SMOOTHS = Answer("There are no smooths with a penalty.", "Write a spline: ns({x}, 3), or bs({x}, df = 4).")
_NO_STRUCTURE = Answer(
    "The effects of a group term are correlated freely, (x | g), or not at all, (x || g).", "Write ({x}) or ({bars})."
)
_NOT_YET = "A column is made before the fit, or by a function of your own in functions=."
_BEFORE = "Make the column before the fit: data['new'] = "
_RESPONSE = "What is known of a response stands on the left of '~', and weights outside the formula."
_FORMULAS = "Further formulas follow in a list: ['y ~ x', 'sigma ~ x']."

FOREIGN: Mapping[str, Answer] = {
    # R, patsy, statsmodels, Bambi: factors and their coding
    "C": Answer(_CODING, "Write factor({x}), or relevel({x}, 'control') for another reference."),
    "as.factor": Answer("Numbers become categories by factor().", "Write factor({x})."),
    "as.numeric": Answer(_NOT_YET, _BEFORE + "data['{x}'].astype(float)."),
    "as.integer": Answer(_NOT_YET, _BEFORE + "data['{x}'].astype(int)."),
    "ordered": Answer(
        "A factor keeps the order of an ordered Categorical column.",
        "Order it before the fit: data['{x}'] = pandas.Categorical(data['{x}'], categories=[...], ordered=True).",
    ),
    "contr.sum": Answer(_CODING, _REFERENCE),
    "contr.treatment": Answer(_CODING, _REFERENCE),
    "contr.helmert": Answer(_CODING, _REFERENCE),
    "contr.poly": Answer(_CODING, _REFERENCE),
    "Treatment": Answer(_CODING, _REFERENCE),
    "Sum": Answer(_CODING, _REFERENCE),
    "S": Answer(_CODING, _REFERENCE),
    "T": Answer(_CODING, "Write factor({x}), or relevel({x}, 'control') for another reference."),
    "Q": Answer("A column of any name stands in back-quotes.", "Write `{x}`."),
    "dummy": Answer("A level is compared with == inside I().", "Write I({x} == 'level')."),
    # R: functions of a column
    "cut": Answer(_NOT_YET, _BEFORE + "pandas.cut(data['{x}'], 3)."),
    "ifelse": Answer(_NOT_YET, _BEFORE + "numpy.where(condition, a, b)."),
    "ave": Answer(_NOT_YET, _BEFORE + "data.groupby('g')['{x}'].transform('mean')."),
    "rank": Answer(_NOT_YET, _BEFORE + "data['{x}'].rank()."),
    "lag": Answer(_NOT_YET, _BEFORE + "data['{x}'].shift()."),
    "diff": Answer(_NOT_YET, _BEFORE + "data['{x}'].diff()."),
    "cumsum": Answer(_NOT_YET, _BEFORE + "data['{x}'].cumsum()."),
    "is.na": Answer(_NOT_YET, _BEFORE + "data['{x}'].isna()."),
    "mean": Answer(_NOT_YET, "Write center({x}) for {x} minus its mean."),
    "sd": Answer(_NOT_YET, "Write scale({x}) for {x} minus its mean, divided by its SD."),
    "min": Answer(_NOT_YET, "Write pmin(a, b) for the smaller of two, row by row."),
    "max": Answer(_NOT_YET, "Write pmax(a, b) for the larger of two, row by row."),
    "logit": Answer(_NOT_YET, "Write log({x} / (1 - {x}))."),
    "qlogis": Answer(_NOT_YET, "Write log({x} / (1 - {x}))."),
    "plogis": Answer(_NOT_YET, "Write I(1 / (1 + exp(-{x})))."),
    "standardize": Answer("R's scale() divides by the SD.", "Write scale({x})."),
    "paste": Answer("Factors are crossed by ':' or interaction().", "Write interaction(a, b)."),
    "rcs": Answer("Splines are ns() and bs().", "Write ns({x}, df = 3)."),
    "cr": Answer("Splines are ns() and bs().", "Write ns({x}, df = 3)."),
    "lspline": Answer("Splines are ns() and bs().", "Write bs({x}, df = 3, degree = 1)."),
    # mgcv, brms, Bambi: smooths and processes
    "s": _NO_SMOOTHS,
    "te": _NO_SMOOTHS,
    "ti": _NO_SMOOTHS,
    "t2": _NO_SMOOTHS,
    "gp": Answer("There are no Gaussian processes.", "Write a spline: ns({x}, 3), or bs({x}, df = 4)."),
    "hsgp": Answer("There are no Gaussian processes.", "Write a spline: ns({x}, 3), or bs({x}, df = 4)."),
    # brms
    "mo": Answer(
        "There are no monotonic effects.", "Write {x} for one coefficient a level, or make the column a number."
    ),
    "mi": Answer("Missing values are dropped, by missing='drop', or filled in before the fit.", "Write {x}."),
    "me": Answer("A column is taken without an error of measurement.", "Write {x}."),
    "gr": Answer("A grouping factor is a column, or a:b.", "Write the column alone: (1 | {x})."),
    "mm": Answer("A row belongs to one level of a grouping factor.", "Write one column: (1 | {x})."),
    "ar": Answer("Residuals are independent.", "Add a group term for what rows share, (1 | {x})."),
    "arma": Answer("Residuals are independent.", "Add a group term for what rows share."),
    "cosy": Answer("Residuals are independent.", "Add a group term for what rows share, (1 | g)."),
    "cens": Answer(_RESPONSE, "Write censored(y, {x}) ~ ..."),
    "trunc": Answer(_RESPONSE, "Write truncated(y, lb = 0) ~ ..., or floor({x}) for R's trunc()."),
    "trials": Answer(_RESPONSE, "Write cbind(successes, {x} - successes) ~ ..."),
    "weights": Answer(_RESPONSE, "Give weights='{x}' outside the formula."),
    "se": Answer(_RESPONSE, "Give weights= outside the formula: they divide the residual variance."),
    "bf": Answer(_FORMULAS, "Write the formulas as texts in a list."),
    "nl": Answer("A model is linear in its coefficients.", "Compute the columns inside I(), or before the fit."),
    # glmmTMB
    "us": Answer("The effects of a group term are correlated freely.", "Write ({x})."),
    "diag": Answer("Two bars leave the correlations out.", "Write ({bars})."),
    "homdiag": _NO_STRUCTURE,
    "cs": _NO_STRUCTURE,
    "ar1": _NO_STRUCTURE,
    "ou": _NO_STRUCTURE,
    "toep": _NO_STRUCTURE,
    "mat": _NO_STRUCTURE,
    "gau": _NO_STRUCTURE,
    "rr": _NO_STRUCTURE,
    # Bambi
    "p": Answer(_RESPONSE, "Write cbind(successes, trials - successes) ~ ..."),
    "prop": Answer(_RESPONSE, "Write cbind(successes, trials - successes) ~ ..."),
    "proportion": Answer(_RESPONSE, "Write cbind(successes, trials - successes) ~ ..."),
    "weighted": Answer(_RESPONSE, "Give weights= outside the formula: they divide the residual variance."),
    "constrained": Answer(_RESPONSE, "Write truncated({x}, lb = 0) ~ ..."),
    "Surv": Answer(_RESPONSE, "Write censored({x}, status) ~ ..., where status is 'none', 'left' or 'right'."),
}
"""What to write for words of other packages."""

COVARIANCES = frozenset({"us", "diag", "homdiag", "cs", "ar1", "ou", "toep", "mat", "gau", "rr"})
"""Those that stand before the parentheses of a group term."""

ADDED: Mapping[str, str] = {
    "cens": "Write censored({y}, {x}): the statuses are 'none', 'left' and 'right'.",
    "trunc": "Write truncated({y}, lb = 0) with the bounds, lb and ub.",
    "trials": "Write cbind({y}, {x} - {y}) for successes and failures.",
    "weights": "Write {y} ~ ... and give weights='{x}' outside the formula.",
    "se": "Write {y} ~ ... and give weights= outside the formula: they divide the residual variance.",
    "mi": "Write {y} ~ ...: rows without a response are left out by missing='drop'.",
}
"""What to write for brms' additions to a response, y | cens(c)."""

LOOKALIKES: Mapping[str, str] = {
    "\u223c": "~", "\u02dc": "~", "\uff5e": "~", "\u301c": "~", "\u2053": "~", "\u2212": "-", "\u2013": "-",
    "\u2014": "-", "\u2010": "-", "\u2011": "-", "\ufe63": "-", "\uff0d": "-", "\uff0b": "+", "\u00d7": "*",
    "\u2217": "*", "\u22c5": ":", "\uff0a": "*", "\u2223": "|", "\uff5c": "|", "\u00a6": "|", "\uff1a": ":",
    "\u2236": ":", "\u2044": "/", "\u2215": "/", "\uff0f": "/", "\u2018": "'", "\u2019": "'", "\u201c": '"',
    "\u201d": '"', "\u00b4": "`", "\u2032": "'", "\uff08": "(", "\uff09": ")", "\uff0c": ",", "\uff1d": "=",
}  # fmt: skip
"""Characters that look like those of a formula, as word processors and PDF files have them, and what is meant."""
