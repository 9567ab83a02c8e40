"""Endpoints of the server itself: ``/api/server``, help, load, heartbeat, metrics."""

from __future__ import annotations

import os
import platform
import threading
import time
from typing import Any, ClassVar

import msgspec

import dvidkit
from dvidkit.endpoints import BINARY, JSON, TEXT, Query, Request, Response, endpoint, json_body, to_json
from dvidkit.http.api import Api
from dvidkit.http.helptext import datatype_help, help_page
from dvidkit.http.node import blob_response
from dvidkit.http.openapi import openapi_document
from dvidkit.http.status import HTTPError
from dvidkit.usage import storage_summary

DVID_VERSION = "v1.0.0"
"""What ``"DVID Version"`` says: clients parse it, and ask for what a DVID of this version has."""

_MAX_USERS = 1000
_DIGITS = 10


class Latency(msgspec.Struct, rename="pascal"):
    """What ``/api/user-latencies`` says of a user, in milliseconds."""

    user: str
    last_ping: str
    last_latency: int = 0
    min_latency: int = 0
    max_latency: int = 0


class ServerApi(Api):
    """The server as such."""

    title: ClassVar[str] = "Server"

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self._latencies: dict[str, Latency] = {}
        self._pings: dict[str, float] = {}

    # --- help --------------------------------------------------------------------------------------------------------

    @endpoint("GET", "api/help", returns="text/html; charset=utf-8")
    def help(self, request: Request) -> Response:
        """All endpoints and datatypes, as a page."""
        rows = [route.endpoint for route in self.app.routes.all]
        return Response(help_page(self.kernel.plugins.datatypes.values(), rows).encode(), "text/html; charset=utf-8")

    @endpoint("GET", "api/help/{typename}", returns=TEXT)
    def help_type(self, request: Request) -> Response:
        """What a datatype answers."""
        return Response(datatype_help(self.kernel.plugins.datatype(request.path["typename"])).encode(), TEXT)

    @endpoint("GET", "api/openapi.json", returns=JSON, query=(Query("version", "with the instances of this version"),))
    def openapi(self, request: Request) -> Response:
        """This API as an OpenAPI 3.1 document; with ``version`` the paths are those of its instances."""
        reference = request.query.get("version")
        version = self.kernel.repos.resolve(reference) if reference else None
        return Response(msgspec.json.encode(openapi_document(self.app, version)), JSON)

    # --- how it is ---------------------------------------------------------------------------------------------------

    @endpoint("GET", "api/heartbeat", returns=TEXT, query=(Query("u", "a user whose latency is kept"),))
    def heartbeat(self, request: Request) -> Response:
        """``OK``, while the server lives."""
        if request.user:
            self._ping(request.user)
        return Response(b"OK", TEXT)

    def _ping(self, user: str) -> None:
        now, before = time.monotonic(), self._pings.get(user)
        if len(self._pings) >= _MAX_USERS and before is None:
            return
        self._pings[user] = now
        entry = self._latencies.setdefault(user, Latency(user, ""))
        entry.last_ping = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if before is not None:
            entry.last_latency = int(1000 * (now - before))
            entry.min_latency = min(entry.min_latency or entry.last_latency, entry.last_latency)
            entry.max_latency = max(entry.max_latency, entry.last_latency)

    @endpoint("GET", "api/user-latencies", returns=JSON, query=(Query("u", "one user"),))
    def user_latencies(self, request: Request) -> Response:
        """Milliseconds between the heartbeats of users, by user."""
        if request.user:
            return to_json(self._latencies.get(request.user, Latency(request.user, "")))
        return to_json(self._latencies)

    @endpoint("GET", "api/load", returns=JSON)
    def load(self, request: Request) -> Response:
        """What the stores read and wrote per second since this was last asked, and what is running."""
        shown: dict[str, int] = {"file bytes read": 0, "file bytes written": 0}
        names = {
            "key bytes read": "key_bytes_read",
            "key bytes written": "key_bytes_written",
            "value bytes read": "value_bytes_read",
            "value bytes written": "value_bytes_written",
            "GET requests": "gets",
            "PUT requests": "puts",
        }
        rates = [store.monitor.per_second() for store in self.kernel.stores.values()]
        shown |= {label: round(sum(rate[name] for rate in rates)) for label, name in names.items()}
        workers = self.app.config.limits.workers
        shown["handlers active"] = round(100 * self.app.pool.active / workers)
        shown["goroutines"] = threading.active_count()
        shown["active CGo writes"] = 0
        shown["pending log messages"] = 0
        return to_json(shown)

    @endpoint("GET", "api/storage", returns=JSON, heavy=True, role="admin")
    def storage(self, request: Request) -> Response:
        """By store and instance: name, datatype, bytes where the engine knows them, and how many versions keys have."""
        return to_json(storage_summary(self.kernel))

    @endpoint("GET", "metrics", returns="text/plain; version=0.0.4; charset=utf-8")
    def metrics(self, request: Request) -> Response:
        """Counters for Prometheus."""
        text = self.app.metrics.text(self.kernel, self.app.pool.active)
        return Response(text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    # --- /api/server -------------------------------------------------------------------------------------------------

    @endpoint("GET", "api/server/info", returns=JSON)
    def info(self, request: Request) -> Response:
        """What the server is, as texts."""
        config = self.app.config
        backends = ", ".join(
            f"{alias}: {store.engine.name} {store.engine.version}"
            for alias, store in sorted(self.kernel.stores.items())
        )
        cores = str(os.cpu_count() or 1)
        shown = {
            "Cores": cores,
            "Maximum Cores": cores,
            "Datastore Version": dvidkit.__version__,
            "DVID Version": DVID_VERSION,
            "dvidkit Version": dvidkit.__version__,
            "Python Version": platform.python_version(),
            "Storage backend": backends,
            "Server time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
            "Server uptime": f"{time.time() - self.app.metrics.started:.0f}s",
            "RPC Address": "",
            "Host": config.host,
            "Note": config.note,
            "TOML location": config.config_path,
        }
        if config.mode != "normal":
            shown["Mode"] = "read only" if config.mode == "readonly" else "allow writes on committed nodes"
        return to_json(shown)

    @endpoint("GET", "api/server/note", returns=TEXT)
    def note(self, request: Request) -> Response:
        """The note of the server's configuration."""
        return Response(self.app.config.note.encode(), TEXT)

    @endpoint("GET", "api/server/config", returns=TEXT, role="admin")
    def config(self, request: Request) -> Response:
        """The server's configuration as it was read, without what is secret in it."""
        return Response(self.app.config.config_text.encode(), TEXT)

    @endpoint("GET", "api/server/types", returns=JSON)
    def types(self, request: Request) -> Response:
        """The datatypes in use: ``{name: url}``."""
        used = {instance.datatype for repo in self.kernel.repos for instance in list(repo.instances.values())}
        return to_json({each.typename: each.url for each in sorted(used, key=lambda each: each.typename)})

    @endpoint("GET", "api/server/compiled-types", returns=JSON)
    def compiled_types(self, request: Request) -> Response:
        """All datatypes there are: ``{name: url}``."""
        return to_json({name: each.url for name, each in self.kernel.plugins.datatypes.items()})

    @endpoint("GET", "api/server/groupcache", returns=JSON)
    def groupcache(self, request: Request) -> Response:
        """Always empty: there is no group cache."""
        return to_json({})

    @endpoint("GET", "api/server/blobstore/{reference}", returns=BINARY)
    def blob(self, request: Request) -> Response:
        """The bytes of a blob reference, of whichever store has them; 404 if none has."""
        reference = request.path["reference"]
        for store in self.kernel.stores.values():
            try:
                return blob_response(store.get_blob, reference)
            except HTTPError:
                continue
        raise HTTPError(404, f"no blob {reference}")

    @endpoint("GET", "api/server/token", returns=TEXT, query=(Query("user", "whose token"),), role="user")
    def token(self, request: Request) -> Response:
        """A token to be sent as ``Authorization: Bearer``: a new one for who has one, any user's for administrators.

        400 if it is not said whose, 403 for somebody else's.
        """
        user = request.query.get("user") or request.user
        if not user:
            raise HTTPError(400, "say whose token: user=<name>")
        if self.app.config.jwt_secret and user != request.user and not request.admin:
            raise HTTPError(403, "a token for somebody else needs the admin token")
        return Response(self.app.gatekeeper.issue(user).encode(), TEXT)

    @endpoint("POST", "api/server/settings", takes=JSON, returns=TEXT, role="admin")
    def settings(self, request: Request) -> Response:
        """Change ``throttle``, the number of throttled requests at once; DVID's ``gc`` is taken and has no effect."""
        document = json_body(request, dict[str, str | int])
        unknown = set(document) - {"throttle", "gc"}
        if unknown:
            raise HTTPError(400, f"unknown setting {min(unknown)!r}; there are 'throttle' and 'gc'")
        if "throttle" in document:
            text = str(document["throttle"])
            if not (text.isascii() and text.isdigit() and len(text) < _DIGITS and int(text) > 0):
                raise HTTPError(400, f"'throttle' must be a number of 1 or more, not {text!r}")
            self.app.pool.max_throttled = int(text)
        return Response(b"Settings changed.\n", TEXT)

    @endpoint("POST", "api/server/reload-metadata", returns=TEXT, role="admin")
    @endpoint("GET", "api/server/reload-metadata", returns=TEXT, role="admin", mutates=True)
    def reload_metadata(self, request: Request) -> Response:
        """Read the metadata again, after another process has changed it."""
        self.kernel.repos.reload()
        return Response(b"Reloaded metadata.\n", TEXT)

    @endpoint("POST", "api/server/reload-auth", returns=TEXT, role="admin")
    def reload_auth(self, request: Request) -> Response:
        """Nothing is kept that could be read again; for DVID's clients."""
        return Response(b"Reloaded.\n", TEXT)

    @endpoint("POST", "api/server/reload-blocklist", returns=TEXT, role="admin")
    def reload_blocklist(self, request: Request) -> Response:
        """Read the blocklist again."""
        self.app.reload_blocklist()
        return Response(b"Reloaded.\n", TEXT)
