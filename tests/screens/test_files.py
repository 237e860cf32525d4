"""Each layout that is understood, as its program writes it, gives the same table; what is no such file is refused."""

import numpy as np
import pandas as pd
import pytest

import speclet_formula as sf
from speclet_formula.errors import DataError
from tests.screens.small import GENES, GUIDES, SAMPLE_MAP, SAMPLES, SEQUENCES, counts, found, reads

# anndata 0.13 sets an option that pandas 3 no longer wants set.
pytestmark = pytest.mark.filterwarnings("ignore:The 'future.infer_string' option")
LIBRARY = pd.DataFrame({"sgRNA": GUIDES, "gene": GENES})
SEQUENCE_MAP = pd.DataFrame(
    {
        "sequence_ID": SAMPLES, "cell_line_name": ["pDNA", "A", "A", "B"], "days": [0, 21, 21, 21],
        "pDNA_batch": "one", "replicate": ["1", "1", "2", "1"],
    }
)  # fmt: skip
DEPMAP_MAP = pd.DataFrame(
    {
        "SequenceID": SAMPLES, "ScreenID": ["", "SC-1.AV", "SC-1.AV", "SC-2.AV"], "ModelID": ["", "A", "A", "B"],
        "ScreenType": ["pDNA", "2DS", "2DS", "2DS"], "Library": "Avana", "pDNABatch": "one", "PassesQC": True,
        "replicate": ["1", "1", "2", "1"],
    }
)  # fmt: skip
OWN = ["sgRNA", "gene", "sample", "cell_line", "count", "count_initial", "log_fc"]


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def table(frame, path, separator="\t", **options):
    frame.to_csv(path, sep=separator, **{"index": False} | options)
    return path


def chronos_hdf5(frame, path):
    """As `chronos.write_hdf5` of crispr_chronos 2.3 does: names as bytes, then the values."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file.create_dataset("dim_0", data=[str(name).encode() for name in frame.index])
        file.create_dataset("dim_1", data=[str(name).encode() for name in frame.columns])
        file.create_dataset("data", data=frame.to_numpy())
    return path


def by_sample(frame):
    return frame[SAMPLES].set_axis(pd.Index(GUIDES)).T


def h5ad(path, values, obs, var, **layers):
    anndata = pytest.importorskip("anndata")
    made = anndata.AnnData(X=values, obs=obs, var=var)
    for name, layer in layers.items():
        made.layers[name] = layer
    made.write_h5ad(path)
    return path


def obs_of_samples():
    return SAMPLE_MAP.set_index("sample").fillna({"reference": ""})


def no_header(folder):
    by_place = SAMPLE_MAP.assign(sample=["0", "1", "2", "3"], reference=[None, "0", "0", "0"])
    return table(counts(), folder / "demo.count", header=False), None, by_place


def one_file_each(folder, suffix, written):
    for sample in SAMPLES:
        write(folder / f"{sample}{suffix}", written(reads()[sample]))
    return folder, LIBRARY, SAMPLE_MAP


def pairs(values, separator="\t"):
    return "".join(f"{guide}{separator}{n}\n" for guide, n in zip(GUIDES, values, strict=True))


def feature_counts(values):
    head = '# Program:featureCounts v2.0.1; Command:"featureCounts"\nGeneid\tChr\tStart\tEnd\tStrand\tLength\ta.bam\n'
    return head + "".join(f"{guide}\t{guide}\t1\t20\t+\t20\t{n}\n" for guide, n in zip(GUIDES, values, strict=True))


def pyramid(values):
    """As `sort | uniq -c` counts lines."""
    return "".join(f"{n:>7} {guide}\n" for guide, n in zip(GUIDES, values, strict=True))


def idxstats(values):
    rows = "".join(f"{guide}\t20\t{n}\t0\n" for guide, n in zip(GUIDES, values, strict=True))
    return f"{rows}*\t0\t0\t12345\n"


READS = {
    "MAGeCK .count.txt": lambda d: (table(counts(), d / "demo.count.txt"), None, SAMPLE_MAP),
    "MAGeCK without a line of names": no_header,
    "MAGeCK by position, .counts": lambda d: (
        table(counts("id", "target name"), d / "demo.counts"), None, SAMPLE_MAP,
    ),
    "BAGEL reads": lambda d: (table(counts("REAGENT_ID", "GENE"), d / "reads.tab"), None, SAMPLE_MAP),
    "CRISPRcleanR counts and library": lambda d: (
        table(counts(), d / "counts.tsv"),
        table(pd.DataFrame({"CODE": GUIDES, "GENES": GENES, "CHRM": "1", "STARTpos": 1}), d / "library.csv", ","),
        SAMPLE_MAP,
    ),
    "JACKS counts and replicate map": lambda d: (
        table(counts(), d / "counts.txt"), None,
        table(
            pd.DataFrame({"Replicate": SAMPLES, "Sample": ["CTRL", "A", "A", "B"], "Control": "CTRL"}), d / "map.txt"
        ),
    ),
    "pyCROQUET": lambda d: (
        write(d / "c.tsv", "##Command: pycroquet\n#id\tsgrna_ids\tsgrna_seqs\tgene_pair_id\t" + "\t".join(SAMPLES)
              + "\n" + "".join(f"{n}\t{GUIDES[n]}\t{SEQUENCES[n]}\t{GENES[n]}\t"
                               + "\t".join(map(str, reads().iloc[n])) + "\n" for n in range(24))),
        None, SAMPLE_MAP,
    ),
    "PoolQ": lambda d: (
        table(counts("Construct Barcode", None, SEQUENCES).assign(**{"Construct IDs": GUIDES})[
            ["Construct Barcode", "Construct IDs", *SAMPLES]], d / "poolq.txt"),
        pd.DataFrame({"sequence": SEQUENCES, "sgRNA": GUIDES, "gene": GENES}), SAMPLE_MAP,
    ),
    "Chronos matrix": lambda d: (
        table(by_sample(reads()), d / "readcounts.csv", ",", index=True, index_label="sequence_ID"),
        LIBRARY.rename(columns={"sgRNA": "sgrna"}), SEQUENCE_MAP,
    ),
    "Chronos HDF5": lambda d: (
        chronos_hdf5(by_sample(reads()), d / "avana_readcounts.hdf5"),
        LIBRARY.rename(columns={"sgRNA": "sgrna"}), SEQUENCE_MAP,
    ),
    "DepMap raw readcounts": lambda d: (
        table(counts("", None), d / "AvanaRawReadcounts.csv", ","),
        table(pd.DataFrame({"sgRNA": GUIDES, "GenomeAlignment": "chr1_1_+", "Gene": GENES, "nAlignments": 1,
                            "DropReason": ["", "too many"] * 12, "UsedByChronos": [True, False] * 12}),
              d / "AvanaGuideMap.csv", ","),
        table(DEPMAP_MAP, d / "ScreenSequenceMap.csv", ","),
    ),
    "DepMap 2020": lambda d: (
        table(counts("Construct Barcode", None), d / "Achilles_raw_readcounts.csv", ","),
        table(pd.DataFrame({"sgrna": GUIDES, "genome_alignment": "chr1", "gene": GENES, "n_alignments": 1}),
              d / "Achilles_guide_map.csv", ","),
        table(pd.DataFrame({"replicate_ID": SAMPLES, "DepMap_ID": ["", "A", "A", "B"], "pDNA_batch": 2,
                            "passes_QC": True}), d / "Achilles_replicate_map.csv", ","),
    ),
    "one file a sample, two columns": lambda d: one_file_each(d, ".txt", pairs),
    "one file a sample, uniq -c": lambda d: one_file_each(d, ".counts", pyramid),
    "one file a sample, HTSeq": lambda d: one_file_each(d, ".tsv", lambda n: pairs(n) + "__no_feature\t900\n"),
    "one file a sample, featureCounts": lambda d: one_file_each(d, ".txt", feature_counts),
    "one file a sample, samtools idxstats": lambda d: one_file_each(d, ".tab", idxstats),
    "AnnData, samples x guides": lambda d: (
        h5ad(d / "a.h5ad", reads().to_numpy(dtype=float).T, obs_of_samples(), LIBRARY.set_index("sgRNA")), None, None,
    ),
    "AnnData, guides x samples": lambda d: (
        h5ad(d / "b.h5ad", reads().to_numpy(dtype=float), LIBRARY.set_index("sgRNA"), obs_of_samples()), None, None,
    ),
    "parquet": lambda d: (counts().to_parquet(d / "counts.parquet") or d / "counts.parquet", None, SAMPLE_MAP),
}  # fmt: skip

TOLD = {
    "MAGeCK without a line of names": {"no_header"},
    "MAGeCK by position, .counts": {"gene_column", "guide_column"},
    "JACKS counts and replicate map": {"sample_map"},
    "pyCROQUET": {"file"},
    "DepMap raw readcounts": {"plasmids", "unused_guides", "guide_column"},
    "DepMap 2020": {"plasmids_without_line", "plasmids"},
    "one file a sample, two columns": {"one_file_each"},
    "one file a sample, uniq -c": {"one_file_each", "file"},
    "one file a sample, HTSeq": {"one_file_each", "counter_rows"},
    "one file a sample, featureCounts": {"one_file_each", "file"},
    "one file a sample, samtools idxstats": {"one_file_each", "counter_rows"},
    "AnnData, samples x guides": {"anndata"},
    "AnnData, guides x samples": {"anndata"},
}


@pytest.mark.parametrize("layout", READS)
def test_reads_of_each_layout_give_the_same_table(layout, tmp_path):
    expected = sf.read_screen(counts(), samples=SAMPLE_MAP).table[OWN]
    screen = sf.read_screen(*READS[layout](tmp_path))
    got = screen.table[OWN]
    if layout == "PoolQ":
        got = got.assign(sgRNA=got["sgRNA"].map(dict(zip(SEQUENCES, GUIDES, strict=True))))
    if layout == "MAGeCK without a line of names":
        got = got.assign(sample=got["sample"].astype(int).map(dict(enumerate(SAMPLES))))
    pd.testing.assert_frame_equal(got, expected, check_dtype=False)
    assert TOLD.get(layout, set()) <= set(screen.findings["finding"]), screen.findings["finding"].tolist()


def changes():
    return np.log2(reads()[SAMPLES[1:]].div(reads()["T0"], axis=0) + 0.25)


def gene_matrix(rows, **first):
    rng = np.random.default_rng(5)
    names = [f"G{n} ({n})" for n in range(6)]
    return pd.DataFrame(rng.normal(size=(len(rows), 6)), index=pd.Index(rows), columns=names)


def summaries(folder):
    """MAGeCK's .sgrna_summary.txt of each sample against T0."""
    files = {}
    for sample in SAMPLES[1:]:
        made = pd.DataFrame(
            {
                "sgrna": GUIDES, "Gene": GENES, "control_count": reads()["T0"], "treatment_count": reads()[sample],
                "control_mean": 1.0, "treat_mean": 1.0, "LFC": changes()[sample], "score": 1.0, "p.low": 0.5,
                "FDR": 0.9, "high_in_treatment": True,
            }
        )  # fmt: skip
        files[sample] = table(made, folder / f"{sample}.sgrna_summary.txt")
    return files


FOLD_CHANGES = {
    "BAGEL .foldchange": lambda d: (
        table(pd.concat([pd.DataFrame({"REAGENT_ID": GUIDES, "GENE": GENES}), changes()], axis=1), d / "a.foldchange"),
        None, SAMPLE_MAP,
    ),
    "DepMap LogfoldChange": lambda d: (
        table(pd.concat([pd.DataFrame({"": GUIDES}), changes()], axis=1), d / "AvanaLogfoldChange.csv", ","),
        LIBRARY, DEPMAP_MAP,
    ),
    "Chronos predicted_lfc.hdf5": lambda d: (
        chronos_hdf5(changes().set_axis(pd.Index(GUIDES)).T, d / "avana_predicted_lfc.hdf5"), LIBRARY, SEQUENCE_MAP,
    ),
    "MAGeCK .sgrna_summary.txt, one each": lambda d: (summaries(d), None, SAMPLE_MAP),
    "AnnData": lambda d: (
        h5ad(d / "c.h5ad", np.zeros((3, 24)), obs_of_samples().iloc[1:], LIBRARY.set_index("sgRNA"),
             log_fc=changes().to_numpy().T), None, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("layout", FOLD_CHANGES)
def test_fold_changes_of_each_layout_give_the_same_table(layout, tmp_path):
    table_ = sf.read_fold_changes(*FOLD_CHANGES[layout](tmp_path)).table
    expected = changes().set_axis(pd.Index(GUIDES)).unstack()
    got = table_.set_index(["sample", "sgRNA"])["log_fc"].reindex(expected.index)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert table_["gene"].unique().tolist() == list(dict.fromkeys(GENES))


def test_depmaps_matrix_of_screens_takes_one_row_a_screen_of_the_map(tmp_path):
    matrix = gene_matrix(["SC-1.AV", "SC-2.AV"])
    path = table(matrix, tmp_path / "ScreenGeneEffect.csv", ",", index=True, index_label="")
    screen = sf.read_fold_changes(path, samples=table(DEPMAP_MAP, tmp_path / "ScreenSequenceMap.csv", ","))
    cells = screen.table.set_index(["sample", "gene"])
    assert cells["log_fc"].loc[("SC-2.AV", "G3 (3)")] == pytest.approx(matrix.loc["SC-2.AV", "G3 (3)"])
    assert cells["cell_line"].loc["SC-1.AV"].unique().tolist() == ["A"]
    notes = found(screen)
    assert notes.loc["sequences_of_screens", "examples"] == "SC-1.AV"
    assert "SequenceID, replicate" in notes.loc["sequences_of_screens", "done"]
    assert {"rows_without_sample", "gene_matrix"} <= set(notes.index)


def test_depmaps_matrix_of_models_takes_the_table_of_models_as_its_map(tmp_path):
    matrix = gene_matrix(["ACH-1", "ACH-2"])
    models = pd.DataFrame({"ModelID": ["ACH-1", "ACH-2", "ACH-3"], "OncotreeLineage": ["Skin", "Lung", "Lung"]})
    path = table(matrix, tmp_path / "CRISPRGeneEffect.csv", ",", index=True, index_label="")
    screen = sf.read_fold_changes(path, samples=models)
    assert screen.table.groupby("cell_line")["OncotreeLineage"].first().to_dict() == {"ACH-1": "Skin", "ACH-2": "Lung"}
    assert "'ModelID', has the names of the matrix" in found(screen).loc["sample_column", "what"]


def test_chronos_gene_effects_need_to_be_told_what_their_columns_are(tmp_path):
    effects = gene_matrix(["A", "B"]).rename(columns=lambda name: name.split()[0])
    path = chronos_hdf5(effects, tmp_path / "gene_effect.hdf5")
    genes = pd.DataFrame({"sgRNA": effects.columns, "gene": effects.columns})
    got = sf.read_fold_changes(path, genes, SEQUENCE_MAP.iloc[[1, 3]]).table
    np.testing.assert_allclose(got["log_fc"], effects.to_numpy().ravel())


def test_samples_of_time_zero_are_the_references_of_a_map_that_names_none():
    times = SAMPLE_MAP.drop(columns="reference").assign(timepoint=["T0", "T18", "T18", "T18"])
    screen = sf.read_screen(counts(), samples=times)
    pd.testing.assert_frame_equal(screen.table[OWN], sf.read_screen(counts(), samples=SAMPLE_MAP).table[OWN])
    assert "Taken for the references" in found(screen).loc["first_times", "done"]


def test_a_first_time_point_of_the_own_line_is_taken_and_a_line_without_one_is_told():
    more = counts().assign(T0_B=reads()["T0"] * 2)
    times = pd.DataFrame(
        {
            "sample": [*SAMPLES, "T0_B"], "cell_line": ["A", "A", "B", "C", "B"], "days": [0, 9, 9, 9, 0],
            "replicate": ["1", "1", "1", "1", "1"],
        }
    )  # fmt: skip
    screen = sf.read_screen(more, samples=times)
    references = screen.samples.set_index("sample")["references"].to_dict()
    assert references == {"T0": "", "A_1": "T0", "A_2": "T0_B", "B_1": "T0; T0_B", "T0_B": ""}
    assert found(screen).loc["references_of_other_lines", "examples"] == "B_1"


def test_guides_that_a_file_lacks_are_zeros_only_where_no_file_writes_zeros(tmp_path):
    seen, whole = {}, {}
    for sample in SAMPLES:
        values = reads()[sample].to_numpy().copy()
        rows = [(guide, n) for guide, n in zip(GUIDES, values, strict=True) if not (sample == "B_1" and guide == "s_4")]
        text = "".join(f"{guide}\t{n}\n" for guide, n in rows)
        seen[sample] = write(tmp_path / f"{sample}.seen.txt", text)
        whole[sample] = write(tmp_path / f"{sample}.whole.txt", text.replace(f"s_9\t{values[9]}\n", "s_9\t0\n"))
    zero = sf.read_screen(seen, LIBRARY, SAMPLE_MAP)
    assert zero.table.set_index(["sample", "sgRNA"])["count"].loc[("B_1", "s_4")] == 0
    assert found(zero).loc["guides_not_in_every_file", "examples"] == "s_4"
    missing = sf.read_screen(whole, LIBRARY, SAMPLE_MAP, normalise="total")
    assert np.isnan(missing.table.set_index(["sample", "sgRNA"])["count"].loc[("B_1", "s_4")])
    assert found(missing).loc["guides_not_in_every_file", "done"] == "Missing where they are not."
    assert found(missing).loc["missing_counts", "n"] == 1


def test_files_of_samples_may_name_the_genes_and_have_names_of_their_own(tmp_path):
    files = {}
    for place, sample in enumerate(SAMPLES):
        frame = pd.DataFrame({"sgRNA": GUIDES, "Gene": GENES, "reads": reads()[sample]})
        files[sample] = table(frame, tmp_path / f"lane{place}.csv", ",")
    screen = sf.read_screen(files, samples=SAMPLE_MAP)
    pd.testing.assert_frame_equal(screen.table[OWN], sf.read_screen(counts(), samples=SAMPLE_MAP).table[OWN])


def test_control_lists_of_one_name_a_line_and_with_a_header_are_understood(tmp_path):
    lists = {
        "nonessential": write(tmp_path / "control_sgrnas.txt", "".join(f"s_{n}\n" for n in range(18, 24))),
        "essential": write(tmp_path / "CEGv2.txt", "GENE\tHGNC_ID\tENTREZ_ID\nGENE0\tHGNC:1\t1\nGENE1\tHGNC:2\t2\n"),
    }
    screen = sf.read_screen(counts(), samples=SAMPLE_MAP, controls=lists, normalise="total")
    kinds = screen.table.drop_duplicates("sgRNA").set_index("sgRNA")["control"].astype(str)
    assert (kinds == "nonessential").sum() == 6
    assert (kinds.loc[["s_0", "s_5"]] == "essential").all()
    assert screen.normalised == "total reads on 24 guides", "six are too few"


def ragged(folder):
    table(counts(), folder / "r.count.txt")
    lines = (folder / "r.count.txt").read_text().splitlines()
    lines[7] = lines[7].rsplit("\t", 1)[0]
    return write(folder / "r.count.txt", "\n".join(lines)), None, SAMPLE_MAP


REFUSED = {
    "a line that is too short": (ragged, "a line does not have 6 cells: line 8 (5)."),
    "names by place that the map has not": (
        lambda d: (table(counts(), d / "a.count", header=False), None, SAMPLE_MAP),
        "the counts have no line of column names, and the sample map does not name their 4 samples by place.",
    ),
    "an empty folder": (lambda d: (d, None, SAMPLE_MAP), "' has no files."),
    "files of one name": (
        lambda d: ([write(d / "T0.a.txt", "g\t1\n"), write(d / "T0.b.txt", "g\t1\n")], None, SAMPLE_MAP),
        "several files are named 'T0'.",
    ),
    "a guide twice in a file": (
        lambda d: ({"T0": write(d / "T0.txt", "g\t1\ng\t2\n")}, None, SAMPLE_MAP), "' has several rows of 'g'.",
    ),
    "a file of many columns": (
        lambda d: ({"T0": table(counts(), d / "T0.txt")}, None, SAMPLE_MAP),
        "' is no file of one sample: its columns are 'sgRNA', 'Gene', 'T0', 'A_1', 'A_2', 'B_1'.",
    ),
    "another gene in another file": (
        lambda d: (
            {name: write(d / f"{name}.txt", f"sgRNA\tGene\tn\ng\t{name}\t1\n") for name in ("T0", "A_1")},
            None, SAMPLE_MAP,
        ),
        "1 guides have another gene in one file than in another: 'g'.",
    ),
    "ranks of genes": (
        lambda d: (write(d / "a.gene_summary.txt", "id\tnum\tneg|score\tneg|lfc\nA\t4\t0.1\t-1\n"), None, SAMPLE_MAP),
        "the counts are MAGeCK's ranks of genes: 'id', 'num', 'neg|score', 'neg|lfc'.",
    ),
    "scores of guides": (
        lambda d: (summaries(d)["A_1"], None, SAMPLE_MAP), "the counts are MAGeCK's scores of guides:",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_such_file_is_refused(case, tmp_path):
    made, message = REFUSED[case]
    given = made(tmp_path)
    with pytest.raises(DataError) as error:
        sf.read_screen(*given)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 3


def test_hdf5_of_others_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file.create_group("matrix")
    with pytest.raises(DataError, match="is no matrix of Chronos': it holds 'matrix'"):
        sf.read_screen(path, samples=SAMPLE_MAP)
    with h5py.File(path, "w") as file:
        file.create_dataset("dim_0", data=[b"a"])
        file.create_dataset("dim_1", data=[b"x", b"y"])
        file.create_dataset("data", data=np.zeros((2, 2)))
    with pytest.raises(DataError, match=r"holds \(2, 2\) numbers for 1 rows and 2 columns"):
        sf.read_screen(path, samples=SAMPLE_MAP)
    with pytest.raises(DataError, match="cannot be read"):
        sf.read_screen(write(tmp_path / "text.h5", "no hdf5"), samples=SAMPLE_MAP)


@pytest.mark.parametrize(("name", "package"), [("a.h5ad", "anndata"), ("a.hdf5", "h5py")])
def test_without_the_package_it_is_named(name, package, tmp_path, monkeypatch):
    monkeypatch.setattr("speclet_formula.screens.files.find_spec", lambda asked: None)
    with pytest.raises(DataError, match=f"needs the package {package}, which is not installed"):
        sf.read_screen(write(tmp_path / name, ""), samples=SAMPLE_MAP)


def test_a_screen_becomes_anndata_and_comes_back(tmp_path):
    pytest.importorskip("anndata")
    screen = sf.read_screen(
        counts(), samples=SAMPLE_MAP, controls={"nonessential": ["GENE6", "GENE7"]}, normalise="none"
    )
    made = sf.to_anndata(screen)
    assert made.shape == (3, 24)
    assert made.obs["cell_line"].astype(str).tolist() == ["A", "A", "B"]
    assert made.var["control"].astype(str).value_counts().to_dict() == {"other": 18, "nonessential": 6}
    row = screen.table.set_index(["sample", "sgRNA"]).loc[("A_2", "s_5")]
    for name in ("count", "count_initial"):
        layer = "counts" if name == "count" else name
        assert made.layers[layer][1, 5] == pytest.approx(row[name])
    path = tmp_path / "screen.h5ad"
    made.write_h5ad(path)
    back = sf.read_fold_changes(path).table
    for name in ("sgRNA", "gene", "sample", "cell_line", "replicate", "control", "log_fc"):
        assert back[name].astype(str).tolist() == screen.table[name].astype(str).tolist(), name


def test_rows_that_a_screen_has_not_are_missing_in_anndata():
    pytest.importorskip("anndata")
    short = counts().assign(A_1=lambda frame: frame["A_1"].where(frame.index != 3))
    screen = sf.read_screen(short, samples=SAMPLE_MAP, drop=["missing_counts"], normalise="total")
    made = sf.to_anndata(screen)
    rows, columns = np.nonzero(np.isnan(made.X))
    assert (made.obs_names[rows].tolist(), made.var_names[columns].tolist()) == (["A_1"], ["s_3"])
