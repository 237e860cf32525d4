"""A report: what fits say as one HTML file that opens without a network."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speclet_formula.common.files import replacing
from speclet_formula.common.table import Table, rows_table, text_table
from speclet_formula.comparison import Comparison
from speclet_formula.errors import DataError
from speclet_formula.formula.terms import text_of
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.fit import summary_of
from speclet_formula.posterior.summary import Summary
from speclet_formula.recovery import recover
from speclet_formula.reporting import fit_report
from speclet_formula.reporting.check_model import ModelCheck, check_model
from speclet_formula.reporting.model_table import table as model_table
from speclet_formula.reporting.page import Boxes, listing, page, paragraph, part, section
from speclet_formula.reporting.plots.calls import plot_calls
from speclet_formula.reporting.plots.comparison import plot_compare, plot_pareto_k
from speclet_formula.reporting.plots.quality import plot_quality
from speclet_formula.reporting.plots.recovery import plot_recoveries
from speclet_formula.screens.calls import GeneCalls
from speclet_formula.screens.quality import ScreenQuality

if TYPE_CHECKING:
    from speclet_formula.recovery import Recovery

_HITS = 50  # genes that a report lists
MANY = 3  # fits that each get all pictures; of more only the best one does
GRAVEST = ("failed", "doubtful", "singular", "converged")


def report(
    fits: Fit | PointFit | Mapping[str, Fit | PointFit],
    path: str | Path,
    *,
    truth: Mapping[str, Any] | None = None,
    comparison: Comparison | None = None,
    quality: ScreenQuality | None = None,
    calls: GeneCalls | None = None,
    title: str | None = None,
    random_seed: int | None = None,
) -> Path:
    """Write what fits say as one HTML file that opens without a network.

    Parameters
    ----------
    fits : Fit or PointFit, or mapping of str to such
        One fit, or several by name. Of one without draws, what takes draws is left out, and the report says so.
    path : str or Path
        The file; folders on the way are made, and a file that is there is replaced.
    truth : dict, optional
        The true parameters of simulated data, as for `recover`; then recovery tables and pictures are added.
    comparison : Comparison, optional
        What `compare` made of the same fits; its best model then stands first and gets all pictures.
    quality : ScreenQuality, optional
        What `screen_quality` said of the screen that was fitted: a page of its own before the fits.
    calls : GeneCalls, optional
        What `call_genes` called of the screen: the hits, at most 50 of them, before the fits.
    title : str, optional
        The heading; the response's and the model's names by default.
    random_seed : int, optional
        Replicates are drawn from it. A fit records its own seed; of one that does not know it, this one is told.

    Returns
    -------
    Path
        The file. It holds, verdicts first, the estimates of all with their intervals and what `check_model` found
        amiss; then the data, the comparison, and for each fit the model in words and as equations, findings, estimates,
        the largest group effects, checks, priors, diagnostics, recovery, and how it was made. Of more than three fits
        only the best is checked and has all pictures. Pictures have texts, tables captions; the panels of a wide
        picture stand below each other on a narrow page. It holds no script, and its policy forbids any request.

    Raises
    ------
    DataError
        There is no fit, a comparison is of other fits, or the file cannot be written; or as `recover`.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> data, truth = sf.datasets.m7()
    >>> fit = sf.lmer("log_fc ~ (1|gene/sgRNA) + (1|cell_line)", data, random_seed=1)  # doctest: +SKIP
    >>> sf.report(fit, "report.html", truth=truth, random_seed=1)  # doctest: +SKIP
    PosixPath('report.html')
    """
    named = _named(fits)
    if comparison is not None and (others := [name for name in comparison.table.index if name not in named]):
        raise DataError(
            f"the comparison has '{others[0]}', which is not among the fits.",
            f"The fits: {', '.join(map(repr, named))}.",
            "Compare the same fits under the same names: compare(fits).",
        )
    for argument, given, kind, verb in (
        ("quality", quality, ScreenQuality, "screen_quality(screen)"),
        ("calls", calls, GeneCalls, "call_genes(table)"),
    ):
        if given is not None and not isinstance(given, kind):
            raise DataError(
                f"{argument}= is a {type(given).__name__}.",
                f"It is what sf.{verb} returned, whole.",
                f"Write {argument}=sf.{verb}.",
            )
    drawn = {} if truth is None else {name: fit for name, fit in named.items() if isinstance(fit, Fit)}
    recoveries = {name: recover(fit, truth or {}) for name, fit in drawn.items()}
    return write_report(
        named,
        path,
        recoveries=recoveries,
        comparison=comparison,
        quality=quality,
        calls=calls,
        title=title,
        random_seed=random_seed,
    )


def write_report(
    fits: Mapping[str, Fit | PointFit],
    path: str | Path,
    *,
    recoveries: "Mapping[str, Recovery]",
    comparison: Comparison | None,
    title: str | None,
    random_seed: int | None,
    quality: ScreenQuality | None = None,
    calls: GeneCalls | None = None,
) -> Path:
    """Write the report of fits whose recoveries are there already; else as `report`.

    Parameters
    ----------
    fits, path, comparison, quality, calls, title, random_seed
        As in `report`.
    recoveries : mapping of str to Recovery
        By the names of the fits; empty where no truth is known.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        text = _document(fits, recoveries, comparison, (quality, calls), title, random_seed)
        with replacing(target) as stream:
            stream.write(text.encode(errors="xmlcharrefreplace"))
    except OSError as error:
        raise DataError(
            f"'{path}' cannot be written: {error.strerror or error}.",
            "A report is a file in a folder that can be written to.",
            "Choose another name.",
        ) from error
    return target


def _named(fits: Fit | PointFit | Mapping[str, Fit | PointFit]) -> dict[str, Fit | PointFit]:
    """Return the fits by name; a single one is named by its response."""
    named = {"": fits} if not isinstance(fits, Mapping) else {str(name): fit for name, fit in fits.items()}
    if not named:
        raise DataError(
            "there is no fit to report.", "A report is of one fit or of several by name.", "Hand over a fit."
        )
    for name, fit in named.items():
        if not isinstance(fit, Fit | PointFit):
            raise DataError(
                f"{repr(name) if name else 'the first argument'} is a {type(fit).__name__}.",
                "A report is of what sf.fit, sf.lmer or sf.glmer returned.",
                "Hand over that fit; render_table sets the tables of other results.",
            )
    return named


def _document(
    fits: Mapping[str, Fit | PointFit],
    recoveries: "Mapping[str, Recovery]",
    comparison: Comparison | None,
    of_screen: tuple[ScreenQuality | None, GeneCalls | None],
    title: str | None,
    random_seed: int | None,
) -> str:
    """Return the page."""
    boxes, ordered = Boxes(), _ordered(fits, comparison)
    summaries = {name: summary_of(fits[name]) for name in ordered}
    checks = {
        name: check_model(fits[name], random_seed=random_seed) for name in ordered[: MANY if len(fits) <= MANY else 1]
    }
    first = fits[ordered[0]].model
    heading = title or (
        f"{first.design.response_name}: {len(fits)} models" if len(fits) > 1 else text_of(first.formula)
    )
    sections = [
        ("summary", "In short", _summary(fits, summaries, recoveries, comparison, checks, boxes)),
        ("data", "The data", fit_report.about_data(first, boxes)),
    ]
    quality, calls = of_screen
    if quality is not None:
        sections.append(("screen", "The screen", _quality(quality, boxes)))
    if calls is not None:
        sections.append(("hits", "The hits", _calls(calls, boxes)))
    if len(fits) > 1:
        sections.append(("models", "The models", boxes.table(_models(fits, summaries))))
    if comparison is not None:
        sections.append(("comparison", "Comparison", _comparison(comparison, boxes)))
    if len(recoveries) > 1:
        sections.append(("recoveries", "The models beside the truth", _side_by_side(recoveries, boxes)))
    for place, name in enumerate(ordered):
        about = "\n".join(
            _about(name, fits[name], summaries[name], recoveries.get(name), checks.get(name), boxes, random_seed)
        )
        sections.append((f"fit-{place + 1}", name or "The fit", about))
    return page(heading, _body(heading, [part for part in sections if part[2]]))


def _body(heading: str, sections: list[tuple[str, str, str]]) -> str:
    """Return landmarks: header, navigation, main part and foot."""
    links = "\n".join(f'<li><a href="#{ident}">{escape(title)}</a></li>' for ident, title, _ in sections)
    main = "\n".join(section(ident, title, inside) for ident, title, inside in sections)
    return (
        '<a class="skip" href="#main">Skip to the report</a>\n'
        f"<header>\n<h1>{escape(heading)}</h1>\n</header>\n"
        f'<nav aria-label="Contents">\n<ul>\n{links}\n</ul>\n</nav>\n'
        f'<main id="main">\n{main}\n</main>\n'
        f"<footer>\n{paragraph(f'Made by speclet_formula {version("speclet_formula")}.', 'note')}\n</footer>"
    )


def _ordered(fits: Mapping[str, Fit | PointFit], comparison: Comparison | None) -> list[str]:
    """Return the names, ranked ones first."""
    ranked = [] if comparison is None else [str(name) for name in comparison.table.index]
    return [*ranked, *(name for name in fits if name not in ranked)]


def _summary(
    fits: Mapping[str, Fit | PointFit],
    summaries: Mapping[str, Summary],
    recoveries: "Mapping[str, Recovery]",
    comparison: Comparison | None,
    checks: Mapping[str, ModelCheck],
    boxes: Boxes,
) -> str:
    """Return the verdicts, the gravest first, then the answer: estimates with intervals, and what is amiss."""
    graved = sorted(summaries, key=lambda name: GRAVEST.index(summaries[name].verdict.lower()))
    verdicts = [fit_report.verdict_of(name, summaries[name]) for name in graved]
    found = [paragraph(comparison.sentence)] if comparison is not None else []
    best = next(iter(summaries))
    if best in recoveries and recoveries[best].foot:
        lead = f"{best}: " if best else ""
        found.append(paragraph(lead + recoveries[best].foot[0]))
    amiss = [f"{name}: {text}" if name else text for name, check in checks.items() for text in check.amiss]
    calm = "The checks found nothing amiss." if checks and not amiss else ""
    shown = {name or "Estimate": fits[name] for name in list(summaries)[:MANY]}
    made = model_table(shown, loo=False, below=len(shown) > 1)
    answer = boxes.table(replace(made.table, caption=f"Effects on {fits[best].model.design.response_name}"))
    notes = [paragraph(note, "note") for note in made.notes]
    return "\n".join([
        *verdicts, *found, answer, *notes,
        part("What the checks found amiss", listing(amiss)) if amiss else paragraph(calm),
    ])  # fmt: skip


def _models(fits: Mapping[str, Fit | PointFit], summaries: Mapping[str, Summary]) -> Table:
    """Tabulate the models."""
    rows = [
        (name, text_of(fit.model.formula), summary.verdict.lower(), fit.method, f"{fit.seconds:,.1f}")
        for name, summary in summaries.items()
        for fit in [fits[name]]
    ]
    return rows_table(
        "Formula, verdict and engine of each", ("Model", "Formula", "Fit", "Engine", "Seconds"), rows, labels=4
    )


def _quality(quality: ScreenQuality, boxes: Boxes) -> str:
    """Return what is amiss with a screen, its picture and its tables."""
    calm = [sentence for sentence in quality.sentences if sentence not in quality.amiss]
    return "\n".join([
        part("What asks for a look", listing(quality.amiss)) if quality.amiss else paragraph("Nothing is amiss."),
        listing(calm),
        boxes.picture(plot_quality(quality), "Depth, evenness, replicates, batches and clones of the screen."),
        *map(boxes.table, quality.sheet().tables),
    ])  # fmt: skip


def _calls(calls: GeneCalls, boxes: Boxes) -> str:
    """Return how many genes are called and what the controls say, the picture, and the first of them."""
    said, agreement = calls.sheet().head
    called = calls.table[calls.table["called"]].drop(columns="called").head(_HITS)
    shown = text_table(called.loc[:, called.notna().any()], labels=2)
    return "\n".join([
        paragraph(said), paragraph(agreement),
        boxes.picture(plot_calls(calls), "Effects by class of control, and the stated rate beside the controls'."),
        boxes.table(replace(shown, caption=f"The first {len(called):,} genes called")) if len(called) else "",
    ])  # fmt: skip


def _comparison(comparison: Comparison, boxes: Boxes) -> str:
    """Return the ranking with its sentence and pictures."""
    table = comparison.sheet().tables[0]
    best = str(comparison.table.index[0])
    high = [str(name) for name, count in comparison.table["n_high_k"].items() if count][:MANY]
    pictured = [boxes.picture(plot_compare(comparison), "Expected log predictive density of each model.")]
    for name in high or [best]:
        caption = f"Pareto k of each row in {name}; above the line leave-one-out cannot be trusted."
        pictured.append(boxes.picture(plot_pareto_k(comparison.estimates[name], name), caption))
    return "\n".join(
        [boxes.table(replace(table, caption="Comparison by leave-one-out", note=comparison.sentence)), *pictured]
    )


def _side_by_side(recoveries: "Mapping[str, Recovery]", boxes: Boxes) -> str:
    """Return a picture of the levels that most of the models estimate."""
    counts: dict[str, int] = {}
    for found in recoveries.values():
        for group in dict.fromkeys(found.groups.get("group", ())):
            counts[str(group)] = counts.get(str(group), 0) + 1
    if not counts:
        return ""
    group = max(counts, key=lambda label: counts[label])
    caption = f"True effects of {group} (black) and each model's estimates."
    return boxes.picture(plot_recoveries(recoveries, group), caption)


def _about(
    name: str,
    fit: Fit | PointFit,
    summary: Summary,
    recovery: "Recovery | None",
    check: ModelCheck | None,
    boxes: Boxes,
    random_seed: int | None,
) -> Iterator[str]:
    """Tell all of one fit, part by part; with all pictures where it was checked."""
    pictures = check is not None
    yield fit_report.verdict_of(name, summary) if name else ""
    yield fit_report.about_model(fit.model)
    yield fit_report.findings_of(fit.model)
    yield fit_report.estimates_of(fit, summary, boxes, pictures=pictures)
    yield fit_report.recovery_of(recovery, boxes, pictures=pictures)
    yield fit_report.largest_effects(fit, boxes, pictures=pictures)
    yield fit_report.checks_of(check, boxes)
    if isinstance(fit, Fit):
        yield fit_report.priors_of(fit, boxes, pictures=pictures)
        yield fit_report.diagnostics_of(fit, boxes)
    yield fit_report.making_of(fit, summary, random_seed)
    yield fit_report.left_out_of(fit)
    yield "" if pictures else part("Pictures", paragraph("All pictures are drawn for the first model alone."))
