"""A fit goes in; its table comes out with fitted values and residuals beside the data: broom's `augment`.

The numbers are those of `fitted`, `predict` and `residuals`.
"""

from typing import TYPE_CHECKING

import pandas as pd

from speclet_formula.design.merged import require_rows
from speclet_formula.prediction.discrepancies import residuals
from speclet_formula.prediction.means import fitted
from speclet_formula.prediction.predicting import predict

if TYPE_CHECKING:
    from speclet_formula.posterior import Fit, PointFit

_NAMES = {"estimate": ".fitted", "std_error": ".se.fit", "conf_low": ".lower", "conf_high": ".upper"}


def augment(fit: "Fit | PointFit", *, ci_prob: float | None = None, ci_kind: str | None = None) -> pd.DataFrame:
    """Put fitted values and residuals beside the data, as broom.mixed's `augment`.

    Parameters
    ----------
    fit : Fit or PointFit
    ci_prob, ci_kind : optional
        As for `fixef`.

    Returns
    -------
    pandas.DataFrame
        The rows of the given table that were fitted, all of its columns, under the table's place ("row"), and

        * `.fitted`, `.se.fit`, `.lower`, `.upper`: as `fitted` has them (the last three are missing for a PointFit);
        * `.resid`: observation minus `.fitted`; of a proportion, shares;
        * `.std.resid`: `.resid` divided by the SD that the model gives the row;
        * `.fixed`: the linear predictor without group effects.

    Raises
    ------
    EstimateError
        The response is ordinal, censored or truncated, which has no such residuals; or as for `fixef`.

    Examples
    --------
    >>> from speclet_formula.prediction import augment
    >>> augment(fit).columns[-4:].to_list()
    ['.upper', '.resid', '.std.resid', '.fixed']
    """
    require_rows(fit.model.design, "augment()")
    added = {".resid": residuals(fit), ".std.resid": residuals(fit, "pearson", random_seed=0)}
    means = fitted(fit, ci_prob=ci_prob, ci_kind=ci_kind).rename(columns=_NAMES)
    added[".fixed"] = predict(fit, re_form="~0", type="link")["estimate"]
    data = fit.model.data.iloc[fit.model.design.rows]
    frame = pd.concat([data.set_axis(means.index), means, pd.DataFrame(added)], axis=1)
    frame.attrs.update(means.attrs)
    return frame
