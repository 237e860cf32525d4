"""Tables, draws, estimates and priors as JSON and plain arrays, nothing that could run when it is read, and back.

An array is put aside in a list and named by its place there. Files are left to `save`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import IO, Any

import numpy as np
import pandas as pd
from scipy import sparse

from speclet_formula.design import LevelMatrix
from speclet_formula.errors import DataError
from speclet_formula.posterior import PointFit
from speclet_formula.posterior.estimates import PointEstimates
from speclet_formula.posterior.validation import is_name, of_class, require
from speclet_formula.priors import Prior, Slot

type Json = dict[str, Any]
type Take = Callable[[int], np.ndarray]  # an array by its place

_PLAIN = "biufcmMUS"  # numpy's kinds that a .npy file holds without pickle
# What numpy's writer has for plain values; a version is (3, 0) only for names of fields.
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_ABSENT = (0, None, np.nan)  # what may stand between Python's own objects, as in a sampler's messages


def pack_array(values: Any, arrays: list[np.ndarray], what: str) -> Json:
    """Put an array aside.

    Parameters
    ----------
    values : array
        Numbers, booleans, dates or text; of Python's own objects, those of one type, None and NaN.
    arrays : list of ndarray
        Where it is put.
    what : str
        Its name, for messages.

    Returns
    -------
    dict
        `place` in the list; for Python's objects also `absent`, the place of the marks of what is None (1) or NaN (2).

    Raises
    ------
    DataError
        It holds something else.
    """
    array = np.asarray(values)
    if array.dtype.kind in _PLAIN:
        return {"place": _put(array, arrays)}
    marks = np.array([_mark(item) for item in array.ravel().tolist()], dtype=np.uint8).reshape(array.shape)
    return {"place": _put(_plain(array[marks == 0], what), arrays), "absent": _put(marks, arrays)}


def _mark(item: Any) -> int:
    """Tell what is there from what is absent, by its place among `_ABSENT`."""
    if item is None:
        return 1
    return 2 if isinstance(item, float) and np.isnan(item) else 0


def _put(array: np.ndarray, arrays: list[np.ndarray]) -> int:
    """Append an array and return its place."""
    arrays.append(array)
    return len(arrays) - 1


def _plain(array: np.ndarray, what: str) -> np.ndarray:
    """Turn a row of Python's objects of one type into numpy's."""
    items = array.tolist()
    types = {type(item) for item in items}
    if not types <= {str} and types not in ({bool}, {int}, {float}):
        raise DataError(
            f"'{what}' holds values of the types {', '.join(sorted(found.__name__ for found in types))}.",
            "A saved fit holds numbers, booleans, dates and text, of one type in a column.",
            f"Convert '{what}' to one of these before fitting.",
        )
    return np.array(items, dtype=None if items else "U1")


def read_array(stream: IO[bytes], size: int) -> np.ndarray:
    """Read an array, of plain values and of exactly the size that its header declares.

    Parameters
    ----------
    stream : binary stream
        As numpy writes it.
    size : int
        Bytes that there are, the header included.

    Returns
    -------
    ndarray

    Raises
    ------
    MismatchError, ValueError
        It is something else.
    """
    version = np.lib.format.read_magic(stream)
    require(version in _HEADERS, "version")
    shape, by_columns, dtype = _HEADERS[version](stream)
    require(dtype.kind in _PLAIN and dtype.subdtype is None and dtype.itemsize > 0, "type")
    require(all(type(length) is int and 0 <= length <= size for length in shape), "shape")
    content = stream.read(size)
    require(math.prod(shape) * dtype.itemsize == len(content), "size")
    array = np.frombuffer(content, dtype=dtype).reshape(shape, order="F" if by_columns else "C")
    return array.copy()  # which can be written to, and is as one that was never saved


def unpack_array(packed: Json, take: Take) -> np.ndarray:
    """Take an array back.

    Parameters
    ----------
    packed : dict
        As from `pack_array`.
    take : callable
        Gives an array by its place.

    Returns
    -------
    ndarray
    """
    array = take(packed["place"])
    if "absent" not in packed:
        return array
    marks = take(packed["absent"])
    require(array.shape == (np.count_nonzero(marks == 0),), "as many values as are not absent")
    objects = np.array(_ABSENT, dtype=object)[marks]
    objects[marks == 0] = array.astype(object)
    return objects


def pack_table(table: pd.DataFrame, columns: Sequence[str], arrays: list[np.ndarray]) -> list[Json]:
    """Put columns of a table aside: categories with their order, missing values apart from the others.

    Parameters
    ----------
    table : pandas.DataFrame
    columns : sequence of str
    arrays : list of ndarray

    Returns
    -------
    list of dict
        One for each column.
    """
    return [{"name": name, **_pack_series(table[name], arrays, name)} for name in columns]


def _pack_series(series: pd.Series, arrays: list[np.ndarray], name: str) -> Json:
    """Put one column aside, by its kind."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        return {
            "kind": "categories",
            "codes": pack_array(series.cat.codes, arrays, name),
            "categories": _pack_series(series.cat.categories.to_series(), arrays, name),
            "ordered": bool(series.cat.ordered),
        }
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in _PLAIN:
        return {"kind": "plain", "values": pack_array(series.to_numpy(), arrays, name)}
    missing = series.isna().to_numpy()
    return {
        "kind": "typed",
        "dtype": str(series.dtype),
        "missing": pack_array(missing, arrays, name),
        "values": pack_array(_plain(series.to_numpy(dtype=object)[~missing], name), arrays, name),
    }


def unpack_table(packed: Sequence[Json], take: Take) -> pd.DataFrame:
    """Take a table back.

    Parameters
    ----------
    packed : sequence of dict
        As from `pack_table`.
    take : callable

    Returns
    -------
    pandas.DataFrame
        Columns of the same types, categories in the same order, rows numbered from 0.
    """
    names = [column["name"] for column in packed]
    require(len(set(names)) == len(names) and all(map(is_name, names)), "names of columns")
    columns = [_unpack_series(column, take) for column in packed]
    require(len({len(column) for column in columns}) <= 1, "columns of one length")
    return pd.DataFrame(dict(zip(names, columns, strict=True)))


def _unpack_series(packed: Json, take: Take) -> pd.Series:
    """Take one column back."""
    if packed["kind"] == "categories":
        categories = pd.Index(_unpack_series(packed["categories"], take))
        codes = unpack_array(packed["codes"], take)
        return pd.Series(pd.Categorical.from_codes(codes, categories, ordered=packed["ordered"]))
    values = unpack_array(packed["values"], take)
    require(values.ndim == 1 and packed["kind"] in ("plain", "typed"), "one column")
    if packed["kind"] == "plain":
        return pd.Series(values)
    missing = unpack_array(packed["missing"], take)
    require(missing.dtype == bool and missing.shape == (len(values) + missing.sum(),), "what is missing")
    require(is_name(packed["dtype"]), "type of a column")
    items = np.full(len(missing), None, dtype=object)
    items[~missing] = values.astype(object)
    return pd.Series(items, dtype=packed["dtype"])


def pack_matrices(matrices: Mapping[str, LevelMatrix], arrays: list[np.ndarray]) -> Json:
    """Put matrices of levels aside, sparse ones as rows, columns and entries.

    Parameters
    ----------
    matrices : mapping of str to LevelMatrix
    arrays : list of ndarray
    """
    return {name: _pack_matrix(name, matrix, arrays) for name, matrix in matrices.items()}


def _pack_matrix(name: str, matrix: LevelMatrix, arrays: list[np.ndarray]) -> Json:
    about = {"labels": pack_array(np.array(matrix.labels), arrays, name), "role": matrix.role}
    if not sparse.issparse(matrix.matrix):
        return about | {"whole": pack_array(matrix.matrix, arrays, name)}
    entries = sparse.coo_array(matrix.matrix)
    parts = {"rows": entries.row, "columns": entries.col, "entries": entries.data}
    return about | {part: pack_array(values, arrays, name) for part, values in parts.items()}


def unpack_matrices(packed: Json, take: Take) -> dict[str, LevelMatrix]:
    """Take matrices of levels back.

    Parameters
    ----------
    packed : dict
        As from `pack_matrices`.
    take : callable

    Returns
    -------
    dict of str to LevelMatrix

    Raises
    ------
    DataError
        One of them is none.
    """
    return {name: _unpack_matrix(matrix, take) for name, matrix in packed.items()}


def _unpack_matrix(packed: Json, take: Take) -> LevelMatrix:
    labels = unpack_array(packed["labels"], take)
    require(labels.ndim == 1 and labels.dtype.kind == "U", "labels of a matrix")
    role = packed["role"]
    require(role in (None, "cov", "precision"), "what a matrix is")
    if "whole" in packed:
        return LevelMatrix(unpack_array(packed["whole"], take), labels.tolist(), role)
    rows, columns, entries = (unpack_array(packed[part], take) for part in ("rows", "columns", "entries"))
    require(rows.ndim == 1 and rows.shape == columns.shape == entries.shape, "entries of a matrix")
    for places in (rows, columns):
        require(places.dtype.kind == "i" and ((places >= 0) & (places < len(labels))).all(), "places in a matrix")
    whole = sparse.coo_array((entries, (rows, columns)), shape=(len(labels), len(labels)))
    return LevelMatrix(whole.tocsc(), labels.tolist(), role)


def pack_tree(tree: Any, arrays: list[np.ndarray]) -> list[Json]:
    """Put a DataTree aside, group by group.

    Parameters
    ----------
    tree : xarray.DataTree
    arrays : list of ndarray

    Returns
    -------
    list of dict
        Each group's path, attributes, variables and coordinates.
    """
    return [_pack_group(node.path, node.to_dataset(inherit=False), arrays) for node in tree.subtree]


def _pack_group(path: str, group: Any, arrays: list[np.ndarray]) -> Json:
    """Put one group aside."""
    return {
        "path": path,
        "attributes": plain_json(group.attrs),
        "variables": {str(name): _pack_variable(name, value, arrays) for name, value in group.data_vars.items()},
        "coordinates": {str(name): _pack_variable(name, value, arrays) for name, value in group.coords.items()},
    }


def _pack_variable(name: Any, variable: Any, arrays: list[np.ndarray]) -> Json:
    """Put one variable aside."""
    return {
        "dimensions": list(variable.dims),
        "attributes": plain_json(variable.attrs),
        "values": pack_array(variable.values, arrays, str(name)),
    }


def unpack_tree(packed: Sequence[Json], take: Take) -> Any:
    """Take a DataTree back.

    Parameters
    ----------
    packed : sequence of dict
        As from `pack_tree`.
    take : callable

    Returns
    -------
    xarray.DataTree
    """
    import xarray as xr

    groups = {}
    for group in packed:
        parts = {
            part: {
                name: (variable["dimensions"], unpack_array(variable["values"], take), variable["attributes"])
                for name, variable in group[part].items()
            }
            for part in ("variables", "coordinates")
        }
        groups[group["path"]] = xr.Dataset(parts["variables"], parts["coordinates"], group["attributes"])
    return xr.DataTree.from_dict(groups)


def plain_json(value: Any) -> Any:
    """Turn attributes into what JSON knows: numpy's numbers into Python's, anything unknown into its text.

    Examples
    --------
    >>> import numpy as np
    >>> from speclet_formula.posterior.packing import plain_json
    >>> plain_json({"tune": np.int64(1000), "tried": (1, 2)})
    {'tune': 1000, 'tried': [1, 2]}
    """
    if isinstance(value, dict):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return plain_json(value.tolist())
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)


def pack_slot(slot: Slot) -> Json:
    """Write a row of the slot table."""
    return {
        "slot": slot.slot,
        "kind": slot.kind,
        "group": slot.group,
        "prior": _pack_prior(slot.prior),
        "source": slot.source,
        "parameter": slot.parameter,
    }


def _pack_prior(prior: Prior) -> Json:
    """Write a prior; hyperpriors within it are priors, arrays are lists."""
    parameters = {
        name: {"prior": _pack_prior(value)} if isinstance(value, Prior) else plain_json(value)
        for name, value in prior.parameters.items()
    }
    return {"name": prior.name, "noncentered": prior.noncentered, "parameters": parameters}


def unpack_slot(packed: Json) -> Slot:
    """Read a row of the slot table.

    Parameters
    ----------
    packed : dict
        As from `pack_slot`.

    Returns
    -------
    Slot

    Raises
    ------
    PriorError
        There is no such prior.
    """
    words = [packed[name] for name in ("slot", "kind", "source")] + [packed.get("parameter", "")]
    require(all(map(is_name, words)) and (packed["group"] is None or is_name(packed["group"])), "a slot")
    prior = _unpack_prior(packed["prior"])
    # Fits that were saved before parameters could have formulas do not name one.
    return Slot(packed["slot"], packed["kind"], packed["group"], prior, packed["source"], packed.get("parameter", ""))


def _unpack_prior(packed: Json) -> Prior:
    """Read a prior, which checks it."""
    parameters = {name: _unpack_parameter(value) for name, value in packed["parameters"].items()}
    return Prior(packed["name"], noncentered=packed["noncentered"], **parameters)


def _unpack_parameter(value: Any) -> Any:
    """Read a parameter: a hyperprior, an array or a number."""
    if isinstance(value, dict):
        return _unpack_prior(value["prior"])
    return np.array(value, dtype=np.float64) if isinstance(value, list) else value


NUMBERS = ("log_likelihood", "df", "deviance", "aic", "bic", "singular", "verdict", "sentence", "remedy", "evaluations")


def pack_point(fit: PointFit, arrays: list[np.ndarray]) -> Json:
    """Write what a fit by maximum likelihood has beside its model.

    Parameters
    ----------
    fit : PointFit
    arrays : list of ndarray
        Where arrays are put aside.

    Returns
    -------
    dict
    """
    estimates = {field.name: _packed(getattr(fit.estimates, field.name), arrays) for field in fields(PointEstimates)}
    return {"estimates": estimates, **{name: getattr(fit, name) for name in NUMBERS}}


def unpack_point(packed: Json, take: Take) -> dict[str, Any]:
    """Read what `pack_point` wrote.

    Parameters
    ----------
    packed : dict
    take : callable
        Gives an array by its place.

    Returns
    -------
    dict
        Arguments of `PointFit`.
    """
    saved = of_class(PointEstimates, packed["estimates"])  # an older file lacks what came later, which has a default
    estimates = {
        field.name: _unpacked(saved[field.name], take) for field in fields(PointEstimates) if field.name in saved
    }
    return {"estimates": PointEstimates(**estimates), **{name: packed[name] for name in NUMBERS}}


def _packed(value: Any, arrays: list[np.ndarray]) -> Any:
    """Put arrays aside; text and numbers stay."""
    if isinstance(value, tuple):
        return [_packed(item, arrays) for item in value]
    return pack_array(value, arrays, "estimates") if isinstance(value, np.ndarray) else value


def _unpacked(value: Any, take: Take) -> Any:
    """Take arrays back."""
    if isinstance(value, list):
        return tuple(_unpacked(item, take) for item in value)
    return unpack_array(value, take) if isinstance(value, dict) else value
