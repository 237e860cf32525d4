"""What fits by maximum likelihood share: columns that are dropped, edges and verdicts in words, the fit's record.

Maximum likelihood has one answer only where no column is a combination of the others: those that earlier ones make up
are dropped, as R does, and get their places in the estimates back. Finding the maximum is left to `reml` and `laplace`.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
from scipy import linalg

from speclet_formula.common.engines import BY_NAME, Maximised
from speclet_formula.design import Design, GroupBlock, centre_of
from speclet_formula.design.merged import row_count
from speclet_formula.inference.minimum import Minimum
from speclet_formula.model import Model
from speclet_formula.model.collinearity import null_vectors, without_dependent
from speclet_formula.posterior import PointFit
from speclet_formula.posterior.estimates import PointEstimates, restored

type Verdict = Literal["converged", "singular", "doubtful"]

FEWEST_LEVELS = 2
SINGULAR = 1e-4  # relative SD below which a direction counts as without variance, as in lme4's isSingular
RANK_TOLERANCE = 1e-9  # of pivots, relative to the largest, of columns scaled to length one


def independent_columns(design: Design) -> tuple[Design, np.ndarray]:
    """Drop the fixed columns that earlier ones make up, as R does.

    Parameters
    ----------
    design : Design
        n rows, p fixed columns.

    Returns
    -------
    design : Design
        The same where nothing is dropped.
    kept : ndarray of int
        The columns that it has.
    """
    X = design.mean.X - centre_of(design)
    lengths = np.linalg.norm(X, axis=0)
    if not X.shape[1] or (lengths.all() and _rank(X / lengths) == X.shape[1]):
        return design, np.arange(X.shape[1])
    return without_dependent(design)


def _rank(X: np.ndarray) -> int:
    """Return the rank of columns of length one."""
    pivots = np.abs(np.diagonal(linalg.qr(X, mode="r", pivoting=True, check_finite=False)[0]))
    return int((pivots > RANK_TOLERANCE * pivots[0]).sum())


def with_dropped(estimates: PointEstimates, design: Design, kept: np.ndarray) -> PointEstimates:
    """Give the dropped columns their places in the estimates again.

    Parameters
    ----------
    estimates : PointEstimates
        Of the columns that were kept.
    design : Design
        With all columns.
    kept : ndarray of int
    """
    if len(kept) == design.mean.X.shape[1]:
        return estimates
    return restored(estimates, design.mean.X.shape[1], kept, null_vectors(design.mean.X, kept))


def too_few_levels(block: GroupBlock) -> str:
    """Say that a grouping factor has too few levels for a variance; "" where it has enough."""
    if block.observed < FEWEST_LEVELS and not block.smooth:
        return f"'{block.label}' has a single level, which says nothing of a variance"
    return ""


def singularities(blocks: Sequence[GroupBlock], matrices: Iterable[np.ndarray]) -> Iterator[str]:
    """Say of each block without variance in some direction what that means.

    `matrices` are covariances, each as if its columns had a mean square of one and the residual an SD of one.
    """
    for block, matrix in zip(blocks, matrices, strict=True):
        still = np.sqrt(np.diagonal(matrix)) < SINGULAR
        names = np.array(block.terms)
        if block.stretches:
            if still.all():
                yield f"The SD of {block.label} is estimated as zero: there is no curve."
            continue
        if block.smooth:
            if still.any():
                yield f"The SD of {block.label} is estimated as zero: it is a straight line."
            continue
        for name in names[still]:
            yield f"The SD of '{name}' by {block.label} is estimated as zero."
        moving = matrix[np.ix_(~still, ~still)]
        if len(moving) > 1 and np.sqrt(max(np.linalg.eigvalsh(moving)[0], 0.0)) < SINGULAR:
            named = " and ".join(f"'{name}'" for name in names[~still])
            yield f"The effects of {named} by {block.label} are estimated as perfectly correlated."


def verdict_of(
    found: Minimum, flat: str, singular: str, *, method: Maximised, flat_remedy: str, unknown: str, likelihood: str
) -> tuple[Verdict, str, str]:
    """Return verdict, sentence and remedy.

    Parameters
    ----------
    found : Minimum
    flat, singular : str
        In which the likelihood is flat, and what lies at an edge; "" where nothing is.
    method : {"reml", "ml", "laplace"}
    flat_remedy, unknown, likelihood : str
        What to do about the former, what a posterior would say of the latter, and what was maximised.
    """
    instead = f"use method='{BY_NAME[method].sampled_by}'"
    if not found.converged:
        return (
            "doubtful",
            "The search stopped before the maximum: the likelihood could still rise.",
            f"Check the formula for terms that the data cannot tell apart, or {instead}.",
        )
    if flat:
        return "doubtful", flat, flat_remedy.format(instead=instead)
    if singular:
        edge = "This is the maximum of the likelihood, at its edge."
        return "singular", singular, f"{edge} Leave the term out, or {instead}: a posterior also says {unknown}."
    return "converged", f"{likelihood} is at its maximum, to within a thousandth of a standard error.", ""


def point_fit(
    model: Model,
    method: Maximised,
    estimates: PointEstimates,
    deviance: float,
    df: int,
    judged: tuple[bool, Verdict, str, str],
    *,
    evaluations: int,
    started: float,
) -> PointFit:
    """Put a fit together; `judged` is whether it is singular, its verdict, sentence and remedy."""
    singular, verdict, sentence, remedy = judged
    return PointFit(
        model=model,
        method=method,
        estimates=estimates,
        log_likelihood=-deviance / 2,
        df=df,
        deviance=deviance,
        aic=deviance + 2 * df,
        bic=deviance + float(np.log(row_count(model.design))) * df,
        singular=singular,
        verdict=verdict,
        sentence=sentence,
        remedy=remedy,
        evaluations=evaluations,
        seconds=time.perf_counter() - started,
    )
