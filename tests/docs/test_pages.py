"""Links lead somewhere, commands and files exist, and nobody's machine is in the text."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
from doc_pages import ROOT, blocks, name, pages, prose

from joinery.cli.commands import app

PAGES = pages()

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
#: What looks like a path of this repository in running text.
_PATH = re.compile(
    r"(?:joinery|adapters|simulators|workflows|config|tests|docs|scripts|benchmarks|infra)/[\w./-]*\w(?:/)?|[\w-]+\.(?:py|toml|json|md)"
)
#: Files that the text names and that a reader makes.
_NOT_OURS = {"tests/workflows/test_induction.py", "check.py", "stand-ins.json"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = unquote(target).partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{name(page)} links to {target}"
        assert ROOT in (linked, *linked.parents), f"{name(page)} links out of the repository: {target}"
        if anchor:
            assert anchor in {_anchor(heading) for heading in _HEADING.findall(prose(linked))}, f"{name(page)} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_joinery_command_in_the_text_exists_with_its_options(page: Path) -> None:
    for words in _joinery_calls(page):
        _check_call(words, page)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_target_in_the_text_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)`", prose(page)))
    named |= {
        line.split()[1] for block in blocks(page) if block.language == "sh" for line in block.code.splitlines() if line.startswith("make ")
    }
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_the_text_names_exists(page: Path) -> None:
    for code in _CODE.findall(prose(page)):
        # `file.py: function` names both; the first word is the file.
        word = code.split()[0].rstrip(":,")
        if not _PATH.fullmatch(word) or word in _NOT_OURS:
            continue
        assert any((folder / word).exists() for folder in _folders(page)), f"{name(page)} names {word}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_function_that_the_text_names_beside_its_file_is_there(page: Path) -> None:
    for file, function in re.findall(r"`([\w/]+\.py): ([\w.]+)`", prose(page)):
        source = (ROOT / file).read_text(encoding="utf-8")
        for part in function.split("."):
            assert re.search(rf"(?:def|class) {part}\b|^{part}\b", source, re.MULTILINE), f"{name(page)}: {file} has no {part}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_shell_blocks_are_valid_shell(page: Path) -> None:
    for block in blocks(page):
        if block.language == "sh":
            checked = subprocess.run(["sh", "-n", "-c", block.code], capture_output=True, text=True, timeout=30)
            assert checked.returncode == 0, f"{name(page)}:{block.line}: {checked.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_page_holds_a_machines_path_or_a_leftover(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(?:home|Users|root|work)/", re.sub(r"/(?:api|v1\.0)?/?[Uu]sers/", "", text)), name(page)
    assert not re.search(r"\b(?:TODO|FIXME|TBD|XXX)\b", text), name(page)


def test_every_page_below_docs_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.exists():
            continue
        reached.add(page)
        targets = (unquote(target).partition("#")[0] for target in _LINK.findall(prose(page)))
        waiting += [(page.parent / target).resolve() for target in targets if target and ":" not in target]
    assert {name(page) for page in PAGES if page.is_relative_to(ROOT / "docs")} <= {name(page) for page in reached}


def test_every_decision_is_one_page_with_its_three_parts() -> None:
    notes = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    assert [note.name[:4] for note in notes] == [f"{number:04d}" for number in range(1, len(notes) + 1)]
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    for note in notes:
        text = note.read_text(encoding="utf-8")
        title, *parts = _HEADING.findall(text)
        assert title.startswith(f"{note.name[:4]}: ")
        assert parts == ["Context", "Decision", "Consequences"], note.name
        assert len(text.splitlines()) <= 60, f"{note.name} is longer than a page"
        assert f"({note.name}) | {title.partition(': ')[2]} |" in index, f"the index has another title for {note.name}, or none"


def _folders(page: Path) -> tuple[Path, ...]:
    """Where a short name may lie: `errors.py` in the table of a page about the engine is found in any package."""
    packages = ("joinery", "joinery/engine", "joinery/domain", "workflows", "config", "adapters/graph", "adapters/halo", "tests/contract")
    return (ROOT, page.parent, *(ROOT / package for package in packages))


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _joinery_calls(page: Path) -> Iterator[list[str]]:
    """The words of every `joinery …` in code, inline or in shell blocks, up to a pipe or a comment."""
    texts = [code for code in _CODE.findall(prose(page)) if code.startswith("joinery ")]
    for block in blocks(page):
        if block.language == "sh":
            texts += re.findall(r"(?:^|[\s;(])(joinery [^|;\n]+)", re.sub(r"(?m)\s#.*$", "", block.code))
    for text in texts:
        yield shlex.split(text.replace("…", ""))[1:]


def _check_call(words: list[str], page: Path) -> None:
    command = typer.main.get_command(app)
    rest = list(words)
    where = f"{name(page)}: joinery {' '.join(words)}"
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, where
        command = command.commands[rest.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help", "-h"}
    assert {word.partition("=")[0] for word in rest if word.startswith("-")} <= known, where
