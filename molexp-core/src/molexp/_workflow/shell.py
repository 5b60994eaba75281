"""Commands as tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from molexp._values.ids import check_payload_name
from molexp._values.paths import is_remote
from molexp._workflow.tasks import checked_timeout

if TYPE_CHECKING:
    from molexp._workflow.context import TaskContext

Command = Sequence["str | Path"] | str


class ShellTask:
    """Runs a command in the task's working directory; see `WorkflowBuilder.shell`."""

    __slots__ = ("command", "env", "limit", "outputs")  # all of it can be seen, and counts as the task's source

    def __init__(
        self,
        command: Command | Callable[[TaskContext], Command],
        outputs: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        limit: float | None = None,
    ) -> None:
        self.command = command
        self.outputs = outputs or {}
        self.env = env
        self.limit = limit

    def check(self, name: str) -> None:
        """Raise unless this can be executed.

        Raises:
            TypeError: the command is none.
            ValueError: its timeout is none, or an output cannot have its name.
        """
        command = self.command
        is_text = isinstance(command, str) and bool(command.strip())
        is_argv = (
            isinstance(command, list | tuple)
            and command
            and all(isinstance(w, str | PurePath) or is_remote(w) for w in command)
        )
        if not (is_text or is_argv or callable(command)):
            raise TypeError(
                f"Task {name!r}: a command is a sequence of texts and paths, a text for the shell, or a function that "
                f"returns either, not {command!r}."
            )
        self.limit = checked_timeout(name, self.limit)
        for output in self.outputs:
            check_payload_name(output, f"output of task {name!r}")  # not when the command has run

    def execute(self, ctx: TaskContext) -> dict[str, Any]:
        """Run it; returns its exit code and its artifacts.

        Raises:
            CommandError: it failed, or ran out of time.
            FileNotFoundError: a file that it should have written is not there; those that are were saved.
        """
        command = self.command(ctx) if callable(self.command) else self.command
        code = ctx.shell(command, log=f"tasks/{ctx.label}/shell", timeout=self.limit, env=self.env)
        made: dict[str, Any] = {"exit_code": code}
        missing = []
        for name, file in self.outputs.items():
            path = ctx.workdir / file
            if path.exists():
                made[name] = ctx.artifact.save(name, path) or path
            else:
                missing.append(f"{file!r}, its output {name!r}")
        if missing:
            raise FileNotFoundError(
                f"The command of task {ctx.label!r} succeeded, but did not write {'; '.join(missing)}."
            )
        return made
