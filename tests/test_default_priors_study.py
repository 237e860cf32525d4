"""The study behind the page on default priors: its table is the page's, its intervals are the exact engine's."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from benchmarks import default_priors as study

ROOT = Path(__file__).resolve().parents[1]
RECORD = json.loads((ROOT / "benchmarks" / "results" / "default_priors.json").read_text(encoding="utf-8"))
NOW = next(candidate for candidate in study.CANDIDATES if candidate.name == "HalfCauchy(2 SD y), 10")


def test_the_page_shows_the_table_that_the_study_wrote():
    page = (ROOT / "docs" / "explanation" / "default-priors.md").read_text(encoding="utf-8")
    assert RECORD["data_sets"] >= 500
    assert study.table(RECORD["cells"]) in page


def test_the_default_covers_few_levels():
    cells = [cell for cell in RECORD["cells"] if cell["prior"] == NOW.name]
    assert len(cells) == len(study.LEVELS) * len(study.TRUE_SDS)
    hardest = (3, 10.0)  # levels, true SD: no prior that ends within reach covers more, see the page
    for cell in cells:
        lowest = 0.83 if (cell["levels"], cell["true_sd"]) == hardest else 0.87
        assert cell["sd"] >= lowest
        assert cell["intercept"] >= 0.87


@pytest.mark.parametrize(("levels", "true_sd"), [(3, 10.0), (10, 0.5)])
@pytest.mark.slow
def test_a_run_of_the_study_finds_the_recorded_coverage(levels, true_sd):
    """With another seed: 5 standard errors of 300 and of 2,000 data sets (one in a million)."""
    data = study.measure(study.draw_responses(levels, true_sd, 300, seed=7))
    found = study.judge(data, NOW, true_sd)
    (known,) = [c for c in RECORD["cells"] if (c["levels"], c["true_sd"], c["prior"]) == (levels, true_sd, NOW.name)]
    for name in ("sd", "intercept"):
        share = known[name]
        assert abs(found[name] - share) < 5 * np.sqrt(share * (1 - share) * (1 / 300 + 1 / RECORD["data_sets"]))


@pytest.mark.parametrize("levels", [3, 10])
@pytest.mark.mostly_slow("3")
def test_the_exact_engine_has_the_intervals_of_the_grid(levels):
    """By the shares of draws below values that the grid gives 5, 50 and 95 %: 0.03 is 4.5 standard errors at 50 %.

    The draws are 4,000, nearly independent: 0.008 with 3,500 effective ones.
    """
    responses = study.draw_responses(levels, 1.0, 3, seed=3)
    for own in responses:
        frame = pd.DataFrame({"y": own.ravel(), "g": np.repeat([f"g{i}" for i in range(levels)], study.ROWS)})
        fit = sf.lmer("y ~ (1 | g)", frame, random_seed=1, progress=False)
        draws = fit.idata["posterior"]["1|g_sigma"].to_numpy().ravel()
        data = study.measure(own[None])
        below = [study.judge(data, NOW, float(np.quantile(draws, share)))["below"] for share in (0.05, 0.5, 0.95)]
        np.testing.assert_allclose(below, [0.05, 0.5, 0.95], atol=0.04)
