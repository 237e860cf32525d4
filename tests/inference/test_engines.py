"""The table of engines: every row resolves, and what reads it agrees with it."""

import inspect
from typing import get_args

import pytest

import speclet_formula as sf
from speclet_formula.common.engines import ALWAYS, BY_NAME, ENGINES, METHODS, Maximised, Sampled, engine_for
from speclet_formula.inference.costs import Work, sizes_of
from speclet_formula.inference.fit import fit
from tests.fakes import sleepstudy_data


@pytest.fixture(scope="module")
def model():
    return sf.Model("Reaction ~ Days + (1 + Days | Subject)", sleepstudy_data())


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_every_row_names_functions_that_are_there(engine, model):
    assert isinstance(engine.why_not(model), str)
    if engine.cost_at:
        assert min(engine.cost(sizes_of(model), Work(1000, 1000, 4, 1))) > 0
    assert not engine.sampled_by or BY_NAME[engine.sampled_by].draws
    assert engine.draws != bool(engine.sampled_by)


def test_the_types_name_the_same_methods():
    assert get_args(Sampled) == ("auto", *(engine.name for engine in ENGINES if engine.draws))
    assert get_args(Maximised) == tuple(engine.name for engine in ENGINES if not engine.draws)
    assert set(METHODS) == {*get_args(Sampled), *get_args(Maximised)}


def test_the_arguments_are_those_of_fit():
    named = {name for engine in ENGINES for name in engine.arguments} | {*ALWAYS}
    assert named - {"priors"} == {*inspect.signature(fit).parameters} - {"model", "method"}


def test_auto_takes_the_first_engine_that_serves(model):
    assert engine_for(model, "auto").name == "exact"
    counts = sleepstudy_data().assign(n=lambda d: d["Days"].astype(int))
    assert engine_for(sf.Model("n ~ 1 + (1 | Subject)", counts, family="poisson"), "auto").name == "hmc"
    assert engine_for(sf.Model("n ~ 1 + (1 | Subject)", counts, family="poisson"), "auto", {"tune": 9}).name == "nuts"


@pytest.mark.parametrize(("method", "instead"), [("reml", "exact"), ("ml", "exact"), ("laplace", "hmc")])
def test_priors_have_no_part_in_a_likelihood(method, instead):
    with pytest.raises(sf.SamplingError) as caught:
        sf.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy_data(), method=method, priors="brms")
    assert str(caught.value) == (
        f"method='{method}' has no use for priors=.\n"
        "It maximises the likelihood, in which priors have no part; they count in fits by 'exact', 'hmc' and 'nuts'.\n"
        f"Leave priors= out, or write method='{instead}'."
    )


def test_a_loop_over_methods_may_pass_a_seed_to_all():
    fitted = sf.lmer(
        "Reaction ~ Days + (1 | Subject)", sleepstudy_data(), method="reml", random_seed=1, progress=False, cores=1
    )
    assert fitted.method == "reml"
