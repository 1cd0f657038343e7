"""Writes docs/settings.md from the Settings record: ``python scripts/settings_reference.py``. With ``--check`` it only says whether the page is fresh."""

from __future__ import annotations

import sys
from dataclasses import MISSING, fields
from pathlib import Path

from joinery.settings import Secret, Settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"

_OPENING = """# Settings

What differs between one deployment and another: environment variables, read once at the door. What the organisation wants is
[policy](policy.md). `joinery settings` prints every setting with its value, secrets as stars, and checks them all. A variable
whose name is nearly one of these is a finding, because it is a spelling mistake; others that start with `JOINERY_` are left alone. A wrong
value is reported under its variable, or under the option where it came from the command line.

`local.settings.sample.json` is a template for the Azure Functions host. A few are options of `joinery up` too, and the option wins.

<!-- The table is written by scripts/settings_reference.py. -->

| variable | default | meaning |
| --- | --- | --- |
"""

_CLOSING = """
`JOINERY_EMPTY` and `JOINERY_NO_PLAY` (1 or 0; yes, true and on or no, false and off will do) are read by the command alone: they stand for
`--empty` and `--no-play`.

## Needed without stand-ins

`joinery up` starts a stand-in for each of Graph and Halo that has no address, takes its own loopback address as the public one, and makes the
clientState by itself. Real ones need `JOINERY_CLOUD` (`global`; or both addresses, `JOINERY_GRAPH_URL` and `JOINERY_GRAPH_AUTHORITY`),
`JOINERY_GRAPH_TENANT`, `JOINERY_HALO_URL`, `JOINERY_PUBLIC_URL`, and the ids and secrets of both applications; the functions host also needs
`JOINERY_CLIENT_STATE`. What is missing is said at the start, all at once, and by `joinery settings`.

## Signing in to Graph

| `JOINERY_GRAPH_CREDENTIAL` | needs |
| --- | --- |
| `secret` | `JOINERY_GRAPH_CLIENT_ID`, `JOINERY_GRAPH_CLIENT_SECRET` |
| `certificate` | `JOINERY_GRAPH_CLIENT_ID`, `JOINERY_GRAPH_CERTIFICATE`, and `JOINERY_GRAPH_CERTIFICATE_PASSWORD` where the file has one |
| `managed-identity` | nothing; `AZURE_CLIENT_ID` where the identity was assigned by a user. Neither an id nor a secret to keep |

The functions host reads `PYTHON_THREADPOOL_THREAD_COUNT` too; [the functions](functions.md) say why it is 16.

## Writing to the directory

Only for a policy that cuts leavers off (`[leaver.directory]`); `on_refused = "remove"` uses it too where it is set.

| `JOINERY_GRAPH_WRITE_CREDENTIAL` | needs |
| --- | --- |
| `secret` | `JOINERY_GRAPH_WRITE_CLIENT_ID`, `JOINERY_GRAPH_WRITE_CLIENT_SECRET` |
| `certificate` | `JOINERY_GRAPH_WRITE_CLIENT_ID`, `JOINERY_GRAPH_WRITE_CERTIFICATE`, and `JOINERY_GRAPH_WRITE_CERTIFICATE_PASSWORD` where the file has one |
| `managed-identity` | `JOINERY_GRAPH_WRITE_IDENTITY`; empty, it is the machine's own |

It is another application or identity than the one that reads, with `User.RevokeSessions.All` and `GroupMember.ReadWrite.All` and nothing else. With
stand-ins none is needed.

## Rotating the clientState

Put the present value into `JOINERY_CLIENT_STATE_PREVIOUS` and a new one into `JOINERY_CLIENT_STATE`, then restart. Both are accepted; the
subscriptions are made again with the new one at the start. When nothing arrives with the old one any more, empty the first variable.
"""


def page() -> str:
    """The whole page."""
    rows = []
    for one in fields(Settings):
        value = one.default
        if value is MISSING:
            raise AssertionError(f"{one.name} has no default to document")
        rows.append(f"| `{one.metadata['env']}` | {_shown(value)} | {one.metadata['help']} |\n")
    return _OPENING + "".join(rows) + _CLOSING


def _shown(value: object) -> str:
    if value is None or value == "" or value == Secret(""):
        return "(not set)"
    if isinstance(value, Secret):
        return "a secret for the stand-ins"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def main(arguments: list[str]) -> int:
    """Write the page, or compare; returns the exit code."""
    if arguments == ["--check"]:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
        print("docs/settings.md is fresh" if fresh else "docs/settings.md is stale: run python scripts/settings_reference.py")
        return 0 if fresh else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
