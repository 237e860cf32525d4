"""The bytes of a saved fit go in; the bytes of one that was damaged, or that somebody made up, come out.

All is settled by the generator that is handed in. Nothing here is more than another value at another place.
"""

import copy
import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

CONTENTS = "fit.json"
LEAVES = [
    None, True, False, -1, 0, 1, 7, 10**30, 10**400, 1e308, float("nan"), float("inf"), 0.5, "", "x", "x" * 20_000, "é",
    "../../x", "len(x)", "a:b", "nuts", "reml", "bernoulli", "y ~ 1", "y ~ x + (1 | g)", [], {}, [[]], {"a": 1}, [1, 2],
    {"place": 0}, {"place": -1}, {"place": 10**9},
]  # fmt: skip
DTYPES = ["f4", "i8", "u1", "?", "U3", "M8[ns]", "c16", "f8"]

type Damage = Callable[[random.Random, bytes], bytes]


def members_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: dict[str, bytes], packed: frozenset[str] = frozenset()) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            kind = zipfile.ZIP_DEFLATED if name in packed else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=kind)
    return stream.getvalue()


def some_array(rng: random.Random, members: dict[str, bytes]) -> str:
    return rng.choice([name for name in members if name != CONTENTS])


# --- the file as bytes ------------------------------------------------------------------------------------------------


def other_bits(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content))]


def other_parts(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place, length = rng.randrange(len(changed)), rng.choice((1, 2, 30, 500))
        changed[place : place + length] = rng.choice((b"", rng.randbytes(length), content[:length], b"PK\x01\x02"))
    return bytes(changed)


# --- the members of the zip, with checksums that are right -----------------------------------------------------------


def swapped(rng: random.Random, content: bytes) -> bytes:
    members = members_of(content)
    one, other = some_array(rng, members), some_array(rng, members)
    members[one], members[other] = members[other], members[one]
    return zipped(members)


def renamed(rng: random.Random, content: bytes) -> bytes:
    members = members_of(content)
    gone = rng.choice(list(members))
    new = rng.choice(["arrays/99999.npy", "../" + gone, gone.upper(), "", gone + "\x00"])
    return zipped({(new if name == gone else name): data for name, data in members.items()})


def dropped(rng: random.Random, content: bytes) -> bytes:
    members = members_of(content)
    del members[rng.choice(list(members))]
    return zipped(members)


def packed(rng: random.Random, content: bytes) -> bytes:
    members = members_of(content)
    return zipped(members, frozenset([some_array(rng, members)]))


# --- arrays -----------------------------------------------------------------------------------------------------------


def other_header(rng: random.Random, content: bytes) -> bytes:
    members = members_of(content)
    name = some_array(rng, members)
    changed = bytearray(members[name])
    place = rng.randrange(min(len(changed), 128))
    changed[place : place + rng.choice((0, 1, 3, 20))] = rng.choice((b"", b"9", b"|O8", b"(9999999999,)", b"\xff"))
    return zipped(members | {name: bytes(changed)})


def other_array(rng: random.Random, content: bytes) -> bytes:
    """Put an array of another shape, type or content, whole in itself, into the place of one."""
    members = members_of(content)
    name = some_array(rng, members)
    array = np.load(io.BytesIO(members[name]))
    stream = io.BytesIO()
    with np.errstate(all="ignore"):
        np.save(stream, _changed(rng, array), allow_pickle=False)
    return zipped(members | {name: stream.getvalue()})


def _changed(rng: random.Random, array: Any) -> Any:
    flat = array.ravel()
    ways: tuple[Callable[[], Any], ...] = (
        lambda: rng.choice([array.T, flat, array[None], array[..., None], array.reshape(-1, 1)]),
        lambda: _of_type(array, rng.choice(DTYPES)),
        lambda: np.concatenate([array, array]) if array.ndim else np.stack([array, array]),
        lambda: array[: len(array) // 2] if array.ndim else array,
        lambda: np.full_like(array, flat[0]) if flat.size else array,
        lambda: np.random.default_rng(rng.randrange(2**32)).permutation(flat).reshape(array.shape),
        lambda: _with_value(rng, array),
    )
    return rng.choice(ways)()


def _of_type(array: Any, dtype: str) -> Any:
    try:
        return array.astype(dtype)
    except (ValueError, TypeError):
        return array.astype("U8")


def _with_value(rng: random.Random, array: Any) -> Any:
    changed = array.copy()
    if array.dtype.kind in "biuf" and array.size:
        value = rng.choice([0, 1, -1, 127, 1e300, -1e-300, np.nan, np.inf] if array.dtype.kind == "f" else [0, 1, 100])
        changed.reshape(-1)[rng.randrange(array.size)] = value
    return changed


# --- the JSON ---------------------------------------------------------------------------------------------------------


def other_leaf(rng: random.Random, content: bytes) -> bytes:
    """Put another value, the value of another place, or nothing somewhere into the JSON."""
    members = members_of(content)
    contents = json.loads(members[CONTENTS])
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        node, key = _place(rng, contents)
        way = rng.random()
        if way < 0.15:
            del node[key]
        elif way < 0.3:
            other, theirs = _place(rng, contents)
            node[key] = json.loads(json.dumps(other[theirs]))
        elif way < 0.4 and isinstance(node, dict):
            node[rng.choice(["x", "", "name", key.upper(), key + " ", "kind"])] = node.pop(key)
        else:
            node[key] = copy.deepcopy(rng.choice(LEAVES))
    return zipped(members | {CONTENTS: json.dumps(contents).encode()})


def _place(rng: random.Random, contents: Any) -> tuple[Any, Any]:
    node = contents
    while True:
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if not node[key] or not isinstance(node[key], dict | list) or rng.random() < 0.15:
            return node, key
        node = node[key]


def deep(rng: random.Random, content: bytes) -> bytes:
    members = members_of(content)
    contents = json.loads(members[CONTENTS])
    node, key = _place(rng, contents)
    node[key] = "HERE"
    depth = rng.choice((10, 900, 100_000))
    opened, closed = rng.choice((("[", "]"), ('{"prior":', "}")))
    nested = opened * depth + "1" + closed * depth
    return zipped(members | {CONTENTS: json.dumps(contents).replace('"HERE"', nested).encode()})


def other_text(rng: random.Random, content: bytes) -> bytes:
    members = members_of(content)
    changed = bytearray(members[CONTENTS])
    place = rng.randrange(len(changed))
    changed[place : place + rng.choice((0, 1, 1, 5))] = rng.choice((b"", b"9", b"9" * 5000, b"]", b'"', b"\xff", b"-"))
    return zipped(members | {CONTENTS: bytes(changed)})


DAMAGES: tuple[Damage, ...] = (
    other_bits, cut, other_parts, swapped, renamed, dropped, packed, other_header, other_array, other_array, other_leaf,
    other_leaf, other_leaf, other_leaf, deep, other_text,
)  # fmt: skip
