"""Leave-one-out of models that exact integration does not serve: each row's own level integrated, high k refitted.

Of the draws a row's own level is the part that has seen most of the row; with its effect integrated, given the level's
other rows, Pareto-smoothed weights do for the rest.
"""

import math
import os
from dataclasses import replace

import numpy as np

from speclet_formula.common.batch import with_progress
from speclet_formula.comparison.pointwise import (
    COSTLY_DRAWS,
    SEED,
    Choice,
    Kind,
    Pointwise,
    good_pareto_k,
    relative_efficiency,
    shown,
    smoothing,
)
from speclet_formula.inference.fit import fit as fit_model
from speclet_formula.inference.hmc.fit import why_not_hmc
from speclet_formula.inference.refit import with_rows
from speclet_formula.model import Model
from speclet_formula.posterior import Fit
from speclet_formula.posterior.convergence import log_sum_exp
from speclet_formula.posterior.draws import Draws, draws_of
from speclet_formula.prediction.left_out import LeftOutPlan, count_blocks, left_out_blocks, plan_levels

# Rows x draws that are integrated for their own level's effect, each in some millionths of a second, and what they add
# up: every integral goes through all rows of its level, and of terms of several columns each row has one of its own.
MOST_INTEGRALS = 4_000_000
MOST_ADDED = 16_000_000
MOST_REFITS = 50  # rows
MOST_REFITTED = 200_000  # rows whose k is high x (rows + effects) of a fit


def level_rows(fit: Fit, choose: Choice | None = None, *, progress: bool = False) -> Pointwise:
    """Estimate each row's elpd from its density given a draw, the effect of its own level being integrated.

    Rows that belong to no level have their density given the draw. Rows whose Pareto k is high are left out of a fit by
    "hmc", where that serves the model and there are not too many. The guess for all rows is the same density at the
    posterior's means.
    """
    model, whole, threads = fit.model, draws_of(fit), os.cpu_count() or 1
    n = len(model.design.response)
    guesses = None if choose is None else (_density_at_means(model, whole.mean()), np.zeros(n))
    drawn = choose(guesses[0]) if choose and guesses else None
    rows = np.arange(n) if drawn is None else drawn.rows
    plan = plan_levels(model, whole, rows)
    draws = affordable(whole, len(rows), plan) if plan.levels else whole
    efficiency = relative_efficiency(draws)
    place = np.full(n, -1)
    place[rows] = np.arange(len(rows))
    elpd, p, k = np.empty(len(rows)), np.empty(len(rows)), np.empty(len(rows))
    smoothed = smoothing(len(rows), len(draws), threads=threads)
    blocks = left_out_blocks(model, draws, plan, threads=threads)
    for _ in shown(count_blocks(plan, len(draws)), progress):
        part = next(blocks)
        own = place[part.rows]
        elpd[own], k[own] = smoothed(part.log_densities, efficiency)
        with np.errstate(divide="ignore", invalid="ignore"):
            p[own] = log_sum_exp(np.ascontiguousarray(part.given.T)) - math.log(len(draws)) - elpd[own]
    kind: Kind = "own level" if plan.levels else "conditional"
    found = Pointwise(kind, elpd, p, k, len(draws), 0, guesses, drawn, groups=plan.groups)
    return _fitted_without(fit, found, rows, progress)


def _density_at_means(model: Model, means: Draws) -> np.ndarray:
    """Return the log density (n,) of each row given the others at the posterior's means."""
    found = np.empty(len(model.design.response))
    for part in left_out_blocks(model, means, plan_levels(model, means)):
        found[part.rows] = part.log_densities[0]
    return found


def affordable(draws: Draws, n: int, plan: LeftOutPlan) -> Draws:
    """Return every so-manieth draw, so that a plan's integrals for so many rows take seconds."""
    added = sum(len(levels.rows) for levels in plan.levels)
    wanted = max(min(MOST_INTEGRALS // n, MOST_ADDED // max(added, 1)), COSTLY_DRAWS)
    return draws.thinned(max(1, -(-len(draws) // wanted))) if wanted < len(draws) else draws


def _fitted_without(fit: Fit, found: Pointwise, rows: np.ndarray, progress: bool) -> Pointwise:
    """Replace what draws with a row say of the row, where its k is high, by what draws without it say."""
    model = fit.model
    high = np.flatnonzero(~(found.k <= good_pareto_k(found.n_draws)))
    size = len(model.design.response) + sum(len(block.levels) * len(block.columns) for block in model.design.blocks)
    few = 0 < len(high) * size <= MOST_REFITTED and len(high) <= MOST_REFITS
    if not few or not np.isfinite(found.elpd).all() or why_not_hmc(model):
        return found
    elpd, p, k = found.elpd.copy(), found.p.copy(), found.k.copy()
    for number in with_progress(high, "rows", len(high), shown=progress):
        without = _elpd_without(model, int(rows[number]))
        if without is not None:
            p[number] += elpd[number] - without
            elpd[number], k[number] = without, 0.0
    return replace(found, elpd=elpd, p=p, k=k, n_redone=int((k[high] == 0.0).sum()))


def _elpd_without(model: Model, row: int) -> float | None:
    """Return a row's elpd by a fit without it; None where that fit did not converge."""
    others = np.delete(np.arange(len(model.design.response)), row)
    without = fit_model(with_rows(model, others), method="hmc", random_seed=SEED, progress=False)
    if without.diagnostics.verdict != "converged":
        return None
    draws = draws_of(without)
    plan = plan_levels(model, draws, np.array([row]))
    (part,) = left_out_blocks(model, draws, plan)
    return float(log_sum_exp(np.ascontiguousarray(part.log_densities.T))[0]) - math.log(len(draws))
