"""Control messages as bytes: msgpack within hard bounds. What is not expected is refused before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgpack

from parties.errors import Fault

__all__ = ["MAX_MESSAGE", "fields", "pack", "unpack"]

MAX_MESSAGE = 34 << 20
"""Bytes in one message: a plan or a piece of a share, 32 MiB, and what goes with it."""
MAX_DEPTH = 32
MAX_ITEMS = 1 << 16
"""Of all lists and maps in a message. The hellos need most: five for each column of a plan."""
MAX_TEXT = 1 << 20

# How many bytes follow each leading byte: as a number, as a length or as a count of items.
_NUMBER = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8} | {base + i: 1 << i for base in (0xCC, 0xD0) for i in range(4)}
_TEXT = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_BINARY = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_ARRAY = {0xDC: 2, 0xDD: 4}
_MAP = {0xDE: 2, 0xDF: 4}


def pack(message: Mapping[str, object]) -> bytes:
    """The message as bytes that `unpack` accepts: str keys; None, bool, int, float, str, bytes, list, dict within.

    Raises Fault WIRE_MALFORMED when the message is outside the bounds.
    """
    try:
        data = msgpack.packb(message, strict_types=True)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise _malformed(f"cannot be packed: {type(error).__name__}") from None
    _check(data, MAX_MESSAGE)
    return bytes(data)


def unpack(data: bytes | memoryview, max_size: int = MAX_MESSAGE) -> dict[str, Any]:
    """The message in `data`. Costs time and memory in proportion to len(data), never to what the bytes ask for.

    Raises Fault WIRE_MALFORMED for anything but one map with distinct str keys, at most `max_size` bytes long.
    """
    _check(data, max_size)
    try:
        message = msgpack.unpackb(data, object_pairs_hook=_mapping)
    except Fault:
        raise
    except (ValueError, TypeError, msgpack.UnpackException):
        raise _malformed("is not msgpack") from None
    if type(message) is not dict:
        raise _malformed("is not a map")
    return message


def fields(message: Mapping[str, Any], **types: type | tuple[type, ...]) -> tuple[Any, ...]:
    """The values of exactly the named fields, in the order named; their types must match exactly (a bool is no int).

    Raises Fault WIRE_MALFORMED naming the field that is missing, unknown or of another type.
    """
    if unknown := sorted(set(message) - set(types)):
        raise _malformed(f"has an unknown field {unknown[0][:40]!r}")
    for name, kind in types.items():
        if name not in message:
            raise _malformed(f"lacks the field {name!r}")
        if type(message[name]) not in (kind if isinstance(kind, tuple) else (kind,)):
            raise _malformed(f"has a field {name!r} of type {type(message[name]).__name__}")
    return tuple(message[name] for name in types)


def _malformed(what: str) -> Fault:
    return Fault(
        "WIRE_MALFORMED",
        f"A message {what}; it was refused.",
        "Check that every party runs the same version of Beaver.",
    )


def _mapping(pairs: list[tuple[object, object]]) -> dict[str, object]:
    message = {key: value for key, value in pairs if type(key) is str}
    if len(message) != len(pairs):
        raise _malformed("has a map with a repeated key or one that is no string")
    return message


def _check(data: bytes | memoryview, max_size: int) -> None:
    """Walk the headers without building anything: size, depth, counts and lengths all fit, and nothing trails."""
    size = len(data)
    if size > max_size:
        raise _malformed(f"is {size} bytes long, more than {max_size}")
    at = items = 0
    left = [1]
    while left:
        if not left[-1]:
            left.pop()
            continue
        left[-1] -= 1
        if at >= size:
            raise _malformed("is truncated")
        lead = data[at]
        at += 1
        if lead < 0x80 or lead >= 0xE0:
            continue
        if lead in _NUMBER:
            at += _NUMBER[lead]
        elif lead < 0xA0 or lead in _ARRAY or lead in _MAP:
            width = _ARRAY.get(lead) or _MAP.get(lead, 0)
            count = int.from_bytes(data[at : at + width], "big") if width else lead & 0x0F
            count *= 2 if lead in _MAP or lead < 0x90 else 1
            at += width
            items += count
            if items > MAX_ITEMS or len(left) > MAX_DEPTH:
                raise _malformed("nests too deep or counts too many items")
            left.append(count)
        elif lead < 0xC0 or lead in _TEXT:
            width = _TEXT.get(lead, 0)
            length = int.from_bytes(data[at : at + width], "big") if width else lead & 0x1F
            at += width + length
            if length > MAX_TEXT:
                raise _malformed(f"has a text of {length} bytes, more than {MAX_TEXT}")
        elif lead in _BINARY:
            width = _BINARY[lead]
            at += width + int.from_bytes(data[at : at + width], "big")
        else:
            raise _malformed("holds a type that is not allowed")
    if at != size:
        raise _malformed("is truncated or has bytes after its end")
