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
_MASTER: Final = "master"
_IGNORED: Final = "X-DVID-Ignored-Settings"


class ServerVerbs:
    """The verbs, as requests to a server; see ``Verbs``. Deletions go on in the server.

    The token of ``DVIDKIT_ADMIN_TOKEN`` is shown, or else that of ``DVIDKIT_TOKEN``.
    """

    def __init__(self, url: str, environment: Environment | None = None) -> None:
        environment = environment or Environment.of()
        self._shown = url
        self._url = url.rstrip("/").removesuffix("/api")
        self._token = environment.admin_token or environment.token

    def summaries(self) -> list[Summary]:
        """All repos."""
        return [self._summary(info) for info in self._json("GET", "repos/info").values()]

    def summary(self, version: str) -> Summary:
        """The repo of a version."""
        return self._summary(self._info(version))

    def create_repo(self, alias: str, description: str, uuid: str, passcode: str) -> str:
        """A repo with an open root version; ``uuid`` may be empty."""
        texts = {"alias": alias, "description": description, "root": uuid, "passcode": passcode}
        return str(self._json("POST", "repos", {name: text for name, text in texts.items() if text})["root"])

    def delete_repo(self, uuid: str, passcode: str) -> None:
        """The repo of this root, with everything in it."""
        self._send("DELETE", f"repo/{quote(uuid)}{_sure(passcode)}")

    def create_instance(self, version: str, typename: str, name: str, settings: Mapping[str, str]) -> str:
        """A data instance at an open version; its data UUID."""
        document = {**settings, "typename": typename, "dataname": name}
        _, headers = self._send("POST", f"repo/{_at(version)}/instance", document)
        if _IGNORED in headers:
            click.echo(
                f"dvidkit: the server ignored settings that a {typename} does not have: {headers[_IGNORED]}", err=True
            )
        return str(self._info(version)["DataInstances"][name]["Base"]["DataUUID"])

    def rename_instance(self, version: str, old: str, new: str, passcode: str) -> None:
        """Another name for a data instance."""
        self._send("POST", f"repo/{_at(version)}/rename", {"old": old, "new": new, "passcode": passcode})

    def delete_instance(self, version: str, name: str, passcode: str) -> None:
        """A data instance with its data in all versions."""
        self._send("DELETE", f"repo/{_at(version)}/{quote(name, safe='')}{_sure(passcode)}")

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
        self._send("POST", f"repo/{_at(version)}/make-master", {"oldMaster": old_master})

    def hide_branch(self, version: str, branch: str) -> None:
        """A branch is left out of listings and names."""
        self._send("POST", f"repo/{_at(version)}/hide-branch", {"branch": branch})

    def commit(self, version: str, note: str, lines: Sequence[str]) -> str:
        """A version is locked for ever; its UUID."""
        document = {"note": note, "log": list(lines)}
        return str(self._json("POST", f"node/{_at(version)}/commit", document)["committed"])

    def set_note(self, version: str, note: str) -> None:
        """Another note for an open version."""
        self._send("POST", f"node/{_at(version)}/note", {"note": note})

    def add_log(self, version: str, lines: Sequence[str]) -> None:
        """Lines at the end of the log of an open version."""
        self._send("POST", f"node/{_at(version)}/log", {"log": list(lines)})

    def tag(self, version: str, name: str, note: str) -> str:
        """A name for a committed version that works as its UUID."""
        return self._child("node", version, "tag", {"tag": name, "note": note})

    # --- requests ----------------------------------------------------------------------------------------------------

    def _info(self, version: str) -> dict[str, Any]:
        info: dict[str, Any] = self._json("GET", f"repo/{_at(version)}/info")
        return info

    def _summary(self, info: Mapping[str, Any]) -> Summary:
        nodes = info["DAG"]["Nodes"].values()
        names = sorted({node["Branch"] or _MASTER for node in nodes}, key=lambda name: (name != _MASTER, name))
        lines = {
            name: self._json("GET", f"repo/{info['Root']}/branch-versions/{quote(name, safe='')}") for name in names
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
        return str(self._json("POST", f"{group}/{_at(version)}/{verb}", document)["child"])

    def _json(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Any:
        body, _ = self._send(method, path, document)
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError:
            raise Failure(
                f"{self._url} is no server of DVID's API: {method} {path} was not answered with JSON"
            ) from None

    def _send(
        self, method: str, path: str, document: Mapping[str, Any] | None = None
    ) -> tuple[bytes, Mapping[str, str]]:
        """The body and the headers of the answer.

        Raises:
            Failure: refused, with the server's own words, or not answered.
        """
        body = None if document is None else msgspec.json.encode(document)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            request = urllib.request.Request(f"{self._url}/api/{path}", body, headers, method=method)  # noqa: S310 - see is_url
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                return answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                words = error.read().decode(errors="replace")
            raise Failure(" ".join(words.split()) or f"{self._shown} answered {error.code}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Failure(f"no answer from {self._shown}: {getattr(error, 'reason', error)}") from None


def _at(version: str) -> str:
    return quote(version, safe=":~^")


def _sure(passcode: str) -> str:
    return "?" + urlencode({"imsure": "true", **({"passcode": passcode} if passcode else {})})
