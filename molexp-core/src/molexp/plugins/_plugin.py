"""One plugin's life: found, perhaps disabled, imported, asked for each sort of thing at most once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from molexp.contracts import Declared
from molexp.plugins._info import PluginInfo, PluginStatus, Trial
from molexp.plugins._loading import Hook, Unusable, call_hook, hooks_of, isolated, load
from molexp.plugins._selection import normalized
from molexp.plugins._sorts import ASSET_KINDS, EXECUTORS, OURS, QUEUES, RUN_ID_SCHEMES, SORTS, Sort, misspelt

EVERY_HOOK = tuple(sort.hook for sort in SORTS)


class Fault(Struct, frozen=True):
    """Something that is wrong with a plugin.

    Attributes:
        cause: the problem.
        hides: the hooks whose contributions are unknown, or incomplete, because of it.
    """

    cause: str
    hides: tuple[str, ...]


class Plugin(Struct):
    """A plugin and what has been learned about it.

    Attributes:
        found: the facts that its metadata gives.
        disabled: the setting that disables it; "" if none does.
        given: the module or object that was handed over; None where the entry point is to be imported.
        faults: its problems.
        hooks: its implementations by hook; ``None`` until it is imported.
        contributions: by hook that has been called, the names and classes that can be used, or declarations of classes.
        declared_types: the types that it declares for the names of asset kinds.
        guarded: True if it is tried in a process of its own before it is imported here.
        tried: the findings of that process; `None` until they are needed.
        on_trial: True in that process, where what it prints is not sent elsewhere.
    """

    found: PluginInfo
    disabled: str = ""
    given: object = None
    faults: list[Fault] = field(default_factory=list)
    hooks: dict[str, list[Hook]] | None = None
    contributions: dict[str, list[tuple[str, type[Any] | Declared]]] = field(default_factory=dict)
    declared_types: dict[str, tuple[str, ...]] = field(default_factory=dict)
    guarded: bool = False
    tried: Trial | None = None
    on_trial: bool = False

    @property
    def label(self) -> str:
        """The name that messages give it."""
        return str(self.found)

    @property
    def _distribution(self) -> str:
        return normalized(self.found.distribution)

    @property
    def status(self) -> PluginStatus:
        """See `PluginInfo.status`."""
        if self.disabled:
            return "disabled"
        if self.faults:
            return "broken"
        return "available" if self.hooks is None else "loaded"

    @property
    def cause(self) -> str:
        """See `PluginInfo.cause`."""
        return self.disabled or "\n".join(fault.cause for fault in self.faults)

    def info(self) -> PluginInfo:
        """Return what is known by now."""
        return replace(self.found, status=self.status, cause=self.cause)

    def is_of(self, info: PluginInfo) -> bool:
        """Tell whether this is the plugin that was described."""
        return replace(info, status=self.found.status, cause=self.found.cause) == self.found

    def suspected(self, sort: Sort) -> str:
        """Return why this plugin may be what would have provided something of this sort; "" if it cannot be."""
        if self.disabled:
            return self.disabled
        return "; ".join(fault.cause for fault in self.faults if sort.hook in fault.hides)

    def reject(self, cause: str) -> None:
        """Note a fault for which it is never imported."""
        self.faults.append(Fault(cause, EVERY_HOOK))

    def may_provide(self, sort: Sort, name: str) -> bool:
        """Tell whether it may register this name, as far as is known without importing it; "" is any name."""
        if (owner := sort.packages.get(name)) is not None:
            return self._distribution == owner
        tried = self._answer() if name else None
        return tried is None or not tried.complete or name in tried.provides.get(sort.hook, ())

    def ask(self, sort: Sort, name: str = "") -> list[tuple[str, type[Any]]]:
        """Return the names and classes of this sort that it registers; a problem becomes a fault.

        With a `name`, what it declares under other names is not imported. What was learned is kept, so that an
        interrupted attempt is continued and not repeated.
        """
        kept = self.registered(sort)
        for declared in [what for claimed, what in kept if isinstance(what, Declared) and name in ("", claimed)]:
            classes = self._import(sort, declared)
            kept.remove((declared.name, declared))
            self.declared_types[declared.name] = declared.types
            kept += [one for one in classes if one not in kept]
        return [(claimed, what) for claimed, what in kept if not isinstance(what, Declared)]

    def types_of_kinds(self) -> Mapping[str, Sequence[str]]:
        """Return its asset kinds with the types that they name. What it declares is not imported for that."""
        tried = self._answer()
        if tried is not None and tried.complete:
            return tried.provides.get(ASSET_KINDS.hook, {})
        return {name: self.declared_types.get(name, what.types) for name, what in self.registered(ASSET_KINDS)}

    def declares(self) -> Mapping[str, tuple[str, ...]] | None:
        """Return the names that it registers, by sort, as far as they are known without importing it; None if they are not."""
        if self._distribution in OURS:
            found = {
                sort.what: [one for one, own in sort.packages.items() if own == self._distribution] for sort in SORTS
            }
        elif self.untried or self.tried is None:
            return None
        else:
            found = {sort.what: [*self.tried.provides.get(sort.hook, ())] for sort in SORTS}
        return {what: tuple(sorted(names)) for what, names in found.items() if names}

    def doubts(self) -> Iterator[str]:
        """Yield, for people, the methods of its asset kinds that nobody calls because their names are misspelt."""
        for name, cls in self.contributions.get(ASSET_KINDS.hook, ()):
            if not isinstance(cls, Declared) and self._distribution not in OURS:
                yield from (f"the asset kind {name!r}: {doubt}" for doubt in misspelt(cls, methods=True))

    def registered(self, sort: Sort) -> list[tuple[str, type[Any] | Declared]]:
        """Return the names and classes of this sort that it registers, or its declarations of them, which are not imported."""
        if self.disabled or not self._loaded():
            return []
        if sort.hook not in self.contributions:
            self.contributions[sort.hook] = self._returned(sort)
        return self.contributions[sort.hook]

    def make_things(self) -> None:
        """Make what it registers and is made without arguments, as whoever uses it does."""
        for sort in (ASSET_KINDS, RUN_ID_SCHEMES, EXECUTORS, QUEUES):
            for name, cls in self.ask(sort):
                with self._blamed(()), self._quiet(), isolated(f"making the {sort.what} {name!r}"):
                    cls()

    def _loaded(self) -> bool:
        """Import it, unless something is wrong with it, and tell whether it is imported."""
        if self.hooks is None and not self.faults:
            if (tried := self._answer()) is not None and tried.refused:
                self.reject(f"{tried.refused}. This was found in a process of its own; it was not imported here")
                return False
            with self._blamed(EVERY_HOOK), self._quiet():
                name, value = self.found.name, self.found.value
                self.hooks = hooks_of(load(value) if self.given is None else self.given, name, value)
            if tried is not None and tried.printed:
                self._note(Fault(f"it prints when it is imported: {tried.printed.splitlines()[0]!r}", ()))
        return self.hooks is not None

    @property
    def untried(self) -> bool:
        """Tell whether it is to be tried in a process of its own; what is remembered of that is looked up."""
        if self.guarded and self.tried is None and self.hooks is None and not self.disabled and not self.faults:
            from molexp.plugins._answers import recall

            self.tried = recall(self.found)
            return self.tried is None
        return False

    def try_out(self) -> None:
        """Try it in a process of its own, unless nothing can be tried here."""
        if self.untried:
            from molexp.plugins._trial import try_out

            self.tried = try_out(self.found)
            self.guarded = self.tried is not None

    def _answer(self) -> Trial | None:
        """Return what trying it in a process of its own found; None if it was not to be tried."""
        self.try_out()
        return self.tried

    def _returned(self, sort: Sort) -> list[tuple[str, type[Any] | Declared]]:
        """Call its implementations of a hook, and return what they register, by name."""
        found: list[tuple[str, type[Any] | Declared]] = []
        for implementation in (self.hooks or {}).get(sort.hook, ()):
            contributions: list[Any] = []
            with self._blamed((sort.hook,)), self._quiet():
                contributions = call_hook(sort.hook, implementation)
            for contribution in contributions:
                with self._blamed((sort.hook,)), isolated(f"checking what {sort.hook} returned"):
                    found += [(name, contribution) for name in self._own(sort, contribution)]
        return list(dict.fromkeys(found))

    def _own(self, sort: Sort, contribution: object) -> list[str]:
        """Return the names that something claims, less those of MolExp, which are a fault."""
        names = sort.claims(contribution)
        foreign = [name for name in names if sort.packages.get(name, self._distribution) != self._distribution]
        for name in foreign:
            self._note(Fault(f"the {sort.what} {name!r} is that of {sort.packages[name]}; it needs another name", ()))
        return [name for name in names if name not in foreign]

    def _import(self, sort: Sort, declared: Declared) -> list[tuple[str, type[Any] | Declared]]:
        """Import what it declares, and return the class by its name."""
        with self._blamed((sort.hook,)), self._quiet():
            cls = load(declared.where)
            with isolated(f"checking {declared.where!r}"):
                if isinstance(cls, Declared) or declared.name not in sort.provided(declared, cls):
                    raise Unusable(f"{declared.where!r}, which is declared as {declared.name!r}, has another name")
            return [(declared.name, cls)]
        return []

    @contextmanager
    def _blamed(self, hides: tuple[str, ...]) -> Iterator[None]:
        """Turn `Unusable` into a fault."""
        try:
            yield
        except Unusable as error:
            self._note(Fault(str(error), hides))

    def _note(self, fault: Fault) -> None:
        if fault not in self.faults:
            self.faults.append(fault)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Send what it prints meanwhile to standard error: standard output is for the program's answer."""
        if self.on_trial:
            yield
            return
        with redirect_stdout(sys.stderr):
            if self.tried is None or not self.tried.printed:
                yield
                return
            try:
                kept = os.dup(1)
            except OSError:  # it is closed
                yield
                return
            with suppress(OSError):  # of standard error, too
                os.dup2(2, 1)
            try:
                yield
            finally:
                os.dup2(kept, 1)
                os.close(kept)
