"""A fit's summary: verdict, facts, tables and a foot, in the order of lme4's, as text and as HTML."""

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import pandas as pd

from speclet_formula.common.correlations import followed
from speclet_formula.common.engines import BY_NAME
from speclet_formula.common.table import Table, formatted, line_width, number, p_value
from speclet_formula.design import Predictor
from speclet_formula.families import has_known_errors, is_linear, is_ordinal, parameter_link, specification_of
from speclet_formula.formula.smooths import MOST_SIZE
from speclet_formula.formula.terms import text_of
from speclet_formula.model import Finding
from speclet_formula.posterior.diagnostics import Diagnostics
from speclet_formula.posterior.draws import Fitted, FittedModel, draws_of, library_of, ngrps, nobs, values_of
from speclet_formula.posterior.effects import family_parameters, monotonic, summarise_fixed
from speclet_formula.posterior.estimates import Interval, choose_interval
from speclet_formula.posterior.variances import has_residual, summarise_predictor

MOST_FIXED = 20  # rows of fixed effects that are shown
MOST_CORRELATED = 8  # columns of a block whose correlations are shown
_ESTIMATES = {"Estimate": "estimate", "Std.Error": "std_error"}
MOST_FINDINGS = 4  # of the design that are shown
MOST_OF_A_LINE = 92  # characters of a finding, so that it stands in one line
_ZEROS = {
    "inflated": " psi is the share of rows without an extra zero, 1 - zi of brms and glmmTMB.",
    "hurdle": " psi is the share of rows above zero, 1 - hu of brms and 1 - zi of glmmTMB.",
}
VERDICTS = {"converged": "Converged", "doubtful": "Doubtful", "failed": "Failed"}


class SummarisedModel(FittedModel, Protocol):
    """A model that knows what was found in its design."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is worth knowing."""


class Described(Fitted, Protocol):
    """A fit of such a model."""

    @property
    def model(self) -> SummarisedModel:
        """The model."""


class Summarised(Described, Protocol):
    """A fit that knows how it was made."""

    @property
    def method(self) -> str:
        """The engine."""

    @property
    def diagnostics(self) -> Diagnostics:
        """Whether the draws can be trusted."""

    @property
    def seconds(self) -> float:
        """How long the fit took."""


@dataclass(frozen=True)
class Summary:
    """The parts of a fit's print-out, in order.

    Attributes
    ----------
    verdict, sentence, remedy : str
        "Converged", what was found, and what to do ("" for a converged fit).
    heading : str
        Kind of model and engine.
    facts : tuple of (str, str)
        Label and text: formula, data, family, draws.
    group_effects, fixed_effects, family_parameters : Table
        The last is None for families without further parameters.
    counts : str
        Numbers of observations and of levels.
    parameters : tuple of Table
        Monotonic effects, then group and fixed effects of parameters that have formulas of their own.
    smooth_terms : Table
        Tests of smooths; None without smooths, and of draws.
    foot : str
        What the estimates and intervals are.
    findings : tuple of str
        What is known of the design and bears on the numbers, a line each; the last says where there is more.
    """

    verdict: str
    sentence: str
    remedy: str
    heading: str
    facts: tuple[tuple[str, str], ...]
    group_effects: Table
    counts: str
    fixed_effects: Table
    foot: str
    family_parameters: Table | None = None
    findings: tuple[str, ...] = ()
    parameters: tuple[Table, ...] = ()
    smooth_terms: Table | None = None

    def text(self) -> str:
        """Set the parts in lme4's layout: lines without trailing blanks, numbers aligned on the right."""
        facts = [f"{label:>7}: {text}" for label, text in self.facts]
        lines = [*self._sentences(), self.heading, *facts, ""]
        lines += [_indented(self.group_effects)] if self.group_effects.rows else []
        fixed = self.fixed_effects.text() if self.fixed_effects.rows else "Fixed effects: none"
        lines += [self.counts, "", fixed]
        for table in (self.smooth_terms, self.family_parameters, *self.parameters):
            lines += ["", _indented(table)] if table is not None else []
        return "\n".join([*lines, "", *textwrap.wrap(self.foot, line_width())])

    def _sentences(self) -> Iterator[str]:
        """Wrap the verdict, and the remedy where there is one; what was found in the design has a line each."""
        for label, text in ((self.verdict, self.sentence), ("What to do", self.remedy)):
            if text:
                yield from textwrap.wrap(f"{label}: {text}", line_width(), subsequent_indent="  ")
        yield from (f"Note: {finding}" for finding in self.findings)

    def html(self) -> str:
        """Set the parts as one `<div>` without styles from elsewhere, scripts or images."""
        # Not a list of definitions, whose halves JupyterLab lets float past each other where a name is long.
        facts = "<br>".join(f"<strong>{escape(label)}:</strong> {escape(text)}" for label, text in self.facts)
        tables = (self.group_effects, self.fixed_effects, self.smooth_terms, self.family_parameters, *self.parameters)
        findings = "".join(f"<li>{escape(finding)}</li>" for finding in self.findings)
        parts = [
            '<div class="speclet-fit">',
            f"<p><strong>{escape(self.verdict)}:</strong> {escape(self.sentence)}</p>",
            f"<p><strong>What to do:</strong> {escape(self.remedy)}</p>" if self.remedy else "",
            f"<ul>{findings}</ul>" if findings else "",
            f"<p>{escape(self.heading)}</p>",
            f"<p>{facts}</p>",
            *(table.html() for table in tables if table is not None and table.rows),
            f"<p>{escape(self.counts)}</p>",
            f"<p><small>{escape(self.foot)}</small></p>",
            "</div>",
        ]
        return "\n".join(part for part in parts if part)


def _indented(table: Table) -> str:
    """Set a table in lme4's layout, whose group effects stand a blank further right."""
    return table.text(" " if table.labels > 1 else "")


def lay_out(fit: Summarised) -> Summary:
    """Put a fit's summary into words.

    Only what is shown is summarised: group effects by level are not, so that it takes as long for ten levels as for
    ten thousand.

    Examples
    --------
    >>> from speclet_formula.posterior.summary import lay_out
    >>> lay_out(fit).counts  # fit: Reaction ~ Days + (1 + Days | Subject)
    'Number of obs: 180, groups: Subject, 18'
    """
    interval = choose_interval()
    return Summary(
        verdict=VERDICTS[fit.diagnostics.verdict],
        sentence=fit.diagnostics.sentence,
        remedy=fit.diagnostics.remedy,
        heading=_heading(fit),
        facts=tuple(_facts(fit)),
        group_effects=_group_table(fit, _shown_first(fit), interval, ""),
        counts=counted(fit),
        fixed_effects=_fixed_table(fit, _shown_first(fit), interval, ""),
        parameters=(*_monotonic_tables(fit, interval), *_parameter_tables(fit, interval)),
        foot=f"Estimates are posterior {interval.point}s, Std.Error is the posterior standard deviation; "
        f"low and high bound the {interval}.{_about_scale(fit)}{about_zeros(fit)}",
        family_parameters=_parameter_table(fit, interval),
        findings=findings_of(fit),
    )


def findings_of(fit: Described) -> tuple[str, ...]:
    """Say in a line each what was found in a fit's design, at most four, and where the rest is told.

    Returns
    -------
    tuple of str
        Empty where nothing was found.
    """
    lines = [
        textwrap.shorten(f"{finding.what} {finding.why}", MOST_OF_A_LINE, placeholder=" ...")
        for finding in fit.model.findings
    ]
    lines += _processes(fit)
    more = f"{len(lines) - MOST_FINDINGS:,} more findings, and " if len(lines) > MOST_FINDINGS else ""
    where = (f"{more}what to do: print(fit.model)",) if fit.model.findings else ()
    return (*lines[:MOST_FINDINGS], *where)


def _processes(fit: Described) -> Iterator[str]:
    """Say of Gaussian processes that their length-scale is none that their waves or their box can follow."""
    for block in fit.model.design.smooths:
        if block.structure is None or not block.stretches:
            continue
        structure, m = block.structure, len(block.columns)
        length = float(np.median(values_of(fit).length_scale(block)))
        shortest, longest = followed(structure, m)
        told = f"The length-scale of {block.label}, {length:.3g},"
        if length < shortest:
            more = math.ceil(min(m * shortest / length, 4 * m, MOST_SIZE))  # of waves that are all alike more say more
            yield f"{told} is shorter than its {m} waves follow, {shortest:.3g}: write m = {more}."
        elif length > longest:
            wider = math.ceil(10 * structure.box * length / longest) / 10
            yield f"{told} is longer than its box is wide enough for, {longest:.3g}: write c = {wider:g}."


def _about_scale(fit: Summarised) -> str:
    """Say what the scale is where it is no standard deviation."""
    note = specification_of(fit.model.family).scale_note
    return f" {note}" if note and has_residual(fit.model) else ""


def about_zeros(fit: Described) -> str:
    """Say what psi is, with a blank before it: other packages count the zeros."""
    return _ZEROS.get(specification_of(fit.model.family).zeros or "", "")


def _parameter_tables(fit: Summarised, interval: Interval) -> Iterator[Table]:
    """Lay out the formulas of the family's parameters, each with its link."""
    design = fit.model.design
    for name, predictor in ({} if design.is_per_level else design.varying).items():
        caption = f"{name} ({parameter_link(fit.model.family, name)} link)"
        own = (predictor,)
        tables = (_group_table(fit, own, interval, caption), _fixed_table(fit, own, interval, caption))
        yield from (table for table in tables if table.rows)


def _monotonic_tables(fit: Summarised, interval: Interval) -> Iterator[Table]:
    """Lay out average steps and shares, where there are any."""
    if fit.model.design.monotonic:
        frame = monotonic(fit, ci_prob=interval.probability, ci_kind=interval.kind)
        yield replace(
            fixed_table(frame, len(frame), _with_ends(_ESTIMATES, interval), _mixing_cells(frame)),
            caption="Monotonic effects: the average step, and each step's share of all",
        )


def _shown_first(fit: Summarised) -> tuple[Predictor, ...]:
    """Return the linear predictors whose tables come first: the mean's, or those of all unordered levels."""
    design = fit.model.design
    return design.predictors if design.is_per_level else (design.mean,)


def _group_table(fit: Summarised, predictors: tuple[Predictor, ...], interval: Interval, of: str) -> Table:
    """Lay out the standard deviations of some linear predictors."""
    shown = _with_ends({"Std.Dev.": "sdcor"}, interval)
    frame = pd.concat([summarise_predictor(fit, predictor, interval) for predictor in predictors], ignore_index=True)
    return _captioned(group_table(frame, shown), of)


def _captioned(table: Table, of: str) -> Table:
    return replace(table, caption=f"{of}, {table.caption.lower()}") if of else table


def _heading(fit: Summarised) -> str:
    """Name the kind of model and what fitted it, as lme4's first line does."""
    library = library_of(fit)
    engine = BY_NAME[fit.method].title + (f" ({library})" if library and fit.method == "nuts" else "")
    return f"{kind_of_model(fit)} fit by {engine}"


def kind_of_model(fit: Fitted) -> str:
    """Name the kind of model.

    Returns
    -------
    str
        "Linear mixed model", "Generalized linear model", "Categorical mixed model", ...
    """
    family, design = fit.model.family, fit.model.design
    if design.is_per_level:
        return f"{family.name.capitalize().replace('_', '-')}{' mixed' if design.factors else ''} model"
    linear = is_linear(family) or has_known_errors(family)
    kind = "Linear" if linear else "Ordinal" if is_ordinal(family) else "Generalized linear"
    mixed = (" additive" if design.smooths else "") + (" mixed" if design.factors else "")
    distributional = f" with a formula for {' and '.join(design.varying)}"
    return f"{kind}{mixed} model{distributional if design.varying else ''}"


def _facts(fit: Summarised) -> Iterator[tuple[str, str]]:
    """Say what was fitted to what, and for how long."""
    draws = draws_of(fit)
    yield "Formula", text_of(fit.model.formula)
    yield "Data", counted_rows(fit)
    yield "Family", f"{fit.model.family.name} ({fit.model.family.link} link)"
    yield "Draws", f"{draws.chains} x {draws.length:,} (chains x draws), {fit.seconds:,.1f} seconds"


def counted_rows(fit: Fitted) -> str:
    """Count the rows, and those that were left out for missing values.

    Returns
    -------
    str
        "1,100 rows", or "1,098 rows (2 of 1,100 dropped: missing values)".
    """
    dropped = fit.model.n_dropped
    counted = f" ({dropped:,} of {nobs(fit) + dropped:,} dropped: missing values)" if dropped else ""
    return f"{nobs(fit):,} rows{counted}"


def counted(fit: Fitted) -> str:
    """Count observations and levels in lme4's words."""
    groups = "; ".join(f"{group}, {count:,}" for group, count in ngrps(fit).items())
    return f"Number of obs: {nobs(fit):,}" + (f", groups: {groups}" if groups else "")


def smooth_table(frame: pd.DataFrame) -> Table:
    """Lay out tests of smooths.

    Parameters
    ----------
    frame : pandas.DataFrame
        As from `tests_of_smooths`.
    """
    statistic, tail = frame.columns[-2:]
    columns = [[number(value, ".3f") for value in frame[name]] for name in ("edf", "Ref.df", statistic)]
    columns.append([p_value(value) for value in frame[tail]])
    rows = tuple(zip(frame.index, *columns, strict=True))
    return Table("Smooth terms", ("", *frame.columns), rows, 1, "")


def tests_of_smooths(fit: Any) -> pd.DataFrame:
    """Tabulate a test of each smooth of a fit by maximum likelihood, as mgcv's summary does.

    Returns
    -------
    pandas.DataFrame
        One row for each smooth, and each curve of `by` a factor, by its label: `edf`, `Ref.df`, `F` or `Chi.sq`, and
        `Pr(>F)` or `Pr(>Chisq)`. Empty where there is no smooth, or no test.
    """
    tests = BY_NAME[fit.method].smooth_tests(fit) if fit.model.design.mean.smooths else ()
    squared = any(math.isinf(test.residual_df) for test in tests)
    names = ("edf", "Ref.df", *(("Chi.sq", "Pr(>Chisq)") if squared else ("F", "Pr(>F)")))
    rows = [(test.edf, test.ref_df, test.statistic, test.p_value) for test in tests]
    return pd.DataFrame(
        rows, index=pd.Index([test.smooth for test in tests], dtype="str"), columns=list(names), dtype=float
    )


def _with_ends(shown: dict[str, str], interval: Interval) -> dict[str, str]:
    """Add an interval's ends to the columns that are shown, by their headers."""
    mass = f"{100 * interval.probability:g}%"
    return {**shown, f"low {mass}": "conf_low", f"high {mass}": "conf_high"}


def group_table(frame: pd.DataFrame, shown: Mapping[str, str]) -> Table:
    """Lay out standard deviations with the correlations at their right, as lme4 does.

    Parameters
    ----------
    frame : pandas.DataFrame
        As from `varcorr`.
    shown : mapping of str to str
        The frame's columns that are shown, by their headers.
    """
    deviations, correlations = frame[frame["var2"].isna()], frame[frame["var2"].notna()]
    cells = formatted(deviations[list(shown.values())], deviations["sdcor"])
    names = list(zip(deviations["grp"], deviations["var1"].fillna(""), strict=True))
    known = {(row.grp, row.var2, row.var1): number(row.sdcor, ".2f") for row in correlations.itertuples()}
    rights = [_correlations(block, known) for block in _blocks(names)]
    width = max((len(right) for rows in rights for right in rows), default=0)
    rows = [
        (*name, *values, *right, *[""] * (width - len(right)))
        for name, values, right in zip(names, cells, (right for rows in rights for right in rows), strict=True)
    ]
    header = ("Groups", "Name", *shown, *(["Corr"] + [""] * (width - 1) if width else []))
    hidden = any(len(block) > MOST_CORRELATED for block in _blocks(names)) and not correlations.empty
    note = "More correlations: sf.varcorr(fit)" if hidden else ""
    return Table("Group effects", header, tuple(rows), 2, note, blocks=True)


def _blocks(names: Iterable[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Keep the rows of one block together."""
    return [list(rows) for _, rows in groupby(names, key=lambda name: name[0])]


def _correlations(block: list[tuple[str, str]], known: dict[tuple[str, str, str], str]) -> list[list[str]]:
    """Give each row of a block its correlations with the rows above."""
    shown = [
        [known[group, term, above] for _, above in block[:place] if (group, term, above) in known]
        for place, (group, term) in enumerate(block)
    ]
    return [right if place < MOST_CORRELATED else [] for place, right in enumerate(shown)]


def _fixed_table(fit: Summarised, predictors: tuple[Predictor, ...], interval: Interval, of: str) -> Table:
    """Lay out the first fixed effects of some linear predictors."""
    frame = summarise_fixed(fit, interval, most=MOST_FIXED, predictors=predictors)
    total = sum(predictor.X.shape[1] for predictor in predictors)
    total += 0 if predictors[0].name else len(fit.model.design.thresholds)
    return _captioned(fixed_table(frame, total, _with_ends(_ESTIMATES, interval), _mixing_cells(frame)), of)


def _parameter_table(fit: Summarised, interval: Interval) -> Table | None:
    """Lay out the family's further parameters, where it has any."""
    frame = family_parameters(fit, ci_prob=interval.probability, ci_kind=interval.kind)
    if frame.empty:
        return None
    shown, extra = _with_ends(_ESTIMATES, interval), _mixing_cells(frame)
    cells = [formatted(row[list(shown.values())], row["std_error"])[0] for _, row in frame.groupby("term", sort=False)]
    rows = zip(frame["term"], cells, zip(*extra.values(), strict=True), strict=True)
    table = tuple((term, *values, *other) for term, values, other in rows)
    return Table("Family parameters", ("", *shown, *extra), table, 1, "")


def _mixing_cells(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Format the diagnostics of each row."""
    floors = [math.floor(ess) if math.isfinite(ess) else ess for ess in frame["ess_bulk"]]
    return {
        "R-hat": [number(r_hat, ".3f") for r_hat in frame["r_hat"]],
        "ESS": [number(floor, ",.0f") for floor in floors],
    }


def fixed_table(frame: pd.DataFrame, total: int, shown: Mapping[str, str], extra: Mapping[str, Sequence[str]]) -> Table:
    """Lay out the first fixed effects.

    Parameters
    ----------
    frame : pandas.DataFrame
        The rows, as from `fixef`.
    total : int
        How many there are, with those that are not shown.
    shown : mapping of str to str
        The frame's columns that share their decimals, by their headers.
    extra : mapping of str to sequence of str
        Further columns, as text.
    """
    cells = formatted(frame[list(shown.values())], frame["std_error"])
    others = list(zip(*extra.values(), strict=True))
    rows = tuple((term, *values, *other) for term, values, other in zip(frame["term"], cells, others, strict=True))
    more = total - len(rows)
    note = f"... and {more:,} more: sf.fixef(fit)" if more > 0 else ""
    return Table("Fixed effects", ("", *shown, *extra), rows, 1, note)
