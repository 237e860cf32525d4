"""A picture, and what all pictures share: one theme, colours, marks, sizes, the way to a file.

seaborn draws points, lines, distributions and tiles on figures that are made without pyplot, so that nothing global
changes and no window opens. It is imported when the first picture is drawn.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from io import BytesIO
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from speclet_formula.common.batch import quiet
from speclet_formula.common.table import wrapped
from speclet_formula.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# Okabe and Ito's palette, told apart with any colour vision; the marks differ in shape as well.
ESTIMATE = "#0072B2"
TRUTH = "#D55E00"
MISSED = "#CC79A7"
OTHER = "#009E73"
LINE = "#767676"
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKS = "osD^vP*"

FEW = 6  # rows that are lower than a name is long
MANY_LEVELS = 40  # labels of more levels than this would overlap
MANY_ROWS = 2000  # points that a picture keeps as such; more become pixels
LONGEST = 32  # letters of a label, which is elided in its middle
PANEL = 3.4  # inches
TITLE = 0.4  # inches
WIDTH = 4.8  # inches, of a picture of rows
ROW = 0.24  # inches, of one of them
PANELS_IN_A_ROW = 3
DPI = 144
COLOURS = "<colorbar>"  # matplotlib's label of the axes of a scale of colours
MARGIN = 0.05  # inches around a panel that is cut out
SMALL = 7.5  # points, of a legend's letters
LAST_RESORT = "Last Resort High-Efficiency"  # matplotlib's font of boxes
POINTS = 72  # of an inch
LINE_HEIGHT = 1.2  # of letters, by their size
_STYLE = {"axes.spines.top": False, "axes.spines.right": False}
_CONTEXT = {
    "axes.linewidth": 0.8, "font.size": 9, "axes.labelsize": 9, "axes.titlesize": 9, "xtick.labelsize": 8,
    "ytick.labelsize": 8, "xtick.major.width": 0.8, "ytick.major.width": 0.8,
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """A figure and the text that stands for it where it cannot be seen."""

    figure: "Figure"
    alt: str

    def __post_init__(self) -> None:
        """Look for fonts that have the signs of all names, and say which signs have none."""
        lacking = with_glyphs(self.figure)
        if lacking:
            some = f"{', '.join(lacking[:FEW])}{', ...' if len(lacking) > FEW else ''}"
            told = f"No installed font has {some}: they are boxes until one, such as Noto Sans, is there."
            object.__setattr__(self, "alt", f"{self.alt} {told}")

    def __repr__(self) -> str:
        return wrapped(f"Picture: {self.alt}") + "\nWrite .figure.savefig('picture.png') to keep it."

    def _repr_html_(self) -> str:
        return f'<img alt="{escape(self.alt, quote=True)}" src="{data_uri(self.figure)}">'


def data_uri(figure: "Figure") -> str:
    """Return a figure as the address of a PNG that needs no file."""
    return f"data:image/png;base64,{b64encode(png_bytes(figure)).decode('ascii')}"


def png_bytes(figure: "Figure") -> bytes:
    """Return a figure as the bytes of a PNG."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def png_size(content: bytes) -> tuple[int, int]:
    """Return width and height of a PNG in its pixels."""
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def panel_images(figure: "Figure") -> tuple[list[bytes], list[bytes]]:
    """Cut a figure into its panels, and its legends, each as a PNG: a narrow page sets them below each other.

    A figure whose panels overlap, stand in strips or share a scale of colours is left whole: one image. A title above
    all panels is left out.
    """
    figure.draw_without_rendering()
    scale = figure.dpi_scale_trans.inverted()
    axes = [axis for axis in figure.axes if axis.get_visible()]
    parts = [*axes, *figure.legends]
    boxes = [box.transformed(scale).padded(MARGIN) for part in parts if (box := part.get_tightbbox()) is not None]
    coloured = any(axis.get_label() == COLOURS for axis in axes)
    apart = (
        not figure.subfigs
        and not coloured
        and all(not _overlap(one, other) for place, one in enumerate(boxes) for other in boxes[:place])
    )
    if len(axes) == 1 or len(boxes) < len(parts) or not apart:
        return [png_bytes(figure)], []
    pieces = _cut(png_bytes(figure), boxes)
    return pieces[: len(axes)], pieces[len(axes) :]


def _cut(content: bytes, boxes: Sequence[Any]) -> list[bytes]:
    """Cut boxes of inches, measured from the lower left corner, out of a PNG."""
    from matplotlib.image import imread, imsave

    pixels, pieces = imread(BytesIO(content), format="png"), []
    height, width = pixels.shape[:2]
    for box in boxes:
        left, right = (int(np.clip(round(DPI * x), 0, width)) for x in (box.x0, box.x1))
        top, bottom = (int(np.clip(height - round(DPI * y), 0, height)) for y in (box.y1, box.y0))
        buffer = BytesIO()
        imsave(buffer, np.ascontiguousarray(pixels[top:bottom, left:right]), format="png")
        pieces.append(buffer.getvalue())
    return pieces


def _overlap(one: Any, other: Any) -> bool:
    """Tell whether two boxes share more than their margins."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return bool(width > 2 * MARGIN + 0.01 and height > 2 * MARGIN + 0.01)


# --- figures ----------------------------------------------------------------------------------------------------------


@contextmanager
def theme() -> Iterator[None]:
    """Give axes that are made inside the look of all pictures."""
    import seaborn

    with seaborn.axes_style("ticks", rc=_STYLE), seaborn.plotting_context("paper", rc=_CONTEXT):
        yield


def rows_figure(n: int, *, width: float = WIDTH, ax: "Axes | None" = None) -> "tuple[Figure, Axes]":
    """Return a figure with one axis that is high enough for n labelled rows, or the axis that is given with its own."""
    return single_figure(width, 1.2 + ROW * min(max(n, 2), MANY_LEVELS), ax)


def single_figure(width: float, height: float, ax: "Axes | None" = None) -> "tuple[Figure, Axes]":
    """Return a figure of that size in inches with one axis, or the axis that is given with its own."""
    figure = empty_figure(width, height) if ax is None else ax.get_figure(root=True)
    if figure is None:
        raise DataError("ax= belongs to no figure.", "It is an axis of matplotlib.", "Leave it out for a new figure.")
    if ax is not None:
        return figure, ax
    return figure, panels(figure, 1, 1)[0]


def grid_figure(n: int, *, height: float = PANEL, width: float = PANEL) -> "tuple[Figure, list[Axes]]":
    """Return a figure with n panels, at most three beside each other."""
    columns, rows = min(n, PANELS_IN_A_ROW), -(-n // PANELS_IN_A_ROW)
    figure = empty_figure(width * columns, height * rows + TITLE)
    axes = panels(figure, rows, columns)
    for axis in axes[n:]:
        axis.set_visible(False)
    return figure, axes[:n]


def empty_figure(width: float, height: float) -> "Figure":
    """Return a figure of that size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def panels(figure: "Figure | SubFigure", rows: int, columns: int) -> "list[Axes]":
    """Return so many axes in the look of all pictures, row by row."""
    with theme():
        return list(figure.subplots(rows, columns, squeeze=False).ravel())


# --- fonts ------------------------------------------------------------------------------------------------------------


def with_glyphs(figure: "Figure") -> list[str]:
    """Give texts with signs that the usual font lacks, such as Chinese ones, a font that has them.

    Returns
    -------
    list of str
        The signs that no installed font has, which become boxes.
    """
    from matplotlib import rcParams
    from matplotlib.text import Text

    axes = [side for axis in figure.axes for side in (axis.xaxis, axis.yaxis)]
    labels = [label for side in axes for label in side.get_ticklabels()]
    texts = [*figure.findobj(Text), *labels]
    signs = "".join(sorted({sign for text in texts for sign in text.get_text() if not sign.isascii()}))
    families, lacking = _families_of(signs) if signs else ((), "")
    if families:
        for text in texts:
            text.set_fontfamily([*text.get_fontfamily(), *families])
        for side in axes:
            side.set_tick_params(labelfontfamily=[*rcParams["font.family"], *families])
    return list(lacking)


@lru_cache(maxsize=64)
def _families_of(signs: str) -> tuple[tuple[str, ...], str]:
    """Return the fonts that have what the usual one lacks of some signs, fewest first, and what none has."""
    from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

    lacking = _lacking(signs, get_font(findfont(FontProperties())))
    if not lacking:
        return (), ""
    families: list[str] = []
    # A name can be that of several files, of which a text gets one.
    names = {font.name for font in fontManager.ttflist if font.weight in (400, "normal", "regular")}
    with quiet("matplotlib.font_manager"):  # which tells of each name without a file of just that weight
        fonts = {name: findfont(FontProperties(family=[name])) for name in names}
    last = fonts.pop(LAST_RESORT, None)
    while lacking:
        left = {name: _lacking(lacking, get_font(path)) for name, path in fonts.items()}
        best = min(left, key=lambda name: (len(left[name]), "Sans" not in name, name))
        if len(left[best]) == len(lacking):
            break
        families.append(best)
        lacking = left[best]
    return (*families, *([LAST_RESORT] if lacking and last else [])), lacking


def _lacking(signs: str, font: Any) -> str:
    return "".join(sign for sign in signs if not font.get_char_index(ord(sign)))


# --- words ------------------------------------------------------------------------------------------------------------


def plain(text: object) -> str:
    """Return a name as matplotlib shall show it: a dollar sign is no mathematics."""
    return str(text).replace("$", r"\$")


def short(text: object) -> str:
    """Return a name as a label, elided in its middle if it is long: beginning and end tell names apart."""
    name = str(text)
    half = LONGEST // 2
    return plain(name if len(name) <= LONGEST else f"{name[:half]}…{name[-half + 1 :]}")


def title(axis: "Axes", text: object) -> None:
    """Write a panel's title."""
    axis.set_title(short(text), fontsize=_CONTEXT["axes.titlesize"])


def legend(axis: "Axes", place: str, **more: Any) -> None:
    """Explain colours and marks within the axes, in small letters without a frame."""
    axis.legend(**{"fontsize": SMALL, "title_fontsize": SMALL, "frameon": False, "loc": place, **more})


def legend_below(figure: "Figure | SubFigure", axes: "Sequence[Axes]") -> None:
    """Explain the colours and marks of all panels, each once and below them; of one among others within its axes."""
    if len(axes) == 1 and len(figure.axes) > 1:
        legend(axes[0], "best")
        return
    handles = {text: handle for axis in axes for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(
        list(handles.values()), list(handles), fontsize=SMALL, frameon=False, loc="outside lower center", ncols=4
    )


def label_rows(axis: "Axes", labels: Sequence[object], *, most: int = MANY_LEVELS) -> None:
    """Label rows from below; of too many only their number is told by the caller."""
    shown = [short(label) for label in labels] if len(labels) <= most else []
    room = axis.get_window_extent().height / axis.figure.dpi * POINTS / max(len(labels), 1)  # of a row, on any axes
    axis.set_yticks(range(len(shown)), shown, fontsize=min(_CONTEXT["ytick.labelsize"], room / LINE_HEIGHT))
    axis.set_ylim(-0.7, len(labels) - 0.3)


def counted(name: object, n: int, *, most: int = MANY_LEVELS, order: str = ", sorted") -> str:
    """Return what rows or columns are: their factor, and how many they are where none has a label."""
    few = fill(short(name), 18) if n < FEW else short(name)
    return few if n <= most else f"{few} ({n:,} levels{order})"


# --- marks ------------------------------------------------------------------------------------------------------------


def points(
    axis: "Axes", x: Any, y: Any, *, colour: str, marker: str = "o", size: float = 5.0, label: str | None = None,
    alpha: float = 1.0, **more: Any,
) -> None:  # fmt: skip
    """Draw marks, `size` points wide."""
    import seaborn

    seaborn.scatterplot(
        x=np.atleast_1d(np.asarray(x, dtype=float)),
        y=np.atleast_1d(np.asarray(y, dtype=float)),
        ax=axis,
        **{"color": colour, "marker": marker, "s": size**2, "label": label, "alpha": alpha, "zorder": 3, **more},
        **({} if marker in "x|" else {"linewidth": 0}),
        legend=False,
    )


def intervals(
    axis: "Axes", x: Any, y: Any, ends: tuple[Any, Any], *, colour: str, line: float = 1.4, marks: str = "",
    upright: bool = False, **marked: Any,
) -> None:  # fmt: skip
    """Draw points with their intervals, which lie along the rows or stand upright; `marks` colours the points."""
    along, across = (axis.vlines, x) if upright else (axis.hlines, y)
    along(across, *ends, color=colour, linewidth=line, alpha=marked.get("alpha", 1.0))
    points(axis, x, y, **{"colour": marks or colour, **marked})
