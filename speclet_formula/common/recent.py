"""What was made last of the same objects: one design is fitted again and again, and its matrices are made once."""

import weakref
from collections.abc import Callable


class Recent[T]:
    """The last few results, told by the identity of what they were made of; they go where one of these goes.

    Parameters
    ----------
    most : int
        How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[tuple[tuple[weakref.ref[object] | None, ...], T]] = []

    def of(self, objects: tuple[object | None, ...], make: Callable[[], T]) -> T:
        """Return what was made of these objects, or make it. It must not hold on to one of them."""
        for references, result in self._kept:
            if all(
                (None if known is None else known()) is given for known, given in zip(references, objects, strict=True)
            ):
                return result
        result = make()
        new = tuple(None if given is None else weakref.ref(given, self._forget) for given in objects)
        self._kept = [(new, result), *self._kept[: self._most - 1]]
        return result

    def clear(self) -> None:
        """Forget all."""
        self._kept = []

    def _forget(self, gone: weakref.ref[object]) -> None:
        self._kept = [(references, result) for references, result in self._kept if gone not in references]
