"""What is around the Bicep files: azd's own files, the parameters it asks for, and what of the repository is deployed."""

from __future__ import annotations

import ast
import fnmatch
import functools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from check_infra.bicep import Bicep
from joinery.errors import Finding

#: The code that is checked against, wherever the copy of infra/ lies that is checked.
_PRODUCT = Path(__file__).resolve().parents[2]

#: Never deployed: stand-ins, tests and whatever else only a developer needs. So is what azd keeps, which names the subscription.
KEPT_BACK = (
    ".azure",
    ".venv",
    "benchmarks",
    "docs",
    "infra",
    "scripts",
    "simulators",
    "tests",
    "local.settings.json",
    "requirements-dev.txt",
)
#: Needed beside the modules that are imported.
DEPLOYED = ("function_app.py", "host.json", "requirements.txt", "config/policy.toml")
#: Variables that azd sets by itself.
_AZD = re.compile(r"AZURE_\w+")


def findings(root: Path, files: Sequence[Bicep]) -> Iterator[Finding]:
    """What is wrong around the Bicep files."""
    yield from _azure_yaml(root, files)
    yield from _parameters(root, files)
    yield from _ignored(root)


def _azure_yaml(root: Path, files: Sequence[Bicep]) -> Iterator[Finding]:
    path = root / "azure.yaml"
    if not path.is_file():
        yield Finding(place="azure.yaml", problem="is missing", remedy="azd needs it beside infra/.")
        return
    lines = path.read_text("utf-8")
    services = re.findall(r"^  ([\w-]+):\n(?:    .*\n)*?    host: function$", lines, re.MULTILINE)
    sites = [one for file in files for one in file.of_kind("resource") if one.type == "Microsoft.Web/sites"]
    for site in sites:
        tagged = re.search(r"'azd-service-name': '([\w-]+)'", (site.node.text or b"").decode())
        if tagged is None or tagged.group(1) not in services:
            remedy = "The tag azd-service-name and the service's name have to be the same."
            yield Finding(place="azure.yaml", problem=f"has no function service that finds the app {site.name} by its tag", remedy=remedy)
    for script in re.findall(r"^\s+run: (\S+)", lines, re.MULTILINE):
        if not (root / script).is_file():
            yield Finding(place="azure.yaml", problem=f"runs {script}, which is not there", remedy="Mend the path.")


def _parameters(root: Path, files: Sequence[Bicep]) -> Iterator[Finding]:
    path, main = root / "infra" / "main.parameters.json", next((one for one in files if one.name == "infra/main.bicep"), None)
    place = "infra/main.parameters.json"
    if main is None or not path.is_file():
        yield Finding(place=place, problem="is missing, or main.bicep is", remedy="azd deploys the two together.")
        return
    try:
        given = {name: one["value"] for name, one in json.loads(path.read_text("utf-8"))["parameters"].items()}
    except (ValueError, KeyError, TypeError):
        yield Finding(place=place, problem="is no parameter file", remedy='Use {"parameters": {"name": {"value": …}}}.')
        return
    wanted = {one.name: one for one in main.of_kind("param")}
    for name in sorted(set(given) - set(wanted)):
        yield Finding(place=place, problem=f"{name} is no param of main.bicep", remedy="Remove it, or mend the name.")
    for name, one in wanted.items():
        if one.required and name not in given:
            yield main.finding(one.node, f"{name} has no default and no value in {place}", "Give it one.")
    guide = root / "infra" / "README.md"
    told = guide.read_text("utf-8") if guide.is_file() else ""
    for variable in sorted({name for value in given.values() for name in re.findall(r"\$\{(\w+)", str(value))}):
        if not _AZD.fullmatch(variable) and variable not in told:
            yield Finding(place="infra/README.md", problem=f"does not tell of {variable}", remedy=f"It is asked for in {place}.")


def _ignored(root: Path) -> Iterator[Finding]:
    path = root / ".funcignore"
    patterns = [line.strip().rstrip("/") for line in path.read_text("utf-8").splitlines() if line.strip()] if path.is_file() else []

    def ignored(name: str) -> bool:
        parts = Path(name).parts
        return any(fnmatch.fnmatch(part, pattern) for pattern in patterns for part in (*parts, name))

    for name in KEPT_BACK:
        if not ignored(name):
            yield Finding(place=".funcignore", problem=f"lets {name} be deployed", remedy="Add it.")
    for name in (*DEPLOYED, *imported()):
        if ignored(name):
            yield Finding(place=".funcignore", problem=f"keeps {name} back, which the functions need", remedy="Remove what matches it.")


@functools.cache
def imported() -> tuple[str, ...]:
    """Files of ours that the functions may import, from function_app.py on; what serves one machine alone does not count."""
    todo, found = ["function_app"], set()
    while todo:
        file = _file_of(todo.pop())
        if file is None or file in found:
            continue
        found.add(file)
        todo += _imports(ast.parse((_PRODUCT / file).read_text("utf-8")))
    return tuple(sorted(found))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef) and node.name in ("build_local", "build_stand_ins", "build_bus"):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        yield from _imports(node)


def _file_of(module: str) -> str | None:
    base = _PRODUCT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path.relative_to(_PRODUCT).as_posix()
    return None
