"""Whether draws can be trusted: a verdict in plain words with a remedy, by the limits of the literature.

The numbers are those of `convergence`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from scipy import special

from speclet_formula.common.table import Printed, Sheet, Table, number
from speclet_formula.design.design import is_correlation, slot_of_sd
from speclet_formula.posterior.convergence import FEWEST_DRAWS, Mixing, mixing
from speclet_formula.posterior.draws import draws_in, posterior_in, statistics_in

type Verdict = Literal["converged", "doubtful", "failed"]


@dataclass(frozen=True, repr=False)
class Diagnostics(Printed):
    """What the draws say about themselves.

    Attributes
    ----------
    verdict : {"converged", "doubtful", "failed"}
    sentence : str
        What is wrong, the gravest first; for a converged fit, what was found.
    remedy : str
        What to do about it; empty for a converged fit.
    r_hat_max, r_hat_parameter : float, str
        The largest rank-normalised R-hat and its parameter; NaN and "" where none can be computed (one chain).
    ess_bulk_min, ess_bulk_parameter : float, str
        The smallest effective sample size of the bulk, in draws.
    ess_tail_min, ess_tail_parameter : float, str
        The smallest effective sample size of the 5 % and 95 % quantiles, in draws.
    divergences : int
        Number of draws after a divergent transition.
    tree_depth_hits : int
        Number of draws for which the sampler stopped at its greatest tree depth: slow, not wrong.
    chains, draws : int
        Number of chains, and of draws in each.
    n_not_finite : int
        Number of parameters with a draw that is NaN or infinite.
    """

    verdict: Verdict
    sentence: str
    remedy: str
    r_hat_max: float
    r_hat_parameter: str
    ess_bulk_min: float
    ess_bulk_parameter: str
    ess_tail_min: float
    ess_tail_parameter: str
    divergences: int
    tree_depth_hits: int
    chains: int
    draws: int
    n_not_finite: int

    def sheet(self) -> Sheet:
        """Return the parts of the print-out."""
        rows = (
            ("Largest R-hat", number(self.r_hat_max, ".3f"), self.r_hat_parameter),
            ("Smallest effective sample, middle", number(self.ess_bulk_min, ",.0f"), self.ess_bulk_parameter),
            ("Smallest effective sample, tails", number(self.ess_tail_min, ",.0f"), self.ess_tail_parameter),
            ("Divergent transitions", f"{self.divergences:,}", "-"),
            ("Draws cut at the tree's depth", f"{self.tree_depth_hits:,}", "-"),
            ("Parameters that are not finite", f"{self.n_not_finite:,}", "-"),
            ("Chains x draws", f"{self.chains} x {self.draws:,}", "-"),
        )
        table = Table("Diagnostics", ("", "Value", "Parameter"), rows)
        remedy = [f"What to do: {self.remedy}"] if self.remedy else []
        return Sheet(f"{self.verdict.capitalize()}: {self.sentence}", remedy, [table])


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and what helps."""

    failed: bool
    sentence: str
    remedy: str


@dataclass(frozen=True)
class Extreme:
    """The worst value of one number, and the parameter that has it."""

    value: float
    parameter: str


@dataclass(frozen=True)
class Evidence:
    """All that a verdict rests on."""

    chains: int
    draws: int
    not_finite: tuple[str, ...]
    still: tuple[str, ...]  # parameters whose draws are all equal, though the model does not fix them
    moving: bool
    r_hat: Extreme
    ess_bulk: Extreme
    ess_tail: Extreme
    by_nuts: bool
    divergences: int
    tree_depth_hits: int
    checked: int
    parameters: int
    pareto_k: float  # of the weights of an importance sampler's proposals; NaN of other samplers
    proposals: float  # how many draws from the posterior itself its proposals are worth; NaN of other samplers


def diagnose(fit: Any) -> Diagnostics:
    """Whether the draws can be trusted, in plain words.

    Every parameter of the posterior is looked at, group effects included; of a variable with more than 1,000 levels,
    1,000 evenly spaced ones (all are looked at for values that are not finite). A parameter whose draws are all equal
    has failed, unless its variable has the attribute "fixed": the model holds it there. Of the exact engine's draws the
    proposals that they were chosen from are looked at too: how many draws these are worth, and the Pareto k of their
    weights. Limits leave room for chance: of independent draws, however few or in however many chains, about one fit
    in a hundred is doubted. One chain cannot be compared with others: its verdict is "doubtful".

    Parameters
    ----------
    fit : Fit or xarray.DataTree
        Anything with an attribute `idata`, or the DataTree itself, with the groups "posterior" and, where there
        was a sampler, "sample_stats".

    Returns
    -------
    Diagnostics

    Raises
    ------
    SamplingError
        There is no posterior, or it is empty.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021). Bayesian Analysis 16, 667-718. doi:10.1214/20-BA1221.

    Vehtari, Simpson, Gelman, Yao and Gabry (2024). Journal of Machine Learning Research 25(72), 1-58.
    https://jmlr.org/papers/v25/19-556.html

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from speclet_formula.posterior.diagnostics import diagnose
    >>> draws = np.random.default_rng(1).normal(size=(4, 500))
    >>> posterior = xr.Dataset({"sigma": (("chain", "draw"), draws)})
    >>> diagnose(xr.DataTree.from_dict({"posterior": posterior})).verdict
    'converged'
    """
    evidence = gather(getattr(fit, "idata", fit))
    faults = sorted(_faults(evidence), key=lambda fault: not fault.failed)
    verdict: Verdict = "converged"
    if faults:
        verdict = "failed" if faults[0].failed else "doubtful"
    return Diagnostics(
        verdict=verdict,
        sentence=" ".join(fault.sentence for fault in faults) or praise(evidence),
        remedy=_together([fault.remedy for fault in faults]),
        r_hat_max=evidence.r_hat.value,
        r_hat_parameter=evidence.r_hat.parameter,
        ess_bulk_min=evidence.ess_bulk.value,
        ess_bulk_parameter=evidence.ess_bulk.parameter,
        ess_tail_min=evidence.ess_tail.value,
        ess_tail_parameter=evidence.ess_tail.parameter,
        divergences=evidence.divergences,
        tree_depth_hits=evidence.tree_depth_hits,
        chains=evidence.chains,
        draws=evidence.draws,
        n_not_finite=len(evidence.not_finite),
    )


def _together(remedies: list[str]) -> str:
    """Join remedies, without those that stand at the beginning of another."""
    said = dict.fromkeys(remedies)
    return " ".join(one for one in said if not any(more != one and more.startswith(one) for more in said))


# Of a variable with more parameters than this, as many are looked at, evenly spaced: among 10^5 effects chance alone
# passes the limits, and the variables that all effects share are looked at anyway.
MOST_CHECKED = 1000
ROOM = 1.2  # of effective draws, over what is judged enough

FIXED = "fixed"  # attribute of a variable that the model holds at one value
DEPTH_NAMES = ("maxdepth_reached", "reached_max_treedepth")  # nutpie's name, pymc's and numpyro's name


def gather(idata: Any) -> Evidence:
    """Walk through the posterior, one variable at a time, and keep the worst."""
    posterior, (flags, notes) = posterior_in(idata), statistics_in(idata)
    known = draws_in(posterior)
    not_finite: list[str] = []
    still: list[str] = []
    worst = {name: Extreme(math.nan, "") for name in ("r_hat", "ess_bulk", "ess_tail")}
    moving = False
    checked = parameters = 0
    for name in known.names:
        values, label = known.read(name), partial(known.label, name)
        draws = np.moveaxis(known.by_chain(values), -1, 0)
        # What is not finite makes the least draw or the largest so. Two passes, and no copies of 10^5 effects' draws.
        least, largest = (values.min(axis=0), values.max(axis=0)) if values.size else np.zeros((2, len(draws)))
        finite = np.isfinite(least) & np.isfinite(largest)
        constant = finite & (least == largest)
        not_finite += [label(int(index)) for index in np.flatnonzero(~finite)]
        moving = moving or bool((finite & ~constant).any())
        if not posterior[name].attrs.get(FIXED):
            still += [label(int(index)) for index in np.flatnonzero(constant)]
        kept = np.flatnonzero(finite & ~constant)
        parameters += len(kept)
        if len(kept) > MOST_CHECKED:
            kept = kept[np.linspace(0, len(kept) - 1, MOST_CHECKED).astype(np.int64)]
        checked += len(kept)
        mixed = mixing(draws if len(kept) == len(draws) else draws[kept])
        _keep_worst(worst, mixed, label, kept)
    return Evidence(
        chains=known.chains,
        draws=known.length,
        not_finite=tuple(not_finite),
        still=tuple(still),
        moving=moving,
        **worst,
        by_nuts="diverging" in flags,
        divergences=_count(flags, ("diverging",)),
        tree_depth_hits=_count(flags, DEPTH_NAMES),
        checked=checked,
        parameters=parameters,
        pareto_k=float(notes.get("pareto_k", math.nan)),
        proposals=float(notes.get("effective_proposals", math.nan)),
    )


def _keep_worst(worst: dict[str, Extreme], mixed: Mixing, label: Callable[[int], str], kept: np.ndarray) -> None:
    """Put a variable's worst numbers in the place of milder ones."""
    for name, values in (("r_hat", mixed.r_hat), ("ess_bulk", -mixed.ess_bulk), ("ess_tail", -mixed.ess_tail)):
        if not len(values) or np.isnan(values).all():
            continue
        row = int(np.nanargmax(values))
        value = float(values[row]) if name == "r_hat" else -float(values[row])
        known = worst[name].value
        if math.isnan(known) or (value > known if name == "r_hat" else value < known):
            worst[name] = Extreme(value, label(int(kept[row])))


def _count(flags: Mapping[str, Any], names: tuple[str, ...]) -> int:
    """Count the draws that carry one of the sampler's flags; 0 where it does not report them."""
    return next((int(np.asarray(flags[name].values).sum()) for name in names if name in flags), 0)


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


def _faults(evidence: Evidence) -> Iterator[Fault]:
    """Find everything that is wrong, in the order in which one would mend it."""
    if evidence.not_finite:
        yield _not_finite(evidence)
    if evidence.draws < FEWEST_DRAWS:
        yield Fault(
            True,
            f"{_counted(evidence.draws, 'draw')} per chain are too few to judge: R-hat and effective sample size "
            f"need {FEWEST_DRAWS} or more.",
            "Run with draws=1000.",
        )
    elif not evidence.moving and not evidence.not_finite:
        yield Fault(True, "No parameter ever changed: the sampler did not move.", _OTHER_ENGINE)
    elif evidence.still and evidence.moving:
        yield _standing_still(evidence)
    yield from _divergences(evidence)
    yield from _proposals(evidence)
    yield from _r_hat(evidence)
    yield from _ess(evidence)


_OTHER_ENGINE = "Check the priors' scales against the data's, then use a simpler model or another engine (method=)."


def _not_finite(evidence: Evidence) -> Fault:
    """Report draws that are not numbers."""
    count = len(evidence.not_finite)
    named = ", ".join(evidence.not_finite[:3]) + (", ..." if count > 3 else "")  # noqa: PLR2004 - three serve as examples
    return Fault(True, f"{_counted(count, 'parameter')} with draws that are NaN or infinite ({named}).", _OTHER_ENGINE)


def _standing_still(evidence: Evidence) -> Fault:
    """Report parameters with one value in all draws."""
    count = len(evidence.still)
    named = ", ".join(evidence.still[:3]) + (", ..." if count > 3 else "")  # noqa: PLR2004 - three serve as examples
    return Fault(
        True,
        f"{_counted(count, 'parameter')} never changed ({named}): the sampler did not move there.",
        _OTHER_ENGINE,
    )


def _proposals(evidence: Evidence) -> Iterator[Fault]:
    """Report an importance sampler whose proposals miss a part of the posterior; NaN passes."""
    needed = evidence.chains * min(ESS_PER_CHAIN, evidence.draws)
    if evidence.proposals < needed:
        yield Fault(
            evidence.proposals < ESS_FAILED_PER_CHAIN * evidence.chains,
            f"The proposals of the variances are worth {math.floor(evidence.proposals):,} draws (should be at least "
            f"{needed:,}): they hardly meet the posterior.",
            _OTHER_ENGINE,
        )
    elif evidence.pareto_k > PARETO_K_LIMIT:
        yield Fault(
            False,
            f"The proposals of the variances do not cover the posterior's tails (Pareto k {evidence.pareto_k:.2f}, "
            f"should be below {PARETO_K_LIMIT}).",
            _longer(evidence),
        )


def _divergences(evidence: Evidence) -> Iterator[Fault]:
    """Report transitions that left the posterior's true path."""
    total = evidence.chains * evidence.draws
    if evidence.divergences:
        yield Fault(
            evidence.divergences > DIVERGENT_SHARE_FAILED * total,
            f"{_counted(evidence.divergences, 'divergence')} in {total:,} draws: the sampler could not follow the "
            "posterior everywhere, so that a part of it may be missing.",
            "Raise target_accept (0.95, then 0.99); if divergences stay, use tighter priors on the group SDs, fewer "
            "group terms, or method='exact' where the model is Gaussian.",
        )


def _r_hat(evidence: Evidence) -> Iterator[Fault]:
    """Report chains that do not agree, or that are alone."""
    if evidence.chains == 1:
        yield Fault(
            False,
            "R-hat cannot be computed from one chain: nothing shows that another chain would agree.",
            "Run with chains=4.",
        )
    elif evidence.r_hat.value > (limit := r_hat_limit(evidence.chains, evidence.draws, evidence.checked)):
        yield Fault(
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


def _ess(evidence: Evidence) -> Iterator[Fault]:
    """Report too few effective draws."""
    limit = ess_limit(evidence.chains, evidence.draws, evidence.checked)
    kinds = {"its middle": evidence.ess_bulk, "its tails": evidence.ess_tail}
    part, least = min(kinds.items(), key=lambda item: item[1].value)
    if least.value < limit:
        yield Fault(
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
    if slot_of_sd(parameter) or is_correlation(parameter):
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


def mixed(paths: np.ndarray, judged: int = 0) -> bool:
    """Whether chains (chain, draw, d) are judged good, with some room for the parameters that follow from them.

    Where more draws cost much, they need be no better than as some of all parameters, `judged`, the verdict wants.
    """
    chains, draws, size = paths.shape
    if draws < FEWEST_DRAWS or not size:
        return True
    room, size = (1.0, max(size, judged)) if judged else (ROOM, size)
    found = mixing(np.moveaxis(paths, 2, 0))
    agree = chains == 1 or found.r_hat.max() < r_hat_limit(chains, draws, size)
    least = np.minimum(found.ess_bulk, found.ess_tail).min()
    return bool(agree and least > room * ess_limit(chains, draws, size))
