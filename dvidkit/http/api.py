"""What the service's own endpoint groups share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from dvidkit.endpoints import Endpoint, Request, table_of
from dvidkit.errors import BadPayload
from dvidkit.repo import Repo, Version

if TYPE_CHECKING:
    from dvidkit.http.app import App


class Api:
    """A group of endpoints of the service itself, or of a plugin; its table is collected from its methods.

    Attributes:
        title: heading of its table in the documentation.
        aliases: other names of the segments that its paths begin with.
        endpoints: the table.
    """

    title: ClassVar[str] = ""
    aliases: ClassVar[Mapping[str, str]] = MappingProxyType({})
    endpoints: ClassVar[tuple[Endpoint, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.endpoints = table_of(cls)

    def __init__(self, app: App) -> None:
        self.app = app
        self.kernel = app.kernel

    def version(self, request: Request) -> Version:
        """The version that the path names."""
        return self.kernel.repos.resolve(request.path["uuid"])

    def repo(self, request: Request) -> Repo:
        """The repo of the version that the path names."""
        return self.version(request).repo


def texts(value: Any, name: str) -> list[str]:
    """A list of texts from a document, empty if it is missing.

    Raises:
        BadPayload: something else.
    """
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise BadPayload(f"{name!r} must be a list of texts")
    return value


def text(document: dict[str, Any], name: str, *, needed: bool = False) -> str:
    """A text from a document, empty if it is missing and not needed.

    Raises:
        BadPayload: something else, or missing and needed.
    """
    value = document.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise BadPayload(f"the body needs {name!r}, a text")
    return value
