"""Endpoints of the views: any volume instance at any version, as precomputed and as zarr."""

from __future__ import annotations

from typing import Any

from dvidkit.endpoints import BINARY, JSON, Request, Response, endpoint, integer
from dvidkit.http.api import Api
from dvidkit.http.status import HTTPError
from dvidkit.http.views import precomputed, zarr
from dvidkit.repo import Version
from dvidkit.volume import Volume, is_volume


class ViewApi(Api):
    """Views are read-only and computed when they are asked for."""

    @endpoint("GET", "api/node/{uuid}/{data}/precomputed/info", returns=JSON, heavy=True)
    def precomputed_info(self, request: Request) -> Response:
        """The volume as neuroglancer precomputed: ``precomputed://<server>/api/node/<uuid>/<data>/precomputed``."""
        view, version = self._volume(request)
        return precomputed.info_response(view, version)

    @endpoint("GET", "api/node/{uuid}/{data}/precomputed/{scale}/{chunk}", returns=BINARY, heavy=True)
    def precomputed_chunk(self, request: Request) -> Response:
        """A chunk ``x0-x1_y0-y1_z0-z1`` of scale ``s0``, ``s1`` …: raw voxels, little-endian."""
        view, version = self._volume(request)
        return precomputed.chunk_response(view, version, request.path["scale"], request.path["chunk"])

    @endpoint("GET", "api/node/{uuid}/{data}/zarr/zarr.json", returns=JSON, heavy=True)
    def zarr_group(self, request: Request) -> Response:
        """The volume as an OME-Zarr group: open ``<server>/api/node/<uuid>/<data>/zarr``."""
        view, version = self._volume(request)
        return zarr.group_response(view, version, request.path["data"])

    @endpoint("GET", "api/node/{uuid}/{data}/zarr/{scale}/zarr.json", returns=JSON, heavy=True)
    def zarr_array(self, request: Request) -> Response:
        """One scale of the volume as a zarr array."""
        view, version = self._volume(request)
        return zarr.array_response(view, version, _number(request.path["scale"]))

    @endpoint("GET", "api/node/{uuid}/{data}/zarr/{scale}/c/{indices...}", returns=BINARY, heavy=True)
    def zarr_chunk(self, request: Request) -> Response:
        """A chunk by its indices z/y/x: raw voxels, little-endian, whole also at the volume's end."""
        view, version = self._volume(request)
        indices = tuple(_number(part) for part in request.path["indices"].split("/"))
        return zarr.chunk_response(view, version, _number(request.path["scale"]), indices)

    def _volume(self, request: Request) -> tuple[Volume, Version]:
        version = self.version(request)
        view: Any = version.repo.instance(request.path["data"]).at(version)
        if not is_volume(view):
            raise HTTPError(404, f"data instance {request.path['data']!r} is not a volume")
        return view, version


def _number(text: str) -> int:
    try:
        return integer(text, "index")
    except ValueError:
        raise HTTPError(404, f"no {text!r} here") from None
