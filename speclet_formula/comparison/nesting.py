"""Whether one model is a special case of another, as a likelihood ratio needs it, judged by columns and covariances.

Fixed effects: the columns of the smaller model are combinations of the larger one's. Group effects: so are the
covariances that each variance and correlation of the smaller model gives to pairs of rows. The response's law: the
smaller model's family is the larger one's, its limit, or what it adds zeros to, and their weights are proportional. All
are necessary.
"""

from collections.abc import Iterator

import numpy as np

from speclet_formula.design import Design, GroupBlock
from speclet_formula.families import FAMILIES, is_linear
from speclet_formula.model import Model

TOLERANCE = 1e-7  # of a column's length: what is left of it beside those of the other model
SPECIAL_CASES = {  # of each structure, over the same columns
    "us": ("us", "diag", "homdiag", "cs", "homcs", "ar1", "hetar1"),
    "diag": ("diag", "homdiag"),
    "homdiag": ("homdiag",),
    "cs": ("cs", "homcs", "diag", "homdiag"),
    "homcs": ("homcs", "homdiag"),
    "hetar1": ("hetar1", "ar1", "diag", "homdiag"),
    "ar1": ("ar1", "homdiag"),
}
PAIRS = 400  # pairs of rows for each group term at which covariances are looked at


def without_zeros(name: str) -> str | None:
    """Return the family that a zero-inflated one adds zeros to; None of any other family."""
    return name.removeprefix("zero_inflated_") if FAMILIES[name].zeros == "inflated" else None


def why_not_nested(smaller: Model, larger: Model) -> str:
    """Say what the smaller model has that the larger one has not, or "" if it may be its special case.

    Parameters
    ----------
    smaller, larger : Model
        Of the same rows and response.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> from speclet_formula.comparison.nesting import why_not_nested
    >>> data, truth = sf.datasets.m7()
    >>> one, two = (sf.Model(f"log_fc ~ (1 | {group})", data) for group in ("gene", "cell_line"))
    >>> why_not_nested(one, two)
    "its group term by 'gene' is none of the other's, nor made of them"
    """
    return _law(smaller, larger) or _fixed(smaller.design, larger.design) or _groups(smaller, larger)


def _law(smaller: Model, larger: Model) -> str:
    """Look for a family that is the more general one, or for weights that the residual's scale cannot make equal."""
    name, other = smaller.family.name, larger.family.name
    if name not in (other, FAMILIES[other].limit, without_zeros(other)):
        return f"its family '{name}' is no special case of '{other}'"
    ones = np.ones(len(smaller.design.response))
    first, second = (ones if model.design.weights is None else model.design.weights for model in (smaller, larger))
    ratio = first / second
    return "their weights differ" if np.ptp(ratio) > TOLERANCE * ratio.max() else ""


def _fixed(small: Design, large: Design) -> str:
    """Look for a fixed column, or an offset, that the larger model cannot make."""
    moved = (small.mean.offset - large.mean.offset)[:, None]
    left = _left(np.hstack([small.mean.X, moved]), large.mean.X)
    for column, is_left in zip((*small.mean.columns, ""), left, strict=True):
        if is_left:
            return f"its fixed column '{column}' is none of the other's, nor made of them" if column else (
                "their offsets differ"
            )  # fmt: skip
    return ""


def _groups(smaller: Model, larger: Model) -> str:
    """Look for a variance or correlation that the larger model cannot make."""
    small, large = smaller.design, larger.design
    if small.mean.groups == large.mean.groups or not small.mean.groups:
        return ""
    first, second = _pairs((*small.mean.groups, *large.mean.groups), len(small.response))
    apart = [block for block in large.mean.groups if block.relation is None]
    known = [column for block in apart for column in _reached(block, first, second)]
    if is_linear(larger.family):
        weights = np.ones(len(small.response)) if large.weights is None else large.weights
        known.append(np.where(first == second, 1 / weights[first], 0.0))
    basis = np.column_stack(known) if known else np.zeros((len(first), 0))
    for block in small.mean.groups:
        if any(_is_special_case(block, other) for other in large.mean.groups):
            continue
        if block.relation is not None or _left(np.column_stack(list(_covariances(block, first, second))), basis).any():
            return f"its group term by '{block.label}' is none of the other's, nor made of them"
    return ""


def _is_special_case(small: GroupBlock, large: GroupBlock) -> bool:
    """Tell whether a block is another one of the same columns with a structure that holds more freely there."""
    same = small.columns == large.columns and np.array_equal(small.values, large.values)
    levels = np.array_equal(small.places, large.places) and _same_shares(small.shares, large.shares)
    return (
        same and levels and _related(small, large) and _word(small) in SPECIAL_CASES.get(_word(large), {_word(large)})
    )


def _same_shares(small: np.ndarray | None, large: np.ndarray | None) -> bool:
    return small is large is None or (small is not None and large is not None and np.array_equal(small, large))


def _related(small: GroupBlock, large: GroupBlock) -> bool:
    """Tell whether the levels of two blocks vary together in the same way."""
    one, other = small.relation, large.relation
    if one is None or other is None:
        return one is other
    return one.given.argument == other.given.argument and one.matrix.digest == other.matrix.digest


def _word(block: GroupBlock) -> str:
    if block.structure is not None:
        return block.structure.word
    return "us" if block.correlated else "diag"


def _covariances(block: GroupBlock, first: np.ndarray, second: np.ndarray) -> Iterator[np.ndarray]:
    """Go through the covariances of pairs of rows that all that a block can be are combinations of."""
    k = len(block.columns)
    places = [(i, j) for i in range(k) for j in range(i + 1 if block.correlated else 1)]
    pairs = [(i, j if block.correlated else i) for i, j in places]
    if not block.hom or block.stretches:  # the variances of waves are on a curve
        yield from (_of_pairs(block, [pair], first, second) for pair in pairs)
    elif _word(block) == "ar1":  # by how far columns are apart
        yield from (_of_pairs(block, [p for p in pairs if p[0] - p[1] == d], first, second) for d in range(k))
    else:
        parts = ([p for p in pairs if (p[0] == p[1]) == own] for own in (True, False))
        yield from (_of_pairs(block, part, first, second) for part in parts if part)


def _reached(block: GroupBlock, first: np.ndarray, second: np.ndarray) -> Iterator[np.ndarray]:
    """Go through those whose combinations a block can be, whatever else it is: of cs and ar1 without correlations.

    What lies between that and all that it can be, `_is_special_case` tells by the structures' names.
    """
    k = len(block.columns)
    if block.stretches:  # a process contains itself alone
        return
    if _word(block) in ("cs", "hetar1"):
        yield from (_of_pairs(block, [(i, i)], first, second) for i in range(k))
    elif _word(block) == "ar1":
        yield _of_pairs(block, [(i, i) for i in range(k)], first, second)
    else:
        yield from _covariances(block, first, second)


def _of_pairs(block: GroupBlock, pairs: list[tuple[int, int]], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return what one covariance of these pairs of columns adds to the covariances of pairs of rows."""
    found = np.zeros(len(first))
    for mine, one in block.members(first):
        for theirs, two in block.members(second):
            product = sum(one[:, i] * two[:, j] + one[:, j] * two[:, i] for i, j in pairs)
            found += np.where(mine == theirs, product, 0.0)
    return found


def _pairs(blocks: tuple[GroupBlock, ...], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose pairs of rows: each with itself, and such as share a level of one of the blocks."""
    rng = np.random.default_rng(103)
    alone = np.arange(n) if n <= PAIRS else rng.choice(n, PAIRS, replace=False)
    firsts, seconds = [alone], [alone]
    for block in blocks:
        rows, codes = block.belongings
        order = np.lexsort((rng.random(len(codes)), codes))  # rows of a level side by side
        for lag in (1, 2, 3):
            together = np.flatnonzero(codes[order[lag:]] == codes[order[:-lag]])
            chosen = together if len(together) <= PAIRS else rng.choice(together, PAIRS, replace=False)
            firsts.append(rows[order[chosen]])
            seconds.append(rows[order[chosen + lag]])
    return np.concatenate(firsts), np.concatenate(seconds)


def _left(columns: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Tell which columns are no combinations of a basis."""
    lengths = np.linalg.norm(columns, axis=0)
    scales = np.linalg.norm(basis, axis=0)
    unit = basis / np.where(scales > 0, scales, 1.0)
    if not unit.shape[1]:
        return np.asarray(lengths > 0)
    rest = columns - unit @ np.linalg.lstsq(unit, columns, rcond=None)[0]
    return np.asarray(np.linalg.norm(rest, axis=0) > TOLERANCE * lengths)
