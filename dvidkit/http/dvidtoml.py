"""A server from DVID's TOML."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dvidkit.config import Document, Environment, beside, read
from dvidkit.errors import BadConfig, shown
from dvidkit.http.dvidkeys import KEYS
from dvidkit.http.dvidstores import StoreSections
from dvidkit.http.serverconfig import DEFAULT_ADDRESS, LogConfig, ServerConfig, WebClient, address_of, secret_from
from dvidkit.http.service import Limits, Mode, ServiceConfig


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
        sections = StoreSections(self._doc)
        self._notes += sections.notes
        hooks = ((get("server", "startWebhook"), False), (get("server", "startJaneliaConfig"), True))
        return ServerConfig(
            sections.stores,
            sections.assign,
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
        get = self._doc.get
        secrets = get("dvidkit", "jwt_secret_file", "") or self._environment.jwt_secret
        enforce = get("auth", "enforce") or ("token" if secrets or get("auth", "proxy_address") else "none")
        if enforce in ("authfile", "dsg"):
            raise self._doc.fault(
                f"dvidkit cannot check what {enforce!r} asks for, and would be open to everybody; use 'token', or an "
                "authenticating proxy with 'none'",
                "auth",
                "enforce",
            )
        if enforce == "none":
            self._without_tokens()
            return ""
        if not secrets:
            raise self._doc.fault(
                "tokens need a secret: [dvidkit] jwt_secret_file, or DVIDKIT_JWT_SECRET", "auth", "enforce"
            )
        return self._from_file("jwt_secret_file") or self._environment.jwt_secret

    def _without_tokens(self) -> None:
        """What only tokens could keep is refused: else who wrote it believes in a guard that is not there."""
        for key in ("jwt_secret_file", "public_read"):
            if self._doc.sections.get("dvidkit", {}).get(key, True) is not True:
                raise self._doc.fault(
                    "without tokens the service would be open to everybody: [auth] enforce = 'token'", "dvidkit", key
                )

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


def _origins(domains: list[str] | None) -> tuple[str, ...]:
    """Origins for ``ServiceConfig.cors``: a bare domain, as DVID's sample has it, is one of both schemes."""
    origins: list[str] = []
    for domain in domains or ():
        if domain == "*" or "://" in domain:
            origins.append(domain)
        elif domain and not set(domain) & set("/ "):
            origins += [f"http://{domain}", f"https://{domain}"]
        else:
            raise BadConfig(f"[server] corsDomains: {shown(domain)} is no domain", setting="server.corsDomains")
    return tuple(origins)
