"""The slots of a model, all that has a prior, from a preset and a user's changes, which a dict or a TOML file holds.

A change that names no slot is an error here, one that its slot cannot take in `rules`.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from speclet_formula.design import Design
from speclet_formula.design.design import GroupBlock, Predictor
from speclet_formula.design.monotonic import condensed
from speclet_formula.errors import PriorError, nearest
from speclet_formula.families import Family, FamilySpecification, specification_of
from speclet_formula.priors.levels import level_presets
from speclet_formula.priors.presets import PRESETS, length_scale, preset_of, uniform_correlation, varying_preset
from speclet_formula.priors.prior import Preset, Prior, Slot
from speclet_formula.priors.rules import Part, changed_prior, check_one_sd, check_smooth_prior

DEFAULT_PRESET = "weak"
# key -> the kind of slot that it stands for; "sigma_b" stands for the terms of the formula of sigma
_WILDCARDS = {"b": "b", "sd": "group", "cor": "cor"}
_KINDS = {"b": "fixed term besides the intercept", "sd": "group term", "cor": "freely correlated group term"}
_SHORT_CUTS: tuple[Part, ...] = ("sigma", "mu")
MOST_CHARACTERS = 1_000_000
_TOO_DEEP = re.compile(r"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){20}")  # the parser's time grows as the square of these
_LAYOUT = 'Write ["1|gene"] on one line, name = "Normal" below it, then one line for each parameter.'


@dataclass(frozen=True)
class _Change:
    """What one of a user's keys changes."""

    rank: int  # 0 for a wildcard, 1 for a slot, 2 for a short cut: later ones win
    key: str
    part: Part
    slots: tuple[str, ...]


def resolve_priors(
    design: Design,
    *,
    family: Family,
    priors: str | Path | Mapping[str, Any] | None = None,
) -> tuple[Slot, ...]:
    """List everything in a model that has a prior, with the prior that it has.

    Parameters
    ----------
    design : Design
        Its terms are the slots; presets scale their priors by its columns and response.
    family : Family
        With the link of the mean.
    priors : str, pathlib.Path or mapping, optional
        A preset's name ("weak", the default, "bambi", "brms", "rstanarm", "notebook"); the path of a TOML file; or a
        dict from slots to Prior (or to tables as in TOML), in which the key "preset" names the preset that it changes.
        Besides slots, keys can be the short cuts `1|gene_sigma` and `1|gene_mu` for the hyperpriors of a group term,
        and `b`, `sd` and `cor` for all fixed terms but the intercept, all group SDs, and all correlations. A slot
        beats a wildcard, a short cut beats its slot; of unordered levels `b`, `sd` and `cor` stand for those of all
        levels. Spaces do not matter. The terms of a parameter's own formula have
        its name before theirs: `sigma_Intercept`, `sigma_control`, `sigma_1|gene`, `sigma_b`.

    Returns
    -------
    tuple of Slot
        In the order of the table: `Intercept` (the intercept at the predictors' means), fixed terms, the shares of
        monotonic effects' steps (`mo(dose)_simplex`, Dirichlet(1) in all presets, as brms has it), for each group
        block its columns and its correlation, the family's parameters: one slot for one number, or in the same order
        those of its formula.

    Raises
    ------
    PriorError
        If a preset, file or slot does not exist, or a slot cannot have the prior that it was given.

    Examples
    --------
    >>> import pandas as pd
    >>> from speclet_formula.design import build_design
    >>> from speclet_formula.families import resolve_family
    >>> from speclet_formula.formula.parse import parse_formula
    >>> data = pd.DataFrame({"y": [1.0, 2.0, 4.0, 5.0], "g": list("aabb")})
    >>> design = build_design(parse_formula("y ~ (1|g)"), data)
    >>> change = {"sd": Prior("Exponential", lam=1)}
    >>> slots = resolve_priors(design, family=resolve_family("gaussian"), priors=change)
    >>> print(slots[1].slot, slots[1].prior, slots[1].source)
    1|g Normal(mu=0, sigma=Exponential(lam=1)) user
    """
    name, given, source = _read(priors)
    known = specification_of(family)
    steps = {term.simplex: term.columns for term in design.monotonic}
    design = condensed(design)  # an average step has a prior as a slope has it
    slots = {slot.slot: slot for slot in _default_slots(design, known, family.link, name)}
    columns = {term.name: term.columns for predictor in design.predictors for term in predictor.fixed} | steps
    columns["threshold"] = design.thresholds
    for change in _changes(given, tuple(slots.values())):
        prior = prior_of(given[change.key], change.key)
        for slot in (slots[target] for target in change.slots):
            updated = changed_prior(slot, change.part, prior, columns.get(slot.slot, (slot.slot,)))
            slots[slot.slot] = replace(slot, prior=updated, source=source)
    for block in design.factors:
        check_one_sd(block, slots)
    for block in design.smooths:
        _share(block, slots, given)
    return tuple(slots.values())


def _share(block: GroupBlock, slots: dict[str, Slot], given: Mapping[str, Any]) -> None:
    """Give all coefficients of a smooth the prior of the first, which is that of their SD."""
    first = slots[block.slots[0]]
    check_smooth_prior(first)
    for name in block.slots[1:]:
        if name in given and prior_of(given[name], name) != first.prior:
            raise PriorError(
                f"'{name}' is a coefficient of the smooth '{block.label}', whose SD has one prior.",
                f"That prior's slot is '{first.slot}', its short cut '{block.sds[0]}'.",
                f"Write '{block.sds[0]}' for the key.",
            )
        slots[name] = replace(first, slot=name, kind="shared")


def slot_frame(slots: Iterable[Slot]) -> pd.DataFrame:
    """Show the slot table as a frame.

    Parameters
    ----------
    slots : iterable of Slot
        As `resolve_priors` returns them.

    Returns
    -------
    pandas.DataFrame
        One row for each slot: `slot` (its name, the key that changes it), `kind` (intercept, b, simplex, group, cor,
        family), `group` (the grouping factor, or None), `prior` (as text) and `source` (preset, "user" or file).

    Examples
    --------
    >>> slot_frame([Slot("sigma", "family", None, Prior("Exponential", lam=1), "user")])["prior"].tolist()
    ['Exponential(lam=1)']
    """
    shown = [slot for slot in slots if slot.kind != "shared"]
    rows = [(slot.slot, slot.kind, slot.group, str(slot.prior), slot.source) for slot in shown]
    return pd.DataFrame(rows, columns=["slot", "kind", "group", "prior", "source"], dtype=object)


def _read(priors: str | Path | Mapping[str, Any] | None) -> tuple[str, dict[str, Any], str]:
    """Return the preset's name, the user's changes and where they come from."""
    if priors is None:
        return DEFAULT_PRESET, {}, DEFAULT_PRESET
    if isinstance(priors, Path) or (isinstance(priors, str) and priors.lower().endswith(".toml")):
        given: dict[str, Any] = dict(read_priors(priors))
        source = f"file {Path(priors).name}"
    elif isinstance(priors, str):
        given, source = {"preset": priors}, priors
    elif isinstance(priors, Mapping):
        given, source = dict(priors), "user"
    else:
        raise PriorError(
            f"priors is of type {type(priors).__name__}.",
            f"priors is a preset ({', '.join(PRESETS)}), a TOML file's path, or a dict from slots to Prior.",
            'Write, for example, priors={"sigma": Prior("Exponential", lam=1)}.',
        )
    name = given.pop("preset") if isinstance(given.get("preset"), str) else DEFAULT_PRESET
    if name not in PRESETS:
        raise _unknown_preset(name)
    return name, given, source


def _unknown_preset(name: str) -> PriorError:
    """Word the error of a preset that does not exist."""
    match = nearest(name, PRESETS)
    return PriorError(
        f"there is no preset {name!r}.",
        f"The presets are {', '.join(PRESETS)}; a file of priors ends in .toml.",
        f"Did you mean {match!r}?" if match else "Choose one of these, or leave priors out.",
    )


def _default_slots(design: Design, family: FamilySpecification, link: str, source: str) -> list[Slot]:
    """List the slots of a design with a preset's priors."""
    if design.is_per_level:
        parts = level_presets(source, design, family)
        return [slot for predictor, own in parts for slot in _slots_of(predictor, own, source, predictor.name)]
    preset = preset_of(source, design, family, link)
    slots = _slots_of(design.mean, preset, source, "")
    varying = design.varying
    for parameter in family.own_parameters:
        name = parameter.name
        if name in varying:
            slots += _slots_of(varying[name], varying_preset(source, preset, varying[name], parameter), source, name)
        else:
            slots.append(Slot(name, "family", None, preset.parameters[name], source))
    return slots


def _slots_of(predictor: Predictor, preset: Preset, source: str, parameter: str) -> list[Slot]:
    """List the slots of one linear predictor."""
    slots = [
        Slot(term.name, "intercept", None, preset.intercept, source, parameter)
        if term.kind == "intercept"
        else Slot(term.name, "b", None, preset.fixed(term), source, parameter)
        for term in predictor.fixed
    ]
    slots += [
        Slot(term.simplex, "simplex", None, Prior("Dirichlet", a=1), source, parameter)
        for term in predictor.fixed
        if term.levels
    ]
    for block in predictor.groups:
        for column, name in enumerate(block.slots):
            prior = Prior("Normal", mu=0, sigma=preset.group_sd(block, 0 if block.hom else column))
            slots.append(Slot(name, "group", block.group, prior, source, parameter))
        if block.correlated:
            prior = preset.correlation if block.structure is None else uniform_correlation(block)
            slots.append(Slot(block.correlation, "cor", block.group, prior, source, parameter))
        if block.stretches:
            slots.append(Slot(block.length_scale, "length", block.group, length_scale(block), source, parameter))
    return slots


def _changes(given: Mapping[str, Any], slots: tuple[Slot, ...]) -> list[_Change]:
    """Find what each key changes, wildcards first; two keys for the same thing are an error."""
    changes = sorted((_change(key, slots) for key in given), key=lambda change: change.rank)
    counts = Counter((change.rank, change.part, change.slots) for change in changes)
    for repeated in (change for change in changes if counts[change.rank, change.part, change.slots] > 1):
        keys = [change.key for change in changes if (change.part, change.slots) == (repeated.part, repeated.slots)]
        raise PriorError(
            f"the keys {' and '.join(map(repr, keys))} name the same slot.",
            "Each slot takes one prior.",
            "Keep one of them.",
        )
    return changes


def _change(key: str, slots: tuple[Slot, ...]) -> _Change:
    """Find what a key changes: a slot first, since a column can be called `b`."""
    if exact := _slot_like(key, slots):
        return _Change(1, key, "prior", (exact,))
    groups = tuple(slot for slot in slots if slot.kind in ("group", "shared"))
    for part in _SHORT_CUTS:
        base = _squeezed(key).removesuffix(f"_{part}")
        if base != _squeezed(key) and (found := _slot_like(base, groups)):
            return _Change(2, key, part, (found,))
    parameter, _, wildcard = _squeezed(key).rpartition("_")
    if wildcard not in _WILDCARDS or parameter not in {slot.parameter for slot in slots} | {""}:
        raise _unknown_slot(key, slots)
    all_levels = not parameter and all(slot.parameter for slot in slots)  # each unordered level's are as the mean's
    meant = (
        slot for slot in slots if slot.kind == _WILDCARDS[wildcard] and (all_levels or slot.parameter == parameter)
    )
    targets = tuple(slot.slot for slot in meant if slot.kind != "cor" or slot.prior.name == "LKJ")
    if not targets:
        raise PriorError(
            f"the key {key!r} stands for nothing: the model has no {_KINDS[wildcard]}.",
            f"The model's slots are {_listed(slots)}.",
            "Leave it out.",
        )
    return _Change(0, key, "sigma" if wildcard == "sd" else "prior", targets)


def _slot_like(key: str, slots: tuple[Slot, ...]) -> str | None:
    """Return the slot that a key names, spaces aside."""
    names = [slot.slot for slot in slots]
    if key in names:
        return key
    same = [name for name in names if _squeezed(name) == _squeezed(key)]
    return same[0] if len(same) == 1 else None


def _squeezed(text: str) -> str:
    """Leave out all white space and back-quotes, and write "/" as the posterior does."""
    return "".join(str(text).split()).replace("`", "").replace("/", "÷")


def _listed(slots: tuple[Slot, ...]) -> str:
    """Spell all slots."""
    return ", ".join(slot.slot for slot in slots if slot.kind != "shared")


def _unknown_slot(key: str, slots: tuple[Slot, ...]) -> PriorError:
    """Word the error of a key that is neither slot, short cut nor wildcard."""
    short_cuts = [f"{slot.slot}_{part}" for slot in slots if slot.kind == "group" for part in _SHORT_CUTS]
    match = nearest(_squeezed(key).strip("()"), [*(slot.slot for slot in slots), *short_cuts, *_WILDCARDS])
    return PriorError(
        f"the model has no slot {key!r}.",
        f"Its slots are {_listed(slots)}; b, sd and cor stand for all fixed terms, group SDs and correlations.",
        f"Did you mean {match!r}?" if match else "Use one of these as the key.",
    )


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
