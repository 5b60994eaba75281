"""Decide which tasks of an earlier attempt hold: by their code, their inputs, and outputs that can be restored.

A resume takes over what holds, and `explaining` tells about it; both ask here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from molexp._code.hashing import Code
from molexp._record.document_types import RESERVED
from molexp._values.canonical import canonical_hash
from molexp._values.status import UNENDED
from molexp._workflow.earlier import Codes, Earlier
from molexp._workflow.outputs import NotRestorableError, fingerprint, pack, unpack
from molexp._workflow.results import SUCCEEDED
from molexp._workflow.saved_parts import Restorer
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._hierarchy.run import Run
    from molexp._workflow.tasks import TaskSpec

INPUTS_CHANGED = "its inputs changed"
_EARLIER = {"failed": "it failed before", **dict.fromkeys(UNENDED, "it did not end before")}


def why_again(status: object) -> str:
    """Return why a task is executed again that has not succeeded."""
    return _EARLIER.get(str(status), f"it was {status} before")


class Signature(Struct):
    """The code and the inputs that a task's output follows from.

    Attributes:
        code: its code.
        inputs: a hash of its inputs, parameters and configuration.
    """

    code: Code
    inputs: str


class Kept(Struct):
    """Hold the record and the output of a task that an earlier attempt executed, and that need not be executed again."""

    record: Mapping[str, Any]
    output: Any


class Reusing:
    """Looks at the tasks of earlier attempts, each after those that it depends on.

    Args:
        run: the run.
        earlier: the records of its tasks.
        codes: the code as it is now.
        params: the run's parameters.
        config: its configuration.
    """

    def __init__(
        self, run: Run, earlier: Earlier, codes: Codes, *, params: Mapping[str, Any], config: Mapping[str, Any]
    ) -> None:
        self._run: Run = run
        self._earlier = earlier
        self._restorer = Restorer(run._session.library, earlier.assets)
        self._code = codes.tasks
        counting = {name: value for name, value in config.items() if name not in RESERVED}
        self._given = canonical_hash({"params": dict(params), "config": counting})
        self._outputs: dict[str, str] = {}  # a hash for the output of each task, as the inputs of others have it

    def sign(self, spec: TaskSpec, index: int | None, item: Any) -> Signature:
        """Return what the output of a task, or of one item of it, follows from; its upstreams have outcomes."""
        code = self._code[spec.name]
        upstream = {name: self._outputs[name] for name in spec.depends_on}
        if index is not None and spec.map_over is not None:
            try:
                upstream[spec.map_over] = fingerprint(pack(item, self._run))
            except NotRestorableError:
                upstream[spec.map_over] = f"{upstream[spec.map_over]}[{index}]"
        return Signature(code, canonical_hash({"given": self._given, "upstream": upstream}))

    def refused(self, label: str, code: Code) -> str:
        """Return why a task is executed again, whatever its inputs from other tasks are; "" if nothing speaks for it."""
        record = self._earlier.records.get(label)
        if record is None:
            return "it has not been executed before"
        status = record.get("status")
        if status != SUCCEEDED:
            return why_again(status)
        return self._earlier.changed(label, code)

    def look(self, label: str, signature: Signature) -> Kept | str:
        """Return what an earlier attempt left of a task, if it holds; else why the task is executed."""
        if why := self.refused(label, signature.code):
            return why
        record = self._earlier.records[label]
        if record.get("inputs") != signature.inputs:
            return INPUTS_CHANGED
        try:
            output, stored = self._restore(label, record)
        except (NotRestorableError, MolexpError) as error:
            return f"its output cannot be restored: {error}"
        except Exception as error:  # noqa: BLE001 - a record that somebody mended, or a newer version wrote
            return f"its output cannot be restored: its record makes no sense ({type(error).__name__}: {error})"
        self._outputs[label] = stored
        return Kept(record, output)

    def aggregate(self, name: str, items: int) -> None:
        """Hash the output of a mapped task from those of its items."""
        self._outputs[name] = canonical_hash([self._outputs[f"{name}[{index}]"] for index in range(items)])

    def _restore(self, label: str, record: Mapping[str, Any]) -> tuple[Any, str]:
        if "not_restorable" in record:
            raise NotRestorableError(str(record["not_restorable"]))
        assembled = "assembled" in record  # older versions do not look there, and execute the task again
        said = record["assembled"] if assembled else record
        if "saved" in said:
            saved = unpack(said["saved"], self._run)  # that a resume reads it says nothing of what the task uses
            stored = self._run._session.library.load(saved)["output"]
        elif "output" in said:
            stored = said["output"]
        else:
            raise NotRestorableError("its record does not have it")
        known: dict[str, Any] = {}
        give = partial(self._restorer.restore, label, known) if assembled else None
        return unpack(stored, self._run, give), fingerprint(stored, parts=assembled)
