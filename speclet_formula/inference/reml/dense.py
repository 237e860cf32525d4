"""A design with few coefficients goes in; log|P|, the residual and the coefficients at vectors theta come out.

One Cholesky factor of [P, r; r', y'y] holds all of them (r = T'W'y), as in lme4: group effects first, then fixed ones,
then the response. In numpy alone, since compiling or even loading the loops of `sparse` takes longer than
such a fit.
"""

from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from scipy import sparse

from speclet_formula.design import Design, centre_of
from speclet_formula.design.merged import moments_of
from speclet_formula.inference.reml.relative import Relative, Solution, entries_of

BATCH = 2**21  # numbers of the matrices that are factored at a time


@dataclass(frozen=True, eq=False)
class Dense:
    """[P, r; r', y'y] as a function of theta; p coefficients, q of them group effects, m entries of theta."""

    relative: Relative
    transforms: np.ndarray  # (m + 1, p + 1, p + 1) T = T0 + sum of theta_k T_k, with a one for the response
    products: np.ndarray  # (pairs, (p + 1)^2) what each product of two of (1, theta) is multiplied by
    pairs: np.ndarray  # (pairs, 2) the two
    units: np.ndarray  # (p + 1,) the ones of I


def dense_numbers(relative: Relative) -> int:
    """Return how many numbers a Dense would hold, which is what an evaluation takes time for."""
    terms = relative.size + 1
    return terms * (terms + 1) // 2 * (relative.coefficients + 1) ** 2


def dense_system(design: Design, relative: Relative, shift: np.ndarray) -> Dense:
    """Prepare a design, whose response is less a shift (n,)."""
    gram = _gram(design, shift)
    transforms = _transforms(relative)
    pairs = list(combinations_with_replacement(range(len(transforms)), 2))
    products = np.empty((len(pairs), len(gram), len(gram)))
    for place, (first, second) in enumerate(pairs):
        product = transforms[first].T @ gram @ transforms[second]
        products[place] = product if first == second else product + product.T
    units = (np.arange(len(gram)) < relative.coefficients - relative.n_fixed).astype(float)
    return Dense(relative, transforms, products.reshape(len(pairs), -1), np.array(pairs), units)


def _gram(design: Design, shift: np.ndarray) -> np.ndarray:
    """Return the weighted cross products of group effects' columns, centred fixed columns and response."""
    rows = np.arange(len(design.response))
    parts = []
    for block in design.mean.groups:
        width = block.values.shape[1]
        columns = (block.codes[:, None] * width + np.arange(width)).ravel()
        entries = (block.values.ravel(), (np.repeat(rows, width), columns))
        parts.append(sparse.csr_array(entries, shape=(len(rows), width * len(block.levels))))
    response = design.response - design.mean.offset - shift
    parts.append(sparse.csr_array(np.column_stack([design.mean.X - centre_of(design), response])))
    W = sparse.hstack(parts, format="csr")
    weighted = W if design.weights is None else W.multiply(design.weights[:, None])
    gram = np.asarray((W.T @ weighted).toarray())
    gram[-1, -1] += moments_of(design).within
    return gram


def _transforms(relative: Relative) -> np.ndarray:
    """Return what one, and each entry of theta, adds to T."""
    random = relative.coefficients - relative.n_fixed
    found = np.zeros((relative.size + 1, relative.coefficients + 1, relative.coefficients + 1))
    kept = np.arange(random, relative.coefficients + 1)
    found[0, kept, kept] = 1.0
    for entry in range(relative.size):
        rows, columns, scale = entries_of(relative, entry)
        found[entry + 1, rows - relative.n_fixed, columns - relative.n_fixed] = scale
    return found


def evaluate_dense(system: Dense, theta: np.ndarray, *, reml: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return log|P|, of group effects alone unless reml, and y'y - r'P^-1 r, (N,) each, at N vectors theta (N, m).

    Both are NaN where P is not positive definite or nothing is left of the response.
    """
    counted = system.relative.coefficients - (0 if reml else system.relative.n_fixed)
    at_once = max(1, BATCH // system.products.shape[1])
    diagonals = np.concatenate([
        np.diagonal(_factors(system, theta[first : first + at_once]), axis1=1, axis2=2)
        for first in range(0, len(theta), at_once)
    ])  # fmt: skip
    return 2 * np.log(diagonals[:, :counted]).sum(axis=1), diagonals[:, -1] ** 2


def _factors(system: Dense, theta: np.ndarray) -> np.ndarray:
    """Return the lower Cholesky factors (N, p + 1, p + 1) at N vectors theta; NaN where there is none."""
    powers = np.column_stack([np.ones(len(theta)), theta])
    filled = (powers[:, system.pairs[:, 0]] * powers[:, system.pairs[:, 1]]) @ system.products
    matrices = filled.reshape(len(theta), len(system.units), -1) + np.diag(system.units)
    try:
        return np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:  # of one of them, which numpy does not name
        if len(theta) == 1:
            return np.full_like(matrices, np.nan)
        return np.concatenate([_factors(system, one[None]) for one in theta])


def solve_dense(system: Dense, theta: np.ndarray) -> Solution:
    """Solve for all coefficients at one vector theta (m,)."""
    size, n_fixed = system.relative.coefficients, system.relative.n_fixed
    random = size - n_fixed
    (factor,) = _factors(system, theta[None])
    transform = np.tensordot(np.concatenate([[1.0], theta]), system.transforms, 1)[:size, :size]
    roots = np.linalg.solve(factor[:size, :size], transform.T)  # T P^-1 T' is the product of their columns
    alone = np.linalg.solve(factor[:random, :random], transform[:random, :random].T)
    covariances = roots.T @ roots[:, random:]
    return Solution(
        coefficients=np.roll(roots.T @ factor[size, :size], n_fixed),  # fixed effects first again
        fixed_columns=np.roll(covariances, n_fixed, axis=0),
        conditional=(alone**2).sum(axis=0),
    )
