"""The layouts of the field's programs and libraries lead to one table; all that was taken for something is told."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from tests.screens.small import GENES, GUIDES, SAMPLE_MAP, SAMPLES, SEQUENCES, counts, found, reads

SEQUENCED = counts("sgRNA", None, SEQUENCES)
NAMED = counts("sgRNA", None)
LABELS = [f"{gene} ({k // 3})" for k, gene in enumerate(GENES)]


def test_the_tables_of_counts_are_told_by_their_columns():
    plain = sf.read_screen(counts(), samples=SAMPLE_MAP).table
    numbered = counts().reset_index(names="Unnamed: 0")
    croquet = counts("sgrna_ids", "gene_pair_id").reset_index(names="#id").assign(note="x")
    for table, layout, findings in (
        (counts("SEQID", "GENE"), "BAGEL", set()),
        (counts("sgRNA", "Gene.Symbol"), "MAGeCK", set()),
        (numbered, "MAGeCK", {"row_numbers"}),
        (croquet, "MAGeCK", {"row_numbers", "annotations"}),
        (counts("sgRNA", "gene").assign(gene_name="x"), "MAGeCK", {"gene_columns"}),
        (counts("sgRNA", "gene").assign(sequence=SEQUENCES), "MAGeCK", {"guide_columns", "annotations"}),
    ):
        screen = sf.read_screen(table, samples=SAMPLE_MAP)
        assert screen.layout == layout
        pd.testing.assert_frame_equal(screen.table, plain)
        assert set(screen.findings["finding"]) == findings | {"no_controls"}


@pytest.mark.parametrize(
    ("table", "library", "findings"),
    [
        (SEQUENCED, {"Target Gene ID": 1, "Target Gene Symbol": GENES, "sgRNA Target Sequence": SEQUENCES}, set()),
        (NAMED, {"gene_id": GENES, "UID": GUIDES, "seq": SEQUENCES}, set()),
        (NAMED, {"gene_id": GENES, "UID": GUIDES, "seq": [*SEQUENCES[:22], *SEQUENCES[:2]]}, {"same_sequence"}),
        (NAMED, {"CODE": GUIDES, "GENES": GENES, "EXONE": "ex1", "STARTpos": 1, "seq": SEQUENCES}, set()),
        (SEQUENCED, {"sgRNA": GUIDES, "gRNA.sequence": SEQUENCES, "Gene": GENES}, {"guide_column"}),
        (SEQUENCED, {"id": GUIDES, "sequence": SEQUENCES, "gene": GENES}, set()),
        (SEQUENCED, {"sgRNA_id": GUIDES, "sequence": SEQUENCES, "gene": GENES}, {"guide_column"}),
    ],
    ids=["Brunello", "GeCKO", "GeCKO twice", "KY", "R's names", "by sequence", "names aside"],
)
@pytest.mark.mostly_slow(every=3)
def test_library_tables_are_guide_maps(table, library, findings):
    plain = sf.read_screen(table, pd.DataFrame({"sgRNA": table["sgRNA"], "gene": GENES}), SAMPLE_MAP)
    screen = sf.read_screen(table, pd.DataFrame(library), SAMPLE_MAP)
    pd.testing.assert_frame_equal(screen.table, plain.table)
    assert set(screen.findings["finding"]) == findings | {"no_controls"}


def test_a_library_of_mageck_needs_no_header(tmp_path):
    rows = zip(GUIDES, SEQUENCES, GENES, strict=True)
    (tmp_path / "library.txt").write_text("".join("\t".join(row) + "\n" for row in rows))
    (tmp_path / "pairs.csv").write_text("".join(f"{row[1]},{row[0]}\n" for row in zip(GENES, SEQUENCES, strict=True)))
    plain = sf.read_screen(counts(), samples=SAMPLE_MAP).table
    screen = sf.read_screen(NAMED, tmp_path / "library.txt", SAMPLE_MAP)
    pd.testing.assert_frame_equal(screen.table, plain)
    assert found(screen).loc["no_header", "done"] == "Its columns were read as sgRNA, sequence, gene."
    assert (
        sf.read_screen(SEQUENCED, tmp_path / "pairs.csv", SAMPLE_MAP).table["gene"].tolist() == plain["gene"].tolist()
    )


def test_mageck_s_list_of_control_guides_normalises(tmp_path):
    genes = [*GENES[:12], *["NonTargeting"] * 12]
    (tmp_path / "control_sgrna.txt").write_text("\n".join(GUIDES[12:]) + "\n")
    screen = sf.read_screen(
        counts(genes=genes), samples=SAMPLE_MAP, controls={"nonessential": tmp_path / "control_sgrna.txt"}
    )
    assert screen.normalised == "median of ratios on 12 nonessential guides"
    assert found(screen).loc["non_targeting", "n"] == 12
    left = sf.read_screen(counts(genes=genes), samples=SAMPLE_MAP, drop=["non_targeting"])
    assert set(left.table["gene"]) == set(GENES[:12])


def depmap(**changes):
    """AvanaRawReadcounts, AvanaGuideMap and ScreenSequenceMap in small, two batches of pDNA."""
    raw = pd.concat([pd.DataFrame({"Unnamed: 0": SEQUENCES}), reads().assign(p2=reads()["T0"] * 3)], axis=1)
    guides = pd.DataFrame({"sgRNA": SEQUENCES, "GenomeAlignment": "chr1_1_+", "Gene": LABELS, "nAlignments": 1})
    samples = pd.DataFrame(
        {
            "SequenceID": [*SAMPLES, "p2"], "ModelID": [None, "ACH-1", "ACH-1", "ACH-2", None],
            "Replicate": [None, "A", "B", "A", None], "pDNABatch": ["x", "x", "x", "y", "y"],
            "Days": [0, 21, 21, 21, 0],
            "ScreenType": ["pDNA", "2DS", "2DS", "2DS", "pDNA"], "PassesQC": [True, True, True, False, True],
        }
    )  # fmt: skip
    return sf.read_screen(raw, guides, samples, normalise="none", **changes)


def test_each_sample_of_depmap_is_compared_with_the_plasmid_of_its_batch():
    screen = depmap()
    table = screen.table.set_index(["sample", "sgRNA"])
    np.testing.assert_allclose(table.loc["A_2", "count_initial"].loc[SEQUENCES], reads()["T0"])
    np.testing.assert_allclose(table.loc["B_1", "count_initial"].loc[SEQUENCES], reads()["T0"] * 3)
    told = found(screen)
    assert set(told.index) == {"guide_column", "plasmids", "entrez", "failed_qc"}
    assert told.loc["failed_qc", "examples"] == "B_1"
    assert "'pDNABatch'" in told.loc["plasmids", "done"]
    assert set(screen.table["cell_line"]) == {"ACH-1", "ACH-2"}
    assert screen.samples.set_index("sample").loc["p2", "cell_line"] == "pDNA"


def test_a_failed_sample_is_left_out_when_asked_and_its_plasmid_with_it():
    screen = depmap(drop=["failed_qc", "unmapped_samples"])
    assert set(screen.table["sample"]) == {"A_1", "A_2"}
    assert found(screen).loc["unused_references", "examples"] == "p2"


def test_controls_match_with_or_without_the_entrez_number():
    controls = {"essential": ["GENE1", "GENE2 (2)"], "nonessential": ["GENE5 (999)"]}
    for labels in (LABELS, GENES):
        screen = sf.read_screen(counts(genes=labels), samples=SAMPLE_MAP, controls=controls, normalise="none")
        kinds = screen.table.groupby("control", observed=True)["gene"].unique().map(list).to_dict()
        assert kinds["essential"] == [labels[3], labels[6]]
        assert kinds["nonessential"] == [labels[15]]
        assert "controls_without_guides" not in found(screen).index


RESULTS = {
    "MAGeCK's ranks": ({"id": GENES, "num": 4, "neg|score": 0.1}, "the counts are MAGeCK's ranks of genes: 'id', "),
    "MAGeCK's betas": ({"Gene": GENES, "sgRNA": 4, "HL60|beta": 0.1}, "the counts are MAGeCK's betas of genes: "
    "'Gene', "),
    "MAGeCK's guides": (
        {"sgrna": GUIDES, "Gene": GENES, "control_mean": 1.0, "treat_mean": 2.0},
        "the counts are MAGeCK's scores of guides: 'sgrna', ",
    ),
    "BAGEL's factors": ({"GENE": GENES, "BF": 1.0}, "the counts are BAGEL's Bayes factors: 'GENE', 'BF'."),
    "fold changes": (
        counts().assign(A_1=-0.5), "24 counts are no numbers of reads, the first in sample 'A_1': -0.5.\nCounts are "
        "numbers of reads, 0 or more, before any logarithm.\nHand over the raw counts, or, if they are log fold "
        "changes, "
        "use read_fold_changes.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("table", "text"), RESULTS.values(), ids=RESULTS)
def test_results_of_other_programs_are_no_counts(table, text):
    with pytest.raises(DataError) as caught:
        sf.read_screen(pd.DataFrame(table), samples=SAMPLE_MAP)
    assert str(caught.value).startswith(text)


MISTAKES = {
    "controls of another species": (
        {"controls": {"essential": ["gene1"], "nonessential": ["gene2"]}},
        "none of the 2 controls is in this library: 'gene1', 'gene2'.\nControls are named as the genes or the guides "
        "are: "
        "'GENE0', 'GENE1', 'GENE2' and 5 more; 's_0', 's_1', 's_2' and 21 more.\nNames differ in capital letters: "
        "write "
        "'GENE1' for 'gene1', for example.",
    ),
    "another screen's samples": (
        {"samples": SAMPLE_MAP.assign(sample=["a", "b", "c", "d"]), "drop": ["unmapped_samples"]},
        "no sample of the counts is in the sample map: the counts have 'T0', 'A_1', 'A_2', 'B_1'.\nEach sample has a "
        "row in "
        "the map, which has 'a', 'b', 'c', 'd'.\nCall the column that has the counts' names 'sample'.",
    ),
    "a sample without a line": (
        {"samples": SAMPLE_MAP.assign(cell_line=[None, "A", None, "B"])},
        "1 samples have no cell line: 'A_2'.\nEach sample but references has one, in the sample map's column "
        "'cell_line'.\n"
        "Fill the cells in, or leave their rows out.",
    ),
    "another library": (
        {"guides": pd.DataFrame({"sgRNA": ["x", "y"], "gene": ["A", "B"]})},
        "no guide of the counts is in the guide map: the counts have 's_0', 's_1', 's_2' and 21 more, the map 'x', "
        "'y'.\n"
        "Guides have the same names in both; the map's columns are 'sgRNA', 'gene'.\nCompare the two tables; a map "
        "that has "
        "them in another column needs that column named 'sgRNA'.",
    ),
    "adding": (
        {"duplicates": "add"},
        "duplicates='add' is no choice.\n'error' refuses several rows of one guide, 'same' takes one of equal rows, "
        "'sum' "
        "adds their reads up.\nLeave it out to refuse them.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "text"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_say_what_to_do(changes, text):
    with pytest.raises(DataError) as caught:
        sf.read_screen(counts(), **{"samples": SAMPLE_MAP} | changes)
    assert str(caught.value) == text


def test_a_sequence_listed_for_two_genes_is_one_guide_when_asked():
    table = counts("SEQUENCE", "GENE", SEQUENCES)
    twice = pd.concat([table, table.iloc[[0]].assign(GENE="OTHER")])
    screen = sf.read_screen(twice, samples=SAMPLE_MAP, duplicates="same")
    plain = sf.read_screen(table, samples=SAMPLE_MAP).table
    assert screen.table.loc[screen.table["sgRNA"] == SEQUENCES[0], "gene"].unique().tolist() == ["GENE0;OTHER"]
    assert screen.table["count"].tolist() == plain["count"].tolist()


def test_normalised_counts_and_guides_without_initial_reads_are_told():
    table = counts().assign(
        A_1=lambda frame: frame["A_1"] * 1.37, T0=lambda frame: frame["T0"].where(frame.index > 0, 0)
    )
    screen = sf.read_screen(table, samples=SAMPLE_MAP, normalise="none")
    told = found(screen)
    assert told.loc["not_whole", "n"] == 1
    assert told.loc["unseen", "examples"] == "s_0"
    offset = screen.table.set_index("sgRNA")["log_offset"]
    assert offset.loc["s_0"].isna().all()
    assert offset.drop("s_0").notna().all()


@pytest.mark.slow
def test_time_and_memory_grow_with_the_cells():
    """Guides and samples are gone through as whole columns: 200,000 cells take well under two seconds here (0.3)."""
    import time

    n = 4000
    wide = pd.DataFrame(np.random.default_rng(1).integers(50, 500, (n, 50)), columns=[f"S{k}" for k in range(50)])
    samples = pd.DataFrame(
        {"sample": wide.columns, "cell_line": "A", "replicate": "1", "reference": [None] + ["S0"] * 49}
    )
    table = pd.concat(
        [pd.DataFrame({"sgRNA": [f"g{k}" for k in range(n)], "gene": [f"G{k // 4}" for k in range(n)]}), wide], axis=1
    )
    start = time.process_time()
    assert len(sf.read_screen(table, samples=samples).table) == n * 49
    assert time.process_time() - start < 2
