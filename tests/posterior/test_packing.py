"""Arrays, tables and attributes come back as they went, by way of JSON."""

import doctest
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from speclet_formula.errors import DataError
from speclet_formula.posterior import packing
from speclet_formula.posterior.packing import pack_array, pack_table, plain_json, unpack_array, unpack_table

OBJECTS = {
    "nothing at all": [],
    "only None": [None, None],
    "text and None": ["a", None, "bb"],
    "text and NaN": ["a", np.nan, ""],
    "text, None and NaN": [None, "a", np.nan],
    "whole numbers": [1, None, 3],
    "numbers": [0.1, np.nan, None],
    "booleans": [True, None, False],
}


@pytest.mark.parametrize("values", OBJECTS.values(), ids=OBJECTS)
def test_pythons_objects_come_back(values):
    arrays = []
    packed = json.loads(json.dumps(pack_array(np.array(values, dtype=object), arrays, "x")))
    again = unpack_array(packed, arrays.__getitem__)
    assert all(array.dtype != object for array in arrays)
    assert again.dtype == object
    assert repr(again.tolist()) == repr(values)


def test_shapes_come_back():
    values = np.array([["a", None], [None, "b"], ["c", "d"]], dtype=object)
    arrays = []
    packed = pack_array(values, arrays, "x")
    assert unpack_array(packed, arrays.__getitem__).tolist() == values.tolist()


@pytest.mark.parametrize("values", [[1, "a"], [True, 1], [{}], [[1], [2, 3]], [b"x"]])
def test_other_objects_are_refused(values):
    column = np.empty(len(values), dtype=object)
    column[:] = values
    with pytest.raises(DataError, match="'x' holds values of the types"):
        pack_array(column, [], "x")


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1.5, np.nan]),
        pd.Series([True, False]),
        pd.Series([1, None], dtype="Int64"),
        pd.Series([True, None], dtype="boolean"),
        pd.Series([0.5, None], dtype="Float64"),
        pd.Series(["a", None], dtype="str"),
        pd.Series(["a", None], dtype="string"),
        pd.Series(pd.to_datetime(["2020-01-01", None])),
        pd.Series(pd.Categorical(["b", None], categories=["c", "b"])),
    ],
    ids=lambda column: str(column.dtype)[:10],
)
def test_columns_come_back(column):
    table = pd.DataFrame({"x": column, "unused": [object(), object()]})
    arrays = []
    packed = json.loads(json.dumps(pack_table(table, ["x"], arrays)))
    pd.testing.assert_frame_equal(unpack_table(packed, arrays.__getitem__), table[["x"]])


def test_attributes_become_json():
    given = {"path": Path("a"), "number": np.float32(0.5), 3: np.array([1, 2]), "none": None, "pair": (True, "x")}
    expected = {"path": "a", "number": 0.5, "3": [1, 2], "none": None, "pair": [True, "x"]}
    assert plain_json(given) == expected


def test_examples_run():
    assert doctest.testmod(packing).failed == 0
