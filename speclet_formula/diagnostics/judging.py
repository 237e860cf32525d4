"""Draws and the sampler's own records go in; a verdict in plain words with a remedy comes out.

The numbers are those of `convergence`; `findings` holds them to the limits of the literature. Printing is left to
others.
"""

from typing import Any

from speclet_formula.diagnostics.findings import findings_of, praise
from speclet_formula.diagnostics.gathering import gather
from speclet_formula.diagnostics.records import Diagnostics, Verdict


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
    >>> from speclet_formula.diagnostics import diagnose
    >>> draws = np.random.default_rng(1).normal(size=(4, 500))
    >>> posterior = xr.Dataset({"sigma": (("chain", "draw"), draws)})
    >>> diagnose(xr.DataTree.from_dict({"posterior": posterior})).verdict
    'converged'
    """
    evidence = gather(getattr(fit, "idata", fit))
    findings = sorted(findings_of(evidence), key=lambda finding: not finding.failed)
    verdict: Verdict = "converged"
    if findings:
        verdict = "failed" if findings[0].failed else "doubtful"
    return Diagnostics(
        verdict=verdict,
        sentence=" ".join(finding.sentence for finding in findings) or praise(evidence),
        remedy=" ".join(dict.fromkeys(finding.remedy for finding in findings)),
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
