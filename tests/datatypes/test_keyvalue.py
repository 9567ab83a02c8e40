"""The ``keyvalue`` datatype: values under names, in versions."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvidkit_conformance.agreement import agree
from dvidkit_keyvalue.conformance import KeyValueCase
from dvidkit_keyvalue.keys import KEY, decode_key, encode_key, longest_key
from hypothesis import given
from hypothesis import strategies as st

import dvidkit
from dvidkit import envelope
from dvidkit.errors import (
    BadConfig,
    BadKey,
    BadType,
    CorruptData,
    LimitError,
    VersionConflict,
    VersionLocked,
)
from dvidkit.kernel import Kernel
from dvidkit.keys import PREFIX_SIZE, SUFFIX_SIZE
from dvidkit.repo import Repo
from dvidkit.resolve import Conflict

BAD_KEYS = ["", "a/b", "/", "a\0b", "\0", "\ud800", "a\udfff"]


@pytest.fixture(params=["memory", "lmdb"])
def kernel(request: Any, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel on each engine."""
    with dvidkit.open(str(tmp_path / "store"), request.param, durability="buffered") as kernel:
        yield kernel


@pytest.fixture
def repo(kernel: Kernel) -> Repo:
    """A repo with an instance ``kv``."""
    repo = kernel.repos.create("r")
    repo.create_instance("keyvalue", "kv")
    return repo


@pytest.fixture
def kv(repo: Repo) -> Any:
    """The instance at the root."""
    return repo.root["kv"]


def dump(kernel: Kernel) -> list[Any]:
    """Every stored row of data."""
    return list(kernel.stores["default"].raw_range_query(b"\x01", b"\x02"))


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_tkey_is_dvids() -> None:
    """Class 177, 01, the key in UTF-8, 00."""
    assert encode_key("Añ", 511).hex() == "b101" + "41c3b1" + "00"
    assert decode_key(bytes.fromhex("b10141c3b100")) == "Añ"


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_tkeys_sort_as_keys_and_are_prefix_free(one: str, other: str) -> None:
    """Order is that of code points, and no TKey is a prefix of another."""
    try:
        first, second = encode_key(one, 511), encode_key(other, 511)
    except BadKey:
        return
    assert (first < second) == (one < other)
    assert one == other or not (first.startswith(second) or second.startswith(first))
    assert decode_key(first) == one
    assert KEY.min() < first < KEY.max()


@pytest.mark.parametrize("key", BAD_KEYS)
def test_what_cannot_be_a_key_is_refused_everywhere(kernel: Kernel, kv: Any, key: str) -> None:
    """Empty, with ``/`` or NUL, or no Unicode text: every method says ``BadKey``, and nothing is written."""
    kv.put("there", b"1")
    before = dump(kernel)
    for act in (
        lambda: kv.get(key),
        lambda: kv.exists(key),
        lambda: kv.put(key, b"x"),
        lambda: kv.delete(key),
        lambda: kv.get_many(["there", key]),
        lambda: kv.put_many([("a", b"x"), (key, b"y")]),
        lambda: kv.key_range(key, "z"),
        lambda: list(kv.items("a", key)),
    ):
        with pytest.raises(BadKey):
            act()
    assert dump(kernel) == before


@pytest.mark.parametrize("key", [None, b"bytes", 5, ("a",)])
def test_a_key_is_text(kv: Any, key: Any) -> None:
    """Anything else is a ``TypeError``, before any effect."""
    for act in (lambda: kv.get(key), lambda: kv.put(key, b""), lambda: kv.put_many([(key, b"")])):
        with pytest.raises(BadType) as caught:
            act()
        assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize("value", [None, "text", 5, [b"x"]])
def test_a_value_is_bytes(kernel: Kernel, kv: Any, value: Any) -> None:
    """Anything else is a ``TypeError``, before any effect."""
    before = dump(kernel)
    for act in (lambda: kv.put("k", value), lambda: kv.put_many({"a": b"", "k": value})):
        with pytest.raises(BadType):
            act()
    with pytest.raises(BadType):
        kv.put_many(["abc"])
    assert dump(kernel) == before


def test_keys_are_as_long_as_the_store_takes(kernel: Kernel, kv: Any) -> None:
    """The longest key works; one byte of UTF-8 more is a ``LimitError`` that says how long it may be."""
    limit = longest_key(kernel.stores["default"].engine.limits.max_key)
    assert limit == kernel.stores["default"].engine.limits.max_key - PREFIX_SIZE - SUFFIX_SIZE - 3
    longest = "k" * (limit - 2) + "ñ"
    kv.put(longest, b"long")
    assert kv.get(longest) == b"long"
    assert kv.keys() == [longest]
    kv.delete(longest)
    for act in (lambda: kv.put(longest + "x", b""), lambda: kv.get(longest + "x"), lambda: kv.exists("ñ" * limit)):
        with pytest.raises(LimitError) as caught:
            act()
        assert (caught.value.what, caught.value.limit) == ("max_key", limit)
        assert caught.value.got > limit


# --- values ----------------------------------------------------------------------------------------------------------


def test_a_value_is_stored_in_dvids_envelope(kernel: Kernel, kv: Any) -> None:
    """The row's TKey is the key's, its value is the enveloped value, lz4 unless the settings say otherwise."""
    kv.put("k", b"value" * 50)
    ((key, stored),) = dump(kernel)
    assert key[PREFIX_SIZE:-SUFFIX_SIZE] == b"\xb1\x01k\x00"
    assert stored == envelope.pack(b"value" * 50, "lz4")


@pytest.mark.parametrize("compression", ["none", "snappy", "lz4", "gzip", "gzip:9"])
@pytest.mark.parametrize("checksum", ["none", "crc32"])
def test_settings_say_how_values_are_stored(kernel: Kernel, repo: Repo, compression: str, checksum: str) -> None:
    """Compression and checksum of the instance are those of its values; reading does not depend on them."""
    repo.create_instance("keyvalue", "other", Compression=compression, Checksum=checksum)
    view = repo.root["other"]
    values = {"a": b"", "b": b"x", "c": bytes(10_000), "d": random.Random(1).randbytes(5000)}
    view.put_many(values)
    assert dict(view.items()) == values
    stored = {decode_key(key[PREFIX_SIZE:-SUFFIX_SIZE]): value for key, value in dump(kernel)}
    name, _, level = compression.partition(":")
    for key, value in values.items():
        assert stored[key] == envelope.pack(value, name, checksum, level=int(level or -1))  # type: ignore[arg-type]


def test_an_empty_value_is_a_value(kv: Any) -> None:
    """Present in every form of reading, and not the same as absent."""
    kv.put("e", b"")
    assert kv.get("e") == b""
    assert kv.exists("e")
    assert kv.keys() == ["e"]
    assert list(kv.items()) == [("e", b"")]
    assert kv.get_many(["e", "absent"]) == [b"", None]
    assert kv.get("absent") is None
    assert not kv.exists("absent")


def test_values_are_the_stores_own(kv: Any) -> None:
    """What a caller does to its buffer afterwards changes nothing."""
    buffer = bytearray(b"before")
    kv.put("k", buffer)
    kv.put_many({"m": memoryview(buffer)})
    buffer[:] = b"after."
    assert kv.get("k") == kv.get("m") == b"before"


def test_changed_bytes_are_found(kernel: Kernel, repo: Repo) -> None:
    """A value whose envelope does not hold is an error in every form of reading, never another value."""
    repo.create_instance("keyvalue", "checked", checksum="crc32")
    view = repo.root["checked"]
    view.put("k", b"value" * 10)
    ((key, stored),) = dump(kernel)
    kernel.stores["default"].raw_put(key, stored[:-1] + b"?")
    for read in (lambda: view.get("k"), lambda: view.get_many(["k"]), lambda: list(view.items())):
        with pytest.raises(CorruptData):
            read()
    assert view.keys() == ["k"]


# --- several ---------------------------------------------------------------------------------------------------------


def test_keys_are_sorted_by_their_bytes(kv: Any) -> None:
    """Not by length, not by letters."""
    keys = ["b", "a", "aa", "Z", "ñ", "z", "10", "9", "\x7f", "\U0001f9e0", "￿", " "]
    kv.put_many((key, key.encode()) for key in keys)
    ordered = sorted(keys, key=lambda key: key.encode())
    assert kv.keys() == ordered
    assert list(kv.items()) == [(key, key.encode()) for key in ordered]


def test_ranges_are_closed_and_need_no_existing_ends(kv: Any) -> None:
    """Every pair of bounds over a grid, by keys and by items; an inverted range is empty, an open end takes all."""
    keys = ["b", "bb", "d", "f"]
    kv.put_many((key, b"=" + key.encode()) for key in keys)
    bounds = [None, "a", "b", "ba", "bb", "c", "d", "d!", "e", "f", "g"]
    for first in bounds:
        for last in bounds:
            wanted = [key for key in keys if (first is None or first <= key) and (last is None or key <= last)]
            assert kv.key_range(first, last) == wanted
            assert list(kv.items(first, last)) == [(key, b"=" + key.encode()) for key in wanted]


def test_put_many_is_all_or_nothing(kernel: Kernel, kv: Any) -> None:
    """A pair that cannot be written keeps the others from being written; of several for one key the last holds."""
    kv.put("a", b"old")
    before = dump(kernel)
    with pytest.raises(BadKey):
        kv.put_many([("a", b"new"), ("b", b"new"), ("bad/key", b"")])
    assert dump(kernel) == before
    kv.put_many([("a", b"1"), ("b", b"2"), ("a", b"3")])
    assert dict(kv.items()) == {"a": b"3", "b": b"2"}
    kv.put_many([])
    kv.put_many({})
    assert kv.get_many([]) == []


def test_get_many_is_in_order_and_of_one_instant(kv: Any) -> None:
    """Repeated and absent keys included; while somebody rewrites all of them, never a mixture."""
    keys = [f"k{n}" for n in range(30)]
    kv.put_many(dict.fromkeys(keys, b"0"))
    assert kv.get_many(["k3", "nope", "k3"]) == [b"0", None, b"0"]
    stop = threading.Event()

    def write() -> None:
        for n in range(10_000):
            if stop.is_set():
                return
            kv.put_many(dict.fromkeys(keys, b"%d" % n))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(100):
            assert len(set(kv.get_many(keys))) == 1
            assert len({value for _, value in kv.items()}) == 1
    finally:
        stop.set()
        thread.join()


# --- versions --------------------------------------------------------------------------------------------------------


def test_versions_see_their_ancestors(repo: Repo) -> None:
    """A child sees and overrides its parent's values, a delete hides them there and below, siblings do not meet."""
    root = repo.root
    root["kv"].put_many({"a": b"a0", "b": b"b0"})
    root.commit()
    child, side = root.new_version(), root.make_branch("side")
    child["kv"].put("a", b"a1")
    child["kv"].delete("b")
    side["kv"].put("c", b"c1")
    assert dict(root["kv"].items()) == {"a": b"a0", "b": b"b0"}
    assert dict(child["kv"].items()) == {"a": b"a1"}
    assert dict(side["kv"].items()) == {"a": b"a0", "b": b"b0", "c": b"c1"}
    child["kv"].put("b", b"again")
    assert child["kv"].get("b") == b"again"
    child["kv"].delete("never there")
    assert not child["kv"].exists("never there")


def test_a_committed_version_refuses_writes(kernel: Kernel, repo: Repo) -> None:
    """Put, delete and batches say ``VersionLocked`` and change nothing; reading goes on."""
    kv = repo.root["kv"]
    kv.put("a", b"1")
    repo.root.commit()
    before = dump(kernel)
    for act in (lambda: kv.put("a", b"2"), lambda: kv.delete("a"), lambda: kv.put_many({"b": b""})):
        with pytest.raises(VersionLocked):
            act()
    assert dump(kernel) == before
    assert kv.get("a") == b"1"


def test_a_merge_joins_what_is_disjoint_and_names_what_is_not(repo: Repo) -> None:
    """Values of both sides are seen; a key written on both is a conflict until it is written again, others are read."""
    repo.root["kv"].put_many({"base": b"0", "gone": b"0"})
    repo.root.commit()
    left, right = repo.root.new_version(), repo.root.make_branch("right")
    left["kv"].put_many({"left": b"l", "both": b"l"})
    right["kv"].put_many({"right": b"r", "both": b"r"})
    right["kv"].delete("gone")
    left.commit()
    right.commit()
    merged = repo.merge([left, right])["kv"]
    assert merged.get_many(["base", "left", "right", "gone"]) == [b"0", b"l", b"r", None]
    for read in (
        lambda: merged.get("both"),
        lambda: merged.exists("both"),
        lambda: merged.get_many(["both", "left"]),
        lambda: merged.keys(),
        lambda: list(merged.items()),
    ):
        with pytest.raises(VersionConflict) as caught:
            read()
        assert [decode_key(conflict.tkey) for conflict in caught.value.conflicts] == ["both"]
    found: list[Conflict] = []
    assert merged.get_many(["both", "left"], conflicts=found) == [None, b"l"]
    assert [key for key, _ in merged.items(conflicts=found)] == ["base", "left", "right"]
    assert [decode_key(conflict.tkey) for conflict in found] == ["both", "both"]
    merged.put("both", b"decided")
    assert dict(merged.items()) == {"base": b"0", "left": b"l", "right": b"r", "both": b"decided"}


def test_an_unversioned_instance_has_one_state(repo: Repo) -> None:
    """Seen and written from every version, committed ones too; a delete leaves no trace."""
    repo.create_instance("keyvalue", "flat", versioned="0")
    repo.root["flat"].put("a", b"1")
    repo.root.commit()
    child = repo.root.new_version()
    child["flat"].put("b", b"2")
    repo.root["flat"].delete("a")
    assert dict(repo.root["flat"].items()) == dict(child["flat"].items()) == {"b": b"2"}


def test_versions_survive_reopening(tmp_path: Path) -> None:
    """Everything is there after closing and opening, settings too."""
    path = str(tmp_path / "store")
    with dvidkit.open(path) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("keyvalue", "kv", compression="gzip", gzip_level=9)
        repo.root["kv"].put_many({"a": b"a0", "b": b""})
        repo.root.commit()
        child = repo.root.new_version()
        child["kv"].delete("a")
        child["kv"].put("c", bytes(100_000))
    with dvidkit.open(path, create=False) as kernel:
        repo = next(iter(kernel.repos))
        assert repo.instance("kv").settings.gzip_level == 9
        assert dict(repo.root["kv"].items()) == {"a": b"a0", "b": b""}
        assert dict(repo.head()["kv"].items()) == {"b": b"", "c": bytes(100_000)}


def test_instances_do_not_meet(repo: Repo) -> None:
    """Two instances of a repo hold the same keys apart."""
    repo.create_instance("keyvalue", "other")
    repo.root["kv"].put("a", b"1")
    repo.root["other"].put("a", b"2")
    repo.root["other"].delete("b")
    assert (repo.root["kv"].get("a"), repo.root["other"].get("a")) == (b"1", b"2")


def test_bad_settings_are_refused(repo: Repo) -> None:
    """Unknown settings, unknown values, and JPEG, which is for images, are named; no instance is made."""
    for setting, value in (
        ("Compression", "zip"),
        ("Compression", "jpeg"),
        ("Compression", "gzip:10"),
        ("Checksum", "md5"),
        ("BlockSize", "32,32,32"),
        ("Versioned", "perhaps"),
    ):
        with pytest.raises(BadConfig):
            repo.create_instance("keyvalue", "bad", None, **{setting: value})
    assert "bad" not in repo.instances


def test_changes_are_logged(kernel: Kernel, repo: Repo) -> None:
    """Each change is one record in DVID's words, with who made it; what is refused is not logged."""
    from dvidkit.mutationlog import MutationLog

    kv = repo.root["kv"]
    kv.put("a", b"12345", user="ada", app="test")
    kv.put_many({"b": b"1", "c": b"22"})
    kv.delete("a")
    with pytest.raises(BadKey):
        kv.put("a/b", b"")
    log = MutationLog(kernel.stores["default"])
    records = [record.to_json() for record in log.of(repo.instance("kv").id, repo.root.id)]
    for record in records:
        record.pop("Timestamp")
    uuid = repo.root.uuid
    assert records == [
        {"Action": "postkv", "Key": "a", "Bytes": 5, "UUID": uuid, "User": "ada", "App": "test"},
        {"Action": "postkvs", "Keys": ["b", "c"], "Bytes": [1, 2], "UUID": uuid},
        {"Action": "delete", "Key": "a", "UUID": uuid},
    ]


# --- against the model ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_programs_agree_with_the_model(kernel: Kernel, seed: int) -> None:
    """Random operations on branches and merges, refused ones among them: every version is what the model says."""
    case, rng = KeyValueCase(), random.Random(seed)
    settings = case.settings[seed % len(case.settings)]
    repo = kernel.repos.create("r")
    repo.create_instance(case.typename, "x", **settings)

    base = case.model(settings)
    agree(case, repo.root["x"], base, rng, 15)
    if not repo.instance("x").versioned:
        return
    repo.root.commit()
    left, right = repo.root.new_version(), repo.root.make_branch("right")
    models = base.fork(), base.fork()
    agree(case, left["x"], models[0], rng, 10)
    agree(case, right["x"], models[1], rng, 10 * (seed % 2))
    assert case.observe(repo.root["x"]) == base.observe()
    left.commit()
    right.commit()
    merged = models[0].merge(base, models[1])
    view = repo.merge([left, right])["x"]
    if merged is None:
        with pytest.raises(VersionConflict):
            case.observe(view)
    else:
        assert case.observe(view) == merged.observe()
        agree(case, view, merged, rng, 10)
