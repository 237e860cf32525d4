"""What marginaleffects 0.6.0 (polars 1.44) says of models by statsmodels 0.15.0; it also makes the data.

python answers.py > answers.json  (in an environment with these two, numpy and pandas), then Rscript answers.R
"""

import json

import numpy as np
import pandas as pd
import statsmodels.api as sm
import statsmodels.formula.api as smf
from marginaleffects import avg_comparisons, avg_predictions, avg_slopes, comparisons

rng = np.random.default_rng(20)
N = 240
group = np.repeat(np.arange(20), 12)
table = pd.DataFrame(
    {
        "x": rng.normal(1, 1.2, N).round(3),
        "f": rng.choice(["a", "b", "c"], N, p=[0.5, 0.3, 0.2]),
        "z": rng.integers(0, 2, N),
        "n": rng.integers(2, 30, N),
        "g": group,
    }
)
own = rng.normal(0, 0.7, 20)[group]
eta = -0.4 + 0.5 * table["x"] + table["f"].map({"a": 0.0, "b": 0.6, "c": -0.8}) - 0.3 * table["x"] * (table["f"] == "b")
table["y"] = (10 + 3 * eta - table["x"] ** 2 + 2 * own + rng.normal(0, 1.5, N)).round(3)
table["h"] = rng.binomial(1, 1 / (1 + np.exp(-(eta + own + 0.4 * table["z"]))))
table["k"] = rng.poisson(table["n"] * np.exp(0.5 * eta + 0.6 * own - 1))
table.to_csv("data.csv", index=False)
table["f"] = table["f"].astype("category")

models = {
    "ols": smf.ols("y ~ x * f + I(x**2) + z", table).fit(),
    "logit": smf.glm("h ~ x * f + z", table, family=sm.families.Binomial()).fit(tol=1e-12),
    "poisson": smf.glm("k ~ x * f + np.log(n)", table, family=sm.families.Poisson()).fit(tol=1e-12),
}


def numbers(frame, *names):
    return [[*(str(row[name]) for name in names), row["estimate"], row["std_error"]] for row in frame.to_dicts()]


answers = {}
for name, model in models.items():
    found = {
        "slopes": numbers(avg_slopes(model, variables="x"), "contrast"),
        "slopes by f": numbers(avg_slopes(model, variables="x", by="f"), "f"),
        "differences": numbers(avg_comparisons(model, variables=["f"]), "contrast"),
        "pairwise": numbers(avg_comparisons(model, variables={"f": "pairwise"}), "contrast"),
        "one unit": numbers(avg_comparisons(model, variables="x"), "contrast"),
        "two values": numbers(avg_comparisons(model, variables={"x": [0.0, 2.0]}), "contrast"),
        "sd": numbers(avg_comparisons(model, variables={"x": "sd"}), "contrast"),
        "ratio": numbers(avg_comparisons(model, variables={"x": [0.0, 2.0]}, comparison="ratio"), "contrast"),
        # one change at a time: of several it averages the lifts into one number
        "lift": numbers(avg_comparisons(model, variables={"f": ["a", "b"]}, comparison="lift"), "contrast"),
        "predictions by f": numbers(avg_predictions(model, by="f"), "f"),
        "counterfactual": numbers(avg_predictions(model, variables={"f": ["a", "b", "c"]}, by="f"), "f"),
        "rows": numbers(comparisons(model, variables={"x": [0.0, 2.0]}), "contrast")[:5],
    }
    if name == "logit":
        found["log odds ratio"] = numbers(
            avg_comparisons(model, variables={"x": [0.0, 2.0]}, comparison="lnor"), "contrast"
        )
    if name != "poisson":
        found["binary"] = numbers(avg_comparisons(model, variables="z"), "contrast")
    answers[name] = found
print(json.dumps(answers, indent=1))
