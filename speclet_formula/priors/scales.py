"""The few numbers of a design that presets scale their priors by: means, medians and spreads of response and columns.

What is made of them is left to `presets`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr
from scipy.special import logit, ndtri

from speclet_formula.design import Design, FixedTerm
from speclet_formula.design.design import Merged, Predictor
from speclet_formula.design.merged import column_means, row_count
from speclet_formula.errors import PriorError
from speclet_formula.priors.distributions import FloatArray

_LINKED: Mapping[str, Callable[[float], float]] = {
    "identity": float,
    "log": math.log,
    "logit": logit,
    "probit": ndtri,
    "cloglog": lambda mean: math.log(-math.log1p(-mean)),
    "inverse": lambda mean: 1 / mean,
    "inverse_squared": lambda mean: 1 / mean**2,
}
LINKS: tuple[str, ...] = tuple(_LINKED)
_PROPORTION_LINKS = ("logit", "probit", "cloglog")
_MAD_TO_SD = 1.4826  # R's constant: the MAD of normal data is then their SD
_RESOLVED = 1e-10  # share of a column's SD from which on what others leave of it is more than rounding
_INDEPENDENT = 1e-12  # the same of columns at unit length, of those that others are projected on
_RESOLVED_SQUARES, _INDEPENDENT_SQUARES = 1e-11, 1e-13  # the same of squares, which inner products give
_QUICK = (
    10**8
)  # rows times squared columns up to which a projection of the columns themselves takes a tenth of a second
_ROWS_AT_ONCE = 16_384
_SMALLEST = 1e-150  # of the largest number of a column whose squares doubles can hold


@dataclass(frozen=True)
class Scales:
    """What presets know of the response."""

    mean: float  # of the response; for a binomial one with trials, of the proportions
    sd: float  # its SD with n - 1, as R takes it; 1 if it never varies
    centre: float  # the linear predictor at the response's mean, less the mean offset
    unit: float  # one SD of the response, or 1 on log and proportion links, on the link's scale
    median: float  # median of link(y), to one decimal, less the mean offset; 0 on proportion links, NaN if merged
    mad: float  # MAD of link(y), to one decimal; 0 on proportion links, NaN of merged rows, which have lost it


def scales_of(design: Design, link: str) -> Scales:
    """Measure the response of a design.

    Parameters
    ----------
    design : Design
        With a response of n rows.
    link : str
        One of `LINKS`.

    Returns
    -------
    Scales
        `centre` and `median` are on the link's scale, `mean` and `sd` on the response's. Means that a link cannot take
        are moved inside by half an observation: 1 / (2 n) for counts that are all 0, and for proportions (n counts the
        trials) to between 1 / (2 n) and 1 - 1 / (2 n).

    Raises
    ------
    PriorError
        If the link is not known.
    """
    if link not in LINKS:
        raise PriorError(
            f"there are no default priors for the link {link!r}.",
            f"Links with default priors are {', '.join(LINKS)}.",
            "Use one of these links.",
        )
    trials = design.trials
    # A row without a trial says nothing.
    y = design.response if trials is None else (design.response / np.where(trials > 0, trials, np.nan))[trials > 0]
    total = float(row_count(design) if trials is None else max(trials.sum(), 1))
    mean = float(column_means(design, y) if trials is None else design.response.sum() / total)
    sd = response_sd(design) if trials is None else column_sd(y)
    offset = float(column_means(design, design.mean.offset))
    inside = _moved_inside(mean, link, total)
    median, mad = _median_and_mad(y, link) if design.merged is None else (np.nan, np.nan)
    return Scales(mean, sd, linked(inside, link) - offset, _unit(inside, sd, link), median - offset, mad)


def response_sd(design: Design, ddof: int = 1) -> float:
    """Give the SD of the response over the single rows, as `column_sd`."""
    within = 0.0 if design.merged is None else float(design.merged.within.sum())
    return column_sd(design.response, ddof, rows=None if design.merged is None else design.merged.rows, within=within)


def column_sd(values: FloatArray, ddof: int = 1, *, rows: FloatArray | None = None, within: float = 0.0) -> float:
    """Give the SD of one column, or 1 if it never varies.

    Parameters
    ----------
    values : array (n,)
        The column over the rows.
    ddof : int
        1 divides by n - 1, as R does; 0 by n, as Bambi does.
    rows : array (n,), optional
        How many rows each value stands for.
    within : float
        The sum of squares that they leave around these values.

    Returns
    -------
    float
        In the column's units.
    """
    count = len(values) if rows is None else int(rows.sum())
    # A range of rounding errors is no variation: a constant column of 0.1 has an SD of 1e-17 in floating point.
    size = np.max(np.abs(values)) if len(values) else 0.0
    if count <= ddof or size < _SMALLEST or (np.ptp(values) <= 1e-12 * size and within <= count * (1e-12 * size) ** 2):
        return 1.0
    if rows is None:
        return float(np.std(values, ddof=ddof))
    apart = values - values[0]
    apart = apart - rows @ apart / count
    return float(np.sqrt((rows @ apart**2 + within) / (count - ddof)))


def own_sds(predictor: Predictor, term: FixedTerm, merged: Merged | None = None) -> FloatArray:
    r"""Give the SD of what is left of each of a term's columns beside the terms that it belongs to.

    A column of `x:f` is at bottom the product of `x` and `f` less their means; how far from zero `x` lies, which scales
    the product itself, is a matter of `f`, whose coefficient is the one at `x = 0`. Here each column is taken less its
    projection on a constant and on the terms with which it shares an interaction or a variable: those of which all
    variables are among the ones of a term that holds all of its own. So adding a number to `x` changes no SD of an
    interaction, and makes that of `f` small, since its coefficient then is far from all rows.

    Parameters
    ----------
    predictor : Predictor
        The linear predictor.
    term : FixedTerm
        One of its fixed terms.
    merged : Merged, optional
        Of rows that stand for several.

    Returns
    -------
    array (p,)
        In the columns' units: `column_sd` of a column that belongs to no interaction, has 0 and 1 in all of them, or
        can be computed from the others.
    """
    rows = None if merged is None else merged.rows
    columns = predictor.X[:, term.start : term.stop]
    sds = np.array([column_sd(column, rows=rows) for column in columns.T])
    relatives = _relatives(predictor, term)
    if relatives.size == 0 or (_are_indicators(columns) and _are_indicators(relatives)):
        return sds
    left = _beside(columns, relatives, np.ones(len(columns)) if rows is None else rows)
    return np.where(left > _RESOLVED * sds, left, sds)


def _are_indicators(columns: FloatArray) -> bool:
    return bool(((columns == 0) | (columns == 1)).all())


def _relatives(predictor: Predictor, term: FixedTerm) -> FloatArray:
    """Return the columns of the terms whose variables all belong to one term that has those of this one."""
    own = term.variables
    wider = [other.variables for other in predictor.fixed if own and own <= other.variables]
    near = [
        other
        for other in predictor.fixed
        if other.name != term.name and other.variables and other.variables <= own.union(*wider)
    ]
    related = [other for other in near if any(other.variables <= variables for variables in wider)]
    return np.hstack(
        [np.empty((len(predictor.X), 0)), *(predictor.X[:, other.start : other.stop] for other in related)]
    )


def _beside(columns: FloatArray, others: FloatArray, rows: FloatArray) -> FloatArray:
    """Return the SDs of columns less their projections on a constant and other columns, each row counted so often."""
    count, width = others.shape
    quick = width >= count or count * width**2 <= _QUICK
    squares = _left_by_columns(columns, others, rows) if quick else _left_by_products(columns, others, rows)
    return np.asarray(np.sqrt(squares / max(rows.sum() - 1, 1)))


def _left_by_columns(columns: FloatArray, others: FloatArray, rows: FloatArray) -> FloatArray:
    """Return the sums of squares that a projection leaves, to nearly all digits."""
    weights = np.sqrt(rows)[:, np.newaxis]
    left, basis = (weights * (part - rows @ part / rows.sum()) for part in (columns, others))
    lengths = np.linalg.norm(basis, axis=0)
    Q, R, _ = qr(basis / np.where(lengths > 0, lengths, 1), mode="economic", pivoting=True)
    Q = Q[:, np.abs(np.diag(R)) > _INDEPENDENT]
    for _ in range(2):  # the second time takes away the rounding errors of the first
        left = left - Q @ (Q.T @ left)
    return np.asarray((left**2).sum(axis=0))


def _left_by_products(columns: FloatArray, others: FloatArray, rows: FloatArray) -> FloatArray:
    """Return the same from the inner products of the columns, which take a tenth of the time, to half the digits."""
    k, total = others.shape[1], rows.sum()
    centre = np.concatenate([rows @ others, rows @ columns]) / total
    gram = np.zeros((len(centre), len(centre)))
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        values = np.hstack([others[part], columns[part]]) - centre
        gram += values.T @ (rows[part, np.newaxis] * values)
    lengths = np.sqrt(np.diag(gram))
    lengths[lengths == 0] = 1
    gram /= np.outer(lengths, lengths)
    values, vectors = np.linalg.eigh(gram[:k, :k])
    kept = values > _INDEPENDENT_SQUARES * values[-1]
    explained = ((vectors[:, kept].T @ gram[:k, k:]) ** 2 / values[kept, np.newaxis]).sum(axis=0)
    shares = np.diag(gram)[k:] - explained
    return np.asarray(np.where(shares > _RESOLVED_SQUARES, shares, 0.0) * lengths[k:] ** 2)


def _moved_inside(mean: float, link: str, total: float) -> float:
    """Move a mean by half an observation where the link would be infinite or undefined."""
    edge = 1 / (2 * total)
    if link in _PROPORTION_LINKS:
        return min(max(mean, edge), 1 - edge) if not 0 < mean < 1 else mean
    impossible = (link in ("log", "inverse_squared") and mean <= 0) or (link == "inverse" and mean == 0)
    return edge if impossible else mean


def _unit(mean: float, sd: float, link: str) -> float:
    """Give one SD of the response on the link's scale, to first order; 1 where the link has no units."""
    units = {"identity": sd, "inverse": sd / mean**2 if mean else sd}
    if link == "inverse_squared":
        return 2 * sd / mean**3
    return units.get(link, 1.0)


def linked(mean: float, link: str) -> float:
    """Return the linear predictor of a mean."""
    return float(_LINKED[link](mean))


def _median_and_mad(y: FloatArray, link: str) -> tuple[float, float]:
    """Give median and MAD of link(y) to one decimal, as brms does; a zero counts as 0.1 for log and inverse."""
    if link in _PROPORTION_LINKS:
        return 0.0, 0.0
    if link in ("log", "inverse", "inverse_squared"):
        y = np.where(y == 0, 0.1, y)
    if link == "log":
        y = y[y > 0]
    transforms: Mapping[str, Callable[[FloatArray], FloatArray]] = {
        "log": np.log,
        "inverse": np.reciprocal,
        "inverse_squared": lambda values: values**-2.0,
    }
    transformed = transforms.get(link, np.asarray)(y)
    if transformed.size == 0:
        return 0.0, 0.0
    median = np.median(transformed)
    mad = _MAD_TO_SD * np.median(np.abs(transformed - median))
    return float(np.round(median, 1)), float(np.round(mad, 1))
