"""Every example is listed, says what it does, and runs."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))


def load(path):
    """Import a script without running it."""
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_there_are_examples():
    assert [path.name for path in SCRIPTS] == ["m7.py"]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_an_example_is_listed_and_described(path):
    assert f"`{path.name}`" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert load(path).__doc__


@pytest.mark.slow
def test_m7_retells_the_notebook(tmp_path, capsys):
    load(EXAMPLES / "m7.py").main(draws=50, tune=100, chains=2, folder=tmp_path / "pictures")
    text = capsys.readouterr().out
    assert text.count("Linear mixed model fit by") == 2
    assert "Recovery of log_fc ~ 1 + (1 | gene) + (1 | gene:sgRNA) + (1 | cell_line)" in text
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == [
        "m7_genes.png",
        "m7c_genes.png",
        "recovery.png",
    ]
