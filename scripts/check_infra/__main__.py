"""`make check` runs this: every finding with its place and its remedy; exit code 1 where there is one."""

from __future__ import annotations

from pathlib import Path

from check_infra.everything import findings_in

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Print what is wrong; returns the exit code."""
    found = findings_in(ROOT)
    for one in found:
        print(one)
    print(f"infra: {len(found)} findings" if found else "infra: no findings")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
