"""A Model goes in; the bambi.Model and the PyMC model that it means come out. The only file that imports Bambi.

Bambi gets plain columns: the cleaned data, one factor for each grouping factor, one column for each group effect, so
that it builds neither combinations nor codings of its own. Where it would change a prior (a group mean, a correlation),
its public hook puts ours in place. Drawing is left to `nuts`.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import bambi
import numpy as np
import pandas as pd
import pymc as pm
from bambi.defaults.families import BUILTIN_FAMILIES
from bambi.families.univariate import Cumulative, Gaussian, StoppingRatio, StudentT

from speclet_formula.design import Design, GroupBlock, replay_design
from speclet_formula.design.evaluation import Scope, evaluate
from speclet_formula.design.fixed import quoted
from speclet_formula.design.records import variable_name
from speclet_formula.design.tables import as_pandas, clean_columns
from speclet_formula.errors import DataError
from speclet_formula.formula.terms import Call, Name, columns_of
from speclet_formula.inference.centring import prefers_centred
from speclet_formula.inference.effects import CorrelatedBlock, correlated_effects, shifted_effects
from speclet_formula.inference.ordinal import centred_family, threshold_hook
from speclet_formula.inference.plans import LARGEST_DENSE
from speclet_formula.model import Model
from speclet_formula.priors import Prior, Slot

_OFFSET = "(offset)"
# Bambi parses the name of a binomial response again for new data, so that these must need no back-quotes.
_SUCCESSES, _TRIALS = "observed_successes", "observed_trials"
_ORDINAL = {"cumulative": Cumulative, "sratio": StoppingRatio}
_WEIGHTED = {"gaussian": (Gaussian, pm.Normal), "t": (StudentT, pm.StudentT)}


class TranslatedModel(bambi.Model):  # type: ignore[misc]
    """A bambi.Model that knows which Model it stands for, so that `predict` takes the analyst's own columns."""

    def __init__(self, origin: Model, *arguments: Any, **keywords: Any) -> None:
        self.origin = origin
        super().__init__(*arguments, **keywords)

    def predict(self, idata: Any, kind: str = "response_params", data: Any = None, **keywords: Any) -> Any:
        """Predict as bambi.Model does; new data get the columns that the translation made."""
        if data is not None:
            data = _bambi_frame(
                self.origin, replay_design(self.origin.design, data), trials=_new_trials(self.origin, data)
            )
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
        `Fit` of this model (`fit.idata`) and new data with the analyst's own columns.

    Raises
    ------
    DataError
        If there are more rows and group levels than Bambi can hold in memory.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> sf.to_bambi(sf.Model("log_fc ~ (1 | gene) + (1 | cell_line)", data)).formula.main
    'log_fc ~ 1 + (1|gene) + (1|cell_line)'
    """
    _check_size(model.design)
    family = _bambi_family(model)
    translated = TranslatedModel(
        model,
        _bambi_formula(model),
        _bambi_frame(model, model.design, trials=model.design.trials),
        family=family,
        link=None if isinstance(family, bambi.Family) else model.family.link,
        priors=_bambi_priors(model),
        auto_scale=False,
        extra_namespace=model.design.recipe.fixed.functions,
    )
    aliases = _aliases(model)
    if aliases:
        translated.set_alias(aliases)
    translated.build()
    return translated


def _check_size(design: Design) -> None:
    """Refuse what formulae would hold as one dense column for each group level."""
    widest = max((len(block.levels) for block in design.groups), default=0)
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
        The model that `to_bambi` builds. Its intercept is the one at the predictors' means, as Bambi has it.
    """
    return to_bambi(model).backend.model


def centre_offset(model: Model, posterior: Any) -> Any:
    """Return what to subtract from a PyMC intercept so that it belongs to the predictors as they are.

    Bambi centres the predictors whenever there is an intercept: eta = a + (x - mean x) b, so Intercept = a - mean(x) b.
    """
    total: Any = 0.0
    for term in model.design.fixed:
        if term.kind == "intercept":
            continue
        means = model.design.X[:, term.start : term.stop].mean(axis=0)
        values = posterior[term.variable]
        total = total + (values * means[0] if term.dim is None else (values * means).sum(term.dim))
    return total


def _bambi_formula(model: Model) -> str:
    """Spell the formula for Bambi, with a column for whatever is not a plain column."""
    design = model.design
    response = quoted(variable_name(design.response_name))
    if design.trials is not None:
        response = f"p({_SUCCESSES}, {_TRIALS})"
    parts = [design.recipe.fixed.text]
    if model.formula.offsets:
        parts.append(f"offset({quoted(_OFFSET)})")
    for block in design.groups:
        group = quoted(variable_name(block.group))
        for column in block.columns:
            expression = "1" if column == "1" else f"0 + {quoted(variable_name(column))}"
            parts.append(f"({expression}|{group})")
    return f"{response} ~ {' + '.join(parts)}"


def _bambi_frame(model: Model, design: Design, trials: np.ndarray | None) -> pd.DataFrame:
    """Return the cleaned columns and those that the translation adds."""
    columns: dict[str, Any] = {str(name): design.frame[name] for name in design.frame.columns}
    for block in design.groups:
        columns |= _block_columns(block)
    columns[variable_name(design.response_name)] = _bambi_response(design)
    if model.formula.offsets:
        columns[_OFFSET] = design.offset
    if trials is not None:
        # New rows have no successes yet. Bambi would drop them for that, though it reads their trials only.
        columns |= {_SUCCESSES: np.nan_to_num(design.response), _TRIALS: trials}
    return pd.DataFrame(columns, index=design.frame.index)


def _bambi_response(design: Design) -> Any:
    """Return the response; ordered levels as such, the lowest for new rows, which Bambi would drop without one."""
    if not design.levels:
        return design.response
    places = np.nan_to_num(design.response).astype(int)
    return pd.Categorical.from_codes(places, categories=pd.Index(design.levels, dtype=object), ordered=True)


def _block_columns(block: GroupBlock) -> dict[str, Any]:
    """Return a block's grouping factor and its columns of values, but for the intercept's."""
    # A level that was not seen gets a label of its own, which is what Bambi's own sampling of new groups expects.
    labels = np.append(np.asarray(block.levels, dtype=object), "a level that the model has not seen")
    unseen = (block.codes < 0).any()
    categories = labels if unseen else labels[:-1]
    factor = pd.Categorical(labels[block.codes], categories=pd.Index(categories, dtype=object), ordered=True)
    values = {variable_name(column): block.values[:, k] for k, column in enumerate(block.columns) if column != "1"}
    return {variable_name(block.group): factor, **values}


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
    if model.family.name in _ORDINAL:
        return _ordinal_family(model)
    weights = model.design.weights
    if weights is None:
        return model.family.name
    kind, distribution = _WEIGHTED[model.family.name]
    links = {model.family.parent: model.family.link, **dict.fromkeys(model.family.parameters, "log")}
    likelihood = bambi.Likelihood(
        f"Weighted{distribution.__name__}",
        params=[model.family.parent, *model.family.parameters],
        parent=model.family.parent,
        dist=_weighted_distribution(distribution, weights),
    )
    return kind(model.family.name, likelihood, links)


def _ordinal_family(model: Model) -> bambi.Family:
    kind = centred_family(_ORDINAL[model.family.name], model.design)
    likelihood = bambi.Likelihood(**BUILTIN_FAMILIES[model.family.name]["likelihood"])
    return kind(model.family.name, likelihood, {"p": model.family.link, "threshold": "identity"})


def _weighted_distribution(distribution: Any, weights: np.ndarray) -> Any:
    """Return a distribution whose SD is sigma / sqrt(weight) in each row, as lme4's."""
    root = np.sqrt(weights)

    class Weighted:
        def __new__(cls, name: str, *, sigma: Any, **keywords: Any) -> Any:
            return distribution(name, sigma=sigma / root, **keywords)

        @staticmethod
        def dist(*, sigma: Any, **keywords: Any) -> Any:
            return distribution.dist(sigma=sigma / root, **keywords)

    return Weighted


def _aliases(model: Model) -> dict[str, str]:
    """Return the names that formulae gives to terms, where ours differ."""
    fixed = model.design.recipe.fixed
    spelled = {term.name: term.variable for term in model.design.fixed}
    renamed = {name: spelled[spelling] for name, spelling in fixed.names.items() if name != spelled[spelling]}
    response = variable_name(model.design.response_name)
    if model.design.trials is not None:
        renamed[f"p({_SUCCESSES}, {_TRIALS})"] = response
    return renamed


def _bambi_priors(model: Model) -> dict[str, bambi.Prior]:
    """Return every slot's prior under Bambi's name for it."""
    formulae_names = {spelling: name for name, spelling in model.design.recipe.fixed.names.items()}
    slots = {slot.slot: slot for slot in model.slots}
    priors = {
        formulae_names.get(slot.slot, slot.slot): _bambi_prior(slot.prior)
        for slot in model.slots
        if slot.kind in ("intercept", "b", "family")
    }
    for block in model.design.groups:
        priors |= _block_priors(model.design, block, slots)
    if "threshold" in priors:
        increasing = model.family.name == "cumulative"
        hook = threshold_hook(slots["threshold"].prior, len(model.design.levels) - 1, increasing=increasing)
        priors["threshold"] = bambi.Prior(
            slots["threshold"].prior.name, auto_scale=False, dist=hook, **priors["threshold"].args
        )
    return priors


def _bambi_prior(prior: Prior, *, noncentered: bool | None = None) -> bambi.Prior:
    return bambi.Prior(
        prior.name,
        auto_scale=False,
        noncentered=noncentered,
        **{name: _bambi_argument(value) for name, value in prior.parameters.items()},
    )


def _bambi_argument(value: Any) -> Any:
    return _bambi_prior(value) if isinstance(value, Prior) else value


def _block_priors(design: Design, block: GroupBlock, slots: Mapping[str, Slot]) -> dict[str, bambi.Prior]:
    """Return the priors of one block's columns: Bambi's own where it has them right, else our hooks."""
    priors = [slots[slot].prior for slot in block.slots]
    wishes = [prior.noncentered for prior in priors if prior.noncentered is not None]
    centred = not wishes[0] if wishes else prefers_centred(design, block)
    if block.correlated:
        shared = _correlated_block(block, priors, slots[f"cor|{block.label}"].prior, centred)
        hooks = [correlated_effects(shared, column) for column in range(len(priors))]
        return {slot: _hooked(prior, hook) for slot, prior, hook in zip(block.slots, priors, hooks, strict=True)}
    if any(_has_mean(prior) for prior in priors):
        hook = shifted_effects(centred=centred)
        return {slot: _hooked(prior, hook) for slot, prior in zip(block.slots, priors, strict=True)}
    return {slot: _bambi_prior(prior, noncentered=not centred) for slot, prior in zip(block.slots, priors, strict=True)}


def _has_mean(prior: Prior) -> bool:
    mean = prior.parameters["mu"]
    return isinstance(mean, Prior) or float(np.asarray(mean)) != 0


def _hooked(prior: Prior, hook: Any) -> bambi.Prior:
    """Return a prior that Bambi builds by our hook, with the SD and a mean that is not zero as its arguments."""
    arguments = {name: value for name, value in prior.parameters.items() if name == "sigma" or _has_mean(prior)}
    return bambi.Prior(
        "Normal",
        auto_scale=False,
        dist=hook,
        noncentered=False,
        **{name: _bambi_argument(value) for name, value in arguments.items()},
    )


def _correlated_block(block: GroupBlock, priors: list[Prior], correlation: Prior, centred: bool) -> CorrelatedBlock:
    label = variable_name(block.label)
    means = [prior.parameters["mu"] for prior in priors]
    return CorrelatedBlock(
        correlation=f"cor|{label}",
        pair_dim=f"{label}__pair_dim",
        pairs=tuple(f"{a}, {b}" for a, b in combinations(block.columns, 2)),
        slots=block.slots,
        means=tuple(0.0 if isinstance(mean, Prior) else float(np.asarray(mean)) for mean in means),
        eta=float(np.asarray(correlation.parameters["eta"])),
        centred=centred,
    )
