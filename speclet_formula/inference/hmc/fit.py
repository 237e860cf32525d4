"""The engine of every family: theta's proposals from the closest Gaussian, chains that correct it, draws by name.

`surrogate` finds the Gaussian, `chain` samples. Judging the draws is left to `diagnostics`.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from speclet_formula.common.threads import in_one_blas_thread
from speclet_formula.design import Predictor
from speclet_formula.design.design import mean_name, sd_name
from speclet_formula.errors import SamplingError
from speclet_formula.inference.datatree import make_tree, sampled
from speclet_formula.inference.exact.density import Variances, correlation_factors
from speclet_formula.inference.exact.fit import _mixed
from speclet_formula.inference.exact.proposals import Mixture, combine, cover, fit_proposal, propose
from speclet_formula.inference.hmc.chain import Gaussian, Kept, Proposals, State, Work, run_chain
from speclet_formula.inference.hmc.parameters import (
    Parameters,
    edges_of,
    natural_of,
    precisions_of,
    theta_of_own,
)
from speclet_formula.inference.hmc.surrogate import Surrogate, centred, log_posterior, surrogate_of
from speclet_formula.inference.plans import SamplingPlan
from speclet_formula.model import Model
from speclet_formula.priors import Prior

ROUND, GOOD = 400, 0.6
PILOT = 100  # rounds of each chain before the first draw
EAGER, MOST_KICKS, FIRST_KICKS = 0.8, 48, 3  # share of trajectories to be accepted
MOST_MOVES = 8
MOST_THINNED = 8
SEGMENT = 50  # draws between two looks at the clock, and at an interrupt


@in_one_blas_thread
def sample_hmc(model: Model, plan: SamplingPlan) -> xr.DataTree:
    """Draw from the posterior of a model of any family.

    Parameters
    ----------
    model : Model
        With Normal or flat priors of the coefficients.
    plan : SamplingPlan
        Numbers of draws and chains; `cores` threads are used.

    Returns
    -------
    xarray.DataTree
        As the nuts engine's.

    Raises
    ------
    SamplingError
        If the model is not one that this engine serves.
    """
    reason = why_not_hmc(model)
    if reason:
        raise SamplingError(
            f"this engine cannot serve the model: {reason}.",
            "It serves all families with Normal priors of the coefficients.",
            "Write method='nuts', or leave method= out for the engine that serves the model.",
        )
    rng = np.random.default_rng(plan.random_seed)
    surrogate = surrogate_of(model, threads=plan.cores)
    surrogate, theta = centred(surrogate, _start(surrogate))
    chains = _Chains(surrogate, theta, plan, rng)
    chains.tune()
    draws = chains.draw()
    return _tree(surrogate, plan, draws)


def why_not_hmc(model: Model) -> str:
    """Say what keeps a model from this engine; "" if it serves."""
    if model.design.merged is not None:
        return "its rows were merged"
    for slot in model.slots:
        if slot.kind in ("intercept", "b") and slot.prior.name not in ("Normal", "Flat"):
            return f"the prior of '{slot.slot}' is {slot.prior.name}, not Normal"
        mean = slot.prior.parameters.get("mu")
        if slot.kind == "group" and isinstance(mean, Prior) and mean.name != "Normal":
            return f"the prior of the mean of '{slot.slot}' is {mean.name}, not Normal"
    if not any(predictor.fixed or predictor.groups for predictor in model.design.predictors):
        return "the model has no coefficients"
    return ""


def _start(surrogate: Surrogate) -> np.ndarray:
    """Return a theta to begin with: SDs of a third of a unit, parameters at the middle of what is usual."""
    parts: list[np.ndarray] = []
    for variances in surrogate.parameters.predictors:
        logs = np.log(0.3 * variances.units)
        for k, (low, high) in variances.ends.items():
            logs[k] = 0.0
        parts += [logs, np.zeros(len(variances.partials))]
    model = surrogate.model
    from speclet_formula.families import specification_of

    for one in surrogate.parameters.own:
        if one.name == "threshold":
            shares = np.bincount(model.design.response.astype(int), minlength=one.size + 1) + 1.0
            from speclet_formula.families.links import FORWARD_LINKS

            below = np.cumsum(shares)[:-1] / (shares.sum() if one.scale == "ordered" else np.cumsum(shares[::-1])[::-1][:-1])
            if one.scale != "ordered":
                below = shares[:-1] / np.cumsum(shares[::-1])[::-1][:-1]
            value = np.asarray(FORWARD_LINKS[model.family.link](below))
        else:
            guess = specification_of(model.family).parameter(one.name).guess
            value = np.array([0.5 if one.scale == "logit" else guess or float(np.std(model.design.response)) or 1.0])
        parts.append(theta_of_own(one, value))
    return np.concatenate(parts) if parts else np.zeros(0)


@dataclass(frozen=True, eq=False)
class _Draws:
    """What chains leave behind; T draws of each."""

    theta: np.ndarray  # (chains, T, d)
    coefficients: np.ndarray  # (chains, T, k) in their own order, from the prior's means
    columns: np.ndarray  # (k,) which they are
    energy: np.ndarray  # (chains, T, 3)
    kicks: int
    moves: int
    thin: int


class _Chains:
    """The chains of one fit, from their tuning to their draws."""

    def __init__(self, surrogate: Surrogate, theta: np.ndarray, plan: SamplingPlan, rng: np.random.Generator) -> None:
        self.surrogate, self.plan, self.rng = surrogate, plan, rng
        self.kicks, self.moves = FIRST_KICKS, 2 if surrogate.parameters.size else 0
        self.generators = rng.spawn(plan.chains)
        size = surrogate.problem.pattern.size
        self.z = [generator.standard_normal(size) for generator in self.generators]
        self.theta = np.tile(theta, (plan.chains, 1))
        self.mixture: Mixture | None = None
        if len(theta):
            self.mixture, found = fit_proposal(
                self.density, theta[None], rng, draws=ROUND, good=GOOD, edges=edges_of(surrogate.parameters)
            )
            weights = np.exp(found.log_weights - found.log_weights.max())
            self.theta = found.points[rng.choice(len(weights), plan.chains, p=weights / weights.sum())]
        self.room: list[tuple[Gaussian, Gaussian, Work]] = [
            (surrogate.gaussian(), surrogate.gaussian(), surrogate.work()) for _ in range(plan.chains)
        ]

    def density(self, theta: np.ndarray) -> np.ndarray:
        """The log posterior density of theta under the Gaussian."""
        return log_posterior(self.surrogate, theta)

    def tune(self) -> None:
        """Leave the start behind; choose how finely to follow a trajectory, and how often to move theta."""
        points = []
        for turn in range(4):
            found = self.run(PILOT // 2 if turn < 2 else PILOT, 1, np.zeros(0, dtype=np.int64))
            accepted = float(np.minimum(1.0, np.exp(-found.energy[:, :, 1])).mean())
            moved = float(found.energy[:, :, 2].mean())
            points.append(found.theta.reshape(-1, found.theta.shape[2]))
            if accepted < EAGER:
                self.kicks = min(MOST_KICKS, int(np.ceil(self.kicks * (2 if accepted < 0.4 else 1.4))))
            elif turn == 3 or (turn and moved > 0.5):
                break
            if self.mixture is not None and turn in (1, 2) and moved < 0.7:
                seen = np.concatenate(points[-2:])
                if len(np.unique(seen[:, 0])) > 10 * seen.shape[1]:
                    self.mixture = combine(cover(seen, self.rng), self.mixture)
        if self.mixture is not None:
            self.moves = int(np.clip(np.ceil(1.5 / max(moved, 0.05)), 1, MOST_MOVES))

    def draw(self) -> _Draws:
        """Draw, and go on where the chains have not mixed."""
        columns = self.kept_columns()
        parts, thin = [self.run(self.plan.draws, 1, columns)], 1
        found = parts[0]
        while thin < MOST_THINNED and not _mixed(np.concatenate([found.theta, self.watched(found)], axis=2)):
            more = self.run(self.plan.draws * thin, 1, columns)
            both = _joined(found, more)
            thin *= 2
            found = _every(both, 2) if thin == 2 else _every(both, 2)
            found = replace(found, thin=thin)
        return found

    def watched(self, draws: _Draws) -> np.ndarray:
        """Return the draws of fixed effects and group means, (chains, T, ...)."""
        first = 0
        columns = []
        for variances in self.surrogate.parameters.predictors:
            columns.append(first + np.arange(variances.layout.n_fixed + len(variances.layout.means)))
            first += variances.layout.size
        return draws.coefficients[:, :, np.isin(draws.columns, np.concatenate(columns))]

    def kept_columns(self) -> np.ndarray:
        """Return which coefficients the posterior holds."""
        columns, start = [], 0
        for predictor, variances in zip(
            self.surrogate.model.design.predictors, self.surrogate.parameters.predictors, strict=True
        ):
            layout = variances.layout
            columns.append(start + np.arange(layout.n_fixed + len(layout.means)))
            for number, block in enumerate(predictor.groups):
                if self.plan.keep is None or block.group in self.plan.keep:
                    first = start + layout.starts[number]
                    columns.append(np.arange(first, first + layout.widths[number] * layout.levels[number]))
            start += layout.size
        return np.concatenate(columns)

    def run(self, draws: int, thin: int, columns: np.ndarray) -> _Draws:
        """Run all chains for so many draws."""
        surrogate, chains = self.surrogate, self.plan.chains
        position = np.argsort(surrogate.order)[columns]
        size = surrogate.parameters.size
        theta = np.empty((chains, draws, size))
        coefficients = np.empty((chains, draws, len(columns)))
        energy = np.zeros((chains, draws, 3))
        points, log_weights = self.proposed(chains * draws * thin * self.moves)
        known = natural_of(surrogate.parameters, points)
        numbers, _ = precisions_of(surrogate.parameters, known)
        owns = surrogate.owns(known.own)

        def one(chain: int) -> None:
            here, there, work = self.room[chain]
            own = np.r_[chain, np.arange(chains + chain, len(points), chains)]
            proposals = Proposals(owns[own], numbers[own], log_weights[own])
            state = State(self.z[chain], np.array([0, 1]))
            places = np.empty(draws, dtype=np.int64)
            for first in range(0, draws, SEGMENT):
                part = slice(first, min(first + SEGMENT, draws))
                kept = Kept(position, coefficients[chain, part], places[part], energy[chain, part])
                run_chain(
                    surrogate.kernel, surrogate.problem, proposals, state, kept, self.generators[chain],
                    thin, self.moves, self.kicks, here, there, work,
                )  # fmt: skip
            theta[chain] = points[own][places]
            self.theta[chain] = points[own][state.place[0]]

        if self.plan.cores == 1 or chains == 1:
            for chain in range(chains):
                one(chain)
        else:
            with ThreadPoolExecutor(self.plan.cores) as pool:
                list(pool.map(one, range(chains)))
        return _Draws(theta, coefficients, columns, energy, self.kicks, self.moves, thin)

    def proposed(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where the chains are and so many proposals, with their log weights."""
        if self.mixture is None:
            return self.theta, np.zeros(len(self.theta))
        from speclet_formula.inference.exact.proposals import log_mixture

        found = propose(self.density, self.mixture, self.rng, count)
        here = self.density(self.theta) - log_mixture(self.mixture, self.theta)
        return np.vstack([self.theta, found.points]), np.concatenate([here, found.log_weights])


def _joined(first: _Draws, second: _Draws) -> _Draws:
    return replace(
        first,
        theta=np.concatenate([first.theta, second.theta], axis=1),
        coefficients=np.concatenate([first.coefficients, second.coefficients], axis=1),
        energy=np.concatenate([first.energy, second.energy], axis=1),
    )


def _every(draws: _Draws, step: int) -> _Draws:
    return replace(
        draws,
        theta=draws.theta[:, step - 1 :: step],
        coefficients=draws.coefficients[:, step - 1 :: step],
        energy=draws.energy[:, step - 1 :: step],
    )


def _tree(surrogate: Surrogate, plan: SamplingPlan, draws: _Draws) -> xr.DataTree:
    """Name the draws."""
    parameters, model = surrogate.parameters, surrogate.model
    coords, shape = sampled(plan), (plan.chains, plan.draws)
    known = natural_of(parameters, draws.theta.reshape(-1, parameters.size))
    centre = np.concatenate(parameters.prior_means)[draws.columns]
    coefficients = draws.coefficients
    coefficients += centre

    def named(values: np.ndarray, dim: str | None = None, labels: Any = None) -> xr.DataArray:
        if dim is None:
            return xr.DataArray(values.reshape(shape), coords, ("chain", "draw"))
        index = pd.Index(labels, dtype=object if isinstance(labels[0], str) else None)
        return xr.DataArray(values.reshape(*shape, -1), coords | {dim: index}, ("chain", "draw", dim))

    variables: dict[str, xr.DataArray] = {}
    start = 0
    for number, (predictor, variances) in enumerate(
        zip(model.design.predictors, parameters.predictors, strict=True)
    ):
        part = _Part(predictor, variances, known.sds[number], known.partials[number], start)
        _name_predictor(part, plan, draws.columns, coefficients, variables, named)
        start += variances.layout.size
    first = 0
    for one in parameters.own:
        values = known.own[:, first : first + one.size]
        if one.name == "threshold":
            variables[one.name] = named(values, "threshold_dim", [str(k) for k in range(one.size)])
        else:
            variables[one.name] = named(values)
        first += one.size
    statistics = xr.Dataset(
        {
            "lp": (("chain", "draw"), draws.energy[:, :, 0]),
            "acceptance_rate": (("chain", "draw"), np.minimum(1.0, np.exp(-draws.energy[:, :, 1]))),
        },
        coords=coords,
        attrs={"kicks": draws.kicks, "moves": draws.moves, "rounds_per_draw": draws.thin,
               "theta_accepted": float(draws.energy[:, :, 2].mean())},
    )
    return make_tree(model, variables, statistics, "hmc")


@dataclass(frozen=True, eq=False)
class _Part:
    predictor: Predictor
    variances: Variances
    sds: np.ndarray
    partial: np.ndarray
    start: int


def _name_predictor(part: _Part, plan: SamplingPlan, columns: np.ndarray, coefficients: np.ndarray, variables: dict[str, xr.DataArray], named: Any) -> None:  # noqa: E501
    predictor, layout = part.predictor, part.variances.layout
    first = int(np.searchsorted(columns, part.start))
    if predictor.has_intercept:
        means = predictor.X[:, 1:].mean(axis=0)
        coefficients[:, :, first] -= coefficients[:, :, first + 1 : first + layout.n_fixed] @ means
    for term in predictor.fixed:
        values = coefficients[:, :, first + term.start : first + term.stop]
        variables[term.variable] = named(values) if term.dim is None else named(values, term.dim, term.coords)
    for number, block in enumerate(predictor.groups):
        width = layout.widths[number]
        kept = plan.keep is None or block.group in plan.keep
        place = int(np.searchsorted(columns, part.start + layout.starts[number]))
        for column, slot in enumerate(block.slots):
            mean = None
            if (number, column) in layout.means:
                mean = coefficients[:, :, first + layout.n_fixed + layout.means.index((number, column))]
                variables[mean_name(slot)] = named(mean)
            if kept:
                effects = coefficients[:, :, place + column : place + width * len(block.levels) : width]
                if mean is not None:
                    effects = effects + mean[:, :, None]
                variables[slot] = named(effects, block.dim, block.levels)
            variables[sd_name(slot)] = named(part.sds[:, part.variances.columns[number][column]])
        if block.correlated:
            factors = correlation_factors(part.variances, number, part.partial)
            matrices = factors @ np.swapaxes(factors, 1, 2)
            pairs = list(combinations(range(width), 2))
            values = np.stack([matrices[:, i, j] for i, j in pairs], axis=-1)
            variables[block.correlation] = named(values, block.pair_dim, block.pairs)
