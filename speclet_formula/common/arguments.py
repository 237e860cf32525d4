"""What a verb was given: R's, brms' and Bambi's keywords are answered by ours, objects of the wrong kind by a call.

Python's own TypeError says that a keyword does not exist; who comes from R needs to know what to write instead. Kinds
are told by the names of classes, so that no room has to be opened to know them. What a verb can do with an object of
the right kind, such as a fit without draws, is left to the verb.
"""

import inspect
import re
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from functools import wraps
from typing import Any

from speclet_formula.common.habits import answer_keyword
from speclet_formula.errors import DataError, EstimateError, FormulaError, SamplingError, SpecletError, listed, nearest

type Answer = tuple[type[SpecletError], str, Callable[[Any], str]]  # the error, what is allowed, what to do by value
_SPELLINGS = {"na.action": "na_action", "naction": "na_action", "reml": "REML", "nagq": "nAGQ", "contrast": "contrasts"}
type Kinds = tuple[str, ...]
_FITS, _TEXTS, _TABLE, _MAPPING = ("Fit", "PointFit"), ("Formula", "str", "list", "tuple"), ("DataFrame",), ("Mapping",)
_ANSWERING: set[Callable[..., Any]] = set()  # functions that answer keywords by themselves
_VARIABLE = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
_NEEDING: set[str] = set()  # public verbs that need more than their first argument
_OF_MODEL = ("family", "link", "missing", "priors", "functions", "weights", "contrasts")
_ANOVA = "Leave it out, or compare likelihoods by sf.anova of fits by method='ml'."
_SEVERAL = "Give one fit at a time, or compare them: sf.compare({'first': fit, 'second': other})."
_OF_ROWS = ("adjust_fold_changes", "call_genes")  # verbs that take the rows of a screen
_SCREEN_FIT = "fit = sf.lmer('log_fc ~ (1 | gene) + (1 | gene:sgRNA)', screen.table)"
_WITH = {"screen.table": ", with screen = sf.read_screen(counts, guides, samples)."}
_MOST_NAMES = 30  # of arguments that an answer lists
_LONGEST = 40  # characters of a value that an answer repeats
_EXAMPLES = ("family='poisson'", "missing='drop'", "method='reml'", "ci_prob=0.9", "random_seed=1")
_PACKAGES = ("speclet_formula", "pandas", "builtins", "arviz_stats", "pathlib")


def answers_r[**P, R](
    *, beyond: Callable[..., Any] | None = None, error: type[SpecletError] = SamplingError
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function refuse keywords that it lacks in three parts, R's by naming ours.

    Parameters
    ----------
    beyond : callable, optional
        The function that takes what the decorated one passes on as ``**keywords``.
    error : type of SpecletError
        The class for a keyword that is not R's either.

    Returns
    -------
    callable
        A decorator. It keeps the signature.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        known = [*_names(function), *(_names(beyond)[1:] if beyond else ())]  # the first of these is made here
        caller = function.__qualname__.removesuffix(".__init__")

        @wraps(function)
        def call(*arguments: P.args, **keywords: P.kwargs) -> R:
            for name, value in keywords.items():
                if name not in known:
                    raise unknown_keyword(name, value, caller, known, error)
            try:
                signature.bind(*arguments, **keywords)
            except TypeError as mistake:
                raise _miscalled(str(mistake), signature, caller, error) from None
            return function(*arguments, **keywords)

        _ANSWERING.add(call)
        return call

    return decorate


def _names(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return list(dict.fromkeys(p.name for p in parameters if p.kind not in _VARIABLE and p.name != "self"))


def unknown_keyword(
    name: str, value: Any, caller: str, known: Sequence[str], error: type[SpecletError] = SamplingError
) -> SpecletError:
    """Word what to write instead of a keyword that a function does not have.

    Parameters
    ----------
    name : str
    value
        What the keyword was given.
    caller : str
        The function's name, as the user wrote it.
    known : sequence of str
        The keywords that it has.
    error : type of SpecletError
        The class for a keyword that is not R's either.

    Returns
    -------
    SpecletError
        To be raised.
    """
    return _of_r(name, value, caller, known) or _unknown(name, value, caller, known, error)


def _of_r(name: str, value: Any, caller: str, known: Sequence[str]) -> SpecletError | None:
    """Word what to write instead of a keyword of R's, brms' or Bambi's fits; None if it is none."""
    answer = ANSWERS.get(name) or ANSWERS.get(_SPELLINGS.get(name.lower(), ""))
    if answer is None:
        return None
    kind, allowed, remedy = answer
    problem = f"{caller}() has no argument {name}=."
    if name in ("family", "link") and caller != "lmer":
        allowed, words = "Family and link belong to the model, not to its fit.", f"Write {name}={value!r}."
    else:
        words = remedy(value)
    ours = re.match(r"Write (\w+)=(.*)\.", words.partition(", or ")[0].rstrip(".") + ".")
    if caller == "compare" and ours and ours[1] == "method":
        return kind(problem, "Models are compared by draws from the posterior, which lme4's fits do not have.", _ANOVA)
    if not ours or ours[1] in known:
        return kind(problem, allowed, words)
    if ours[1] in _OF_MODEL:
        return kind(problem, allowed, f"It is of the model: write sf.Model(formula, data, {ours[1]}={ours[2]}).")
    return kind(problem, allowed, f"It is of the fit: write sf.fit(model, {ours[1]}={ours[2]}).")


def _unknown(name: str, value: Any, caller: str, known: Sequence[str], error: type[SpecletError]) -> SpecletError:
    """Word what to write instead of a keyword that does not exist: another word for one that does, or the nearest."""
    ours = next((new for new in OTHER_WORDS.get(name, ()) if new in known), None)
    near = nearest(name, known)
    answer = answer_keyword(name, caller, _written(name, value))
    if ours is not None:
        remedy = f"Write {ours}={_written(ours, value)}."
    elif answer is not None:
        remedy = answer
    else:
        remedy = f"Nearest: {near}=." if near else f"Leave {name}= out."
    allowed = f"Arguments: {listed(dict.fromkeys(known), _MOST_NAMES)}." if known else "It has no arguments by name."
    return error(f"{caller}() has no argument {name}=.", allowed, remedy)


def _written(name: str, value: Any) -> str:
    """Return a value as it is written for an argument of ours; dots for what is long."""
    if name == "use_u":
        return str(value == "kept" or value is True)
    text = repr(value)
    return text if isinstance(value, str | int | float | tuple | list) and len(text) <= _LONGEST else "..."


def _miscalled(mistake: str, signature: inspect.Signature, caller: str, error: type[SpecletError]) -> SpecletError:
    """Say which arguments go by place and which by name."""
    parameters = {name: p for name, p in signature.parameters.items() if name != "self"}
    named = [f"{name}=" for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    placed = [name for name, p in parameters.items() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    others = [f"**{name}" for name, p in parameters.items() if p.kind is inspect.Parameter.VAR_KEYWORD]
    allowed = f"By place: {listed(placed) or 'none'}. By name: {listed(named or others, _MOST_NAMES) or 'none'}."
    return error(f"{caller}(): {mistake}.", allowed, _call_remedy(mistake, parameters, caller, placed, named))


def _call_remedy(
    mistake: str, parameters: Mapping[str, inspect.Parameter], caller: str, placed: list[str], named: list[str]
) -> str:
    """Say what to write instead of a call with too few arguments, or too many."""
    if "multiple values" in mistake:
        return "Give it once, by place or by name."
    if "missing" in mistake and "keyword-only" not in mistake:
        needed = [name for name in placed if parameters[name].default is inspect.Parameter.empty]
        return f"Write {caller}({', '.join(needed)})."
    if not named and any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return f"Write what comes after {placed[-1]} by name."
    if not named:
        return f"Leave out what comes after {placed[-1]}." if placed else "Leave the arguments out."
    after = f"what comes after {placed[-1]}" if placed else "the arguments"
    example = next((text for text in _EXAMPLES if text.partition("=")[0] + "=" in named), f"{named[0]}...")
    return f"Write {after} by name, for example {example}."


def public[**P, R](verb: Callable[P, R]) -> Callable[P, R]:
    """Make a public verb refuse arguments that it does not have, and those of the wrong kind.

    Returns
    -------
    callable
        Of the same name and signature; it raises a DataError. It can be pickled by its public name.
    """
    signature = inspect.signature(verb)
    kinds = [_kinds_of(verb.__name__, name, position) for position, name in enumerate(signature.parameters)]
    checked = {name: taken for name, taken in zip(signature.parameters, kinds, strict=True) if taken}
    later = [name for name in list(signature.parameters)[1:] if name in _LATER]
    known = _names(verb)
    needed = [name for name, p in signature.parameters.items() if p.default is p.empty and p.kind not in _VARIABLE]
    if len(needed) > 1:
        _NEEDING.add(verb.__name__)
    passes_on = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.parameters.values())

    @wraps(verb)
    def call(*arguments: P.args, **keywords: P.kwargs) -> R:
        for name in keywords if verb not in _ANSWERING else ():
            if name not in known and (not passes_on or any(new in known for new in OTHER_WORDS.get(name, ()))):
                raise _unknown(name, keywords[name], f"sf.{verb.__name__}", known, DataError)
        given = dict(zip(signature.parameters, arguments, strict=False)) | keywords
        for name in (name for name in checked if name in given):
            value = given[name]
            if not (_is_one_of(value, checked[name]) or (value is None and name in later)):
                first_kinds = (
                    [kind for kind in checked[name] if kind != "Mapping"] if arguments and value is arguments[0] else []
                )
                if any(_is_one_of(argument, tuple(first_kinds)) for argument in arguments[1:]):
                    raise _swapped(verb.__name__, name, value, needed)
                raise _wrong_kind(verb.__name__, name, value, checked[name])
        if verb not in _ANSWERING:
            try:
                signature.bind(*arguments, **keywords)
            except TypeError as mistake:
                error = _miscalled(str(mistake), signature, f"sf.{verb.__name__}", DataError)
                several = any(_is_one_of(argument, _FITS) for argument in arguments[1:])
                raise DataError(error.problem, error.allowed, _SEVERAL if several else error.remedy) from None
        return verb(*arguments, **keywords)

    call.__module__ = "speclet_formula"
    return call


def check_value(name: str, value: object, allowed: Sequence[object], usual: object) -> None:
    """Refuse a keyword's value that does not exist; `usual` is the one to write instead.

    Raises
    ------
    EstimateError
    """
    if not is_among(value, allowed):
        raise EstimateError(
            f"{name}={value!r} does not exist.",
            f"{name}= is one of {', '.join(map(repr, allowed))}.",
            f"Write {name}={usual!r}, or leave it out.",
        )


def is_among(value: Any, choices: Collection[object]) -> bool:
    """Tell whether a value is one of the choices, which an array, a list or a dictionary never is."""
    return isinstance(value, Hashable) and value in choices


def check_functions(functions: Any) -> None:
    """Refuse what is no dictionary of functions by the names that a formula calls.

    Raises
    ------
    DataError
        It is of another kind, or one of its values cannot be called.
    """
    if functions is None:
        return
    remedy = "For example functions={'double': double}, and double(x) in the formula."
    allowed = "It is a dictionary of the functions that the formula calls, by name."
    if not isinstance(functions, Mapping):
        raise DataError(f"functions is {kind_word(functions)}.", allowed, remedy)
    for name, function in functions.items():
        if not isinstance(name, str):
            raise DataError(f"functions has the name {name!r}, which is {kind_word(name)}.", allowed, remedy)
        if not callable(function):
            raise DataError(f"functions['{name}'] is {kind_word(function)}, not a function.", allowed, remedy)


def _offset(value: Any) -> str:
    return f"Write it into the formula: ... + offset({value if isinstance(value, str) else 'log(n)'})."


def _kinds_of(verb: str, argument: str, place: int) -> Kinds:
    """Return the kinds that an argument of a verb can have; none where anything goes."""
    return _LATER.get(argument, ()) if place else _BY_VERB.get(verb, {}).get(argument, _BY_NAME.get(argument, ()))


def _classes(value: Any) -> list[str]:
    """Return the names of a value's classes: our own, and those of the packages that are known here."""
    return [kind.__name__ for kind in type(value).__mro__ if kind.__module__.partition(".")[0] in _PACKAGES]


def _is_one_of(value: Any, kinds: Kinds) -> bool:
    return any(name in kinds for name in _classes(value)) or ("Mapping" in kinds and isinstance(value, Mapping))


def _wrong_kind(verb: str, argument: str, value: Any, kinds: Kinds) -> DataError:
    """Word what a verb was given, what it takes, and what to write."""
    words = dict.fromkeys(_WORDS[kind] for kind in kinds if kind in _WORDS)
    return DataError(
        f"sf.{verb}(): {argument} is {kind_word(value)}.",
        f"It is {' or '.join(words)}.",
        _remedy(verb, argument, value, kinds),
    )


def _swapped(verb: str, argument: str, value: Any, needed: Sequence[str]) -> DataError:
    """Word the error of arguments in another order."""
    return DataError(
        f"sf.{verb}(): {argument} is {kind_word(value)}.",
        f"{argument} comes first, by place.",
        f"Write sf.{verb}({', '.join(needed)}).",
    )


def kind_word(value: Any) -> str:
    """Return a value's type with its article: "a str"."""
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _remedy(verb: str, argument: str, value: Any, kinds: Kinds) -> str:
    """Say how to get from what was given to what is taken."""
    wanted, names = kinds[0], _classes(value)
    if wanted == "Mapping":
        truth = f"Write {argument}={{'Intercept': 1.0, 'sigma': 0.5}}, a number for each parameter."
        return "Write at={'x': [0, 1]}, the values of each variable." if argument == "at" else truth
    if wanted == "Path":
        kept = "Give the name under which sf.save kept the fit."
        return (
            kept if verb == "load" else "Write the name of a file as text; several fits go into a list or a dictionary."
        )
    if wanted == "Fit":
        return _to_fit(verb, value, names)
    if "Model" in names and wanted in _FROM_MODEL:
        return f"Write sf.{verb}({_FROM_MODEL[wanted]}{_more(verb)})."
    if not any(name in _FITS for name in names):
        made = _FROM_NOTHING.get(wanted) or ("screen.table" if "Screen" in names and verb in _OF_ROWS else None)
        fitted = f", with {_SCREEN_FIT}." if "Screen" in names else _WITH.get(_source(verb, wanted), " with a fit.")
        return f"Write sf.{verb}({made or _source(verb, wanted)}{_more(verb)})" + ("." if made else fitted)
    return f"Write sf.{verb}({_source(verb, wanted)}{_more(verb)})."


def _source(verb: str, wanted: str) -> str:
    """Return the call that makes what is wanted from a fit."""
    if verb in _OF_ROWS:
        return "screen.table"
    return "sf.effect_matrix(fit, 'gene', 'cell_line')" if verb == "plot_matrix" else _FROM_FIT[wanted]


def _more(verb: str) -> str:
    """Return dots where the verb needs more than its first argument."""
    return ", ..." if verb in _NEEDING else ""


def _to_fit(verb: str, value: Any, names: list[str]) -> str:
    """Say how to get a fit."""
    if "Model" in names:
        return f"Fit it first: fit = sf.fit(model), then sf.{verb}(fit{_more(verb)})."
    if "GroupedFits" in names:
        return f"Give one of its fits, or all in turn: [sf.{verb}(fit{_more(verb)}) for fit in found.fits.values()]."
    if "Screen" in names:
        return f"Fit a model first: {_SCREEN_FIT}, then sf.{verb}(fit{_more(verb)})."
    if isinstance(value, list | tuple | Mapping):
        each = "fits.values()" if isinstance(value, Mapping) else "fits"
        return f"Give one fit at a time: [sf.{verb}(fit{_more(verb)}) for fit in {each}]."
    return f"Fit a model first: fit = sf.lmer('y ~ x + (1 | g)', data), then sf.{verb}(fit{_more(verb)})."


ANSWERS: Mapping[str, Answer] = {
    "REML": (
        SamplingError,
        "The engine is chosen by method=: 'reml' and 'ml' are lme4's fits, the others draw from the posterior.",
        lambda value: f"Write method='{'reml' if value else 'ml'}'.",
    ),
    "offset": (FormulaError, "An offset is a term of the formula.", _offset),
    "control": (
        SamplingError,
        "There is no optimiser to tune: 'reml' and 'ml' find the maximum by themselves, the samplers take draws=, "
        "tune=, chains= and target_accept=.",
        lambda _: "Leave control= out.",
    ),
    "start": (
        SamplingError,
        "Every engine finds its own start.",
        lambda _: "Leave start= out; what is known beforehand goes into priors=.",
    ),
    "na_action": (
        DataError,
        "missing='error' refuses rows with missing values, missing='drop' leaves them out and counts them.",
        lambda value: "Write missing='error'." if "fail" in str(value) else "Write missing='drop'.",
    ),
    "subset": (
        DataError,
        "All rows of the table are fitted.",
        lambda _: "Choose the rows first, for example data[data['dose'] > 0], and give the result as the data.",
    ),
    "contrasts": (
        FormulaError,
        "Factors are coded in the formula, C(f, sum), or by contrasts= of Model, lmer, glmer, compare and update.",
        lambda value: f"Write contrasts={value!r}.",
    ),
    "nAGQ": (
        SamplingError,
        "nAGQ= counts the nodes of quadrature of method='laplace'; 1 is Laplace's approximation.",
        lambda _: "Write method='laplace'.",
    ),
    "verbose": (
        SamplingError,
        "progress= shows or hides the progress bar.",
        lambda value: f"Write progress={bool(value)}.",
    ),
    "seed": (SamplingError, "random_seed= makes the draws repeatable.", lambda value: f"Write random_seed={value!r}."),
    "iter": (
        SamplingError,
        "draws= are kept, tune= are for adapting; brms' iter is their sum.",
        lambda value: f"Write draws={value // 2}, tune={value // 2}." if type(value) is int else "Write draws=, tune=.",
    ),
    "warmup": (SamplingError, "tune= draws are for adapting.", lambda value: f"Write tune={value!r}."),
    "adapt_delta": (
        SamplingError,
        "target_accept= is the acceptance rate that nuts adapts to.",
        lambda value: f"Write target_accept={value!r}.",
    ),
    "prior": (
        SamplingError,
        "priors= takes a dictionary by slot, a preset's name or a TOML file.",
        lambda _: "Write priors=.",
    ),
    "family": (
        DataError,
        "lmer is for a gaussian response.",
        lambda value: f"Write glmer(formula, data, family={value if isinstance(value, str) else 'poisson'!r}).",
    ),
    "link": (DataError, "lmer has the identity link.", lambda _: "Write glmer(formula, data, family=..., link=...)."),
}  # fmt: skip
# What the first argument is by its name, where the verb is not named below.
_BY_NAME: Mapping[str, Kinds] = {
    "fit": _FITS, "model": ("Model",), "means": ("Means",), "comparison": ("Comparison",), "recovery": ("Recovery",),
    "recoveries": ("Recoveries", "Mapping"), "check": ("Predictive",), "separation": ("Separation",),
    "calls": ("GeneCalls",), "screen": ("Screen",), "quality": ("ScreenQuality",), "plan": ("ScreenPlan",),
    "study": ("Study",), "calibration": ("Calibration",), "influence": ("Influence",), "boot": ("Bootstrap",),
    "table": _TABLE,
    "effects": _TABLE, "matrix": _TABLE,
}  # fmt: skip
_LATER: Mapping[str, Kinds] = {"truth": _MAPPING, "at": _MAPPING, "path": ("Path", "str")}  # arguments at other places
_BY_VERB: Mapping[str, Mapping[str, Kinds]] = {
    "plot_pareto_k": {"estimate": (*_FITS, "ELPDData")}, "glance": {"fit": (*_FITS, "Mapping")},
    "recover": {"fit": (*_FITS, "Mapping")}, "confint": {"fit": (*_FITS, "Bootstrap")},
    "refit": {"fit": (*_FITS, "Model")}, "update": {"fit": (*_FITS, "Model", *_TEXTS)},
    "explain": {"formula": _TEXTS}, "equation": {"formula": (*_TEXTS, "Model")},
    "spelling": {"formula": (*_TEXTS, "Model")}, "load": {"path": ("Path", "str")},
    "diagnose": {"fit": ()}, "from_bambi": {"model": ()}, "call_genes": {"table": (*_TABLE, *_FITS)},
}  # fmt: skip
_WORDS: Mapping[str, str] = {
    "Fit": "a fit", "Model": "a Model", "Means": "what sf.marginal_means returns",
    "Comparison": "what sf.compare returns", "Recovery": "what sf.recover returns for one fit",
    "Recoveries": "what sf.recover returns for several fits", "ELPDData": "what sf.loo returns",
    "Predictive": "what sf.prior_predictive or sf.posterior_predictive returns", "Formula": "a formula",
    "Separation": "what sf.control_separation returns", "Study": "what sf.study returns",
    "Calibration": "what sf.calibrate returns", "Influence": "what sf.influence returns",
    "GeneCalls": "what sf.call_genes returns", "Screen": "what sf.read_screen or sf.read_fold_changes returns",
    "ScreenQuality": "what sf.screen_quality returns", "ScreenPlan": "what sf.plan_screen returns",
    "Bootstrap": "what sf.bootstrap returns", "DataFrame": "a pandas DataFrame",
    "Path": "the name of a file or folder", "Mapping": "a dictionary",
}  # fmt: skip
_OF_SCREENS: Mapping[str, str] = {
    "Screen": "sf.read_screen('counts.txt')", "ScreenPlan": "sf.plan_screen()",
    "ScreenQuality": "sf.screen_quality(sf.read_screen('counts.txt'))",
}  # fmt: skip
_FROM_NOTHING: Mapping[str, str] = {
    "Model": "sf.Model('y ~ x + (1 | g)', data)", "Formula": "'y ~ x + (1 | g)'", **_OF_SCREENS,
}  # fmt: skip
# How a fit becomes what is expected; of tables this depends on the verb.
_FROM_FIT: Mapping[str, str] = {
    **_OF_SCREENS,
    "Model": "fit.model", "Means": "sf.marginal_means(fit, 'treatment')", "Recovery": "sf.recover(fit, truth)",
    "Comparison": "sf.compare({'first': fit, 'second': other})", "Predictive": "sf.posterior_predictive(fit)",
    "Recoveries": "sf.recover({'first': fit, 'second': other}, truth)", "Formula": "fit.model.formula",
    "Influence": "sf.influence(fit)",
    "Study": "sf.study(fit.model.formula, data, truth)", "Calibration": "sf.calibrate(fit.model.formula, data)",
    "Bootstrap": "sf.bootstrap(fit)", "GeneCalls": "sf.call_genes(fit.model.data)",
    "Separation": "sf.control_separation(sf.rank_genes(fit))", "DataFrame": "sf.rank_genes(fit)",
}  # fmt: skip
_FROM_MODEL: Mapping[str, str] = {"Predictive": "sf.prior_predictive(model)", "Formula": "model.formula"}
# Other words for our arguments, of other packages or of earlier versions; the first that a verb has is meant.
OTHER_WORDS: Mapping[str, tuple[str, ...]] = {
    old: tuple(news.split())
    for olds, news in {
        "by": "group", "workers n_jobs num_workers mc_cores n_cores": "cores", "rows": "observations chunksize",
        "chunk_size batch_size": "chunksize", "design layout table df dataset frame": "data newdata",
        "data new_data newData X": "newdata", "params newparams true_values": "truth", "parameters": "truth parameter",
        "n_sims sims nsims n_sim n R B": "nsim", "fitted": "fit fitted_formula", "object model m": "fit",
        "response y new_response": "newresp", "change new formula_": "formula", "score column": "value",
        "effects": "use_u table", "use_re": "use_u", "level conf_level prob ci hdi_prob mass credible_mass cred_mass":
        "ci_prob", "ci_method ci_type": "ci_kind", "seed rng random_state rng_seed": "random_seed",
        "ndraws n_draws num_samples n_samples": "draws", "n_chains": "chains", "re_formula": "re_form",
        "allow_new": "allow_new_levels", "kind": "type ci_kind method", "scale": "type",
        "K folds n_folds n_splits": "k", "dpar": "parameter", "filename file output out": "path", "engine": "method",
        "verbose progressbar show_progress": "progress", "ref": "reference", "variable variables factors": "specs var",
        "factor grouping": "group", "lme4 REML": "reml", "ddf lmer_df mode": "df",
    }.items()
    for old in olds.split()
}  # fmt: skip
