"""What is published: from a record of the mutation log to a topic and a message.

====================================================================  ==============================================
topic                                                                 messages
====================================================================  ==============================================
``<prefix>dvidrepo-<root UUID>-repo-ops``                             changes of the repo itself
``<prefix>dvidrepo-<root UUID>-data-<data UUID>[-<suffix>]``          changes of one data instance
====================================================================  ==============================================

A message's key is the time of the change in nanoseconds since 1970, in digits; its value the JSON object that
``MutationRecord.to_json`` makes, at most 980 KiB long. Of a longer one the largest fields are left out, and ``DataRef``
refers to a blob that holds all of it.

Source: DVID ``storage/kafka.go``, ``datastore.LogRepoOpToKafka``, ``Data.PublishKafkaMsg``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from dvidkit.mutationlog import MutationRecord

MESSAGE_BYTES: Final = 980 * 1024
"""The longest message (DVID ``KafkaMaxMessageSize``)."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is published."""

    topic: str
    key: str
    value: bytes


def topic_of(record: MutationRecord, prefix: str, suffixes: Mapping[str, str]) -> str:
    """The topic of a change."""
    base = f"{prefix}dvidrepo-{record.repo}"
    if not record.instance:
        return f"{base}-repo-ops"
    suffix = suffixes.get(record.instance, "")
    return f"{base}-data-{record.instance}" + (f"-{suffix}" if suffix else "")


def key_of(record: MutationRecord) -> str:
    """The key of a change: always the same one, so that a repetition can be told."""
    return str(nanoseconds(record.time))


def nanoseconds(time: str) -> int:
    """Nanoseconds since 1970 of a time in the form of the log."""
    since = datetime.fromisoformat(time) - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def value_of(record: MutationRecord, put_blob: Callable[[bytes], str]) -> bytes:
    """The JSON of a change, keys in order as Go writes them; what is too long goes into a blob."""
    document = record.to_json()
    value = encode(document)
    if len(value) <= MESSAGE_BYTES:
        return value
    document["DataRef"] = put_blob(value)
    for name in sorted(record.fields, key=lambda name: len(encode(record.fields[name])), reverse=True):
        del document[name]
        value = encode(document)
        if len(value) <= MESSAGE_BYTES:
            break
    return value


def encode(value: Any) -> bytes:
    """JSON with keys in order."""
    return msgspec.json.encode(value, order="sorted")
