"""Comparisons of fits by leave-one-out or K-fold cross-validation.

What cannot be compared is refused before anything is fitted. Ranking and weights are ArviZ's.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from speclet_formula.common.arguments import answers_r, kind_word
from speclet_formula.common.engines import BY_NAME, WITHOUT_DRAWS
from speclet_formula.common.table import Printed, Sheet, number, text_table
from speclet_formula.comparison.kfold import kfold, make_folds
from speclet_formula.comparison.loo import count_high_k, loo
from speclet_formula.comparison.sentence import describe
from speclet_formula.design.merged import require_rows
from speclet_formula.design.tables import Missing
from speclet_formula.errors import ComparisonError
from speclet_formula.families import specification_of
from speclet_formula.formula.parse import joined_text
from speclet_formula.formula.terms import Formula, text_of
from speclet_formula.inference.exact.density import why_not_exact
from speclet_formula.inference.fit import fit
from speclet_formula.model import Model, Priors
from speclet_formula.posterior import Fit, PointFit

if TYPE_CHECKING:
    from speclet_formula.comparison.elpd import KFold, LeaveOneOut

Candidate = Fit | Model | Formula | str
FEWEST_FITS = 2
# What a family's log density of a row is; a density where nothing is said.
SHOWN = {  # columns that are printed, with their decimals
    "rank": 0, "elpd": 1, "se": 1, "elpd_diff": 1, "dse": 1, "p": 1, "weight": 2, "n_high_k": 0, "kind": None,
    "verdict": None,
}  # fmt: skip


@dataclass(frozen=True, repr=False, eq=False)
class Comparison(Printed):
    """Fits of the same rows, ranked by how well they predict rows that were left out.

    Attributes
    ----------
    table : pandas.DataFrame
        One row for each fit, the best first, by name:

        * `rank`: 0 is the best;
        * `elpd_diff`, `dse`: difference of `elpd` to the best (negative or 0), and its standard error;
        * `p_worse`: probability of being worse than the best, by a normal approximation;
        * `diag_diff`, `diag_elpd`: ArviZ's own remarks on the difference and on the Pareto k;
        * `p`: effective number of parameters;
        * `elpd`, `se`: sum of the rows' log predictive densities, and its standard error;
        * `weight`: weight in the stack of models that predicts best;
        * `n_high_k`: rows whose Pareto k is high or could not be estimated;
        * `n_redone`: rows, or levels, whose Pareto k was high, for which the variances were drawn anew without them;
        * `kind`: "integrated", "own level" or "conditional", as `loo` explains, or "refitted", as `kfold`;
        * `verdict`: that of the fit's diagnostics: "converged", "doubtful" or "failed".
    sentence : str
        What the table means.
    fits : mapping of str to Fit
    estimates : mapping of str to arviz.ELPDData
        What `loo`, or `kfold`, gave for each fit.
    """

    table: pd.DataFrame
    sentence: str
    fits: Mapping[str, Fit]
    estimates: Mapping[str, Any]

    def sheet(self) -> Sheet:
        """Return the parts of the print-out: what the table means, and the table."""
        shown = {
            column: [
                str(value) if decimals is None else number(value, f",.{decimals}f") for value in self.table[column]
            ]
            for column, decimals in SHOWN.items()
        }
        frame = pd.DataFrame({"model": self.table.index, **shown})
        return Sheet("", (self.sentence,), (text_table(frame),))


@answers_r(beyond=fit, error=ComparisonError)
def compare(
    models: Mapping[str, Candidate | list[str]] | Sequence[Candidate | list[str]],
    data: Any = None,
    *,
    group: str | None = None,
    family: str = "gaussian",
    link: str | None = None,
    priors: Priors = None,
    weights: Any = None,
    missing: Missing = "error",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    contrasts: Mapping[str, str] | None = None,
    matrices: Mapping[str, Any] | None = None,
    progress: bool = True,
    **fit_arguments: Any,
) -> Comparison:
    """Rank models by how well they predict left-out rows, or the rows of left-out groups.

    Parameters
    ----------
    models : mapping of str to (Fit, Model, str or list of str), or sequence of them
        Fits, models to fit, or formulas; two or more. A list of str is one model, its parameters' formulas after the
        mean's. In a sequence each is named by its formula.
    data : table, optional
        The data of the formulas.
    group : str, optional
        A column, such as "gene": each of its levels is left out with all its rows, as `kfold` does, instead of one row
        at a time. Which model predicts a new gene best is another question than which predicts one more row of known
        genes. Models that are not integrated are fitted again for each level.
    family, link, priors, weights, missing, functions, contrasts, matrices
        As in `Model`, for each formula. `missing="drop"` drops rows by formula: leave them out of `data` where the
        formulas use different columns.
    progress : bool
        Whether to show a progress bar while fitting, and while rows are left out.
    **fit_arguments
        As in `fit`: `draws`, `chains`, `random_seed`, ...

    Returns
    -------
    Comparison
        With `table`, `sentence`, `fits` and `estimates`.

    Raises
    ------
    ComparisonError
        There are fewer than two models, two of them have no name or the same one, they have different rows, responses
        or kinds of family, formulas come without data, or data without formulas.
    FormulaError, DataError, PriorError, SamplingError
        As `Model` and `fit`.

    References
    ----------
    Vehtari, Gelman and Gabry (2017). Practical Bayesian model evaluation using leave-one-out cross-validation and
    WAIC. Statistics and Computing 27, 1413-1432. doi:10.1007/s11222-016-9696-4.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> formulas = {"pairs": "log_fc ~ (1 | gene:cell_line)", "crossed": "log_fc ~ (1 | gene) + (1 | cell_line)"}
    >>> sf.compare(formulas, data, random_seed=1)  # doctest: +SKIP
    """
    named = _named(models)
    refits = group is not None and any(isinstance(item, Fit) and why_not_exact(item.model) for item in named.values())
    _check_use(named, data, {} if refits else fit_arguments)
    settings: dict[str, Any] = {
        "family": family,
        "link": link,
        "priors": priors,
        "weights": weights,
        "missing": missing,
        "functions": functions,
        "contrasts": contrasts,
        "matrices": matrices,
    }
    ready = {
        name: Model(candidate, data, **settings) if isinstance(candidate, (str, Formula)) else candidate
        for name, candidate in named.items()
    }
    read = {name: item.model if isinstance(item, Fit) else item for name, item in ready.items()}
    check_comparable(read)
    for model in read.values():
        require_rows(model.design, "compare()")
        if group is not None:
            make_folds(model, group=group)  # before anything is fitted
    fits = _fitted(ready, {"progress": progress, **fit_arguments})
    estimates = {name: _estimated(fit, group, progress, fit_arguments) for name, fit in fits.items()}
    table, remarks = _table(fits, estimates)
    sentence = describe(table, fits, estimates, remarks, group=group)
    return Comparison(table=table, sentence=sentence, fits=fits, estimates=estimates)


def check_comparable(models: Mapping[str, Model]) -> None:
    """Refuse models whose log predictive densities are not of the same values.

    Raises
    ------
    ComparisonError
        They have different responses, rows or kinds of family.
    """
    (first, model), *others = models.items()
    for second, rival in others:
        _check_response(first, model, second, rival)
        _check_rows(first, model, second, rival)
        _check_families(first, model, second, rival)


def _named(models: Mapping[str, Candidate | list[str]] | Sequence[Candidate | list[str]]) -> dict[str, Candidate]:
    """Return the candidates by name."""
    if isinstance(models, Mapping):
        pairs = [(name, _joined(candidate)) for name, candidate in models.items()]
    elif isinstance(models, (list, tuple)):
        pairs = [(_formula_text(candidate), candidate) for candidate in map(_joined, models)]
    else:
        raise _no_models(models)
    if len(pairs) < FEWEST_FITS:
        raise ComparisonError(
            f"there {'is one model' if pairs else 'are no models'} to compare.",
            "A comparison takes two models or more, as a dictionary by name or as a list.",
            'For example compare({"a": fit_a, "b": fit_b}), or compare(["y ~ x + (1 | g)", "y ~ (1 | g)"], data).',
        )
    for name, candidate in pairs:
        if isinstance(candidate, PointFit):
            engine = BY_NAME[candidate.method]
            raise ComparisonError(
                f"'{name}' is a fit by {engine.title}, which has no draws.",
                "Models are ranked by leave-one-out, which needs draws from a posterior.",
                f"Fit it by method='{engine.sampled_by}', or compare likelihoods by sf.anova.",
            )
        if not isinstance(candidate, (Fit, Model, Formula, str)):
            called = f"'{name}'" if isinstance(models, Mapping) else "one of the models"
            raise ComparisonError(
                f"{called} is of the type {type(candidate).__name__}.",
                "What is compared is a Fit, a Model, or a formula's text.",
                "Fit it first: fit(Model(formula, data)), and give the result"
                + (f" as '{name}'." if isinstance(models, Mapping) else "."),
            )
    _check_names([name for name, _ in pairs])
    return dict(pairs)


def _no_models(models: Any) -> ComparisonError:
    """Word what was given in the place of models, and how they are given."""
    if hasattr(models, "columns"):
        remedy = 'The models come first, the table after them: compare(["y ~ x + (1 | g)", "y ~ (1 | g)"], data).'
    elif isinstance(models, str | Formula):
        remedy = 'Put them into a list: compare(["y ~ x + (1 | g)", "y ~ (1 | g)"], data).'
    else:
        remedy = "Put them into a list: compare([first, second])."
    return ComparisonError(
        f"models is {kind_word(models)}.",
        "A comparison takes two models or more, as a dictionary by name or as a list.",
        remedy,
    )


def _joined(candidate: Any) -> Any:
    """Make one text of the formulas of one model."""
    several = isinstance(candidate, (list, tuple)) and all(isinstance(text, str) for text in candidate)
    return joined_text(candidate) if several else candidate


def _formula_text(candidate: object) -> str:
    if isinstance(candidate, Fit | PointFit):
        return text_of(candidate.model.formula)
    if isinstance(candidate, Model):
        return text_of(candidate.formula)
    if isinstance(candidate, Formula):
        return text_of(candidate)
    return candidate if isinstance(candidate, str) else kind_word(candidate)


def _check_names(names: Sequence[Any]) -> None:
    for position, name in enumerate(names):
        if not isinstance(name, str) or not name.strip():
            raise ComparisonError(
                f"model {position + 1} has the name {name!r}.",
                "Each model has a name, a text that is not empty.",
                'For example compare({"a": fit_a, "b": fit_b}).',
            )
        if name in names[:position]:
            raise ComparisonError(
                f"two models have the name '{name}'.",
                "Each model has a name of its own; in a list it is its formula.",
                'Name them in a dictionary: compare({"a": fit_a, "b": fit_b}).',
            )


def _check_use(named: Mapping[str, Candidate], data: Any, fit_arguments: Mapping[str, Any]) -> None:
    """Refuse formulas without data, and arguments that nothing would use."""
    formulas = [name for name, candidate in named.items() if isinstance(candidate, (str, Formula))]
    if formulas and data is None:
        raise ComparisonError(
            f"'{formulas[0]}' is a formula without data.",
            "A formula is fitted to data; a Fit or a Model brings its own.",
            "Give the table as the second argument: compare(models, data).",
        )
    if data is not None and not formulas:
        raise ComparisonError(
            "data are given, but no formula.",
            "Data are for formulas; each Fit or Model brings its own.",
            "Leave data out, or give formulas.",
        )
    if fit_arguments.get("method") in WITHOUT_DRAWS:
        raise ComparisonError(
            f"method={fit_arguments['method']!r} makes no draws to compare by.",
            "Leave-one-out needs draws from a posterior; fits by 'reml', 'ml' and 'laplace' have estimates alone.",
            "Leave method= out, or compare likelihoods with anova().",
        )
    if fit_arguments and all(isinstance(candidate, Fit) for candidate in named.values()):
        raise ComparisonError(
            f"{', '.join(f'{name}=' for name in fit_arguments)} would change nothing: every model is fitted already.",
            "Arguments of fit() are for models and formulas that are yet to be fitted.",
            "Leave them out.",
        )


def _check_response(first: str, model: Model, second: str, rival: Model) -> None:
    names = model.design.response_name, rival.design.response_name
    if names[0] != names[1]:
        raise ComparisonError(
            f"'{first}' has the response '{names[0]}', '{second}' has '{names[1]}'.",
            "Densities are compared for the same response; another scale of it is another response.",
            "Give all models the same left-hand side.",
        )


def _check_rows(first: str, model: Model, second: str, rival: Model) -> None:
    counts = len(model.design.rows), len(rival.design.rows)
    different = counts[0] == counts[1] and int((model.design.rows != rival.design.rows).sum())
    if counts[0] != counts[1]:
        problem = f"'{first}' has {counts[0]:,} rows, '{second}' has {counts[1]:,}{_dropped_words(model, rival)}."
    elif different:
        problem = f"'{first}' and '{second}' use different rows of the table: {different:,} of {counts[0]:,} differ"
        problem += f"{_dropped_words(model, rival)}."
    else:
        problem = ""
    if problem:
        raise ComparisonError(problem, "Models are compared on the same rows.", _same_rows_remedy(model, rival))
    if not _same_values(model.design.response, rival.design.response) or not _same_trials(model, rival):
        raise ComparisonError(
            f"the values of '{model.design.response_name}' differ between '{first}' and '{second}'.",
            "Models are compared on the same values, in the same order.",
            "Fit both to one table.",
        )


def _dropped_words(model: Model, rival: Model) -> str:
    """Say how many rows each model left out, where one did."""
    if not model.n_dropped and not rival.n_dropped:
        return ""
    return f"; for missing values they dropped {model.n_dropped:,} and {rival.n_dropped:,}"


def _same_rows_remedy(model: Model, rival: Model) -> str:
    """Name the columns that have to be complete for both, or say that the tables differ."""
    if model.design.merged is not None or rival.design.merged is not None:
        return "Fit the smaller model to the larger one's merged rows: data=larger.model.data."
    if not model.n_dropped and not rival.n_dropped:
        return "Fit both to one table."
    used = dict.fromkeys(str(column) for each in (model, rival) for column in each.design.frame.columns)
    columns = ", ".join(f"'{column}'" for column in used)
    return f"Leave the same rows out for both: fit them to data.dropna(subset=[{columns}])."


def _same_values(values: np.ndarray, others: np.ndarray) -> bool:
    return bool(np.array_equal(values, others))


def _same_trials(model: Model, rival: Model) -> bool:
    trials = model.design.trials, rival.design.trials
    if trials[0] is None or trials[1] is None:
        known = trials[0] if trials[1] is None else trials[1]  # a bernoulli response is one of single trials
        return known is None or bool((known == 1).all())
    return _same_values(trials[0], trials[1])


def _check_families(first: str, model: Model, second: str, rival: Model) -> None:
    kinds = [specification_of(each.family).responses.density for each in (model, rival)]
    if kinds[0] != kinds[1]:
        raise ComparisonError(
            f"'{first}' is {model.family.name}, '{second}' is {rival.family.name}.",
            f"The first gives a row {kinds[0]}, the second {kinds[1]}, and the two have no common scale.",
            "Compare families of counts with each other, and families of real numbers with each other.",
        )


def _fitted(ready: Mapping[str, Fit | Model], arguments: Mapping[str, Any]) -> dict[str, Fit]:
    """Fit what is not yet fitted."""
    if all(isinstance(item, Fit) for item in ready.values()):
        return {name: item for name, item in ready.items() if isinstance(item, Fit)}
    from speclet_formula.inference.fit import fit  # here, since it brings PyMC along

    return {name: item if isinstance(item, Fit) else fit(item, **arguments) for name, item in ready.items()}


def _estimated(fit: Fit, group: str | None, progress: bool, fit_arguments: Mapping[str, Any]) -> "LeaveOneOut | KFold":
    """Leave out one row at a time, or one level."""
    if group is None:
        return loo(fit, progress=progress)
    if not why_not_exact(fit.model):
        return kfold(fit, group=group, progress=progress)
    refits = {name: value for name, value in fit_arguments.items() if name not in ("cores", "method")}
    return kfold(fit, group=group, progress=progress, **refits)


def _table(fits: Mapping[str, Fit], estimates: Mapping[str, Any]) -> tuple[pd.DataFrame, list[str]]:
    """Return ArviZ's table with counts of rows, the estimate's kind and the fit's verdict; and ArviZ's warnings."""
    import arviz

    with warnings.catch_warnings(record=True) as caught, np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("always")
        table = arviz.compare(dict(estimates), round_to="none")
    about = [estimates[name].elpd_i.attrs for name in table.index]
    remarks = dict.fromkeys(("diag_diff", "diag_elpd"), "str")  # pandas' usual text, as in all other columns
    table = table.astype({name: kind for name, kind in remarks.items() if name in table}).assign(
        n_high_k=[count_high_k(estimates[name]) for name in table.index],
        n_redone=[attributes["n_redone"] for attributes in about],
        kind=[attributes["kind"] for attributes in about],
        verdict=[fits[name].diagnostics.verdict for name in table.index],
    )
    return table, [str(warning.message) for warning in caught if warning.category is UserWarning]
