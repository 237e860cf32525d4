"""The parts of a report that tell of one fit, and the code that makes it again."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from speclet_formula.common.engines import BY_NAME
from speclet_formula.common.table import formatted, rows_table, text_table
from speclet_formula.design.merged import row_count, rows_by_level, rows_in_levels
from speclet_formula.errors import PriorError, listed
from speclet_formula.formula.terms import text_of
from speclet_formula.inference.datatree import seed_of, settings_of
from speclet_formula.interpretation.equations import equation
from speclet_formula.interpretation.explain import words_of
from speclet_formula.model import relate_groups
from speclet_formula.posterior import Fit, PointFit
from speclet_formula.posterior.draws import draws_of, library_of
from speclet_formula.posterior.effects import fixef, ranef
from speclet_formula.posterior.summary import Summary
from speclet_formula.priors import PRESETS, slot_frame
from speclet_formula.reporting.check_model import ModelCheck
from speclet_formula.reporting.page import Boxes, code, definitions, listing, paragraph, part, verdict
from speclet_formula.reporting.plots.checks import plot_priors
from speclet_formula.reporting.plots.effects import plot_effects, plot_fixed, plot_variances
from speclet_formula.reporting.plots.picture import Picture
from speclet_formula.reporting.plots.recovery import plot_coverage, plot_parameters, plot_recovery
from speclet_formula.reporting.tables import (
    diagnostics_table,
    frame_table,
    recovered_groups,
    recovered_parameters,
    summary_tables,
)

if TYPE_CHECKING:
    from speclet_formula.model import Model
    from speclet_formula.recovery import Recovery

LARGEST = 5  # effects at each end of a block
MOST_PICTURED = 300  # levels of a block whose intervals are drawn
PACKAGES = {"nutpie": "nutpie", "pymc": "pymc", "numpyro": "numpyro"}  # of a sampler by the library that it names
MOST_LEVELS = 30  # of a factor that are written out


def verdict_of(name: str, summary: Summary) -> str:
    """Return the box that comes before any number of a fit."""
    lead = f"{name}: {summary.verdict.lower()}." if name else f"{summary.verdict}."
    sentences = [(lead, summary.sentence)]
    if summary.remedy:
        sentences.append(("What to do:", summary.remedy))
    return verdict(summary.verdict.lower(), *sentences)


def about_data(model: "Model", boxes: Boxes) -> str:
    """Return what the data are: rows, response, factors, and how these lie to each other."""
    design = model.design
    dropped = f"; {model.n_dropped:,} more were left out for missing values" if model.n_dropped else ""
    merged = (
        "" if design.merged is None else f"; merged into {len(design.response):,}, of whose means the next line speaks"
    )
    facts = [
        ("Rows", f"{row_count(design):,}{dropped}{merged}"),
        ("Response", f"{design.response_name}: {_spread(model)}"),
    ]
    rows = []
    for block in {block.group: block for block in design.factors}.values():
        counts = rows_in_levels(design, block)
        each = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
        rows.append((block.group, f"{len(block.levels):,}", each))
    table = rows_table("Grouping factors", ("Factor", "Levels", "Rows in a level"), rows)
    return definitions(facts) + boxes.table(table) + listing(relation.words for relation in relate_groups(design))


def _spread(model: "Model") -> str:
    """Say where the response lies: between which numbers, or how often each of its levels was seen."""
    design = model.design
    if design.response.ndim > 1:
        totals = zip(design.levels, design.response.sum(axis=0), strict=True)
        counted = listed(f"{level} ({total:,.0f})" for level, total in totals)
        return f"counts of {len(design.levels):,} levels: {counted}"
    y = pd.Series(design.response)
    if not design.levels:
        return f"from {y.min():.4g} to {y.max():.4g}, median {y.median():.4g}"
    rows = rows_by_level(design, y.to_numpy().astype(int), len(design.levels))
    seen = [f"{level} ({count:,})" for level, count in zip(design.levels, rows, strict=True)]
    order = "unordered" if design.is_per_level else "ordered"
    return f"{len(seen):,} {order} levels (rows of each): {listed(seen)}"


def about_model(model: "Model") -> str:
    """Return the model in words and as equations."""
    family = f"{model.family.name} family, {model.family.link} link."
    return part(
        "The model",
        code(text_of(model.formula), "Formula"),
        listing(words_of(model).split("\n")),
        paragraph(family),
        code(equation(model.formula, family=model.family.name, link=model.family.link), "Equations"),
    )


def findings_of(model: "Model") -> str:
    """Return what was noticed about the design before the fit."""
    return part("Findings about the design", listing(map(str, model.findings)))


def estimates_of(fit: Fit | PointFit, summary: Summary, boxes: Boxes, *, pictures: bool) -> str:
    """Return fixed effects and standard deviations."""
    tables = summary_tables(summary)
    foot = paragraph(summary.foot, "note")
    # The heading says what they are; a caption of the same words would be read twice.
    ends = " with their intervals" if isinstance(fit, Fit) else ""
    shown = {"fixed": replace(tables["fixed"], caption=f"Coefficients{ends}")} if "fixed" in tables else {}
    drawn = (
        _picture(boxes, lambda: plot_fixed(fit), "Fixed effects with their intervals.") if pictures and shown else ""
    )
    fixed = part("Fixed effects", boxes.table(shown["fixed"]), foot, drawn) if shown else ""
    more = [boxes.table(table) for name, table in tables.items() if name not in ("fixed", "variances")]
    fixed += part("Parameters of the family", *more) if more else ""
    if "variances" not in tables:
        return fixed
    caption = "Standard deviations" + (" with their intervals." if isinstance(fit, Fit) else ".")
    drawn = _picture(boxes, lambda: plot_variances(fit), caption) if pictures else ""
    return fixed + part("Variance components", boxes.table(tables["variances"]), drawn)


def largest_effects(fit: Fit | PointFit, boxes: Boxes, *, pictures: bool) -> str:
    """Return the largest effects of each group term, and a picture of all."""
    effects = ranef(fit)
    if effects.empty:
        return ""
    parts = []
    for (group, term), block in effects.groupby(["grpvar", "term"], sort=False):
        ordered = block.sort_values("condval", ascending=False)
        few = len(ordered) <= 2 * LARGEST
        ends = ordered if few else pd.concat([ordered.head(LARGEST), ordered.tail(LARGEST)])
        named = str(group) if term == "Intercept" else f"{group} ({term})"
        which = "All" if few else f"The {LARGEST} largest and {LARGEST} smallest of"
        numbers = formatted(ends[["condval", "condsd", "conf_low", "conf_high"]], ends["condsd"].tolist())
        rows = [(level, *row) for level, row in zip(ends["grp"].astype(str), numbers, strict=True)]
        header = (str(group), "Effect", "SD", "Low", "High")
        parts.append(boxes.table(rows_table(f"{which} {len(ordered):,} effects of {named}", header, rows)))
        if pictures and len(ordered) <= MOST_PICTURED:
            drawn = lambda group=group, term=term: plot_effects(fit, str(group), str(term))  # noqa: E731
            parts.append(_picture(boxes, drawn, f"Effects of {named}, sorted, with their intervals."))
    return part("Largest group effects", *parts, paragraph(f"Intervals: {effects.attrs['interval']}.", "note"))


def checks_of(check: ModelCheck | None, boxes: Boxes) -> str:
    """Return whether the model makes data like the observed ones, and what its residuals and effects look like."""
    if check is None:
        return ""
    tests = check.tests[["statistic", "p_value"]].rename_axis("Test").reset_index()
    table = (
        boxes.table(text_table(tests.set_axis(["Test", "Statistic", "p_value"], axis=1), "Tests")) if len(tests) else ""
    )
    caption = "The checks, a panel for each: what they found is said above."
    picture = boxes.picture(check.picture, caption) if check.picture.figure.axes else ""
    return part("Does the model make such data?", listing(check.sentences), table, picture)


def left_out_of(fit: Fit | PointFit) -> str:
    """Say what a report of a fit without draws has not."""
    if isinstance(fit, Fit):
        return ""
    engine = BY_NAME[fit.method]
    text = (
        f"A fit by {engine.title} has no draws, and priors have no part in it: priors, diagnostics and a recovery are "
        f"left out. Those of method='{engine.sampled_by}' have them."
    )
    return part("What is left out", paragraph(text))


def priors_of(fit: Fit, boxes: Boxes, *, pictures: bool) -> str:
    """Return the table of priors, and a picture of them beside the posterior."""
    frame = slot_frame(fit.model.slots)[["slot", "prior", "source"]].set_axis(["Of", "Prior", "From"], axis=1)
    table = boxes.table(frame_table(frame, "Prior of each parameter"))
    if not pictures:
        return part("Priors", table)
    try:
        picture = boxes.picture(plot_priors(fit), "Prior (dashed) and posterior (solid).")
    except PriorError as error:  # an improper prior cannot be drawn from
        picture = paragraph(f"They are not drawn: {error.problem}", "note")
    return part("Priors", table, picture)


def diagnostics_of(fit: Fit, boxes: Boxes) -> str:
    """Return the diagnostics in words and numbers."""
    found = fit.diagnostics
    table = diagnostics_table(found)
    words = (
        "R-hat compares the chains with each other: near 1 they agree. The effective sample size is the number of "
        "independent draws that these are worth. A divergent transition is a place that the sampler could not follow."
    )
    plain = rows_table("The draws in numbers", table.header, table.rows, 1)
    return part("Diagnostics", paragraph(found.sentence), boxes.table(plain), paragraph(words, "note"))


def recovery_of(recovery: "Recovery | None", boxes: Boxes, *, pictures: bool) -> str:
    """Return the tables and pictures of estimates beside the truth."""
    if recovery is None:
        return ""
    parts = []
    if len(recovery.parameters):
        parts.append(
            boxes.table(replace(recovered_parameters(recovery, wide=False), caption="Parameters beside the truth"))
        )
        if pictures:
            parts.append(_picture(boxes, lambda: plot_parameters(recovery), "Parameters beside their true values."))
    if len(recovery.groups):
        parts.append(
            boxes.table(replace(recovered_groups(recovery, wide=False), caption="Group effects beside the truth"))
        )
        caption = "Estimates against true effects; the dashed line has the slope that shrinkage leads to expect."
        parts.append(_picture(boxes, lambda: plot_recovery(recovery), caption))
        if pictures:
            caption = "Share of levels whose interval holds the truth; grey is what chance allows."
            parts.append(_picture(boxes, lambda: plot_coverage(recovery), caption))
    return part("Recovery of the true values", *parts)


def making_of(fit: Fit | PointFit, summary: Summary, random_seed: int | None) -> str:
    """Return how the fit was made, and the code that makes it again."""
    facts = [*summary.facts, ("Engine", summary.heading), ("Versions", ", ".join(_versions(fit)))]
    seed = _seed(fit, random_seed)
    if seed is not None:
        facts.append(("Random seed", str(seed)))
    return part("How it was made", definitions(facts), code(recipe(fit, random_seed), "Code that fits it again"))


def _seed(fit: Fit | PointFit, random_seed: int | None) -> int | None:
    """Return the seed of a fit's draws, or the one that is told."""
    if isinstance(fit, PointFit):
        return None
    seed = seed_of(fit)
    return random_seed if seed is None else seed


def _versions(fit: Fit | PointFit) -> Iterator[str]:
    """Name Python and the packages that had a part in the draws."""
    yield f"Python {python_version()}"
    library = "" if isinstance(fit, PointFit) else library_of(fit)
    sampler = [PACKAGES[library], "bambi"] if library in PACKAGES else []
    for package in ("speclet_formula", "numpy", "scipy", "arviz", *sampler):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            yield f"{package} (version unknown)"


def _picture(boxes: Boxes, draw: "Callable[[], Picture]", caption: str) -> str:
    return boxes.picture(draw(), caption)


if TYPE_CHECKING:
    from speclet_formula.model import Model


def recipe(fit: Fit | PointFit, random_seed: int | None = None) -> str:
    """Write the code that fits a model again.

    Parameters
    ----------
    fit : Fit or PointFit
    random_seed : int, optional
        The seed, where the fit does not know its own.

    Returns
    -------
    str
        Python, to be run where `data` is the table.
    """
    seed = _seed(fit, random_seed)
    settings: dict[str, Any] = {"method": fit.method}
    if isinstance(fit, Fit):
        kept = _kept(fit)
        settings |= settings_of(fit, fit.method)
        settings |= {} if kept is None else {"keep": kept}
        settings |= {} if seed is None else {"random_seed": seed}
    written = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    is_known = seed is not None or isinstance(fit, PointFit)
    unknown = [] if is_known else ["# its seed is not known: other draws of the same posterior"]
    levels, arguments = list(_levels(fit.model)), list(_arguments(fit))
    return "\n".join([
        *(["import pandas"] if any("pandas." in line for line in levels) else []), "import speclet_formula as sf",
        *(["from speclet_formula import Prior"] if "Prior(" in arguments[-1] else []), "",
        *levels, *_comments(fit.model), "model = sf.Model(", *(f"    {line}," for line in arguments), ")",
        *unknown, f"fit = sf.fit(model, {written})", f"# tables show the {fixef(fit).attrs['interval']}",
    ])  # fmt: skip


def _arguments(fit: Fit | PointFit) -> Iterator[str]:
    """Return the arguments of the model, a line each; priors only where they have a part."""
    model = fit.model
    yield repr(text_of(model.formula))
    yield "data"
    yield f"family={model.family.name!r}, link={model.family.link!r}"
    if isinstance(model.weights, str):
        yield f"weights={model.weights!r}"
    if model.n_dropped:
        yield "missing='drop'"
    preset = next((slot.source for slot in model.slots if slot.source in PRESETS), None)
    stated = [slot for slot in model.slots if slot.source not in PRESETS]
    if isinstance(fit, Fit) and (preset is not None or stated):
        entries = [f"'preset': {preset!r}"] if preset is not None else []
        entries += [f"{slot.slot!r}: {slot.prior!r}" for slot in stated]
        yield f"priors={{{', '.join(entries)}}}"


def _levels(model: "Model") -> Iterator[str]:
    """State the order of levels that is not that of sorting, which says what coefficients are compared with."""
    for name, levels in dict(
        pair for predictor in model.design.predictors for pair in predictor.recipe.levels.items()
    ).items():
        if list(levels) == sorted(levels) or name not in model.data or is_numeric_dtype(model.data[name].dtype):
            continue
        if len(levels) > MOST_LEVELS:
            yield f"# data[{name!r}] is a Categorical of {len(levels):,} levels in an order of its own"
        else:
            ordered = ", ordered=True" if levels == model.design.levels and not model.design.is_per_level else ""
            yield f"data[{name!r}] = pandas.Categorical(data[{name!r}].astype(str), {list(levels)!r}{ordered})"


def _comments(model: "Model") -> Iterator[str]:
    """Say what the code cannot hold."""
    if model.weights is not None and not isinstance(model.weights, str):
        yield "# weights= was an array: hand it over to Model"
    if model.functions:
        yield f"# functions= of your own: {', '.join(model.functions)}"


def _kept(fit: Fit) -> tuple[str, ...] | None:
    """Return the factors whose effects were kept; None for all."""
    draws, blocks = draws_of(fit), fit.model.design.factors
    kept = [block.group for block in blocks if all(slot in draws for slot in block.slots)]
    return None if len(kept) == len(blocks) else tuple(dict.fromkeys(kept))
