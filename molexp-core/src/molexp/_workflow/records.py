"""Records of tasks under a run: the outcome of each, and the outputs that a resume may take over."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from molexp._assets.accessors import Accessor
from molexp._code.hashing import Code
from molexp._recording.task_recorder import TaskRecorder
from molexp._running.context import describe_error
from molexp._storage.layout import claim_key
from molexp._values.canonical import canonical_hash
from molexp._values.documents import count, encode
from molexp._values.status import UNENDED
from molexp._values.times import utc_now
from molexp._workflow.earlier import Earlier, codes_of
from molexp._workflow.outputs import NotRestorableError, fingerprint, pack
from molexp._workflow.results import FAILED, SUCCEEDED, TaskOutcome
from molexp._workflow.reusing import Reusing, Signature
from molexp._workflow.saved_parts import Parts
from molexp.errors import AssetExistsError, SerializationError

if TYPE_CHECKING:
    from molexp._assets.naming import AttemptAssets
    from molexp._hierarchy.run_context import RunContext
    from molexp._workflow.definition import Definition
    from molexp.contracts import Progress
    from molexp.contracts._assets import Asset

T = TypeVar("T")

STATE = "execution-state"
"""Name of the asset with the outcomes of an attempt's tasks."""

_OF_THE_TRY = (
    "at",
    "retry",
    "why",
    "reason",
    "cause",
    "host",
    "job",
    "restarts",
)  # entries of a record that tell of its try, not of the task

_WHERE = ("host", "job", "restarts")  # entries of a record that tell where a queue had it executed

INLINE_OUTPUT = 8 * 1024  # bytes of JSON up to which an output stands in the record itself


class TaskRecords(Reusing):
    """Writes the records of the tasks of one execution, and reads those of earlier attempts."""

    def __init__(
        self,
        context: RunContext,
        workflow: Definition,
        earlier: Earlier,
        *,
        params: Mapping[str, Any],
        config: Mapping[str, Any],
    ) -> None:
        self._flushing: asyncio.Handle | None = None  # outcomes are about to be flushed
        self._attempt = context._coordinator
        self._appends = "append" in self._attempt.store.capabilities
        self._assets = context._assets
        super().__init__(
            context.run, earlier, codes_of(workflow), params=params, config=config
        )  # before any is executed
        self._ran: dict[str, Code] = {}  # the code of tries, as the processes say that executed them
        self._why: dict[str, str] = {}  # the reason to execute each task again
        self._attempt.record({"type": "workflow", "at": utc_now(), "workflow": self._describe(workflow)})
        self._publish_state()

    def attend(self, loop: asyncio.AbstractEventLoop, fail: Callable[[BaseException], None]) -> None:
        """Record what is executed on an event loop; `fail` is called if outcomes cannot be flushed."""
        self._loop, self._fail = loop, fail

    def _describe(self, workflow: Definition) -> dict[str, Any]:
        """Return what the record says of the workflow. Its graph is a document of its own, for all the runs of a sweep."""
        attempt = self._attempt
        known = attempt.process.provenance.keep(attempt.store, workflow._graph_document, attempt.outbox)
        found = {"name": workflow.name, "workflow_id": workflow.workflow_id, "tasks": list(workflow.tasks)}
        return {**found, "graph": known}

    # ------------------------------------------------------------------------------------------------------------ resuming

    def reuse(self, label: str, signature: Signature) -> tuple[TaskOutcome | None, str]:
        """Return what an earlier attempt left of a task, if it can be taken over; else why the task is executed."""
        kept = self.look(label, signature)
        if isinstance(kept, str):
            return None, kept
        outcome = TaskOutcome(label, SUCCEEDED, kept.output, reused=True, restorable=True, reason="unchanged")
        said = {name: value for name, value in kept.record.items() if name not in _OF_THE_TRY}
        self._write_soon(label, {**said, "reused": True, "why": outcome.reason}, self.first_retry(label))
        return outcome, "unchanged"

    # ------------------------------------------------------------------------------------------------------------- writing

    @property
    def halted(self) -> bool:
        """Tell whether the attempt records nothing any more: it was asked to stop, or ended by somebody else."""
        return self._attempt.state != "recording"

    def mapped(self, outcome: TaskOutcome) -> None:
        """Record a mapped task whose items all have outcomes."""
        record = {**_end_of(outcome), "items": len(outcome.items)}
        self._write(outcome.name, record, self.first_retry(outcome.name))

    def first_retry(self, label: str) -> int:
        """Return the number of the first try: 0, unless a task of that name was executed in this attempt before."""
        known = self._attempt.contents.tasks.get(label)
        return count(known.get("retry")) + 1 if known is not None else 0

    def recorder(self, label: str, retry: int) -> TaskRecorder:
        """Return the recorder of a try of a task."""
        return TaskRecorder(self._attempt, label, retry)

    def started(self, label: str, retry: int, why: str) -> None:
        """Record that a try begins."""
        record = {"status": "running"}
        if why:
            record["why"] = why
            self._why.setdefault(label, why)
        self._write(label, record, retry)

    def told(self, label: str, retry: int, progress: Progress) -> None:
        """Record how far the call of a try is: it waits in a queue, began somewhere, or was requeued."""
        known = self._attempt.contents.tasks.get(label, {})
        if self.halted or count(known.get("retry")) != retry or known.get("status") not in UNENDED:
            return  # it comes too late
        began = progress.step == "began"
        record: dict[str, Any] = {"status": "running" if began else "queued"}
        record |= {name: known[name] for name in _WHERE if name in known and (began or name != "host")}
        record |= {name: fact for name in _WHERE if (fact := getattr(progress, name))}
        if why := known.get("why"):
            record["why"] = why
        try:
            self._write(label, record, retry)
        except BaseException as error:  # noqa: BLE001 - raised where the workflow is awaited
            self._fail(error)

    def ran(self, label: str, code: Code) -> None:
        """Note the code of a try that another process executed, which may be another than here."""
        self._ran[label] = code

    def ended(
        self, outcome: TaskOutcome, signature: Signature | None, retry: int, output: Mapping[str, Any] | None = None
    ) -> None:
        """Record the outcome of a task; `output` has what `keep` returned, if it succeeded."""
        record = {**_end_of(outcome), "started_at": _time(outcome.started_at), "retries": outcome.retries}
        known = self._attempt.contents.tasks.get(outcome.name, {})
        record |= {name: known[name] for name in _WHERE if name in known}
        if signature is not None:
            signature.code = self._ran.pop(outcome.name, signature.code)
            record |= {"code": signature.code.hash, "inputs": signature.inputs}
        if why := self._why.pop(outcome.name, ""):
            record["why"] = why
        if outcome.status == FAILED and outcome.error is not None:
            record["error"] = self.describe(outcome.error, outcome.name, retry)
        self._write_soon(outcome.name, record | dict(output or {}), retry)

    def _flush(self) -> None:
        try:
            self.flush()
        except BaseException as error:  # noqa: BLE001 - raised where the workflow is awaited
            self._fail(error)

    def flush(self) -> None:
        """Bring the outcomes that were recorded into the store: nobody is told of any before."""
        if self._flushing is not None:
            self._forget_to_flush()
            if not self.halted:
                self._attempt.flush()

    def _forget_to_flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None

    def describe(self, error: BaseException, label: str, retry: int) -> dict[str, Any]:
        """Save the traceback of a task's error, and return the record of the error."""
        with self._assets_of(label, retry) as assets:
            return describe_error(error, assets, label, name=f"error-trace-{retry}" if retry else "error-trace")

    @contextmanager
    def _assets_of(self, label: str, retry: int) -> Iterator[AttemptAssets]:
        """Give the assets of a try of a task."""
        recorder = self.recorder(label, retry)
        try:
            yield self._assets.of(recorder)
        finally:
            recorder.end("it has ended")

    async def keep(self, outcome: TaskOutcome, signature: Signature, retry: int) -> dict[str, Any]:
        """Return the entries of the record for an output. A thread saves what goes into files: no other task waits for that."""
        parts = Parts(self._assets.library)
        try:
            stored = pack(outcome.output, self._run, parts.take)
            said: dict[str, Any] = {"output": stored}
            if parts.found or len(encode(stored)) > INLINE_OUTPUT:
                said = await _in_a_thread(partial(self._save_all, parts, stored, outcome, retry))
            known = fingerprint(stored, parts=bool(parts.found))
        except (NotRestorableError, SerializationError, AssetExistsError) as error:
            outcome.restorable = False
            # Whoever takes it as input sees the same if the task is executed again from the same code and inputs.
            code = self._ran.get(outcome.name, signature.code)
            self._outputs[outcome.name] = canonical_hash([outcome.name, code.hash, signature.inputs])
            return {"not_restorable": str(error)}
        outcome.restorable = True
        self._outputs[outcome.name] = known
        return {"assembled": said} if parts.found else said

    def _save_all(self, parts: Parts, stored: Any, outcome: TaskOutcome, retry: int) -> dict[str, Any]:
        """Save the objects of an output, and the rest if it is too large for the record; return the entry for that."""
        with self._assets_of(outcome.name, retry) as assets:
            if parts.found:
                parts.save(assets, outcome.name, alone=type(stored) is dict and "$saved" in stored)
            if len(encode(stored)) <= INLINE_OUTPUT:
                return {"output": stored}
            document = {"output": stored}
            asset = save_state(assets, "checkpoint", f"outputs/{outcome.name}.json", document, outcome.name)
        return {"saved": {"$asset": asset.id}}

    def _write(self, label: str, record: dict[str, Any], retry: int, *, soon: bool = False) -> None:
        event: dict[str, Any] = {"type": "task", "task": label, "at": utc_now(), **record}
        if retry:
            event["retry"] = retry
        self._attempt.record(event, soon=soon)
        if not soon and self._appends:
            self._forget_to_flush()  # outcomes that waited were written with this one

    def _write_soon(self, label: str, record: dict[str, Any], retry: int) -> None:
        """Record an outcome; it is written with those that come together with it, and the start of the next task."""
        self._write(label, record, retry, soon=True)
        if self._flushing is None:
            later, loop = self._appends, self._loop  # without append, the next task starts after the flush
            self._flushing = loop.call_later(0, self._flush) if later else loop.call_soon(self._flush)

    def _publish_state(self) -> None:
        """Make the attempt's events an asset: they say what becomes of the tasks."""
        if self._appends:
            slot = self._assets.reserve(self._assets.library.kind("execution_state"), STATE, None)
            slot.key = claim_key(self._attempt.folder, self._attempt.number)
            self._assets.publish(slot, size=None, content_hash=None, fields={})

    def conclude(self) -> None:
        """Flush, and save the state where events cannot be an asset; all tasks have outcomes."""
        self.flush()
        if not self._appends:
            contents = self._attempt.contents
            document = {"workflow": contents.workflow, "tasks": contents.tasks}
            save_state(self._assets, "execution_state", STATE, document, None)


def _end_of(outcome: TaskOutcome) -> dict[str, Any]:
    """Return what the record says of every task that has an outcome."""
    found: dict[str, Any] = {"status": outcome.status, "seconds": round(outcome.duration, 6)}
    if outcome.reason and outcome.status != SUCCEEDED:
        found["reason"] = outcome.reason
    if cause := outcome.cause:
        found["cause"] = str(cause)
    return found


def _time(seconds: float) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat() + "Z" if seconds else None


async def _in_a_thread(work: Callable[[], T]) -> T:
    """Return what a function returns that is called in a thread.

    Who is cancelled waits for its end all the same: the task has ended well, and an output is saved as a whole.
    """
    doing = asyncio.get_running_loop().run_in_executor(None, contextvars.copy_context().run, work)
    while not doing.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([doing])
    return doing.result()


def save_state(assets: AttemptAssets, kind: str, name: str, document: Any, task: str | None) -> Asset:
    """Save a document as an asset."""
    asset = Accessor[Any, Any](assets.library.kind(kind), assets, task).save(name, document)
    assert asset is not None
    return asset
