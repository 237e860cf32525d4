"""How the symbols of an equation look, as plain text and in LaTeX."""

from collections.abc import Callable
from dataclasses import dataclass

_GREEK = {"mu": "μ", "sigma": "σ", "nu": "ν", "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ"}
_GREEK |= {"tau": "τ", "omega": "ω", "psi": "ψ", "kappa": "κ", "lambda": "λ"}
_GREEK |= {"eta": "η", "theta": "θ", "rho": "ρ", "ell": "ℓ", "zeta": "ζ"}
_LATEX_ESCAPES = str.maketrans(
    {char: f"\\{char}" for char in "_%&#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\n": " "}
)


@dataclass(frozen=True)
class Notation:
    """How symbols look in one kind of text."""

    symbol: Callable[[str], str]  # a parameter's name
    quote: Callable[[str], str]  # a column's name
    at_row: str  # the index of an observation
    numbered: Callable[[str, int], str]
    of_group: Callable[[str, int, str], str]  # letter, number, group
    times: str
    follows: str
    at_most: str
    upright: Callable[[str], str]  # a function's or a distribution's name


UNICODE: Notation = Notation(
    symbol=lambda name: _GREEK.get(name, name),
    quote=lambda text: text.replace("\n", " "),
    at_row="ᵢ",
    numbered=lambda letter, number: letter + str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")),
    of_group=lambda letter, number, group: f"{UNICODE.numbered(letter, number)}[{group}]",
    times="·",
    follows="~",
    at_most=" ≤ ",
    upright=str,
)
LATEX: Notation = Notation(
    symbol=lambda name: f"\\{name}" if name in _GREEK else name if len(name) == 1 else LATEX.quote(name),
    quote=lambda text: rf"\text{{{text.translate(_LATEX_ESCAPES)}}}",
    at_row="_i",
    numbered=lambda letter, number: f"{letter}_{{{number}}}",
    of_group=lambda letter, number, group: f"{letter}_{{{number},{group}}}",
    times=r" \cdot ",
    follows=r"\sim",
    at_most=r" \le ",
    upright=lambda name: rf"\mathrm{{{name}}}",
)
