"""Any text at all is a formula that reads back from its own print, or an error that points into the text."""

import pytest
from hypothesis import given, strategies as st

from tests.fuzz.checks import reads_back_or_is_refused
from tests.fuzz.formulas import run


@given(st.text())
def test_any_text(text):
    reads_back_or_is_refused(text)


@given(st.text())
def test_any_text_as_right_hand_side_or_name(text):
    reads_back_or_is_refused(f"y ~ {text}")
    reads_back_or_is_refused(f"y ~ `{text}`")
    reads_back_or_is_refused(f"y ~ I(x == '{text}')")


NAMES = st.sampled_from(["x", "z", "w", "g", "h", "`a b`", "größe", ".x", "`x`"])
ATOMS = NAMES | st.sampled_from(["2", "0.5", "1e-3", "TRUE", "'s'", '"t"'])
ARITHMETIC = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "^", "**", "%in%", "==", "<", "&", "|"]), inner).map(
            " ".join
        ),
        st.tuples(st.sampled_from(["-", "+", "!"]), inner).map("".join),
        inner.map("({})".format),
        st.tuples(inner, inner).map(lambda pair: f"pmax({pair[0]}, n = {pair[1]})"),
    ),
    max_leaves=8,
)
CALLS = st.tuples(st.sampled_from(["I", "log", "poly", "hill"]), ARITHMETIC).map(
    lambda pair: f"{pair[0]}(x, {pair[1]})"
)
TERMS = st.recursive(
    NAMES | CALLS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", ":", " %in% "]), inner).map("".join),
        inner.map("({})".format),
        inner.map("({})^2".format),
    ),
    max_leaves=6,
)
COLUMNS = st.one_of(st.just("1"), TERMS, TERMS.map("0 + {}".format), TERMS.map("{} - 1".format))
GROUPS = st.lists(NAMES, min_size=1, max_size=3).flatmap(
    lambda names: st.sampled_from([":", "/"]).map(lambda o: o.join(names))
)
GROUP_TERMS = st.tuples(COLUMNS, st.sampled_from(["|", "||"]), GROUPS).map(lambda parts: f"({' '.join(parts)})")
SIDES = st.lists(
    st.one_of(COLUMNS, GROUP_TERMS, CALLS.map("offset({})".format), st.just(".")), min_size=1, max_size=4
).map(" + ".join)
FORMULAS = st.tuples(st.sampled_from(["y", "log(y/x)", "cbind(y, x)", "-y^2", "`a b`"]), SIDES).map(" ~ ".join)
PAIRS = st.tuples(FORMULAS, SIDES).map("; sigma ~ ".join)


@given(FORMULAS | PAIRS)
def test_formulas_made_of_pieces(text):
    reads_back_or_is_refused(text)


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_random_formulas(count):
    """Valid, nearly valid and garbage; a million of them by `python -m tests.fuzz.formulas`."""
    accepted, failures = run(count, seed=20, show=False)
    assert not failures, failures[0]
    assert 0.3 < accepted / count < 0.7  # neither all nonsense nor all plain
