"""The table of engines: what each is called, what it takes, whether it draws, and where its code stands.

What fits, forecasts, prints, saves or refuses by method reads this table. A new engine is a row here, its package in
`inference`, and its name in `Sampled` or `Maximised`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from speclet_formula.errors import SamplingError, nearest

Sampled = Literal["auto", "exact", "hmc", "nuts"]
Maximised = Literal["reml", "ml", "laplace"]

ALWAYS = ("cores", "random_seed", "progress")  # what every engine accepts, so that a loop over methods needs no ifs
_OF_DRAWS = ("draws", "chains", "keep", "priors")
_OF_NUTS = ("tune", "target_accept", "sampler")
_OF_LAPLACE = "nAGQ"
_REFUSED = ("draws", "chains", *_OF_NUTS, "keep")  # in the order in which they are named


@dataclass(frozen=True)
class Engine:
    """An engine."""

    name: str  # as `method=` has it
    title: str  # as a summary's heading has it
    draws: bool  # whether it samples a posterior, or else maximises a likelihood
    arguments: tuple[str, ...]  # beyond those that every engine takes
    # Modules of `inference` and functions in them, loaded when they are called: Bambi and PyMC take seconds.
    why_not_at: str  # (model) -> why it cannot fit the model, or ""
    run_at: str  # (model, plan) -> a DataTree of draws, or a PointFit
    cost_at: str = ""  # (sizes, work) -> seconds and bytes; "" where there is no forecast
    spellings: tuple[str, ...] = ()  # what others call it
    sampled_by: str = ""  # of one that makes no draws: the engine that draws from the same models' posterior
    small_sample_at: str = ""  # (fit, method) -> what tests in small samples need; "" where they are asymptotic
    why_no_small_sample_at: str = ""  # (fit, method, asked) -> why it is not made, or ""
    smooth_tests_at: str = ""  # (fit) -> a test of each smooth; "" of draws

    def takes(self, argument: str) -> bool:
        """Tell whether an argument of `fit`, or `priors`, means something to it."""
        return argument in ALWAYS or argument in self.arguments

    def why_not(self, model: Any) -> str:
        """Say what keeps it from a model; "" where it serves."""
        return str(_function(self.why_not_at)(model))

    def run(self, model: Any, plan: Any) -> Any:
        """Return draws, or a fit by maximum likelihood."""
        return _function(self.run_at)(model, plan)

    def cost(self, sizes: Any, work: Any) -> tuple[float, float]:
        """Return the seconds and the bytes that it needs."""
        seconds, peak = _function(self.cost_at)(sizes, work)
        return float(seconds), float(peak)

    def small_sample(self, fit: Any, method: str) -> Any:
        """Return what tests of a fit's fixed effects need by a method of degrees of freedom: a SmallSample."""
        return _function(self.small_sample_at)(fit, method)

    def why_no_small_sample(self, fit: Any, method: str, *, asked: bool) -> str:
        """Say what keeps it from that, or, unless it is asked for, what makes it slow; "" if nothing."""
        if not self.small_sample_at:
            return f"a fit by {self.title} has none"
        return str(_function(self.why_no_small_sample_at)(fit, method, asked))

    def smooth_tests(self, fit: Any) -> tuple[Any, ...]:
        """Return a SmoothTest of each smooth of a fit by maximum likelihood; empty where it is not known."""
        return tuple(_function(self.smooth_tests_at)(fit))


# Among those that draw, "auto" takes the first that serves.
ENGINES = (
    Engine(
        "exact",
        "exact integration",
        draws=True,
        arguments=_OF_DRAWS,
        why_not_at="exact.density:why_not_exact",
        run_at="exact.fit:sample_exact",
        cost_at="costs:exact_cost",
    ),
    Engine(
        "hmc",
        "Hamiltonian Monte Carlo",
        draws=True,
        arguments=_OF_DRAWS,
        why_not_at="hmc.fit:why_not_hmc",
        run_at="hmc.fit:sample_hmc",
        cost_at="costs:hmc_cost",
    ),
    Engine(
        "nuts",
        "NUTS",
        draws=True,
        arguments=(*_OF_DRAWS, *_OF_NUTS),
        why_not_at="costs:why_not_nuts",
        run_at="nuts:sample_nuts",
        cost_at="costs:nuts_cost",
        spellings=("mcmc", "sampling", "sample", "stan", "nutpie"),
    ),
    Engine(
        "reml",
        "REML",
        draws=False,
        arguments=(),
        why_not_at="reml.fit:why_not_reml",
        run_at="reml.fit:fit_reml",
        cost_at="costs:point_cost",
        small_sample_at="reml.degrees_of_freedom:small_sample",
        why_no_small_sample_at="reml.degrees_of_freedom:why_no_small_sample",
        smooth_tests_at="smooths:smooth_tests",
        spellings=("lmer",),
        sampled_by="exact",
    ),
    Engine(
        "ml",
        "maximum likelihood",
        draws=False,
        arguments=(),
        why_not_at="reml.fit:why_not_reml",
        run_at="reml.fit:fit_ml",
        cost_at="costs:point_cost",
        small_sample_at="reml.degrees_of_freedom:small_sample",
        why_no_small_sample_at="reml.degrees_of_freedom:why_no_small_sample",
        smooth_tests_at="smooths:smooth_tests",
        spellings=("mle",),
        sampled_by="exact",
    ),
    Engine(
        "laplace",
        "maximum likelihood (Laplace Approximation)",
        draws=False,
        arguments=(_OF_LAPLACE,),
        why_not_at="laplace.fit:why_not_laplace",
        run_at="laplace.fit:fit_by_laplace",
        smooth_tests_at="smooths:smooth_tests",
        spellings=("glmer", "glmmtmb"),
        sampled_by="hmc",
    ),
)
BY_NAME = {engine.name: engine for engine in ENGINES}
METHODS = ("auto", *BY_NAME)
WITH_DRAWS = tuple(engine.name for engine in ENGINES if engine.draws)
WITHOUT_DRAWS = tuple(engine.name for engine in ENGINES if not engine.draws)


def _function(place: str) -> Any:
    """Return a function by the name of its module in `inference` and its own."""
    module, name = place.split(":")
    return getattr(import_module(f"speclet_formula.inference.{module}"), name)


def engine_for(model: Any, method: str, asked: Mapping[str, Any] | None = None) -> Engine:
    """Return the engine that a method means for a model.

    Parameters
    ----------
    model : Model
    method : str
        One of `METHODS`.
    asked : mapping, optional
        Arguments of `fit`; None is what was not asked for. Where exact integration does not serve, "auto" takes an
        engine that has a use for all of them: nuts for `tune=`.

    Raises
    ------
    SamplingError
        There is no such method.
    """
    given: object = method
    if isinstance(given, str) and given == "auto":
        exact, *others = (BY_NAME[name] for name in WITH_DRAWS)
        wanted = [name for name, value in (asked or {}).items() if value is not None and name in _OF_NUTS]
        able = [exact, *(engine for engine in others if all(map(engine.takes, wanted)))]
        return next((engine for engine in able[:-1] if not engine.why_not(model)), able[-1])
    if not isinstance(given, str) or given not in METHODS:
        meant = {spelling: engine.name for engine in ENGINES for spelling in engine.spellings}
        near = meant.get(str(method).lower()) or nearest(str(method), METHODS)
        raise SamplingError(
            f"there is no method {method!r}.",
            f"Methods: {', '.join(METHODS)}.",
            f"Write method={near!r}." if near else "Leave method= out: 'auto' takes the engine that serves the model.",
        )
    return BY_NAME[method]


def refuse_unused(method: str, asked: Mapping[str, Any]) -> None:
    """Raise a SamplingError for arguments that the method has no use for; None is what was not asked for.

    "auto" may come to any engine that draws, and takes the arguments of all of them.
    """
    engine = BY_NAME.get(str(method))
    if asked.get(_OF_LAPLACE) is not None and (engine is None or not engine.takes(_OF_LAPLACE)):
        raise SamplingError(
            f"method='{method}' has no use for {_OF_LAPLACE}={asked[_OF_LAPLACE]!r}.",
            f"{_OF_LAPLACE}= counts the nodes of quadrature of method='laplace'; 1 is Laplace's approximation.",
            "Leave it out, or write method='laplace'.",
        )
    if engine is None:
        return
    if asked.get("priors") is not None and not engine.takes("priors"):
        raise SamplingError(
            f"method='{method}' has no use for priors=.",
            f"It maximises the likelihood, in which priors have no part; they count in fits by {_listed(WITH_DRAWS)}.",
            f"Leave priors= out, or write method='{engine.sampled_by}'.",
        )
    unused = [name for name in _REFUSED if asked.get(name) is not None and not engine.takes(name)]
    if unused:
        allowed, instead = "It makes no draws, and takes cores= alone.", "auto"
        if engine.draws:
            allowed, instead = "These are for method='nuts', which adapts: tune=, target_accept= and sampler=.", "nuts"
        raise SamplingError(
            f"method='{method}' has no use for {', '.join(f'{name}={asked[name]!r}' for name in unused)}.",
            allowed,
            f"Leave {'it' if len(unused) == 1 else 'them'} out, or write method='{instead}'.",
        )


def _listed(names: tuple[str, ...]) -> str:
    *first, last = (f"'{name}'" for name in names)
    return f"{', '.join(first)} and {last}" if first else last
