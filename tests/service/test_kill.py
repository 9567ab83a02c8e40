"""A server is killed under load: what it answered is there. ``make soak`` is the long version."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("uvicorn")

from dvidkit_conformance.service.soak import Soak

from dvidkit.plugins import Plugins


def test_ten_kills(tmp_path: Path) -> None:
    """Every change that was answered 2xx is there, none is torn, the store is well."""
    pytest.importorskip("lmdb")
    if "keyvalue" not in Plugins().datatypes:
        pytest.skip("needs keyvalue")
    report = Soak(tmp_path, "lmdb", seed=20).run(10)
    assert report.faults == []
    assert report.kills >= 10
    assert report.done > 0
    assert report.cells > 0
    assert list(tmp_path.glob("store-*")) == []


def test_a_store_that_forgets_is_told(tmp_path: Path) -> None:
    """The memory engine keeps nothing: the first kill is the last."""
    report = Soak(tmp_path, "memory", seed=20).run(3)
    assert report.faults
