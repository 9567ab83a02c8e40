"""How a service behaves: modes, rights, limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["normal", "readonly", "fullwrite"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take.

    Attributes:
        body: bytes of a request body that is read whole.
        box: bytes of voxels that one request may ask for.
        memory: bytes of bodies and boxes that all requests together may hold; beyond it requests wait.
        headers_seconds: to the end of the headers, in servers started by ``dvidkit serve``.
        idle_seconds: between two pieces of a body, and until memory for it is free.
        slowest: bytes per second of a body, on the whole; slower ones are broken off.
        workers: threads for what may block or compute for long.
        waiting: requests that may wait for a worker; more are answered 503.
    """

    body: int = 1 << 30
    box: int = 1 << 30
    memory: int = 4 << 30
    headers_seconds: float = 10.0
    idle_seconds: float = 30.0
    slowest: float = 1000.0
    workers: int = 8
    waiting: int = 256

    def bound(self, view: Any) -> Any:
        """The same object of a datatype, which takes no more bytes of voxels at once than ``box`` if it counts them."""
        if getattr(view, "budget", 0) > self.box:
            view.budget = self.box
        return view


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """A service.

    Attributes:
        mode: ``readonly`` refuses every change, ``fullwrite`` lets committed versions be written.
        admin_token: makes a request an administrator's, as ``Authorization: Bearer`` (or ``Token``), as
            ``X-DVID-Admin-Token``, or as DVID's ``admintoken`` in the query; where there is none, everybody may do what
            DVID asks a token for.
        jwt_secret: 32 bytes or more; with it requests must carry a token to change anything (``auth``), and only who
            shows the admin token is an administrator.
        public_read: with a secret, reads need no token.
        cors: origins whose pages may do everything, and then no others read; ``*`` is all. Empty: pages of any origin
            may read, and none change anything (docs/decisions/0090).
        note, host: shown by ``/api/server/info``.
        blocklist: lines ``u=<user>[,note]`` and ``ip=<address or a.b.c.*>[,note]``.
        blocklist_file: a file with more such lines, read when the service is made and when it is told to.
        limits: what one request may take.
        problem_json: answer errors as ``application/problem+json`` also to clients that do not ask for it.
        interactive_before_block: requests of people in two minutes after which ``busy_interactively`` is true.
        allow_timing: send ``Timing-Allow-Origin: *``.
        config_text: shown to administrators by ``/api/server/config``.
        config_path: where that came from, for ``/api/server/info``.
        trusted_proxies: addresses whose ``X-Forwarded-For`` is believed.
    """

    mode: Mode = "normal"
    admin_token: str = ""
    jwt_secret: str = ""
    public_read: bool = True
    cors: tuple[str, ...] = ()
    note: str = ""
    host: str = "localhost"
    blocklist: tuple[str, ...] = ()
    blocklist_file: str = ""
    limits: Limits = field(default_factory=Limits)
    problem_json: bool = False
    interactive_before_block: int = 0
    allow_timing: bool = False
    config_text: str = ""
    config_path: str = ""
    trusted_proxies: tuple[str, ...] = ()
