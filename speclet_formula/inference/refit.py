"""The same model, or fit, of another response.

The design is kept: only the response, what is scaled to it and what is said of it change. Fitting is left to `fit`.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from speclet_formula.common.arguments import answers_r
from speclet_formula.design import Design
from speclet_formula.design.design import replace_response, take_rows
from speclet_formula.design.merged import require_rows
from speclet_formula.design.response import trials_of_proportion
from speclet_formula.errors import DataError
from speclet_formula.families import check_response
from speclet_formula.formula.terms import Call, Expression, Name, columns_of, text_of
from speclet_formula.inference.datatree import nodes_of, settings_of
from speclet_formula.inference.fit import fit as fit_model
from speclet_formula.model import Model, in_order_of, replace_parts
from speclet_formula.model.findings import Findings, inspect_response
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.priors import PRESETS, Slot, resolve_priors


@answers_r(beyond=fit_model, error=DataError)
def refit(
    fit: Fit | PointFit | Model, newresp: Any, *, keep_priors: bool = False, **fit_arguments: Any
) -> Fit | PointFit:
    """Fit the same model to another response: lme4's `refit`.

    Formula, factors and columns are not read again, so that many responses of one design take little more than the
    time of the sampler.

    Parameters
    ----------
    fit : Fit, PointFit or Model
        The model, or a fit of it.
    newresp : array of shape (n,)
        The new response, one number for each row that the model uses, or for each row of its table. A pandas Series is
        matched by its index. Of cbind() these are the successes, of a proportion with weights the shares, as `simulate`
        gives them; the trials stay.
    keep_priors : bool
        Priors of a preset are scaled to the response. False: they are scaled to the new one, as in a model of its own.
        True: they stay as they are. Priors of the user's own always stay.
    **fit_arguments
        As in `fit`. `method`, `draws`, `tune`, `chains`, `target_accept` and `sampler` are those of the fit that is
        handed over, unless they are given.

    Returns
    -------
    Fit or PointFit
        A PointFit from a PointFit.

    Raises
    ------
    FormulaError, DataError, SamplingError
        As `with_response` and `fit`.

    Examples
    --------
    >>> import numpy as np, speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1 | gene) + (1 | cell_line)", data, method="reml")
    >>> sf.fixef(sf.refit(fit, data["log_fc"] + 1))["estimate"].round(3).to_list()
    [0.059]
    """
    model = fit if isinstance(fit, Model) else fit.model
    settings: dict[str, Any] = ({} if isinstance(fit, Model) else {"method": fit.method}) | fit_arguments
    if isinstance(fit, PointFit) and settings["method"] == fit.method:
        settings = {"nAGQ": nodes_of(fit)} | settings
    if isinstance(fit, Fit):
        settings = settings_of(fit, settings["method"]) | settings
    again: Fit | PointFit = fit_model(with_response(model, newresp, keep_priors=keep_priors), **settings)
    return again


def fit_like(fit: PointFit, model: Model) -> PointFit:
    """Fit another model as a fit without draws was made, in this process alone.

    Raises
    ------
    SamplingError
        As `fit`.
    """
    settings: dict[str, Any] = {"method": fit.method, "nAGQ": nodes_of(fit), "cores": 1, "progress": False}
    again: PointFit = fit_model(model, **settings)
    return again


def with_response(model: Model, response: Any, *, keep_priors: bool = False) -> Model:
    """Return the same model of another response.

    Parameters
    ----------
    model : Model
        Its response is a column of its table, or ``cbind(successes, failures)``.
    response : array of shape (n,)
        As in `refit`.
    keep_priors : bool
        As in `refit`.

    Returns
    -------
    Model
        With the response in its table and its design; rows that were left out for missing values have none.

    Raises
    ------
    DataError
        If the response of the model is no plain column and no cbind(), or the new one has another length, a value that
        is no finite number, one that the family cannot take, or more successes than trials.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> from speclet_formula.inference.refit import with_response
    >>> data, truth = sf.datasets.m7()
    >>> model = with_response(sf.Model("log_fc ~ (1 | gene)", data), data["mu_sc"])
    >>> bool((model.data["log_fc"] == data["mu_sc"]).all())
    True
    """
    require_rows(model.design, "refit()")
    if model.design.is_per_level:
        raise DataError(
            f"the response '{model.design.response_name}' holds levels, which numbers cannot replace.",
            "A new response is one number for each row.",
            "Put the new levels into the table, and fit a new Model.",
        )
    column = _column(model)
    values, whole = _values(model, response, column)
    trials, columns = model.design.trials, {column: whole}
    if trials is not None:
        values, columns = _successes(model, values, column, whole)
    check_response(model.family, values, column, trials)
    used = {name: numbers[model.design.rows] for name, numbers in columns.items()}
    design = replace_response(model.design, values, used)
    kept = model.findings[len(tuple(inspect_response(model.design))) :]
    slots = model.slots if keep_priors else _scaled_anew(model, design)
    findings = Findings((*inspect_response(design), *kept))
    return replace_parts(model, data=model.data.assign(**columns), design=design, slots=slots, findings=findings)


def with_drawn(model: Model, response: np.ndarray, *, tables: bool = True) -> Model:
    """Return the same model of a response as its design has it: successes of trials, the places of ordered levels.

    Parameters
    ----------
    model : Model
        Any; its priors stay as they are. Where the response is computed, log(y), or of ordered levels, the columns that
        it is made of are not in the new model's table: they would be those of the old response.
    response : ndarray of float, shape (n,)
        One number for each row that the model uses.
    tables : bool
        Whether the model's table holds the new response. Without it the model serves for estimates alone, and is made
        in half the time.

    Raises
    ------
    DataError
        The response has a value that the family cannot take.

    Examples
    --------
    >>> import numpy as np, pandas as pd, speclet_formula as sf
    >>> from speclet_formula.inference.refit import with_drawn
    >>> model = sf.Model("log(y) ~ (1 | g)", pd.DataFrame({"y": [1.0, 2, 3, 4], "g": list("aabb")}))
    >>> with_drawn(model, np.zeros(4)).design.response.tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    node, trials = model.formula.response, model.design.trials
    if not tables:
        check_response(model.family, response, model.design.response_name, trials)
        return replace_parts(model, design=replace(model.design, response=response))
    if isinstance(_first_of_cbind(node), Name) and not len(model.design.levels):
        shares = trials is not None and model.weights is not None
        return with_response(
            model, response / np.maximum(np.asarray(trials), 1) if shares else response, keep_priors=True
        )
    check_response(model.family, response, model.design.response_name, trials)
    names = () if node is None else columns_of(node)
    design = replace_response(model.design, response, {})
    design = replace(design, frame=design.frame.drop(columns=list(names), errors="ignore"))
    return replace_parts(model, data=model.data.drop(columns=list(names)), design=design)


def with_rows(model: Model, rows: np.ndarray) -> Model:
    """Return the same model of some of its rows.

    Parameters
    ----------
    model : Model
    rows : ndarray of int
        Counted among those that the model uses.

    Returns
    -------
    Model
        With the same levels, columns and priors: a level without rows has its prior. Its table is the whole one.

    Examples
    --------
    >>> import numpy as np, speclet_formula as sf
    >>> from speclet_formula.inference.refit import with_rows
    >>> data, truth = sf.datasets.m7()
    >>> len(with_rows(sf.Model("log_fc ~ (1 | gene)", data), np.arange(5)).design.response)
    5
    """
    return replace_parts(model, design=take_rows(model.design, rows))


def _successes(
    model: Model, values: np.ndarray, column: str, whole: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the successes of a response with trials, which stay, and the columns of the table that hold it."""
    trials, response, columns = np.asarray(model.design.trials), model.formula.response, {column: whole}
    if model.weights is not None:
        name = model.weights if isinstance(model.weights, str) else "weights"
        return trials_of_proportion(values, trials, column, name), columns
    bad = np.flatnonzero((values < 0) | (values > trials) | (values != np.round(values)))
    if len(bad):
        raise DataError(
            f"the new '{column}' has {len(bad):,} values that are no successes of their row's trials, such as "
            f"{values[bad[0]]:g} of {trials[bad[0]]:g}.",
            "Successes are whole numbers from 0 to the row's trials, which stay those of the model.",
            "Give successes, as simulate(fit) does; for other trials fit a new Model.",
        )
    if isinstance(response, Call) and isinstance(lost := response.arguments[1].value, Name):
        failures = np.full(len(whole), np.nan)
        failures[model.design.rows] = trials - values
        columns[lost.name] = failures
    return values, columns


def _first_of_cbind(response: Expression | None) -> Expression | None:
    """Return the successes of ``cbind(s, f)`` or ``cbind(s, n - s)``, y of ``se(y, sei)``; others as they are."""
    if isinstance(response, Call) and response.function == "se":
        return response.arguments[0].value
    if not isinstance(response, Call) or response.function != "cbind":
        return response
    successes, failures = (argument.value for argument in response.arguments)
    counted = isinstance(failures, Name) or set(columns_of(successes)) <= set(columns_of(failures))
    return successes if counted else response


def _column(model: Model) -> str:
    """Return the column that holds the response, and nothing else."""
    response = _first_of_cbind(model.formula.response)
    if not isinstance(response, Name):
        written = "nothing" if response is None else f"'{text_of(response)}'"
        raise DataError(
            f"the response is {written}, which a new column cannot replace.",
            "The response of a model to be fitted again is a plain name: 'y ~ ...', or cbind() of such.",
            "Put the transformed response into a column of its own, or fit a new Model.",
        )
    weights = [model.weights] if isinstance(model.weights, str) else []
    if response.name in [*columns_of(replace(model.formula, response=None)), *weights]:
        raise DataError(
            f"'{response.name}' is the response and is also used right of the ~, or as weights.",
            "A new response changes nothing else in the model.",
            "Copy the column under a second name for its other use.",
        )
    return response.name


def _values(model: Model, response: Any, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the new response of the rows that are used, and of the whole table."""
    rows, length = model.design.rows, len(model.data)
    response = in_order_of(model, response, "newresp")
    try:
        given = _floats(response)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the new '{column}' does not hold numbers: {error}.",
            "A response is one number for each row.",
            "Convert it to numbers first.",
        ) from error
    if given.shape not in ((len(rows),), (length,)):
        used = f"{len(rows):,}" if len(rows) == length else f"{len(rows):,} (of {length:,} in the table)"
        raise DataError(
            f"the new '{column}' has the shape {given.shape}.",
            f"The model uses {used} rows, and each has one number.",
            "Give an array of that length, in the order of the table.",
        )
    values = given if len(given) == len(rows) else given[rows]
    missing = np.flatnonzero(~np.isfinite(values))
    if len(missing):
        where = f"{values[missing[0]]} in row {rows[missing[0]]}"
        raise DataError(
            f"the new '{column}' is {where}, and not finite in {len(missing):,} rows.",
            "Every row that the model uses has a finite response.",
            "Leave these rows out by fitting a new Model with missing='drop'.",
        )
    whole = np.full(length, np.nan)
    whole[rows] = values
    return values, whole


def _floats(response: Any) -> np.ndarray:
    """Return numbers as floats; what only could be read as such is a TypeError: dates, text, complex numbers."""
    given = np.asarray(response)
    texts = [value for value in given.ravel() if isinstance(value, str | bytes)] if given.dtype.kind == "O" else []
    if given.dtype.kind in "cMmSUV" or texts:
        raise TypeError(f"it has '{(texts or given.ravel())[0]!s}'")
    return given.astype(float)


def _scaled_anew(model: Model, design: Design) -> tuple[Slot, ...]:
    """Return the slots with each preset's priors scaled to the new response."""
    kept = tuple(model.slots)
    for preset in {slot.source for slot in kept if slot.source in PRESETS}:
        fresh = resolve_priors(
            design,
            family=model.family,
            priors=preset,
        )
        kept = tuple(new if old.source == preset else old for old, new in zip(kept, fresh, strict=True))
    return kept
