"""Pictures show each level where its numbers are, say what they show, and leave matplotlib's global state alone."""

import re
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib import rcParams
from matplotlib.image import imread

from speclet_formula.errors import DataError
from speclet_formula.recovery.recover import Recovery
from speclet_formula.reporting.plots.recovery import plot_intervals, plot_recovery, save_pictures

BLOCKS = (("gene", "Intercept", 10), ("gene:sgRNA", "Intercept", 55), ("cell_line", "Intercept", 20), ("gene", "x", 10))


def recovery_of(blocks=BLOCKS, formula="log_fc ~ (1 | gene/sgRNA)"):
    """A recovery whose first level of each block is missed."""
    rng = np.random.default_rng(1)
    levels, groups = [], []
    for group, term, n in blocks:
        truth = rng.normal(size=n)
        median = truth + rng.normal(0, 0.1, n)
        median[0] = truth[0] + 1
        frame = pd.DataFrame({"level": [f"{group}_{number}" for number in range(n)], "truth": truth, "median": median})
        frame = frame.assign(group=group, term=term, sd=0.2, lo=median - 0.4, hi=median + 0.4)
        levels.append(frame.assign(covered=(frame["lo"] <= truth) & (truth <= frame["hi"])))
        groups.append(
            {"group": group, "term": term, "n_levels": n, "coverage": 1 - 1 / n, "reliability": 0.8, "slope": 0.9}
        )
    return Recovery(
        formula,
        "converged",
        "All is well.",
        pd.DataFrame(),
        pd.DataFrame(groups),
        pd.concat(levels, ignore_index=True),
        (),
    )


@pytest.fixture(scope="module")
def recovery():
    return recovery_of()


@pytest.fixture(scope="module")
def empty():
    frame = pd.DataFrame()
    return Recovery("y ~ x", "converged", "All is well.", frame, frame, frame, ())


def test_recovery_has_one_panel_per_block(recovery):
    figure = plot_recovery(recovery).figure
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == ["gene", "gene:sgRNA", "cell_line", "gene (x)"]
    assert {axis.get_xlabel() for axis in shown} == {"true effect"}
    assert {axis.get_ylabel() for axis in shown} == {"estimate, 90 % interval"}


def test_panels_show_each_level_and_both_lines(recovery):
    axis = plot_recovery(recovery).figure.axes[0]
    levels = recovery.levels[(recovery.levels["group"] == "gene") & (recovery.levels["term"] == "Intercept")]
    points = {marks.get_label(): marks.get_offsets() for marks in axis.collections}
    np.testing.assert_allclose(points["covered"], levels.loc[levels["covered"], ["truth", "median"]])
    np.testing.assert_allclose(points["missed"], levels.loc[~levels["covered"], ["truth", "median"]])
    lines = {line.get_label(): line for line in axis.get_lines()}
    for label, slope in (("perfect", 1.0), ("shrunken", 0.8)):
        (x0, y0), (x1, y1) = lines[label].get_xydata()
        assert (y1 - y0) / (x1 - x0) == pytest.approx(slope)
        assert y0 == pytest.approx(slope * x0)


def test_recovery_is_described_panel_by_panel(recovery):
    assert plot_recovery(recovery).alt == (
        "Estimates against true effects for log_fc ~ (1 | gene/sgRNA). "
        "gene: 10 levels, 90 % of the intervals cover, slope 0.90. "
        "gene:sgRNA: 55 levels, 98 % of the intervals cover, slope 0.90. "
        "cell_line: 20 levels, 95 % of the intervals cover, slope 0.90. "
        "gene (x): 10 levels, 90 % of the intervals cover, slope 0.90."
    )


def test_intervals_are_sorted_and_labelled_in_the_datas_words(recovery):
    picture = plot_intervals(recovery, "cell_line")
    (axis,) = picture.figure.axes
    levels = recovery.levels[recovery.levels["group"] == "cell_line"].sort_values("median")
    assert [label.get_text() for label in axis.get_yticklabels()] == levels["level"].to_list()
    marks = {marks.get_label(): marks for marks in axis.collections}
    np.testing.assert_allclose(marks["median"].get_offsets()[:, 0], levels["median"])
    np.testing.assert_allclose(marks["truth"].get_offsets()[:, 0], levels["truth"])
    assert axis.get_ylabel() == "cell_line"
    assert picture.alt == (
        "90 % intervals of 20 levels of cell_line, sorted by the estimate, with the true effects. "
        "1 miss the truth: 'cell_line_0'."
    )


def test_labels_of_many_levels_are_counted_instead(recovery):
    (axis,) = plot_intervals(recovery, "gene:sgRNA").figure.axes
    assert list(axis.get_yticks()) == []
    assert axis.get_ylabel() == "gene:sgRNA (55 levels, sorted)"


def test_a_block_can_be_chosen_by_its_term(recovery):
    assert plot_intervals(recovery, "gene", "x").figure.axes[0].get_title() == "gene (x)"


@pytest.mark.slow
def test_pictures_of_all_recoveries_are_one_file(recovery, empty, tmp_path):
    path = save_pictures({"m7": recovery, "m7c": recovery_of(BLOCKS[:2]), "fixed": empty}, tmp_path / "new" / "all.png")
    assert path == tmp_path / "new" / "all.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    assert b"Description" in path.read_bytes()
    pixels = imread(path)[..., :3]
    assert pixels.shape[0] > pixels.shape[1]
    for strip in np.array_split(pixels, 3):  # two rows of panels for m7, one for m7c
        assert 0.001 < (strip.min(axis=2) < 0.9).mean() < 0.5


@pytest.mark.slow
def test_pictures_change_nothing_global(recovery, tmp_path):
    before, state = dict(rcParams), np.random.get_state()[1].copy()  # noqa: NPY002 - seaborn might draw from it
    save_pictures({"m7": recovery}, tmp_path / "all.png")
    assert dict(rcParams) == before
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_a_picture_shows_itself_with_its_text():
    html = plot_recovery(recovery_of([("<g>", "Intercept", 3)], "y ~ (1 | `<g>`)"))._repr_html_()
    assert re.match(r'<img alt="[^<>"]*&lt;g&gt;[^<>"]*" src="data:image/png;base64,[\w+/=]+">$', html)


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (
            lambda recovery, empty, path: plot_recovery(empty),
            "the recovery of y ~ x has no block of group effects to draw.\n"
            "A picture shows the levels of group effects whose truth is known.\n"
            "Give the true effects by level: truth['1|gene'].",
        ),
        (
            lambda recovery, empty, path: plot_intervals(recovery, "guide"),
            "the recovery has no block 'guide'.\n"
            "Its blocks: 'gene' (Intercept), 'gene:sgRNA' (Intercept), 'cell_line' (Intercept), 'gene' (x).\n"
            "Name one of these.",
        ),
        (
            lambda recovery, empty, path: plot_intervals(recovery, "cell_line", "x"),
            "the recovery has no block 'cell_line' with the term 'x'.\n"
            "Its blocks: 'gene' (Intercept), 'gene:sgRNA' (Intercept), 'cell_line' (Intercept), 'gene' (x).\n"
            "Name one of these.",
        ),
        (
            lambda recovery, empty, path: save_pictures({"fixed": empty}, path / "all.png"),
            "there is nothing to draw: no recovery has a block of group effects.\n"
            "A picture shows the levels of group effects whose truth is known.\n"
            "Recover a model with group terms, from a truth that has their effects.",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(recovery, empty, tmp_path, draw, text):
    with pytest.raises(DataError) as caught:
        draw(recovery, empty, tmp_path)
    assert str(caught.value) == text
