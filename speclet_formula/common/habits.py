"""Names of other packages, and what to write here instead: sf.AIC, fit.summary(), fit.params, model.fit().

Who comes from lme4, lmerTest, emmeans, brms, Bambi, statsmodels, pymer4 or MAGeCK types what the hand knows. Where a
name does not exist here, the error says which call gives the same; each call of this file is run by a test.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from speclet_formula.errors import UnknownNameError

_PUBLIC: set[str] = set()  # the public names of the package, filled by it
type Answers = Mapping[str, str]  # what to write -> the names that it answers, with blanks between

OF_PACKAGE: Answers = {
    # Fits
    "sf.lmer('y ~ x + (1 | g)', data)": (
        "lm ols gls lme mixedlm MixedLM Lmer Lm mixed brm stan_lmer rlmer blmer aov"
    ),
    "sf.glmer('n ~ x + (1 | g)', data, family='poisson')": (
        "glm glmmTMB glmmPQL stan_glmer stan_glm Glmer GEE gee BinomialBayesMixedGLM PoissonBayesMixedGLM bglmer"
    ),
    "sf.glmer('n ~ x + (1 | g)', data, family='negativebinomial')": "glmer_nb glm_nb",
    "sf.glmer('level ~ x + (1 | g)', data, family='cumulative')": "clmm clm polr OrderedModel",
    "sf.fit_by('y ~ x', data, by='h')": "lmList lmlist",
    "sf.Model('y ~ x + (1 | g)', data)": "lFormula glFormula mkLmerDevfun get_prior default_prior prior_summary",
    "sf.Prior('Normal', mu=0, sigma=1)": "set_prior prior normal student_t exponential cauchy",
    "sf.Model(['y ~ x + (1 | g)', 'sigma ~ x'], data)": "bf brmsformula lf nlf",
    "sf.to_pymc(model)": "stancode make_stancode standata make_standata",
    "sf.update(fit, method='ml')": "refitML",
    "sf.save(fit, path)": "saveRDS dump pickle",
    "sf.load(path)": "readRDS",
    # Reading
    "print(fit)": "summary summ display",
    "sf.fixef(fit)": "fixed_effects fixedef get_parameters p_value_satterthwaite ci_satterthwaite dof_satterthwaite",
    "sf.ranef(fit)": "random_effects get_random_effects",
    "sf.varcorr(fit)": "VarCorr get_variance variance_components varcomp variance_decomposition",
    "sf.confint(fit)": "conf_int posterior_interval ci intervals",
    "sf.confint(fit, 'profile')": "profile profile_likelihood",
    "sf.tidy(fit)": "posterior_summary model_parameters as_data_frame to_frame parameters",
    "sf.glance(fit)": "df_residual REMLcrit model_performance performance fit_indices",
    "sf.is_singular(fit)": "check_singularity",
    "sf.near_singular(fit)": "rePCA",
    "sf.diagnose(fit)": "check_convergence rhat neff_ratio nuts_params converged",
    "sf.icc(fit)": "ICC performance_icc",
    "sf.r2(fit)": "r2_nakagawa rsquared rsquaredGLMM bayes_R2 r2_bayes",
    "fit.log_likelihood": "logLik llf",
    "fit.deviance": "deviance",
    "fit.method": "isREML isLMM isGLMM",
    "fit.model.formula": "terms nobars findbars",
    "fit.model.data": "model_frame getData get_data",
    "fit.model.design.mean.X": "model_matrix getME dmatrix dmatrices get_modelmatrix",
    "fit.model.family": "family",
    "fit.model.design.weights": "weights",
    "sf.check_model(fit).collinearity": "vif VIF check_collinearity",
    "fit.idata": "vcov as_draws as_draws_df posterior_samples draws idata trace variables ndraws",
    "sf.table({'first': fit, 'second': other})": "modelsummary tab_model stargazer texreg screenreg summary_col etable",
    # Predictions
    "sf.fitted(fit)": "fitted_values fittedvalues",
    "sf.residuals(fit)": "resid predictive_error rstudent rstandard",
    "sf.residuals(fit, 'quantile')": "simulateResiduals randomized_quantile_residuals rqr",
    "sf.predict(fit, interval='confidence')": "posterior_epred epred",
    "sf.predict(fit, type='link', interval='confidence')": "posterior_linpred linpred",
    "sf.predict(fit, interval='prediction')": "predictive_interval predictInterval",
    "sf.simulate(fit, nsim=10, use_u=True)": "posterior_predict",
    "sf.log_likelihood(fit)": "log_lik",
    # Means
    "sf.marginal_means(fit, 'f')": (
        "emmeans lsmeans ls_means LSmeans ggeffect ggemmeans effect Effect allEffects estimate_means popmeans"
    ),
    "sf.pairs(sf.marginal_means(fit, 'f'))": "difflsmeans cld estimate_contrasts pairwise tukey_hsd TukeyHSD",
    "sf.contrasts(sf.marginal_means(fit, 'f'), 'reference')": "contrast dunnett",
    "sf.plot_predictions(fit, 'x')": "ggpredict conditional_effects marginal_effects interact_plot cat_plot",
    "sf.predictions(fit)": "interpret",
    "sf.plot_means(sf.marginal_means(fit, 'f'))": "emmip interaction_plot",
    "sf.slopes(fit, 'x', by='f')": "emtrends lstrends estimate_slopes sim_slopes",
    "sf.marginal_means(fit, 'f', type='response')": "regrid",
    "sf.reference_grid(fit)": "ref_grid recover_data datagrid",
    "sf.hypothesis(fit, 'x > 0')": "linearHypothesis glht wald_test t_test lincom equivalence_test p_direction",
    # Effects over rows
    "sf.avg_slopes(fit)": "marginaleffects margins get_margeff average_marginal_effects avg_marginal_effects AME ame",
    "sf.avg_comparisons(fit, 'f')": "risk_ratio risk_difference average_treatment_effect ate ATE",
    "sf.plot_predictions(fit, 'x', by='f')": "visreg plot_slopes plot_comparisons plot_cme plot_cap partial_residuals",
    # Comparisons
    "fit.aic": "AIC aic extractAIC",
    "fit.bic": "BIC bic",
    "sf.loo(fit)": "AICc waic WAIC elpd",
    "sf.compare({'first': fit, 'second': other})": (
        "loo_compare model_weights loo_model_weights compare_performance test_performance dredge model_avg step stepAIC"
    ),
    "sf.kfold(fit, k=2)": "reloo loo_moment_match cross_val_score cv",
    "sf.anova(small, fit)": "lrtest ranova rand LRT",
    "sf.anova(fit, type=3)": "Anova anova_lm joint_tests Anova_III type3 SATmodcomp single_anova",
    "sf.anova(fit, type=3, df='kenward-roger')": "KRmodcomp",
    "sf.anova(small, fit, nsim=5)": "PBmodcomp",
    "sf.fixef(fit, df='kenward-roger')": "vcovAdj get_Lb_ddf Lb_ddf p_value_kenward ci_kenward dof_kenward",
    "sf.hypothesis(fit, 'x = 0')": "contest contest1D contestMD calcSatterth",
    # Checks
    "sf.posterior_predictive(fit)": "pp_check ppc check_predictions sample_posterior_predictive",
    "sf.prior_predictive(model)": "sample_prior_predictive prior_draws",
    "sf.plot_residuals(fit)": "qqnorm qqmath binned_residuals check_normality check_heteroscedasticity plot_resid",
    "sf.plot_effects(fit)": "dotplot caterpillar plot_random_effects",
    "sf.plot_fixed(fit)": "mcmc_plot plot_summary dwplot coefplot forest plot_forest stan_plot plot_coefs plot_model",
    "sf.check_residuals(fit)": (
        "check_overdispersion check_zeroinflation testDispersion testZeroInflation testUniformity testOutliers"
    ),
    "sf.influence(fit)": "cooks_distance hatvalues dfbeta dfbetas check_outliers",
    "sf.sensitivity(fit)": "powerscale_sensitivity",
    "sf.bootstrap(fit, 20)": "bootMer boot bootstrap_parameters",
    "sf.report(fit, path)": "launch_shinystan shinystan render",
    "sf.power('y ~ x + (1 | g)', layout, params, grid)": "powerSim powerCurve",
    # Formulas
    "sf.explain('y ~ x + (1 | g)')": "extract_eq",
    # Screens
    "sf.rank_genes(fit)": "mageck mageck_test mageck_mle gene_summary rra RRA bagel bayes_factors",
    "sf.guide_table(fit)": "sgrna_summary",
    "sf.read_screen(path)": (
        "count mageck_count read_counts log_fold_change log_fold_changes fold_changes lfc normalise normalize"
    ),
    "sf.plot_volcano(sf.rank_genes(fit))": "volcano volcano_plot",
    "sf.screen_quality(sf.read_screen(path))": "qc quality",
}  # fmt: skip
"""What to write instead of a name that the package does not have."""

OF_FIT: Answers = {
    "print(fit)": "summary summary2 summary_frame print show display",
    "sf.fixef(fit)": "params coef_ coefs coefficients fe_params beta betas fixed_effects result_fit",
    "sf.fixef(fit)['std_error']": "bse bse_fe std_errors stderr se SE",
    "sf.fixef(fit)['p_value']": "pvalues p_values pvalue",
    "sf.fixef(fit)['statistic']": "tvalues zvalues t_values",
    "sf.confint(fit)": "conf_int profile_re ci",
    "sf.ranef(fit)": "random_effects random_effects_cov ranef_",
    "sf.varcorr(fit)": "cov_re vcomp ranef_var ranef_corr VarCorr cov_re_unscaled",
    "sf.sigma(fit)": "scale sigma_",
    "sf.fitted(fit)": "fittedvalues fits fitted_values",
    "sf.residuals(fit)": "resid residuals_ resids resid_response resid_pearson",
    "sf.glance(fit)": "df_resid df_model rsquared rsquared_adj fit_stats result_fit_stats",
    "sf.predict(fit, interval='prediction')": "get_prediction predict_interval forecast",
    "sf.posterior_predictive(fit)": "sample_posterior_predictive pp_check",
    "sf.hypothesis(fit, 'x > 0')": "t_test wald_test f_test",
    "sf.anova(fit, type=3)": "wald_test_terms result_anova",
    "sf.marginal_means(fit, 'f')": "emmeans lsmeans",
    "sf.pairs(sf.marginal_means(fit, 'f'))": "post_hoc pairwise",
    "sf.marginal_means(fit, 'x', at={'x': [0, 1]})": "empredict",
    "sf.check_model(fit).collinearity": "vif",
    "sf.tidy(fit)": "to_dataframe to_frame to_pandas as_data_frame as_dataframe frame",
    "sf.tidy(fit).to_csv(path)": "to_csv write_csv",
    "sf.report(fit, path)": "to_html as_html",
    "sf.render_table(fit, 'latex')": "to_latex as_latex to_markdown",
    "fit.model": "model_ spec",
    "fit.model.formula": "formula",
    "fit.model.data": "data model_frame grps",
    "fit.model.family": "family",
    "fit.model.design.mean.X": "exog design_matrix X",
    "fit.model.design.response": "endog y",
    "fit.idata": "posterior draws trace samples vcov cov_params",
    "sf.diagnose(fit)": "converged warnings convergence rhat",
    "sf.to_arviz(fit)": "to_netcdf to_arviz_ inference_data log_prior prior",
    "fit.log_likelihood": "llf loglik logLik loglike",
}  # fmt: skip
"""What to write instead of an attribute that a fit does not have."""

OF_POINT: Answers = {"fit.estimates.covariance": "vcov cov_params"}
"""The same of a fit without draws, before those of any fit."""

OF_DRAWS: Answers = {
    "sf.loo(fit)": "aic bic AIC BIC waic deviance dic",
    "sf.log_likelihood(fit)": "llf loglik logLik loglike",
}
"""The same of a fit with draws, before those of any fit."""

OF_MODEL: Answers = {
    "sf.fit(model)": "fit fit_ sample run",
    "print(model)": "summary print",
    "sf.to_bambi(model)": "build graph backend components plot_model",
    "sf.prior_predictive(model)": "prior_predictive sample_prior_predictive",
    "sf.plot_predictive(sf.prior_predictive(model))": "plot_priors",
    "sf.Model('y ~ x + (1 | g)', data, priors={'x': sf.Prior('Normal', mu=0, sigma=1)})": "set_priors set_prior priors",
    "sf.predict(sf.fit(model))": "predict posterior_predictive",
    "sf.Model('y ~ f + (1 | g)', data, contrasts={'f': 'sum'})": "set_contrasts contrasts",
    "sf.Model('y ~ factor(x) + (1 | g)', data)": "set_factors",
    "sf.Model('y ~ center(x) + (1 | g)', data)": "set_transforms",
    "sf.to_pymc(model)": "pymc_model compute_log_likelihood compute_log_prior",
    "model.design.mean.X": "exog X common",
    "model.design.response": "endog y response response_name",
    "model.slots": "prior terms parameters",
}  # fmt: skip
"""What to write instead of an attribute that a model does not have."""

OF_RESULT: Answers = {
    "print(result)": "summary show display",
    "result.table": "summary_frame to_dataframe to_frame to_pandas as_data_frame as_dataframe frame df data emmeans",
    "result.table.to_csv(path)": "to_csv write_csv",
    "sf.render_table(result, 'latex')": "to_latex to_markdown to_html as_latex",
    "sf.plot(result)": "plot",
}
"""What to write instead of an attribute that another result does not have."""

_NOTES: Mapping[str, str] = {
    "fit.aic": "Fits by method='reml', 'ml' and 'laplace' have it; models with draws are compared by sf.loo.",
    "fit.log_likelihood": "Fits by method='reml', 'ml' and 'laplace' have it; sf.log_likelihood(fit) is each draw's.",
    "sf.loo(fit)": "Models with draws are compared by what they predict, by sf.loo and sf.compare.",
    "sf.fixef(fit)['p_value']": "Fits by method='reml', 'ml' and 'laplace' have them; draws give probabilities.",
    "fit.idata": (
        "The draws are an ArviZ DataTree; a fit by REML or maximum likelihood has none, but fit.estimates.covariance "
        "of its coefficients."
    ),
    "fit.model.findings": "Columns that cannot be told apart are named among the findings.",
}  # what is to be known beside the call
_SMOOTHS = "Smooths are terms of a formula: s(x), s(x, by = f), t2(x, z)."
_NOTES_OF_NAMES: Mapping[str, tuple[str, str]] = {
    "lmerControl": ("There is no optimiser to tune.", "Leave control= out."),
    "glmerControl": ("There is no optimiser to tune.", "Leave control= out."),
    "allFit": (
        "REML, ML and the exact engine look for their maxima from several places.",
        "Read the first line of fit.",
    ),
    "nlmer": ("A model is linear in its coefficients.", "Use PyMC, or compute the columns inside I()."),
    "gam": (_SMOOTHS, "Write sf.lmer('y ~ s(x) + (1 | g)', data, method='reml') for mgcv's fit."),
    "bam": (_SMOOTHS, "Write sf.lmer('y ~ s(x) + (1 | g)', data, method='reml') for mgcv's fit."),
    "gamm": (_SMOOTHS, "Write sf.lmer('y ~ s(x) + (1 | g)', data, method='reml') for mgcv's fit."),
    "gamm4": (_SMOOTHS, "Write sf.lmer('y ~ s(x) + (1 | g)', data, method='reml') for gamm4's fit."),
    "bayes_factor": (
        "Bayes factors depend on the width of priors that nobody meant so exactly.",
        "Compare predictions: sf.compare({'first': fit, 'second': other}).",
    ),
    "bridge_sampler": (
        "Bayes factors depend on the width of priors that nobody meant so exactly.",
        "Compare predictions: sf.compare({'first': fit, 'second': other}).",
    ),
    "add_criterion": ("Nothing is added to a fit.", "Compare by sf.compare({'first': fit, 'second': other})."),
    "eff_size": ("An effect size is in units of an SD.", "Divide by sf.sigma(fit), or fit scale(y)."),
    "brm_multiple": ("One table is fitted at a time.", "Fit each, and pool the draws."),
    "C": ("Factors are coded inside a formula.", "Write sf.lmer('y ~ C(f, sum) + (1 | g)', data)."),
    "options": ("There are no global options of contrasts.", "Write contrasts={'f': 'sum'} of the model."),
}  # names that no call answers


_REFERENCE = "Mark them in the table samples=, in a column 'reference': True for plasmid or first time point."

KEYWORDS: Mapping[str, Mapping[str, str]] = {
    "parm": {"": "Choose among the rows of the result: its column term names them."},
    "se_fit": {"": "Leave it out: the column std_error is always there."},
    "std_error": {"": "Leave it out: the column std_error is always there."},
    "condVar": {"": "Leave it out: the column condsd is always there."},
    "ddf": {"": "Write df={value}."},
    "lmer_df": {"": "Write df={value}."},
    "test": {"anova": "Leave it out: a likelihood ratio is always compared with chi-squared."},
    "refit": {"anova": "Leave it out: fits by REML are fitted again by ML only where R does it."},
    "exponentiate": {"fixef": "Write sf.tidy(fit, 'fixed', exponentiate=True)."},
    "specs": {"slopes": "Write by={value}."},
    "reverse": {"contrasts": "Write method='revpairwise'."},
    "infer": {"": "Leave it out: intervals are always there, and tests of fits without draws."},
    "by_group": {"icc": "Leave it out: sf.varcorr(fit) has the variance of each group."},
    "method": {"r2": "Leave it out: it is Nakagawa's.", "icc": "Leave it out: it is Nakagawa's."},
    "contrasts": {"": "Write C(f, sum) into the formula."},
    "R": {"bootstrap": "Write nsim={value}.", "confint": "Write nsim={value}."},
    "nboot": {"": "Write nsim={value}."},
    "groups": {"": "Write a group term into the formula: ... + (1 | g)."},
    "random": {"": "Write a group term into the formula: ... + (1 | g)."},
    "ziformula": {
        "": "Write [formula, 'psi ~ x'] and family='zero_inflated_poisson': psi is the share that is no extra zero."
    },
    "dispformula": {
        "lmer": "Write [formula, 'sigma ~ x']; in the place of ~0 leave it out.",
        "": "Write [formula, 'alpha ~ x'] of negative binomial counts; family_parameters(fit) names those of others.",
    },
    "correlation": {"": "Write it into the formula: ... + ar1(0 + factor(time) | g)."},
    "control": {"read_screen": _REFERENCE},
    "control_samples": {"read_screen": _REFERENCE},
    "reference": {"read_screen": _REFERENCE},
    "treatment": {"read_screen": _REFERENCE},
    "plasmid": {"read_screen": _REFERENCE},
    "conditions": {"read_screen": "Write a column 'condition' into the table samples=; it can then be a term."},
    "re_formula": {"": "Write a group term into the formula: ... + (x | g)."},
    "vc_formula": {"": "Write a group term for each factor: ... + (1 | a)."},
    "noncentered": {"": "Leave it out, or write sf.Prior(..., noncentered=False)."},
    "auto_scale": {"": "Leave it out, or give priors= of your own."},
    "categorical": {"": "Write factor(f) in the formula."},
    "dropna": {"": "Write missing='drop'."},
    "inference_method": {"": "Write method='nuts'."},
    "backend": {"": "Write method='nuts', sampler='nutpie'."},
}
"""What to do about keywords of other packages, by the verb that was given one; "" for any verb."""


def answer_keyword(name: str, verb: str, value: str) -> str | None:
    """Return what to do about a keyword of another package's, whose value is written so; None where it is none."""
    answers = KEYWORDS.get(name, {})
    answer = answers.get(verb.removeprefix("sf."), answers.get(""))
    return None if answer is None else answer.replace("{value}", value)


def _by_name(answers: Answers) -> dict[str, str]:
    return {name: code for code, names in answers.items() for name in names.split()}


def note_public_names(names: Iterable[str]) -> None:
    """Learn the public names of the package, so that a verb that is asked for as a method is answered by its call."""
    _PUBLIC.update(names)


def unknown_name(name: str) -> AttributeError:
    """Word what to write instead of a name that the package does not have; Python's own words for one of nowhere."""
    code = _by_name(OF_PACKAGE).get(name)
    problem = f"speclet_formula has no '{name}'."
    if name in _NOTES_OF_NAMES:
        return UnknownNameError(problem, *_NOTES_OF_NAMES[name])
    if code is None and (own := _same_word(name)) is not None:
        code = f"sf.{own}"
    if code is None:
        return AttributeError(f"module 'speclet_formula' has no attribute {name!r}", name=name)
    allowed = "Its verbs have lme4's, emmeans' and broom's names, in small letters: dir(speclet_formula) lists them."
    return UnknownNameError(problem, _NOTES.get(code, allowed), f"Write {code}.")


def _same_word(name: str) -> str | None:
    """Return the public name that differs in capitals and underscores alone."""
    plain = name.replace("_", "").lower()
    return next((known for known in sorted(_PUBLIC) if known.replace("_", "").lower() == plain), None)


_KINDS: Mapping[str, tuple[str, str, tuple[Answers, ...]]] = {
    "Fit": ("fit", "sf.fixef(fit)", (OF_DRAWS, OF_FIT)),
    "PointFit": ("fit", "sf.fixef(fit)", (OF_POINT, OF_FIT)),
    "Model": ("model", "sf.fit(model)", (OF_MODEL,)),
}  # of a class: what an answer calls it, an example of a verb, and its answers
_OTHERS = ("result", "sf.plot(result)", (OF_RESULT,))


def unknown_attribute(owner: object, name: str) -> AttributeError:
    """Word what to write instead of an attribute that a fit, a model or a result does not have."""
    kind = type(owner).__name__
    what, example, tables = _KINDS.get(kind, _OTHERS)
    code = next((found[name] for found in map(_by_name, tables) if name in found), None)
    if code is None and not name.startswith("_"):
        code = _as_verb(name, what)
    if code is None or (code.startswith("result.table") and "table" not in vars(owner)):
        return AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=owner)
    allowed = f"What is done with a {what} is done by functions that take it first, such as {example}."
    return UnknownNameError(f"{kind} has no '{name}'.", _NOTES.get(code, allowed), f"Write {code}.")


_OF_MEANS = ("pairs", "contrasts", "plot_means")


def _as_verb(name: str, first: str) -> str | None:
    """Return the call of a public verb that was asked for as a method."""
    verb = name if name in _PUBLIC else _same_word(name)
    if verb is None or not verb.islower():
        return None
    if verb in _OF_MEANS and first != "result":
        return f"sf.{verb}(sf.marginal_means(fit, 'f'))"
    return "sf.compare({'first': fit, 'second': other})" if verb == "compare" else f"sf.{verb}({first})"


class Answering:
    """What answers the names of other packages, asked for as attributes."""

    if not TYPE_CHECKING:  # to a type checker, an attribute that does not exist is an error

        def __getattr__(self, name: str) -> Any:
            raise unknown_attribute(self, name)
