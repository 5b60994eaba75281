"""Panels: what a page shows of an asset, as plain values, so that a plugin writes no HTML of the page.

A plugin of MolExp's pages is a module behind an entry point of the group ``molexp_web.plugins``, with some of the functions
of `PanelHooks`, each marked with `hookimpl`::

    from molexp.contracts import Declared
    from molexp_web.panels import hookimpl

    @hookimpl
    def molexp_web_register_panels():
        return [Declared("spectrum", "my_package.pages:spectrum_panel")]

Whatever goes wrong in one is named once, in a warning and on the page, which shows the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from molexp.contracts import Declared

GROUP = "molexp_web.plugins"
"""The entry-point group."""

hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker("molexp_web")
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker("molexp_web")
"""Marks a function of a plugin as the implementation of the hook that it is named after: ``@hookimpl``."""


@dataclass(frozen=True)
class Panel:
    """A part of a page. What is empty is not shown.

    Attributes:
        title: its heading.
        text: text, shown as it is, in letters of one width.
        columns: names of the columns of a table.
        rows: its rows, each with as many cells.
        png: an image, as the bytes of a PNG file.
        html: a document of its own, shown in a frame that executes nothing.
        structure: atoms, as text in the format `format`, which are drawn in three dimensions.
        format: ``xyz``, ``cif``, ``pdb``, ``sdf`` or ``mol2``; several frames of ``xyz`` are a trajectory.
        note: a sentence below it, such as what was left out.

    Example:
        >>> from molexp_web.panels import Panel
        >>> Panel(title="Peaks", columns=("position", "height"), rows=((1.5, 20), (2.5, 7))).columns
        ('position', 'height')
    """

    title: str = ""
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    png: bytes = b""
    html: str = ""
    structure: str = ""
    format: str = "xyz"
    note: str = ""


class PanelHooks:
    """The hooks of plugins of the pages. They take no arguments, and return declarations: nothing is imported until it is shown.

    Example:
        >>> from molexp_web.panels import PanelHooks
        >>> [name for name in vars(PanelHooks) if name.startswith("molexp_web")]
        ['molexp_web_register_panels', 'molexp_web_register_pages']
    """

    @hookspec
    def molexp_web_register_panels(self) -> Iterable[Declared]:
        """Return panels; called when an asset is first shown.

        The name is that of an asset kind. The function gets a `molexp.Asset`, and returns a `Panel`, several, or None.
        """
        raise NotImplementedError

    @hookspec
    def molexp_web_register_pages(self) -> Iterable[Declared]:
        """Return pages; called when one is asked for, and for the list of them.

        The name is the end of the address, ``/w/WORKSPACE/pages/NAME``. The function gets a `molexp.Workspace` and the query
        of the address, a mapping of texts, and returns a `Panel`, or several.
        """
        raise NotImplementedError
