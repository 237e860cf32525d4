"""The Model that means the same as a bambi.Model, or the error that says what cannot be read.

Formula and priors are read in `counterparts`. Here they are put together, and every column is compared with
Bambi's own, so that nothing is read as something else.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import bambi
import numpy as np
import pandas as pd
from bambi.backend.utils import noncentered_default_for
from bambi.defaults.families import BUILTIN_FAMILIES

from speclet_formula.design import Design, FixedTerm, GroupBlock
from speclet_formula.design.design import Predictor
from speclet_formula.design.fixed import spelled
from speclet_formula.errors import DataError, FormulaError, PriorError
from speclet_formula.families import is_ordinal, is_unordered, parameter_link, resolve_family
from speclet_formula.formula.terms import columns_of, text_of
from speclet_formula.inference.translation.counterparts import (
    Reading,
    ReadSide,
    of_level,
    read_response,
    read_side,
    stated_group_priors,
    stated_prior,
    stated_thresholds,
)
from speclet_formula.inference.translation.to_bambi import TranslatedModel
from speclet_formula.model import Model
from speclet_formula.priors import Prior

_CLOSE = 1e-9  # of columns that are computed twice, in units of their largest value


def from_bambi(model: bambi.Model) -> Model:
    """Read a Bambi model.

    Parameters
    ----------
    model : bambi.Model
        Built or not, fitted or not.

    Returns
    -------
    Model
        Of the same data, formulas, family and link. Every prior is stated as it is there, Bambi's defaults with their
        numbers. A model that `to_bambi` made gives back the Model that it was made from.

        Group terms are uncorrelated in Bambi: its ``(x | g)`` comes over as ``(1 + x || g)``. ``p(s, n)`` is
        ``cbind(s, n - s)``, ``counts(a, b, c)`` ``cbind(a, b, c)``; ``C(x)`` is ``factor(x)``, ``C(x, Sum)``
        ``C(x, sum)``, ``C(x, Treatment("b"))`` ``relevel(x, "b")``; ``scale(x)`` states its mean and SD, since Bambi's
        divides by n where R's divides by n - 1; other functions come along in `functions`. Categories without an order
        get Bambi's, the alphabet's, and so keep its reference level. Aliases are left behind. Levels of ``(1 | a:b)``
        without a row, which Bambi builds, are left out: nothing depends on them. Each level of a categorical response
        has slots of its own, with the prior that Bambi has for all of them.

    Raises
    ------
    FormulaError
        A term has no counterpart here (a Gaussian process of two variables or with by=, a weighted response), or its
        columns would come out otherwise than in Bambi.
    DataError
        `model` is no Bambi model, or its family is none of this package's.
    PriorError
        A prior has no counterpart here: a parameter that is fixed, group effects that are not Normal, a distribution
        that is none of this package's, potentials, or the prior of an intercept where predictors are zero rather than
        at their means (``center_predictors=False``; Bambi's thresholds).

    Examples
    --------
    >>> import bambi
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> print(sf.from_bambi(bambi.Model("log_fc ~ (1|gene) + (1|cell_line)", data)).formula)
    log_fc ~ 1 + (1 | gene) + (1 | cell_line)
    """
    if not isinstance(model, bambi.Model):
        raise DataError(
            f"a {type(model).__name__} is not a Bambi model.",
            "from_bambi reads a bambi.Model, built or not.",
            "Write sf.from_bambi(bambi.Model(formula, data)).",
        )
    if isinstance(model, TranslatedModel):
        return _origin(model)
    _check_family(model)
    _check_extras(model)
    reading = Reading(frozenset(map(str, model.data.columns)), {})
    read = _read_sides(model, reading)
    data = _data(model, {name for predictor in read.values() for name in columns_of(predictor.formula)})
    settings: dict[str, Any] = {
        "family": model.family.name,
        "link": model.family.link[model.family.likelihood.parent].name,
        "missing": "drop" if model.dropna else "error",
        "functions": reading.functions,
    }
    text = "; ".join(
        text_of(predictor.formula) if predictor.formula.response is not None else f"{name} {text_of(predictor.formula)}"
        for name, predictor in read.items()
    )
    same = Model(text, data, **settings)
    _check_same(model, same, read)
    return Model(text, data, **settings, priors=_priors(model, same, read))


def _origin(model: TranslatedModel) -> Model:
    """Return the Model that a translation was made from, unless its priors were changed since."""
    if model._added_priors:
        raise PriorError(
            "the priors of this Bambi model were changed with set_priors after to_bambi had made it.",
            "A model that to_bambi made reads back as the Model that it was made from, with that Model's priors.",
            "Give the priors to the Model: sf.Model(formula, data, priors={...}).",
        )
    return model.origin


def _check_family(model: bambi.Model) -> None:
    """Refuse families that are not Bambi's own, or that are none of this package's."""
    family = model.family
    known = BUILTIN_FAMILIES.get(family.name)
    if known is None or type(family) is not known["family"] or family.likelihood.dist is not None:
        raise DataError(
            f"the family '{family.name}' of the Bambi model is a custom one.",
            "Families that Bambi has by name can be read: 'gaussian', 'poisson', ...",
            "Fit the Bambi model itself, or choose one of them: bambi.Model(..., family='gaussian').",
        )
    own = resolve_family(family.name, family.link[family.likelihood.parent].name)
    for name in model.conditional_parameters:
        link = family.link[name].name
        if name != own.parent and link != parameter_link(own, name):
            raise DataError(
                f"'{name}' has the link '{link}' in the Bambi model.",
                f"The formula of '{name}' is on the {parameter_link(own, name)} scale here.",
                f"Leave {name}'s link out in Bambi, or fit the Bambi model itself.",
            )


def _check_extras(model: bambi.Model) -> None:
    if model.potentials:
        raise PriorError(
            f"the Bambi model has potentials: {len(model.potentials)}.",
            "A model here has a prior for each of its parameters, and no other factors.",
            "Leave potentials= out, or fit the Bambi model itself.",
        )


def _data(model: bambi.Model, used: set[str]) -> pd.DataFrame:
    """Return the table, with the orders that Bambi gives to categories which have none."""
    data = model.data.copy()
    for name in used:
        kind = data[name].dtype
        if isinstance(kind, pd.CategoricalDtype) and not kind.ordered:
            data[name] = data[name].cat.reorder_categories(sorted(kind.categories))
    response = model.response_term
    column = response.term.components[0].name
    if response.categorical and is_ordinal(resolve_family(model.family.name)):
        data[column] = data[column].cat.as_ordered()
    elif is_unordered(resolve_family(model.family.name)):
        pass
    elif response.categorical and column in data:  # Bambi counts the first level, R all but the first
        levels = [level for level in pd.unique(data[column].dropna()) if level != response.success]
        data[column] = pd.Categorical(data[column], categories=[*levels, response.success])
    return data


def _read_sides(model: bambi.Model, reading: Reading) -> dict[str, ReadSide]:
    """Read the linear predictors by the parameter's name, the mean's first."""
    parent = model.family.likelihood.parent
    ordinal = is_ordinal(resolve_family(model.family.name))
    read = {}
    for name, component in model.conditional_parameters.items():
        predictor = read_side(component, read_response(model, reading) if name == parent else None, reading)
        # Thresholds take the intercept's place: formulas of ordered levels have one in R.
        read[name] = replace(predictor, formula=replace(predictor.formula, intercept=True)) if ordinal else predictor
    return read


def _predictors(
    model: bambi.Model, same: Model, read: Mapping[str, ReadSide]
) -> Iterator[tuple[Any, Predictor, ReadSide]]:
    """Yield Bambi's component, the linear predictor here and what was read, for each of them."""
    parent = model.family.likelihood.parent
    if same.design.is_per_level:  # which have one formula in Bambi
        for predictor in same.design.predictors:
            yield model.conditional_parameters[parent], predictor, read[parent]
        return
    own = {predictor.name or parent: predictor for predictor in same.design.predictors}
    for name, component in model.conditional_parameters.items():
        yield component, own[name], read[name]


def _spelled(predictor: Predictor, name: str) -> str:
    """Return a term's name in the formula of a parameter: "sigma_x"."""
    return f"{predictor.prefix}{name}"


def _fixed_terms(predictor: Predictor) -> dict[str, FixedTerm]:
    """Return the fixed terms but the intercept by what their formula calls them, without any back-quotes."""
    part = predictor.recipe.fixed
    records = part.terms[len(part.terms) - len(part.coded) :]
    names = (_spelled(predictor, ":".join(spelled(one.factor) for one in coded)) for coded in part.coded)
    return dict(zip(names, records, strict=True))


def _check_same(model: bambi.Model, same: Model, read: Mapping[str, ReadSide]) -> None:
    """Compare what came out with Bambi's own arrays."""
    _check_response(model, same.design)
    for component, predictor, words in _predictors(model, same, read):
        fixed = _fixed_terms(predictor)
        for name, spelling in words.fixed.items():
            term = fixed.pop(_spelled(predictor, spelling), None)
            _require(
                term is not None and _equal(component.terms[name].data, predictor.X[:, term.start : term.stop]), name
            )
        for spelling in fixed:
            _require(False, spelling)
        offsets = sum((np.asarray(part.data, dtype=float).ravel() for part in component.offset_terms.values()), 0.0)
        _require(_equal(offsets + np.zeros(len(predictor.offset)), predictor.offset), "offset")
        for name, label in words.processes.items():
            _require(_has_box(component.terms[name], _process_of(predictor, label)), name)
        for name in words.groups:
            part = component.terms[name]
            block, columns = _columns_of(predictor, words, name)
            _require(_equal(part.predictor, block.values[:, columns]), name)
            _require(_same_groups(np.asarray(part.group_index), block.codes), name)


def _check_response(model: bambi.Model, design: Design) -> None:
    theirs = np.asarray(model.response_term.data, dtype=float)
    ours = [design.response]
    if design.trials is not None and not design.is_per_level:
        ours.append(design.trials)
    if design.limits is not None:
        ours += [design.limits.lower, design.limits.upper] if design.limits.status is None else [design.limits.status]
    _require(_equal(np.nan_to_num(theirs), np.nan_to_num(np.column_stack(ours))), model.response_term.name)


def _columns_of(predictor: Predictor, words: ReadSide, name: str) -> tuple[GroupBlock, list[int]]:
    """Return the block that has a group term of Bambi's, and which of its columns are that term's."""
    effect, group = words.groups[name]
    for block, part in zip(predictor.groups, predictor.recipe.blocks, strict=True):
        places = [range(term.start, term.stop) for term in part.terms if term.name.removeprefix(block.prefix) == effect]
        if block.group == group and places:
            return block, list(places[0])
    raise _otherwise(name)


def _process_of(predictor: Predictor, label: str) -> GroupBlock:
    return next(block for block in predictor.smooths if block.label == label)


def _has_box(part: Any, block: GroupBlock) -> bool:
    """Tell whether a Gaussian process has a box of the same width, whose middle is PyMC's own."""
    assert block.structure is not None
    return bool(np.isclose(float(np.ravel(part.L)[0]), block.structure.reach, rtol=_CLOSE, atol=0))


def _equal(theirs: Any, ours: np.ndarray) -> bool:
    """Tell whether two sets of columns agree, whatever the shape of a single one."""
    left, right = (np.asarray(values, dtype=float).reshape(len(values), -1) for values in (theirs, ours))
    scale = np.abs(right[np.isfinite(right)]).max(initial=1.0)
    return left.shape == right.shape and bool(np.allclose(left, right, rtol=0, atol=_CLOSE * scale))


def _same_groups(theirs: np.ndarray, ours: np.ndarray) -> bool:
    """Tell whether two codings part the rows alike."""
    pairs = len(np.unique(np.column_stack([theirs, ours]), axis=0))
    return len(theirs) == len(ours) and pairs == len(np.unique(theirs)) == len(np.unique(ours))


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise _otherwise(name)


def _otherwise(name: str) -> FormulaError:
    return FormulaError(
        f"'{name}' of the Bambi model would have other columns here.",
        "A Bambi model is read if all its columns come out the same from the formula in R's grammar.",
        "Make the columns in the table first and name them in the formula, or fit the Bambi model itself.",
    )


def _priors(model: bambi.Model, same: Model, read: Mapping[str, ReadSide]) -> dict[str, Prior]:
    """Return the prior of every slot."""
    priors = {
        name: (stated_thresholds if name == "threshold" else stated_prior)(component.prior, name)
        for name, component in model.marginal_parameters.items()
    }
    for level, (component, predictor, words) in enumerate(_predictors(model, same, read)):
        own = partial(of_level, level=level if same.design.is_per_level else None)
        if component.intercept_term is not None:
            name = component.intercept_term.name
            priors[_spelled(predictor, "Intercept")] = stated_prior(own(component.intercept_term.prior), name)
        _check_centred(
            model, same.design, predictor, priors.get(_spelled(predictor, "Intercept"), priors.get("threshold"))
        )
        fixed = _fixed_terms(predictor)
        priors |= {
            fixed[_spelled(predictor, spelling)].name: stated_prior(own(component.terms[name].prior), name)
            for name, spelling in words.fixed.items()
        }
        for name, label in words.processes.items():
            block, stated = _process_of(predictor, label), component.terms[name].prior
            sd, length = (stated_prior(stated[part], f"{name}_{part}") for part in ("sigma", "ell"))
            priors |= {block.slots[0]: Prior("Normal", mu=0, sigma=sd), block.length_scale: length}
        for name in words.groups:
            block, columns = _columns_of(predictor, words, name)
            default = bool(noncentered_default_for(model, component.name))
            stated = stated_group_priors(own(component.terms[name].prior), name, len(columns), noncentered=default)
            priors |= dict(zip((block.slots[column] for column in columns), stated, strict=True))
    return priors


def _check_centred(model: bambi.Model, design: Design, predictor: Predictor, prior: Prior | None) -> None:
    """Refuse a prior of an intercept that holds where the predictors are zero, unless they are zero on average."""
    ordinal = bool(design.levels) and not predictor.name
    if prior is None or prior.name == "Flat" or (model.center_predictors and not ordinal):
        return
    places = [column for term in predictor.fixed if term.kind != "intercept" for column in range(term.start, term.stop)]
    X = predictor.X[:, places]
    if not np.any(np.abs(X.mean(axis=0)) > _CLOSE * np.abs(X).max(initial=1.0)):
        return
    what = "thresholds" if ordinal else "the intercept"
    raise PriorError(
        f"the Bambi model's prior of {what}, {prior}, holds where the predictors are zero.",
        f"Here {what} {'have' if ordinal else 'has'} a prior at the predictors' means.",
        "Centre the predictors in the Bambi model's formula, center(x)"
        + ("." if ordinal else ", or leave center_predictors=False out."),
    )
