"""Results of leave-one-out and K-fold: ArviZ's own, which say beneath their numbers why these cannot be trusted.

Apart from `loo` and `kfold`, since ArviZ takes a second to import.
"""

from dataclasses import dataclass

from arviz_stats.utils import ELPDDataLOO, ELPDDataLOOKFold, ELPDDataLOOSubsample

from speclet_formula.common.table import Worded, wrapped


@dataclass(kw_only=True, repr=False)
class LeaveOneOut(Worded, ELPDDataLOO):
    """What `loo` returns: ArviZ's ELPDData, with what speaks against it.

    Attributes
    ----------
    caveat : str
        Why the estimate cannot be trusted, and what to do; empty where it can. `loo` describes all others.
    """

    caveat: str = ""

    def _footer(self) -> str:
        return _beneath(str(super()._footer()), self.caveat)  # type: ignore[no-untyped-call]


@dataclass(kw_only=True, repr=False)
class SampledLeaveOneOut(Worded, ELPDDataLOOSubsample):
    """What `loo` returns of some rows that stand for all: ArviZ's ELPDData, with what speaks against it.

    Attributes
    ----------
    caveat : str
        As of `LeaveOneOut`; `loo` describes all others.
    """

    caveat: str = ""

    def _footer(self) -> str:
        return _beneath(str(super()._footer()), self.caveat)  # type: ignore[no-untyped-call]


@dataclass(kw_only=True, repr=False)
class KFold(Worded, ELPDDataLOOKFold):
    """What `kfold` returns: ArviZ's ELPDData, with what speaks against it.

    Attributes
    ----------
    caveat : str
        Which folds cannot be trusted and why, and what to do; empty where all can. `kfold` describes all others.
    """

    caveat: str = ""

    def _footer(self) -> str:
        return _beneath("", self.caveat)


def _beneath(footer: str, caveat: str) -> str:
    return f"{footer}\n\n{wrapped(caveat)}" if caveat else footer
