"""The tasks of earlier attempts at a run: their records, and changes since they were executed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from molexp._assets.data_assets import DataAssets
from molexp._assets.lookup import pick
from molexp._code.hashing import UNKNOWN, Code, code_of
from molexp._record.attempts import read_attempts
from molexp._storage import layout
from molexp._storage.layout import parse_asset_id
from molexp._workflow.results import SUCCEEDED
from molexp.contracts._assets import Asset
from molexp.errors import MolexpError

if TYPE_CHECKING:
    from molexp._hierarchy.run import Run
    from molexp._record.folding import AttemptFacts, Contents
    from molexp._workflow.definition import Definition

_UNSURE = "nobody can tell whether it changed"


class Codes(Struct, frozen=True):
    """The id of a workflow, and the code of each task, as they are now."""

    workflow_id: str
    tasks: Mapping[str, Code]


def codes_of(workflow: Definition) -> Codes:
    """Return those of a workflow."""
    return Codes(workflow.workflow_id, {name: code_of(spec.subject) for name, spec in workflow.tasks.items()})


class Earlier(Struct):
    """The newest record of each task and mapped item, and what those used that they were executed for.

    Attributes:
        run: the run.
        records: the records by label.
        looked: the assets that each used, and those that it looked for in vain, by label.
        assets: the records of all assets of the run, by their ids without its path.
    """

    run: Run
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    looked: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    assets: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _newest: dict[tuple[Any, ...], str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, run: Run, attempts: Iterable[AttemptFacts], open_attempt: tuple[int, Contents] | None = None
    ) -> Earlier:
        """Return what attempts left, oldest first; one that is open, with its number, says itself what it has come to."""
        found = cls(run)
        for facts in attempts:
            if facts.head.get("fresh"):
                found.records.clear()
            is_open = open_attempt is not None and facts.number >= open_attempt[0]
            found._add(open_attempt[1] if open_attempt is not None and is_open else facts.contents)
        return found

    def _add(self, contents: Contents) -> None:
        self.assets.update((str(one.get("id")).partition("#")[2], one) for one in contents.assets.values())
        for label, record in contents.tasks.items():
            self.records[label] = record
            if not record.get("reused"):
                self.looked[label] = [said for said in (*contents.used, *contents.missed) if said.get("task") == label]

    def changed(self, label: str, code: Code) -> str:
        """Return why a task that succeeded is not what it was, its inputs from other tasks aside; "" if it is."""
        recorded = self.records[label].get("code")
        if code.hash == UNKNOWN:
            return f"{_UNSURE}: {code.why}"
        if recorded == UNKNOWN:
            return f"{_UNSURE}: which code was executed is not known"
        if recorded != code.hash:
            return "its code changed"
        other = next(filter(None, map(self._other, self.looked.get(label, ()))), "")
        return f"its inputs changed: {other}" if other else ""

    def changed_since(self, workflow_id: str | None, codes: Codes) -> str:
        """Return what is not as it was when an attempt by the workflow of that id succeeded; "" if all is."""
        if workflow_id not in (None, codes.workflow_id):
            return "the workflow has changed since"
        for name, code in codes.tasks.items():
            if why := self.task_changed(name, code):
                return f"of its task {name!r}, {why}"
        return ""

    def task_changed(self, name: str, code: Code) -> str:
        """Return what has changed for a task as a whole since it, or its items, succeeded; "" if nothing has."""
        labels = [label for label in self.records if label == name or label.startswith(f"{name}[")]
        ended = [label for label in labels if self.records[label].get("status") == SUCCEEDED]
        return next(filter(None, (self.changed(label, code) for label in ended if "code" in self.records[label])), "")

    def _other(self, said: Mapping[str, Any]) -> str:
        """Return what would be found now in the place of what was; "" if that is the same."""
        key = said.get("asset"), said.get("by"), said.get("name"), said.get("kind"), said.get("version")
        if key not in self._newest:
            try:
                self._newest[key] = self._look(said)
            except (MolexpError, ValueError) as error:
                self._newest[key] = f"{said.get('asset') or said.get('name')} cannot be looked for: {error}"
        return self._newest[key]

    def _look(self, said: Mapping[str, Any]) -> str:
        if (asset_id := said.get("asset")) is None:
            wanted = str(said["name"])
            found = self._by_name(wanted, said.get("version")) if said.get("kind") in (None, "data") else None
            return f"{found.id} exists now, and there was no {wanted!r}" if found is not None else ""
        scope, attempt, kind, name, _ = parse_asset_id(asset_id)
        if said.get("by") == "version" or scope == self.run.path:
            return ""
        if attempt is not None:
            newest = self._of_run(scope, kind, name)
        else:
            found = (
                self._by_name(name, None)
                if said.get("by") == "name"
                else DataAssets(self.run._session, scope).get(name)
            )
            newest = found.id if found is not None else asset_id
        return f"{newest} has replaced {asset_id}" if newest != asset_id else ""

    def _by_name(self, name: str, version: int | None) -> Asset | None:
        return next((found for data in self.run._scopes() if (found := data.get(name, version=version))), None)

    def _of_run(self, path: str, kind: str, name: str) -> str:
        for facts in reversed(read_attempts(self.run._session.store, layout.folder(path))):
            if record := pick(facts.contents.assets.values(), name, scope=path, kind=kind, version=None):
                return str(record.get("id"))
        return ""
