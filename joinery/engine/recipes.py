"""A workflow is a recipe with a name and a version; the catalogue says which fact it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from joinery.domain.events import Fact
from joinery.engine.context import Context

Recipe = Callable[[Context], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Workflow:
    """A named recipe. The version is recorded in every run it starts."""

    name: str
    version: int
    recipe: Recipe


#: Fact class -> the workflow that answers it.
Catalogue = Mapping[type[Fact], Workflow]


def workflow(*, version: int) -> Callable[[Recipe], Workflow]:
    """Make a recipe a workflow that is named after its function."""

    def name_it(recipe: Recipe) -> Workflow:
        return Workflow(name=recipe.__name__, version=version, recipe=recipe)

    return name_it
