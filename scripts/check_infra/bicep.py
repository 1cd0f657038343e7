"""A Bicep file as a tree, and the few questions that the checks ask of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import tree_sitter
import tree_sitter_bicep

from joinery.errors import Finding

Node = tree_sitter.Node

_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))
_DECLARATIONS = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """A param, var, resource, module or output."""

    kind: str
    name: str
    node: Node
    #: Type with the types of the resources around it and without its version; empty unless it is a resource.
    type: str = ""
    #: Of the resource around it.
    parent: str = ""

    @property
    def value(self) -> Node | None:
        """What it is: the object of a resource, also of one behind a condition or in a loop; None for a param without default."""
        if self.kind == "param" and len(self.node.named_children) < 3:
            return None
        value = self.node.named_children[-1]
        while value.type in ("if_statement", "for_statement"):
            value = value.named_children[-1]
        return value

    @property
    def required(self) -> bool:
        """A param that a caller has to set."""
        return self.kind == "param" and self.value is None and all(one.type != "nullable_type" for one in walk(self.node))


@dataclass(frozen=True, kw_only=True, slots=True)
class Bicep:
    """One file."""

    path: Path
    #: As it is told to people.
    name: str
    root: Node
    declared: tuple[Declared, ...] = field(default=())

    def of_kind(self, *kinds: str) -> tuple[Declared, ...]:
        """Declarations of these kinds, nested resources too."""
        return tuple(one for one in self.declared if one.kind in kinds)

    def finding(self, node: Node, problem: str, remedy: str) -> Finding:
        """A finding with the node's line."""
        return Finding(place=f"{self.name}:{node.start_point.row + 1}", problem=problem, remedy=remedy)


def read(path: Path, root: Path) -> Bicep:
    """Parse a file; what cannot be parsed is in the tree as ERROR and as nodes that are missing."""
    tree = _PARSER.parse(path.read_bytes()).root_node
    return Bicep(path=path, name=path.relative_to(root).as_posix(), root=tree, declared=tuple(_declared(tree)))


def _declared(node: Node, type_around: str = "", parent: str = "") -> Iterator[Declared]:
    for child in node.named_children:
        kind = _DECLARATIONS.get(child.type)
        if kind is None:
            yield from _declared(child, type_around, parent)
            continue
        name, own = text(child.named_children[0]), ""
        if kind == "resource" and len(child.named_children) > 1:
            own = "/".join(filter(None, (type_around, (literal(child.named_children[1]) or "").partition("@")[0])))
        yield Declared(kind=kind, name=name, node=child, type=own, parent=parent)
        yield from _declared(child, own or type_around, name if own else parent)


def walk(node: Node) -> Iterator[Node]:
    """The node and everything in it."""
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: Node) -> str:
    """Its source."""
    return (node.text or b"").decode()


def literal(node: Node | None) -> str | None:
    """The text of a string without interpolation, a number or a boolean; None for everything else."""
    if node is None:
        return None
    if node.type == "string":
        if any(child.type == "interpolation" for child in node.named_children):
            return None
        return "".join(_unescaped(child) for child in node.named_children)
    return text(node) if node.type in ("number", "boolean") else None


def _unescaped(node: Node) -> str:
    return text(node).replace("\\'", "'").replace("\\n", "\n").replace("\\$", "$") if node.type == "escape_sequence" else text(node)


def properties(node: Node | None) -> Mapping[str, Node]:
    """Key -> value of an object; nothing for everything else."""
    if node is None or node.type != "object":
        return {}
    pairs = [child.named_children for child in node.named_children if child.type == "object_property"]
    return {literal(pair[0]) or text(pair[0]): pair[1] for pair in pairs if len(pair) == 2}


def at(node: Node | None, *keys: str) -> Node | None:
    """The value below these keys; None where there is none."""
    for key in keys:
        node = properties(node).get(key)
    return node
