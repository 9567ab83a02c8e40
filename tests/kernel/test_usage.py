"""How much room instances take."""

from __future__ import annotations

from dvidkit_conformance.samples import VALUE, Samples

from dvidkit.engine import StoreConfig
from dvidkit.errors import UnsupportedError
from dvidkit.kernel import Kernel
from dvidkit.keys import instance_range
from dvidkit.plugins import Plugins
from dvidkit.store import Store
from dvidkit.usage import key_usage, storage_summary


def test_versions_of_keys() -> None:
    """By class: how many keys have how many versions, and under 0 how many tombstones there are."""
    stores = {"default": StoreConfig("memory", ""), "far": StoreConfig("memory", "")}
    with Kernel(stores, assign={"sample-mirror": "far"}, plugins=Plugins({"samples": Samples()})) as kernel:
        repo = kernel.repos.create("r")
        repo.create_instance("sample-tally", "t")
        repo.create_instance("sample-mirror", "m")
        for name in "abc":
            repo.root["t"].set(name, b"1")
        repo.root.commit()
        child = repo.root.new_version()
        child["t"].set("a", b"2")
        with child["t"].mutation("x") as m:
            m.delete(VALUE.key(b"b"))
        instance = repo.instance("t")
        bounds = instance_range(instance.id)
        assert key_usage(instance.store, [bounds, (b"\x01", b"\x01")]) == [{200: {0: 1, 1: 1, 2: 2}}, {}]
        summary = storage_summary(kernel)
        assert set(summary) == {"default", "far"}
        entry = summary["default"][str(instance.id)]
        assert (entry["InstanceName"], entry["DataType"], entry["RootUUID"]) == ("t", "sample-tally", repo.uuid)
        assert entry["KeyUsage"] == {200: {0: 1, 1: 1, 2: 2}}
        assert summary["far"][str(repo.instance("m").id)]["KeyUsage"] == {}


def test_an_engine_that_does_not_estimate() -> None:
    """Has no bytes; that is no error."""

    def unsupported(self: Store, ranges: object) -> list[int]:
        raise UnsupportedError("no", capability="sizes")

    from unittest.mock import patch

    with patch.object(Store, "approximate_sizes", unsupported), Kernel(StoreConfig("memory", "")) as kernel:
        kernel.repos.create("r").create_instance("roi", "r")
        (entry,) = storage_summary(kernel)["default"].values()
        assert entry["Bytes"] is None
