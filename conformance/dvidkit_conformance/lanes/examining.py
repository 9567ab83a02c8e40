"""What a child of the damage lane does: damage a copy of a closed store, open it, and look at what it gives.

Every read is compared with what was written. A read may raise an error of the tree; it must not give anything else,
and what it does not give must be missed by ``verify``.
"""

from __future__ import annotations

import marshal
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dvidkit.context import MetadataContext, VersionedContext
from dvidkit.engine import Engine, StoreConfig
from dvidkit.errors import DvidkitError, StoreLocked
from dvidkit.store import Store
from dvidkit.verify import verify
from dvidkit.versions import VersionDAG
from dvidkit_conformance.results import show

INSTANCE: Final = 7
EDGES: Final = ((1, ()), (2, (1,)), (3, (2,)))
LOWEST: Final = b""
HIGHEST: Final = b"\xff" * 40
ALL: Final = (b"\x00", b"\x02" + b"\xff" * 40)
PAGE: Final = 4096

Trial = tuple[str, str, int]
"""(kind, file, place): ``flip`` a byte, ``zero`` a page, ``cut`` at a length, ``delete``."""

Sight = dict[str, Any]
"""What a store gives, by the name of the read."""


def contexts() -> dict[str, Any]:
    """Every context that holds something."""
    dag = VersionDAG()
    for version, parents in EDGES:
        dag.add(version, parents)
    return {"metadata": MetadataContext(), **{f"v{v}": VersionedContext(INSTANCE, v, dag) for v, _ in EDGES}}


def reads(store: Store, keys: Sequence[bytes]) -> dict[str, Callable[[], Any]]:
    """Every read that is compared."""
    found: dict[str, Callable[[], Any]] = {"raw": lambda: [list(row) for row in store.raw_range_query(*ALL)]}
    for name, context in contexts().items():
        found[f"range {name}"] = _range(store, context)
        for key in keys:
            found[f"get {name} {key!r}"] = _get(store, context, key)
    return found


def _range(store: Store, context: Any) -> Callable[[], Any]:
    return lambda: [list(row) for row in store.get_range(context, LOWEST, HIGHEST)]


def _get(store: Store, context: Any, key: bytes) -> Callable[[], Any]:
    return lambda: store.get(context, key)


def see(store: Store, keys: Sequence[bytes]) -> Sight:
    """What the store gives; ``{"error": name}`` where it raises."""
    return {name: _answer(read) for name, read in reads(store, keys).items()}


def _answer(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except DvidkitError as error:
        return {"error": type(error).__name__}


def damage(path: Path, trial: Trial) -> None:
    """Do to the files of a closed store what the trial says."""
    kind, name, place = trial
    file = path / name
    if kind == "delete":
        file.unlink()
        return
    data = bytearray(file.read_bytes())
    if kind == "flip":
        data[place] ^= 0xFF if place % 2 else 0x01
    elif kind == "zero":
        data[place : place + PAGE] = bytes(len(data[place : place + PAGE]))
    else:
        del data[place:]
    file.write_bytes(data)


@dataclass(frozen=True, slots=True)
class Examination:
    """Trials on copies of one store, as they are told to the child.

    Attributes:
        engine, template, scratch: the engine's name, the closed store, where copies are made.
        keys, sight: what was written, as the whole store gave it.
        trials: what to do.
        repair: have the engine repair each copy before it is opened.
    """

    engine: str
    template: str
    scratch: str
    keys: tuple[bytes, ...]
    sight: str
    trials: tuple[Trial, ...]
    repair: bool = False

    def live(self, engine: Engine, store_class: type[Store], fd: int) -> None:
        """Examine one copy after the other; say what each is about, then what came of it."""
        sight: Sight = marshal.loads(Path(self.sight).read_bytes())  # noqa: S302 - written by our own parent
        for n, trial in enumerate(self.trials):
            _tell(fd, "trial", n)
            copy = Path(self.scratch) / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(self.template, copy)
            damage(copy, trial)
            _tell(fd, "outcome", n, *self._examined(engine, store_class, copy, sight))
        shutil.rmtree(Path(self.scratch) / "copy", ignore_errors=True)

    def _refused(self, engine: Engine, store_class: type[Store], copy: Path, error: str) -> tuple[str, str]:
        """What was refused is not held: opened again, it is refused for the same reason, and not as open already."""
        try:
            store_class(engine, StoreConfig(self.engine, str(copy), create=False)).close()
        except StoreLocked:
            return "foreign", f"opened again after {error} it raises StoreLocked: a refused opening holds the store"
        except Exception:
            return "refused", error
        return "refused", error

    def _examined(self, engine: Engine, store_class: type[Store], copy: Path, sight: Sight) -> tuple[str, str]:
        try:
            if self.repair:
                engine.repair(str(copy))
            store = store_class(engine, StoreConfig(self.engine, str(copy), create=False))
        except DvidkitError as error:
            return self._refused(engine, store_class, copy, type(error).__name__)
        except Exception as error:
            return "foreign", f"open raises {type(error).__module__}.{type(error).__qualname__}: {str(error)[:200]}"
        try:
            return self._judged(store, sight)
        except Exception as error:
            return "foreign", f"raises {type(error).__module__}.{type(error).__qualname__}: {str(error)[:200]}"
        finally:
            _closed(store)

    def _judged(self, store: Store, sight: Sight) -> tuple[str, str]:
        got = see(store, self.keys)
        wrong = invented(sight, got)
        if wrong:
            return "wrong", wrong
        passed_over = _passed_over(sight, got, self.keys)
        if passed_over:
            return "silent", passed_over
        missing = short(sight, got)
        raised = any(is_error(answer) for answer in got.values())
        if not missing:
            return ("raised" if raised else "harmless"), ""
        if verify(store).ok:
            return "silent", missing
        told = bool(store.report.notes or store.report.dropped_bytes)
        return ("told" if told else "verified"), missing


def is_error(answer: Any) -> bool:
    """Whether a read raised."""
    return isinstance(answer, dict)


def invented(sight: Mapping[str, Any], got: Mapping[str, Any]) -> str:
    """What a read gave that was not written, in words; or nothing. A row that is not given is no invention.

    A deleted key that comes back because its tombstone is gone shows a value that an ancestor has: rows of versions
    are only compared with what was written for that key anywhere.
    """
    rows = {tuple(row) for row in sight["raw"]}
    values: dict[Any, set[Any]] = {}
    for name, answer in sight.items():
        if name.startswith("range "):
            for key, value in answer:
                values.setdefault((name == "range metadata", key), set()).add(value)
    for name, answer in got.items():
        if is_error(answer) or answer is None:
            continue
        if name == "raw":
            bad = [row for row in answer if tuple(row) not in rows]
        elif name.startswith("range "):
            bad = [row for row in answer if row[1] not in values.get((name == "range metadata", row[0]), ())]
        else:
            key = _key_of(name)
            bad = [] if answer in values.get((name.startswith("get metadata"), key), ()) else [answer]
        if bad:
            return f"{name}: {show(bad[:2])}, never written"
    return ""


def _key_of(name: str) -> bytes:
    key: bytes = eval(name.split(" ", 2)[2], {})  # noqa: S307 - the repr of a key that we made
    return key


def short(sight: Mapping[str, Any], got: Mapping[str, Any]) -> str:
    """The first read that raised nothing and is otherwise than what was written."""
    for name, answer in got.items():
        if not is_error(answer) and answer != sight[name]:
            if isinstance(answer, list):
                return f"{name}: {len(answer)} rows of {len(sight[name])}, and no error"
            return f"{name}: {show(answer)} where {show(sight[name])} was written, and no error"
    return ""


def _passed_over(sight: Mapping[str, Any], got: Mapping[str, Any], keys: Sequence[bytes]) -> str:
    """The first range that ends well without a row that a read of its key knows to be damaged, in words; or nothing."""
    for name in contexts():
        answer = got[f"range {name}"]
        for key in [] if is_error(answer) else keys:
            read = f"get {name} {key!r}"
            if is_error(got[read]) and sight[read] is not None and key not in [row[0] for row in answer]:
                return f"range {name}: without {key!r} and no error, where get raises {got[read]['error']}"
    return ""


def _closed(store: Store) -> None:
    # Closing a damaged store may fail; what was read has been judged.
    with suppress(Exception):
        store.close()


def _tell(fd: int, *message: Any) -> None:
    data = marshal.dumps(message)
    os.write(fd, len(data).to_bytes(4, "little") + data)
