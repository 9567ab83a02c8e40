"""Entry point of the ``kafka`` plugin: it takes the section ``[kafka]`` of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dvidkit.errors import MissingExtra
from dvidkit.hookspecs import hookimpl


@hookimpl
def dvidkit_configured(section: str, settings: Mapping[str, Any]) -> object | None:
    """Offer a publisher for the section ``kafka``."""
    if section != "kafka":
        return None
    from dvidkit_kafka.config import KafkaConfig

    config = KafkaConfig.parse(settings)
    try:
        from dvidkit_kafka.publisher import Publisher
    except ImportError as error:
        raise MissingExtra(
            "publishing to Kafka needs confluent-kafka: pip install 'dvidkit[kafka]'",
            plugin="kafka",
            install="pip install 'dvidkit[kafka]'",
        ) from error
    return Publisher(config)
