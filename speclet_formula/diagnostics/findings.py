"""Evidence goes in; all that is wrong, with what helps, comes out in plain words, by the limits of the literature."""

import math
from collections.abc import Iterator

from scipy import special

from speclet_formula.convergence import FEWEST_DRAWS
from speclet_formula.diagnostics.records import Evidence, Finding

# Vehtari et al. (2021), doi:10.1214/20-BA1221: R-hat below 1.01, effective sample sizes above 100 per chain.
R_HAT_LIMIT = 1.01
CHANCE = 0.01  # that some parameter's independent draws pass the limit of R-hat, or of effective draws, all the same
ESS_PER_CHAIN = 100
FEWEST_EFFECTIVE = 30  # in all: what fewer draws say is not worth a verdict, however good they are
ESS_NOISE = 7.5  # its estimate from n independent draws falls by exp(-7.5 z / sqrt(n)) in z standard errors, or less
# Vehtari et al. (2024): weights with a tail of this shape, or heavier, are not to be relied on.
PARETO_K_LIMIT = 0.7
# Gelman and Rubin's limit of 1.1 (Gelman et al., Bayesian Data Analysis, 3rd ed. 2013, section 11.5), and from the
# same section 5 effective draws per half chain: a fit beyond these is one which even lenient practice rejects.
R_HAT_FAILED = 1.1
ESS_FAILED_PER_CHAIN = 10
# This package's own limit: past it the sampler has missed so much that other numbers cannot reassure.
DIVERGENT_SHARE_FAILED = 0.1


def findings_of(evidence: Evidence) -> Iterator[Finding]:
    """Find everything that is wrong, in the order in which one would mend it."""
    if evidence.not_finite:
        yield _not_finite(evidence)
    if evidence.draws < FEWEST_DRAWS:
        yield Finding(
            True,
            f"{_counted(evidence.draws, 'draw')} per chain are too few to judge: R-hat and effective sample size "
            f"need {FEWEST_DRAWS} or more.",
            "Run with draws=1000.",
        )
    elif not evidence.moving and not evidence.not_finite:
        yield Finding(True, "No parameter ever changed: the sampler did not move.", _OTHER_ENGINE)
    elif evidence.still and evidence.moving:
        yield _standing_still(evidence)
    yield from _divergences(evidence)
    yield from _proposals(evidence)
    yield from _r_hat(evidence)
    yield from _ess(evidence)


_OTHER_ENGINE = "Check the priors' scales against the data's, then use a simpler model or another engine (method=)."


def _not_finite(evidence: Evidence) -> Finding:
    """Report draws that are not numbers."""
    count = len(evidence.not_finite)
    named = ", ".join(evidence.not_finite[:3]) + (", ..." if count > 3 else "")  # noqa: PLR2004 - three serve as examples
    return Finding(
        True, f"{_counted(count, 'parameter')} with draws that are NaN or infinite ({named}).", _OTHER_ENGINE
    )


def _standing_still(evidence: Evidence) -> Finding:
    """Report parameters with one value in all draws."""
    count = len(evidence.still)
    named = ", ".join(evidence.still[:3]) + (", ..." if count > 3 else "")  # noqa: PLR2004 - three serve as examples
    return Finding(
        True,
        f"{_counted(count, 'parameter')} never changed ({named}): the sampler did not move there.",
        _OTHER_ENGINE,
    )


def _proposals(evidence: Evidence) -> Iterator[Finding]:
    """Report an importance sampler whose proposals miss a part of the posterior; NaN passes."""
    needed = evidence.chains * min(ESS_PER_CHAIN, evidence.draws)
    if evidence.proposals < needed:
        yield Finding(
            evidence.proposals < ESS_FAILED_PER_CHAIN * evidence.chains,
            f"The proposals of the variances are worth {math.floor(evidence.proposals):,} draws (should be at least "
            f"{needed:,}): they hardly meet the posterior.",
            _OTHER_ENGINE,
        )
    elif evidence.pareto_k > PARETO_K_LIMIT:
        yield Finding(
            False,
            f"The proposals of the variances do not cover the posterior's tails (Pareto k {evidence.pareto_k:.2f}, "
            f"should be below {PARETO_K_LIMIT}).",
            _longer(evidence),
        )


def _divergences(evidence: Evidence) -> Iterator[Finding]:
    """Report transitions that left the posterior's true path."""
    total = evidence.chains * evidence.draws
    if evidence.divergences:
        yield Finding(
            evidence.divergences > DIVERGENT_SHARE_FAILED * total,
            f"{_counted(evidence.divergences, 'divergence')} in {total:,} draws: the sampler could not follow the "
            "posterior everywhere, so that a part of it may be missing.",
            "Raise target_accept (0.95, then 0.99); if divergences stay, use tighter priors on the group SDs, fewer "
            "group terms, or method='exact' where the model is Gaussian.",
        )


def _r_hat(evidence: Evidence) -> Iterator[Finding]:
    """Report chains that do not agree, or that are alone."""
    if evidence.chains == 1:
        yield Finding(
            False,
            "R-hat cannot be computed from one chain: nothing shows that another chain would agree.",
            "Run with chains=4.",
        )
    elif evidence.r_hat.value > (limit := r_hat_limit(evidence.chains, evidence.draws, evidence.checked)):
        yield Finding(
            evidence.r_hat.value > max(limit, R_HAT_FAILED),
            f"R-hat of {evidence.r_hat.parameter} is {_rounded_up(evidence.r_hat.value)} (should be below "
            f"{round(limit, 3)}): the chains have not agreed yet.",
            _longer(evidence) + _for_variances(evidence.r_hat.parameter),
        )


def r_hat_limit(chains: int, draws: int, parameters: int) -> float:
    """Return 1.01, or more, up to 1.1, where the largest R-hat of so many parameters passes that by chance alone.

    Of independent draws in m = 2 chains halves of n = draws / 2, R-hat^2 is 1 + (F - 1) / n with F the ratio of a
    normal sample's mean squares between and within. Each parameter has two of them, of its middle and its spread. Draws
    so few that chance alone gives more than 1.1 cannot show that chains agree.
    """
    halves, size = 2 * chains, max(draws // 2, 2)
    largest = float(special.fdtri(halves - 1, halves * (size - 1), 1 - CHANCE / (2 * max(parameters, 1))))
    return min(max(R_HAT_LIMIT, math.sqrt(1 + (largest - 1) / size)), R_HAT_FAILED)


def ess_limit(chains: int, draws: int, parameters: int) -> int:
    """Return 100 for each chain, or 30 and more in all where independent draws are worth no more by chance.

    Each parameter has two estimates, of its middle and its tails. How far they scatter was found by simulation: see the
    test of this function.
    """
    total = chains * draws
    errors = float(special.ndtri(1 - CHANCE / (2 * max(parameters, 1))))
    by_chance = math.floor(total * math.exp(-ESS_NOISE * errors / math.sqrt(total)))
    return min(ESS_PER_CHAIN * chains, max(by_chance, FEWEST_EFFECTIVE))


def _ess(evidence: Evidence) -> Iterator[Finding]:
    """Report too few effective draws."""
    limit = ess_limit(evidence.chains, evidence.draws, evidence.checked)
    kinds = {"its middle": evidence.ess_bulk, "its tails": evidence.ess_tail}
    part, least = min(kinds.items(), key=lambda item: item[1].value)
    if least.value < limit:
        yield Finding(
            least.value < ESS_FAILED_PER_CHAIN * evidence.chains,
            f"The draws of {least.parameter} are worth {math.floor(least.value):,} independent ones for {part} "
            f"(should be at least {limit:,}): estimates and intervals are unsteady.",
            _longer(evidence) + _for_variances(least.parameter),
        )


def _longer(evidence: Evidence) -> str:
    """Advise the call with twice the draws."""
    tune = f", tune={max(2 * evidence.draws, 2000)}" if evidence.by_nuts else ""
    return f"Run longer (draws={2 * evidence.draws}{tune})."


def _for_variances(parameter: str) -> str:
    """Add what helps a group SD or correlation, which few levels leave almost unknown."""
    if parameter.split("[")[0].endswith("_sigma") or parameter.startswith("cor|"):
        return " A group SD or correlation also gains from more levels, a tighter prior, or a simpler group term."
    return ""


def praise(evidence: Evidence) -> str:
    """Say what a converged fit shows."""
    least = min(evidence.ess_bulk.value, evidence.ess_tail.value)
    every = "every parameter"
    if evidence.checked < evidence.parameters:
        every = f"each of {evidence.checked:,} parameters looked at, of {evidence.parameters:,},"
    text = f"R-hat is at most {_rounded_up(evidence.r_hat.value, 3)}"
    effective = f"{every} has {math.floor(least):,} effective draws or more"
    text += f", {effective}, and there are no divergences." if evidence.by_nuts else f", and {effective}."
    if evidence.tree_depth_hits:
        text += f" {_counted(evidence.tree_depth_hits, 'draw')} reached the greatest tree depth: slower, but not wrong."
    return text


def _rounded_up(value: float, digits: int = 2) -> str:
    """Two digits, or as many as show that the number is above the limit: 1.012 must not read 1.01."""
    if value > 100:  # noqa: PLR2004 - chains that stand still have any number up to infinity
        return "above 100"
    text = f"{value:.{digits}f}"
    return text if digits > 2 or float(text) > R_HAT_LIMIT else f"{value:.4f}"  # noqa: PLR2004


def _counted(count: int, noun: str) -> str:
    """Put a number before its noun: "1 draw", "2 draws"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
