"""The specification and its tests agree, and the kernel-free parts are free of the kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest
from dvidkit_conformance import datatypelane, lanes, spec
from dvidkit_conformance.jobs import all_jobs, checks

_KERNEL_FREE = (
    "spec",
    "codec",
    "results",
    "ops",
    "bytemodel",
    "storemodel",
    "datatypemodel",
    "case",
    "material",
    "generate",
    "reduce",
    "blame",
    "byteblame",
    "outcome",
    "profiles",
    "journal",
    "checking",
    "pytest_plugin",
    "reports.text",
    "reports.junit",
    "reports.files",
)


def test_every_clause_is_tested_or_says_why_not() -> None:
    """A clause without a test names the reason; a clause with a test does not claim to have none."""
    tested = {job.clause for job in all_jobs()} | {*datatypelane.BY_PROGRAMS, "DT-6", "DT-7", "DT-8", "DT-15"}
    for clause in spec.clauses().values():
        assert (clause.id in tested) != bool(clause.untested), clause.id


def test_no_test_names_an_unknown_clause() -> None:
    """Checks and lanes stand for clauses that there are; their names are unique."""
    known = set(spec.clauses())
    assert {check.clause for check in checks()} | set(lanes.LANES) <= known
    names = [job.name for job in all_jobs()]
    assert len(names) == len(set(names))


def test_clauses_are_whole() -> None:
    """Each says something, from a known version on; those without a test name the lane they wait for."""
    for clause in spec.clauses().values():
        assert clause.title
        assert clause.text.endswith(".")
        assert clause.since == "2026.1"
        if clause.lane in ("crash", "power", "resource", "faulty") and clause.layer != "datatype":
            assert clause.untested in ("", f"lane {clause.lane}")


def test_every_check_says_what_it_does() -> None:
    """A docstring each."""
    assert [check.name for check in checks() if not check.run.__doc__] == []


@pytest.mark.parametrize("name", _KERNEL_FREE)
def test_kernel_free(name: str) -> None:
    """The oracle side imports nothing of dvidkit, so that both sides cannot be wrong in the same way."""
    code = f"import sys, dvidkit_conformance.{name}; sys.exit('dvidkit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_matching() -> None:
    """Ids and groups, in the order of the specification."""
    assert spec.matching(("KV-2", "KV-1")) == ("KV-1", "KV-2")
    assert set(spec.matching(("ENG-SCAN",))) == {f"ENG-SCAN-{n}" for n in range(1, 9)}
    with pytest.raises(LookupError, match="NOPE"):
        spec.matching(("NOPE",))
