"""The curves of a fit: how wiggly each is, how many effective coefficients it takes, whether it is there: `smooths`."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from speclet_formula.design.design import GroupBlock, Predictor
from speclet_formula.inference.smooths import effective_freedom, no_smooth, smooth_terms, smooth_tests
from speclet_formula.posterior.draws import Fitted, values_of
from speclet_formula.posterior.estimates import (
    IntervalKind,
    interval_of,
    points_of,
    stack,
    summarise,
    without_intervals,
)

TESTS = ("ref_df", "statistic", "p_value")
SMOOTHS = ("smooth", "parameter", "columns", "edf", *TESTS, "estimate", "conf_low", "conf_high")


def smooths(fit: Fitted, *, ci_prob: float | None = None, ci_kind: IntervalKind | None = None) -> pd.DataFrame:
    """Summarise the smooth terms of a fit, as mgcv's summary does.

    Parameters
    ----------
    fit : Fit or PointFit
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        One row for each penalised part, those of the mean first:

        * `smooth`: its label, "s(x)", of the curve of a level "s(x, by = f)[a]". t2(x, z) has three rows: wiggly in
          both, in z and in x alone; s(x, g, bs = "fs") has three, the wiggles, the levels' means and their slopes;
        * `parameter`: the linear predictor that it is part of, "sigma"; empty of the mean's;
        * `columns`: how many coefficients it has, those included that no penalty sees (they stand in the first row);
        * `edf`: effective degrees of freedom, the trace of the part of the smoother matrix that is this smooth's. The
          sum over a term's rows is mgcv's edf. Of a fit with draws it is that at the medians of the variances. Missing
          of a parameter's own formula and beside one, and of levels without an order;
        * `ref_df`, `statistic`, `p_value`: of a fit by maximum likelihood, in the first row of each smooth, the test
          that the whole of it is zero, given the variances: F with `ref_df` and the residual degrees of freedom where
          the response is gaussian, else chi-squared with `ref_df`. The p-value is mgcv's; its statistic takes one of
          two signs at will, and here is the mean of both. Missing of draws, of a gp(), where `edf` is missing, and
          beside columns that others make up;
        * `estimate`: estimate of the SD of its wiggles on the link's scale: that of the curve around its straight line,
          on average over the rows; of a gp() that of the process;
        * `conf_low`, `conf_high`: the interval of that SD; missing of a fit by maximum likelihood.

        The length-scale of a gp() stands in `varcorr(fit)`.

    Raises
    ------
    EstimateError
        The model has no smooth, or as for `fixef`.

    References
    ----------
    Wood (2013). On p-values for smooth components of an extended generalized additive model. Biometrika 100.
    doi:10.1093/biomet/ass048. A smooth that is penalised as a whole, bs = "cc" or "fs", is tested as in: A simple test
    for random effects in regression models, doi:10.1093/biomet/ast038.
    Wood (2017). Generalized Additive Models: An Introduction with R, 2nd edition, section 6.1.2.
    doi:10.1201/9781315370279.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, _ = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ s(log_rna) + (1 | gene)", data, method="reml")  # doctest: +SKIP
    >>> sf.smooths(fit)["smooth"].to_list()  # doctest: +SKIP
    ['s(log_rna)']
    """
    design = fit.model.design
    if not design.smooths:
        raise no_smooth()
    interval, points = interval_of(fit, ci_prob, ci_kind), points_of(fit)
    known, edf = values_of(fit), effective_freedom(fit)
    tests = {} if points is None else {test.smooth: test for test in smooth_tests(fit)}
    rows = [
        summarise(known.sds(block)[:, :1], interval).assign(
            smooth=block.label,
            parameter=predictor.name,
            columns=len(block.levels) * len(block.columns) + straight,
            edf=np.nan if predictor.name else edf.get(block.label, np.nan) + straight,
            **{name: getattr(tests.get(tested), name, np.nan) for name in TESTS},
        )
        for predictor in design.predictors
        for block, straight, tested in _parts(predictor)
    ]
    frame = _typed(stack(rows, SMOOTHS, interval))
    return frame if points is None else without_intervals(frame, points, "conf_low", "conf_high")


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    attrs = frame.attrs
    frame = frame.astype({"columns": np.int64, "smooth": "str", "parameter": "str"})
    frame.attrs.update(attrs)
    return frame


def _parts(predictor: Predictor) -> Iterator[tuple[GroupBlock, int, str]]:
    """Go through the parts of smooths; the first of each has its columns that no penalty sees, and its test."""
    for curve in smooth_terms(predictor):
        for block in curve.parts:
            first = block is curve.parts[0] and not predictor.name
            yield block, len(curve.fixed) if block is curve.parts[0] else 0, curve.label if first else ""
