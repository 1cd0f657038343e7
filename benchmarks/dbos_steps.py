"""Runs in an environment of its own, with DBOS and without Joinery: for each line it reads, one workflow of no-op steps.

Call: ``python dbos_steps.py FOLDER STEPS``. Each answer is a line with the seconds that the workflow took.
"""

from __future__ import annotations

import sqlite3
import sys
import time

from dbos import DBOS, SetWorkflowID  # type: ignore[import-not-found]  # it is only in the other environment


def main(folder: str, steps: int) -> None:
    """Serve until the input ends."""
    # A file remembers its journal mode. DBOS leaves it as it is, and would be slower in SQLite's own; FULL sync is SQLite's own too.
    with sqlite3.connect(f"{folder}/dbos.sqlite") as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    DBOS(
        config={"name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.sqlite", "log_level": "ERROR", "run_admin_server": False}
    )

    def nothing() -> None:
        return None

    step = DBOS.step()(nothing)

    def many() -> None:
        for _ in range(steps):
            step()

    workflow = DBOS.workflow()(many)
    DBOS.launch()
    for number, _ in enumerate(sys.stdin):
        with SetWorkflowID(f"run-{number}"):
            began = time.perf_counter()
            workflow()
            print(time.perf_counter() - began, flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
