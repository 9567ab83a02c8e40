"""Sessions on a kernel with a repo, for the clauses of the version DAG and of what datatypes require.

Versions have numbers; the root is 0. Operations:

* ``commit``, ``child``, ``branch``, ``merge``: of versions ``v`` or ``parents``, making version ``to``;
* ``reopen``: the kernel is closed, and another opened on the same path;
* ``told``, ``head``, ``resolve``: what the repo says of its versions, of a branch, of a reference;
* ``instance``: a data instance whose datatype needs the capabilities in ``requires``.

Whatever is refused must leave the metadata as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from dvidkit.datatype import Datatype
from dvidkit.engine import Capability
from dvidkit.kernel import Kernel
from dvidkit.plugins import Plugins
from dvidkit.repo import Repo
from dvidkit.version import Version
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.kernelmodel import MASTER, KernelModel, uuid, uuid_of
from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import Err
from dvidkit_conformance.session import Journal, Session

_NAMED: Final = {"merge": "DAG-3", "reopen": "DAG-4", "resolve": "DAG-5", "instance": "REG-5"}
"""The clause that an operation asks for; others are about locks and children, or are what reopening changed."""


class _Plugin:
    """The engine under test, offered as a plugin would."""

    def __init__(self, harness: Harness) -> None:
        self._engine = harness.engine

    def dvidkit_engines(self) -> list[Any]:
        return [self._engine]


def plugins_with(harness: Harness, *datatypes: Any) -> Plugins:
    """The engine under test and these datatypes, and nothing else."""
    found = harness.alone.get(datatypes)
    if found is None:
        plugin = _Plugin(harness)
        plugin.dvidkit_datatypes = lambda: list(datatypes)  # type: ignore[attr-defined]
        found = harness.alone[datatypes] = Plugins({"under test": plugin}, installed=False)
    return found


class KernelSession(Session):
    """One kernel over one store, with one repo, and the model.

    Attributes:
        kernel, repo: under test.
    """

    kind = "kernel"

    def __init__(self, harness: Harness, journal: Journal | None = None, **options: Any) -> None:
        super().__init__(harness, journal, **options)
        self.model = KernelModel(harness.features)
        self.plugins = plugins_with(harness)
        self.kernel = self._open()
        self.repo: Repo = self.kernel.repos.create("conformance", root=uuid(0))
        self._ids: dict[str, int] = {}
        self._reopened = False

    def _open(self) -> Kernel:
        return Kernel(self.harness.config(self.path), plugins=self.plugins)

    # --- what checks write -------------------------------------------------------------------------------------------

    def commit(self, *versions: int, note: str = "") -> None:
        """Commit each."""
        for v in versions:
            self.do({"op": "commit", "v": v, "note": note})

    def child(self, v: int, to: int, **more: Any) -> None:
        """A child on the same branch."""
        self.do({"op": "child", "v": v, "to": to, **more})

    def branch(self, v: int, to: int, name: str, **more: Any) -> None:
        """A child on a branch of this name."""
        self.do({"op": "branch", "v": v, "to": to, "name": name, **more})

    def merge(self, parents: Sequence[int], to: int) -> None:
        """A merge."""
        self.do({"op": "merge", "parents": list(parents), "to": to})

    def instance(self, name: str, v: int = 0, requires: Iterable[str] = ()) -> None:
        """An instance of a datatype that needs these capabilities."""
        self.do({"op": "instance", "v": v, "name": name, "requires": sorted(requires)})

    def resolve(self, *texts: str) -> None:
        """Each as a reference to a version."""
        for text in texts:
            self.do({"op": "resolve", "text": text})

    def told(self) -> None:
        """Everything the repo says of its versions, and the head of master."""
        self.do({"op": "told"})
        self.do({"op": "head", "branch": MASTER})

    def reopen(self) -> None:
        """Close the kernel and open another on the same path."""
        self.do({"op": "reopen"})

    # --- doing -------------------------------------------------------------------------------------------------------

    def skips(self, op: Op) -> bool:
        """See ``Session.skips``."""
        return (op["op"] == "reopen" and not self.harness.persistent) or self.model.lacks(op)

    def answer(self, op: Op) -> Any:
        """See ``Session.answer``; a refusal must have changed nothing."""
        if op["op"] == "reopen":
            return super().answer(op)
        before = self._metadata()
        got = super().answer(op)
        if isinstance(got, Err) and self._metadata() != before:
            note = f"refused: {op['op']}"
            raise self.violation("the metadata as it was", "other metadata", clause="DAG-2", note=note)
        return got

    def perform(self, op: Op) -> Any:
        """See ``Session.perform``."""
        return getattr(self, f"_{op['op']}")(op)

    def _metadata(self) -> list[Any]:
        return list(self.kernel.stores["default"].raw_range_query(b"\x00", b"\x01"))

    def _version(self, v: int) -> Version:
        return next(version for version in self.repo.versions if version.uuid == self.model.uuids[v])

    def _commit(self, op: Op) -> Any:
        self._version(op["v"]).commit(op.get("note", ""))

    def _child(self, op: Op) -> Any:
        return self._version(op["v"]).new_version(uuid=uuid_of(op)).uuid

    def _branch(self, op: Op) -> Any:
        return self._version(op["v"]).make_branch(op["name"], uuid=uuid_of(op)).uuid

    def _merge(self, op: Op) -> Any:
        return self.repo.merge([self._version(v) for v in op["parents"]], uuid=uuid_of(op)).uuid

    def _reopen(self, op: Op) -> Any:
        self.kernel.close()
        self.kernel = self._open()
        self.repo = self.kernel.repos[uuid(0)]
        self._reopened = True

    def _told(self, op: Op) -> Any:
        return [
            [v.uuid, [p.uuid for p in v.parents], v.branch, v.locked, v.record.note, self._changed(v)]
            for v in self.repo.versions
        ]

    def _changed(self, version: Version) -> str:
        """Whether the number in keys is another than it was."""
        was = self._ids.setdefault(version.uuid, version.id)
        return "" if was == version.id else f"id {version.id}, was {was}"

    def _head(self, op: Op) -> Any:
        return self.repo.head(op["branch"]).uuid

    def _resolve(self, op: Op) -> Any:
        return self.kernel.repos.resolve(op["text"]).uuid

    def _instance(self, op: Op) -> Any:
        needs = frozenset(Capability(name) for name in op.get("requires", ()))
        datatype = type("Needs", (Datatype,), {"typename": "conformance-needs", "requires": needs})
        return self.repo.create_instance(datatype, op["name"], self._version(op["v"])).name

    # --- reached, blamed, closed -------------------------------------------------------------------------------------

    def count(self, op: Op, got: Any) -> None:
        """See ``Session.count``."""
        self.probes["refused" if isinstance(got, Err) else op["op"]] += 1

    def blame(self, op: Op, expected: Any, got: Any) -> str:
        """See ``Session.blame``."""
        return _NAMED.get(op["op"]) or ("DAG-4" if self._reopened else "DAG-1")

    def close(self) -> None:
        """See ``Session.close``."""
        with suppress(Exception):
            self.kernel.close()
        self.harness.remove(self.path)
