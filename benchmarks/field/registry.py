"""Rows of a registry of documented mixed models, mixedbench on PyPI: data of R packages and of clones of git."""

import re
import subprocess
from pathlib import Path

import pandas as pd

FAMILIES = {
    "continuous": "gaussian",
    "binary": "binomial",
    "binomial": "binomial",
    "count": "poisson",
    "ordinal": "cumulative",
}
NAMED = {
    "gaussian": "gaussian",
    "Gamma(log)": "Gamma",
    "negbinomial": "negativebinomial",
    "zero_inflated_negbinomial": "zero_inflated_negbinomial",
    "Beta": "beta",
    "cumulative(probit)": "cumulative(probit)",
}
# Sources that are repositories of git, and the folder there that the registry's paths start from.
CLONED = {
    "hox": "MirjamMoerbeek/Data_Sets_ML_book",
    "pingouin": "raphaelvallat/pingouin",
    "posteriordb": "stan-dev/posteriordb",
    "ros": "avehtari/ROS-Examples",
    "stan_arm": "stan-dev/example-models",
}


def read_registry(site_packages: Path) -> pd.DataFrame:
    """Return the rows whose data lie in R packages, and then those of clones, with a program's family ("" for none)."""
    rows = pd.read_csv(site_packages / "mixedbench" / "registry" / "files" / "registry.csv")
    packaged = rows["tier"].eq("R") | rows["source"].eq("rethinking")
    cloned = rows["source"].isin(CLONED)
    rows = pd.concat([rows[packaged], rows[cloned & ~packaged]], ignore_index=True)
    rows["path"] = rows["object"]
    rows["object"] = [object_of(row) for _, row in rows.iterrows()]
    rows["program"] = [
        NAMED.get(family, "") if isinstance(family, str) else FAMILIES.get(kind, "")
        for family, kind in zip(rows["family"], rows["response_type"], strict=True)
    ]
    rows["id"] = [f"{number:03d}-{source}-{name}" for number, (source, name) in
                  enumerate(zip(rows["source"], rows["object"], strict=True))]  # fmt: skip
    rows["documented"] = rows["formula"]
    rows["formula"] = [formula_of(row) for _, row in rows.iterrows()]
    return rows


def object_of(row: pd.Series) -> str:
    """Return the name of a row's object in an R package, or that of its file, all folders in it."""
    if row["source"] not in CLONED:
        return str(Path(row["object"]).name.split(".csv")[0])
    return re.sub(r"[^A-Za-z0-9]+", "-", re.sub(r"(\.data)?\.\w+(\.zip)?$", "", row["object"]))


def take_files(rows: pd.DataFrame, clones: Path, packages: Path) -> None:
    """Copy the files of cloned repositories, `OWNER+NAME/repo` in `clones`, to where those of packages lie."""
    for _, row in rows[rows["source"].isin(CLONED)].iterrows():
        kind = re.sub(r"^.*?\.(\w+(\.zip)?)$", r"\1", Path(row["path"]).name.replace(".data.", "."))
        kept = packages / row["source"] / "data" / f"{row['object']}.{kind}"
        clone = clones / CLONED[row["source"]].replace("/", "+") / "repo"
        if kept.exists() or not clone.exists():
            continue
        shown = subprocess.run(["git", "--git-dir", clone, "show", f"HEAD:{row['path']}"], capture_output=True)
        if shown.returncode == 0:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(shown.stdout)


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
