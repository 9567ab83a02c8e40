"""The groups of endpoints that a service has: its own, and those that plugins offer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

from dvidkit.http.api import Api
from dvidkit.http.console import ConsoleApi
from dvidkit.http.node import NodeApi
from dvidkit.http.repo import RepoApi
from dvidkit.http.server import ServerApi
from dvidkit.http.view import ViewApi
from dvidkit.plugins import Plugins

_LOG: Final = logging.getLogger("dvidkit.http.groups")

OWN: Final[tuple[type[Api], ...]] = (ConsoleApi, ServerApi, RepoApi, NodeApi, ViewApi)


def offered(plugins: Plugins) -> tuple[type[Api], ...]:
    """The groups that plugins offer, in the order of the plugins.

    A plugin that fails disturbs no other: what is wrong with it is logged.
    """
    taken = {segment for group in OWN for segment in _beginnings(group)}
    found: list[type[Api]] = []
    for name, groups in _asked(plugins):
        fault = _fault(groups, taken)
        if fault:
            _LOG.error("endpoints of plugin %s are left out: %s", name, fault)
            continue
        taken |= {segment for group in groups for segment in _beginnings(group)}
        found += groups
    return tuple(found)


def _asked(plugins: Plugins) -> Iterator[tuple[str, list[Any]]]:
    for hook in plugins.manager.hook.dvidkit_endpoints.get_hookimpls():
        try:
            groups: Any = hook.function()
            yield hook.plugin_name, list(groups)
        except Exception as error:
            _LOG.error("plugin %s offers no endpoints: %s", hook.plugin_name, error)


def _fault(groups: list[Any], taken: set[str]) -> str:
    """What is wrong with the groups of a plugin; empty if nothing is."""
    for group in groups:
        if not (isinstance(group, type) and issubclass(group, Api)):
            return f"{group!r} is not a subclass of Api"
        both = taken & _beginnings(group)
        if both:
            return f"paths of {group.__name__} begin with {min(both)!r}, as others do"
    return ""


def _beginnings(group: type[Api]) -> set[str]:
    return {row.path.partition("/")[0] for row in group.endpoints} | set(group.aliases)
