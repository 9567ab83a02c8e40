"""Endpoints that change and delete what there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from dvidkit.endpoints import JSON, Query, Request, Response, endpoint, json_body, to_json
from dvidkit.errors import BadPayload
from dvidkit.http.api import Api, text
from dvidkit_boss import places, reshaping
from dvidkit_boss.documents import channel_json, collection_json, experiment_json
from dvidkit_boss.resources import CHANNEL, COLLECTION, EXPERIMENT, FRAME

_PASSCODE: Final = (Query("passcode", "the repo's passcode"),)


class BossChanges(Api):
    """What a client made can have other texts, and be deleted when nothing refers to it any more."""

    title: ClassVar[str] = "bossDB: changing and deleting"
    aliases: ClassVar[Mapping[str, str]] = {"latest": "v1"}

    @endpoint("PUT", COLLECTION, takes=JSON, returns=JSON)
    def change_collection(self, request: Request) -> Response:
        """Another ``name`` or ``description`` of a collection; 404 if there is none."""
        repo = places.find_collection(self.kernel, request.path["collection"])
        name, description = self._texts(request, request.path["collection"])
        reshaping.change_collection(repo, name, description)
        return to_json(collection_json(name, repo))

    @endpoint("PUT", EXPERIMENT, takes=JSON, returns=JSON)
    def change_experiment(self, request: Request) -> Response:
        """Another ``description`` of an experiment that a client made; its name stays. 404 if there is none."""
        path = request.path
        repo = places.find_collection(self.kernel, path["collection"])
        version = places.find_experiment(repo, path["experiment"])
        name, description = self._texts(request, path["experiment"])
        if name != path["experiment"]:
            raise BadPayload("an experiment is a branch, and keeps its name")
        reshaping.change_experiment(repo, name, description)
        return to_json(experiment_json(path["collection"], name, version))

    @endpoint("PUT", CHANNEL, takes=JSON, returns=JSON)
    def change_channel(self, request: Request) -> Response:
        """Another ``name``, ``description`` or ``sources`` of a channel; 404 if there is none."""
        asked = json_body(request, reshaping.ChannelChange)
        version = self._version(request)
        name = reshaping.change_channel(version, request.path["channel"], asked)
        return to_json(channel_json(request.path["experiment"], places.find_channel(version, name)))

    @endpoint("PUT", FRAME, takes=JSON, returns=JSON)
    def change_frame(self, request: Request) -> Response:
        """Another ``description`` of a coordinate frame that a client made; 404 if there is none."""
        asked: dict[str, Any] = json_body(request, dict[str, Any])
        description = text(asked, "description", needed=True)
        return to_json(reshaping.change_frame(self.kernel, request.path["frame"], asked, description).as_json())

    @endpoint("DELETE", COLLECTION, query=_PASSCODE, role="admin", status=204)
    def delete_collection(self, request: Request) -> Response:
        """Delete a collection that has no experiments: the repo. 404 if there is none."""
        repo = places.find_collection(self.kernel, request.path["collection"])
        reshaping.delete_collection(repo, request.query.get("passcode", ""))
        return Response(status=204)

    @endpoint("DELETE", EXPERIMENT, status=204)
    def delete_experiment(self, request: Request) -> Response:
        """Leave out an experiment that has no channels: its branch is hidden. 404 if there is none."""
        repo = places.find_collection(self.kernel, request.path["collection"])
        places.find_experiment(repo, request.path["experiment"])
        reshaping.delete_experiment(repo, request.path["experiment"])
        return Response(status=204)

    @endpoint("DELETE", CHANNEL, query=_PASSCODE, role="admin", status=204)
    def delete_channel(self, request: Request) -> Response:
        """Delete a channel that no other experiment has, with its voxels in every version. 404 if there is none."""
        passcode = request.query.get("passcode", "")
        reshaping.delete_channel(self._version(request), request.path["channel"], passcode)
        return Response(status=204)

    @endpoint("DELETE", FRAME, status=204)
    def delete_frame(self, request: Request) -> Response:
        """Delete a coordinate frame that no experiment has; 404 if there is none."""
        reshaping.delete_frame(self.kernel, request.path["frame"])
        return Response(status=204)

    def _version(self, request: Request) -> Any:
        repo = places.find_collection(self.kernel, request.path["collection"])
        return places.find_experiment(repo, request.path["experiment"])

    @staticmethod
    def _texts(request: Request, name: str) -> tuple[str, str | None]:
        """The name, unless given the one there is, and the description, unless given ``None``."""
        document: dict[str, Any] = json_body(request, dict[str, Any])
        given = {key: text(document, key) for key in ("name", "description") if key in document}
        return given.get("name", name), given.get("description")
