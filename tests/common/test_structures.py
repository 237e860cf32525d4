"""Covariance structures in words."""

from speclet_formula.common.structures import HOM_BY_DEFAULT, WORDS, Structure


def test_words_and_what_a_formula_says():
    words = {(name, hom): Structure(name, hom=hom).word for name in HOM_BY_DEFAULT for hom in (True, False)}
    assert words == {
        ("diag", True): "homdiag", ("diag", False): "diag", ("cs", True): "homcs", ("cs", False): "cs",
        ("ar1", True): "ar1", ("ar1", False): "hetar1",
    }  # fmt: skip
    assert all(structure.word == word for word, structure in WORDS.items())
    assert [Structure("ar1", hom=hom).text for hom in (True, False)] == ["", ", hom = FALSE"]
    assert [Structure("cs", hom=hom).text for hom in (True, False)] == [", hom = TRUE", ""]
    counts = [Structure(name, hom=hom).parameters(4) for name in HOM_BY_DEFAULT for hom in (True, False)]
    assert counts == [1, 4, 2, 5, 2, 5]
