"""Finding plugins: one that is broken leaves the rest alone, and says what is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from dvidkit_memory.engine import MemoryEngine

from dvidkit.datatype import Datatype
from dvidkit.engine import Capabilities, Engine
from dvidkit.hookspecs import hookimpl
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
