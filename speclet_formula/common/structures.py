"""How the effects of one level of a group term vary together: diag(), cs() and ar1(), by one SD or one of each column.

A structure makes the correlations of k columns of a single number rho, or of none. cs: all are rho, which lies above
-1 / (k - 1); ar1: those of columns d apart are rho^d. What is free, (x | g), or has an SD for each column and no
correlation, (x || g), has no structure here. gp: the columns are sine waves whose effects do not vary together, and a
single number, the length-scale, says how fast their SDs fall as the waves get shorter. `correlations` has the matrices.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Structure:
    """A covariance structure, by the function that lme4 2.0 and glmmTMB call it; gp by its own."""

    function: str  # "diag", "cs", "ar1" or "gp"
    hom: bool  # whether all columns share one SD
    kernel: str = ""  # of gp: "exp_quad", "matern52" or "matern32"
    distance: float = 1.0  # of gp: the largest distance of its variable from the mean
    box: float = 1.0  # of gp: how many such distances the waves reach from the middle

    @property
    def correlates(self) -> bool:
        """Whether there is a correlation."""
        return self.function in ("cs", "ar1")

    @property
    def stretches(self) -> bool:
        """Whether there is a length-scale."""
        return self.function == "gp"

    @property
    def shaped(self) -> bool:
        """Whether there is a number beside the SDs: a correlation or a length-scale."""
        return self.function != "diag"

    @property
    def reach(self) -> float:
        """Half the width of the box that the waves of a gp fill, in its variable's unit."""
        return self.box * self.distance

    @property
    def word(self) -> str:
        """The word that glmmTMB has for it: "homdiag", "cs", "homcs", "ar1", "hetar1"; "gp exp_quad" of a process."""
        if self.stretches:
            return f"gp {self.kernel}"
        if self.function == "ar1":
            return "ar1" if self.hom else "hetar1"
        return f"hom{self.function}" if self.hom else self.function

    @property
    def text(self) -> str:
        """What its formula says behind the bar: ", hom = TRUE", unless that is what its function means anyway."""
        return "" if self.hom == HOM_BY_DEFAULT[self.function] else f", hom = {str(self.hom).upper()}"

    @property
    def leaves_residual(self) -> bool:
        """Whether the data tell effects from a residual even where each effect has one row: they vary together."""
        return self.function == "ar1" or (self.function == "cs" and not self.hom)

    def parameters(self, k: int) -> int:
        """Count the SDs, correlations and length-scales of k columns."""
        return (1 if self.hom else k) + self.shaped

    def lowest(self, k: int) -> float:
        """Return the correlation below which k columns have no positive definite matrix."""
        return -1.0 / (k - 1) if self.function == "cs" else -1.0


HOM_BY_DEFAULT = {"diag": False, "cs": False, "ar1": True}
WORDS = {
    "homdiag": Structure("diag", hom=True),
    "homcs": Structure("cs", hom=True),
    "hetar1": Structure("ar1", hom=False),
}
"""glmmTMB's own words for structures that lme4 writes with hom=."""
