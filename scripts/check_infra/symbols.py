"""Syntax and symbols: whatever is named is declared, whatever is declared is used, and modules are called as they are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from check_infra.bicep import Bicep, Declared, Node, at, literal, properties, text, walk
from joinery.errors import Finding

#: Functions and decorators of the language that are in use here; one more is added when it is needed. A name that is misspelt is none.
FUNCTIONS = {
    *("guid", "length", "split", "string", "subscription", "subscriptionResourceId", "substring", "tenant", "toLower", "union"),
    *("uniqueString",),
}
DECORATORS = {"allowed", "description", "maxLength", "maxValue", "minLength", "minValue", "secure"}


def broken(file: Bicep) -> Iterator[Finding]:
    """What the grammar does not know."""
    for node in walk(file.root):
        if node.is_missing:
            yield file.finding(node, f"lacks {node.type!r}", "Close what is open.")
        elif node.type == "ERROR":
            yield file.finding(node, f"is no Bicep: {text(node)[:40]!r}", "Mend the syntax.")


def findings(file: Bicep, files: Mapping[Path, Bicep]) -> Iterator[Finding]:
    """What is wrong with the names of one file; ``files`` are those that it may call."""
    yield from _doubled(file)
    known = {one.name: one for one in file.declared if one.kind != "output" and not one.parent}
    used: set[str] = set()
    for node in _references(file.root):
        name = text(node)
        used.add(name)
        if name not in known and name not in _around(node):
            yield file.finding(node, f"{name} is not declared", "Declare it, or mend the name.")
    for one in file.of_kind("param", "var"):
        if one.name not in used:
            yield file.finding(one.node, f"{one.kind} {one.name} is not used", "Use it, or remove it.")
    yield from _calls(file)
    yield from _nested(file)
    for one in file.of_kind("module"):
        yield from _module(file, one, files)


def _doubled(file: Bicep) -> Iterator[Finding]:
    for node in walk(file.root):
        keys = [text(child.named_children[0]) for child in node.named_children if child.type == "object_property"]
        for key in sorted({key for key in keys if keys.count(key) > 1}):
            yield file.finding(node, f"{key} stands twice in one object", "Remove one of them.")
    seen: set[tuple[bool, str, str]] = set()
    for one in file.declared:
        # Outputs have a world of names of their own, and so have the children of each resource.
        key = (one.kind == "output", one.parent, one.name)
        if key in seen:
            yield file.finding(one.node, f"{one.name} is declared twice", "Give one of them another name.")
        seen.add(key)


def _references(node: Node) -> Iterator[Node]:
    """Identifiers that stand for something declared in the file."""
    for index, child in enumerate(node.named_children):
        if child.type != "identifier":
            yield from _references(child)
        elif not _is_name(node, child, index):
            yield child


def _is_name(node: Node, child: Node, index: int) -> bool:
    """Whether an identifier only names: what is declared, a key, a function, a child resource."""
    if node.type.endswith("_declaration") or node.type in ("object_property", "for_statement"):
        return index == 0
    return child == node.child_by_field_name("function") or (node.type == "resource_expression" and index > 0)


def _around(node: Node) -> set[str]:
    """Names of the loops and of the resources that a node stands in."""
    names: set[str] = set()
    inside: Node | None = node
    while inside is not None:
        if inside.type == "for_statement":
            names |= {text(one) for one in walk(inside.named_children[0]) if not one.named_children}
        elif inside.type == "resource_declaration":
            names |= {text(one.named_children[0]) for one in walk(inside) if one.type == "resource_declaration"}
        inside = inside.parent
    return names


def _calls(file: Bicep) -> Iterator[Finding]:
    for node in walk(file.root):
        function = node.child_by_field_name("function")
        if node.type != "call_expression" or function is None or function.type != "identifier":
            continue
        name, decorates = text(function), node.parent is not None and node.parent.type == "decorator"
        if name not in (DECORATORS if decorates else FUNCTIONS):
            remedy = "Mend the name, or add it to the list in scripts/check_infra/symbols.py."
            yield file.finding(node, f"{name} is no {'decorator' if decorates else 'function'} that is known here", remedy)


def _nested(file: Bicep) -> Iterator[Finding]:
    children = {(one.parent, one.name) for one in file.declared if one.parent}
    for node in walk(file.root):
        if node.type != "resource_expression":
            continue
        around = text(node.named_children[0]).rpartition("::")[2]
        name = text(node.named_children[-1])
        if (around, name) not in children:
            yield file.finding(node, f"{around} has no child resource {name}", "Mend the name.")


def _module(file: Bicep, module: Declared, files: Mapping[Path, Bicep]) -> Iterator[Finding]:
    path = literal(module.node.named_children[1]) or ""
    callee = files.get((file.path.parent / path).resolve())
    if callee is None:
        yield file.finding(module.node, f"module {module.name}: there is no {path}", "Mend the path.")
        return
    given = properties(at(module.value, "params"))
    wanted = {one.name: one for one in callee.of_kind("param")}
    for name, node in given.items():
        if name not in wanted:
            yield file.finding(node, f"module {module.name}: {callee.name} has no param {name}", "Remove it, or mend the name.")
    for name, one in wanted.items():
        if one.required and name not in given:
            yield file.finding(
                module.node, f"module {module.name}: param {name} is not set", f"Set it: {callee.name} has no default for it."
            )
    outputs = {one.name for one in callee.of_kind("output")}
    for node in walk(file.root):
        if node.type != "member_expression" or len(node.named_children) != 2:
            continue
        of, name = node.named_children
        if text(of) == f"{module.name}.outputs" and text(name) not in outputs:
            yield file.finding(node, f"{callee.name} has no output {text(name)}", "Declare it there, or mend the name.")
