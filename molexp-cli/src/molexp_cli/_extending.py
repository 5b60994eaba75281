"""Commands, columns and renderers of plugins: asked for by name, so that nothing is imported for those who use none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli._commands import SECTIONS, LazyGroup, built
from molexp_cli._output import say

if TYPE_CHECKING:
    import molexp

ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="NAME", help="Add a column that a plugin provides. Repeat it to add several."),
]

Columns = list[tuple[str, Callable[[Any], str]]]


class ExtendedGroup(LazyGroup):
    """The commands of MolExp, and those of plugins, whose names MolExp does not use."""

    sections = SECTIONS

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; None if nobody has it."""
        return super().get_command(ctx, cmd_name) or _command(cmd_name)


def _command(name: str) -> Any:
    from molexp.errors import PluginError
    from molexp.plugins import default_manager

    try:
        function = default_manager().command(name)
    except PluginError:  # plugins that do not work are told in warnings
        return None
    try:
        return built(name, function)
    except Exception as error:  # noqa: BLE001 - its annotations are a stranger's
        say(f"warning: the command {name!r} of a plugin cannot be used: {type(error).__name__}: {error}")
        return None


def columns_of(table: str, names: Iterable[str] | None, *, as_json: bool) -> Columns:
    """Return the columns of these names that plugins provide for a table.

    Raises:
        PluginError: a column is not there; with the nearest names.
        BadParameter: the answer is to be JSON, which has no columns.
    """
    if not names:
        return []
    if as_json:
        raise typer.BadParameter(
            "A column is for the table: other forms have the rows as they are.", param_hint="--column"
        )
    from molexp.plugins import default_manager

    manager = default_manager()
    return [(name.upper(), _guarded(f"{table}.{name}", manager.column(f"{table}.{name}"))) for name in names]


def _guarded(name: str, function: Callable[[Any], object]) -> Callable[[Any], str]:
    """Return a cell that is empty where the function raises, which is told once."""
    told: list[str] = []

    def cell(row: Any) -> str:
        try:
            with redirect_stdout(sys.stderr):
                found = function(row)
                return "" if found is None else str(found)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's, and the rest of the table is not
            if not told:
                told.append(f"warning: the column {name!r} failed: {type(error).__name__}: {error}")
                say(told[0])
            return ""

    return cell


def rendered(asset: molexp.Asset) -> str:
    """Return the text that a plugin shows of an asset; "" if no plugin renders its kind, or if that fails, which is told."""
    from molexp.errors import PluginError
    from molexp.plugins import default_manager

    try:
        renderer = default_manager().renderer(asset.kind)
    except PluginError:
        return ""
    try:
        with redirect_stdout(sys.stderr):
            return str(renderer(asset))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's
        say(f"warning: the renderer of {asset.kind!r} failed: {type(error).__name__}: {error}")
        return ""
