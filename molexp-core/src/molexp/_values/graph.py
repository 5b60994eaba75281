"""The graph of a workflow: its tasks and how they depend on each other, as a value that is recorded and drawn."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from molexp._values.documents import is_count


class GraphTask(Struct, frozen=True, kw_only=True):
    """A task of a `WorkflowGraph`.

    Attributes:
        name: its name.
        kind: ``"function"``, ``"coroutine"``, ``"object"`` or ``"shell"``.
        depends_on: names of the tasks whose outputs it takes, in order.
        map_over: the one of them whose output is a list, for each item of which it is executed; None: once.
        options: retries, backoff, timeout, executor and resources, where they are not the defaults.
        function: the qualified name of what is called; None for a command.
        file: the file that defines it: a path within the repository, else within the folder that it is imported from; None
            if it has no file, as in a notebook.
        line: the number of the line in that file.
        status: of the run's attempt, such as ``"succeeded"``, ``"reused"`` or ``"failed"``; None if it was not started.
        seconds: the time that it took.
        items: of a mapped task, how many items have which status.

    Example:
        >>> me.GraphTask(name="minimum", depends_on=("scan",)).to_dict()
        {'name': 'minimum', 'kind': 'function', 'depends_on': ['scan']}
    """

    name: str
    kind: str = "function"
    depends_on: tuple[str, ...] = ()
    map_over: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    function: str | None = None
    file: str | None = None
    line: int | None = None
    status: str | None = None
    seconds: float | None = None
    items: Mapping[str, int] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """Its status and its items', on one line; "" if it was not started."""
        items = ", ".join(f"{number} {status}" for status, number in sorted(self.items.items()))
        return f"{self.status or ''}{f' ({items})' if items else ''}".strip()

    def to_dict(self) -> dict[str, Any]:
        """Return what is known of it, for JSON; what is None or empty is left out."""
        found = asdict(self) | {"depends_on": list(self.depends_on)}
        return {name: value for name, value in found.items() if value not in (None, [], {})}


class WorkflowGraph(Struct, frozen=True, kw_only=True):
    """The tasks of a workflow and how they depend on each other, from `Run.workflow_graph` or `Workflow.graph`.

    ``str()`` draws it as text, Jupyter as a picture.

    Attributes:
        name: the workflow's name.
        workflow_id: the id of the workflow, which another workflow does not have.
        tasks: its tasks, each after those that it depends on.
        on_failure: the policy for the rest when a task failed: ``"finish"`` or ``"cancel"``.
        max_parallel: the number of tasks that are executed at a time, at most; None: any number.

    Example:
        >>> tasks = (me.GraphTask(name="scan"), me.GraphTask(name="minimum", depends_on=("scan",)))
        >>> me.WorkflowGraph(name="pair", workflow_id="1", tasks=tasks).edges
        (('scan', 'minimum'),)
    """

    name: str
    workflow_id: str
    tasks: tuple[GraphTask, ...] = ()
    on_failure: str = "finish"
    max_parallel: int | None = None

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """Pairs of names: a task, and one that takes its output."""
        return tuple((before, task.name) for task in self.tasks for before in task.depends_on)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, for JSON."""
        found = asdict(self) | {"tasks": [task.to_dict() for task in self.tasks]}
        return {**found, "edges": [list(edge) for edge in self.edges]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> WorkflowGraph:
        """Return what `to_dict` gave. A record may be anybody's: what makes no sense in it is left out."""
        tasks: dict[str, GraphTask] = {}
        found = document.get("tasks")
        for one in found if isinstance(found, list) else ():
            if isinstance(one, dict) and isinstance(name := one.get("name"), str) and name not in tasks:
                tasks[name] = _task(name, one, tasks)
        limit = document.get("max_parallel")
        return cls(
            name=str(document.get("name", "")),
            workflow_id=str(document.get("workflow_id", "")),
            tasks=tuple(tasks.values()),
            on_failure=str(document.get("on_failure", "finish")),
            max_parallel=limit if is_count(limit) else None,
        )

    def as_executed(self, records: Mapping[str, Mapping[str, Any]]) -> WorkflowGraph:
        """Return the same graph, with what the records of an attempt's tasks say of each."""
        items: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for label, record in records.items():
            name, bracket, _ = label.partition("[")
            if bracket:
                items[name][_status(record)] += 1
        tasks = [
            replace(
                task,
                status=_status(records[task.name]) if task.name in records else None,
                seconds=_seconds(records.get(task.name, {}).get("seconds")),
                items=dict(items.get(task.name, {})),
            )
            for task in self.tasks
        ]
        return replace(self, tasks=tuple(tasks))

    def rows(self) -> Iterator[tuple[str, GraphTask]]:
        """Yield the lines of a drawing: the signs before the name of a task, and the task.

        Each task stands below one that it depends on. Of several below the same one, the largest goes on in its column
        and the others branch off, so that neither a long chain nor many branches make the drawing wide.
        """
        parents = self._parents()
        sizes: Counter[str | None] = Counter()
        below: defaultdict[str | None, list[GraphTask]] = defaultdict(list)
        for task in reversed(self.tasks):
            sizes[task.name] += 1
            sizes[parents[task.name]] += sizes[task.name]
            below[parents[task.name]].append(task)  # the last one first
        waiting: list[tuple[str, str, GraphTask]] = []

        def expand(name: str | None, column: str) -> None:
            if found := below.get(name):
                largest = max(found, key=lambda task: sizes[task.name])
                waiting.append((column, column, largest))
                waiting.extend((f"{column}├─", f"{column}│  ", task) for task in found if task is not largest)

        expand(None, "")
        while waiting:
            first, column, task = waiting.pop()
            yield f"{first}● ", task
            expand(task.name, column)

    def _parents(self) -> dict[str, str | None]:
        """Return the task below which each is drawn: the deepest of those that it depends on, because that comes late."""
        depth: dict[str | None, int] = {None: 0}
        parents: dict[str, str | None] = {}
        for task in self.tasks:
            parents[task.name] = parent = max(reversed(task.depends_on), key=lambda name: depth[name], default=None)
            depth[task.name] = depth[parent] + 1
        return parents

    def __str__(self) -> str:
        lines = [(f"{before}{task.name}", task.outcome) for before, task in self.rows()]
        width = max((len(left) for left, _ in lines), default=0)
        return "\n".join([f"○ {self.name}", *(f"{left:<{width}}  {right}".rstrip() for left, right in lines)])

    def _repr_html_(self) -> str:
        from molexp._values.graph_picture import picture

        return picture(self)


def _task(name: str, document: Mapping[str, Any], known: Mapping[str, GraphTask]) -> GraphTask:
    def text(field: str) -> str | None:
        value = document.get(field)
        return value if isinstance(value, str) else None

    depends, options, items = (document.get(field) for field in ("depends_on", "options", "items"))
    line, over = document.get("line"), text("map_over")
    found = dict.fromkeys(before for before in depends if isinstance(before, str)) if isinstance(depends, list) else {}
    return GraphTask(
        name=name,
        kind=text("kind") or "function",
        depends_on=tuple(before for before in found if before in known),
        map_over=over if over in known else None,
        options=options if isinstance(options, dict) else {},
        function=text("function"),
        file=text("file"),
        line=line if is_count(line) else None,
        status=text("status"),
        seconds=_seconds(document.get("seconds")),
        items={key: count for key, count in items.items() if is_count(count)} if isinstance(items, dict) else {},
    )


def _status(record: Mapping[str, Any]) -> str:
    return "reused" if record.get("reused") else str(record.get("status"))


def _seconds(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
