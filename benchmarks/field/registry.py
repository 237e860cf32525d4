"""Rows of a registry of documented mixed models, mixedbench on PyPI, whose data lie in packages of R."""

import re
from pathlib import Path

import pandas as pd

FAMILIES = {
    "continuous": "gaussian",
    "binary": "binomial",
    "binomial": "binomial",
    "count": "poisson",
    "ordinal": "cumulative",
}
NAMED = {"gaussian": "gaussian", "Gamma(log)": "Gamma", "negbinomial": "negativebinomial", "Beta": "beta"}


def read_registry(site_packages: Path) -> pd.DataFrame:
    """Return the rows of tier R, and of others whose data are text files in R packages, with a program's family."""
    rows = pd.read_csv(site_packages / "mixedbench" / "registry" / "files" / "registry.csv")
    rows = rows[rows["tier"].eq("R") | rows["source"].eq("rethinking")].copy()
    rows["object"] = [Path(name).name.split(".csv")[0] for name in rows["object"]]
    rows["program"] = [
        NAMED.get(family, "") if isinstance(family, str) else FAMILIES.get(kind, "")
        for family, kind in zip(rows["family"], rows["response_type"], strict=True)
    ]
    rows["id"] = [f"{number:03d}-{source}-{name}" for number, (source, name) in
                  enumerate(zip(rows["source"], rows["object"], strict=True))]  # fmt: skip
    rows["documented"] = rows["formula"]
    rows["formula"] = [formula_of(row) for _, row in rows.iterrows()]
    return rows


def formula_of(row: pd.Series) -> str:
    """Return the documented formula where a program reads it, else one of the documented columns."""
    text = str(row["documented"])
    if "..." not in text and re.fullmatch(r"[^;]*~[^;]*\(.*\|.*\)[^;]*", text):
        return text
    fixed = [*_names(row["covariates"]), *_names(row["interactions"])]
    slopes = dict(reversed(re.split(r"\|+", one)) for one in _names(row["random_slopes"]))
    groups = [f"({slopes.get(group, '1')} | {group})" for group in _names(row["grouping_factors"])]
    return f"{row['response']} ~ {' + '.join(fixed or ['1'])} + {' + '.join(groups)}"


def _names(value: object) -> list[str]:
    return value.split(";") if isinstance(value, str) else []
