"""The documents are true: their code runs, and what they mention exists."""

import ast
import contextlib
import importlib
import inspect
import io
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import speclet_formula as sf
from speclet_formula.cli import app
from speclet_formula.common.arguments import OTHER_WORDS
from speclet_formula.families import FAMILIES
from speclet_formula.formula.parse import parse_formula
from tests.fakes import fake_fit

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts]
NOTEBOOKS = [path for path in PAGES if path.read_text(encoding="utf-8").startswith("---\nfile_format: mystnb\n")]
LESSONS = sorted((DOCS / "course").glob("[0-9]*.md"))
PLAIN = [ROOT / "README.md", *(path for path in PAGES if path not in NOTEBOOKS)]
DOCUMENTS = [path for path in PLAIN if "\n```python\n" in path.read_text(encoding="utf-8")]  # printed, so run by a test
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CELL = re.compile(r"^```\{code-cell\}\n((?:^:[^\n]*\n)*)(.*?)^```$", re.MULTILINE | re.DOTALL)  # run by Sphinx
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def name_of(path):
    return path.relative_to(ROOT).as_posix()


each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
each_page = pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=name_of)


def blocks(path, language):
    """The document's fenced blocks of a language, in order."""
    return [body for kind, body in BLOCK.findall(path.read_text(encoding="utf-8")) if kind == language]


def prose(path):
    """The document without its fenced blocks."""
    return BLOCK.sub("", CELL.sub("", path.read_text(encoding="utf-8")))


def anchors(path):
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def command_lines():
    """(words) of each call of speclet-formula, in shell blocks and in the text."""
    lines = []
    for path in [ROOT / "README.md", *PAGES]:
        for body in blocks(path, "sh"):
            lines += body.replace("\\\n", " ").splitlines()
        lines += SPAN.findall(prose(path))
    calls = [shlex.split(line) for line in lines if line.startswith("speclet-formula ")]
    assert len(calls) >= 5
    return calls


def table_rows(path, heading):
    """Cells of the first table below a heading, without its header."""
    section = path.read_text(encoding="utf-8").partition(f"## {heading}\n")[2]
    lines = [line for line in section.partition("\n#")[0].splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]
    return [[cell.replace("\\|", "|") for cell in row] for row in cells]


@pytest.mark.slow
@each_document
def test_the_code_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "document"}
    with contextlib.redirect_stdout(io.StringIO()):
        for number, body in enumerate(blocks(path, "python"), 1):
            exec(compile(body, f"{path.name}, block {number}", "exec"), names)
    fits = [value for value in names.values() if isinstance(value, sf.Fit)]
    fits += [fit for value in names.values() if isinstance(value, sf.Comparison) for fit in value.fits.values()]
    assert [fit.diagnostics.verdict for fit in fits] == ["converged"] * len(fits)
    for span in SPAN.findall(prose(path)):
        if re.match(r"(?:fit|comparison|recovery)\.|model\.findings$", span):
            assert eval(span, names) is not None


@each_page
def test_every_name_of_the_package_exists(path):
    mentioned = set(re.findall(r"\bsf\.(\w+(?:(?<=datasets)\.\w+)?)", path.read_text(encoding="utf-8")))
    assert mentioned or path not in (*DOCUMENTS, *NOTEBOOKS)
    for name in mentioned:
        first, _, second = name.partition(".")
        assert first in sf.__all__
        assert not second or hasattr(getattr(sf, first), second)


def code_of(path):
    """Each piece of Python in a page or a script that can be read by itself: blocks, cells, spans, examples."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield text
    else:
        yield from (*blocks(path, "python"), *(body for _, body in CELL.findall(text)), *SPAN.findall(prose(path)))


SCRIPTS = [path for folder in ("benchmarks", "examples", "findings") for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES, *SCRIPTS], ids=name_of)
def test_calls_name_arguments_that_exist(path):
    """What a verb passes on by ``**`` is at least no other word for an argument of its own."""
    for code in code_of(path):
        with contextlib.suppress(SyntaxError):
            for call in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)):
                verb = getattr(sf, ast.unparse(call.func).removeprefix("sf."), None)
                if ast.unparse(call.func).startswith("sf.") and callable(verb):
                    parameters = inspect.signature(verb).parameters
                    passed_on = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
                    for name in (keyword.arg for keyword in call.keywords if keyword.arg not in (*parameters, None)):
                        assert passed_on, ast.unparse(call)
                        assert not set(OTHER_WORDS.get(name, ())) & set(parameters), ast.unparse(call)


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"], ids=name_of
)
def test_every_link_leads_somewhere(path):
    for target in LINK.findall(prose(path)):
        if target.startswith("https://") or target == "reference/index.rst":  # written when the pages are built
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_the_cells_of_a_notebook_are_python(path):
    text = path.read_text(encoding="utf-8")
    cells = CELL.findall(text)
    assert len(cells) == text.count("```{code-cell}")
    for number, (_, body) in enumerate(cells, 1):
        compile(body, f"{path.name}, cell {number}", "exec")


@pytest.mark.parametrize("path", LESSONS, ids=name_of)
def test_every_exercise_has_an_answer_that_is_checked(path):
    text = path.read_text(encoding="utf-8")
    exercises = re.findall(r"^\*\*(\d+\.\d)\*\*", text, re.MULTILINE)
    answers = [body for options, body in CELL.findall(text) if "hide-cell" in options]
    assert 2 <= len(exercises) <= 4
    assert exercises == [f"{int(path.name[:2])}.{number}" for number in range(1, len(exercises) + 1)]
    assert len(answers) == len(exercises)
    for body in answers:
        assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(body))), body


def test_the_gallery_has_every_picture():
    shown = {call for _, body in CELL.findall((DOCS / "gallery.md").read_text(encoding="utf-8")) for call in
             re.findall(r"\bsf\.(plot_\w+)", body)}  # fmt: skip
    assert {name for name in sf.__all__ if name.startswith("plot_")} == shown


def test_every_page_is_in_a_table_of_contents():
    listed = {DOCS / "index.md"}
    for path in PAGES:
        for body in re.findall(
            r"^```\{toctree\}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        ):
            entries = [line for line in body.splitlines() if line and not line.startswith(":")]
            listed |= {path.parent / f"{entry}.md" for entry in entries if entry != "reference/index"}
    assert listed == set(PAGES)


def test_the_reference_has_every_public_name_once(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    rooms = importlib.import_module("rooms")
    rooms.write_reference(tmp_path)
    listed = re.findall(r"^   (\w+)$", (tmp_path / "index.rst").read_text(encoding="utf-8"), re.MULTILINE)
    public = set(sf.__all__) - {"__version__", "datasets"}
    assert sorted(name for name in listed if name in public) == sorted(public)
    assert {"m7", "screen_design"} <= set(listed)


def test_the_changelog_names_what_exists():
    mentioned = re.findall(r"`sf\.(\w+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert set(mentioned) <= set(sf.__all__)


def test_every_make_target_exists():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in [ROOT / "README.md", *PAGES]:
        mentioned = re.findall(r"(?:^|`)make ([\w-]+)(?:`|$)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(mentioned) <= targets


def test_the_rooms_that_are_listed_exist():
    (tree,) = [body for body in blocks(ROOT / "CONTRIBUTING.md", "text") if body.startswith("speclet_formula/\n")]
    for line in tree.splitlines():
        folder = ROOT / "speclet_formula" if line.startswith("  ") else ROOT
        for name in re.findall(r"^ *[\w.]+/?|(?<=, )[\w.]+(?:/|\.py)", line):
            assert (folder / name.strip()).exists(), name


def test_every_room_is_listed():
    (tree,) = [body for body in blocks(ROOT / "CONTRIBUTING.md", "text") if body.startswith("speclet_formula/\n")]
    known = {"__init__.py", "__main__.py", "__pycache__", "py.typed"} | {"convergence.py", "demo.py", "errors.py"}
    kept = [path for path in (ROOT / "speclet_formula").iterdir() if path.is_file() or any(path.glob("*.py"))]
    rooms = {path.name for path in kept} - known
    assert {room for room in rooms if room not in tree} == set()


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_every_command_and_option_is_in_the_help(words):
    _, command, *arguments = words
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0, shown.output
    options = {argument.partition("=")[0] for argument in arguments if argument.startswith("--")}
    assert options <= set(re.findall(r"--[\w-]+", shown.output))
    for argument in arguments:
        if "~" in argument:
            parse_formula(argument)


def test_the_printed_fit_has_the_layout_of_a_fit():
    printed = next(body for body in blocks(ROOT / "README.md", "text") if "Group effects:" in body)
    data, _ = sf.datasets.m7()
    fit = fake_fit(sf.Model("log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)", data), draws=1000, method="exact")

    def layout(text):
        """The lines from the heading on: words as they are, numbers as a sign for any number, without widths."""
        lines = [re.sub(r"-?\d[\d,.]*(?!\d*%)", "0", line).split() for line in text.splitlines()]
        start = next(place for place, line in enumerate(lines) if line[:3] == ["Linear", "mixed", "model"])
        return [line for line in lines[start:] if line[:2] != ["Linear", "mixed"]]

    assert layout(printed) == layout(repr(fit))


FORMULAS = table_rows(ROOT / "docs" / "coming-from-lme4.md", "The same formulas")


def test_the_table_of_formulas_is_whole():
    assert len(FORMULAS) >= 20
    assert {len(row) for row in FORMULAS} == {2}


@pytest.mark.parametrize("row", FORMULAS, ids=lambda row: row[0])
def test_every_form_of_the_table_parses(row):
    for text in spelled(row[0]):
        parse_formula(text, columns=["y", "x", "g"])


@pytest.mark.parametrize("row", [row for row in FORMULAS if re.fullmatch("`[^`]+`", row[1])], ids=lambda row: row[0])
def test_forms_mean_what_the_table_says(row):
    (meaning,) = spelled(row[1])
    assert {parse_formula(text) for text in spelled(row[0])} == {parse_formula(meaning)}


PAIRS = [row for row in FORMULAS if re.fullmatch("`[^`]+`, `[^`]+`", row[0])]


@pytest.mark.parametrize("row", PAIRS, ids=lambda row: row[0])
def test_two_forms_of_a_row_are_one_formula_or_the_same_effects(row):
    one, other = (parse_formula(text) for text in spelled(row[0]))
    assert one.terms == other.terms
    assert one.intercept == other.intercept
    assert effects(one) == effects(other)


def effects(formula):
    """(group, column) of all group terms."""
    return {
        (part.group, column)
        for part in formula.group_terms
        for column in (*((None,) if part.intercept else ()), *part.terms)
    }


def spelled(cell):
    """Each formula of a cell, completed by a response where there is none."""
    spans = re.findall(r"`` (.+?) ``|`([^`]+)`", cell)
    texts = [one or other for one, other in spans]
    return [text if "~" in text else f"y ~ {text}" for text in texts if text not in ("f", "g")]


# What a first course of mixed models in R calls, by package.
COURSE = {
    "lme4": "lmer glmer glmer.nb fixef ranef coef VarCorr summary sigma nobs ngrps fitted predict residuals simulate "
    "anova AIC BIC logLik deviance drop1 confint profile vcov formula model.frame model.matrix getME family "
    "isSingular lmerControl allFit lmList update refit bootMer dotplot df.residual print plot qqmath refitML REMLcrit "
    "isREML extractAIC hatvalues influence findbars terms weights rePCA",
    "lmerTest": "step ranova ls_means difflsmeans",
    "broom.mixed": "tidy glance augment",
    "emmeans": "emmeans contrast pairs emtrends ref_grid regrid emmip cld joint_tests eff_size confint test",
    "performance": "icc r2 check_model check_convergence check_singularity check_overdispersion check_collinearity "
    "model_performance compare_performance check_predictions check_zeroinflation r2_nakagawa check_outliers "
    "check_normality check_heteroscedasticity check_residuals binned_residuals variance_decomposition rmse",
    "others": "Anova vif linearHypothesis glht dredge AICc r.squaredGLMM simulateResiduals testDispersion "
    "testZeroInflation predictInterval REsim plotREsim FEsim tab_model plot_model allEffects ggpredict predictions "
    "avg_slopes comparisons powerSim KRmodcomp PBmodcomp model_parameters report lme extract_eq",
}
BRMS = (
    "brm bf get_prior prior set_prior prior_summary make_stancode stancode make_standata summary fixef ranef coef "
    "VarCorr ngrps posterior_predict posterior_epred posterior_linpred fitted predict residuals conditional_effects "
    "hypothesis loo waic loo_compare kfold reloo add_criterion model_weights bayes_factor bayes_R2 pp_check mcmc_plot "
    "plot pairs update posterior_samples as_draws posterior_summary posterior_interval variables ndraws rhat "
    "nuts_params launch_shinystan log_lik prior_draws brm_multiple predictive_interval"
)


def rows_of_names(text):
    """(R's side, ours, remark) of all tables in a part of a page."""
    lines = [line for line in text.splitlines() if re.match(r"\| .*`", line)]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def named_rows():
    section = (DOCS / "coming-from-lme4.md").read_text(encoding="utf-8").partition("\n## Names\n")[2]
    return rows_of_names(section.partition("\n## ")[0])


def brms_rows():
    return rows_of_names((DOCS / "coming-from-brms.md").read_text(encoding="utf-8"))


def test_every_function_of_a_first_course_of_brms_is_answered():
    answered = " ".join(row[0] for row in brms_rows())
    assert [name for name in BRMS.split() if not re.search(rf"(?<![\w.]){re.escape(name)}\b", answered)] == []


def test_every_row_of_names_says_what_to_use():
    for theirs, ours, remark in [*named_rows(), *brms_rows()]:
        assert ours or len(remark.split()) >= 4, theirs


@pytest.mark.parametrize("package", COURSE)
def test_every_function_of_a_first_course_is_answered(package):
    answered = " ".join(row[0] for row in named_rows())
    missing = [name for name in COURSE[package].split() if not re.search(rf"(?<![\w.]){re.escape(name)}\b", answered)]
    assert missing == []


def test_what_is_said_to_be_missing_is_missing():
    said = " ".join(prose(DOCS / "limitations.md").split())
    assert "`te()` and `ti()`" in said
    with pytest.raises(sf.FormulaError, match="is not a function"):
        sf.explain("y ~ te(x, z)")


def test_what_laplace_serves_is_what_is_told():
    text = " ".join((DOCS / "limitations.md").read_text(encoding="utf-8").split())
    told = re.search(r'`method="laplace"`\)? serves every (?:other )?family but (\w+) and (\w+)(.*?)gaussian', text)
    *names, rest = told.groups()
    unordered = {name for name, known in FAMILIES.items() if known.per_level is not None}
    assert names == [name for name, known in FAMILIES.items() if not known.curves and name not in unordered]
    assert "those of unordered levels" in rest
