"""A TOML file, or the tables in it, comes in; a dict of slots and `Prior` records goes out.

Which slots the model has is left to `slots`.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speclet_formula.errors import PriorError
from speclet_formula.priors.records import Prior

MOST_CHARACTERS = 1_000_000
_TOO_DEEP = re.compile(r"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){20}")  # the parser's time grows as the square of these
_LAYOUT = 'Write ["1|gene"] on one line, name = "Normal" below it, then one line for each parameter.'


def read_priors(path: str | Path) -> dict[str, Prior | str]:
    r"""Read priors from a TOML file.

    Parameters
    ----------
    path : str or pathlib.Path
        The file. `preset = "weak"` at its top names the preset to start from; each table is a slot, with the
        distribution's `name` and its parameters. A parameter can be a number, a list of numbers, or an inline table
        (a hyperprior).

    Returns
    -------
    dict of str to Prior
        By slot; the key "preset" holds the preset's name, if the file gives one.

    Raises
    ------
    PriorError
        If there is no such file, it is not TOML (the message gives the line), or a table is not a prior.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "priors.toml"
    >>> _ = path.write_text('preset = "weak"\n[sigma]\nname = "Exponential"\nlam = 1\n')
    >>> read_priors(path)
    {'preset': 'weak', 'sigma': Prior("Exponential", lam=1)}
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise PriorError(
            f"the priors' file '{path}' cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}.",
            "Priors can come from a TOML file, written in UTF-8.",
            "Check the file and its path, which is relative to the folder where Python runs.",
        ) from None
    try:
        if len(text) > MOST_CHARACTERS or _TOO_DEEP.search(text):
            raise ValueError
        tables = tomllib.loads(text)
        return {slot: table if _is_preset(slot, table) else prior_of(table, slot) for slot, table in tables.items()}
    except tomllib.TOMLDecodeError as error:
        raise PriorError(f"'{path.name}' is not TOML: {error}.", "A slot is a table.", _LAYOUT) from None
    except (RecursionError, ValueError, OverflowError):  # what has thousands of digits cannot even be quoted
        raise PriorError(
            f"'{path.name}' has tables or lists that nest too deeply, a number with too many digits, or no end.",
            "A slot is a table, a hyperprior is a table within it, and a parameter is a number.",
            _LAYOUT,
        ) from None


def prior_of(value: Any, slot: str) -> Prior:
    """Make a Prior from a table such as `{"name": "Normal", "mu": 0, "sigma": 1}`.

    Parameters
    ----------
    value : Prior or mapping
        A Prior is returned as it is. A mapping has `name`, the parameters, and perhaps `noncentered`; inside it a
        mapping is a hyperprior.
    slot : str
        Where it stands, for the message.

    Returns
    -------
    Prior

    Raises
    ------
    PriorError
        If it is neither, has no name, or is not a possible prior.

    Examples
    --------
    >>> prior_of({"name": "Exponential", "lam": 1}, "sigma")
    Prior("Exponential", lam=1)
    """
    if isinstance(value, Prior):
        return value
    if not isinstance(value, Mapping):
        raise PriorError(
            f"the prior of '{slot}' is {value!r}.",
            'A prior is a Prior, or a table such as {"name": "Normal", "mu": 0, "sigma": 1}.',
            'Write Prior("Normal", mu=..., sigma=...) with the distribution that you mean.',
        )
    if not isinstance(value.get("name"), str):
        raise PriorError(
            f"the prior of '{slot}' does not name its distribution: {dict(value)!r}.",
            'A prior\'s table has a name and that distribution\'s parameters: {"name": "Normal", "mu": 0, "sigma": 1}.',
            _unquoted(slot, value) or 'Add the name; in a TOML file that is a line such as name = "Normal".',
        )
    parameters = {
        key: prior_of(part, f"{slot}.{key}") if isinstance(part, Mapping) else part
        for key, part in value.items()
        if key not in ("name", "noncentered")
    }
    return Prior(value["name"], noncentered=value.get("noncentered"), **parameters)


def _is_preset(slot: str, value: object) -> bool:
    """Tell a preset's name from the prior of a column called "preset"."""
    return slot == "preset" and isinstance(value, str)


def _unquoted(slot: str, value: Mapping[str, Any]) -> str | None:
    """Say how to write a slot with a dot in its name, which TOML takes for two tables."""
    inner = next((key for key, part in value.items() if isinstance(part, Mapping) and "name" in part), None)
    return f"If the slot is '{slot}.{inner}', put it in quotes: [\"{slot}.{inner}\"]." if inner else None
