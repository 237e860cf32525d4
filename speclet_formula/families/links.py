"""The name of a link goes in; the function from the linear predictor to the mean comes out.

For ordinal families the same function is the distribution of a latent response, whose tails are needed too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

_FAR_BELOW = -40.0

type Transform = Callable[[np.ndarray], np.ndarray]

INVERSE_LINKS: Mapping[str, Transform] = {
    "identity": lambda eta: eta,
    "log": np.exp,
    "inverse": lambda eta: 1 / eta,
    "inverse_squared": lambda eta: 1 / np.sqrt(eta),
    "logit": special.expit,
    "probit": special.ndtr,
    "cloglog": lambda eta: -np.expm1(-np.exp(eta)),
}


@dataclass(frozen=True)
class Latent:
    """The distribution function F that a link inverts, by its two tails and its quantiles."""

    log_below: Transform  # log F(x)
    log_above: Transform  # log(1 - F(x))
    quantile: Transform


LATENT: Mapping[str, Latent] = {
    "logit": Latent(special.log_expit, lambda x: special.log_expit(-x), special.logit),
    "probit": Latent(special.log_ndtr, lambda x: special.log_ndtr(-x), special.ndtri),
    "cloglog": Latent(
        # Far below, 1 - exp(-exp(x)) is exp(x), and would come to 0.
        lambda x: np.where(x < _FAR_BELOW, x, np.log(-np.expm1(-np.exp(np.maximum(x, _FAR_BELOW))))),
        lambda x: -np.exp(x),
        lambda u: np.log(-np.log1p(-u)),
    ),
}
