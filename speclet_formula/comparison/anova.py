"""Likelihood ratios of fits by maximum likelihood, as lme4's `anova` tabulates them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast, overload

import numpy as np
import pandas as pd

from speclet_formula.common.replicates import replicate
from speclet_formula.common.seeds import checked_seed, fresh_seed
from speclet_formula.common.table import Printed, Sheet, number, text_table
from speclet_formula.comparison.compare import check_comparable, compare
from speclet_formula.comparison.nesting import why_not_nested, without_zeros
from speclet_formula.comparison.term_tests import TermTests, Type, term_tests, without_draws
from speclet_formula.design.merged import require_rows
from speclet_formula.errors import ComparisonError, SamplingError
from speclet_formula.families import FAMILIES, Family, is_linear
from speclet_formula.formula.terms import text_of
from speclet_formula.inference.plans import at_least
from speclet_formula.inference.refit import fit_like, with_drawn
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.degrees_of_freedom import Freedom
from speclet_formula.prediction.responses import draw_design_response

FEWEST_FITS = 2
FEWEST_SIMS, MOST_SIMS = 2, 1_000_000
ASKED = (
    "Pr(>Chisq) asks whether the data would be this much likelier under the larger model if the smaller one were true, "
    "by maximum likelihood without priors; elpd_diff asks how much better (above 0) or worse the posterior predicts a "
    "row that was left out than the one above it does."
)
ASYMPTOTIC = "Pr(>Chisq) is asymptotic, by the chi-square distribution: too small where there are few groups."
PATTERNS = {
    "npar": ",.0f", "AIC": ".1f", "BIC": ".1f", "logLik": ".2f", "deviance": ".2f", "Chisq": ".3f", "Df": ",.0f",
    "Pr(>Chisq)": None, "Pr(boot)": None, "elpd": ",.1f", "elpd_diff": ",.1f", "dse": ",.1f",
}  # fmt: skip


@dataclass(frozen=True, repr=False, eq=False)
class LikelihoodRatios(Printed):
    """Fits of the same rows, the smallest first, each tested against the one before.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each fit, by formula; the columns are defined in `anova`.
    notes : tuple of str
        What to keep in mind while reading.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        shown = {
            column: self.table[column] if pattern is None else [number(value, pattern) for value in self.table[column]]
            for column, pattern in PATTERNS.items()
            if column in self.table
        }
        return Sheet("", (), (text_table(pd.DataFrame({"model": self.table.index, **shown})),), self.notes)


@overload
def anova(fit: PointFit, /, *, type: Type | None = None, df: Freedom | None = None) -> TermTests: ...


@overload
def anova(
    first: PointFit | Fit,
    second: PointFit | Fit,
    /,
    *others: PointFit | Fit,
    nsim: int | None = None,
    random_seed: int | None = None,
    cores: int | None = None,
    progress: bool = True,
) -> LikelihoodRatios: ...


def anova(
    *fits: PointFit | Fit,
    type: Type | None = None,  # noqa: A002 - R's name
    df: Freedom | None = None,
    nsim: int | None = None,
    random_seed: int | None = None,
    cores: int | None = None,
    progress: bool = True,
) -> LikelihoodRatios | TermTests:
    """Test nested models against each other by their likelihood ratios, or the fixed terms of one fit by F tests.

    Each model is tested against the one before it, in the order of their numbers of parameters, where it is a special
    case of the larger one. Where it is none the row has no test, and a note says what the smaller model has that the
    larger one has not.

    Parameters
    ----------
    *fits : PointFit or Fit
        One by `method="reml"`, `"ml"` or `"laplace"`, whose fixed terms are tested. Or two or more, by `method="ml"`
        or `method="reml"`; the latter are fitted again by maximum likelihood, since REML likelihoods of different fixed
        effects cannot be compared. Or two or more by `method="laplace"`, of one family and link, or poisson and
        negativebinomial, or gaussian and t. Or two or more fits with draws: each is also fitted by maximum likelihood
        ("ml" of a gaussian model, else "laplace"), and leave-one-out is set beside the ratios.
    type : {1, 2, 3}, optional
        Of one fit: what each term is tested for. 1: that it adds nothing to the terms before it; 2: to all terms that
        it is no part of; 3 (the default, as in lmerTest): that it is zero on average over the levels of the factors
        that it meets, each with the same weight, and where the numbers that it meets are zero. The answers do not
        depend on how factors are coded.
    df : {"satterthwaite", "kenward-roger", "asymptotic"}, optional
        Of one fit: degrees of freedom, as for `fixef`, by default Satterthwaite's as in lmerTest.
    nsim : int, optional
        Of several fits: a parametric bootstrap of each ratio beside the asymptotic test, pbkrtest's `PBmodcomp`: so
        many responses are drawn from the smaller model, with new group effects, and both models are fitted to each by
        maximum likelihood. It is right where there are few groups, and of variances at zero, where chi-square's
        distribution is not.
    random_seed : int, optional
        The same seed gives the same bootstrap.
    cores : int, optional
        Processes of the bootstrap; by default as many as pay.
    progress : bool
        Whether to show a line with the time left of the bootstrap, where standard error is a terminal.

    Returns
    -------
    TermTests
        Of one fit, with `notes` and `table`, one row for each fixed term under its name:

        * `Sum Sq`, `Mean Sq`: of the fitted rows, in squares of the response's units: F times the residual variance;
        * `NumDF`, `DenDF`: degrees of freedom of the term, and of what it is compared with;
        * `F value`: by Kenward and Roger's method scaled, as in pbkrtest;
        * `Pr(>F)`: the probability of a larger one if the hypothesis is true;
        * of a fit by Laplace's approximation, and of asymptotic tests, `Chisq`, `Df` and `Pr(>Chisq)` of Wald's test.
    LikelihoodRatios
        Of several, with `notes` and `table`, one row for each fit under its formula:

        * `npar`: number of parameters;
        * `AIC`, `BIC`, `logLik`, `deviance` (-2 logLik);
        * `Chisq`: twice the difference of `logLik` to the row above, at least 0;
        * `Df`: difference of `npar`;
        * `Pr(>Chisq)`: probability of so large a `Chisq` if the smaller model is true; missing where `Df` is 0. The
          first row has none of the last three; a row whose model does not contain the one above it has no `Chisq` and
          no `Pr(>Chisq)`;
        * with `nsim` `Pr(boot)`: (1 + data sets whose ratio is at least as large) / (1 + data sets);
        * of fits with draws `elpd`: sum of the rows' log predictive densities, each row left out, as `loo`;
        * of fits with draws `elpd_diff`, `dse`: difference of `elpd` to the row above, above 0 where this one predicts
          better, and its standard error. The first note says what either column asks.

    Raises
    ------
    ComparisonError
        There is no fit, or a single one with draws; some have draws and others have none, or they have different rows,
        responses or families; `type` and `df` of several fits.
    SamplingError
        A model with draws cannot be fitted by maximum likelihood; `compare` ranks it all the same. `nsim` is no number
        of data sets, or every refit of a bootstrap failed.
    DataError
        The rows were merged, and new responses are to be drawn for them.

    References
    ----------
    Variances at the edge: Self and Liang (1987), doi:10.1080/01621459.1987.10478472. The bootstrap: Halekoh and
    Højsgaard (2014), doi:10.18637/jss.v059.i09. Tests of one fit: Kuznetsova, Brockhoff and Christensen (2017),
    doi:10.18637/jss.v082.i13.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> formulas = "log_fc ~ (1 | gene)", "log_fc ~ (1 | gene) + (1 | cell_line)"
    >>> sf.anova(*(sf.lmer(formula, data, method="ml") for formula in formulas)).table["Df"].to_list()
    [nan, 1.0]
    """
    _check_asked(len(fits), {"nsim": nsim} if len(fits) == 1 else {"type": type, "df": df})
    if len(fits) == 1:
        return _of_one(fits[0], 3 if type is None else type, df)
    with_draws = len(fits) >= FEWEST_FITS and all(isinstance(fit, Fit) for fit in fits)
    if not with_draws:
        _check_fits(fits)
    _check_families(fits)
    names = _names(fits)
    check_comparable({name: fit.model for name, fit in zip(names, fits, strict=True)})
    again = sum(fit.method == "reml" for fit in fits)
    pairs = sorted(zip(names, map(_by_likelihood, fits), strict=True), key=lambda pair: pair[1].df)
    ordered = [fit for _, fit in pairs]
    _check_nodes(ordered)
    table, notes = _table([name for name, _ in pairs], ordered), tuple(_notes(ordered, again))
    if nsim is not None:
        table, told = _with_bootstrap(table, ordered, nsim, random_seed, cores, progress)
        notes = (*notes, *told)
    if not with_draws:
        return LikelihoodRatios(table, notes)
    comparison = compare(dict(zip(names, cast("Sequence[Fit]", fits), strict=True)))
    rows = [np.asarray(comparison.estimates[name].elpd_i).ravel() for name in table.index]
    return LikelihoodRatios(table.assign(**_predictions(rows)), (ASKED, comparison.sentence, *notes))


def _check_asked(count: int, others: Mapping[str, object]) -> None:
    """Refuse what is asked of one fit where there are several, and of several where there is one."""
    given = [name for name, value in others.items() if value is not None]
    if given and count:
        raise ComparisonError(
            f"{given[0]}= is given, and {'one fit' if count == 1 else f'{count} fits'}.",
            "Terms are tested, by type= with degrees of freedom df=, in one fit; several are compared by likelihood "
            "ratios, which nsim= simulates.",
            f"Leave it out, or hand over {'two fits' if count == 1 else 'one fit'}.",
        )


def _of_one(fit: object, kind: object, df: Freedom | None) -> TermTests:
    """Test the terms of one fit."""
    if isinstance(fit, Fit):
        raise without_draws(fit)
    _check_fits([fit, fit])
    return term_tests(cast("PointFit", fit), kind, df)


def _with_bootstrap(
    table: pd.DataFrame, fits: Sequence[PointFit], nsim: int, seed: int | None, cores: int | None, progress: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Add the share of data sets, drawn from the smaller model of each pair, whose ratio is as large."""
    at_least("nsim", nsim, FEWEST_SIMS, MOST_SIMS)
    given = checked_seed(seed)
    entropy = fresh_seed() if given is None else given
    shares, notes = [np.nan], list[str]()
    for place, (smaller, larger) in enumerate(pairwise(fits), 1):
        require_rows(smaller.model.design, "anova(nsim=)")
        if smaller.df == larger.df or np.isnan(table["Chisq"].iloc[place]):
            shares.append(np.nan)
            continue
        made = replicate(
            _drawn_ratio, (smaller, larger), nsim, what="data sets", seed=entropy + place - 1, cores=cores,
            progress=progress,
        )  # fmt: skip
        ratios = made.values[np.isfinite(made.values).all(axis=1)].ravel()
        if not len(ratios):
            raise SamplingError(
                f"all {nsim:,} refits of a bootstrap failed: {made.reasons[0]}",
                "A likelihood ratio is of two fits to each response that is drawn.",
                "Leave nsim= out for the asymptotic test.",
            )
        observed = table["Chisq"].iloc[place]
        shares.append((1 + int((ratios >= observed).sum())) / (1 + len(ratios)))
        if len(ratios) < nsim:
            reason = next(filter(None, made.reasons))
            notes.append(f"{nsim - len(ratios):,} of {nsim:,} data sets are left out of Pr(boot): {reason}")
    position = table.columns.get_loc("Pr(>Chisq)") + 1
    table.insert(position, "Pr(boot)", shares)
    told = (
        f"Pr(boot) is by {nsim:,} data sets drawn from the smaller model, seed {entropy}; it holds for few groups too."
    )
    return table, [told, *notes]


def _drawn_ratio(rng: np.random.Generator, smaller: PointFit, larger: PointFit) -> tuple[float]:
    """Return the likelihood ratio of two models for a response that was drawn from the first, in a worker."""
    response = draw_design_response(smaller, rng)
    fits = [fit_like(one, with_drawn(one.model, response, tables=False)) for one in (smaller, larger)]
    return (max(2 * (fits[1].log_likelihood - fits[0].log_likelihood), 0.0),)


def _predictions(rows: Sequence[np.ndarray]) -> dict[str, list[float]]:
    """Return the columns of leave-one-out, from each row's log predictive density by each fit."""
    differences = [larger - smaller for smaller, larger in pairwise(rows)]
    return {
        "elpd": [float(densities.sum()) for densities in rows],
        "elpd_diff": [np.nan, *(float(difference.sum()) for difference in differences)],
        "dse": [np.nan, *(float(np.sqrt(len(one)) * one.std()) for one in differences)],
    }


def _check_fits(fits: Sequence[object]) -> None:
    """Refuse what has no likelihood ratio."""
    example = 'For example anova(lmer("y ~ (1 | g)", data, method="ml"), lmer("y ~ x + (1 | g)", data, method="ml")).'
    if len(fits) < FEWEST_FITS:
        raise ComparisonError(
            "there are no fits to compare.",
            "A likelihood ratio takes two fits or more, one after the other; one fit has its terms tested.",
            example,
        )
    for place, fit in enumerate(fits, 1):
        if not isinstance(fit, PointFit):
            raise ComparisonError(
                f"fit {place} is of the type {type(fit).__name__}.",
                "A likelihood ratio is of fits by method='ml', 'reml' or 'laplace'; fits with draws are ranked by "
                "compare.",
                example,
            )


def _check_families(fits: Sequence[PointFit | Fit]) -> None:
    """Refuse families of which none is a special case of the other."""
    families = {(fit.model.family.name, fit.model.family.link) for fit in fits}
    names, links = (set(parts) for parts in zip(*families, strict=True))
    nested = len(links) == 1 and any(
        names in ({name, FAMILIES[name].limit}, {name, without_zeros(name)}) for name in names
    )
    if len(families) > 1 and not nested:
        told = ", ".join(f"{name} ({link} link)" for name, link in sorted(families))
        raise ComparisonError(
            f"the fits are of different families: {told}.",
            "A likelihood ratio is of models of which one is a special case of the other: of one family and link, or "
            f"{', '.join(f'{known.limit} beside {name}' for name, known in FAMILIES.items() if known.limit)}, or a "
            "family beside its zero_inflated one.",
            "Their AIC can be read side by side (fit.aic), or fit them by method='hmc' and rank them with compare.",
        )


def _check_nodes(fits: Sequence[PointFit]) -> None:
    """Refuse likelihoods that are approximated in different ways."""
    if len(nodes := sorted({fit.estimates.nodes for fit in fits})) > 1:
        raise ComparisonError(
            f"the fits integrate their group effects in different ways: nAGQ={', '.join(map(str, nodes))}.",
            "A ratio of two approximations holds what they err by, beside what the models differ by.",
            f"Fit all of them with nAGQ={nodes[-1]}, or none, which is Laplace's approximation, nAGQ=1.",
        )


def _names(fits: Sequence[PointFit | Fit]) -> list[str]:
    """Name each fit by its formula, and number those that share one."""
    names: list[str] = []
    for fit in fits:
        text = text_of(fit.model.formula)
        earlier = sum(name == text or name.startswith(f"{text} [") for name in names)
        names.append(f"{text} [{earlier + 1}]" if earlier else text)
    return names


def _by_likelihood(fit: PointFit | Fit) -> PointFit:
    """Return a fit by maximum likelihood."""
    if isinstance(fit, PointFit) and fit.method != "reml":
        return fit
    if not is_linear(fit.model.family):
        from speclet_formula.inference.laplace.fit import fit_laplace  # here, since it compiles, as below

        return fit_laplace(fit.model)
    from speclet_formula.inference.reml.fit import fit_point

    return fit_point(fit.model, method="ml")


def _table(names: Sequence[str], fits: Sequence[PointFit]) -> pd.DataFrame:
    """Return the table of fits in their order."""
    from scipy.stats import chi2

    frame = pd.DataFrame(
        {
            "npar": [fit.df for fit in fits],
            "AIC": [fit.aic for fit in fits],
            "BIC": [fit.bic for fit in fits],
            "logLik": [fit.log_likelihood for fit in fits],
            "deviance": [fit.deviance for fit in fits],
        },
        index=pd.Index(names, name="model"),
    )
    frame["Chisq"] = (2 * frame["logLik"].diff()).clip(lower=0)
    frame["Df"] = frame["npar"].diff()
    apart = [False, *(bool(why_not_nested(smaller.model, larger.model)) for smaller, larger in pairwise(fits))]
    frame["Chisq"] = frame["Chisq"].mask(apart)
    freedom = frame["Df"].where(frame["Df"] > 0)
    frame["Pr(>Chisq)"] = chi2.sf(frame["Chisq"], freedom)
    return frame


def _at_edges(families: Mapping[str, Family]) -> Iterator[str]:
    """Say of which families one is another at the edge of its last parameter."""
    for name, family in families.items():
        if (proper := without_zeros(name)) in families:
            yield (
                f"A {proper} model is a {name} one at its edge, without extra zeros, so that the p-value is too large "
                "(about twice)."
            )
        if (limit := FAMILIES[name].limit) in families:
            named = name.replace("negative", "negative ")
            yield (
                f"A {limit} model is a {named} one at its edge, with an infinite {family.parameters[-1]}, so that the "
                "p-value is too large (about twice)."
            )


def _notes(fits: Sequence[PointFit], again: int) -> Iterator[str]:
    """Say what to keep in mind."""
    if again:
        yield f"{again} of {len(fits)} models fitted again by maximum likelihood instead of REML."
    for smaller, larger in pairwise(fits):
        if reason := why_not_nested(smaller.model, larger.model):
            yield (
                f"{text_of(smaller.model.formula)} is no special case of {text_of(larger.model.formula)}: {reason}. A "
                "likelihood ratio would test nothing, and is left out; AIC can be compared."
            )
    yield from _at_edges({fit.model.family.name: fit.model.family for fit in fits})
    if any(_variances(smaller) != _variances(larger) for smaller, larger in pairwise(fits)):
        yield (
            "Models differ in variances: a variance cannot be below zero, so that its p-value is too large (for a "
            "single variance about twice)."
        )
    for fit in fits:
        if fit.verdict != "converged":
            yield f"{text_of(fit.model.formula)}: {fit.sentence}"
    if any(smaller.df != larger.df for smaller, larger in pairwise(fits)):
        yield ASYMPTOTIC


def _variances(fit: PointFit) -> int:
    """Count the variances of a fit's group effects; a correlation of 0 lies inside what is possible, and is none."""
    return sum(1 if block.hom else len(block.columns) for block in fit.model.design.mean.groups)
