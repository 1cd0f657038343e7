"""Two promises of the layout, read from the source: imports point inwards, and the inside knows no vendor."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Folder or file -> what of ours it may import; the first prefix that fits counts. Itself is always allowed.
ALLOWED: dict[str, tuple[str, ...]] = {
    "joinery/domain": (),
    "joinery/errors.py": (),
    "joinery/engine": ("joinery.domain", "joinery.errors"),
    "workflows": ("joinery.domain", "joinery.engine", "joinery.errors"),
    # adapters.system is the real clock and chance, a port of ours and of no vendor.
    "adapters/graph": ("joinery.domain", "joinery.engine.intake", "joinery.engine.ports", "joinery.errors", "adapters.system"),
    "adapters/halo": ("joinery.domain", "joinery.engine.ports", "joinery.errors", "adapters.system"),
    # Every store checks what the narrowest of them takes.
    "adapters/stores": ("joinery.domain", "joinery.engine.ports", "joinery.engine.store_limits", "joinery.errors", "adapters.system"),
    "adapters": ("joinery.domain", "joinery.engine.ports", "joinery.errors"),
    # The pretend Service Bus is the queue's own engine behind another door.
    "simulators/service_bus": ("joinery.domain", "joinery.engine.ports", "joinery.errors", "adapters.queues", "adapters.system"),
    "simulators/standing.py": ("joinery.domain", "joinery.serving", "simulators"),
    # The pretend company is seeded with the groups, teams and sites that a policy names.
    "simulators": ("joinery.domain",),
    "joinery/app.py": ("joinery.domain", "joinery.engine", "joinery.errors"),
    "joinery/assembly.py": ("joinery.app", "joinery.domain", "joinery.engine"),
    "joinery/app_source.py": ("joinery.app", "joinery.errors"),
    "joinery/settings.py": ("joinery.errors", "joinery.place_checks", "joinery.setting_checks", "joinery.sign_in_checks"),
    "joinery/setting_checks.py": (),
    # For the type alone.
    "joinery/sign_in_checks.py": ("joinery.settings",),
    "joinery/place_checks.py": ("joinery.settings", "joinery.setting_checks"),
    "joinery/policy_file.py": (
        "joinery.domain",
        "joinery.errors",
        "joinery.policy_findings",
        "joinery.policy_rules",
        "joinery.policy_tables",
    ),
    "joinery/policy_findings.py": ("joinery.errors", "joinery.policy_tables"),
    "joinery/policy_rules.py": ("joinery.domain", "joinery.errors"),
    "joinery/policy_tables.py": ("joinery.domain",),
    "joinery/testing.py": ("joinery.app", "joinery.assembly", "joinery.domain", "joinery.engine", "joinery.errors", "workflows"),
    "function_app.py": ("wiring",),
}
OURS = ("joinery", "workflows", "adapters", "simulators", "wiring", "function_app")

#: (module, imported) -> why it is no breach.
EXCEPTIONS: dict[tuple[str, str], str] = {}

#: Words that belong to one vendor. ``ITSM`` and ``agent`` are the field's own.
VENDORS = re.compile(
    r"(?<![a-z])(graph|msgraph|halo|haloitsm|azure|entra|microsoft|servicebus|service_bus|sqlite|sqlite3|okta|kiota|httpx)(?![a-z])",
    re.IGNORECASE,
)
#: What must know no vendor.
VENDOR_FREE = ("joinery/domain", "joinery/engine", "joinery/app.py", "workflows")

#: No module is longer than this; the reason stands beside each exception.
LINES_MAX = 400
LONGER: dict[str, str] = {}


def sources(*places: str) -> list[Path]:
    found: list[Path] = []
    for place in places:
        path = ROOT / place
        found += [path] if path.is_file() else sorted(path.rglob("*.py"))
    return found


def product() -> list[Path]:
    return sources("joinery", "workflows", "adapters", "simulators", "wiring.py", "function_app.py")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, at the top or inside a function, in full."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
            yield from ({f"{base}.{alias.name}" for alias in node.names} if base in ("joinery", "joinery.engine", "adapters") else {base})


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(f"{prefix}.")


def test_imports_point_inwards() -> None:
    breaches = []
    for path in product():
        place = next((place for place in ALLOWED if name_of(path) == place or name_of(path).startswith(f"{place}/")), None)
        if place is None:
            continue
        own = place.removesuffix(".py").replace("/", ".")
        for module in imported(path):
            if not any(within(module, ours) for ours in OURS) or within(module, own) or module in ("joinery.", "joinery"):
                continue
            if not any(within(module, allowed) for allowed in ALLOWED[place]) and (name_of(path), module) not in EXCEPTIONS:
                breaches.append(f"{name_of(path)} imports {module}")
    assert breaches == []


def test_the_oracle_of_the_simulation_trusts_no_code_of_ours() -> None:
    """It may know records, and works everything else out by itself."""
    for name in ("tests/simulation/oracle.py", "tests/simulation/expected.py"):
        ours = {module for module in imported(ROOT / name) if any(within(module, one) for one in OURS)}
        assert ours == {"joinery.domain.person"}, name


def test_only_the_wiring_and_the_command_know_adapters_and_stand_ins() -> None:
    knows = {
        name_of(path)
        for path in product()
        for module in imported(path)
        if any(within(module, outside) and not name_of(path).startswith(outside) for outside in ("adapters", "simulators"))
    }
    # The pretend Service Bus is the queue's own engine behind another door.
    assert {name for name in knows if not name.startswith(("joinery/cli/", "simulators/service_bus/"))} <= {"wiring.py"}


def test_adapters_of_two_vendors_do_not_know_each_other() -> None:
    """Queue and store share one way of opening their files; that is no vendor."""
    houses = ("graph", "halo")
    for path in sources("adapters"):
        for module in imported(path):
            house = path.relative_to(ROOT / "adapters").parts[0]
            assert not any(within(module, f"adapters.{other}") for other in houses if other != house), (name_of(path), module)


def test_the_domain_imports_the_standard_library_only() -> None:
    for path in sources("joinery/domain"):
        for module in imported(path):
            assert within(module, "joinery.domain") or module.partition(".")[0] in sys.stdlib_module_names, (name_of(path), module)


def words(path: Path) -> Iterator[tuple[int, str]]:
    """Identifiers, imports, and texts that are no docstring, each with its line."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.arg(arg=name):
                yield line, name
            case ast.keyword(arg=str(name)):
                yield line, name
            case ast.alias(name=name, asname=other):
                yield line, f"{name} {other or ''}"
            case ast.ImportFrom(module=str(module)):
                yield line, module
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                yield line, text


def apart(word: str) -> str:
    """``GraphClient`` and ``graph_client`` as separate words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", word).replace("_", " ")


def test_the_inside_contains_no_vendors_name_as_a_word() -> None:
    found = [
        f"{name_of(path)}:{line}: {word[:60]}"
        for path in sources(*VENDOR_FREE)
        for line, word in words(path)
        if VENDORS.search(word) or VENDORS.search(apart(word))
    ]
    assert found == []


def test_the_rule_about_vendors_can_fail() -> None:
    for word in ("GraphDirectory", "halo_url", "open it in Halo", "azure.identity", "SQLite"):
        assert VENDORS.search(word) or VENDORS.search(apart(word)), word
    for word in ("paragraph", "graphic", "central", "telegraph"):
        assert not VENDORS.search(apart(word)), word


def test_no_module_is_too_long_to_be_held_in_a_head() -> None:
    for path in product():
        lines = len(path.read_text("utf-8").splitlines())
        assert lines <= LINES_MAX or name_of(path) in LONGER, f"{name_of(path)} has {lines} lines"


def test_everything_public_says_what_it_is() -> None:
    silent = []
    for path in product():
        tree = ast.parse(path.read_text("utf-8"))
        if not ast.get_docstring(tree):
            silent.append(name_of(path))
        todo: list[tuple[str, ast.AST]] = [("", tree)]
        while todo:
            prefix, outer = todo.pop()
            for node in ast.iter_child_nodes(outer):
                if not isinstance(node, (ast.ClassDef, ast.FunctionDef)) or node.name.startswith("_"):
                    continue
                overload = any("overload" in ast.unparse(one) for one in node.decorator_list)
                if not ast.get_docstring(node) and not overload:
                    silent.append(f"{name_of(path)}:{node.lineno}: {prefix}{node.name}")
                if isinstance(node, ast.ClassDef):
                    todo.append((f"{node.name}.", node))
    assert silent == []


#: Built from parts, so that this file does not match itself. ``/home`` and ``/Users`` with a name behind them are somebody's machine.
MACHINE_PATHS = re.compile(r"(?<![\w./])(/wo" + r"rk/|/ho" + r"me/\w|/Us" + r"ers/\w+/|[A-Z]:\\Us" + r"ers\\)")
REGISTRIES = re.compile(
    "|".join(
        (
            r"py" + r"pi\.org",
            "python" + "hosted",
            "--index" + "-url",
            "--extra" + "-index",
            r"registry\.n" + "pmjs",
            "jf" + "rog",
            "arti" + "factory",
        )
    ),
    re.IGNORECASE,
)
TEXTS = (".py", ".toml", ".md", ".txt", ".in", ".json", ".yml", ".yaml", ".html", ".css", ".js", ".sh", ".bicep", "")
NOT_OURS = {".git", ".venv", ".joinery", "__pycache__", ".mypy_cache", ".ruff_cache", ".hypothesis", ".pytest_cache"}


def test_no_file_names_a_machine_or_a_registry() -> None:
    found, read = [], 0
    for folder, inner, names in os.walk(ROOT):
        # Pruned here: an environment has more files than we have.
        inner[:] = [name for name in inner if name not in NOT_OURS and not name.endswith(".egg-info")]
        for path in (Path(folder) / name for name in names):
            if path.suffix not in TEXTS or path.name in NOT_OURS:
                continue
            text = path.read_text("utf-8", errors="replace")
            found += [f"{name_of(path)}: {match.group()}" for rule in (MACHINE_PATHS, REGISTRIES) for match in rule.finditer(text)]
            read += 1
    assert sorted(found) == []
    assert read > 500, "it looks in the wrong place"


@pytest.mark.servers
@pytest.mark.parametrize("door", ["function_app", "wiring"])
def test_the_doors_are_light_to_import(door: str) -> None:
    """What the webhook never needs is not loaded when its worker starts: every import is cold-start time."""
    heavy = ("msgraph", "azure.identity", "flask", "pydantic", "httpx", "rich", "typer", "simulators", "kiota_abstractions")
    code = f"import sys, {door}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr[-2000:]


#: Calls at the top of a module that only put a command into the list of commands.
DECLARATIONS = {"app.add_typer", "app.command"}


def test_importing_opens_nothing() -> None:
    """No module calls something at its top level that reaches outside."""
    for path in product():
        for node in ast.parse(path.read_text("utf-8")).body:
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Call)
                and ast.unparse(node.value.func).partition("(")[0] not in DECLARATIONS
            ):
                raise AssertionError(f"{name_of(path)}:{node.lineno} calls {ast.unparse(node.value.func)} when it is imported")
