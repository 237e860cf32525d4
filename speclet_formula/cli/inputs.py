"""What a command reads: tables with orders of levels, true values, lists of controls, saved fits.

What the columns mean is left to `design`, what true values mean to `recovery`.
"""

import csv
import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import typer

from speclet_formula.common.files import SORTED, existing, read_file, unreadable
from speclet_formula.design.transforms import label_of
from speclet_formula.errors import DataError, nearest

if TYPE_CHECKING:
    from speclet_formula.model import Model

SHOWN_LEVELS = 8
SHOWN_DIGITS = 40


def read_table(path: Path, levels: Sequence[str] = ()) -> pd.DataFrame:
    r"""Read a table from a file; what the file is not as its name promises is said on standard error.

    Parameters
    ----------
    path : pathlib.Path
        Parquet, or text of separated columns, as `files.read_file` takes them.
    levels : sequence of str
        Orders of levels, each as "column=first,second,...": all the levels of the column, the reference first.

    Returns
    -------
    pandas.DataFrame
        The table as it is in the file; the columns of `levels` are ordered Categoricals.

    Raises
    ------
    DataError
        There is no such file, it is of another kind or cannot be read, or an order of levels does not fit its column.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "screen.csv"
    >>> _ = path.write_text("drug,y\nyes,1\nno,2\n")
    >>> read_table(path, ["drug=yes,no"])["drug"].cat.categories.tolist()
    ['yes', 'no']
    """
    frame = read_file(path)
    for sentence in frame.attrs.pop("read", ()):
        typer.echo(f"Note: {sentence}", err=True)
    for column, order in _orders(levels):
        frame[column] = _ordered(frame, column, order)
        frame.attrs[SORTED] = tuple(name for name in frame.attrs.get(SORTED, ()) if name != column)
    return frame


def control_files(texts: Sequence[str]) -> dict[str, Path]:
    """Return the files of a screen's controls by their class, or "" for a table of all classes.

    Parameters
    ----------
    texts : sequence of str
        Each the path of a table of gene and control, or "class=path" of a list.

    Raises
    ------
    DataError
        There is no such class or file, one stands twice, a table beside lists, or a table names no classes.
    """
    from speclet_formula.screens.controls import CONTROLS

    found: dict[str, Path] = {}
    for text in texts:
        kind, equals, path = text.partition("=")
        if not equals or Path(text).is_file():
            kind, path = "", text
        elif kind not in CONTROLS:
            raise DataError(
                f"--controls {text!r} names no class of controls.",
                f"Classes: {', '.join(CONTROLS)}.",
                f"Nearest: --controls {near}={path}." if (near := nearest(kind, CONTROLS)) else _CONTROL_LISTS,
            )
        if kind in found:
            raise DataError(
                f"--controls has {f'the class {kind!r}' if kind else 'a table'} twice.",
                "A class has one list, and there is one table.",
                "Leave one of the two out.",
            )
        found[kind] = existing(Path(path))
    if "" in found:
        _check_control_table(found)
    return found


_CONTROL_LISTS = "Write --controls essential=FILE --controls nonessential=FILE."


def _check_control_table(found: Mapping[str, Path]) -> None:
    """Refuse a table beside lists, and a list in the place of a table."""
    from speclet_formula.screens.columns import find_column
    from speclet_formula.screens.controls import CLASS_COLUMNS

    if len(found) > 1:
        raise DataError(
            f"--controls has the table '{found['']}' beside lists.",
            "Controls are a table of gene and control, or a list of each kind.",
            _CONTROL_LISTS,
        )
    frame = read_file(found[""])
    if find_column(frame, CLASS_COLUMNS) is None:
        raise DataError(
            f"'{found['']}' has the columns {', '.join(map(repr, map(str, frame.columns)))}, and none of classes.",
            "A table of controls has 'gene' (or 'sgRNA') and 'control', which is essential, nonessential or other.",
            f"Of a list of one kind write --controls nonessential={found['']}.",
        )


def _orders(levels: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return each column's order of levels; one column has one."""
    orders = list(map(_parse_order, levels))
    names = [column for column, _ in orders]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(
            f"--levels names the column '{twice}' twice.",
            "A column's levels have one order.",
            f"Leave one --levels {twice}=... out.",
        )
    return orders


def read_truth(path: Path) -> dict[str, Any]:
    """Read the true parameters of simulated data from a JSON file.

    Parameters
    ----------
    path : pathlib.Path
        A JSON object from a parameter's name to a number, or to an object from level to effect; a correlation of three
        columns or more is a list.

    Returns
    -------
    dict
        What `recover` takes.

    Raises
    ------
    DataError
        There is no such file, it is not JSON, or holds anything else.
    """
    try:
        truth = json.loads(existing(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        what = error if isinstance(error, json.JSONDecodeError) else "it nests too deeply, or a number is too long"
        raise DataError(
            f"'{path}' is not JSON: {what}.",
            "True values come as one JSON object.",
            'For example {"Intercept": -1.0, "sigma": 0.3, "1|gene": {"gene_0": 0.2, "gene_1": -0.2}}.',
        ) from error
    if not isinstance(truth, dict):
        raise _not_a_truth(f"'{path}' holds {_kind(truth)}.")
    for name, value in truth.items():
        _check_true_value(name, value)
    return truth


def truth_text(truth: Mapping[str, Any]) -> str:
    """Write true parameters as the JSON object that `read_truth` reads."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping | pd.Series):
            return {str(level): float(effect) for level, effect in value.items()}
        return value

    return json.dumps({name: plain(value) for name, value in truth.items()}, indent=1) + "\n"


# --- orders of levels -------------------------------------------------------------------------------------------------


def _parse_order(text: str) -> tuple[str, list[str]]:
    """Split "column=first,second"; a level with a comma stands in double quotes."""
    column, equals, listed = text.partition("=")
    order = next(csv.reader([listed], skipinitialspace=True), [])
    if not equals or not column.strip() or not all(level.strip() for level in order) or not order:
        raise DataError(
            f"--levels {text!r} is not an order of levels.",
            "It is a column, an equals sign and its levels with commas between, the reference first.",
            "For example --levels control=nonessential,other,essential.",
        )
    return column.strip(), [level.strip() for level in order]


def _ordered(frame: pd.DataFrame, column: str, order: list[str]) -> pd.Categorical:
    """Return a column as a Categorical with exactly the levels of the order."""
    if column not in frame.columns:
        near = nearest(column, map(str, frame.columns))
        raise DataError(
            f"--levels names the column '{column}', which the data do not have.",
            f"Columns: {', '.join(map(str, frame.columns))}.",
            f"Nearest: '{near}'." if near else "Check the spelling.",
        )
    labels = frame[column].map(label_of, na_action="ignore")
    observed = sorted(set(labels.dropna()))
    problem = _misfit(column, order, observed)
    if problem:
        shown = ", ".join(observed[:SHOWN_LEVELS]) + (", ..." if len(observed) > SHOWN_LEVELS else "")
        raise DataError(
            problem,
            f"The order of '{column}' has each of its {len(observed)} levels once: {shown}.",
            f"Write --levels {column}=" + ",".join(_repaired(order, observed)[:SHOWN_LEVELS])
            + (",..." if len(observed) > SHOWN_LEVELS else "."),
        )  # fmt: skip
    return pd.Categorical(labels, categories=order, ordered=True)


def _misfit(column: str, order: list[str], observed: list[str]) -> str:
    """Say what is wrong with an order of levels; nothing if it fits."""
    unknown = [level for level in order if level not in set(observed)]
    absent = [level for level in observed if level not in set(order)]
    repeated = [level for place, level in enumerate(order) if level in order[:place]]
    if unknown:
        return f"--levels {column}= has the level '{unknown[0]}', which the column '{column}' does not have."
    if absent:
        return f"--levels {column}= leaves out the level '{absent[0]}'" + (
            f" and {len(absent) - 1} more." if len(absent) > 1 else "."
        )
    return f"--levels {column}= has the level '{repeated[0]}' twice." if repeated else ""


def _repaired(order: list[str], observed: list[str]) -> list[str]:
    """Return the order that was probably meant: misspelt levels corrected, the rest at the end."""
    left, repaired = list(observed), []
    for level in order:
        near = difflib.get_close_matches(level, left, n=1, cutoff=1.0 if level in left else 0.6)
        left = [other for other in left if other not in near]
        repaired += near
    return repaired + left


# --- true values ------------------------------------------------------------------------------------------------------


def _check_true_value(name: str, value: Any) -> None:
    """Refuse what cannot be a true value."""
    if _is_number(value) or (isinstance(value, list) and value and all(map(_is_number_or_row, value))):
        return
    if not isinstance(value, Mapping):
        raise _not_a_truth(f"the true value of '{name}' is {_kind(value)}.")
    for level, effect in value.items():
        if not _is_number(effect):
            raise _not_a_truth(f"the true effect of '{name}' at the level '{level}' is {_kind(effect)}.")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # a whole number may be longer; NaN is none


def _is_number_or_row(value: Any) -> bool:
    return _is_number(value) or (isinstance(value, list) and all(map(_is_number, value)))


def _kind(value: Any) -> str:
    """Name a JSON value as JSON does."""
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, Mapping):
        return "an object"
    text = json.dumps(value)
    return "a list" if isinstance(value, list) else text if len(text) <= SHOWN_DIGITS else f"{text[:SHOWN_DIGITS]}..."


def _not_a_truth(problem: str) -> DataError:
    return DataError(
        problem,
        "True values are numbers, or objects from level to number.",
        'For example {"Intercept": -1.0, "sigma": 0.3, "1|gene": {"gene_0": 0.2, "gene_1": -0.2}}.',
    )


def check_truth(model: "Model", truth: Mapping[str, Any]) -> None:
    """Refuse, before anything is fitted, true values of which none is of the model."""
    from speclet_formula.recovery.truth import implied_truth

    implied = implied_truth(model, truth)
    if not implied.scalars and not implied.effects:
        raise DataError(
            f"the truth has {', '.join(map(repr, truth)) or 'no entries'}, and nothing of that is in the model.",
            f"The model has {', '.join(repr(slot.slot) for slot in model.slots)}.",
            "Name the true values as the posterior does: 'Intercept', '1|gene_sigma', '1|gene' (effects), 'sigma'.",
        )


def loaded_fits(paths: Sequence[Path]) -> dict[str, Any]:
    """Read saved fits, each under its file's name without the ending."""
    from speclet_formula.posterior.save import load

    found: dict[str, Any] = {}
    for path in paths:
        if path.stem in found:
            raise DataError(
                f"two files are called '{path.stem}'.",
                "Each fit of a report is named by its file, and each name stands once.",
                "Rename one of the files.",
            )
        found[path.stem] = load(path)
    return found
