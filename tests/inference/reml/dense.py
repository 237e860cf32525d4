"""Dense algebra of all rows' covariance, for tests: no code of the engine."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Dense:
    """What the rows' covariance V comes to; n rows, p fixed columns."""

    X: np.ndarray  # (n, p)
    inverse: np.ndarray  # (n, n) V^-1
    covariance: np.ndarray  # (p, p) (X'V^-1 X)^-1
    projection: np.ndarray  # (n, n) V^-1 less what X takes
    projected: np.ndarray  # (n,) the same times the response


def variance_parts(fit, related=()):
    """Return the rows' covariance, and its derivatives by each variance and covariance and the residual variance.

    `related` has the covariance between the levels, by label, of blocks by their names.
    """
    design = fit.model.design
    n = len(design.response)
    weights = np.ones(n) if design.weights is None else design.weights
    G, V = [], fit.estimates.sigma**2 * np.diag(1 / weights)
    for block, matrix in zip(design.mean.groups, fit.estimates.covariances, strict=True):
        Z = np.zeros((n, len(block.levels)))
        shares = np.ones((n, 1)) if block.shares is None else block.shares
        for places, share in zip(block.places.reshape(n, -1).T, shares.T, strict=True):
            Z[np.arange(n), places] += share
        levels = list(block.levels)
        between = dict(related).get(block.group, pd.DataFrame(np.eye(len(levels)), levels, levels)).loc[levels, levels]
        same, k = Z @ between.to_numpy() @ Z.T, len(block.columns)
        for i in range(k):
            for j in range(i, k if block.correlated else i + 1):
                part = same * np.outer(block.values[:, i], block.values[:, j])
                part = part if i == j else part + part.T
                G.append(part)
                V = V + matrix[i, j] * part
    return V, [*G, np.diag(1 / weights)]


def dense_of(fit, V):
    """Return what V comes to."""
    X, y = fit.model.design.mean.X, fit.model.design.response
    inverse = np.linalg.inv(V)
    covariance = np.linalg.inv(X.T @ inverse @ X)
    projection = inverse - inverse @ X @ covariance @ X.T @ inverse
    return Dense(X, inverse, covariance, projection, projection @ y)
