"""``dvidkit log``: golden drawings of real repos."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from dvidkit.branching import tag
from dvidkit.cli.log import draw_repo, short_length
from dvidkit.kernel import Kernel, open_kernel
from dvidkit.repo import Repo, Version


def uuid(letter: str) -> str:
    """A UUID that is known at sight."""
    return letter * 32


class Story:
    """A repo whose versions are called by one letter each."""

    def __init__(self, kernel: Kernel) -> None:
        self.repo: Repo = kernel.repos.create("story", root=uuid("0"))
        self.versions: dict[str, Version] = {"0": self.repo.root}

    def new(self, name: str, parent: str, branch: str = "", note: str = "") -> None:
        """A child; its parent is committed first."""
        at = self.committed(parent)
        made = at.make_branch(branch, note, uuid(name)) if branch else at.new_version(note, uuid(name))
        self.versions[name] = made

    def merge(self, name: str, *parents: str, note: str = "") -> None:
        """A merge of committed parents."""
        made = self.repo.merge([self.committed(parent) for parent in parents], note, uuid(name))
        self.versions[name] = made

    def committed(self, name: str) -> Version:
        """The version, committed."""
        version = self.versions[name]
        if not version.locked:
            version.commit()
        return version

    def drawn(self, **options: bool) -> str:
        """The drawing, with the same time everywhere."""
        return "\n".join(re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", line) for line in draw_repo(self.repo, **options))


@pytest.fixture
def story() -> Any:
    """A repo in memory."""
    with open_kernel(engine="memory") as kernel:
        yield Story(kernel)


def test_one_open_version(story: Story) -> None:
    """The least there is."""
    assert story.drawn() == "○  00000000  (master)  open  TIME"


def test_branches(story: Story) -> None:
    """Two branches beside master, each with its head named; notes and commit states."""
    story.new("1", "0", note="on master")
    story.new("2", "0", "side", "a try")
    story.new("3", "2", note="more of it")
    story.new("4", "2", "other")
    story.new("5", "1")
    assert story.drawn() == (
        "○  55555555  (master)  open  TIME\n"
        "│ ○  44444444  (other)  open  TIME\n"
        "│ │ ○  33333333  (side)  open  TIME  more of it\n"
        "│ ├─╯\n"
        "│ ●  22222222  TIME  a try\n"
        "● │  11111111  TIME  on master\n"
        "├─╯\n"
        "●  00000000  TIME"
    )


def test_criss_cross(story: Story) -> None:
    """Two merges of the same two versions, and their merge."""
    story.new("1", "0")
    story.new("2", "0", "side")
    story.merge("3", "1", "2", note="one way")
    story.merge("4", "2", "1", note="the other")
    story.merge("5", "3", "4", note="both")
    assert story.drawn() == (
        "○  55555555  (master)  open  TIME  both\n"
        "├─╮\n"
        "│ ●  44444444  (side)  TIME  the other\n"
        "│ ├─╮\n"
        "● │ │  33333333  TIME  one way\n"
        "╰─┼─┤\n"
        "  ● │  22222222  TIME\n"
        "  │ ●  11111111  TIME\n"
        "  ├─╯\n"
        "  ●  00000000  TIME"
    )


def test_a_merge_of_four(story: Story) -> None:
    """Each parent has a lane of its own."""
    story.new("1", "0")
    for number in "234":
        story.new(number, "0", f"b{number}")
    story.merge("5", "1", "2", "3", "4", note="all")
    assert story.drawn(ascii_only=True) == (
        "o  55555555  (master)  open  TIME  all\n"
        "+-,-,-.\n"
        "| | | *  44444444  (b4)  TIME\n"
        "| | * |  33333333  (b3)  TIME\n"
        "| | +-'\n"
        "| * |  22222222  (b2)  TIME\n"
        "| +-'\n"
        "* |  11111111  TIME\n"
        "+-'\n"
        "*  00000000  TIME"
    )


def test_tags_hidden_branches_and_logs(story: Story) -> None:
    """A tag stands in full; with ``verbose`` UUIDs too, and each version's log below it."""
    story.committed("0")
    tag(story.repo.root, "v1.0-with-a-long-name", "released")
    version = story.versions["0"].new_version("next", uuid("1"))
    story.repo.add_log(version, ["a line"])
    assert story.drawn() == (
        "○  11111111  (master)  open  TIME  next\n"
        "│ ●  v1.0-with-a-long-name  (tag-v1.0-with-a-long-name)  TIME  released\n"
        "├─╯\n"
        "●  00000000  TIME"
    )
    lines = story.drawn(verbose=True).splitlines()
    assert lines[0].startswith(f"○  {uuid('1')}")
    assert re.fullmatch(r"│  \S+Z  a line", lines[1])


def test_short_uuids_tell_versions_apart() -> None:
    """Eight digits, or as many as it takes."""
    assert short_length(["a" * 32, "b" * 32]) == 8
    assert short_length(["a" * 32, "a" * 9 + "b" * 23]) == 10


def test_the_command(dvidkit: Any) -> None:
    """One repo as it is, several with headings; one by any of its versions; JSON; signs that the terminal has."""
    root = dvidkit.repo()
    assert dvidkit.text("log", dvidkit.store).startswith(f"○  {root[:8]}  (master)  open  ")
    other = dvidkit.text("repos", "new", "second", "-s", dvidkit.store)
    text = dvidkit.text("log", dvidkit.store)
    assert text.splitlines()[0] == f"repo {root} test"
    assert text.splitlines()[2:4] == ["", f"repo {other} second"]
    assert dvidkit.text("log", dvidkit.store, other[:8]).count("\n") == 0
    both = json.loads(dvidkit.text("log", dvidkit.store, "--json"))
    assert [each["repo"] for each in both] == [root, other]
    assert dvidkit.text("log", dvidkit.store, other, "--ascii").startswith("o  ")
    done = dvidkit.process("log", dvidkit.store, other)
    assert done.returncode == 0
    assert done.stdout.startswith(b"o  " if b"\xe2" not in done.stdout else "○".encode())
    assert "no version starts with" in dvidkit.fails("log", dvidkit.store, "zzz")
