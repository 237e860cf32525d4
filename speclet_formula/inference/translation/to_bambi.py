"""The bambi.Model and the PyMC model that a Model means.

Bambi gets plain columns: the cleaned data, one factor for each grouping factor, one column for each group effect, so
that it builds neither combinations nor codings of its own. Priors are left to `priors`, drawing to `nuts`.
"""

from typing import Any

import bambi
import numpy as np
import pandas as pd
import pymc as pm
from bambi.defaults.families import BUILTIN_FAMILIES
from bambi.terms import GroupSpecificTerm
from scipy import sparse

from speclet_formula.design import Design, GroupBlock, replay_design
from speclet_formula.design.design import Predictor
from speclet_formula.design.evaluation import Scope, evaluate
from speclet_formula.design.merged import require_rows
from speclet_formula.design.tables import as_pandas, clean_columns
from speclet_formula.errors import DataError, FormulaError
from speclet_formula.families import is_ordinal, parameter_link
from speclet_formula.formula.terms import Call, Name, columns_of
from speclet_formula.inference.plans import LARGEST_DENSE
from speclet_formula.inference.translation.levels import family_per_level
from speclet_formula.inference.translation.names import BambiNames, bambi_names, group_term_name, summed
from speclet_formula.inference.translation.priors import bambi_priors, centred_family
from speclet_formula.model import Model

# Bambi parses the name of such a response again for new data.
_SUCCESSES, _TRIALS = "observed_successes", "observed_trials"
_VALUE, _STATUS, _LOWER, _UPPER = "observed_value", "observed_status", "observed_lower", "observed_upper"
_STATUSES = np.array(["left", "none", "right"], dtype=object)  # Bambi's words for -1, 0 and 1


class TranslatedModel(bambi.Model):  # type: ignore[misc]
    """A bambi.Model that knows which Model it stands for, so that `predict` takes the analyst's own columns."""

    def __init__(self, origin: Model, *arguments: Any, **keywords: Any) -> None:
        self.origin = origin
        super().__init__(*arguments, **keywords)

    def predict(self, idata: Any, kind: str = "response_params", data: Any = None, **keywords: Any) -> Any:
        """Predict as bambi.Model does; new data get the columns that the translation made."""
        if data is not None:
            replayed = replay_design(self.origin.design, data)
            names = bambi_names(self.origin.design)
            data = _bambi_frame(names, replayed, trials=_new_trials(self.origin, data))
        return super().predict(idata, kind=kind, data=data, **keywords)


def to_bambi(model: Model) -> bambi.Model:
    """Translate a model to Bambi.

    Parameters
    ----------
    model : Model
        Any model of this package, whichever engine fits it.

    Returns
    -------
    bambi.Model
        Built, with the priors of `model.slots`. Its `fit` works as it is, and its `predict` takes the posterior of a
        `Fit` of this model (`fit.idata`) and new data with the analyst's own columns. Columns whose names are more than
        a plain word are v1, v2, ... in its formula, and calls are call1, call2, ...; its posterior has this package's
        names all the same.

    Raises
    ------
    DataError
        If there are more rows and group levels than Bambi can hold in memory.
    FormulaError
        If each row belongs to several levels of a group term, mm(), which Bambi lacks.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> sf.to_bambi(sf.Model("log_fc ~ (1 | gene) + (1 | cell_line)", data)).formula.main
    'log_fc ~ 1 + (1|gene) + (1|cell_line)'
    """
    _check_memberships(model.design)
    return _translated(model)


def _translated(model: Model) -> TranslatedModel:
    require_rows(model.design, "Bambi, and with it method='nuts',")
    _check_size(model.design)
    _check_varying(model.design)
    family = _bambi_family(model)
    names = bambi_names(model.design)
    translated = TranslatedModel(
        model,
        bambi.Formula(_main_formula(model, names), *_parameter_formulas(model, names)),
        _bambi_frame(names, model.design, trials=model.design.trials),
        family=family,
        link=None if isinstance(family, bambi.Family) else model.family.link,
        priors=bambi_priors(model),
        auto_scale=False,
        extra_namespace=names.functions,
    )
    _name_group_terms(translated, model, names)
    aliases = _aliases(model, names)
    if aliases:
        translated.set_alias(aliases)
    translated.build()
    return translated


def _check_memberships(design: Design) -> None:
    """Refuse rows of several levels: of new rows Bambi's own predictions would take one level each."""
    shared = next((block for block in design.blocks if block.shares is not None), None)
    if shared is not None:
        raise FormulaError(
            f"each row belongs to several levels of '{shared.label}', which Bambi lacks.",
            "In a translated model each row has one level of a grouping factor.",
            "Fit the model here, by any engine, or write sf.to_pymc(model) for the PyMC model.",
        )


def _check_varying(design: Design) -> None:
    """Refuse a constant column beside an intercept, as Bambi does."""
    if still := design.constant:
        raise FormulaError(
            f"'{still}' is constant, which Bambi refuses.",
            "In a translated model each fixed term varies.",
            f"Leave '{still}' out, which says nothing beside the intercept, or fit the model here by another engine.",
        )


def _check_size(design: Design) -> None:
    """Refuse what formulae would hold as one dense column for each group level."""
    widest = max((len(block.levels) for block in design.blocks), default=0)
    needed = 8 * len(design.response) * widest
    if needed > LARGEST_DENSE:
        raise DataError(
            f"{len(design.response):,} rows with {widest:,} group levels are too many for Bambi: it would need "
            f"{needed / 2**30:,.0f} GiB for one grouping factor alone.",
            f"Bambi builds a dense column for each level; here up to {LARGEST_DENSE / 2**30:.0f} GiB are allowed.",
            "Fit a gaussian model with method='exact', which has no such limit, or fewer genes at a time.",
        )


def to_pymc(model: Model) -> pm.Model:
    """Translate a model to PyMC.

    Parameters
    ----------
    model : Model
        Any model of this package.

    Returns
    -------
    pymc.Model
        The model that `to_bambi` builds, or would if Bambi had mm(). Its intercept is the one at the predictors' means,
        as Bambi has it; group effects are those at zero.
    """
    return _translated(model).backend.model


class _OwnGroupTerm(GroupSpecificTerm):  # type: ignore[misc]
    """A group term of Bambi's with the name that it has in the posterior, whatever its columns are called there."""

    own_name: str

    @property
    def name(self) -> str:
        return self.own_name


class _MembersTerm(_OwnGroupTerm):
    """The term of rows that belong to several levels each: what stands at a row's levels is added up, by its shares."""

    own_values: np.ndarray  # (n, m)

    @property
    def coords(self) -> dict[str, Any]:
        return dict(list(super().coords.items())[:1])  # of the levels alone

    @property
    def predictor(self) -> np.ndarray:
        return self.own_values


def _name_group_terms(translated: bambi.Model, model: Model, names: BambiNames) -> None:
    """Give the group terms the names that they have here: an alias would rename their dimensions too."""
    for predictor in model.design.predictors:
        terms = translated.conditional_parameters[predictor.name or model.family.parent].terms
        for block in predictor.groups:
            for column, slot in zip(block.columns, block.slots, strict=True):
                term = terms[group_term_name(names, block, column)]
                term.__class__ = _OwnGroupTerm
                term.own_name = slot
                if block.shares is not None:
                    _take_members(term, block, block.columns.index(column))


def _take_members(term: Any, block: GroupBlock, column: int) -> None:
    """Tell a term which levels its rows have, and how much of each: Bambi takes one level for each row."""
    assert block.shares is not None
    term.__class__ = _MembersTerm
    term.own_values = block.shares * block.values[:, [column]]
    term.group_index = block.places
    rows, count = np.arange(len(block.places)), block.shares.shape[1]
    entries = (term.own_values.ravel(), (np.repeat(rows, count), block.places.ravel()))
    term.data = sparse.csr_matrix(entries, shape=(len(rows), len(block.levels)))  # PyTensor takes no csr_array


def _main_formula(model: Model, names: BambiNames) -> str:
    """Spell the formula of the mean for Bambi, with a column for whatever is not a plain column."""
    response = _response_call(model) or names.response
    return f"{response} ~ {_right_side(model, model.design.mean, names)}"


def _response_call(model: Model) -> str | None:
    """Spell a response that is more than a column, as formulae spells it again; None for one that is a column."""
    limits = model.design.limits
    if model.design.is_per_level:
        return None
    if model.design.trials is not None:
        return f"p({_SUCCESSES}, {_TRIALS})"
    if limits is None:
        return None
    if limits.status is not None:
        return f"censored({_VALUE}, {_STATUS})"
    return f"truncated({_VALUE}, {_LOWER}, {_UPPER})"


def _parameter_formulas(model: Model, names: BambiNames) -> list[str]:
    """Spell the formulas of the family's parameters for Bambi."""
    return [f"{name} ~ {_right_side(model, predictor, names)}" for name, predictor in model.design.varying.items()]


def _right_side(model: Model, predictor: Predictor, names: BambiNames) -> str:
    """Spell one right-hand side for Bambi."""
    part = predictor.recipe.fixed
    parts = [names.term(coded) for coded in part.coded]
    if predictor.formula.offsets:
        parts.append(f"offset({names.offset(predictor)})")
    for block in predictor.groups:
        for column in block.columns:
            expression = "1" if column == "1" else f"0 + {names.effect(block, column)}"
            parts.append(f"({expression}|{names.group(block)})")
    intercept = "1" if part.intercept else "0"
    return f"{intercept} + {summed(parts)}" if parts else intercept


def _bambi_frame(names: BambiNames, design: Design, trials: np.ndarray | None) -> pd.DataFrame:
    """Return the cleaned columns and those that the translation adds."""
    columns: dict[str, Any] = {names.column(str(name)): design.frame[name] for name in design.frame.columns}
    for predictor in design.predictors:
        for block in predictor.groups:
            columns |= _block_columns(block, names)
        if predictor.formula.offsets:
            columns[names.offset(predictor)] = predictor.offset
    columns[names.response] = _bambi_response(design)
    if trials is not None and not design.is_per_level:
        # New rows have no successes yet. Bambi would drop them for that, though it reads their trials only.
        columns |= {_SUCCESSES: np.nan_to_num(design.response), _TRIALS: trials}
    if design.limits is not None:
        columns |= {_VALUE: design.response, _LOWER: design.limits.lower, _UPPER: design.limits.upper}
        if design.limits.status is not None:
            columns[_STATUS] = pd.Categorical(_STATUSES[design.limits.status + 1])
    return pd.DataFrame(columns, index=design.frame.index)


def _bambi_response(design: Design) -> Any:
    """Return the response; ordered levels as such, the lowest for new rows, which Bambi would drop without one."""
    if design.is_per_level:  # which the family knows where there is one number for each level
        return np.nan_to_num(design.response if design.response.ndim == 1 else design.response[:, 0])
    if not design.levels:
        return design.response
    places = np.nan_to_num(design.response).astype(int)
    return pd.Categorical.from_codes(places, categories=pd.Index(design.levels, dtype=object), ordered=True)


def _block_columns(block: GroupBlock, names: BambiNames) -> dict[str, Any]:
    """Return a block's grouping factor and its columns of values, but for the intercept's."""
    # A level that was not seen gets a label of its own, which is what Bambi's own sampling of new groups expects.
    new = "a level that the model has not seen"
    while new in block.levels:
        new = f"{new}, too"
    labels = np.append(np.asarray(block.levels, dtype=object), new)
    unseen = (block.places < 0).any()
    categories = labels if unseen else labels[:-1]
    codes = block.places if block.shares is None else block.places[:, 0]  # `_take_members` has the others
    factor = pd.Categorical(labels[codes], categories=pd.Index(categories, dtype=object), ordered=True)
    values = {
        names.effect(block, column): block.values[:, k] for k, column in enumerate(block.columns) if column != "1"
    }
    return {names.group(block): factor, **values}


def _new_trials(model: Model, data: Any) -> np.ndarray | None:
    """Return the numbers of trials of new rows, where the new data have the columns that say them."""
    node = model.formula.response
    table = as_pandas(data)
    if model.design.trials is not None and isinstance(model.weights, str):
        return np.asarray(table[model.weights], dtype=float) if model.weights in table.columns else None
    if model.design.trials is not None and model.weights is None and isinstance(node, Name):
        return np.ones(len(table))  # single trials
    if model.design.trials is None or not isinstance(node, Call) or not set(columns_of(node)) <= set(table.columns):
        return None
    scope = Scope(clean_columns(table[list(columns_of(node))]), {}, model.functions)
    return np.asarray(sum(evaluate(argument.value, scope) for argument in node.arguments), dtype=float)


def _bambi_family(model: Model) -> str | bambi.Family:
    """Return Bambi's name of the family, or the family with what it lacks: weights, centred thresholds."""
    if model.design.is_per_level:
        return family_per_level(model)
    known = BUILTIN_FAMILIES[model.family.name]
    if is_ordinal(model.family):
        kind = centred_family(known["family"], model.design)
        links = {model.family.parent: model.family.link, "threshold": "identity"}
        return kind(model.family.name, bambi.Likelihood(**known["likelihood"]), links)
    weights = model.design.weights
    if weights is None:
        return model.family.name
    distribution = getattr(pm, known["likelihood"]["name"])
    links = {name: parameter_link(model.family, name) or "log" for name in model.family.parameters}
    links |= {model.family.parent: model.family.link}
    likelihood = bambi.Likelihood(
        f"Weighted{distribution.__name__}",
        params=[model.family.parent, *model.family.parameters],
        parent=model.family.parent,
        dist=_weighted_distribution(distribution, weights),
    )
    return known["family"](model.family.name, likelihood, links)


def _weighted_distribution(distribution: Any, weights: np.ndarray) -> Any:
    """Return a distribution whose SD is sigma / sqrt(weight) in each row, as lme4's; 1 / sqrt(weight) without sigma."""
    # As a product: of a quotient PyTensor takes the sign apart, in the wrong shape, and prints a traceback.
    share = 1 / np.sqrt(weights)

    class Weighted:
        def __new__(cls, name: str, *, sigma: Any = 1.0, **keywords: Any) -> Any:
            return distribution(name, sigma=sigma * share, **keywords)

        @staticmethod
        def dist(*, sigma: Any = 1.0, **keywords: Any) -> Any:
            return distribution.dist(sigma=sigma * share, **keywords)

    return Weighted


def _aliases(model: Model, names: BambiNames) -> dict[str, Any]:
    """Return the names that formulae gives to terms, where ours differ; by parameter where several vary."""
    told, own = _response_call(model) or names.response, model.design.response_variable
    response = {told: own} if told != own else {}
    parts = model.design.varying.items()
    varying = {name: _aliases_of(predictor, names, predictor.prefix) for name, predictor in parts}
    if not varying and not model.design.is_per_level:
        return _aliases_of(model.design.mean, names, "") | response
    by_parameter = {model.family.parent: _aliases_of(model.design.mean, names, ""), **varying}
    return {name: aliases for name, aliases in by_parameter.items() if aliases} | response


def _aliases_of(predictor: Predictor, names: BambiNames, prefix: str) -> dict[str, str]:
    """Return the names of the fixed terms, where they are not those that Bambi gives them behind its prefix."""
    fixed = names.fixed(predictor)
    return {name: term.variable for name, term in fixed.items() if f"{prefix}{name}" != term.variable}
