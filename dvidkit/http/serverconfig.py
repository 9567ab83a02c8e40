"""What a server is started with."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dvidkit.config import Environment
from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig
from dvidkit.http.service import ServiceConfig

DEFAULT_ADDRESS: Final = "localhost:8000"


@dataclass(frozen=True, slots=True)
class LogConfig:
    """Where log lines go.

    Attributes:
        file: path; empty is standard error.
        megabytes: size after which a new file is begun.
        days: age after which old files are deleted; 0 is never.
        json: one JSON object per line.
        level: the least important lines that are logged.
        access: file for a line of JSON per request, ``-`` for standard error, empty for none.
    """

    file: str = ""
    megabytes: int = 500
    days: int = 0
    json: bool = False
    level: str = "info"
    access: str = ""


@dataclass(frozen=True, slots=True)
class WebClient:
    """Static files beside the endpoints.

    Attributes:
        directory: of the files; empty for none.
        redirect: path to which requests for missing files are sent.
        default: file that is served in place of missing ones.
    """

    directory: str = ""
    redirect: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """A server.

    Attributes:
        stores: by alias.
        assign: which store keeps what, see ``Assignment``.
        plugins: sections of the configuration that are plugins'.
        service: how requests are answered.
        address: ``host:port``.
        log: where log lines go.
        web: static files.
        pid_file: path; empty for none.
        webhooks: URLs told at the start, and whether as a form.
        shutdown_seconds: for requests and deliveries under way at the end.
        keep_alive: seconds between two requests of a connection.
        connections: at once.
        min_instance_id, min_mutation_id: the smallest that are handed out.
        notes: what a person should be told about the configuration, a line each.
    """

    stores: Mapping[str, StoreConfig]
    assign: Mapping[str, str] = field(default_factory=dict)
    plugins: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    service: ServiceConfig = field(default_factory=ServiceConfig)
    address: str = DEFAULT_ADDRESS
    log: LogConfig = field(default_factory=LogConfig)
    web: WebClient = field(default_factory=WebClient)
    pid_file: str = ""
    webhooks: tuple[tuple[str, bool], ...] = ()
    shutdown_seconds: float = 5.0
    keep_alive: float = 75.0
    connections: int = 10_000
    min_instance_id: int = 0
    min_mutation_id: int = 0
    notes: tuple[str, ...] = ()


def from_stores(
    stores: Mapping[str, StoreConfig], environment: Environment | None = None, *, address: str = DEFAULT_ADDRESS
) -> ServerConfig:
    """A server of stores, without a file."""
    environment = environment or Environment.of()
    service = ServiceConfig(admin_token=environment.admin_token, host=socket.gethostname())
    return ServerConfig(stores, service=service, address=address)


def address_of(text: str) -> tuple[str, int]:
    """Host and port of ``host:port``, ``:port`` or ``[v6]:port``; the empty host is every address.

    Raises:
        BadConfig: anything else.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise BadConfig(f"an address is 'host:port', not {text!r}", setting="httpAddress")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], int(port)
    if ":" in host:
        raise BadConfig(f"an IPv6 address needs brackets, as in '[::1]:8000', not {text!r}", setting="httpAddress")
    return host, int(port)


def secret_from(path: str) -> str:
    """The only line of a file that holds a secret.

    Raises:
        BadConfig: empty.
        OSError: it cannot be read.
    """
    secret = Path(path).read_text("utf-8").strip()
    if not secret or "\n" in secret:
        raise BadConfig(f"{path} must hold the secret in a single line", setting=path)
    return secret
