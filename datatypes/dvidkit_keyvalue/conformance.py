"""What the conformance kit proves of ``keyvalue``.

PYTEST_DONT_REWRITE: where dvidkit is installed as a wheel, pytest would else tell for minutes how two volumes differ.
"""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, cast
from urllib.parse import quote

import msgspec
from dvidkit_conformance.calling import body_of, call
from dvidkit_conformance.case import DatatypeCase, Model, Op, Refused

from dvidkit.errors import InvalidInputError
from dvidkit_keyvalue.messages import read_keyvalues

_KEYS: Final = ("a", "aa", "ab", "b", "b\x01", "Z", "~", "ñ", "\U0001f9e0", "k" * 100, "10", "9")
_BAD_KEYS: Final = {"": "BadKey", "a/b": "BadKey", "a\0": "BadKey", "x" * (1 << 21): "LimitError"}
_SIZES: Final = (0, 1, 2, 15, 300, 5000)

Seed = list[int]


def _is_refused(view: Any, method: str, url: str, body: bytes = b"") -> bool:
    try:
        body_of(call(view, method, url, body))
    except InvalidInputError:
        return True
    return False


class KeyValueCase(DatatypeCase):
    """Puts, batches and deletes of few keys, seen by single reads, batches and ranges."""

    typename: ClassVar[str] = "keyvalue"
    proves: ClassVar[tuple[str, ...]] = ("DT-KV-1", "DT-KV-2", "DT-KV-3", "DT-KV-4", "DT-KV-5", "DT-KV-6")
    answers: ClassVar[Mapping[str, tuple[str, ...]]] = {"range": ("DT-KV-2",), "get": ("DT-KV-6",)}
    envelopes: ClassVar[tuple[int, ...]] = (177,)
    settings: ClassVar[Sequence[Mapping[str, Any]]] = (
        {},
        {"compression": "gzip", "checksum": "crc32"},
        {"compression": "none", "checksum": "crc32"},
        {"versioned": False},
    )

    def op(self, rng: random.Random) -> Op:
        """Put, put several (keys may repeat), delete, or read; mostly of four keys, so that operations meet."""
        kind = rng.choice(("put", "put", "put_many", "delete", "get", "range"))
        if kind == "put":
            return {"op": "put", "key": _key(rng), "value": _value(rng)}
        if kind == "put_many":
            count = rng.choice((0, 1, 2, 5))
            return {"op": "put_many", "pairs": [[_key(rng), _value(rng)] for _ in range(count)]}
        if kind == "range":
            return {"op": "range", "first": _key(rng), "last": _key(rng)}
        return {"op": kind, "key": _key(rng)}

    def refused(self, rng: random.Random) -> Op | None:
        """A key that cannot be one, alone or at the end of a batch."""
        bad = rng.choice(list(_BAD_KEYS))
        return rng.choice(
            (
                {"op": "put", "key": bad, "value": _value(rng)},
                {"op": "put_many", "pairs": [[rng.choice(_KEYS), _value(rng)], [bad, _value(rng)]]},
                {"op": "delete", "key": bad},
                {"op": "get", "key": bad},
            )
        )

    def apply(self, view: Any, op: Op) -> Any:
        """See ``DatatypeCase.apply``."""
        if op["op"] == "put":
            view.put(op["key"], _bytes(op["value"]))
        elif op["op"] == "put_many":
            view.put_many([(key, _bytes(value)) for key, value in op["pairs"]])
        elif op["op"] == "delete":
            view.delete(op["key"])
        elif op["op"] == "get":
            return _shown(view.get(op["key"]))
        else:
            return view.key_range(op["first"], op["last"])
        return None

    def observe(self, view: Any) -> Any:
        """Every key with its value, by range; each compared with single reads, batches and existence."""
        pairs = list(view.items())
        keys = [key for key, _ in pairs]
        assert view.keys() == keys, "DT-KV-1: keys and items differ"
        for first, last in ((0, -1), (0, 0), (len(keys) // 2, -1)) if keys else ():
            asked = view.key_range(keys[first], keys[last])
            assert asked == keys[first : keys.index(keys[last]) + 1], "DT-KV-2: both ends are in the range"
        assert [view.exists(key) for key in _KEYS] == [view.get(key) is not None for key in _KEYS], "DT-KV-6: exists"
        assert view.get_many(_KEYS) == [view.get(key) for key in _KEYS], "DT-KV-3: get_many and get differ"
        assert {key: value for key, value in pairs if key in _KEYS} == dict(pairs), "a key that nobody wrote"
        assert view.get_many(keys) == [value for _, value in pairs], "DT-KV-3: get_many and items differ"
        self._check_bulk(view, pairs)
        for key, value in pairs[:3]:
            self._check_parts(view, key, value)
        return [[key, _shown(value)] for key, value in pairs]

    def glance(self, view: Any) -> Any:
        """See ``DatatypeCase.glance``: the range of all keys, and each by itself."""
        pairs = list(view.items())
        assert {key: value for key in _KEYS if (value := view.get(key)) is not None} == dict(pairs), (
            "get and items differ"
        )
        return [[key, _shown(value)] for key, value in pairs]

    @staticmethod
    def _check_bulk(view: Any, pairs: list[tuple[str, bytes]]) -> None:
        """The endpoints of several values, in each of their formats, by range and by names."""
        path = f"keyrangevalues/{quote(min(_KEYS))}/{quote(max(_KEYS))}"
        text = b",".join(msgspec.json.encode(key) + b":" + (value or b"{}") for key, value in pairs)
        asked = msgspec.json.encode([key for key, _ in pairs])
        for method, url, body in (("GET", path, b""), ("GET", "keyvalues", asked), ("POST", "keyvalues/query", asked)):
            found = body_of(call(view, method, f"{url}?json=true&check=false", body))
            assert found == b"{" + text + b"}", f"DT-KV-3: JSON of {url} and items differ"
            packed = body_of(call(view, method, f"{url}?tar=true", body))
            with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
                members = [(member.name, cast(Any, tar).extractfile(member).read()) for member in tar]
            assert members == pairs, f"DT-KV-3: tar of {url} and items differ"
        assert read_keyvalues(body_of(call(view, "GET", path))) == pairs, "DT-KV-3: protobuf and items differ"

    @staticmethod
    def _check_parts(view: Any, key: str, value: bytes) -> None:
        """Byte ranges of a value: strict by query, clamped by header."""
        url, size = f"key/{quote(key, safe='')}", len(value)
        assert body_of(call(view, "GET", url)) == value, "DT-KV-3: the key's own endpoint"
        for first, last in ((0, 0), (1, 3), (size // 2, size + 9), (0, size - 1)):
            inside = 0 <= first <= last < size
            try:
                part = body_of(call(view, "GET", f"{url}?byte_start={first}&byte_end={last}"))
            except InvalidInputError:
                assert not inside, f"DT-KV-4: bytes {first} to {last} of {size} are refused"
            else:
                assert inside, f"DT-KV-4: bytes {first} to {last} of {size} are sent"
                assert part == value[first : last + 1], "DT-KV-4: bytes asked for in the query"
            answer = call(view, "GET", url, range=f"bytes={first}-{max(last, 0)}")
            assert answer.status == (206 if first < size else 416), "DT-KV-4: status"
            right = answer.status == 416 or body_of(answer) == value[first : max(last, 0) + 1]
            assert right, "DT-KV-4: bytes asked for in the header"
        for spec, wanted in (("-3", value[-3:]), ("1-", value[1:]), (f"-{size + 9}", value)):
            answer = call(view, "GET", url, range=f"bytes={spec}")
            assert answer.status == (206 if wanted else 416), f"DT-KV-4: status of bytes={spec}"
            assert not wanted or body_of(answer) == wanted, f"DT-KV-4: bytes={spec}"
        for query in (f"byte_start={1 << 64}&byte_end={1 << 64}", f"byte_start=0&byte_end={1 << 64}", "byte_start=0"):
            assert _is_refused(view, "GET", f"{url}?{query}"), f"DT-KV-4: {query}"
        half: dict[str, Any] = {"key": key, "byte_start": 0}
        assert _is_refused(view, "POST", "keyvalues/query?json=true", msgspec.json.encode([half])), (
            "DT-KV-4: half a part"
        )
        if size > 2:
            asked = msgspec.json.encode([{**half, "byte_end": 1}, key])
            found = body_of(call(view, "POST", "keyvalues/query?tar=true", asked))
            with tarfile.open(fileobj=io.BytesIO(found)) as tar:
                parts = [cast(Any, tar).extractfile(member).read() for member in tar]
            assert parts == [value[:2], value], "DT-KV-4: parts of several values"

    def model(self, settings: Mapping[str, Any]) -> Model:
        """See ``DatatypeCase.model``."""
        return _KeyValueModel()


def _key(rng: random.Random) -> str:
    return rng.choice(_KEYS[:4] if rng.random() < 0.7 else _KEYS)


def _value(rng: random.Random) -> Seed:
    """Size, and a seed: an even one for bytes that compress, an odd one for bytes that do not."""
    return [rng.choice(_SIZES), rng.randrange(1 << 16)]


def _bytes(seed: Seed) -> bytes:
    size, number = seed
    return random.Random(number).randbytes(size) if number % 2 else bytes([number % 256]) * size


def _shown(value: bytes | None) -> str | None:
    """A value in few characters."""
    return None if value is None else f"{len(value)} {hashlib.blake2b(value, digest_size=8).hexdigest()}"


class _KeyValueModel(Model):
    """A dictionary, and which keys were touched in which change."""

    merges: ClassVar[bool] = True

    def __init__(self) -> None:
        self.values: dict[str, Seed] = {}
        self.touched: dict[str, int] = {}
        self.changes = 0

    def apply(self, op: Op) -> Any:
        """See ``Model.apply``."""
        keys = [pair[0] for pair in op["pairs"]] if "pairs" in op else [op["key"]] if "key" in op else []
        for key in keys:
            if key in _BAD_KEYS:
                raise Refused(_BAD_KEYS[key])
        if op["op"] == "get":
            return _shown(_bytes(self.values[op["key"]])) if op["key"] in self.values else None
        if op["op"] == "range":
            return [key for key in self._ordered() if op["first"] <= key <= op["last"]]
        self.changes += 1
        for key in keys:
            self.touched[key] = self.changes
        if op["op"] == "delete":
            self.values.pop(op["key"], None)
        elif op["op"] == "put":
            self.values[op["key"]] = op["value"]
        else:
            self.values.update(op["pairs"])
        return None

    def _ordered(self) -> list[str]:
        return sorted(self.values, key=lambda key: key.encode())

    def observe(self) -> Any:
        """See ``Model.observe``."""
        return [[key, _shown(_bytes(self.values[key]))] for key in self._ordered()]

    def merge(self, base: Model, other: Model) -> Model | None:
        """Each key is as the side has it that touched it; a conflict if both did and both have a value."""
        assert isinstance(base, _KeyValueModel)
        assert isinstance(other, _KeyValueModel)
        merged = self.fork()
        assert isinstance(merged, _KeyValueModel)
        for key, change in other.touched.items():
            if change == base.touched.get(key):
                continue
            both = self.touched.get(key) != base.touched.get(key)
            if both and key in self.values and key in other.values:
                return None
            if key in other.values:
                merged.values[key] = other.values[key]
            elif not both:
                merged.values.pop(key, None)
            merged.changes += 1
            merged.touched[key] = merged.changes + other.changes
        merged.changes += other.changes + 1
        return merged
