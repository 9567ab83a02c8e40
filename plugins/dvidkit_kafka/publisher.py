"""The publisher: sends every record of a kernel's logs, and says so only when brokers have it.

Records of a run are sent together; ``dvidkit_settle`` waits for the answers of the brokers. What could not be sent is
sent again, and with it everything behind it, so that the last copies of all are in order. What waits for an answer is
not sent twice by one process. After a crash, what was sent but not yet recorded as sent is sent again: consumers tell
it by the headers ``dvidkit-store`` and ``dvidkit-number``.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from dvidkit.errors import BadConfig, PluginError
from dvidkit.hookspecs import hookimpl
from dvidkit.mutationlog import MutationRecord
from dvidkit.store import Store
from dvidkit_kafka.config import KafkaConfig
from dvidkit_kafka.messages import key_of, topic_of, value_of

_LOG: Final = logging.getLogger("dvidkit.kafka.publisher")
_PATIENCE: Final = 2.0
"""Seconds to wait for brokers at a time; a kernel that is closed waits no longer than that."""

_CLOSING: Final = 1.0


class _Sent:
    """A message on its way."""

    __slots__ = ("arrived", "error")

    def __init__(self) -> None:
        self.arrived = False
        self.error: KafkaError | None = None

    def reported(self, error: KafkaError | None, message: object) -> None:
        """What became of it; called when the producer is polled."""
        self.error = error
        self.arrived = error is None


class Publisher:
    """A plugin of one kernel.

    Attributes:
        config: what it was made from.
        lost_activity: messages about answered requests that were dropped.

    Raises:
        BadConfig: librdkafka refuses a setting.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self.config = config
        self.lost_activity = 0
        self._suffixes = config.suffixes
        self._runs: dict[str, dict[int, _Sent]] = {}
        self._producer = _producer(config.producer())
        self._activity = _producer(config.activity_producer()) if config.activity else None
        self._activity_topic = config.activity_topic
        self._closing = threading.Event()

    # --- mutations ---------------------------------------------------------------------------------------------------

    @hookimpl
    def dvidkit_mutation(self, store: Store, record: MutationRecord) -> None:
        """Send a record, unless it is on its way."""
        run = self._runs.setdefault(store.record.uuid, {})
        if record.number in run:
            return
        sent = _Sent()
        self._send(
            topic=topic_of(record, self.config.topic_prefix, self._suffixes),
            key=key_of(record),
            value=value_of(record, store.put_blob),
            headers=[("dvidkit-store", store.record.uuid), ("dvidkit-number", str(record.number))],
            on_delivery=sent.reported,
        )
        run[record.number] = sent

    def _send(self, **message: Any) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._producer.produce(**message)
            except BufferError:
                if time.monotonic() > deadline or self._closing.is_set():
                    raise _failure("too much waits for the brokers") from None
                self._producer.poll(0.1)
            except KafkaException as error:
                raise _failure(str(error)) from error
            else:
                return

    @hookimpl
    def dvidkit_settle(self, store: Store) -> None:
        """Wait until brokers have everything that was sent for the store.

        Raises:
            PluginError: they do not, yet.
        """
        run = self._runs.get(store.record.uuid, {})
        deadline = time.monotonic() + _PATIENCE
        while self._waiting(run) and time.monotonic() < deadline and not self._closing.is_set():
            self._producer.poll(0.1)
        failed = [number for number, sent in run.items() if sent.error is not None]
        if failed:
            error = run[min(failed)].error
            for number in [number for number in run if number >= min(failed)]:
                del run[number]
            raise _failure(f"{len(failed)} messages were not taken: {error}")
        if self._waiting(run):
            raise _failure(f"{sum(1 for _ in self._waiting(run))} messages wait for an answer")
        run.clear()

    @staticmethod
    def _waiting(run: Mapping[int, _Sent]) -> list[int]:
        return [number for number, sent in run.items() if not (sent.arrived or sent.error)]

    # --- activity ----------------------------------------------------------------------------------------------------

    @hookimpl
    def dvidkit_activity(self, activity: Mapping[str, Any]) -> None:
        """Send what is known of an answered request, or drop it: nobody waits for it."""
        if self._activity is None:
            return
        self._activity.poll(0)
        try:
            self._activity.produce(self._activity_topic, json.dumps(activity), str(time.time_ns()))
        except (BufferError, KafkaException):
            self.lost_activity += 1

    # --- the end -----------------------------------------------------------------------------------------------------

    @hookimpl
    def dvidkit_closing(self) -> None:
        """Let go; what no broker has by now is sent by the next kernel."""
        self._closing.set()
        if self._activity is not None:
            self._activity.flush(_CLOSING)
            self._activity.purge()
        self._producer.purge()
        self._producer.flush(_CLOSING)


def _producer(settings: dict[str, Any]) -> Producer:
    try:
        return Producer(settings, logger=_LOG)
    except KafkaException as error:
        raise BadConfig(f"[kafka]: {error}", setting="kafka") from error


def _failure(what: str) -> PluginError:
    return PluginError(f"Kafka: {what}", plugin="kafka", distribution="dvidkit")
