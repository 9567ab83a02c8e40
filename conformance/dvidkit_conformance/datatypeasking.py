"""What is asked of a datatype beyond its own operations: each a function of a session and an operation.

A function returns nothing if what it asks holds, and else raises the session's violation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from dvidkit.errors import CorruptData, DvidkitError, MissingExtra, StoreForked
from dvidkit.repo import Version
from dvidkit.store import Store
from dvidkit.upkeep import delete_instance
from dvidkit_conformance import codec
from dvidkit_conformance.datatypemodel import NAMES
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import Err, Foreign, difference, matches, plain
from dvidkit_conformance.session import attempt

if TYPE_CHECKING:
    from dvidkit_conformance.datatypesession import DatatypeSession

_EFFECTS: Final = frozenset({"do", "commit", "child", "merge", "reopen", "refuse", "forbidden"})
_PATIENCE: Final = 60.0
_TOGETHER: Final = 32
_ROOMY: Final = 1 << 20
"""Keys that a raw copy writes at a time, if the engine takes batches of so many bytes."""
_DAMAGED: Final = 3
"""Values of one program that are damaged."""


def refuse(s: DatatypeSession, op: Op) -> None:
    """An operation that must be refused raises an error of the tree; the dump stays."""
    before = s.dump(op["name"])
    got = attempt(lambda: s.case.apply(s.view(op["name"], op["v"]), op["do"]))
    s.require(isinstance(got, Err), "an error of the tree", got, clause="DT-12", note="an operation to be refused")
    same = s.dump(op["name"]) == before
    s.require(same, "the dump as it was", "another", clause="DT-12", note="a refused operation")


def forbidden(s: DatatypeSession, op: Op) -> None:
    """An operation at a committed version leaves the dump, whatever it answers."""
    before = s.dump(op["name"])
    got = attempt(lambda: s.case.apply(s.view(op["name"], op["v"]), op["do"]))
    same, answered = s.dump(op["name"]) == before, f"another; the operation answered {got!r}"
    s.require(same, "the dump as it was", answered, clause="DT-12", note="committed")


def again(s: DatatypeSession, op: Op) -> None:
    """An observation is the same as the one before it."""
    view = s.view(op["name"], op["v"])
    seen = s.seen
    known = seen is not None and seen[:2] == (op["name"], op["v"])
    look = s.case.glance if op.get("light") else s.case.observe
    first = seen[2] if known and seen is not None else plain(look(view))
    second = plain(look(view))
    if not matches(first, second):
        raise s.violation(*difference(first, second), clause="DT-13", note="observed twice")


def derived(s: DatatypeSession, op: Op) -> None:
    """Derived state as stored is derived state as recomputed."""
    for name, (stored, anew) in s.case.recompute(s.view(op["name"], op["v"])).items():
        stored, anew = plain(stored), plain(anew)
        if not matches(anew, stored):
            note = f"derived state {name!r} at v{op['v']}"
            raise s.violation(*difference(anew, stored), clause="DT-14", note=note)


def conflicting(s: DatatypeSession, op: Op) -> None:
    """A merge in conflict raises; one that the case does not model is read or raises, and nothing else."""
    got = attempt(lambda: s.case.observe(s.view(op["name"], op["v"])))
    bad = isinstance(got, Foreign) or (isinstance(got, Err) and got.name != "VersionConflict")
    if (op["name"], op["v"]) in s.model.conflicts:
        conflict = isinstance(got, Err) or (isinstance(got, dict) and "conflicts" in got)
        s.require(conflict, Err("VersionConflict"), got, clause="DT-4", note="both sides changed the same")
    s.require(not bad, "an observation, or raises VersionConflict", got, clause="DT-4")


# --- raw bytes -------------------------------------------------------------------------------------------------------
def tkeys(s: DatatypeSession, op: Op) -> None:
    """Every TKey, as the raw bytes have it, is of a declared class and its layout."""
    for key, _ in s.dump(op["name"]):
        tkey = codec.entry(key).tkey
        good = any(_fits(declared, tkey) for declared in s.datatype.tkey_classes)
        s.require(good, "a TKey of a declared class", tkey, clause="DT-10")


def _fits(declared: Any, tkey: bytes) -> bool:
    try:
        declared.check(tkey)
    except DvidkitError:
        return False
    return True


def envelopes(s: DatatypeSession, op: Op) -> None:
    """Every value of the classes that the case names unpacks, by the kit's own reading of the format."""
    for key, value in _packed(s, op["name"]):
        try:
            codec.unpacked(value)
        except ValueError as error:
            raise s.violation("an envelope", value, clause="DT-11", note=f"{error}, at {key!r}") from None
        asked = s.options["settings"].get("checksum") == "crc32" and not codec.gzipped(value)
        s.require(not asked or codec.checked(value), "a checksum", value, clause="DT-11", note=f"the value at {key!r}")
        s.probes["envelope"] += 1


def damage(s: DatatypeSession, op: Op) -> None:
    """A flipped byte of a value with a checksum is ``CorruptData`` to who observes it; without, never foreign."""
    packed = _packed(s, op["name"])
    for key, value in packed[:: max(1, len(packed) // _DAMAGED)][: op.get("most")]:
        v = s.number(codec.entry(key).version)
        if v is None or v in s.model.unknown:
            continue
        place = len(value) - 1 - op["place"] % max(1, len(value) - 5)
        s.kernel.stores["default"].raw_put(key, value[:place] + bytes([value[place] ^ 0x15]) + value[place + 1 :])
        _forgetting(s)
        got = _seen(s, op, op["name"], v)
        s.kernel.stores["default"].raw_put(key, value)
        certain, note = codec.checked(value), f"a byte of the value at {key!r} is another"
        holds = got == Err(CorruptData.__name__) if certain else not isinstance(got, Foreign)
        wanted = Err("CorruptData") if certain else "an observation or an error of the tree"
        s.require(
            holds, wanted, got if isinstance(got, (Err, Foreign)) else "an observation", clause="DT-11", note=note
        )
        s.probes["damaged"] += 1
    _forgetting(s)


def _forgetting(s: DatatypeSession) -> None:
    """Opened anew, so that nothing that a datatype remembers stands before what is stored."""
    if s.harness.persistent:
        s.anew()


def _seen(s: DatatypeSession, op: Op, name: str, v: int) -> Any:
    """What is observed, or with ``light`` glanced, or the error's name."""
    look = s.case.glance if op.get("light") else s.case.observe
    return attempt(lambda: look(s.view(name, v)))


def _packed(s: DatatypeSession, name: str) -> list[tuple[bytes, bytes]]:
    found = [(key, value) for key, value in s.dump(name) if value and key[-1] == codec.VALUE]
    return [(key, value) for key, value in found if codec.entry(key).tkey[0] in s.case.envelopes]


# --- engines ---------------------------------------------------------------------------------------------------------
def same(s: DatatypeSession, op: Op) -> None:
    """The program so far leaves on the reference the dump that it left here."""
    reference = s.harness.plugins.engine("memory")
    there = Harness(
        reference, s.harness.fresh_folder(), plugins=s.harness.plugins, extra=tuple(s.harness.extra.values())
    )
    with type(s)(there, **s.options) as other:
        for each in s.ops[:-1]:
            if each["op"] in _EFFECTS:
                other.do(each)
        expected, got = ({name: plain(each.dump(name)) for name in NAMES} for each in (other, s))
    if expected != got:
        raise s.violation(*difference(expected, got), clause="DT-6", note="dump on the reference, here")


def copied(s: DatatypeSession, op: Op) -> None:
    """Raw copied to another engine and back, everything observed is what the model has."""
    engine = s.harness.plugins.engine(op["engine"])
    there = Harness(engine, s.harness.fresh_folder(), plugins=s.harness.plugins)
    with type(s)(s.harness, **s.options) as back:
        try:
            middle = Store(engine, there.config(there.fresh()))
        except (ImportError, MissingExtra, StoreForked):
            return
        with middle:
            _raw_copy(s.kernel.stores["default"], middle)
            _raw_copy(middle, back.kernel.stores["default"])
        back.kernel.repos.reload()
        for v in s.model.known():
            expected = s.model.apply({"op": "observe", "name": "data", "v": v})
            got = _seen(back, op, "data", v)
            if not matches(expected, got):
                right = matches(expected, _seen(s, op, "data", v))
                note = f"copied to engine {op['engine']!r} and back{'' if right else '; wrong before the copy, too'}"
                raise s.violation(*difference(expected, got), clause="DT-7", note=note)


def delete_all(s: DatatypeSession, op: Op) -> None:
    """Deleted by its repo, nothing of the instance is left, everything of the other, and one of its name is new."""
    kept, store, repo = s.dump("other"), s.kernel.stores["default"], s.version(0).repo
    for v in s.model.known():
        _seen(s, op, "data", v)
    delete_instance(repo.instance("data"))
    s.require(s.kernel.repos.deletions.wait(_PATIENCE), "the data is removed", "it is not", clause="DT-8")
    other = repo.instance("other").id
    left = [
        key for key, _ in store.raw_range_query(b"\x01", b"\x01" + b"\xff" * 40) if codec.entry(key).instance != other
    ]
    s.require(left == [], [], left, clause="DT-8", note="keys in the space of data that are not the other instance's")
    s.require(s.dump("other") == kept, kept, s.dump("other"), clause="DT-8", note="the other instance")
    repo.create_instance(s.datatype, "data", _uncommitted(s), **s.options["settings"])
    expected = plain(s.case.model(s.options["settings"]).observe())
    for v in s.model.known():
        got = _seen(s, op, "data", v)
        if not matches(expected, got):
            raise s.violation(*difference(expected, got), clause="DT-8", note="a new instance of the same name")


def _uncommitted(s: DatatypeSession) -> Version:
    """A version that takes changes; made if there is none."""
    found = [s.version(v) for v in s.model.open()]
    return found[0] if found else s.version(0).make_branch("anew")


def _raw_copy(source: Store, target: Store) -> None:
    gone = [(key, None) for key, _ in target.raw_range_query(b"\x00", b"\x02\xff")]
    come = list(source.raw_range_query(b"\x00", b"\x02" + b"\xff" * 20))
    limits = target.engine.limits
    together = min(_TOGETHER, limits.max_batch_ops) if limits.max_batch_bytes >= _ROOMY else 1
    for pairs in (gone, come):
        for first in range(0, len(pairs), together):
            target.raw_write(pairs[first : first + together])


ASKING: Final[Mapping[str, Callable[[DatatypeSession, Op], None]]] = {
    "refuse": refuse,
    "forbidden": forbidden,
    "again": again,
    "derived": derived,
    "conflicting": conflicting,
    "tkeys": tkeys,
    "envelopes": envelopes,
    "damage": damage,
    "same": same,
    "copied": copied,
    "delete_all": delete_all,
}
"""The functions by the names of their operations."""
