"""A fit goes in; linear predictors, fitted values and pointwise log densities of its rows come out, draw by draw.

`gathering` reads the draws, `predictors` adds them up, `means` and `densities` say what the sums mean. Judging
models by them is left to `comparison`.
"""

from speclet_formula.prediction.augmenting import augment
from speclet_formula.prediction.densities import log_likelihood, log_likelihood_blocks
from speclet_formula.prediction.discrepancies import residuals
from speclet_formula.prediction.gathering import BLOCK_BYTES, OBSERVATION_DIM
from speclet_formula.prediction.means import fitted
from speclet_formula.prediction.predicting import predict
from speclet_formula.prediction.predictors import linear_predictor
from speclet_formula.prediction.simulating import simulate_responses

__all__ = [
    "BLOCK_BYTES",
    "OBSERVATION_DIM",
    "augment",
    "fitted",
    "linear_predictor",
    "log_likelihood",
    "log_likelihood_blocks",
    "predict",
    "residuals",
    "simulate_responses",
]
