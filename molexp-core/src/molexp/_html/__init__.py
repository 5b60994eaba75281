"""HTML for notebooks: what a class shows of itself, imported when it is asked for.

Begin with `views`, a function for each class, of parts that `parts` makes. They take objects as they are, by their public
attributes. There are no scripts; whatever a record has is escaped. Colours suit light and dark pages: text has the page's own.
May import: ``errors``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def shown_by(view: str) -> Callable[[Any], str]:
    """Return the method by which a notebook shows objects of a class.

    Args:
        view: the name of a function of `molexp._html.views`.
    """

    def _repr_html_(self: Any) -> str:
        from molexp._html import views

        return views.shown(getattr(views, view), self)

    return _repr_html_
