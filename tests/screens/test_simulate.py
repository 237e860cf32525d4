"""A simulated screen has the counts that its truth makes, and the way from counts to effects leads back to "
"that truth."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError


def simulated(**changes):
    return sf.simulate_screen(**({"genes": 60, "random_seed": 7} | changes))


def fold_changes(made, **options):
    return sf.read_screen(made.counts, made.guides, made.samples, **options)


def test_a_screen_has_the_sizes_that_were_asked_for():
    made = simulated(genes=10, guides_per_gene=[1, 2] * 5, cell_lines=["HEL", "A375"], replicates=2)
    assert made.counts.columns.tolist() == ["sgRNA", "gene", "plasmid", "HEL_1", "HEL_2", "A375_1", "A375_2"]
    assert len(made.counts) == 15 == len(made.efficacies)
    assert made.effects.shape == (10, 2)
    assert (made.effects[(made.effects == 0).all(axis=1)].index == ["gene_8", "gene_9"]).all()
    assert made.guides.groupby("control")["gene"].nunique().to_dict() == {"essential": 2, "nonessential": 2, "other": 6}
    pd.testing.assert_frame_equal(made.counts, simulated(
        genes=10, guides_per_gene=[1, 2] * 5, cell_lines=["HEL", "A375"], replicates=2).counts)  # fmt: skip
    assert not made.counts.equals(simulated(genes=10, random_seed=8).counts)


def test_the_truths_parts_add_up_to_the_guides_means():
    made = simulated(cell_lines=3, guide_sd=0.0, efficacy=(1e7, 1.0))
    truth = made.truth
    cells = made.effects.stack()
    cells.index = [f"{gene}:{line}" for gene, line in cells.index]
    mean = truth["Intercept"] + truth["1|gene"].loc[[name.split(":")[0] for name in cells.index]].to_numpy()
    total = mean + truth["1|gene:cell_line"].loc[cells.index]
    # Efficacies are 1 to within a few 1e-7, and effects are at most about 4.
    np.testing.assert_allclose(total, cells, atol=1e-5)
    assert truth["1|gene:sgRNA"].abs().max() < 1e-5


def test_noise_free_counts_give_back_the_true_fold_changes():
    """A million reads a guide: the SD of a log2 ratio is then about 0.003, and 0.03 is ten of them."""
    made = simulated(reads_per_guide=1e6, reference_reads=1e6, dispersion=0.0, essential=0.3, nonessential=0.3,
                     guide_sd=0.0)  # fmt: skip
    table = fold_changes(made).table
    true = table["sgRNA"].map(made.efficacies) * table["gene"].map(made.effects.iloc[:, 0])
    assert (table["log_fc"] - true).abs().max() < 0.03


@pytest.mark.slow
def test_the_spread_of_counts_is_that_of_a_negative_binomial():
    """Of 20,000 guides at one mean the variance is known to about 3 % (its SE 0.9 % at this shape)."""
    made = simulated(genes=5000, essential=0.0, nonessential=1.0, guide_sd=0.0, replicates=1, dispersion=0.2)
    library = made.counts["plasmid"] / made.counts["plasmid"].mean()
    reads = made.counts["cell_0_1"] / library / (made.counts["cell_0_1"] / library).mean()
    # relative variance: dispersion + 1 / reads of the sample + 1 / reads of the plasmid, the reads 200 or more
    assert 0.2 * 0.95 < reads.var() < 0.2 * 1.05 + 0.03


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"essential": 0.7, "nonessential": 0.4},
            "essential=0.7 and nonessential=0.4 are no shares of the genes.\nBoth are 0 or more, and their sum at most "
            "1.\nLeave them out for 0.15 each.",
        ),
        (
            {"gene_sd": -1},
            "gene_sd=-1 is out of range.\nSDs and the dispersion are 0 or more, reads above 0, replicates 1 or more.\n"
            "Leave gene_sd= out.",
        ),
    ],
)
def test_numbers_that_make_no_screen_are_refused(arguments, text):
    with pytest.raises(DataError) as caught:
        sf.simulate_screen(**arguments)
    assert str(caught.value) == text


@pytest.mark.slow
def test_from_counts_to_recovered_effects():
    """Counts -> table -> exact fit -> recovery.

    Of 40 genes' 90 % intervals fewer than 27 hold the truth with a chance below 1e-4 (binomial).
    """
    made = simulated(genes=40, nonessential=0.3, replicates=3)
    screen = fold_changes(made)
    fit = sf.lmer("log_fc ~ (1|gene) + (1|gene:sgRNA)", screen.table, draws=300, chains=2, cores=1, random_seed=1,
                  progress=False)  # fmt: skip
    groups = sf.recover(fit, made.truth).groups.set_index("group")
    assert groups.loc["gene", "coverage"] * 40 >= 27
    assert groups.loc["gene", "corr"] > 0.95
    ranked = sf.rank_genes(fit, direction="negative")
    assert sf.control_separation(ranked).auc_roc == 1.0
    assert (ranked.head(6)["control"] == "essential").all()
