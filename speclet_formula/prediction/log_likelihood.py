"""The log density of each observation, draw by draw, in blocks of rows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from speclet_formula.design.merged import require_rows
from speclet_formula.errors import DataError
from speclet_formula.model.observation import observed_log_density
from speclet_formula.posterior.draws import Draws, Fitted, FittedModel, draws_of, posterior_of
from speclet_formula.posterior.estimates import Array
from speclet_formula.prediction.linear_predictors import OBSERVATION_DIM, at_rows, gather, row_blocks

if TYPE_CHECKING:
    import xarray

# ArviZ makes five to eight copies of a log-likelihood, so that more than this fills the memory of a workstation.
LARGEST_LOG_LIKELIHOOD = 2 * 2**30


def log_likelihood(fit: Fitted, *, thin: int = 1) -> "xarray.DataArray":
    """Compute the log density of each observation for each draw, given the group effects of that draw.

    `loo` does not need it: it goes by blocks of rows and keeps none of them.

    Parameters
    ----------
    fit : Fit
    thin : int
        Keep each `thin`-th draw of each chain.

    Returns
    -------
    xarray.DataArray
        Dimensions "chain", "draw" and "__obs__", whose coordinates are the rows of the given table. The name is the
        response's; assigned to the DataTree's group "log_likelihood" it serves ArviZ.

    Raises
    ------
    DataError
        It would take more than 2 GiB, or `thin` is not a positive whole number.
    EstimateError
        It is a fit without draws, or the posterior lacks a variable of the model.

    Examples
    --------
    >>> from speclet_formula.prediction import log_likelihood
    >>> log_likelihood(fit, thin=10).dims
    ('chain', 'draw', '__obs__')
    """
    from xarray import DataArray

    require_rows(fit.model.design, "log_likelihood()")
    posterior, draws = posterior_of(fit), draws_of(fit)
    chains, length = draws.chains, draws.length
    n = len(fit.model.design.response)
    check_size(n, chains, length, thin, "the log-likelihood")
    kept = np.arange(chains * length).reshape(chains, length)[:, ::thin]
    values = np.empty((kept.size, n))
    for rows, block in log_likelihood_blocks(fit.model, draws.take(kept.ravel())):
        values[:, rows] = block
    return DataArray(
        values.reshape(*kept.shape, n),
        dims=("chain", "draw", OBSERVATION_DIM),
        coords={
            "chain": posterior["chain"].values,
            "draw": posterior["draw"].values[::thin],
            OBSERVATION_DIM: fit.model.design.rows,
        },
        name=fit.model.design.response_variable,
    )


def log_likelihood_blocks(
    model: FittedModel, draws: Draws, chosen: np.ndarray | None = None
) -> Iterator[tuple[slice, Array]]:
    """Go through the observations in blocks of rows, with the log density of each for each draw.

    Parameters
    ----------
    model : Model
    draws : Draws
        Of the model's parameters.
    chosen : array of int, optional
        Some of the rows; all by default.

    Yields
    ------
    rows : slice
        Of the chosen rows.
    values : ndarray of float, shape (draws, rows)
        At most BLOCK_BYTES, unless one row alone takes more.

    Examples
    --------
    >>> from speclet_formula.prediction import log_likelihood_blocks
    >>> from speclet_formula.posterior.draws import draws_of
    >>> sum(block.mean(axis=0).sum() for rows, block in log_likelihood_blocks(fit.model, draws_of(fit))) < 0
    True
    """
    design, family = model.design, model.family
    require_rows(design, "the log-likelihood of each observation")
    gathered = gather(model, draws)
    n = len(design.response if chosen is None else chosen)
    for rows in row_blocks(n, len(draws)):
        places = rows if chosen is None else chosen[rows]
        mean, parameters = at_rows(gathered, design, family, places)
        yield rows, observed_log_density(family, design, places, mean, parameters)


def check_size(n: int, chains: int, length: int, thin: int, what: str) -> None:
    """Refuse to thin by what is no number, and values of so many rows and draws that they fill the memory.

    Raises
    ------
    DataError
    """
    if type(thin) is not int or thin < 1:
        raise DataError(f"thin={thin!r} is out of range.", "thin is a whole number of at least 1.", "Leave it out.")
    size = 8 * n * chains * len(range(0, length, thin))
    if size > LARGEST_LOG_LIKELIHOOD:
        wanted = -(-8 * n * chains * length // LARGEST_LOG_LIKELIHOOD)
        raise DataError(
            f"{what} of {n:,} rows and {size // (8 * n):,} draws takes {size / 2**30:.1f} GiB.",
            f"It may take {LARGEST_LOG_LIKELIHOOD / 2**30:g} GiB, since ArviZ copies it several times.",
            f"loo(fit) works by blocks of rows and needs none of it; or keep fewer draws with thin={wanted}.",
        )
