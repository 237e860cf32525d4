"""Columns of numbers or labels go in, transformed columns come out: the functions that a formula can call, as in R.

`STATELESS` functions treat each row alone. `STATEFUL` ones take a dictionary first, in which they keep what they learn
from the first rows that they see (means, norms, knots, levels). Which names may be called is the parser's to check.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

Learnt = dict[str, Any]


def _numbers(x: Any) -> np.ndarray:
    """Return x as floats; labels are refused with a ValueError that names the reason."""
    if isinstance(x, pd.Categorical | str) or np.asarray(x).dtype.kind not in "biuf":
        raise ValueError("it needs numbers, not labels")
    return np.asarray(x, dtype=float)


def _on_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a numpy function refuse labels."""

    def apply(*arguments: Any) -> Any:
        return function(*(_numbers(argument) for argument in arguments))

    return apply


def _log(x: Any, base: float | None = None) -> np.ndarray:
    values = np.log(_numbers(x))
    return values if base is None else values / np.log(base)


def _identity(x: Any) -> Any:
    return x if isinstance(x, pd.Categorical) else _numbers(x)


def _round(x: Any, digits: float = 0) -> np.ndarray:
    return np.round(_numbers(x), int(digits))


def as_factor(x: Any) -> pd.Categorical:
    """Return x as a factor: a factor keeps its order, numbers and text are sorted, and every label is a string."""
    if isinstance(x, pd.Categorical):
        return x.remove_unused_categories()
    codes, values = pd.factorize(np.asarray(x), sort=True)
    short = isinstance(values, np.ndarray) and values.dtype.kind == "f" and values.dtype.itemsize < 8  # noqa: PLR2004
    labels = [label_of(value) for value in (values if short else values.tolist())]
    return pd.Categorical.from_codes(codes, categories=pd.Index(labels, dtype=object), ordered=True)


def label_of(value: Any) -> str:
    """Return a level as text: as it prints, a whole number without its `.0`, as in R, and a date without midnight."""
    if isinstance(value, float | np.floating):
        return str(value).removesuffix(".0") if value else "0"
    if isinstance(value, pd.Timestamp) and value.tz is None and value == value.normalize():
        return str(value.date())
    return str(value)


def _factor(learnt: Learnt, x: Any, levels: Any = None) -> pd.Categorical:
    factor = as_factor(x)
    chosen = list(factor.categories) if levels is None else [label_of(level) for level in np.atleast_1d(levels)]
    levels = learnt.setdefault("levels", chosen)
    new = [level for level in factor.categories if level not in set(levels)]
    if new:
        raise ValueError(f"level {new[0]!r} was not in the data that the model was built with")
    return pd.Categorical(np.asarray(factor, dtype=object), categories=pd.Index(levels, dtype=object), ordered=True)


def _relevel(learnt: Learnt, x: Any, ref: Any) -> pd.Categorical:
    factor = _factor(learnt, x)
    reference = label_of(ref)
    if reference not in factor.categories:
        raise ValueError(f"ref={reference!r} is not one of the levels {', '.join(factor.categories)}")
    order = [reference, *(level for level in factor.categories if level != reference)]
    return factor.reorder_categories(pd.Index(order, dtype=object), ordered=True)


def interaction(*factors: Any) -> pd.Categorical:
    """Cross factors into one whose levels are the observed combinations, 'a:b', the last factor varying fastest."""
    parts = [as_factor(factor) for factor in factors]
    codes = np.zeros(len(parts[0]), dtype=np.int64)
    for part in parts:
        codes = codes * len(part.categories) + part.codes
    compact, seen = pd.factorize(codes)  # a hash table: linear in the rows, and only the levels are sorted
    order = np.argsort(seen)
    places = np.empty(len(seen), dtype=np.int32)
    places[order] = np.arange(len(seen))
    seen, compact = seen[order], places[compact]
    sizes = [len(part.categories) for part in parts]
    indices = np.unravel_index(seen, sizes)
    columns = [np.asarray(part.categories, dtype=object)[index] for part, index in zip(parts, indices, strict=True)]
    labels = [":".join(levels) for levels in zip(*columns, strict=True)]
    if len(set(labels)) < len(labels):
        raise ValueError("two combinations of levels have the same label because a level contains ':'")
    return pd.Categorical.from_codes(compact, categories=pd.Index(labels, dtype=object), ordered=True)


def _scale(learnt: Learnt, x: Any, center: bool = True, scale: bool = True) -> np.ndarray:
    values = _numbers(x)
    mean = learnt.setdefault("mean", float(values.mean()) if center else 0.0)
    centred = values - mean
    # R divides by the root mean square with n - 1, which is the SD when the mean was taken off.
    spread = learnt.setdefault("spread", float(np.sqrt((centred**2).sum() / (len(values) - 1))) if scale else 1.0)
    if spread == 0:
        raise ValueError("the column is constant, so its SD is zero")
    return np.asarray(centred / spread)


def _center(learnt: Learnt, x: Any) -> np.ndarray:
    return _scale(learnt, x, scale=False)


def _poly(learnt: Learnt, x: Any, degree: float = 1, raw: bool = False) -> np.ndarray:
    """Return polynomials up to a degree, orthonormal over the first rows unless raw, with R's signs."""
    values = _numbers(x)
    powers = np.arange(1, int(degree) + 1)
    if raw:
        return values[:, None] ** powers
    if "alpha" not in learnt:
        if len(np.unique(values)) <= degree:
            raise ValueError(f"degree {int(degree)} needs more than {int(degree)} distinct values")
        _learn_recurrence(learnt, values, int(degree))
    basis, before = np.ones_like(values), np.zeros_like(values)
    columns = []
    for k, alpha in enumerate(learnt["alpha"]):
        basis, before = (values - alpha) * basis - learnt["beta"][k] * before, basis
        columns.append(basis / learnt["norm"][k])
    return np.column_stack(columns)


def _learn_recurrence(learnt: Learnt, values: np.ndarray, degree: int) -> None:
    """Learn the three-term recurrence (Stieltjes) of the polynomials that are orthogonal over these values."""
    alpha, beta, norms = [], [], []
    basis, before = np.ones_like(values), np.zeros_like(values)
    for k in range(degree):
        alpha.append(float(values @ basis**2 / (basis @ basis)))
        beta.append(float(basis @ basis / (before @ before)) if k else 0.0)
        basis, before = (values - alpha[-1]) * basis - beta[-1] * before, basis
        norms.append(float(np.sqrt(basis @ basis)))
    learnt.update(alpha=alpha, beta=beta, norm=norms)


def _all_knots(values: np.ndarray, df: float | None, knots: Any, order: int, n_other: int) -> np.ndarray:
    """Return the given inner knots, or as many quantiles as df leaves room for, between repeated end knots."""
    if knots is None:
        n_inner = 0 if df is None else int(df) - n_other
        if n_inner < 0:
            raise ValueError(f"df={int(df or 0)} is too small for a spline of degree {order}")
        inner = np.quantile(values, np.linspace(0, 1, n_inner + 2)[1:-1])
    else:
        inner = np.sort(np.atleast_1d(_numbers(knots)))
        if inner[0] <= values.min() or inner[-1] >= values.max():
            raise ValueError(f"knots must lie between {values.min():g} and {values.max():g}")
    return np.concatenate([[values.min()] * (order + 1), inner, [values.max()] * (order + 1)])


def _bs(
    learnt: Learnt, x: Any, df: float | None = None, knots: Any = None, degree: float = 3, intercept: bool = False
) -> np.ndarray:
    """Return a B-spline basis; outside the first rows' range it is a ValueError, since R only extrapolates badly."""
    values, order = _numbers(x), int(degree)
    if "knots" not in learnt:
        learnt["knots"] = _all_knots(values, df, knots, order, order + int(intercept))
    basis = _spline(learnt["knots"], values, order)
    return basis if intercept else basis[:, 1:]


def _spline(knots: np.ndarray, values: np.ndarray, order: int) -> np.ndarray:
    if values.min() < knots[0] or values.max() > knots[-1]:
        raise ValueError(f"a spline is only defined between {knots[0]:g} and {knots[-1]:g}")
    # Here and not at the top: it takes as long to import as a small model to fit.
    from scipy.interpolate import BSpline

    return np.asarray(BSpline.design_matrix(values, knots, order).toarray())


def _ns(learnt: Learnt, x: Any, df: float | None = None, knots: Any = None, intercept: bool = False) -> np.ndarray:
    """Return a natural cubic spline basis: cubic B-splines whose second derivative is zero at both ends, as R's ns."""
    values = _numbers(x)
    if "knots" not in learnt:
        learnt["knots"] = _all_knots(values, df, knots, 3, 1 + int(intercept))
        curvature = _curvature(learnt["knots"])[:, 0 if intercept else 1 :]
        # The columns of Q beyond the second span the splines without curvature at the ends.
        q, _ = np.linalg.qr(curvature.T, mode="complete")
        learnt["project"] = q[:, 2:]
    basis = _spline(learnt["knots"], values, 3)[:, 0 if intercept else 1 :]
    return np.asarray(basis @ learnt["project"])


def _curvature(knots: np.ndarray) -> np.ndarray:
    """Return the second derivatives of all cubic B-splines at the two ends, a (2, k) array."""
    from scipy.interpolate import BSpline

    n_basis = len(knots) - 4
    spline = BSpline(knots, np.eye(n_basis), 3).derivative(2)
    return np.vstack([spline(knots[0]), spline(knots[-1])])


def _combined(*values: Any) -> np.ndarray:
    return np.array(values)


def _extreme(pick: Callable[..., Any]) -> Callable[..., Any]:
    def apply(*arguments: Any) -> Any:
        values: Sequence[np.ndarray] = [_numbers(argument) for argument in arguments]
        return pick.reduce(np.broadcast_arrays(*values))  # type: ignore[attr-defined]

    return apply


STATELESS: dict[str, Callable[..., Any]] = {
    "log": _log,
    "log2": _on_numbers(np.log2),
    "log10": _on_numbers(np.log10),
    "log1p": _on_numbers(np.log1p),
    "exp": _on_numbers(np.exp),
    "expm1": _on_numbers(np.expm1),
    "sqrt": _on_numbers(np.sqrt),
    "abs": _on_numbers(np.abs),
    "sin": _on_numbers(np.sin),
    "cos": _on_numbers(np.cos),
    "tanh": _on_numbers(np.tanh),
    "floor": _on_numbers(np.floor),
    "ceiling": _on_numbers(np.ceil),
    "round": _round,
    "pmin": _extreme(np.minimum),
    "pmax": _extreme(np.maximum),
    "I": _identity,
    "c": _combined,
    "interaction": interaction,
}
STATEFUL: dict[str, Callable[..., Any]] = {
    "factor": _factor,
    "relevel": _relevel,
    "scale": _scale,
    "center": _center,
    "poly": _poly,
    "bs": _bs,
    "ns": _ns,
}
