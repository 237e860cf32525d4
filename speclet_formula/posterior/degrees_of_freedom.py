"""Tests of fixed effects after REML and maximum likelihood: degrees of freedom, p-values, intervals, joint tests.

The covariance of fixed effects is made of variances that are estimated themselves. Where few groups say what these are,
a t distribution, whose degrees of freedom count how well they are known, answers for it. How the covariance changes
with the variances is left to `inference`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np
from scipy.special import chdtrc, fdtrc, ndtr, ndtri, stdtr, stdtrit

from speclet_formula.common.engines import BY_NAME
from speclet_formula.common.recent import Recent
from speclet_formula.errors import EstimateError, nearest
from speclet_formula.posterior.estimates import Array, PointEstimates, points_of

type Freedom = Literal["satterthwaite", "kenward-roger", "asymptotic"]
METHODS: tuple[str, ...] = get_args(Freedom.__value__)
NAMES = {"satterthwaite": "Satterthwaite", "kenward-roger": "Kenward-Roger", "asymptotic": "asymptotic"}
_SPELLINGS = {"kr": "kenward-roger", "kenward": "kenward-roger", "kenwardroger": "kenward-roger", "z": "asymptotic",
              "inf": "asymptotic", "none": "asymptotic", "normal": "asymptotic", "lme4": "asymptotic"}  # fmt: skip
FEW = 2  # degrees of freedom up to which an F distribution has no mean
RANK = 1e-8  # eigenvalues of a joint test's covariance that count, relative to the largest; lmerTest's
EQUAL = 1e-8  # difference of degrees of freedom that count as equal; lmerTest's
NEAR_TWO = 1e-2  # degrees of freedom so near 2 have no scaling of F; pbkrtest's

_recent = {method: Recent["SmallSample"](8) for method in METHODS}


class Estimated(Protocol):
    """A fit by maximum likelihood."""

    @property
    def model(self) -> Any:
        """The model."""

    @property
    def method(self) -> str:
        """The engine."""

    @property
    def estimates(self) -> PointEstimates:
        """What was estimated."""


@dataclass(frozen=True, eq=False)
class SmallSample:
    """How the covariance of p fixed effects hangs on k parameters of the variances, and how well these are known.

    Attributes
    ----------
    method : {"satterthwaite", "kenward-roger", "asymptotic"}
    covariance : ndarray of float, shape (p, p)
        What standard errors are made of: by Kenward and Roger adjusted for estimated variances.
    plain : ndarray of float, shape (p, p)
        The same without adjustment.
    gradients : ndarray of float, shape (k, p, p)
        Derivatives of `plain` by each parameter; k is 0 where the variances are taken as known.
    uncertainty : ndarray of float, shape (k, k)
        Covariance of the parameters' estimates.
    why : str
        Why it is not by the method that was wanted first; "" where it is.
    """

    method: str
    covariance: Array
    plain: Array
    gradients: Array
    uncertainty: Array
    why: str = ""


@dataclass(frozen=True)
class JointTest:
    """A test that several sums of fixed effects are zero: F, or chi-squared over its df where `den_df` is infinite."""

    statistic: float
    num_df: int
    den_df: float
    p_value: float
    scale: float = 1.0  # what Kenward and Roger multiply F by


def small_sample(fit: Estimated, df: str | None = None, *, usual: str = "satterthwaite") -> SmallSample:
    """Return what tests of a fit's fixed effects need.

    Parameters
    ----------
    fit : PointFit
    df : {"satterthwaite", "kenward-roger", "asymptotic"}, optional
        The method of degrees of freedom; by default `usual`, or the next after it that serves and does not take long:
        after "kenward-roger" "satterthwaite", then "asymptotic".
    usual : str

    Raises
    ------
    EstimateError
        There is no such method, or the fit has none of it.
    """
    if df is not None:
        return _made(fit, _checked(fit, df))
    if not BY_NAME[fit.method].small_sample_at:
        return _made(fit, "asymptotic")
    why = ""
    for method in ("kenward-roger", "satterthwaite")[METHODS.index(usual) == 0 :]:
        reason = BY_NAME[fit.method].why_no_small_sample(fit, method, asked=False)
        if not reason:
            return _made(fit, method, why)
        why = why or reason
    return _made(fit, "asymptotic", why)


def _made(fit: Estimated, method: str, why: str = "") -> SmallSample:
    def make() -> SmallSample:
        if method != "asymptotic":
            made: SmallSample = BY_NAME[fit.method].small_sample(fit, method)
            return made
        p = len(fit.estimates.coefficients)
        known = fit.estimates.covariance
        return SmallSample(method, known, known, np.zeros((0, p, p)), np.zeros((0, 0)))

    made = _recent[method].of((fit.estimates,), make)
    return made if not why else SmallSample(**{**vars(made), "why": why})


def _checked(fit: Estimated, df: object) -> str:
    """Return the method that is asked for, refusing what is none or what the fit does not have."""
    name = str(df).lower().replace("_", "-").replace(" ", "-")
    name = _SPELLINGS.get(name.replace("-", ""), name)
    if name not in METHODS:
        near = nearest(name, METHODS)
        raise EstimateError(
            f"there are no degrees of freedom df={df!r}.",
            f"Methods: {', '.join(repr(method) for method in METHODS)}.",
            f"Write df='{near}'." if near else "Write df='satterthwaite', or leave it out.",
        )
    reason = "" if name == "asymptotic" else BY_NAME[fit.method].why_no_small_sample(fit, name, asked=True)
    if reason:
        able = [one for one in METHODS[:2] if not BY_NAME[fit.method].why_no_small_sample(fit, one, asked=True)]
        raise EstimateError(
            f"there are no degrees of freedom by df={df!r} here: {reason}.",
            f"This fit has {' and '.join(map(repr, (*able, 'asymptotic')))}.",
            f"Write df={able[0]!r}." if able else "Leave df= out: its tests are by z values, and say so.",
        )
    return name


def no_degrees(fit: object, df: object) -> None:
    """Refuse df= for a fit that has draws.

    Raises
    ------
    EstimateError
    """
    if df is not None and points_of(fit) is None:
        raise EstimateError(
            f"a fit with draws has no degrees of freedom, df={df!r}.",
            "Its intervals carry what is unknown of the variances; df= is for fits by method='reml' or 'ml'.",
            "Leave df= out, or fit the model with method='reml'.",
        )


def variances_of(known: SmallSample, L: Array) -> Array:
    """Return the variances (rows,) of sums of fixed effects, L (rows, p)."""
    return np.maximum(_squares(L, known.covariance), 0.0)


def degrees(known: SmallSample, L: Array) -> Array:
    """Return the degrees of freedom of sums of fixed effects.

    With v = l'Vl and g its derivatives by the variances' parameters, whose estimates have the covariance A, they are
    2 v^2 / g'Ag: the sum's variance is as well known as one of so many normal numbers. Kenward and Roger's of a single
    sum are the same with their A.

    Parameters
    ----------
    known : SmallSample
    L : ndarray of float, shape (rows, p)

    Returns
    -------
    ndarray of float, shape (rows,)
        Infinite where the variances are taken as known; NaN of a sum of nothing.

    References
    ----------
    Satterthwaite (1946), doi:10.2307/3002019; Kuznetsova, Brockhoff and Christensen (2017), doi:10.18637/jss.v082.i13;
    Kenward and Roger (1997), doi:10.2307/2533558.
    """
    return _degrees(known, _squares(L, known.plain), np.array([_squares(L, slope) for slope in known.gradients]))


def degrees_of_own(known: SmallSample) -> Array:
    """Return the degrees of freedom of each fixed effect, (p,)."""
    return _degrees(known, np.diagonal(known.plain), np.diagonal(known.gradients, axis1=1, axis2=2))


def _squares(L: Array, matrix: Array) -> Array:
    """Return l'Ml, (rows,)."""
    return np.asarray(np.einsum("ri,ri->r", L @ matrix, L))


def _degrees(known: SmallSample, v: Array, g: Array) -> Array:
    g = g.reshape(len(known.uncertainty), len(v))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = 2 * v**2 / np.einsum("ir,ir->r", g, known.uncertainty @ g)
    return np.asarray(np.where(v > 0, found, np.nan))


def tail_of_t(statistic: Array, df: Array) -> Array:
    """Return the probability of a larger |t|; of |z| where df is infinite."""
    far = -np.abs(statistic)
    return np.asarray(2 * np.where(np.isinf(df), ndtr(far), stdtr(np.where(np.isinf(df), 1.0, df), far)))


def quantile_of_t(probability: float, df: Array) -> Array:
    """Return how many standard errors to each side hold the probability."""
    upper = (1 + probability) / 2
    return np.asarray(np.where(np.isinf(df), ndtri(upper), stdtrit(np.where(np.isinf(df), 1.0, df), upper)))


def tests(known: SmallSample, L: Array, estimates: Array) -> Mapping[str, Array]:
    """Return `df`, `statistic` and `p_value`, each (rows,), of estimated sums of fixed effects, L (rows, p)."""
    df = degrees(known, L)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimates / np.sqrt(variances_of(known, L))
    return {"df": df, "statistic": statistic, "p_value": tail_of_t(statistic, df)}


def joint_test(known: SmallSample, L: Array, coefficients: Array) -> JointTest:
    """Test that several sums of fixed effects are all zero.

    Parameters
    ----------
    known : SmallSample
    L : ndarray of float, shape (rows, p)
        Rows that others make up add nothing.
    coefficients : ndarray of float, shape (p,)

    Returns
    -------
    JointTest
        NaN of no sum at all.

    References
    ----------
    Fai and Cornelius (1996), doi:10.1080/00949659608811740, as lmerTest has it; Kenward and Roger (1997),
    doi:10.2307/2533558, as pbkrtest, Halekoh and Højsgaard (2014), doi:10.18637/jss.v059.i09.
    """
    values, vectors = np.linalg.eigh(L @ known.plain @ L.T)
    kept = values > RANK * max(values.max(initial=0.0), 0.0)
    if not kept.any():
        return JointTest(np.nan, 0, np.nan, np.nan)
    rows = vectors[:, kept].T @ L  # sums whose estimates have nothing to do with each other
    sums = rows @ coefficients
    statistic = float(sums @ np.linalg.solve(rows @ known.covariance @ rows.T, sums)) / len(rows)
    scale, den_df = 1.0, np.nan
    if known.method == "kenward-roger":
        scale, den_df = _kenward_roger(known, rows)
    else:
        den_df = _mean_matched(degrees(known, rows))
    tail = tail_of_f(scale * statistic, len(rows), den_df)
    return JointTest(scale * statistic, len(rows), den_df, tail, scale)


def tail_of_f(statistic: float, num_df: int, den_df: float) -> float:
    """Return the probability of a larger F; of a larger chi-squared / num_df where den_df is infinite."""
    if np.isinf(den_df):
        return float(chdtrc(num_df, num_df * statistic))
    return float(fdtrc(num_df, den_df, statistic))


def _mean_matched(df: Array) -> float:
    """Return the F distribution's degrees of freedom that give it the mean of a sum of squared t's, as lmerTest."""
    if len(df) == 1 or np.isinf(df).all():
        return float(df[0])
    if (np.abs(np.diff(df)) < EQUAL).all():
        return float(df.mean())
    if (df <= FEW).any():
        return float(FEW)
    mean = float((df / (df - 2)).sum())
    return 2 * mean / (mean - len(df))


def _kenward_roger(known: SmallSample, L: Array) -> tuple[float, float]:
    """Return the scale of F and its degrees of freedom, in the letters of Kenward and Roger; L has full rank."""
    plain, q = L @ known.plain @ L.T, len(L)
    slopes = np.array([np.linalg.solve(plain, L @ slope @ L.T) for slope in known.gradients])
    traces = np.trace(slopes, axis1=1, axis2=2)
    a1 = float(traces @ known.uncertainty @ traces)
    a2 = float(np.einsum("ij,iab,jba->", known.uncertainty, slopes, slopes, optimize=True))
    if a2 == 0:
        return 1.0, np.inf
    b = (a1 + 6 * a2) / (2 * q)
    g = ((q + 1) * a1 - (q + 4) * a2) / ((q + 2) * a2)
    bottom = 3 * q + 2 * (1 - g)
    c1, c2, c3 = g / bottom, (q - g) / bottom, (q + 2 - g) / bottom
    v0, v1, v2 = 1 + c1 * b, 1 - c2 * b, 1 - c3 * b
    v0 = 0.0 if abs(v0) < 1e-10 else v0  # noqa: PLR2004 - pbkrtest's
    rho = ((1 - a2 / q) / v1) ** 2 * v0 / v2 / q
    df = 4 + (q + 2) / (q * rho - 1)
    return (1.0 if abs(df - 2) < NEAR_TWO else df * (1 - a2 / q) / (df - 2)), df


def named_interval(known: SmallSample) -> str:
    """Name whose t distribution an interval is of; "" of a normal one."""
    return "" if known.method == "asymptotic" else NAMES[known.method]


def told_degrees(known: SmallSample) -> str:
    """Say what the degrees of freedom of a table without tests are; nothing where infinite ones were wanted."""
    why = f" ({known.why})" if known.why else ""
    if known.method == "asymptotic":
        return f"Intervals are asymptotic, by the normal distribution{why}." if why else ""
    adjusted = ", std_error is adjusted" if known.method == "kenward-roger" else ""
    return f"df are by {NAMES[known.method]}'s method{adjusted}{why}."


def told_tests(known: SmallSample) -> str:
    """Say by what distribution tests are, and why not by a better one where one was wanted."""
    why = f" ({known.why})" if known.why else ""
    if known.method == "asymptotic":
        return f"statistic is a z value; p_value is asymptotic, by the normal distribution{why}."
    adjusted = ", std_error is adjusted" if known.method == "kenward-roger" else ""
    return f"statistic is a t value; df and p_value are by {NAMES[known.method]}'s method{adjusted}{why}."
