"""Tables in four formats: what is aligned, what is escaped, which headers a cell is under; and print-outs of them."""

import re

import numpy as np
import pandas as pd
import pytest

from speclet_formula.common.table import (
    WIDTH,
    Printed,
    Sheet,
    Table,
    column_text,
    formatted,
    number,
    p_value,
    probability,
    share,
    stated,
    text_table,
)

SCRIPT = "<script>alert(1)</script>"
ODD = Table(
    "50 % of a_b", ("Gene", "Value"), (("a|b_c*", "1.0"), (SCRIPT, "-2.0"), ("[x]\\y#$&~^", "3.0")), 1, "n_1 < 2"
)


def test_text_is_aligned():
    assert ODD.text() == (
        "50 % of a_b:\n"
        "Gene                       Value\n"
        "a|b_c*                       1.0\n"
        "<script>alert(1)</script>   -2.0\n"
        "[x]\\y#$&~^                   3.0\n\n"
        "n_1 < 2"
    )


def test_markdown_escapes_all_that_it_would_read():
    assert ODD.markdown() == (
        "**50 % of a\\_b**\n\n"
        "| Gene | Value |\n|:---|---:|\n"
        "| a\\|b\\_c\\* | 1.0 |\n"
        "| \\<script\\>alert(1)\\</script\\> | -2.0 |\n"
        "| \\[x\\]\\\\y\\#\\$\\&\\~^ | 3.0 |\n\n"
        "n\\_1 \\< 2"
    )


def test_latex_escapes_all_that_it_would_read():
    lines = ODD.latex().split("\n")
    assert lines[2] == r"\caption{50 \% of a\_b}"
    assert lines[3:5] == [r"\begin{tabular}{lr}", r"\toprule"]
    assert r"a\textbar{}b\_c* & 1.0 \\" in lines
    assert r"{[}x{]}\textbackslash{}y\#\$\&\textasciitilde{}\textasciicircum{} & 3.0 \\" in lines
    assert r"{\footnotesize n\_1 \textless{} 2}" in lines


def test_html_has_caption_and_scopes_and_escapes_what_great_tables_reads():
    html = ODD.html(ident="t")
    assert '<caption id="t">50 % of a_b</caption>' in html
    assert html.count('scope="col"') == 2
    assert html.count('<th scope="row"') == 3
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    units = "{{a^2}}" + SCRIPT
    for styled in (True, False):
        html = Table(units, (units, units, units, ""), ((units, units, units, "1"),), 1, units).html(styled=styled)
        assert "<script" not in html
        assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 7


def test_rows_of_one_block_show_their_name_once():
    rows = (("gene", "a", "1"), ("gene", "b", "2"), ("line", "b", "3"))
    apart, together = (
        Table("", ("g", "t", "n"), rows, 2, blocks=blocks).text().split("\n") for blocks in (False, True)
    )
    assert apart == ["g     t  n", "gene  a  1", "gene  b  2", "line  b  3"]
    assert together == ["g     t  n", "gene  a  1", "      b  2", "line  b  3"]


def test_a_wide_table_is_set_closer():
    header = ("name", *(f"column_{place}" for place in range(10)))
    row = ("x", *("1.0" for _ in range(10)))
    assert "name column_0" in Table("", header, (row,)).text()
    assert "name  column_0" in Table("", header[:9], (row[:9],)).text()


def test_an_empty_header_widens_the_one_on_its_left():
    html = Table("SDs", ("Groups", "SD", "Corr", ""), (("g", "1", "0.1", "0.2"),)).html()
    assert re.search(r'colspan="2" scope="colgroup" id="[^"]*">\s*<span class="gt_column_spanner">Corr</span>', html)
    spans = re.findall(r'colspan="(\d)"', html)
    assert sorted(spans) == ["1", "1", "1", "1", "2"]


def test_a_table_has_the_same_html_each_time_and_ids_of_its_own():
    one, two = Table("a", ("x",), (("1",),)), Table("b", ("x",), (("1",),))
    assert one.html() == one.html()
    ids = [set(re.findall(r'id="([^"]*)"', table.html())) for table in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert "<style>" not in one.html()
    assert "<style>" in one.html(styled=True)


class Told(Printed):
    def sheet(self):
        rows = text_table(pd.DataFrame({"name": ["a<b>"], "n": [1]}), "Things")
        return Sheet("A & B", ("line",), (rows, Table("none", ("x",), ())), ("mind <this>",))


def test_a_record_prints_its_sheet():
    assert repr(Told()) == "A & B\nline\n\nThings:\nname  n\na<b>  1\n\nmind <this>"
    html = Told()._repr_html_()
    assert html.startswith("<p><strong>A &amp; B</strong></p>\n<p>line</p>\n<table")
    assert html.endswith("<p>mind &lt;this&gt;</p>")
    assert "a&lt;b&gt;" in html
    assert html.count("<table") == 1


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (number(float("nan"), ".2f"), "-"),
        (number(-0.001, ".2f"), "0.00"),
        (share(0.0, ".3f", 1000), "< 1/1,000"),
        (share(1.0, ".3f", 1000), "> 1 - 1/1,000"),
        (share(0.0, ".3f", 0), "0.000"),
        (column_text([11.2, 1.2333, 3.389]), ["11.200", "1.233", "3.389"]),
        (column_text([12.3456, 250.0]), ["12.3", "250.0"]),
        (column_text([0.00012345, 0.5]), ["0.00012", "0.50000"]),
        (column_text([0.00012345, 0.5, -0.5]), ["0.000", "0.500", "-0.500"]),
        (column_text([1e-9, 0.5, 3e6, np.inf]), ["1e-09", "0.500", "3e+06", "inf"]),
        (column_text([-1e-17, 0.25, 0.5], "bias"), ["0.000", "0.250", "0.500"]),
        (column_text([None, np.nan, pd.NA, pd.NaT, ""]), ["-"] * 5),
        (column_text([True, np.False_, None]), ["yes", "no", "-"]),
        (column_text([3958.6, np.nan], "ess_bulk"), ["3,958", "-"]),
        (column_text([1000.0, 20.0], "n_rows"), ["1,000", "20"]),
        (column_text([1000, 20], "n_rows"), ["1,000", "20"]),
        (column_text([2024, 2025], "year"), ["2024", "2025"]),
        (column_text([1000.5, 20.0], "rows_per_level"), ["1,000.5", "20.0"]),
        (column_text([1e-60, 2.345e-5, 0.04, np.nan], "p_value"), ["< 2.2e-16", "2.35e-05", "0.0400", "-"]),
        ([probability(value, 0) for value in (0.5, 4e-4, 1e-40, 1.0)], ["0.500", "0.0004", "1e-40", "1.000"]),
        ([probability(value, 100) for value in (0.5, 0.0, 1.0)], ["0.500", "< 1/100", "> 1 - 1/100"]),
        ([p_value(value) for value in (2.2e-16, 1e-4, 0.0, 1.0)], ["2.20e-16", "0.0001", "< 2.2e-16", "1.0000"]),
        (stated([-0.022424683585516435]), ["-0.02242"]),
        (stated([0.1, 1 / 3]), ["0.1000", "0.3333"]),
        (stated([0.0, 5.0, 12.0]), ["0", "5", "12"]),
        (stated([1e-7, 0.5]), ["1e-07", "0.5"]),
        (formatted(pd.DataFrame({"a": [1.23456, np.nan]}), [0.0123, np.nan]), [["1.2346"], ["-"]]),
    ],
)
def test_numbers_as_text(made, text):
    assert made == text


LONG = "so many words that they do not fit into a line of a terminal, " * 4


class Long(Printed):
    def sheet(self):
        return Sheet(LONG, (LONG, f"* {LONG}"), (Table(LONG, ("x",), (("1",),), 1, LONG),), (LONG,))


def test_titles_captions_notes_and_feet_are_wrapped_and_notes_stand_apart():
    lines = repr(Long()).split("\n")
    assert max(map(len, lines)) <= WIDTH
    assert lines[lines.index("1") + 1] == ""
    item = next(place for place, line in enumerate(lines) if line.startswith("* "))
    assert lines[item + 1].startswith("  ")
    assert max(map(len, Table("", ("x",), (("1",),), 1, LONG).text(" ").split("\n"))) <= WIDTH
