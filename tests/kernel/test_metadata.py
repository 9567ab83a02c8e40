"""Changes of metadata whose outcome is not known: a write that failed may have been made all the same."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from dvidkit_conformance.failing import Faults, failing
from dvidkit_memory.engine import MemoryEngine

from dvidkit.errors import ConflictError, InstanceExists, StoreError, StorePoisoned
from dvidkit.kernel import Kernel

MakeKernel = Callable[..., Kernel]


@pytest.fixture
def faults() -> Faults:
    """When the engine fails."""
    return Faults()


@pytest.fixture
def kernel(make_kernel: MakeKernel, faults: Faults) -> Kernel:
    """Over an engine that fails."""
    return make_kernel(failing(MemoryEngine(), faults))


def at_the_write(faults: Faults, change: Callable[[], object], *, after: bool) -> None:
    """Make the first write of a change fail, before or after its effect."""
    faults.arm(1_000_000)
    for n in range(1, 50):
        faults.arm(n, after=after)
        with pytest.raises(StoreError):
            change()
        wrote = faults.fired == ["write"]
        faults.disarm()
        if wrote:
            return
    raise AssertionError("the change never wrote")


def soon(change: Callable[[], object]) -> object:
    """Make a change once the store has opened itself again."""
    for _ in range(200):
        try:
            return change()
        except StorePoisoned as error:
            time.sleep(error.retry_after + 0.001)
    raise AssertionError("the store never opened itself again")


def test_mutations_go_on_after_a_write_in_doubt(kernel: Kernel, faults: Faults) -> None:
    """Numbers for mutations are taken by a write of the metadata: one that failed and was made must not stop the next.

    Found by DT-15 with an image volume; every later mutation of the process was refused with ``ConflictError``.
    """
    repo = kernel.repos.create("repo")
    at_the_write(faults, lambda: kernel.repos.reserve_mutation_ids(repo), after=True)
    first, behind = soon(lambda: kernel.repos.reserve_mutation_ids(repo))  # type: ignore[misc]
    assert behind - first == 100
    assert kernel.repos.reserve_mutation_ids(repo)[0] == behind


def test_a_change_that_was_made_after_all_is_seen(kernel: Kernel, faults: Faults) -> None:
    """The next change is told, once, and what there is can be looked at before it is tried again."""
    repo = kernel.repos.create("repo")
    at_the_write(faults, lambda: repo.create_instance("tally", "counts"), after=True)
    with pytest.raises(ConflictError):
        soon(lambda: repo.create_instance("tally", "counts"))
    assert set(repo.instances) == {"counts"}
    with pytest.raises(InstanceExists):
        repo.create_instance("tally", "counts")
    soon(lambda: repo.create_instance("tally", "others"))
    kernel.repos.reload()
    assert set(repo.instances) == {"counts", "others"}


def test_a_change_that_was_not_made_is_made_the_second_time(kernel: Kernel, faults: Faults) -> None:
    """Nobody is told of a conflict that there is not."""
    repo = kernel.repos.create("repo")
    at_the_write(faults, lambda: repo.create_instance("tally", "counts"), after=False)
    assert not repo.instances
    soon(lambda: repo.create_instance("tally", "counts"))
    repo.root.commit()
    at_the_write(faults, repo.root.new_version, after=False)
    soon(repo.root.new_version)
    assert len(repo.nodes) == 2
