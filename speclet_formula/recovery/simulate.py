"""Data drawn from a formula, predictors and stated parameters; or new responses of the rows of a fit.

It shares no code with the engines, so that it can judge them. Comparing a fit with the truth is left to `recover`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import pandas as pd

from speclet_formula.common.arguments import check_functions
from speclet_formula.common.seeds import generator
from speclet_formula.design import Design, build_design
from speclet_formula.design.design import Limits, Predictor
from speclet_formula.design.level_matrices import LevelMatrix, given_matrices
from speclet_formula.design.response import PerLevel
from speclet_formula.design.tables import as_pandas, in_row_order, number_columns, row_labels
from speclet_formula.errors import DataError
from speclet_formula.families import (
    DEFAULT_FAMILY,
    FAMILIES,
    Family,
    draw_response,
    family_of_levels,
    family_of_response,
    has_known_errors,
    inverse_link,
    inverse_parameter_link,
    is_ordinal,
    is_unordered,
    resolve_family,
    specification_of,
)
from speclet_formula.formula.parse import joined_text, parse_formula
from speclet_formula.formula.terms import Formula
from speclet_formula.model import check_parameters
from speclet_formula.model.observation import draw_between
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.prediction.responses import (
    Censor,
    DrawnResponse,
    bounds_of_rows,
    observed_columns,
    precisions_of_rows,
    response_to_draw,
    simulate_responses,
)
from speclet_formula.recovery.levels import level_columns, levels_to_draw, trials_to_draw
from speclet_formula.recovery.stated import block_effects, check_truth, floats, in_own_names, number_of


@dataclass(frozen=True, eq=False)
class Simulator:
    """A formula read against a table of predictors, ready to draw responses from any parameters."""

    drawn: DrawnResponse  # the columns that the draws fill
    layout: Design
    family: Family
    limits: Limits | None  # between which a truncated response is drawn

    @property
    def response(self) -> str:
        """The column that the draws fill."""
        return self.drawn.column


@overload
def simulate(
    formula: Fit | PointFit, *, random_seed: int | None = None, nsim: int = 1, use_u: bool | None = None
) -> pd.DataFrame: ...


@overload
def simulate(
    formula: str | Sequence[str] | Formula,
    data: Any,
    truth: Mapping[str, Any],
    *,
    family: str = "gaussian",
    link: str | None = None,
    weights: Any = None,
    censor: tuple[float | None, float | None] | None = None,
    random_seed: int | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    matrices: Mapping[str, Any] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]: ...


def simulate(
    formula: Fit | PointFit | str | Sequence[str] | Formula,
    data: Any = None,
    truth: Mapping[str, Any] | None = None,
    *,
    family: str = "gaussian",
    link: str | None = None,
    weights: Any = None,
    censor: tuple[float | None, float | None] | None = None,
    random_seed: int | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    matrices: Mapping[str, Any] | None = None,
    nsim: int = 1,
    use_u: bool | None = None,
) -> pd.DataFrame | tuple[pd.DataFrame, dict[str, Any]]:
    r"""Draw group effects and a response from a model whose parameters are known; or new responses from a fit.

    `simulate(fit, nsim=1, use_u=False, random_seed=None)` is R's `simulate`: a frame with a new response of all rows
    in each of its columns, `sim_1`, `sim_2`, ...; see `prediction.simulate_responses`. Group effects are drawn anew for
    each, as R does (`use.u=FALSE`), or those of the fit with `use_u=True`. What follows is for a formula.

    Parameters
    ----------
    formula : Fit, PointFit, str, sequence of str, or Formula
        A fit, which takes `nsim`, `use_u` and `random_seed` and nothing else; or the model, with its response:
        `"log_fc ~ cn + (1 | gene)"`. The response is a plain name, `truncated(y, lb, ub)` or `censored(y, status)`, for
        which `y` and `status` are made. Formulas of the family's parameters may follow,
        `["log_fc ~ cn", "sigma ~ cn"]`.
    data : DataFrame
        Any table with the predictors and the grouping factors, one row per observation. It needs no response; one of
        the same name is replaced in the table that is returned.
    truth : dict
        On the link scale, by the names of a posterior:

        * each fixed coefficient by the label of its column: `"Intercept"`, `"cn"`, `"control[other]"`;
        * for each column of a group block either its SD, `"1|gene_sigma"`, or the effects themselves, `"1|gene"`, as a
          Series or dict from level to effect (both may be given; the SD is then only kept for the record);
        * perhaps the mean of a column's effects, `"1|gene_mu"` (0 without it);
        * the correlations of a correlated block, `"cor|gene"`: a number for two columns, the pairs in the order
          (1, 2), (1, 3), ..., (2, 3), ..., or the whole matrix;
        * the family's own parameters, such as `"sigma"`; `"psi"` is a share, and `"threshold"` of an ordinal family
          (which has no intercept) a list of increasing numbers, one between each two levels. Of a parameter that has a
          formula the same as for the mean, with its name before theirs, on its link's scale: `"sigma_Intercept"`,
          `"sigma_cn"`, `"sigma_1|gene_sigma"`; and of each unordered level but the first, `"mucar_Intercept"`,
          `"mu2_Intercept"`.
    family : str
        Any that `Model` takes. Ordered levels are drawn as whole numbers from 1 on, and so are unordered ones, unless
        the table has a column of the response, which says what they are. Counts of levels, `cbind(a, b, c)`, have the
        sums of these columns of the table as trials.
    link : str, optional
        The link of the mean; the family's usual one by default.
    weights : str or array of shape (n,), optional
        As in `Model`: weights that divide the residual variance, or the numbers of trials of a proportion, which is
        then drawn as successes / trials. Without them proportions are of one trial each.
    censor : (float, float), optional
        Of a censored response: the lowest and the highest value that can be measured, None for no limit. A response
        beyond it is drawn, replaced by the limit and marked "left" or "right"; all others are "none".
    random_seed : int, optional
        The same seed gives the same data.
    matrices : dict, optional
        As in `Model`.
    functions : dict, optional
        Functions of your own that the formula calls, by name.
    nsim : int
        Of a fit: the number of new responses. A formula is simulated once.
    use_u : bool, optional
        Of a fit: whether the group effects are those of the fit, or drawn anew for each response, by default. Of a
        formula `truth` says it.

    Returns
    -------
    data : pandas.DataFrame
        Of a fit this alone, with the columns `sim_1`, ... Of a formula the table given, with the response as one more
        column, and of a censored response the statuses as another.
    truth : dict
        `truth`, and the effects that were drawn, each a Series by level. Effects include their mean, as a
        posterior's do. What `recover` takes.

    Raises
    ------
    FormulaError
        If the response is not a column that draws can fill, or a formula is for what is no parameter of the family.
    DataError
        If a parameter is missing, unknown, or cannot be (a negative SD, correlations that are not positive definite),
        or effects do not fit the levels; if `censor` is missing or of no use; if a truncated response is so unlikely
        that it cannot be drawn; if an argument has no use beside a fit, or beside a formula.

    Notes
    -----
    With :math:`b_j \sim N(0, \Sigma)` for each level of each block, the linear predictor is
    :math:`\eta = X\beta + \sum_k Z_k b_k + \mathrm{offset}` and the response is drawn from the family at the inverse
    link of :math:`\eta`.

    Examples
    --------
    >>> import pandas as pd
    >>> layout = pd.DataFrame({"gene": ["a", "a", "b", "b"]})
    >>> data, truth = simulate(
    ...     "y ~ (1 | gene)", layout, {"Intercept": -1, "1|gene_sigma": 0.5, "sigma": 0.1}, random_seed=1
    ... )
    >>> list(data.columns), sorted(truth)
    (['gene', 'y'], ['1|gene', '1|gene_sigma', 'Intercept', 'sigma'])
    """
    if isinstance(formula, (Fit, PointFit)):
        if data is not None or truth is not None:
            raise DataError(
                "a fit has its own rows and parameters, and others are given.",
                "simulate(fit, nsim=, use_u=, random_seed=) draws new responses of the rows that were fitted.",
                "Leave data and truth out; predict(fit, newdata, interval='prediction') is for other rows.",
            )
        _refuse_beside_fit(
            family=family, link=link, weights=weights, censor=censor, functions=functions, matrices=matrices
        )
        return simulate_responses(formula, nsim, use_u=False if use_u is None else use_u, random_seed=random_seed)
    _refuse_beside_formula(nsim, use_u)
    if data is None or truth is None:
        absent = "data" if data is None else "truth"
        raise DataError(
            f"'{absent}' is missing: a formula is simulated from a table and true parameters.",
            "simulate(formula, data, truth) draws one data set, simulate(fit, nsim=) new responses of a fit.",
            "Give both: the table of predictors, and the true parameters by name.",
        )
    table = as_pandas(data)
    weights = in_row_order(weights, row_labels(data, len(table)), "weights")
    simulator = simulator_of(
        formula,
        table,
        family=family,
        link=link,
        weights=weights,
        functions=functions,
        matrices=matrices,
        censor=censor,
        truth=truth,
    )
    response, drawn = draw_data(simulator, truth, generator(random_seed))
    if is_unordered(simulator.family):
        return table.assign(**level_columns(simulator.layout, table, response)), {**truth, **drawn}
    return table.assign(**observed_columns(simulator.drawn, response)), {**truth, **drawn}


def simulator_of(
    formula: str | Sequence[str] | Formula,
    table: pd.DataFrame,
    *,
    family: str = "gaussian",
    link: str | None = None,
    weights: Any = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    matrices: Mapping[str, Any] | None = None,
    censor: Censor = None,
    truth: Mapping[str, Any] | None = None,
) -> Simulator:
    """Read a formula against a table once, so that many responses can be drawn; arguments and errors of `simulate`."""
    check_functions(functions)
    text = formula if isinstance(formula, Formula) else joined_text(formula)
    own, numbers = tuple(functions or ()), number_columns(table)
    parsed = text if isinstance(text, Formula) else parse_formula(text, functions=own, numbers=numbers)
    chosen = family_of_response(resolve_family(family, link), parsed.response)
    check_parameters(parsed, chosen)
    known = given_matrices(matrices)
    per_level = specification_of(chosen).per_level
    if per_level is not None:
        return _of_levels(
            parsed, table, chosen, per_level, truth or {}, weights=weights, functions=functions, matrices=known
        )
    response = response_to_draw(parsed.response, censor)
    layout = build_design(
        parsed,
        table,
        functions=dict(functions or {}),
        matrices=known,
        weights=weights,
        ordinal=is_ordinal(chosen),
        needs_response=False,
        reserved=(chosen.parent, *chosen.parameters),
    )
    _check_weights(layout.weights, chosen)
    if has_known_errors(chosen):
        layout = replace(layout, weights=precisions_of_rows(parsed.response, table))
    return Simulator(response, layout, chosen, bounds_of_rows(parsed.response, table))


def _of_levels(
    parsed: Formula,
    table: pd.DataFrame,
    chosen: Family,
    per_level: PerLevel,
    truth: Mapping[str, Any],
    *,
    weights: Any,
    functions: Mapping[str, Callable[..., Any]] | None,
    matrices: Mapping[str, LevelMatrix],
) -> Simulator:
    """Read a formula of unordered levels."""
    levels = levels_to_draw(parsed.response, table, truth, per_level)
    layout = build_design(
        parsed,
        table,
        functions=dict(functions or {}),
        matrices=matrices,
        weights=weights,
        per_level=replace(per_level, levels=levels),
        needs_response=False,
    )
    chosen = family_of_levels(chosen, layout)
    check_parameters(parsed, chosen)
    _check_weights(layout.weights, chosen)
    if per_level.counts:
        layout = replace(layout, trials=trials_to_draw(levels, table))
    return Simulator(DrawnResponse(layout.response_name, None, -np.inf, np.inf), layout, chosen, None)


def draw_data(
    simulator: Simulator, truth: Mapping[str, Any], rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, pd.Series]]:
    """Draw a response, and the effects of each column of each group block by level; errors of `simulate`."""
    layout, chosen = simulator.layout, simulator.family
    truth = in_own_names(layout, truth)
    check_truth(layout, chosen, truth)
    varying = layout.varying
    blocks = layout.blocks
    effects = {slot: drawn for block in blocks for slot, drawn in block_effects(block, truth, rng).items()}
    mean = inverse_link(chosen, linear_predictor(layout.mean, truth, effects))
    own = {name: _own_parameter(truth, name, chosen) for name in chosen.parameters if name not in varying}
    own |= {
        name: inverse_parameter_link(chosen, name, linear_predictor(predictor, truth, effects))
        for name, predictor in varying.items()
    }
    if is_unordered(chosen):
        return draw_response(chosen, rng, mean, own, trials=layout.trials), effects
    if simulator.limits is None:
        return _draw(chosen, rng, mean, own, layout.weights), effects
    return draw_between(chosen, rng, mean, own, simulator.limits, weights=layout.weights), effects


def linear_predictor(predictor: Predictor, truth: Mapping[str, Any], effects: dict[str, pd.Series]) -> np.ndarray:
    """Return X beta + sum of Z b + offset, one number per row."""
    beta = np.array([number_of(truth, label) for label in predictor.columns])
    total: np.ndarray = predictor.offset + (predictor.X @ beta if len(beta) else 0.0)
    for block in predictor.groups:
        by_column = np.column_stack([effects[slot].to_numpy() for slot in block.slots])
        total = total + sum((values * by_column[codes]).sum(axis=1) for codes, values in block.members())
    return total


def _check_weights(weights: np.ndarray | None, family: Family) -> None:
    """Refuse weights that mean nothing, and numbers of trials that are no whole numbers."""
    meaning = FAMILIES[family.name].weights
    if weights is not None and meaning is None:
        raise DataError(
            f"weights have no meaning for the family '{family.name}'.",
            "They divide the residual variance of a gaussian or t response, and count the trials of a proportion.",
            "Leave weights= out.",
        )
    if weights is not None and meaning == "trials" and (weights != np.round(weights)).any():
        raise DataError(
            f"the weights hold {weights[weights != np.round(weights)][0]:g}, which is no number of trials.",
            f"The weights of a {family.name} response are whole numbers of trials.",
            "Round them first.",
        )


def _own_parameter(truth: Mapping[str, Any], name: str, family: Family) -> Any:
    """Return a parameter of the family: a number above 0, a share, or increasing thresholds."""
    if name == "threshold":
        return _thresholds(truth[name], increasing=specification_of(family).increasing)
    value = number_of(truth, name, positive=True)
    if specification_of(family).parameter(name).is_share and value > 1:
        raise DataError(f"truth['{name}'] is {value!r}.", f"'{name}' is a share, at most 1.", "Give a number up to 1.")
    return value


def _thresholds(given: Any, *, increasing: bool) -> np.ndarray:
    values = floats(given)
    if (
        values.ndim != 1
        or not len(values)
        or not np.isfinite(values).all()
        or (increasing and np.any(np.diff(values) <= 0))
    ):
        raise DataError(
            f"truth['threshold'] is {given!r}.",
            f"Thresholds are a list of {'increasing ' if increasing else ''}numbers, one between each two levels.",
            "For four levels write three numbers, such as [-1, 0, 1].",
        )
    return values


def _draw(
    family: Family, rng: np.random.Generator, mean: np.ndarray, own: dict[str, Any], weights: np.ndarray | None
) -> np.ndarray:
    """Draw one response per row: a share of the trials where weights say how many, whole numbers for levels."""
    by_trials = FAMILIES[family.name].weights == "trials"
    trials = np.ones(len(mean)) if weights is None else weights
    try:
        drawn = draw_response(family, rng, mean, own, trials=trials, weights=None if by_trials else weights)
        if is_ordinal(family):
            return drawn.astype(int) + 1
        return drawn / np.maximum(trials, 1) if by_trials else drawn
    except ValueError as error:
        raise DataError(
            f"truth gives means from {mean.min():.4g} to {mean.max():.4g}, which '{family.name}' cannot have.",
            "A probability lies between 0 and 1, and the mean of a count is finite and not negative.",
            f"Make the coefficients smaller, or choose another link than '{family.link}'.",
        ) from error


def _refuse_beside_formula(nsim: int, use_u: bool | None) -> None:
    """Refuse what only a fit takes."""
    if nsim != 1:
        raise DataError(
            f"nsim={nsim!r} beside a formula would change nothing.",
            "simulate(formula, data, truth) draws one data set, simulate(fit, nsim=) new responses of a fit.",
            "Call it once for each data set, with another random_seed.",
        )
    if use_u is not None:
        raise DataError(
            f"use_u={use_u!r} beside a formula would change nothing.",
            "Effects of which truth has the SD are drawn, effects that it holds by level are used.",
            "Leave use_u= out.",
        )


def _refuse_beside_fit(**settings: Any) -> None:
    """Refuse settings that a fit has already."""
    given = [
        name for name, value in settings.items() if not (value is None or (name, value) == ("family", DEFAULT_FAMILY))
    ]
    if given:
        raise DataError(
            f"{', '.join(f'{name}=' for name in given)} beside a fit would change nothing.",
            "simulate(fit, nsim=, use_u=, random_seed=) draws new responses of the rows that were fitted.",
            "Leave it out; sf.update(fit, ...) fits another family, link or weights.",
        )
