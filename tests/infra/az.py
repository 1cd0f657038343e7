"""Answers like `az` to the few commands of the scripts in infra/, from a state in the file FAKE_AZ names, and notes every call there."""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path


def answer(words: list[str], state: dict[str, dict[str, str]]) -> str:
    """What is printed; KeyError where there is nothing to show."""
    given = dict(itertools.pairwise(words))
    match words:
        case ["ad", "sp", "show", *_] if given["--query"].startswith("appRoles"):
            return "Mail.Read" if "'mail'" in given["--query"] else ""
        case ["ad", "sp", "show", *_]:
            return "graph-principal"
        case ["ad", "sp", "create", *_]:
            return "new-principal"
        case ["ad", "app", "create", *_]:
            return "new-app"
        case ["ad", "app", "credential", *_]:
            return "new-secret"
        case ["rest", *_] if given["--method"] == "get":
            return "\n".join(f"{role}\t{assignment}" for role, assignment in state["granted"].items())
        case ["rest", *_] if given["--method"] == "post":
            body = json.loads(given["--body"])
            state["granted"][body["appRoleId"]] = f"{body['resourceId']}-{len(state['granted'])}"
        case ["rest", *_]:
            assignment = given["--url"].rpartition("/")[2]
            state["granted"] = {role: held for role, held in state["granted"].items() if held != assignment}
        case ["keyvault", "secret", "show", *_]:
            return state["secrets"][given["--name"]]
        case ["keyvault", "secret", "set", *_]:
            state["secrets"][given["--name"]] = Path(given["--file"]).read_text()
    return ""


def main() -> int:
    """One call; returns the exit code."""
    path = Path(os.environ["FAKE_AZ"])
    state = json.loads(path.read_text())
    state["calls"].append(" ".join(sys.argv[1:]))
    try:
        if said := answer(sys.argv[1:], state):
            print(said)
    except KeyError:
        return 3
    finally:
        path.write_text(json.dumps(state))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
