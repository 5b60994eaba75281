"""The end of an attempt: its document, made by its owner or by whoever found that dead, and what ``run.json`` shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from molexp._record.attempts import last_sign, of_end
from molexp._record.causes import Ending, cause_of
from molexp._record.definitions import deleted
from molexp._record.folding import AttemptFacts, Contents, RunState, shown_attempts
from molexp._record.looking import as_it_is
from molexp._record.settlement import settle_grown, settle_replacements
from molexp._storage import layout, schemas
from molexp._storage.layout import claim_key, end_key
from molexp._values.documents import check_schema, decode_object, encode_line, encode_pretty
from molexp._values.status import UNENDED, RunStatus
from molexp._values.times import boot_clock, new_token, utc_now
from molexp.contracts import Store
from molexp.errors import KeyExistsError

if TYPE_CHECKING:
    from molexp._record.owners import Owner

_AWHILE = 1.0  # seconds that nobody takes between reading a run and showing it, but who was stopped meanwhile
_FINISHED = frozenset(str(status) for status in RunStatus if status.finished)


def end_document(
    *,
    attempt: int,
    how: Ending,
    head: Mapping[str, Any],
    contents: Contents,
    folded: Mapping[str, int],
    ended_by: Mapping[str, Any] | None = None,
    last_seen: str = "",
) -> dict[str, Any]:
    """Return an attempt's end: all that anybody needs to know of it from then on."""
    status, why = how.status, how.cause
    if not why and status is not RunStatus.SUCCEEDED:
        why = cause_of({"status": status, "reason": how.reason, "error": how.error, "ended_by": ended_by})
    end = {
        "schema": schemas.ATTEMPT,
        "type": "end",
        "attempt": attempt,
        "status": str(status),
        "reason": how.reason,
        "error": how.error,
        "token": new_token(),
        "owner": head.get("owner"),
        "started_at": head.get("started_at"),
        "ended_at": last_seen or utc_now(),
        "ended_by": ended_by,
        "fresh": bool(head.get("fresh")),
        "provenance": contents.provenance,
        "workdir": contents.workdir,
        "results": contents.results,
        "assets": list(contents.assets.values()),
        "commands": contents.commands,
        "definition": head.get("definition"),
        "folded": folded,
        **({"imported_from": origin} if (origin := head.get("imported_from")) else {}),
    }
    if why:
        end["cause"] = why
    end |= {"submission": head["submission"]} if head.get("submission") else {}
    if last_seen:
        end["found_at"] = utc_now()
    if contents.tasks or contents.workflow:
        end |= {"workflow": contents.workflow, "tasks": _over(contents.tasks, status, why)}
    for name in ("ranks", "used", "missed"):
        if said := getattr(contents, name):
            end[name] = said
    return end


def _over(tasks: Mapping[str, dict[str, Any]], status: RunStatus, cause: str | None) -> dict[str, dict[str, Any]]:
    """Return the records of tasks when their attempt is over: what was being executed, or waited for that, is no longer."""
    became = str(RunStatus.CANCELLED if status is RunStatus.CANCELLED else RunStatus.INTERRUPTED)
    return {
        name: {**record, "status": became, **({"cause": cause} if cause else {})}
        if record.get("status") in UNENDED
        else record
        for name, record in tasks.items()
    }


def end_dead(
    store: Store,
    run_folder: str,
    facts: AttemptFacts,
    how: str,
    me: Owner,
    *,
    beat: str = "",
    cause: str | None = None,
    replace: bool = False,
    said: Mapping[str, Any] | None = None,
) -> AttemptFacts:
    """End an attempt whose owner is dead, as ``interrupted``; returns what stands then, by whomever it was ended.

    It ended, as far as anybody can tell, with its last sign of life; `beat` is the time of its last beat. With `replace`, the
    end is there and cannot be read; `said` is what is known of it otherwise.

    Raises:
        SchemaError: its claim was written by a newer MolExp.
    """
    check_schema({"schema": schemas.ATTEMPT, **facts.head}, claim_key(run_folder, facts.number), schemas.ATTEMPT)
    last_seen = last_sign(store, facts, beat)
    settle_replacements(store, facts.contents)
    settle_grown(store, facts.contents)
    end = end_document(
        attempt=facts.number,
        how=Ending(RunStatus.INTERRUPTED, how, cause),
        head=facts.head,
        contents=facts.contents,
        folded=facts.head.get("folded", {}),
        ended_by={"host": me.host, "pid": me.pid, "user": me.user},
        last_seen=last_seen,
    )
    if replace:
        end["mended"] = utc_now()
    elif facts.problem:
        end["problem"] = facts.problem
    end |= said or {}
    key = end_key(run_folder, facts.number)
    try:
        (store.write if replace else store.create)(key, encode_line(end))
        if store.durability == "end":
            store.sync([key], names=False)  # before `run.json` is replaced, whose definition it repeats
    except KeyExistsError:
        end = decode_object(store.read(key), key)
    return of_end(end, facts.number, {})


def shown_end(definition: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """Return what ``run.json`` shows to people of the end of an attempt; nothing if it shows none."""
    for entry in shown_attempts(definition):
        if isinstance(entry, dict) and entry.get("attempt") == number and entry.get("status") in _FINISHED:
            return entry
    return {}


def show_run(store: Store, path: str, state: RunState, began: float) -> None:
    """Write ``run.json`` for people, as it was read since the moment `began`, when its newest attempt had an end.

    Whoever was stopped on the way looks again, before and afterwards: of a run that was freed meanwhile, nothing is to return.
    A document of a newer MolExp stays as it is: what it shows of the state may be more than is known here.
    """
    key = layout.document(path)
    if isinstance(schema := state.definition.get("schema"), int) and schema > schemas.DEFINITION:
        return
    if boot_clock() - began > _AWHILE and _is_freed(store, path, state):
        return  # another run of this id may lie there now
    store.write(key, encode_pretty(state.to_document()))
    if boot_clock() - began > _AWHILE and _is_freed(store, path, state):
        store.delete(key)


def _is_freed(store: Store, path: str, state: RunState) -> bool:
    now = as_it_is(store)
    end = end_key(layout.folder(path), state.attempts[-1].number)
    return deleted(now, path) or not now.exists(end)
