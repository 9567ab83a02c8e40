"""Sessions on two instances of a datatype in a repo.

Whatever is asked of a datatype is an operation, so that a failing program can be cut small and replayed:

* ``do``, ``observe``: an operation of the case, an observation (``light``: a glance), of instance ``name`` at version
  ``v``;
* ``commit``, ``child``, ``merge``, ``reopen``: what happens to versions and to the kernel;
* ``refuse``, ``forbidden``: an operation that must be refused, one at a committed version; the dump stays;
* ``again``, ``derived``, ``conflicting``: an observation once more, derived state recomputed, a merge in conflict;
* ``tkeys``, ``envelopes``, ``damage``: what the raw bytes hold, and what becomes of a damaged value;
* ``same``, ``copied``, ``delete_all``: the program so far on the reference, a copy to another engine and back, the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from dvidkit import errors
from dvidkit.datatype import Datatype
from dvidkit.kernel import Kernel
from dvidkit.repo import Version
from dvidkit_conformance import codec
from dvidkit_conformance.case import DatatypeCase, load_case
from dvidkit_conformance.datatypeasking import ASKING
from dvidkit_conformance.datatypemodel import NAMES, RepoModel
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.kernelsession import plugins_with
from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import Err, plain
from dvidkit_conformance.session import Journal, Session

_NAMED: Final = {
    "do": "DT-1",
    "merge": "DT-4",
    "reopen": "DT-5",
    "refuse": "DT-12",
    "forbidden": "DT-12",
    "again": "DT-13",
    "derived": "DT-14",
    "conflicting": "DT-4",
    "tkeys": "DT-10",
    "envelopes": "DT-11",
    "damage": "DT-11",
    "same": "DT-6",
    "copied": "DT-7",
    "delete_all": "DT-8",
}
"""The clause that an operation asks for, whatever was done before."""


def _uuid(v: int) -> str:
    return f"{v + 1:032x}"


class DatatypeSession(Session):
    """One kernel, one repo, two instances, and the case's models.

    Args:
        typename: of a datatype that the harness knows.
        settings: of both instances.
    """

    kind = "datatype"

    def __init__(
        self, harness: Harness, journal: Journal | None = None, *, typename: str, settings: Mapping[str, Any]
    ) -> None:
        super().__init__(harness, journal, typename=typename, settings=dict(settings))
        datatype: type[Datatype] = harness.datatype(typename)
        self.datatype = datatype
        self.case: DatatypeCase = load_case(datatype.conformance)
        self.model = RepoModel(self.case, settings)
        self.plugins = plugins_with(harness, datatype)
        self.kernel = self._open()
        repo = self.kernel.repos.create("conformance", root=_uuid(0))
        for name in NAMES:
            repo.create_instance(datatype, name, repo.root, **settings)
        self.touched: tuple[str, int] = ("", 0)
        self.seen: tuple[str, int, Any] | None = None
        self._right: set[tuple[str, int]] = set()
        self._last = ""
        self._refusal = ""
        self._refused = False

    def _open(self) -> Kernel:
        return Kernel(self.harness.config(self.path), plugins=self.plugins)

    def version(self, v: int) -> Version:
        """The repo's version of this number."""
        return self.kernel.repos.resolve(_uuid(v))

    def view(self, name: str, v: int) -> Any:
        """An instance at a version."""
        return self.version(v)[name]

    def number(self, version: int) -> int | None:
        """The number of a version by its id in keys."""
        return next((v for v in self.model.parents if self.version(v).id == version), None)

    def dump(self, name: str) -> list[list[bytes]]:
        """The raw entries of an instance."""
        instance = self.version(0).repo.instance(name)
        low, high = _span(instance.id)
        return [[key, value or b""] for key, value in instance.store.raw_range_query(low, high) if key < high]

    # --- doing -------------------------------------------------------------------------------------------------------

    def skips(self, op: Op) -> bool:
        """See ``Session.skips``."""
        return (op["op"] == "reopen" and not self.harness.persistent) or self.model.lacks(op)

    def perform(self, op: Op) -> Any:
        """See ``Session.perform``."""
        ask = ASKING.get(op["op"])
        return ask(self, op) if ask is not None else getattr(self, f"_{op['op']}")(op)

    def do(self, op: Op) -> Any:
        """See ``Session.do``."""
        if op["op"] == "do" and not (self.skips(op) or (self.model.versioned and op["v"] in self.model.locked)):
            self.touched = op["name"], op["v"]
        if op["op"] not in ("observe", "again"):
            self.seen = None
            self._right.clear()
        answer = super().do(op)
        self._last = op["op"] if op["op"] not in ("observe", "again") else self._last
        return answer

    def answer(self, op: Op) -> Any:
        """See ``Session.answer``; of a refusal, the class that the model names if the error is one of it."""
        got = super().answer(op)
        wanted = self._refusal
        if isinstance(got, Err) and wanted and _is(got.name, wanted):
            return Err(wanted)
        return got

    def expects(self, expected: Any) -> None:
        """See ``Session.expects``."""
        self._refusal = expected.name if isinstance(expected, Err) else ""

    def _do(self, op: Op) -> Any:
        return self.case.apply(self.view(op["name"], op["v"]), op["do"])

    def _observe(self, op: Op) -> Any:
        look = self.case.glance if op.get("light") else self.case.observe
        self.seen = op["name"], op["v"], plain(look(self.view(op["name"], op["v"])))
        return self.seen[2]

    def _commit(self, op: Op) -> Any:
        self.version(op["v"]).commit()

    def _child(self, op: Op) -> Any:
        parent, uuid = self.version(op["v"]), _uuid(op["to"])
        if parent.children:
            parent.make_branch(f"branch{op['to']}", uuid=uuid)
        else:
            parent.new_version(uuid=uuid)

    def _merge(self, op: Op) -> Any:
        parents = [self.version(v) for v in op["parents"]]
        parents[0].repo.merge(parents, uuid=_uuid(op["to"]))

    def _reopen(self, op: Op) -> Any:
        self.anew()

    def anew(self) -> None:
        """Close the kernel and open another on the same path."""
        self.kernel.close()
        self.kernel = self._open()

    # --- reached, blamed, closed -------------------------------------------------------------------------------------

    def count(self, op: Op, got: Any) -> None:
        """See ``Session.count``."""
        self.probes[op["op"]] += 1
        if op["op"] == "observe":
            self._right.add((op["name"], op["v"]))
        if op["op"] == "do":
            self._refused = isinstance(got, Err)
            self.probes["refused" if isinstance(got, Err) else "changed"] += 1

    def blame(self, op: Op, expected: Any, got: Any) -> str:
        """See ``Session.blame``."""
        if isinstance(expected, Err):
            return "DT-12"
        if op["op"] != "observe":
            return _NAMED.get(op["op"], "DT-12")
        if (op["name"], op["v"]) in self._right:
            return "DT-13"
        name, v = self.touched
        if self._last == "reopen":
            return "DT-5"
        if self._refused and self._last == "do" and (op["name"], op["v"]) == (name, v):
            return "DT-12"
        if op["name"] != name and name:
            return "DT-9"
        if len(self.model.parents[op["v"]]) > 1:
            return "DT-4"
        if op["v"] != v and op["v"] in self.model.ancestors(v):
            return "DT-3"
        return "DT-2" if v not in self.model.ancestors(op["v"]) else "DT-1"

    def close(self) -> None:
        """See ``Session.close``."""
        with suppress(Exception):
            self.kernel.close()
        self.harness.remove(self.path)


def _span(instance: int) -> tuple[bytes, bytes]:
    return codec.data_key(instance, b"", 0)[:5], b"\x01" + (instance + 1).to_bytes(4, "big")


def _is(name: str, wanted: str) -> bool:
    """Whether the error class of one name is, or descends from, that of another."""
    found: type | None = getattr(errors, name, None)
    return found is not None and wanted in [kind.__name__ for kind in found.__mro__]
