"""Endpoints of what there is: collections, experiments, channels and coordinate frames, and making them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

import dvidkit
from dvidkit.endpoints import JSON, Request, Response, endpoint, json_body, to_json
from dvidkit.errors import BadPayload
from dvidkit.http.api import Api, text
from dvidkit.repo import Repo, Version
from dvidkit_boss import making, places
from dvidkit_boss.documents import channel_json, collection_json, downsample_json, experiment_json
from dvidkit_boss.frames import Frame

COLLECTION: Final = "v1/collection/{collection}"
EXPERIMENT: Final = f"{COLLECTION}/experiment/{{experiment}}"
CHANNEL: Final = f"{EXPERIMENT}/channel/{{channel}}"
FRAME: Final = "v1/coord/{frame}"


class BossResources(Api):
    """The hierarchy: a collection is a repo, an experiment a version, a channel an image instance."""

    title: ClassVar[str] = "bossDB: collections, experiments, channels"
    aliases: ClassVar[Mapping[str, str]] = {"latest": "v1"}

    @endpoint("GET", "v1", returns=JSON)
    def version_of_api(self, request: Request) -> Response:
        """The version of bossDB's API, and what serves it."""
        return to_json({"version": "v1", "server": f"dvidkit {dvidkit.__version__}"})

    # --- collections -------------------------------------------------------------------------------------------------

    @endpoint("GET", "v1/collection", returns=JSON, heavy=True)
    def list_collections(self, request: Request) -> Response:
        """All collections: aliases of repos, or UUIDs where an alias is none: ``{"collections": [name, …]}``."""
        return to_json({"collections": places.collections(self.kernel)})

    @endpoint("GET", COLLECTION, returns=JSON, heavy=True)
    def get_collection(self, request: Request) -> Response:
        """A collection and the names of its experiments; 404 if there is none.

        Of an empty name, as ``v1/collection//``, all collections: the package ``intern`` asks so.
        """
        if not request.path["collection"]:
            return self.list_collections(request)
        return to_json(collection_json(request.path["collection"], self._collection(request)))

    @endpoint("POST", COLLECTION, takes=JSON, returns=JSON, role="admin", status=201)
    def make_collection(self, request: Request) -> Response:
        """Make a collection: a repo of this alias, whose root is committed, so that experiments branch off it.

        The body may have ``description``.
        """
        name, description = request.path["collection"], text(_document(request), "description")
        return _made(collection_json(name, making.make_collection(self.kernel, name, description)))

    # --- experiments -------------------------------------------------------------------------------------------------

    @endpoint("GET", f"{COLLECTION}/experiment", returns=JSON, heavy=True)
    def list_experiments(self, request: Request) -> Response:
        """The experiments of a collection, its branches: ``{"experiments": [name, …]}``; 404 if there is none."""
        return to_json({"experiments": places.experiments(self._collection(request))})

    @endpoint("GET", EXPERIMENT, returns=JSON, heavy=True)
    def get_experiment(self, request: Request) -> Response:
        """An experiment: a branch, or any version by its UUID; 404 if there is none."""
        return to_json(self._experiment_json(request, self._experiment(request)))

    @endpoint("POST", EXPERIMENT, takes=JSON, returns=JSON, status=201)
    def make_experiment(self, request: Request) -> Response:
        """Make an experiment: a branch off the collection's root, or off the newest committed version of ``master``.

        The body needs ``coord_frame``, and may have ``description``. 404 if there is no such collection or frame.
        """
        document = _document(request)
        if document.get("num_time_samples") not in (None, 1):
            raise BadPayload("an experiment has one time sample")
        repo = self._collection(request)
        frame = places.find_frame(self.kernel, text(document, "coord_frame", needed=True))
        name, description = request.path["experiment"], text(document, "description")
        return _made(self._experiment_json(request, making.make_experiment(repo, name, frame, description)))

    # --- channels ----------------------------------------------------------------------------------------------------

    @endpoint("GET", f"{EXPERIMENT}/channel", returns=JSON, heavy=True)
    def list_channels(self, request: Request) -> Response:
        """The channels of an experiment: ``{"channels": [name, …]}``; 404 if there is no such experiment."""
        found = places.channels(self._experiment(request))
        return to_json({"channels": [channel.instance.name for channel in found]})

    @endpoint("GET", CHANNEL, returns=JSON, heavy=True)
    def get_channel(self, request: Request) -> Response:
        """A channel: its type, the type of its voxels, and whether it has lower resolutions; 404 if there is none."""
        channel = places.find_channel(self._experiment(request), request.path["channel"])
        return to_json(channel_json(request.path["experiment"], channel))

    @endpoint("POST", CHANNEL, takes=JSON, returns=JSON, status=201)
    def make_channel(self, request: Request) -> Response:
        """Make a channel: an image instance, with voxels of the size that the coordinate frame says.

        The body needs ``datatype``; it may have ``type``, ``description`` and ``sources``. 404 if there is no such
        experiment.
        """
        asked, name = json_body(request, making.ChannelRequest), request.path["channel"]
        version = self._experiment(request)
        making.make_channel(version, name, asked)
        return _made(channel_json(request.path["experiment"], places.find_channel(version, name)))

    @endpoint("GET", "v1/downsample/{collection}/{experiment}/{channel}", returns=JSON, heavy=True)
    def get_downsample(self, request: Request) -> Response:
        """The resolutions of a channel: size of a voxel and extent of each; 404 if there is no such channel."""
        version = self._experiment(request)
        channel = places.find_channel(version, request.path["channel"])
        return to_json(downsample_json(channel, places.frame_of(version)))

    # --- coordinate frames -------------------------------------------------------------------------------------------

    @endpoint("GET", "v1/coord", returns=JSON, heavy=True)
    def list_frames(self, request: Request) -> Response:
        """All coordinate frames: ``{"coords": [name, …]}``."""
        return to_json({"coords": places.frames(self.kernel)})

    @endpoint("GET", FRAME, returns=JSON, heavy=True)
    def get_frame(self, request: Request) -> Response:
        """A coordinate frame: bounds in voxels, and the size of one; 404 if there is none.

        An experiment that no client of bossDB made has a frame of its own, around the voxels that it has now.
        """
        return to_json(places.find_frame(self.kernel, request.path["frame"]).as_json())

    @endpoint("POST", FRAME, takes=JSON, returns=JSON, status=201)
    def make_frame(self, request: Request) -> Response:
        """Make a coordinate frame: ``x_start``, ``x_stop``, ``x_voxel_size`` and so on, and ``voxel_unit``."""
        frame: Frame = msgspec.structs.replace(json_body(request, Frame), name=request.path["frame"])
        frame.check()
        places.keep_frame(self.kernel, frame)
        return _made(frame.as_json())

    # --- people ------------------------------------------------------------------------------------------------------

    @endpoint("GET", "v1/groups", returns=JSON)
    def list_groups(self, request: Request) -> Response:
        """There are no groups: ``{"groups": []}``."""
        return to_json({"groups": []})

    @endpoint("GET", "v1/permissions", returns=JSON)
    def list_permissions(self, request: Request) -> Response:
        """There are no permissions by group: ``{"permission-sets": []}``."""
        return to_json({"permission-sets": []})

    # --- what they share ---------------------------------------------------------------------------------------------

    def _collection(self, request: Request) -> Repo:
        return places.find_collection(self.kernel, request.path["collection"])

    def _experiment(self, request: Request) -> Version:
        return places.find_experiment(self._collection(request), request.path["experiment"])

    @staticmethod
    def _experiment_json(request: Request, version: Version) -> dict[str, Any]:
        return experiment_json(request.path["collection"], request.path["experiment"], version)


def _document(request: Request) -> dict[str, Any]:
    document: dict[str, Any] = json_body(request, dict[str, Any]) if request.body else {}
    return document


def _made(document: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(document), JSON, 201)
