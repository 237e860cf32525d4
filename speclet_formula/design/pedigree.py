"""The relationships of a pedigree as a sparse precision: the inverse of the numerator relationship matrix.

With T the shares of genes that go from ancestors to descendants and D the variances that Mendel's sampling adds,
A = T D T', so that A^-1 is a sum over individuals of v v' / d, v = 1 at the individual and -1/2 at each known parent
(Henderson 1976, doi:10.2307/2529339; Quaas 1976, doi:10.2307/2529279, for inbreeding).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from speclet_formula.common.compiling import loops
from speclet_formula.design.level_matrices import LevelMatrix
from speclet_formula.design.tables import as_pandas, select_columns
from speclet_formula.design.transforms import label_of
from speclet_formula.errors import DataError, listed

compiled = loops(error_model="numpy")
_ALLOWED = "A pedigree has a row for each individual, with its parents, or missing values where they are not known."


def pedigree(data: Any, *, individual: str = "id", sire: str = "sire", dam: str = "dam") -> LevelMatrix:
    """Return how the individuals of a pedigree are related, for ``(1 | gr(animal, precision = P))``.

    Parameters
    ----------
    data : table
        A row for each individual, in any order.
    individual, sire, dam : str
        The columns of the individual and of its parents; missing values where a parent is not known. Of plants both
        may be the same. A parent without a row of its own is taken for a founder, whose own parents are not known.

    Returns
    -------
    LevelMatrix
        The inverse of the numerator relationship matrix A, sparse, parents before their offspring: twice the kinship
        coefficients are A's entries, 1 and the coefficient of inbreeding its diagonal. Handed over as a covariance it
        is refused.

    Raises
    ------
    DataError
        An individual has two rows, or is its own ancestor, or a parent is called "0", which many programs write for an
        unknown one.

    References
    ----------
    Henderson (1976), doi:10.2307/2529339. Quaas (1976), doi:10.2307/2529279. Inbreeding as Meuwissen and Luo (1992),
    doi:10.1186/1297-9686-24-4-305.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> family = {"id": ["child"], "sire": ["father"], "dam": ["mother"]}
    >>> P = sf.pedigree(family)
    >>> print(P.labels, P.matrix.toarray().tolist())
    ('father', 'mother', 'child') [[1.5, 0.5, -1.0], [0.5, 1.5, -1.0], [-1.0, -1.0, 2.0]]
    """
    table = select_columns(as_pandas(data), [individual, sire, dam])
    parents = _parents(table, individual, sire, dam)
    labels = _in_order(parents)
    place = {label: k for k, label in enumerate(labels)}
    fathers, mothers = (
        np.array([-1 if parents[label][which] is None else place[str(parents[label][which])] for label in labels])
        for which in (0, 1)
    )
    variances = np.empty(len(labels))
    mendelian_variances(fathers, mothers, variances)
    return LevelMatrix(_inverse(fathers, mothers, variances), labels, role="precision")


def _parents(table: pd.DataFrame, individual: str, sire: str, dam: str) -> dict[str, tuple[str | None, str | None]]:
    """Return each individual's parents, those without a row of their own first."""
    if table[individual].isna().any():
        raise DataError(f"'{individual}' lacks a value in a row.", _ALLOWED, "Give each individual a label.")
    own = [label_of(label) for label in table[individual]]
    known = [[None if pd.isna(one) else label_of(one) for one in table[name]] for name in (sire, dam)]
    named = dict.fromkeys(parent for pair in zip(*known, strict=True) for parent in pair if parent is not None)
    rows = set(own)
    if "0" in named and "0" not in rows:
        raise DataError(
            "a parent is called '0', which has no row.",
            _ALLOWED,
            f"Write data[['{sire}', '{dam}']].replace({{'0': None, 0: None}}) if it stands for an unknown parent.",
        )
    if len(rows) < len(own):
        twice = next(label for k, label in enumerate(own) if label in own[:k])
        raise DataError(f"'{twice}' has two rows or more.", _ALLOWED, "Keep one of them.")
    founders: dict[str, tuple[str | None, str | None]] = {one: (None, None) for one in named if one not in rows}
    return founders | dict(zip(own, zip(*known, strict=True), strict=True))


def _in_order(parents: Mapping[str, tuple[str | None, str | None]]) -> list[str]:
    """Return the individuals, parents before their offspring."""
    offspring: dict[str, list[str]] = {label: [] for label in parents}
    waiting = {}
    for label, pair in parents.items():
        different = {parent for parent in pair if parent is not None}
        waiting[label] = len(different)
        for parent in different:
            offspring[parent].append(label)
    ready = [label for label, count in waiting.items() if not count]
    for label in ready:  # which grows
        for child in offspring[label]:
            waiting[child] -= 1
            if not waiting[child]:
                ready.append(child)
    if len(ready) < len(parents):
        left = [label for label, count in waiting.items() if count]
        raise DataError(
            f"some are their own ancestors, or descend from such: {listed(left, 5)}.",
            "Parents are born before their offspring.",
            "Look for a parent and its offspring in each other's place.",
        )
    return ready


@compiled
def mendelian_variances(fathers: np.ndarray, mothers: np.ndarray, variances: np.ndarray) -> None:
    """Fill in the variances (n,) that Mendel's sampling adds, parents before offspring; -1 for an unknown parent.

    An individual's diagonal entry of A is the sum over its ancestors, itself included, of the squares of their shares
    in it times their own variances.
    """
    n = len(fathers)
    inbreeding, shares = np.zeros(n), np.zeros(n)
    for i in range(n):
        father, mother = fathers[i], mothers[i]
        from_father = inbreeding[father] if father >= 0 else -1.0
        from_mother = inbreeding[mother] if mother >= 0 else -1.0
        variances[i] = 0.5 - 0.25 * (from_father + from_mother)
        if father < 0 or mother < 0:
            continue
        shares[i], total = 1.0, 0.0
        for j in range(i, -1, -1):
            if shares[j] != 0.0:
                total += shares[j] ** 2 * variances[j]
                if fathers[j] >= 0:
                    shares[fathers[j]] += 0.5 * shares[j]
                if mothers[j] >= 0:
                    shares[mothers[j]] += 0.5 * shares[j]
                shares[j] = 0.0
        inbreeding[i] = total - 1.0


def _inverse(fathers: np.ndarray, mothers: np.ndarray, variances: np.ndarray) -> Any:
    """Return A^-1, sparse (n, n)."""
    n = len(fathers)
    own = np.arange(n)
    rows, columns, values = [own], [own], [np.ones(n)]
    for parent in (fathers, mothers):
        known = np.flatnonzero(parent >= 0)
        rows.append(known)
        columns.append(parent[known])
        values.append(np.full(len(known), -0.5))
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    shares = sparse.coo_array(entries, shape=(n, n)).tocsr()
    return (shares.T @ sparse.dia_array((1 / variances[None], [0]), shape=(n, n)) @ shares).tocsc()
