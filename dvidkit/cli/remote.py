"""The verbs of ``repos``, ``repo`` and ``node`` on a server that is running."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

import click
import msgspec

from dvidkit.cli.output import Failure
from dvidkit.cli.verbs import Summary
from dvidkit.config import Environment

_SECONDS: Final = 600.0
"""How long an answer may take: a commit or a merge of a large repo is one request."""
_JSON: Final = "application/json"
_MASTER: Final = "master"
_IGNORED: Final = "X-DVID-Ignored-Settings"


class Server:
    """A server that is running.

    The token of ``DVIDKIT_ADMIN_TOKEN`` is shown, or else that of ``DVIDKIT_TOKEN``.
    """

    def __init__(self, url: str, environment: Environment | None = None) -> None:
        environment = environment or Environment.of()
        self._shown = url
        self._url = url.rstrip("/").removesuffix("/api")
        self._token = environment.admin_token or environment.token

    def json(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Any:
        """What the answer's body says; errors as of ``send``, and Failure if it is not JSON."""
        body, _ = self.send(method, path, None if document is None else msgspec.json.encode(document), _JSON)
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError:
            raise Failure(
                f"{self._shown} is no server of DVID's API: {method} {path} was not answered with JSON"
            ) from None

    def send(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/octet-stream"
    ) -> tuple[bytes, Mapping[str, str]]:
        """The body and the headers of the answer. ``path`` is below ``/api/``.

        Raises:
            Refused: by the server, in its own words.
            Failure: not answered.
        """
        headers = {"Content-Type": kind} if body is not None else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        url = f"{self._url}/api/{path}"
        try:
            request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 - see is_url
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                return answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                words = error.read().decode(errors="replace")
            raise Refused(" ".join(words.split()) or f"{self._shown} answered {error.code}", error.code) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Failure(f"no answer from {self._shown}: {getattr(error, 'reason', error)}") from None


class Refused(Failure):
    """A server's refusal.

    Attributes:
        status: of the answer.
    """

    def __init__(self, words: str, status: int) -> None:
        super().__init__(words)
        self.status = status


def segment(name: str) -> str:
    """A name as a part of a path: a version, an instance, a branch, a key."""
    return quote(name, safe=":~^")


class ServerVerbs:
    """The verbs, as requests to a server; see ``Verbs``. Deletions go on in the server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def summaries(self) -> list[Summary]:
        """All repos."""
        return [self._summary(info) for info in self._server.json("GET", "repos/info").values()]

    def summary(self, version: str) -> Summary:
        """The repo of a version."""
        return self._summary(self._info(version))

    def create_repo(self, alias: str, description: str, uuid: str, passcode: str) -> str:
        """A repo with an open root version; ``uuid`` may be empty."""
        texts = {"alias": alias, "description": description, "root": uuid, "passcode": passcode}
        return str(self._server.json("POST", "repos", {name: text for name, text in texts.items() if text})["root"])

    def delete_repo(self, uuid: str, passcode: str) -> None:
        """The repo of this root, with everything in it."""
        self._server.send("DELETE", f"repo/{segment(uuid)}{_sure(passcode)}")

    def create_instance(self, version: str, typename: str, name: str, settings: Mapping[str, str]) -> str:
        """A data instance at an open version; its data UUID."""
        document = {**settings, "typename": typename, "dataname": name}
        _, headers = self._post(f"repo/{segment(version)}/instance", document)
        if _IGNORED in headers:
            click.echo(
                f"dvidkit: the server ignored settings that a {typename} does not have: {headers[_IGNORED]}", err=True
            )
        return str(self._info(version)["DataInstances"][name]["Base"]["DataUUID"])

    def rename_instance(self, version: str, old: str, new: str, passcode: str) -> None:
        """Another name for a data instance."""
        self._post(f"repo/{segment(version)}/rename", {"old": old, "new": new, "passcode": passcode})

    def delete_instance(self, version: str, name: str, passcode: str) -> None:
        """A data instance with its data in all versions."""
        self._server.send("DELETE", f"repo/{segment(version)}/{segment(name)}{_sure(passcode)}")

    def make_branch(self, version: str, name: str, note: str, uuid: str) -> str:
        """An open version on a new branch below a committed one."""
        return self._child("node", version, "branch", {"branch": name, "note": note, "uuid": uuid})

    def new_version(self, version: str, note: str, uuid: str) -> str:
        """An open version below a committed one."""
        return self._child("node", version, "newversion", {"note": note, "uuid": uuid})

    def merge(self, versions: Sequence[str], note: str) -> str:
        """An open version below committed ones."""
        document = {"mergeType": "conflict-free", "parents": list(versions), "note": note}
        return self._child("repo", versions[0], "merge", document)

    def resolve(self, versions: Sequence[str], data: Sequence[str], note: str) -> str:
        """A merge, in which the first version decides in the instances ``data``."""
        document = {"data": list(data), "parents": list(versions), "note": note}
        return self._child("repo", versions[0], "resolve", document)

    def make_master(self, version: str, old_master: str) -> None:
        """The branch that begins at the version becomes master, the old master gets a name."""
        self._post(f"repo/{segment(version)}/make-master", {"oldMaster": old_master})

    def hide_branch(self, version: str, branch: str) -> None:
        """A branch is left out of listings and names."""
        self._post(f"repo/{segment(version)}/hide-branch", {"branch": branch})

    def commit(self, version: str, note: str, lines: Sequence[str]) -> str:
        """A version is locked for ever; its UUID."""
        document = {"note": note, "log": list(lines)}
        return str(self._server.json("POST", f"node/{segment(version)}/commit", document)["committed"])

    def set_note(self, version: str, note: str) -> None:
        """Another note for an open version."""
        self._post(f"node/{segment(version)}/note", {"note": note})

    def add_log(self, version: str, lines: Sequence[str]) -> None:
        """Lines at the end of the log of an open version."""
        self._post(f"node/{segment(version)}/log", {"log": list(lines)})

    def tag(self, version: str, name: str, note: str) -> str:
        """A name for a committed version that works as its UUID."""
        return self._child("node", version, "tag", {"tag": name, "note": note})

    def _info(self, version: str) -> dict[str, Any]:
        info: dict[str, Any] = self._server.json("GET", f"repo/{segment(version)}/info")
        return info

    def _summary(self, info: Mapping[str, Any]) -> Summary:
        nodes = info["DAG"]["Nodes"].values()
        names = sorted({node["Branch"] or _MASTER for node in nodes}, key=lambda name: (name != _MASTER, name))
        lines = {
            name: self._server.json("GET", f"repo/{info['Root']}/branch-versions/{segment(name)}") for name in names
        }
        return Summary(
            info["Root"],
            info["Alias"],
            info["Description"],
            len(nodes),
            {name: line[0] for name, line in lines.items() if line},
            {name: instance["Base"]["DataUUID"] for name, instance in sorted(info["DataInstances"].items())},
        )

    def _child(self, group: str, version: str, verb: str, document: Mapping[str, Any]) -> str:
        return str(self._server.json("POST", f"{group}/{segment(version)}/{verb}", document)["child"])

    def _post(self, path: str, document: Mapping[str, Any]) -> tuple[bytes, Mapping[str, str]]:
        return self._server.send("POST", path, msgspec.json.encode(document), _JSON)


def _sure(passcode: str) -> str:
    return "?" + urlencode({"imsure": "true", **({"passcode": passcode} if passcode else {})})
