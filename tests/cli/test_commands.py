"""The command line: what it prints, which files it reads, and how a user's mistake ends."""

import errno
import functools
import gzip
import inspect
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import speclet_formula as sf
from speclet_formula import __version__
from speclet_formula.cli import app
from speclet_formula.cli.commands import INTERRUPTED, MISTAKE
from speclet_formula.cli.inputs import read_table, read_truth
from speclet_formula.cli.options import Verb, options_of
from speclet_formula.cli.outputs import as_options
from speclet_formula.cli.screen import pooled_conditions
from speclet_formula.common.table import probability
from speclet_formula.errors import DataError
from speclet_formula.inference.fit import lmer
from speclet_formula.posterior.save import save
from speclet_formula.recovery.simulate import simulate
from speclet_formula.screens.simulate import simulate_screen
from tests.fakes import correlated_fit, crossed_fit

TABLE = "gene,drug,y\nA,yes,1.0\nA,no,2.0\nB,yes,3.5\nB,no,4.0\n[bold],yes,0.5\n[bold],no,0.25\n"
EXPLAINED = """\
In words
  log_fc: the response.
  1: an intercept, shared by all rows.
  (1 | gene): each gene has its own intercept, drawn from a normal distribution whose SD is estimated.

As an equation
  log_fcᵢ ~ Normal(μᵢ, σ)
  μᵢ = β₀ + u₀[geneᵢ]
  u₀[gene] ~ Normal(0, τ₀[gene])

Elsewhere
  lme4:
    library(lme4)
    lmer(log_fc ~ 1 + (1 | gene), data = data)
  brms:
    library(brms)
    brm(log_fc ~ 1 + (1 | gene), data = data, family = gaussian())
  bambi:
    import bambi as bmb
    bmb.Model("log_fc ~ 1 + (1 | gene)", data).fit()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with small files, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "screen.csv").write_text(TABLE)
    (tmp_path / "truth.json").write_text('{"Intercept": 1.0}')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "text.json").write_text('{"sigma": "large"}')
    (tmp_path / "level.json").write_text('{"1|gene": {"A": null}}')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "long.json").write_text('{"sigma": %s}' % ("9" * 5000))
    (tmp_path / "huge.json").write_text('{"sigma": 1%s}' % ("0" * 400))
    (tmp_path / "nan.json").write_text('{"sigma": NaN}')
    (tmp_path / "broken.json").write_text('{"sigma": 1')
    (tmp_path / "latin.csv").write_bytes("gene,y\nM\xfcller,1\n".encode("latin-1"))
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("gene,y\n")
    (tmp_path / "repeated.csv").write_text("gene,y,y\nA,1,2\nB,2,3\n")
    (tmp_path / "missing.csv").write_text("gene,y\nA,1\nA,\nB,3\nB,4\n")
    (tmp_path / "broken.csv.gz").write_bytes(b"no gzip")
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    (tmp_path / "sheet.xlsx").write_bytes(b"")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


FORMS = 'For example {"Intercept": -1.0, "sigma": 0.3, "1|gene": {"gene_0": 0.2, "gene_1": -0.2}}.'
TEXT_FILE = "A text file is UTF-8, with one line of column names; a parquet file is whole."
MISTAKES = {
    "no such file": (
        "fit scren.csv y~(1|gene)",
        "there is no file 'scren.csv'.\nThe path of a file is expected, from the folder where the command runs.\n"
        "Nearest: 'screen.csv'.",
    ),
    "a folder": (
        "fit . y~(1|gene)",
        "'.' is a folder.\nThe path of a file is expected, from the folder where the command runs.\n"
        "Check the spelling and the folder.",
    ),
    "another kind": (
        "fit sheet.xlsx y~(1|gene)",
        "'sheet.xlsx' is of a kind that cannot be read.\nA table's file is text of separated columns or parquet: .csv, "
        ".tsv, .tab, .txt, .count, .counts, .foldchange (also .gz), .parquet, .pq.\n"
        "Open it in what wrote it, and save it as CSV.",
    ),
    "an empty file": (
        "fit empty.csv y~(1|gene)",
        f"'empty.csv' cannot be read: No columns to parse from file.\n{TEXT_FILE}\n"
        "Open it in what wrote it, and save it again.",
    ),
    "no rows": (
        "fit header.csv y~(1|gene)",
        "the data have no rows.\nA model needs at least one row.\nCheck the filter or the file that made them.",
    ),
    "another encoding": (
        "fit latin.csv y~(1|gene)",
        f"'latin.csv' cannot be read: 'utf-8' codec can't decode byte 0xfc in position 8: invalid start byte.\n"
        f"{TEXT_FILE}\nOpen it in what wrote it, and save it again.",
    ),
    "a broken archive": (
        "fit broken.csv.gz y~(1|gene)",
        f"'broken.csv.gz' cannot be read: Not a gzipped file (b'no').\n{TEXT_FILE}\n"
        "Open it in what wrote it, and save it again.",
    ),
    "a repeated column": (
        "fit repeated.csv y~(1|gene)",
        "the data have several columns named 'y'.\nEach column that a formula uses must have a name of its own.\n"
        "Rename or drop one in the file.",
    ),
    "missing values": (
        "fit missing.csv y~(1|gene)",
        "1 of 4 rows have missing values, in 'y' (1).\nEvery column that the formula uses must be complete.\n"
        "Write --missing drop to leave these rows out, or fill the values in yourself before the fit.",
    ),
    "another column": (
        "fit screen.csv y~(1|gen)",
        "y~(1|gen)\n     ^\nno column 'gen' in the data.\nColumns: gene, drug, y.\nNearest: gene.",
    ),
    "an unknown family": (
        "explain y~x --family gausian",
        None,
    ),
    "an unknown prior": (
        "explain screen.csv y~(1|gene) --priors week",
        None,
    ),
    "levels without a column": (
        "fit screen.csv y~drug --levels yes,no",
        "--levels 'yes,no' is not an order of levels.\nIt is a column, an equals sign and its levels with commas "
        "between, the reference first.\nFor example --levels control=nonessential,other,essential.",
    ),
    "levels of another column": (
        "fit screen.csv y~drug --levels drugs=yes,no",
        "--levels names the column 'drugs', which the data do not have.\nColumns: gene, drug, y.\nNearest: 'drug'.",
    ),
    "an unknown level": (
        "fit screen.csv y~drug --levels drug=yes,nope",
        "--levels drug= has the level 'nope', which the column 'drug' does not have.\n"
        "The order of 'drug' has each of its 2 levels once: no, yes.\nWrite --levels drug=yes,no.",
    ),
    "a level left out": (
        "fit screen.csv y~gene --levels gene=B",
        "--levels gene= leaves out the level 'A' and 1 more.\n"
        "The order of 'gene' has each of its 3 levels once: A, B, [bold].\nWrite --levels gene=B,A,[bold].",
    ),
    "a level twice": (
        "fit screen.csv y~drug --levels drug=yes,no,yes",
        "--levels drug= has the level 'yes' twice.\nThe order of 'drug' has each of its 2 levels once: no, yes.\n"
        "Write --levels drug=yes,no.",
    ),
    "a folder to save in that does not exist": (
        "fit screen.csv y~(1|gene) --output nowhere/a.fit",
        "--output 'nowhere/a.fit' lies in a folder that does not exist.\n"
        "It needs the name of a file in a folder that exists.\nMake the folder first, or choose another name.",
    ),
    "a folder to save as": (
        "fit screen.csv y~(1|gene) --output .",
        "--output '.' is a folder.\nIt needs the name of a file in a folder that exists.\n"
        "Make the folder first, or choose another name.",
    ),
    "too few draws": (
        "fit screen.csv y~drug --draws 0",
        "--draws 0 is out of range.\n--draws is a whole number of at least 4.\nLeave --draws out for its default.",
    ),
    "one model to compare": (
        "compare screen.csv y~(1|gene)",
        "there is one model to compare.\nA comparison takes two models or more.\n"
        "For example compare data.csv 'y ~ x + (1 | g)' 'y ~ (1 | g)'.",
    ),
    "truth that is not JSON": (
        "recover screen.csv y~(1|gene) --truth broken.json",
        "'broken.json' is not JSON: Expecting ',' delimiter: line 1 column 12 (char 11).\n"
        f"True values come as one JSON object.\n{FORMS}",
    ),
    "truth that is no object": (
        "recover screen.csv y~(1|gene) --truth list.json",
        f"'list.json' holds a list.\nTrue values are numbers, or objects from level to number.\n{FORMS}",
    ),
    "a text as a true value": (
        "recover screen.csv y~(1|gene) --truth text.json",
        "the true value of 'sigma' is the text 'large'.\nTrue values are numbers, or objects from level to number.\n"
        + FORMS,
    ),
    "null as a true effect": (
        "recover screen.csv y~(1|gene) --truth level.json",
        "the true effect of '1|gene' at the level 'A' is null.\nTrue values are numbers, or objects from level to "
        f"number.\n{FORMS}",
    ),
    **{
        name: (
            f"recover screen.csv y~(1|gene) --truth {file}",
            f"'{file}' is not JSON: it nests too deeply, or a number is too long.\n"
            f"True values come as one JSON object.\n{FORMS}",
        )
        for name, file in {"truth without an end": "deep.json", "thousands of digits": "long.json"}.items()
    },
    "hundreds of digits": (
        "recover screen.csv y~(1|gene) --truth huge.json",
        f"the true value of 'sigma' is 1{'0' * 39}....\n"
        f"True values are numbers, or objects from level to number.\n{FORMS}",
    ),
    "no number": (
        "recover screen.csv y~(1|gene) --truth nan.json",
        f"the true value of 'sigma' is NaN.\nTrue values are numbers, or objects from level to number.\n{FORMS}",
    ),
    "a demo without a folder": (
        "demo --output screen.csv",
        "the folder 'screen.csv' cannot be made: File exists.\nThe pictures need a folder that can be written to.\n"
        "Choose another one.",
    ),
}


@pytest.mark.parametrize(("command", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_ends_with_its_message(folder, command, message):
    result = run(*command.split())
    assert result.exit_code == MISTAKE
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    if message is not None:
        assert result.stderr == message + "\n"


TWICE = "screen.csv y~drug+(1|gene)"
SHORT = (  # a command that ends before anything is fitted, and how its message begins
    (f"fit {TWICE} --seed -1", "--seed -1 is out of range."),
    (f"fit {TWICE} --seed {10**30}", f"--seed {10**30} is out of range."),
    (f"fit {TWICE} --method reml --seed -1", "--seed -1 is out of range."),
    (f"fit {TWICE} --chains 1000000", "--draws 1,000, --chains 1,000,000 are 1,000,000,000 draws."),
    (f"fit {TWICE} --draws 100000000000", "--draws 100,000,000,000, --chains 4 are 400,000,000,000 draws."),
    (f"fit {TWICE} --chains 0", "--chains 0 is out of range."),
    (f"fit {TWICE} --draws -5", "--draws -5 is out of range."),
    (f"fit {TWICE} --cores -1", "--cores -1 is out of range."),
    (f"fit {TWICE} --method nuts --tune -1", "--tune -1 is out of range."),
    (f"fit {TWICE} --method nuts --target-accept nan", "--target-accept nan is out of range."),
    (f"fit {TWICE} --method nuts --target-accept inf", "--target-accept inf is out of range."),
    (f"fit {TWICE} --method reml --draws 100", "--method reml has no use for --draws 100."),
    (f"fit {TWICE} --method remll", "there is no method 'remll'."),
    (f"fit {TWICE} --sampler foo", "there is no sampler 'foo'."),
    (f"fit {TWICE} --contrasts sum", "--contrasts 'sum' is no coding of a factor."),
    (f"fit {TWICE} --contrasts drug=foo", "--contrasts of 'drug' is 'foo', which is no coding."),
    (f"fit {TWICE} --weights nope", "no column 'nope' in the data."),
    (f"fit {TWICE} --missing foo", "--missing foo is not a way to treat missing values."),
    (f"fit {TWICE} --priors nowhere.toml", "the priors' file 'nowhere.toml' cannot be read"),
    (f"fit {TWICE} --family poisson", "'y' has 3 values that a poisson response cannot take"),
    ("fit screen.csv y~len(drug)", "y~len(drug)"),
    ("fit screen.csv y~drug[1]", "y~drug[1]"),
    ("fit screen.csv gene~drug --family cumulative", None),
    (f"recover {TWICE} --truth truth.json --method reml", "recover has no use for --method reml."),
    (f"recover {TWICE} --truth nan.json", "the true value of 'sigma' is NaN."),
    (f"recover {TWICE} --truth large.json", "the true value of 'sigma' is Infinity."),
    (f"compare {TWICE} y~drug --method laplace", "compare has no use for --method laplace."),
    (f"compare {TWICE} y~drug+(1|gene)", "two models have the name 'y~drug+(1|gene)'."),
    (f"simulate {TWICE} --truth truth.json --output new.csv --seed -1", None),
    (f"study {TWICE} --truth truth.json --method ml", "study has no use for --method ml."),
    (f"study {TWICE} --truth truth.json --chains 1000000", "--draws 1,000, --chains 1,000,000 are"),
    (f"study {TWICE} --truth truth.json --nsim 0", None),
    (f"fit {TWICE} --levels drug=yes,no --levels drug=no,yes", "--levels names the column 'drug' twice."),
    (f"fit {TWICE} --output new.csv", "--output 'new.csv' promises another kind of file by its ending."),
    (f"fit {TWICE} --output new.html", "--output 'new.html' promises another kind of file by its ending."),
    (f"recover {TWICE} --truth truth.json --output new.txt", "--output 'new.txt' promises another kind of file"),
    (
        f"simulate {TWICE} --truth truth.json --output new.csv --output-truth new.tsv",
        "--output-truth 'new.tsv' promises another",
    ),
    (f"recover {TWICE} --truth foreign.json", "the truth has 'foo', and nothing of that is in the model."),
    (f"recover {TWICE} --truth negative.json", "truth['sigma'] is -1."),
    ("explain y~x --levels x=a,b", "--levels is of no use without a table."),
    ("explain y~x --priors weak", "--priors would change nothing without data."),
    ("explain y~x --missing drop", "--missing would change nothing without data."),
    ("fit y~(1|g) screen.csv", "there is no file 'y~(1|g)'."),
    ("report screen.csv", "'screen.csv' is not a saved fit."),
    ("demo --seed -1", None),
    ("demo --chains 100000000", "--draws 1,000, --chains 100,000,000 are"),
    ("screen c.csv --samples s.csv --direction down", "--direction 'down' is no direction."),
    ("screen c.csv --samples s.csv --top 0", "--top 0 is out of range."),
    ("screen c.csv --samples s.csv --method laplace", "a screen's log fold changes are not fitted by"),
    ("screen c.csv --samples s.csv --method ml --output-guides g.csv", "--output-guides has no use for a fit by ml."),
    ("screen c.csv --samples s.csv --pseudo-count nan", "--pseudo-count nan is out of range."),
    ("screen c.csv --samples s.csv --normalise foo", "there is no --normalise foo."),
    ("screen c.csv --samples s.csv --drop foo", "--drop foo names no finding that can be left out."),
    ("screen c.csv --samples s.csv --formula log_fc~1", "'log_fc ~ 1' has no effects of genes to rank."),
    (
        "screen c.csv --samples s.csv --formula log_fc~(1|gene) --output-guides g.csv",
        "'log_fc ~ 1 + (1 | gene)' has no effects of guides for --output-guides.",
    ),
)
PYTHON = re.compile(
    r"\b(sf\.|pandas|numpy\b|np\.|functions=|data\[|data\.\w)|(?<!-)\b(draws|chains|method|random_seed|priors)="
)


@pytest.mark.parametrize(("command", "start"), SHORT)
def test_a_mistake_ends_before_anything_is_fitted_and_speaks_to_the_shell(folder, command, start, monkeypatch):
    def fitted(*_, **__):
        pytest.fail("it was fitted")

    saved = point_fit()
    for name in ("exact.fit.sample_exact", "nuts.sample_nuts", "reml.fit.fit_point"):
        monkeypatch.setattr(f"speclet_formula.inference.{name}", fitted)
    (folder / "nan.json").write_text('{"sigma": NaN}')
    (folder / "foreign.json").write_text('{"foo": 1}')
    (folder / "negative.json").write_text('{"sigma": -1}')
    (folder / "large.json").write_text('{"sigma": 1e999}')
    if "point.fit" in command:
        shutil.copy(saved, folder / "point.fit")
    if command.startswith("screen"):
        drawn = simulate_screen(genes=30, guides_per_gene=3, random_seed=1)
        drawn.counts.to_csv("c.csv", index=False)
        drawn.samples.to_csv("s.csv", index=False)
    result = run(*command.split())
    assert result.exit_code == MISTAKE
    message = "\n".join(line for line in result.stderr.splitlines() if not line.startswith("Note:"))
    assert start is None or message.startswith(start)
    assert "Traceback" not in message
    assert not PYTHON.search(message), message


@functools.cache
def point_fit():
    """A saved fit by REML."""
    table = pd.DataFrame({"y": [1.0, 2, 4, 3, 5, 7], "g": list("aabbcc")})
    return save(lmer("y ~ (1 | g)", table, method="reml"), Path(tempfile.mkdtemp()) / "point.fit")


def test_fits_without_draws_are_reported_too(folder):
    for name in ("one.fit", "two.fit"):
        shutil.copy(point_fit(), folder / name)
    result = run("report", "one.fit", "--output", "one.html")
    assert (result.exit_code, result.stdout) == (0, "Report: one.html\n")
    assert "Linear mixed model fit by REML" in (folder / "one.html").read_text()
    both = run("report", "one.fit", "two.fit", "--output", "two.html")
    assert both.exit_code == 0
    assert "Note: the fits are not compared: " in both.stderr
    assert (folder / "two.html").read_text().count("Linear mixed model fit by REML") >= 2


def test_draws_and_tune_are_told_apart(monkeypatch):
    monkeypatch.setenv("TERMINAL_WIDTH", "400")
    monkeypatch.setenv("COLUMNS", "400")
    for command in ("fit", "compare", "recover", "study", "demo"):
        text = " ".join(run(command, "--help").stdout.split())
        draws, tune = (re.search(rf"--{name} \S+ (.*?)(?= --)", text)[1] for name in ("draws", "tune"))
        assert draws.startswith("Draws to keep, in each chain"), command
        assert tune.startswith("For nuts: draws to adapt with, in each chain, before those that are kept"), command


def test_a_file_that_will_be_replaced_is_named(folder):
    command = ("fit", "screen.csv", "y~1", "--method", "reml", "--output", "a.fit")
    assert run(*command).stderr == ""
    assert run(*command).stderr == "Note: --output 'a.fit' is there already; it is replaced at the end.\n"


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_genes_are_ranked_without_draws_too(folder, method):
    drawn = simulate_screen(genes=30, guides_per_gene=3, random_seed=1)
    drawn.counts.to_csv("c.csv", index=False)
    drawn.samples.to_csv("s.csv", index=False)
    result = run("screen", "c.csv", "--samples", "s.csv", "--method", method, "--output", "genes.csv", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert "log_fc ~ 1 + (1 | gene) + (1 | gene:sgRNA) + (1 | sample): 0 seconds." in result.stdout
    genes = pd.read_csv("genes.csv")
    assert genes["rank"].to_list() == list(range(1, 31))
    assert genes["estimate"].is_monotonic_increasing or genes["lfsr"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("fit", "Missing argument"),
        ("fit screen.csv", "Missing argument"),
        ("recover screen.csv y~(1|gene)", "Missing option '--truth'"),
        ("fit screen.csv y~(1|gene) --draws many", "Invalid value for '--draws'"),
        ("fit screen.csv y~(1|gene) --colour red", "No such option"),
        ("fiit screen.csv", "No such command 'fiit'"),
    ],
)
def test_a_wrong_option_is_named(folder, command, message):
    result = run(*command.split())
    assert result.exit_code == MISTAKE
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_full_disk_is_told_in_words_and_costs_no_saved_fit(folder, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("speclet_formula.cli.commands.tell", full)
    result = run("fit", "screen.csv", "y ~ drug", "--method", "ml", "--contrasts", "drug=sum", "--output", "a.fit")
    assert result.exit_code == MISTAKE
    assert result.stderr.startswith("what was found cannot be written: No space left on device.\nA result goes to ")
    assert "C(drug, sum)[no]" in sf.fixef(sf.load("a.fit"))["term"].to_list()


def test_an_interruption_takes_one_line(folder, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("speclet_formula.cli.inputs.read_table", interrupted)
    result = run("explain", "screen.csv", "y ~ (1 | gene)")
    assert result.exit_code == INTERRUPTED
    assert (result.stdout, result.stderr) == ("", "Interrupted.\n")


def test_version():
    assert run("--version").stdout == f"speclet-formula {__version__}\n"


def test_help_names_the_commands_and_loads_nothing_slow(tmp_path):
    code = (
        "import sys; from speclet_formula.cli import app; app(['--help'], standalone_mode=False); "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    *text, loaded = shown.stdout.splitlines()
    for command in ("demo", "explain", "fit", "compare", "recover", "simulate", "study", "screen", "plan"):
        assert any(line.startswith(f"  {command} ") for line in text)
    assert set(loaded.split()).isdisjoint({"arviz", "bambi", "matplotlib", "pandas", "pymc", "pytensor", "scipy"})


def test_the_package_runs_as_a_module(tmp_path):
    shown = subprocess.run(
        [sys.executable, "-m", "speclet_formula", "explain", "y ~ x |"], cwd=tmp_path, capture_output=True, text=True
    )
    assert shown.returncode == MISTAKE
    assert shown.stderr.startswith("y ~ x |\n")
    assert "Traceback" not in shown.stderr


def test_explain_without_data():
    result = run("explain", "log_fc ~ (1 | gene)")
    assert result.exit_code == 0
    assert result.stdout == EXPLAINED


def test_explain_uses_the_family():
    assert "Poisson" in run("explain", "n ~ (1 | gene)", "--family", "poisson").stdout


def test_explain_with_data_shows_the_model(folder):
    result = run("explain", "screen.csv", "y ~ drug + (1 | gene)", "--levels", "drug=yes,no")
    assert result.exit_code == 0
    assert "Formula: y ~ 1 + drug + (1 | gene)" in result.stdout
    assert "Group: gene   Levels: 3   Effects: 1" in result.stdout
    assert re.search(r"1\|gene +group +gene +Normal\(mu=0, sigma=Half", result.stdout)


def test_a_wide_table_is_not_wrapped(folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    wide = run("explain", "screen.csv", "y ~ drug + (1 | gene)").stdout
    monkeypatch.setenv("COLUMNS", "300")
    assert run("explain", "screen.csv", "y ~ drug + (1 | gene)").stdout == wide
    assert max(map(len, wide.splitlines())) > 60


def test_markup_in_the_data_is_text(folder):
    result = run("fit", "screen.csv", "y ~ gene", "--levels", "gene=B,[bold]")
    assert "Write --levels gene=B,[bold],A." in result.stderr


# --- files ------------------------------------------------------------------------------------------------------------

OVER = (
    "{option} '{out}' is the same file as '{other}', which this command reads or writes as well.\n"
    "What is written takes the place of what was there.\nChoose another name.\n"
)
OVERWRITING = {
    "fit": ("fit screen.csv y~(1|gene) --method reml --output {out}", "--output", "screen.csv"),
    "recover": ("recover screen.csv y~(1|gene) --truth truth.json --output {out}", "--output", "screen.csv"),
    "recover's truth": ("recover screen.csv y~(1|gene) --truth truth.json --output {out}", "--output", "truth.json"),
    "report": ("report a.fit b.fit --output {out}", "--output", "b.fit"),
    "simulate": ("simulate screen.csv y~drug --truth truth.json --output {out}", "--output", "screen.csv"),
    "simulate's truth": (
        "simulate screen.csv y~drug --truth truth.json -o drawn.csv --output-truth {out}",
        "--output-truth",
        "truth.json",
    ),
    "simulate's table": (
        "simulate screen.csv y~drug --truth truth.json -o drawn.csv --output-truth {out}",
        "--output-truth",
        "drawn.csv",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("call", "option", "other"), OVERWRITING.values(), ids=OVERWRITING)
@pytest.mark.parametrize("way", ["name", "path", "link", "second name", "linked folder"])
def test_no_command_writes_over_what_it_reads(folder, call, option, other, way):
    for name in ("a.fit", "b.fit", "drawn.csv", "truth.json"):
        (folder / name).write_text("here before")
    (folder / "sub").mkdir()
    out = {
        "name": other, "path": f"sub/../{other}", "link": f"link-{other}", "second name": f"hard-{other}",
        "linked folder": f"folder/{other}",
    }[way]  # fmt: skip
    (folder / f"link-{other}").symlink_to(other)
    (folder / f"hard-{other}").hardlink_to(folder / other)
    (folder / "folder").symlink_to(".")
    before = (folder / other).read_bytes()
    result = run(*call.format(out=out).split())
    assert result.exit_code == MISTAKE
    # In a path the first step is taken as it stands: "sub/../screen.csv".
    assert result.stderr == OVER.format(option=option, out=out, other=other)
    assert (folder / other).read_bytes() == before


def test_two_new_files_of_one_name_are_refused(folder):
    (folder / "truth.json").write_text('{"Intercept": 1, "sigma": 1}')
    (folder / "loop").symlink_to(".")
    result = run(
        *[
            "simulate",
            "screen.csv",
            "y~1",
            "--truth",
            "truth.json",
            "--output",
            "new.csv",
            "--output-truth",
            "loop/new.csv",
        ]
    )
    assert result.stderr == OVER.format(option="--output-truth", out="loop/new.csv", other="new.csv")
    assert not (folder / "new.csv").exists()


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.parquet"])
def test_a_simulated_table_is_of_the_kind_that_its_name_says(folder, name):
    (folder / "truth.json").write_text('{"Intercept": 1, "sigma": 1}')
    assert run("simulate", "screen.csv", "y~1", "--truth", "truth.json", "--output", name, "--seed", 1).exit_code == 0
    assert len(read_table(folder / name)) == len(read_table(folder / "screen.csv"))


def test_a_fit_can_be_saved_into_nothing(folder):
    result = run("fit", "screen.csv", "y~1", "--method", "reml", "--output", "/dev/null")
    assert result.exit_code == 0, result.stderr
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("name", ["t.csv", "T.CSV", "t.csv.gz", "t.tsv", "t.tsv.gz", "t.parquet", "t.pq"])
def test_every_kind_of_file_gives_the_same_table(tmp_path, name):
    path, frame = tmp_path / name, pd.DataFrame({"g": ["a", "b"], "n": [1, 2], "y": [0.5, -1.25]})
    if "p" in name.partition(".")[2]:
        frame.to_parquet(path)
    else:
        text = frame.to_csv(index=False, sep="\t" if "tsv" in name else ",").encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    pd.testing.assert_frame_equal(read_table(path), frame)


def test_a_broken_parquet_file_is_named(folder):
    with pytest.raises(DataError, match=r"^'.*broken\.parquet' cannot be read: "):
        read_table(folder / "broken.parquet")


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfgene,y\nA,1\n")
    assert read_table(tmp_path / "t.csv").columns.tolist() == ["gene", "y"]


def test_row_names_without_a_header_do_not_shift_the_columns(tmp_path):
    (tmp_path / "t.csv").write_text("gene,y\n1,A,2\n2,B,3\n")
    with pytest.raises(DataError, match=r"2 lines do not have 2 cells: line 2 \(3\), line 3 \(3\)"):
        read_table(tmp_path / "t.csv")


def test_an_unnamed_column_is_kept(tmp_path):
    (tmp_path / "t.csv").write_text(",gene,y\n1,A,2\n")
    assert read_table(tmp_path / "t.csv").columns.tolist() == ["Unnamed: 0", "gene", "y"]


@pytest.mark.parametrize(
    ("text", "order"),
    [("drug=yes,no", ["yes", "no"]), (" drug = no , yes", ["no", "yes"]), ('drug="yes",no', ["yes", "no"])],
)
def test_levels_come_in_the_order_given(folder, text, order):
    drug = read_table(folder / "screen.csv", [text])["drug"]
    assert drug.cat.categories.tolist() == order
    assert drug.tolist() == ["yes", "no"] * 3


def test_levels_of_numbers_and_with_commas(tmp_path):
    (tmp_path / "t.csv").write_text('day,site\n1,"a, b"\n2,c\n,c\n')
    table = read_table(tmp_path / "t.csv", ["day=2,1", 'site=c,"a, b"'])
    assert table["day"].cat.categories.tolist() == ["2", "1"]
    assert table["day"].isna().tolist() == [False, False, True]
    assert table["site"].cat.categories.tolist() == ["c", "a, b"]


def test_truth_is_read_as_it_is(tmp_path):
    truth = {"Intercept": 1, "1|g": {"a": 0.5}, "cor|g": [0.1, 0.2, 0.3], "cor|h": [[1, 0.5], [0.5, 1]]}
    (tmp_path / "t.json").write_text(json.dumps(truth))
    assert read_truth(tmp_path / "t.json") == truth


# --- sampling ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A simulated CSV file, the truth as JSON, and options that keep a fit short."""
    folder = tmp_path_factory.mktemp("simulated")
    rng = np.random.default_rng(5)
    layout = pd.DataFrame({"g": np.repeat([f"g{number}" for number in range(12)], 15), "x": rng.normal(size=180)})
    stated = {"Intercept": 1.0, "x": -0.5, "1|g_sigma": 0.8, "sigma": 0.4}
    data, truth = simulate("y ~ x + (1 | g)", layout, stated, random_seed=6)
    data.loc[0, "x"] = np.nan
    data.to_csv(folder / "data.csv", index=False)
    plain = {name: dict(value) if isinstance(value, pd.Series) else value for name, value in truth.items()}
    (folder / "truth.json").write_text(json.dumps(plain))
    short = ["--draws", 200, "--tune", 200, "--chains", 2, "--seed", 1, "--missing", "drop", "--quiet"]
    return folder, short


@pytest.mark.slow
def test_fit_prints_and_saves(simulated):
    from speclet_formula.posterior.save import load

    folder, short = simulated
    result = run("fit", folder / "data.csv", "y ~ x + (1 | g)", *short, "--output", folder / "a.fit")
    assert result.exit_code == 0, result.output
    assert "Note: 1 of 180 rows dropped: missing values." in result.stderr
    assert f"Saved as {folder / 'a.fit'}" in result.stdout
    fitted = load(folder / "a.fit")
    assert as_options(repr(fitted)) in result.stdout
    # The truth lies within five posterior SDs of the mean: false alarms in fewer than one run of a million.
    slope = fitted.idata["posterior"]["x"]
    assert abs(float(slope.mean()) + 0.5) < 5 * float(slope.std())


@pytest.mark.slow
def test_compare_ranks(simulated):
    folder, short = simulated
    result = run("compare", folder / "data.csv", "y ~ x + (1 | g)", "y ~ x", *short)
    assert result.exit_code == 0, result.output
    first, second = (line for line in result.stdout.splitlines() if line.startswith("y ~ "))
    assert first.startswith("y ~ x + (1 | g)")
    assert second.startswith("y ~ x ")


@pytest.mark.slow
def test_recover_sets_the_truth_beside_the_fit(simulated):
    folder, short = simulated
    result = run("recover", folder / "data.csv", "y ~ x + (1 | g)", "--truth", folder / "truth.json", *short)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Recovery of y ~ 1 + x + (1 | g)\n")
    assert "Group effects (centred):" in result.stdout


def test_explain_takes_the_table_before_the_formula(folder):
    assert "What a fit costs" in run("explain", "screen.csv", "y ~ (1 | gene)").stdout
    turned = run("explain", "y ~ (1 | gene)", "screen.csv")
    assert turned.exit_code == MISTAKE
    assert turned.stderr == (
        "'y ~ (1 | gene)' is not followed by a formula alone.\n"
        "explain takes a formula, or a table and a formula; the table comes first, as in every command.\n"
        "Write explain screen.csv 'y ~ (1 | gene)'.\n"
    )


@pytest.mark.parametrize(
    "command",
    [
        "fit {f} {d}",
        "compare {f} {d}",
        "simulate {f} {d} --truth truth.json -o new.csv",
        "recover {f} {d} --truth truth.json",
    ],
)
def test_a_formula_before_the_table_is_told(folder, command):
    given = [part.format(f="y ~ x + (1 | g)", d="screen.csv") for part in command.split()]
    turned = run(*given)
    assert turned.exit_code == MISTAKE
    assert turned.stderr == (
        "there is no file 'y ~ x + (1 | g)'.\n"
        "The path of a file is expected, from the folder where the command runs.\n"
        "That is a formula: the table comes first, the formula after it.\n"
    )


def test_a_fit_without_draws_is_reported(folder):
    shutil.copy(point_fit(), folder / "point.fit")
    done = run("report", "point.fit", "--output", "point.html")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "y ~ 1 + (1 | g)" in (folder / "point.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("command", "verbs"),
    [
        ("fit", ("model/model.py:Model", "inference/fit.py:fit")),
        ("compare", ("comparison/compare.py:compare", "inference/fit.py:fit")),
        ("recover", ("recovery/recover.py:recover", "model/model.py:Model", "inference/fit.py:fit")),
        ("study", ("studies/study.py:study",)),
        ("screen", ("screens/read.py:read_screen", "inference/fit.py:fit")),
        ("plan", ()),
    ],
)
def test_each_argument_of_a_verb_is_an_option(command, verbs):
    """What a terminal can give: `link` is left out of compare, functions and fits are no text."""
    shown = run(command, "--help").stdout
    for verb in verbs:
        for option in options_of(Verb(verb)).values():
            for flag in option.annotation.__metadata__[0].param_decls:
                assert flag.partition("/")[0] in shown


def test_options_are_those_of_the_signatures():
    """Read from the source they are what inspect finds, but for what is no text, number or switch."""
    for place, verb in {
        "model/model.py:Model": sf.Model, "inference/fit.py:fit": sf.fit, "studies/study.py:study": sf.study,
        "comparison/compare.py:compare": sf.compare, "screens/read.py:read_screen": sf.read_screen,
    }.items():  # fmt: skip
        named = [p for p in inspect.signature(verb).parameters.values() if p.kind is p.KEYWORD_ONLY]
        options = options_of(Verb(place))
        assert {p.name for p in named} - set(options) <= {"functions", "matrices", "controls"}
        for p in named:
            if p.name in options:
                assert options[p.name].default == (None if p.default == () else p.default)
                assert options[p.name].annotation.__metadata__[0].help.endswith(".")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write missing='drop' to leave these rows out.", "Write --missing drop to leave these rows out."),
        ("Leave random_seed= out.", "Leave --seed out."),
        ("draws=3 is out of range.", "--draws 3 is out of range."),
        ("draws=-3, chains=1,000 are out of range.", "--draws -3, --chains 1,000 are out of range."),
        ("random_seed is a whole number.", "--seed is a whole number."),
        ("drop=('foo',) names no finding.", "--drop foo names no finding."),
        ("It has draws by method='exact' or 'hmc'.", "It has draws by --method exact or hmc."),
        ("Write 'log', or pass your own function in functions=.", "Write 'log', or make the column in the file."),
        (
            "Make the column before fitting, or pass a function that does it in functions=.",
            "Make the column in the file.",
        ),
        (
            "Write data['k'] = pandas.Categorical(data['k'], categories=[...], ordered=True).",
            "Write --levels k=..., the lowest level first.",
        ),
        ("Make the column before the fit: data['new'] = data['x'].shift().", "Make the column in the file."),
        ("Make the column before the fit: data['new'] = pandas.cut(data['x'], 3).", "Make the column in the file."),
        (
            "Order the categories: pandas.Categorical(column, categories=['control', ...]), or write relevel(f, 'a').",
            "Order the categories: --levels COLUMN=control,..., or write relevel(f, 'a').",
        ),
        (
            'Mend them where they were written, or write data["y"] = pandas.to_numeric(data["y"], errors="coerce"), '
            "which makes the others missing.",
            "Mend them in the file.",
        ),
        ("Convert it: data['k'] = pandas.to_numeric(data['k']).", "Write numbers into the column 'k'."),
        (
            "Names of levels are text: data['k'] = data['k'].astype(str); measurements are .astype(float).",
            "Make all of the column 'k' in the file text, or all of it numbers.",
        ),
        (
            'Mend them where they were written, or write data["x"] = pandas.to_numeric(data["x"], errors="coerce"), '
            "which makes the others missing. If they are labels, leave it.",
            "Mend them in the file. If they are labels, leave it.",
        ),
        (
            "For another order cast it to polars.Enum([\"reference\", ...]), the reference first: 'a', 'b'.",
            "For another order write --levels: 'a', 'b'.",
        ),
        (
            "Convert dates to a number; or, where each is a level, write data['x'] = data['x'].astype(str).",
            "Convert dates to a number; or, where each is a level, to text.",
        ),
        ("relative to the folder where Python runs.", "relative to the folder where the command runs."),
        ("A saved fit is a file that sf.save(fit, path) wrote.", "A saved fit is a file that `fit --output` wrote."),
        ("tune=2000 and target_accept=0.95.", "--tune 2000 and --target-accept 0.95."),
        (
            "Choose that prior with care, priors={'1|g_sigma': ...}; x == 1 stays.",
            'Choose that prior with care, --priors with a TOML file that has a table ["1|g_sigma"]; x == 1 stays.',
        ),
    ],
)
def test_arguments_become_options(text, expected):
    assert as_options(text) == expected


def test_simulate_writes_what_recover_and_simulate_read(tmp_path):
    layout = pd.DataFrame({"g": list("aabbcc"), "x": np.arange(6.0)})
    layout.to_csv(tmp_path / "layout.csv", index=False)
    params = {"Intercept": 1.0, "x": 2.0, "1|g_sigma": 0.5, "sigma": 0.1}
    (tmp_path / "truth.json").write_text(json.dumps(params))
    out, truth = tmp_path / "data.csv", tmp_path / "drawn.json"
    result = run(
        "simulate", tmp_path / "layout.csv", "y ~ x + (1 | g)", "--truth", tmp_path / "truth.json",
        "--output", out, "--output-truth", truth, "--seed", 3,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout == f"Wrote 6 rows to {out}\nWrote the truth to {truth}\n"
    data, effects = simulate("y ~ x + (1 | g)", layout, params, random_seed=3)
    pd.testing.assert_frame_equal(pd.read_csv(out), data, check_dtype=False, check_exact=False)
    found = read_truth(truth)
    assert found["1|g"] == effects["1|g"].to_dict()
    assert {name: found[name] for name in params} == params


def test_study_prints_how_often_the_truth_is_covered(tmp_path):
    layout = pd.DataFrame({"g": np.repeat(list("abcdef"), 4)})
    layout.to_csv(tmp_path / "layout.csv", index=False)
    (tmp_path / "truth.json").write_text('{"Intercept": 1.0, "1|g_sigma": 0.5, "sigma": 1.0}')
    arguments = (
        "study", tmp_path / "layout.csv", "y ~ (1 | g)", "--truth", tmp_path / "truth.json", "--nsim", 3, "--cores", 1,
        "--seed", 1, "--draws", 50, "--folder", tmp_path / "kept",
    )  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Study of y ~ 1 + (1 | g): 3 data sets, seed 1\n\nBy class")
    assert len(list((tmp_path / "kept").glob("000-*.json"))) == 3
    assert run(*arguments).stdout == result.stdout, "read from the folder"
    assert run(*arguments, "--method", "reml").exit_code == MISTAKE


def test_a_first_look_without_draws(folder):
    rows = [
        f"{gene},{count}" for gene, counts in zip("ABCD", ("013", "297", "864", "253"), strict=True) for count in counts
    ]
    (folder / "counts.csv").write_text("gene,n\n" + "\n".join(rows) + "\n")
    found = run(
        "fit", "counts.csv", "n ~ (1 | gene)", "--family", "poisson", "--method", "laplace", "--output", "a.fit"
    )
    assert found.exit_code == 0
    assert "Generalized linear mixed model fit by maximum likelihood (Laplace Approximation)" in found.stdout
    assert found.stdout.endswith("Saved as a.fit\n")
    refused = run("fit", "screen.csv", "y ~ (1 | gene)", "--method", "laplace")
    assert refused.exit_code == MISTAKE
    assert "--method ml has its exact likelihood" in refused.stderr


@pytest.mark.slow
def test_saved_fits_become_a_report(folder):
    for name, fit in {"one": crossed_fit(draws=50), "two": crossed_fit(seed=2, draws=50)}.items():
        save(fit, folder / f"{name}.fit")
    (folder / "truth.json").write_text('{"Intercept": -1.0, "sigma": 0.5}')
    shown = run("report", "one.fit", "two.fit", "--output", "both.html", "--truth", "truth.json", "--title", "A < B")
    assert shown.exit_code == 0, shown.output
    assert shown.output == "Report: both.html\n"
    told = (folder / "both.html").read_text(encoding="utf-8")
    for piece in ("<h1>A &lt; B</h1>", "Comparison by leave-one-out", "Parameters beside the truth", ">two</h2>"):
        assert piece in told


@pytest.mark.slow
def test_fits_of_different_rows_are_reported_without_a_comparison(folder):
    save(crossed_fit(draws=50), folder / "one.fit")
    save(correlated_fit(draws=50), folder / "two.fit")
    shown = run("report", "one.fit", "two.fit")
    assert shown.exit_code == 0, shown.output
    assert "Note: the fits are not compared: 'one' has the response 'log_fc', 'two' has 'Reaction'." in shown.stderr
    assert "Comparison by" not in (folder / "report.html").read_text(encoding="utf-8")


def test_two_files_of_one_name_are_refused(folder):
    (folder / "a").mkdir()
    for path in ("one.fit", "a/one.fit"):
        save(crossed_fit(draws=50), folder / path)
    shown = run("report", "one.fit", "a/one.fit")
    assert shown.exit_code == MISTAKE
    assert shown.stderr == (
        "two files are called 'one'.\nEach fit of a report is named by its file, and each name stands once.\n"
        "Rename one of the files.\n"
    )


def test_recover_writes_a_report_too(folder):
    shown = run(
        "recover", "screen.csv", "y~drug", "--truth", "truth.json", "--output", "r.html", "--draws", "50", "--seed", "1"
    )
    assert shown.exit_code == 0, shown.output
    assert shown.output.endswith("\nReport: r.html\n")
    assert "Parameters beside the truth" in (folder / "r.html").read_text(encoding="utf-8")


# --- screens ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def counts_folder(tmp_path, monkeypatch):
    """Counts of a simulated screen, with its maps."""
    from speclet_formula.screens.simulate import simulate_screen

    made = simulate_screen(genes=12, guides_per_gene=2, replicates=2, essential=0.4, nonessential=0.5, random_seed=1)
    made.counts.to_csv(tmp_path / "counts.txt", sep="\t", index=False)
    made.samples.to_csv(tmp_path / "samples.csv", index=False)
    made.guides.drop_duplicates("gene").to_csv(tmp_path / "controls.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_screen_goes_from_counts_to_ranked_genes(counts_folder):
    result = run("screen", "counts.txt", "--samples", "samples.csv", "--controls", "controls.csv", "--draws", 60,
                 "--chains", 2, "--cores", 1, "--seed", 1, "--top", 3, "--output", "genes.csv", "--output-guides",
                 "guides.parquet")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("Screen (MAGeCK): 24 guides of 12 genes (6 nonessential, 1 other, 5 essential)\n")
    assert "log_fc ~ 1 + (1 | gene) + (1 | gene:sgRNA) + (1 | sample): " in result.stdout
    assert "5 essential against 6 nonessential controls: ROC AUC 1.000" in result.stdout
    genes = pd.read_csv("genes.csv")
    assert genes["rank"].tolist() == list(range(1, 13))
    assert set(genes["gene"][:5]) == {f"gene_{k}" for k in range(5)}
    assert result.stdout.count(f" {genes['gene'][0]} ") == 1
    assert (genes["lfsr"] > 0).all()
    assert probability(genes["lfsr"][0], 0) in next(
        line for line in result.stdout.splitlines() if line.startswith("1 ")
    )
    assert len(pd.read_parquet("guides.parquet")) == 24


@pytest.mark.slow
def test_a_screen_s_hits_are_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = sf.simulate_screen(genes=80, replicates=2, random_seed=1)
    for name in ("counts", "guides", "samples"):
        getattr(made, name).to_csv(f"{name}.csv", index=False)
    short = ["--draws", 60, "--chains", 1, "--cores", 1, "--seed", 1]
    result = run("screen", "counts.csv", "--samples", "samples.csv", "--guides", "guides.csv", "--output-calls",
                 "calls.csv", *short)  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert " of 80 genes called: effects below -0.5 (log2), at most 5 % of the calls false." in result.stdout
    assert "nonessential controls are called, where the model expects" in result.stdout
    table = pd.read_csv("calls.csv")
    assert set(table["gene"][:12]) == {f"gene_{k}" for k in range(12)}, "the essential ones"
    assert table["called"][:12].all()


def test_a_screen_takes_priors(counts_folder):
    result = run("screen", "counts.txt", "--samples", "samples.csv", "--method", "reml", "--priors", "brms")
    assert result.stderr.startswith("--method reml has no use for --priors.")
    result = run("screen", "counts.txt", "--samples", "samples.csv", "--priors", "brns")
    assert "there is no preset 'brns'." in result.stderr


@pytest.mark.slow
def test_a_treatment_s_hits_are_called_where_it_is_ranked(tmp_path, monkeypatch):
    """Not the essential genes of all samples, but those that the drug costs more."""
    monkeypatch.chdir(tmp_path)
    made = sf.simulate_screen(genes=80, replicates=4, random_seed=1)
    samples = made.samples.assign(arm=np.where(made.samples["replicate"].isin(["1", "2"]), "vehicle", "drug"))
    treated = samples["sample"][(samples["arm"] == "drug") & samples["cell_line"].ne("plasmid")].tolist()
    responds = made.counts["gene"].isin([f"gene_{k}" for k in range(50, 65)])
    made.counts.loc[responds, treated] //= 4
    made.counts.to_csv("counts.csv", index=False)
    samples.to_csv("samples.csv", index=False)
    result = run("screen", "counts.csv", "--samples", "samples.csv", "--formula", "log_fc ~ arm + (1 + arm | gene)",
                 "--term", "arm[vehicle]", "--direction", "positive", "--method", "reml", "--output-calls",
                 "calls.csv")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "genes called: effects of arm[vehicle] above 0.5 (log2)" in result.stdout
    table = pd.read_csv("calls.csv")
    assert set(table["gene"][:15]) == {f"gene_{k}" for k in range(50, 65)}


@pytest.mark.slow
def test_a_screen_is_ranked_by_a_treatment(counts_folder):
    samples = pd.read_csv("samples.csv")
    samples["arm"] = ["vehicle" if name == "1" else "drug" for name in samples["replicate"].astype(str)]
    samples.to_csv("samples.csv", index=False)
    model = ["--formula", "log_fc ~ arm + (1 + arm || gene)", "--term", "arm"]
    short = ["--draws", 60, "--chains", 1, "--cores", 1, "--seed", 1]
    result = run("screen", "counts.txt", "--samples", "samples.csv", *model, *short, "--output", "genes.csv")
    assert result.exit_code == 0, result.stderr
    assert len(pd.read_csv("genes.csv")) == 12


def test_conditions_that_are_pooled_are_told(counts_folder):
    counts, samples = pd.read_csv("counts.txt", sep="\t"), pd.read_csv("samples.csv")
    last = samples.iloc[-1].to_dict()
    counts.assign(third=counts[last["sample"]] + 1).to_csv("counts.txt", sep="\t", index=False)
    samples.loc[len(samples)] = last | {"sample": "third", "replicate": 3}
    samples["my arm"] = ["vehicle" if name == "1" else "drug" for name in samples["replicate"].astype(str)]
    samples.to_csv("samples.csv", index=False)
    result = run("screen", "counts.txt", "--samples", "samples.csv", "--method", "reml")
    assert result.exit_code == 0, result.stderr
    assert (
        "Note: samples of all levels of 'my arm' (drug, vehicle) are pooled. For what it does to each gene write "
        "--formula 'log_fc ~ `my arm` + (1 + `my arm` | gene) + (1 | gene:sgRNA)' --term 'my arm[vehicle]'.\n"
    ) in result.stderr
    model = ["--formula", "log_fc ~ `my arm` + (1 + `my arm` | gene) + (1 | gene:sgRNA)", "--term", "my arm[vehicle]"]
    asked = run("screen", "counts.txt", "--samples", "samples.csv", "--method", "reml", *model)
    assert asked.exit_code == 0, asked.stderr
    assert "pooled" not in asked.stderr


def test_times_that_are_pooled_are_told():
    table = pd.DataFrame({"sample": list("aabb"), "log_fc": 0.0, "Day": [7, 7, 14, 14], "dose": [1, 1, 2, 2]})
    assert list(pooled_conditions(table)) == [
        "Note: samples of all times, 'Day' of 7, 14, are pooled. For each gene's slope write --formula 'log_fc ~ Day + "
        "(Day | gene) + (1 | gene:sgRNA)' --term 'Day'."
    ]
    assert not list(pooled_conditions(table.assign(Day=7)))


@pytest.mark.slow
def test_controls_come_as_lists_too(counts_folder):
    table = pd.read_csv("controls.csv")
    for kind in ("essential", "nonessential"):
        names = table.loc[table["control"] == kind, "gene"]
        (counts_folder / f"{kind}.txt").write_text("GENE\tHGNC_ID\n" + "".join(f"{name}\t1\n" for name in names))
    lists = ["--controls", "essential=essential.txt", "--controls", "nonessential=nonessential.txt"]
    short = ["--draws", 60, "--chains", 1, "--cores", 1, "--seed", 1]
    result = run("screen", "counts.txt", "--samples", "samples.csv", *lists, *short)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("Screen (MAGeCK): 24 guides of 12 genes (6 nonessential, 1 other, 5 essential)\n")


WRONG_CONTROLS = {
    "a list for a table": (
        "--controls list.txt",
        "'list.txt' has the columns 'GENE', 'HGNC_ID', and none of classes.\nA table of controls has 'gene' (or "
        "'sgRNA') and 'control', which is essential, nonessential or other.\n"
        "Of a list of one kind write --controls nonessential=list.txt.\n",
    ),
    "another class": (
        "--controls essentail=list.txt",
        "--controls 'essentail=list.txt' names no class of controls.\nClasses: nonessential, other, essential.\n"
        "Nearest: --controls essential=list.txt.\n",
    ),
    "no such list": (
        "--controls essential=lst.txt",
        "there is no file 'lst.txt'.\nThe path of a file is expected, from the folder where the command runs.\n"
        "Nearest: 'list.txt'.\n",
    ),
    "a class twice": (
        "--controls essential=list.txt --controls essential=list.txt",
        "--controls has the class 'essential' twice.\nA class has one list, and there is one table.\n"
        "Leave one of the two out.\n",
    ),
    "a table beside a list": (
        "--controls controls.csv --controls essential=list.txt",
        "--controls has the table 'controls.csv' beside lists.\nControls are a table of gene and control, or a list of "
        "each kind.\nWrite --controls essential=FILE --controls nonessential=FILE.\n",
    ),
}


@pytest.mark.parametrize(("options", "text"), WRONG_CONTROLS.values(), ids=WRONG_CONTROLS)
def test_controls_that_cannot_be_read_get_advice_that_can_be_typed(counts_folder, options, text):
    (counts_folder / "list.txt").write_text("GENE\tHGNC_ID\ngene_1\t1\n")
    result = run("screen", "counts.txt", "--samples", "samples.csv", *options.split())
    assert (result.exit_code, result.stderr) == (2, text)


IN_THE_FILE = {
    "decimal commas": (
        "y;x\n1,5;2\n2,5;3\n3,5;5\n", "y~x",
        "Note: Columns are separated by semicolons, not by commas as the name promises.\n"
        "the response 'y' is text, but 3 of its 3 values are numbers, 3 with a decimal comma, such as '1,5' in row 0.\n"
        "The response is numeric; a factor of two levels serves a bernoulli family.\nMend them in the file.\n",
    ),
    "a stray cell": (
        "y,x\n1.5,2\nn/a.,3\n3.5,5\n", "y~x",
        "the response 'y' is text, but 2 of its 3 values are numbers; row 1 has 'n/a.'.\n"
        "The response is numeric; a factor of two levels serves a bernoulli family.\nMend them in the file.\n",
    ),
    "a name with white space": (
        'y,"x\n"\n1.5,2\n2.5,3\n3.5,5\n', "y~x",
        "y~x\n  ^\nno column 'x' in the data.\nColumns: y, 'x\\n'.\n"
        "Nearest: 'x\\n', with white space: take it off in the file.\n",
    ),
    "a comma more than the header": (
        "y,x\n1,2,\n2,3,\n", "y~x",
        "'d.csv' has 2 names in its header, and 2 lines do not have 2 cells: line 2 (3), line 3 (3).\n"
        "Each line has one cell for each name ('y', 'x'); an empty cell has its separator too.\n"
        "Often the first column has no name (R: write.table(..., row.names = FALSE)), each line ends in a separator, "
        "or numbers have decimal commas: mend it where the file was written.\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "formula", "said"), IN_THE_FILE.values(), ids=IN_THE_FILE)
@pytest.mark.mostly_slow(every=4)
def test_what_is_wrong_in_a_file_is_mended_there(tmp_path, monkeypatch, text, formula, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text(text)
    result = run("fit", "d.csv", formula, "--method", "ml")
    assert (result.exit_code, result.stderr) == (2, said)


def test_the_separator_of_a_table_is_found_and_told(folder):
    pd.read_csv("screen.csv").to_csv("semicolons.csv", sep=";", index=False)
    plain, found = (run("fit", name, "y~drug", "--method", "reml") for name in ("screen.csv", "semicolons.csv"))
    assert found.exit_code == 0, found.stderr
    assert found.stdout == plain.stdout
    note = "Note: Columns are separated by semicolons, not by commas as the name promises.\n"
    assert found.stderr == note + plain.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            "--samples samples.csv --output genes.xlsx",
            "--output 'genes.xlsx' is of a kind that cannot be written.\nThe name of a table's file ends in one of "
            ".csv, .tsv, .tab, .txt, .count, .counts, .foldchange (also .gz), .parquet, .pq.\n"
            "Write --output genes.csv.\n",
        ),
        (
            "--samples samples.csv --output x.csv --output-table x.csv",
            "--output 'x.csv' is the same file as 'x.csv', which this command reads or writes as well.\n"
            "What is written takes the place of what was there.\nChoose another name.\n",
        ),
        (
            "--samples samples.csv --controls controls.csv --output-guides controls.csv",
            "--output-guides 'controls.csv' is the same file as 'controls.csv', which this command reads or writes as "
            "well.\nWhat is written takes the place of what was there.\nChoose another name.\n",
        ),
        (
            "--samples samples.csv --term arm[drug]",
            "'log_fc ~ 1 + (1 | gene) + (1 | gene:sgRNA) + (1 | sample)' has no effects of genes of 'arm[drug]' to "
            "rank.\n"
            "A screen's formula has the term (1 + arm | gene).\nEffects that vary by gene: Intercept.\n",
        ),
        (
            "--samples sample.csv",
            "there is no file 'sample.csv'.\nThe path of a file is expected, from the folder where the command runs.\n"
            "Nearest: 'samples.csv'.\n",
        ),
    ],
)
def test_a_screens_mistakes_come_before_its_fit(counts_folder, options, text):
    result = run("screen", "counts.txt", *options.split())
    assert result.exit_code == MISTAKE
    assert result.stderr == text


def test_a_screen_is_planned_as_a_table_and_a_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("plan", "--guides", "2,4", "--replicates", "2", "--effect", "-1,-2", "--hits", 0.2, "--calls", "sign",
                 "--output", "plan.csv", "--picture", "plan.png")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("Plan of a screen: 20% of the genes are hits, called at a false sign rate of 5%\n")
    table = pd.read_csv("plan.csv")
    made = sf.plan_screen(guides=[2, 4], replicates=2, effect=[-1.0, -2.0], hits=0.2, calls="sign").table
    pd.testing.assert_frame_equal(table, made)
    assert Path("plan.png").read_bytes().startswith(b"\x89PNG")


def test_a_plan_takes_a_saved_fit_and_tells_mistakes(folder):
    data, _ = sf.datasets.m7()
    sf.save(sf.lmer("log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)", data, method="reml"), folder / "m7.fit")
    result = run("plan", "--like", "m7.fit", "--guides", "3", "--replicates", "1", "--effect", "-0.5")
    assert result.exit_code == 0, result.stderr
    assert "SDs: guide 0.18" in result.stdout
    for arguments, text in (
        (("--guides", "2,x"), "--guides '2,x' holds what is no number.\nIt has whole numbers of at least 2 with"),
        (("--effect", "a"), "--effect 'a' holds what is no number.\n"),
        (("--guides", "1"), "--guides '1' is out of range.\n"),
        (("--effect", "0"), "--effect '0' is out of range.\nIt has numbers other than 0 with commas between.\n"),
        (("--picture", "plan.csv"), "--picture"),
    ):
        wrong = run("plan", *arguments)
        assert wrong.exit_code == MISTAKE
        assert text in wrong.stderr, wrong.stderr


def test_a_screen_of_one_file_a_sample_is_ranked_and_wants_a_sample_map(counts_folder):
    made = pd.read_csv("counts.txt", sep="\t")
    Path("reads").mkdir()
    for sample in made.columns[2:]:
        made[["sgRNA", sample]].to_csv(Path("reads") / f"{sample}.txt", sep="\t", index=False, header=False)
    made[["sgRNA", "gene"]].to_csv("guides.csv", index=False)
    asked = ("screen", "reads", "--guides", "guides.csv", "--method", "reml")
    result = run(*asked, "--samples", "samples.csv", "--top", 1)
    assert result.exit_code == 0, result.stderr
    assert "The counts are 3 files, one for each sample." in result.stdout
    wrong = run(*asked)
    assert (wrong.exit_code, wrong.stderr.splitlines()[0]) == (MISTAKE, "there is no --samples.")
