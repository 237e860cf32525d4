"""Several fits side by side: every number where a reader looks for it, in five formats, and what is not comparable."""

import zipfile
from functools import cache
from xml.etree import ElementTree

import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from tests.fakes import correlated_fit, crossed_fit, sleepstudy_data

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


@cache
def fits():
    data = sleepstudy_data()
    subject = data["Subject"].factorize()[0]
    data["Reaction"] += (subject % 5) * 30 + (subject % 4) * 4 * data["Days"]
    return {
        "null": sf.lmer("Reaction ~ (1 | Subject)", data, method="reml"),
        "slopes": sf.lmer("Reaction ~ Days + (Days | Subject)", data, method="reml"),
        "draws <b>": correlated_fit(),
    }


@cache
def made():
    return sf.table(fits(), title="Sleep & days")


def cells(text):
    """Return the cells of a Markdown table by the first of each row."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {row[0]: [cell.rstrip("\u2007\u2008 ") for cell in row[1:]] for row in rows}


def test_estimates_intervals_and_statistics_are_those_of_the_fits():
    rows, fixed = cells(made().table.markdown()), sf.fixef(fits()["slopes"])
    assert rows["Days"][:2] == ["", ""]
    estimate, low, high = fixed.loc[1, ["estimate", "conf_low", "conf_high"]]
    assert float(rows["Days"][2]) == pytest.approx(estimate, abs=0.006)
    ends = [float(end) for end in rows["Days"][3].strip("\\[]").split(",")]
    assert ends == pytest.approx([low, high], abs=0.006)
    assert rows["AIC"][0] == f"{fits()['null'].aic:,.1f}"
    assert rows["BIC"][2] == f"{fits()['slopes'].bic:,.1f}"
    assert rows["AIC"][4] == ""
    loo = sf.loo(fits()["draws <b>"])
    assert rows["elpd (leave-one-out)"][4:] == [f"{loo.elpd:,.1f}", f"({loo.se:,.1f})"]
    assert rows["Levels of Subject"][0::2] == ["18", "18", "18"]
    spread = sf.varcorr(fits()["slopes"])["sdcor"]
    assert rows["SD Residual"][2].startswith(f"{spread.iloc[-1]:.1f}")
    assert rows["Cor. Subject: Intercept, Days"][2] == f"{spread.iloc[2]:.2f}"
    order = list(rows)
    assert order.index("SD Residual") > order.index("SD Subject: Days")


def test_points_stand_below_each_other():
    """In the text of a terminal the points of a column's numbers have one place; a whole number ends before it."""
    lines = [
        line for line in made().table.text().splitlines() if line.startswith(("Intercept", "SD Subject: I", "AIC"))
    ]
    columns = [line.index(".") for line in lines]
    assert len(lines) == 3
    assert len(set(columns)) == 1
    rows = next(line for line in made().table.text().splitlines() if line.startswith("Rows"))
    assert rows[columns[0] - 3 : columns[0]] == "180"


def test_standard_errors_stand_in_parentheses():
    rows = cells(sf.table(fits(), uncertainty="std_error", loo=False).table.markdown())
    expected = sf.fixef(fits()["null"])["std_error"].iloc[0]
    assert float(rows["Intercept"][1].strip("()")) == pytest.approx(expected, rel=5e-3)
    assert "elpd (leave-one-out)" not in rows


def test_p_values_and_exponentials_are_those_of_the_fits():
    models = {"slopes": fits()["slopes"], "draws": fits()["draws <b>"]}
    made = sf.table(models, loo=False, p_values=True, exponentiate=True)
    fixed = sf.tidy(models["slopes"], "fixed", exponentiate=True).iloc[1]
    row = cells(made.table.markdown())["Days"]
    assert float(row[0].replace(",", "")) == pytest.approx(fixed["estimate"], rel=5e-3)
    assert float(row[2]) == pytest.approx(fixed["p_value"], rel=5e-3)
    assert row[5] == ""
    assert made.frame.query("term == 'Days'")["p_value"].iloc[0] == fixed["p_value"]
    assert "exponentiated" in repr(made)
    under = sf.table(models, loo=False, p_values=True, below=True).table.rows
    assert any(f", p = {row[2]}" in cell for line in under for cell in line)


def test_the_notes_tell_engines_intervals_and_what_cannot_be_compared():
    printed = repr(made()).replace("\n", " ")
    assert "null, slopes: REML, gaussian (identity link); in brackets the 95%" in printed
    assert "draws <b>: NUTS" in printed or "draws <b>: " in printed
    assert "REML likelihoods of different fixed effects cannot be compared" in printed
    other = sf.table({"a": fits()["null"], "b": sf.lmer("log_fc ~ (1 | gene)", crossed_fit().model.data, method="ml")})
    assert "logLik, AIC, BIC and elpd cannot be compared across them" in repr(other).replace("\n", " ")


@pytest.mark.parametrize("suffix", ["txt", "md", "html", "tex", "docx"])
def test_a_file_has_the_format_of_its_suffix(suffix, tmp_path):
    target = tmp_path / "deep" / f"models.{suffix}"
    sf.table(fits(), target, title="Sleep & days", loo=False)
    content = target.read_bytes()
    if suffix == "docx":
        content = zipfile.ZipFile(target).read("word/document.xml")
        root = ElementTree.fromstring(content)
        texts = [node.text for node in root.iter(f"{WORD}t")]
        assert "Sleep & days" in texts
        assert "draws <b>" in texts
        rows = list(root.iter(f"{WORD}tr"))
        assert len(rows) > 12
        for row in rows:  # each has all seven columns
            spans = [int(node.get(f"{WORD}val")) for node in row.iter(f"{WORD}gridSpan")]
            assert len(list(row.iter(f"{WORD}tc"))) - len(spans) + sum(spans) == 7
        return
    text = content.decode()
    assert {"txt": "draws <b>", "md": r"draws \<b\>", "html": "draws &lt;b&gt;", "tex": r"draws \textless{}b"}[
        suffix
    ] in text
    assert {"txt": "null, slopes", "md": "null, slopes", "html": "null, slopes", "tex": r"\multicolumn{2}{c}{null}"}[
        suffix
    ] in text


def test_intervals_may_stand_below_the_estimates():
    beside, below = made().table, sf.table(fits(), below=True).table
    assert below.header == ("", "null", "slopes", "draws <b>")
    place = next(place for place, row in enumerate(below.rows) if row[0] == "Days")
    days = next(row for row in beside.rows if row[0] == "Days")
    assert below.rows[place][1:] == days[1::2]
    assert below.rows[place + 1] == ("", *days[2::2])
    fit = next(place for place, heading in below.headings if heading == "Fit")
    assert below.rows[fit][0] == "Rows"
    assert below.rows[fit + 1][0].startswith("Levels of")


def test_parts_have_headings_in_every_format():
    table = made().table
    assert "\nFit\n" in table.text()
    assert "| **Fit** |" in table.markdown()
    assert r"\multicolumn{7}{l}{\emph{Fit}}" in table.latex()
    assert "gt_group_heading" in table.html()
    assert sf.render_table(made(), "latex").count("phantom{.}") > 0


def test_the_numbers_are_a_frame():
    frame = made().frame
    assert frame.columns.to_list() == [
        "model",
        "part",
        "term",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
        "p_value",
    ]
    assert frame[frame["term"] == "AIC"]["estimate"].to_list() == [fits()["null"].aic, fits()["slopes"].aic]


def test_fits_without_names_are_numbered_and_a_doubtful_one_is_told():
    printed = repr(sf.table([fits()["null"], fits()["slopes"]]))
    assert "(1)" in printed
    assert "(2)" in printed
    bad = sf.lmer("y ~ (1 | g)", pd.DataFrame({"y": [1.0, 2, 3, 1, 2, 3], "g": list("aaabbb")}), method="reml")
    assert "singular" in repr(sf.table({"flat": bad}))


def test_what_is_no_fit_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"'a' is a DataFrame"):
        sf.table({"a": pd.DataFrame()})
    with pytest.raises(DataError, match="no fit was given"):
        sf.table({})
    with pytest.raises(DataError, match="uncertainty='p' does not exist"):
        sf.table(fits(), uncertainty="p")
    with pytest.raises(DataError, match=r"'models.pdf' ends in '.pdf'"):
        sf.table(fits()["null"], tmp_path / "models.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        sf.table(fits()["null"], tmp_path / "file" / "models.md")
