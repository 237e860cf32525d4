"""A screen as AnnData, for scanpy and its kin: samples in rows, guides in columns."""

from typing import TYPE_CHECKING

import pandas as pd

from speclet_formula.screens.files import need
from speclet_formula.screens.read import Screen
from speclet_formula.screens.rows import OWN

if TYPE_CHECKING:
    from anndata import AnnData

_LAYERS = {"count": "counts", "count_initial": "count_initial", "log_offset": "log_offset"}


def to_anndata(screen: Screen) -> "AnnData":
    """Return a screen as AnnData.

    Needs the package anndata (`pip install 'speclet_formula[anndata]'`).

    Parameters
    ----------
    screen : Screen
        As `read_screen` and `read_fold_changes` return it.

    Returns
    -------
    anndata.AnnData
        Samples x guides, references aside. `X` holds the log2 fold changes, missing where the table has no row. Of
        counts there are the layers `counts` (reads), `count_initial` (reads expected of a guide without effect) and
        `log_offset`. `obs` has `cell_line`, `replicate` and the sample map's other columns by sample, `var` has `gene`
        and `control` by guide, `uns["findings"]` what was found on the way. `.write_h5ad(path)` keeps it;
        `read_fold_changes` reads it back.

    Raises
    ------
    DataError
        The package is not installed, or what was handed over is no Screen.

    References
    ----------
    Virshup et al. (2024). anndata: Access and store annotated data matrices. doi:10.21105/joss.04371.

    Examples
    --------
    >>> import speclet_formula as sf
    >>> simulated = sf.simulate_screen(genes=10, random_seed=1)
    >>> screen = sf.read_screen(simulated.counts, simulated.guides, simulated.samples)
    >>> sf.to_anndata(screen).shape  # doctest: +SKIP
    (3, 40)
    """
    anndata = need("anndata", "to_anndata")
    table = screen.table
    samples, guides = pd.unique(table["sample"]), pd.unique(table["sgRNA"])
    index = pd.MultiIndex.from_frame(table[["sample", "sgRNA"]])

    def matrix(name: str) -> pd.DataFrame:
        values: pd.DataFrame = pd.Series(table[name].to_numpy(dtype=float), index=index).unstack()
        return values.reindex(index=samples, columns=guides)

    own = [name for name in table if name not in OWN or name in ("cell_line", "replicate")]
    made: AnnData = anndata.AnnData(
        X=matrix("log_fc").to_numpy(),
        obs=table.drop_duplicates("sample").set_index("sample")[own].rename_axis(None),
        var=table.drop_duplicates("sgRNA").set_index("sgRNA")[["gene", "control"]].rename_axis(None),
    )
    for name, layer in _LAYERS.items():
        if name in table:
            made.layers[layer] = matrix(name).to_numpy()
    made.uns["findings"] = screen.findings.astype({"n": int}).astype(dict.fromkeys(("finding", "unit", "what"), str))
    return made
