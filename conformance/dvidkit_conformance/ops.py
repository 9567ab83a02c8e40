"""The one algebra of operations: programs as JSON, independent of any engine, that can be replayed and pasted.

A program is a list of operations for one kind of session:

* ``bytes``: calls of a ``ByteStore`` (``write``, ``get``, ``scan``, snapshots, iterators, the optional protocols);
* ``store``: calls of a ``Store`` at contexts ``(instance ``i``, version ``v``)``; ``version`` adds to the DAG;
* ``datatype``: a datatype's own operations on instances of a repo, with commits, branches, merges;
* ``kernel``: a repo's own operations: commits, children, branches, merges, references, instances.

Every operation that reads is compared with the model, so a program needs no expected values.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any, Final

from dvidkit_conformance.results import show

FORMAT: Final = "dvidkit-program/1"
Op = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Program:
    """Operations for one kind of session.

    Attributes:
        kind: ``bytes``, ``store``, ``datatype`` or ``kernel``.
        ops: the operations, in order.
        options: what the session was opened with (``integrity``, ``typename`` …).
    """

    kind: str
    ops: tuple[Op, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def with_ops(self, ops: list[Op]) -> Program:
        """The same program with other operations."""
        return replace(self, ops=tuple(ops))

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "options": encode(dict(self.options)),
            "ops": [encode(op) for op in self.ops],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Program:
        """From JSON; ``ValueError`` if it is something else."""
        if data.get("format") != FORMAT:
            raise ValueError(f"not a program: its format is {data.get('format')!r}, not {FORMAT!r}")
        return cls(data["kind"], tuple(decode(op) for op in data["ops"]), decode(data.get("options", {})))

    def dumps(self) -> str:
        """JSON text, one operation a line."""
        data = self.to_json()
        ops = ",\n".join(f"  {json.dumps(op)}" for op in data.pop("ops"))
        return f'{json.dumps(data)[:-1]}, "ops": [\n{ops}\n]}}\n'

    def lines(self) -> list[str]:
        """One line for people per operation; the versions that begin a program are one line, its DAG."""
        nodes = list(takewhile(lambda op: op["op"] == "version", self.ops))
        rest = [line(op) for op in self.ops[len(nodes) :]]
        return [f"dag {', '.join(map(_node, nodes))}", *rest] if nodes else rest


def _node(op: Op) -> str:
    parents = "+".join(f"v{parent}" for parent in op["parents"])
    return f"v{op['v']}{' below ' + parents if parents else ''}"


def line(op: Op) -> str:
    """One operation as a person writes it: ``put v2 i1 key=b'a' value=b''``."""
    words = [str(op["op"])]
    for name, value in op.items():
        if name == "op":
            continue
        if name in ("v", "i", "at", "to") and not isinstance(value, str):
            words.append(f"{name}{value}" if value is not None else f"{name}=none")
        else:
            words.append(f"{name}={show(value)}")
    return " ".join(words)


def encode(value: Any) -> Any:
    """Bytes as ``{"b": text}``: printable ASCII as it is, others as backslash-x-NN; one byte repeated as ``times``."""
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value)
        if len(value) > 24 and value == value[:1] * len(value):
            return {"b": _text(value[:1]), "times": len(value)}
        if len(value) > 4096:
            return {"b64": b64encode(value).decode("ascii")}
        return {"b": _text(value)}
    if isinstance(value, Mapping):
        return {key: encode(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(each) for each in value]
    return value


def decode(value: Any) -> Any:
    """The reverse of ``encode``; sequences become lists."""
    if isinstance(value, Mapping):
        if set(value) == {"b"}:
            return _bytes(value["b"])
        if set(value) == {"b", "times"}:
            return _bytes(value["b"]) * value["times"]
        if set(value) == {"b64"}:
            return b64decode(value["b64"])
        return {key: decode(each) for key, each in value.items()}
    if isinstance(value, list):
        return [decode(each) for each in value]
    return value


def _text(value: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02x}" for byte in value)


def _bytes(text: str) -> bytes:
    out = bytearray()
    place = 0
    while place < len(text):
        if text[place] == "\\":
            out.append(int(text[place + 2 : place + 4], 16))
            place += 4
        else:
            out.append(ord(text[place]))
            place += 1
    return bytes(out)
