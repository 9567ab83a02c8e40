"""The engine keeps dvidkit's contract, clause by clause."""

from __future__ import annotations

from dvidkit_conformance.kit import check
from dvidkit_my_engine.engine import MyEngine


def test_it_conforms() -> None:
    """Nothing that must hold fails. The profiles ``ci`` and ``nightly`` look harder and take longer.

    ``pytest --pyargs dvidkit_conformance --dvidkit-engine=my-engine`` runs the same with one item for each clause.
    """
    report = check(MyEngine.name, profile="quick")
    assert report.conformant, report.failures
