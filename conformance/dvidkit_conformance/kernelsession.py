"""Sessions on a kernel with a repo, for the clauses of the version DAG."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from dvidkit.kernel import Kernel
from dvidkit.plugins import Plugins
from dvidkit.repo import Repo
from dvidkit_conformance.harness import Harness
from dvidkit_conformance.ops import Op
from dvidkit_conformance.results import Foreign
from dvidkit_conformance.session import Journal, Session


class _Nothing:
    """Repos have no model yet: checks say what they expect."""

    def apply(self, op: Op) -> Any:
        return None

    def settle(self, op: Op, got: Any) -> None:
        pass


class _Plugin:
    """The engine under test, offered as a plugin would."""

    def __init__(self, harness: Harness) -> None:
        self._engine = harness.engine

    def dvidkit_engines(self) -> list[Any]:
        return [self._engine]


def plugins_with(harness: Harness, *datatypes: Any) -> Plugins:
    """The engine under test and these datatypes, and nothing else."""
    plugin = _Plugin(harness)
    plugin.dvidkit_datatypes = lambda: list(datatypes)  # type: ignore[attr-defined]
    return Plugins({"under test": plugin}, installed=False)


class KernelSession(Session):
    """One kernel over one store, with one repo.

    Attributes:
        kernel, repo: what checks use.
    """

    kind = "kernel"

    def __init__(self, harness: Harness, journal: Journal | None = None, **options: Any) -> None:
        super().__init__(harness, journal, **options)
        self.model = _Nothing()
        self.plugins = plugins_with(harness)
        self.kernel = self._open()
        self.repo: Repo = self.kernel.repos.create("conformance", root="0" * 31 + "1")

    def _open(self) -> Kernel:
        return Kernel(self.harness.config(self.path), plugins=self.plugins)

    def perform(self, op: Op) -> Any:
        """Operations of repos are called directly by checks."""
        return Foreign("kernel programs cannot be replayed")

    def reopen(self) -> None:
        """Close the kernel and open another on the same path."""
        root = self.repo.uuid
        self.kernel.close()
        self.kernel = self._open()
        self.repo = self.kernel.repos[root]

    def metadata(self) -> list[Any]:
        """The raw metadata."""
        return list(self.kernel.stores["default"].raw_range_query(b"\x00", b"\x01"))

    def close(self) -> None:
        """See ``Session.close``."""
        with suppress(Exception):
            self.kernel.close()
        self.harness.remove(self.path)
