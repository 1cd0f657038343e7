"""The command line as a person meets it: helps, findings, locks, and the commands beside a running `joinery up`."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from product import ROOT, Process, environment, wait_until

from joinery import __version__

FREE = ("--port", "0", "--graph-port", "0", "--halo-port", "0")


def _reference() -> dict[str, str]:
    """Command path -> its help, as docs/cli.md is made of."""
    spec = importlib.util.spec_from_file_location("cli_reference", ROOT / "scripts" / "cli_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.commands())


HELPS = _reference()


def joinery(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "joinery", *arguments],
        env=environment(**settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """What a command says that does not start: exit code 2, findings, no trace."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr


# --- helps ---


def test_all_promised_commands_exist() -> None:
    promised = {
        "up",
        "demo",
        "backup",
        "restore",
        "alerts list",
        "held list",
        "held release",
        "held discard",
        "stand-ins",
        "audit show",
        "audit verify",
        "audit export",
        "erase",
        "parked list",
        "pause",
        "resume",
        "settings",
    }
    assert promised <= {path.removeprefix("joinery ") for path in HELPS}


@pytest.mark.parametrize("path", HELPS)
def test_every_help_has_an_example_that_names_real_options_and_the_exit_codes(path: str) -> None:
    text = HELPS[path]
    assert "Exit codes: 0" in text
    examples = [line.strip() for line in text.partition("Examples:\n")[2].splitlines() if re.match(r"\s+(\w+=\S+ )*joinery ", line)]
    assert examples
    for example in examples:
        words = shlex.split(example, comments=True)
        while "=" in words[0]:
            words.pop(0)
        words = words[: words.index(">")] if ">" in words else words
        command = max((other for other in HELPS if words[: len(other.split())] == other.split()), key=len)
        for option in (word for word in words if word.startswith("--")):
            assert option in HELPS[command], (example, option)


def test_every_option_of_up_names_its_environment_variable() -> None:
    named = set(re.findall(r"\(env:\s+(JOINERY_\w+)\)", HELPS["joinery up"]))
    wanted = "EMPTY NO_PLAY PORT GRAPH_PORT HALO_PORT DATA SETTLE_SECONDS GRAPH_URL HALO_URL"
    assert {f"JOINERY_{name}" for name in wanted.split()} <= named


def test_the_reference_page_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, "scripts/cli_reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_version_is_printed() -> None:
    done = joinery("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"joinery {__version__}\n", "")


# --- what does not start says why, all of it ---


@pytest.mark.servers
def test_every_wrong_setting_and_every_finding_of_the_policy_is_printed_at_once(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[joiner]\ngruop = "x"\n[workflows.joiner]\nring = "all"\n', encoding="utf-8")
    said = refused(joinery("settings", JOINERY_PORT="many", JOINERY_PROT="1", JOINERY_POLICY=str(policy)))
    for finding in (
        "JOINERY_PORT: is 'many'",
        "JOINERY_PROT: is no setting",
        f"{policy}: [joiner] gruop: is no key that policy knows. Did you mean group?",
        "[workflows.joiner] ring: is 'all'",
    ):
        assert finding in said
    assert "JOINERY_EMPTY: is 'perhaps'" in refused(joinery("up", *FREE, "--data", str(tmp_path / "data"), JOINERY_EMPTY="perhaps"))
    assert "JOINERY_NO_PLAY: is 'maybe'" in refused(joinery("settings", JOINERY_EMPTY="yes", JOINERY_NO_PLAY="maybe"))
    assert "is no key" in refused(joinery("up", *FREE, "--data", str(tmp_path / "data"), "--policy", str(policy)))


@pytest.mark.servers
def test_a_mistake_is_reported_under_the_name_that_was_typed(tmp_path: Path) -> None:
    typed = ("--port", "-1", "--settle-seconds", "-3", "--graph-url", "foo", "--halo-url", "http://[bad")
    said = refused(joinery("up", *typed, "--data", str(tmp_path / "data"), JOINERY_GRAPH_PORT="-1"))
    places = {line.split(": ")[1] for line in said.splitlines()}
    assert places == {"--port", "--settle-seconds", "--graph-url", "--halo-url", "JOINERY_GRAPH_PORT"}
    assert not (tmp_path / "data").exists()


@pytest.mark.servers
def test_real_addresses_without_credentials_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    real = ("--graph-url", "https://graph.invalid", "--halo-url", "https://halo.invalid")
    said = refused(joinery("up", *FREE, *real, "--data", str(tmp_path / "data")))
    assert said.count("is not set") == 7 and "JOINERY_HALO_CLIENT_SECRET: is not set" in said
    assert not (tmp_path / "data").exists()
    by_settings = refused(joinery("settings", JOINERY_GRAPH_URL=real[1], JOINERY_HALO_URL=real[3]))
    assert by_settings == said


@pytest.mark.servers
def test_settings_are_printed_without_secrets() -> None:
    done = joinery("settings", JOINERY_GRAPH_CLIENT_SECRET="hunter2-hunter2", JOINERY_HALO_CLIENT_SECRET="hunter3-hunter3")
    assert done.returncode == 0
    assert "JOINERY_SETTLE_SECONDS = " in done.stdout and "JOINERY_GRAPH_CLIENT_SECRET = ****" in done.stdout
    assert "hunter" not in done.stdout + done.stderr


@pytest.mark.servers
def test_every_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as first, socket.socket() as second:
        for one in (first, second):
            one.bind(("127.0.0.1", 0))
            one.listen()
        ports = [str(one.getsockname()[1]) for one in (first, second)]
        said = refused(joinery("up", "--port", ports[0], "--graph-port", "0", "--halo-port", ports[1], "--data", str(tmp_path)))
    assert f"--port: cannot listen on 127.0.0.1:{ports[0]}" in said
    assert f"--halo-port: cannot listen on 127.0.0.1:{ports[1]}" in said


@pytest.mark.servers
def test_files_of_other_programs_are_refused_and_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("a shopping list", encoding="utf-8")
    with sqlite3.connect(tmp_path / "graph.db") as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.db")}
    said = refused(joinery("up", *FREE, "--data", str(tmp_path)))
    assert "state.db: is not a file that Joinery wrote" in said
    assert "graph.db: is not a file that Joinery wrote" in said
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.db")} == before


@pytest.mark.servers
def test_a_damaged_client_state_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "client-state").write_bytes(b"\xff\xfe\x00")
    assert "client-state: holds something else than a secret" in refused(joinery("up", "--empty", *FREE, "--data", str(tmp_path)))


@pytest.mark.servers
def test_a_data_folder_without_state_is_a_clear_sentence_and_is_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "nothing"
    for command in (
        ["audit", "show", "--person", "x"],
        ["audit", "verify"],
        ["audit", "export", "--all"],
        ["erase", "--person", "x", "--reason", "x"],
        ["parked", "list"],
        ["pause", "--reason", "x"],
        ["resume"],
    ):
        assert "holds no state.db" in refused(joinery(*command, "--data", str(folder)))
        assert f"{ROOT / 'nowhere'}: holds no state.db" in refused(joinery(*command, "--data", "nowhere"))
    assert not folder.exists()


# --- beside a running one ---


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Path]]:
    folder = tmp_path_factory.mktemp("cli")
    data = folder / "data"
    process = Process(arguments=["-m", "joinery", "up", "--no-play", *FREE, "--data", str(data)], printed=folder / "printed.txt")
    process.start()
    try:
        wait_until("it is ready", lambda: process.output.endswith("ready\n"), explain=lambda: process.output)
        yield process, data
    finally:
        process.kill()


@pytest.mark.servers
def test_up_says_where_things_listen_and_how_to_drive_them(running: tuple[Process, Path]) -> None:
    process, data = running
    assert str(data) in process.output and str(data / "joinery.log") in process.output
    lines = [line.strip() for line in process.output.splitlines() if line.strip().startswith(("TOKEN=", "curl "))]
    done = subprocess.run(["sh", "-ec", "\n".join(lines)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert '"displayName"' in done.stdout and '"ready": true' in done.stdout
    assert "\x1b" not in process.output


@pytest.mark.servers
def test_a_second_up_on_the_same_folder_is_refused_and_says_who_has_it(running: tuple[Process, Path]) -> None:
    process, data = running
    for command in ("up", "stand-ins"):
        ports = FREE if command == "up" else FREE[2:]
        assert f"is in use by `joinery up`, process {process.popen.pid}" in refused(joinery(command, *ports, "--data", str(data)))


@pytest.mark.servers
def test_pause_and_resume_work_beside_it(running: tuple[Process, Path]) -> None:
    _, data = running
    folder = ("--data", str(data))
    assert joinery("pause", "leaver", "--reason", "the year's end", *folder).returncode == 0
    assert joinery("pause", "--reason", "an upgrade", *folder).returncode == 0
    resumed = joinery("resume", *folder)
    assert resumed.returncode == 0 and "Still paused: leaver (the year's end)" in resumed.stdout
    assert joinery("resume", "leaver", *folder).returncode == 0
    assert joinery("resume", "leaver", *folder).returncode == 1
    assert "Use one of: alert, joiner, leaver" in refused(joinery("pause", "laver", "--reason", "x", *folder))
    refused(joinery("pause", "leaver", *folder))
    header, empty, *entries = joinery("audit", "show", "--operator", *folder).stdout.splitlines()
    assert "UTC" in header and empty == ""
    assert [re.sub(r", by [^;]+", "", entry[len("2026-01-01 00:00:00  ") :]) for entry in entries] == [
        f"{'paused':<15}  leaver; the year's end",
        f"{'paused':<15}  all workflows; an upgrade",
        f"{'resumed':<15}  all workflows",
        f"{'resumed':<15}  leaver",
    ]


@pytest.mark.servers
def test_the_audit_finds_a_person_by_id_address_or_name_and_lists_several_who_fit(running: tuple[Process, Path]) -> None:
    _, data = running

    def shown(who: str, *more: str) -> subprocess.CompletedProcess[str]:
        return joinery("audit", "show", "--person", who, "--data", str(data), *more)

    wait_until("everybody is known", lambda: shown("breakglass01@contoso.example").returncode == 0)
    told = shown("break GLASS 01")
    assert "left alone" in told.stdout and "protected" in told.stdout
    entries = json.loads(shown("breakglass01@contoso.example", "--json").stdout)
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert shown(entries[0]["partition"].rpartition(":")[2]).stdout == told.stdout
    nobody = shown("Nobody At All")
    assert nobody.returncode == 1 and "nobody is known as 'Nobody At All'" in nobody.stderr


@pytest.mark.servers
def test_nothing_is_parked_in_a_fresh_folder(running: tuple[Process, Path]) -> None:
    _, data = running
    assert joinery("parked", "list", "--data", str(data)).stdout == "Nothing is parked.\n"
    assert json.loads(joinery("parked", "list", "--json", "--data", str(data)).stdout) == []


@pytest.mark.servers
def test_the_log_is_json_lines_without_a_name_or_an_address(running: tuple[Process, Path]) -> None:
    _, data = running
    lines = (data / "joinery.log").read_text(encoding="utf-8").splitlines()
    assert all({"at", "level", "logger", "message"} <= json.loads(line).keys() for line in lines)
    assert lines and not re.search(r"@|contoso|Solheim", "\n".join(lines), re.IGNORECASE)


@pytest.mark.servers
def test_after_a_kill_it_starts_again_and_ends_well_when_it_is_told_to(tmp_path: Path) -> None:
    process = Process(
        arguments=["-m", "joinery", "up", "--empty", *FREE, "--data", str(tmp_path / "data")], printed=tmp_path / "printed.txt"
    )
    try:
        for times, number in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGINT), start=1):
            process.start()
            wait_until("it is ready", lambda times=times: process.output.count("ready\n") == times, explain=lambda: process.output)  # type: ignore[misc]  # bound per turn
            os.kill(process.popen.pid, number)
            code = process.popen.wait(timeout=20)
            assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0), process.output
            assert process.output.endswith("ready\n" if number == signal.SIGKILL else "ready\nstopped\n")
        assert "not empty" not in process.output
        assert "Traceback" not in process.output
    finally:
        process.kill()


@pytest.mark.servers
def test_an_empty_world_in_a_folder_that_holds_a_company_says_so(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"))
    seeded = Process(arguments=["-m", "joinery", "stand-ins", *FREE[2:], *data], printed=tmp_path / "seeded.txt")
    empty = Process(arguments=["-m", "joinery", "up", "--empty", *FREE, *data], printed=tmp_path / "empty.txt")
    try:
        for process in (seeded, empty):
            process.start()
            wait_until("it is ready", lambda process=process: process.output.endswith("ready\n"))  # type: ignore[misc]  # bound per turn
            assert process.stop() == 0 and process.output.endswith("stopped\n")
        assert "not empty" not in seeded.output
        (line,) = [line for line in empty.output.splitlines() if "not empty" in line]
        assert "44 accounts are there from before" in line and "--data" in line
    finally:
        for process in (seeded, empty):
            if process._popen is not None:
                process.kill()
