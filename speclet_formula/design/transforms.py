"""The functions that a formula can call, as in R: columns of numbers or labels become transformed columns.

`STATELESS` functions treat each row alone. `STATEFUL` ones take a dictionary first, in which they keep what they learn
from the first rows that they see (means, norms, knots, levels). Which names may be called is the parser's to check.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

Learnt = dict[str, Any]

LARGEST_DESIGN = 2 * 2**30
"""Bytes that the columns of one linear predictor, or the products of all pairs of them, may take."""
MOST_DEGREE = 100
"""Largest degree of `poly` and `bs`: floating-point numbers tell no higher powers apart."""
MOST_COLUMNS = 2_000
"""Most columns of one basis, of `poly`, `bs` or `ns`."""
MOST_STEPS = 50
"""Most steps of `mo`."""
MOST_DIGITS = 300
"""Most digits of `round`, on either side of the point."""
_ORTHONORMAL = 1e-6  # from where on the products of `poly`'s columns are not those of orthonormal ones


def _numbers(x: Any) -> np.ndarray:
    """Return x as floats; labels are refused with a ValueError that names the reason."""
    if isinstance(x, pd.Categorical | str) or np.asarray(x).dtype.kind not in "biuf":
        raise ValueError("it needs numbers, not labels")
    return np.asarray(x, dtype=float)


def _whole(value: Any, name: str, lowest: int, most: int) -> int:
    """Return an argument that is a whole number; else a ValueError says which there are."""
    number = value if np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf" else None
    if number is None or not lowest <= number <= most or number != int(number):
        given = f"{np.size(value)} values" if np.ndim(value) else value if number is None else f"{number:g}"
        raise ValueError(f"{name} is a whole number from {lowest:,} to {most:,}, not {str(given)[:20]}")
    return int(number)


def _flag(value: Any, name: str) -> bool:
    """Return an argument that is TRUE or FALSE."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} is TRUE or FALSE")
    return bool(value)


def _one_column(x: Any) -> np.ndarray:
    """Return one column of numbers."""
    values = _numbers(x)
    if values.ndim > 1:
        raise ValueError(f"it takes one column, not {values.shape[1]}")
    return values


def _check_basis(columns: int, rows: int) -> None:
    """Refuse a basis that would fill memory, before it is made."""
    if columns > MOST_COLUMNS:
        raise ValueError(f"it would have {columns:,} columns, and may have {MOST_COLUMNS:,}")
    if 8 * columns * rows > LARGEST_DESIGN:
        needed, most = (size / 2**30 for size in (8 * columns * rows, LARGEST_DESIGN))
        raise ValueError(f"{columns:,} columns for {rows:,} rows need {needed:,.0f} GiB, and may take {most:.0f}")


def _on_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a numpy function refuse labels, and a second argument, which numpy would write its result to."""

    def apply(x: Any) -> Any:
        return function(_numbers(x))

    return apply


def _log(x: Any, base: float | None = None) -> np.ndarray:
    values = np.log(_numbers(x))
    return values if base is None else values / np.log(_numbers(base))


def _identity(x: Any) -> Any:
    return x if isinstance(x, pd.Categorical) else _numbers(x)


def _round(x: Any, digits: float = 0) -> np.ndarray:
    return np.round(_numbers(x), _whole(digits, "digits", -MOST_DIGITS, MOST_DIGITS))


def as_factor(x: Any) -> pd.Categorical:
    """Return x as a factor: a factor keeps its order, numbers and text are sorted, and every label is a string."""
    if isinstance(x, pd.Categorical):
        return observed_levels_of(x)
    if np.ndim(x) > 1:
        raise ValueError(f"it takes one column, not {np.shape(x)[1]}")
    codes, values = pd.factorize(np.asarray(x), sort=True)
    short = isinstance(values, np.ndarray) and values.dtype.kind == "f" and values.dtype.itemsize < 8  # noqa: PLR2004
    labels = [label_of(value) for value in (values if short else values.tolist())]
    return pd.Categorical.from_codes(codes, categories=pd.Index(labels, dtype=object), ordered=True)


def observed_levels_of(factor: pd.Categorical) -> pd.Categorical:
    """Return a factor without the levels that do not occur; pandas would sort the rows for that."""
    occurs = np.zeros(len(factor.categories) + 1, dtype=bool)  # the last for what is missing
    occurs[factor.codes] = True
    return factor if occurs[:-1].all() else factor.remove_unused_categories()


def label_of(value: Any) -> str:
    """Return a level as text: as it prints, a whole number without its `.0`, as in R, and a date without midnight."""
    if isinstance(value, float | np.floating):
        return str(value).removesuffix(".0") if value else "0"
    if isinstance(value, pd.Timestamp) and value.tz is None and value == value.normalize():
        return str(value.date())
    return str(value)


def text_of_value(value: Any) -> str:
    """Return a level or a value of a column as text: a whole number with all its digits, another one with six."""
    decimal = isinstance(value, float | np.floating) and not float(value).is_integer()
    return f"{value:g}" if decimal else label_of(value)


def _factor(learnt: Learnt, x: Any, levels: Any = None) -> pd.Categorical:
    factor = as_factor(x)
    chosen = list(factor.categories) if levels is None else [label_of(level) for level in np.atleast_1d(levels)]
    levels = learnt.setdefault("levels", chosen)
    new = [level for level in factor.categories if level not in set(levels)]
    if new:
        raise ValueError(f"level {new[0]!r} was not in the data that the model was built with")
    return pd.Categorical(np.asarray(factor, dtype=object), categories=pd.Index(levels, dtype=object), ordered=True)


def _coded(learnt: Learnt, x: Any, _coding: str) -> pd.Categorical:
    """Return a factor: which columns its levels become is the term's to say, beside the other terms."""
    return _factor(learnt, x)


def _relevel(learnt: Learnt, x: Any, ref: Any) -> pd.Categorical:
    factor = _factor(learnt, x)
    if np.ndim(ref):
        raise ValueError(f"ref is one level, not {np.size(ref)} values")
    reference = label_of(ref)
    if reference not in factor.categories:
        raise ValueError(f"ref={reference!r} is not one of the levels {', '.join(factor.categories)}")
    order = [reference, *(level for level in factor.categories if level != reference)]
    return factor.reorder_categories(pd.Index(order, dtype=object), ordered=True)


def _dummy(learnt: Learnt, x: Any, levelsToKeep: Any = None) -> np.ndarray:
    """Return lme4's dummy variables: a column of 0 and 1 for each level that is named, or for all but the first."""
    factor = _factor(learnt, x)
    known = list(factor.categories)
    kept = known[1:] if levelsToKeep is None else [label_of(level) for level in np.atleast_1d(levelsToKeep)]
    absent = [level for level in kept if level not in known]
    if absent:
        raise ValueError(f"{absent[0]!r} is not one of the levels {', '.join(known)}")
    if not kept:
        raise ValueError("its factor has one level, and no other")
    columns = np.equal.outer(factor.codes, [known.index(level) for level in kept]).astype(float)
    return np.asarray(columns[:, 0] if len(kept) == 1 else columns)


def interaction(*factors: Any) -> pd.Categorical:
    """Cross factors into one whose levels are the observed combinations, 'a:b', the last factor varying fastest."""
    parts = [as_factor(factor) for factor in factors]
    codes = parts[0].codes.astype(np.int64)
    columns = [np.asarray(parts[0].categories, dtype=object)]
    for part in parts[1:]:  # never more combinations than rows, so that no product of many numbers of levels overflows
        codes, seen = _compact(codes * len(part.categories) + part.codes)
        before, own = np.divmod(seen, len(part.categories))
        columns = [*(labels[before] for labels in columns), np.asarray(part.categories, dtype=object)[own]]
    labels = [":".join(levels) for levels in zip(*columns, strict=True)]
    if len(set(labels)) < len(labels):
        raise ValueError("two combinations of levels have the same label because a level contains ':'")
    return pd.Categorical.from_codes(codes, categories=pd.Index(labels, dtype=object), ordered=True)


def _compact(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return codes without gaps in the same order, and which codes they stand for."""
    compact, seen = pd.factorize(codes)  # a hash table: linear in the rows, and only the levels are sorted
    order = np.argsort(seen)
    places = np.empty(len(seen), dtype=np.int64)
    places[order] = np.arange(len(seen))
    return places[compact], seen[order]


def _scale(learnt: Learnt, x: Any, center: bool = True, scale: bool = True) -> np.ndarray:
    values, center, scale = _numbers(x), _flag(center, "center"), _flag(scale, "scale")
    mean = learnt.setdefault("mean", values.mean(axis=0) if center else 0.0)
    centred = values - mean
    # R divides by the root mean square with n - 1, which is the SD when the mean was taken off.
    spread = learnt.setdefault("spread", np.sqrt((centred**2).sum(axis=0) / (len(values) - 1)) if scale else 1.0)
    if np.any(np.equal(spread, 0)):
        raise ValueError("the column is constant, so its SD is zero")
    return np.asarray(centred / spread)


def _center(learnt: Learnt, x: Any) -> np.ndarray:
    return _scale(learnt, x, scale=False)


def _poly(learnt: Learnt, x: Any, degree: float = 1, raw: bool = False) -> np.ndarray:
    """Return polynomials up to a degree, orthonormal over the first rows unless raw, with R's signs."""
    values, degree = _one_column(x), _whole(degree, "degree", 1, MOST_DEGREE)
    _check_basis(degree, len(values))
    if _flag(raw, "raw"):
        return values[:, None] ** np.arange(1, degree + 1)
    known = "alpha" in learnt
    if not known:
        if len(np.unique(values)) <= degree:
            raise ValueError(f"degree {degree} needs more than {degree} distinct values")
        _learn_recurrence(learnt, values, degree)
    basis, before = np.ones_like(values), np.zeros_like(values)
    columns = []
    for k, alpha in enumerate(learnt["alpha"]):
        basis, before = (values - alpha) * basis - learnt["beta"][k] * before, basis
        columns.append(basis / learnt["norm"][k])
    made = np.column_stack(columns)
    if not known and not np.abs(made.T @ made - np.eye(degree)).max() < _ORTHONORMAL:  # also where it is no number
        raise ValueError(f"floating-point numbers do not tell the powers up to {degree} of these values apart")
    return made


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
        n_inner = 0 if df is None else _whole(df, "df", 1, MOST_COLUMNS) - n_other
        if n_inner < 0:
            raise ValueError(f"df={int(df or 0)} is too small for a spline of degree {order}")
        _check_basis(n_inner + order + 1, len(values))
        inner = np.quantile(values, np.linspace(0, 1, n_inner + 2)[1:-1])
    else:
        inner = np.sort(np.atleast_1d(_numbers(knots)))
        _check_basis(len(inner) + order + 1, len(values))
        if inner[0] <= values.min() or inner[-1] >= values.max():
            raise ValueError(f"knots must lie between {values.min():g} and {values.max():g}")
    return np.concatenate([[values.min()] * (order + 1), inner, [values.max()] * (order + 1)])


def _bs(
    learnt: Learnt, x: Any, df: float | None = None, knots: Any = None, degree: float = 3, intercept: bool = False
) -> np.ndarray:
    """Return a B-spline basis; outside the first rows' range it is a ValueError, since R only extrapolates badly."""
    values, order, intercept = _one_column(x), _whole(degree, "degree", 1, MOST_DEGREE), _flag(intercept, "intercept")
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
    values, intercept = _one_column(x), _flag(intercept, "intercept")
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


def _monotonic(learnt: Learnt, x: Any) -> np.ndarray:
    """R's mo() of brms: for each step from a level to the next whether the row is beyond it, (n, levels - 1)."""
    if isinstance(x, pd.Categorical):
        labels = [str(label) for label in np.asarray(x, dtype=object)]
        levels = learnt.setdefault("levels", tuple(map(str, x.categories)))
    else:
        values = _one_column(x)
        if not (values == np.floor(values)).all():
            raise ValueError("it needs whole numbers, or an ordered factor")
        labels = [str(int(value)) for value in values]
        low, high = (int(end(values)) for end in (np.min, np.max)) if len(values) else (0, 0)
        if high - low > MOST_STEPS:
            raise ValueError(f"it would have {high - low:,} steps, and may have {MOST_STEPS}")
        levels = learnt.setdefault("levels", tuple(map(str, range(low, high + 1))))
    if len(levels) < 3:  # noqa: PLR2004 - two steps
        raise ValueError(f"it has {len(levels)} levels, and its steps differ from three on: write the column alone")
    place = {level: code for code, level in enumerate(levels)}
    new = sorted(set(labels) - set(place))
    if new:
        raise ValueError(f"the model has not seen the level {new[0]}, only {', '.join(levels)}")
    codes = np.array([place[label] for label in labels], dtype=np.int64)
    return (codes[:, None] > np.arange(len(levels) - 1)).astype(float)


STATEFUL: dict[str, Callable[..., Any]] = {
    "C": _coded,
    "factor": _factor,
    "dummy": _dummy,
    "relevel": _relevel,
    "scale": _scale,
    "center": _center,
    "mo": _monotonic,
    "poly": _poly,
    "bs": _bs,
    "ns": _ns,
}
