"""Counts go in; how deep each sample was read comes out, so that samples can be compared.

Which guides decide is the caller's choice: those that nothing should happen to.
"""

from typing import Literal, get_args

import numpy as np

from speclet_formula.errors import DataError

Normalisation = Literal["median", "total", "none"]
FEWEST = 10  # guides with reads in every sample: below that a median is noise


def size_factors(counts: np.ndarray, method: Normalisation) -> np.ndarray:
    r"""Return the depth of each sample relative to the geometric mean of all.

    Parameters
    ----------
    counts : ndarray of float, shape (guides, samples)
        Reads of the guides that decide. Missing ones are left out of account.
    method : {"median", "total", "none"}
        "median": with :math:`m_i` the geometric mean of guide i over the samples, :math:`s_j` is the median of
        :math:`k_{ij} / m_i` over the guides with reads in every sample. "total": the sum of reads. "none": 1.

    Returns
    -------
    ndarray of float, shape (samples,)
        Their geometric mean is 1.

    Raises
    ------
    DataError
        There is no such method, or too few guides have reads.

    References
    ----------
    Median of ratios: Anders and Huber (2010), doi:10.1186/gb-2010-11-10-r106.

    Examples
    --------
    >>> size_factors(np.array([[10.0, 40.0]] * 10), "median").tolist()
    [0.5, 2.0]
    """
    if method not in get_args(Normalisation):
        raise DataError(
            f"there is no normalise={method!r}.",
            f"Methods: {', '.join(map(repr, get_args(Normalisation)))}.",
            "Leave normalise= out for the median of ratios.",
        )
    if method == "none":
        return np.ones(counts.shape[1])
    if method == "total":
        totals = np.nansum(counts, axis=0)
        if (totals == 0).any():
            raise DataError(
                f"{(totals == 0).sum()} samples have no reads of the guides that normalise them.",
                "A sample's depth is the sum of these guides' reads.",
                "Leave the samples out of the sample map, or write normalise='none'.",
            )
        return _relative(totals)
    inside = (counts > 0).all(axis=1)
    if inside.sum() < FEWEST:
        raise DataError(
            f"only {inside.sum()} of the {len(counts)} guides that normalise have reads in every sample.",
            f"The median of ratios takes at least {FEWEST} of them.",
            "Write normalise='total', or leave out the samples with few reads.",
        )
    logs = np.log(counts[inside])
    return _relative(np.exp(np.median(logs - logs.mean(axis=1, keepdims=True), axis=0)))


def _relative(depths: np.ndarray) -> np.ndarray:
    return np.asarray(depths / np.exp(np.log(depths).mean()))
