"""What any store may be asked to hold: the least that one of them takes, checked by all, so that the desk writes nothing the cloud would refuse.

The numbers come from the narrowest store there is, a table service with entity-group transactions: 100 rows and 4 MiB on the wire, 1 MiB a row,
1 KiB a key. What it adds on the wire and in the row (a third for base64, frames around each row, spelt-out characters in keys) is
taken off here, so a document that passes needs no second check.
"""

from __future__ import annotations

import json
import re

from joinery.engine.ports import Commit, Document

#: The row that every commit replaces.
HEAD = "head"

#: Rows of one commit, with the head and deletions counted.
ROWS_MAX = 100
#: Bytes of JSON of one commit together: 2 MiB, which base64 and the frames of 100 rows bring to less than 4 MiB.
COMMIT_BYTES_MAX = 2 * 1024 * 1024
#: Bytes of JSON of one document: eleven pieces of 64 KiB, which base64 brings to less than 1 MiB with key and frame.
DOCUMENT_BYTES_MAX = 11 * 64 * 1024
#: Characters of a key, where one that has to be spelt out counts ``SPELT_OUT`` times.
KEY_LENGTH_MAX = 500
SPELT_OUT = 7

#: The separators of a URL, control characters, code points that are no text, and the highest one, which range queries use as their end.
_FORBIDDEN = re.compile("[/\\\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\U0010ffff]")
#: What a store may have to spell out: blank, percent, tilde, and everything outside ASCII.
_SPELT_OUT = re.compile("[^!-$&-}]")
#: What every store takes as it is: neither forbidden nor spelt out, and not too long.
_PLAIN = re.compile(rf"[!-\"$&-.0->@-\[\]-}}]{{1,{KEY_LENGTH_MAX}}}")

#: msgspec reads faster, but would write NaN as null and a datetime as text without a word; the standard encoder refuses both.
_encode = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


def check_key(key: str) -> None:
    """Raise ValueError unless every store can hold this partition, row, index or shared name."""
    if _PLAIN.fullmatch(key):
        return
    if not key or _FORBIDDEN.search(key) or len(key) + (SPELT_OUT - 1) * len(_SPELT_OUT.findall(key)) > KEY_LENGTH_MAX:
        raise ValueError(
            f"not a key every store can hold: {key!r}; use 1 to {KEY_LENGTH_MAX} characters without / \\ # ? and control characters"
            f" (blanks, %, ~ and those outside ASCII count {SPELT_OUT} times)"
        )


def encoded(data: Document) -> bytes:
    """The document as JSON, UTF-8.

    Raises ValueError for what JSON has no word for (NaN, dates, sets, lone surrogates), and for one that is too large for a row.
    """
    try:
        text = _encode(data).encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(f"not a JSON document: {error}") from None
    if len(text) > DOCUMENT_BYTES_MAX:
        raise ValueError(f"a document has at most {DOCUMENT_BYTES_MAX} bytes; this one has {len(text)}")
    return text


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
    if size > COMMIT_BYTES_MAX:
        raise ValueError(f"a commit has at most {COMMIT_BYTES_MAX} bytes; this one has {size}")
    return head, rows
