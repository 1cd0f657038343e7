"""A pretend Service Bus in a process of its own, so that only our side is measured."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
#: Name of its one queue.
QUEUE = "person-messages"


@contextmanager
def pretend_bus() -> Iterator[str]:
    """Connection string of a pretend Service Bus in a process of its own, with its queue in memory."""
    with tempfile.TemporaryDirectory() as folder:
        entities = Path(folder) / "entities.json"
        entities.write_text(json.dumps({"queues": {QUEUE: {"requires_session": True}}}), encoding="utf-8")
        command = [sys.executable, "-m", "simulators.service_bus", str(entities), "0"]
        process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        try:
            if process.stdout is None:
                raise RuntimeError("the pipe is missing")
            port = process.stdout.readline().split()[-1]
            yield f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true"
        finally:
            process.terminate()
            process.wait()
