"""Group blocks: integer codes of a grouping factor with a few columns of values, never a wide matrix.

A term (x | g) becomes one block, from the first rows or from others; for a search a block is centred where its columns
lie far from zero.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from speclet_formula.common.structures import Structure
from speclet_formula.design.design import Design, FixedPart, GroupBlock, replace_mean, variable_name
from speclet_formula.design.evaluation import Scope, evaluate_labels, is_labels, smooth_columns
from speclet_formula.design.fixed import TermFactor, report_no_level, report_not_finite
from speclet_formula.design.level_matrices import LevelMatrix, check_has_levels, relation_of
from speclet_formula.design.merged import column_means
from speclet_formula.design.multi_membership import Memberships, memberships_of
from speclet_formula.design.response import check_one_column
from speclet_formula.design.smooths import SmoothColumns, SmoothPart
from speclet_formula.design.transforms import as_factor, interaction
from speclet_formula.errors import DataError, FormulaError
from speclet_formula.formula.multi_membership import membership_of, plain_group
from speclet_formula.formula.smooths import smooth_of
from speclet_formula.formula.terms import Call, GroupTerm, Name, Term, grouping_text, text_of

FAR = 5.0  # SDs of a column from zero to its mean, from which on it is centred for a search


def group_blocks(
    terms: tuple[GroupTerm, ...],
    parts: tuple[FixedPart, ...],
    scope: Scope,
    prefix: str,
    matrices: Mapping[str, LevelMatrix],
    apart: frozenset[frozenset[TermFactor]],
) -> tuple[GroupBlock, ...]:
    """Make the blocks, naming a further block over the same factor as lme4 does: gene, gene.1, gene.2.

    Over factors that come `apart`, with one matrix here and another or none there, a block with a matrix has that in
    its name: gr(line, cov = A).
    """
    seen: Counter[str] = Counter()
    blocks = []
    for term, part in zip(terms, parts, strict=True):
        group = ":".join(_factor_names(term.group))
        if term.matrix is not None and frozenset(term.group.factors) in apart:
            group = grouping_text(term)
        label = f"{group}.{seen[group]}" if seen[group] else group
        seen[group] += 1
        block = _block(term, part, group, label, _row_levels(term.group, scope), prefix)
        if term.matrix is not None:
            relation, levels = relation_of(term.matrix, group, block.levels, matrices)
            block = replace(block, relation=relation, levels=levels)
        blocks.append(block)
    _check_distinct(blocks)
    return tuple(blocks)


def _row_levels(group: Term, scope: Scope) -> Memberships:
    """Return a grouping factor's levels, and the level, or of mm() the levels, of each row."""
    call = membership_of(group)
    if call is not None and call.function not in scope.functions:
        return memberships_of(call, scope)
    factor = _group_factor(group, scope)
    return Memberships(tuple(factor.categories), factor.codes.astype(np.int64), None)


def _block(term: GroupTerm, part: FixedPart, group: str, label: str, rows: Memberships, prefix: str) -> GroupBlock:
    columns = tuple("1" if t.kind == "intercept" else column for t in part.terms for column in t.columns)
    variable = variable_name(group)
    if term.structure is not None and term.structure.correlates and len(columns) == 1:
        raise _nothing_to_correlate(term, columns[0])
    return GroupBlock(
        group=group,
        label=label,
        factors=_factor_names(term.group),
        columns=columns,
        slots=tuple(f"{prefix}{variable_name(column)}|{variable}" for column in columns),
        correlated=term.correlated and len(columns) > 1,
        levels=rows.levels,
        dim=f"{variable}__factor_dim",
        places=rows.places,
        values=part.X,
        prefix=prefix,
        structure=term.structure if len(columns) > 1 else None,
        shares=rows.shares,
    )


def smooth_blocks(terms: tuple[Term, ...], scope: Scope, prefix: str) -> tuple[GroupBlock, ...]:
    """Make the blocks of the penalised parts of smooths: one level with an effect for each column, and one SD."""
    made = tuple(_smooths(terms, scope))
    twice = next((label for label, count in Counter(label for label, _ in made).items() if count > 1), None)
    if twice is not None:
        raise FormulaError(
            f"two smooths of the formula are '{twice}'.",
            "Two curves over one variable cannot be told apart, whatever their bases.",
            "Keep one of them; s(x) + s(x, by = f) are two, a common curve and what each level adds.",
        )
    return tuple(_smooth_block(label, part, prefix) for label, columns in made for part in columns.parts)


def replayed_smooths(blocks: tuple[GroupBlock, ...], terms: tuple[Term, ...], scope: Scope) -> tuple[GroupBlock, ...]:
    """Return the blocks of smooths for new rows."""
    parts = [part for _, made in _smooths(terms, scope) for part in made.parts]
    return tuple(
        replace(block, values=part.columns, places=_codes_of(block, part))
        for block, part in zip(blocks, parts, strict=True)
    )


def _smooths(terms: tuple[Term, ...], scope: Scope) -> Iterator[tuple[str, SmoothColumns]]:
    for term in terms:
        factor = term.factors[0]
        made = smooth_columns(factor, scope) if isinstance(factor, Call) else None
        if made is not None and isinstance(factor, Call):
            yield smooth_of(factor).label, made


def _smooth_block(smooth: str, part: SmoothPart, prefix: str) -> GroupBlock:
    label = f"{smooth}{part.name}"
    variable, places = variable_name(label), range(1, part.columns.shape[1] + 1)
    factor = part.factor
    return GroupBlock(
        group=label,
        label=label,
        factors=(),
        columns=tuple(f"{label}.{place}" for place in places),
        slots=tuple(f"{prefix}{place}|{variable}" for place in places),
        correlated=False,
        levels=(smooth,) if factor is None else tuple(map(str, factor.categories)),
        dim=f"{prefix}{variable}__smooth_dim",
        places=np.zeros(len(part.columns), dtype=np.int64) if factor is None else factor.codes.astype(np.int64),
        values=part.columns,
        prefix=prefix,
        structure=part.structure or (Structure("diag", hom=True) if len(places) > 1 else None),
        smooth=smooth,
    )


def _codes_of(block: GroupBlock, part: SmoothPart) -> np.ndarray:
    """Return the codes of new rows, all of whose levels are known; of a smooth without levels there is one."""
    if part.factor is None:
        return np.zeros(len(part.columns), dtype=np.int64)
    position = {level: code for code, level in enumerate(block.levels)}
    places = np.array([position[str(level)] for level in part.factor.categories], dtype=np.int64)
    return np.asarray(places[part.factor.codes])


def _nothing_to_correlate(term: GroupTerm, column: str) -> FormulaError:
    """Word the error of a structure of correlations over one column: ar1(0 + time | g) of numbers."""
    assert term.structure is not None
    function, group = term.structure.function, text_of(term.group)
    inside = f"0 + {column}" if column != "1" else "1"
    remedy = f"Write ({inside} | {group})"
    if column != "1":
        remedy += f", or {function}(0 + factor({column}) | {group}) for a column for each of its values"
    return FormulaError(
        f"'{text_of(term)}' has one column, '{column}'.",
        f"{function}() says how two columns or more vary together, such as those of the levels of a factor.",
        f"{remedy}.",
    )


def _factor_names(group: Term) -> tuple[str, ...]:
    """Return the names of a grouping factor's parts; a column's own name needs no back-quotes here, mm() no weights."""
    return tuple(part.name if isinstance(part, Name) else text_of(part) for part in plain_group(group).factors)


def _group_factor(group: Term, scope: Scope) -> pd.Categorical:
    """Return a grouping factor with its observed levels; 'a:b' is one factor of the observed combinations."""
    parts = []
    for node in group.factors:
        values = evaluate_labels(node, scope)
        check_one_column(values, node, "a grouping factor")
        if not is_labels(values):
            report_not_finite(np.asarray(values, dtype=float), text_of(node))
        parts.append(as_factor(values))
        report_no_level(parts[-1], text_of(node))
    if len(parts) == 1:
        return parts[0]
    try:
        return interaction(*parts)
    except ValueError as error:
        raise DataError(
            f"the levels of '{text_of(group)}' cannot be told apart: {error}.",
            "Each combination of levels needs a label of its own, written 'a:b'.",
            "Rename the levels that contain ':'.",
        ) from error


def _check_distinct(blocks: Sequence[GroupBlock]) -> None:
    correlations = (block.correlation for block in blocks if block.correlated)
    slots = Counter([*(slot for block in blocks for slot in block.slots), *correlations])
    twice = [slot for slot, count in slots.items() if count > 1]
    if twice:
        raise FormulaError(
            f"the group effect '{twice[0]}' appears in two group terms.",
            "A column varies over a grouping factor once, since two such effects cannot be told apart.",
            "Write (x | g) for both together, or (1 | g) + (0 + x | g) for uncorrelated ones.",
        )


def replayed_block(block: GroupBlock, term: GroupTerm, values: np.ndarray, scope: Scope) -> GroupBlock:
    """Return a group term's block for new rows; levels that were not seen get the codes -1, -2, ..."""
    rows = _row_levels(term.group, scope)
    position = {level: code for code, level in enumerate(block.levels)}
    new = tuple(level for level in rows.levels if level not in position)
    if new and block.relation is not None:
        check_has_levels(block.relation.given, block.group, new, position)
    position |= {level: -1 - place for place, level in enumerate(new)}
    places = np.array([position[level] for level in rows.levels], dtype=np.int64)[rows.places]
    return replace(block, places=places, values=values, shares=rows.shares, new_levels=new)


def centre_of(design: Design) -> np.ndarray:
    """Return what is taken off each fixed column of the mean: its own mean beside an intercept, else nothing."""
    X = design.mean.X
    centre = np.zeros(X.shape[1])
    if design.mean.has_intercept:
        centre[1:] = column_means(design, X[:, 1:])
    return centre


def centred_blocks(design: Design) -> tuple[Design, tuple[np.ndarray | None, ...]]:
    """Take the means off the columns of the mean's correlated blocks with an intercept, where one lies far from zero.

    There intercepts and slopes are all but perfectly correlated, and no search gets along the ridge: a calendar year.

    Returns
    -------
    design : Design
        The same model: the intercepts are those at the means. The same where no column is far from zero.
    moves : tuple of ndarray of float, shape (k, k), or None
        For each block what turns its effects back into those of the given columns.
    """
    groups: list[GroupBlock] = []
    moves: list[np.ndarray | None] = []
    for block in design.mean.groups:
        means, spread = block.values.mean(axis=0), block.values.std(axis=0)
        free = block.correlated and block.structure is None
        if not free or "1" not in block.columns or not (np.abs(means) > FAR * spread)[spread > 0].any():
            groups.append(block)
            moves.append(None)
            continue
        intercept = block.columns.index("1")
        means[intercept] = 0.0
        back = np.eye(len(means))
        back[intercept] -= means
        groups.append(replace(block, values=block.values - means))
        moves.append(back)
    moved = any(move is not None for move in moves)
    return (replace_mean(design, groups=tuple(groups)) if moved else design), tuple(moves)
