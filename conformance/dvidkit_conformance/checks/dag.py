"""Clauses of a repo's version DAG, and of what datatypes require."""

from __future__ import annotations

import random
from typing import Final

from dvidkit.engine import Capability
from dvidkit_conformance.checking import on_kernel
from dvidkit_conformance.kernelsession import KernelSession

_STEPS: Final = (25, 150, 600)
"""Of the random program, by scale."""


def _tree(s: KernelSession) -> None:
    """A committed root (0), two committed branches (1 and 2), and their merge (3)."""
    s.commit(0, note="the first")
    s.child(0, 1)
    s.branch(0, 2, "side")
    s.commit(1, 2)
    s.merge([1, 2], 3)


@on_kernel("DAG-1", reach=("refused", "merge"))
def committed_versions(s: KernelSession) -> None:
    """Children of open versions, a second commit, an instance at a committed version."""
    s.child(0, 1)
    s.branch(0, 1, "b")
    s.commit(0)
    s.commit(0)
    s.child(0, 1)
    s.branch(0, 2, "b")
    s.merge([1, 2], 3)
    s.commit(1)
    s.merge([1, 2], 3)
    s.commit(2)
    s.merge([1, 2], 3)
    s.instance("late", 0)
    s.instance("early", 3)
    s.told()


@on_kernel("DAG-2", reach=("refused",))
def refusals_change_nothing(s: KernelSession) -> None:
    """Branches that are there, bad names, bad UUIDs."""
    _tree(s)
    s.child(0, 4)
    s.branch(0, 4, "side")
    s.branch(0, 4, "")
    s.child(2, 4, uuid="xyz")
    s.child(2, 4, uuid=s.model.uuids[1])
    s.merge([1, 2], 4)
    s.told()


@on_kernel("DAG-2", reach=("refused", "child", "branch", "told"))
def any_program(s: KernelSession) -> None:
    """A random program of commits, children, branches and merges, many of them refused; reopened at its middle."""
    rng = random.Random("repo")
    steps = _STEPS[s.harness.scale]
    for n in range(steps):
        known = list(s.model.parents)
        v, to = rng.choice(known[-4:]), len(known)
        kind = rng.choice(("commit", "commit", "child", "branch", "branch", "merge"))
        if kind == "commit":
            s.commit(v)
        elif kind == "child":
            s.child(v, to)
        elif kind == "branch":
            s.branch(v, to, rng.choice(("a", "b", f"b{n}", f"c{n}", "master")))
        else:
            s.merge([rng.choice(known[-4:]) for _ in range(rng.choice((2, 2, 3)))], to)
        if n == steps // 2:
            s.reopen()
    s.told()


@on_kernel("DAG-3", reach=("refused", "merge"))
def no_cycles(s: KernelSession) -> None:
    """Parents of merges."""
    _tree(s)
    for parents in ([1, 1], [0, 1], [2], []):
        s.merge(parents, 4)
    s.commit(3)
    s.merge([3, 2], 4)
    s.told()


@on_kernel("DAG-4", reach=("told",))
def survives(s: KernelSession) -> None:
    """Versions, parents, branches, notes, locks."""
    _tree(s)
    s.told()
    s.reopen()
    s.told()
    s.commit(3)
    s.child(3, 4)
    s.reopen()
    s.told()


@on_kernel("DAG-5", reach=("refused", "resolve"))
def names(s: KernelSession) -> None:
    """Prefixes, branches, steps up."""
    s.commit(0)
    s.child(0, 1, uuid="a" * 31 + "1")
    s.branch(0, 2, "side", uuid="a" * 31 + "2")
    root, one, two = (s.model.uuids[v] for v in range(3))
    s.resolve(one, two, root[:8], f"{root}:side", f"{root}:master", f"{one}~1", f"{one}^", ":side", ":side~1")
    s.resolve("aaaa", "b", ":none", f"{root}~1", f"{one}^2")


@on_kernel("REG-5", reach=("refused", "instance"))
def requirements(s: KernelSession) -> None:
    """A datatype that needs what the engine does not declare."""
    declared = {str(each) for each in Capability} & s.harness.features
    for name in sorted({str(each) for each in Capability} - declared):
        s.instance("n", requires=[name])
    s.instance("fits", requires=declared)
