"""ArviZ's results of leave-one-out, which print beneath their numbers why these cannot be trusted.

Apart from `loo`, since ArviZ takes a second to import.
"""

from dataclasses import dataclass

from arviz_stats.utils import ELPDDataLOO, ELPDDataLOOSubsample

from speclet_formula.common.table import wrapped


@dataclass(kw_only=True, repr=False)
class LeaveOneOut(ELPDDataLOO):
    """ArviZ's estimate, with what speaks against it."""

    caveat: str = ""

    def _footer(self) -> str:
        return _beneath(str(super()._footer()), self.caveat)  # type: ignore[no-untyped-call]


@dataclass(kw_only=True, repr=False)
class SampledLeaveOneOut(ELPDDataLOOSubsample):
    """The same of some rows that stand for all."""

    caveat: str = ""

    def _footer(self) -> str:
        return _beneath(str(super()._footer()), self.caveat)  # type: ignore[no-untyped-call]


def _beneath(footer: str, caveat: str) -> str:
    return f"{footer}\n\n{wrapped(caveat)}" if caveat else footer
