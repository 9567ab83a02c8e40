"""Image instances against their model, by random programs."""

from __future__ import annotations

import random

import pytest
from dvidkit_conformance.agreement import agree
from dvidkit_images import conformance
from dvidkit_images.conformance import CASES
from dvidkit_images.kinds import DATATYPES

from dvidkit.errors import VersionConflict
from dvidkit.kernel import Kernel


@pytest.mark.parametrize("typename", sorted(CASES))
@pytest.mark.parametrize("seed", range(4))
def test_programs_agree_with_the_model(kernel: Kernel, typename: str, seed: int) -> None:
    """On branches and merges, every version is what the model says."""
    case, rng = CASES[typename](), random.Random(seed)
    chosen = case.settings[seed % len(case.settings)]
    repo = kernel.repos.create("r")
    repo.create_instance(typename, "x", **chosen)
    base = case.model(chosen)
    for _ in range(3):
        agree(case, repo.root["x"], base, rng, 4)
    if not repo.instance("x").versioned:
        return
    repo.root.commit()
    for attempt in range(3):
        left, right = repo.root.make_branch(f"left{attempt}"), repo.root.make_branch(f"right{attempt}")
        models = base.fork(), base.fork()
        agree(case, left["x"], models[0], rng, 2)
        agree(case, right["x"], models[1], rng, attempt)
        left.commit()
        right.commit()
        view = repo.merge([left, right])["x"]
        merged = models[0].merge(base, models[1])
        if merged is None:
            with pytest.raises(VersionConflict):
                case.observe(view)
        else:
            agree(case, view, merged, rng, 3)
    assert case.observe(repo.root["x"]) == base.observe()


def test_the_datatypes_name_their_cases() -> None:
    """``conformance`` of each is a case of its own."""
    for datatype in DATATYPES:
        module, _, name = datatype.conformance.partition(":")
        assert module == "dvidkit_images.conformance"
        assert getattr(conformance, name) is CASES[datatype.typename]
