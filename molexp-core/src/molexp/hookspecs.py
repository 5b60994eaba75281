"""Every hook there is. Hooks only register; the classes that they return do the work (`molexp.contracts`).

A plugin is a module (or any object) behind an entry point of the group ``molexp.plugins``, with some of these
functions, each marked with `hookimpl`::

    from molexp import hookimpl

    @hookimpl
    def molexp_register_asset_kinds():
        from my_package.kinds import Trajectory
        return [Trajectory]

The plugin manager calls each hook at most once per manager, when something of its sort is first asked for that MolExp does not
provide itself. A hook takes no arguments, does no I/O, and imports what it returns inside itself, or returns a
`molexp.contracts.Declared`: a name, and where to import the class from. So a plugin costs nothing until it is used. Whatever goes wrong in
one disables that plugin alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # executors take time to import
    import pluggy

    from molexp.contracts import AssetKind, Declared, Executor, Queue, RunIdScheme, Store

GROUP = "molexp.plugins"
"""The entry-point group."""

if TYPE_CHECKING:
    hookimpl = pluggy.HookimplMarker("molexp")
else:
    from molexp._values.hook_marks import hookimpl  # noqa: F401 - plugins have it from here


def molexp_register_storage_backends() -> Iterable[type[Store] | Declared]:
    """Return store classes; called when a workspace is opened.

    Their `schemes` say which URLs are theirs; a scheme that two plugins claim belongs to neither. A store with ``"*"``
    among its schemes is asked, by `Store.takes`, for those that nobody claims.
    """
    raise NotImplementedError


def molexp_register_asset_kinds() -> Iterable[type[AssetKind[Any, Any]] | Declared]:
    """Return asset kinds; called when an asset is first saved, found or listed.

    Their `name` must be a lower-case identifier that no other kind has, and no attribute of a context, such as ``seed``.
    """
    raise NotImplementedError


def molexp_register_run_id_schemes() -> Iterable[type[RunIdScheme] | Declared]:
    """Return run-id schemes; called when a run's id is first derived.

    A workspace names its scheme in its settings: installing a package changes no id.
    """
    raise NotImplementedError


def molexp_register_executors() -> Iterable[type[Executor] | Declared]:
    """Return executors; called when one is first chosen by its name."""
    raise NotImplementedError


def molexp_register_queues() -> Iterable[type[Queue] | Declared]:
    """Return queues; called when one is first chosen by its name, to submit batches of jobs to it or to ask for them."""
    raise NotImplementedError


def molexp_register_commands() -> Iterable[Declared]:
    """Return commands for ``molexp``; called when a command is given that ``molexp`` does not have itself.

    Each is a declaration of a function with the annotations that Typer reads: ``molexp NAME`` calls it.
    """
    raise NotImplementedError


def molexp_register_columns() -> Iterable[Declared]:
    """Return columns for tables of ``molexp``; called when ``--column NAME`` asks for one.

    The name says the table: ``runs.gap`` is for ``molexp runs list``, ``assets.atoms`` for ``molexp assets list``. The function gets a
    row, which is a `molexp.RunRow` or a `molexp.Asset`, and returns what the cell shows.
    """
    raise NotImplementedError


def molexp_register_renderers() -> Iterable[Declared]:
    """Return renderers of asset kinds; called by ``molexp assets show``.

    The name is that of the kind. The function gets a `molexp.Asset`, and returns text for people.
    """
    raise NotImplementedError
