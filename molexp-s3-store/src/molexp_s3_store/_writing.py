"""Write payloads: small ones in one request, large ones in parts.

A completed upload of parts cannot be conditional with this client, and some servers ignore the condition. So an
exclusive one takes the key by a small object, created conditionally, once all its bytes are at the server; completing
the upload then replaces it. Whoever reads the key in between sees the mark; whoever creates it is refused.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from molexp.errors import KeyExistsError, StoreError
from molexp_s3_store._client import Client
from molexp_s3_store._errors import Answer
from molexp_s3_store._reading import Progress, fetch

if TYPE_CHECKING:
    import obstore

PART = 16 << 20
_PARTS = 9000  # S3 takes 10 000
_AT_ONCE = 3  # parts on their way, beside the one that fills
_CHUNK = 1 << 20
MARK = b"An upload of parts is about to replace this: "
_MARK = "molexp-upload"
_PAGES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
"""Types without which a browser shows no page that lies in a bucket."""


def put(client: Client, key: str, data: bytes) -> None:
    """Replace an object."""
    kind = _PAGES.get(key[key.rfind(".") :] if "." in key else "")
    attributes = {"Content-Type": kind} if kind else None
    client.ask(
        "write", key, lambda native: native.put(key, data, attributes=attributes, use_multipart=False), bulk=len(data)
    )


def create(client: Client, key: str, data: bytes) -> None:
    """Create an object exactly once. If the answer to a success was lost, the stored bytes show that it succeeded.

    Raises:
        KeyExistsError: there is one.
    """
    uncertain = False
    for last in client.tries():
        try:
            client.for_sending(len(data)).put(key, data, mode="create", use_multipart=False)
        except StoreError:
            raise
        except Exception as error:
            answer = Answer(error)
            if answer.status == 412:
                if uncertain and _is_ours(client, key, data):
                    return
                raise KeyExistsError(key, url=client.url) from None
            if last or not answer.passing:
                raise client.explain(answer, key, "write") from error
            uncertain = uncertain or answer.uncertain
        else:
            return


def _is_ours(client: Client, key: str, data: bytes) -> bool:
    with suppress(StoreError):
        return fetch(client, key).data == data
    return False


class Writer:
    """A stream that becomes an object when it is left without an error."""

    def __init__(self, client: Client, key: str, *, exclusive: bool) -> None:
        self._client = client
        self._key = key
        self._exclusive = exclusive
        self._buffer = io.BytesIO()
        self._upload: _Upload | None = None

    def __enter__(self) -> Self:
        return self

    def write(self, data: bytes, /) -> int:
        """Take the next bytes, of any buffer, whose items may be larger than bytes."""
        if not isinstance(data, bytes):
            data = bytes(data)
        if self._upload is not None:
            self._upload.write(data)
        else:
            self._buffer.write(data)
            if self._buffer.tell() > PART:
                self._upload = _Upload(self._client, self._key, self._buffer.getvalue())
                self._buffer = io.BytesIO()
        return len(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._upload is not None:
            if kind is None:
                self._upload.complete(exclusive=self._exclusive)
            else:
                self._upload.abort()
        elif kind is None:
            (create if self._exclusive else put)(self._client, self._key, self._buffer.getvalue())


class _Upload:
    """An upload of parts of unknown number: up to 150 GB, unless the parts are larger.

    Args:
        client: of the place.
        key: the key of the finished object.
        first: its first bytes, more than one part.
        part: the size of all parts but the last.
    """

    def __init__(self, client: Client, key: str, first: bytes, part: int = PART) -> None:
        self._client = client
        self._key = key
        self._token = secrets.token_hex(16)
        self._writer = self._begin(first, part)

    def _begin(self, first: bytes, part: int) -> obstore.WritableFile:
        import obstore

        for last in self._client.tries():
            try:
                writer = obstore.open_writer(
                    self._client.payloads,
                    self._key,
                    attributes={_MARK: self._token},
                    buffer_size=part,
                    max_concurrency=_AT_ONCE,
                )
                writer.write(first)
                writer.flush()  # the upload has a name now; the client itself would not ask for that again
                return writer
            except StoreError:
                raise
            except Exception as error:
                answer = Answer(error)
                if last or not answer.passing:
                    raise self._client.explain(answer, self._key, "write") from error
        raise AssertionError("there is a last try")  # pragma: no cover

    def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
        except Exception as error:
            self.abort()
            raise self._client.explain(Answer(error), self._key, "write") from error

    def complete(self, *, exclusive: bool) -> None:
        if exclusive:
            with _claimed(self._client, self._key, self._token, self.abort):
                self._close()
        else:
            self._close()

    def _close(self) -> None:
        try:
            self._writer.close()
        except Exception as error:
            if not _has_mark(self._client, self._key, self._token):
                self.abort()
                raise self._client.explain(Answer(error), self._key, "write") from error

    def abort(self) -> None:
        with suppress(Exception):  # an upload that cannot be aborted is a leftover, as after a kill
            self._writer.__exit__(InterruptedError, InterruptedError("aborted"), None)


class _claimed:  # noqa: N801 - used like a function
    """Take a key before an upload is completed; give it back if it could not be."""

    def __init__(self, client: Client, key: str, token: str, abort: Callable[[], None]) -> None:
        self._client, self._key, self._abort = client, key, abort
        self._mark = MARK + f"{token}\n".encode()

    def __enter__(self) -> None:
        try:
            create(self._client, self._key, self._mark)
        except BaseException:
            self._abort()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abort()
            with suppress(StoreError):
                if fetch(self._client, self._key).data == self._mark:
                    self._client.ask("delete", self._key, lambda native: native.delete(self._key))


def _has_mark(client: Client, key: str, token: str) -> bool:
    """Tell whether the object is the one that was uploaded: the answer that it is complete was lost."""
    with suppress(StoreError):
        return bool(
            client.ask(
                "read",
                key,
                lambda native: dict(native.get(key, options={"range": (0, 1)}).attributes).get(_MARK) == token,
            )
        )
    return False


def upload(client: Client, path: Path, key: str, *, exclusive: bool, progress: Progress | None = None) -> None:
    """Copy a file to an object."""
    size = path.stat().st_size
    if size <= PART:
        data = path.read_bytes()
        (create if exclusive else put)(client, key, data)
        if progress is not None:
            progress(len(data))
        return
    part = max(PART, -(-size // _PARTS))
    with path.open("rb") as file:
        sending = _Upload(client, key, first := file.read(part + 1), part)
        try:
            sent = len(first)
            del first
            while sent:
                if progress is not None:
                    progress(sent)
                sent = len(chunk := file.read(_CHUNK))
                sending.write(chunk)
        except BaseException:
            sending.abort()
            raise
    sending.complete(exclusive=exclusive)
