"""What a commit may hold in any store, so that the desk cannot write what the cloud would refuse.

The numbers are those of an entity-group transaction ("performing-entity-group-transactions": 100 entities, 4 MiB), the characters those of a
key ("understanding-the-table-service-data-model": no ``/ \\ # ?``, no control characters, 1 KiB of UTF-16).
"""

from __future__ import annotations

import json
import re

from joinery.engine.ports import Commit, Document

#: The row that every commit replaces.
HEAD = "head"

ROWS_MAX = 100
BYTES_MAX = 4 * 1024 * 1024
KEY_LENGTH_MAX = 512

#: Also the code points that are no text, and the highest one, which range queries use as their end.
_FORBIDDEN = re.compile("[/\\\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\U0010ffff]")

#: msgspec reads faster, but would write NaN as null and a datetime as text without a word; the standard encoder refuses both.
_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


def check_key(key: str) -> None:
    """Raise ValueError unless every store can hold this partition, row, index or shared name."""
    if not key or len(key) > KEY_LENGTH_MAX or _FORBIDDEN.search(key):
        raise ValueError(
            f"not a key every store can hold: {key!r}; use 1 to {KEY_LENGTH_MAX} characters without / \\ # ? and control characters"
        )


def encoded(data: Document) -> bytes:
    """The document as JSON, UTF-8. Raises ValueError for what JSON has no word for (NaN, dates, sets, lone surrogates)."""
    try:
        return _encode(data).encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not a JSON document: {error}") from None


def encoded_commit(commit: Commit) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The head, with its commit id, and the rows to put, encoded. Raises ValueError where the commit breaks a limit of the port."""
    names = [HEAD, *(row.name for row in commit.put), *commit.delete]
    check_key(commit.partition)
    for name in names:
        check_key(name)
    if not commit.commit_id:
        raise ValueError("a commit needs a commit_id")
    if len(names) > ROWS_MAX:
        raise ValueError(f"a commit has at most {ROWS_MAX} rows, head included; this one has {len(names)}")
    if len(set(names)) < len(names):
        raise ValueError("a commit names each row once, and the head not at all")
    head = encoded({**commit.head, "commit_id": commit.commit_id})
    rows = [(row.name, encoded(row.data)) for row in commit.put]
    size = len(head) + sum(len(data) for _, data in rows)
    if size > BYTES_MAX:
        raise ValueError(f"a commit has at most {BYTES_MAX} bytes; this one has {size}")
    return head, rows
