"""The endpoint tables as text for the documentation, with the statuses that each row answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from dvidkit.datatype import Datatype
from dvidkit.endpoints import JSON, Endpoint
from dvidkit.http.api import Api
from dvidkit.http.groups import OWN

_NAMED: Final = re.compile(r"\b(?:[245]\d\d|304)\b")
_ALWAYS: Final = re.compile(r"Always (\d\d\d)\b")


def statuses(row: Endpoint, *, below_instance: bool = False) -> tuple[int, ...]:
    """What a row answers, beside what every row may answer (405, 429, 500, 503).

    Its row's status of success, mostly 200; 400 if something in the request can be wrong; 401 and 403 where a token can
    be asked for; 413 if it takes a body; and what its description names, alone where it says ``Always``.
    """
    always = _ALWAYS.match(row.description)
    found = {int(always[1]) if always else row.status, *map(int, _NAMED.findall(row.description))}
    if below_instance or "{uuid}" in row.path or row.takes == JSON or (row.mutates and row.method != "GET"):
        found.add(400)
    if row.mutates or row.role:
        found.add(401)
    if row.role == "admin":
        found.add(403)
    if row.takes:
        found.add(413)
    return tuple(sorted(found))


def markdown(datatypes: Iterable[type[Datatype]], groups: Iterable[type[Api]] = ()) -> str:
    """Every endpoint of the service, of plugins' groups and of datatypes: method, path, what it does, statuses."""
    lines: list[str] = []
    for api in (*OWN, *groups):
        lines += _table(api.title, api.endpoints, "/")
    for datatype in sorted(datatypes, key=lambda each: each.typename):
        lines += _table(f"`{datatype.typename}`", datatype.endpoints, "/api/node/{uuid}/{data}/", below_instance=True)
    return "\n".join(lines) + "\n"


def _table(title: str, rows: Iterable[Endpoint], prefix: str, *, below_instance: bool = False) -> Iterator[str]:
    yield f"\n### {title}\n"
    yield "| method | path | what | statuses |"
    yield "|---|---|---|---|"
    for row in rows:
        shown = ", ".join(map(str, statuses(row, below_instance=below_instance)))
        marks = " *(administrators)*" if row.role == "admin" else ""
        method = f"{row.method}, POST" if row.method == "GET" and row.takes else row.method
        yield f"| {method} | `{prefix}{row.path}` | {row.summary}{marks} | {shown} |"
