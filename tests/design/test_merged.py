"""Rows that agree in all but the response become one: the table, what a model sees of it, and what is refused."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st
from pyarrow import dataset

import speclet_formula as sf
from speclet_formula.design import cells, scans

SHORT = {"draws": 20, "chains": 2, "cores": 1, "random_seed": 1, "progress": False}


def table(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    gene = rng.integers(0, 9, n)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n) + gene / 4,
            "x": rng.integers(0, 4, n).astype(float),
            "many": np.repeat(rng.normal(size=n // 10), 10),  # more values than a grid of predictions lists
            "kind": rng.choice(["treated", "ßcontrol", "Mock"], n),
            "gene": [f"g{i}" for i in gene],
            "guide": [f"s{i}" for i in 2 * gene + rng.integers(0, 2, n)],
            "w": rng.choice([0.5, 1.0, 2.0], n),
        }
    )


def scanned(frame: pd.DataFrame, *, rows: int = 30) -> Any:
    return sf.scan(dataset.dataset(pa.Table.from_pandas(frame)), chunksize=rows, merge=True)


def grouped(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The same by pandas, in the order of first occurrence."""
    cells = frame.groupby(keys, sort=False, dropna=False)["y"]
    return pd.DataFrame(
        {"y": cells.mean(), "(rows)": cells.size(), "(within y)": cells.var(ddof=0) * cells.size()}
    ).reset_index()


@pytest.mark.parametrize("rows", [1, 7, 1_000_000])
@pytest.mark.mostly_slow("7", "1000000")
def test_cells_are_those_that_pandas_makes(rows: int) -> None:
    found = sf.Model("y ~ x + kind + (1 | gene)", scanned(table(), rows=rows)).data
    wanted = grouped(table(), ["x", "kind", "gene"])
    assert list(found["kind"]) == list(wanted["kind"])
    assert list(found["gene"]) == list(wanted["gene"])
    for name in ("x", "y", "(rows)", "(within y)"):
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-12)  # a few sums of numbers of order one


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([0.0, 1.5, np.nan]), st.floats(-9, 9)), min_size=1),
    st.integers(1, 5),
)
@pytest.mark.slow
def test_any_rows_in_any_pieces_keep_count_mean_and_squares(found: list[tuple[str, float, float]], rows: int) -> None:
    frame = pd.DataFrame(found, columns=["g", "x", "y"])
    merged = scans.read_merged(scanned(frame, rows=rows), "y", ["y", "g", "x"])
    wanted = grouped(frame, ["g", "x"])
    assert merged["(rows)"].tolist() == wanted["(rows)"].tolist()
    np.testing.assert_array_equal(merged["x"], wanted["x"])
    np.testing.assert_allclose(merged["y"], wanted["y"], atol=1e-12)
    np.testing.assert_allclose(merged["(within y)"], wanted["(within y)"].fillna(0), atol=1e-10)


def test_squares_keep_their_digits_far_from_zero() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": 1e6 + 1e-3 * rng.normal(size=300), "g": np.tile(["a", "b"], 150)})
    found = sf.Model("y ~ (1 | g)", scanned(frame, rows=11)).data.set_index("g")["(within y)"]
    for level, values in frame.groupby("g")["y"]:
        exact = [Fraction(value) for value in values]
        mean = sum(exact) / len(exact)
        # 1e6 is known to 1e-10, a ten millionth of the SD. Sums of squares about zero would have lost all digits.
        assert found[level] == pytest.approx(float(sum((value - mean) ** 2 for value in exact)), rel=1e-9)


@pytest.mark.slow
def test_only_merged_rows_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    merge = cells.merged

    def watched(parts: list[Any], keys: list[str]) -> pd.DataFrame:
        held.append(sum(map(len, parts)))
        return merge(parts, keys)

    monkeypatch.setattr(cells, "merged", watched)
    frame = pd.DataFrame({"y": np.arange(10_000.0), "g": np.tile([f"g{i}" for i in range(50)], 200)})
    assert len(sf.Model("y ~ (1 | g)", scanned(frame, rows=100)).data) == 50
    assert max(held) <= 150 < len(held) * 2


MODELS = ["y ~ x + kind + (1 | gene)", "y ~ many + (1 + x | gene/guide)", "y ~ 0 + kind + (0 + kind | gene)"]


@pytest.mark.parametrize("formula", MODELS)
@pytest.mark.parametrize("priors", ["weak", "bambi", "rstanarm"])
@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.mostly_slow(every=4)
def test_a_model_has_the_priors_and_findings_of_single_rows(formula: str, priors: str, weights: str | None) -> None:
    merged = sf.Model(formula, scanned(table()), priors=priors, weights=weights)
    single = sf.Model(formula, table(), priors=priors, weights=weights)
    assert len(merged.data) < 400
    for one, other in zip(merged.slots, single.slots, strict=True):
        assert one.slot == other.slot
        numbers(one.prior, other.prior)
    assert [finding.code for finding in merged.findings] == [finding.code for finding in single.findings]


def numbers(one: Any, other: Any) -> None:
    assert one.name == other.name
    for name, value in one.parameters.items():
        if hasattr(value, "parameters"):
            numbers(value, other.parameters[name])
        else:
            np.testing.assert_allclose(value, other.parameters[name], rtol=1e-12, atol=1e-12)


def test_a_model_says_how_many_rows_became_one() -> None:
    text = repr(sf.Model("y ~ (1 | gene)", scanned(table())))
    assert "Rows: 400, merged into 9" in text
    assert "Rows in a level: 400" not in text
    assert str(table()["gene"].value_counts().max()) in text
    assert repr(scanned(table())).startswith("Scan of a pyarrow Dataset, rows merged: y, x")


def test_missing_values_are_counted_by_rows() -> None:
    frame = table()
    frame.loc[[3, 4, 100], "y"] = np.nan
    frame.loc[[4, 7], "kind"] = None
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ kind + (1 | gene)", scanned(frame))
    assert caught.value.problem == "4 of 400 rows have missing values, in 'y' (3), 'kind' (2)."
    model = sf.Model("y ~ kind + (1 | gene)", scanned(frame), missing="drop")
    single = sf.Model("y ~ kind + (1 | gene)", frame, missing="drop")
    assert model.n_dropped == single.n_dropped == 4
    one, other = (sf.fit(each, method="ml").log_likelihood for each in (model, single))
    assert one == pytest.approx(other, abs=1e-9)


@pytest.mark.slow
def test_merged_rows_are_saved_changed_and_fitted_again(tmp_path: Path) -> None:
    fit = sf.fit(sf.Model("y ~ x + kind + (1 | gene)", scanned(table())), **SHORT)
    loaded = sf.load(sf.save(fit, tmp_path / "merged.fit"))
    assert sf.nobs(loaded) == sf.nobs(fit) == 400
    again = sf.fit(loaded.model, **SHORT).idata["posterior"].to_dataset()
    assert again.equals(fit.idata["posterior"].to_dataset())
    assert "observed_data" not in fit.idata.children
    smaller = sf.update(fit.model, ". ~ . - x")
    tests = sf.anova(*(sf.fit(model, method="ml") for model in (smaller, fit.model))).table
    frame = table()
    single = [sf.lmer(f"y ~ {part} + (1 | gene)", frame, method="ml") for part in ("kind", "x + kind")]
    np.testing.assert_allclose(tests, sf.anova(*single).table, rtol=1e-9)
    assert sf.Model("y ~ .", fit.model.data).design.mean.X.shape == (len(fit.model.data), 1 + 1 + 2 + 8)


def test_rows_of_levels_are_counted_before_merging() -> None:
    layout = sf.datasets.screen_design(genes=6, guides_per_gene=2, cell_lines=3, replicates=4)
    known = {"Intercept": 0.2, "1|gene_sigma": 0.6, "sigma": 0.5}
    data, truth = sf.simulate("log_fc ~ (1 | gene)", layout, known, random_seed=1)
    merged, single = (sf.lmer("log_fc ~ (1 | gene)", one, **SHORT) for one in (scanned(data), data))
    pd.testing.assert_frame_equal(sf.recover(merged, truth).groups, sf.recover(single, truth).groups, rtol=1e-8)
    from speclet_formula.reporting.plots.effects import shrinkage

    pd.testing.assert_frame_equal(shrinkage(merged), shrinkage(single), rtol=1e-8)


ROWS = (
    "Merged rows hold all that estimates, group effects, likelihoods and tests of nested models need.",
    "Read the table without merge=True, or only some of it.",
)


@pytest.mark.parametrize(
    ("verb", "name"),
    [
        (sf.loo, "loo()"),
        (lambda fit: sf.kfold(fit, group="gene"), "kfold()"),
        (lambda fit: sf.compare({"a": fit, "b": fit}), "compare()"),
        (sf.residuals, "residuals()"),
        (sf.augment, "augment()"),
        (sf.simulate, "simulate()"),
        (sf.log_likelihood, "log_likelihood()"),
        (sf.posterior_predictive, "posterior_predictive()"),
        (lambda fit: sf.prior_predictive(fit.model), "prior_predictive()"),
        (sf.sensitivity, "the log-likelihood of each observation"),
        (lambda fit: sf.refit(fit, np.zeros(9)), "refit()"),
        (lambda fit: sf.to_bambi(fit.model), "Bambi, and with it method='nuts',"),
    ],
)
@pytest.mark.mostly_slow(every=4)
def test_what_looks_at_single_rows_is_refused(verb: Callable[[Any], Any], name: str) -> None:
    fit = sf.lmer("y ~ (1 | gene)", scanned(table()), **SHORT)
    with pytest.raises(sf.DataError) as caught:
        verb(fit)
    said = caught.value
    assert said.problem == f"{name} needs each row by itself, and this model's 400 rows are merged into 9."
    assert (said.allowed, said.remedy) == ROWS


def lazy(expression: Any) -> Any:
    return sf.scan(pl.from_pandas(table()).lazy().with_columns(expression), merge=True)


COLUMN_FIRST = "Compute the column first, such as polars.scan_parquet(path).with_columns(...), and scan that."
MEANS = "Rows are merged into the mean of a column, which is not what the mean of its values would become."
ONE_SIGMA = "A count, a mean and a sum of squares say everything of rows with one mean and one residual SD alone."
EACH_ROW = "Functions that treat each row alone give merged rows what they gave the single ones."


@pytest.mark.parametrize(
    ("asked", "problem", "allowed", "remedy"),
    [
        (
            lambda: sf.Model("exp(y) ~ x", scanned(table())),
            "the response 'exp(y)' is computed, and the rows of the table are to be merged.",
            MEANS,
            COLUMN_FIRST,
        ),
        (
            lambda: sf.Model("y ~ x", scanned(table()), weights=np.ones(400)),
            "weights= is an array, and the rows of the table are to be merged.",
            "Rows are merged where their weights agree, which are a column for that.",
            "Name the weights' column.",
        ),
        (
            lambda: sf.Model("gene ~ x", scanned(table())),
            "the response 'gene' holds labels, not numbers.",
            "Rows are merged into the mean of a numeric response.",
            "Convert the column to numbers, or check that it is the one that was meant.",
        ),
        (
            lambda: sf.Model("y ~ x", lazy(pl.datetime(2026, 1, 1).alias("y"))),
            "the response 'y' holds values of type datetime64[us], not numbers.",
            "Rows are merged into the mean of a numeric response.",
            "Convert the column to numbers, or check that it is the one that was meant.",
        ),
        (
            lambda: sf.Model("y ~ x", lazy(pl.when(pl.col("x") == 9).then(0.0).otherwise(np.inf).alias("y"))),
            "column 'y' has infinite values, the first in row 0.",
            "Numbers must be finite.",
            "Often a log of zero: add a pseudo-count before the log, or drop those rows.",
        ),
        (
            lambda: sf.Model("y ~ x", scanned(table()), family="t"),
            "the rows of the table are merged, and the model is not gaussian with the identity link.",
            ONE_SIGMA,
            "Read the table without merge=True.",
        ),
        (
            lambda: sf.Model(["y ~ x", "sigma ~ kind"], scanned(table())),
            "the rows of the table are merged, and 'sigma' has a formula of its own.",
            ONE_SIGMA,
            "Read the table without merge=True.",
        ),
        (
            lambda: sf.Model("y ~ log1p(scale(x)) + (1 | gene)", scanned(table())),
            "'scale(x)' would learn from the merged rows, not from the single ones.",
            EACH_ROW,
            COLUMN_FIRST,
        ),
        (
            lambda: sf.Model("y ~ (0 + own(x) | gene)", scanned(table()), functions={"own": np.exp}),
            "'own(x)' would learn from the merged rows, not from the single ones.",
            EACH_ROW,
            COLUMN_FIRST,
        ),
        (
            lambda: sf.Model("x ~ kind", sf.Model("y ~ x + kind", scanned(table())).data),
            "the rows of the table are merged into the means of 'y', and the response is 'x'.",
            "'(rows)' and '(within y)' belong to the response 'y'.",
            "Write y ~ ..., or read the table again for 'x'.",
        ),
        (
            lambda: sf.fit_by("y ~ (1 | gene)", scanned(table()), by="kind"),
            "a pyarrow Dataset is to be read whole, and its rows are to be merged.",
            "Rows are merged where they agree in the columns of a model's formula.",
            "Hand sf.scan(..., merge=True) to Model or lmer; leave merge= out for all else.",
        ),
        (
            lambda: sf.Model("y ~ x", scanned(table()), priors="brms"),
            "the preset 'brms' takes the median of the response, which rows that are merged have lost.",
            "The presets 'weak', 'bambi', 'rstanarm' and 'notebook' serve merged rows.",
            "Leave priors= out for 'weak'.",
        ),
        (
            lambda: sf.anova(
                *(sf.lmer(text, scanned(table()), method="ml") for text in ("y ~ 1 + (1 | gene)", "y ~ x + (1 | gene)"))
            ),
            "'y ~ 1 + (1 | gene)' has 9 rows, 'y ~ 1 + x + (1 | gene)' has 36.",
            "Models are compared on the same rows.",
            "Fit the smaller model to the larger one's merged rows: data=larger.model.data.",
        ),
    ],
)
def test_words(asked: Callable[[], Any], problem: str, allowed: str, remedy: str) -> None:
    with pytest.raises(sf.SpecletError) as caught:
        asked()
    assert (caught.value.problem, caught.value.allowed, caught.value.remedy) == (problem, allowed, remedy)


@pytest.mark.parametrize(
    "drawn",
    [
        lambda data: sf.simulate("y ~ 1", data, {"Intercept": 0.0, "sigma": 1.0}),
        lambda data: sf.study("y ~ 1", data, {"Intercept": 0.0, "sigma": 1.0}, nsim=2),
        lambda data: sf.calibrate("y ~ (1 | gene)", data, nsim=2),
    ],
)
def test_no_response_is_drawn_for_merged_rows(drawn: Callable[[pd.DataFrame], Any]) -> None:
    with pytest.raises(sf.DataError) as caught:
        drawn(sf.Model("y ~ (1 | gene)", scanned(table())).data)
    said = caught.value
    assert said.problem == "the 400 rows of the table are merged into 9, and responses are to be drawn."
    assert (said.allowed, said.remedy) == (
        "A response is drawn for each row by itself.",
        "Hand over the table of the single rows.",
    )


def test_a_stray_cell_of_a_response_is_named(tmp_path):
    text = "y,g\n" + "".join(f"{i / 4},{i % 3}\n" for i in range(20)) + "n/a.,1\n"
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(sf.DataError) as caught:
        sf.Model("y ~ g", sf.scan(tmp_path / "d.csv", merge=True))
    assert caught.value.problem == (
        "the response 'y' is text, but of the rows that were read 20 of its 21 values are numbers; row 20 has 'n/a.'."
    )
