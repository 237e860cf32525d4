"""Options of the commands, read from the verbs that they call: a new argument of a verb is a new option by itself.

Signature and numpydoc are read from the source file, since importing a verb takes seconds and help shall come at once.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from speclet_formula.errors import DataError

PACKAGE = Path(__file__).resolve().parents[1]
# How an argument is called in a shell, where it is not by its own name; the commands add those of their verbs.
FLAGS = {"random_seed": "--seed", "controls": "--controls", "direction": "--direction"}
_TEXTS = {"weights"}  # of which a terminal can give a column's name alone
_PAIRED = {"contrasts"}  # dictionaries, of which a terminal gives one entry at a time: name=text
_NOWHERE = {"functions", "matrices"}  # what is no text
_HELP = {  # where numpydoc speaks of Python
    "priors": "weak (the default), bambi, brms, rstanarm, notebook, or the path of a TOML file.",
    "family": "gaussian, poisson, binomial, gamma, beta, cumulative, ...: Bambi's or R's name.",
    "weights": "Column of weights that divide the residual variance, or of the trials of a proportion.",
    "missing": "What missing values are: error, or drop (their rows).",
    "method": "auto (what serves the model), exact, hmc or nuts; without draws reml, ml or laplace.",
    "contrasts": "How a fixed factor is coded: column=sum, helmert, poly, sdif or treatment. Can be repeated.",
    "keep": "Grouping factor whose effects are kept; all by default. Can be repeated.",
    "group": "Column whose levels are left out whole, instead of one row at a time.",
    "fitted_formula": "The model to fit, if it is another one.",
    "folder": "Keep each outcome here; the same call then goes on.",
    "cores": "Processor cores; all by default.",
    "drop": "A finding whose rows are left out. Can be repeated.",
}


@dataclass(frozen=True)
class Verb:
    """A verb whose arguments, those by name, are options of a command."""

    place: str  # its file in the package and its name: "inference/fit.py:fit"
    but: tuple[str, ...] = ()  # arguments that are no options of the command


def options_of(verb: Verb) -> dict[str, inspect.Parameter]:
    """Return an option for each argument of a verb that a terminal can give.

    Returns
    -------
    dict of str to inspect.Parameter
        By the argument's name; with the help that numpydoc has for it.

    Examples
    --------
    >>> options_of(Verb("inference/fit.py:fit"))["random_seed"].annotation.__metadata__[0].help
    'Makes the draws repeatable.'
    """
    file, name = verb.place.split(":")
    function, text = _definition(file, name)
    helps = dict(_descriptions(text))
    options = {}
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        kind = _kind(argument)
        if kind is None or argument.arg in verb.but or default is None:
            continue
        options[argument.arg] = _option(argument.arg, kind, _value(default, file), helps.get(argument.arg, ""))
    return options


def takes(**verbs: tuple[Verb, ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the arguments of verbs as options.

    Parameters
    ----------
    **verbs : tuple of Verb
        By the parameter of the command that takes what was given of them, as a dictionary ready for the verb. An
        option that two have belongs to the first.

    Returns
    -------
    callable
        A decorator; the decorated command has the parameters that Typer reads.
    """
    places: dict[str, str] = {}
    options: dict[str, inspect.Parameter] = {}
    for taker, those in verbs.items():
        for name, option in ((n, o) for verb in those for n, o in options_of(verb).items() if n not in options):
            places[name], options[name] = taker, option

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command)

        @wraps(command)
        def call(**given: Any) -> None:
            arguments: dict[str, dict[str, Any]] = {taker: {} for taker in verbs}
            for name, taker in places.items():
                value = given.pop(name)
                if value != options[name].default or name == "progress":
                    arguments[taker][name] = _given(name, value)
            command(**given, **arguments)

        keyword = inspect.Parameter.KEYWORD_ONLY
        kept = [p.replace(kind=keyword) for name, p in signature.parameters.items() if name not in verbs]
        parameters = [*kept, *options.values()]
        call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        return call

    return decorate


def _given(name: str, value: Any) -> Any:
    """Return what a verb is given for an option."""
    if name in _PAIRED:
        return dict(_pair(FLAGS[name], text) for text in value)
    return tuple(value) if isinstance(value, list) else value


def _pair(flag: str, text: str) -> tuple[str, str]:
    """Split "column=word" at the last equals sign, which no word has."""
    key, _, word = (part.strip() for part in text.rpartition("="))
    if not key or not word:
        raise DataError(
            f"{flag} {text!r} is no coding of a factor.",
            "It is a column, an equals sign and a coding: sum, helmert, poly, sdif or treatment.",
            f"For example {flag} control=sum.",
        )
    return key, word


@cache
def _module(file: str) -> ast.Module:
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"))


def _definition(file: str, name: str) -> tuple[ast.FunctionDef, str]:
    """Return a function, or how a class is made, with the text that describes its arguments."""
    node = [n for n in _module(file).body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name][-1]
    text = ast.get_docstring(node) or ""
    if isinstance(node, ast.ClassDef):
        node = next(n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    return node, text


def _descriptions(text: str) -> Iterator[tuple[str, str]]:
    """Go through the arguments that numpydoc describes, with the first sentence of each."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+$|\Z)", text, re.DOTALL | re.MULTILINE)
    for names, body in re.findall(
        r"^(\S[^\n:]*?)(?: : [^\n]*)?\n((?:[ ]+\S[^\n]*\n?)+)", section[1] if section else "", re.M
    ):
        sentence = re.match(r"(.+?[.!?])(?=\s|$)", " ".join(body.split()))
        for name in names.split(","):
            yield name.strip(), (sentence[1] if sentence else " ".join(body.split())).replace("`", "")


def _kind(argument: ast.arg) -> Any:
    """Return the type that Typer reads for an argument; None for one that is no text, number or switch."""
    words = set(re.findall(r"\w+", ast.unparse(argument.annotation) if argument.annotation else ""))
    if argument.arg in _NOWHERE:
        return None
    if "Sequence" in words or argument.arg in _PAIRED:
        return list[str]
    for kind in (bool, int, float):
        if kind.__name__ in words:
            return None if "tuple" in words else kind
    return str if argument.arg in _TEXTS or words - {"Any", "None", "Mapping", "dict", "object"} else None


def _value(default: ast.expr, file: str) -> Any:
    """Return a default; that of a name is looked up in the file."""
    if isinstance(default, ast.Name):
        default = next(
            n.value for n in _module(file).body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == default.id
        )
    return ast.literal_eval(default)


def _option(name: str, kind: Any, default: Any, text: str) -> inspect.Parameter:
    """Return a command's parameter; progress is shown unless it is switched off by --quiet."""
    if name == "progress":
        kind, default, flags, text = bool, True, "--progress/--quiet", "Show how far the work is, in a terminal."
    else:
        flag = FLAGS.setdefault(name, f"--{name.replace('_', '-')}")
        flags = f"{flag}/--no-{flag[2:]}" if kind is bool and default else flag
    start = None if default == () else default
    declared = kind if start is not None else kind | None
    annotated: Any = Annotated  # a value here, not a type that a checker reads
    option = typer.Option(flags, help=_HELP.get(name, text))
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=start, annotation=annotated[declared, option]
    )
