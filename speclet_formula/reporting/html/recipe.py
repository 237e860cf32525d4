"""A fit goes in; the code that makes it again comes out: model, priors, levels, engine, draws and seed.

What no code can hold is said in a comment: arrays of weights, functions of the user's own.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pandas.api.types import is_numeric_dtype

from speclet_formula.design.records import sides
from speclet_formula.formula.terms import text_of
from speclet_formula.inference.plans import seed_of, settings_of
from speclet_formula.posterior.points import interval_of
from speclet_formula.priors import PRESETS

if TYPE_CHECKING:
    from speclet_formula.model import Model
    from speclet_formula.posterior import Fit

MOST_LEVELS = 30  # of a factor that are written out


def recipe(fit: "Fit", random_seed: int | None = None) -> str:
    """Write the code that fits a model again.

    Parameters
    ----------
    fit : Fit
    random_seed : int, optional
        The seed, where the fit does not know its own.

    Returns
    -------
    str
        Python, to be run where `data` is the table.
    """
    seed = seed_of(fit.idata)
    seed = random_seed if seed is None else seed
    settings: dict[str, Any] = {"method": fit.method, **settings_of(fit.idata, fit.method)}
    kept = _kept(fit)
    settings |= {} if kept is None else {"keep": kept}
    settings |= {} if seed is None else {"random_seed": seed}
    written = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    unknown = [] if seed is not None else ["# its seed is not known: other draws of the same posterior"]
    levels, arguments = list(_levels(fit.model)), list(_arguments(fit.model))
    return "\n".join([
        *(["import pandas"] if any("pandas." in line for line in levels) else []), "import speclet_formula as sf",
        *(["from speclet_formula import Prior"] if "Prior(" in arguments[-1] else []), "",
        *levels, *_comments(fit.model), "model = sf.Model(", *(f"    {line}," for line in arguments), ")",
        *unknown, f"fit = sf.fit(model, {written})", f"# tables show the {interval_of(fit)}",
    ])  # fmt: skip


def _arguments(model: "Model") -> Iterator[str]:
    """Return the arguments of the model, a line each."""
    yield repr(text_of(model.formula))
    yield "data"
    yield f"family={model.family.name!r}, link={model.family.link!r}"
    if isinstance(model.weights, str):
        yield f"weights={model.weights!r}"
    if model.n_dropped:
        yield "missing='drop'"
    preset = next((slot.source for slot in model.slots if slot.source in PRESETS), None)
    stated = [slot for slot in model.slots if slot.source not in PRESETS]
    if preset is not None or stated:
        entries = [f"'preset': {preset!r}"] if preset is not None else []
        entries += [f"{slot.slot!r}: {slot.prior!r}" for slot in stated]
        yield f"priors={{{', '.join(entries)}}}"


def _levels(model: "Model") -> Iterator[str]:
    """State the order of levels that is not that of sorting, which says what coefficients are compared with."""
    for name, levels in dict(pair for side in sides(model.design) for pair in side.recipe.levels.items()).items():
        if list(levels) == sorted(levels) or name not in model.data or is_numeric_dtype(model.data[name].dtype):
            continue
        if len(levels) > MOST_LEVELS:
            yield f"# data[{name!r}] is a Categorical of {len(levels):,} levels in an order of its own"
        else:
            ordered = ", ordered=True" if levels == model.design.levels else ""
            yield f"data[{name!r}] = pandas.Categorical(data[{name!r}].astype(str), {list(levels)!r}{ordered})"


def _comments(model: "Model") -> Iterator[str]:
    """Say what the code cannot hold."""
    if model.weights is not None and not isinstance(model.weights, str):
        yield "# weights= was an array: hand it over to Model"
    if model.functions:
        yield f"# functions= of your own: {', '.join(model.functions)}"


def _kept(fit: "Fit") -> tuple[str, ...] | None:
    """Return the factors whose effects were kept; None for all."""
    posterior = fit.idata["posterior"]
    blocks = [block for side in sides(fit.model.design) for block in side.groups]
    kept = [block.group for block in blocks if all(slot in posterior for slot in block.slots)]
    return None if len(kept) == len(blocks) else tuple(dict.fromkeys(kept))
