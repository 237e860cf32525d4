"""What a command says and writes: results in the shell's words, and files that are refused before anything is fitted.

Arguments become options, and advice to write Python becomes what can be typed or done to the file.
"""

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from speclet_formula.cli.options import FLAGS
from speclet_formula.errors import DataError

if TYPE_CHECKING:
    from speclet_formula.model import Model

_WRITTEN = {
    ".html": "a page of HTML", ".json": "JSON", ".fit": "a saved fit, which `report` reads", ".png": "a picture",
}  # fmt: skip
_NO_SUBJECTS = {"reml", "title"}  # that begin a sentence as words
# What Python is told to write, and what is typed in a shell, or done to the file, instead.
_REMEDIES = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"Mend them where they were written, or write data\[\"(.+?)\"\] = pandas\.to_numeric\(.*\)"
         r"(?:, which makes the others missing)?\.", "Mend them in the file."),
        (r"with white space: data = data\.rename\(columns=str\.strip\)", "with white space: take it off in the file"),
        (r"For another order cast it to polars\.Enum\(.*?\), the reference first", "For another order write --levels"),
        (r"where each is a level, write data\['(.+?)'\] = .*?\.astype\(str\)", "where each is a level, to text"),
        (r"data\['(.+?)'\] = pandas\.Categorical\(data\['.+?'\], categories=\[\.\.\.\], ordered=True\)",
         r"--levels \1=..., the lowest level first"),
        (r": pandas\.cut\(data\['.+?'\], bins\)", ", in the file"),
        (r"Write data\['(.+?)'\] = data\['.+?'\]\.cat\.remove_unused_categories\(\)", r"Write --levels \1=..."),
        (r"pandas\.Categorical\(column, categories=\['control', \.\.\.\]\)", "--levels COLUMN=control,..."),
        (r"Make the column before the fit: data\['new'\] = .*?\)\.(?=\n|$)", "Make the column in the file."),
        (r", or by a function of your own in functions=", ""),
        (r"Read the column as such, for example pandas\.read_csv\(.*?\)\.",
         "Write the column in the file with a letter before each number."),
        (r"Rename or drop one: data\.loc\[.*?\(\)\]", "Rename or drop one in the file"),
        (r"Rename it, or all at once: data\.columns = .*?\(str\)", "Rename it in the file"),
        (r"Names of levels are text: data\['(.+?)'\] = .*?; measurements are \.astype\(float\)",
         r"Make all of the column '\1' in the file text, or all of it numbers"),
        (r"data\['(.+?)'\] = data\['.+?'\]\.astype\(\w+\)", r"make all of the column '\1' in the file alike"),
        (r"Convert it: data\['(.+?)'\] = pandas\.to_numeric\(.*?\]\)", r"Write numbers into the column '\1'"),
        (r"Convert it: data\['(.+?)'\] = data\['.+?'\]\.map\(.*?\)",
         r"Write 'none', 'left' or 'right' into the column '\1' of the file"),
        (r"Convert it first; a lazy frame.*?pieces\.", "Save it as CSV or parquet."),
        (r"priors=\{'([^']+)': \.\.\.\}", r'--priors with a TOML file that has a table ["\1"]'),
        (r"Write, for example, priors=\{.*\}\.", "Write a TOML file, and --priors with its path."),
        (r"before fitting, or pass a function that does it in functions=", "in the file"),
        (r",? or pass your own function in functions=", ", or make the column in the file"),
        (r"(?:P|p)ass your own function in functions=", "Make the column in the file"),
        (r"\bHand controls= to read_screen", "Give --controls"),
        (r"that sf\.save\(fit, path\) wrote", "that `fit --output` wrote"),
        (r"with sf\.simulate, and fit it with the same arguments", "with simulate, and fit it with the same options"),
        (r", as a dictionary by name or as a list\.", "."),
        (r"For example compare\(\{.*\)\.", "For example compare data.csv 'y ~ x + (1 | g)' 'y ~ (1 | g)'."),
        (r"; in a list it is its formula", ", its formula"),
        (r"Name them in a dictionary: compare\(.*\)\.", "Leave one of the two out."),
        (r"; likelihoods are compared by sf\.anova", ""),
        (r"contrasts=\{'(\w+)': '(\w+)'\}", r"--contrasts \1=\2"),
        (r"contrasts\['(.+?)'\] is '", r"--contrasts of '\1' is '"),
        (r"the folder where Python runs", "the folder where the command runs"),
        (r"(method='\w+') or '(\w+)'", r"\1 or \2"),
    )
)  # fmt: skip


def as_options(text: str) -> str:
    """Write arguments as options, and Python's remedies as the shell's.

    Examples
    --------
    >>> as_options("Write missing='drop' to leave these rows out, or link= out.")
    'Write --missing drop to leave these rows out, or --link out.'
    >>> as_options("drop=['no_gene'] leaves them out")
    '--drop no_gene leaves them out'
    >>> as_options("Rename or drop one: data.loc[:, ~data.columns.duplicated()].")
    'Rename or drop one in the file.'
    """
    for pattern, words in _REMEDIES:
        text = pattern.sub(words, text)
    argument, subject = _arguments()
    text = subject.sub(lambda match: FLAGS[match[1]], text)
    return argument.sub(lambda match: " ".join(filter(None, (FLAGS[match[1]], match[2] or match[3]))), text)


@cache
def _arguments() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what an argument with its value looks like, and one that begins a line.

    A value in quotes or a list of one, a number or a word, or none: "missing='drop'", "drop=['no_gene']", "tune=2000",
    "Leave link= out". A dictionary stays.
    """
    names = "|".join(FLAGS)
    value = r"(?:[(\[]?'([^']*)'(?:,\)|\])?|(-?[\w.]+(?:,\d{3})*(?<!\.))|(?=[\s,.;:)]|$))"
    subjects = "|".join(name for name in FLAGS if name not in _NO_SUBJECTS)
    return (
        re.compile(rf"(?<![\w.-])({names})=(?!=){value}"),
        re.compile(rf"^({subjects})(?= (?:is|are|lies|takes) )", re.MULTILINE),
    )


def tell(text: str) -> None:
    """Print a result; what it advises to write in Python is written for the shell."""
    typer.echo(as_options(text))


def note(model: "Model") -> None:
    """Say what is worth knowing before a fit, on standard error."""
    if model.n_dropped:
        typer.echo(f"Note: {model.n_dropped:,} of {len(model.data):,} rows dropped: missing values.", err=True)
    for finding in model.findings:
        typer.echo(f"Note: {as_options(str(finding))}", err=True)


def check_output(out: Path | None, option: str, others: Sequence[Path | None]) -> None:
    """Refuse, before anything is fitted, a file that could not be written afterwards, or that is needed as it is.

    Parameters
    ----------
    out : Path, optional
    option : str
        What it was given as.
    others : sequence of Path
        The files that are read, and the other ones that are written.
    """
    if out is None:
        return
    if out.is_dir() or not out.parent.is_dir():
        there = out.is_dir()
        raise DataError(
            f"{option} '{out}' is a folder." if there else f"{option} '{out}' lies in a folder that does not exist.",
            "It needs the name of a file in a folder that exists.",
            "Make the folder first, or choose another name.",
        )
    if not os.access(out if out.exists() else out.parent, os.W_OK):
        raise DataError(
            f"{option} '{out}' may not be written to.",
            "It needs the name of a file that you may write, in a folder that you may write to.",
            "Choose another name.",
        )
    same = next((file for file in others if file is not None and _is_same(out, file)), None)
    if same is not None:
        raise DataError(
            f"{option} '{out}' is the same file as '{same}', which this command reads or writes as well.",
            "What is written takes the place of what was there.",
            "Choose another name.",
        )


def note_replaced(outputs: Mapping[str, Path | None]) -> None:
    """Say, before the work begins, which files will be replaced at its end.

    Parameters
    ----------
    outputs : mapping of str to Path
        By option.
    """
    for option, out in outputs.items():
        if out is not None and out.is_file():
            typer.echo(f"Note: {option} '{out}' is there already; it is replaced at the end.", err=True)


def check_ending(path: Path | None, option: str, wanted: str) -> None:
    """Refuse, before anything is fitted, a name that promises another kind of file than is written.

    Parameters
    ----------
    path : Path, optional
    option : str
        What it was given as.
    wanted : str
        The ending of what is written: ".html", ".json", ".fit" or ".png".
    """
    from speclet_formula.common.files import PARQUET, SEPARATORS  # not at the top: help needs no pandas

    promised = (*SEPARATORS, *PARQUET, ".html", ".htm", ".json", ".toml", ".xlsx", ".png", ".pdf", ".py", ".r")
    others = tuple(ending for ending in promised if not ending.startswith(wanted.removesuffix("l")))
    if path is not None and path.name.lower().endswith(others):
        raise DataError(
            f"{option} '{path}' promises another kind of file by its ending.",
            f"What is written is {_WRITTEN[wanted]}.",
            f"Write {option} {path.stem}{wanted}.",
        )


def check_table(path: Path | None, option: str) -> None:
    """Refuse, before anything is fitted, a table of a kind that cannot be written; into a device or pipe it is CSV."""
    from speclet_formula.common.files import KINDS, PARQUET, SEPARATORS  # not at the top: help needs no pandas

    if path is None or path.name.lower().endswith((*SEPARATORS, *PARQUET)) or (path.exists() and not path.is_file()):
        return
    raise DataError(
        f"{option} '{path}' is of a kind that cannot be written.",
        f"The name of a table's file ends in one of {KINDS}.",
        f"Write {option} {path.stem}.csv.",
    )


def _is_same(first: Path, second: Path) -> bool:
    """Tell whether two names lead to one file, by links of either kind; a device can be read and written at once."""
    if first.exists() and second.exists():
        return first.is_file() and first.samefile(second)
    return os.path.realpath(first) == os.path.realpath(second)
