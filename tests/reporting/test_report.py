"""The report is one file that holds its policy, says verdicts first, escapes names, and suits a phone and a reader."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.common.engines import BY_NAME
from speclet_formula.errors import DataError
from speclet_formula.posterior.diagnostics import diagnose
from speclet_formula.posterior.summary import lay_out
from tests.fakes import correlated_fit, crossed_fit, fake_fit, screen_data, sleepstudy_data

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def counts():
    return screen_data().assign(n=np.random.default_rng(1).poisson(3.0, len(screen_data())))


SCRIPT = "<script>alert(1)</script>"  # a level of tests/fakes.screen_data
VOID = {"meta", "link", "img", "br"}
# Another page that opens the report in a frame of a given width and writes what it finds into its own title.
PROBE = """<!DOCTYPE html><title>waiting</title><body style="margin:0"><iframe id="f" src="report.html"
style="border:0;width:{width}px;height:3000px"></iframe><script>
document.getElementById("f").onload = function () {{
  const page = this.contentDocument, root = page.documentElement, images = [...page.images];
  const wide = [...page.querySelectorAll("body *")].filter(
    (e) => e.getBoundingClientRect().right > {width} + 1 && !e.closest(".box, pre, .skip"));
  document.title = "found " + JSON.stringify({{
    width: root.clientWidth, scroll: root.scrollWidth, images: images.length,
    loaded: images.filter((i) => i.complete && i.naturalWidth > 0).length, wide: wide.map((e) => e.tagName),
    scripts: page.scripts.length, cells: [...page.querySelectorAll("tbody th")].map((e) => e.textContent),
    fetched: this.contentWindow.performance.getEntriesByType("resource").map((e) => e.name)
      .filter((name) => !name.startsWith("data:")),
  }});
}};</script>"""


class Reader(HTMLParser):
    """Collects what the tests look at, and whether tags are closed in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.crossed, self.texts = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.crossed.append(tag)

    def handle_data(self, data):
        self.texts.append(data)

    def named(self, *tags):
        return [attributes for tag, attributes in self.tags if tag in tags]


@cache
def fit():
    return crossed_fit()


@cache
def truth():
    levels = fit().model.design.mean.groups[0].levels
    return {"Intercept": -1.0, "1|gene_sigma": 0.4, "1|gene": {level: 0.1 * n for n, level in enumerate(levels)}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    fits = {"one": fit(), "two": crossed_fit(seed=2)}
    sf.report(fits, folder / "report.html", truth=truth(), comparison=sf.compare(fits), random_seed=1)
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def reader(text):
    return Reader(text)


def test_the_policy_forbids_scripts_and_requests(text, reader):
    policy = next(a["content"] for a in reader.named("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not reader.named("script", "iframe", "object")
    assert all(a["href"].startswith(("#", "data:")) for a in reader.named("a", "link"))
    assert all(a["src"].startswith("data:image/png;base64,") for a in reader.named("img"))
    assert not re.search(r"url\(|@import|https?://", text)


def test_tags_are_closed_and_ids_are_unique(reader):
    assert reader.crossed == []
    assert reader.open == []
    ids = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(ids) == len(set(ids))
    referred = [a["aria-labelledby"] for _, a in reader.tags if "aria-labelledby" in a]
    assert set(referred) <= set(ids)
    assert {a["href"][1:] for a in reader.named("a")} <= set(ids)


def test_a_screen_reader_finds_its_way(reader):
    assert reader.named("html") == [{"lang": "en"}]
    assert [len(reader.named(tag)) for tag in ("header", "nav", "main", "footer", "h1")] == [1] * 5
    levels = [int(tag[1]) for tag, _ in reader.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert len(reader.named("caption")) == len(reader.named("table")) > 5
    assert all(a.get("scope") in ("row", "col", "colgroup") for a in reader.named("th"))
    panels = [a["aria-label"] for a in reader.named("div") if a.get("role") == "img"]  # of several images
    described = [*panels, *(a["alt"] for a in reader.named("img") if a["alt"])]
    assert all(re.search(r"\d", text) for text in described)
    assert len(panels) > 1
    assert len(reader.named("img")) > 8


def test_names_are_shown_as_text(text, reader):
    assert "<script" not in text
    assert SCRIPT in reader.texts


def test_the_report_tells_the_frames_numbers(reader):
    told = " ".join(reader.texts)
    best = sf.fixef(fit()).iloc[0]
    for piece in (
        f"{best['estimate']:.4f}",
        "log_fcᵢ ~ Normal(μᵢ, σ)",
        "Findings about the design",
        "Comparison by leave-one-out",
        "Parameters beside the truth",
        "HalfStudentT(nu=4",
        "Random seed",
        "Python 3",
        "12.3 seconds",
    ):
        assert piece in told


@pytest.mark.slow
def test_what_did_not_converge_is_said_first(tmp_path):
    bad = crossed_fit()
    bad.idata["posterior"]["1|gene_sigma"][0] += 3  # a chain that found other places
    bad = replace(bad, diagnostics=diagnose(bad.idata))
    assert bad.diagnostics.verdict == "failed"
    told = sf.report({"good": fit(), "bad": bad}, tmp_path / "r.html").read_text(encoding="utf-8")
    main = told[told.index("<main") :]
    assert re.search(
        r"<h2[^>]*>In short</h2>\s*<div class=\"verdict failed\">\s*<p><strong>bad: failed\.</strong>", main
    )
    assert "What to do:" in main
    assert main.index("verdict failed") < main.index("verdict converged")


@pytest.mark.slow
def test_a_single_fit_without_truth_is_short(tmp_path):
    told = sf.report(correlated_fit(), tmp_path / "new" / "r.html", title="A & B").read_text(encoding="utf-8")
    assert "<h1>A &amp; B</h1>" in told
    assert "beside the truth" not in told
    assert "Subject (Days)" in told


@pytest.mark.parametrize(
    ("make", "method"),
    [
        (lambda: sf.lmer("Reaction ~ Days + (Days|Subject)", sleepstudy_data(), method="reml"), "REML"),
        (lambda: sf.glmer("n ~ (1|gene)", counts(), family="poisson", method="laplace"), "Laplace"),
    ],
)
@pytest.mark.mostly_slow(every=2)
def test_a_fit_without_draws_has_a_report_that_says_what_is_left_out(tmp_path, make, method):
    fit = make()
    told = sf.report(fit, tmp_path / "r.html", truth={"Intercept": 0.0}).read_text(encoding="utf-8")
    reader, words = Reader(told), " ".join(Reader(told).texts)
    assert reader.open == reader.crossed == []
    pieces = (
        fit.sentence, "What is left out", f"A fit by {BY_NAME[fit.method].title} has no draws",
        f"{sf.fixef(fit)['estimate'].iloc[0]:.2f}", "Does the model make such data?", "In short", "Effects on",
        "in brackets the 95%", f"method='{fit.method}'",
    )  # fmt: skip
    for piece in pieces:
        assert piece in words
    assert method in words
    assert len(reader.named("img")) > 7  # fixed effects, SDs, effects of each term, panels of checks
    assert "Priors" not in words
    assert "Random seed" not in words


@pytest.mark.slow
def test_a_fit_is_laid_out_once(tmp_path, monkeypatch):
    laid_out = []
    monkeypatch.setattr("speclet_formula.posterior.fit.lay_out", lambda fit: laid_out.append(fit) or lay_out(fit))
    sf.report(fit(), tmp_path / "r.html")
    assert len(laid_out) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda path: sf.report({}, path),
            "there is no fit to report.\nA report is of one fit or of several by name.\nHand over a fit.",
        ),
        (
            lambda path: sf.report({"a": sf.Model("Reaction ~ Days", sleepstudy_data())}, path),
            "'a' is a Model.\nA report is of what sf.fit, sf.lmer or sf.glmer returned.\n"
            "Hand over that fit; render_table sets the tables of other results.",
        ),
        (
            lambda path: sf.report({"a": fit()}, path, comparison=sf.compare({"a": fit(), "b": crossed_fit(seed=2)})),
            "the comparison has 'b', which is not among the fits.\nThe fits: 'a'.\n"
            "Compare the same fits under the same names: compare(fits).",
        ),
        (
            lambda path: sf.report(fit(), path.parent),
            "cannot be written: Is a directory.\nA report is a file in a folder that can be written to.\n"
            "Choose another name.",
        ),
    ],
)
def test_what_cannot_be_reported(tmp_path, call, message):
    with pytest.raises(DataError) as caught:
        call(tmp_path / "r.html")
    assert str(caught.value).endswith(message)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.mostly_slow("390")
def test_in_a_browser(folder, width):
    (folder / "probe.html").write_text(PROBE.format(width=width), encoding="utf-8")
    shown = subprocess.run(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--allow-file-access-from-files",
            "--enable-logging=stderr", "--v=0", f"--user-data-dir={folder / 'profile'}", "--window-size=1300,3000",
            "--virtual-time-budget=10000", "--dump-dom", (folder / "probe.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    titled = re.search(r"<title>found (.*?)</title>", shown.stdout)
    assert titled, shown.stdout[:300]
    found = json.loads(titled[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
    assert found["width"] == width
    assert found["scroll"] == width  # nothing to scroll sideways
    assert found["wide"] == []
    assert found["images"] == found["loaded"] > 8
    assert found["scripts"] == 0
    assert found["fetched"] == []
    assert SCRIPT in found["cells"]
    assert ":CONSOLE" not in shown.stderr


def ordered_rows():
    rng = np.random.default_rng(4)
    group, x = np.repeat(np.arange(8), 15), rng.normal(size=120)
    latent = x + rng.normal(size=8)[group] + rng.logistic(size=120)
    grade = pd.Categorical.from_codes(np.digitize(latent, [-1, 1]), ["lo", "mid", "hi"], ordered=True)
    return pd.DataFrame(
        {"grade": grade, "x": x, "f": np.tile(["a", "b", "c"], 40), "g": [f"g{code}" for code in group]}
    )


def test_a_report_of_ordered_levels_names_them_and_says_what_the_data_say(tmp_path):
    data = ordered_rows()
    model = sf.Model("grade ~ x + f + (1 | g)", data, family="cumulative")
    fit = fake_fit(model, {"threshold": np.array([-1.0, 1.0])})
    text = sf.report(fit, tmp_path / "ordered.html", random_seed=1).read_text()
    seen = ", ".join(f"{level} ({count})" for level, count in data["grade"].value_counts(sort=False).items())
    assert f"grade: 3 ordered levels (rows of each): {seen}" in text
    assert "an intercept, shared by all rows" not in text
    assert "thresholds: one between each two levels of the response" in text
    assert "x: its slope, the change by one unit; from " in text
    assert "f: a factor of 3 levels: the difference of b, c from a, the first." in text
    headings = set(re.findall(r"<h[23][^>]*>([^<]*)</h[23]>", text))
    captions = set(re.findall(r"<caption[^>]*>([^<]*)</caption>", text))
    assert headings
    assert captions
    assert not {heading.lower() for heading in headings} & {caption.lower() for caption in captions}


def test_it_starts_with_the_answer_and_raises_what_is_amiss(tmp_path):
    """Counts with an excess of zeros: first come the estimates with their intervals, then what the checks found."""
    rng, group = np.random.default_rng(3), np.repeat(np.arange(15), 20)
    data = pd.DataFrame({"n": np.where(rng.random(300) < 0.4, 0, rng.poisson(5, 300)), "g": group.astype(str)})
    fit = sf.glmer("n ~ 1 + (1|g)", data, family="poisson", method="laplace")
    told = sf.report(fit, tmp_path / "r.html", random_seed=1).read_text(encoding="utf-8")
    first = " ".join(Reader(told[told.index('id="summary"') : told.index('id="data"')]).texts)
    fixed = sf.fixef(fit).iloc[0]
    for number in (fixed["estimate"], fixed["conf_low"], fixed["conf_high"]):
        assert f"{number:.3f}" in first
    assert "Zeros. Doubtful: there are more zeros than the model makes" in first
    assert "share of zeros" in first


def test_what_is_right_is_said_to_be(tmp_path):
    rng, group = np.random.default_rng(8), np.repeat(np.arange(30), 10)
    data = pd.DataFrame({"y": rng.normal(size=30)[group] + rng.normal(size=300), "g": group.astype(str)})
    fit = sf.lmer("y ~ 1 + (1|g)", data, method="reml")
    told = sf.report(fit, tmp_path / "r.html", random_seed=1).read_text(encoding="utf-8")
    assert ("The checks found nothing amiss." in told) == (not sf.check_model(fit, random_seed=1).amiss)


def test_panels_of_a_wide_picture_are_pieces_that_hold_all_of_it():
    """Each piece is narrower than a phone; together they hold every dark pixel of the whole but its title."""
    import io

    from matplotlib.image import imread

    from speclet_formula.reporting.plots.picture import panel_images, png_bytes

    picture = sf.plot_residuals(sf.lmer("Reaction ~ Days + (1|Subject)", sleepstudy_data(), method="reml"))
    pieces, legends = panel_images(picture.figure)
    assert len(pieces) == 2
    assert legends == []
    dark = [int((imread(io.BytesIO(image))[..., :3] < 0.5).any(axis=2).sum()) for image in pieces]
    whole = int((imread(io.BytesIO(png_bytes(picture.figure)))[..., :3] < 0.5).any(axis=2).sum())
    assert sum(dark) == whole
    assert len(panel_images(sf.plot_fixed(crossed_fit()).figure)[0]) == 1
    panels, legends = panel_images(sf.plot_priors(crossed_fit()).figure)
    assert len(panels) == 5
    assert len(legends) == 1
