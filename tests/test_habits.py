"""What an analyst's hand types: it works, or it is answered by what to write, and that works.

The names are those of lme4, lmerTest, emmeans, brms, rstanarm, Bambi, statsmodels, pymer4, patsy, performance, DHARMa,
broom, marginaleffects and MAGeCK.
"""

import re
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.common import habits
from speclet_formula.errors import UnknownNameError


@cache
def data():
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(8), 12)
    x = rng.normal(size=96)
    mean = x + rng.normal(size=8)[group]
    y = mean + rng.normal(size=96)
    return pd.DataFrame(
        {
            "g": [f"g{k}" for k in group],
            "h": np.tile(["p", "q"], 48),
            "gene": [f"gene_{k}" for k in group],
            "f": np.tile(list("abc"), 32),
            "x": x,
            "y": y,
            "hit": (y > 0).astype(int),
            "n": rng.poisson(np.exp(mean / 2)),
            "level": pd.cut(y, 3, labels=["low", "middle", "high"]),
        }
    )


@cache
def fits():
    settings = {"random_seed": 1, "draws": 100, "progress": False}
    return {
        "draws": sf.lmer("y ~ f * x + (1 | g)", data(), **settings),
        "genes": sf.lmer("y ~ x + (1 | gene)", data(), **settings),
        "point": sf.lmer("y ~ f * x + (1 | g)", data(), method="ml"),
        "reml": sf.lmer("y ~ f * x + (1 | g)", data(), method="reml"),
        "small": sf.lmer("y ~ x + (1 | g)", data(), method="ml"),
        "other": sf.lmer("y ~ x + (1 | g)", data(), **settings),
    }


def names(folder, fit):
    """What a call of an answer may name."""
    made = fits()
    sf.save(fit, folder / "kept.fit")
    layout = data()[["g", "x"]]
    params = {"Intercept": 0.0, "x": 1.0, "1|g_sigma": 1.0, "sigma": 1.0}
    return {
        "sf": sf, "data": data(), "fit": fit, "model": fit.model, "path": folder / "kept.fit", "layout": layout,
        "params": params, "grid": {"x": [0.5]}, "small": made["small"], "other": made["other"],
        "first": fit, "second": made["other"], "result": sf.marginal_means(made["point"], "f"),
    }  # fmt: skip


# Calls that sample, compile, write or need a file of another kind: that their names and arguments exist is seen by
# `tests/test_docs.py`, where they stand too.
LONG = re.compile(
    r"sf\.(guide_table|lmer|glmer|fit_by|kfold|power|report|to_pymc|to_bambi|read_screen|fit)\(|predict\(sf\.fit"
)
CALLS = sorted({*habits.OF_PACKAGE, *habits.OF_FIT, *habits.OF_DRAWS, *habits.OF_MODEL, *habits.OF_RESULT})


@pytest.fixture(autouse=True)
def _close_pictures():
    yield
    plt.close("all")


@pytest.mark.parametrize("call", CALLS)
def test_what_is_to_be_written_runs(call, tmp_path):
    """By a fit with draws, by one without, or by one of genes."""
    compile(call, "answer", "eval")
    for verb in re.findall(r"sf\.(\w+)", call):
        assert verb in sf.__all__
    if LONG.search(call):
        return
    said = []
    for kind in ("draws", "point", "reml", "genes"):
        try:
            eval(call, names(tmp_path, fits()[kind]))
        except (sf.SpecletError, AttributeError, KeyError) as error:
            said.append(str(error))
            continue
        return
    pytest.fail("\n".join(said))


def test_a_name_that_exists_is_not_answered():
    for answers, owner in (
        (habits.OF_PACKAGE, sf),
        (habits.OF_FIT, fits()["point"]),
        (habits.OF_FIT, fits()["draws"]),
        (habits.OF_DRAWS, fits()["draws"]),
        (habits.OF_MODEL, fits()["draws"].model),
        (habits.OF_RESULT, sf.marginal_means(fits()["point"], "f")),
    ):
        listed = [name for names in answers.values() for name in names.split()]
        there = [name for name in listed if hasattr(owner, name)]
        assert not there or owner is fits()["point"]
        assert len(listed) == len(set(listed))


# What is typed, and what is answered: the last line, or None where it works.
TYPED = {
    # lme4, lmerTest
    "sf.summary(point)": "Write print(fit).",
    "sf.AIC(point)": "Write fit.aic.",
    "sf.BIC(point)": "Write fit.bic.",
    "sf.logLik(point)": "Write fit.log_likelihood.",
    "sf.VarCorr(point)": "Write sf.varcorr(fit).",
    "sf.isSingular(point)": "Write sf.is_singular.",
    "sf.lmList('y ~ x | g', data)": "Write sf.fit_by('y ~ x', data, by='h').",
    "sf.bootMer(point, len)": "Write sf.bootstrap(fit, 20).",
    "sf.refitML(point)": "Write sf.update(fit, method='ml').",
    "sf.profile(point)": "Write sf.confint(fit, 'profile').",
    "sf.getME(point, 'X')": "Write fit.model.design.mean.X.",
    "sf.lmerControl(optimizer='bobyqa')": "Leave control= out.",
    "sf.Anova(point)": "Write sf.anova(fit, type=3).",
    "sf.joint_tests(point)": "Write sf.anova(fit, type=3).",
    "sf.anova(point)": None,
    "sf.anova(reml, ddf='Kenward-Roger')": "Write df='Kenward-Roger'.",
    "sf.anova(reml, type='III')": None,
    "sf.fixef(reml, df='Kenward-Roger')": None,
    "sf.simulate('y ~ f', data, {}, contrasts={'f': 'sum'})": "Write C(f, sum) into the formula.",
    "sf.drop1(point)": None,
    "sf.ranova(point)": "Write sf.anova(small, fit).",
    "sf.ls_means(point)": "Write sf.marginal_means(fit, 'f').",
    "sf.glmer_nb('n ~ x + (1|g)', data)": "Write sf.glmer('n ~ x + (1 | g)', data, family='negativebinomial').",
    "sf.lmer('y ~ x + (1|g)', data, REML=False)": "Write method='ml'.",
    "sf.lmer('y ~ x + (1|g)', data, REML=True)": "Write method='reml'.",
    "sf.lmer('y ~ x + (1|g)', data, method='REML')": "Write method='reml'.",
    "sf.lmer('y ~ x + (1|g)', data, control='lmerControl()')": "Leave control= out.",
    "sf.lmer('y ~ x + (1|g)', data, na_action='na.omit')": "Write missing='drop'.",
    "sf.lmer('y ~ x + (1|g)', data, subset='x > 0')": (
        "Choose the rows first, for example data[data['dose'] > 0], and give the result as the data."
    ),
    "sf.lmer('y ~ x + (1|g)', data, family='poisson')": "Write glmer(formula, data, family='poisson').",
    "sf.lmer('y ~ f + (1|g)', data, method='ml', contrasts={'f': 'contr.sum'})": None,
    "sf.lmer('y ~ C(f, contr.helmert) + (1|g)', data, method='ml')": None,
    "sf.lmer('y ~ x + (1|g)', data, offset='n')": "Write it into the formula: ... + offset(n).",
    "sf.lmer(data, 'y ~ x + (1|g)')": (
        "The formula comes first, the table after it: sf.lmer('y ~ x + (1 | g)', data)."
    ),
    "sf.lmer('y ~ x + us(x|g)', data, method='ml')": None,
    "sf.lmer('y ~ x + diag(x|g)', data, method='ml')": None,
    "sf.lmer('y ~ x + ar1(x|g)', data, method='ml')": None,
    "sf.lmer('y ~ x + toep(x|g)', data, method='ml')": "Write (x|g), (x||g), cs(x|g) or ar1(x|g).",
    "sf.glmer('hit ~ x + (1|g)', data)": "Write what comes after data by name, for example family='poisson'.",
    "sf.glmer('hit ~ x + (1|g)', data, family='Binomial', method='laplace')": None,
    "sf.glmer('hit ~ x + (1|g)', data, family=Binomial())": "Write its name: family='binomial'.",
    "sf.glmer('hit ~ x + (1|g)', data, family=\"binomial(link='probit')\")": (
        "Write family='binomial', link='probit'."
    ),
    "sf.glmer('n ~ x + (1|g)', data, family='quasipoisson')": (
        "A quasi-likelihood has no posterior: 'negativebinomial' is for counts that vary more."
    ),
    "sf.glmer('hit ~ x + (1|g)', data, family='bernoulli', method='laplace', nAGQ=5)": None,
    "sf.confint(point, level=0.95)": "Write ci_prob=0.95.",
    "sf.confint(point, method='Wald')": "Write method='wald', or leave it out.",
    "sf.confint(point, parm='x')": "Choose among the rows of the result: its column term names them.",
    "sf.predict(point, data, se_fit=True)": "Leave it out: the column std_error is always there.",
    "sf.predict(point, newdata=data, re_form=None)": None,
    "sf.predict(point, data, re_form='NA')": None,
    "sf.predict(data, point)": "Write sf.predict(fit).",
    "sf.ranef(point, condVar=True)": "Leave it out: the column condsd is always there.",
    "sf.simulate(point, nsim=2, seed=1)": "Write random_seed=1.",
    "sf.anova(small, point, test='Chisq')": "Leave it out: a likelihood ratio is always compared with chi-squared.",
    "sf.anova(small, point, refit=False)": "Leave it out: fits by REML are fitted again by ML only where R does it.",
    "sf.update(point, '. ~ . - x:f')": None,
    "sf.anova(point, type='II', df='Satterthwaite')": None,
    "sf.anova(point, ddf='Kenward-Roger')": "Write df='Kenward-Roger'.",
    "sf.fixef(point, ddf='Satterthwaite')": "Write df='Satterthwaite'.",
    "sf.marginal_means(point, 'f', lmer_df='satterthwaite')": "Write df='satterthwaite'.",
    "sf.contest(point, [0, 1])": "Write sf.hypothesis(fit, 'x = 0').",
    # emmeans, ggeffects, effects, car, multcomp
    "sf.emmeans(point, 'f')": "Write sf.marginal_means(fit, 'f').",
    "sf.marginal_means(point, '~ f')": "Write sf.marginal_means(fit, 'f').",
    "sf.marginal_means(point, '~ f | x')": "Write sf.marginal_means(fit, 'f', by='x').",
    "sf.marginal_means(point, '~ f * x')": "Write sf.marginal_means(fit, ['f', 'x']).",
    "sf.marginal_means(point, 'pairwise ~ f')": "Write sf.pairs(sf.marginal_means(fit, 'f')).",
    "sf.emtrends(point, 'f', var='x')": "Write sf.slopes(fit, 'x', by='f').",
    "sf.contrast(means, 'eff')": "Write sf.contrasts(sf.marginal_means(fit, 'f'), 'reference').",
    "sf.contrasts(means, 'trt.vs.ctrl')": "Write method='reference'.",
    "sf.pairs(means)": None,
    "sf.pairs(means, adjust='bonf')": "Write adjust='bonferroni'.",
    "sf.pairs(means, reverse=True)": None,
    "sf.glmer('count ~ x + (1 | g)', data, family='poisson', ziformula='~ x')": (
        "Write [formula, 'psi ~ x'] and family='zero_inflated_poisson': psi is the share that is no extra zero."
    ),
    "sf.lmer('y ~ x + (1 | g)', data, dispformula='~ x')": (
        "Write [formula, 'sigma ~ x']; in the place of ~0 leave it out."
    ),
    "sf.contrasts(means, reverse=True)": "Write method='revpairwise'.",
    "sf.contrasts(means, 'poly')": None,
    "sf.contrasts(means, {'b - a': [-1, 1, 0]})": None,
    "sf.contrasts(means, [1, -1, 0])": "Write method={'name': [1, -1, 0]}.",
    "sf.marginal_means(point, 'x', at=[0, 1])": "Write at={'x': [0, 1]}, the values of each variable.",
    "sf.marginal_means(reml, 'f', lmer_df='satterthwaite')": "Write df='satterthwaite'.",
    "sf.pairs(point, 'f')": "Write sf.pairs(sf.marginal_means(fit, 'treatment')).",
    "sf.pairs(means, adjust='holm')": None,
    "sf.slopes(point, specs='f', var='x')": "Write by='f'.",
    "sf.cld(means)": "Write sf.pairs(sf.marginal_means(fit, 'f')).",
    "sf.ggpredict(point, 'x')": "Write sf.plot_predictions(fit, 'x').",
    "sf.margins(point)": "Write sf.avg_slopes(fit).",
    "sf.avg_slopes(point, 'x')": None,
    "sf.glht(point)": "Write sf.hypothesis(fit, 'x > 0').",
    "sf.vif(point)": "Write sf.check_model(fit).collinearity.",
    # brms, rstanarm
    "sf.brm('y ~ x + (1|g)', data)": "Write sf.lmer('y ~ x + (1 | g)', data).",
    "sf.lmer('y ~ x + (1|g)', data, iter=4000)": "Write draws=2000, tune=2000.",
    "sf.lmer('y ~ x + (1|g)', data, warmup=500)": "Write tune=500.",
    "sf.lmer('y ~ x + (1|g)', data, seed=3)": "Write random_seed=3.",
    "sf.lmer('y ~ x + (1|g)', data, adapt_delta=0.99)": "Write target_accept=0.99.",
    "sf.lmer('y ~ x + (1|g)', data, prior='normal(0, 1)')": "Write priors=.",
    "sf.lmer('y ~ x + (1|g)', data, backend='cmdstanr')": "Write method='nuts', sampler='nutpie'.",
    "sf.set_prior('normal(0, 1)')": "Write sf.Prior('Normal', mu=0, sigma=1).",
    "sf.bf('y ~ x', 'sigma ~ x')": "Write sf.Model(['y ~ x + (1 | g)', 'sigma ~ x'], data).",
    "sf.lmer('y | trunc(lb = 0) ~ x', data)": "Write truncated(y, lb = 0) with the bounds, lb and ub.",
    "sf.lmer('y ~ te(x, w) + (1|g)', data)": "Write t2 instead.",
    "sf.lmer('y ~ mo(f) + (1|g)', data)": (
        "Write data['f'] = pandas.Categorical(data['f'], categories=[...], ordered=True)."
    ),
    "sf.posterior_epred(fit)": "Write sf.predict(fit, interval='confidence').",
    "sf.posterior_predict(fit)": "Write sf.simulate(fit, nsim=10, use_u=True).",
    "sf.conditional_effects(fit)": "Write sf.plot_predictions(fit, 'x').",
    "sf.pp_check(fit)": "Write sf.posterior_predictive(fit).",
    "sf.as_draws(fit)": "Write fit.idata.",
    "sf.loo_compare(fit, other)": "Write sf.compare({'first': fit, 'second': other}).",
    "sf.loo(fit, other)": (
        "Give one fit at a time, or compare them: sf.compare({'first': fit, 'second': other})."
    ),
    "sf.compare(fit, other)": "Put them into a list: compare([first, second]).",
    "sf.waic(fit)": "Write sf.loo(fit).",
    "sf.bayes_factor(fit, other)": "Compare predictions: sf.compare({'first': fit, 'second': other}).",
    "sf.hypothesis(fit, 'x = 0')": "Give the region: rope=(-0.1, 0.1), or write < or >.",
    "sf.kfold(fit, K=5)": "Write k=5.",
    # Bambi
    "fit.model.fit()": "Write sf.fit(model).",
    "fit.model.build()": "Write sf.to_bambi(model).",
    "fit.model.predict(fit.idata)": "Write sf.predict(sf.fit(model)).",
    "fit.model.set_priors({})": (
        "Write sf.Model('y ~ x + (1 | g)', data, priors={'x': sf.Prior('Normal', mu=0, sigma=1)})."
    ),
    "sf.Model('y ~ x + (1|g)', data, dropna=True)": "Write missing='drop'.",
    "sf.Model('y ~ x + (1|g)', data, noncentered=False)": "Leave it out, or write sf.Prior(..., noncentered=False).",
    "sf.Model('y ~ x + (1|g)', data, auto_scale=False)": "Leave it out, or give priors= of your own.",
    "sf.Model('y ~ x + (1|g)', data, categorical='f')": "Write factor(f) in the formula.",
    "sf.lmer('y ~ x + (1|g)', data, inference_method='mcmc')": "Write method='nuts'.",
    "sf.interpret": "Write sf.predictions(fit).",
    "sf.fit('y ~ x + (1|g)', data)": "Write sf.fit(sf.Model('y ~ x + (1 | g)', data)).",
    # statsmodels, pymer4, patsy
    "sf.mixedlm('y ~ x', data, groups=data['g'])": "Write sf.lmer('y ~ x + (1 | g)', data).",
    "sf.lmer('y ~ x', data, groups=data['g'])": "Write a group term into the formula: ... + (1 | g).",
    "sf.lmer('y ~ x', data, groups='g')": "Write a group term into the formula: ... + (1 | g).",
    "sf.lmer('y ~ x', data, re_formula='~x')": "Write a group term into the formula: ... + (x | g).",
    "sf.lmer('y ~ x', data, vc_formula={'a': '0 + C(a)'})": "Write a group term for each factor: ... + (1 | a).",
    "sf.lmer('y ~ C(f) + (1|g)', data, method='ml')": None,
    "sf.lmer('y ~ C(f, Treatment(\"b\")) + (1|g)', data, method='ml')": None,
    "sf.lmer('y ~ Q(\"x\") + (1|g)', data)": 'Write `"x"`.',
    "sf.lmer('y ~ x', data, random='~1|g')": "Write a group term into the formula: ... + (1 | g).",
    "point.vcov": "Write fit.estimates.covariance.",
    "point.to_html": "Write sf.report(fit, path).",
    "point.summary()": "Write print(fit).",
    "point.params": "Write sf.fixef(fit).",
    "point.bse": "Write sf.fixef(fit)['std_error'].",
    "point.pvalues": "Write sf.fixef(fit)['p_value'].",
    "point.conf_int()": "Write sf.confint(fit).",
    "point.random_effects": "Write sf.ranef(fit).",
    "point.cov_re": "Write sf.varcorr(fit).",
    "point.fittedvalues": "Write sf.fitted(fit).",
    "point.resid": "Write sf.residuals(fit).",
    "point.llf": "Write fit.log_likelihood.",
    "point.aic": None,
    "point.predict(data)": "Write sf.predict(fit).",
    "point.post_hoc('f')": "Write sf.pairs(sf.marginal_means(fit, 'f')).",
    "point.coefs": "Write sf.fixef(fit).",
    "fit.aic": "Write sf.loo(fit).",
    "fit.posterior": "Write fit.idata.",
    "fit.plot()": "Write sf.plot(fit).",
    "fit.to_dataframe()": "Write sf.tidy(fit).",
    "sf.Lmer('y ~ x + (1|g)', data)": "Write sf.lmer('y ~ x + (1 | g)', data).",
    "point.result_fit": "Write sf.fixef(fit).",
    "point.emmeans('f')": "Write sf.marginal_means(fit, 'f').",
    "fit.model.set_contrasts({'f': 'contr.sum'})": (
        "Write sf.Model('y ~ f + (1 | g)', data, contrasts={'f': 'sum'})."
    ),
    "means.to_dataframe()": "Write result.table.",
    "means.summary()": "Write print(result).",
    "means.pairs()": "Write sf.pairs(result).",
    "means.to_latex()": "Write sf.render_table(result, 'latex').",
    # performance, DHARMa, tables
    "sf.r2_nakagawa(point)": "Write sf.r2(fit).",
    "sf.simulateResiduals(point)": "Write sf.residuals(fit, 'quantile').",
    "sf.check_convergence(fit)": "Write sf.diagnose(fit).",
    "sf.modelsummary([point, small])": "Write sf.table({'first': fit, 'second': other}).",
    "sf.tidy(point, effects='fixed', conf_int=True)": None,
    "sf.fixef(point, exponentiate=True)": "Write sf.tidy(fit, 'fixed', exponentiate=True).",
    "sf.bootstrap(point, nsim=10, R=100)": "Write nsim=100.",
    # MAGeCK
    "sf.read_screen(data, control='plasmid')": (
        "Mark them in the table samples=, in a column 'reference': True for plasmid or first time point."
    ),
    "sf.marginal_means(point, 5)": "Write for example 'f'.",
    "sf.hypothesis(point, 3)": "Write for example hypothesis(fit, 'Intercept > 0').",
    "sf.volcano": "Write sf.plot_volcano(sf.rank_genes(fit)).",
    "sf.rank_genes(screen)": (
        "Fit a model first: fit = sf.lmer('log_fc ~ (1 | gene) + (1 | gene:sgRNA)', screen.table), then "
        "sf.rank_genes(fit)."
    ),
    "sf.call_genes(screen)": "Write sf.call_genes(screen.table).",
    "sf.lmer('log_fc ~ (1 | gene)', screen)": "Write screen.table, the rows of the screen.",
    "sf.plot_volcano(screen)": (
        "Write sf.plot_volcano(sf.rank_genes(fit)), with "
        "fit = sf.lmer('log_fc ~ (1 | gene) + (1 | gene:sgRNA)', screen.table)."
    ),
    "sf.mageck_test(fit)": "Write sf.rank_genes(fit).",
    "sf.table(point, small)": "Write the name of a file as text; several fits go into a list or a dictionary.",
    "sf.gene_summary(fit)": "Write sf.rank_genes(fit).",
}  # fmt: skip


SAMPLES = {"sample": ["T0", "T1"], "cell_line": ["", "A"], "reference": [True, False]}


class Binomial:
    """Stands for a family of statsmodels."""


@cache
def typed_names():
    made = fits()
    means = sf.marginal_means(made["point"], "f")
    counts = {"sgRNA": ["a", "b"], "gene": ["A", "B"], "T0": [9, 8], "T1": [5, 9]}
    screen = sf.read_screen(counts, samples=SAMPLES, normalise="none")
    given = {"sf": sf, "data": data(), "fit": made["draws"], "means": means, "Binomial": Binomial, "screen": screen}
    return given | made


@pytest.mark.parametrize(("typed", "answer"), TYPED.items(), ids=TYPED)
def test_what_the_hand_types_works_or_is_answered(typed, answer):
    if answer is None:
        assert eval(typed, typed_names()) is not None
        return
    with pytest.raises(sf.SpecletError) as caught:
        eval(typed, typed_names())
    problem, allowed, remedy = str(caught.value).split("\n")[-3:]
    assert remedy == answer
    assert problem
    assert allowed


def test_there_are_a_hundred_of_them():
    assert len(TYPED) >= 100


def test_an_unknown_name_is_pythons_own_error():
    for text in (
        "sf.nonsense",
        "fit.nonsense",
        "fit.model.nonsense",
        "means.nonsense",
        "fit._private",
        "fit.__nothing__",
    ):
        with pytest.raises(AttributeError) as caught:
            eval(text, typed_names())
        assert not isinstance(caught.value, UnknownNameError)
    assert not hasattr(sf, "AIC")
    assert not hasattr(fits()["point"], "bse")
