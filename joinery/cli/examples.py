"""What every help ends with: lines that can be pasted, and what the exit codes mean."""

from __future__ import annotations


def _epilog(*lines: str, codes: str) -> str:
    # \b keeps the lines of a paragraph as they are.
    return "\n\n".join(("\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines), f"\b\nExit codes: {codes}"))


_CODES = "0 all is well; 2 a setting, the policy or the command line is wrong."
_RUNS = "0 stopped by Ctrl-C or SIGTERM; 2 a setting, the policy, a port or the data folder is wrong (every finding is printed)."
_READS = "0 all is well; 1 nothing was found; 2 the data folder or the command line is wrong."

JOINERY = _epilog(
    "joinery up                        # everything on this machine, with a day played before your eyes",
    "joinery demo                      # the same at full speed, with a table of what was verified",
    'joinery audit show --person "Amara Okafor"',
    codes="0 all is well; 1 something is not as it should be; 2 a setting, the policy or the command line is wrong.",
)
UP = _epilog(
    "joinery up",
    "joinery up --empty --settle-seconds 0 --data .joinery/empty      # an empty world, at once ready to be driven by curl",
    "joinery up --no-play --port 0 --graph-port 0 --halo-port 0 --data /tmp/joinery",
    "joinery up --graph-url http://127.0.0.1:7081 --halo-url http://127.0.0.1:7082",
    "JOINERY_PORT=8071 joinery up",
    codes=_RUNS,
)
STAND_INS = _epilog(
    "joinery stand-ins",
    "joinery stand-ins --empty --graph-port 7081 --halo-port 7082 --data /tmp/worlds",
    codes=_RUNS,
)
WORKER = _epilog(
    "joinery worker",
    "joinery worker --listen 0.0.0.0 --port 8080     # in a container, behind something that ends TLS",
    codes="0 stopped by Ctrl-C or SIGTERM, within ten seconds; 2 a setting, the policy, the port or the data folder is wrong.",
)
DOCTOR = _epilog(
    "joinery doctor",
    "joinery doctor --only graph-permissions --only clock",
    "joinery doctor --strict --json > doctor.json",
    "joinery doctor --probe-halo --profile config/halo.toml --probe-user test.user@contoso.example",
    codes="0 nothing failed; 1 a check failed, or warned with --strict; 2 a setting, the policy or the command line is wrong.",
)
DEMO = _epilog(
    "joinery demo",
    "joinery demo > demo.txt && tail -20 demo.txt",
    codes="0 everything was done once and verified; 1 something was not; 2 it could not start.",
)
PAUSE = _epilog(
    'joinery pause --reason "Halo is being upgraded"',
    'joinery pause leaver --reason "HR imports the whole company tonight"',
    codes=_CODES,
)
RESUME = _epilog(
    "joinery resume", "joinery resume leaver", codes="0 it acts again; 1 it was not paused; 2 the data folder or the command line is wrong."
)
BACKUP = _epilog(
    "joinery backup backups/monday",
    "joinery backup --data /var/lib/joinery backups/$(date +%F)",
    codes="0 it is there, whole; 2 the data folder cannot be copied, or the name is taken.",
)
RESTORE = _epilog(
    "joinery restore backups/monday --data .joinery/again",
    codes="0 restored; 2 the backup is not whole or not ours, or the folder is in use or holds a state already; nothing was changed.",
)
SETTINGS = _epilog(
    "joinery settings",
    "joinery settings --policy config/policy.example.toml",
    "joinery settings --online                 # groups, owners, roles, teams and ticket types that do not exist",
    "JOINERY_DEPLOYMENT=prod-eu joinery settings",
    codes="0 settings and policy are sound; 2 they are not (every finding is printed).",
)
AUDIT = _epilog(
    'joinery audit show --person "Amara Okafor"', "joinery audit verify", "joinery audit export --all > audit.jsonl", codes=_READS
)
AUDIT_SHOW = _epilog(
    "joinery audit show --person amara.okafor@contoso.example",
    'joinery audit show --person "Amara Okafor" --json',
    "joinery audit show --operator",
    codes=_READS,
)
ALERTS = _epilog("joinery alerts list", codes=_CODES)
ALERTS_LIST = _epilog("joinery alerts list", "joinery alerts list --json", codes=_CODES)
HELD = _epilog("joinery held list", codes=_CODES)
HELD_LIST = _epilog("joinery held list", "joinery held list --json", codes=_CODES)
HELD_RELEASE = _epilog('joinery held release --person "Amara Okafor" --reason "HR confirms"', codes=_CODES)
HELD_DISCARD = _epilog('joinery held discard --all --reason "the import was wrong"', codes=_CODES)
FAILED = _epilog("joinery failed list", codes=_CODES)
FAILED_LIST = _epilog("joinery failed list", "joinery failed list --json", codes=_CODES)
FAILED_RETRY = _epilog(
    'joinery failed retry --person "Amara Okafor" --reason "the licence was extended"',
    'joinery failed retry --all --reason "the ticket type is there again"',
    codes="0 they go on; 1 nothing fits; 2 the data folder or the command line is wrong.",
)
AUDIT_VERIFY = _epilog(
    "joinery audit verify",
    "joinery audit verify --json --data .joinery/night",
    codes="0 every chain is sound; 1 one is not; 2 it could not look: the data folder, the seals or the command line is wrong.",
)
AUDIT_EXPORT = _epilog(
    "joinery audit export --all > audit.jsonl",
    'joinery audit export --person "Amara Okafor" > amara.jsonl',
    "joinery audit export --operator > operators.jsonl",
    codes=_READS,
)
ERASE = _epilog(
    'joinery erase --person amara.okafor@contoso.example --reason "request 2026-14"',
    'joinery erase --person 6f1c2b1e-0001-4000-8000-000000000001 --reason "two years after leaving" --when-done',
    codes="0 erased, or nothing was left, or it will be done; 1 nobody fits, or something is open; 2 the data folder or the command line is wrong.",
)
PARKED = _epilog("joinery parked list", codes=_CODES)
PARKED_LIST = _epilog("joinery parked list", "joinery parked list --json", codes=_CODES)
COVERAGE = _epilog(
    "joinery coverage",
    "joinery coverage --json",
    codes="0 no hole is open; 1 a sweep is late or a delta link was lost; 2 the data folder or the command line is wrong.",
)
PLAN = _epilog(
    "joinery plan --person amara.okafor@contoso.example --disable",
    'joinery plan --person "Amara Okafor" --set department=Finance --set manager=wilhelm.brandt@contoso.example',
    'joinery plan --person "Amara Okafor" --add-group ITSM-ChangeManagers --json',
    codes=_READS,
)
RINGS = _epilog("joinery rings list", "joinery rings promote leaver", codes=_CODES)
RINGS_LIST = _epilog("joinery rings list", "joinery rings list --json", codes=_CODES)
RINGS_PROMOTE = _epilog(
    "joinery rings promote leaver                          # lists, and asks about each",
    'joinery rings promote leaver --person "Amara Okafor" --yes',
    "joinery rings promote leaver --all --yes",
    codes="0 all is well; 1 nobody fits; 2 the data folder, the policy or the command line is wrong.",
)
RINGS_DROP = _epilog(
    'joinery rings drop joiner --all --reason "they were onboarded by hand" --yes',
    codes="0 all is well; 1 nobody fits; 2 the data folder, the policy or the command line is wrong.",
)
_EDITS = "0 nothing waits; 1 something waits; 2 the data folder, the policy or the command line is wrong."
POLICY = _epilog("joinery policy diff", "joinery policy apply", codes=_EDITS)
POLICY_DIFF = _epilog("joinery policy diff", "joinery policy diff --policy config/policy.toml --json", codes=_EDITS)
POLICY_APPLY = _epilog(
    "joinery policy apply",
    "joinery policy apply --yes",
    codes="0 applied, or nothing waits; 1 not applied; 2 the data folder, the policy or the command line is wrong.",
)
BASELINE = _epilog(
    "joinery baseline                  # before the first `joinery up`, or beside it",
    "joinery baseline --data /var/lib/joinery",
    codes="0 everybody is taken in; 2 the directory does not answer, or a setting, the policy or the data folder is wrong.",
)
