"""Endpoints of the views: any volume instance at any version, as precomputed and as zarr."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import msgspec

from dvidkit.endpoints import BINARY, JSON, Request, Response, endpoint, integer
from dvidkit.http.api import Api
from dvidkit.http.status import HTTPError
from dvidkit.http.views import precomputed, zarr
from dvidkit.http.views.fresh import Fresh, chunk_answer, document_answer
from dvidkit.http.views.precomputed import Chunk, read_chunk
from dvidkit.instance import DataInstance
from dvidkit.repo import Version
from dvidkit.volume import Volume, is_volume


class _Seen(NamedTuple):
    """A volume instance at a version."""

    instance: DataInstance
    version: Version
    view: Volume


class ViewApi(Api):
    """Views are read-only and computed when they are asked for.

    Beside what their descriptions name: a client that has the answer (``If-None-Match``) gets 304 without it. Chunks
    take ``Range``: 206, or 416 for one outside.
    """

    title: ClassVar[str] = "Views"

    @endpoint("GET", "api/node/{uuid}/{data}/precomputed", returns=JSON, heavy=True)
    @endpoint("GET", "api/node/{uuid}/{data}/precomputed/info", returns=JSON, heavy=True)
    def precomputed_info(self, request: Request) -> Response:
        """The volume as neuroglancer precomputed: ``precomputed://<server>/api/node/<uuid>/<data>/precomputed``.

        304 to a client that has the document; 404 if the instance is not a volume.
        """
        return _document(request, precomputed.info_document(self._seen(request).view.volume_info()))

    @endpoint("GET", "api/node/{uuid}/{data}/precomputed/{scale}/{chunk}", returns=BINARY, heavy=True)
    def precomputed_chunk(self, request: Request) -> Response:
        """A chunk ``x0-x1_y0-y1_z0-z1`` of scale ``s0``, ``s1`` …: raw voxels, x fastest, little-endian.

        206 and 416 to a ``Range``, 304 to a client that has the chunk; 404 if there is no such chunk.
        """
        seen, (key, name) = self._seen(request), (request.path["scale"], request.path["chunk"])
        return _chunk(request, seen, precomputed.find_chunk(seen.view.volume_info(), key, name), f"{key}-{name}")

    @endpoint("GET", "api/node/{uuid}/{data}/zarr", returns=JSON, heavy=True)
    @endpoint("GET", "api/node/{uuid}/{data}/zarr/zarr.json", returns=JSON, heavy=True)
    def zarr_group(self, request: Request) -> Response:
        """The volume as an OME-Zarr group: open ``<server>/api/node/<uuid>/<data>/zarr``.

        304 to a client that has the document; 404 if the instance is not a volume.
        """
        seen = self._seen(request)
        return _document(request, zarr.group_document(seen.view.volume_info(), seen.instance.name))

    @endpoint("GET", "api/node/{uuid}/{data}/zarr/{scale}/zarr.json", returns=JSON, heavy=True)
    def zarr_array(self, request: Request) -> Response:
        """One scale of the volume as a zarr array.

        304 to a client that has the document; 404 if there is no such scale.
        """
        info = self._seen(request).view.volume_info()
        return _document(request, zarr.array_document(info, _number(request.path["scale"])))

    @endpoint("GET", "api/node/{uuid}/{data}/zarr/{scale}/c/{indices...}", returns=BINARY, heavy=True)
    def zarr_chunk(self, request: Request) -> Response:
        """A chunk by its indices z/y/x: raw voxels, x fastest, little-endian, whole also at the volume's end.

        206 and 416 to a ``Range``, 304 to a client that has the chunk; 404 if there is no such chunk.
        """
        seen = self._seen(request)
        scale = _number(request.path["scale"])
        indices = tuple(_number(part) for part in request.path["indices"].split("/"))
        chunk = zarr.find_chunk(seen.view.volume_info(), scale, indices)
        return _chunk(request, seen, chunk, f"zarr-{scale}-{'-'.join(map(str, indices))}")

    @endpoint("GET", "api/node/{uuid}/{data}/precomputed/{path...}", returns=BINARY)
    @endpoint("GET", "api/node/{uuid}/{data}/zarr/{path...}", returns=BINARY)
    def nothing(self, request: Request) -> Response:
        """Always 404: readers look for documents of other formats, and take another status for a failure."""
        self._seen(request)
        raise HTTPError(404, f"no {request.path['path']!r} here")

    def _seen(self, request: Request) -> _Seen:
        version = self.version(request)
        instance = version.repo.instance(request.path["data"])
        view: Any = self.app.config.limits.bound(instance.at(version))
        if not is_volume(view):
            raise HTTPError(404, f"data instance {instance.name!r} is not a volume")
        return _Seen(instance, version, view)


def _document(request: Request, document: dict[str, Any]) -> Response:
    return document_answer(request, msgspec.json.encode(document))


def _chunk(request: Request, seen: _Seen, chunk: Chunk, what: str) -> Response:
    fresh = Fresh.chunk(seen.instance, seen.version, request, what)
    return chunk_answer(request, fresh, lambda: read_chunk(seen.view, chunk))


def _number(text: str) -> int:
    try:
        return integer(text, "index")
    except ValueError:
        raise HTTPError(404, f"no {text!r} here") from None
