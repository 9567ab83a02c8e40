"""Who may do what: administrators, users with tokens, the blocklist.

There are three kinds of caller. *Anonymous* ones may read (unless ``public_read`` is off) and, where no secret for
tokens is configured, change open versions. *Users* carry a JSON Web Token signed with the service's secret. An
*administrator* shows the admin token; where none is configured, everybody may do what only administrators could.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dvidkit.endpoints import Endpoint
from dvidkit.errors import BadConfig, MissingExtra
from dvidkit.http.service import ServiceConfig
from dvidkit.http.status import HTTPError

_ALGORITHM: Final = "HS256"
_SCHEMES: Final = ("bearer", "token")
_NOBODY: Final = "public"
"""What clients of bossDB send as their token if they have none."""
_SECRET_BYTES: Final = 32
_LIFETIME: Final = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request.

    Attributes:
        user: name, from the token or from DVID's ``u``; empty if unknown.
        admin: showed the admin token.
        signed: carries a valid token of a user, or is an administrator.
    """

    user: str = ""
    admin: bool = False
    signed: bool = False


ANONYMOUS: Final = Caller()


class Gatekeeper:
    """Decides by the configuration of a service.

    Raises:
        BadConfig: a secret too short to sign with, or a line of the blocklist that cannot be read.
    """

    def __init__(self, config: ServiceConfig) -> None:
        if config.jwt_secret and len(config.jwt_secret.encode()) < _SECRET_BYTES:
            raise BadConfig(f"the secret for tokens needs {_SECRET_BYTES} bytes or more", setting="jwt_secret")
        self._config = config
        self._blocked = dict(_blocked(line) for line in _lines(config) if line.strip())
        self.trivial = not (config.jwt_secret or config.admin_token or self._blocked)
        """Nothing is asked of anybody, so headers need not be looked at."""

    def identify(self, headers: Mapping[str, str], query: Mapping[str, str], address: str) -> Caller:
        """Who sent a request.

        Raises:
            HTTPError: blocked (429), or a token that is not valid (401).
        """
        if self.trivial:
            return Caller(query["u"]) if "u" in query else ANONYMOUS
        bearer = _shown(headers.get("authorization", ""))
        admin = self._is_admin(headers.get("x-dvid-admin-token", ""), query.get("admintoken", ""), bearer)
        user, signed = query.get("u", ""), admin
        if bearer and not admin and self._config.jwt_secret:
            user, signed = self._verify(bearer), True
        self._refuse_blocked(user, self._address(headers, address))
        return Caller(user, admin, signed)

    def check(self, caller: Caller, endpoint: Endpoint) -> None:
        """Refuse what the caller may not do.

        Raises:
            HTTPError: needs a token (401), or an administrator (403).
        """
        config = self._config
        if endpoint.mutates and config.mode == "readonly":
            raise HTTPError(400, "the server is in read-only mode")
        personal = endpoint.mutates or endpoint.role or not (config.public_read or endpoint.public)
        if config.jwt_secret and not caller.signed and personal:
            raise HTTPError(401, "this needs a token", www_authenticate="Bearer")
        if endpoint.role == "admin" and not caller.admin and (config.admin_token or config.jwt_secret):
            raise HTTPError(403, "this needs the admin token")

    def issue(self, user: str, lifetime: int = _LIFETIME) -> str:
        """A token for a user.

        Raises:
            BadConfig: the service has no secret to sign with.
        """
        if not self._config.jwt_secret:
            raise BadConfig("the service has no secret for tokens", setting="jwt_secret")
        now = int(time.time())
        claims = {"user": user, "iat": now, "exp": now + lifetime}
        return str(_jwt().encode(claims, self._config.jwt_secret, algorithm=_ALGORITHM))

    def _verify(self, token: str) -> str:
        jwt = _jwt()
        try:
            claims = jwt.decode(
                token, self._config.jwt_secret, algorithms=[_ALGORITHM], options={"require": ["exp", "iat", "user"]}
            )
        except jwt.PyJWTError as error:
            raise HTTPError(401, f"the token is not valid: {error}", www_authenticate="Bearer") from None
        return str(claims["user"])

    def _is_admin(self, *shown: str) -> bool:
        wanted = self._config.admin_token.encode()
        return bool(wanted) and any(hmac.compare_digest(token.encode(), wanted) for token in shown)

    def _address(self, headers: Mapping[str, str], address: str) -> str:
        """Where a request comes from: of what trusted proxies say, the nearest that is none of them."""
        proxies = self._config.trusted_proxies
        if address in proxies:
            for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
                address = hop.strip() or address
                if address not in proxies:
                    break
        return address

    def _refuse_blocked(self, user: str, address: str) -> None:
        parts = address.split(".")
        for what in (f"u={user}", f"ip={address}", *(f"ip={'.'.join(parts[:n])}.*" for n in range(1, len(parts)))):
            if what in self._blocked:
                name = user if what.startswith("u=") else address
                raise HTTPError(429, f'User "{name}" is blocked: {self._blocked[what]}')


def _shown(header: str) -> str:
    """The token of an ``Authorization`` header; empty if there is none."""
    scheme, _, token = header.partition(" ")
    return token if scheme.lower() in _SCHEMES and token != _NOBODY else ""


def _lines(config: ServiceConfig) -> list[str]:
    if not config.blocklist_file:
        return list(config.blocklist)
    try:
        lines = Path(config.blocklist_file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"the blocklist cannot be read: {error}", setting="blocklist_file") from None
    return [*config.blocklist, *lines]


def _blocked(line: str) -> tuple[str, str]:
    what, _, note = line.strip().partition(",")
    kind, _, value = what.partition("=")
    if kind not in ("u", "ip") or not value:
        raise BadConfig(f"a line of the blocklist is 'u=<user>' or 'ip=<address>', not {line!r}", setting="blocklist")
    return what, note


def _jwt() -> Any:
    try:
        import jwt
    except ImportError as error:
        raise MissingExtra(
            "tokens need PyJWT: pip install 'dvidkit[server]'", plugin="server", install="pip install 'dvidkit[server]'"
        ) from error
    return jwt
