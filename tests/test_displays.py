"""Every result shows itself in a notebook, in any colours, and whole in a narrow terminal."""

import inspect
import re

import pytest

import speclet_formula as sf
from speclet_formula.common import table
from speclet_formula.common.table import Table, text_table
from tests.fakes import correlated_fit, crossed_fit

OTHERS = {"Finding", "Formula", "Prior"}  # arguments and their parts
CLASSES = [name for name in sf.__all__ if inspect.isclass(getattr(sf, name)) and name not in OTHERS]
RESULTS = [name for name in CLASSES if not issubclass(getattr(sf, name), Exception)]


@pytest.fixture(scope="module")
def fit():
    return correlated_fit(draws=40)


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(table, "terminal_width", lambda: 60)
    return 60


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_has_a_display_and_prints_itself(name):
    kind = getattr(sf, name)
    assert callable(kind._repr_html_)
    assert not hasattr(kind.__repr__, "__wrapped__")  # as that which a dataclass makes has


def displays(fit):
    loo = sf.loo(crossed_fit(draws=40))
    yield from (fit, fit.model, fit.diagnostics, loo, sf.check_residuals(fit, random_seed=1), sf.explain("y ~ (1 | g)"))
    yield from (sf.lmer("Reaction ~ Days + (1 | Subject)", fit.model.data, method="ml"), sf.table([fit]))


def test_displays_set_no_colours_so_that_those_of_the_notebook_hold(fit):
    for result in displays(fit):
        html = result._repr_html_()
        assert re.search(r"<(?:p|pre|div|table)\b", html)
        assert not re.search(r"(?:background|color)\s*[:=]", html), type(result).__name__


def test_findings_print_as_sentences_one_as_all():
    few = sf.Model("y ~ (1 | batch)", {"y": [1.0, 2.0, 4.0, 3.0], "batch": list("aabb")}).findings
    assert repr(few).startswith("Findings about the design\n* 'batch' has 2 levels. So few")
    assert few._repr_html_().count("<li>") == len(few) == 1
    assert repr(few[0]).splitlines()[0] == "'batch' has 2 levels."
    assert few.table["kind"].to_list() == ["few_levels"]
    assert repr(few[:0]) == "()"
    assert repr(type(few)()) == "No findings"


def test_equations_print_their_lines_and_notebooks_set_latex():
    plain, latex = sf.equation("y ~ (1 | g)"), sf.equation("y ~ (1 | g)", latex=True)
    assert repr(plain).count("\n") == 2
    assert plain._repr_html_().startswith("<pre")
    assert plain._repr_latex_() is latex._repr_html_() is None
    assert latex._repr_latex_() == f"$$\n{latex}\n$$"


def test_diagnostics_print_their_verdict_and_a_table(fit):
    printed = repr(fit.diagnostics)
    assert printed.startswith(f"{fit.diagnostics.verdict.capitalize()}: ")
    assert "Largest R-hat" in printed


def test_what_a_narrow_terminal_shows_is_folded_not_hidden(fit, narrow):
    frame = sf.fixef(fit)
    whole = text_table(frame)
    lines = whole.text().splitlines()
    assert max(map(len, lines)) <= narrow
    for column in frame:
        assert sum(line.split().count(column) for line in lines) == (1 if column != "term" else 2)
    for cell in (cell for row in whole.rows for cell in row[1:]):
        assert any(cell in line.split() for line in lines)
    assert max(map(len, repr(sf.check_residuals(fit, random_seed=1)).splitlines())) <= narrow


def test_a_header_over_several_columns_is_not_torn(narrow):
    made = Table("", ("name", "a" * 45, "spanning", ""), (("r", "1", "2", "3"),))
    head, row, _, *below = made.text().splitlines()
    assert head.split() == ["name", "a" * 45]
    assert row.split() == ["r", "1"]
    assert [line.split() for line in below] == [["name", "spanning"], ["r", "2", "3"]]


def test_what_goes_elsewhere_is_as_wide_as_it_needs(fit):
    assert table.terminal_width() is None
    assert len(Table("", ("name", "a" * 120), ()).text()) == len("name") + 1 + 120
