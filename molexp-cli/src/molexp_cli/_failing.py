"""Exit codes, and messages in place of tracebacks."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import typer

from molexp_cli._output import say

FAILED = 1  # a run or a command failed, or a check found something
USAGE = 2
NOT_FOUND = 3
REFUSED = 4
INTERRUPTED = 130

# `molexp exec` uses the numbers of `timeout` and `env` for its own errors: its command may exit with any of the above.
TIMED_OUT = 124
EXEC_FAILED = 125

_ALIKE = 0.65  # a suggestion must be at least this similar: with less, `delete` would suggest `execute`
_NO_COMMAND = re.compile(r"No such command '(.*)'", re.DOTALL)

_UsageError: Any = typer.BadParameter.__mro__[1]  # the base class of click's usage errors, which has no public name


def answer(error: Exception, arguments: Sequence[str]) -> int | None:
    """Print a message for an error and return the exit code, or None if it is a bug of ours."""
    code = _code(error)
    if code is None:
        return None
    if debugging():
        import traceback

        say("".join(traceback.format_exception(error)).rstrip(), prefix="")
    if isinstance(error, _UsageError):
        _explain_usage(error, arguments)
    else:
        say(sentence(error))
    return code


def sentence(error: BaseException) -> str:
    """Return the message for an error."""
    if isinstance(error, FileNotFoundError) and error.filename is None and not _is_somewhere():
        return "The current folder was removed. Change to another one with cd."
    if isinstance(error, OSError) and error.strerror and type(error).__module__ == "builtins":
        place = f": {os.fspath(error.filename)!r}" if error.filename else ""
        return f"{error.strerror}{place}"
    return "\n".join([str(error) or type(error).__name__, *getattr(error, "__notes__", ())])


def _is_somewhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def debugging() -> bool:
    """Tell whether tracebacks are wanted."""
    return os.environ.get("MOLEXP_DEBUG", "").strip().lower() not in {"", "0", "false", "no", "off"}


def _code(error: Exception) -> int | None:
    if isinstance(error, _UsageError):
        return USAGE
    from molexp.errors import MolexpError, NotFoundError

    if isinstance(error, NotFoundError):
        return NOT_FOUND
    if isinstance(error, ValueError):  # an argument is invalid; MolExp's own errors of this sort are ValueErrors, too
        return USAGE
    return REFUSED if isinstance(error, MolexpError | OSError) else None


def _explain_usage(error: Any, arguments: Sequence[str]) -> None:
    if type(error).__name__ == "NoArgsIsHelpError":
        say(error.format_message(), prefix="")
        return
    message = str(error.message if hasattr(error, "possibilities") else error.format_message())
    if near := _alike(error):
        message = f"{message.rstrip('.')}. Did you mean {' or '.join(map(repr, near))}?"
    path = error.ctx.command_path if error.ctx is not None else "molexp"
    if path == "molexp exec" and "--" not in arguments:
        message = f"{message}{'' if message[-1:] in '.?' else '.'} Is '--' missing before the command?"
    say(f"{message}\nTry '{path} --help'.")


def _alike(error: Any) -> list[str]:
    """Return the options or commands that resemble the unknown one."""
    commands = getattr(error.ctx.command, "commands", {}) if error.ctx is not None else {}
    unknown = _NO_COMMAND.match(str(error.message))
    names = (getattr(error, "possibilities", None) or ()) if unknown is None else commands
    return get_close_matches(unknown[1] if unknown else getattr(error, "option_name", ""), names, cutoff=_ALIKE)
