"""The counterparts here of a Bambi model's terms and priors.

Terms are taken as formulae has expanded them, calls by the functions that they call, so that spelling does not matter.
Of priors every number is stated, Bambi's defaults among them, so that the model means the same whatever either
package's defaults are. Whether the columns come out the same, and which slot a term has, is left to `from_bambi`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, cast

import bambi
import numpy as np
from bambi.terms import GroupSpecificTerm, HSGPTerm, OffsetTerm
from bambi.transformations import c, counts
from formulae.terms.call_resolver import LazyCall, LazyOperator, LazyValue, LazyVariable, get_function_from_module
from formulae.terms.terms import Intercept
from formulae.transforms import BSpline, C, Center, I, Polynomial, S, Scale, T, proportion

from speclet_formula.errors import FormulaError, PriorError
from speclet_formula.formula.smooths import ALLOWED_PROCESS, KERNELS, smooth_of
from speclet_formula.formula.terms import (
    Argument,
    Call,
    Coding,
    Expression,
    Flag,
    Formula,
    GroupTerm,
    Name,
    Number,
    Operation,
    Term,
    Text,
    by_degree,
    text_of,
)
from speclet_formula.priors import Prior

# Functions that formulas here have under a name of their own; all others come along as the user's.
_OWN: tuple[tuple[Callable[..., Any], str], ...] = (
    (I, "I"),
    (C, "factor"),
    *((getattr(np, name), name) for name in ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs")),
    *((getattr(np, name), name) for name in ("sin", "cos", "tanh", "round", "floor")),
    (np.ceil, "ceiling"),
    (np.minimum, "pmin"),
    (np.maximum, "pmax"),
)
# What PyMC takes for a parameter that is not given.
_DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "Normal": {"mu": 0.0, "sigma": 1.0},
    "StudentT": {"mu": 0.0, "sigma": 1.0},
    "Logistic": {"mu": 0.0, "s": 1.0},
    "LogNormal": {"mu": 0.0, "sigma": 1.0},
    "Uniform": {"lower": 0.0, "upper": 1.0},
    "HalfNormal": {"sigma": 1.0},
    "HalfStudentT": {"sigma": 1.0},
}
_LEARNING = {Center: "center", BSpline: "bs", Polynomial: "poly"}


@dataclass(frozen=True)
class Reading:
    """What is known while a model is read."""

    columns: frozenset[str]
    functions: dict[str, Callable[..., Any]]  # filled with those that the formula here takes as the user's


@dataclass(frozen=True)
class ReadSide:
    """One linear predictor: its formula here, and what each of Bambi's terms has become."""

    formula: Formula
    fixed: Mapping[str, str]  # Bambi's name of a fixed term -> its name here, "x:log(z)"; without the intercept
    groups: Mapping[str, tuple[str, str]]  # of a group term -> its effect, "Intercept" or "x", and its group
    processes: Mapping[str, str]  # of a Gaussian process -> its label here, "gp(x)"


def read_side(component: Any, response: Expression | None, reading: Reading) -> ReadSide:
    """Read one linear predictor of a Bambi model.

    Raises
    ------
    FormulaError
        If a term has no counterpart here.
    """
    terms: dict[str, Term] = {}
    varying: dict[str, tuple[Term | None, Term]] = {}
    processes: dict[str, Call] = {}
    offsets: list[Expression] = []
    for name, part in component.terms.items():
        if isinstance(part, HSGPTerm):
            processes[name] = _process(name, part, reading)
        elif isinstance(part, GroupSpecificTerm):
            effect = None if isinstance(part.term.expr, Intercept) else _term(part.term.expr, reading)
            varying[name] = effect, _term(part.term.factor, reading)
        elif isinstance(part, OffsetTerm):
            call = part.term.components[0]
            offsets.append(read_expression(call.call.args[0], call.env, reading))
        elif part.kind != "intercept":
            terms[name] = _term(part.term, reading)
    formula = Formula(
        response,
        component.intercept_term is not None,
        by_degree((*terms.values(), *(Term((call,)) for call in processes.values()))),
        tuple(_group_terms(varying, component)),
        tuple(offsets),
        (),
    )
    spelled = {
        name: ("Intercept" if term is None else _name(term), _name(group)) for name, (term, group) in varying.items()
    }
    labels = {name: smooth_of(call).label for name, call in processes.items()}
    return ReadSide(formula, {name: _name(term) for name, term in terms.items()}, spelled, labels)


def _process(name: str, part: Any, reading: Reading) -> Call:
    """Read hsgp(x, m=20, c=2.5, scale=False), whose box and waves are those of gp() here."""
    lacks = {
        f"has {part.variables_n} variables": part.variables_n > 1,
        "has a box of its own for each level of by": part.by_levels is not None,
        "scales its variable, and not its box": bool(part.scale_predictors),
        "leaves out its first wave": bool(part.drop_first),
        "has its box by L": part.c is None,
    }
    for what, wrong in lacks.items():
        if wrong:
            raise FormulaError(
                f"the Gaussian process '{name}' of the Bambi model {what}.",
                "Gaussian processes here are those of hsgp(x, m=20, c=2.5, scale=False), of one variable.",
                "Write it so, or fit the Bambi model itself.",
            )
    whole, own = part.term.components[0], {bambis: kernel for kernel, bambis in KERNELS.items()}
    named: dict[str, Expression] = {
        "m": Number(int(part.m[0])),
        "c": Number(float(np.ravel(part.c)[0])),
        "cov": Text(own.get(part.cov, part.cov)),
    }
    variable = Argument(None, read_expression(whole.call.args[0], whole.env, reading))
    call = Call("gp", (variable, *(Argument(key, value) for key, value in named.items())))
    try:
        smooth_of(call)
    except ValueError as error:
        problem, remedy = error.args
        told = f"the Gaussian process '{name}' of the Bambi model {problem}."
        raise FormulaError(told, ALLOWED_PROCESS, remedy) from error
    return call


def _name(term: Term) -> str:
    """Return the name of a term in a design, where a column has no back-quotes."""
    return ":".join(factor.name if isinstance(factor, Name) else text_of(factor) for factor in term.factors)


def _group_terms(varying: Mapping[str, tuple[Term | None, Term]], component: Any) -> list[GroupTerm]:
    """Gather the effects of each grouping factor: in Bambi they are all uncorrelated."""
    gathered: dict[Term, list[str]] = {}
    for name, (_, group) in varying.items():
        gathered.setdefault(group, []).append(name)
    found = []
    for group, names in gathered.items():
        effects = [varying[name][0] for name in names]
        columns = sum(_width(component.terms[name]) for name in names)
        found.append(
            GroupTerm(None in effects, tuple(term for term in effects if term is not None), group, columns == 1)
        )
    return found


def _width(part: Any) -> int:
    """Count the columns of a group term's effect."""
    return int(np.asarray(part.predictor).reshape(len(part.predictor), -1).shape[1])


def read_response(model: bambi.Model, reading: Reading) -> Expression:
    """Read the response of a Bambi model.

    Raises
    ------
    FormulaError
        If it is weighted or constrained, or one level of several is named.
    """
    part = model.response_term
    for wrong, word in ((part.is_weighted, "weighted"), (part.is_constrained, "constrained")):
        if wrong:
            raise FormulaError(
                f"the response '{part.name}' is {word}.",
                "A response here is a column, an expression, p(successes, trials), censored(...) or truncated(...).",
                "Fit the Bambi model itself, or leave it out"
                + (": weights= of Model divide the variance, and multiply no density." if word == "weighted" else "."),
            )
    whole = part.term.components[0]
    if not hasattr(whole, "call"):
        _check_two_levels(model, whole)
        return Name(whole.name)
    if get_function_from_module(whole.call.callee, whole.env) in (c, counts):
        columns = (read_expression(node, whole.env, reading) for node in whole.call.args)
        return Call("cbind", tuple(Argument(None, column) for column in columns))
    if get_function_from_module(whole.call.callee, whole.env) is proportion:
        successes, trials = (read_expression(node, whole.env, reading) for node in whole.call.args)
        failures = Operation("-", (trials, successes))
        return Call("cbind", (Argument(None, successes), Argument(None, failures)))
    if part.is_censored or part.is_truncated:
        return _call(whole.call.callee, whole.call, whole.env, reading)
    return read_expression(whole.call, whole.env, reading)


def _check_two_levels(model: bambi.Model, whole: Any) -> None:
    """Refuse a level against several others, which needs a column of its own here."""
    if whole.reference is not None and model.data[whole.name].nunique() > 2:  # noqa: PLR2004
        raise FormulaError(
            f"the response '{whole.name}[{whole.reference}]' is one level of several.",
            "A response of labels has two levels here.",
            f"Make the column first: data['is_{whole.reference}'] = data['{whole.name}'] == '{whole.reference}'.",
        )


def _term(term: Any, reading: Reading) -> Term:
    """Read one of formulae's terms."""
    factors = []
    for part in term.components:
        factors.append(read_expression(part.call, part.env, reading) if hasattr(part, "call") else Name(part.name))
    return Term(tuple(cast("list[Name | Call]", factors)))


def read_expression(node: Any, env: Any, reading: Reading) -> Expression:
    """Read what stands in a call of formulae's.

    Raises
    ------
    FormulaError
        If it has no counterpart here.
    """
    match node:
        case LazyVariable():
            return Name(node.name) if node.name in reading.columns else _constant(env.namespace[node.name], node.name)
        case LazyValue():
            return _constant(node.value, str(node))
        case LazyOperator():
            operator = "^" if node.symbol == "**" else node.symbol
            return Operation(operator, tuple(read_expression(part, env, reading) for part in node.args))
    return _read_call(node, env, reading)


def _constant(value: Any, text: str) -> Expression:
    """Read a number, a text or a logical value, written in the formula or found beside it."""
    if isinstance(value, bool | np.bool_):
        return Flag(bool(value))
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, Real) and np.isfinite(float(value)):
        number = float(value)
        size = Number(int(abs(number)) if number.is_integer() else abs(number))
        return size if number >= 0 else Operation("-", (size,))
    raise FormulaError(
        f"'{text}' in the Bambi model's formula is neither a column nor a number.",
        "Calls take columns, numbers, texts and TRUE or FALSE.",
        "Make the column in the table first, and name it in the formula.",
    )


def _read_call(node: LazyCall, env: Any, reading: Reading) -> Expression:
    """Read a call by what it calls, whatever name it has there."""
    learnt = node.stateful_transform
    if isinstance(learnt, Scale):
        return _scaled(read_expression(node.args[0], env, reading), learnt, node)
    if learnt is not None:
        if type(learnt) not in _LEARNING:
            raise _no_counterpart(node)
        return _call(_LEARNING[type(learnt)], node, env, reading)
    function = get_function_from_module(node.callee, env)
    own = next((name for known, name in _OWN if known is function), None)
    if function in (S, T) or (own == "factor" and (len(node.args) != 1 or node.kwargs)):  # other contrasts
        return _coded(node, env, reading)
    if own is None:
        reading.functions[node.callee] = function
    return _call(own or node.callee, node, env, reading)


def _coded(node: LazyCall, env: Any, reading: Reading) -> Call:
    """Write C(f, Sum), C(f, Treatment("b")), S(f) and T(f, "b"), where nothing else is said."""
    function = get_function_from_module(node.callee, env)
    if node.kwargs or len(node.args) > 2:  # noqa: PLR2004 - a factor and its coding
        raise _no_counterpart(node)
    factor = Argument(None, read_expression(node.args[0], env, reading))
    coding = node.args[1] if len(node.args) > 1 else None
    if function is S and coding is None:
        return Call("C", (factor, Argument(None, Coding("sum"))))
    if function is T:
        return _with_reference(factor, coding, node)
    if isinstance(coding, LazyVariable) and coding.name == "Sum":
        return Call("C", (factor, Argument(None, Coding("sum"))))
    if isinstance(coding, LazyVariable) and coding.name == "Treatment":
        return Call("factor", (factor,))
    if isinstance(coding, LazyCall) and coding.callee == "Treatment" and len(coding.args) < 2:  # noqa: PLR2004
        stated = [*coding.args, *coding.kwargs.values()]
        return _with_reference(factor, stated[0] if stated else None, node)
    if isinstance(coding, LazyCall) and coding.callee == "Sum" and not (coding.args or coding.kwargs):
        return Call("C", (factor, Argument(None, Coding("sum"))))
    raise _no_counterpart(node)


def _with_reference(factor: Argument, reference: Any, node: LazyCall) -> Call:
    """Write a factor with treatment contrasts against a level that is named, or against the first."""
    if reference is None:
        return Call("factor", (factor,))
    if not isinstance(reference, LazyValue):
        raise _no_counterpart(node)
    return Call("relevel", (factor, Argument(None, _constant(reference.value, str(reference)))))


def _scaled(values: Expression, learnt: Scale, node: LazyCall) -> Call:
    """Write the mean and the SD that formulae has learnt: its SD divides by n, R's by n - 1."""
    if not np.ndim(learnt.mean) == np.ndim(learnt.std) == 0:
        raise _no_counterpart(node)
    centred = Operation("-", (values, _constant(float(learnt.mean), "mean")))
    return Call("I", (Argument(None, Operation("/", (centred, _constant(float(learnt.std), "SD")))),))


def _call(name: str, node: LazyCall, env: Any, reading: Reading) -> Call:
    """Write a call under a name, with its arguments read."""
    positional = (Argument(None, read_expression(part, env, reading)) for part in node.args)
    named = (Argument(key, read_expression(part, env, reading)) for key, part in node.kwargs.items())
    return Call(name, (*positional, *named))


def _no_counterpart(node: LazyCall) -> FormulaError:
    return FormulaError(
        f"'{node}' of the Bambi model's formula has no counterpart here.",
        "Calls that are read: numpy's functions, I or {...}, C(x), C(x, Sum), center, scale, bs, poly, and functions "
        "of your own.",
        "Make its columns in the table first, and name them in the formula.",
    )


def stated_prior(prior: Any, place: str, column: int | None = None) -> Prior:
    """Read the prior of one of Bambi's terms or parameters.

    Parameters
    ----------
    prior : bambi.Prior
    place : str
        Bambi's name of what has it, for the error.
    column : int, optional
        The column whose number to take where there is one for each.

    Raises
    ------
    PriorError
        If there is no such prior here.
    """
    if not isinstance(prior, bambi.Prior):
        raise PriorError(
            f"'{place}' is fixed at {prior} in the Bambi model.",
            "Here every parameter is estimated, and has a prior.",
            "Give it a narrow prior: "
            f"model.set_priors({{'{place}': bmb.Prior('Gamma', mu={prior}, sigma={prior / 100:g})}}).",
        )
    if prior.dist is not None:
        raise PriorError(
            f"the prior of '{place}' in the Bambi model is built by a function of its own, {_name_of(prior.dist)}.",
            "Priors that are read have a name and numbers: Normal, StudentT, HalfNormal, ...",
            "Give it a named prior with model.set_priors(...), or fit the Bambi model itself.",
        )
    given = {name: _argument(value, place, column) for name, value in prior.args.items()}
    try:
        return Prior(prior.name, **{**_DEFAULTS.get(prior.name, {}), **given})
    except PriorError as error:
        raise PriorError(
            f"the prior of '{place}' in the Bambi model, {prior}, cannot be read: {error.problem}",
            error.allowed,
            "Give it another prior with model.set_priors(...), or fit the Bambi model itself.",
        ) from error


def _name_of(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _argument(value: Any, place: str, column: int | None) -> Any:
    """Return a number, an array, one column's number, or a hyperprior."""
    if isinstance(value, bambi.Prior):
        return stated_prior(value, place, column)
    values = np.asarray(value)
    if values.dtype.kind not in "iuf":
        return value  # a transformation and the like: the prior here says that it takes none
    if values.ndim == 0:
        return float(values)
    return values if column is None else float(values[column])


def stated_group_priors(prior: Any, place: str, columns: int, *, noncentered: bool) -> list[Prior]:
    """Read the prior of a group term, for each of its columns.

    `noncentered` is the model's own choice, which the prior may change.

    Raises
    ------
    PriorError
        If its effects are not Normal, or have a mean that Bambi leaves out.
    """
    if prior.name != "Normal" and prior.dist is None:
        raise PriorError(
            f"the effects of '{place}' in the Bambi model are {prior.name}.",
            "Group effects are Normal here, as in lme4.",
            "Give them a Normal prior with model.set_priors(...), or fit the Bambi model itself.",
        )
    offset = noncentered if prior.noncentered is None else prior.noncentered
    mean = prior.args.get("mu", 0.0)
    if offset and (isinstance(mean, bambi.Prior) or np.any(np.asarray(mean) != 0)):
        raise PriorError(
            f"the prior of '{place}' has a mean, {prior}, which Bambi leaves out of a model that is not centred.",
            "A group term's mean counts here, whichever way it is sampled.",
            "Say which is meant: bmb.Prior(..., noncentered=False) for the mean, or mu=0 for none.",
        )
    own = prior.noncentered if noncentered else offset
    stated = [stated_prior(prior, place, column) for column in range(columns)]
    return [Prior("Normal", noncentered=own, **each.parameters) for each in stated]


def of_level(prior: Any, level: int | None) -> Any:
    """Return the prior that one level of an unordered response has in a term of all levels, which are the last axis."""
    if level is None or not isinstance(prior, bambi.Prior):
        return prior
    parts = {
        name: of_level(value, level)
        if isinstance(value, bambi.Prior) or np.ndim(value) == 0
        else np.asarray(value)[..., level]
        for name, value in prior.args.items()
    }
    return bambi.Prior(prior.name, auto_scale=False, dist=prior.dist, noncentered=prior.noncentered, **parts)


def stated_thresholds(prior: Any, place: str) -> Prior:
    """Read the prior of thresholds; that they increase is part of the family here."""
    if isinstance(prior, bambi.Prior):
        left = {name: value for name, value in prior.args.items() if name not in ("transform", "initval")}
        prior = bambi.Prior(prior.name, auto_scale=False, dist=prior.dist, **left)
    return stated_prior(prior, place)
