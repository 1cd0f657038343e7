"""The session queue: an engine with peek-lock, sessions, schedule and dead letters, its journal, and the port over it."""
