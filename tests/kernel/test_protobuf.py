"""The wire format of Protocol Buffers, against bytes that protobuf itself makes, and against noise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvidkit import protobuf
from dvidkit.errors import BadPayload


@pytest.mark.parametrize(
    ("number", "wire"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (150, "9601"), (300, "ac02"), ((1 << 64) - 1, "ff" * 9 + "01")],
)
def test_varints_are_protobufs(number: int, wire: str) -> None:
    """Seven bits a byte, lowest first (the examples of protobuf's own documentation among them)."""
    assert protobuf.varint(number).hex() == wire
    assert protobuf.read_varint(bytes.fromhex(wire) + b"x", 0) == (number, len(wire) // 2)


def test_fields_are_protobufs() -> None:
    """``{1: 150, 2: "testing"}``, as the documentation of protobuf spells it."""
    message = bytes.fromhex("089601" + "120774657374696e67")
    assert protobuf.varint_field(1, 150) + protobuf.bytes_field(2, b"testing") == message
    (first, second) = protobuf.fields(message)
    assert first == (1, protobuf.VARINT, 150)
    assert second[:2] == (2, protobuf.BYTES)
    assert protobuf.text(second[2]) == "testing"


def test_fixed_fields_are_passed_over() -> None:
    """Fields of four and eight bytes, which nobody here reads, do not hide what follows."""
    message = b"\x09" + bytes(8) + b"\x15" + bytes(4) + b"\x08\x05"
    assert [(number, kind) for number, kind, _ in protobuf.fields(message)] == [(1, 1), (2, 5), (1, 0)]


@pytest.mark.parametrize(
    "wire",
    [
        "08",
        "0880",
        "08" + "80" * 10 + "01",
        "12",
        "1205616263",
        "09" + "00" * 7,
        "15000000",
        "0b",
        "0c",
        "0e",
        "00",
        "80",
    ],
)
def test_what_is_no_message_is_refused(wire: str) -> None:
    """Cut short, too long a number, groups, unknown wire types, field 0."""
    with pytest.raises(BadPayload):
        list(protobuf.fields(bytes.fromhex(wire)))


def test_a_field_of_another_kind_is_refused() -> None:
    """A number where a text belongs, a text where a number belongs, bytes that are no UTF-8."""
    for read, value in (
        (protobuf.text, 5),
        (protobuf.raw, 5),
        (protobuf.number, memoryview(b"x")),
        (protobuf.text, memoryview(b"\xff")),
    ):
        with pytest.raises(BadPayload):
            read(value)  # type: ignore[operator]


@given(st.lists(st.tuples(st.integers(1, (1 << 29) - 1), st.integers(0, (1 << 64) - 1) | st.binary(max_size=300))))
def test_what_is_written_is_read(wanted: list[tuple[int, int | bytes]]) -> None:
    """Fields of any number and length come back in order."""
    message = b"".join(
        protobuf.varint_field(number, value) if isinstance(value, int) else protobuf.bytes_field(number, value)
        for number, value in wanted
    )
    found = [
        (number, value if isinstance(value, int) else bytes(value)) for number, _, value in protobuf.fields(message)
    ]
    assert found == wanted


@given(st.binary(max_size=60))
def test_noise_is_fields_or_refused(noise: bytes) -> None:
    """Whatever the bytes, the answer is fields or ``BadPayload``."""
    try:
        fields = list(protobuf.fields(noise))
    except BadPayload:
        return
    assert all(number > 0 for number, _, _ in fields)
