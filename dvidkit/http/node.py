"""Endpoints of versions, ``/api/node/{uuid}``, and what every data instance answers below them."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from dvidkit import branching, upkeep
from dvidkit.endpoints import BINARY, JSON, TEXT, Query, Request, Response, endpoint, json_body, to_json
from dvidkit.errors import BadKey, BadPayload, VersionLocked
from dvidkit.http.api import Api, text, texts
from dvidkit.http.helptext import datatype_help
from dvidkit.http.shapes import instance_json
from dvidkit.http.status import HTTPError
from dvidkit.instance import DataInstance
from dvidkit.mutationlog import MutationLog
from dvidkit.repo import Version


class NodeApi(Api):
    """Notes, logs, commits, children; and info, tags, syncs, blobs and logs of instances."""

    title: ClassVar[str] = "Versions and all instances"

    # --- the version -------------------------------------------------------------------------------------------------

    @endpoint("GET", "api/node/{uuid}/note", returns=JSON)
    def get_note(self, request: Request) -> Response:
        """The version's note."""
        return to_json({"note": self.version(request).record.note})

    @endpoint("POST", "api/node/{uuid}/note", takes=JSON)
    def set_note(self, request: Request) -> Response:
        """Replace the note of an open version: ``{"note": text}``."""
        note = text(json_body(request, dict[str, Any]), "note", needed=True)
        version = self.version(request)
        version.repo.set_note(version, note, override=request.admin)
        return Response()

    @endpoint("GET", "api/node/{uuid}/log", returns=JSON)
    def get_log(self, request: Request) -> Response:
        """The version's log."""
        return to_json({"log": list(self.version(request).record.log)})

    @endpoint("POST", "api/node/{uuid}/log", takes=JSON)
    def add_log(self, request: Request) -> Response:
        """Append lines to the log of an open version: ``{"log": [line, …]}``."""
        document = json_body(request, dict[str, Any])
        if "log" not in document:
            raise BadPayload("the body needs 'log', a list of texts")
        version = self.version(request)
        version.repo.add_log(version, texts(document["log"], "log"), override=request.admin)
        return Response()

    @endpoint("GET", "api/node/{uuid}/commit", returns=JSON)
    @endpoint("GET", "api/node/{uuid}/status", returns=JSON)
    def get_status(self, request: Request) -> Response:
        """Whether the version is committed: ``{"Locked":true}``."""
        return to_json({"Locked": self.version(request).locked})

    @endpoint("POST", "api/node/{uuid}/commit", takes=JSON, returns=JSON)
    def commit(self, request: Request) -> Response:
        """Commit the version for ever; the body may have ``note`` and ``log``. Answers ``{"committed": uuid}``."""
        document = _document(request)
        version = self.version(request)
        version.commit(text(document, "note"), texts(document.get("log"), "log"))
        return Response(b'{"committed": %s}' % msgspec.json.encode(version.uuid), JSON)

    @endpoint("POST", "api/node/{uuid}/newversion", takes=JSON, returns=JSON)
    def new_version(self, request: Request) -> Response:
        """An open child of a committed version on its branch; the body may have ``note`` and ``uuid``."""
        document = _document(request)
        child = self.version(request).new_version(text(document, "note"), text(document, "uuid") or None)
        return _child(child)

    @endpoint("POST", "api/node/{uuid}/branch", takes=JSON, returns=JSON)
    def make_branch(self, request: Request) -> Response:
        """An open child of a committed version on a new branch: ``{"branch": name}``, with ``note`` and ``uuid``."""
        document = _document(request)
        name = text(document, "branch", needed=True)
        child = self.version(request).make_branch(name, text(document, "note"), text(document, "uuid") or None)
        return _child(child)

    @endpoint("POST", "api/node/{uuid}/tag", takes=JSON, returns=JSON)
    def tag(self, request: Request) -> Response:
        """A name for a committed version that works as its UUID: ``{"tag": name}``, with ``note``."""
        document = _document(request)
        return _child(branching.tag(self.version(request), text(document, "tag", needed=True), text(document, "note")))

    # --- every instance ----------------------------------------------------------------------------------------------

    @endpoint("GET", "api/node/{uuid}/{data}/help", returns=TEXT)
    def help(self, request: Request) -> Response:
        """What the instance's datatype answers."""
        return Response(datatype_help(self._instance(request)[0].datatype).encode(), TEXT)

    @endpoint("GET", "api/node/{uuid}/{data}/info", returns=JSON)
    def info(self, request: Request) -> Response:
        """The instance's settings, and what its datatype adds as this version sees it."""
        instance, version = self._instance(request)
        return to_json(instance_json(instance, version))

    @endpoint("GET", "api/node/{uuid}/{data}/tags", returns=JSON)
    def get_tags(self, request: Request) -> Response:
        """The instance's tags."""
        return to_json({"Tags": dict(self._instance(request)[0].settings.tags)})

    @endpoint("POST", "api/node/{uuid}/{data}/tags", takes=JSON, query=(Query("replace", "drop others", ("true",)),))
    def set_tags(self, request: Request) -> Response:
        """Set tags of the instance: ``{"name": "value", …}``; others stay unless ``replace=true``."""
        tags = json_body(request, dict[str, str])
        upkeep.set_tags(self._changeable(request), tags, replace=request.flag("replace"))
        return Response()

    @endpoint("POST", "api/node/{uuid}/{data}/sync", takes=JSON, query=(Query("replace", "drop others", ("true",)),))
    def set_syncs(self, request: Request) -> Response:
        """Have the instance answer the events of others: ``{"sync": "name1,name2"}``."""
        names = text(json_body(request, dict[str, Any]), "sync", needed=True)
        listed = [name.strip() for name in names.split(",") if name.strip()]
        instance = self._changeable(request)
        if listed or request.flag("replace"):
            upkeep.set_syncs(instance, listed, replace=request.flag("replace"))
        return Response()

    @endpoint("POST", "api/node/{uuid}/{data}/blobstore", takes=BINARY, returns=JSON)
    def put_blob(self, request: Request) -> Response:
        """Keep bytes under their own hash. Answers ``{"reference": text}``. Committed versions take blobs too."""
        instance, _ = self._instance(request)
        return Response(b'{"reference": "%s"}' % instance.store.put_blob(request.body).encode(), JSON)

    @endpoint("GET", "api/node/{uuid}/{data}/blobstore/{reference}", returns=BINARY)
    def get_blob(self, request: Request) -> Response:
        """The bytes of a reference; 404 if there are none."""
        instance, _ = self._instance(request)
        return blob_response(instance.store.get_blob, request.path["reference"])

    @endpoint("GET", "api/node/{uuid}/{data}/mutations", returns=TEXT, heavy=True)
    def mutations(self, request: Request) -> Response:
        """The records of what was changed in this version, oldest first: a JSON array, sent as text as DVID does."""
        instance, version = self._instance(request)
        return _records(instance, [version])

    @endpoint("GET", "api/node/{uuid}/{data}/mutations-range/{begin}/{end}", returns=TEXT, heavy=True)
    def mutations_range(self, request: Request) -> Response:
        """The records of the versions from ``end`` back to ``begin`` through first parents, in that order."""
        instance, _ = self._instance(request)
        resolve = self.kernel.repos.resolve
        first, last = resolve(request.path["begin"]), resolve(request.path["end"])
        if not (first.repo is last.repo is instance.repo):
            raise HTTPError(400, f"the versions are not both of the repo of {instance.name!r}")
        line = [last]
        while line[-1] != first:
            if not line[-1].parents:
                raise HTTPError(400, f"version {last.uuid} does not descend from {first.uuid} through first parents")
            line.append(line[-1].parents[0])
        return _records(instance, line)

    def _changeable(self, request: Request) -> DataInstance:
        """The instance, if the version lets it be changed: as in DVID, through an open one or by an administrator."""
        instance, version = self._instance(request)
        if instance.versioned and version.locked and not (request.admin or self.kernel.full_write):
            raise VersionLocked(f"version {version.uuid} is committed and takes no writes", uuid=version.uuid)
        return instance

    def _instance(self, request: Request) -> tuple[DataInstance, Version]:
        version = self.version(request)
        return version.repo.instance(request.path["data"]), version


def blob_response(get: Any, reference: str) -> Response:
    """The answer to a request for a blob."""
    try:
        data = get(reference)
    except BadKey:
        data = None
    if not data:
        raise HTTPError(404, f"no blob {reference}")
    return Response(data, BINARY)


def _document(request: Request) -> dict[str, Any]:
    """The body as an object; an empty body is an empty one."""
    document: dict[str, Any] = json_body(request, dict[str, Any]) if request.body.strip() else {}
    return document


def _child(child: Version) -> Response:
    return Response(b'{"child": %s}' % msgspec.json.encode(child.uuid), JSON)


def _records(instance: DataInstance, versions: list[Version]) -> Response:
    log = MutationLog(instance.store)
    shown = [record.to_json() for version in versions for record in log.of(instance.id, version.id)]
    return Response(msgspec.json.encode(shown), TEXT)
