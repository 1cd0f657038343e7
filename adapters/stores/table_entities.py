"""Documents as properties of an entity, and back.

A property holds 64 KiB and an entity 1 MiB and 252 properties of ours ("understanding-the-table-service-data-model"). A small document is one
string, so that a person with a storage browser can read it; a larger one is cut into binary pieces, because the size of these on the wire is
known (base64: a third more), while a string may grow sixfold when the SDK escapes it. The emulator counts base64 towards 1 MiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from joinery.engine.ports import Document
from joinery.errors import StoreUnavailable

#: Up to so many bytes a document is one string: a hundred of these, each character escaped, stay far below 4 MiB.
TEXT_BYTES_MAX = 4 * 1024
#: Bytes of one binary property.
PIECE_BYTES = 64 * 1024

_TEXT, _PIECE = "json", "part"


def properties(text: bytes) -> dict[str, str | bytes]:
    """The properties that hold this JSON text (UTF-8)."""
    if len(text) <= TEXT_BYTES_MAX:
        return {_TEXT: text.decode()}
    return {f"{_PIECE}{number:02}": text[start : start + PIECE_BYTES] for number, start in enumerate(range(0, len(text), PIECE_BYTES))}


def document(entity: Mapping[str, Any]) -> Document:
    """What the properties hold. Raises StoreUnavailable where that is no JSON object."""
    whole = entity.get(_TEXT)
    if whole is None:
        whole = b"".join(entity[name] for name in sorted(entity) if name.startswith(_PIECE))
    try:
        found = msgspec.json.decode(whole)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise StoreUnavailable(f"the state store holds a row that cannot be read ({error}); restore a backup of the table") from None
    return cast(Document, found)
