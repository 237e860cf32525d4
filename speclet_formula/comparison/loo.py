"""Leave-one-out cross-validation of a fit, computed by blocks of rows, as ArviZ's ELPDData.

Peak memory is nine blocks of `prediction.BLOCK_BYTES`, 288 MiB, and for the integrated estimate one of
`leave_one_out.BLOCK_BYTES`, 160 MiB, or 512 where a factorisation takes long, beside; however many rows there are.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from speclet_formula.comparison.pointwise import Pointwise, draw_rows, good_pareto_k, integrated_rows, total
from speclet_formula.comparison.sentence import caveat
from speclet_formula.design.merged import require_rows
from speclet_formula.errors import ComparisonError
from speclet_formula.inference.exact.density import why_not_exact
from speclet_formula.posterior import Fit
from speclet_formula.posterior.convergence import FEWEST_SMOOTHED
from speclet_formula.posterior.draws import draws_of
from speclet_formula.prediction import OBSERVATION_DIM

if TYPE_CHECKING:
    from speclet_formula.comparison.elpd import LeaveOneOut, SampledLeaveOneOut

FEWEST_ROWS = 2  # their differences have a variance


@overload
def loo(
    fit: Fit, *, observations: None = None, random_seed: int | None = None, progress: bool = True
) -> "LeaveOneOut": ...


@overload
def loo(
    fit: Fit, *, observations: int, random_seed: int | None = None, progress: bool = True
) -> "SampledLeaveOneOut": ...


def loo(
    fit: Fit, *, observations: int | None = None, random_seed: int | None = None, progress: bool = True
) -> "LeaveOneOut | SampledLeaveOneOut":
    """Estimate how well a fit predicts each row from the others: Pareto-smoothed leave-one-out.

    Of a Gaussian model with Normal priors of its coefficients, whichever engine fitted it, the estimate is
    *integrated*: the density of a row given the other rows and a draw of the variances, all coefficients integrated
    out. Only the few variances are then reweighted, which works where a level has a single row too. For rows whose
    Pareto k is high all the same the variances are drawn anew without the row, from a fixed seed.

    Of any other model with group terms it is that of the row's *own level*: the density given all of a draw but the
    effect of the level that has the fewest rows, which is integrated given the level's other rows, by quadrature. The
    rows whose Pareto k is high all the same, up to 50 of them where fits are quick, are left out of a fit of their own.
    Without group terms it is *conditional*: the density is given each draw.

    Parameters
    ----------
    fit : Fit
    observations : int, optional
        How many rows to draw, at least 2, where all of them would take too long; all by default. The sums are then
        estimates by differences from a guess for every row (Magnusson et al. 2020): the row's density at the means of
        the variances, the others given, or at the posterior's means. Half of them are the rows with the lowest guesses,
        which guesses miss most; the others are drawn from strata of like guesses. Of an integrated estimate the guess
        is so near that 1,000 rows serve millions.
    random_seed : int, optional
        Of drawing the rows.
    progress : bool
        Whether to show a line with the time left, where standard error is a terminal and there are many rows.

    Returns
    -------
    LeaveOneOut or SampledLeaveOneOut
        What `arviz.loo(..., pointwise=True)` returns, without `log_weights`: `elpd`, `se`, `p`, `n_samples`,
        `n_data_points`, `warning` (the estimate cannot be trusted), `caveat` (why, and what to do; empty where it can,
        else it is printed too), `good_k` (the limit, min(1 - 1 / log10(draws), 0.7)) and, with the
        dimension "__obs__" whose coordinates are the rows of the given table, `elpd_i`, `p_loo_i` and `pareto_k`. A k
        that cannot be estimated is infinite and so counts as high. `elpd_i.attrs` holds `kind`, "integrated", "own
        level" or "conditional", `n_redone`, for how many rows the variances were drawn anew or the model was fitted
        without them (their k is 0), and of "own level" `groups`, the factors whose effects are integrated; it uses up
        to four million densities, and 250 draws at least. The integrated estimate uses
        about 1,000 of the draws, 250 where rows and coefficients are 200,000 or more, and its `p` is the sum of the
        rows' leverages: the effective number of coefficients.

        With `observations` an ELPDDataLOOSubsample as `arviz.loo_subsample` returns, whose `elpd_i` and `pareto_k` have
        the drawn rows alone: `se` is what it would be with all rows, `subsampling_se` the error of having drawn some,
        `subsample_size` their number and `loo_subsample_observations` their places.

    Raises
    ------
    ComparisonError
        There are fewer than 30 draws, a row has density 0 in a draw, or `observations` is out of range.
    EstimateError
        It is a fit without draws, or the posterior lacks a variable of the model.

    References
    ----------
    Vehtari, Gelman and Gabry (2017). Practical Bayesian model evaluation using leave-one-out cross-validation and
    WAIC. Statistics and Computing 27, 1413-1432. doi:10.1007/s11222-016-9696-4.

    Vehtari, Mononen, Tolvanen, Sivula and Winther (2016). Bayesian leave-one-out cross-validation approximations for
    Gaussian latent variable models. Journal of Machine Learning Research 17(103), 1-38.
    https://jmlr.org/papers/v17/14-540.html

    Magnusson, Andersen, Jonasson and Vehtari (2019). Bayesian leave-one-out cross-validation for large data.
    doi:10.48550/arXiv.1904.10679. The difference estimator: Magnusson, Vehtari, Jonasson and Andersen (2020),
    doi:10.48550/arXiv.2001.00980.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> sf.loo(fit).pareto_k.dims
    ('__obs__',)
    """
    from xarray import DataArray

    from speclet_formula.comparison.elpd import LeaveOneOut, SampledLeaveOneOut

    check_draws(fit)
    require_rows(fit.model.design, "loo()")
    n = len(fit.model.design.response)
    choose = (
        None if observations is None else partial(draw_rows, count=_checked(observations, n), random_seed=random_seed)
    )
    pointwise = _estimator(fit)(fit, choose, progress=progress)
    places = np.arange(n) if pointwise.drawn is None else pointwise.drawn.rows
    check_finite(pointwise.elpd, fit, places)
    good_k = good_pareto_k(pointwise.n_draws)
    about: dict[str, Any] = {"kind": pointwise.kind, "n_redone": pointwise.n_redone}
    about |= {"groups": list(pointwise.groups)} if pointwise.groups else {}
    against = caveat(fit, pointwise.kind, int((~(pointwise.k <= good_k)).sum()), len(places), good_k)

    def by_row(values: np.ndarray, name: str) -> DataArray:
        return DataArray(values, {OBSERVATION_DIM: fit.model.design.rows[places]}, OBSERVATION_DIM, name, about)

    shared: dict[str, Any] = {
        "n_samples": pointwise.n_draws,
        "n_data_points": n,
        "scale": "log",
        "warning": bool(against),
        "caveat": against,
        "good_k": good_k,
        "elpd_i": by_row(pointwise.elpd, "elpd_i"),
        "pareto_k": by_row(pointwise.k, "pareto_k"),
    }
    if pointwise.guesses is None or pointwise.drawn is None:
        spread = math.sqrt(n * pointwise.elpd.var(ddof=1)) if n > 1 else math.nan
        sums: dict[str, Any] = {"elpd": float(pointwise.elpd.sum()), "se": spread, "p": float(pointwise.p.sum())}
        return LeaveOneOut(**sums, **shared, p_loo_i=by_row(pointwise.p, "p_loo_i"))
    elpd, p = (
        total(own, pointwise.drawn, guess)
        for own, guess in zip((pointwise.elpd, pointwise.p), pointwise.guesses, strict=True)
    )
    return SampledLeaveOneOut(
        elpd=elpd.value,
        se=elpd.spread,
        p=p.value,
        **shared,
        subsample_size=len(places),
        subsampling_se=elpd.error,
        loo_subsample_observations=places,
        p_loo_i=by_row(pointwise.p, "p_loo_i"),
        elpd_loo_approx=DataArray(
            pointwise.guesses[0], {OBSERVATION_DIM: fit.model.design.rows}, OBSERVATION_DIM, "elpd_loo_approx"
        ),
    )


def _estimator(fit: Fit) -> Callable[..., Pointwise]:
    """Return what estimates the rows of a fit."""
    if not why_not_exact(fit.model):
        return integrated_rows
    from speclet_formula.comparison.own_level import level_rows  # here, since it loads a compiler

    return level_rows


def _checked(observations: int, n: int) -> int:
    """Return how many rows to draw."""
    if type(observations) is not int or not FEWEST_ROWS <= observations <= n:
        raise ComparisonError(
            f"observations={observations!r} is out of range.",
            f"observations is a whole number from {FEWEST_ROWS} to {n:,}, the rows of the model.",
            "Leave observations= out for all of them; some thousands are enough for any number.",
        )
    return observations


def count_high_k(estimate: Any) -> int:
    """Count the rows whose Pareto k is above the limit or is no number."""
    if estimate.pareto_k is None:  # of refits, which have no weights
        return 0
    return int((~(np.asarray(estimate.pareto_k) <= estimate.good_k)).sum())


def check_draws(fit: Fit) -> None:
    """Refuse what has no draws, or too few."""
    n_draws = len(draws_of(fit))
    if n_draws < FEWEST_SMOOTHED:
        raise ComparisonError(
            f"{n_draws} draws are too few for leave-one-out.",
            f"The tail of the importance weights is looked at, which needs {FEWEST_SMOOTHED} draws; 1,000 are good.",
            "Fit the model again with more draws.",
        )


def check_finite(elpd: np.ndarray, fit: Fit, places: np.ndarray) -> None:
    """Refuse rows, at some places of the design, whose density is 0 or no number."""
    bad = np.flatnonzero(~np.isfinite(elpd))
    if len(bad):
        rows = ", ".join(str(row) for row in fit.model.design.rows[places[bad[:5]]]) + (", ..." if bad[5:].size else "")
        raise ComparisonError(
            f"leave-one-out is not a number for {len(bad):,} rows (rows {rows}, counted from 0).",
            "Each row has a density above 0 in every draw.",
            "Look at those rows: often a probability of exactly 0 or 1, or draws that are not finite.",
        )
