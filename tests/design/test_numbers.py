"""A stray cell in a column of numbers is named at once, wherever the column is used."""

import io

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf

N = 240


def table(**columns):
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"g": rng.choice(list("abcdefgh"), N), "x": rng.normal(size=N).round(3)})
    data["y"] = 1 + 0.5 * data["x"] + rng.normal(size=N)
    return data.assign(**columns)


def as_text(values, **strays):
    text = pd.Series(values).astype(str)
    for row, cell in strays.items():
        text[int(row.removeprefix("row"))] = cell
    return text


X = table()["x"]
COMMAS = as_text(X).str.replace(".", ",")
TEXTS = {
    "a stray cell": (
        as_text(X, row4="n/a."), "239 of its 240 values are numbers; row 4 has 'n/a.'",
        'data["x"] = pandas.to_numeric(data["x"], errors="coerce"), which makes the others missing',
    ),
    "five stray cells": (
        as_text(X, row4="n/a.", row9="-", row10="<0.1", row77="?", row90="?"),
        "235 of its 240 values are numbers; row 4 has 'n/a.', row 9 has '-', row 10 has '<0.1' and 2 more have other "
        "text",
        'data["x"] = pandas.to_numeric(data["x"], errors="coerce"), which makes the others missing',
    ),
    "decimal commas": (
        COMMAS, f"240 of its 240 values are numbers, 240 with a decimal comma, such as '{COMMAS[0]}' in row 0",
        'data["x"] = pandas.to_numeric(data["x"].str.replace(",", "."))',
    ),
    "one decimal comma": (
        as_text(X, row3="0,5"),
        "240 of its 240 values are numbers, 1 with a decimal comma, such as '0,5' in row 3",
        'data["x"] = pandas.to_numeric(data["x"].str.replace(",", "."))',
    ),
    "a few numbers": (
        as_text(np.arange(N) % 3, row7="high"), "239 of its 240 values are numbers; row 7 has 'high'",
        'data["x"] = pandas.to_numeric(data["x"], errors="coerce"), which makes the others missing',
    ),
    "nothing but decimals": (
        as_text(X), "240 of its 240 values are numbers", 'data["x"] = pandas.to_numeric(data["x"])',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "said", "code"), TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("kind", ["str", "object", "category"])
@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ 1 + (x | g)", "y ~ x:g", ("y ~ 1", "sigma ~ x")])
@pytest.mark.mostly_slow(every=9)
def test_a_finding_names_the_cells(text, said, code, kind, formula):
    found = {finding.kind: finding for finding in sf.Model(formula, table(x=text.astype(kind))).findings}
    finding = found["text_of_numbers"]
    assert finding.what == f"'x' is text, but {said}."
    assert finding.remedy == f"Mend them where they were written, or write {code}. If they are labels, leave it."


def test_the_rows_are_those_of_the_table_where_others_were_dropped():
    data = table(x=as_text(X, row4="n/a."), y=table()["y"].where(table().index > 1))
    model = sf.Model("y ~ x", data, missing="drop")
    finding = next(finding for finding in model.findings if finding.kind == "text_of_numbers")
    assert finding.what == "'x' is text, but 237 of its 238 values are numbers; row 4 has 'n/a.'."


LABELS = {
    "letters": list("abcd") * 60,
    "whole numbers as text": [str(n % 12) for n in range(N)],
    "names with leading zeros": [f"{n % 12:03d}" for n in range(N - 1)] + ["x"],
    "few doses": ["0.1", "1", "10"] * 80,
    "an order of its own": pd.Categorical(
        ["2", "10", "10+", "1"] * 60, categories=["1", "2", "10", "10+"], ordered=True
    ),
    "more text than numbers": ["1", "2", "a", "b", "c"] * 48,
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_are_left_alone(labels):
    kinds = [finding.kind for finding in sf.Model("y ~ x", table(x=labels)).findings]
    assert "text_of_numbers" not in kinds


def test_a_grouping_factor_has_levels_anyway():
    assert not sf.Model("y ~ 1 + (1 | x)", table(x=as_text(np.arange(N) % 30, row3="n/a."))).findings


def test_the_advice_mends_the_column():
    data = pd.read_csv(io.StringIO(table(x=as_text(X, row4="n/a.")).to_csv(index=False)))
    data["x"] = pd.to_numeric(data["x"], errors="coerce")
    found = sf.Model("y ~ x", data, missing="drop").design.mean.X
    np.testing.assert_array_equal(found[:, 1], X.drop(4))


ONE = "239 of its 240 values are numbers; row 4 has 'n/a.'"
COERCED = (
    'Mend them where they were written, or write data["{0}"] = pandas.to_numeric(data["{0}"], errors="coerce"), which '
    "makes the others missing."
)
ERRORS = {
    "y ~ g": f"the response 'y' is text, but {ONE}.",
    "log(y) ~ g": f"'log(y)' cannot be computed: it needs numbers, not labels: 'y' is text, but {ONE}.",
    "g2 ~ I(y * 2)": f"'y * 2' computes with labels, not numbers: 'y' is text, but {ONE}.",
}


@pytest.mark.parametrize("formula", ERRORS)
def test_errors_of_labels_name_the_cells_too(formula):
    with pytest.raises(sf.SpecletError) as caught:
        sf.Model(formula, table(y=as_text(X, row4="n/a."), g2=X))
    assert caught.value.problem == ERRORS[formula]
    assert caught.value.remedy == COERCED.format("y")


def test_weights_of_text_name_the_cells():
    with pytest.raises(sf.DataError, match=f"the weights 'w' are text, but {ONE}"):
        sf.Model("y ~ x", table(w=as_text(X.abs() + 1, row4="n/a.")), weights="w")


def test_a_mixture_of_numbers_and_text_gets_no_advice_to_make_text_of_numbers():
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ x", table(x=X.astype(object).where(X.index != 4, "n/a.")))
    assert str(caught.value) == (
        f"column 'x' mixes values of the types float, str: {ONE}.\n"
        f"A column holds numbers, or labels that are all text.\n{COERCED.format('x')}"
    )
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ x", table(x=pd.Series([1, "a", "b", "c"] * 60, dtype=object)))
    assert caught.value.remedy == "Convert it: data['x'] = data['x'].astype(str)."
