"""The grouping factors that `keep=` names go in; draws without the effects of all others come out."""

from collections.abc import Sequence
from typing import Any

from speclet_formula.design.design import sides
from speclet_formula.errors import SamplingError, nearest
from speclet_formula.model import Model


def kept_factors(model: Model, keep: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the grouping factors whose effects are kept."""
    if keep is None:
        return None
    names = (keep,) if isinstance(keep, str) else tuple(keep)
    known = list(dict.fromkeys(block.group for side in sides(model.design) for block in side.groups))
    for name in names:
        if name not in known:
            near = nearest(str(name), known)
            raise SamplingError(
                f"keep names '{name}', which is not a grouping factor of this model.",
                f"Grouping factors: {', '.join(known) or 'none'}.",
                f"Nearest: {near}." if near else "Leave keep= out to keep all group effects.",
            )
    return names


def without_others(model: Model, keep: tuple[str, ...], idata: Any) -> Any:
    """Return draws without the group effects that are not to be kept; the exact engine has not even made them."""
    others = [
        slot for side in sides(model.design) for block in side.groups if block.group not in keep for slot in block.slots
    ]
    posterior = idata["posterior"].to_dataset()
    left = posterior.drop_vars([name for name in others if name in posterior])
    unused = [name for name in left.coords if name not in left.dims or not _is_used(left, str(name))]
    return type(idata).from_dict(
        {name: node.to_dataset() for name, node in idata.children.items()} | {"posterior": left.drop_vars(unused)}
    )


def _is_used(dataset: Any, dimension: str) -> bool:
    return any(dimension in variable.dims for variable in dataset.data_vars.values())
