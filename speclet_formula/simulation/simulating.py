"""A formula, a table of predictors and stated parameters go in; a table with a drawn response and the truth come out.

A fit goes in instead, and new responses of its rows come out, as R's `simulate` gives them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

import pandas as pd

from speclet_formula.common.seeds import generator
from speclet_formula.design.tables import as_pandas, in_row_order, row_labels
from speclet_formula.errors import DataError
from speclet_formula.formula.terms import Formula
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.prediction.simulating import Effects, simulate_responses
from speclet_formula.responses import observed_columns
from speclet_formula.simulation.drawing import draw_data, simulator_of


@overload
def simulate(
    formula: Fit | PointFit, *, random_seed: int | None = None, nsim: int = 1, effects: Effects | None = None
) -> pd.DataFrame: ...


@overload
def simulate(
    formula: str | Sequence[str] | Formula,
    design: Any,
    params: Mapping[str, Any],
    *,
    family: str = "gaussian",
    link: str | None = None,
    weights: Any = None,
    censor: tuple[float | None, float | None] | None = None,
    random_seed: int | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]: ...


def simulate(
    formula: Fit | PointFit | str | Sequence[str] | Formula,
    design: Any = None,
    params: Mapping[str, Any] | None = None,
    *,
    family: str = "gaussian",
    link: str | None = None,
    weights: Any = None,
    censor: tuple[float | None, float | None] | None = None,
    random_seed: int | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    nsim: int = 1,
    effects: Effects | None = None,
) -> pd.DataFrame | tuple[pd.DataFrame, dict[str, Any]]:
    r"""Draw group effects and a response from a model whose parameters are known; or new responses from a fit.

    `simulate(fit, nsim=1, effects="anew", random_seed=None)` is R's `simulate`: a frame with a new response of all rows
    in each of its columns, `sim_1`, `sim_2`, ...; see `prediction.simulate_responses`. Group effects are drawn anew for
    each, as R does (`use.u=FALSE`), or those of the fit with `effects="kept"`. What follows is for a formula.

    Parameters
    ----------
    formula : Fit, PointFit, str, sequence of str, or Formula
        A fit, which takes `nsim`, `effects` and `random_seed` and nothing else; or the model, with its response:
        `"log_fc ~ cn + (1 | gene)"`. The response is a plain name, `truncated(y, lb, ub)` or `censored(y, status)`, for
        which `y` and `status` are made. Formulas of the family's parameters may follow,
        `["log_fc ~ cn", "sigma ~ cn"]`.
    design : DataFrame
        Any table with the predictors and the grouping factors, one row per observation. It needs no response; one of
        the same name is replaced in the table that is returned.
    params : dict
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
          `"sigma_cn"`, `"sigma_1|gene_sigma"`.
    family : str
        Any that `Model` takes. Ordered levels are drawn as whole numbers from 1 on.
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
    functions : dict, optional
        Functions of your own that the formula calls, by name.
    nsim : int
        Of a fit: the number of new responses. A formula is simulated once.
    effects : {"anew", "kept"}, optional
        Of a fit: whether group effects are drawn anew for each response, by default, or those of the fit. Of a formula
        `params` says it.

    Returns
    -------
    data : pandas.DataFrame
        Of a fit this alone, with the columns `sim_1`, ... Of a formula the table given, with the response as one more
        column, and of a censored response the statuses as another.
    truth : dict
        `params`, and the effects that were drawn, each a Series by level. Effects include their mean, as a
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
        if design is not None or params is not None:
            raise DataError(
                "a fit has its own rows and parameters, and others are given.",
                "simulate(fit, nsim=, effects=, random_seed=) draws new responses of the rows that were fitted.",
                "Leave design and params out; predict(fit, newdata, interval='prediction') is for other rows.",
            )
        _refuse_beside_fit(family=family, link=link, weights=weights, censor=censor, functions=functions)
        return simulate_responses(formula, nsim, effects=effects or "anew", random_seed=random_seed)
    _refuse_beside_formula(nsim, effects)
    if design is None or params is None:
        absent = "design" if design is None else "params"
        raise DataError(
            f"'{absent}' is missing: a formula is simulated from a table and parameters.",
            "simulate(formula, design, params) draws one data set, simulate(fit, nsim=) new responses of a fit.",
            "Give both: the table of predictors, and the parameters by name.",
        )
    table = as_pandas(design)
    weights = in_row_order(weights, row_labels(design, len(table)), "weights")
    simulator = simulator_of(
        formula, table, family=family, link=link, weights=weights, functions=functions, censor=censor
    )
    response, drawn = draw_data(simulator, params, generator(random_seed))
    return table.assign(**observed_columns(simulator.drawn, response)), {**params, **drawn}


def _refuse_beside_formula(nsim: int, effects: str | None) -> None:
    """Refuse what only a fit takes."""
    if nsim != 1:
        raise DataError(
            f"nsim={nsim!r} beside a formula would change nothing.",
            "simulate(formula, design, params) draws one data set, simulate(fit, nsim=) new responses of a fit.",
            "Call it once for each data set, with another random_seed.",
        )
    if effects is not None:
        raise DataError(
            f"effects={effects!r} beside a formula would change nothing.",
            "Effects of which params has the SD are drawn, effects that it holds by level are used.",
            "Leave effects= out.",
        )


def _refuse_beside_fit(**settings: Any) -> None:
    """Refuse settings that a fit has already."""
    given = [name for name, value in settings.items() if not (value is None or (name, value) == ("family", "gaussian"))]
    if given:
        raise DataError(
            f"{', '.join(f'{name}=' for name in given)} beside a fit would change nothing.",
            "simulate(fit, nsim=, effects=, random_seed=) draws new responses of the rows that were fitted.",
            "Leave it out; sf.update(fit, ...) fits another family, link or weights.",
        )
