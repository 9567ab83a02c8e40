"""Help texts, generated from the endpoint tables."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from inspect import cleandoc

from dvidkit.datatype import Datatype
from dvidkit.endpoints import Endpoint


def datatype_help(datatype: type[Datatype]) -> str:
    """What a datatype is and answers, as plain text."""
    head = f"{datatype.typename} (version {datatype.version})\n{'=' * len(datatype.typename)}\n\n"
    intro = cleandoc(datatype.__doc__ or datatype.summary).replace("``", "")
    rows = "\n".join(_row(endpoint, "<api URL>/node/<UUID>/<data name>/") for endpoint in datatype.endpoints)
    return f"{head}{intro}\n\n{rows}"


def _row(endpoint: Endpoint, prefix: str) -> str:
    lines = [f" {endpoint.method} {prefix}{endpoint.path}", ""]
    lines += [f"    {line}".rstrip() for line in cleandoc(endpoint.description).replace("``", "").splitlines()]
    if endpoint.query:
        lines += ["", "    Query-string options:", ""]
        for query in endpoint.query:
            values = f" ({' | '.join(query.values)})" if query.values else ""
            lines.append(f"    {query.name:<16}{query.summary}{values}")
    return "\n".join(lines) + "\n"


def help_page(datatypes: Iterable[type[Datatype]], endpoints: Iterable[Endpoint]) -> str:
    """All endpoints of the service and the datatypes there are, as a small HTML page without anything to load."""
    rows = "".join(
        f"<tr><td>{escape(row.method)}</td><td><code>/{escape(row.path)}</code></td><td>{escape(row.summary)}</td></tr>"
        for row in endpoints
    )
    types = "".join(
        f'<li><a href="help/{escape(each.typename)}">{escape(each.typename)}</a> {escape(each.summary)}</li>'
        for each in datatypes
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>dvidkit API</title>'
        "<style>body{font:16px/1.5 system-ui;margin:2rem auto;max-width:60rem;padding:0 1rem}"
        "td{padding:.2rem .8rem .2rem 0;vertical-align:top}</style>"
        f"<h1>dvidkit API</h1><h2>Datatypes</h2><ul>{types}</ul><h2>Endpoints</h2><table>{rows}</table></html>"
    )
