"""From a configuration file, or from a few options, to everything that a server is started with."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from dvidkit.config import Document, Environment, beside, read
from dvidkit.engine import StoreConfig
from dvidkit.errors import BadConfig, shown
from dvidkit.http.dvidtoml import KEYS
from dvidkit.http.service import Limits, Mode, ServiceConfig
from dvidkit.kernel import DEFAULT_ENGINE

DEFAULT_ADDRESS: Final = "localhost:8000"
_ENGINES: Final = {"basholeveldb": "leveldb", "badger": DEFAULT_ENGINE, "filestore": "filesystem"}
"""What takes the place of DVID's engines."""

_STORE_KEYS: Final = ("engine", "path", "durability", "integrity")
_LOG_ENGINE: Final = "filelog"
_NO_COUNTERPART: Final = ("gbucket", "swift", "bigtable", "kvautobus", "ngprecomputed")
_DVID_OPTIONS: Final = frozenset(
    (
        *("testing", "readonly", "valuethreshold", "valuelogfilesize", "inmemory"),
        *("bloomfilterbitsperkey", "cachesize", "writebuffersize", "maxopenfiles", "blocksize"),
    )
)
"""Settings of DVID's engines, which mean nothing to ours."""

_FOREIGN: Final = {
    "KEYREGISTRY": "a Badger database",
    "MANIFEST": "a Badger database",
    "CURRENT": "a LevelDB database",
}
_UUID: Final = re.compile(r"[0-9a-f]{32}")


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


def from_stores(stores: Mapping[str, StoreConfig], environment: Environment | None = None) -> ServerConfig:
    """A server of stores, without a file."""
    environment = environment or Environment.of()
    service = ServiceConfig(admin_token=environment.admin_token, host=socket.gethostname())
    return ServerConfig(stores, service=service)


def from_file(path: str, environment: Environment | None = None) -> ServerConfig:
    """A server from DVID's TOML.

    Raises:
        BadConfig: something in the file is unknown, wrong or cannot be done here.
        OSError: it, or a file it names, cannot be read.
    """
    return _Translation(read(path, KEYS), environment or Environment.of()).config()


class _Translation:
    """One file on its way to a ``ServerConfig``."""

    def __init__(self, document: Document, environment: Environment) -> None:
        self._doc = document
        self._environment = environment
        self._notes = list(document.idle)

    def config(self) -> ServerConfig:
        get = self._doc.get
        stores, logs = self._stores()
        hooks = ((get("server", "startWebhook"), False), (get("server", "startJaneliaConfig"), True))
        return ServerConfig(
            stores,
            self._assignment(stores, logs),
            self._plugins(),
            self._service(),
            self._address(),
            self._log(),
            WebClient(
                get("server", "webClient", ""),
                get("server", "webRedirectPath", ""),
                get("server", "webDefaultFile", ""),
            ),
            get("server", "pidFile", ""),
            tuple((url, form) for url, form in hooks if url),
            float(get("server", "shutdownDelay", 5)),
            float(get("dvidkit", "keep_alive", 75)),
            get("dvidkit", "connections", 10_000),
            get("server", "instance_id_start", 0),
            get("server", "min_mutation_id_start", 0),
            tuple(self._notes),
        )

    def _address(self) -> str:
        address: str = self._doc.get("server", "httpAddress") or DEFAULT_ADDRESS
        try:
            address_of(address)
        except BadConfig as error:
            raise self._doc.fault(error.message, "server", "httpAddress") from None
        return address

    # --- stores ------------------------------------------------------------------------------------------------------

    def _stores(self) -> tuple[dict[str, StoreConfig], set[str]]:
        """The stores to open by alias, and the aliases of DVID's logs."""
        stores: dict[str, StoreConfig] = {}
        logs: set[str] = set()
        for alias, keys in self._doc.below("store").items():
            if keys.get("engine") == _LOG_ENGINE:
                logs.add(alias)
                self._notes.append(f"[store.{alias}] is not opened: the mutation log is always kept, beside the data")
            else:
                stores[alias] = self._store(alias, keys)
        if not stores:
            raise BadConfig(f"{self._doc.path}: a server needs a [store.<alias>]", setting="store")
        self._refuse_same_paths(stores)
        return stores, logs

    def _store(self, alias: str, keys: Mapping[str, Any]) -> StoreConfig:
        section = f"store.{alias}"
        if "engine" not in keys:
            raise self._doc.fault("a store needs an engine", section)
        name, path = str(keys["engine"]), str(keys.get("path", ""))
        if name in _NO_COUNTERPART:
            raise self._doc.fault(f"DVID's engine {name!r} has no counterpart in dvidkit", section, "engine")
        engine = _ENGINES.get(name, name)
        if engine != name:
            self._notes.append(f"[{section}] engine {name!r} is {engine!r} here")
        self._refuse_foreign(section, name, path)
        options = {
            key: value for key, value in keys.items() if key not in ("engine", "path", "durability", "integrity")
        }
        for key in [key for key in options if name in _ENGINES or name == "leveldb"]:
            if key.lower() in _DVID_OPTIONS:
                del options[key]
                self._notes.append(f"[{section}] {key}: a setting of DVID's engine {name!r}, not of {engine!r}")
        return StoreConfig(
            engine,
            path,
            durability=keys.get("durability", "durable"),
            integrity=keys.get("integrity", True),
            options=options,
        )

    def _refuse_foreign(self, section: str, engine: str, path: str) -> None:
        """Say clearly that a directory is DVID's, before an engine finds that it is not its own."""
        if not path or os.path.exists(os.path.join(path, "dvidkit.toml")):
            return
        for name, what in _FOREIGN.items():
            if os.path.exists(os.path.join(path, name)):
                raise self._doc.fault(
                    f"{path} holds {what} that DVID made with {engine!r}; dvidkit cannot read it. Give another path, "
                    "and copy the data over from the running DVID server",
                    section,
                    "path",
                )

    def _refuse_same_paths(self, stores: Mapping[str, StoreConfig]) -> None:
        paths: dict[str, str] = {}
        for alias, config in stores.items():
            real = os.path.realpath(config.path)
            if config.path and real in paths:
                raise self._doc.fault(f"{alias!r} and {paths[real]!r} have the same path", f"store.{alias}", "path")
            paths[real] = alias

    def _assignment(self, stores: Mapping[str, StoreConfig], logs: set[str]) -> dict[str, str]:
        rules: dict[str, str] = {}
        for spec, keys in self._doc.below("backend").items():
            section, alias = f"backend.{spec}", keys.get("store", "")
            log = keys.get("log")
            if log is not None and log not in logs and log not in stores:
                raise self._doc.fault(f"there is no [store.{log}]", section, "log")
            if not alias and log is None:
                raise self._doc.fault("a backend needs a store", section)
            if alias and alias not in stores:
                what = "is a log, not a store of data" if alias in logs else "is not configured"
                raise self._doc.fault(f"[store.{alias}] {what}", section, "store")
            if alias:
                rules[self._rule(spec)] = alias
        if "default" not in rules and "default" not in stores and len(stores) > 1:
            raise BadConfig(
                f"{self._doc.path}: there are {len(stores)} stores; say in [backend.default] which is for what has no "
                "store of its own",
                setting="backend.default",
            )
        return rules

    def _rule(self, spec: str) -> str:
        """A rule as ``Assignment`` has it: ``tag:value``, as DVID's sample writes it, is ``tag=value``."""
        spec = spec.strip('"')
        name, colon, rest = spec.rpartition(":")
        if colon and not _UUID.fullmatch(rest.lower()):
            self._notes.append(f"[backend.{spec!r}] is read as the tag {name!r} with the value {rest!r}")
            return f"{name}={rest}"
        if not colon and _UUID.fullmatch(spec.lower()):
            self._notes.append(f"[backend.{spec}]: a data instance stays in the store that it was made in")
        return spec

    # --- the service -------------------------------------------------------------------------------------------------

    def _service(self) -> ServiceConfig:
        get = self._doc.get
        mode: Mode = get("server", "rwmode") or "normal"
        secret = self._secret()
        return ServiceConfig(
            mode=mode,
            admin_token=self._from_file("admin_token_file") or self._environment.admin_token,
            jwt_secret=secret,
            public_read=get("dvidkit", "public_read", not secret),
            cors=_origins(get("server", "corsDomains")),
            note=get("server", "note", ""),
            host=get("server", "host") or socket.gethostname(),
            blocklist_file=get("server", "blockListFile", ""),
            limits=self._limits(),
            problem_json=get("dvidkit", "problem_json", False),
            interactive_before_block=get("server", "interactiveOpsBeforeBlock", 0),
            allow_timing=get("server", "allowTiming", False),
            config_text=self._doc.masked(),
            config_path=os.path.abspath(self._doc.path),
            trusted_proxies=tuple(get("auth", "trusted_proxies", ())),
        )

    def _secret(self) -> str:
        """The secret for tokens, if they are asked for."""
        enforce = self._doc.get("auth", "enforce") or ("token" if self._doc.get("auth", "proxy_address") else "none")
        secret = self._from_file("jwt_secret_file") or self._environment.jwt_secret
        if enforce in ("authfile", "dsg"):
            raise self._doc.fault(
                f"dvidkit cannot check what {enforce!r} asks for, and would be open to everybody; use 'token', or an "
                "authenticating proxy with 'none'",
                "auth",
                "enforce",
            )
        if enforce == "none":
            return ""
        if not secret:
            raise self._doc.fault(
                "tokens need a secret: [dvidkit] jwt_secret_file, or DVIDKIT_JWT_SECRET", "auth", "enforce"
            )
        return secret

    def _from_file(self, key: str) -> str:
        path = self._doc.get("dvidkit", key, "")
        return secret_from(path) if path else ""

    def _limits(self) -> Limits:
        given = self._doc.sections.get("dvidkit", {})
        named = {
            "max_body": "body",
            "max_box": "box",
            "max_memory": "memory",
            "headers_timeout": "headers_seconds",
            "body_timeout": "idle_seconds",
            "workers": "workers",
            "waiting": "waiting",
        }
        return replace(Limits(), **{ours: given[key] for key, ours in named.items() if key in given})

    def _log(self) -> LogConfig:
        get = self._doc.get
        access = get("dvidkit", "access_log", "")
        if access not in ("", "-"):
            access = beside(self._doc.path, access)
        return LogConfig(
            get("logging", "logfile", ""),
            get("logging", "max_log_size", 500),
            get("logging", "max_log_age", 0),
            get("dvidkit", "log_format", "text") == "json",
            get("dvidkit", "log_level", "info"),
            access,
        )

    # --- plugins -----------------------------------------------------------------------------------------------------

    def _plugins(self) -> dict[str, Mapping[str, Any]]:
        sections: dict[str, Mapping[str, Any]] = dict(self._doc.below("plugin"))
        kafka = dict(self._doc.sections.get("kafka", {}))
        if kafka.get("servers"):
            sections["kafka"] = {"host": self._server_name(), **kafka}
        elif kafka:
            self._notes.append("[kafka] has no servers, so nothing is published")
        return sections

    def _server_name(self) -> str:
        """As DVID has it: the configured name, or that of the machine with the address.

        Source: DVID ``server.WebServer``.
        """
        address = self._doc.get("server", "httpAddress", "")
        name: str = self._doc.get("server", "host", "")
        return name or socket.gethostname() + (f":{address}" if address else "")


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


def _origins(domains: list[str] | None) -> tuple[str, ...]:
    """Origins for ``ServiceConfig.cors``: a bare domain, as DVID's sample has it, is one of both schemes."""
    if domains is None:
        return ("*",)
    origins: list[str] = []
    for domain in domains:
        if domain == "*" or "://" in domain:
            origins.append(domain)
        elif domain and not set(domain) & set("/ "):
            origins += [f"http://{domain}", f"https://{domain}"]
        else:
            raise BadConfig(f"[server] corsDomains: {shown(domain)} is no domain", setting="server.corsDomains")
    return tuple(origins)
