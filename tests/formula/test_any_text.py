"""Any text at all is a formula that reads back from its own print, or an error that points into the text."""

import random

from hypothesis import given
from hypothesis import strategies as st

from speclet_formula.errors import FormulaError
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import columns_of, text_of

FUNCTIONS_HERE = ("f", "np.sign")


def parsed_or_refused(text):
    try:
        return parse_formula(text, columns=["y", "x", "a b"], functions=FUNCTIONS_HERE)
    except FormulaError as error:
        return error


def reads_back_or_is_refused(text):
    """Hold any text to the promise: an equal formula from its own print, or an error that points into the text."""
    formula = parsed_or_refused(text)
    if isinstance(formula, FormulaError):
        assert formula.position is None or 0 <= formula.position <= len(text)
        assert all((formula.problem, formula.allowed, formula.remedy, str(formula)))
        return False
    canonical = text_of(formula)
    again = parse_formula(canonical, functions=FUNCTIONS_HERE)
    assert again == formula
    assert text_of(again) == canonical
    assert set(columns_of(again)) == set(columns_of(formula))
    return True


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
CALLS = st.tuples(st.sampled_from(["I", "log", "poly", "f"]), ARITHMETIC).map(lambda pair: f"{pair[0]}(x, {pair[1]})")
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


def test_ten_thousand_random_token_strings():
    tokens = [
        "y",
        "x",
        "g",
        "`a b`",
        "`",
        "~",
        "+",
        "-",
        "*",
        "/",
        ":",
        "^",
        "**",
        "%in%",
        "|",
        "||",
        "&",
        "!",
        "==",
        "<",
    ]
    tokens += ["(", ")", "(1|", "log(", "poly(x, 2)", "I(", "cbind(", ",", "=", "1", "0", "2", "1e-3", "'s'", '"', "."]
    tokens += ["offset(", ";", "\n", "sigma ~ ", "TRUE", "NULL", "$", "[", "#", "é", "²", "\\", "%", "\0", "::"]
    rng = random.Random(20)
    read = 0
    for _ in range(10_000):
        start = "y ~ " if rng.random() < 0.8 else ""
        read += reads_back_or_is_refused(start + " ".join(rng.choice(tokens) for _ in range(rng.randint(0, 7))))
    assert read > 100  # the strings are not all nonsense
