"""What a fit is: a model with its draws, `Fit`, or with its estimates of maximum likelihood, `PointFit`.

Both print themselves as lme4 does, by `summary`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from speclet_formula.common.engines import BY_NAME, Maximised
from speclet_formula.common.habits import Answering
from speclet_formula.common.table import number, p_value
from speclet_formula.errors import EstimateError, some_of
from speclet_formula.formula.terms import text_of
from speclet_formula.model import Model
from speclet_formula.posterior.degrees_of_freedom import NAMES, SmallSample, small_sample
from speclet_formula.posterior.diagnostics import Diagnostics
from speclet_formula.posterior.effects import summarise_fixed
from speclet_formula.posterior.estimates import PointEstimates, choose_interval
from speclet_formula.posterior.summary import (
    MOST_FIXED,
    Summary,
    about_zeros,
    counted,
    counted_rows,
    findings_of,
    fixed_table,
    group_table,
    kind_of_model,
    lay_out,
    smooth_table,
    tests_of_smooths,
)
from speclet_formula.posterior.variances import varcorr


@dataclass(frozen=True, repr=False, eq=False)
class Fit(Answering):
    """A fitted model.

    Attributes
    ----------
    model : Model
        Formula, data, family and priors.
    idata : xarray.DataTree
        ArviZ's tree: the group "posterior" in Bambi's variable names, "sample_stats" and, unless rows were merged,
        "observed_data".
    method : str
        The engine: "exact", "hmc", "nuts".
    diagnostics : Diagnostics
        Whether the draws can be trusted.
    seconds : float
        How long the fit took.
    """

    model: Model
    idata: Any
    method: str
    diagnostics: Diagnostics
    seconds: float

    def __repr__(self) -> str:
        return lay_out(self).text()

    def _repr_html_(self) -> str:
        return lay_out(self).html()


FOOT = "Degrees of freedom are {by}; a fit by method='exact' carries the variances' uncertainty in draws."
ASYMPTOTIC_FOOT = (
    "Pr(>|z|) is asymptotic, by the normal distribution{why}; a fit by method='exact' carries the variances' "
    "uncertainty, too."
)
QUADRATURE_FOOT = "Std.Error is from the curvature of the likelihood in all parameters, Pr(>|z|) is asymptotic."
LAPLACE_FOOT = (
    f"{QUADRATURE_FOOT} Laplace's approximation is a first look: it errs where levels have few rows or single trials "
    "of 0 and 1, and a fit by method='hmc' has no such error."
)


@dataclass(frozen=True, repr=False, eq=False)
class PointFit(Answering):
    """A mixed model fitted by REML or maximum likelihood, as lme4 does; it has no draws.

    `fixef`, `ranef`, `coef`, `varcorr`, `sigma`, `tidy`, `fitted`, `nobs` and `ngrps` tabulate it.

    Attributes
    ----------
    model : Model
        Formula, data and family. Its priors had no part in the fit.
    method : {"reml", "ml", "laplace"}
    estimates : PointEstimates
        Coefficients, variances and conditional modes as arrays.
    log_likelihood : float
        R's `logLik`: the log of the likelihood, or of the REML likelihood, at the estimates.
    df : int
        Number of parameters: fixed effects, variances, correlations, and the family's own.
    deviance : float
        -2 `log_likelihood`; for "reml" the REML criterion.
    aic, bic : float
        `deviance` + 2 `df`, and `deviance` + log(rows) `df`.
    singular : bool
        Whether a variance is estimated as zero, a correlation as 1 or -1, or the alpha of a negative binomial, or the
        nu of t, as infinite.
    verdict : {"converged", "singular", "doubtful"}
    sentence, remedy : str
        What was found, and what to do ("" where nothing is amiss).
    evaluations : int
        How often the criterion was evaluated.
    seconds : float
        How long the fit took.
    """

    model: Model
    method: Maximised
    estimates: PointEstimates
    log_likelihood: float
    df: int
    deviance: float
    aic: float
    bic: float
    singular: bool
    verdict: Literal["converged", "singular", "doubtful"]
    sentence: str
    remedy: str
    evaluations: int
    seconds: float

    @property
    def idata(self) -> Any:
        """Nothing: whoever asks for draws is told that there are none."""
        engine = BY_NAME[self.method]
        raise EstimateError(
            f"a fit by {engine.title} has no draws.",
            "Leave-one-out, recovery, diagnostics and prediction intervals are made from draws; sf.predict, "
            "sf.residuals, checks and pictures of estimates need none.",
            f"Fit the model with method='{engine.sampled_by}'; likelihoods are compared by sf.anova.",
        )

    def __repr__(self) -> str:
        return lay_out_point(self).text()

    def _repr_html_(self) -> str:
        return lay_out_point(self).html()


def lay_out_point(fit: PointFit) -> Summary:
    """Put a fit by maximum likelihood into words, in lme4's order."""
    frame = summarise_fixed(fit, choose_interval(), most=MOST_FIXED)
    shown = {"Estimate": "estimate", "Std.Error": "std_error"}
    laplace, design = fit.method == "laplace", fit.model.design
    total = len(design.thresholds) + len(design.mean.columns)
    known = small_sample(fit)
    letter = "z" if known.method == "asymptotic" else "t"
    statistics = {} if letter == "z" else {"df": [number(value, ",.1f") for value in frame["df"]]}
    statistics[f"{letter} value"] = [number(value, ".3f") for value in frame["statistic"]]
    statistics[f"Pr(>|{letter}|)"] = [p_value(value) for value in frame["p_value"]]
    return Summary(
        verdict=fit.verdict.capitalize(),
        sentence=fit.sentence,
        remedy=fit.remedy,
        heading=f"{kind_of_model(fit)} fit by {_title(fit)}",
        facts=tuple(_facts(fit)),
        group_effects=group_table(varcorr(fit), {"Variance": "vcov", "Std.Dev.": "sdcor"}),
        counts=counted(fit),
        fixed_effects=fixed_table(frame, total, shown, statistics),
        foot=((LAPLACE_FOOT if fit.estimates.nodes == 1 else QUADRATURE_FOOT) if laplace else _foot(known))
        + about_zeros(fit),
        findings=findings_of(fit),
        smooth_terms=None if (smooths := tests_of_smooths(fit)).empty else smooth_table(smooths),
    )


def _foot(known: SmallSample) -> str:
    """Say by what distribution the tests are, and which engine would draw."""
    if known.method == "asymptotic":
        return ASYMPTOTIC_FOOT.format(why=f" ({known.why})" if known.why else "")
    return FOOT.format(by=f"{NAMES[known.method]}'s")


def _title(fit: PointFit) -> str:
    """Return how it was fitted, as lme4 says it."""
    if fit.estimates.nodes == 1:
        return BY_NAME[fit.method].title
    return f"maximum likelihood (Adaptive Gauss-Hermite Quadrature, nAGQ = {fit.estimates.nodes})"


def summary_of(fit: Fit | PointFit) -> Summary:
    """Return the summary of a fit of either kind."""
    return lay_out_point(fit) if isinstance(fit, PointFit) else lay_out(fit)


def _facts(fit: PointFit) -> Iterator[tuple[str, str]]:
    """Say what was fitted to what, and how likely the data are."""
    if fit.method == "laplace":
        yield "Family", f"{fit.model.family.name} ({fit.model.family.link} link)"
    yield "Formula", text_of(fit.model.formula)
    yield "Data", f"{counted_rows(fit)}, {fit.seconds:,.1f} seconds"
    labels = fit.model.design.mean.columns
    if dropped := [labels[place] for place in fit.estimates.dropped]:
        columns = "1 fixed column" if len(dropped) == 1 else f"{len(dropped):,} fixed columns"
        yield "Dropped", f"{columns} that earlier ones make up: {some_of(dropped)}"
    if fit.method == "reml":
        yield "REML criterion at convergence", f"{fit.deviance:.1f}"
    yield "AIC, BIC", f"{fit.aic:.1f}, {fit.bic:.1f}"
    yield "logLik", f"{fit.log_likelihood:.1f} ({fit.df} parameters)"
    if fit.method != "reml":
        yield "deviance", f"{fit.deviance:.1f}"
    for name, estimate, error in fit.estimates.others:
        yield name, f"{number(estimate, '.4g')} (Std.Error {number(error, '.3g')})"
