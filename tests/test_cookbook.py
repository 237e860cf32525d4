"""Each question of the cookbook is answered with the truth that a simulated screen was given.

The page runs by itself when the documentation is built; here its formulas meet known coefficients, in small.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf

PAGE = (Path(__file__).parents[1] / "docs" / "how-to" / "questions-as-formulas.md").read_text(encoding="utf-8")
FIXED, GROUPED = 4.0, 5.0  # posterior SDs: by chance 1 in 16,000 each, and 1 in 17,000 among 100 levels


def design(genes=10, lines=1, replicates=1, guides=3):
    return sf.datasets.screen_design(genes=genes, guides_per_gene=guides, cell_lines=lines, replicates=replicates)


def lineage_design():
    table = design(lines=6)
    return table.assign(lineage=np.where(table["cell_line"].isin(["cell_0", "cell_1", "cell_2"]), "blood", "skin"))


def numbers_design(name):
    table = design(lines=6)
    return table.assign(**{name: np.random.default_rng(7).normal(0, 0.5, len(table))})


def mutation_design():
    table = design(lines=8)
    cells = table[["gene", "cell_line"]].drop_duplicates()
    cells["is_mutated"] = (np.random.default_rng(7).random(len(cells)) < 0.3).astype(int)
    return table.merge(cells)


def arms_design():
    arms = pd.concat([design(replicates=2).assign(arm=arm) for arm in ("vehicle", "drug")], ignore_index=True)
    return arms.assign(arm=pd.Categorical(arms["arm"], ["vehicle", "drug"]))


def weeks_design():
    return pd.concat([design().assign(week=week) for week in (1, 2, 3)], ignore_index=True)


def libraries_design():
    table = pd.concat([design(lines=6).assign(library=name) for name in ("avana", "brunello")], ignore_index=True)
    batch = "batch_" + table["cell_line"].str[-1] + table["library"].str[0]
    return table.assign(guide=table["library"] + ":" + table["sgRNA"], batch=batch)


def controls_design():
    table = design(genes=15, replicates=2)
    number = table["gene"].str.removeprefix("gene_").astype(int)
    kinds = ["nonessential", "other", "essential"]
    return table.assign(control=pd.Categorical.from_codes(number % 3, kinds))


GENES = [f"gene_{k}" for k in range(10)]
ADDICTED = dict.fromkeys(GENES, 0.0) | {"gene_3": -2.0}
CHANGED = dict.fromkeys(GENES, 0.0) | {"gene_2": -1.2, "gene_9": 0.9}
RECIPES = {
    "one screen": (
        "log_fc ~ (1 | gene/sgRNA)", design(replicates=3),
        {"Intercept": -0.1, "1|gene_sigma": 0.6, "1|gene:sgRNA_sigma": 0.3, "sigma": 0.4},
    ),
    "many lines": (
        "log_fc ~ (1 | gene/sgRNA) + (1 | cell_line) + (1 | gene:cell_line)", design(lines=6),
        {"Intercept": -0.3, "1|gene_sigma": 0.6, "1|gene:sgRNA_sigma": 0.2, "1|cell_line_sigma": 0.2,
         "1|gene:cell_line_sigma": 0.4, "sigma": 0.3},
    ),
    "lineage": (
        "log_fc ~ lineage + (lineage | gene) + (1 | cell_line)", lineage_design(),
        {"Intercept": -0.3, "lineage[skin]": 0.4, "1|gene_sigma": 0.5, "lineage[skin]|gene_sigma": 0.6, "cor|gene": 0.0,
         "1|cell_line_sigma": 0.1, "sigma": 0.3},
    ),
    "copy number": (
        "log_fc ~ cn + (0 + cn | cell_line) + (1 | gene) + (1 | cell_line)", numbers_design("cn"),
        {"Intercept": -0.3, "cn": -0.4, "cn|cell_line_sigma": 0.15, "1|gene_sigma": 0.5, "1|cell_line_sigma": 0.2,
         "sigma": 0.3},
    ),
    "oncogene addiction": (
        "log_fc ~ is_mutated + (0 + is_mutated | gene) + (1 | gene) + (1 | cell_line)", mutation_design(),
        {"Intercept": -0.3, "is_mutated": -0.1, "is_mutated|gene": ADDICTED, "1|gene_sigma": 0.5,
         "1|cell_line_sigma": 0.2, "sigma": 0.3},
    ),
    "drug against vehicle": (
        "log_fc ~ arm + (arm | gene) + (1 | gene:sgRNA)", arms_design(),
        {"Intercept": -0.2, "arm[drug]": -0.1, "1|gene": dict.fromkeys(GENES, 0.0), "arm[drug]|gene": CHANGED,
         "1|gene:sgRNA_sigma": 0.2, "sigma": 0.3},
    ),
    "time course": (
        "log_fc ~ 0 + week + (0 + week | gene/sgRNA)", weeks_design(),
        {"week": -0.1, "week|gene_sigma": 0.3, "week|gene:sgRNA_sigma": 0.1, "sigma": 0.2},
    ),
    "libraries and batches": (
        "log_fc ~ library + (1 | gene) + (1 | guide) + (1 | batch)", libraries_design(),
        {"Intercept": -0.3, "library[brunello]": -0.2, "1|gene_sigma": 0.5, "1|guide_sigma": 0.2, "1|batch_sigma": 0.3,
         "sigma": 0.3},
    ),
    "controls": (
        "log_fc ~ control + (1 | gene/sgRNA)", controls_design(),
        {"Intercept": 0.0, "control[other]": -0.3, "control[essential]": -1.8, "1|gene_sigma": 0.4,
         "1|gene:sgRNA_sigma": 0.2, "sigma": 0.3},
    ),
}  # fmt: skip
FIT = {"method": "exact", "draws": 200, "chains": 2, "cores": 1, "random_seed": 1, "progress": False}


@pytest.mark.parametrize(("formula", "layout", "known"), RECIPES.values(), ids=RECIPES)
@pytest.mark.mostly_slow("one screen", "controls")
def test_a_recipe_recovers_its_truth(formula, layout, known):
    assert f'"{formula}"' in PAGE
    data, truth = sf.simulate(formula, layout, known, random_seed=11)
    fit = sf.lmer(formula, data, **FIT)
    fixed = sf.fixef(fit).set_index("term")
    stated = [name for name in truth if name in fixed.index]
    assert len(stated) == len(fixed)
    for name in stated:
        row = fixed.loc[name]
        assert abs(row["estimate"] - truth[name]) < FIXED * row["std_error"], name
    levels = sf.ranef(fit)
    for (group, term), rows in levels.groupby(["grpvar", "term"]):
        slot = f"{'1' if term == 'Intercept' else term}|{group}"
        true = pd.Series(truth[slot]).loc[rows["grp"]].to_numpy()
        assert (np.abs(rows["condval"] - true) < GROUPED * rows["condsd"]).all(), slot


@pytest.mark.slow
def test_a_guide_that_hardly_cuts_is_the_most_doubtful_of_all():
    """Its gene loses 2, the guide 0.1 of it: three replicates of SD 0.3 leave it no doubt."""
    layout = design(guides=4, replicates=3)
    names = layout.drop_duplicates("sgRNA")
    dead = names.loc[names["gene"] == "gene_4", "sgRNA"].iloc[1]
    own = {f"{row.gene}:{row.sgRNA}": 0.0 for row in names.itertuples()} | {f"gene_4:{dead}": 1.9}
    genes = dict.fromkeys(GENES, 0.0) | {"gene_4": -2.0, "gene_7": -1.0}
    known = {"Intercept": 0.0, "1|gene": genes, "1|gene:sgRNA": own, "sigma": 0.3}
    data, _ = sf.simulate("log_fc ~ (1 | gene/sgRNA)", layout, known, random_seed=5)
    first = sf.guide_table(sf.lmer("log_fc ~ (1 | gene/sgRNA)", data, **FIT)).iloc[0]
    assert first["sgRNA"] == dead
    assert first["doubtful"]
    # 1.9 less what shrinkage to the gene takes; the distance's SD is 0.3 / sqrt(3) * sqrt(4/3), five of which are 1.0
    assert 0.9 < first["distance"] < 2.9


def test_the_page_has_all_questions():
    for heading in (
        "One screen", "Many cell lines", "Lineage", "Guide efficacy", "Copy number", "Oncogene addiction",
        "Drug against vehicle", "Time course", "Libraries and batches", "Counts with an offset",
        "Controls as the reference",
    ):  # fmt: skip
        assert f"\n## {heading}" in PAGE


@pytest.mark.slow
def test_counts_with_the_offset_of_guide_and_sample_give_the_effects_of_genes():
    """With both parts in the offset the intercept is what the library loses, and effects are natural logarithms.

    A count of dispersion 0.02 has a log of SD 0.143, 0.21 as log2; a gene's 12 counts know it to 0.06, and 0.3 is five
    of these (1 in 90,000 for 20 genes). Guides are alike: with the initial reads left out of the offset they differ by
    their shares of the library, whose logs have SD 0.5.
    """
    formula = "count ~ offset(log_offset) + (1 | gene) + (1 | gene:sgRNA)"
    assert f'"{formula}"' in PAGE
    made = sf.simulate_screen(
        genes=20, guides_per_gene=4, replicates=3, nonessential=0.4, efficacy=(1e6, 1.0), guide_sd=0.0, dispersion=0.02,
        reads_per_guide=2000, reference_reads=20_000, random_seed=3,
    )  # fmt: skip
    table = sf.read_screen(made.counts, made.guides, made.samples).table
    fit = sf.glmer(formula, table, family="negativebinomial", method="laplace")
    found = sf.coef(fit).query("grpvar == 'gene' and term == 'Intercept'").set_index("grp")["estimate"] / np.log(2)
    true = made.effects.iloc[:, 0]
    assert (found - true.loc[found.index]).abs().max() < 0.3
    guides = sf.varcorr(fit).set_index("grp")["sdcor"]
    assert guides["gene:sgRNA"] < 0.15
    without = table.assign(log_size=np.log(table.groupby("sample")["count_initial"].transform("mean")))
    other = sf.glmer(formula.replace("log_offset", "log_size"), without, family="negativebinomial", method="laplace")
    assert sf.varcorr(other).set_index("grp")["sdcor"]["gene:sgRNA"] > 0.3
