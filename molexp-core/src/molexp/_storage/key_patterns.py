"""Regular expressions that recognise the keys of a workspace; a module compiles those that it needs.

Those of documents and payloads are relative to the folder of their entity, those of attempts to the folder of attempts;
``..._KEY`` matches a whole key.
"""

from __future__ import annotations

from molexp._values.numbers import NUMBER

RANDOM_NAME = "[0-9a-f]{16}"
"""A name that `molexp._values.ids.new_token` makes."""

EDIT = r"edits/([^/]+)\.json"
NUMBERED = rf"(settings/|experiment\.)({NUMBER})\.json"
RUN_DEFINITION = rf"run(?:\.{NUMBER})?\.json"
SUBMISSION = r"submissions/([0-9a-z][0-9a-z-]{0,99})(\.job|\.end)?\.json"
PROVENANCE = r"provenance/([0-9a-f]{64})\.json"
DATA_RECORD = rf"data/([^/]+)/({NUMBER})\.json"
DATA_PAYLOAD = rf"data/([^/]+)/({RANDOM_NAME})/.+"
PAYLOAD = "(?:artifacts|logs|checkpoints)/.+"

END_KEY = rf"(projects/[^/]+/experiments/[^/]+/runs/[^/]+)/executions/({NUMBER})\.end\.json"
NUMBERED_KEY = rf"(settings/|.*/experiment\.)({NUMBER})\.json"

ATTEMPT = rf"({NUMBER})(?:\.jsonl|(\.end\.json))"
COPY = rf"({NUMBER})\.copy\.jsonl?"
PART = rf"({NUMBER})(?:\.s)?/.+"
EVENTS = rf"{NUMBER}(?:/w-|\.s/)[^/]+\.jsonl"
WRITER = r"w-[A-Za-z0-9._-]+\.jsonl"
SEGMENT = r"([A-Za-z0-9._-]+)-([0-9]{6})\.jsonl"

JOURNAL = rf"{RANDOM_NAME}(-\d{{6}})?\.jsonl"
JOURNAL_OBJECT = r"(.+)-(\d{6})\.jsonl"
SNAPSHOT = rf"({NUMBER})\.json"
SNAPSHOT_SEGMENT = rf"({NUMBER})-{RANDOM_NAME}\.(?:sqlite3\.gz|sqlite3|jsonl)"
