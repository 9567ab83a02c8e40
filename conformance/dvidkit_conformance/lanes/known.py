"""The oracle of stores of which operations fail: what was acknowledged, and with or without each that failed."""

from __future__ import annotations

from copy import deepcopy

from dvidkit_conformance.lanes.crashmodel import Rows, apply, brief, with_versions
from dvidkit_conformance.ops import Op
from dvidkit_conformance.storemodel import StoreModel


class Known:
    """The states that a store may be in.

    Attributes:
        ops: what was tried, in order.
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self._models: list[StoreModel] = [with_versions()]

    @property
    def count(self) -> int:
        """How many states there are."""
        return len(self._models)

    def done(self, *ops: Op) -> None:
        """These operations were acknowledged."""
        for op in ops:
            self.ops.append(op)
            for model in self._models:
                apply(model, op)

    def failed(self, op: Op) -> None:
        """This one was not: it was done or it was not, whole."""
        self.ops.append({**op, "failed": True})
        later = deepcopy(self._models)
        for model in later:
            apply(model, op)
        self._models += later

    def found(self, rows: Rows) -> bool:
        """Whether what is there is one of the states; it is then the only one."""
        self._models = [model for model in self._models if brief(model.dump()) == rows][:1]
        return bool(self._models)
