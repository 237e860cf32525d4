"""A picture, and what all pictures share: colours, marks, sizes, the way to a file.

Figures are made without pyplot, so that nothing global changes and no window opens.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with any colour vision; the marks differ in shape as well.
ESTIMATE = "#0072B2"
TRUTH = "#D55E00"
MISSED = "#CC79A7"
OTHER = "#009E73"
LINE = "#767676"
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")

MANY_LEVELS = 40  # labels of more levels than this would overlap
PANEL = 3.4  # inches
TITLE = 0.4  # inches
WIDTH = 4.8  # inches, of a picture of rows
ROW = 0.24  # inches, of one of them
PANELS_IN_A_ROW = 3
DPI = 110


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure and the text that stands for it where it cannot be seen."""

    figure: "Figure"
    alt: str

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


def rows_figure(n: int, *, width: float = WIDTH) -> "tuple[Figure, Axes]":
    """Return a figure with one axis that is high enough for n labelled rows."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 1.2 + ROW * min(max(n, 2), MANY_LEVELS)), layout="constrained")
    return figure, figure.subplots()


def grid_figure(n: int, *, height: float = PANEL, width: float = PANEL) -> "tuple[Figure, list[Axes]]":
    """Return a figure with n panels, at most three beside each other."""
    from matplotlib.figure import Figure

    columns, rows = min(n, PANELS_IN_A_ROW), -(-n // PANELS_IN_A_ROW)
    figure = Figure(figsize=(width * columns, height * rows + TITLE), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axis in axes[n:]:
        axis.set_visible(False)
    return figure, axes[:n]


def plain(text: object) -> str:
    """Return a name as matplotlib shall show it: a dollar sign is no mathematics."""
    return str(text).replace("$", r"\$")


def label_rows(axis: "Axes", labels: Sequence[object]) -> None:
    """Label rows from below; of too many only their number is told by the caller."""
    few = len(labels) <= MANY_LEVELS
    axis.set_yticks(range(len(labels)) if few else [], [plain(label) for label in labels] if few else [])
    axis.set_ylim(-0.7, len(labels) - 0.3)


def bare(axis: "Axes") -> None:
    """Take away the frame's upper and right side."""
    axis.spines[["top", "right"]].set_visible(False)
