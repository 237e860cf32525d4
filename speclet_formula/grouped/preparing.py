"""The arguments of `fit_by` go in; one task for each group comes out, checked before any worker starts."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from speclet_formula.design.tables import select_columns
from speclet_formula.errors import DataError, listed, nearest
from speclet_formula.formula.parse import parse_formula
from speclet_formula.formula.terms import Formula, columns_of, text_of
from speclet_formula.grouped.tasks import GroupTask
from speclet_formula.inference.fit import FIT_SETTINGS, MODEL_SETTINGS, refuse_unknown, refuse_unused_settings

FORMAT = 2  # 1 did not say in each file whose it is


def check(table: pd.DataFrame, columns: tuple[str, ...], settings: dict[str, Any]) -> None:
    """Raise an error for what would fail in each group: a setting or a column that is not there, rows without group."""
    refuse_unknown(settings)
    refuse_unused_settings(settings)
    absent = next((name for name in columns if name not in table), None)
    if absent is not None or not columns:
        near = nearest(str(absent), map(str, table.columns)) if columns else None
        raise DataError(
            f"no column '{absent}' in the data to divide them by." if columns else "by= names no column.",
            f"Columns: {listed(map(str, table.columns))}.",
            f"Nearest: '{near}'." if near else 'For example by="lineage".',
        )
    missing = int(table[list(columns)].isna().any(axis=1).sum())
    if missing:
        raise DataError(
            f"{missing:,} of {len(table):,} rows belong to no group: {', '.join(map(repr, columns))} is missing.",
            "Each row is of one group.",
            f"Leave them out: data.dropna(subset={list(columns)!r}), or give them a label.",
        )
    if not isinstance(settings.get("weights", ""), str):
        raise DataError(
            "weights= is a sequence, which cannot be divided by group.",
            "It is the name of a column here.",
            "Put the weights into the data, and write weights='name'.",
        )


def read_formula(formula: str | Formula, table: pd.DataFrame, settings: dict[str, Any]) -> str:
    """Return the formula's full text, after a look at its columns: a misspelt one would fail in every group."""
    columns = [str(column) for column in table.columns]
    functions = tuple(settings.get("functions") or ())
    parsed = formula if isinstance(formula, Formula) else parse_formula(formula, columns=columns, functions=functions)
    select_columns(table, columns_of(parsed), formula if isinstance(formula, str) else None)
    return text_of(parsed)


def labels_of(table: pd.DataFrame, columns: tuple[str, ...]) -> tuple[np.ndarray, pd.DataFrame]:
    """Return each row's group, and one row per group with its columns and its label, in the data's order."""
    texts = table[list(columns)].astype(str)
    labels = texts.agg(":".join, axis=1).to_numpy(dtype=object)
    keys = table[list(columns)].assign(group=labels).drop_duplicates(list(columns)).reset_index(drop=True)
    alike = keys.loc[keys["group"].duplicated(), "group"]
    if len(alike):
        raise DataError(
            f"different groups are all called '{alike.iloc[0]}'.",
            "Each group has a label of its own, its columns joined by ':'.",
            "Make one column of labels first, and divide by it.",
        )
    return labels, keys


def make_tasks(
    text: str,
    table: pd.DataFrame,
    labels: np.ndarray,
    settings: dict[str, Any],
    seed: int,
    summarise: Callable[[Any], pd.DataFrame],
    *,
    keep: bool,
) -> list[GroupTask]:
    """Return one task for each group, in the order in which the groups first come."""
    model = {name: settings[name] for name in MODEL_SETTINGS if name in settings}
    sampling = {name: settings[name] for name in FIT_SETTINGS if name in settings}
    found = []
    codes, names = pd.factorize(labels)
    for code, group in enumerate(names):
        rows = table[codes == code].reset_index(drop=True)
        found.append(GroupTask(group, text, rows, model, sampling, _seed_of_group(seed, group), summarise, keep))
    return found


def _seed_of_group(seed: int, group: str) -> int:
    digits = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big")
    return int(np.random.SeedSequence([seed, digits]).generate_state(1)[0])


def manifest_of(
    text: str, columns: tuple[str, ...], settings: dict[str, Any], seed: int, summarise: Callable[..., Any]
) -> dict[str, Any]:
    """Return all that settles the outcomes beside the rows, as JSON has it."""
    spelled = {
        name: f"function {value.__name__}" if callable(value) and hasattr(value, "__name__") else repr(value)
        for name, value in sorted(settings.items())
        if name != "functions"
    }
    functions = sorted(settings.get("functions") or ())
    return {
        "format": FORMAT,
        "formula": text,
        "by": list(columns),
        "settings": spelled,
        "functions": functions,
        "random_seed": seed,
        "summarise": getattr(summarise, "__qualname__", repr(type(summarise))),
    }
