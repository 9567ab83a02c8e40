"""bossDB's volume API: who may read, write and make."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("numpy")
pytest.importorskip("numcodecs")


from dvidkit_conformance.service.boss import BOX, cutout, packed, post, voxels


def test_tokens_as_clients_of_bossdb_send_them(make_service: Any, secret: str) -> None:
    """``Token`` is ``Bearer``; the token ``public`` is nobody's: it reads where nobody needs one."""
    service = make_service(jwt_secret=secret, admin_token="keys")
    service.repo.create_instance("uint8blk", "uint8")
    token = service.app.gatekeeper.issue("ann")
    body = packed(voxels())

    def write(value: str) -> int:
        return int(post(service, BOX, body, authorization=value).status_code)

    assert cutout(service, "uint8", authorization="Token public").status_code == 200
    assert write("Token public") == 401
    assert write("Token nonsense") == 401
    assert write(f"Basic {token}") == 401
    assert write(f"Token {token}") == 201
    assert service("GET", f"{service.node}/uint8/mutations").json()[0]["User"] == "ann"
    assert service("POST", "/v1/collection/new", headers={"authorization": f"Token {token}"}).status_code == 403
    assert service("POST", "/v1/collection/new", headers={"authorization": "token keys"}).status_code == 201
    service.repo.root.commit()
    assert write(f"Token {token}") == 400
    assert write("Token keys") == 201
    closed = make_service(jwt_secret=secret, public_read=False)
    assert closed("GET", "/v1/collection", headers={"authorization": "Token public"}).status_code == 401
    assert closed("GET", "/v1/collection", headers={"authorization": f"Token {token}"}).status_code == 200


def test_read_only(make_service: Any) -> None:
    """A service that takes no changes takes none here."""
    service = make_service(mode="readonly")
    service.repo.create_instance("uint8blk", "uint8")
    assert post(service, BOX, packed(voxels())).status_code == 400
    assert made_status(service) == 400
    assert json.loads(service("GET", "/v1/collection").content) == {"collections": ["demo"]}


def made_status(service: Any) -> int:
    """What making a collection is answered."""
    return int(service("POST", "/v1/collection/new", json={}).status_code)
