"""The columns of all linear predictors go in; they come out with names that nothing else in the model has.

A column is called by its own name. Where the package itself needs that name (Intercept, chain, sigma, 1|g), or another
term spells the same (the interaction a:b beside a column a:b), it stands in back-quotes, as it would in a formula.
"""

from collections.abc import Iterable, Sequence

from speclet_formula.design.fixed import respelled
from speclet_formula.design.records import CodedFactor, FixedPart, FixedTerm, GroupBlock, correlation_name, pair_dim
from speclet_formula.errors import DataError
from speclet_formula.formula.terms import SYNTACTIC_NAME, Name

OWN = frozenset({"Intercept", "chain", "draw", "__obs__"})
"""Names that every posterior has, or may get."""


def with_own_names(part: FixedPart, taken: Iterable[str], prefix: str = "") -> FixedPart:
    """Return the part with back-quotes around the columns whose name is taken.

    Parameters
    ----------
    part : FixedPart
    taken : iterable of str
        The names that the part's terms cannot have.
    prefix : str
        As for `fixed_part`.

    Raises
    ------
    DataError
        If two terms have the same name all the same.
    """
    taken, quoted = frozenset(taken), set[str]()
    while True:
        part = respelled(part, quoted, prefix) if quoted else part
        clash = _first_clash(part, taken)
        if clash is None:
            return part
        record, name, columns = clash
        more = _to_quote(columns, name.removeprefix(prefix), quoted)
        if not more:
            raise DataError(
                f"two terms of the formula, or a term and a parameter, have the name '{record.name}'.",
                "Each term has a name of its own in the tables and in the posterior.",
                "Rename a column.",
            )
        quoted |= more


def names_of(part: FixedPart) -> set[str]:
    """Return every name that the part's terms have: their own, those of their columns and of their dimensions."""
    return {name for record in part.terms for name in _names(record)}


def names_of_blocks(blocks: Iterable[GroupBlock]) -> set[str]:
    """Return every name that group blocks have in tables, truths and the posterior."""
    names: set[str] = set()
    for block in blocks:
        names |= {f"{slot}{end}" for slot in block.slots for end in ("", "_sigma", "_mu", "_offset")}
        names |= {block.dim, correlation_name(block), pair_dim(block)}
    return names


def _names(record: FixedTerm) -> set[str]:
    return {record.name, record.variable, *record.columns, *([] if record.dim is None else [record.dim])}


def _first_clash(part: FixedPart, taken: frozenset[str]) -> tuple[FixedTerm, str, list[str]] | None:
    """Return the first term with a taken name, that name, and the columns of it and of the term that has it already."""
    owners: dict[str, tuple[CodedFactor, ...]] = {}
    records = part.terms[len(part.terms) - len(part.coded) :]
    for record, coded in zip(records, part.coded, strict=True):
        for name in sorted(_names(record)):
            if name in taken or name in owners:
                return record, name, [*_columns(coded), *_columns(owners.get(name, ()))]
        owners |= dict.fromkeys(_names(record), coded)
    return None


def _columns(coded: Sequence[CodedFactor]) -> list[str]:
    return [one.factor.name for one in coded if isinstance(one.factor, Name)]


def _to_quote(columns: Sequence[str], name: str, quoted: set[str]) -> set[str]:
    """Choose the columns to put in back-quotes: that of the name, else those that a formula has to quote anyway."""
    left = {column for column in columns if column not in quoted}
    odd = {column for column in left if not SYNTACTIC_NAME.fullmatch(column)}
    return ({name} & left) or odd or left
