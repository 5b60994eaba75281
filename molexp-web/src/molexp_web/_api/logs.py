"""Answer with pieces of logs, and follow them while they grow."""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import AsyncIterator
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

import molexp as me
from molexp.errors import KeyNotFoundError, NotFoundError
from molexp_web._api.declaring import Asked

PIECE = 1 << 18  # bytes that are read at once
_PAUSE = 1.0  # seconds between looks at a log that is followed
_SIGN = 15  # pauses after which a sign of life is sent
_LONGEST = 1 << 20  # bytes of a line that are waited for


class Place(NamedTuple):
    """A place in a log: the attempt, and the byte in what that wrote."""

    attempt: int
    byte: int

    @classmethod
    def read(cls, text: str) -> Place | None:
        """Return the place that a client has come to, None if it is none."""
        attempt, _, byte = text.partition(":")
        if not (attempt.isdecimal() and byte.isdecimal() and len(text) < 40):
            return None
        return cls(int(attempt), int(byte))

    def __str__(self) -> str:
        return f"{self.attempt}:{self.byte}"


class Piece(NamedTuple):
    """Lines that are new since the last look at a log."""

    lines: list[str]
    place: Place
    ended: bool


def logs(asked: Asked) -> dict[str, object] | Response:
    """Read a log."""
    run = asked.workspace.run(asked["run"])
    names = [*run.logs]
    goes_on = not run.status.finished
    name = asked["name"] or ("log" if "log" in names else names[-1] if names else "")
    if asked["follow"]:
        return _stream(asked, run, name)
    if not name:
        return {"run": run.path, "name": None, "names": names, "text": "", "goes_on": goes_on}
    reader = run.log(name)
    parts = {part.attempt: part for part in (*reader.earlier, reader)}
    number = int(asked["attempt"] or reader.attempt)
    if number not in parts:
        raise NotFoundError("attempt", str(number), where=f"{run.path}:{name}", nearest=[*map(str, parts)])
    part = parts[number]
    size, _ = part.end(0)
    start = asked["from"]
    if start is None:
        start = part.end(int(asked["tail"]))[0]
    data = _bytes(run, part, int(start), int(asked["bytes"]))
    data, text = _whole(data, is_last=not goes_on and int(start) + len(data) >= size)
    return {
        "run": run.path,
        "name": name,
        "names": names,
        "attempt": number,
        "attempts": [*parts],
        "size": max(size, int(start) + len(data)),
        "from": int(start),
        "to": int(start) + len(data),
        "text": text,
        "goes_on": goes_on,
    }


def _whole(data: bytes, *, is_last: bool) -> tuple[bytes, str]:
    """Return bytes and their text, without a last character that goes on behind them."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data, is_last)
    return data[: len(data) - len(decoder.getstate()[0])], text


def _bytes(run: me.Run, part: me.LogReader, start: int, count: int) -> bytes:
    asset = next((one for one in run.assets if one.key == part.key), None)
    if asset is None:
        return b""
    try:
        with asset.open() as file:
            file.seek(start)
            found: bytes = file.read(min(count, max(0, part.size - start)) if part.size else count)
            return found
    except KeyNotFoundError:
        if part.size:
            raise
        return b""  # nothing has been written yet


def _stream(asked: Asked, run: me.Run, name: str) -> Response:
    place = Place.read(asked.request.headers.get("last-event-id", ""))
    events = _events(asked.workspace, run.path, name, place, int(asked["tail"]))
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events, headers=headers, media_type="text/event-stream")


async def _events(workspace: me.Workspace, path: str, name: str, place: Place | None, tail: int) -> AsyncIterator[str]:
    """Yield events: ``lines`` with a JSON list of new lines, and ``end`` when the run has ended."""
    silent = 0
    while True:
        try:
            piece = await run_in_threadpool(look, workspace, path, name, place, tail)
        except (me.MolexpError, OSError) as error:  # the status was sent: the reason is told in the stream
            yield f"event: problem\ndata: {me.to_json(str(error))}\n\n"
            return
        tail = 0 if place is None else tail
        if piece.lines:
            yield f"event: lines\nid: {piece.place}\ndata: {me.to_json(piece.lines)}\n\n"
        is_new = piece.place != place
        place = piece.place
        if piece.ended and not is_new:
            yield "event: end\ndata: {}\n\n"
            return
        if not piece.lines:
            silent += 1
            if silent % _SIGN == 1:
                yield ": \n\n"
            await asyncio.sleep(0 if piece.ended else _PAUSE)


def look(workspace: me.Workspace, path: str, name: str, place: Place | None, tail: int) -> Piece:
    """Return the lines behind a place of a log; without a place, the last ones.

    A line without an end is returned when nobody goes on with it.
    """
    run = workspace.run(path)
    ended = run.status.finished  # asked before reading: what is written until then is read
    found = run.logs
    chosen = name or ("log" if "log" in found else next(reversed([*found]), ""))
    if chosen not in found:
        if ended and name:
            found[name]  # raises an error with the nearest names
        return Piece([], place or Place(1, 0), ended)
    reader = found[chosen]
    parts = [part for part in (*reader.earlier, reader) if place is None or part.attempt >= place.attempt]
    if place is None:
        parts = [reader]
        place = Place(reader.attempt, reader.end(tail)[0])
    for part in parts:
        start = place.byte if part.attempt == place.attempt else 0
        data = _bytes(run, part, start, PIECE)
        is_over = ended or part is not reader
        whole = data if is_over and len(data) < PIECE else data[: _end(data)]
        if whole:
            lines = [line.decode("utf-8", "replace") for line in whole.splitlines()]
            return Piece(lines, Place(part.attempt, start + len(whole)), ended)
        place = Place(part.attempt, start)
    return Piece([], place, ended)


def _end(data: bytes) -> int:
    """Return where the last whole line ends; that of one which is too long to wait for ends where it is."""
    end = 1 + max(data.rfind(b"\n"), data.rfind(b"\r", 0, -1))
    return end or (len(data) if len(data) >= min(PIECE, _LONGEST) else 0)
