"""Object ids. Only a GUID ever becomes part of an address, so that no text from outside can steer a request."""

from __future__ import annotations

import re

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


def guid(text: object) -> str | None:
    """The id in lower case, as the directory itself writes it, or None if it is no GUID."""
    if not isinstance(text, str) or len(text) != 36:
        return None
    lowered = text.lower()
    return lowered if _GUID.fullmatch(lowered) else None
