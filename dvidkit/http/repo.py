"""Endpoints of repos: ``/api/repos`` and ``/api/repo/{uuid}``."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from dvidkit import branching, upkeep
from dvidkit.endpoints import JSON, TEXT, Query, Request, Response, endpoint, json_body, to_json
from dvidkit.errors import BadPayload
from dvidkit.http.api import Api, text, texts
from dvidkit.http.shapes import repo_json
from dvidkit.http.status import HTTPError

_IGNORED = "X-DVID-Ignored-Settings"


class RepoApi(Api):
    """Making repos, describing them, and what concerns several of their versions."""

    title: ClassVar[str] = "Repos"

    @endpoint("POST", "api/repos", takes=JSON, returns=JSON, role="admin")
    def new_repo(self, request: Request) -> Response:
        """Make a repo.

        The body may have ``alias``, ``description``, ``root`` (a UUID of 32 hexadecimal digits) and ``passcode``.
        Answers ``{"root": uuid}``.
        """
        document = json_body(request, dict[str, Any]) if request.body else {}
        repo = self.kernel.repos.create(
            text(document, "alias"),
            text(document, "description"),
            root=text(document, "root") or None,
            passcode=text(document, "passcode"),
        )
        return Response(b'{"root": "%s"}' % repo.uuid.encode(), JSON)

    @endpoint("GET", "api/repos/info", returns=JSON, heavy=True)
    def repos_info(self, request: Request) -> Response:
        """All repos by the UUID of their root: versions, instances, settings."""
        return to_json({repo.uuid: repo_json(repo) for repo in self.kernel.repos})

    @endpoint("HEAD", "api/repo/{uuid}")
    def repo_exists(self, request: Request) -> Response:
        """Whether the UUID names a repo: 200, or 400 if not."""
        self.repo(request)
        return Response()

    @endpoint("GET", "api/repo/{uuid}/info", returns=JSON, heavy=True)
    def repo_info(self, request: Request) -> Response:
        """One repo: versions, instances, settings."""
        return to_json(repo_json(self.repo(request)))

    @endpoint("POST", "api/repo/{uuid}/info", takes=JSON)
    def describe(self, request: Request) -> Response:
        """Set ``alias`` and ``description``; what is missing stays."""
        document = json_body(request, dict[str, Any])
        alias, description = (text(document, name) if name in document else None for name in ("alias", "description"))
        self.repo(request).describe(alias, description)
        return Response()

    @endpoint("POST", "api/repo/{uuid}/instance", takes=JSON, returns=JSON)
    def new_instance(self, request: Request) -> Response:
        """Make a data instance at an open version.

        The body needs ``typename`` and ``dataname``; the rest are settings, as texts. Settings that the datatype does
        not have are ignored, as DVID does, and named in the header ``X-DVID-Ignored-Settings``.
        """
        document = json_body(request, dict[str, Any])
        config = {name.lower(): value for name, value in document.items()}
        typename, name = text(config, "typename", needed=True), text(config, "dataname", needed=True)
        version = self.version(request)
        datatype = self.kernel.plugins.datatype(typename)
        settings = {key: value for key, value in config.items() if key not in ("typename", "dataname", "sync")}
        known, ignored = datatype.settings.sift(settings)
        sources = [part.strip() for part in text(config, "sync").split(",") if part.strip()]
        upkeep.check_syncs(version.repo, datatype, name, sources)
        instance = version.repo.create_instance(typename, name, version, **known)
        if sources:
            upkeep.set_syncs(instance, sources)
        result = f"Added {name} [{typename}] to node {version.uuid}"
        headers = {_IGNORED: ", ".join(sorted(ignored))} if ignored else {}
        return Response(b'{"result": %s}' % msgspec.json.encode(result), JSON, headers=headers)

    @endpoint("GET", "api/repo/{uuid}/branch-versions/{branch}", returns=JSON)
    def branch_versions(self, request: Request) -> Response:
        """UUIDs of a branch's line from its newest version to the root; none for an unknown branch."""
        repo, branch = self.repo(request), request.path["branch"]
        line = repo.branch_versions(branch) if branch in repo.branches() else ()
        return to_json([version.uuid for version in line])

    @endpoint("GET", "api/repo/{uuid}/log", returns=JSON)
    def get_log(self, request: Request) -> Response:
        """The repo's log."""
        return to_json({"log": list(self.repo(request).record.log)})

    @endpoint("POST", "api/repo/{uuid}/log", takes=JSON)
    def add_log(self, request: Request) -> Response:
        """Append lines to the repo's log: ``{"log": [line, …]}``."""
        document = json_body(request, dict[str, Any])
        if "log" not in document:
            raise BadPayload("the body needs 'log', a list of texts")
        self.repo(request).log(texts(document["log"], "log"))
        return Response()

    @endpoint("POST", "api/repo/{uuid}/merge", takes=JSON, returns=JSON)
    def merge(self, request: Request) -> Response:
        """Merge committed versions: ``{"mergeType": "conflict-free", "parents": [version, …], "note": …}``.

        Answers ``{"child": uuid}``. No data is looked at; see the documentation of merges for what reads then answer.
        """
        document = json_body(request, dict[str, Any])
        if document.get("mergeType", "conflict-free") != "conflict-free":
            raise BadPayload("'mergeType' can only be 'conflict-free'")
        child = self.repo(request).merge(self._parents(document), text(document, "note"))
        return Response(b'{"child": "%s"}' % child.uuid.encode(), JSON)

    @endpoint("POST", "api/repo/{uuid}/resolve", takes=JSON, returns=JSON)
    def resolve(self, request: Request) -> Response:
        """Merge committed versions, deciding conflicts in the instances ``data`` by the order of ``parents``."""
        document = json_body(request, dict[str, Any])
        names = texts(document.get("data"), "data")
        child = branching.resolve(self.repo(request), names, self._parents(document), text(document, "note"))
        return Response(b'{"child": "%s"}' % child.uuid.encode(), JSON)

    def _parents(self, document: dict[str, Any]) -> list[Any]:
        return [self.kernel.repos.resolve(parent) for parent in texts(document.get("parents"), "parents")]

    @endpoint("POST", "api/repo/{uuid}/make-master", takes=JSON, role="admin")
    def make_master(self, request: Request) -> Response:
        """Call the branch that begins at this version master, and the old one otherwise: ``{"oldMaster": name}``."""
        name = text(json_body(request, dict[str, Any]), "oldMaster", needed=True)
        branching.make_master(self.version(request), name)
        return Response()

    @endpoint("POST", "api/repo/{uuid}/hide-branch", takes=JSON, role="admin")
    def hide_branch(self, request: Request) -> Response:
        """Leave the versions of a branch out of listings and names: ``{"branch": name}``. Their data stays."""
        branch = text(json_body(request, dict[str, Any]), "branch", needed=True)
        branching.hide_branch(self.repo(request), branch)
        return Response()

    @endpoint("POST", "api/repo/{uuid}/rename", takes=JSON, role="admin")
    def rename_instance(self, request: Request) -> Response:
        """Give a data instance another name: ``{"old": name, "new": name}``, with ``passcode`` if the repo has one."""
        document = json_body(request, dict[str, Any])
        old, new = (text(document, name, needed=True) for name in ("old", "new"))
        upkeep.rename_instance(self.repo(request).instance(old), new, text(document, "passcode"))
        return Response()

    @endpoint(
        "DELETE",
        "api/repo/{uuid}/{data}",
        query=(Query("imsure", "must be true", ("true",)), Query("passcode", "the repo's passcode")),
        role="admin",
    )
    def delete_instance(self, request: Request) -> Response:
        """Delete a data instance with all its data in all versions; older clients of DVID do this by URL."""
        if not request.flag("imsure"):
            raise HTTPError(400, "deleting needs imsure=true")
        instance = self.repo(request).instance(request.path["data"])
        upkeep.delete_instance(instance, request.query.get("passcode", ""))
        return Response(f"Deleted {instance.name}".encode(), TEXT)

    @endpoint(
        "DELETE",
        "api/repo/{uuid}",
        query=(Query("imsure", "must be true", ("true",)), Query("passcode", "the repo's passcode")),
        role="admin",
    )
    def delete_repo(self, request: Request) -> Response:
        """Delete a repo with everything in it; the UUID must be its root's, in full."""
        repo = self.repo(request)
        if not request.flag("imsure") or request.path["uuid"] != repo.uuid:
            raise HTTPError(400, "deleting a repo needs the full UUID of its root and imsure=true")
        upkeep.delete_repo(repo, request.query.get("passcode", ""))
        return Response(f"Deleted repo {repo.uuid}".encode(), TEXT)
