"""A `Formula` goes in; the equations of its hierarchical model come out, in unicode or LaTeX.

Symbols follow one table for each kind of text, so that both say the same.
Families and links are named here, not computed; that is left to `families`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from speclet_formula.formula.choices import check_choice
from speclet_formula.formula.families import PARAMETER_LINKS
from speclet_formula.formula.terms import (
    LIMITED,
    Call,
    Expression,
    Formula,
    GroupTerm,
    Operation,
    Term,
    columns_of,
    text_of,
    trials_of,
)

_DISTRIBUTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "gaussian": ("Normal", ("mu", "sigma")),
    "t": ("StudentT", ("nu", "mu", "sigma")),
    "bernoulli": ("Bernoulli", ("p",)),
    "binomial": ("Binomial", ("n", "p")),
    "poisson": ("Poisson", ("mu",)),
    "negativebinomial": ("NegativeBinomial", ("mu", "alpha")),
    "asymmetriclaplace": ("AsymmetricLaplace", ("mu", "b", "kappa")),
    "vonmises": ("VonMises", ("mu", "kappa")),
    "gamma": ("Gamma", ("mu", "alpha")),
    "exponential": ("Exponential", ("mu",)),
    "wald": ("InverseGaussian", ("mu", "lam")),
    "lognormal": ("LogNormal", ("mu", "sigma")),
    "weibull": ("Weibull", ("mu", "alpha")),
    "beta": ("Beta", ("mu", "kappa")),
    "beta_binomial": ("BetaBinomial", ("n", "mu", "kappa")),
    "zero_inflated_binomial": ("ZeroInflatedBinomial", ("n", "p", "psi")),
    "zero_inflated_poisson": ("ZeroInflatedPoisson", ("mu", "psi")),
    "zero_inflated_negativebinomial": ("ZeroInflatedNegativeBinomial", ("mu", "alpha", "psi")),
    "hurdle_poisson": ("HurdlePoisson", ("mu", "psi")),
    "hurdle_negativebinomial": ("HurdleNegativeBinomial", ("mu", "alpha", "psi")),
    "hurdle_gamma": ("HurdleGamma", ("mu", "alpha", "psi")),
    "hurdle_lognormal": ("HurdleLogNormal", ("mu", "sigma", "psi")),
    "cumulative": ("Categorical", ("p",)),
    "sratio": ("Categorical", ("p",)),
}
_LEVELS = {"cumulative": "P({y} ≤ k)", "sratio": "P({y} = k ∣ {y} ≥ k)"}  # what a threshold's link is of
_LINKS = ("identity", "log", "logit", "probit", "cloglog", "inverse", "inverse_squared")
_GREEK = {"mu": "μ", "sigma": "σ", "nu": "ν", "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ"}
_GREEK |= {"tau": "τ", "omega": "ω", "psi": "ψ", "kappa": "κ", "lambda": "λ"}
_GREEK |= {"eta": "η", "theta": "θ"}
# Letters of coefficients, group effects and their SDs: the main formula's first, then those of the parameters.
_LETTERS = (("beta", "u", "tau"), ("gamma", "v", "omega"), ("delta", "w", "psi"))
_SYMBOLS = {"lam": "lambda"}  # of parameters that Python could not call by their letter
_LATEX_ESCAPES = str.maketrans(
    {char: f"\\{char}" for char in "_%&#${}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\n": " "}
)


@dataclass(frozen=True)
class _Notation:
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


_UNICODE: _Notation = _Notation(
    symbol=lambda name: _GREEK.get(name, name),
    quote=lambda text: text.replace("\n", " "),
    at_row="ᵢ",
    numbered=lambda letter, number: letter + str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")),
    of_group=lambda letter, number, group: f"{_UNICODE.numbered(letter, number)}[{group}]",
    times="·",
    follows="~",
    at_most=" ≤ ",
    upright=str,
)
_LATEX: _Notation = _Notation(
    symbol=lambda name: f"\\{name}" if name in _GREEK else name if len(name) == 1 else _LATEX.quote(name),
    quote=lambda text: rf"\text{{{text.translate(_LATEX_ESCAPES)}}}",
    at_row="_i",
    numbered=lambda letter, number: f"{letter}_{{{number}}}",
    of_group=lambda letter, number, group: f"{letter}_{{{number},{group}}}",
    times=r" \cdot ",
    follows=r"\sim",
    at_most=r" \le ",
    upright=lambda name: rf"\mathrm{{{name}}}",
)


def equation(formula: Formula, *, family: str = "gaussian", link: str = "identity", latex: bool = False) -> str:
    """Write a formula as the equations of a hierarchical model.

    Parameters
    ----------
    formula : Formula
        A parsed formula.
    family : str
        Any that `Model` takes, by Bambi's name.
    link : str
        "identity", "log", "logit", "probit", "cloglog", "inverse" or "inverse_squared". Parameters with a formula of
        their own are on the log scale, psi on the logit scale.
    latex : bool
        LaTeX (an ``aligned`` environment, without dollar signs) instead of unicode.

    Returns
    -------
    str
        One equation per line: the response, the linear predictors, then each group's effects, whose SDs are τ; R holds
        the correlations. A factor's coefficient stands for one number per level but the first.

    Raises
    ------
    FormulaError
        If the family or the link is not among those above.

    Examples
    --------
    >>> from speclet_formula.formula.parse import parse_formula
    >>> print(equation(parse_formula("log_fc ~ cn + (1 | gene)")))
    log_fcᵢ ~ Normal(μᵢ, σ)
    μᵢ = β₀ + β₁·cnᵢ + u₀[geneᵢ]
    u₀[gene] ~ Normal(0, τ₀[gene])
    """
    check_choice("family", family, tuple(_DISTRIBUTIONS))
    check_choice("link", link, _LINKS)
    notation = _LATEX if latex else _UNICODE
    parent = "p" if "p" in _DISTRIBUTIONS[family][1] else "mu"
    lines = [_response_line(formula, family, notation)]
    if family in _LEVELS:
        lines.append(_threshold_line(formula, family, link, notation))
        formula, parent, link = replace(formula, intercept=False), "eta", "identity"
    sides = (
        (parent, link, formula),
        *((name, PARAMETER_LINKS.get(name, "log"), part) for name, part in formula.parameters),
    )
    for index, (name, scale, side) in enumerate(sides):
        lines += _side_equations(name, scale, side, _LETTERS[min(index, len(_LETTERS) - 1)], notation)
    if not latex:
        return "\n".join(" ".join(line) for line in lines)
    aligned = " \\\\\n".join(f"{left} &{relation} {right}" for left, relation, right in lines)
    return f"\\begin{{aligned}}\n{aligned}\n\\end{{aligned}}"


type _Line = tuple[str, str, str]  # left, relation, right


def _response_line(formula: Formula, family: str, notation: _Notation) -> _Line:
    """Write the response's distribution."""
    distribution, names = _DISTRIBUTIONS[family]
    varying = {"mu", "p", "n", *(name for name, _ in formula.parameters)}
    symbols = [notation.symbol(_SYMBOLS.get(name, name)) for name in names]
    arguments = [
        symbol + (notation.at_row if name in varying else "") for symbol, name in zip(symbols, names, strict=True)
    ]
    response = formula.response
    if isinstance(response, Call) and response.function == "cbind":
        arguments = [_row(trials_of(response), notation), *arguments[1:]] if names[0] == "n" else arguments
        response = response.arguments[0].value
    note = ""
    if isinstance(response, Call) and response.function in LIMITED:
        note = _limits_note(response, notation)
        response = response.arguments[0].value
    left = notation.symbol("y") + notation.at_row if response is None else _row(response, notation)
    return left, notation.follows, f"{notation.upright(distribution)}({', '.join(arguments)}){note}"


def _limits_note(response: Call, notation: _Notation) -> str:
    """Say after a distribution where a truncated response stops, or which column says that a value is a bound."""
    first, *others = (argument.value for argument in response.arguments)
    if response.function == "censored":
        return f"{notation.quote(', a bound where it says so in ')}{_row(others[0], notation)}"
    names = [argument.name or name for argument, name in zip(response.arguments[1:], ("lb", "ub"), strict=False)]
    bounds = {name: _bound(value, notation) for name, value in zip(names, others, strict=True)}
    lower, upper = bounds.get("lb"), bounds.get("ub")
    left = f"{lower}{notation.at_most}" if lower else ""
    right = f"{notation.at_most}{upper}" if upper else ""
    return f"{notation.quote(', seen only where ')}{left}{_row(first, notation)}{right}"


def _bound(value: Expression, notation: _Notation) -> str:
    """Write a bound: a number, or a column's value in row i."""
    return _row(value, notation) if columns_of(value) else text_of(value)


def _threshold_line(formula: Formula, family: str, link: str, notation: _Notation) -> _Line:
    """Write what the thresholds of ordered levels are compared with."""
    response = formula.response
    left = notation.symbol("y") + notation.at_row if response is None else _row(response, notation)
    probability = _LEVELS[family].format(y=left)
    if notation is _LATEX:
        probability = probability.replace("≤", r"\le").replace("≥", r"\ge").replace("∣", r"\mid")
    minus = " - " if notation is _LATEX else " − "
    threshold = notation.symbol("theta") + ("_k" if notation is _LATEX else "ₖ")
    right = f"{threshold}{minus}{notation.symbol('eta')}{notation.at_row}"
    return f"{notation.upright(link)}({probability})", "=", right


def _side_equations(
    name: str, link: str, formula: Formula, letters: tuple[str, str, str], notation: _Notation
) -> Iterator[_Line]:
    """Write a linear predictor and the distributions of its group effects."""
    coefficient, effect, spread = (notation.symbol(letter) for letter in letters)
    columns: list[Term | int] = [1, *formula.terms] if formula.intercept else [*formula.terms]
    first = 0 if formula.intercept else 1
    summands = [_summand(notation.numbered(coefficient, first + k), c, notation) for k, c in enumerate(columns)]
    distributions: list[_Line] = []
    used: dict[Term, int] = {}
    for block in formula.group_terms:
        start = used.get(block.group, 0)
        effects: list[Term | int] = [1, *block.terms] if block.intercept else [*block.terms]
        used[block.group] = start + len(effects)
        at_row = (notation.quote(text_of(factor)) + _index(notation) for factor in block.group.factors)
        group = ":".join(at_row)
        summands += [_summand(notation.of_group(effect, start + k, group), c, notation) for k, c in enumerate(effects)]
        distributions += _group_equations(block, range(start, start + len(effects)), effect, spread, notation)
    summands += [_row(offset, notation) for offset in formula.offsets]
    yield _linked(notation.symbol(name) + notation.at_row, link, notation), "=", " + ".join(summands) or "0"
    yield from distributions


def _group_equations(
    block: GroupTerm, numbers: range, effect: str, spread: str, notation: _Notation
) -> Iterator[_Line]:
    """Write the normal distribution of a block's effects."""
    group = notation.quote(text_of(block.group))
    effects = [notation.of_group(effect, number, group) for number in numbers]
    spreads = [notation.of_group(spread, number, group) for number in numbers]
    normal = notation.upright("Normal")
    if not block.correlated or len(numbers) == 1:
        yield from ((one, notation.follows, f"{normal}(0, {sd})") for one, sd in zip(effects, spreads, strict=True))
        return
    diagonal = f"{notation.upright('diag')}({', '.join(spreads)})"
    covariance = f"{diagonal} R {diagonal}"
    yield f"({', '.join(effects)})", notation.follows, f"{normal}(0, {covariance})"


def _summand(coefficient: str, column: Term | int, notation: _Notation) -> str:
    """Write a coefficient times its columns."""
    factors = column.factors if isinstance(column, Term) else ()
    return notation.times.join((coefficient, *(_row(factor, notation) for factor in factors)))


def _row(expression: Expression, notation: _Notation) -> str:
    """Write an expression's value in row i."""
    text = notation.quote(text_of(expression))
    return (f"({text})" if isinstance(expression, Operation) else text) + notation.at_row


def _index(notation: _Notation) -> str:
    """Write the row's index where it is itself within an index."""
    return "[i]" if notation is _LATEX else notation.at_row


def _linked(mean: str, link: str, notation: _Notation) -> str:
    """Write the link function of a mean."""
    if link == "identity":
        return mean
    if link in ("inverse", "inverse_squared"):
        return f"1/{mean}" + ("" if link == "inverse" else "^2" if notation is _LATEX else "²")
    return f"{notation.upright(link)}({mean})"
