"""$filter in its simple forms, read into a predicate over an object's properties."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from simulators.graph.errors import GraphError, bad_request
from simulators.graph.schema import known_name

Predicate = Callable[[Mapping[str, Any]], bool]

#: A real filter is shorter; beyond it a parser of ours would only be attacked.
LONGEST = 8_000

_TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<sign>[(),])|(?P<word>[^\s(),']+))")
_ADVANCED = frozenset({"ne", "not", "endswith"})


def parse_filter(text: str, kind: str, *, advanced: bool) -> Predicate:
    """A predicate for `text`; 400 for what is not understood, and for ne, not and endsWith unless `advanced` (the page "aad-advanced-queries")."""
    return _Parser(text, kind, advanced).parse()


class _Parser:
    def __init__(self, text: str, kind: str, advanced: bool) -> None:
        self._kind = kind
        self._advanced = advanced
        self._text = text
        self._depth = 0
        self._tokens = self._split(text)
        self._at = 0

    def parse(self) -> Predicate:
        predicate = self._any_of()
        if self._at < len(self._tokens):
            raise self._invalid()
        return predicate

    def _split(self, text: str) -> list[str]:
        if len(text) > LONGEST:
            raise self._invalid()
        tokens, at = [], 0
        stripped = text.rstrip()
        while at < len(stripped):
            found = _TOKEN.match(stripped, at)
            if found is None:
                raise self._invalid()
            tokens.append(found.group().strip())
            at = found.end()
        return tokens

    def _invalid(self) -> GraphError:
        return bad_request("Invalid filter clause: " + self._text[:200])

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise self._invalid()
        self._at += 1
        return token

    def _expect(self, sign: str) -> None:
        if self._next() != sign:
            raise self._invalid()

    def _any_of(self) -> Predicate:
        parts = [self._all_of()]
        while self._peek().lower() == "or":
            self._next()
            parts.append(self._all_of())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _all_of(self) -> Predicate:
        parts = [self._one()]
        while self._peek().lower() == "and":
            self._next()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _one(self) -> Predicate:
        self._depth += 1
        if self._depth > 50:
            raise self._invalid()
        try:
            return self._term()
        finally:
            self._depth -= 1

    def _term(self) -> Predicate:
        token = self._next()
        lower = token.lower()
        if token == "(":
            inside = self._any_of()
            self._expect(")")
            return inside
        if lower == "not":
            self._needs_advanced(lower)
            negated = self._one()
            return lambda row: not negated(row)
        if lower in ("startswith", "endswith"):
            return self._affix(lower)
        if lower.endswith("/any"):
            return self._any_item(token[: -len("/any")])
        read = self._reader(token)
        operator = self._next().lower()
        if operator == "in":
            values = self._values()
            return lambda row: any(_same(read(row), value) for value in values)
        return self._compare(read, operator)

    def _compare(self, read: Callable[[Mapping[str, Any]], Any], operator: str) -> Predicate:
        value = self._literal(self._next())
        self._needs_advanced(operator)
        if operator == "eq":
            return lambda row: _same(read(row), value)
        if operator == "ne":
            return lambda row: not _same(read(row), value)
        tests: dict[str, Callable[[Any, Any], bool]] = {
            "ge": lambda a, b: a >= b,
            "gt": lambda a, b: a > b,
            "le": lambda a, b: a <= b,
            "lt": lambda a, b: a < b,
        }
        test = tests.get(operator)
        if test is None or isinstance(value, bool) or value is None:
            raise self._invalid()
        return lambda row: type(read(row)) is type(value) and test(read(row), value)

    def _affix(self, function: str) -> Predicate:
        self._needs_advanced(function)
        self._expect("(")
        read = self._reader(self._next())
        self._expect(",")
        value = self._literal(self._next())
        self._expect(")")
        if not isinstance(value, str):
            raise self._invalid()
        part = value.lower()
        if function == "startswith":
            return lambda row: str(read(row) or "").lower().startswith(part)
        return lambda row: str(read(row) or "").lower().endswith(part)

    def _any_item(self, name: str) -> Predicate:
        """groupTypes/any(c:c eq 'Unified')"""
        read = self._reader(name)
        self._expect("(")
        variable, _, again = self._next().partition(":")
        if not (again or self._next()) or self._next().lower() != "eq":
            raise self._invalid()
        value = self._literal(self._next())
        self._expect(")")
        if not variable:
            raise self._invalid()
        return lambda row: any(_same(item, value) for item in read(row) or [])

    def _values(self) -> list[Any]:
        self._expect("(")
        values = [self._literal(self._next())]
        while self._peek() == ",":
            self._next()
            values.append(self._literal(self._next()))
        self._expect(")")
        return values

    def _reader(self, path: str) -> Callable[[Mapping[str, Any]], Any]:
        name, *rest = path.split("/")
        first = known_name(self._kind, name)

        def read(row: Mapping[str, Any]) -> Any:
            value = row.get(first)
            for part in rest:
                value = value.get(part) if isinstance(value, Mapping) else None
            return value

        return read

    def _literal(self, token: str) -> Any:
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        words = {"true": True, "false": False, "null": None}
        if token.lower() in words:
            return words[token.lower()]
        if re.fullmatch(r"-?\d{1,18}", token):
            return int(token)
        if re.fullmatch(r"\d{4}-\d\d-\d\d(T[\d:.]+Z)?", token) or re.fullmatch(r"[0-9a-fA-F-]{36}", token):
            return token
        raise self._invalid()

    def _needs_advanced(self, word: str) -> None:
        if word in _ADVANCED and not self._advanced:
            raise bad_request(
                "Operator is not supported for this property without the header ConsistencyLevel: eventual and $count=true.",
                "Request_UnsupportedQuery",
            )


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    return type(left) is type(right) and bool(left == right)
