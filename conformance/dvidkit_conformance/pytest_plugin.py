"""The pytest plugin: ``pytest --pyargs dvidkit_conformance --dvidkit-engine=NAME``.

It only adds options, and imports neither the kernel nor the kit until an item of the kit is collected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the kit."""
    group = parser.getgroup("dvidkit", "dvidkit conformance kit")
    group.addoption(
        "--dvidkit-engine",
        action="append",
        default=[],
        metavar="NAME",
        help="engine to prove; may be given several times; 'all' for every installed one",
    )
    group.addoption(
        "--dvidkit-datatype", action="append", default=[], metavar="NAME", help="only these; 'none' for none"
    )
    group.addoption("--dvidkit-profile", default="quick", choices=("quick", "ci", "nightly"), help="how much is run")
    group.addoption("--dvidkit-clause", action="append", default=[], metavar="ID", help="only these clauses or groups")
    group.addoption("--dvidkit-seed", type=int, default=0, help="of everything random")


def pytest_configure(config: pytest.Config) -> None:
    """Markers of the kit's items."""
    config.addinivalue_line("markers", "clause(id): the clause of the dvidkit specification that the item stands for")
    config.addinivalue_line("markers", "lane(name): how the clause is tested")
