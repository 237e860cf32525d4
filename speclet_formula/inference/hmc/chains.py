"""The chains of one fit: proposals of theta from the Gaussian's marginal, tuning, and draws until the chains agree."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np

from speclet_formula.errors import NoStartError
from speclet_formula.inference.exact.proposals import (
    Mixture,
    combine,
    cover,
    fit_proposal,
    log_mixture,
    propose,
)
from speclet_formula.inference.hmc.chain import ChainState, KeptDraws, Schedule, ThetaProposals, run_chain
from speclet_formula.inference.hmc.gaussian import Gaussian, Workspace
from speclet_formula.inference.hmc.parameters import edges_of
from speclet_formula.inference.hmc.surrogate import Surrogate, given_of, log_posterior
from speclet_formula.inference.plans import LONG, Progress, SamplingPlan, time_in_words
from speclet_formula.posterior.diagnostics import MOST_CHECKED, mixed

ROUND, GOOD = 400, 0.6  # proposals in each round of fitting, and the efficiency that ends it
PILOTS = (50, 50, 100, 100)  # rounds of each chain before the first draw that is kept, ...
BRIEF = (15, 15, 25, 25)  # ... and where each takes long
COSTLY = 20_000  # coefficients from which on it does
STUCK, STARTS = 0.02, 64  # share accepted of a chain that is where trajectories fail, and draws to start it from anew
EAGER, SHY = 0.8, 0.4  # shares of trajectories accepted: what is wanted, and what asks for twice the kicks
FIRST_KICKS, MOST_KICKS = (2, 3), 48  # the second where each takes long, and few pilots are left to find more
FIRST_MOVES, MOST_MOVES = 2, 8
ACCEPTED = 0.8  # proposals of theta that are to be accepted in each round
RARELY = 0.7  # of the proposals accepted: below it they are fitted to the chains' own theta too
MOST_THINNED = 8
SEGMENT = 0.5  # seconds of compiled work between two looks at an interrupt


@dataclass(frozen=True, eq=False)
class ChainDraws:
    """What chains leave behind; T draws of each."""

    theta: np.ndarray  # (chains, T, d)
    coefficients: np.ndarray  # (chains, T, k), from the prior's means
    columns: np.ndarray  # (k,) which coefficients these are, in their own order
    energy: np.ndarray  # (chains, T, 3) as `KeptDraws` has it

    def every(self, step: int) -> "ChainDraws":
        """Return each so-manieth draw."""
        theta, coefficients, energy = (
            part[:, step - 1 :: step] for part in (self.theta, self.coefficients, self.energy)
        )
        return ChainDraws(theta, coefficients, self.columns, energy)

    def joined(self, other: "ChainDraws") -> "ChainDraws":
        """Return these draws with those that came after."""
        pairs = (
            (self.theta, other.theta), (self.coefficients, other.coefficients), (self.energy, other.energy)
        )  # fmt: skip
        theta, coefficients, energy = (np.concatenate(pair, axis=1) for pair in pairs)
        return ChainDraws(theta, coefficients, self.columns, energy)

    def only(self, columns: np.ndarray) -> "ChainDraws":
        """Return the draws of some of the coefficients (k,), which are in order, as they are here."""
        if len(columns) == len(self.columns):
            return self
        kept = self.coefficients[:, :, np.isin(self.columns, columns)]
        return ChainDraws(self.theta, kept, columns, self.energy)

    @property
    def acceptance(self) -> np.ndarray:
        """The shares of trajectories that were accepted (chains,), as their changes of energy say."""
        return np.asarray(np.exp(np.minimum(0.0, -self.energy[:, :, 1])).mean(axis=1))

    @property
    def moved(self) -> float:
        """The share of theta's proposals that were accepted."""
        return float(self.energy[:, :, 2].mean())


class Chains:
    """The chains of one fit, from their start to their draws."""

    def __init__(self, surrogate: Surrogate, theta: np.ndarray, plan: SamplingPlan, rng: np.random.Generator) -> None:
        self.surrogate, self.plan, self.rng = surrogate, plan, rng
        self.kicks = FIRST_KICKS[len(surrogate.order) >= COSTLY]
        self.moves, self.thin = FIRST_MOVES if len(theta) else 0, 1
        self.per_round = 0.0  # seconds of each round of one chain
        self._generators = rng.spawn(plan.chains)
        size = surrogate.problem.pattern.size
        self._z = [generator.standard_normal(size) for generator in self._generators]
        self._theta = np.tile(theta, (plan.chains, 1))
        self._mixture: Mixture | None = None
        self._stop = threading.Event()
        self._progress: Progress | None = None
        if not np.isfinite(self._density(theta[None]))[0]:
            raise NoStartError(
                "no Gaussian comes near the posterior: its density is zero or infinite where it was looked for.",
                "The priors have to overlap with what the response allows.",
                "Compare the priors' scales with the response's, or write method='nuts'.",
            )
        if len(theta):
            self._mixture, found = fit_proposal(
                self._density, theta[None], rng, draws=ROUND, good=GOOD, edges=edges_of(surrogate.parameters)
            )
            weights = np.exp(found.log_weights - found.log_weights.max())
            self._theta = found.points[rng.choice(len(weights), plan.chains, p=weights / weights.sum())]
        self._room: list[tuple[Gaussian, Gaussian, Workspace]] = [
            (surrogate.gaussian(), surrogate.gaussian(), surrogate.work()) for _ in range(plan.chains)
        ]

    def _density(self, theta: np.ndarray) -> np.ndarray:
        return log_posterior(self.surrogate, theta)

    def tune(self) -> None:
        """Leave the start behind; choose how finely to follow a trajectory, and how often to move theta."""
        nothing, seen, moved = np.zeros(0, dtype=np.int64), [], 1.0
        pilots = PILOTS if len(self.surrogate.order) < COSTLY else BRIEF
        for turn, rounds in enumerate(pilots):
            found = self._run(rounds, nothing)
            moved, accepted = found.moved, float(found.acceptance.mean())
            stuck = (found.acceptance < STUCK) & (turn > 0)  # at first all kicks may be too wide
            seen.append(found.theta)
            for chain in [chain for chain, still in enumerate(stuck) if still]:
                self._start_anew(chain)
            if accepted < EAGER:
                self.kicks = min(MOST_KICKS, int(np.ceil(self.kicks * (2 if accepted < SHY else 1.25))))
            elif turn and moved > RARELY and not stuck.any():
                break
            if self._mixture is not None and 0 < turn < len(pilots) - 1 and moved < RARELY:
                points = np.concatenate([theta for part in seen[-2:] for theta in part[~stuck]] or [self._theta])
                if len(np.unique(points[:, 0])) > 10 * points.shape[1]:
                    self._mixture = combine(cover(points, self.rng), self._mixture)
        if self._mixture is not None:
            self.moves = int(np.clip(np.ceil(ACCEPTED / max(moved, ACCEPTED / MOST_MOVES)), 1, MOST_MOVES))

    def _start_anew(self, chain: int) -> None:
        """Put a chain at one of some draws from the Gaussian, by how much likelier the posterior is there.

        Where a level's rows are all zeros the posterior falls off a cliff that the Gaussian does not have, and no
        trajectory from beyond comes back.
        """
        generator, size = self._generators[chain], self.surrogate.problem.pattern.size
        points, log_densities = np.tile(self._theta[chain], (STARTS, 1)), np.zeros(STARTS)
        if self._mixture is not None:
            drawn = propose(lambda points: np.zeros(len(points)), self._mixture, self.rng, STARTS)
            points, log_densities = drawn.points, -drawn.log_weights
        given = given_of(self.surrogate, points)
        proposals = ThetaProposals(given.owns, given.numbers, given.log_rests - log_densities)
        starts = generator.standard_normal((STARTS, size))
        weights = np.array([self._log_weight(chain, proposals, place, z) for place, z in enumerate(starts)])
        if np.isfinite(weights.max()):
            chances = np.exp(weights - weights.max())
            chosen = generator.choice(STARTS, p=chances / chances.sum())
            self._z[chain], self._theta[chain] = starts[chosen], points[chosen]

    def _log_weight(self, chain: int, proposals: ThetaProposals, place: int, z: np.ndarray) -> float:
        """Return the log of the posterior over the Gaussian at a proposal of theta and z; -inf where there is none."""
        here, there, work = self._room[chain]
        state, nothing = _state_of(z, place), np.zeros(0, dtype=np.int64)
        kept = KeptDraws(nothing, np.zeros((0, 0)), nothing, np.zeros((0, 3)))
        run_chain(
            self.surrogate.kernel, self.surrogate.problem, proposals, state, kept, self._generators[chain],
            Schedule(self.thin, self.moves, self.kicks), here, there, work,
        )  # fmt: skip
        weight = float(proposals.log_rests[place] + state.level.sum())
        return weight if np.isfinite(weight) else -np.inf

    def draw(self, columns: np.ndarray) -> ChainDraws:
        """Draw coefficients at some places, and go on as long as the chains do not agree.

        Parameters
        ----------
        columns : ndarray of int, shape (k,)
            Places among the coefficients of all linear predictors, in their own order.
        """
        leading, effects = self._judged()
        drawn = np.union1d(columns, np.concatenate([leading, effects]))  # what is kept does not decide how far to go
        self._progress = self._forecast("")
        found = self._run(self.plan.draws, drawn)
        while self.thin < MOST_THINNED and not self._agree(found, leading, effects):
            self._progress = self._forecast("The chains do not agree yet. ")
            found = found.joined(self._run(self.plan.draws, drawn)).every(2)
            self.thin *= 2
        return found.only(columns)

    def _forecast(self, why: str) -> Progress | None:
        """Say on the error stream how long draws of more than a minute will take; None of others."""
        busy = min(self.plan.cores, self.plan.chains)
        seconds = self.per_round * self.thin * self.plan.draws * self.plan.chains / busy
        if not (self.plan.progress and seconds > LONG):
            return None
        print(
            f"{why}{self.plan.draws * self.plan.chains:,} draws from this posterior take {time_in_words(seconds)}. "
            "Fewer draws (draws=, chains=) take less in proportion. progress=False hides these lines.",
            file=sys.stderr,
            flush=True,
        )
        return Progress(self.plan.draws * self.plan.chains)

    def _judged(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of fixed effects and group means, and of the levels' effects that the verdict looks at."""
        first, leading, effects = 0, [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for variances in self.surrogate.parameters.predictors:
            layout = variances.layout
            leading.append(first + np.arange(layout.n_fixed + len(layout.means)))
            for start, width, levels in zip(layout.starts, layout.widths, layout.levels, strict=True):
                looked_at = np.linspace(0, levels - 1, min(levels, MOST_CHECKED)).astype(np.int64)
                effects.append((first + start + width * looked_at[:, None] + np.arange(width)).ravel())
            first += layout.size
        return np.concatenate(leading), np.sort(np.concatenate(effects))

    def _agree(self, draws: ChainDraws, leading: np.ndarray, effects: np.ndarray) -> bool:
        """Whether the verdict will be good: with room for what follows from theta, fixed effects and group means."""
        followed = np.concatenate([draws.theta, draws.only(leading).coefficients], axis=2)
        judged = draws.only(effects).coefficients
        if len(self.surrogate.order) >= COSTLY:  # no better than is needed
            return mixed(np.concatenate([followed, judged], axis=2), len(effects))
        return mixed(followed) and mixed(judged, len(effects))

    def _run(self, draws: int, columns: np.ndarray) -> ChainDraws:
        """Run all chains for so many draws."""
        surrogate, chains = self.surrogate, self.plan.chains
        theta = np.empty((chains, draws, surrogate.parameters.size))
        coefficients = np.empty((chains, draws, len(columns)))
        energy = np.zeros((chains, draws, 3))
        found = ChainDraws(theta, coefficients, columns, energy)
        points, log_densities = self._proposed(chains * draws * self.thin * self.moves)
        given = given_of(surrogate, points)
        everything = ThetaProposals(given.owns, given.numbers, given.log_rests - log_densities)
        self._stop.clear()

        def one(chain: int) -> float:
            own = np.r_[chain, np.arange(chains + chain, len(points), chains)]
            places, seconds = self._run_one(chain, ThetaProposals(*(part[own] for part in everything)), found)
            theta[chain] = points[own][places[:-1]]
            self._theta[chain] = points[own][places[-1]]
            return seconds

        with ThreadPoolExecutor(min(self.plan.cores, chains)) as pool:
            try:
                running = [pool.submit(one, chain) for chain in range(chains)]
                for chain in running:
                    while not chain.done():  # a signal that another thread was given is answered between two waits
                        wait([chain], timeout=SEGMENT)
                seconds = [chain.result() for chain in running]
            except BaseException:
                self._stop.set()  # before the pool waits for its threads
                raise
        self.per_round = float(np.mean(seconds)) / (draws * self.thin)
        return found

    def _run_one(self, chain: int, proposals: ThetaProposals, draws: ChainDraws) -> tuple[np.ndarray, float]:
        """Run one chain, some draws at a time; return its places among the proposals (draws + 1,), and its seconds."""
        surrogate, (here, there, work) = self.surrogate, self._room[chain]
        position = np.argsort(surrogate.order)[draws.columns]
        count, schedule = draws.theta.shape[1], Schedule(self.thin, self.moves, self.kicks)
        state = _state_of(self._z[chain], 0)
        places = np.empty(count + 1, dtype=np.int64)
        first, length, began = 0, 1, time.perf_counter()
        second = began  # when the second draw began: the first may have waited for a compiler
        while first < count and not self._stop.is_set():
            part = slice(first, min(first + length, count))
            kept = KeptDraws(position, draws.coefficients[chain, part], places[part], draws.energy[chain, part])
            run_chain(
                surrogate.kernel, surrogate.problem, proposals, state, kept, self._generators[chain], schedule,
                here, there, work,
            )  # fmt: skip
            if self._progress is not None:
                self._progress.add(part.stop - part.start)
            first, now = part.stop, time.perf_counter()
            if first == 1:
                second = now
            else:
                length = max(1, int(SEGMENT * (first - 1) / max(now - second, 1e-9)))
        places[-1] = state.place[0]
        return places, time.perf_counter() - began

    def _proposed(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return where the chains are and so many proposals, with their log densities among proposals."""
        if self._mixture is None:
            return self._theta, np.zeros(len(self._theta))
        drawn = propose(lambda points: np.zeros(len(points)), self._mixture, self.rng, count)
        here = log_mixture(self._mixture, self._theta)
        return np.vstack([self._theta, drawn.points]), np.concatenate([here, -drawn.log_weights])


def _state_of(z: np.ndarray, place: int) -> ChainState:
    """Return the state of a chain before its first draw."""
    b, tried, start, speed = np.empty((4, len(z)))
    return ChainState(z, b, np.array([place, place + 1]), np.zeros(2), tried, start, speed)
