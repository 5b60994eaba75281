"""The environment variables about plugins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from molexp._values.ids import nearest

ALLOW = "MOLEXP_PLUGINS"
DENY = "MOLEXP_DISABLE_PLUGINS"
STRICT = "MOLEXP_STRICT_PLUGINS"


def normalized(name: str) -> str:
    """Distribution names differ in neither case nor separators (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _switch(variable: str, value: str) -> bool:
    """Return what a variable that turns something on is set to.

    Raises:
        ValueError: something else than yes or no.
    """
    word = value.strip().lower()
    if word in {"", "0", "false", "no", "off"}:
        return False
    if word in {"1", "true", "yes", "on"}:
        return True
    raise ValueError(f"{variable}={value!r} is neither 1 nor 0.")


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


class Selection(Struct, frozen=True):
    """The plugins to use, and the strictness about them.

    Attributes:
        allow: plugin or distribution names; empty means all.
        deny: plugin or distribution names; these win.
        strict: True if any problem is an error at once.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    strict: bool = False

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Selection:
        """Read the three variables."""
        return cls(
            allow=_names(environ.get(ALLOW, "")),
            deny=_names(environ.get(DENY, "")),
            strict=_switch(STRICT, environ.get(STRICT, "")),
        )

    def excludes(self, name: str, distribution: str) -> str:
        """Return why this plugin is not to be used; "" if it is."""
        own = {normalized(name), normalized(distribution)}
        if any(normalized(given) in own for given in self.deny):
            return f"disabled by {DENY}={','.join(self.deny)}"
        if self.allow and not any(normalized(given) in own for given in self.allow):
            return f"not listed in {ALLOW}={','.join(self.allow)}"
        return ""

    def unknown(self, installed: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield what is given and matches none of the `installed` names, as (``VARIABLE=name``, explanation)."""
        names = {normalized(name): name for name in installed if name}
        for variable, given in ((ALLOW, self.allow), (DENY, self.deny)):
            for name in given:
                if normalized(name) in names:
                    continue
                close = nearest(normalized(name), names, 2)
                meant = f"; did you mean {' or '.join(repr(names[match]) for match in close)}?" if close else ""
                yield f"{variable}={name}", f"no installed plugin or distribution has this name{meant}"
