"""The stores that threads work on: the byte store itself, and a ``Store`` above it at one version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from dvidkit.context import DataContext, VersionedContext
from dvidkit.engine import ByteStore, Capability
from dvidkit.store import Store
from dvidkit.versions import VersionDAG
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.ops import Op
from dvidkit_conformance.session import attempt
from dvidkit_conformance.threads.crew import Standstill
from dvidkit_conformance.threads.history import DONE

LOWEST: Final = b"\x01"
HIGHEST: Final = b"\xf0"


class Subject:
    """An open store that does operations (see ``linear.after``). Every method may be called from any thread.

    Attributes:
        level: ``bytes`` or ``store``.
        harness: whose store it is.
    """

    level = ""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.path = harness.fresh()
        self._do: Mapping[str, Callable[[Op], Any]] = {
            name: getattr(self, f"_{name}")
            for name in ("put", "delete", "batch", "cas", "delete_range", "get", "exists", "many", "range", "keys")
        }

    def answer(self, op: Op) -> Any:
        """Do it; what came, as data."""
        if op["op"] == "close":
            return attempt(self.close)
        return attempt(lambda: self._do[op["op"]](op))

    def begin_range(self) -> Iterator[Any]:
        """An iterator over everything."""
        raise NotImplementedError

    def reopen(self) -> None:
        """Close, and open again."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the store."""
        raise NotImplementedError

    def remove(self) -> None:
        """Close it, whatever happened, and delete its files."""
        with suppress(Exception):
            self.close()
        self.harness.remove(self.path)


class ByteSubject(Subject):
    """The engine's store."""

    level = "bytes"

    def __init__(self, harness: Harness) -> None:
        super().__init__(harness)
        self.bytes: ByteStore = harness.open(self.path)
        self._deletes = str(Capability.DELETE_RANGE) in harness.features

    def reopen(self) -> None:
        """See ``Subject``."""
        self.bytes.close()
        self.bytes = self.harness.open(self.path, create=False)

    def close(self) -> None:
        """See ``Subject``."""
        self.bytes.close()

    def begin_range(self) -> Iterator[Any]:
        """See ``Subject``."""
        return self.bytes.scan(LOWEST, HIGHEST)

    def _write(self, pairs: Sequence[tuple[bytes, bytes | None]], expect: Any = None) -> str:
        self.bytes.write(pairs, durable=False, expect=expect)
        return DONE

    def _put(self, op: Op) -> str:
        return self._write([(op["key"], op["value"])])

    def _delete(self, op: Op) -> str:
        return self._write([(op["key"], None)])

    def _batch(self, op: Op) -> str:
        return self._write([(key, value) for key, value in op["pairs"]])

    def _cas(self, op: Op) -> str:
        return self._write([(op["key"], op["new"])], {op["key"]: op["old"]})

    def _delete_range(self, op: Op) -> str:
        if self._deletes:
            self.bytes.delete_range(op["first"], op["last"] + b"\x00", durable=False)  # type: ignore[attr-defined]
            return DONE
        return self._write([(key, None) for key in op["among"]])

    def _get(self, op: Op) -> bytes | None:
        return self.bytes.get(op["key"])

    def _exists(self, op: Op) -> bool:
        return self.bytes.get(op["key"]) is not None

    def _many(self, op: Op) -> list[bytes | None]:
        snapshot = self.bytes.snapshot()
        try:
            return [snapshot.get(key) for key in op["keys"]]
        finally:
            snapshot.close()

    def _range(self, op: Op) -> list[Any]:
        rows = list(self.bytes.scan(op["first"], op["last"] + b"\x00", reverse=op.get("reverse", False)))
        return rows[::-1] if op.get("reverse") else rows

    def _keys(self, op: Op) -> list[bytes]:
        return list(self.bytes.scan(op["first"], op["last"] + b"\x00", keys_only=True))


class StoreSubject(Subject):
    """The kernel's ``Store``, at a version whose parent holds nothing; with ``versioned`` false, without versions."""

    level = "store"

    def __init__(self, harness: Harness, *, versioned: bool = True) -> None:
        super().__init__(harness)
        self.store: Store = harness.open_store(self.path)[0]
        dag = VersionDAG()
        dag.add(1, ())
        dag.add(2, (1,))
        self.context: Any = VersionedContext(1, 2, dag) if versioned else DataContext(1)

    def reopen(self) -> None:
        """See ``Subject``."""
        self.store.close()
        self.store = self.harness.open_store(self.path, create=False)[0]

    def close(self) -> None:
        """See ``Subject``."""
        self.store.close()

    def begin_range(self) -> Iterator[Any]:
        """See ``Subject``."""
        return self.store.iter_range(self.context, LOWEST, HIGHEST)

    def _put(self, op: Op) -> str:
        self.store.put(self.context, op["key"], op["value"])
        return DONE

    def _delete(self, op: Op) -> str:
        self.store.delete(self.context, op["key"])
        return DONE

    def _batch(self, op: Op) -> str:
        if all(value is not None for _, value in op["pairs"]):
            self.store.put_range(self.context, [tuple(pair) for pair in op["pairs"]])
            return DONE
        with self.store.new_batch(self.context) as batch:
            for key, value in op["pairs"]:
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)
        return DONE

    def _cas(self, op: Op) -> str:
        key = self.context.prefix + op["key"] + self.context.suffix
        change = self.store.segment(self.context, [(op["key"], op["new"])])
        self.store.commit([change], expect={key: op["old"]})
        return DONE

    def _delete_range(self, op: Op) -> str:
        self.store.delete_range(self.context, op["first"], op["last"])
        return DONE

    def _get(self, op: Op) -> bytes | None:
        return self.store.get(self.context, op["key"])

    def _exists(self, op: Op) -> bool:
        return self.store.exists(self.context, op["key"])

    def _many(self, op: Op) -> list[bytes | None]:
        if op.get("snapshot"):
            with self.store.snapshot() as snapshot:
                return [snapshot.get(self.context, key) for key in op["keys"]]
        return self.store.get_many(self.context, op["keys"])

    def _range(self, op: Op) -> list[Any]:
        return self.store.get_range(self.context, op["first"], op["last"])

    def _keys(self, op: Op) -> list[bytes]:
        return self.store.keys_in_range(self.context, op["first"], op["last"])


def subject(level: str, harness: Harness) -> Subject:
    """A fresh store of a level: ``bytes``, ``store`` (versioned) or ``plain`` (without versions)."""
    if level == "bytes":
        return ByteSubject(harness)
    return StoreSubject(harness, versioned=level == "store")


@contextmanager
def opened(level: str, harness: Harness) -> Iterator[Subject]:
    """A fresh store for a block, closed and removed at its end, unless a thread hangs in it."""
    store = subject(level, harness)
    try:
        yield store
    except Standstill:
        raise
    except BaseException:
        store.remove()
        raise
    store.remove()
