"""The scalar parameters of a fit: their draws, prior SDs and REML estimates, and how well each was found.

The REML estimates stand beside the posterior, so that what priors do can be told from what the data say. What is true
of a parameter is left to `truth`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from speclet_formula.design import Design, FixedTerm, GroupBlock, Predictor
from speclet_formula.design.merged import column_means
from speclet_formula.errors import SamplingError
from speclet_formula.inference.reml.fit import fit_point, why_not_reml
from speclet_formula.model import Model
from speclet_formula.posterior.convergence import mixing
from speclet_formula.posterior.draws import Draws, values_of
from speclet_formula.posterior.estimates import stated_coefficients, without_rows
from speclet_formula.posterior.variances import CURVE, LENGTH, SMOOTH
from speclet_formula.priors import Prior, draw, prior_sd
from speclet_formula.priors.densities import dirichlet_products, shapes_of
from speclet_formula.recovery.parts import model_means

INTERVAL = 0.90
WIDE_INTERVAL = 0.99
BINS = 10  # of the histogram that says how a posterior of an SD meets zero, from zero to its 95 % quantile
DOMINATED = 0.3  # a contraction below it: the posterior is little more than the prior
PARAMETER_COLUMNS = (
    "term", "group", "class", "truth", "realized", "median", "sd", "lo", "hi", "covered", "error", "z",
    "pit", "contraction", "lme4", "ess_bulk", "r_hat", "verdict",
)  # fmt: skip
PRIOR_DRAWS = 4000  # for the quartiles of a prior without an SD
_QUARTILES = 1.349  # between the quartiles of a normal distribution, in SDs
MANY_CELLS = 12  # a factor with more fixed coefficients than this is summarised like a block of group effects


@dataclass(frozen=True, eq=False)
class Scalar:
    """One scalar parameter of a fitted model."""

    key: str  # as a truth names it: "Intercept", "1|gene_sigma", "cor|Subject[1, Days]"
    term: str  # "Intercept", "control[other]", "Days", "sigma"
    group: str  # "" for what belongs to no group
    kind: str  # b, share, sd, cor, sigma or family
    draws: np.ndarray  # (chains, draws) float
    prior_sd: float  # inf for a flat prior, NaN where it has none; by its quartiles where its tails leave it no SD


def scalars_of(model: Model, draws: Draws) -> tuple[Scalar, ...]:
    """Return the scalar parameters of a fit, in the order of a summary."""
    priors = {slot.slot: slot.prior for slot in model.slots}
    scalars = _predictor_scalars(model, model.design.mean, draws, priors)
    for name in model.family.parameters:
        if name in draws and name != "threshold":
            kind, values = "sigma" if name == "sigma" else "family", draws.by_chain(draws.parameter(name)[:, 0])
            scalars.append(Scalar(name, name, "", kind, values, _sd_of(priors.get(name))))
    for predictor in model.design.predictors[1:]:
        scalars += _predictor_scalars(model, predictor, draws, priors)
    if "threshold" in model.family.parameters:
        scalars = [*_thresholds(model, draws, priors), *scalars]
    return tuple(scalars)


def parameter_table(
    scalars: Sequence[Scalar],
    truths: Mapping[str, float],
    realized: Mapping[str, float],
    reference: Mapping[str, float],
    *,
    failed: bool,
) -> pd.DataFrame:
    """Return one row per scalar that has a true value; `recover` defines the columns."""
    judged = [scalar for scalar in scalars if scalar.key in truths]
    if not judged:
        return without_rows(PARAMETER_COLUMNS)
    rows = [_row(s, truths[s.key], realized.get(s.key, float("nan")), failed=failed) for s in judged]
    mixed = mixing(np.stack([scalar.draws for scalar in judged]))
    frame = pd.DataFrame(rows).assign(
        lme4=[reference.get(scalar.key, float("nan")) for scalar in judged], ess_bulk=mixed.ess_bulk, r_hat=mixed.r_hat
    )
    return frame[list(PARAMETER_COLUMNS)]


def reml_estimates(model: Model) -> dict[str, float]:
    """Return the REML estimates of coefficients, SDs, correlations and sigma.

    Empty where lme4 has no answer: for other families, where the data cannot tell variances apart, and for models that
    learn the means of group effects.
    """
    if why_not_reml(model) or model_means(model):
        return {}
    try:
        fit = fit_point(model)
    except SamplingError:  # collinear columns, or no residual
        return {}
    values = values_of(fit)
    estimates = dict(zip(model.design.mean.columns, stated_coefficients(fit.estimates).tolist(), strict=True))
    for block in model.design.mean.groups:
        estimates |= dict(zip(block.sds, values.sds(block)[0].tolist(), strict=True))
        if block.stretches:
            estimates[block.length_scale] = float(values.length_scale(block)[0, 0])
        if block.correlated:
            estimates |= dict(zip(block.correlations, values.correlation(block)[0].tolist(), strict=True))
    return estimates | {name: float(values.parameter(name)[0, 0]) for name in model.family.parameters}


def _row(scalar: Scalar, truth: float, realized: float, *, failed: bool) -> dict[str, Any]:
    """Return one row without its convergence columns."""
    draws = scalar.draws.ravel()
    lo, hi = interval(draws, INTERVAL)
    contraction = contraction_of(float(draws.std(ddof=1)), scalar.prior_sd)
    targets = [truth, realized] if scalar.kind == "sd" and np.isfinite(realized) else [truth]
    boundary = scalar.kind == "sd" and truth == 0
    masses = _masses_at_zero(draws) if boundary else _masses_around(draws, targets)
    return {
        "term": scalar.term,
        "group": scalar.group,
        "class": scalar.kind,
        "truth": truth,
        "realized": realized,
        "median": float(np.median(draws)),
        "sd": float(draws.std(ddof=1)),
        "lo": lo,
        "hi": hi,
        "covered": masses[0] if boundary else lo <= truth <= hi,
        "error": float(np.median(draws)) - truth,
        "z": standardised(draws, truth, logarithmic=scalar.kind in ("sd", "sigma")),
        "pit": float(np.mean(draws < truth)),
        "contraction": contraction,
        "verdict": _verdict(masses, contraction, failed=failed, boundary=boundary),
    }


def interval(draws: np.ndarray, mass: float, axis: int | None = None) -> tuple[Any, Any]:
    """Return the equal-tailed interval that holds a share of the draws."""
    tail = (1 - mass) / 2
    lo, hi = np.quantile(draws, [tail, 1 - tail], axis=axis)
    return (float(lo), float(hi)) if axis is None else (lo, hi)


def standardised(draws: np.ndarray, truth: float, *, logarithmic: bool) -> float:
    """Return (median - truth) / sd, on the log scale for SDs; NaN where an SD of zero has no logarithm."""
    if logarithmic:
        if truth <= 0 or draws.min() <= 0:
            return float("nan")
        draws, truth = np.log(draws), float(np.log(truth))
    spread = float(draws.std(ddof=1))
    return float((np.median(draws) - truth) / spread) if spread > 0 else float("nan")


def contraction_of(sd: float, prior: float) -> float:
    """Return 1 - (sd / prior sd)^2; 1 for an infinite prior SD, NaN where the prior has none."""
    return 1.0 if np.isinf(prior) else 1.0 - (sd / prior) ** 2


def _masses_around(draws: np.ndarray, targets: list[float]) -> tuple[bool, bool]:
    """Tell whether the 90 % and the 99 % interval hold the nearer of the targets."""
    bounds = [interval(draws, mass) for mass in (INTERVAL, WIDE_INTERVAL)]
    narrow, wide = (any(lo <= target <= hi for target in targets) for lo, hi in bounds)
    return narrow, wide


def _masses_at_zero(draws: np.ndarray) -> tuple[bool, bool]:
    """Tell whether a true SD of zero is inside, where no equal-tailed interval reaches.

    The posterior's density at zero is compared with its greatest: a normal density falls to exp(-z^2 / 2) of it at the
    ends of its 90 % interval (z = 1.64) and of its 99 % interval (z = 2.58).
    """
    top = float(np.quantile(draws, (1 + INTERVAL) / 2))
    if top <= 0:
        return True, True
    counts = np.bincount((draws * (BINS / top)).astype(int))
    share = counts[0] / counts.max()
    limits = [float(np.exp(-0.5 * norm.ppf((1 + mass) / 2) ** 2)) for mass in (INTERVAL, WIDE_INTERVAL)]
    return bool(share >= limits[0]), bool(share >= limits[1])


def _verdict(masses: tuple[bool, bool], contraction: float, *, failed: bool, boundary: bool) -> str:
    """Return the row's verdict."""
    if failed:
        return "unreliable"
    if contraction < DOMINATED:
        return "prior-dominated"
    narrow, wide = masses
    inside = "boundary" if boundary else "ok"
    return inside if narrow else "edge" if wide else "miss"


def _predictor_scalars(model: Model, predictor: Predictor, draws: Draws, priors: Mapping[str, Prior]) -> list[Scalar]:
    """Return the scalar parameters of one linear predictor."""
    many = [term.name for term in _terms_of_many_cells(predictor)]
    terms = [term for term in predictor.fixed if term.name not in many]
    scalars = [scalar for term in terms for scalar in _coefficients(model.design, predictor, term, draws, priors)]
    scalars += _means(model, predictor, draws, priors)
    for block in predictor.groups:
        scalars += [*_sds(block, draws, priors), *_lengths(block, draws, priors), *_correlations(block, draws, priors)]
    return scalars


def _thresholds(model: Model, draws: Draws, priors: Mapping[str, Prior]) -> list[Scalar]:
    """Return an ordinal model's thresholds, which stand where other models have the intercept."""
    values = draws.by_chain(draws.parameter("threshold"))
    own = np.broadcast_to(np.asarray(prior_sd(priors["threshold"]), dtype=float) ** 2, values.shape[-1:])
    sds = np.sqrt(own + _moved_variance(model.design, model.design.mean, priors))
    return [
        Scalar(f"threshold[{column}]", label, "", "b", values[:, :, column], float(sds[column]))
        for column, label in enumerate(model.design.thresholds)
    ]


def many_cells(model: Model) -> tuple[tuple[Predictor, FixedTerm], ...]:
    """Return the fixed factors with so many coefficients that they are summarised like a block, one for each level."""
    return tuple((side, term) for side in model.design.predictors for term in _terms_of_many_cells(side))


def _terms_of_many_cells(predictor: Predictor) -> list[FixedTerm]:
    """Return those of one linear predictor; coefficients of another coding, such as polynomials, are of no level."""
    coded = predictor.recipe.fixed.coded
    terms = predictor.fixed[len(predictor.fixed) - len(coded) :]
    return [
        term
        for term, factors in zip(terms, coded, strict=True)
        if len(term.columns) > MANY_CELLS and not any(one.coding and not one.full for one in factors)
    ]


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
    if term.levels:
        return np.sqrt(np.diagonal(_step_products(term, priors)))
    return np.broadcast_to(np.asarray(prior_sd(prior), dtype=float), (len(term.columns),))


def _step_products(term: FixedTerm, priors: Mapping[str, Prior]) -> np.ndarray:
    """Return the prior means (D, D) of the products of two steps of a monotonic effect, around zero on average."""
    count = len(term.columns)
    products = dirichlet_products(shapes_of(priors[term.simplex], count))
    return np.asarray((_sd_of(priors[term.name]) * count) ** 2 * products)


def _coefficients(
    design: Design, predictor: Predictor, term: FixedTerm, draws: Draws, priors: Mapping[str, Prior]
) -> list[Scalar]:
    """Return the coefficients of one fixed term."""
    values = draws.by_chain(draws.term(term))
    sds = [_intercept_sd(design, predictor, term.name, priors)] if term.kind == "intercept" else _term_sds(term, priors)
    found = [
        Scalar(label, label, "", "b", values[:, :, column], float(sds[column]))
        for column, label in enumerate(term.columns)
    ]
    return [*found, *_steps(term, draws, priors)] if term.levels else found


def _steps(term: FixedTerm, draws: Draws, priors: Mapping[str, Prior]) -> Iterator[Scalar]:
    """Go through the average step of a monotonic effect and the shares that the steps have of all."""
    average, shares = map(draws.by_chain, draws.steps(term))
    sds = np.ravel(prior_sd(priors[term.simplex], dimension=len(term.columns)))
    yield Scalar(term.name, term.name, "", "b", average[:, :, 0], _sd_of(priors[term.name]))
    for column, label in enumerate(term.shares):
        yield Scalar(label, label, "", "share", shares[:, :, column], float(sds[column]))


def _intercept_sd(design: Design, predictor: Predictor, name: str, priors: Mapping[str, Prior]) -> float:
    r"""Return the prior SD of the intercept on the data's scale.

    Its prior holds at the predictors' means, so that there it is :math:`\sqrt{s_0^2 + \sum_k \bar{x}_k^2 s_k^2}`.
    """
    return float(np.sqrt(_sd_of(priors.get(name)) ** 2 + _moved_variance(design, predictor, priors)))


def _moved_variance(design: Design, predictor: Predictor, priors: Mapping[str, Prior]) -> float:
    """Return the prior variance of the fixed part at the predictors' means."""
    variance = 0.0
    for term in predictor.fixed:
        if term.kind != "intercept":
            means = column_means(design, predictor.X[:, term.start : term.stop])
            # A column of mean zero moves nothing, however wide its prior.
            moved = means != 0
            if term.levels:
                variance += float(means @ _step_products(term, priors) @ means)
            else:
                variance += float(np.sum((means[moved] * _term_sds(term, priors)[moved]) ** 2))
    return variance


def _means(model: Model, predictor: Predictor, draws: Draws, priors: Mapping[str, Prior]) -> list[Scalar]:
    """Return the means of group effects, and their sum as the intercept of a model that has none."""
    means = []
    for block in predictor.groups:
        for term, slot, name in zip(block.terms, block.slots, block.means, strict=True):
            if slot in model_means(model) and name in draws:
                sd, values = _sd_of(priors[slot].parameters["mu"]), draws.by_chain(draws.variable(name, 1)[:, 0])
                means.append(Scalar(name, term, block.label, "b", values, sd))
    sums = [scalar for scalar in means if scalar.term == "Intercept"]
    if sums and not predictor.has_intercept:
        total = np.sum([scalar.draws for scalar in sums], axis=0)
        sd = float(np.sqrt(sum(scalar.prior_sd**2 for scalar in sums)))
        means.insert(0, Scalar("Intercept", "sum of means", "", "b", total, sd))
    return means


def _sds(block: GroupBlock, draws: Draws, priors: Mapping[str, Prior]) -> list[Scalar]:
    """Return the SDs of a block's columns; once where they have one."""
    return [
        Scalar(
            name,
            CURVE if block.stretches else SMOOTH if block.smooth else term,
            block.label,
            "sd",
            draws.by_chain(draws.variable(name, 1)[:, 0]),
            _sd_of(priors[slot].parameters.get("sigma")) if slot in priors else float("nan"),
        )
        for term, slot, name in list(zip(block.terms, block.slots, block.sds, strict=True))[: 1 if block.hom else None]
        if name in draws
    ]


def _lengths(block: GroupBlock, draws: Draws, priors: Mapping[str, Prior]) -> list[Scalar]:
    """Return the length-scale of a Gaussian process."""
    name = block.length_scale
    if not block.stretches or name not in draws:
        return []
    values = draws.by_chain(draws.length_scale(block)[:, 0])
    return [Scalar(name, LENGTH, block.label, "length", values, _sd_of(priors.get(name)))]


def _correlations(block: GroupBlock, draws: Draws, priors: Mapping[str, Prior]) -> list[Scalar]:
    """Return the correlations of a block's columns; of a structure the first, which the others are made of."""
    if not block.correlated or block.correlation not in draws:
        return []
    values = draws.by_chain(draws.correlation(block))
    sd = _sd_of(priors.get(block.correlation), dimension=len(block.columns))
    several = None if block.structure is None else 1
    return [
        Scalar(name, _readable(pair), block.label, "cor", values[:, :, column], sd)
        for column, (name, pair) in enumerate(list(zip(block.correlations, block.pairs, strict=True))[:several])
    ]


def _readable(pair: str) -> str:
    """Return "Intercept, Days" for "1, Days"."""
    return f"Intercept{pair[1:]}" if pair.startswith("1,") else pair
