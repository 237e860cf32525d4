"""Counts in any layout give the same table; all that does not fit is an error or a finding with what was done."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from speclet_formula.screens.counts import size_factors

GUIDES = [f"g{k}" for k in range(24)]
GENES = [f"G{k // 2}" for k in range(24)]
CONTROLS = {"essential": ["G0", "G1"], "nonessential": [f"G{k}" for k in range(6, 12)]}
SAMPLE_MAP = pd.DataFrame(
    {
        "sample": ["T0", "A_1", "A_2", "B_1"],
        "cell_line": ["pool", "A", "A", "B"],
        "replicate": ["1", "1", "2", "1"],
        "reference": [None, "T0", "T0", "T0"],
        "lineage": [None, "blood", "blood", "skin"],
    }
)


def reads():
    """Counts whose depths are 1, 2, 4 and 1 halves of the reference's, with the first genes depleted to a quarter."""
    rng = np.random.default_rng(1)
    initial = rng.integers(100, 400, 24) * 4
    frame = pd.DataFrame({"T0": initial, "A_1": initial * 2, "A_2": initial * 4, "B_1": initial // 2})
    frame.loc[:3, ["A_1", "A_2", "B_1"]] //= 4
    return frame


def wide(guide="sgRNA", gene="gene"):
    return pd.concat([pd.DataFrame({guide: GUIDES, gene: GENES}), reads()], axis=1)


def read(counts=None, guides=None, samples=SAMPLE_MAP, **options):
    return sf.read_screen(wide() if counts is None else counts, guides, samples, controls=CONTROLS, **options)


def guide_map(**columns):
    return pd.DataFrame({"sgRNA": GUIDES, "gene": GENES} | columns)


def test_the_table_is_what_arithmetic_gives():
    screen = read(pseudo_count=3.0)
    table = screen.table.set_index(["sample", "sgRNA"])
    assert len(table) == 3 * 24
    raw = reads().set_index(pd.Index(GUIDES))
    quiet = raw.loc[GUIDES[12:]]  # the nonessential ones: there depths are 1, 2, 4 and a half to the digit
    depth = (quiet / quiet.prod(axis=1).pow(1 / 4).to_numpy()[:, None]).median()
    np.testing.assert_allclose(screen.samples.set_index("sample")["size_factor"], depth.loc[screen.samples["sample"]])
    for sample in ("A_1", "B_1"):
        expected = np.log2((raw[sample] / depth[sample] + 3) / (raw["T0"] / depth["T0"] + 3))
        np.testing.assert_allclose(table.loc[sample, "log_fc"].loc[GUIDES], expected, atol=1e-12)
        offset = raw["T0"] / depth["T0"] * depth[sample]
        np.testing.assert_allclose(table.loc[sample, "count_initial"].loc[GUIDES], offset, rtol=1e-12)
        shares = np.log(raw["T0"] / raw["T0"].sum()) + np.log(depth[sample])  # by guide, and by sample
        rest = table.loc[sample, "log_offset"].loc[GUIDES] - shares
        np.testing.assert_allclose(rest, np.log(raw["T0"].sum() / depth["T0"]), rtol=1e-12)
    assert (table["count"].loc["A_1"].loc[GUIDES] == raw["A_1"]).all()
    assert table["count"].dtype == np.int64
    assert table["log_fc"].loc["A_1"].loc["g0"] == pytest.approx(-2, abs=0.05)
    assert abs(table["log_fc"].loc["A_1"].loc["g20"]) < 1e-9
    assert table["lineage"].loc["B_1"].unique().tolist() == ["skin"]
    assert screen.table["control"].cat.categories.tolist() == ["nonessential", "other", "essential"]
    assert screen.table.groupby("control", observed=True)["gene"].nunique().to_dict() == {
        "nonessential": 6, "other": 4, "essential": 2,
    }  # fmt: skip


def test_all_layouts_give_the_same_table(tmp_path):
    expected = read().table
    bagel = wide("REAGENT_ID", "GENE")
    chronos = reads().set_index(pd.Index(GUIDES)).T.rename_axis("sequence_ID")
    sequence_map = pd.DataFrame(
        {
            "sequence_ID": SAMPLE_MAP["sample"], "cell_line_name": ["pDNA", "A", "A", "B"], "days": [0, 21, 21, 21],
            "pDNA_batch": "b1", "Replicate": SAMPLE_MAP["replicate"],
        }
    )  # fmt: skip
    chronos.reset_index().to_parquet(tmp_path / "readcounts.parquet")
    bagel.to_csv(tmp_path / "reads.txt", sep="\t", index=False)
    wide().to_csv(tmp_path / "reads.csv.gz", index=False)
    lower = guide_map().rename(columns={"sgRNA": "sgrna"})
    found = {
        "MAGeCK": [read(pl.from_pandas(wide())), read(pa.Table.from_pandas(wide())), read(tmp_path / "reads.csv.gz")],
        "BAGEL": [read(bagel), read(str(tmp_path / "reads.txt"))],
        "Chronos": [
            read(chronos, lower, sequence_map),
            read(tmp_path / "readcounts.parquet", lower, sequence_map),
        ],
        "table": [read(wide().drop(columns="gene"), guide_map())],
    }
    columns = [
        "sgRNA", "gene", "sample", "cell_line", "replicate", "control", "count", "count_initial", "log_offset",
        "log_fc",
    ]  # fmt: skip
    for layout, screens in found.items():
        for screen in screens:
            assert screen.layout == layout
            pd.testing.assert_frame_equal(screen.table[columns], expected[columns], check_dtype=False)


def test_references_are_a_mean_or_go_by_batch():
    raw = reads().assign(T0b=reads()["T0"] * 3)
    counts = pd.concat([wide()[["sgRNA", "gene"]], raw], axis=1)
    several = pd.concat([SAMPLE_MAP, pd.DataFrame({"sample": ["T0b"], "cell_line": ["pool"], "replicate": ["2"]})])
    several["reference"] = [None, "T0; T0b", "T0;T0b", "T0b", None]
    table = read(counts, samples=several, normalise="none").table.set_index(["sample", "sgRNA"])
    np.testing.assert_allclose(table.loc["A_1", "count_initial"], raw["T0"] * 2)
    np.testing.assert_allclose(table.loc["B_1", "count_initial"], raw["T0"] * 3)
    flags = several.assign(reference=[True, False, False, False, True], batch=["x", "x", "x", "y", "y"])
    table = read(counts, samples=flags, normalise="none").table.set_index(["sample", "sgRNA"])
    np.testing.assert_allclose(table.loc["A_2", "count_initial"], raw["T0"])
    np.testing.assert_allclose(table.loc["B_1", "count_initial"], raw["T0"] * 3)


@pytest.mark.parametrize("method", ["median", "total"])
def test_depths_are_those_of_a_loop(method):
    counts = np.random.default_rng(2).poisson(50, (40, 5)) * np.array([1, 2, 3, 4, 5.0])
    counts[3, 2] = 0
    found = size_factors(counts, method)
    if method == "total":
        naive = [sum(counts[i][j] for i in range(40)) for j in range(5)]
    else:
        whole = [row for row in counts.tolist() if min(row) > 0]
        naive = [np.median([row[j] / np.prod(row) ** (1 / 5) for row in whole]) for j in range(5)]
    np.testing.assert_allclose(found, naive / np.prod(naive) ** (1 / 5))


FINDINGS = [
    ({"guides": guide_map(gene=[None, *GENES[1:]])}, "no_gene", 1, ["no_gene"], 3),
    (
        {"guides": pd.concat([guide_map(), pd.DataFrame({"sgRNA": ["g5"], "gene": ["G9"]})])},
        "several_genes", 1, ["several_genes"], 3,
    ),
    ({"counts": wide().assign(T0=lambda d: d["T0"].where(d.index > 1, 7))}, "low_initial", 2, ["low_initial"], 6),
    (
        {"counts": wide().assign(A_1=lambda d: d["A_1"].where(d.index != 4)), "normalise": "none"},
        "missing_counts", 1, ["missing_counts"], 1,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "finding", "n", "drop", "rows"), FINDINGS, ids=[row[1] for row in FINDINGS])
def test_what_is_found_is_kept_unless_it_is_to_be_dropped(changes, finding, n, drop, rows):
    kept, dropped = read(**changes), read(**changes, drop=drop)
    assert len(kept.table) == 72
    assert len(dropped.table) == 72 - rows
    for screen, word in ((kept, "ept"), (dropped, "as drop= asks")):
        row = screen.findings.set_index("finding").loc[finding]
        assert row["n"] == n
        assert word in row["done"]
        assert row["what"] in repr(screen)


def test_a_guide_of_two_genes_is_one_of_a_gene_of_its_own():
    table = read(guides=pd.concat([guide_map(), pd.DataFrame({"sgRNA": ["g5"], "gene": ["G9"]})])).table
    assert table.loc[table["sgRNA"] == "g5", "gene"].unique().tolist() == ["G2;G9"]
    assert not table.duplicated(["sgRNA", "sample"]).any()


def test_samples_and_guides_of_one_table_alone_are_told():
    extra = pd.DataFrame({"sample": ["C_1"], "cell_line": ["C"], "replicate": ["1"], "reference": ["T0"]})
    longer = pd.concat([guide_map(), pd.DataFrame({"sgRNA": ["h1", "h2"], "gene": ["H", "H"]})])
    screen = read(wide().assign(note="x", D_1=5), longer, pd.concat([SAMPLE_MAP, extra]), drop=["unmapped_samples"])
    found = screen.findings.set_index("finding")
    expected = {
        "guides_without_counts": (2, "h1, h2"), "samples_without_counts": (1, "C_1"), "unmapped_samples": (1, "D_1"),
        "annotations": (1, "note"), "few_controls": (12, ""),
    }  # fmt: skip
    assert {name: (row["n"], row["examples"]) for name, row in found.iterrows()} == expected
    assert set(screen.table["sample"]) == {"A_1", "A_2", "B_1"}


def test_duplicates_are_added_up_when_asked():
    twice = pd.concat([wide(), wide().iloc[[2]]])
    table = read(twice, duplicates="sum", normalise="none").table.set_index(["sample", "sgRNA"])
    assert table.loc[("A_1", "g2"), "count"] == 2 * reads().loc[2, "A_1"]


def test_without_controls_all_guides_normalise_and_replicates_are_numbered():
    screen = sf.read_screen(wide(), None, SAMPLE_MAP.drop(columns="replicate"))
    assert set(screen.findings["finding"]) == {"no_controls", "replicates_numbered"}
    assert screen.normalised == "median of ratios on 24 guides"
    assert screen.table.drop_duplicates("sample")["replicate"].tolist() == ["1", "2", "1"]
    assert (screen.table["control"] == "other").all()


def test_controls_come_as_lists_tables_and_files(tmp_path):
    (tmp_path / "plain.txt").write_text("G0\nG1\n")
    (tmp_path / "named.txt").write_text("GENE\tHGNC_ID\n" + "\n".join(f"G{k}\tx" for k in range(6, 12)))
    table = pd.DataFrame(
        {"gene": ["G0", "G1", *CONTROLS["nonessential"]], "control": ["essential"] * 2 + ["nonessential"] * 6}
    )
    lists = {"essential": tmp_path / "plain.txt", "nonessential": tmp_path / "named.txt"}
    expected = read().table["control"]
    for controls in (table, lists, dict(CONTROLS)):
        pd.testing.assert_series_equal(
            sf.read_screen(wide(), None, SAMPLE_MAP, controls=controls).table["control"], expected
        )
    mapped = guide_map(control=expected.iloc[:24].astype(str).to_numpy())
    pd.testing.assert_series_equal(sf.read_screen(wide(), mapped, SAMPLE_MAP).table["control"], expected)


def test_a_handful_of_controls_does_not_normalise():
    """Eight guides of a safe harbour, in a focused library: depths are those of all guides, as without controls."""
    alone = sf.read_screen(wide(), None, SAMPLE_MAP)
    few = sf.read_screen(wide(), None, SAMPLE_MAP, controls={"nonessential": ["g0", "g1"]})
    np.testing.assert_array_equal(few.samples["size_factor"], alone.samples["size_factor"])
    assert "Only 2 guides are nonessential controls, fewer than 10. Samples were normalised on all 24" in repr(few)
    assert (few.table["control"] == "nonessential").sum() == 2 * few.table["sample"].nunique()


def test_lists_of_controls_may_have_one_line(tmp_path):
    (tmp_path / "list.txt").write_text("G0\n")
    table = sf.read_screen(wide(), None, SAMPLE_MAP, controls={"nonessential": tmp_path / "list.txt"}).table
    assert set(table.loc[table["control"] == "nonessential", "gene"]) == {"G0"}


def test_a_sample_that_was_taken_twice_is_told():
    found = sf.read_screen(wide().assign(A_2=lambda d: d["A_1"]), None, SAMPLE_MAP).findings
    row = found[found["finding"] == "same_reads"].iloc[0]
    assert (row["what"], row["examples"]) == (
        "1 sample has the same reads as another, of every guide.", "A_2 as A_1",
    )  # fmt: skip
    assert "same_reads" not in set(sf.read_screen(wide(), None, SAMPLE_MAP).findings["finding"])


def test_spaces_around_samples_are_taken_off():
    spaced = SAMPLE_MAP.assign(sample=SAMPLE_MAP["sample"] + " ")
    screen = sf.read_screen(wide(), None, spaced)
    pd.testing.assert_frame_equal(screen.table, sf.read_screen(wide(), None, SAMPLE_MAP).table)
    assert "4 names of samples have spaces around them." in screen.findings["what"].tolist()


MISTAKES = {
    "almost the name": (
        {"samples": SAMPLE_MAP.assign(sample=["T0", "a-1", "A_2", "B_1"])},
        "1 columns of the counts are not in the sample map: 'A_1'.\nEach sample has a row in the map, which has 'T0', "
        "'a-1', 'A_2', 'B_1'.\nCall 'a-1' of the map 'A_1', if it is. Add their rows, or write "
        "drop=['unmapped_samples'] to leave them out.",
    ),
    "almost a reference": (
        {"samples": SAMPLE_MAP.assign(reference=["", "TO", "TO", "TO"])},
        "4 samples have no reference with counts: 'T0', 'A_1', 'A_2', 'B_1'.\nA log fold change compares a sample with "
        "its plasmid or first time point.\nReferences that were named without counts: 'TO'. Nearest to 'TO': 'T0'.",
    ),
    "unmapped sample": (
        {"counts": wide().assign(D_1=5)},
        "1 columns of the counts are not in the sample map: 'D_1'.\nEach sample has a row in the map, which has 'T0', "
        "'A_1', 'A_2', 'B_1'.\nAdd their rows, or write drop=['unmapped_samples'] to leave them out.",
    ),
    "no reference": (
        {"samples": SAMPLE_MAP.assign(reference=[None, "T0", None, "T9"])},
        "2 samples have no reference with counts: 'A_2', 'B_1'.\nA log fold change compares a sample with its "
        "plasmid or "
        "first time point.\nReferences that were named without counts: 'T9'. Nearest to 'T9': 'T0'.",
    ),
    "none at all": (
        {"samples": SAMPLE_MAP.drop(columns="reference")},
        "the sample map names no reference.\nA column 'reference' holds the name of each sample's plasmid or "
        "first time "
        "point (several with ';' between), or True for the samples that are references; in Chronos' layout their cell "
        "line is 'pDNA'.\nAdd the column 'reference'.",
    ),
    "a chain": (
        {"samples": SAMPLE_MAP.assign(reference=[None, "T0", "A_1", "T0"])},
        "'A_1' are references and have references themselves.\nA reference is compared with nothing.\nLeave "
        "their cells "
        "of the column 'reference' empty.",
    ),
    "a sample twice": (
        {"samples": pd.concat([SAMPLE_MAP, SAMPLE_MAP.tail(1)])},
        "the sample map has several rows of 'B_1'.\nEach sample has one row.\nLeave the repetition out; several "
        "references stand in one cell, with ';' between.",
    ),
    "no line": (
        {"samples": SAMPLE_MAP.rename(columns={"cell_line": "cell_lin"})},
        "the sample map has no column of cell lines: 'sample', 'cell_lin', 'replicate', 'reference', 'lineage'.\nIt is "
        "called 'cell_line', 'cell_line_name', in any case.\nRename 'cell_lin'.",
    ),
    "no genes": (
        {"counts": wide().drop(columns="gene")},
        "nothing says which gene a guide hits; the counts have guides and 'T0', 'A_1', 'A_2', 'B_1'.\n"
        "Either the counts have a column 'gene', or guides= is a table "
        "of 'sgRNA' "
        "and 'gene'.\nHand over the library's guide map as guides=.",
    ),
    "a map of nothing": (
        {"guides": pd.DataFrame({"sgRNA": GUIDES, "name": [f"my {guide}" for guide in GUIDES]})},
        "the guide map has no column of genes: 'sgRNA', 'name'.\nIt is called 'gene', 'symbol', 'target_gene', in any "
        "case.\nRename 'name'.",
    ),
    "a guide twice": (
        {"counts": pd.concat([wide(), wide().iloc[[2]]])},
        "1 guides stand in several rows of the counts: 'g2'.\nEach guide has one row.\nTheir rows have the same "
        "reads, as "
        "of one sequence that is listed for several genes: write duplicates='same' to take them once.",
    ),
    "a guide twice, differently": (
        {"counts": pd.concat([wide(), wide().iloc[[2]].assign(A_1=1)])},
        "1 guides stand in several rows of the counts: 'g2'.\nEach guide has one row.\nWrite duplicates='sum' to add "
        "their reads up, or give each copy a name of its own.",
    ),
    "not the same": (
        {"counts": pd.concat([wide(), wide().iloc[[2]].assign(A_1=1), wide().iloc[[3]]]), "duplicates": "same"},
        "1 guides stand in several rows of the counts, with different reads: 'g2'.\nEach guide has one row.\nWrite "
        "duplicates='sum' to add their reads up, or give each copy a name of its own.",
    ),
    "negative": (
        {"counts": wide().assign(B_1=-1.5)},
        "24 counts are no numbers of reads, the first in sample 'B_1': -1.5.\nCounts are numbers of reads, 0 or more, "
        "before any logarithm.\nHand over the raw counts, or, if they are log fold changes, use read_fold_changes.",
    ),
    "text": (
        {"counts": wide().assign(B_1="many")},
        "24 counts are no numbers of reads, the first in sample 'B_1': 'many'.\nCounts are numbers of reads, 0 "
        "or more, "
        "before any logarithm.\nHand over the raw counts, or, if they are log fold changes, use read_fold_changes.",
    ),
    "no guides": (
        {"counts": reads()},
        "the counts have no column of guides: 'T0', 'A_1', 'A_2', 'B_1'.\nMAGeCK's layout is sgRNA, gene, then "
        "samples; "
        "BAGEL's REAGENT_ID, GENE, then samples; Chronos' has one row for each sample, named in its first column, and "
        "one column for each guide.\nCall the column of guides 'sgRNA'.",
    ),
    "drop": (
        {"drop": ["low_inital"]},
        "drop=['low_inital'] names no finding that can be left out.\ndrop is a list of 'no_gene', 'several_genes', "
        "'non_targeting', 'low_initial', 'missing_counts', 'unmapped_samples', 'failed_qc'.\nWrite "
        "drop=['low_initial'].",
    ),
    "normalise": (
        {"normalise": "tmm"},
        "there is no normalise='tmm'.\nMethods: 'median', 'total', 'none'.\nLeave normalise= out for the median "
        "of ratios.",
    ),
    "too few": (
        {"counts": wide().assign(A_1=lambda d: d["A_1"].where(d.index < 16, 0))},
        "only 4 of the 12 guides that normalise have reads in every sample; sample 'A_1' has reads of 4, the fewest.\n"
        "The median of ratios takes at least 10 of them.\nTake 'A_1' out of the sample map and write "
        "drop=['unmapped_samples'], or write normalise='total'.",
    ),
    "pseudo-count": (
        {"pseudo_count": 0.0},
        "pseudo_count=0.0 is out of range.\nIt is a number of reads, above 0.\nLeave it out.",
    ),
    "no guide known": (
        {"guides": guide_map(sgRNA=[f"x{k}" for k in range(24)]), "drop": ["no_gene"]},
        "no guide of the counts is in the guide map: the counts have 'g0', 'g1', 'g2' and 21 more, the map 'x0', 'x1', "
        "'x2' and 21 more.\nGuides have the same names in both; the map's columns are 'sgRNA', 'gene'.\nCompare the "
        "two "
        "tables; a map that has them in another column needs that column named 'sgRNA'.",
    ),
    "a taken name": (
        {"samples": SAMPLE_MAP.assign(log_fc=0.0)},
        "the sample map has a column 'log_fc', which the table makes itself.\nThese names are taken: sgRNA, "
        "gene, sample, "
        "cell_line, replicate, control, count, count_initial, log_offset, log_fc.\nRename it.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "text"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_say_what_to_do(changes, text):
    with pytest.raises(DataError) as caught:
        read(**changes)
    assert str(caught.value) == text


def test_a_missing_sample_map_is_described():
    with pytest.raises(DataError) as caught:
        sf.read_screen(wide())
    assert str(caught.value) == (
        "samples= is missing.\nIt is a table, or the path of one, with a row for each column of reads: 'sample' (the "
        "column's name), 'cell_line', 'replicate', and 'reference', which is True for a plasmid or first time point.\n"
        "Write samples=pandas.DataFrame({'sample': ['plasmid', 'A_1'], 'cell_line': ['', 'A'], 'reference': [True, "
        "False]})."
    )


def test_a_screen_without_any_gene_left_is_refused():
    with pytest.raises(DataError) as caught:
        sf.read_screen(wide().assign(gene=None), None, SAMPLE_MAP, drop=["no_gene"])
    assert str(caught.value) == (
        "no guide is left of 24.\nA screen has guides with a gene.\nCompare the guides' names in the counts and in the "
        "guide map, or leave drop= out."
    )


@pytest.mark.parametrize(
    ("controls", "text"),
    [
        ({"essential": ["G0"], "nonessential": ["G0"]}, "'G0' is both essential and nonessential.\n"),
        (pd.DataFrame({"gene": ["G0"], "control": ["lethal"]}), "'lethal' is no class of controls.\n"),
        ({"negative": "list.txt"}, "'negative' is no class of controls.\n"),
        ({"essential": ["G0"], "neg": ["G1"]}, "'neg' is no class of controls.\n"),
        (pd.DataFrame({"gene": ["G0"]}), "the controls have the columns 'gene'.\n"),
    ],
)
def test_controls_that_make_no_sense_are_refused(controls, text):
    with pytest.raises(DataError) as caught:
        sf.read_screen(wide(), None, SAMPLE_MAP, controls=controls)
    assert str(caught.value).startswith(text)
