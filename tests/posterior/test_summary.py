"""What a fit prints: exact text for fits whose draws come from a seed, and the same as HTML."""

import doctest
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.model import Finding, Model, replace_parts
from speclet_formula.posterior import summary as layout
from speclet_formula.posterior.diagnostics import diagnose
from speclet_formula.posterior.summary import lay_out
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data, sleepstudy_data

FOOT = """\
Estimates are posterior means, Std.Error is the posterior standard deviation; low and high bound the
89% equal-tailed interval."""

CORRELATED = f"""\
Converged: R-hat is at most 1.011, every parameter has 814 effective draws or more, and there are no
  divergences.
Linear mixed model fit by NUTS (nutpie)
Formula: Reaction ~ 1 + Days + (1 + Days | Subject)
   Data: 180 rows
 Family: gaussian (identity link)
  Draws: 4 x 250 (chains x draws), 12.3 seconds

Group effects:
 Groups    Name       Std.Dev.  low 89%  high 89%  Corr
 Subject   Intercept     25.50    21.34     29.43
           Days           6.08     5.14      7.02  0.10
 Residual                25.63    21.43     29.73
Number of obs: 180, groups: Subject, 18

Fixed effects:
           Estimate  Std.Error  low 89%  high 89%  R-hat  ESS
Intercept    249.58      23.68   211.35    288.35  1.005  967
Days          10.46       1.07     8.84     12.25  1.001  835

{FOOT}"""

CROSSED = f"""\
Converged: R-hat is at most 1.005, every parameter has 804 effective draws or more, and there are no
  divergences.
Note: 'cell_line' has 4 levels. So few effects determine an SD weakly: its posterior is wide ...
Note: what to do: print(fit.model)
Linear mixed model fit by NUTS (nutpie)
Formula: log_fc ~ 1 + control + (1 | gene) + (1 | cell_line)
   Data: 48 rows
 Family: gaussian (identity link)
  Draws: 4 x 250 (chains x draws), 12.3 seconds

Group effects:
 Groups     Name       Std.Dev.  low 89%  high 89%
 gene       Intercept     0.399    0.334     0.463
 cell_line  Intercept     0.200    0.170     0.230
 Residual                 0.500    0.421     0.580
Number of obs: 48, groups: gene, 6; cell_line, 4

Fixed effects:
                Estimate  Std.Error  low 89%  high 89%  R-hat  ESS
Intercept        -1.0072     0.0942  -1.1593   -0.8530  1.005  967
control[other]    0.1998     0.0205   0.1689    0.2340  1.001  835

{FOOT}"""

NO_FIXED = f"""\
Doubtful: R-hat cannot be computed from one chain: nothing shows that another chain would agree.
What to do: Run with chains=4.
Generalized linear mixed model fit by exact integration
Formula: n ~ 0 + (1 | gene)
   Data: 48 rows
 Family: poisson (log link)
  Draws: 1 x 250 (chains x draws), 12.3 seconds

Group effects:
 Groups  Name        Std.Dev.    low 89%   high 89%
 gene    Intercept  9.970e-10  8.300e-10  1.159e-09
Number of obs: 48, groups: gene, 6

Fixed effects: none

{FOOT}"""


def counts_data():
    return screen_data().assign(n=np.arange(48) % 5, x=np.linspace(0, 1, 48), z=np.sin(np.arange(48)))


def no_fixed_fit():
    model = Model("n ~ 0 + (1 | gene)", counts_data(), family="poisson")
    return fake_fit(model, {"1|gene_sigma": 1e-9}, chains=1, method="exact")


@pytest.mark.parametrize(
    ("make", "text"),
    [(correlated_fit, CORRELATED), (crossed_fit, CROSSED), (no_fixed_fit, NO_FIXED)],
    ids=["correlated", "crossed", "no fixed effects"],
)
def test_exact_text(make, text):
    assert repr(make()) == text


def tables_of(text):
    """The blocks of lines under "Group effects:" and "Fixed effects:"."""
    lines = text.split("\n")
    starts = [lines.index(title) for title in ("Group effects:", "Fixed effects:")]
    ends = [next(i for i in range(start, len(lines)) if not lines[i] or lines[i][:6] == "Number") for start in starts]
    return [lines[start + 1 : end] for start, end in zip(starts, ends, strict=True)]


def test_columns_line_up_under_long_names():
    data = counts_data().assign(factor_with_a_name_of_forty_characters_here=screen_data()["gene"].astype(str) * 3)
    name = "factor_with_a_name_of_forty_characters_here"
    fit = fake_fit(Model(f"log_fc ~ 0 + {name} + (1 + x + z | {name}) + (1 | cell_line)", data))
    groups, fixed = tables_of(repr(fit))
    assert len({len(line) for line in fixed}) == 1
    place = groups[0].index("Corr")
    assert [line[place:].split() for line in groups[1:]] == [[], ["1.00"], ["1.00", "1.00"], [], []]
    assert all(line[place - 2 : place].strip() == "" for line in groups)


def test_more_than_twenty_fixed_effects_are_counted():
    fit = fake_fit(Model("log_fc ~ 0 + gene:cell_line", screen_data()))
    _, fixed = tables_of(repr(fit))
    assert len(fixed) == 21
    assert "\n\n... and 4 more: sf.fixef(fit)\n" in repr(fit)


@pytest.mark.slow
def test_wide_blocks_show_some_correlations_and_say_where_the_others_are():
    data = counts_data()
    for place in range(9):
        data[f"x{place}"] = np.cos((place + 1) * np.arange(48))
    columns = " + ".join(f"x{place}" for place in range(9))
    text = repr(fake_fit(Model(f"log_fc ~ 1 + (1 + {columns} | gene)", data)))
    groups, _ = tables_of(text)
    assert "\n\n More correlations: sf.varcorr(fit)\n" in text
    assert [len(line.split()) for line in groups[2:10]] == [4 + place for place in range(1, 8)] + [4]


def test_a_model_without_groups_and_residual_has_one_table():
    text = repr(fake_fit(Model("n ~ x", counts_data(), family="poisson")))
    assert "Group effects" not in text
    assert "Generalized linear model fit by" in text


def test_very_different_scales_are_printed_with_powers_of_ten():
    text = repr(fake_fit(Model("log_fc ~ x", counts_data()), {"x": 4e12}))
    assert "e+12" in text


def test_printing_does_not_read_group_effects_by_level():
    fit = crossed_fit()
    posterior = fit.idata["posterior"].to_dataset().drop_vars(["1|gene", "1|cell_line"])
    lean = replace(fit, idata=type(fit.idata).from_dict({"posterior": posterior}))
    assert repr(lean) == CROSSED


def test_what_cannot_be_known_is_a_dash():
    fit = crossed_fit(chains=1)
    row = tables_of(repr(fit))[1][1].split()
    assert row[5] == "-"


def test_zero_has_no_sign():
    fit = fake_fit(Model("Reaction ~ Days + (1 + Days | Subject)", sleepstudy_data()), {"cor|Subject": -1e-9})
    assert "-0.00" not in repr(fit)


def test_a_fit_with_nan_prints():
    fit = crossed_fit()
    fit.idata["posterior"]["Intercept"].values[0, 0] = np.nan
    text = repr(replace(fit, diagnostics=diagnose(fit.idata)))
    assert text.startswith("Failed: 1 parameter with draws that are NaN or infinite (Intercept).")
    assert tables_of(text)[1][1].split() == ["Intercept", "-", "-", "-", "-", "-", "-"]


class Cells(HTMLParser):
    """Collect the tags, and the text of the cells of each table's rows."""

    def __init__(self):
        super().__init__()
        self.tags, self.rows, self.text = [], [], None

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.text = ""

    def handle_data(self, data):
        if self.text is not None:
            self.text += data

    def handle_endtag(self, tag):
        if tag in ("th", "td"):
            self.rows[-1].append(self.text)
            self.text = None


def parsed(fit):
    cells = Cells()
    cells.feed(fit._repr_html_())
    return cells


def test_html_holds_the_same_cells():
    cells = parsed(correlated_fit())
    assert cells.rows == [
        ["Groups", "Name", "Std.Dev.", "low 89%", "high 89%", "Corr"],
        ["Subject", "Intercept", "25.50", "21.34", "29.43", ""],
        ["Subject", "Days", "6.08", "5.14", "7.02", "0.10"],
        ["Residual", "", "25.63", "21.43", "29.73", ""],
        ["Term", "Estimate", "Std.Error", "low 89%", "high 89%", "R-hat", "ESS"],
        ["Intercept", "249.58", "23.68", "211.35", "288.35", "1.005", "967"],
        ["Days", "10.46", "1.07", "8.84", "12.25", "1.001", "835"],
    ]


def test_html_is_semantic_and_needs_no_network():
    cells = parsed(correlated_fit())
    names = [tag for tag, _ in cells.tags]
    assert names.count("caption") == names.count("table") == names.count("thead") == 2
    assert all(attrs["scope"] in ("col", "row", "colgroup") for tag, attrs in cells.tags if tag == "th")
    assert not {"script", "link", "img", "iframe", "style"} & set(names)
    assert "http" not in correlated_fit()._repr_html_()


def test_html_spans_the_correlations_with_one_header():
    fit = fake_fit(Model("log_fc ~ 1 + (1 + x + z | gene)", counts_data()))
    spans = [(attrs["scope"], attrs["colspan"]) for tag, attrs in parsed(fit).tags if attrs.get("colspan", "1") != "1"]
    assert spans == [("colgroup", "2")]


def test_html_escapes_what_comes_from_the_data():
    data = screen_data()
    bad = "<script>alert('x')</script>"
    data[bad] = pd.Categorical(np.where(data["guide"] == 0, "a", "<b>&"), categories=["a", "<b>&"])
    fit = fake_fit(Model(f"log_fc ~ `{bad}` + (1 | gene)", data))
    html = fit._repr_html_()
    assert "<script" not in html
    assert "&lt;b&gt;&amp;" in html
    failing = replace(fit, diagnostics=replace(fit.diagnostics, sentence=bad, remedy=bad))
    assert "<script" not in failing._repr_html_()
    assert "<strong>What to do:</strong> &lt;script&gt;" in failing._repr_html_()


def test_html_of_a_fit_without_tables():
    data = counts_data()
    html = fake_fit(Model("n ~ 0 + (1 | gene)", data, family="poisson"))._repr_html_()
    assert html.count("<table") == 1
    many = fake_fit(Model("log_fc ~ 0 + gene:cell_line", data))._repr_html_()
    assert "<p>... and 4 more: sf.fixef(fit)</p>" in many


def test_examples_run():
    assert doctest.testmod(layout, extraglobs={"fit": correlated_fit()}).failed == 0


def test_a_layout_is_a_record():
    assert lay_out(crossed_fit()) == lay_out(crossed_fit())


def collinear_data():
    """Two columns of which one is twice the other, a factor of one level, and one with a level for each row."""
    data = counts_data()
    return data.assign(double=2 * data["x"], batch="one", row=[f"r{place}" for place in range(48)])


def test_what_was_found_in_the_design_stands_under_the_verdict():
    fit = fake_fit(Model("log_fc ~ x + double + (1 | batch) + (1 | row)", collinear_data()))
    lines = repr(fit).split("\n")
    notes = [line for line in lines if line.startswith("Note: ")]
    first = lines.index(notes[0])
    assert lines[first : first + len(notes)] == notes
    assert lines[first + len(notes)].startswith("Linear mixed model fit by NUTS")
    assert notes[0].startswith("Note: Fixed columns can be computed from other ones: ")
    assert any(note.startswith("Note: The grouping factor 'batch' has one level, 'one'.") for note in notes)
    assert any(note.startswith("Note: 'row' has ") for note in notes)
    assert notes[-1] == "Note: what to do: print(fit.model)"
    assert max(map(len, notes)) <= 100
    assert "<li>Fixed columns can be computed from other ones: " in fit._repr_html_()


def test_a_point_fit_shows_what_was_found_too():
    fit = sf.lmer("log_fc ~ x + double + (1 | gene)", collinear_data(), method="reml")
    assert "Note: Fixed columns can be computed from other ones: " in repr(fit)


def test_no_more_than_four_findings_are_shown():
    fit = fake_fit(Model("log_fc ~ x", counts_data()))
    finding = Finding("kind", "Something is the case.", "It matters.", "Do this.")
    fit = replace(fit, model=replace_parts(fit.model, findings=(finding,) * 7))
    notes = [line for line in repr(fit).split("\n") if line.startswith("Note: ")]
    assert notes == ["Note: Something is the case. It matters."] * 4 + [
        "Note: 3 more findings, and what to do: print(fit.model)"
    ]


def test_a_t_response_has_a_scale_and_no_residual_deviation():
    fit = fake_fit(Model("log_fc ~ x + (1 | gene)", counts_data(), family="t"), {"nu": 5.0, "sigma": 0.5})
    text = repr(fit)
    assert "\n Scale " in text
    assert "Residual" not in text
    assert " ".join(text.split("\n")).endswith("its standard deviation is Scale * sqrt(nu / (nu - 2)).")
    assert sf.varcorr(fit)["grp"].to_list() == ["gene", "Scale"]
    last = sf.tidy(fit, "ran_pars").iloc[-1]
    assert (last["group"], last["term"]) == ("Scale", "scale__Observation")


@pytest.mark.parametrize(
    ("family", "told"),
    [
        ("zero_inflated_poisson", "psi is the share of rows without an extra zero, 1 - zi of brms and glmmTMB."),
        ("hurdle_poisson", "psi is the share of rows above zero, 1 - hu of brms and 1 - zi of glmmTMB."),
    ],
)
def test_psi_is_told_apart_from_other_packages_share_of_zeros(family, told):
    table = counts_data().assign(n=lambda d: np.arange(len(d)) % 4)
    fit = fake_fit(Model("n ~ x + (1 | gene)", table, family=family), {"psi": 0.7})
    assert " ".join(repr(fit).split("\n")).endswith(told)


def test_intervals_of_point_fits_are_of_95_percent_and_named():
    fit = sf.lmer("log_fc ~ x + (1 | gene)", counts_data(), method="reml")
    assert sf.fixef(fit).attrs["interval"] == "95% t interval (Satterthwaite)"
    frame = sf.fixef(fit, df="asymptotic")
    assert frame.attrs["interval"] == "95% Wald interval"
    reach = 1.959963984540054 * frame["std_error"]
    np.testing.assert_allclose(frame["conf_high"] - frame["estimate"], reach, rtol=1e-9)
    assert sf.fixef(fit, ci_prob=0.5).attrs["interval"] == "50% t interval (Satterthwaite)"
    assert sf.confint(fit).attrs["interval"] == "95% Wald interval"
    assert sf.fixef(crossed_fit()).attrs["interval"] == "89% equal-tailed interval"
