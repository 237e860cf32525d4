"""The normal distribution of group effects as an equation: independent, correlated, structured, of related levels."""

from collections.abc import Iterator

from speclet_formula.common.structures import Structure
from speclet_formula.formula.multi_membership import plain_group
from speclet_formula.formula.terms import GivenMatrix, GroupTerm, text_of
from speclet_formula.interpretation.notation import LATEX, Notation

type Line = tuple[str, str, str]  # left, relation, right


def group_equations(block: GroupTerm, numbers: range, effect: str, spread: str, notation: Notation) -> Iterator[Line]:
    """Write the normal distribution of a block's effects."""
    group = notation.quote(text_of(plain_group(block.group)))
    effects = [notation.of_group(effect, number, group) for number in numbers]
    spreads = [notation.of_group(spread, number, group) for number in numbers]
    normal = notation.upright("Normal")
    if block.matrix is not None:
        yield from _related_equations(block, block.matrix, effects, spreads, notation)
        return
    if block.structure is not None:
        yield f"({', '.join(effects)})", notation.follows, f"{normal}(0, {_structured(block, spreads, notation)})"
        if block.structure.correlates:
            yield _of_one(block.structure, notation)
        return
    if not block.correlated or len(numbers) == 1:
        yield from ((one, notation.follows, f"{normal}(0, {sd})") for one, sd in zip(effects, spreads, strict=True))
        return
    diagonal = f"{notation.upright('diag')}({', '.join(spreads)})"
    covariance = f"{diagonal} R {diagonal}"
    yield f"({', '.join(effects)})", notation.follows, f"{normal}(0, {covariance})"


def _related_equations(
    block: GroupTerm, matrix: GivenMatrix, effects: list[str], spreads: list[str], notation: Notation
) -> Iterator[Line]:
    """Write the normal distribution of the effects of all levels together, by Kronecker's product."""
    normal, latex = notation.upright("Normal"), notation is LATEX
    known = notation.quote(matrix.name)
    if matrix.argument == "precision":
        known += "^{-1}" if latex else "⁻¹"
    if block.structure is None and (not block.correlated or len(effects) == 1):
        square = "^2" if latex else "²"
        for one, sd in zip(effects, spreads, strict=True):
            yield one, notation.follows, f"{normal}(0, {sd}{square} {known})"
        return
    diagonal = f"{notation.upright('diag')}({', '.join(spreads)})"
    covariance = f"({diagonal} R {diagonal})" if block.structure is None else _structured(block, spreads, notation)
    times = r" \otimes " if latex else " ⊗ "
    yield f"({', '.join(effects)})", notation.follows, f"{normal}(0, {known}{times}{covariance})"
    if block.structure is not None and block.structure.correlates:
        yield _of_one(block.structure, notation)


def _structured(block: GroupTerm, spreads: list[str], notation: Notation) -> str:
    """Write the covariance of a block with a structure."""
    assert block.structure is not None
    square = "^2" if notation is LATEX else "²"
    matrix = "R" if block.structure.correlates else "I"
    if block.structure.hom:
        return f"{spreads[0]}{square} {matrix}"
    diagonal = f"{notation.upright('diag')}({', '.join(spreads)})"
    return f"{diagonal} R {diagonal}"


def _of_one(structure: Structure, notation: Notation) -> Line:
    """Write the correlations that are made of one."""
    rho = notation.symbol("rho")
    if notation is LATEX:
        return "R_{jk}", "=", rho if structure.function == "cs" else rf"{rho}^{{|j - k|}}"
    return "R[j, k]", "=", f"{rho}, j ≠ k" if structure.function == "cs" else f"{rho}^|j - k|"
