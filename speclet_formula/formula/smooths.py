"""Smooth terms, s(x, k = 10, bs = "cr", by = f), s(x, g, bs = "fs") and t2(x, z), as mgcv and brms write them.

Among them is a Gaussian process, gp(x, m = 20, c = 2.5, cov = "matern52", by = f), made of m waves in a box around the
data, as Bambi's hsgp() and brms' gp(x, k = 20, c = 5/4) are.

A smooth stands alone among the terms, since it is more than columns: what its penalty sees has an SD, like the effects
of a group. Its bases are left to `design`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn, TypeGuard

from speclet_formula.common.structures import Structure
from speclet_formula.errors import FormulaError
from speclet_formula.formula.refusals import Context, TreeNode, children_of, error_under, source_of
from speclet_formula.formula.terms import (
    Argument,
    Call,
    Expression,
    Flag,
    Formula,
    GroupTerm,
    Name,
    Number,
    Operation,
    Term,
    Text,
    columns_of,
    distinct,
    text_of,
)

PROCESSES = ("gp", "hsgp")
SMOOTHS = ("s", "t2", *PROCESSES)
BASES = {
    "tp": "thin plate spline, of one or two variables",
    "cr": "natural cubic spline",
    "cc": "cyclic cubic spline",
    "ps": "B-splines with a penalty on differences",
    "fs": "a curve for each level of a factor, all as smooth as each other",
}
LEAST = {"tp": 3, "cr": 3, "cc": 4, "ps": 4, "fs": 3}  # of k, so that there is something to penalise
USUAL, USUAL_PLANE, USUAL_MARGIN = 10, 30, 5  # mgcv's k: of a curve, of a surface, of each variable of t2()
MOST_SIZE = 500  # of k
_PLAIN = 5  # coefficients of a B-spline that stands for a smooth
PLANE = 2  # variables of a surface
_FACTORS = ("factor", "C", "interaction", "relevel")  # functions that make labels
KERNELS = {"exp_quad": "ExpQuad", "matern52": "Matern52", "matern32": "Matern32"}  # and Bambi's words for them
ALLOWED_PROCESS = (
    'gp(x), gp(x, m = 20, c = 2.5, cov = "matern52", by = f); hsgp() is the same; '
    'cov is "exp_quad", "matern52" or "matern32".'
)
USUAL_WAVES, LEAST_WAVES, USUAL_BOX = 20, 3, 2.5  # m and c of gp()


@dataclass(frozen=True)
class Smooth:
    """What a smooth term says."""

    function: str  # "s", "t2" or "gp"
    variables: tuple[Expression, ...]  # of "fs" the factor is the last one
    bases: tuple[str, ...]  # one, or of t2() that of each variable; of gp() its covariance function, "exp_quad"
    sizes: tuple[int, ...]  # k, likewise; of gp() m
    by: Expression | None
    box: float = 0.0  # c of gp(): half the width of its box, in the largest distances of the data from their mean

    @property
    def basis(self) -> str:
        """The basis of s()."""
        return self.bases[0]

    @property
    def label(self) -> str:
        """The term's name in tables, as mgcv has it: without k and bs."""
        inside = [text_of(variable) for variable in self.variables]
        inside += [] if self.by is None else [f"by = {text_of(self.by)}"]
        return f"{self.function}({', '.join(inside)})"

    @property
    def is_process(self) -> bool:
        """Whether it is a Gaussian process."""
        return self.function == "gp"

    @property
    def line(self) -> str:
        """What its fixed columns are called, those that no penalty sees: "line(x)"."""
        return f"line{self.label.removeprefix(self.function)}"

    @property
    def words(self) -> str:
        """What it is, in a sentence."""
        names = [text_of(variable) for variable in self.variables]
        both = " and ".join(names)
        if self.is_process:
            apart = "" if self.by is None else f", one for each level of {text_of(self.by)}, with a common"
            sd = "SD and length-scale; they are" if apart else "; its SD and length-scale are"
            waves = (
                f"made of m = {self.sizes[0]} waves in a box that reaches c = {self.box:g} times as far as the data."
            )
            return f"a Gaussian process of {both}{apart} {sd} estimated; {waves}".replace(" ;", ";")
        if self.function == "t2":
            wiggles = "wiggles around these with three SDs: in both, and in each alone."
            return f"a smooth surface of {both}: {both} and their product, and {wiggles}"
        if self.basis == "fs":
            parts = "an intercept, a slope and wiggles, each drawn from a normal distribution with an SD of its own."
            return f"a smooth curve of {names[0]} for each {names[1]}: {parts}"
        of = f"a smooth {'surface' if len(names) > 1 else 'curve'} of {both}"
        if self.by is not None:
            by = text_of(self.by)
            of += f", one for each level of {by}, or times {by} where that is a number"
        line = ": a plane and" if len(names) > 1 else ": a line and"
        line = " that ends as it begins, with" if self.basis == "cc" else line
        return f"{of}{line} wiggles around it, whose SD is estimated; k = {self.sizes[0]} says how wiggly it can be."


def is_smooth(node: object) -> TypeGuard[Call]:
    """Tell whether a factor of a term is a smooth; a function of the user's own of that name is told before."""
    return isinstance(node, Call) and node.function in SMOOTHS


def smooth_in(term: Term) -> Smooth | None:
    """Return the smooth that a term is; None of any other."""
    factor = term.factors[0] if len(term.factors) == 1 else None
    if not is_smooth(factor):
        return None
    try:
        return smooth_of(factor)
    except ValueError:  # a function of the user's own
        return None


def smooth_of(call: Call) -> Smooth:
    """Read a call that `check_smooth` let pass.

    Raises
    ------
    ValueError
        It is not how a smooth is written: problem, and what to write.
    """
    named = {argument.name: argument.value for argument in call.arguments if argument.name is not None}
    variables = tuple(argument.value for argument in call.arguments if argument.name is None)
    if call.function in PROCESSES:
        return _process(call.function, variables, named)
    others = [name for name in named if name not in ("k", "bs", "by")]
    if others:
        raise ValueError(f"has the argument {others[0]}", "It takes k, bs and by.")
    if not variables or any(not columns_of(variable) for variable in variables):
        raise ValueError("names no variable", "Write s(x), and s(x, k = 20) for another k.")
    by = named.get("by")
    if call.function == "t2":
        return _tensor(variables, named, by)
    bases = _words(named.get("bs"))
    basis = bases[0] if bases else "tp"
    if len(bases) > 1 or basis not in BASES:
        raise ValueError(f"has a basis that there is not, bs = {text_of(named['bs'])}", _instead(basis))
    allowed = {"tp": (1, 2), "fs": (2,)}.get(basis, (1,))
    if len(variables) not in allowed:
        raise ValueError(*_wrong_count(basis, variables))
    if basis == "fs" and by is not None:
        raise ValueError("has by beside a factor", "Leave by out.")
    usual = USUAL if basis == "fs" or len(variables) == 1 else USUAL_PLANE
    sizes = _sizes(named.get("k"), (usual,))
    least = LEAST[basis] + (basis == "tp" and len(variables) == PLANE)
    return Smooth("s", variables, (basis,), _large_enough(sizes, (least,)), by)


def _tensor(variables: tuple[Expression, ...], named: dict[str, Expression], by: Expression | None) -> Smooth:
    """Read t2(x, z)."""
    if len(variables) != PLANE:
        raise ValueError(f"has {len(variables)} variables", "t2() takes two; write s(x) for one.")
    if by is not None:
        raise ValueError("has by", "Write s(x, z, by = f), or t2(x, z) alone.")
    bases = _words(named.get("bs")) or ("cr",)
    bases = bases * PLANE if len(bases) == 1 else bases
    if len(bases) != PLANE or any(basis not in ("tp", "cr", "ps") for basis in bases):
        raise ValueError("has other bases than t2() takes", 'Write bs = "cr", "ps" or "tp", or bs = c("cr", "ps").')
    sizes = _sizes(named.get("k"), (USUAL_MARGIN,) * PLANE)
    return Smooth("t2", variables, bases, _large_enough(sizes, tuple(LEAST[basis] for basis in bases)), None)


def _process(function: str, variables: tuple[Expression, ...], named: dict[str, Expression]) -> Smooth:
    """Read gp(x, m = 20, c = 2.5), Bambi's hsgp() of the same arguments, and brms' gp(x, k = 20, c = 5/4).

    Half the width of brms' box is c times the whole range, so that its c is half of the other.
    """
    others = [name for name in named if name not in ("m", "k", "c", "cov", "by", "scale")]
    if others:
        raise ValueError(f"has the argument {others[0]}", "It takes m, c, cov and by.")
    if len(variables) != 1 or not columns_of(variables[0]):
        several = len(variables) > 1
        problem = f"has {len(variables)} variables" if several else "names no variable"
        raise ValueError(problem, "Write t2(x, z) for a surface." if several else "Write gp(x).")
    if "scale" in named and text_of(named["scale"]).lower() not in ("false", "f"):
        remedy = f"The length-scale is in the unit of {text_of(variables[0])}: leave scale out."
        raise ValueError("scales its variable", remedy)
    if "m" in named and "k" in named:
        raise ValueError("has m and k", "They are the same number: write m.")
    own = _words(named.get("cov")) or ("exp_quad",)
    known = {word.lower(): name for name, bambi in KERNELS.items() for word in (name, bambi)}
    if len(own) != 1 or own[0].lower() not in known:
        raise ValueError(
            f"has a covariance function that there is not, cov = {text_of(named['cov'])}",
            f"There are {', '.join(KERNELS)}.",
        )
    (m,) = _sizes(named.get("m", named.get("k")), (USUAL_WAVES,), "m" if "m" in named else "k")
    if not LEAST_WAVES <= m <= MOST_SIZE:
        raise ValueError(f"has {'k' if 'k' in named else 'm'} = {m}", f"It is from {LEAST_WAVES} to {MOST_SIZE} here.")
    box = USUAL_BOX if "c" not in named else _number(named["c"]) * (2 if "k" in named else 1)
    if not 1 <= box < float("inf"):
        raise ValueError(
            f"has a box that the data do not lie in, c = {text_of(named['c'])}",
            f"Write c = {USUAL_BOX / 2 if 'k' in named else USUAL_BOX:g}: a box that is much wider than the data.",
        )
    return Smooth("gp", variables, (known[own[0].lower()],), (m,), named.get("by"), box)


def _number(value: Expression) -> float:
    """Return a number, or a quotient of two, 5/4."""
    if isinstance(value, Number):
        return float(value.value)
    parts = [part.value for part in value.operands if isinstance(part, Number)] if isinstance(value, Operation) else []
    if isinstance(value, Operation) and value.operator == "/" and len(parts) == len(value.operands) and parts[-1]:
        return float(parts[0] / parts[1])
    raise ValueError(f"has a c that is no number, c = {text_of(value)}", f"Write c = {USUAL_BOX:g}.")


def _words(value: Expression | None) -> tuple[str, ...]:
    """Return the texts of bs = "cr" or bs = c("cr", "ps")."""
    if value is None:
        return ()
    parts = [argument.value for argument in value.arguments] if isinstance(value, Call) else [value]
    if not parts or not all(isinstance(part, Text) for part in parts):
        raise ValueError("has a basis that is no text", 'Write bs = "cr", with the quotes.')
    return tuple(part.value for part in parts if isinstance(part, Text))


def _sizes(value: Expression | None, usual: tuple[int, ...], name: str = "k") -> tuple[int, ...]:
    """Return the numbers of k = 10 or k = c(5, 7)."""
    if value is None:
        return usual
    parts = [argument.value for argument in value.arguments] if isinstance(value, Call) else [value]
    numbers = [part.value for part in parts if isinstance(part, Number) and part.value == int(part.value)]
    if len(numbers) != len(parts) or len(numbers) not in (1, len(usual)):
        raise ValueError(f"has a {name} that is no whole number", f"Write {name} = {usual[0]}.")
    return tuple(map(int, numbers * len(usual) if len(numbers) == 1 else numbers))


def _large_enough(sizes: tuple[int, ...], least: tuple[int, ...]) -> tuple[int, ...]:
    for size, smallest in zip(sizes, least, strict=True):
        if not smallest <= size <= MOST_SIZE:
            raise ValueError(f"has k = {size}", f"k is from {smallest} to {MOST_SIZE} here.")
    return sizes


def _instead(basis: str) -> str:
    """Say which bases there are, and what to write for others of mgcv's."""
    if basis == "gp":
        return "There are tp, cr, cc, ps and fs; a thin plate spline is the nearest."
    return f"There are {', '.join(BASES)}."


def _wrong_count(basis: str, variables: Sequence[Expression]) -> tuple[str, str]:
    """Say how many variables a basis takes."""
    inside = ", ".join(map(text_of, variables))
    if basis == "fs":
        return f"has {len(variables)} variables", 'Write s(x, g, bs = "fs") with one variable and a factor.'
    if basis == "tp":
        return f"has {len(variables)} variables", "s() takes one or two; add smooths of fewer variables."
    return f'has {len(variables)} variables for bs = "{basis}"', f"Write t2({inside}), or s({inside}) with bs left out."


def smooths_in(formula: Formula) -> tuple[Smooth, ...]:
    """Return the smooths of a formula and of those of its parameters, in order."""
    sides = (formula, *(part for _, part in formula.parameters))
    return tuple(smooth for side in sides for term in side.terms if (smooth := smooth_in(term)) is not None)


def with_processes(formula: Formula, package: str) -> Formula:
    """Return a formula with its Gaussian processes as another package writes them: "mgcv", "brms" or "Bambi"."""

    def spelled(term: Term) -> Term:
        smooth = smooth_in(term)
        return Term((_process_call(smooth, package),)) if smooth is not None and smooth.is_process else term

    parameters = tuple((name, with_processes(part, package)) for name, part in formula.parameters)
    return replace(formula, terms=tuple(map(spelled, formula.terms)), parameters=parameters)


def _process_call(smooth: Smooth, package: str) -> Call:
    (m,), kernel, factor = smooth.sizes, smooth.basis, 0.5 if package == "brms" else 1.0
    box: int | float = factor * smooth.box
    box = int(box) if box == int(box) else box
    named: dict[str, Expression] = {"k": Number(m), "bs": Text("gp")}
    if package == "brms":
        named = {"k": Number(m), "c": Number(box)}
        named |= {} if kernel == "exp_quad" else {"cov": Text(kernel)}
    elif package == "Bambi":
        named = {"m": Number(m), "c": Number(box), "cov": Text(KERNELS[kernel])}
    named |= {} if smooth.by is None else {"by": smooth.by}
    named |= {"scale": Flag(value=False)} if package == "Bambi" else {}
    arguments = [Argument(None, smooth.variables[0]), *(Argument(name, value) for name, value in named.items())]
    return Call({"mgcv": "s", "brms": "gp", "Bambi": "hsgp"}[package], tuple(arguments))


def about_processes(formula: Formula, package: str) -> Iterator[str]:
    """Say in comments what a Gaussian process is in another package that it is not here."""
    known = [smooth for smooth in smooths_in(formula) if smooth.is_process]
    if not known:
        return
    if package == "mgcv":
        yield '# not the same model: mgcv\'s bs = "gp" has a fixed length-scale, and a line without a penalty'
    if package == "brms":
        yield "# nearly the same model: brms' box lies around the mean, and lscale is in units of the range"
        if any(smooth.basis != "exp_quad" for smooth in known):
            yield "# its Matern covariances need brms 2.22"
    if package == "Bambi":
        yield "# scale=False: with its default Bambi scales the variable, and not its box"
    if any(smooth.by is not None for smooth in known) and package != "mgcv":
        own = "an SD and a length-scale" if package == "brms" else "a box"
        yield f"# not the same model: {package} has {own} for each level of by"


def without_penalties(formula: Formula) -> Formula:
    """Return a formula with a B-spline of each variable in a smooth's place, for who has none with a penalty."""

    def splines(term: Term) -> tuple[Term, ...]:
        smooth = smooth_in(term)
        if smooth is None or smooth.is_process:
            return (term,)
        numbers = smooth.variables[:-1] if smooth.basis == "fs" else smooth.variables
        df = Argument("df", Number(_PLAIN))
        return tuple(Term((Call("bs", (Argument(None, variable), df)),)) for variable in numbers)

    terms = distinct(part for term in formula.terms for part in splines(term))
    parameters = tuple((name, without_penalties(part)) for name, part in formula.parameters)
    return replace(formula, terms=terms, parameters=parameters)


def random_effects(call: Call, node: TreeNode, context: Context) -> GroupTerm | None:
    """Read mgcv's s(g, bs = "re") as (1 | g); None of any other smooth.

    Of two variables the factor is the group, and a number its slope; where the data are not known the first is the
    group, and a structure makes the second one of either kind. Both may be factors, whose combinations are the group.
    """
    named = {argument.name: argument.value for argument in call.arguments if argument.name is not None}
    if call.function != "s" or named.get("bs") != Text("re"):
        return None
    given = tuple(argument.value for argument in call.arguments if argument.name is None)
    variables = tuple(one for one in given if isinstance(one, Name | Call) and columns_of(one))
    variables = tuple(sorted(variables, key=lambda one: isinstance(one, Name)))  # factor(x) is known to be one
    by = named.get("by")
    several = len(variables) + (by is not None)
    if not variables or len(variables) < len(given) or several > PLANE or not set(named) <= {"bs", "by", "k"}:
        raise _no_random_effects(call, node, context, "is not how random effects are written")
    numbers = [_is_number(one, context) for one in variables]
    if context.numbers is not None and all(numbers):
        raise _no_random_effects(call, node, context, "has no factor, and mgcv would shrink a slope common to all rows")
    groups = [one for one, number in zip(variables, numbers, strict=True) if not number]
    if by is not None:
        return GroupTerm(False, (Term((by,)),), Term((variables[0],)), correlated=False)  # type: ignore[arg-type]
    if len(variables) == 1 or (len(groups) == len(variables) and context.numbers is not None):
        return GroupTerm(True, (), Term(variables), correlated=True)
    if context.numbers is None:
        hom = Structure("diag", hom=True)
        return GroupTerm(False, (Term(variables[1:]),), Term(variables[:1]), correlated=False, structure=hom)
    slope = variables[numbers.index(True)]
    return GroupTerm(False, (Term((slope,)),), Term((groups[0],)), correlated=True)


def _is_number(variable: Expression, context: Context) -> bool:
    """Tell whether a variable is known to be a number: factor(x) is none, log(x) is one."""
    if isinstance(variable, Call):
        return variable.function not in _FACTORS
    return isinstance(variable, Name) and variable.name in (context.numbers or ())


def _no_random_effects(call: Call, node: TreeNode, context: Context, problem: str) -> FormulaError:
    first = next((text_of(argument.value) for argument in call.arguments if argument.name is None), "g")
    return error_under(
        context,
        node,
        f"'{source_of(context, node)}' {problem}.",
        's(g, bs = "re") has effects of the levels of g, s(g, x, bs = "re") and s(g, by = x, bs = "re") their slopes.',
        f"Write (1 | {first}) for effects of each value of {first}, or (0 + x | g) for slopes of x by the levels of g.",
    )


def check_smooth(call: Call, node: TreeNode, context: Context) -> None:
    """Refuse a smooth that is not written as one, with a caret under it."""
    first = call.arguments[0].value if call.arguments else None
    if isinstance(first, Operation) and first.operator in ("|", "||"):
        inside = source_of(context, children_of(node)[2])
        problem = f"'{source_of(context, node)}' is neither a smooth nor a group term."
        allowed = "A group term stands in parentheses alone: (x | g)."
        raise error_under(context, node, problem, allowed, f"Write ({inside}) alone.")
    try:
        smooth_of(call)
    except ValueError as error:
        problem, remedy = error.args
        allowed = (
            ALLOWED_PROCESS
            if call.function in PROCESSES
            else (
                's(x), s(x, k = 20, bs = "cr", by = f), s(x, z), s(x, g, bs = "fs") and t2(x, z); '
                'bs is "tp", "cr", "cc", "ps" or "fs".'
            )
        )
        raise error_under(context, node, f"'{source_of(context, node)}' {problem}.", allowed, remedy) from None


def refuse_inside(call: Call, node: TreeNode, place: str, context: Context) -> NoReturn:
    """Refuse a smooth that does not stand alone: a factor of an interaction, or left of a bar."""
    first = text_of(call.arguments[0].value) if call.arguments else "x"
    if call.function in PROCESSES:
        f = "g" if place == "inside a group term" else "f"
        problem = f"the Gaussian process '{source_of(context, node)}' stands {place}."
        remedy = f"Write gp({first}, by = {f}) for a curve of each level of {f}."
        raise error_under(context, node, problem, "A Gaussian process is a term of its own, added by '+'.", remedy)
    remedy = (
        f'Write s({first}, g, bs = "fs") for a curve of each level of g.'
        if place == "inside a group term"
        else f"Write s({first}, by = f) + f for a curve of each level of f."
    )
    problem = f"the smooth '{source_of(context, node)}' stands {place}."
    raise error_under(context, node, problem, "A smooth is a term of its own, added by '+'.", remedy)
