"""Tests of the fixed terms of one fit, as lmerTest's `anova` and `drop1` tabulate them.

What each type tests is left to `design.hypotheses`, degrees of freedom to `posterior`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from speclet_formula.common.table import Printed, Sheet, number, text_table
from speclet_formula.design import Design
from speclet_formula.design.hypotheses import deletions, marginal, partial, sequential
from speclet_formula.errors import ComparisonError
from speclet_formula.families import is_linear
from speclet_formula.formula.terms import text_of
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.degrees_of_freedom import (
    NAMES,
    Freedom,
    JointTest,
    SmallSample,
    joint_test,
    small_sample,
)
from speclet_formula.posterior.summary import smooth_table, tests_of_smooths

type Type = Literal[1, 2, 3]
TYPES: Mapping[int, tuple[str, str, Callable[[Design, np.ndarray], dict[str, np.ndarray]]]] = {
    1: ("I", "Each term is tested as it is added to those before it.", sequential),
    2: ("II", "Each term is tested next to all others that it is no part of.", partial),
    3: (
        "III",
        "Each term is tested on average over the levels of the factors that it meets, numbers at zero.",
        marginal,
    ),
}
_SPELLINGS = {"I": 1, "II": 2, "III": 3, "1": 1, "2": 2, "3": 3}
PATTERNS = {
    "Sum Sq": ".3f", "Mean Sq": ".3f", "NumDF": ",.0f", "DenDF": ",.1f", "F value": ".3f", "Pr(>F)": None,
    "Chisq": ".3f", "Df": ",.0f", "Pr(>Chisq)": None,
}  # fmt: skip
WOOD = (
    "Smooths are tested by Wood's method for the variances as they were estimated: p-values just below a threshold are "
    "somewhat too small."
)
UNTESTED = "Smooths have no test here: compare a fit without, of method='ml' by anova, or with draws by compare."


@dataclass(frozen=True, repr=False, eq=False)
class TermTests(Printed):
    """Tests of the fixed terms and the smooths of one fit.

    Attributes
    ----------
    title : str
        What is tested, and by which degrees of freedom.
    table : pandas.DataFrame
        One row for each term, by its name; the columns are defined in `anova`.
    notes : tuple of str
        What to keep in mind while reading.
    smooths : pandas.DataFrame
        One row for each smooth, and for each curve of `by` a factor: `edf`, its effective degrees of freedom; `Ref.df`,
        those of the test; `F` and `Pr(>F)`, or `Chi.sq` and `Pr(>Chisq)`, as in `smooths`. Empty without smooths.
    """

    title: str
    table: pd.DataFrame
    notes: tuple[str, ...]
    smooths: pd.DataFrame

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        shown = {
            column: self.table[column] if pattern is None else [number(value, pattern) for value in self.table[column]]
            for column, pattern in PATTERNS.items()
            if column in self.table
        }
        terms = text_table(pd.DataFrame({"term": self.table.index, **shown}))
        return Sheet(self.title, (), (terms, *([] if self.smooths.empty else [smooth_table(self.smooths)])), self.notes)


def term_tests(fit: PointFit, type: object = 3, df: Freedom | None = None) -> TermTests:  # noqa: A002 - R's name
    """Test the fixed terms of one fit: what `anova` does with one.

    Parameters
    ----------
    fit : PointFit
    type : {1, 2, 3}
    df : str, optional
        As for `anova`.

    Returns
    -------
    TermTests
    """
    place = _SPELLINGS.get(str(type).upper())
    if place is None:
        raise ComparisonError(
            f"there are no tests of type={type!r}.",
            "Types: 1 (terms one after the other), 2 (next to all that a term is no part of), 3 (averaged).",
            "Write type=3, or leave it out.",
        )
    name, what, hypotheses = TYPES[place]
    return _tested(fit, f"Type {name} tests of fixed terms", hypotheses, df, what)


def drop1(fit: PointFit, *, df: Freedom | None = None) -> TermTests:
    """Test what each fixed term adds that may be left out, as lmerTest's `drop1`.

    A term that is part of another, f of f:x, stays; so do the group terms. Nothing is fitted again: the test is of the
    term's coefficients.

    Parameters
    ----------
    fit : PointFit
    df : {"satterthwaite", "kenward-roger", "asymptotic"}, optional
        As for `anova`.

    Returns
    -------
    TermTests
        Its `table` is that of `anova(fit)`.

    Raises
    ------
    ComparisonError
        The fit has draws.
    EstimateError
        It has no degrees of freedom of that kind.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ gc * cell_line + (1 | gene)", data.assign(gc=data.index % 7), method="reml")
    >>> sf.drop1(fit).table.index.to_list()
    ['gc:cell_line']
    """
    if not isinstance(fit, PointFit):
        raise without_draws(fit)
    told = "Each term is tested that is no part of another, next to all others."
    return _tested(fit, "Single term deletions", deletions, df, told)


def without_draws(fit: Fit) -> ComparisonError:
    """Say what to do about tests of a fit that has draws."""
    return ComparisonError(
        "a fit with draws has no tests of its terms.",
        "They are of fits by method='reml', 'ml' or 'laplace'; of draws, models with and without a term are compared.",
        f"Fit it with method='{'reml' if is_linear(fit.model.family) else 'laplace'}', or rank both models with "
        "compare.",
    )


def _tested(
    fit: PointFit,
    what: str,
    hypotheses: Callable[[Design, np.ndarray], dict[str, np.ndarray]],
    df: Freedom | None,
    told: str,
) -> TermTests:
    """Test the hypotheses of all terms."""
    known, points, design = small_sample(fit, df), fit.estimates, fit.model.design
    kept = np.setdiff1d(np.arange(design.mean.X.shape[1]), np.array(points.dropped, dtype=np.int64))
    lines = {term.name for term in design.mean.fixed if term.smooth}
    asked = {term: L for term, L in hypotheses(design, kept).items() if term not in lines}
    tests = {term: joint_test(known, L, points.coefficients) for term, L in asked.items()}
    asymptotic = known.method == "asymptotic"
    frame = _chi_squared(tests) if asymptotic else _f_tests(tests, float(points.sigma or 0.0) ** 2)
    by = "Wald's chi-squared" if asymptotic else f"{NAMES[known.method]}'s method"
    smooths = tests_of_smooths(fit)
    notes = tuple(_notes(fit, known, told, tests, untested=smooths.empty))
    return TermTests(f"{what} by {by}: {text_of(fit.model.formula)}", frame, notes, smooths)


def _f_tests(tests: Mapping[str, JointTest], variance: float) -> pd.DataFrame:
    """Tabulate F tests; the mean square is that of F before Kenward and Roger's scaling."""
    squares = [test.statistic / test.scale * variance for test in tests.values()]
    return pd.DataFrame(
        {
            "Sum Sq": [square * test.num_df for square, test in zip(squares, tests.values(), strict=True)],
            "Mean Sq": squares,
            "NumDF": [test.num_df for test in tests.values()],
            "DenDF": [test.den_df for test in tests.values()],
            "F value": [test.statistic for test in tests.values()],
            "Pr(>F)": [test.p_value for test in tests.values()],
        },
        index=pd.Index(list(tests), name="term", dtype="str"),
    )


def _chi_squared(tests: Mapping[str, JointTest]) -> pd.DataFrame:
    """Tabulate Wald's chi-squared tests."""
    return pd.DataFrame(
        {
            "Chisq": [test.statistic * test.num_df for test in tests.values()],
            "Df": [test.num_df for test in tests.values()],
            "Pr(>Chisq)": [test.p_value for test in tests.values()],
        },
        index=pd.Index(list(tests), name="term", dtype="str"),
    )


def _notes(
    fit: PointFit, known: SmallSample, told: str, tests: Mapping[str, JointTest], *, untested: bool
) -> list[str]:
    """Say what to keep in mind."""
    notes = (
        [told]
        if tests
        else ["There is no fixed term to test." if untested else "There is no fixed term beside the smooths to test."]
    )
    if known.method == "asymptotic":
        why = f" ({known.why})" if known.why else ""
        notes.append(f"Pr(>Chisq) is asymptotic{why}: too small where there are few groups.")
    if fit.model.design.mean.smooths:
        notes.append(UNTESTED if untested else WOOD)
        processes = (block.label for block in fit.model.design.mean.smooths if block.stretches and not untested)
        notes += [f"{label} is a Gaussian process, and has no test here: compare a fit without." for label in processes]
    if fit.estimates.dropped:
        notes.append("Fixed columns were dropped that earlier ones make up: a term is tested by those that are left.")
    if fit.verdict != "converged":
        notes.append(fit.sentence)
    return notes
