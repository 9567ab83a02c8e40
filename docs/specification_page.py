"""Write ``docs/specification.md`` anew: ``python docs/specification_page.py``."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from dvidkit_conformance import spec

PAGE = Path(__file__).with_name("specification.md")
HEAD = """# The specification

Made from `conformance/dvidkit_conformance/spec/*.toml` by `python docs/specification_page.py`. A clause binds engines,
stores or datatypes, as its line says; one marked SHOULD may be broken, and is then reported as a deviation. A clause
about a capability binds only those who declare it. Ids are never given twice.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for _, clauses in groupby(spec.clauses().values(), key=lambda clause: clause.group):
        of_group = list(clauses)
        parts.append(f"\n## {of_group[0].group}: {of_group[0].group_title}\n")
        parts.extend(map(section, of_group))
    return "".join(parts)


def section(clause: spec.Clause) -> str:
    """One clause."""
    marks = [clause.level, clause.layer, "MUST" if clause.must else "SHOULD", f"lane {clause.lane}"]
    if clause.capability:
        marks.append(f"if {clause.capability} is declared")
    return f"\n**{clause.id}** {clause.title} *({', '.join(marks)})*\\\n{clause.text}\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
