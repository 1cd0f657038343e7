"""Are the ports free? Asked before anything starts, so that every one that is taken is named at once."""

from __future__ import annotations

import socket

from joinery.errors import ConfigurationError, Finding


def check_ports(wanted: dict[str, int]) -> None:
    """``wanted`` is option -> port; 0 is always free. Raises ConfigurationError with a finding for each that is not."""
    findings = []
    seen: dict[int, str] = {}
    for option, port in wanted.items():
        if port == 0:
            continue
        if port in seen:
            problem = f"is {port}, as is {seen[port]}"
            findings.append(Finding(place=option, problem=problem, remedy="Give each its own port, or 0 for a free one."))
            continue
        seen[port] = option
        trouble = _trouble(port)
        if trouble:
            remedy = "Stop what listens there, or give another port; 0 takes a free one."
            findings.append(Finding(place=option, problem=f"cannot listen on 127.0.0.1:{port} ({trouble})", remedy=remedy))
    if findings:
        raise ConfigurationError(findings)


def _trouble(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a connection of an earlier process that is still closing takes no port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError as error:
            return error.strerror or str(error)
    return ""
