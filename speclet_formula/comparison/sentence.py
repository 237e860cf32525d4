"""The sentence that says what a table of ranked fits means, and the caveats of one estimate."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design import Design, GroupBlock
from speclet_formula.errors import listed
from speclet_formula.inference.exact.density import why_not_exact
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
    group: str | None = None,
) -> str:
    """Say which fit predicts best, and by how much, of those whose estimate can be trusted; and of which it cannot.

    Parameters
    ----------
    table : pandas.DataFrame
        That of a `Comparison`.
    fits : mapping of str to Fit
    estimates : mapping of str to arviz.ELPDData
    remarks : sequence of str
        What ArviZ adds, such as that the best of many is so by chance.
    group : str, optional
        The column whose levels were left out whole; single rows were without one.
    """
    doubts = {name: doubt for name in table.index if (doubt := _doubt(name, table, fits, estimates))}
    trusted = [name for name in table.index if name not in doubts and fits[name].diagnostics.verdict != "failed"]
    left_out = "rows" if group is None else f"levels of '{group}'"
    return " ".join(
        [
            *_not_converged(table, fits),
            *_not_told(doubts, table, fits, group),
            *(_ranking(trusted, table, estimates, left_out) if len(trusted) > 1 else _no_ranking(left_out)),
            *_redone(table, estimates, group),
            *_mixed(table),
            *remarks,
        ]
    )


def caveat(fit: Fit, kind: str, n_high: int, n_rows: int, good_k: float) -> str:
    """Say why one fit's leave-one-out cannot be trusted and what to do instead; nothing where it can.

    Parameters
    ----------
    fit : Fit
    kind : str
        "integrated", "own level" or "conditional".
    n_high, n_rows : int
        Rows with a high Pareto k, of all rows.
    good_k : float
        The limit of k.
    """
    reasons = _reasons(fit, kind, n_high, n_rows, good_k)
    if not reasons:
        return ""
    return f"This estimate cannot be trusted: {'; '.join(reasons)}. {' '.join(_instead({'': fit}, kind, None))}"


def sparse_parts(design: Design) -> list[str]:
    """Name the parts of a design whose effects rest on one or two rows each, with the share of rows concerned.

    Returns
    -------
    list of str
        "'sgRNA:cell_line' (100% of the rows)", for group blocks and for fixed factors.
    """
    shares = {block.label: _sparse_share(block) for block in design.blocks}
    factors = [(p, term) for p in design.predictors for term in p.fixed if term.kind == "categorical"]
    for predictor, term in factors:
        cells = predictor.X[:, term.start : term.stop] != 0
        few = cells.sum(axis=0) <= FEW_ROWS
        shares.setdefault(term.name.removeprefix(predictor.prefix), float(cells[:, few].any(axis=1).mean()))
    return [f"'{name}' ({share:.0%} of the rows)" for name, share in shares.items() if share > SPARSE_SHARE]


def _sparse_share(block: GroupBlock) -> float:
    """Return the share of rows that lie in a level of one or two rows."""
    rows, codes = block.belongings
    few = np.bincount(codes, minlength=len(block.levels))[codes] <= FEW_ROWS
    return len(np.unique(rows[few])) / len(block.places)


def _not_converged(table: pd.DataFrame, fits: Mapping[str, Fit]) -> Iterator[str]:
    for name in table.index:
        if fits[name].diagnostics.verdict == "failed":
            yield f"'{name}' did not converge: its row is unreliable."
        elif fits[name].diagnostics.verdict == "doubtful":
            yield f"It is doubtful whether '{name}' converged: read its row with care."


def _doubt(name: str, table: pd.DataFrame, fits: Mapping[str, Fit], estimates: Mapping[str, Any]) -> list[str]:
    """Say why a row of the table is no basis for a claim; nothing where it is one."""
    row = table.loc[name]
    labels = estimates[name].elpd_i.attrs.get("not_converged", []) if name in estimates else []
    doubts = [f"the model did not surely converge without {listed(labels)}"] if labels else []
    if row["n_high_k"] or row["kind"] == "conditional":
        estimate = estimates.get(name)
        size, limit = (0, 0.0) if estimate is None else (estimate.n_data_points, estimate.good_k)
        doubts += _reasons(fits[name], row["kind"], int(row["n_high_k"]), size, limit)
    return doubts


def _reasons(fit: Fit, kind: str, n_high: int, n_rows: int, good_k: float) -> list[str]:
    """Say what speaks against leave-one-out of a fit."""
    reasons = []
    parts = sparse_parts(fit.model.design) if kind == "conditional" else []
    if parts:
        reasons.append(
            f"the effects of {', '.join(parts)} rest on one or two rows each, where leave-one-out from the draws "
            "favours the model"
        )
    if n_high:
        high = "" if kind == "integrated" else ", and its elpd is usually too high"
        have = "has" if n_high == 1 else "have"
        reasons.append(f"{n_high:,} of {n_rows:,} rows {have} a high Pareto k (above {good_k:.2f}){high}")
    return reasons


def _not_told(
    doubts: Mapping[str, list[str]], table: pd.DataFrame, fits: Mapping[str, Fit], group: str | None
) -> Iterator[str]:
    """Say of which fits nothing can be told, why, and what to do."""
    for name, reasons in doubts.items():
        yield f"The elpd of '{name}' cannot be trusted: {'; '.join(reasons)}."
    for kind in ("conditional", "own level", "integrated"):
        chosen = {name: fits[name] for name in doubts if table.loc[name, "kind"] == kind}
        if chosen:
            yield from _instead(chosen, kind, group)


def _instead(chosen: Mapping[str, Fit], kind: str, group: str | None) -> Iterator[str]:
    """Say what to do where leave-one-out cannot be trusted."""
    first = next(iter(chosen.values()))
    if kind == "integrated":
        yield "More draws, or a model without the rows that stand out, may serve."
        return
    if kind == "conditional":
        yield f"The integrated estimate, which can be trusted, is not to be had: {why_not_exact(first.model)}."
    if group is None:
        column = _to_leave_out(first.model.design)
        levels = (
            "" if column is None else f"Leave out whole levels instead, group='{column}' in compare() or kfold(); or"
        )
        yield f"{levels or 'Leave out'} a tenth of the rows at a time, kfold(fit, k=10)."


def _to_leave_out(design: Design) -> str | None:
    """Return the grouping column of the fewest levels, of those whose levels have rows enough."""
    sizes = {
        block.factors[0]: len(block.levels)
        for block in design.blocks
        if len(block.factors) == 1 and block.shares is None and _sparse_share(block) <= SPARSE_SHARE
    }
    return min(sizes, key=lambda name: sizes[name]) if sizes else None


def _no_ranking(left_out: str) -> Iterator[str]:
    yield f"Which model predicts left-out {left_out} best cannot be told from these numbers."


def _ranking(names: Sequence[str], table: pd.DataFrame, estimates: Mapping[str, Any], left_out: str) -> Iterator[str]:
    """Say of each fit how it stands to the best: not to be told from it, or behind."""
    best, *others = names
    apart = {name: _difference(best, name, table, estimates) for name in others}
    near = [name for name in others if _undecided(*apart[name])]
    far = [name for name in others if name not in near]
    if near:
        named = " or ".join(f"'{name}'" for name in near)
        yield f"The data do not tell '{best}', the highest elpd, from {named}: {_lower(near, apart)}."
    if far:
        named = " and ".join(f"'{name}'" for name in far)
        start = f"'{best}' predicts left-out {left_out} better than {named}"
        yield f"{start}: {_lower(far, apart)}."


def _difference(best: str, name: str, table: pd.DataFrame, estimates: Mapping[str, Any]) -> tuple[float, float]:
    """Return how much lower an elpd is than that of the best of those that can be trusted, and the standard error."""
    if best == table.index[0]:
        return float(-table.loc[name, "elpd_diff"]), float(table.loc[name, "dse"])
    ahead, behind = (np.asarray(estimates[each].elpd_i) for each in (best, name))
    return float((ahead - behind).sum()), float(np.sqrt(len(ahead) * (ahead - behind).var()))


def _undecided(distance: float, error: float) -> bool:
    """Tell whether a difference says nothing, by the figures that are printed: 2.0 standard errors say something."""
    if round(distance, 1) < SMALL_DIFFERENCE:
        return True
    return error > 0 and round(distance / error, 1) < STANDARD_ERRORS


def _lower(names: Sequence[str], apart: Mapping[str, tuple[float, float]]) -> str:
    """Say by how much each elpd is lower."""
    parts: list[str] = []
    for name in names:
        distance, error = apart[name]
        times = f", {distance / error:,.1f} standard errors" if error > 0 else ""
        start = f"that of '{name}'" if parts else f"the elpd of '{name}' is"
        parts.append(f"{start} {distance + 0.0:,.1f} lower (SE {error:,.1f}{times})")
    return ", ".join(parts)


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


def _redone(table: pd.DataFrame, estimates: Mapping[str, Any], group: str | None) -> Iterator[str]:
    for name, count in table["n_redone"].items():
        if count:
            of = f"{estimates[name].n_data_points:,} rows" if group is None else f"{estimates[name].n_folds:,} levels"
            anew = (
                f"'{name}' was fitted"
                if table.loc[name, "kind"] == "own level"
                else f"the variances of '{name}' were drawn"
            )
            yield (
                f"For {count:,} of {of} with a high Pareto k {anew} anew without "
                f"the {'row' if group is None else 'level'}."
            )
