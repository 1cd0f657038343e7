"""What the store holds about one person, unpacked; and whether its audit is whole. It trusts no code of the engine."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(slots=True)
class Memory:
    """One partition."""

    head: dict[str, Any]
    known: dict[str, Any]
    runs: list[dict[str, Any]]
    #: Run seq -> its steps.
    steps: dict[int, list[dict[str, Any]]]
    audit: list[dict[str, Any]]
    open_rows: list[str]

    @property
    def live(self) -> list[dict[str, Any]]:
        """The runs that acted."""
        return [run for run in self.runs if run["mode"] == "live"]

    def holds(self, workflow: str) -> bool:
        """The breaker holds something of this workflow."""
        return workflow in self.head.get("held", "").split(", ")

    def rehearses(self, workflow: str) -> bool:
        """Something of this workflow was rehearsed, and still stands."""
        return any(one.startswith(f"{workflow}-") for one in self.head.get("rehearsed", ()))

    @property
    def waits_for_a_word(self) -> bool:
        """Something is held, or was rehearsed and still stands."""
        return bool(self.head.get("held") or self.head.get("rehearsed"))

    @property
    def waited_for_a_word(self) -> bool:
        """Something was held or rehearsed at any time: what was decided, and when, is then a person's business too."""
        return any(run["mode"] == "shadow" for run in self.runs) or any(entry["action"] == "held" for entry in self.audit)


def memory_of(rows: dict[str, Any]) -> Memory:
    """From the rows of a partition."""
    runs: list[dict[str, Any]] = []
    steps: dict[int, list[dict[str, Any]]] = {}
    open_rows = []
    for name in sorted(rows):
        kind, _, rest = name.removeprefix("~").partition(".")
        if kind in ("run", "closed"):
            seq, _, step = rest.partition(".")
            (steps.setdefault(int(seq), []) if step else runs).append(rows[name])
        if name not in ("head", "known") and not name.startswith("~"):
            open_rows.append(name)
    audit = [rows[name] for name in sorted(rows) if name.startswith("~audit.")]
    return Memory(rows.get("head", {}), rows.get("known", {}), sorted(runs, key=lambda run: run["seq"]), steps, audit, open_rows)


def broken_chain(memory: Memory) -> str:
    """What is wrong with the audit; empty where nothing is."""
    before = ""
    for expected, record in enumerate(memory.audit, start=1):
        content = {key: value for key, value in record.items() if key != "hash"}
        content["at"] = moment(record["at"]).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if record["seq"] != expected or record["prev"] != before or record["hash"] != hashlib.sha256(text.encode()).hexdigest():
            return f"audit entry {expected} does not fit its chain"
        before = record["hash"]
    if memory.head and (memory.head.get("audit_hash", ""), memory.head.get("audit_seq", 0)) != (before, len(memory.audit)):
        return "the head names another last audit entry"
    return ""


def moment(text: str) -> datetime:
    """As the engine writes it."""
    return datetime.fromisoformat(text).astimezone(UTC)
