"""The list of the journals that make up the store, replaced whole whenever it changes.

A text file: ``dvidkit filesystem 1``, ``uuid …``, then a line for each journal in order, ``journal number first last
length`` (numbers of its records, bytes) for a finished one, ``journal number first`` for the one that is written to,
which is the last; then ``crc`` of the lines before, in hexadecimal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dvidkit.checksum import crc32
from dvidkit_filesystem.files import Files

NAME: Final = "manifest"
_NEXT: Final = "manifest.next"
_TITLE: Final = "dvidkit filesystem 1"


@dataclass(frozen=True, slots=True)
class Listed:
    """A journal as the manifest has it; ``last`` and ``length`` are ``None`` while it is written to."""

    number: int
    first: int
    last: int | None = None
    length: int | None = None


def journal_name(number: int) -> str:
    """The file name of a journal."""
    return f"journal-{number:08d}"


def journal_number(name: str) -> int | None:
    """The number in a journal's file name; ``None`` for other files."""
    number = name.removeprefix("journal-")
    return int(number) if number != name and number.isascii() and number.isdigit() and len(number) >= 8 else None


def encode(journals: Iterable[Listed], uuid: bytes) -> bytes:
    """The content of the file."""
    lines = [_TITLE, f"uuid {uuid.hex()}"]
    for journal in journals:
        numbers = (journal.number, journal.first, journal.last, journal.length)
        lines.append(" ".join(["journal", *(str(number) for number in numbers if number is not None)]))
    text = "".join(f"{line}\n" for line in lines).encode()
    return text + f"crc {crc32(text, 0):08x}\n".encode()


def decode(data: bytes, uuid: bytes) -> list[Listed] | None:
    """The journals in order, the one that is written to last; ``None`` if the file is not sound."""
    text, _, crc = data.rpartition(b"crc ")
    if crc != f"{crc32(text, 0):08x}\n".encode():
        return None
    lines = [line.split() for line in text.decode("ascii", "replace").splitlines()]
    if lines[:2] != [_TITLE.split(), ["uuid", uuid.hex()]]:
        return None
    return [Listed(*map(int, numbers)) for _, *numbers in lines[2:]]


def read(files: Files, folder: str, uuid: bytes) -> list[Listed] | None:
    """The journals of the store in ``folder``; ``None`` if the manifest is missing or not sound."""
    try:
        descriptor = files.open(f"{folder}/{NAME}", write=False)
    except FileNotFoundError:
        return None
    try:
        return decode(files.read(descriptor, files.size(descriptor), 0), uuid)
    finally:
        files.close(descriptor)


def prepare(files: Files, folder: str, journals: Iterable[Listed], uuid: bytes) -> None:
    """Put the next manifest on disk, beside the one that holds."""
    descriptor = files.create(f"{folder}/{_NEXT}")
    try:
        files.write(descriptor, [encode(journals, uuid)], 0)
        files.sync(descriptor)
    finally:
        files.close(descriptor)


def publish(files: Files, folder: str) -> None:
    """Make the prepared manifest the one that holds; after a failure it may be either."""
    files.rename(f"{folder}/{_NEXT}", f"{folder}/{NAME}")
    files.sync_directory(folder)
