"""Log fold changes freed from what a guide's first reads and its sequence foretell of them, whatever the gene.

The change from a first count that happened to be too high is a fall, whatever the gene: of change scores this is known
as regression to the mean. Guides with other sequences are amplified and cut to other degrees.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.posterior.estimates import Array
from speclet_formula.screens.columns import text_of_labels

ADJUSTED = "log_fc_adjusted"
_KNOTS = (0.05, 0.35, 0.65, 0.95)  # quantiles of the log of first reads
_ROWS_PER_COLUMN = 20  # guides for each coefficient that is estimated
_FAR = 4.685  # standard deviations from which on a guide has no weight: Tukey's biweight
_ROUNDS, _SETTLED = 50, 1e-6
_BASES = "ACGT"
_SHORTEST = 17  # bases of a guide
_PROPORTION = 1e-6  # of the reads, up to which two samples' first reads are those of the same references


def adjust_fold_changes(
    table: pd.DataFrame,
    *,
    value: str = "log_fc",
    initial: str | None = "count_initial",
    sequence: str | None = None,
    sample: str = "sample",
) -> pd.DataFrame:
    """Take out of log fold changes what first reads and sequence of the guides foretell, sample by sample.

    Most guides of a screen do nothing, so that a robust regression over all of them shows how the change depends on
    the guide alone. What is taken out has no labels of genes and no controls in it. With few reads of the plasmid or
    of the first time point the fold change of a guide is larger the fewer reads it happened to get there; where those
    are many and well known, there is little to take out.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per guide and sample, as `read_screen(...).table`.
    value : str
        The column of log2 fold changes.
    initial : str, optional
        The column of the reads that the change is from: a natural spline of their logarithm is taken out. None for
        not. Where samples have references of their own, as paired ones do, it is a spline of the guide's mean over all
        references, and the own one's distance from it; guides are then told by the column `sgRNA`.
    sequence : str, optional
        The column of the guides' sequences (`sgRNA`, where they are named so): the base at each place, and the number
        of G and C with its square. They are compared from their 3' end, which is next to the PAM. Not by default.
    sample : str
        Each sample is regressed by itself.

    Returns
    -------
    pandas.DataFrame
        A copy with the column `log_fc_adjusted`, missing where `value` is: the change less what was foretold, the mean
        of the sample's guides as it was. `.attrs["adjusted"]` says for each sample the share of the variance of typical
        guides that was taken out.

    Raises
    ------
    DataError
        A column is missing; nothing is to be taken out; a sample has fewer than 20 guides for each coefficient, reads
        that are missing or below 0, or sequences that are none.

    References
    ----------
    Regression to the mean of change scores: Vickers and Altman (2001), doi:10.1136/bmj.323.7321.1123. The biweight:
    Beaton and Tukey (1974), doi:10.1080/00401706.1974.10489171.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> simulated = sf.simulate_screen(genes=100, reference_reads=100, random_seed=1)
    >>> screen = sf.read_screen(simulated.counts, simulated.guides, simulated.samples)
    >>> adjusted = sf.adjust_fold_changes(screen.table)
    >>> adjusted["log_fc_adjusted"].std() < adjusted["log_fc"].std()
    True
    """
    _check(table, value, initial, sequence, sample)
    values = table[value].to_numpy(dtype=float)
    found, shares = np.full(len(table), np.nan), {}
    parts = None if initial is None else _parts_of_reads(table, initial, sample)
    for name, rows in _samples(table, sample, values):
        columns = _columns(table.iloc[rows], name, initial, sequence, None if parts is None else parts[rows])
        foretold, share = _foretold(columns, values[rows])
        found[rows] = values[rows] - foretold
        shares[str(name)] = share
    adjusted = table.assign(**{ADJUSTED: found})
    adjusted.attrs = {**table.attrs, "adjusted": shares}
    return adjusted


def _check(table: pd.DataFrame, value: str, initial: str | None, sequence: str | None, sample: str) -> None:
    for name in (value, initial, sequence, sample):
        if name is not None and name not in table:
            near = nearest(name, map(str, table.columns))
            raise DataError(
                f"the table has no column '{name}'.",
                f"Columns: {listed(map(str, table.columns))}.",
                f"Nearest: '{near}'." if near else "Name the columns with value=, initial=, sequence= and sample=.",
            )
    if initial is None and sequence is None:
        raise DataError(
            "nothing is to be taken out of the fold changes.",
            "initial= names the column of first reads, sequence= that of the guides' sequences.",
            "Name one of them.",
        )


def _samples(table: pd.DataFrame, sample: str, values: Array) -> Iterator[tuple[object, np.ndarray]]:
    """Go through the samples, with the places of their rows that have a fold change."""
    if np.isinf(values).any():
        raise DataError(
            f"{np.isinf(values).sum():,} fold changes are infinite.",
            "A fold change is a finite number; one without a count is missing.",
            "Add a pseudo-count before the logarithm, as read_screen does, or leave these rows out.",
        )
    for name, rows in table.groupby(sample, sort=False, observed=True).indices.items():
        there = rows[~np.isnan(values[rows])]
        if len(there):
            yield name, there


def _parts_of_reads(table: pd.DataFrame, initial: str, sample: str) -> Array | None:
    """Return the log first reads of each row: the guide's mean over all references, and its own one's distance from it.

    None where all samples have the same references. What chance did to one of several references is told by its
    distance from the others: over a guide's samples it cancels, and a regression on the own reads alone would go on to
    take from the mean what only single samples have.

    Returns
    -------
    ndarray of float, shape (rows, 2), or None
    """
    if "sgRNA" not in table or table[sample].nunique() == 1:
        return None
    keys = [table[name].astype("category").cat.codes.to_numpy() for name in ("sgRNA", sample)]
    reads = table[initial].to_numpy(dtype=float)
    wide = np.full((keys[0].max() + 1, keys[1].max() + 1), np.nan)
    wide[keys[0], keys[1]] = reads
    sets = _same_references(wide)
    if len(set(sets)) == 1 or not (np.isfinite(reads) & (reads >= 0)).all():
        return None
    logs = np.column_stack([_row_means(np.log2(wide[:, sets == place] + 1)) for place in sorted(set(sets))])
    logs -= np.nanmean(logs, axis=0)
    means = _row_means(logs)[keys[0]]
    return np.column_stack([means, logs[keys[0], sets[keys[1]]] - means])


def _same_references(wide: Array) -> np.ndarray:
    """Return which samples, columns of first reads, have reads in proportion: the number of the first like each."""
    found: list[int] = []
    sets = np.zeros(wide.shape[1], dtype=int)
    for place in range(wide.shape[1]):
        for number, other in enumerate(found):
            both = (wide[:, place] > 0) & (wide[:, other] > 0)
            ratio = wide[both, place] / wide[both, other]
            if not len(ratio) or np.ptp(ratio) <= _PROPORTION * ratio.max():
                sets[place] = number
                break
        else:
            sets[place] = len(found)
            found.append(place)
    return sets


def _row_means(values: Array) -> Array:
    """Return the means over columns of what is there; missing where nothing is."""
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, values, 0.0).sum(axis=1) / there.sum(axis=1))


def _columns(rows: pd.DataFrame, name: object, initial: str | None, sequence: str | None, split: Array | None) -> Array:
    """Return the centred columns of the regression, shape (rows, columns)."""
    parts, what = [], []
    if initial is not None:
        reads = rows[initial].to_numpy(dtype=float)
        if not (np.isfinite(reads) & (reads >= 0)).all():
            raise DataError(
                f"'{initial}' is missing or below 0 in {(~(reads >= 0)).sum():,} rows of sample '{name}'.",
                "First reads are 0 or more, and known wherever there is a fold change.",
                "Leave these rows out, or write initial=None.",
            )
        parts += [_spline(np.log2(reads + 1))] if split is None else [_spline(split[:, 0]), split[:, 1:]]
        what.append("first reads")
    if sequence is not None:
        parts.append(_of_sequences(text_of_labels(rows[sequence]), sequence))
        what.append("sequence")
    values = np.hstack(parts)
    if len(values) < _ROWS_PER_COLUMN * (values.shape[1] + 1):
        n_columns = values.shape[1] + 1
        raise DataError(
            f"sample '{name}' has {len(values):,} guides for {n_columns} coefficients of {' and '.join(what)}.",
            f"There are at least {_ROWS_PER_COLUMN} guides for each.",
            "Leave sequence= out." if sequence is not None else "Use the fold changes as they are.",
        )
    return np.asarray(values - values.mean(axis=0))


def _spline(x: Array) -> Array:
    """Return a natural cubic spline's columns but the constant: straight beyond the outer knots."""
    knots = np.unique(np.quantile(x, _KNOTS))
    if len(knots) < len(_KNOTS):  # reads of few sizes: a straight line
        return np.asarray(x[:, None])

    def cubic(knot: float) -> Array:
        last, width = knots[-1], knots[-1] - knots[0]
        return np.asarray((np.clip(x - knot, 0, None) ** 3 - np.clip(x - last, 0, None) ** 3) / ((last - knot) * width))

    return np.column_stack([x, *(cubic(knot) - cubic(knots[-2]) for knot in knots[:-2])])


def _of_sequences(labels: pd.Series, column: str) -> Array:
    """Return the bases at each place from the 3' end, T being the reference, and the number of G and C."""
    texts = labels.str.upper().to_numpy(dtype=str)
    length = min(map(len, texts))
    odd = next((text for text in texts if len(text) < _SHORTEST or set(text) - set(_BASES)), None)
    if odd is not None:
        raise DataError(
            f"'{odd}' in the column '{column}' is no guide's sequence.",
            f"A sequence has {_SHORTEST} bases or more, each one of A, C, G, T.",
            "Name the column that has them, or leave sequence= out.",
        )
    bases = np.array([list(text[len(text) - length :]) for text in texts])
    strong = np.isin(bases, ["G", "C"]).sum(axis=1) - length / 2
    at_places = [bases[:, place] == base for place in range(length) for base in "ACG"]
    columns = np.column_stack([strong**2, *at_places]).astype(float)
    return np.asarray(columns[:, columns.std(axis=0) > 0])


def robust_spline_fit(x: Array, values: Array) -> Array:
    """Return the course of values over x by a natural spline and Tukey's biweight.

    Parameters
    ----------
    x, values : ndarray of float, shape (rows,)

    Returns
    -------
    ndarray of float, shape (rows,)
    """
    return _robust(np.column_stack([np.ones(len(x)), _spline(x)]), values)[0]


def _robust(design: Array, values: Array) -> tuple[Array, Array, Array]:
    """Return fitted values, coefficients and weights of a regression by Tukey's biweight, weighted until settled."""
    weights, before = np.ones(len(values)), np.inf
    for _ in range(_ROUNDS):
        weighted = (design * weights[:, None]).T
        coefficients = np.linalg.lstsq(weighted @ design, weighted @ values, rcond=None)[0]
        residuals = values - design @ coefficients
        residuals = residuals - np.median(residuals)
        spread = 1.4826 * np.median(np.abs(residuals))
        if spread == 0 or abs(spread - before) <= _SETTLED * spread:
            break
        before, weights = spread, np.clip(1 - (residuals / (_FAR * spread)) ** 2, 0, None) ** 2
    return np.asarray(design @ coefficients), np.asarray(coefficients), weights


def _foretold(columns: Array, values: Array) -> tuple[Array, float]:
    """Return what the columns foretell, and the share of the variance of typical guides that this is."""
    _, coefficients, weights = _robust(np.column_stack([np.ones(len(values)), columns]), values)
    foretold = columns @ coefficients[1:]
    before, after = (
        float(np.average((x - np.average(x, weights=weights)) ** 2, weights=weights))
        for x in (values, values - foretold)
    )
    return np.asarray(foretold), max(0.0, 1 - after / before) if before > 0 else 0.0
