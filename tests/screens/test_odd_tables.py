"""Tables with empty cells, equal headers, numbers for names, and references of each line."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from tests.screens.small import GENES, GUIDES, SAMPLE_MAP, SEQUENCES, counts, found

LINES = 200


def two_lines():
    """Counts of two lines, each with a T0 whose composition is its own; no guide does anything."""
    rng = np.random.default_rng(5)
    x0, y0 = rng.lognormal(6, 0.4, LINES), rng.lognormal(6, 0.4, LINES)
    reads = {"X_T0": x0, "Y_T0": y0, "X_T21": x0, "Y_T21": y0}
    table = pd.DataFrame({"sgRNA": [f"g{i}" for i in range(LINES)], "gene": [f"G{i // 4}" for i in range(LINES)]})
    return table.assign(**{name: rng.poisson(mean) for name, mean in reads.items()})


TWO = pd.DataFrame({"sample": ["X_T0", "Y_T0", "X_T21", "Y_T21"], "cell_line": list("XYXY")})


@pytest.mark.parametrize("flags", [[True, True, False, False], [1, 1, 0, 0], ["yes", "yes", "no", None]])
def test_each_sample_is_compared_with_the_reference_of_its_own_line(flags):
    screen = sf.read_screen(two_lines(), samples=TWO.assign(reference=flags))
    named = sf.read_screen(two_lines(), samples=TWO.assign(reference=[None, None, "X_T0", "Y_T0"]))
    pd.testing.assert_frame_equal(screen.table, named.table)
    assert screen.samples["references"].tolist() == ["", "", "X_T0", "Y_T0"]
    # reads of about 400 on both sides: the SD of their log2 ratio is about sqrt(2 / 400) / log(2) = 0.10
    assert screen.table["log_fc"].std() < 0.13
    assert "references_of_other_lines" not in screen.findings["finding"].tolist()


def test_references_of_other_lines_are_told():
    samples = pd.concat(
        [TWO.assign(reference=[True, True, False, False]), pd.DataFrame({"sample": ["Z"], "cell_line": ["Z"]})],
        ignore_index=True,
    )
    screen = sf.read_screen(two_lines().assign(Z=100), samples=samples)
    assert screen.samples["references"].tolist() == ["", "", "X_T0", "Y_T0", "X_T0; Y_T0"]
    told = found(screen).loc["references_of_other_lines"]
    assert (told["n"], told["examples"]) == (1, "Z")


def test_a_plasmid_serves_lines_without_a_reference_of_their_own():
    samples = TWO.assign(cell_line=["X", "pool", "X", "Y"], reference=[True, True, False, False])
    screen = sf.read_screen(two_lines(), samples=samples)
    assert screen.samples["references"].tolist() == ["", "", "X_T0", "Y_T0"]
    assert "references_of_other_lines" not in screen.findings["finding"].tolist()


def test_references_may_have_no_line():
    samples = TWO.assign(cell_line=[None, None, "X", "Y"], reference=[True, True, False, False])
    screen = sf.read_screen(two_lines(), samples=samples)
    assert screen.samples["references"].tolist() == ["", "", "X_T0; Y_T0", "X_T0; Y_T0"]


def test_a_line_is_compared_within_its_batch():
    samples = TWO.assign(cell_line="X", batch=list("abab"), reference=[True, True, False, False])
    assert sf.read_screen(two_lines(), samples=samples).samples["references"].tolist() == ["", "", "X_T0", "Y_T0"]


def test_a_reference_without_counts_gives_way_to_one_with():
    flagged = TWO.assign(reference=[True, True, False, False])
    samples = pd.concat([flagged, flagged.iloc[:1].assign(sample="X_0")], ignore_index=True)
    assert sf.read_screen(two_lines(), samples=samples).samples["references"].tolist() == ["", "", "X_T0", "Y_T0"]


def test_replicates_are_numbered_without_the_references():
    samples = SAMPLE_MAP.drop(columns="replicate").assign(cell_line="A")
    assert sf.read_screen(counts(), samples=samples).samples["replicate"].tolist() == ["1", "1", "2", "3"]


@pytest.mark.parametrize("names", [("id", "group"), ("grna", "target"), ("sgRNA ID", "GeneID"), ("sgRNA", "what")])
def test_counts_name_guides_and_genes_by_position(names):
    table = sf.read_screen(counts(*names), samples=SAMPLE_MAP).table
    pd.testing.assert_frame_equal(table, sf.read_screen(counts(), samples=SAMPLE_MAP).table)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("columns", [("id", "gRNA.sequence", "what"), ("what", "seq", "id"), ("id", "what")])
@pytest.mark.mostly_slow(every=3)
def test_a_library_names_guides_and_genes_by_position(tmp_path, header, columns):
    content = {"id": GUIDES, "what": GENES}
    library = pd.DataFrame({name: content.get(name, SEQUENCES) for name in columns})
    library.to_csv(tmp_path / "l.csv", index=False, header=header)
    table = sf.read_screen(counts(gene=None), tmp_path / "l.csv", SAMPLE_MAP).table
    pd.testing.assert_frame_equal(table, sf.read_screen(counts(), samples=SAMPLE_MAP).table)


def test_findings_count_what_is_in_the_counts():
    more = pd.DataFrame(
        {"sgRNA": [f"h{k}" for k in range(9)], "gene": [f"M{k} ({k})" for k in range(9)], "seq": "ACGT"}
    )
    library = pd.concat([pd.DataFrame({"sgRNA": GUIDES, "gene": GENES, "seq": SEQUENCES}), more, more])
    samples = pd.concat(
        [SAMPLE_MAP.assign(PassesQC=True), pd.DataFrame({"sample": ["Z"], "cell_line": "Z", "PassesQC": False})]
    )
    findings = found(sf.read_screen(counts(gene=None), library, samples))
    assert findings.index.tolist() == ["guides_without_counts", "samples_without_counts", "no_controls"]


def test_a_matrix_of_gene_effects_has_genes_for_guides():
    effects = pd.DataFrame(
        np.arange(12.0).reshape(3, 4), columns=["A1BG (1)", "A1CF (29974)", "A2M (2)", "TP53 (7157)"]
    )
    effects.insert(0, "", ["ACH-1", "ACH-2", "ACH-3"])
    samples = pd.DataFrame({"sample": ["ACH-1", "ACH-2", "ACH-3"], "cell_line": list("abc")})
    screen = sf.read_fold_changes(effects, samples=samples, controls={"essential": ["TP53"]})
    assert screen.table.query("gene == 'TP53 (7157)'")["log_fc"].tolist() == [3.0, 7.0, 11.0]
    assert found(screen).loc["gene_matrix", "n"] == 4


CONTROLS = {
    "a table": pd.DataFrame(
        {"gene": ["GENE0", None, "GENE2", " "], "control": ["essential", "other", None, "essential"]}
    ),
    "lists": {"essential": ["GENE0", None, "", np.nan]},
}


@pytest.mark.parametrize("controls", CONTROLS.values(), ids=CONTROLS)
def test_empty_cells_of_controls_are_no_controls(controls):
    screen = sf.read_screen(counts(), samples=SAMPLE_MAP, controls=controls)
    assert set(screen.table.query("control == 'essential'")["gene"]) == {"GENE0"}
    assert controls is CONTROLS["lists"] or found(screen).loc["empty_controls", "n"] == 3


def test_an_empty_class_in_the_guide_map_is_none():
    library = pd.DataFrame({"sgRNA": GUIDES, "gene": GENES, "control": ["essential", *[" "] * 23]})
    table = sf.read_screen(counts(gene=None), library, SAMPLE_MAP).table
    assert set(table.query("control == 'essential'")["sgRNA"]) == {"s_0"}


@pytest.mark.parametrize("ends", [",", ",,"])
def test_columns_of_nothing_are_left_out_and_told(tmp_path, ends):
    for name, table in (("c.csv", counts()), ("m.csv", SAMPLE_MAP)):
        (tmp_path / name).write_text(table.to_csv(index=False).replace("\n", f"{ends}\n"))
    screen = sf.read_screen(tmp_path / "c.csv", samples=tmp_path / "m.csv")
    pd.testing.assert_frame_equal(screen.table, sf.read_screen(counts(), samples=SAMPLE_MAP).table)
    assert (screen.findings["finding"] == "file").sum() == 2


def test_numbers_are_names_as_they_were_written(tmp_path):
    numbered = counts(guides=[f"{k:05d}" for k in range(24)], genes=np.repeat(np.arange(8), 3))
    numbered.to_csv(tmp_path / "c.csv", index=False)
    table = sf.read_screen(tmp_path / "c.csv", samples=SAMPLE_MAP).table
    assert table["sgRNA"].tolist()[:3] == ["00000", "00001", "00002"]
    gaps = counts(genes=[np.nan, *np.repeat(np.arange(8.0), 3)[1:]])
    table = sf.read_screen(gaps, samples=SAMPLE_MAP).table
    assert table["gene"].dropna().unique().tolist() == [str(k) for k in range(8)]
    ids = counts(guides=2**53 + np.arange(24))
    assert sf.read_screen(ids, samples=SAMPLE_MAP).table["sgRNA"].nunique() == 24


def test_samples_may_be_numbers():
    numbers = {name: k for k, name in enumerate(["T0", "A_1", "A_2", "B_1"])}
    samples = SAMPLE_MAP.assign(sample=range(4), reference=[None, 0, 0, 0])
    table = sf.read_screen(counts().rename(columns=numbers), samples=samples).table
    expected = sf.read_screen(counts(), samples=SAMPLE_MAP).table
    np.testing.assert_array_equal(table["log_fc"], expected["log_fc"])
    assert table["sample"].unique().tolist() == ["1", "2", "3"]


MISTAKES = {
    "a guide without a name": (
        {"counts": counts(guides=[None, *GUIDES[1:]])},
        "1 rows of the counts name no guide: 0 (counted from 0).\nEach row has a guide, in the column 'sgRNA'.\n"
        "Fill the cells in, or leave these rows out.",
    ),
    "equal headers of the counts": (
        {"counts": counts().set_axis(["sgRNA", "Gene", "T0", "A_1", "A_1", "B_1"], axis=1)},
        "the counts have several columns named 'A_1'.\nEach sample has a column of its own.\n"
        "Rename them, or add the reads of one sample's lanes up first.",
    ),
    "equal headers of the samples": (
        {"samples": pd.concat([SAMPLE_MAP, SAMPLE_MAP["cell_line"]], axis=1)},
        "the samples have several columns named 'cell_line'.\nEach column has a name of its own.\nRename or drop one.",
    ),
    "equal headers of the guides": (
        {"guides": pd.DataFrame([["a", "b", "b"]], columns=["sgRNA", "gene", "gene"])},
        "the guides have several columns named 'gene'.\nEach column has a name of its own.\nRename or drop one.",
    ),
    "ids that floats have merged": (
        {"counts": counts(guides=(2**53 + np.arange(24)).astype(float))},
        "column 'sgRNA' has levels that are floats with too many digits, such as 9007199254740992: the last are lost.\n"
        "Numbers of more than 15 digits are told apart as integers, or as text.\n"
        "Read the column as such, for example pandas.read_csv(path, dtype={'sgRNA': str}).",
    ),
    "truth values": (
        {"counts": counts().assign(A_1=True)},
        "'A_1' holds values of type bool.\nCounts and fold changes are numbers.\n"
        "Leave the column out, or name it in no sample map.",
    ),
    "no names": (
        {"counts": counts(genes=[[gene] for gene in GENES])},
        "column 'gene' holds values of type list, which are no names.\nNames are text, or numbers.\n"
        "Write them as text.",
    ),
    "no list": (
        {"controls": {"essential": 3}},
        "3 is no list of controls.\nA class of controls comes as a list of genes or guides, or as the path of one.\n"
        'Write controls={"essential": ["RPL3", ...], "nonessential": [...]}.',
    ),
    "no columns": (
        {"counts": pd.DataFrame(index=range(3))},
        "the counts have no columns.\nThey have guides, and reads of samples.\nCheck what made the table.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "text"), MISTAKES.values(), ids=MISTAKES)
def test_what_cannot_be_read_is_refused(given, text):
    with pytest.raises(DataError) as caught:
        sf.read_screen(**({"counts": counts(), "samples": SAMPLE_MAP} | given))
    assert str(caught.value) == text


def test_decimals_are_counts():
    exact = counts().assign(A_1=lambda table: [Decimal(int(n)) for n in table["A_1"]])
    pd.testing.assert_frame_equal(
        sf.read_screen(exact, samples=SAMPLE_MAP).table, sf.read_screen(counts(), samples=SAMPLE_MAP).table
    )
