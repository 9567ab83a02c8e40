"""Every row of the table in ``docs/http.md``: each status that it names (``requests.toml``), and who may ask for it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numpy")

from dvidkit_images.kinds import DATATYPES

from dvidkit.datatype import Datatype
from dvidkit.endpoints import Endpoint
from dvidkit.http import create_app
from dvidkit.http.groups import OWN, offered
from dvidkit.http.service import Limits
from dvidkit.http.tables import statuses
from dvidkit.plugins import Plugins

Headers = Mapping[str, str]
TOKEN = "the-admin-token"
ADMIN = {"x-dvid-admin-token": TOKEN}
MOST = 1 << 19
DONE = {200, 201, 204}
GOOD = {*DONE, 404}
_SIDE = {"start": 0, "stop": 8, "voxel_size": 4}
_CHANNELS = ("held/channel/em", "held/channel/shared", "other/channel/shared")
HERE = Path(__file__)
REQUESTS: list[dict[str, Any]] = tomllib.loads(HERE.with_name("requests.toml").read_text("utf-8"))["request"]
IMAGES = {kind.typename: kind.voxel.size for kind in DATATYPES}
TYPES: dict[str, type[Datatype]] = {
    name: each for name, each in Plugins().datatypes.items() if name in ("keyvalue", "roi", *IMAGES)
}


def rows() -> Iterator[tuple[str, Endpoint]]:
    """(datatype or nothing, row) of everything in the table."""
    for api in (*OWN, *offered(Plugins())):
        yield from (("", row) for row in api.endpoints)
    for name, datatype in sorted(TYPES.items()):
        yield from ((name, row) for row in datatype.endpoints)


def samples(typename: str, row: Endpoint) -> list[dict[str, Any]]:
    """The requests of ``requests.toml`` for a row."""
    families = {typename, "images"} if typename in IMAGES else {typename}
    return [each for each in REQUESTS if each["row"] == f"{row.method} {row.path}" and each.get("of", "") in families]


class Asker:
    """A service with something of everything, and the requests of a row."""

    def __init__(self, service: Any, typename: str, row: Endpoint) -> None:
        self.service = service
        self.row = row
        self.typename = typename
        self.names = {"root": service.uuid}
        root = service.repo.root
        for name in TYPES:
            if name != "roi":
                service.repo.create_instance(name, name)
        root["keyvalue"].put("a", b'"hello"')
        root["roi"].replace([(0, 0, 0, 1)])
        self.names["blob"] = service.repo.instance("keyvalue").store.put_blob(b"a blob")
        for name, size in IMAGES.items():
            body = bytes(range(256)) * (32**3 * size // 256)
            url = f"{service.node}/{name}/raw/0_1_2/32_32_32/0_0_0"
            assert service("POST", url, content=body, headers=ADMIN).status_code == 200
        for place in ("demo", "demo/master", "demo/master/uint8blk"):
            service("POST", f"/v1/meta/{place}?key=note&value=text", headers=ADMIN)
        self._graph()
        self._collections()

    def _graph(self) -> None:
        """Another repo: a committed root with two committed children."""
        repo = self.service.kernel.repos.create("graph")
        repo.create_instance("keyvalue", "keyvalue")
        repo.root.commit()
        left, right = repo.root.new_version(), repo.root.make_branch("side")
        for version in (left, right):
            version["keyvalue"].put("a", version.uuid.encode())
            version.commit()
        self.names |= {"graph": repo.uuid, "left": left.uuid, "right": right.uuid}

    def _collections(self) -> None:
        """What a client of bossDB makes: collections, frames, experiments and channels."""
        bounds = {f"{axis}_{what}": value for axis in "xyz" for what, value in _SIDE.items()}
        full = "/v1/collection/full/experiment"
        made: list[tuple[str, dict[str, Any]]] = [
            ("/v1/collection/empty", {}),
            ("/v1/collection/full", {}),
            ("/v1/coord/taken", bounds),
            ("/v1/coord/free", bounds),
            *((f"{full}/{name}", {"coord_frame": "taken"}) for name in ("bare", "held", "other")),
            *((f"{full}/{place}", {"datatype": "uint8"}) for place in _CHANNELS),
        ]
        for url, document in made:
            assert self.service("POST", url, json=document, headers=ADMIN).status_code == 201, url

    def dump(self) -> list[tuple[bytes, bytes]]:
        """Everything that is stored."""
        with self.service.kernel.stores["default"].instant() as access:
            return list(access.scan(b"\x00", b"\xff"))

    def ask(self, sample: dict[str, Any], *, content: bytes | None = None, headers: Headers = ADMIN) -> int:
        """Send a request of the row as an administrator unless headers say otherwise; the status of the answer."""
        values = {"uuid": "{root}", "data": self.typename or "keyvalue", **sample.get("path", {})}
        path = f"api/node/{{uuid}}/{{data}}/{self.row.path}" if self.typename else self.row.path
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", self._filled(value))
        sent = {**headers, **sample.get("headers", {})}
        url = f"/{path}?{sample.get('query', '')}"
        body = self._body(sample) if content is None else {"content": content}
        return int(self.service(self.row.method, url, headers=sent, **body).status_code)

    def _filled(self, text: str) -> str:
        for name, value in self.names.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def _body(self, sample: dict[str, Any]) -> dict[str, Any]:
        if "json" in sample:
            import msgspec

            return {"content": self._filled(msgspec.json.encode(sample["json"]).decode()).encode()}
        if "voxels" in sample:
            return {"content": bytes(sample["voxels"] * IMAGES[self.typename])}
        if "bytes" in sample:
            return {"content": bytes(sample["bytes"])}
        return {"content": sample["text"].encode()} if "text" in sample else {}

    def reached(self) -> set[int]:
        """The statuses that this row, and no other, has answered with its own method."""
        counted = self.service("GET", "/metrics").text.splitlines()
        start = f'dvidkit_requests_total{{method="{self.row.method}",endpoint="{self.row.path}",status="'
        return {int(line.removeprefix(start)[:3]) for line in counted if line.startswith(start)}


@pytest.mark.parametrize(
    ("typename", "row"), [pytest.param(*each, id=f"{each[0]}-{each[1].method}-{each[1].path}") for each in rows()]
)
def test_row(make_service: Any, secret: str, typename: str, row: Endpoint) -> None:
    """Answers each status that the table names, and no other; a refusal changes nothing that is stored."""
    service = make_service(jwt_secret=secret, admin_token=TOKEN, limits=Limits(body=MOST))
    asker, mine = Asker(service, typename, row), samples(typename, row)
    wanted = set(statuses(row, below_instance=bool(typename)))
    assert {sample.get("status", 200) for sample in mine} <= wanted, "requests.toml has a status the table has not"
    good = next(sample for sample in mine if sample.get("status", 200) == min(wanted & GOOD))
    bearer = {"authorization": f"Bearer {service.app.gatekeeper.issue('ann')}"}
    before = asker.dump()
    if 401 in wanted:
        assert asker.ask(good, headers={}) == 401
    if row.role == "admin":
        assert asker.ask(good, headers=bearer) == 403
    if 413 in wanted:
        assert asker.ask(good, content=bytes(MOST + 1)) == 413
    if 400 in wanted:
        assert refused(asker, good, make_service) == 400
    for sample in sorted(mine, key=lambda sample: sample.get("status", 200) in DONE):
        if sample.get("status", 200) in DONE:
            assert asker.dump() == before
        status = asker.ask(sample, headers=bearer if sample.get("signed") else ADMIN)
        assert status == sample.get("status", 200), sample
    assert asker.reached() | {400} & wanted == wanted


def refused(asker: Asker, good: dict[str, Any], make_service: Any) -> int:
    """The status of a request that is wrong whatever the row does: of no version, of no document, or of no right."""
    if "{uuid}" in asker.row.path or asker.typename:
        return asker.ask({**good, "path": {**good.get("path", {}), "uuid": "0badcafe"}})
    if asker.row.takes:
        return asker.ask(good, content=b"\xff{")
    if asker.row.role == "user":
        return 400
    if not asker.row.mutates:
        return asker.ask(next(each for each in samples("", asker.row) if each.get("status") == 400))
    reading = make_service(mode="readonly")
    return int(reading(asker.row.method, f"/{asker.row.path}").status_code)


# --- who may do what -------------------------------------------------------------------------------------------------

BOX = "{collection}/{experiment}/{channel}/{resolution}/{x}/{y}/{z}"

LOCKED = frozenset(
    {
        "POST v1/collection/{collection}/experiment/{experiment}/channel/{channel}",
        *(
            f"{method}/{BOX}{times}"
            for method in ("POST v1/cutout", "PUT v1/cutout/to_black")
            for times in ("", "/{t}")
        ),
        "POST api/repo/{uuid}/instance",
        "POST api/node/{uuid}/note",
        "POST api/node/{uuid}/log",
        "POST api/node/{uuid}/commit",
        "POST api/node/{uuid}/{data}/tags",
        "POST api/node/{uuid}/{data}/sync",
    }
)
"""Rows of the service that a committed version refuses; of datatypes it refuses every row that mutates."""

NEVER = frozenset(
    {
        "POST v1/collection/{collection}/experiment/{experiment}/channel/{channel}",
        "POST api/repo/{uuid}/instance",
        "POST api/node/{uuid}/commit",
    }
)
"""Of these, what a committed version refuses to everybody."""


def status_for(typename: str, row: Endpoint, caller: str, mode: str) -> int:
    """By the rules: 400 for changes in read-only mode and of committed versions, 401 and 403 for lacking rights."""
    name = f"{row.method} {row.path}"
    if mode == "readonly" and row.mutates:
        return 400
    if caller == "anonymous" and (row.mutates or row.role):
        return 401
    if row.role == "admin" and caller != "admin":
        return 403
    locked = mode != "open" and row.mutates and (bool(typename) or name in LOCKED)
    if locked and mode != "readonly" and (name in NEVER or (mode == "locked" and caller != "admin")):
        return 400
    return min(set(statuses(row, below_instance=bool(typename))) & GOOD)


class Matrix:
    """Services of one mode, with the root version committed unless the mode is ``open``; a new one for each change."""

    def __init__(self, make_service: Any, secret: str, mode: str) -> None:
        self._new = lambda: make_service(jwt_secret=secret, admin_token=TOKEN)
        self._mode: Any = mode if mode in ("readonly", "fullwrite") else "normal"
        self._commit = mode != "open"
        self._unchanged: Asker | None = None

    def asker(self, typename: str, row: Endpoint, *, changes: bool) -> Asker:
        """What asks for a row: of a service that nothing was changed in."""
        asker = self._unchanged
        if asker is None:
            asker = self._unchanged = Asker(self._new(), typename, row)
            if self._commit:
                asker.service.repo.root.commit()
            service = asker.service
            service.app = create_app(service.kernel, replace(service.app.config, mode=self._mode))
        asker.typename, asker.row = typename, row
        if changes:
            self._unchanged = None
        return asker


@pytest.mark.parametrize("caller", ["anonymous", "user", "admin"])
@pytest.mark.parametrize("mode", ["open", "locked", "readonly", "fullwrite"])
def test_the_role_matrix(make_service: Any, secret: str, mode: str, caller: str) -> None:
    """Every row of the service and of three datatypes: anonymous, user, administrator; open, committed, both modes."""
    matrix = Matrix(make_service, secret, mode)
    for typename, row in rows():
        if typename in IMAGES and typename != "uint8blk":
            continue
        wanted = status_for(typename, row, caller, mode)
        good = next(each for each in samples(typename, row) if each.get("status", 200) in GOOD)
        asker = matrix.asker(typename, row, changes=wanted in DONE and row.mutates)
        token = asker.service.app.gatekeeper.issue("ann")
        headers = {"user": {"authorization": f"Bearer {token}"}, "admin": ADMIN}.get(caller, {})
        assert asker.ask(good, headers=headers) == wanted, f"{row.method} {row.path} of {typename or 'the service'}"


def test_every_request_is_of_a_row() -> None:
    """What is asked for exists; nothing is left over from a row that is gone."""
    known = {(name if name not in IMAGES else "images", f"{row.method} {row.path}") for name, row in rows()}
    asked = {(each.get("of", ""), each["row"]) for each in REQUESTS}
    assert asked == known


def test_head_answers_as_get(make_service: Any, secret: str) -> None:
    """For every ``GET`` that has no ``HEAD`` of its own: the same status and media type, and no body."""
    service = make_service(jwt_secret=secret, admin_token=TOKEN)
    own = {(name, row.path) for name, row in rows() if row.method == "HEAD"}
    asker: Asker | None = None
    for typename, row in rows():
        if row.method != "GET" or (typename, row.path) in own or row.takes or row.mutates:
            continue
        if asker is None:
            asker = Asker(service, typename, row)
        asker.typename, asker.row = typename, row
        good = samples(typename, row)[0]
        status = asker.ask(good)
        asker.row = type(row)("HEAD", *[getattr(row, name) for name in row.__struct_fields__ if name != "method"])
        assert asker.ask(good) == status, row.path
