"""What a datatype tells the kit about itself, so that every engine can be proven under it.

A datatype names its case as ``conformance = "package.module:ClassName"`` (a string, so that the datatype itself never
imports the kit). The kit then runs programs of the case's operations on real instances: on branches and merges, with
reopening, copying and crashing in between, on every engine, and compares with the case's model and with the case's
recomputation of everything derived.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

Op = Mapping[str, Any]
"""One operation as JSON: ``{"op": name, …arguments}``. Bytes are given as base64 text or built from a seed."""

Observation = Any
"""JSON that says everything a reader can see of one instance at one version."""


class DatatypeCase:
    """Base class of cases. The kit makes one object per run; it holds no state of a store.

    Attributes:
        typename: the datatype.
        settings: variants of instance settings to prove, each a mapping for ``create_instance``.
        proves: clauses of this datatype alone (``DT-KV-2``) for which the model and the observations stand.
        shown: the clauses among them that the parts of an observation stand for, by their names. A difference in a
            part that is not named breaks all.
        answers: the clauses among them that the answers of operations stand for, by their names.
        envelopes: first bytes of the TKeys whose values are in DVID's envelope (``DT-11``).
        like: another datatype that shares the implementation and differs only in, say, the type of a voxel. Where both
            are proven, this one is given fewer programs.
    """

    typename: ClassVar[str]
    settings: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    proves: ClassVar[tuple[str, ...]] = ()
    shown: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    answers: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    envelopes: ClassVar[tuple[int, ...]] = ()
    like: ClassVar[str] = ""

    # --- programs ----------------------------------------------------------------------------------------------------

    def op(self, rng: random.Random) -> Op:
        """A random operation. Few different keys, blocks or labels, so that operations meet; all kinds come up.

        An operation that the datatype must refuse may be among them; then ``apply`` and the model's ``apply`` both
        raise.
        """
        raise NotImplementedError

    def refused(self, rng: random.Random) -> Op | None:
        """A random operation that must be refused with an error of the tree and change nothing.

        ``None`` if there is no such operation.
        """
        return None

    def apply(self, view: Any, op: Op) -> Any:
        """Do the operation on the instance (``view`` is an object of the datatype at an open version).

        Returns:
            What the operation answers, as JSON, to be compared with the model and between engines.
        """
        raise NotImplementedError

    # --- what is seen ------------------------------------------------------------------------------------------------

    def observe(self, view: Any) -> Observation:
        """Everything a reader can see at this version, through every reading method there is, as JSON.

        Two methods that answer the same question should both be asked and compared here; the message of a failed
        assertion may begin with the clause that it stands for.
        """
        raise NotImplementedError

    def glance(self, view: Any) -> Observation:
        """The same observation by the plainest way of reading alone: what ``observe`` says, without its comparisons.

        The quick profile glances where it observes again and again; a case whose ``observe`` asks the same by many ways
        should say here how to ask once. Unless it does, it is observed in full.
        """
        return self.observe(view)

    def recompute(self, view: Any) -> Mapping[str, tuple[Any, Any]]:
        """Derived state: by name, (as stored, as recomputed from the primary data). Empty if nothing is derived."""
        return {}

    def blame(self, expected: Any, got: Any) -> tuple[str, ...]:
        """The clauses in ``proves`` that an observation breaks: by an assertion's message, else by ``shown``."""
        named = tuple(clause for clause in self.proves if f": {clause}:" in getattr(got, "what", ""))
        if named or not isinstance(expected, Mapping) or not isinstance(got, Mapping):
            return named or self.proves
        parts = [self.shown.get(part, self.proves) for part in expected if expected[part] != got.get(part)]
        return tuple(dict.fromkeys(clause for part in parts for clause in part)) or self.proves

    # --- the model ---------------------------------------------------------------------------------------------------

    def model(self, settings: Mapping[str, Any]) -> Model:
        """A new, empty model of one instance at one version."""
        raise NotImplementedError


class Model:
    """A plain Python model of one instance at one version; it imports nothing from the kernel or the datatype.

    Attributes:
        merges: ``merge`` returns ``None`` only where observing must raise ``VersionConflict``.
    """

    merges: ClassVar[bool] = False

    def apply(self, op: Op) -> Any:
        """Do the operation and return what it should answer; raise ``Refused`` if it must be refused."""
        raise NotImplementedError

    def observe(self) -> Observation:
        """What ``DatatypeCase.observe`` should return."""
        raise NotImplementedError

    def fork(self) -> Model:
        """A child version's model: an independent copy."""
        return copy.deepcopy(self)

    def merge(self, base: Model, other: Model) -> Model | None:
        """The model of a merge of this version with ``other``, whose last common ancestor is ``base``.

        ``None`` if the two changed the same thing, so that reading it is a conflict. By default only merges in which
        one side changed nothing are modelled.
        """
        if self.observe() == base.observe():
            return other.fork()
        if other.observe() == base.observe():
            return self.fork()
        return None


class Refused(Exception):
    """Raised by a model: the operation must be refused, with an error whose class has this name."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


def load_case(named: str) -> DatatypeCase:
    """The case that a datatype names as ``package.module:ClassName``.

    Raises:
        ImportError, AttributeError: there is none.
    """
    module, _, name = named.partition(":")
    case: DatatypeCase = getattr(import_module(module), name)()
    return case
