"""A disk of a few megabytes for the data folder, in a mount namespace of its own; as a program, it runs a command in there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest


class SmallDisk:
    """A tmpfs at ``folder`` that only processes started through ``launcher`` see, kept by a process that sleeps in the namespace."""

    def __init__(self, folder: Path, *, megabytes: int) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        script = f'mount -t tmpfs -o size={megabytes}m none "$0" && echo mounted && exec sleep 3600'
        self._keeper = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", script, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._keeper.stdout is not None
        if (said := self._keeper.stdout.readline().strip()) != "mounted":
            self.end()
            pytest.skip(f"this machine lets nobody mount a small disk in a namespace ({said})")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def launcher(self) -> tuple[str, ...]:
        """Arguments of Python that run `joinery up` in there."""
        return (__file__, str(self._keeper.pid), sys.executable, "-m", "joinery", "up")

    @property
    def seen_from_outside(self) -> Path:
        """The folder, for reading and writing plain files; no database may be opened through it."""
        return Path(f"/proc/{self._keeper.pid}/root{self._folder}")

    def fill(self) -> None:
        """Leave not one free byte."""
        with (self.seen_from_outside / "filler").open("wb", buffering=0) as filler:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        filler.write(b"\0" * size)
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def free(self) -> None:
        """Take away what ``fill`` wrote."""
        (self.seen_from_outside / "filler").unlink()

    def remount(self, how: str) -> None:
        """``ro`` or ``rw``; nobody may have a file open for writing."""
        subprocess.run([*_inside(self._keeper.pid), "mount", "-o", f"remount,{how}", str(self._folder)], check=True, timeout=20)

    def end(self) -> None:
        """The disk goes with its last process."""
        self._keeper.kill()
        self._keeper.communicate()


def _inside(keeper: int) -> list[str]:
    return ["nsenter", "-t", str(keeper), "-U", "-m", "--preserve-credentials"]


if __name__ == "__main__":
    here = os.getcwd()
    command = [*_inside(int(sys.argv[1])), f"--wd={here}", *sys.argv[2:]]
    os.execvp(command[0], command)
