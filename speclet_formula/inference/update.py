"""A formula, a model or a fit changed by R's `. ~ . - x`.

What the change means is left to `formula`, the fit to `fit`.
"""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, overload

from speclet_formula.common.arguments import check_functions, unknown_keyword
from speclet_formula.design.level_matrices import given_matrices
from speclet_formula.formula.contrasts import changed_formula
from speclet_formula.formula.parse import joined_text, parse_formula
from speclet_formula.formula.terms import Formula
from speclet_formula.inference.datatree import nodes_of, settings_of
from speclet_formula.inference.fit import fit as fit_model
from speclet_formula.model import Model, replace_parts
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.draws import draws_of
from speclet_formula.priors import PRESETS, Slot, resolve_priors
from speclet_formula.priors.slots import DEFAULT_PRESET

_OF_MODEL = ("family", "link", "priors", "weights", "missing", "functions", "contrasts", "matrices")
_OF_FIT = tuple(inspect.signature(fit_model).parameters)[1:]


@overload
def update(fit: Fit | PointFit, formula: str = ". ~ .", data: Any = None, **changes: Any) -> Fit | PointFit: ...


@overload
def update(fit: Model, formula: str = ". ~ .", data: Any = None, **changes: Any) -> Model: ...


@overload
def update(fit: str | Formula, formula: str = ". ~ .", data: Any = None, **changes: Any) -> Formula: ...


def update(
    fit: Fit | PointFit | Model | str | Formula, formula: str = ". ~ .", data: Any = None, **changes: Any
) -> Fit | PointFit | Model | Formula:
    """Change a model's formula, data or settings and fit it again: R's `update`.

    Parameters
    ----------
    fit : Fit, PointFit, Model, Formula or str
        What to change.
    formula : str
        The new formula, in which ``.`` stands for the old one's side of the ``~``: ``". ~ . - cn"``,
        ``". ~ . - (1 | gene) + x:z"``, ``"log(.) ~ ."``. ``"~ . + x"`` keeps the response. Group terms are taken away
        by what they mean, so that ``- (cn | gene)`` takes ``(1 + cn | gene)``. Next to ``*``, ``:`` and ``^``, ``.`` is
        the fixed terms, and the group terms stay as they are. A factor
        that the old formula codes, ``C(f, sum)``, is there under its plain name and keeps its coding:
        ``". ~ . + f:x"``. The formulas of the family's parameters stay unless they are named:
        ``". ~ .; sigma ~ . + x"``.
    data : table, optional
        Another table; by default the same.
    **changes
        New settings, as in `Model` (`family`, `link`, `priors`, `weights`, `missing`, `functions`, `contrasts`,
        `matrices`) and for a fit as in `fit` (`method`, `draws`, `random_seed`, ...). Matrices join those that are
        there; one of the same name takes its place.

    Returns
    -------
    Fit, PointFit, Model or Formula
        Of the kind that was given; a Formula from a text. What is not changed is as before: family, link, weights,
        functions, matrices, the preset of the priors (scaled to the new columns and rows) and the user's own priors of
        all terms that are still there; of a fit `method` (with "auto" in place of "exact"), `draws`, `tune`, `chains`,
        `target_accept`, `sampler` and `keep`, but not `random_seed`, `cores` and `progress`. Another family has its
        usual link. Rows with missing values are left out if some were.

    Raises
    ------
    FormulaError
        The change is no formula, or takes away what is not there (R says nothing then).
    DataError, PriorError, SamplingError
        As `Model` and `fit`; SamplingError also for a setting that does not exist.

    Notes
    -----
    R reads the old formula's text: there ``update(y ~ 1 + x, . ~ 0 + .)`` has an intercept, and without the 1 it has
    none. Here it has none in both.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> print(sf.update("log_fc ~ cn + (1 | gene)", ". ~ . - cn"))
    log_fc ~ 1 + (1 | gene)
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, method="ml")
    >>> print(sf.update(fit, ". ~ . - (1 | gene)").model.formula)
    log_fc ~ 1 + (1 | cell_line)
    """
    if isinstance(fit, Model):
        _check_settings(changes, _OF_MODEL, "a model")
        return _updated_model(fit, formula, data, changes)
    if isinstance(fit, Fit | PointFit):
        _check_settings(changes, (*_OF_MODEL, *_OF_FIT), "a fit")
        of_model = {name: value for name, value in changes.items() if name in _OF_MODEL}
        of_fit = {name: value for name, value in changes.items() if name in _OF_FIT}
        model = _updated_model(fit.model, formula, data, of_model)
        again: Fit | PointFit = fit_model(model, **(_settings(fit, model, of_fit.get("method")) | of_fit))
        return again
    _check_settings(changes | ({} if data is None else {"data": data}), ("functions",), "a formula")
    check_functions(changes.get("functions"))
    functions = tuple(changes.get("functions") or ())
    former = fit if isinstance(fit, Formula) else parse_formula(joined_text(fit), functions=functions)
    return changed_formula(formula, former, functions=functions)


def _check_settings(changes: Mapping[str, Any], known: tuple[str, ...], kind: str) -> None:
    """Refuse a setting that what is updated does not have."""
    for name, value in changes.items():
        if name not in known:
            answer = unknown_keyword(name, value, "update", known)
            raise type(answer)(
                f"update() of {kind} has no argument {name}=.",
                f"Arguments: {', '.join(('data', *known) if kind != 'a formula' else known)}.",
                answer.remedy,
            )


def _updated_model(model: Model, formula: str, data: Any, changes: Mapping[str, Any]) -> Model:
    """Return the model of the changed formula, with the priors that still have a place."""
    settings: dict[str, Any] = {
        "family": model.family.name,
        "link": None if changes.get("family", model.family.name) != model.family.name else model.family.link,
        "priors": _preset(model),
        "weights": model.weights,
        "missing": "drop" if model.n_dropped else "error",
        "functions": model.functions,
    } | dict(changes)
    settings["matrices"] = model.matrices | given_matrices(changes.get("matrices"))
    check_functions(settings["functions"])
    named = {"functions": tuple(settings["functions"] or ()), "contrasts": settings.pop("contrasts", None)}
    new_formula = changed_formula(formula, model.formula, **named)
    # Under the labels of the first table, so that new weights are matched with its rows.
    changed = Model(new_formula, model.data.set_axis(model.index) if data is None else data, **settings)
    return changed if "priors" in changes else replace_parts(changed, slots=_kept_priors(model, changed))


def _preset(model: Model) -> str:
    """Return the preset that the model's own priors change."""
    return next((slot.source for slot in model.slots if slot.source in PRESETS), DEFAULT_PRESET)


def _kept_priors(model: Model, changed: Model) -> tuple[Slot, ...]:
    """Return the slots of the changed model with the user's priors of the first, where the slot is still there."""
    fresh = {slot.slot: slot for slot in changed.slots}
    own = {slot.slot: slot for slot in model.slots if slot.source not in PRESETS and slot.slot in fresh}
    if not own:
        return changed.slots
    resolved = resolve_priors(
        changed.design,
        family=changed.family,
        priors={"preset": _preset(model)} | {name: slot.prior for name, slot in own.items()},
    )
    return tuple(replace(slot, source=own[slot.slot].source) if slot.slot in own else slot for slot in resolved)


def _settings(fit: Fit | PointFit, model: Model, method: str | None) -> dict[str, Any]:
    """Return how a fit was made, as far as it serves the changed model, and the new method if there is one."""
    if isinstance(fit, PointFit):
        return {"method": fit.method} | ({"nAGQ": nodes_of(fit)} if method in (None, fit.method) else {})
    draws, blocks = draws_of(fit), fit.model.design.blocks
    kept = {block.group for block in blocks if all(slot in draws for slot in block.slots)}
    new = dict.fromkeys(block.group for block in model.design.blocks)
    lost = {block.group for block in blocks} - kept
    method = "auto" if fit.method == "exact" else fit.method
    return {
        "method": method,
        **settings_of(fit, method),
        "keep": tuple(group for group in new if group not in lost) if lost else None,
    }
