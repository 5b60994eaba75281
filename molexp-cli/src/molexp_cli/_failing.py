"""Exit codes, and messages in place of tracebacks."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import typer

from molexp_cli._output import say

FAILED = 1  # a run or a command failed, or a check found something
USAGE = 2
NOT_FOUND = 3
REFUSED = 4
LEFT = 5  # runs were left to who executes or has queued them
INTERRUPTED = 130

# `molexp exec` uses the numbers of `timeout` and `env` for its own errors: its command may exit with any of the above.
TIMED_OUT = 124
EXEC_FAILED = 125

_ALIKE = 0.65  # a suggestion must be at least this similar: with less, `delete` would suggest `execute`
_ACTING = frozenset(
    {
        "archive",
        "cancel",
        "delete",
        "exec",
        "execute",
        "gc",
        "import",
        "rename",
        "rerun",
        "restore",
        "resubmit",
        "run",
        "submit",
        "sync",
    }
)
"""Commands that execute, change or free something: they are suggested for a slip of the finger only."""
_NO_COMMAND = r"No such command '(.*)'"

_UsageError: Any = typer.BadParameter.__mro__[1]  # the base class of click's usage errors, which has no public name


def answer(error: Exception, arguments: Sequence[str]) -> int | None:
    """Print a message for an error and return the exit code, or None if it is a bug of ours."""
    code = code_of(error)
    if code is None:
        return None
    ours = _before_a_command(arguments)
    if debugging(ours):
        import traceback

        say("".join(traceback.format_exception(error)).rstrip(), prefix="")
    if type(error).__name__ == "NoArgsIsHelpError":
        say(error.format_message(), prefix="")  # type: ignore[attr-defined]
        return code
    found = facts(error, arguments)
    if _wants_json(ours):
        import molexp

        say(molexp.to_json({"error": found}), prefix="")
    else:
        say(f"{found['message']}\nhint: {found['hint']}" if found["hint"] else found["message"])
    return code


def facts(error: Exception, arguments: Sequence[str] = ()) -> dict[str, str]:
    """Return an error for programs: its code, the message, and the hint."""
    message, hint = _usage(error, arguments) if isinstance(error, _UsageError) else parts(error)
    return {"code": _name(error), "message": message, "hint": hint}


def parts(error: BaseException) -> tuple[str, str]:
    """Return the message for an error, and the hint: what to do next at the command line."""
    if isinstance(error, FileNotFoundError) and error.filename is None and not _is_somewhere():
        return "The current folder was removed.", "Change to another one with cd."
    if isinstance(error, OSError) and error.strerror and type(error).__module__ == "builtins":
        place = f": {os.fspath(error.filename)!r}" if error.filename else ""
        return f"{error.strerror}{place}", ""
    message, hint = str(error) or type(error).__name__, getattr(error, "hint", "")
    message = message.removesuffix(hint).rstrip()
    return "\n".join([message, *getattr(error, "__notes__", ())]), _at_the_shell(error, hint)


def _at_the_shell(error: Any, hint: str) -> str:
    """Return a hint in words of the command line where the error has it in those of Python."""
    from molexp import errors

    match error:
        case errors.NotFoundError(what="workspace") if "Create one" in hint:
            return f"{hint.partition('Create one')[0]}`molexp init` makes one."
        case errors.RunBusyError(as_of=None):
            return f"Wait until it ends, or stop it: molexp cancel {error.run}"
        case errors.RunBusyError():
            return f"Sync again to bring its end, or give this attempt up here: molexp cancel {error.run}"
        case errors.RunFinishedError():
            return "Add --rerun to execute it again."
        case errors.StorePermissionError() if hint:
            return "Check the owner and mode of the folder."
    return hint


def _is_somewhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def debugging(arguments: Sequence[str] = ()) -> bool:
    """Tell whether tracebacks are wanted."""
    asked = os.environ.get("MOLEXP_DEBUG", "").strip().lower()
    return "--debug" in arguments or asked not in {"", "0", "false", "no", "off"}


def _before_a_command(arguments: Sequence[str]) -> Sequence[str]:
    """Return the arguments that are ours: those before the command of `molexp exec`."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _wants_json(arguments: Sequence[str]) -> bool:
    forms = ("json", "jsonl")
    given = any(f"--output={form}" in arguments or ("--output", form) in pairwise(arguments) for form in forms)
    return "--json" in arguments or (given and "exec" not in arguments)  # its --output names files


def _name(error: Exception) -> str:
    """Return the name of a kind of error for programs: ``not_found``, ``run_busy``, ``usage``."""
    if isinstance(error, _UsageError) or type(error) is ValueError:
        return "usage"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()


def code_of(error: Exception) -> int | None:
    """Return the exit code for an error, or None if it is a bug of ours."""
    if isinstance(error, _UsageError):
        return USAGE
    from molexp.errors import MolexpError, NotFoundError

    if isinstance(error, NotFoundError):
        return NOT_FOUND
    if isinstance(error, ValueError):  # an argument is invalid; MolExp's own errors of this sort are ValueErrors, too
        return USAGE
    return REFUSED if isinstance(error, MolexpError | OSError) else None


def _usage(error: Any, arguments: Sequence[str]) -> tuple[str, str]:
    """Return the message for an error of usage, and the hint."""
    message = str(error.message if hasattr(error, "possibilities") else error.format_message())
    path = error.ctx.command_path if error.ctx is not None else "molexp"
    hints = [f"Did you mean {' or '.join(map(repr, near))}?"] if (near := _alike(error)) else []
    if path == "molexp exec" and "--" not in arguments:
        hints.append("Is '--' missing before the command?")
    return message, " ".join([*hints, f"Try '{path} --help'."])


def _alike(error: Any) -> list[str]:
    """Return the options or commands that resemble the unknown one."""
    commands = getattr(error.ctx.command, "commands", {}) if error.ctx is not None else {}
    unknown = re.match(_NO_COMMAND, str(error.message), re.DOTALL)
    if unknown is None:
        return get_close_matches(
            getattr(error, "option_name", ""), getattr(error, "possibilities", None) or (), cutoff=_ALIKE
        )
    typed = unknown[1]
    return [
        name
        for name in get_close_matches(typed, commands, cutoff=_ALIKE)
        if name not in _ACTING or _is_slip(typed, name)
    ]


def _is_slip(typed: str, name: str) -> bool:
    """Tell whether one letter is missing, too much or wrong, or two letters are swapped."""
    short, long = sorted((typed, name), key=len)
    if len(short) == len(long):
        differing = sum(one != other for one, other in zip(typed, name, strict=True))
        return differing == 1 or (differing == 2 and sorted(typed) == sorted(name))
    return any(long[:at] + long[at + 1 :] == short for at in range(len(long)))
