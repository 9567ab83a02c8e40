"""Passcodes: a word without which a repo's data cannot be deleted or renamed. Kept as a salted hash."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dvidkit.deferred import deferred
from dvidkit.errors import NotAllowed

if TYPE_CHECKING:
    import hashlib
    import hmac
else:
    hashlib = deferred("hashlib")
    hmac = deferred("hmac")


def seal_passcode(passcode: str) -> str:
    """The passcode as it is stored: ``salt:hash``, or nothing for none."""
    if not passcode:
        return ""
    salt = os.urandom(16)
    return f"{salt.hex()}:{_digest(passcode, salt).hex()}"


def check_passcode(sealed: str, passcode: str) -> None:
    """Do nothing if there is no passcode or it is this one.

    Raises:
        NotAllowed: it is another.
    """
    if not sealed:
        return
    salt, _, digest = sealed.partition(":")
    if not hmac.compare_digest(_digest(passcode, bytes.fromhex(salt)), bytes.fromhex(digest)):
        raise NotAllowed("the repo has a passcode, and it is not the one given")


def _digest(passcode: str, salt: bytes) -> bytes:
    # hashed before, because scrypt takes a word and the same word with NUL bytes behind it for one
    word = hashlib.sha256(passcode.encode()).digest()
    return hashlib.scrypt(word, salt=salt, n=1 << 14, r=8, p=1, dklen=32)
