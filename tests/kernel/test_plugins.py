"""Finding plugins: one that is broken leaves the rest alone, and says what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from dvidkit_memory.engine import MemoryEngine

from dvidkit import plugins as module
from dvidkit.datatype import Datatype
from dvidkit.engine import Capabilities, Engine
from dvidkit.errors import PluginLoadError, PluginNameTaken, UnknownDatatype, UnknownEngine
from dvidkit.hookspecs import hookimpl
from dvidkit.keys import TKeyClass
from dvidkit.plugins import Plugins


class One(Datatype):
    """A datatype."""

    typename = "one"


class Plugin:
    """Offers what it is given."""

    def __init__(self, engines: Any = (), datatypes: Any = ()) -> None:
        self.engines = engines
        self.datatypes = datatypes

    @hookimpl
    def dvidkit_engines(self) -> Iterable[Engine]:
        """See the hook."""
        return self.engines  # type: ignore[no-any-return]

    @hookimpl
    def dvidkit_datatypes(self) -> Iterable[type[Datatype]]:
        """See the hook."""
        return self.datatypes  # type: ignore[no-any-return]


def load(**extra: Any) -> Plugins:
    """Only these plugins."""
    return Plugins(extra, installed=False)


def test_a_plugin_with_an_unknown_hook_leaves_those_after_it_alone() -> None:
    """REG: a misspelt hook is a failure of its plugin, and of no other."""

    class Misspelt:
        @hookimpl
        def dvidkit_enginse(self) -> None:
            """Not a hook."""

    plugins = load(misspelt=Misspelt(), good=Plugin([MemoryEngine()], [One]))
    assert [failure.context["plugin"] for failure in plugins.failures] == ["misspelt"]
    assert list(plugins.engines) == ["memory"]
    assert list(plugins.datatypes) == ["one"]


@pytest.mark.parametrize("features", [["seek"], {"seek": 1}, None, "seek", 5])
def test_capabilities_are_a_set(features: Any) -> None:
    """REG-2: features that are no frozenset are refused at load, not where they are first used."""
    engine = MemoryEngine()
    type.__setattr__(declared := type("Bad", (MemoryEngine,), {}), "capabilities", Capabilities(features=features))
    plugins = load(bad=Plugin([declared(), engine]))
    assert "capabilities" in str(plugins.failures[0]).lower()
    assert plugins.engine("memory") is engine


def test_what_works_is_usable_and_what_is_not_is_named() -> None:
    """REG: failures are data; an unknown name lists what there is and what failed to load."""

    class Raising:
        def dvidkit_engines(self) -> Iterable[Engine]:
            raise OSError("no driver")

        def dvidkit_datatypes(self) -> Iterable[type[Datatype]]:
            return [One]

    bad_name = type("BadName", (MemoryEngine,), {"name": "No Such"})()
    bad_class = type("BadClass", (Datatype,), {"typename": "bad", "tkey_classes": (TKeyClass(1, "x", width=0),)})
    bad_feature = type("BadFeature", (MemoryEngine,), {"capabilities": Capabilities(frozenset({"fly"}))})()  # type: ignore[arg-type]
    bad_loss = type("BadLoss", (MemoryEngine,), {"capabilities": Capabilities(durable="sometimes")})()  # type: ignore[arg-type]
    bad_limits = type("BadLimits", (MemoryEngine,), {"limits": None})()
    bad_need = type("BadNeed", (Datatype,), {"typename": "need", "requires": frozenset({"fly"})})
    bad_settings = type("BadSettings", (Datatype,), {"typename": "set", "settings": dict})
    bad_type = type("BadType", (Datatype,), {"typename": "1"})
    unreadable = type("Unreadable", (Datatype,), {"typename": "unreadable", "tkey_classes": (5,)})
    plugins = load(
        raising=Raising(),
        engines=Plugin([bad_name, bad_feature, bad_loss, bad_limits, "engine", MemoryEngine()]),
        datatypes=Plugin([], [bad_class, bad_need, bad_settings, bad_type, unreadable, int]),
        none=Plugin(None, 5),
    )
    assert list(plugins.engines) == ["memory"]
    assert list(plugins.datatypes) == ["one"]
    assert plugins.owner("memory") == "engines"
    assert plugins.owner("nobody") == ""
    assert all(isinstance(failure, PluginLoadError) for failure in plugins.failures)
    assert [len(each.failures) for each in plugins.loaded] == [1, 5, 6, 2]
    with pytest.raises(UnknownEngine, match=r"installed: memory.*failed to load: datatypes, engines") as caught:
        plugins.engine("rocks")
    assert caught.value.installed == ("memory",)
    with pytest.raises(UnknownDatatype, match="installed: one"):
        plugins.datatype("two")
    with pytest.raises(UnknownEngine, match=r"installed: none$"):
        load().engine("any")


def test_a_name_has_one_owner() -> None:
    """REG-1: the second to offer a name is refused, with both named; the first is used."""
    first, second = MemoryEngine(), MemoryEngine()
    plugins = load(a=Plugin([first], [One]), b=Plugin([second], [One]))
    assert plugins.engine("memory") is first
    errors = list(plugins.failures)
    assert all(isinstance(error, PluginNameTaken) for error in errors)
    assert [(error.context["name"], error.context["owners"]) for error in errors] == [
        ("memory", ("a", "b")),
        ("one", ("a", "b")),
    ]


def test_entry_points_are_loaded_one_by_one_in_a_stable_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """First-party first, then by distribution and name, each once; one that cannot be imported breaks only itself."""

    def entry(distribution: str | None, name: str, load: Any) -> Any:
        dist = None if distribution is None else SimpleNamespace(name=distribution)
        return SimpleNamespace(name=name, value=name, dist=dist, load=load)

    def broken() -> None:
        raise ImportError("no driver")

    good = entry("zzz", "good", lambda: Plugin([MemoryEngine()]))
    found = [good, entry("dvidkit", "b", broken), good, entry("aaa", "c", broken), entry(None, "d", broken)]
    monkeypatch.setattr(module, "entry_points", lambda group: found)
    plugins = Plugins()
    assert [(each.distribution, each.name) for each in plugins.loaded] == [
        ("dvidkit", "b"), ("", "d"), ("aaa", "c"), ("zzz", "good"),
    ]  # fmt: skip
    assert list(plugins.engines) == ["memory"]
    assert plugins.owner("memory") == "zzz"
    assert {type(failure.__cause__) for failure in plugins.failures} == {ImportError}


def test_installed_plugins_are_found() -> None:
    """The engines of this distribution come through their entry points."""
    assert {"memory", "lmdb"} <= set(Plugins().engines)
