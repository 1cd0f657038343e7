"""Faults that a stand-in was asked to make: rules in JSON, and the book that says which one strikes now."""

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Faults of the door itself, the same on each stand-in.
COMMON_FAULTS = frozenset({"lost_response", "lost_request", "lands_late", "status", "done_status", "slow", "throttle"})

RULE_KEYS = (
    "match",
    "fault",
    "times",
    "after",
    "probability",
    "seed",
    "delay",
    "status",
    "headers",
    "body",
    "retry_after",
    "copies",
)
MATCH_KEYS = ("method", "path")


class BadRule(ValueError):
    """A rule that cannot be understood; the text says which key, what it holds and what exists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultRule:
    """One fault, and the calls it strikes."""

    fault: str
    #: Any method when None.
    method: str | None = None
    #: The exact path, compared without regard to case; any path when None.
    path: str | None = None
    #: How often it strikes; None = for ever.
    times: int | None = 1
    #: How many matching calls it lets pass first.
    after: int = 0
    #: How likely it strikes a matching call, 0 to 1.
    probability: float = 1.0
    seed: int | None = None
    #: Seconds.
    delay: float = 0.0
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    #: The text of a Retry-After header.
    retry_after: str | None = None
    #: Extra copies of a notification; None = the fault's own habit.
    copies: int | None = None

    @classmethod
    def from_json(cls, raw: object, kinds: frozenset[str]) -> "FaultRule":
        """Decode one rule. Raises BadRule naming the key, the value and what is understood."""
        if not isinstance(raw, Mapping):
            raise BadRule(f"a fault rule is a JSON object, got {raw!r}")
        _known_keys(raw, RULE_KEYS, "a fault rule")
        fault = raw.get("fault")
        if not isinstance(fault, str) or fault not in kinds:
            raise BadRule(f"fault = {fault!r}: not one of {', '.join(sorted(kinds))}")
        match = raw.get("match") if raw.get("match") is not None else {}
        if not isinstance(match, Mapping):
            raise BadRule(f"match = {match!r}: a JSON object with method and path, both optional")
        _known_keys(match, MATCH_KEYS, "match")
        times = raw.get("times", 1)
        seed = raw.get("seed")
        return cls(
            fault=fault,
            method=_text(match, "method"),
            path=_text(match, "path"),
            times=None if times is None else _whole(raw, "times", 1),
            after=_whole(raw, "after", 0),
            probability=_number(raw, "probability", 1.0, upper=1.0),
            seed=None if seed is None else _whole(raw, "seed", 0, lower=None),
            delay=_number(raw, "delay", 0.0),
            status=_whole(raw, "status", 500, lower=200, upper=599),
            headers=_headers(raw.get("headers")),
            body=raw.get("body"),
            retry_after=_retry_after(raw.get("retry_after")),
            copies=None if raw.get("copies") is None else _whole(raw, "copies", 1),
        )

    def matches(self, method: str, paths: Sequence[str]) -> bool:
        """Whether a call with this method and one of these paths is meant."""
        if self.method is not None and self.method.upper() != method.upper():
            return False
        return self.path is None or self.path.lower() in {path.lower() for path in paths}

    def to_json(self, times_left: int | None) -> dict[str, Any]:
        """The rule as it was given, with the times that remain."""
        match = {key: value for key, value in (("method", self.method), ("path", self.path)) if value is not None}
        row: dict[str, Any] = {
            "match": match,
            "fault": self.fault,
            "times": times_left,
            "after": self.after,
            "probability": self.probability,
            "seed": self.seed,
            "delay": self.delay,
        }
        if self.fault in ("status", "done_status", "item_status"):
            row |= {"status": self.status, "headers": dict(self.headers), "body": self.body}
        if self.retry_after is not None:
            row["retry_after"] = self.retry_after
        if self.copies is not None:
            row["copies"] = self.copies
        return row


class _Entry:
    """A rule and how far it has come."""

    __slots__ = ("dice", "left", "rule", "seen")

    def __init__(self, rule: FaultRule) -> None:
        self.rule = rule
        self.left = rule.times
        self.seen = 0
        self.dice = random.Random(rule.seed)  # noqa: S311 - repeatable on purpose, nothing secret hangs on it

    def strikes(self) -> bool:
        if self.left == 0 or self.seen <= self.rule.after:
            return False
        return self.rule.probability >= 1.0 or self.dice.random() < self.rule.probability


class FaultBook:
    """The rules in force; thread-safe. The first rule in the list that matches and is due strikes; every matching rule counts the call."""

    def __init__(self, extra_kinds: frozenset[str] = frozenset()) -> None:
        self.kinds = COMMON_FAULTS | extra_kinds
        self._lock = threading.Lock()
        self._entries: list[_Entry] = []

    def rules(self) -> list[dict[str, Any]]:
        """The rules as JSON-able rows, each with the `times` that remain."""
        with self._lock:
            return [entry.rule.to_json(entry.left) for entry in self._entries]

    def replace(self, raw: object) -> None:
        """Put a JSON list of rules in force instead of the present ones. Raises BadRule and leaves them as they were if one is not understood."""
        if not isinstance(raw, list):
            raise BadRule("the body is a JSON list of fault rules")
        entries = []
        for index, row in enumerate(raw):
            try:
                entries.append(_Entry(FaultRule.from_json(row, self.kinds)))
            except BadRule as bad:
                raise BadRule(f"rule {index}: {bad}") from None
        with self._lock:
            self._entries = entries

    def clear(self) -> None:
        """No faults any more."""
        with self._lock:
            self._entries = []

    def take(self, method: str, path: str) -> FaultRule | None:
        """The door's fault for this call, counted as used; None when the call goes through."""
        return self._take(COMMON_FAULTS, method, (path,))

    def take_kind(self, kind: str, method: str = "", *paths: str) -> FaultRule | None:
        """A rule of one kind, counted as used. Without a method and paths every rule of that kind is meant, whatever its match says."""
        return self._take(frozenset({kind}), method, paths)

    def _take(self, kinds: frozenset[str], method: str, paths: Sequence[str]) -> FaultRule | None:
        anything = not method and not paths
        struck: FaultRule | None = None
        with self._lock:
            for entry in self._entries:
                if entry.rule.fault not in kinds or not (anything or entry.rule.matches(method, paths)):
                    continue
                entry.seen += 1
                if struck is None and entry.strikes():
                    struck = entry.rule
                    if entry.left is not None:
                        entry.left -= 1
        return struck


def _known_keys(raw: Mapping[Any, Any], known: Sequence[str], what: str) -> None:
    for key in raw:
        if key not in known:
            raise BadRule(f"{what} has no key {key!r}; it has {', '.join(known)}")


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    if value is not None and not isinstance(value, str):
        raise BadRule(f"match.{key} = {value!r}: a text")
    return value


def _number(raw: Mapping[str, Any], key: str, default: float, upper: float | None = None) -> float:
    value = raw.get(key, default)
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 and (upper is None or value <= upper)
    if not good or value == float("inf"):
        raise BadRule(f"{key} = {value!r}: a number from 0" + ("" if upper is None else f" to {upper:g}"))
    return float(value)


def _whole(raw: Mapping[str, Any], key: str, default: int, lower: int | None = 0, upper: int | None = None) -> int:
    value = raw.get(key, default)
    good = isinstance(value, int) and not isinstance(value, bool)
    if not good or (lower is not None and value < lower) or (upper is not None and value > upper):
        span = "" if lower is None else f" from {lower}" + ("" if upper is None else f" to {upper}")
        raise BadRule(f"{key} = {value!r}: a whole number{span}")
    return int(value)


def _headers(raw: object) -> dict[str, str]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping) or not all(isinstance(value, (str, int)) for value in raw.values()):
        raise BadRule(f"headers = {raw!r}: a JSON object of texts")
    headers = {str(name): str(value) for name, value in raw.items()}
    if any("\n" in part or "\r" in part for pair in headers.items() for part in pair):
        raise BadRule("headers: a header has one line")
    return headers


def _retry_after(raw: object) -> str | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)) or "\n" in str(raw) or "\r" in str(raw):
        raise BadRule(f"retry_after = {raw!r}: seconds, or the text of a Retry-After header")
    return str(raw)
