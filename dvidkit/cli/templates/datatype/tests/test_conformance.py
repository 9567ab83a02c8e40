"""The datatype keeps dvidkit's contract."""

from __future__ import annotations

from dvidkit_conformance.kit import check
from dvidkit_my_datatype.datatype import MyDatatype


def test_it_conforms() -> None:
    """Nothing that must hold of a datatype fails. ``dvidkit conform --all`` asks the same of every engine."""
    report = check("memory", datatypes=[MyDatatype.typename], profile="quick", clauses=["DT"])
    assert report.conformant, report.failures
