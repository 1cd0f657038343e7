"""Every check there is, in the order in which they are made; ``docs/doctor.md`` has a heading for each."""

from __future__ import annotations

from joinery.doctor import desk_questions, directory_questions, own_questions
from joinery.doctor.checkup import Question

QUESTIONS = (
    Question(name="settings", ask=own_questions.settings),
    Question(name="store", ask=own_questions.store, remedy="Look at JOINERY_STORE and the address, and at the roles of whoever asks."),
    Question(name="queue", ask=own_questions.queue, remedy="Look at the namespace, the queue's name, and the roles of whoever asks."),
    Question(name="functions", ask=own_questions.functions, remedy=own_questions.FUNCTIONS_REMEDY),
    Question(name="webhook", ask=own_questions.webhook, needs=("functions",), remedy=own_questions.FUNCTIONS_REMEDY),
    Question(name="desk-webhook", ask=own_questions.desk_webhook, needs=("functions",), remedy=own_questions.FUNCTIONS_REMEDY),
    Question(name="clock", ask=own_questions.clock),
    Question(name="graph", ask=directory_questions.reachable),
    Question(name="graph-permissions", ask=directory_questions.permissions, needs=("graph",)),
    Question(name="graph-writer", ask=directory_questions.writer),
    Question(name="graph-credentials", ask=directory_questions.credentials, needs=("graph",)),
    Question(name="graph-names", ask=directory_questions.names, needs=("graph",)),
    Question(name="subscriptions", ask=directory_questions.subscriptions, needs=("store",)),
    Question(name="coverage", ask=own_questions.covered, needs=("store",)),
    Question(name="halo", ask=desk_questions.reachable),
    Question(name="halo-permissions", ask=desk_questions.permissions, needs=("halo",)),
    Question(name="halo-names", ask=desk_questions.names, needs=("halo",)),
    Question(name="halo-import", ask=desk_questions.imports, needs=("halo",)),
)
