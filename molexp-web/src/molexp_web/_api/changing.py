"""Change runs as commands do: tags, notes, archive, delete, restore, cancel; and execute them again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

import molexp as me
from molexp_cli.background import execute_in_background
from molexp_web._api.declaring import Asked
from molexp_web._server.failing import facts

MOST = 1000  # runs of a change

BODY: Mapping[str, Any] = {
    "type": "object",
    "required": ["action", "runs"],
    "properties": {
        "action": {
            "type": "string",
            "enum": ["annotate", "archive", "unarchive", "delete", "restore", "cancel", "execute"],
        },
        "runs": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST},
        "tags": {"type": "array", "items": {"type": "string"}, "description": "Tags to add, with annotate."},
        "untag": {"type": "array", "items": {"type": "string"}, "description": "Tags to take away, with annotate."},
        "note": {"type": "string", "description": "A note to add, with annotate."},
        "reason": {"type": "string", "description": "Recorded with cancel."},
        "script": {
            "type": "string",
            "description": "With execute: a script that --script names; it binds the workflow.",
        },
        "rerun": {"type": "boolean", "description": "With execute: execute runs that succeeded, too."},
    },
}


def change_of(wanted: Mapping[str, Any]) -> Callable[[me.Run], object]:
    """Return what a body asks to do with each run.

    Raises:
        ValueError: it asks for nothing that there is.
    """
    action = wanted.get("action")
    match action:
        case "annotate":
            tags, untag = _texts(wanted, "tags"), _texts(wanted, "untag")
            note = _text(wanted, "note").strip() or None
            if not (tags or untag or note):
                raise ValueError("There is nothing to change: give `tags`, `untag` or `note`.")
            return lambda run: run.annotate(tags=tags, untag=untag, note=None if _says(run, note) else note)
        case "cancel":
            reason = _text(wanted, "reason")
            return lambda run: run.cancel(reason)
        case "archive":
            return me.Run.archive
        case "unarchive":
            return me.Run.unarchive
        case "delete":
            return me.Run.delete
        case "restore":
            return me.Run.restore
    known = ", ".join(BODY["properties"]["action"]["enum"])
    raise ValueError(f"There is no action {str(action)[:80]!r}. There are: {known}.")


def make(workspace: me.Workspace, wanted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Change each run that a body names, and return what became of each.

    Raises:
        ValueError: the body cannot be understood; nothing is changed then.
    """
    change, paths = change_of(wanted), _texts(wanted, "runs")
    if not 1 <= len(paths) <= MOST:
        raise ValueError(f"Name 1 to {MOST} runs in `runs`, not {len(paths)}.")
    done = [*me.change_runs(workspace, paths, change)]
    if wanted.get("action") == "cancel":
        from molexp.submissions import withdraw

        with suppress(me.MolexpError, OSError):  # a job that stays in its queue leaves the run alone
            withdraw(workspace, [one.path for one in done if one.error is None])
    return [{"path": one.path, "error": facts(one.error) if one.error is not None else None} for one in done]


def start(workspace: me.Workspace, wanted: Mapping[str, Any], scripts: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Execute runs again, in a process that goes on by itself, and say where it writes what it prints.

    Raises:
        ValueError: the body cannot be understood; nothing is started then.
        HTTPException: the script may not be imported.
        NotFoundError: one of the runs is not there; nothing is started then.
    """
    name, paths = _text(wanted, "script"), _texts(wanted, "runs")
    if name not in scripts:
        named = ", ".join(scripts) or "none"
        raise HTTPException(403, f"The script {name!r} may not be imported; `molexp ui --script` named {named}.")
    if not 1 <= len(paths) <= MOST:
        raise ValueError(f"Name 1 to {MOST} runs in `runs`, not {len(paths)}.")
    found = [workspace.run(path).path for path in paths]
    rerun = wanted.get("rerun") in (True, "1", "true", "on")
    folder = execute_in_background(workspace.url, scripts[name], found, rerun=rerun)
    return [{"path": path, "error": None, "log": str(folder / "0.log")} for path in found]


def object_of(data: bytes) -> dict[str, Any]:
    """Return the object that a body is.

    Raises:
        ValueError: it is none.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("The body is no JSON.") from None
    if not isinstance(found, dict):
        raise ValueError("The body is JSON, but no object.")
    return found


def changes(asked: Asked) -> Response:
    """Change runs, and answer with the outcome."""
    wanted = object_of(asked.body)
    if wanted.get("action") == "execute":
        done = start(asked.workspace, wanted, asked.request.app.state.scripts)
    else:
        done = make(asked.workspace, wanted)
    failed = any(one["error"] for one in done)
    return Response(me.to_json(done), 207 if failed else 200, media_type="application/json")


def _says(run: me.Run, note: str | None) -> bool:
    """Tell whether the newest note of a run says this: it was sent twice."""
    said = run.notes if note else ()
    return bool(said) and said[-1].get("text") == note


def _texts(wanted: Mapping[str, Any], name: str) -> list[str]:
    found = wanted.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"`{name}` is a list of texts.")
    return found


def _text(wanted: Mapping[str, Any], name: str) -> str:
    found = wanted.get(name) or ""
    if not isinstance(found, str):
        raise ValueError(f"`{name}` is a text.")
    return found
