"""What tests of several folders need: the Table service, as Microsoft's own emulator."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Where `make test` installs it, with the versions of tests/azurite/package-lock.json.
AZURITE = ROOT / ".venv" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "table" / "main.js"
NOT_RUN = "Azurite is not installed, so NOTHING was tested against the Table service: install Node.js and run `make test`"


@dataclass(kw_only=True, slots=True)
class Azurite:
    """The Table service in a process of its own, in memory, on loopback, with an account and a key made for it."""

    folder: Path
    port: int = 0
    key: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(32)).decode())
    _process: subprocess.Popen[bytes] | None = None

    @property
    def connection(self) -> str:
        """Its connection string."""
        return f"DefaultEndpointsProtocol=http;AccountName=joinery;AccountKey={self.key};TableEndpoint=http://127.0.0.1:{self.port}/joinery"

    def start(self) -> None:
        """Start it on a free port (it takes no port 0 that it would tell), and wait until it answers."""
        for _ in range(5):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            options = ["--inMemoryPersistence", "--disableTelemetry", "--silent", "--tableHost", "127.0.0.1", "--tablePort", str(self.port)]
            self._process = subprocess.Popen(
                ["node", str(AZURITE), *options],
                cwd=self.folder,
                env={**os.environ, "AZURITE_ACCOUNTS": f"joinery:{self.key}"},
                stdout=(self.folder / "azurite.txt").open("ab"),
                stderr=subprocess.STDOUT,
            )
            if self._answers():
                return
            self.stop()
        raise AssertionError(f"Azurite does not start:\n{(self.folder / 'azurite.txt').read_text()[-2000:]}")

    def _answers(self) -> bool:
        until = time.monotonic() + 60
        while time.monotonic() < until and self._process is not None and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return self._process.poll() is None
        return False

    def stop(self) -> None:
        """End it; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @staticmethod
    def new_table() -> str:
        """A name that nobody uses."""
        return f"t{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """One Azurite per session (and per worker); without Node.js a skip on a laptop and a failure in CI."""
    if shutil.which("node") is None or not AZURITE.is_file():
        if os.environ.get("CI"):
            pytest.fail(NOT_RUN)
        pytest.skip(NOT_RUN)
    made = Azurite(folder=tmp_path_factory.mktemp("azurite"))
    made.start()
    yield made
    made.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A skip is a dot among dots; this one is said aloud."""
    skipped = [one for one in terminalreporter.stats.get("skipped", []) if NOT_RUN in str(one.longrepr)]
    if skipped:
        terminalreporter.section(f"{len(skipped)} tests did not run", sep="!", yellow=True, bold=True)
        terminalreporter.line(NOT_RUN, yellow=True, bold=True)
