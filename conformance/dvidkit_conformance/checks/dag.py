"""Clauses of a repo's version DAG, and of what datatypes require."""

from __future__ import annotations

from functools import partial
from typing import Any

from dvidkit.datatype import Datatype
from dvidkit.engine import Capability
from dvidkit_conformance.checking import on_kernel
from dvidkit_conformance.kernelsession import KernelSession
from dvidkit_conformance.results import Err, OneOf, matches
from dvidkit_conformance.session import attempt


def _refused(s: KernelSession, name: str, call: Any, *errors: str) -> None:
    """The call raises one of these and leaves the metadata as it was."""
    before = s.metadata()
    got = attempt(call)
    expected = Err(errors[0]) if len(errors) == 1 else OneOf(tuple(Err(error) for error in errors))
    s.require(matches(expected, got), expected, got, note=name)
    s.require(
        s.metadata() == before, "the metadata as it was", "other metadata", clause="DAG-2", note=f"refused {name}"
    )


def _tree(s: KernelSession) -> tuple[Any, Any, Any, Any]:
    """A committed root, two committed branches, and their merge."""
    root = s.repo.root
    root.commit("the first")
    left, right = root.new_version(), root.make_branch("side")
    left.commit()
    right.commit()
    return root, left, right, s.repo.merge([left, right], "both")


@on_kernel("DAG-1")
def committed_versions(s: KernelSession) -> None:
    """Children of open versions, a second commit, an instance at a committed version."""
    root = s.repo.root
    _refused(s, "new_version of an open version", root.new_version, "VersionUnlocked")
    _refused(s, "branch of an open version", lambda: root.make_branch("b"), "VersionUnlocked")
    root.commit()
    _refused(s, "a second commit", root.commit, "VersionLocked")
    child, other = root.new_version(), root.make_branch("b")
    _refused(s, "merge of open versions", lambda: s.repo.merge([child, other]), "VersionUnlocked")

    class Nothing(Datatype):
        typename = "conformance-nothing"

    _refused(
        s, "an instance at a committed version", lambda: s.repo.create_instance(Nothing, "n", root), "VersionLocked"
    )


@on_kernel("DAG-2")
def refusals_change_nothing(s: KernelSession) -> None:
    """Branches that are there, bad names, bad UUIDs."""
    root, left, right, _merged = _tree(s)
    _refused(s, "a second child on the branch", root.new_version, "BranchExists")
    _refused(s, "a branch of a name in use", lambda: root.make_branch("side"), "BranchExists")
    _refused(s, "a branch without a name", lambda: root.make_branch(""), "InvalidInputError")
    _refused(s, "a UUID that is no UUID", lambda: right.new_version(uuid="xyz"), "InvalidInputError")
    _refused(s, "a UUID in use", lambda: right.new_version(uuid=left.uuid), "UUIDExists")
    _refused(s, "the same merge again", lambda: s.repo.merge([left, right]), "BranchExists")


@on_kernel("DAG-3")
def no_cycles(s: KernelSession) -> None:
    """Parents of merges."""
    root, left, right, merged = _tree(s)
    merge = s.repo.merge
    _refused(s, "the same parent twice", lambda: merge([left, left]), "InvalidInputError")
    _refused(s, "a parent and its ancestor", lambda: merge([root, left]), "InvalidInputError")
    _refused(s, "one parent", lambda: merge([right]), "InvalidInputError")
    _refused(s, "no parents", lambda: merge([]), "InvalidInputError")
    merged.commit()
    _refused(s, "a merge with its own parent", lambda: merge([merged, right]), "InvalidInputError")


@on_kernel("DAG-4")
def survives(s: KernelSession) -> None:
    """Versions, parents, branches, notes, locks."""
    _tree(s)

    def told() -> list[Any]:
        return [(v.uuid, [p.uuid for p in v.parents], v.branch, v.locked, v.record.note, v.id) for v in s.repo.versions]

    before = told()
    s.reopen()
    s.require(told() == before, before, told(), note="versions after reopening")
    s.repo.head().commit()
    child = s.repo.head().new_version()
    s.reopen()
    s.require(s.repo.head().uuid == child.uuid, child.uuid, s.repo.head().uuid, note="the head after reopening")


@on_kernel("DAG-5")
def names(s: KernelSession) -> None:
    """Prefixes, branches, steps up."""
    root = s.repo.root
    root.commit()
    one, two = root.new_version(uuid="a" * 31 + "1"), root.make_branch("side", uuid="a" * 31 + "2")
    resolve = s.kernel.repos.resolve
    for text, version in {
        one.uuid: one,
        "a" * 31 + "2": two,
        root.uuid[:8]: root,
        f"{root.uuid}:side": two,
        f"{root.uuid}:master": one,
        f"{one.uuid}~1": root,
        f"{one.uuid}^": root,
        ":side": two,
        ":side~1": root,
    }.items():
        got = attempt(partial(_uuid_of, resolve, text))
        s.require(got == version.uuid, version.uuid, got, note=f"resolve({text!r})")
    for text, error in {
        "aaaa": "AmbiguousUUID",
        "b": "UnknownUUID",
        ":none": "UnknownUUID",
        f"{root.uuid}~1": "UnknownUUID",
        f"{one.uuid}^2": "UnknownUUID",
    }.items():
        _refused(s, f"resolve({text!r})", partial(resolve, text), error)


def _uuid_of(resolve: Any, text: str) -> str:
    return str(resolve(text).uuid)


@on_kernel("REG-5")
def requirements(s: KernelSession) -> None:
    """A datatype that needs what the engine does not declare."""
    lacking = sorted(str(c) for c in Capability if str(c) not in s.harness.features)

    for name in lacking:
        needs = type("Needs", (Datatype,), {"typename": "conformance-needs", "requires": frozenset({Capability(name)})})
        create = partial(s.repo.create_instance, needs, "n")
        _refused(s, f"an instance that needs {name}", create, "UnsupportedError")
    offered = {Capability(name) for name in s.harness.features if name in set(Capability)}
    fits = type("Fits", (Datatype,), {"typename": "conformance-fits", "requires": frozenset(offered)})
    got = attempt(lambda: s.repo.create_instance(fits, "fits").name)
    s.require(got == "fits", "fits", got, note="an instance that needs what is declared")
