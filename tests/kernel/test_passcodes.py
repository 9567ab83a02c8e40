"""Passcodes."""

from __future__ import annotations

import pytest

from dvidkit.errors import NotAllowed
from dvidkit.passcodes import check_passcode, seal_passcode


@pytest.mark.parametrize("word", ["a", "päss wörd", "x" * 10_000, ":", "\x00"])
def test_only_the_word_itself_opens(word: str) -> None:
    """Whatever it is made of; it is not stored, and two seals of it differ."""
    sealed = seal_passcode(word)
    check_passcode(sealed, word)
    assert word not in sealed or word in (":", "a")
    assert seal_passcode(word) != sealed
    for wrong in ("", word + "x", word.upper() + "!"):
        with pytest.raises(NotAllowed):
            check_passcode(sealed, wrong)


def test_no_passcode_opens_to_all() -> None:
    """Nothing is stored, anything will do."""
    assert seal_passcode("") == ""
    check_passcode("", "")
    check_passcode("", "anything")
