"""Whatever becomes of a saved fit's bytes, loading it gives a fit or a `DataError`, and runs nothing."""

import io
import json
import random
import zipfile

import pytest
from hypothesis import given, settings, strategies as st

import speclet_formula as sf
from speclet_formula.errors import DataError
from tests.fakes import correlated_fit
from tests.fuzz.checks import watched

LEAVES = [None, True, -1, 0, 10**30, 1e308, "", "x", "__import__('os')", "../../x", [], {}, [[]], {"a": 1}, "fit.json"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A whole file, beside which damaged ones are written."""
    place = sf.save(correlated_fit(draws=10), tmp_path_factory.mktemp("fits") / "whole.fit")
    sf.load(place)  # what is imported late is there now
    return place


def loads_or_is_refused(path, content):
    path = path.with_name("damaged.fit")
    path.write_bytes(content)
    try:
        with watched(code=False):
            return sf.load(path)
    except DataError:
        return None


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32))
def test_bytes_that_changed(seed, path):
    rng, content = random.Random(seed), bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 4)):
        place, length = rng.randrange(len(content)), rng.choice((1, 1, 2, 30, 500))
        content[place : place + length] = rng.choice((b"", rng.randbytes(length), content[:length], b"PK\x03\x04"))
    loads_or_is_refused(path, bytes(content))


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32))
@pytest.mark.slow
def test_contents_that_changed(seed, path):
    """The zip is whole here, its checksums are right: someone wrote another value, or another array."""
    rng, stream = random.Random(seed), io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(stream, "w") as new:
        names = old.namelist()
        target = rng.choice(["fit.json", "fit.json", *names])
        for name in names:
            data = old.read(name)
            if name == target:
                data = with_another_leaf(data, rng) if name == "fit.json" else with_other_bytes(data, rng)
            new.writestr(name, data)
    loads_or_is_refused(path, stream.getvalue())


def with_another_leaf(data, rng):
    """Put another value somewhere into the JSON."""
    contents = json.loads(data)
    node = contents
    while True:
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if not node[key] or not isinstance(node[key], dict | list) or rng.random() < 0.2:
            break
        node = node[key]
    if isinstance(node, dict) and rng.random() < 0.2:
        del node[key]
    else:
        node[key] = rng.choice(LEAVES)
    return json.dumps(contents).encode()


def with_other_bytes(data, rng):
    """Change the header or the numbers of an array."""
    content, place = bytearray(data), rng.randrange(min(len(data), 140))
    content[place : place + rng.choice((1, 3, 20))] = rng.choice((b"", b"O", b"9", b"|O8", rng.randbytes(3)))
    return bytes(content)
