"""Linear predictors, fitted values, predictions, residuals and pointwise log densities of rows, draw by draw.

Judging models by them is left to `comparison`.
"""

from speclet_formula.prediction.linear_predictors import BLOCK_BYTES, OBSERVATION_DIM, linear_predictor
from speclet_formula.prediction.log_likelihood import log_likelihood, log_likelihood_blocks
from speclet_formula.prediction.predict import fitted, predict
from speclet_formula.prediction.residuals import augment, residuals
from speclet_formula.prediction.responses import simulate_responses

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
