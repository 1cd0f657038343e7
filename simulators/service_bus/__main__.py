"""``python -m simulators.service_bus ENTITIES.json PORT [FOLDER]``: a pretend Service Bus by itself, until it is ended."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from adapters.system import SystemClock
from joinery.errors import ConfigurationError
from simulators.service_bus.entities import Namespace, read_entities
from simulators.service_bus.server import ServiceBus


def main(arguments: list[str]) -> int:
    """0 when it is ended, 2 where it cannot start."""
    if not 2 <= len(arguments) <= 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    folder = Path(arguments[2]) if len(arguments) > 2 else None
    try:
        bus = ServiceBus(Namespace(read_entities(Path(arguments[0])), SystemClock(), folder=folder), port=int(arguments[1])).start()
    except (ConfigurationError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"listening on {bus.port}\n")
    sys.stdout.flush()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        bus.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
