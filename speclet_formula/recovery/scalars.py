"""A model and its draws go in; its scalar parameters come out, each with its draws and its prior SD.

What they should have been is left to `truth`, how well they were found to `parameters`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from speclet_formula.design import Design, FixedTerm, GroupBlock
from speclet_formula.design.merged import column_means
from speclet_formula.model import Model
from speclet_formula.priors import Prior, draw, pairs_of, prior_sd
from speclet_formula.recovery.parts import model_means

PRIOR_DRAWS = 4000  # for the quartiles of a prior without an SD
_QUARTILES = 1.349  # between the quartiles of a normal distribution, in SDs
MANY_CELLS = 12  # a factor with more fixed coefficients than this is summarised like a block of group effects


@dataclass(frozen=True, eq=False)
class Scalar:
    """One scalar parameter of a fitted model."""

    key: str  # as a truth names it: "Intercept", "1|gene_sigma", "cor|Subject[1, Days]"
    term: str  # "Intercept", "control[other]", "Days", "sigma"
    group: str  # "" for what belongs to no group
    kind: str  # b, sd, cor, sigma or family
    draws: np.ndarray  # (chains, draws) float
    prior_sd: float  # inf for a flat prior, NaN where it has none; by its quartiles where its tails leave it no SD


def draws_of(posterior: Any, variable: str) -> np.ndarray:
    """Return a variable's draws as (chains, draws, ...)."""
    return np.asarray(posterior[variable].transpose("chain", "draw", ...).to_numpy(), dtype=float)


def scalars_of(model: Model, posterior: Any) -> tuple[Scalar, ...]:
    """Return the scalar parameters of a fit, in the order of a summary."""
    priors = {slot.slot: slot.prior for slot in model.slots}
    found = _side_scalars(model, model.design, posterior, priors)
    for name in model.family.parameters:
        if name in posterior and set(posterior[name].dims) == {"chain", "draw"}:
            kind = "sigma" if name == "sigma" else "family"
            found.append(Scalar(name, name, "", kind, draws_of(posterior, name), _sd_of(priors.get(name))))
    for _, side in model.design.parameters:
        found += _side_scalars(model, side, posterior, priors)
    if "threshold" in model.family.parameters:
        found = [*_thresholds(model, posterior, priors), *found]
    return tuple(found)


def _side_scalars(model: Model, side: Design, posterior: Any, priors: Mapping[str, Prior]) -> list[Scalar]:
    """Return the scalar parameters of one linear predictor."""
    terms = [term for term in side.fixed if len(term.columns) <= MANY_CELLS]
    found = [scalar for term in terms for scalar in _coefficients(side, term, posterior, priors)]
    found += _means(model, side, posterior, priors)
    for block in side.groups:
        found += [*_sds(block, posterior, priors), *_correlations(block, posterior, priors)]
    return found


def _thresholds(model: Model, posterior: Any, priors: Mapping[str, Prior]) -> list[Scalar]:
    """Return an ordinal model's thresholds, which stand where other models have the intercept."""
    draws = draws_of(posterior, "threshold")
    own = np.broadcast_to(np.asarray(prior_sd(priors["threshold"]), dtype=float) ** 2, draws.shape[-1:])
    sds = np.sqrt(own + _moved_variance(model.design, priors))
    labels = model.design.thresholds
    return [
        Scalar(f"threshold[{place}]", label, "", "b", draws[:, :, place], float(sds[place]))
        for place, label in enumerate(labels)
    ]


def many_cells(model: Model) -> tuple[FixedTerm, ...]:
    """Return the fixed factors with so many coefficients that they are summarised like a block."""
    return tuple(term for term in model.design.fixed if len(term.columns) > MANY_CELLS)


def _sd_of(prior: Any, dimension: int = 2) -> float:
    """Return a prior's SD; NaN where it depends on other parameters or there is no prior."""
    if not isinstance(prior, Prior) or any(isinstance(value, Prior) for value in prior.parameters.values()):
        return float("nan")
    sd = float(prior_sd(prior, dimension=dimension))
    return sd if np.isfinite(sd) or prior.name == "Flat" else _typical_sd(prior)


def _typical_sd(prior: Prior) -> float:
    """Return the SD of the normal distribution with a prior's quartiles, within 4 %, where its tails leave it no SD."""
    lower, upper = np.quantile(draw(prior, np.random.default_rng(0), PRIOR_DRAWS), [0.25, 0.75])
    return float((upper - lower) / _QUARTILES)


def _term_sds(term: FixedTerm, priors: Mapping[str, Prior]) -> np.ndarray:
    """Return the prior SD of each coefficient of a fixed term."""
    prior = priors.get(term.name)
    if prior is None or any(isinstance(value, Prior) for value in prior.parameters.values()):
        return np.full(len(term.columns), np.nan)
    return np.broadcast_to(np.asarray(prior_sd(prior), dtype=float), (len(term.columns),))


def _coefficients(side: Design, term: FixedTerm, posterior: Any, priors: Mapping[str, Prior]) -> list[Scalar]:
    """Return the coefficients of one fixed term."""
    draws = draws_of(posterior, term.variable)
    draws = draws.reshape(*draws.shape[:2], -1)
    sds = [_intercept_sd(side, term.name, priors)] if term.kind == "intercept" else _term_sds(term, priors)
    return [
        Scalar(label, label, "", "b", draws[:, :, column], float(sds[column]))
        for column, label in enumerate(term.columns)
    ]


def _intercept_sd(side: Design, name: str, priors: Mapping[str, Prior]) -> float:
    r"""Return the prior SD of the intercept on the data's scale.

    Its prior holds at the predictors' means, so that there it is :math:`\sqrt{s_0^2 + \sum_k \bar{x}_k^2 s_k^2}`.
    """
    return float(np.sqrt(_sd_of(priors.get(name)) ** 2 + _moved_variance(side, priors)))


def _moved_variance(side: Design, priors: Mapping[str, Prior]) -> float:
    """Return the prior variance of the fixed part at the predictors' means."""
    variance = 0.0
    for term in side.fixed:
        if term.kind != "intercept":
            means = column_means(side, side.X[:, term.start : term.stop])
            # A column of mean zero moves nothing, however wide its prior.
            moved = means != 0
            variance += float(np.sum((means[moved] * _term_sds(term, priors)[moved]) ** 2))
    return variance


def _means(model: Model, side: Design, posterior: Any, priors: Mapping[str, Prior]) -> list[Scalar]:
    """Return the means of group effects, and their sum as the intercept of a model that has none."""
    found = []
    for block in side.groups:
        for column, slot in zip(block.columns, block.slots, strict=True):
            name = f"{slot}_mu"
            if slot in model_means(model) and name in posterior:
                sd = _sd_of(priors[slot].parameters["mu"])
                found.append(Scalar(name, block.term_of(column), block.label, "b", draws_of(posterior, name), sd))
    sums = [scalar for scalar in found if scalar.term == "Intercept"]
    if sums and all(term.kind != "intercept" for term in side.fixed):
        total = np.sum([scalar.draws for scalar in sums], axis=0)
        sd = float(np.sqrt(sum(scalar.prior_sd**2 for scalar in sums)))
        found.insert(0, Scalar("Intercept", "sum of means", "", "b", total, sd))
    return found


def _sds(block: GroupBlock, posterior: Any, priors: Mapping[str, Prior]) -> list[Scalar]:
    """Return the SDs of a block's columns."""
    return [
        Scalar(
            f"{slot}_sigma",
            block.term_of(column),
            block.label,
            "sd",
            draws_of(posterior, f"{slot}_sigma"),
            _sd_of(priors[slot].parameters.get("sigma")) if slot in priors else float("nan"),
        )
        for column, slot in zip(block.columns, block.slots, strict=True)
        if f"{slot}_sigma" in posterior
    ]


def _correlations(block: GroupBlock, posterior: Any, priors: Mapping[str, Prior]) -> list[Scalar]:
    """Return the correlations of a block's columns."""
    name = block.correlation
    if not block.correlated or name not in posterior:
        return []
    draws = draws_of(posterior, name)
    draws = draws.reshape(*draws.shape[:2], -1)
    sd = _sd_of(priors.get(name), dimension=len(block.columns))
    return [
        Scalar(f"{name}[{pair}]", _readable(pair), block.label, "cor", draws[:, :, position], sd)
        for position, pair in enumerate(block.pairs)
    ]


def _readable(pair: str) -> str:
    """Return "Intercept, Days" for "1, Days"."""
    return f"Intercept{pair[1:]}" if pair.startswith("1,") else pair


def correlations_by_key(block: GroupBlock, correlations: Any) -> dict[str, float]:
    """Return a block's correlations, given as a matrix, as its pairs or as the only one, by their scalars' keys."""
    values, k = np.asarray(correlations, dtype=float), len(block.columns)
    pairs = pairs_of(values) if values.shape == (k, k) else np.ravel(values)
    labels = [f"{block.correlation}[{pair}]" for pair in block.pairs]
    return dict(zip(labels, pairs.tolist(), strict=True))
