"""What is worth knowing about a design before it is fitted: the record of a finding, and those of single columns.

Looked at are the response, the fixed columns and what they say of text and scales; columns together are left to
`collinearity`, grouping factors to `groups`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from speclet_formula.common.table import Printed, Sheet
from speclet_formula.design import Design, FixedTerm, Predictor
from speclet_formula.design.merged import column_means, row_count, rows_by_level
from speclet_formula.design.numbers import numeric_text
from speclet_formula.formula.terms import Call, Name, text_of

# What a response's family takes; "other": positive numbers, shares, angles.
Support = Literal["real", "binary", "count", "proportion", "ordinal", "levels", "other"]

_NAMED = 5  # levels or columns that a sentence names


@dataclass(frozen=True, repr=False)
class Finding(Printed):
    """One thing about a design that its owner would want to know.

    Attributes
    ----------
    kind : str
        A stable name, such as "few_levels".
    what, why, remedy : str
        One or two sentences each: what was seen, why it matters, what to do.
    """

    kind: str
    what: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what} {self.why} {self.remedy}"

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        return Sheet(self.what, (self.why, self.remedy), (), (f"kind: {self.kind}",))


class Findings(Printed, tuple[Finding, ...]):
    """The findings about a design, in order: a tuple that prints itself.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each, with its `kind`, `what`, `why` and `remedy`.
    """

    __slots__ = ()

    @property
    def table(self) -> pd.DataFrame:
        """The findings as a frame."""
        return pd.DataFrame([vars(one) for one in self], columns=["kind", "what", "why", "remedy"])

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        return Sheet("Findings about the design" if self else "No findings", tuple(f"* {one}" for one in self), ())


def listed(names: Sequence[str], *, quoted: bool = True) -> str:
    """Return the first names with commas between, and dots for the others.

    Parameters
    ----------
    names : sequence of str
    quoted : bool
        Whether each gets quotes.
    """
    shown = [f"'{name}'" if quoted else name for name in names[:_NAMED]]
    return ", ".join([*shown, "..."] if len(names) > _NAMED else shown)


EXTREME_SCALE = 1e3  # an SD beyond it, or below its inverse: where lme4 says "consider rescaling", too
EXTREME_RESPONSE = 1e5  # of the response, whose SD the default priors follow
FAR_FROM_ZERO = 1e6  # SDs between a response's mean and zero: from there on doubles lose the digits that matter


def inspect_response(design: Design) -> Iterator[Finding]:
    """Look for a response without variation."""
    trials = design.trials
    still = (design.response == design.response[0]).all() and (design.merged is None or not design.merged.within.any())
    if still and (trials is None or (trials == trials[0]).all()):
        yield Finding(
            "constant_response",
            f"'{design.response_name}' is {', '.join(f'{value:g}' for value in np.atleast_1d(design.response[0]))} in "
            "every row.",
            "There is no variation to explain, and the posterior of every SD piles up at zero.",
            "Check that the column is the one that was meant.",
        )


_TOTALS = re.compile(r"n|size|sizes|(n_?)?(tot|total|trials|tested|obs)(_?n)?|n_\w+|\w+_(n|total|size)", re.IGNORECASE)


def total_for_failures(design: Design) -> Iterator[Finding]:
    """Look for `cbind(successes, total)`, where failures are meant."""
    node = design.formula.response
    if not (isinstance(node, Call) and node.function == "cbind" and len(node.arguments) == 2):  # noqa: PLR2004 - a pair
        return
    first, second = (argument.value for argument in node.arguments)
    successes, failures = text_of(first), text_of(second)
    if isinstance(second, Name) and _TOTALS.fullmatch(failures):
        yield Finding(
            "total_for_failures",
            f"'{failures}' stands where cbind() takes failures.",
            "By its name it is how many were tried: every share would then be too small.",
            f"Write cbind({successes}, {failures} - {successes}) if it is; else leave it.",
        )


def row_numbers(design: Design) -> Iterator[Finding]:
    """Look for the column of row names that a CSV was written with, which `.` takes in."""
    for name in _named_in_terms(design):
        if re.fullmatch(r"Unnamed: \d+", name):
            yield Finding(
                "row_numbers",
                f"'{name}' is a column without a name in the file, as row names are written by R and pandas.",
                "The number of a row is seldom a predictor.",
                "Read the file with index_col=0, or name the terms instead of '.'.",
            )


def inspect_fixed(design: Design) -> Iterator[Finding]:
    """Look for fixed coefficients that too few rows inform."""
    n, p = row_count(design), design.mean.X.shape[1]
    if p >= n:
        yield Finding(
            "saturated",
            f"There are {p:,} fixed coefficients for {n:,} rows.",
            "They can reproduce every row, so that the priors alone say how large the residual SD is.",
            "Make the factor with most levels a group term, (1 | factor), or leave terms out.",
        )
    counts = np.count_nonzero(design.mean.X, axis=0)
    if design.merged is not None:
        counts = (design.merged.rows @ (design.mean.X != 0)).astype(np.int64)
    for term in design.mean.fixed:
        if term.kind == "categorical":
            yield from _categorical_term(term, counts[term.start : term.stop], design)
        yield from fixed_and_group(term, design.mean)


def _categorical_term(term: FixedTerm, counts: np.ndarray, design: Design) -> Iterator[Finding]:
    """Look for coefficients of a factor or interaction that no row, or one row, informs."""
    empty = [column for column, count in zip(term.columns, counts, strict=True) if count == 0]
    if empty:
        yield Finding(
            "empty_cells",
            f"{len(empty):,} of the {len(counts):,} columns of '{term.name}' are zero in every row: {listed(empty)}.",
            "No row has that combination, so that the posterior of its coefficient is its prior; lme4 drops it.",
            "Read the other coefficients only, or paste the columns into one factor of the observed combinations.",
        )
    single = [column for column, count in zip(term.columns, counts, strict=True) if count == 1]
    if term.name in design.frame.columns:  # a main effect: its reference level has no column of its own
        levels = design.frame[term.name].cat
        seen = rows_by_level(design, levels.codes.to_numpy(), len(levels.categories))
        single = [f"{term.name}[{levels.categories[code]}]" for code in np.flatnonzero(seen == 1)]
    if single and len(counts) < row_count(design):  # otherwise the design is saturated, and that says more
        which = "One level" if len(single) == 1 else f"{len(single):,} levels"
        yield Finding(
            "fixed_level_of_one_row",
            f"{which} of '{term.name}' with one row only: {listed(single)}.",
            "Such a coefficient rests on that row alone, residual included.",
            "Do not read much into it, merge the level with another, or make the factor a group term.",
        )


def fixed_and_group(term: FixedTerm, predictor: Predictor) -> Iterator[Finding]:
    """Look for a factor that is a fixed term, and a grouping factor of the same linear predictor.

    Parameters
    ----------
    term : FixedTerm
    predictor : Predictor
        The linear predictor that the term is part of.
    """
    name, of = term.name.removeprefix(predictor.prefix), f" in the formula of '{predictor.name}'"
    groups = {block.group for block in predictor.groups if "1" in block.columns}
    alone = next(iter(term.variables)) if len(term.variables) == 1 else name  # C(g, sum) is g, and so is factor(g)
    if term.kind == "categorical" and (name in groups or alone in groups):
        name = name if name in groups else alone
        yield Finding(
            "fixed_and_group",
            f"'{name}' is both a fixed term and a grouping factor{of if predictor.name else ''}.",
            "Each of its levels has two coefficients that only enter as a sum, so that the priors split them.",
            f"Keep (1 | {name}) to have its levels shrunk towards each other, or {name} to compare them one by one.",
        )


def text_of_numbers(design: Design) -> Iterator[Finding]:
    """Look for factors that are numbers but for a few cells.

    Yields
    ------
    Finding
        One for each column that stands in a fixed term or varies over groups; a grouping factor has levels anyway.
    """
    for name in _named_in_terms(design):
        column = design.frame[name]
        if not isinstance(column.dtype, pd.CategoricalDtype) or not _alphabetical(column):
            continue  # an order of its own is the analyst's: these are labels
        numeric = numeric_text(column, design.rows)
        if numeric is not None:
            yield Finding(
                "text_of_numbers",
                f"'{name}' is text, but {numeric.said}.",
                f"Text is a factor: each of its {len(column.cat.categories):,} values has a coefficient of its own.",
                f"{numeric.remedy(name)} If they are labels, leave it.",
            )


def sorted_levels(design: Design, unordered: Sequence[str]) -> Iterator[Finding]:
    """Tell the reference levels of factors that came without an order.

    Parameters
    ----------
    design : Design
    unordered : sequence of str
        Their columns, some of which the design may not use.
    """
    for name in [name for name in _named_in_terms(design) if name in unordered]:
        levels = list(design.frame[name].cat.categories)
        yield Finding(
            "sorted_levels",
            f"The levels of '{name}' came in the order of the rows, as polars' Categorical has them, and were sorted.",
            f"Its reference level is '{levels[0]}'.",
            f'For another order cast it to polars.Enum(["reference", ...]), the reference first: {listed(levels)}.',
        )


def ordered_factors(design: Design, ordered: Sequence[str]) -> Iterator[Finding]:
    """Tell how ordered factors are coded, since R codes them otherwise.

    Parameters
    ----------
    design : Design
    ordered : sequence of str
        Their columns, some of which the design may not use.
    """
    for name in [name for name in _named_in_terms(design) if name in ordered]:
        first, spelled = design.frame[name].cat.categories[0], text_of(Name(name))
        yield Finding(
            "ordered_factor",
            f"'{name}' is an ordered factor, and each of its levels is compared with '{first}', the first.",
            f"R codes it by polynomials, {spelled}.L, {spelled}.Q, ...: the coefficients differ, the means do not.",
            f"Write C({spelled}, poly) for R's coefficients, or C({spelled}, sdif) for the steps between levels.",
        )


def _named_in_terms(design: Design) -> dict[str, None]:
    """Return the columns that fixed terms name, and those that vary over groups, in order."""
    seen: dict[str, None] = {}
    for predictor in design.predictors:
        terms = [*predictor.formula.terms, *(term for group in predictor.formula.group_terms for term in group.terms)]
        seen |= dict.fromkeys(node.name for term in terms for node in term.factors if isinstance(node, Name))
    return seen


def _alphabetical(column: pd.Series) -> bool:
    levels = list(column.cat.categories)
    return levels == sorted(levels)


def extreme_response(design: Design, support: Support) -> Iterator[Finding]:
    """Look at the SD and the mean of a response of real numbers.

    Parameters
    ----------
    design : Design
    support : {"real", "binary", "count", "proportion", "ordinal", "levels", "other"}
        What the response's family takes; other responses have their own unit.
    """
    mean = column_means(design, design.response)
    within = 0.0 if design.merged is None else design.merged.within.sum() / row_count(design)
    deviation = np.sqrt(column_means(design, (design.response - mean) ** 2) + within)
    if support != "real" or not deviation > 0:
        return
    if not 1 / EXTREME_RESPONSE <= deviation <= EXTREME_RESPONSE:
        unit = 10.0 ** np.round(np.log10(deviation))
        yield Finding(
            "extreme_response",
            f"'{design.response_name}' has an SD of {deviation:.2g}.",
            "The default priors follow its scale, but the numbers of priors that you write, or of a preset with fixed "
            "ones, will not; and a sampler takes long to find its step.",
            f"Change its unit, for example I({design.response_name} / {unit:.0e}) ~ ....",
        )
    if abs(mean) > FAR_FROM_ZERO * deviation:
        yield Finding(
            "response_far_from_zero",
            f"'{design.response_name}' has a mean of {mean:.3g} and an SD of {deviation:.2g}.",
            "So far from zero its differences lose digits to rounding, and an intercept's prior that you write is hard "
            "to place.",
            f"Take the mean off: center({design.response_name}) ~ ....",
        )


def extreme_scales(design: Design, predictor: Predictor) -> Iterator[Finding]:
    """Look at the SD of each numeric column once, be it fixed or a slope; an indicator's is never extreme.

    Parameters
    ----------
    design : Design
    predictor : Predictor
        One of its linear predictors.
    """
    fixed = [(label, j) for term in predictor.fixed for label, j in _columns_with_a_unit(term)]
    parts = [(label, predictor.X[:, j]) for label, j in fixed]
    parts += [(label, block.values[:, j]) for block in predictor.factors for j, label in enumerate(block.columns)]
    seen: set[str] = set()
    for label, values in parts:
        if label in seen or label == "1":
            continue
        seen.add(label)
        deviation = np.sqrt(column_means(design, (values - column_means(design, values)) ** 2))
        if deviation == 0 or 1 / EXTREME_SCALE <= deviation <= EXTREME_SCALE or _has_no_unit(label, values):
            continue
        plain = label in design.frame.columns
        yield Finding(
            "extreme_scale",
            f"The column '{label}' has an SD of {deviation:.2g}.",
            "Its coefficient is then far from the size of the others: lme4 asks to rescale, and a sampler takes long "
            "to find its step.",
            f"Write scale({label}) for it in the formula, or change its unit."
            if plain
            else "Standardise it, with scale() in the formula, or change its unit.",
        )


def _columns_with_a_unit(term: FixedTerm) -> Iterator[tuple[str, int]]:
    if term.kind == "numeric":
        yield from zip(term.columns, range(term.start, term.stop), strict=True)


def _has_no_unit(label: str, values: np.ndarray) -> bool:
    """Whether a column is an indicator, or of unit length over the rows as poly() makes them."""
    return label.startswith("poly(") or bool(((values == 0) | (values == 1)).all())
