"""Results go in; tables in Markdown, which read well in a terminal too, come out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

STATUS = {"ok": "", "failed": "failed", "timeout": "stopped at the time limit", "absent": "not installed"}
COLUMNS = (
    ("times ESS/s", "times_ess_call"),
    ("by process", "times_ess"),
    ("by first process", "times_ess_first"),
    ("times time", "times_call"),
    ("call s", "call"),
    ("process s", "process"),
    ("first process s", "first"),
    ("warm call s", "warm"),
    ("CPU s", "cpu"),
    ("smallest ESS", "ess"),
    ("ESS/s", "ess_per_call_second"),
    ("peak MB", "peak_bytes"),
    ("runs", "runs"),
)


def render(results: Mapping[str, Any]) -> str:
    """Return all tables of a sitting: targets, each case, the growth curve, and the machine below them."""
    parts = [_targets(results["targets"]), *(_case(case) for case in results["cases"])]
    if results.get("growth"):
        parts.append(_growth(results["growth"]))
    return "\n\n".join([*parts, _machine(results)]) + "\n"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an aligned table: the first column to the left, numbers to the right."""
    widths = [max(len(row[place]) for row in (header, *rows)) for place in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def number(value: float | None) -> str:
    """Return a number in three figures, an en dash for none."""
    if value is None:
        return "–"
    if value >= 100:  # noqa: PLR2004 - from here on three figures have no decimals
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _case(case: Mapping[str, Any]) -> str:
    draws = f"{case['chains']} x {case['draws']:,} draws"
    data = "real data" if case["source"] == "real" else "simulated data"
    head = f"### {case['name']}: {case['meaning']}\n\n`{case['formula']}`, {case['rows']:,} rows, {draws}; {data}."
    ready = [row for row in case["summary"] if row["status"] == "ok"]
    table = markdown_table(
        ["engine", *(title for title, _ in COLUMNS)],
        [[row["engine"], *(_cell(name, row[name]) for _, name in COLUMNS)] for row in ready],
    )
    missing = [f"{row['engine']}: {_why(row)}." for row in case["summary"] if row["status"] != "ok"]
    return "\n\n".join([head, table, *missing])


def _cell(name: str, value: float | None) -> str:
    return number(value / 1e6 if name == "peak_bytes" and value is not None else value)


def _why(row: Mapping[str, Any]) -> str:
    said = f" ({row['message']})" if row["status"] == "failed" and row["message"] else ""
    return STATUS[row["status"]] + said


def _targets(targets: Sequence[Mapping[str, Any]]) -> str:
    words = {True: "yes", False: "no", None: "not measured"}
    rows = [
        [
            each["claim"],
            f"{'≥' if each['at_least'] else '≤'} {each['limit']:g}",
            number(each["found"]),
            words[each["met"]],
        ]
        for each in targets
    ]
    return "### Targets\n\n" + markdown_table(["target", "limit", "measured", "met"], rows)


def _growth(growth: Mapping[str, Any]) -> str:
    engines = list(growth["slopes"])
    header = ["rows", "coefficients"]
    header += [f"{engine} {what}" for engine in engines for what in ("call s", "CPU s", "peak MB")]
    rows = [
        [
            f"{size['rows']:,}",
            f"{size['coefficients']:,}",
            *(text for engine in engines for text in _sizes(size, engine)),
        ]
        for size in growth["sizes"]
    ]
    words = [f"{name} {number(value)}" for name, value in growth["slopes"].items() if value is not None]
    memory = [f"{name} {number(value)}" for name, value in growth["memory_slopes"].items() if value is not None]
    return "\n\n".join(
        [
            f"### Growth with rows\n\n`{growth['formula']}`, 1,000 draws.",
            markdown_table(header, rows),
            *(_without_slope(name, rows) for name, rows in growth["unfinished"].items() if rows),
            f"Slope of log time on log rows, from {growth['fitted_from']:,} rows: {', '.join(words) or 'none'}. "
            f"Of log memory: {', '.join(memory) or 'none'}.",
        ]
    )


def _without_slope(engine: str, rows: Sequence[int]) -> str:
    sizes = " and ".join(f"{count:,}" for count in rows)
    return f"{engine} did not end in the time limit, or failed, at {sizes} rows: it has no slope."


def _sizes(size: Mapping[str, Any], engine: str) -> Iterator[str]:
    row: Mapping[str, Any] = next((row for row in size["summary"] if row["engine"] == engine), {})
    if row.get("status") == "timeout":
        yield from ("stopped", "–", "–")
        return
    for name in ("call", "cpu", "peak_bytes"):
        yield _cell(name, row.get(name))


def _machine(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [f"{machine['cores']} cores, {machine['memory_gib']:.0f} GiB, {machine['system']}. {versions}."]
    lines += [_sitting(sitting) for sitting in results["sittings"]]
    return "### Machine\n\n" + "\n".join(f"* {line}" for line in lines)


def _sitting(sitting: Mapping[str, Any]) -> str:
    load = sitting["load"]
    names = dict.fromkeys("growth" if name.startswith("growth-") else name for name in sitting["ran"])
    return (
        f"{', '.join(names)}: {sitting['seconds'] / 60:.0f} minutes; load average {load['start'][0]:.1f} at the start, "
        f"{load['end'][0]:.1f} at the end, {load['highest']:.1f} at the most."
    )
