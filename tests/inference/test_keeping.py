"""Draws of the group effects that were asked for: the same numbers, and words for those that are not there."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import EstimateError

FORMULA = "y ~ 1 + x + (1 + x | gene) + (1 | gene:guide) + (1 | line)"
NOT_KEPT = "the fit kept no draws of '1|gene:guide'."


def table() -> pd.DataFrame:
    """Six genes with two guides each in eight lines: effects that are found soon, fits of less than a second."""
    rng = np.random.default_rng(4)
    gene, guide, line = (part.ravel() for part in np.meshgrid(range(6), range(2), range(8), indexing="ij"))
    x = rng.normal(size=96)
    y = rng.normal(size=6)[gene] + 0.7 * rng.normal(size=6)[gene] * x + 0.7 * rng.normal(size=12)[2 * gene + guide]
    y += rng.normal(size=8)[line] + rng.normal(0, 0.5, 96)
    labels = {"gene": [f"g{i}" for i in gene], "guide": [f"s{i}" for i in guide], "line": [f"l{i}" for i in line]}
    return pd.DataFrame({"y": y, "x": x, **labels})


@pytest.fixture(scope="module")
def model() -> sf.Model:
    return sf.Model(FORMULA, table())


def fitted(model: sf.Model, **more: Any) -> sf.Fit:
    return sf.fit(model, draws=50, chains=2, cores=1, random_seed=3, progress=False, **more)


@pytest.fixture(scope="module")
def whole(model: sf.Model) -> sf.Fit:
    return fitted(model)


@pytest.fixture(scope="module")
def part(model: sf.Model) -> sf.Fit:
    return fitted(model, keep=("line", "gene"))


def test_kept_draws_are_those_of_the_whole_fit(whole: sf.Fit, part: sf.Fit) -> None:
    kept = part.idata["posterior"]
    left_out = {"1|gene:guide"}
    assert set(kept.data_vars) == set(whole.idata["posterior"].data_vars) - left_out
    assert "gene:guide__factor_dim" not in kept.coords
    for name in kept.data_vars:
        np.testing.assert_array_equal(kept[name].values, whole.idata["posterior"][name].values)


@pytest.mark.parametrize("keep", ["gene", ("gene",), ["gene"]])
@pytest.mark.mostly_slow("gene")
def test_one_factor_can_be_named_by_itself(model: sf.Model, keep: Any) -> None:
    posterior = fitted(model, keep=keep).idata["posterior"]
    assert {"1|gene", "x|gene"} <= set(posterior.data_vars)
    assert "1|line" not in posterior


@pytest.mark.slow
def test_many_coefficients_are_kept_as_few_are() -> None:
    """60 genes with their sgRNAs are too many for whole matrices: the sparse algebra draws."""
    data, _ = sf.datasets.m7()
    wider = pd.concat([data.assign(gene=data["gene"] + f"_{k}") for k in range(6)], ignore_index=True)
    model = sf.Model("log_fc ~ (1 | gene/sgRNA) + (1 | cell_line)", wider)
    whole, part = fitted(model), fitted(model, keep="gene")
    np.testing.assert_array_equal(part.idata["posterior"]["1|gene"].values, whole.idata["posterior"]["1|gene"].values)
    assert "1|gene:sgRNA" not in part.idata["posterior"]


def test_nothing_kept_leaves_fixed_effects_and_variances(model: sf.Model) -> None:
    fit = fitted(model, keep=())
    assert not {"1|gene", "x|gene", "1|line"} & set(fit.idata["posterior"].data_vars)
    assert sf.ranef(fit).empty
    assert len(sf.varcorr(fit)) == 6  # five SDs and a correlation
    assert "1|gene[" not in repr(fit)  # not even in what its diagnostics name


@pytest.mark.slow
def test_a_group_mean_is_added_to_kept_effects() -> None:
    priors = {"1|line_mu": sf.Prior("Normal", mu=0, sigma=1)}
    model = sf.Model("y ~ 0 + (1 | gene) + (1 | line)", table(), priors=priors)
    whole, part = fitted(model), fitted(model, keep="line")
    for name in ("1|line", "1|line_mu"):
        np.testing.assert_array_equal(part.idata["posterior"][name].values, whole.idata["posterior"][name].values)
    rest = fitted(model, keep="gene").idata["posterior"]
    np.testing.assert_array_equal(rest["1|line_mu"].values, whole.idata["posterior"]["1|line_mu"].values)


def test_summaries_have_what_was_kept(whole: sf.Fit, part: sf.Fit) -> None:
    full = sf.ranef(whole).query("grpvar != 'gene:guide'").reset_index(drop=True)
    pd.testing.assert_frame_equal(sf.ranef(part).reset_index(drop=True), full)
    assert set(sf.coef(part)["grpvar"]) == {"gene", "line"}
    pd.testing.assert_frame_equal(sf.varcorr(part), sf.varcorr(whole))
    assert repr(part).splitlines()[2:] != []


@pytest.mark.slow
def test_the_integrated_estimate_needs_no_effects(whole: sf.Fit, part: sf.Fit) -> None:
    assert sf.loo(part).elpd == pytest.approx(sf.loo(whole).elpd, abs=0.2)  # the tail's length follows the effects' ESS


def test_a_saved_fit_holds_what_was_kept(part: sf.Fit, tmp_path: Path) -> None:
    again = sf.load(sf.save(part, tmp_path / "part.fit"))
    assert again.idata.identical(part.idata)
    with pytest.raises(EstimateError, match="kept no draws"):
        sf.fitted(again)


@pytest.mark.parametrize("ask", [sf.fitted, sf.log_likelihood])
def test_what_needs_the_others_says_so(part: sf.Fit, ask: Any) -> None:
    with pytest.raises(EstimateError) as caught:
        ask(part)
    assert (caught.value.problem, caught.value.allowed, caught.value.remedy) == (
        NOT_KEPT,
        "It kept: 1|gene, x|gene, 1|line.",
        "Fit the model again with keep=('gene', 'gene:guide', 'line'), or leave keep= out to keep all.",
    )


def test_recovery_needs_the_effects_that_it_compares(part: sf.Fit) -> None:
    genes = pd.Series(0.0, index=[f"g{i}:s{j}" for i in range(6) for j in range(2)])
    with pytest.raises(EstimateError, match="kept no draws"):
        sf.recover(part, {"1|gene:guide": genes})


@pytest.mark.parametrize(
    ("keep", "remedy"), [("genes", "Nearest: gene."), ("zzz", "Leave keep= out to keep all group effects.")]
)
def test_a_name_that_is_no_grouping_factor(model: sf.Model, keep: str, remedy: str) -> None:
    with pytest.raises(sf.SamplingError) as caught:
        fitted(model, keep=keep)
    assert (caught.value.problem, caught.value.allowed, caught.value.remedy) == (
        f"keep names '{keep}', which is not a grouping factor of this model.",
        "Grouping factors: gene, gene:guide, line.",
        remedy,
    )
