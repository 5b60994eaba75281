"""Change runs by the forms of pages: by the same functions as the API, with a question first, and words afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

import molexp as me
from molexp_web._api.changing import MOST, make, start
from molexp_web._api.reading import MOST_COMPARED
from molexp_web._pages.forms import KEY, Outcome, fields_of, is_local, leading_to
from molexp_web._pages.rendering import page, url_for, with_query, workspace_of
from molexp_web._server.failing import facts

MANY = 20
"""Before more runs are changed, you are asked."""

_NAMED = 20  # runs that a question names
_WRITTEN = 3  # paths in a command
_TOLD = 5  # errors
_NOTHING = "Nothing was changed."


class Deed(NamedTuple):
    """Words for a change of runs, with ``{who}``, and ``{tag}``, ``{script}``, ``{log}`` or ``{paths}``.

    Attributes:
        asks: the change, as a question and a button have it.
        past: a sentence on what was done.
        first: a text that stands beside the question; "" if only many runs are a reason to ask.
    """

    asks: str
    past: str
    first: str = ""


DEEDS: Mapping[str, Deed] = {
    "tag": Deed("Add the tag “{tag}” to {who}", "Added the tag “{tag}” to {who}."),
    "untag": Deed("Remove the tag “{tag}” from {who}", "Removed the tag “{tag}” from {who}."),
    "note": Deed("Add the note to {who}", "Added the note to {who}."),
    "archive": Deed("Archive {who}", "Archived {who}. Lists have archived runs if you ask for them."),
    "unarchive": Deed("Unarchive {who}", "Unarchived {who}."),
    "delete": Deed(
        "Delete {who}",
        "Deleted {who}. `molexp runs restore {paths}` brings back what `molexp gc` has not freed.",
        "What is deleted leaves all lists at once. Its files stay in the workspace until somebody calls `molexp gc --yes`; until "
        "then, `molexp runs restore {paths}` brings it back.",
    ),
    "restore": Deed("Restore {who}", "Restored {who}."),
    "cancel": Deed("Cancel {who}", "Asked {who} to stop. A process that executes a run notices within a minute."),
    "execute": Deed("Execute {who}", "{script} executes {who} now, in the background. It prints to {log}."),
}
"""The changes that forms may ask for, by the name of the action."""


async def change(request: Request) -> Response:
    """Do what a form asks for, and lead back to its page."""
    return await run_in_threadpool(_changed, request, await fields_of(request))


def _changed(request: Request, fields: ImmutableMultiDict[str, str]) -> Response:
    workspace, action = workspace_of(request), fields.get("action", "")
    runs = [*dict.fromkeys(fields.getlist("run"))]
    if action == "compare":
        if len(runs) > MOST_COMPARED:
            raise ValueError(f"At most {MOST_COMPARED} runs are compared, not {len(runs)}.")
        name = request.path_params["workspace"]
        return RedirectResponse(with_query(url_for(request, "compare", workspace=name), run=runs), 303)
    if (deed := DEEDS.get(action)) is None:
        raise ValueError(f"There is no action {action[:80]!r}. There are: {', '.join(DEEDS)}.")
    if not runs:
        outcome = Outcome(_NOTHING, ["Choose runs first, by the boxes before their names."])
    elif len(runs) > MOST:
        which = f"At most {MOST} runs are changed at once, not {len(runs)}."
        outcome = Outcome(_NOTHING, [which, f"molexp runs {action} --where QUERY changes any number."])
    elif (deed.first or len(runs) > MANY) and fields.get("sure") != "1":
        return _asked(request, fields, deed, runs)
    else:
        with request.app.state.changing:  # whoever sends a form twice means it once
            outcome = _done(request, workspace, action, fields, runs)
    here = fields.get("here", "")
    nothing = outcome.words == _NOTHING and is_local(here)
    return leading_to(request, here if nothing else _back(request, fields), outcome)


def _back(request: Request, fields: ImmutableMultiDict[str, str]) -> str:
    given = fields.get("back", "")
    return given if is_local(given) else url_for(request, "runs", workspace=request.path_params["workspace"])


def _asked(request: Request, fields: ImmutableMultiDict[str, str], deed: Deed, runs: Sequence[str]) -> Response:
    """Return the page that asks whether somebody means it."""
    here = fields.get("here", "")
    text = page(
        request,
        "asking.html",
        asks=deed.asks.format(**_told(fields, runs)),
        first=deed.first.format(**_told(fields, runs)),
        count=len(runs),
        named=runs[:_NAMED],
        kept=[(name, value) for name, value in fields.multi_items() if name not in (KEY, "sure")],
        stay=here if is_local(here) else _back(request, fields),
    )
    return Response(text, media_type="text/html", headers={"cache-control": "no-store"})


def _who(runs: Sequence[str]) -> str:
    return runs[0] if len(runs) == 1 else f"{len(runs)} runs"


def _told(fields: ImmutableMultiDict[str, str], runs: Sequence[str]) -> dict[str, str]:
    """Return what the words for a change say of runs."""
    paths = " ".join(runs) if len(runs) <= _WRITTEN else "PATH..."
    return {"who": _who(runs), "paths": paths, **{name: fields.get(name, "").strip() for name in ("tag", "script")}}


# ------------------------------------------------------------------------------------------------------------------ doing


def _done(
    request: Request, workspace: me.Workspace, action: str, fields: ImmutableMultiDict[str, str], runs: list[str]
) -> Outcome:
    """Change runs, and return what became of it, in words."""
    body, log = _body(action, fields, runs), ""
    newest: Outcome | None = request.app.state.outcomes.newest
    sent = (runs, body["script"], body["rerun"], fields.get("after", "")) if action == "execute" else ()
    if sent and newest is not None and newest.sent == sent:
        return newest
    try:
        if action == "execute":
            done = start(workspace, body, request.app.state.scripts)
            log = done[0]["log"]
        else:
            done = make(workspace, body)
    except (HTTPException, me.MolexpError, ValueError, OSError) as error:
        return Outcome(_NOTHING, [_reason(error)])
    if action == "delete" and newest is not None:
        done = [{**one, "error": None} if one["path"] in newest.restore and _is_gone(one) else one for one in done]
    changed = [one["path"] for one in done if one["error"] is None]
    words = DEEDS[action].past.format(**_told(fields, changed), log=log) if changed else _NOTHING
    return Outcome(words, _failures(done), changed if action == "delete" else (), sent)


def _is_gone(one: Mapping[str, Any]) -> bool:
    return one["error"] is not None and one["error"]["code"] == "not_found"


def _body(action: str, fields: ImmutableMultiDict[str, str], runs: list[str]) -> dict[str, Any]:
    """Return what the API would be sent for the same."""
    tag = fields.get("tag", "")
    match action:
        case "tag" | "untag":
            return {"action": "annotate", "runs": runs, "tags" if action == "tag" else "untag": [tag]}
        case "note":
            return {"action": "annotate", "runs": runs, "note": fields.get("note", "").replace("\r\n", "\n")}
        case "execute":
            return {
                "action": action,
                "runs": runs,
                "script": fields.get("script", ""),
                "rerun": fields.get("rerun", ""),
            }
    return {"action": action, "runs": runs}


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPException):
        return error.detail
    found = facts(error)
    return f"{found['message']} {found['hint']}".rstrip()


def _failures(done: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each reason why runs were not changed once, and the first ones only: all may have the same."""
    by_reason: dict[str, list[str]] = {}
    for one in done:
        if one["error"] is not None:
            reason = f"{one['error']['message']} {one['error']['hint']}".rstrip()
            by_reason.setdefault(reason, []).append(one["path"])
    told = [f"Not changed: {_who(some)}. {reason}" for reason, some in [*by_reason.items()][:_TOLD]]
    left = len(by_reason) - _TOLD
    return [*told, f"{left} more could not be changed."] if left > 0 else told


ROUTES: list[Route] = [Route("/w/{workspace}/changes", change, name="change", methods=["POST"])]
