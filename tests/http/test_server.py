"""The server's own endpoints, who may call them, CORS, metrics."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from dvidkit.errors import BadConfig
from dvidkit.http.auth import Gatekeeper
from dvidkit.http.service import ServiceConfig

# --- what it is ------------------------------------------------------------------------------------------------------


def test_info(make_service: Any) -> None:
    """All are texts; the version has DVID's form; a mode is named."""
    info = make_service(note="n", host="h", mode="readonly")("GET", "/api/server/info").json()
    assert all(isinstance(value, str) for value in info.values())
    major, minor, patch = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)", info["DVID Version"]).groups()  # type: ignore[union-attr]
    assert (int(major), int(minor), int(patch)) >= (0, 8, 24)
    assert (info["Note"], info["Host"], info["Mode"]) == ("n", "h", "read only")
    assert make_service(mode="fullwrite")("GET", "/api/server/info").json()["Mode"] == "allow writes on committed nodes"


def test_small_answers(make_service: Any) -> None:
    """Note, configuration, types, cache, load, storage, help."""
    service = make_service(note="a note", config_text="[server]")
    assert service("GET", "/api/server/note").text == "a note"
    assert service("GET", "/api/server/config").text == "[server]"
    assert {"roi", "sample-tally"} <= set(service("GET", "/api/server/types").json())
    assert {"roi", "sample-tally"} <= set(service("GET", "/api/server/compiled-types").json())
    assert service("GET", "/api/server/groupcache").json() == {}
    load = service("GET", "/api/load").json()
    assert all(isinstance(value, int) for value in load.values())
    assert len(load) == 12
    storage = service("GET", "/api/storage").json()["default"]
    assert {entry["InstanceName"] for entry in storage.values()} == {"t", "m", "roi"}
    page = service("GET", "/api/help")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "sample-tally" in page.text
    assert "partition" in service("GET", "/api/help/roi").text
    assert service("GET", "/api/help/nothing").status_code == 400


def test_heartbeats(service: Any) -> None:
    """OK; with ``u`` the time between two is kept, by user."""
    assert service("GET", "/api/heartbeat").text == "OK"
    for _ in range(3):
        assert service("GET", "/api/heartbeat?u=me").text == "OK"
    found = service("GET", "/api/user-latencies").json()["me"]
    assert {*found} == {"User", "LastPing", "LastLatency", "MinLatency", "MaxLatency"}
    assert found["MinLatency"] <= found["LastLatency"] <= found["MaxLatency"]
    assert service("GET", "/api/user-latencies?u=you").json()["User"] == "you"


def test_settings(service: Any) -> None:
    """``throttle`` as text or number; what cannot be is refused."""
    for good in ({"throttle": "3"}, {"throttle": 2, "gc": "500"}, {}):
        assert service("POST", "/api/server/settings", json=good).status_code == 200
    assert service.app.pool.max_throttled == 2
    for bad in ({"throttle": "0"}, {"throttle": "9" * 5000}, {"throttle": "\u0663"}, {"throttle": True}, {"x": 1}, []):
        assert service("POST", "/api/server/settings", json=bad).status_code == 400, bad
    assert service.app.pool.max_throttled == 2


def test_reloading(service: Any) -> None:
    """Metadata, by DVID's clients' GET too; repos are still there."""
    assert service("POST", "/api/server/reload-metadata").status_code == 200
    assert service("GET", "/api/server/reload-metadata").status_code == 200
    assert service("POST", "/api/server/reload-auth").status_code == 200
    assert service("GET", f"/api/repo/{service.uuid}/info").status_code == 200


# --- who may ---------------------------------------------------------------------------------------------------------


def rows(service: Any) -> list[tuple[str, str, Any]]:
    """Every endpoint there is, as method, URL and row."""
    found = [(route.endpoint, f"/{route.endpoint.path}") for route in service.app.routes.all]
    for name in ("t", "roi"):
        found += [(row, f"{service.node}/{name}/{row.path}") for row in service.repo.instance(name).datatype.endpoints]
    values = {
        "uuid": service.uuid,
        "data": "t",
        "typename": "roi",
        "size": "1_1_1",
        "offset": "0_0_0",
        "plane": "0_1_2",
    }
    return [
        (row.method, re.sub(r"{(\w+?)(\.\.\.)?}", lambda match: values.get(match[1], "x"), url), row)
        for row, url in found
    ]


def test_the_role_matrix(make_service: Any, secret: str) -> None:
    """Every row by anonymous, user, administrator: 401 and 403 exactly where its table says that it needs more."""
    service = make_service(jwt_secret=secret, admin_token="boss")
    user = {"authorization": f"Bearer {service.app.gatekeeper.issue('me')}"}
    for method, url, row in rows(service):
        needs_token = row.mutates or bool(row.role)
        if "wait" in url or "crash" in url:
            continue
        assert (service(method, url).status_code == 401) == needs_token, (method, url)
        if row.mutates:
            continue
        assert (service(method, url, headers=user).status_code == 403) == (row.role == "admin"), (method, url)
        assert service(method, url, headers={"x-dvid-admin-token": "boss"}).status_code not in (401, 403), (method, url)
    for method, url, row in rows(service):
        if row.mutates and row.role == "admin":
            assert service(method, url, headers=user).status_code == 403, (method, url)


def test_where_reading_needs_a_token(make_service: Any, secret: str) -> None:
    """Nothing is read without one but what tells nothing: the console's page, in which one is given."""
    service = make_service(jwt_secret=secret, public_read=False)
    public = {url for method, url, _ in rows(service) if method == "GET" and service(method, url).status_code != 401}
    assert public == {"/", "/console"}


def test_read_only_refuses_every_change(make_service: Any) -> None:
    """Every row that changes something is 400, and no other."""
    service = make_service(mode="readonly")
    for method, url, row in rows(service):
        if "wait" not in url and "crash" not in url:
            refused = "read-only" in service(method, url).text
            assert refused == (row.mutates and method != "HEAD"), (method, url)


def test_full_write_lets_committed_versions_be_written(make_service: Any) -> None:
    """Data, notes and tags."""
    service = make_service(mode="fullwrite")
    service("POST", f"{service.node}/commit")
    assert service("POST", f"{service.node}/t/value/a", content=b"1").status_code == 200
    assert service("POST", f"{service.node}/note", json={"note": "x"}).status_code == 200
    assert service("POST", f"{service.node}/t/tags", json={"a": "b"}).status_code == 200


@pytest.mark.parametrize("way", ["x-dvid-admin-token", "authorization", "query"])
def test_the_admin_token_writes_committed_versions(make_service: Any, way: str) -> None:
    """By either header or by DVID's query argument; a wrong one is nobody's."""
    service = make_service(admin_token="boss")
    service("POST", f"{service.node}/commit")

    def send(token: str) -> list[int]:
        headers = {way: f"Bearer {token}" if way == "authorization" else token} if way != "query" else {}
        query = f"?admintoken={token}" if way == "query" else ""
        return [
            service("POST", f"{service.node}/{path}{query}", headers=headers, json=body).status_code
            for path, body in (
                ("t/value/a", 1),
                ("note", {"note": "x"}),
                ("log", {"log": ["x"]}),
                ("t/tags", {"a": "b"}),
            )
        ]

    assert send("wrong") == [400] * 4
    assert send("") == [400] * 4
    assert send("boss") == [200] * 4
    assert service("POST", "/api/repos").status_code == 403


def test_without_an_admin_token_a_secret_makes_nobody_an_administrator(make_service: Any, secret: str) -> None:
    """Otherwise everybody could have a token for any user, and users could delete repos."""
    service = make_service(jwt_secret=secret)
    assert service("GET", "/api/server/token?user=me").status_code == 401
    token = service.app.gatekeeper.issue("me")
    user = {"authorization": f"bearer {token}"}
    assert service("GET", "/api/server/token?user=you", headers=user).status_code == 403
    renewed = service("GET", "/api/server/token", headers=user)
    assert jwt.decode(renewed.text, secret, algorithms=["HS256"])["user"] == "me"
    url = f"/api/repo/{service.uuid}?imsure=true"
    assert service("DELETE", url, headers=user).status_code == 403
    assert service("DELETE", url).status_code == 401


def test_tokens(make_service: Any, secret: str) -> None:
    """Issued, used, recorded; expired, unsigned, of another key, without a user or an end: 401 with a challenge."""
    service = make_service(jwt_secret=secret, admin_token="boss")
    token = service("GET", "/api/server/token?user=me&admintoken=boss").text
    url = f"{service.node}/t/value/a"
    assert (
        service("POST", f"{url}?u=other", content=b"1", headers={"authorization": f"Bearer {token}"}).status_code == 200
    )
    assert service("GET", f"{service.node}/t/mutations").json()[0]["User"] == "me"
    now = int(time.time())
    claims = {"user": "me", "iat": now, "exp": now + 60}
    bad = [
        jwt.encode({**claims, "exp": now - 60}, secret, "HS256"),
        jwt.encode(claims, "", "none"),
        jwt.encode(claims, "x" * 32, "HS256"),
        jwt.encode(claims, secret * 2, "HS512"),
        jwt.encode({"iat": now, "exp": now + 60}, secret, "HS256"),
        jwt.encode({"user": "me", "iat": now}, secret, "HS256"),
        token[:-4],
        "x",
        "\xe9",
    ]
    for each in bad:
        answer = service("POST", url, headers={"authorization": f"Bearer {each}".encode("latin-1")})
        assert answer.status_code == 401, each
        assert answer.headers["www-authenticate"] == "Bearer"
    assert service("GET", url).status_code == 200
    assert make_service(jwt_secret=secret, public_read=False)("GET", "/api/repos/info").status_code == 401


def test_a_service_without_a_secret_issues_nothing(service: Any) -> None:
    """400, with the reason; and whose token is asked for must be said."""
    assert service("GET", "/api/server/token?user=me").status_code == 400
    assert service("GET", "/api/server/token").status_code == 400


@pytest.mark.parametrize("config", [{"jwt_secret": "short"}, {"blocklist": ("x=1",)}, {"blocklist": ("u=",)}])
def test_a_configuration_that_cannot_be(config: Any) -> None:
    """Said when the service is made."""
    with pytest.raises(BadConfig):
        Gatekeeper(ServiceConfig(**config))


def test_the_blocklist(make_service: Any, tmp_path: Path) -> None:
    """Users and addresses are 429 with the note; the file is read again when told, and kept if it is wrong."""
    file = tmp_path / "blocked"
    file.write_text("u=bob,too much\n\nip=10.0.0.*\n")
    service = make_service(blocklist_file=str(file), blocklist=("ip=1.2.3.4,no",), trusted_proxies=("127.0.0.1",))
    answer = service("GET", "/api/heartbeat?u=bob")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert 'User "bob" is blocked: too much' in answer.text
    for hops, status in (
        ("1.2.3.4", 429),
        ("10.0.0.77", 429),
        ("10.0.1.77", 200),
        ("8.8.8.8, 1.2.3.4", 429),
        ("1.2.3.4, 8.8.8.8", 200),
        ("1.2.3.4, 127.0.0.1", 429),
        ("", 200),
    ):
        assert service("GET", "/api/heartbeat", headers={"x-forwarded-for": hops}).status_code == status, hops
    file.write_text("u=ann\n")
    assert service("POST", "/api/server/reload-blocklist").status_code == 200
    assert service("GET", "/api/heartbeat?u=bob").status_code == 200
    assert service("GET", "/api/heartbeat?u=ann").status_code == 429
    file.write_text("nonsense")
    assert service("POST", "/api/server/reload-blocklist").status_code == 400
    assert service("GET", "/api/heartbeat?u=ann").status_code == 429
    file.unlink()
    assert service("POST", "/api/server/reload-blocklist").status_code == 400


# --- cors and metrics ------------------------------------------------------------------------------------------------


def preflight(service: Any, method: str, origin: str = "http://a") -> httpx.Headers:
    """The headers of the answer to a browser that asks first."""
    headers = {"origin": origin, "access-control-request-method": method}
    answer: httpx.Response = service("OPTIONS", f"{service.node}/t/value/a", headers=headers)
    assert answer.status_code == 204
    return answer.headers


def test_any_page_may_read(make_service: Any) -> None:
    """By default; an answer without headers of its own exposes none; preflights allow reading alone."""
    service = make_service(allow_timing=True)
    answer = service("GET", "/api/heartbeat")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-expose-headers" not in answer.headers
    assert answer.headers["timing-allow-origin"] == "*"
    found = preflight(service, "GET")
    assert found["access-control-allow-origin"] == "*"
    assert found["access-control-allow-methods"] == "GET, HEAD"
    assert "Range" in found["access-control-allow-headers"]
    assert service("GET", "/nothing").headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in service("POST", f"{service.node}/t/value/a", content=b"x").headers


def test_some_pages_may_do_everything(make_service: Any) -> None:
    """Only the origins of the list, exactly; no others read; caches are told that it matters."""
    service = make_service(cors=("http://good.org/",))
    good = service("GET", "/api/heartbeat", headers={"origin": "http://good.org"})
    assert good.headers["access-control-allow-origin"] == "http://good.org"
    assert "POST" in preflight(service, "POST", "http://good.org")["access-control-allow-methods"]
    for origin in ("http://evil.org", "http://good.org.evil.org", "null", ""):
        answer = service("GET", "/api/heartbeat", headers={"origin": origin})
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "Origin"
        assert "access-control-allow-origin" not in preflight(service, "GET", origin)
    assert good.headers.get_list("vary") == ["Origin"]


def test_all_pages_may_do_everything(make_service: Any) -> None:
    """Where that is configured."""
    service = make_service(cors=("*",))
    assert "POST" in preflight(service, "POST")["access-control-allow-methods"]
    answer = service("POST", f"{service.node}/t/value/a", content=b"x", headers={"origin": "http://a"})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "*")


@pytest.mark.parametrize(
    ("cors", "headers", "status"),
    [
        ((), {}, 200),
        ((), {"origin": "http://evil.org"}, 403),
        ((), {"origin": "null"}, 403),
        ((), {"origin": "http://test.evil.org"}, 403),
        ((), {"origin": "http://test:81"}, 403),
        ((), {"origin": "http://evil.org", "sec-fetch-site": "cross-site"}, 403),
        ((), {"origin": "http://evil.org", "sec-fetch-site": "same-site"}, 403),
        ((), {"origin": "http://test"}, 200),
        ((), {"origin": "http://TEST:80"}, 200),
        ((), {"origin": "https://test"}, 200),
        ((), {"origin": "http://front.org", "sec-fetch-site": "same-origin"}, 200),
        (("http://good.org",), {"origin": "http://good.org"}, 200),
        (("http://good.org",), {"origin": "http://evil.org"}, 403),
        (("http://good.org",), {"origin": "http://test"}, 200),
        (("*",), {"origin": "http://evil.org"}, 200),
    ],
)
def test_pages_of_foreign_origins_change_nothing(
    make_service: Any, cors: tuple[str, ...], headers: dict[str, str], status: int
) -> None:
    """A change that a foreign page makes a browser send is refused before it has any effect."""
    service = make_service(cors=cors)
    url = f"{service.node}/t/value/a"
    assert service("POST", url, content=b"x", headers=headers).status_code == status
    assert service("GET", url).status_code == (200 if status == 200 else 404)
    assert service("POST", f"{service.node}/commit", json={}, headers=headers).status_code == status
    assert service("GET", f"{service.node}/status").json() == {"Locked": status == 200}


def test_foreign_pages_ask_by_post(service: Any) -> None:
    """What changes nothing is not refused."""
    answer = service("POST", f"{service.node}/roi/ptquery", json=[[1, 2, 3]], headers={"origin": "http://evil.org"})
    assert answer.json() == [False]


def test_metrics_are_prometheus_text(service: Any) -> None:
    """Every line is a comment or a sample; names have one type; a method that nobody knows makes no new series."""
    service("GET", f"{service.node}/t/value/a")
    for number in range(5):
        service(f"BREW{number}", "/nothing")
    answer = service("GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    sample = re.compile(r'([a-z_]+)(\{[a-z]+="[^"\\\n]*"(,[a-z]+="[^"\\\n]*")*\})? [0-9.e+-]+')
    types: dict[str, str] = {}
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types
            types[name] = kind
        elif not line.startswith("# HELP "):
            match = sample.fullmatch(line)
            assert match, line
            assert re.sub("_(bucket|sum|count)$", "", match[1]) in types or match[1] in types
    assert 'method="other",endpoint="unmatched",status="404"} 5' in answer.text
    assert 'endpoint="value/{name...}",status="404"} 1' in answer.text
