"""Names in signs that the usual font lacks are drawn by another, and what no font has is said."""

from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, FontProperties, findfont, fontManager, get_font

from speclet_formula.reporting.plots.picture import Picture, _families_of, png_bytes

HOOKED = "\u1d81"  # of the fonts that come with matplotlib STIX has it, and its usual one does not
UNASSIGNED = "\u0378"


def drawn(word):
    figure = Figure()
    axis = figure.subplots()
    axis.set_title(f"screen of {word}")
    axis.set_xticks([0, 1], ["plain", word])
    return axis, Picture(figure, "A picture.")


def has(text, sign):
    paths = (findfont(FontProperties(family=[family])) for family in text.get_fontfamily())
    return any(get_font(path).get_char_index(ord(sign)) for path in paths)


def test_another_font_has_what_the_usual_one_lacks():
    axis, picture = drawn(HOOKED)
    png_bytes(picture.figure)  # without matplotlib's warning of a missing glyph, which is an error here
    assert picture.alt == "A picture."
    for text in (axis.title, axis.get_xticklabels()[1]):
        assert has(text, HOOKED)
        assert has(text, "s")


def test_a_font_is_the_file_that_a_text_gets(monkeypatch):
    """Of two files of one name a text gets the upright one: that the other has a sign is of no use."""
    upright, slanted = (findfont(FontProperties(family=[name])) for name in ("DejaVu Sans", "STIXGeneral"))
    files = {"normal": upright, "italic": slanted}
    entries = [
        FontEntry(
            fname=file, name="AAA Sans", style=style, variant="normal", weight=400, stretch="normal", size="scalable"
        )
        for style, file in files.items()
    ]
    monkeypatch.setattr(fontManager, "ttflist", [*fontManager.ttflist, *entries])
    families, lacking = _families_of.__wrapped__(HOOKED)
    assert "AAA Sans" not in families
    assert not lacking


def test_what_no_font_has_is_said():
    _, picture = drawn(UNASSIGNED)
    assert picture.alt.startswith(f"A picture. No installed font has {UNASSIGNED}: ")


def test_usual_letters_keep_their_font():
    axis, _ = drawn("g\u00e8ne")
    assert axis.title.get_fontfamily() == Figure().text(0, 0, "").get_fontfamily()


def test_looking_for_a_font_tells_nothing(monkeypatch, caplog):
    """Where a name has no upright file of just the usual weight, matplotlib warns of the one that it takes."""
    file = findfont(FontProperties(family=["DejaVu Sans"]))
    entries = [
        FontEntry(
            fname=file, name="AAA Sans", style=style, variant="normal", weight=weight, stretch="normal", size="scalable"
        )
        for style, weight in (("normal", 380), ("italic", 400))
    ]
    monkeypatch.setattr(fontManager, "ttflist", [*fontManager.ttflist, *entries])
    _families_of.__wrapped__(HOOKED)
    assert not caplog.records
