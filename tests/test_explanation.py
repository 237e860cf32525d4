"""What a formula is said to mean."""

import pandas as pd

import speclet_formula as sf


def test_explain_gives_words_equation_and_spellings() -> None:
    explained = sf.explain("y ~ x + (x | g)")
    assert "each g has its own intercept and effect of x" in explained.words
    assert "yᵢ ~ Normal(μᵢ, σ)" in explained.equation
    assert list(explained.spellings) == ["lme4", "brms", "bambi"]
    assert explained.spellings["lme4"] == "y ~ 1 + x + (1 + x | g)"
    assert explained.model == ""


def test_with_data_the_model_is_described_too() -> None:
    table = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0], "g": ["a", "a", "<b>", "<b>"]})
    explained = sf.explain("y ~ (1 | g)", table)
    assert repr(explained).endswith(repr(sf.Model("y ~ (1 | g)", table)))
    assert "<b>" not in explained._repr_html_()
