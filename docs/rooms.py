"""The public names, by what one does with them; the page that lists them is written from here before each build.

A name that nobody has put into a group yet appears under its room, so that none is ever missing.
"""

from pathlib import Path

import speclet_formula as sf

GROUPS = {
    "Say what to fit": (
        "Model", "Finding", "Findings", "Formula", "Prior", "explain", "Explanation", "equation", "spelling", "costs",
        "Costs", "Equation",
    ),
    "Fit": (
        "lmer", "glmer", "fit", "fit_by", "GroupedFits", "refit", "update", "Fit", "PointFit", "save", "load", "scan",
        "Scan",
    ),
    "Read a fit": (
        "fixef", "ranef", "coef", "level_effects", "effect_matrix", "selectivity", "varcorr", "sigma",
        "family_parameters", "confint", "bootstrap", "Bootstrap", "nobs", "ngrps", "tidy", "glance", "augment",
        "icc", "r2", "diagnose", "Diagnostics", "is_singular", "near_singular",
        "smooths",
    ),
    "Predict": ("fitted", "predict", "residuals", "log_likelihood", "simulate"),
    "Means, contrasts and hypotheses": (
        "marginal_means", "Means", "reference_grid", "contrasts", "pairs", "slopes", "hypothesis",
    ),
    "Effects over rows": (
        "avg_predictions", "predictions", "avg_comparisons", "comparisons", "avg_slopes",
    ),
    "Compare": (
        "compare", "Comparison", "loo", "LeaveOneOut", "SampledLeaveOneOut", "kfold", "KFold", "anova",
        "LikelihoodRatios", "drop1", "TermTests",
    ),
    "Check": (
        "check_model", "ModelCheck", "prior_predictive", "posterior_predictive", "Predictive", "check_residuals",
        "ResidualChecks", "influence", "Influence", "sensitivity",
    ),
    "Recover and plan": ("recover", "Recovery", "Recoveries", "study", "power", "Study", "calibrate", "Calibration"),
    "Screens": (
        "read_screen", "read_fold_changes", "Screen", "simulate_screen", "SimulatedScreen", "screen_quality",
        "ScreenQuality", "rank_genes", "guide_table", "control_separation", "Separation", "scale_effects",
        "plan_screen", "ScreenPlan",
    ),
    "Show": ("report", "table", "ModelTable", "render_table"),
    "Other packages": ("to_anndata", "to_arviz", "to_bambi", "to_pymc", "from_bambi"),
    "Errors": (),
}  # fmt: skip
PICTURES, ERRORS = "Pictures", "Errors"
TITLE = "Reference"


def grouped(names):
    """Each public name in exactly one group; those that no group lists come last."""
    groups = {title: [name for name in members if name in names] for title, members in GROUPS.items()}
    groups[PICTURES] = sorted(name for name in names if name.startswith("plot"))
    groups[ERRORS] = sorted(name for name in names if name.endswith("Error"))
    listed = {name for members in groups.values() for name in members}
    groups["More"] = sorted(set(names) - listed)
    order = [*(title for title in groups if title not in (ERRORS, "More")), "More", ERRORS]
    return {title: groups[title] for title in order if groups[title]}


def write_reference(folder):
    """Write the page of all public names, and of the functions of `datasets`."""
    names = [name for name in sf.__all__ if name not in ("__version__", "datasets")]
    lines = [
        TITLE,
        "=" * len(TITLE),
        "",
        "Everything that ``import speclet_formula as sf`` brings, from its docstrings.",
    ]
    for title, members in grouped(names).items():
        lines += _section(title, "speclet_formula", members)
    lines += _section("Data sets", "speclet_formula.screens.datasets", _functions_of(sf.datasets))
    text = "\n".join([*lines, ""])
    page = Path(folder) / "index.rst"
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")


def _functions_of(module):
    """The public functions that a module defines."""
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and getattr(value, "__module__", "") == module.__name__
        and not isinstance(value, type)
    )


def _section(title, module, members):
    head = [
        "", title, "-" * len(title), "", f".. currentmodule:: {module}", "", ".. autosummary::",
        "   :toctree: generated", "   :nosignatures:", "",
    ]  # fmt: skip
    return [*head, *(f"   {name}" for name in members)]
