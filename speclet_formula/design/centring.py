"""A design goes in; what is taken off its fixed columns before anything is solved comes out."""

import numpy as np

from speclet_formula.design.merged import column_means
from speclet_formula.design.records import Design


def centre_of(design: Design) -> np.ndarray:
    """Return what is taken off each fixed column: its mean when there is an intercept, else nothing."""
    centre = np.zeros(design.X.shape[1])
    if design.fixed and design.fixed[0].kind == "intercept":
        centre[1:] = column_means(design, design.X[:, 1:])
    return centre
