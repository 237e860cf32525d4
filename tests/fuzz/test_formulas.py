"""Any text is a formula or a FormulaError, and with a small table of odd names a Model or one of the package's errors.

`FUZZ_FORMULAS=100000 python -m pytest tests/fuzz/test_formulas.py` reads as many; without it a few. Each formula has a
bounded time, and no code, program, file or connection may come of any.
"""

import os
import random
import time
import warnings
from itertools import islice

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import SpecletError
from tests.fuzz.checks import reads_back_or_is_refused, watched
from tests.fuzz.formulas import hill, small_table
from tests.fuzz.grammar import formulas

COUNT = int(os.environ.get("FUZZ_FORMULAS", "300"))
LONGEST = 20.0  # seconds of processor time for one formula of these tables: a bound, not a measure
ODD = (
    "Intercept", "1|g", "cor|g", "chain", "draw", "sigma", "mu", "g[b]", "a:b", "x`y", "len(x)", "(1|g)", "v1", "call1",
    "x\n", "1", "TRUE", ".", "~", "|", "\\", "'", '"', "f_dim", "1|g_sigma", "common", "None", "sigma_x", "a b", "x\t",
)  # fmt: skip


def odd_table(rng: random.Random) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the small table with some of its columns under odd names, and those by the plain ones."""
    names = rng.sample(["x", "z", "f", "h", "g", "a", "b", "k", "n", "y"], rng.randint(1, 5))
    renamed = dict(zip(names, rng.sample(ODD, len(names)), strict=True))
    return small_table().rename(columns=renamed), renamed


def with_odd_names(text: str, renamed: dict[str, str]) -> str:
    """Write a formula's plain columns by their odd names, in back-quotes."""
    out, word = [], ""
    for char in f"{text} ":
        if char.isalnum() or char in "_.`":
            word += char
            continue
        name = renamed.get(word)
        escaped = "" if name is None else name.replace("\\", "\\\\").replace("`", "\\`").replace("\n", "\\n")
        out += [word if name is None else "`" + escaped.replace("\t", "\\t") + "`", char]
        word = ""
    return "".join(out)[:-1]


def is_a_model_or_refused(text: str, table: pd.DataFrame) -> bool:
    """Make a Model; all that may come of it besides is an error with its three parts."""
    started, refusal = time.process_time(), None
    try:
        model = sf.Model(text, table, functions={"hill": hill})
    except SpecletError as error:
        refusal = error
    assert time.process_time() - started < LONGEST, repr(text)
    if refusal is not None:
        assert all((refusal.problem, refusal.allowed, refusal.remedy, str(refusal))), repr(text)
        return False
    names = [name for term in model.design.mean.fixed for name in term.columns]
    assert len(set(names)) == len(names), repr(text)
    slots = [slot.slot for slot in model.slots]
    assert len(set(slots)) == len(slots), repr(text)
    assert model.design.mean.X.shape == (len(model.design.response), len(names)), repr(text)
    assert np.isfinite(model.design.mean.X).all(), repr(text)
    return True


def test_any_text_reads_back_or_is_refused() -> None:
    reads_back_or_is_refused("y ~ x")  # the parser is made once, from a file
    accepted = 0
    for text in islice(formulas(seed=11), COUNT):
        with watched():
            accepted += reads_back_or_is_refused(text)
    assert accepted > COUNT / 10


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_any_text_with_a_table_of_odd_names_is_a_model_or_refused() -> None:
    rng, accepted = random.Random(12), 0
    table, renamed = odd_table(rng)
    is_a_model_or_refused("y ~ x", small_table())
    for number, text in enumerate(islice(formulas(seed=13), COUNT)):
        if number % 50 == 49:
            table, renamed = odd_table(rng)
        with watched(code=False), warnings.catch_warnings():
            warnings.simplefilter("error")
            accepted += is_a_model_or_refused(with_odd_names(text, renamed), table)
    assert accepted > COUNT / 30
