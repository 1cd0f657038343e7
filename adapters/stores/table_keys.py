"""Names of partitions and rows as keys of the Table service: ASCII without the characters it refuses, in the order of the names.

The service compares keys by UTF-16 unit and refuses ``/ \\ # ?`` and control characters ("understanding-the-table-service-data-model");
Python and SQLite compare by code point. So everything outside ASCII is spelt as ``~`` and six hexadecimal digits, and a character
that cannot stand for itself as the one before it and ``~~``, which sorts after whatever else may follow that one. ``%`` is spelt out too,
because more than one layer between us and the service decodes addresses.
"""

from __future__ import annotations

import re

#: Sorts after every continuation of a key, because ``~~`` follows only the characters that the table below has, and those as a whole.
AFTER_ALL = "~~"

_SPELT: dict[str, str] = {" ": " ~~", "~": "~!"} | {sign: chr(ord(sign) - 1) + "~~" for sign in "%#/?\\"}
_SPELLING = re.compile(r" ~~|[$\".>\[]~~| [01][0-9a-f]|~!|~[0-9a-f]{6}")
_MEANT = {spelling: sign for sign, spelling in _SPELT.items()}


def key_of(name: str) -> str:
    """The key for a name; keys sort as names do, and start alike where names do."""
    return "".join(_SPELT.get(sign) or (sign if " " < sign < "~" else _numbered(sign)) for sign in name)


def name_of(key: str) -> str:
    """The name that a key was made of."""
    return _SPELLING.sub(lambda match: _MEANT.get(match[0]) or chr(int(match[0][1:], 16)), key)


def _numbered(sign: str) -> str:
    return f" {ord(sign):02x}" if sign < " " else f"~{ord(sign):06x}"
