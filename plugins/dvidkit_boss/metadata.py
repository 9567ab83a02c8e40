"""Endpoints of metadata: texts by key about a collection, an experiment or a channel.

They belong to the collection, the branch, and the channel on the branch, whatever version was named; they have no
versions, so committed ones do not keep them from being changed. All of a collection's are in the record of its repo,
which is why there is little room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from dvidkit.endpoints import JSON, Query, Request, Response, endpoint, to_json
from dvidkit.errors import InvalidInputError, NotFoundError, shown
from dvidkit.http.api import Api
from dvidkit.repo import Repo
from dvidkit_boss.book import Metadata, change_metadata, read_metadata
from dvidkit_boss.places import find_channel, find_collection, find_experiment

_COLLECTION: Final = "v1/meta/{collection}"
_EXPERIMENT: Final = f"{_COLLECTION}/{{experiment}}"
_CHANNEL: Final = f"{_EXPERIMENT}/{{channel}}"
_KEY: Final = Query("key", "of one text")
_VALUE: Final = Query("value", "the text")
_BETWEEN: Final = "\n"
"""Stands in no name of a branch or an instance."""
_ROOM: Final = 1 << 20
"""Characters that the metadata of a collection may have together."""


class BossMetadata(Api):
    """What is said about collections, experiments and channels."""

    title: ClassVar[str] = "bossDB: metadata"
    aliases: ClassVar[Mapping[str, str]] = {"latest": "v1"}

    @endpoint("GET", _COLLECTION, query=(_KEY,), returns=JSON, heavy=True)
    @endpoint("GET", _EXPERIMENT, query=(_KEY,), returns=JSON, heavy=True)
    @endpoint("GET", _CHANNEL, query=(_KEY,), returns=JSON, heavy=True)
    def get_metadata(self, request: Request) -> Response:
        """The keys, ``{"keys": [key, …]}``; or of one key ``{"key": key, "value": text}``, 404 if it is not there."""
        repo, about = self._about(request)
        texts = read_metadata(repo).get(about, {})
        key = request.query.get("key")
        if key is None:
            return to_json({"keys": sorted(texts)})
        return to_json({"key": key, "value": _known(texts, key)})

    @endpoint("POST", _COLLECTION, query=(_KEY, _VALUE), heavy=True, status=201)
    @endpoint("POST", _EXPERIMENT, query=(_KEY, _VALUE), heavy=True, status=201)
    @endpoint("POST", _CHANNEL, query=(_KEY, _VALUE), heavy=True, status=201)
    def make_metadata(self, request: Request) -> Response:
        """Add a key with its text; 400 if it is there already, 404 for what there is not."""
        key, value = _given(request, "key"), _given(request, "value")

        def add(texts: dict[str, str]) -> None:
            if key in texts:
                raise InvalidInputError(f"there is metadata of the key {shown(key)} already")
            texts[key] = value

        self._change(request, add)
        return Response(status=201)

    @endpoint("PUT", _COLLECTION, query=(_KEY, _VALUE), heavy=True)
    @endpoint("PUT", _EXPERIMENT, query=(_KEY, _VALUE), heavy=True)
    @endpoint("PUT", _CHANNEL, query=(_KEY, _VALUE), heavy=True)
    def replace_metadata(self, request: Request) -> Response:
        """Replace the text of a key; 404 if there is none."""
        key, value = _given(request, "key"), _given(request, "value")

        def replace(texts: dict[str, str]) -> None:
            _known(texts, key)
            texts[key] = value

        self._change(request, replace)
        return Response()

    @endpoint("DELETE", _COLLECTION, query=(_KEY,), heavy=True, status=204)
    @endpoint("DELETE", _EXPERIMENT, query=(_KEY,), heavy=True, status=204)
    @endpoint("DELETE", _CHANNEL, query=(_KEY,), heavy=True, status=204)
    def delete_metadata(self, request: Request) -> Response:
        """Remove a key with its text; 404 if there is none."""
        key = _given(request, "key")

        def remove(texts: dict[str, str]) -> None:
            _known(texts, key)
            del texts[key]

        self._change(request, remove)
        return Response(status=204)

    def _about(self, request: Request) -> tuple[Repo, str]:
        """The repo, and how what the path names is called there."""
        repo, parts = find_collection(self.kernel, request.path["collection"]), []
        if "experiment" in request.path:
            version = find_experiment(repo, request.path["experiment"])
            parts = [version.branch]
            if "channel" in request.path:
                parts.append(find_channel(version, request.path["channel"]).instance.name)
        return repo, _BETWEEN.join(parts)

    def _change(self, request: Request, change: Callable[[dict[str, str]], None]) -> None:
        repo, about = self._about(request)

        def apply(metadata: Metadata) -> None:
            texts = metadata.setdefault(about, {})
            change(texts)
            if not texts:
                del metadata[about]
            size = sum(len(key) + len(value) for each in metadata.values() for key, value in each.items())
            if size > _ROOM:
                raise InvalidInputError(f"the metadata of a collection has {_ROOM} characters at most, not {size}")

        change_metadata(repo, apply)


def _given(request: Request, name: str) -> str:
    text = request.query.get(name)
    if text is None or (name == "key" and not text):
        raise InvalidInputError(f"the query needs {name!r}")
    return text


def _known(texts: Mapping[str, str], key: str) -> str:
    try:
        return texts[key]
    except KeyError:
        raise NotFoundError(f"no metadata of the key {shown(key)}") from None
