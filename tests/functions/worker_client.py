"""The other end of ``worker_stage``: starts it, gives it orders, reads its answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: Where `make test` installs Microsoft's engine.
ENGINE = ROOT / ".venv" / "functions" / "azure_functions_runtime"


class Worker:
    """Microsoft's worker in a process of its own, in a folder that is not ours, with the settings of ``local.settings.sample.json``."""

    def __init__(self, folder: Path, **settings: str) -> None:
        sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
        plain = {name: value for name, value in os.environ.items() if not name.startswith("JOINERY_")}
        environment = (
            plain | {"PYTHON_THREADPOOL_THREAD_COUNT": sample["PYTHON_THREADPOOL_THREAD_COUNT"], "NO_PROXY": "127.0.0.1"} | settings
        )
        self._printed = folder / "worker.txt"
        with self._printed.open("ab") as printed:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("worker_stage.py"))],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                text=True,
            )

    def order(self, name: str, *args: Any, **arguments: Any) -> Any:
        """One order and its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, {"args": args, **arguments}]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the worker has ended:\n{self.printed[-4000:]}"
        return json.loads(line)

    def http(
        self,
        function: str,
        method: str,
        url: str,
        body: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Any:
        """A request to a function."""
        return self.order("http", function, method, url, headers=dict(headers or {}), params=dict(params or {}), body=body)

    @property
    def printed(self) -> str:
        """What it logged and printed."""
        return self._printed.read_text(errors="replace")

    def close(self) -> None:
        """No more orders."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
