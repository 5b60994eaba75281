"""Scripts that name experiments to run: they are imported as modules, so that their ``__main__`` guard does not fire."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from molexp._hierarchy.entry import Entries, collecting
from molexp._hierarchy.experiment import Experiment
from molexp._provenance.source_tree import is_users
from molexp._recording.process import this_process
from molexp._values.paths import spelled
from molexp._values.process_id import HERE
from molexp._values.redirection import SeveralWorkspacesError, redirecting
from molexp._workflow import bindings
from molexp._workflow.workflow import Workflow
from molexp.errors import MolexpError, ScriptError

if TYPE_CHECKING:
    from molexp._hierarchy.workspace import Workspace

_MARK = "__molexp_script__"
"""An attribute of modules that are scripts; another module is never replaced."""


class Script(Struct, frozen=True):
    """A script that was imported.

    Attributes:
        path: the file.
        experiments: the experiments that it wants to be run, in order, each with its workflow.
        function: the function that the workflow of its one experiment calls, where the script itself asks for a sweep.
        instead: the workspace that it got in the place of its own; "" if it has its own.
        replaced: its own workspace, if it got another one.
    """

    path: Path
    experiments: tuple[tuple[Experiment, Workflow], ...]
    function: Callable[[Any], Any] | None = None
    instead: str = ""
    replaced: str = ""

    def workspace(self, url: str) -> Workspace | None:
        """Return its workspace of this URL, with the storage options that it passes; None if it has none.

        Example:
            >>> from molexp.scripts import load_script
            >>> load_script("train.py").workspace("s3://my-group/lab")  # doctest: +SKIP
        """
        found = (experiment.project.workspace for experiment, _ in self.experiments)
        return next((workspace for workspace in found if workspace.url == url), None)


def load_script(
    path: str | os.PathLike[str],
    *,
    workspace: str | os.PathLike[str] | None = None,
    keep_several: bool = False,
) -> Script:
    """Import a script; its folder is on `sys.path`, and its module is named like the file.

    Args:
        path: the file.
        workspace: the workspace that it gets in the place of its own, wherever it opens that while it is imported. What
            it opens to read only stays as it is.
        keep_several: if it writes to several workspaces, it keeps them, instead of the error that one cannot replace them.

    Raises:
        ScriptError: there is no such file, it raised or exited, it has no `me.entry`, or nothing is bound.
        UnboundExperimentError: an experiment that it names in ``order`` has no workflow.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ScriptError(
            str(path),
            "there is no such file" if not file.exists() else "it is a folder" if file.is_dir() else "it is not a file",
        )
    file = file.resolve()
    this_process().code_folder = str(file.parent)
    instead = spelled(workspace) if workspace is not None else None
    with collecting() as entries, redirecting(str(path), instead) as redirection:
        HERE.instead = redirection.url if redirection is not None else None
        try:
            _import(file)
        except SeveralWorkspacesError:
            if not keep_several:
                raise
            return load_script(path)
    if not entries.workspaces:
        raise ScriptError(str(path), "nothing to run: add `me.entry(ws)` as the last line")
    places = (redirection.url, redirection.replaced) if redirection is not None else ("", "")
    return Script(file, tuple(_experiments(str(path), entries)), None, *places)


def _experiments(path: str, entries: Entries) -> list[tuple[Experiment, Workflow]]:
    if entries.order is not None:
        return [(experiment, bindings.get_workflow(experiment)) for experiment in entries.order]
    urls = {workspace.url for workspace in entries.workspaces}
    found = [(exp, workflow) for exp, workflow in bindings.bound() if exp._session.store.url in urls]
    if not found:
        raise ScriptError(
            path, "none of its experiments is bound to a workflow; bind one with: workflow.bind_to(experiment)"
        )
    return found


def _import(file: Path) -> ModuleType:
    """Import a file as the module that its name says, as other processes will, which tasks may be sent to."""
    folder, name = str(file.parent), file.stem
    known = sys.modules.get(name)
    if known is not None and not hasattr(known, _MARK) and not _is(known, file):
        raise ScriptError(
            str(file), f"its name is that of the module {name!r}, which is imported already; rename the script"
        )
    if known is not None:
        del sys.modules[name]  # as a script runs anew each time
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ScriptError(str(file), "it is not a Python file, whose name ends in .py")
    module = importlib.util.module_from_spec(spec)
    setattr(module, _MARK, True)
    sys.modules[name] = module
    HERE.script = str(file)
    arguments, sys.argv = sys.argv, [HERE.script]
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        del sys.modules[name]
        raise ScriptError(
            str(file),
            f'it called sys.exit({error.code!r}) while it was imported; put that below: if __name__ == "__main__":',
        ) from error
    except MolexpError as error:
        del sys.modules[name]
        if frames := _frames(error):
            error.add_note(f"It was raised by {frames[-1].filename}, line {frames[-1].lineno}.")
        raise
    except Exception as error:
        del sys.modules[name]
        what = f"it raised {type(error).__name__} while it was imported"
        if isinstance(error, SyntaxError):
            what = "it, or a module that it imports, is not valid Python"
        raise ScriptError(str(file), what, trace=_trace(error)) from error
    finally:
        sys.argv = arguments
    return module


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the user's frames of a traceback: none of MolExp, Python or installed packages."""
    return [frame for frame in traceback.extract_tb(error.__traceback__) if is_users(frame.filename)]


def _trace(error: Exception) -> str:
    """Format an error as Python does, with the user's frames alone; a script that cannot be compiled has none."""
    lines = traceback.format_list(_frames(error))
    head = ["Traceback (most recent call last):\n"] if lines else []
    return "".join([*head, *lines, *traceback.format_exception_only(error)])


def _is(module: ModuleType, file: Path) -> bool:
    found = getattr(module, "__file__", None)
    return found is not None and Path(found).resolve() == file
