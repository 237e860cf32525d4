"""lmerTest's, pbkrtest's and emmeans' answers of tests/data/r/lmertest.json, and our fits of the same models."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

import speclet_formula as sf

FOLDER = Path(__file__).parent / "data" / "r"
MODELS = {answer["name"]: answer for answer in json.loads((FOLDER / "lmertest.json").read_text())["models"]}
AS_TEXT = {"Subject": str, "replicate": str}


def rows_of(answer):
    """Return the rows that R fitted."""
    place = "odd_formulas.csv" if answer["data"] == "odd_formulas" else f"textbook/{answer['data']}.csv"
    data = pd.read_csv(FOLDER / place, dtype=AS_TEXT)
    if answer["thin"]:
        data = data[(np.arange(1, len(data) + 1) * 7) % 11 > 2]
    if answer["rows"]:
        data = data.head(answer["rows"])
    return data[(data["f"] != "u") | (data["h"] != "q")] if answer["empty"] else data


@cache
def fit_of(name):
    """Our fit of one of the models."""
    answer = MODELS[name]
    method = "reml" if answer["reml"] else "ml"
    return sf.lmer(answer["formula"], rows_of(answer), method=method, weights=answer["weights"])


def label_of(term):
    """Return one of our labels as R spells it: without brackets."""
    return {"Intercept": "(Intercept)"}.get(term, term.replace("[", "").replace("]", ""))
