"""Broken versions of the protocol, which the explorer has to find: lines of the code under test, replaced.

Each is an idea that somebody may have one day. A line that is not there any more is an error: the mutant has to follow.
"""

from __future__ import annotations

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import attrs


@attrs.frozen
class Change:
    """Lines of a function that are replaced by others.

    Attributes:
        where: ``module:function`` or ``module:Class.method``.
        lines: what is replaced, by what.
    """

    where: str
    lines: tuple[tuple[str, str], ...]


def _one(where: str, before: str, after: str) -> Change:
    return Change(where, ((before, after),))


MUTANTS: dict[str, tuple[Change, ...]] = {
    "an edit is announced after it was made": (
        Change(
            "molexp._record.edits:write_edit",
            (
                ("        session.journal.announce(key)\n", ""),
                (
                    "        session.flushing.made(key, relies_on=[*above(path), layout.document(path)])\n",
                    "        session.journal.announce(key)\n",
                ),
            ),
        ),
    ),
    "a version of data is announced after it was made": (
        Change(
            "molexp._assets.data_assets:DataAssets._publish",
            (
                ("            session.journal.announce(key)\n", ""),
                (
                    "            session.flushing.made(key, relies_on=[*above(self.scope), layout.document(self.scope)])\n",
                    "            session.journal.announce(key)\n",
                ),
            ),
        ),
    ),
    "a journal is deleted that was not sealed": (
        _one(
            "molexp._catalog.compaction.compaction:Compactor._seal_one",
            "        return seal(self._store, last",
            "        return True or seal(self._store, last",
        ),
        _one(
            "molexp._catalog.compaction.compaction:Compactor._seal",
            "and (layout.is_journal_object(name) or not grows or name not in open_still)",
            "",
        ),
        _one(
            "molexp._catalog.compaction.cleanup:_folded",
            'if layout.is_journal_object(name) or not grows or entry.key.startswith(f"{layout.SEALED}/"):',
            "if True:",
        ),
    ),
    "hints are dropped, and not fenced": (
        _one(
            "molexp._catalog.compaction.compaction:Compactor._settle", "fence_hints(self._store, fenced)", "set(fenced)"
        ),
    ),
    "snapshots are listed before the journals": (
        Change(
            "molexp._catalog.refresh.refresh:Refresher._refresh",
            (
                ("        newest = newest_snapshot(self._store)\n", ""),
                (
                    "        news = read_news(",
                    "        newest = newest_snapshot(self._store)\n        news = read_news(",
                ),
            ),
        ),
    ),
    "keys are looked for after the runs were read": (
        Change(
            "molexp._catalog.refresh.refresh:Refresher._take_in",
            (
                ("        findings.settled = self._settled(waiting, there)", "        pass"),
                (
                    "        findings.pending = news.announced - findings.settled",
                    "        pass",
                ),
                (
                    "        found = self._compare(",
                    (
                        "        findings.settled = self._settled(waiting, self._store)\n"
                        "        findings.pending = news.announced - findings.settled\n"
                        "        found = self._compare("
                    ),
                ),
            ),
        ),
    ),
    "a writer does not look whether his journal was sealed": (
        _one(
            "molexp._record.journal:FileJournal._say",
            "            except (KeyMovedError, KeyNotFoundError):\n",
            "            except KeyMovedError:\n                return None\n            except KeyNotFoundError:\n",
        ),
        _one("molexp._record.journal:ObjectJournal._say", "if number == 1 or ", "if True or "),
    ),
    "journals with hints that are not settled are folded": (
        _one(
            "molexp._catalog.compaction.compaction:Compactor._publish",
            "and layout.writer_of_journal(name) not in waited",
            "",
        ),
        _one(
            "molexp._catalog.compaction.compaction:Compactor._settle", "        if not waiting:\n", "        if True:\n"
        ),
    ),
    "findings are taken into another generation": (
        _one(
            "molexp._catalog.index.index:Index.changing", "if generation not in (None, self.generation):", "if False:"
        ),
    ),
    "a row is replaced by one that knows less": (
        _one("molexp._catalog.index.entries:Rows._may_replace", "        if not known:\n", "        if True:\n"),
    ),
    "a row without files replaces one with files": (
        _one(
            "molexp._catalog.index.entries:Rows._may_replace",
            "            return entry.open\n",
            "            return True\n",
        ),
    ),
    "sealed journals are listed before the others": (
        Change(
            "molexp._catalog.refresh.reading:listed_journals",
            (
                ("    entries = [*store.children(layout.JOURNALS).entries]\n", "    entries = []\n"),
                (
                    "        entries += store.children(layout.SEALED).entries\n",
                    (
                        "        entries += store.children(layout.SEALED).entries\n"
                        "    entries += store.children(layout.JOURNALS).entries\n"
                    ),
                ),
            ),
        ),
    ),
    "a number is taken that had become free again": (
        _one(
            "molexp._catalog.compaction.compaction:Compactor._publish",
            "        if newest != number:\n",
            "        if False:\n",
        ),
    ),
    "half a renaming is taken for a whole one": (
        _one(
            "molexp._catalog.compaction.compaction:Compactor._seal_one",
            "            return seal(self._store, f\"{layout.JOURNALS}/{last.key.rpartition('/')[2]}\")\n",
            "            return True\n",
        ),
    ),
    "what was created at a key that was not announced is not announced": (
        _one(
            "molexp._hierarchy.run_creation:_create",
            "            experiment._session.journal.announce(free)",
            "            pass",
        ),
    ),
    "a snapshot is made of an index that was begun anew": (
        _one(
            "molexp._catalog.compaction.compaction:Compactor._cut",
            "if known.generation != self._generation:",
            "if False:",
        ),
        _one("molexp._catalog.compaction.compaction:Compactor._note", "changing(self._generation)", "transaction()"),
    ),
    "a fence is taken for a definition": (
        _one("molexp._record.reading:read_definition", "        while is_void(found):", "        if is_void(found):"),
    ),
    "hints that were retired come back": (
        _one(
            "molexp._catalog.refresh.refresh:Refresher._take_in",
            "findings.pending = news.announced - findings.settled",
            "findings.pending = waiting - findings.settled",
        ),
    ),
    "what is known of a run that was freed holds against what came back": (
        _one("molexp._catalog.refresh.reading:Folder.lacks", "        return any", "        return False and any"),
    ),
    "a snapshot brings back what a run was before it was freed": (
        _one(
            "molexp._catalog.index.entries:Rows._may_replace",
            "            if from_snapshot and edits and self._lost(entry.path, edits):\n",
            "            if False:\n",
        ),
    ),
    "what contradicts a snapshot is no news": (
        _one(
            "molexp._catalog.index.entries:Rows.take_in",
            "                self._contradict(number, doubtful=entry.forced)\n",
            "                pass\n",
        ),
    ),
    "another run of the name that was deleted leaves the one before it in place": (
        _one("molexp._catalog.index.entries:Rows._may_replace", "return self._lost(entry.path, born)", "return False"),
    ),
    "what came back is not read again": (
        _one(
            "molexp._catalog.refresh.refresh:Refresher._refresh",
            "        return not self._take_in(known, news, findings)\n",
            "        self._take_in(known, news, findings)\n        return True\n",
        ),
    ),
    "what came late, after its journal was deleted, is nobody's": (
        _one(
            "molexp._catalog.compaction.compaction:Compactor._done",
            "if owner is None and not _are_late(known, entries):",
            "if owner is None:",
        ),
    ),
    "what was read before a run was gone is taken in": (
        _one("molexp._catalog.index.entries:Rows.take_in", "if self._overtaken and", "if False and"),
    ),
    "what was gone before it was ever seen stays in the snapshot": (
        _one(
            "molexp._catalog.refresh.refresh:Refresher._merge_some",
            " if all_known else set[str]()",
            " if False else set[str]()",
        ),
    ),
    "the edits of a run are read last": (
        Change(
            "molexp._record.reading:read_run",
            (
                ("    edits = read_edits(store, path, problems, cover)\n", ""),
                (
                    "    state = fold_run(",
                    "    edits = read_edits(store, path, problems, cover)\n    state = fold_run(",
                ),
            ),
        ),
    ),
    "an edit that was fenced when it was gone is still there": (
        _one("molexp._catalog.refresh.reading:Folder._still", ".size != len(VOID)", ".size >= 0"),
    ),
    "what is known of a run holds until all of it is freed": (
        _one(
            "molexp._catalog.refresh.reading:Folder.lacks",
            "        return any",
            "        return self.is_there(path) and any",
        ),
    ),
    "what is fenced is taken for what is gone, and what is to be read again for read": (
        _one("molexp._record.attempts:read_attempts", "if entry.size != len(VOID):", "if True:"),
        _one("molexp._catalog.index.entries:Rows.take_in", "(from_snapshot or self._overtaken)", "False"),
    ),
    "what was read before a doubt settles it": (
        _one("molexp._catalog.index.entries:Rows.take_in", "(from_snapshot or self._overtaken)", "from_snapshot"),
    ),
    "what the last segment says is gone, and is there, is no news": (
        _one(
            "molexp._catalog.refresh.refresh:Refresher._merge",
            "            rows.note_news(still)",
            "            set(still)",
        ),
    ),
    "the end of a dead owner is written into a run that is being freed": (
        _one(
            "molexp._record.leases:Observer._take_back_if_freed",
            "        if read_edits",
            "        if False and read_edits",
        ),
        _one("molexp._record.reading:read_run", ", write=not edits.deleted)", ")"),
    ),
    "what folded objects announce is forgotten": (
        _one("molexp._catalog.refresh.reading:News.wait_for", "set(hints) - self.withdrawn", "set()"),
    ),
    "what was folded, and read while it was being deleted, is waited for": (
        _one("molexp._catalog.compaction.snapshots:Manifest.has_folded", "return any(", "return False and any("),
    ),
    "a snapshot is taken into an index that others have brought up to date meanwhile": (
        _one(
            "molexp._catalog.refresh.refresh:Refresher._start_from_snapshot",
            '_load(manifest, "")',
            "_load(manifest, self._index.generation)",
        ),
    ),
    "whether a run was freed is asked of what was fetched before": (
        _one("molexp._record.ends:_is_freed", "as_it_is(store)", "store"),
    ),
    "what was kept back while all was read is newer than what others took in meanwhile": (
        _one("molexp._catalog.refresh.refresh:Refresher.scan", "since=began,", "since=since,"),
    ),
    "what a snapshot has, and was announced since journals were read, is taken for gone": (
        _one(
            "molexp._catalog.refresh.refresh:Refresher._merge_some", "if all_known and (unseen", "if False and (unseen"
        ),
    ),
    "what was announced, and looks as it did, is no news": (
        _one("molexp._catalog.index.index:Index.apply", "            rows.note_news(", "            set("),
    ),
    "who was stopped before he shows a run does not look again": (
        _one(
            "molexp._record.ends:_is_freed",
            "    now = as_it_is(store)",
            "    return False\n    now = as_it_is(store)",
        ),
    ),
    "a run that is freed while it is read has a problem": (
        _one(
            "molexp._record.reading:read_run",
            "if key in problems and not attempt_numbers",
            "if False and not attempt_numbers",
        ),
    ),
    "a void that is freed cannot be read": (
        _one("molexp._record.reading:read_definition", "if key == last and data == VOID:", "if False:"),
    ),
    "an answer is read from an index that took the place of the one that was brought up to date": (
        _one("molexp._catalog.query.answers:Asking.answer", "if not surely and", "if False and"),
    ),
    "of two rows that each have what the other lacks, one is kept": (
        _one(
            "molexp._catalog.index.entries:Rows._may_replace", "            self._doubt(entry.path)", "            pass"
        ),
    ),
    "an index goes on with names from another one": (
        _one("molexp._catalog.index.database:Database.transaction", "if changed != self._changed:", "if False:"),
    ),
    "the hint of a run of which nobody knows whether it is there is withdrawn": (
        _one(
            "molexp._record.journal:Journal.announce_run",
            "            self._say(line)\n",
            "            self._say(line)\n            self._guesses[end] = None\n",
        ),
    ),
    "what only journals announced that a reader has never seen is waited for": (
        _one(
            "molexp._catalog.refresh.refresh:Refresher._refresh",
            " - go_on\n",
            " - {writer for writer, _ in known.pending}\n",
        ),
    ),
    "a snapshot does not say of what its author has never seen that it is gone": (
        _one(
            "molexp._catalog.index.index:Index.apply",
            "            rows.note_gone(announced & found.gone)",
            "            pass",
        ),
        _one(
            "molexp._catalog.compaction.compaction:Compactor._note_gone",
            "if not self._refresher",
            "if False and not self._refresher",
        ),
    ),
    "an owner who was silent for long does not look whether the run was freed": (
        _one("molexp._recording.attempt:Attempt._is_freed", "return not", "return False and not"),
    ),
}


@contextmanager
def applied(name: str) -> Iterator[None]:
    """While this lasts, the protocol is broken in one way; "" is not at all."""
    with ExitStack() as stack:
        for change in MUTANTS[name] if name else ():
            stack.enter_context(broken(change))
        yield


@contextmanager
def broken(change: Change) -> Iterator[None]:
    module_name, _, path = change.where.partition(":")
    module = importlib.import_module(module_name)
    *above, name = path.split(".")
    holder: Any = getattr(module, above[0]) if above else module
    original = inspect.getattr_static(holder, name)
    source = textwrap.dedent(inspect.getsource(original))
    if above:
        source = textwrap.indent(source, "    ")
    for before, after in change.lines:
        if source.count(before) != 1:
            raise LookupError(f"{change.where} has not once the lines\n{before}")
        source = source.replace(before, after)
    body = source if not above else "class _:\n" + source
    scope: dict[str, Any] = {}
    exec(compile(body, change.where, "exec", dont_inherit=False), vars(module), scope)
    broken = inspect.getattr_static(scope["_"], name) if above else scope[name]
    users = [holder] if above else [one for one in _importers() if vars(one).get(name) is original]
    for user in users:
        setattr(user, name, broken)
    try:
        yield
    finally:
        for user in users:
            setattr(user, name, original)


def _importers() -> list[Any]:
    import sys

    return [module for name, module in list(sys.modules.items()) if name.startswith(("molexp.", "tests.model"))]
