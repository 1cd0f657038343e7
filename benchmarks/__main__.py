"""``python -m benchmarks [NAME …]``: run all benchmarks, or those whose name contains a word given."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.table import Table

from benchmarks import beside_dbos, calls, cold, histories, intake, interpreting, journey, looks, memory, steps, stores, sweeping, worker
from benchmarks.figure import Figure

#: Name -> what measures it.
BENCHMARKS: dict[str, Callable[[], Iterator[Figure]]] = {
    "journey": journey.measure,
    "worker": worker.measure,
    "cold": cold.measure,
    "stores": stores.measure,
    "steps": steps.measure,
    "dbos": beside_dbos.measure,
    "looks": looks.measure,
    "intake": intake.measure,
    "memory": memory.measure,
    "sweeping": sweeping.measure,
    "calls": calls.measure,
    "histories": histories.measure,
    "interpreting": interpreting.measure,
}


def main(words: list[str]) -> None:
    """Measure, print each figure as it comes, then all in a table."""
    figures = []
    for name, measure in BENCHMARKS.items():
        if not words or any(word in name for word in words):
            for figure in measure():
                print(json.dumps(figure.as_document()), flush=True)
                figures.append(figure)
    table = Table("figure", "seen", "limit or peer", "ratio", title="Measured on this machine, in this run")
    for figure in figures:
        table.add_row(figure.name, f"{figure.value:,.4g} {figure.unit}", figure.peer_text, figure.ratio_text)
    Console(width=140).print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
