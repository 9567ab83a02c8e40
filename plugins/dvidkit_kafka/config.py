"""The settings of ``[kafka]``: DVID's, and what librdkafka itself takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dvidkit.errors import BadConfig, shown
from dvidkit_kafka.messages import MESSAGE_BYTES

_TOPIC_PART: Final = re.compile(r"[a-zA-Z0-9._-]*")
_LONGEST_PART: Final = 100
_OURS: Final = {
    "acks": "all",
    "max.in.flight.requests.per.connection": 1,
    "message.max.bytes": MESSAGE_BYTES + 40_000,
}
"""What order and safety rest on: an answer for every message, one request at a time."""

_ALIASES: Final = {
    "request.required.acks": "acks",
    "max.in.flight": "max.in.flight.requests.per.connection",
}


class KafkaConfig(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What ``[kafka]`` may hold, under DVID's names.

    Attributes:
        servers: ``host:port`` of brokers to begin with.
        topic_prefix: stands before the name of every topic of mutations.
        topic_suffixes: ``<data UUID>:<suffix>``; the suffix ends the name of that instance's topic.
        topic_activity: name of the topic of answered requests; ``dvidactivity-<host>`` unless given.
        activity: whether answered requests are published; ours.
        buffer_size: messages that may wait to be sent.
        sec_protocol, sasl_mechanisms, sasl_username, sasl_password: as in DVID's sample configuration, where DVID's
            program does not read them.
        options: any other settings of librdkafka by their own names; ours.
        host: of the service, for the name of the topic of activity; ``dvidkit serve`` fills it in.

    Source: DVID ``storage/kafka.go`` (``KafkaConfig``).
    """

    servers: list[str]
    topic_prefix: str = ""
    topic_suffixes: list[str] = []
    topic_activity: str = ""
    activity: bool = True
    buffer_size: int = 100_000
    sec_protocol: str = ""
    sasl_mechanisms: str = ""
    sasl_username: str = ""
    sasl_password: str = ""
    options: dict[str, str | int | float | bool] = {}
    host: str = "localhost"

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> KafkaConfig:
        """From a section of a configuration.

        Raises:
            BadConfig: unknown, of the wrong type, or no part of a topic's name.
        """
        try:
            config = msgspec.convert(dict(settings), cls)
        except msgspec.ValidationError as error:
            raise BadConfig(f"[kafka]: {error}", setting="kafka") from None
        if not config.servers:
            raise BadConfig("[kafka] needs servers", setting="kafka.servers")
        for part in (config.topic_prefix, config.topic_activity, *config.suffixes.values()):
            if not _TOPIC_PART.fullmatch(part) or len(part) > _LONGEST_PART:
                raise BadConfig(
                    f"a part of a topic's name is {_LONGEST_PART} letters, digits, '.', '_' and '-' at most, not "
                    f"{shown(part)}",
                    setting="kafka",
                )
        for name in config.options:
            if _ALIASES.get(name, name) in _OURS:
                raise BadConfig(f"[kafka.options] {name} is not free: delivery rests on it", setting=f"kafka.{name}")
        return config

    @property
    def suffixes(self) -> dict[str, str]:
        """Suffixes by data UUID.

        Raises:
            BadConfig: not ``<data UUID>:<suffix>``.
        """
        found: dict[str, str] = {}
        for text in self.topic_suffixes:
            uuid, colon, suffix = text.partition(":")
            if not colon or not suffix or ":" in suffix:
                raise BadConfig(
                    f"[kafka] topicSuffixes: {shown(text)} is not '<data UUID>:<suffix>'", setting="kafka.topicSuffixes"
                )
            found[uuid] = suffix
        return found

    @property
    def activity_topic(self) -> str:
        """The name of the topic of activity; what no topic may be called by becomes ``-``."""
        return re.sub(r"[^a-zA-Z0-9._-]+", "-", self.topic_activity or f"dvidactivity-{self.host}")

    def producer(self) -> dict[str, Any]:
        """Settings of librdkafka for the producer of mutations."""
        return {
            "bootstrap.servers": ",".join(self.servers),
            "client.id": "dvidkit",
            "queue.buffering.max.messages": self.buffer_size,
            "queue.buffering.max.kbytes": 1 << 16,
            "linger.ms": 5,
            "retry.backoff.ms": 100,
            "message.timeout.ms": 60_000,
            **self._security(),
            **self.options,
            **_OURS,
        }

    def activity_producer(self) -> dict[str, Any]:
        """Settings of librdkafka for the producer of activity, which may be lost."""
        quick = {"acks": 1, "message.timeout.ms": 10_000, "queue.buffering.max.messages": 10_000}
        return {**self.producer(), **quick}

    def _security(self) -> dict[str, str]:
        named = {
            "security.protocol": self.sec_protocol,
            "sasl.mechanisms": self.sasl_mechanisms,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password,
        }
        return {name: value for name, value in named.items() if value}
