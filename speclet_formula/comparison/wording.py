"""A table of ranked fits and their designs go in; the sentence that says what the table means comes out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design import Design
from speclet_formula.errors import listed
from speclet_formula.inference.exact.marginal import why_not_exact
from speclet_formula.posterior import Fit

# Sivula, Magnusson, Matamoros and Vehtari, doi:10.48550/arXiv.2008.10296: below 4 the error of the difference is skewed
# and its standard error too small.
SMALL_DIFFERENCE = 4.0
STANDARD_ERRORS = 2.0
FEW_ROWS = 2  # in a level: leaving one of them out leaves one or none
SPARSE_SHARE = 0.05  # of all rows; fewer of them move the elpd little


def describe(
    table: pd.DataFrame,
    fits: Mapping[str, Fit],
    estimates: Mapping[str, Any],
    remarks: Sequence[str] = (),
    by: str | None = None,
) -> str:
    """Say which fit predicts best, by how much, and what speaks against trusting that.

    Parameters
    ----------
    table : pandas.DataFrame
        That of a `Comparison`.
    fits : mapping of str to Fit
    estimates : mapping of str to arviz.ELPDData
    remarks : sequence of str
        What ArviZ adds, such as that the best of many is so by chance.
    by : str, optional
        The column whose levels were left out whole; single rows were without one.

    Returns
    -------
    str
    """
    return " ".join(
        [
            *_not_converged(table, fits),
            *_ranking(table, "rows" if by is None else f"levels of '{by}'"),
            *_not_refitted(estimates),
            *_redone(table, estimates, by),
            *_high_k(table, estimates),
            *_mixed(table),
            *_sparse(table, fits),
            *remarks,
        ]
    )


def sparse_parts(design: Design) -> list[str]:
    """Name the parts of a design whose effects rest on one or two rows each, with the share of rows concerned.

    Parameters
    ----------
    design : Design

    Returns
    -------
    list of str
        "'sgRNA:cell_line' (100% of the rows)", for group blocks and for fixed factors.
    """
    shares = {block.label: _share_by_codes(block.codes, len(block.levels)) for block in design.groups}
    for term in design.fixed:
        if term.kind == "categorical":
            cells = design.X[:, term.start : term.stop] != 0
            few = cells.sum(axis=0) <= FEW_ROWS
            shares.setdefault(term.name, float(cells[:, few].any(axis=1).mean()))
    return [f"'{name}' ({share:.0%} of the rows)" for name, share in shares.items() if share > SPARSE_SHARE]


def _share_by_codes(codes: np.ndarray, n_levels: int) -> float:
    """Return the share of rows that lie in levels of one or two rows."""
    return float((np.bincount(codes, minlength=n_levels)[codes] <= FEW_ROWS).mean())


def _not_converged(table: pd.DataFrame, fits: Mapping[str, Fit]) -> Iterator[str]:
    for name in table.index:
        if fits[name].diagnostics.verdict == "failed":
            yield f"'{name}' did not converge: its row is unreliable."
        elif fits[name].diagnostics.verdict == "doubtful":
            yield f"It is doubtful whether '{name}' converged: read its row with care."


def _ranking(table: pd.DataFrame, left_out: str) -> Iterator[str]:
    """Name what is near the best fit, and the first that is not."""
    best, *others = table.index
    near = [name for name in others if _undecided(table.loc[name])]
    far = [name for name in others if name not in near]
    if near:
        named = " or ".join(f"'{name}'" for name in near)
        yield f"The data do not tell '{best}', the highest elpd, from {named}: {_difference(table, near[0])}."
    if far:
        start = f"'{far[0]}' is behind" if near else f"'{best}' predicts left-out {left_out} better than '{far[0]}'"
        rest = ", and lower still for the others" if far[1:] else ""
        yield f"{start}: {_difference(table, far[0])}{rest}."


def _undecided(row: pd.Series) -> bool:
    return bool(-row["elpd_diff"] < SMALL_DIFFERENCE or -row["elpd_diff"] < STANDARD_ERRORS * row["dse"])


def _difference(table: pd.DataFrame, name: str) -> str:
    distance, error = -table.loc[name, "elpd_diff"], table.loc[name, "dse"]
    times = f", {distance / error:.1f} standard errors" if error > 0 else ""
    return f"the elpd of '{name}' is {distance + 0.0:.1f} lower (SE {error:.1f}{times})"


def _mixed(table: pd.DataFrame) -> Iterator[str]:
    """Say that estimates of both kinds stand side by side."""
    integrated, conditional = (
        [f"'{name}'" for name in table.index[table["kind"] == kind]] for kind in ("integrated", "conditional")
    )
    if integrated and conditional:
        yield (
            f"The elpd of {', '.join(integrated)} is integrated over the coefficients, that of "
            f"{', '.join(conditional)} is conditional on each draw of them: both estimate the same, but the second can "
            "be too high where effects rest on few rows."
        )


def _redone(table: pd.DataFrame, estimates: Mapping[str, Any], by: str | None) -> Iterator[str]:
    for name, count in table["n_redone"].items():
        if count:
            of = f"{estimates[name].n_data_points:,} rows" if by is None else f"{estimates[name].n_folds:,} levels"
            yield (
                f"For {count:,} of {of} with a high Pareto k the variances of '{name}' were drawn anew without "
                f"the {'row' if by is None else 'level'}."
            )


def _not_refitted(estimates: Mapping[str, Any]) -> Iterator[str]:
    for name, estimate in estimates.items():
        labels = estimate.elpd_i.attrs.get("not_converged", [])
        if labels:
            yield f"'{name}' did not surely converge without {listed(labels)}: its elpd is unreliable."


def _high_k(table: pd.DataFrame, estimates: Mapping[str, Any]) -> Iterator[str]:
    for name, count in table["n_high_k"].items():
        if count:
            n = estimates[name].n_data_points
            high = ", and usually too high" if table.loc[name, "kind"] == "conditional" else ""
            yield (
                f"'{name}' has {count:,} of {n:,} rows with a high Pareto k (above {estimates[name].good_k:.2f}): its "
                f"elpd is unreliable{high}."
            )


def _sparse(table: pd.DataFrame, fits: Mapping[str, Fit]) -> Iterator[str]:
    """Name the conditional estimates that cannot be trusted, and why there is no integrated one."""
    for name in table.index[table["kind"] == "conditional"]:
        parts = sparse_parts(fits[name].model.design)
        if parts:
            yield (
                f"In '{name}' the effects of {', '.join(parts)} rest on one or two rows each: leave-one-out from the "
                "draws cannot be trusted there, and tends to favour the model. The integrated estimate, which can, is "
                f"not to be had: {why_not_exact(fits[name].model)}."
            )
