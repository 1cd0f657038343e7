"""The types of AMQP 1.0 on the wire ("OASIS AMQP 1.0, part 1: types"): a value in Python, and its bytes.

A plain ``int`` is a long, a plain ``float`` a double; every other width has a class of its own, so that what was read is written as it was.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


class Malformed(ValueError):
    """Bytes that are no AMQP."""


class Symbol(str):
    """ASCII text out of a fixed vocabulary."""

    __slots__ = ()


class UByte(int):
    """0 to 255."""


class UShort(int):
    """0 to 65,535."""


class UInt(int):
    """32 bits without a sign."""


class ULong(int):
    """64 bits without a sign."""


class Byte(int):
    """8 bits."""


class Short(int):
    """16 bits."""


class Int(int):
    """32 bits."""


class Timestamp(int):
    """Milliseconds since 1970, UTC."""


class Float(float):
    """32 bits."""


class Raw(bytes):
    """A whole value whose type nobody here looks into (decimals, characters), constructor included."""


class Array(list[Any]):
    """Values of one type."""


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor that says what it stands for."""

    descriptor: Any
    value: Any


def decode(data: bytes, position: int = 0) -> tuple[Any, int]:
    """The value at a position, and the position after it. Raises Malformed."""
    try:
        return _decode(data, position)
    except (IndexError, KeyError, struct.error, UnicodeDecodeError, RecursionError, TypeError) as error:
        raise Malformed(f"no AMQP value at byte {position}: {type(error).__name__}") from error


def encode(value: Any) -> bytes:
    """Its bytes. Raises TypeError for what AMQP has no type for, struct.error for a number that is too large."""
    return _ENCODERS[type(value)](value)


# --- reading: format code -> the rest of the value ---

_Decoder = Callable[[bytes, int], tuple[Any, int]]


def _decode(data: bytes, position: int) -> tuple[Any, int]:
    return _DECODERS[data[position]](data, position + 1)


def _always(value: Any) -> _Decoder:
    return lambda _, position: (value, position)


def _number(layout: str, kind: Callable[[Any], Any]) -> _Decoder:
    packed = struct.Struct(layout)

    def read(data: bytes, position: int) -> tuple[Any, int]:
        return kind(packed.unpack_from(data, position)[0]), position + packed.size

    return read


def _raw(code: int, size: int) -> _Decoder:
    def read(data: bytes, position: int) -> tuple[Any, int]:
        return Raw(bytes([code]) + _taken(data, position, size)), position + size

    return read


def _variable(width: str, kind: Callable[[bytes], Any]) -> _Decoder:
    length = struct.Struct(width)

    def read(data: bytes, position: int) -> tuple[Any, int]:
        size = length.unpack_from(data, position)[0]
        start = position + length.size
        return kind(_taken(data, start, size)), start + size

    return read


def _taken(data: bytes, position: int, size: int) -> bytes:
    piece = bytes(data[position : position + size])
    if len(piece) < size:
        raise IndexError("the value is longer than what holds it")
    return piece


def _compound(width: str, gather: Callable[[list[Any]], Any]) -> _Decoder:
    sizes = struct.Struct(">" + width * 2)

    def read(data: bytes, position: int) -> tuple[Any, int]:
        _, count = sizes.unpack_from(data, position)
        position += sizes.size
        items = []
        for _ in range(count):
            item, position = _decode(data, position)
            items.append(item)
        return gather(items), position

    return read


def _array(width: str) -> _Decoder:
    sizes = struct.Struct(">" + width * 2)

    def read(data: bytes, position: int) -> tuple[Any, int]:
        _, count = sizes.unpack_from(data, position)
        position += sizes.size
        code, descriptor = data[position], None
        position += 1
        if code == 0x00:
            descriptor, position = _decode(data, position)
            code, position = data[position], position + 1
        items = Array()
        for _ in range(count):
            item, position = _DECODERS[code](data, position)
            items.append(item if descriptor is None else Described(descriptor, item))
        return items, position

    return read


def _described(data: bytes, position: int) -> tuple[Any, int]:
    descriptor, position = _decode(data, position)
    value, position = _decode(data, position)
    return Described(descriptor, value), position


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _text(piece: bytes) -> str:
    return piece.decode()


def _symbol(piece: bytes) -> Symbol:
    return Symbol(piece.decode("ascii"))


def _uuid(piece: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=piece)


def _uuid_at(data: bytes, position: int) -> tuple[Any, int]:
    return _uuid(_taken(data, position, 16)), position + 16


_DECODERS: dict[int, _Decoder] = {
    0x00: _described,
    0x40: _always(None),
    0x41: _always(True),
    0x42: _always(False),
    0x43: _always(UInt(0)),
    0x44: _always(ULong(0)),
    0x45: lambda _, position: ([], position),
    0x50: _number(">B", UByte),
    0x51: _number(">b", Byte),
    0x52: _number(">B", UInt),
    0x53: _number(">B", ULong),
    0x54: _number(">b", Int),
    0x55: _number(">b", int),
    0x56: _number(">B", bool),
    0x60: _number(">H", UShort),
    0x61: _number(">h", Short),
    0x70: _number(">I", UInt),
    0x71: _number(">i", Int),
    0x72: _number(">f", Float),
    0x73: _raw(0x73, 4),
    0x74: _raw(0x74, 4),
    0x80: _number(">Q", ULong),
    0x81: _number(">q", int),
    0x82: _number(">d", float),
    0x83: _number(">q", Timestamp),
    0x84: _raw(0x84, 8),
    0x94: _raw(0x94, 16),
    0x98: _uuid_at,
    0xA0: _variable(">B", bytes),
    0xA1: _variable(">B", _text),
    0xA3: _variable(">B", _symbol),
    0xB0: _variable(">I", bytes),
    0xB1: _variable(">I", _text),
    0xB3: _variable(">I", _symbol),
    0xC0: _compound("B", list),
    0xC1: _compound("B", _pairs),
    0xD0: _compound("I", list),
    0xD1: _compound("I", _pairs),
    0xE0: _array("B"),
    0xF0: _array("I"),
}


# --- writing: Python type -> bytes ---


def _sized(small: int, large: int, content: bytes) -> bytes:
    if len(content) < 256:
        return bytes((small, len(content))) + content
    return bytes([large]) + struct.pack(">I", len(content)) + content


def _packed(code: int, layout: str) -> Callable[[Any], bytes]:
    packed = struct.Struct(">B" + layout)
    return lambda value: packed.pack(code, value)


def _small_or(zero: int | None, small: int, large: int, layout: str) -> Callable[[int], bytes]:
    """The short form of an unsigned number where it has one."""
    packed = struct.Struct(">B" + layout)

    def write(value: int) -> bytes:
        if value == 0 and zero is not None:
            return bytes([zero])
        return bytes((small, value)) if 0 <= value < 256 else packed.pack(large, value)

    return write


def _items(small: int, large: int, items: Iterable[Any]) -> bytes:
    parts = [encode(item) for item in items]
    content = b"".join(parts)
    if len(parts) < 256 and len(content) < 255:
        return bytes((small, len(content) + 1, len(parts))) + content
    return bytes([large]) + struct.pack(">II", len(content) + 4, len(parts)) + content


def _write_list(items: list[Any] | tuple[Any, ...]) -> bytes:
    return _items(0xC0, 0xD0, items) if items else b"\x45"


def _write_map(pairs: Mapping[Any, Any]) -> bytes:
    return _items(0xC1, 0xD1, (item for pair in pairs.items() for item in pair))


#: Python type of an array's items -> constructor, and how one item is written without it.
_ITEMS: dict[type, tuple[int, Callable[[Any], bytes]]] = {
    int: (0x81, struct.Struct(">q").pack),
    Timestamp: (0x83, struct.Struct(">q").pack),
    uuid.UUID: (0x98, lambda value: bytes(value.bytes)),
    str: (0xB1, lambda value: struct.pack(">I", len(value.encode())) + value.encode()),
    Symbol: (0xB3, lambda value: struct.pack(">I", len(value)) + value.encode()),
}


def _write_array(items: Array) -> bytes:
    code, write = _ITEMS[type(items[0]) if items else int]
    content = bytes([code]) + b"".join(write(item) for item in items)
    return b"\xf0" + struct.pack(">II", len(content) + 4, len(items)) + content


def _write_described(value: Described) -> bytes:
    return b"\x00" + encode(value.descriptor) + encode(value.value)


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"\x40",
    bool: lambda value: b"\x41" if value else b"\x42",
    UByte: _packed(0x50, "B"),
    Byte: _packed(0x51, "b"),
    UShort: _packed(0x60, "H"),
    Short: _packed(0x61, "h"),
    UInt: _small_or(0x43, 0x52, 0x70, "I"),
    ULong: _small_or(0x44, 0x53, 0x80, "Q"),
    Int: _packed(0x71, "i"),
    int: _packed(0x81, "q"),
    Timestamp: _packed(0x83, "q"),
    Float: _packed(0x72, "f"),
    float: _packed(0x82, "d"),
    uuid.UUID: lambda value: b"\x98" + value.bytes,
    bytes: lambda value: _sized(0xA0, 0xB0, value),
    str: lambda value: _sized(0xA1, 0xB1, value.encode()),
    Symbol: lambda value: _sized(0xA3, 0xB3, value.encode("ascii")),
    list: _write_list,
    tuple: _write_list,
    dict: _write_map,
    Array: _write_array,
    Raw: bytes,
    Described: _write_described,
}
