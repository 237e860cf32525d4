"""Results go in; a picture of time and memory against rows comes out.

Run as `python -m benchmarks.picture IN.json OUT.png`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

COLOURS = {"exact": "#1b6ca8", "lme4": "#d1762a"}


def draw_growth(growth: dict[str, Any], path: Path) -> None:
    """Draw the growth curve on log axes, with a straight line for linear growth.

    Parameters
    ----------
    growth : dict
        As `run` writes it: `sizes`, each with `rows` and `summary`.
    path : Path
        A PNG file.
    """
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for axis, name, unit, title in zip(
        axes, ("call", "peak_bytes"), (1.0, 1e6), ("time of the fit (s)", "peak memory (MB)"), strict=True
    ):
        for engine in growth["slopes"]:
            points = _points(growth, engine, name, unit)
            axis.plot(*zip(*points, strict=True), "o-", label=engine, color=COLOURS.get(engine)) if points else None
        axis.set(xscale="log", yscale="log", xlabel="rows", ylabel=title)
        axis.grid(alpha=0.3)
    _linear(axes[0], _points(growth, next(iter(growth["slopes"])), "call", 1.0))
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _points(growth: dict[str, Any], engine: str, name: str, unit: float) -> list[tuple[float, float]]:
    rows = [(size["rows"], row) for size in growth["sizes"] for row in size["summary"] if row["engine"] == engine]
    return [(count, row[name] / unit) for count, row in rows if row[name] is not None]


def _linear(axis: Any, points: list[tuple[float, float]]) -> None:
    """Draw growth in proportion to the rows through the last point."""
    if points:
        rows, seconds = points[-1]
        sizes = [points[0][0], rows]
        axis.plot(sizes, [seconds * size / rows for size in sizes], ":", color="grey", label="proportional")


if __name__ == "__main__":
    draw_growth(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["growth"], Path(sys.argv[2]))
