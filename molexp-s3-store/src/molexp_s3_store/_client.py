"""Requests to one bucket and prefix.

A client uses three clients of `obstore`, which share only the configuration. The first never repeats a request, because
only this module knows what a repeated conditional PUT means. The second does the same for large bodies. The third is
for payloads and repeats parts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from molexp.errors import StoreError
from molexp_s3_store._credentials import Keys, find_credentials
from molexp_s3_store._errors import Action, Answer
from molexp_s3_store._location import Location
from molexp_s3_store._options import Options, complete, look_around
from molexp_s3_store._retrying import tries
from molexp_s3_store.errors import ForkedProcessError

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from obstore.store import ClientConfig, S3Config
    from obstore.store import S3Store as Native

T = TypeVar("T")
Item = TypeVar("Item")

_THREADS = "molexp-s3"
_SMALL = 1 << 20  # bytes that any network sends within a request's time
_DAY = 86400.0

_FAILED = Exception  # the errors of `obstore` have no common base: some of them are built-in ones

_inherited = False  # the threads that do the I/O stayed behind in the process that forked this one
_started = False


def _after_fork() -> None:
    global _inherited  # noqa: PLW0603 - a fact about this process
    _inherited = _started


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Client:
    """Requests for one place, each tried again until it is answered, or until the time for it is over."""

    def __init__(self, location: Location, options: Options) -> None:
        self.location = location
        self.given = options
        self.url: str = location.url
        self._lock = threading.RLock()
        self._pool: ThreadPoolExecutor | None = None
        self._here = threading.local()  # of one of our threads: what says that nobody waits for it any more

    # ------------------------------------------------------------------------------------------------------ requests

    def tries(self) -> Iterator[bool]:
        """Yield once for each try: True if it is the last one.

        Raises:
            StoreError: nobody waits for the answer any more.
        """
        over: threading.Event | None = getattr(self._here, "over", None)
        for last in tries(self.options.retry_timeout):
            if over is not None and over.is_set():
                raise StoreError("Nobody waits for it.", url=self.url)
            yield last

    def ask(self, action: Action, key: str, request: Callable[[Native], T], *, bulk: int = 0) -> T:
        """Make a request that may be repeated, and return its answer.

        Args:
            action: the verb to use in an error.
            key: the key that it concerns.
            request: the request.
            bulk: the number of bytes in its body.

        Raises:
            StoreError: the last try failed.
        """
        for last in self.tries():
            try:
                return request(self.for_sending(bulk))
            except StoreError:
                raise
            except _FAILED as error:
                answer = Answer(error)
                if last or not answer.passing:
                    raise self.explain(answer, key, action) from error
        raise AssertionError("there is a last try")  # pragma: no cover

    def explain(self, answer: Answer, key: str, action: Action) -> StoreError:
        """Return the error that an answer means."""
        return answer.to_error(key, self.url, action, hint=self.options.endpoint_url or "Amazon S3")

    # ------------------------------------------------------------------------------------------------------- clients

    @cached_property
    def options(self) -> Options:
        """The given options, completed from the environment and AWS's configuration files."""
        return complete(self.given, self._around)

    @property
    def documents(self) -> Native:
        """The client for small objects. Only `ask` repeats requests."""
        _check_process()
        return self._documents

    def for_sending(self, size: int) -> Native:
        """Return the client for a request with a body of `size` bytes. It repeats nothing, and gives large bodies more time."""
        if size <= _SMALL:
            return self.documents
        _check_process()
        return self._bulky

    @property
    def payloads(self) -> Native:
        """The client for parts of large objects. It repeats each part by itself."""
        _check_process()
        return self._payloads

    @cached_property
    def _documents(self) -> Native:
        with self._lock:
            return self._connect(_DAY, silence=self.options.request_timeout, repeats=0)

    @cached_property
    def _bulky(self) -> Native:
        with self._lock:
            return self._connect(self.options.transfer_timeout, repeats=0)

    @cached_property
    def _payloads(self) -> Native:
        with self._lock:
            return self._connect(self.options.transfer_timeout, repeats=30)

    @cached_property
    def _around(self) -> Any:
        return look_around(self.given)

    @cached_property
    def keys(self) -> Any:
        """Keys, what provides them, or None."""
        return find_credentials(self.given, self._around)

    def _connect(self, timeout: float, *, silence: float | None = None, repeats: int) -> Native:
        from obstore.store import S3Store as Native

        options, keys = self.options, self.keys
        endpoint, virtual = _endpoint(self.location.bucket, options)
        config: S3Config = {
            "endpoint": endpoint,
            "aws_endpoint_url_s3": endpoint,  # the client looks into the environment itself, where this would count more
            "s3_express": False,  # as these would
            "unsigned_payload": False,
            "region": options.region or "us-east-1",
            "virtual_hosted_style_request": virtual,
            "skip_signature": options.anonymous,
            "disable_bulk_delete": True,  # Content-MD5 and XML for one key; and not every server has it
            "request_payer": options.requester_pays,
            "conditional_put": "etag",
        }
        if options.server_side_encryption:
            config["server_side_encryption"] = options.server_side_encryption
        if options.kms_key_id:
            config["sse_kms_key_id"] = options.kms_key_id
        client: ClientConfig = {
            "timeout": timedelta(seconds=timeout),
            "connect_timeout": timedelta(seconds=min(silence or timeout, 10.0)),
            "allow_http": bool(options.endpoint_url and options.endpoint_url.startswith("http://")),
            "user_agent": "molexp-s3-store",
        }
        if silence is not None:  # however long an answer is, it may take its time while it comes
            client["read_timeout"] = timedelta(seconds=silence)
        if options.ca_bundle:
            client["root_certificate"] = _bundle(options.ca_bundle)
        return Native(
            self.location.bucket,
            prefix=self.location.prefix or None,
            config=config,
            client_options=client,
            retry_config={
                "max_retries": repeats,
                "retry_timeout": timedelta(seconds=options.retry_timeout),
                "backoff": {"init_backoff": timedelta(milliseconds=50), "max_backoff": timedelta(seconds=5), "base": 2},
            },
            credential_provider=keys.to_client if isinstance(keys, Keys) else keys,
        )

    # ------------------------------------------------------------------------------------------------------- threads

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Threads for requests that do not wait for each other."""
        _check_process()
        with self._lock:
            if self._pool is None:
                from concurrent.futures import ThreadPoolExecutor

                self._pool = ThreadPoolExecutor(self.options.max_concurrency, thread_name_prefix=_THREADS)
            return self._pool

    def each(self, operation: Callable[[Item], T], items: Iterable[Item]) -> list[T]:
        """Do what does not wait for each other, some at a time; within one of our own threads, one after the other."""
        work = [*items]
        if len(work) < 2 or threading.current_thread().name.startswith(_THREADS):
            return [operation(item) for item in work]
        over = threading.Event()
        try:
            futures = [self.submit(over, operation, item) for item in work]
            return [future.result() for future in futures]
        finally:
            over.set()

    def submit(self, over: threading.Event, operation: Callable[..., T], /, *arguments: Any) -> Future[T]:
        """Call an operation in a thread of this client, or at once if the interpreter is ending and starts no threads.

        Args:
            over: an event that is set when nobody waits for the result any more.
            operation: the function to call.
            arguments: its arguments.
        """

        def work() -> T:
            self._here.over = over
            if over.is_set():
                raise StoreError("Nobody waits for it.", url=self.url)
            return operation(*arguments)

        try:
            return self.pool.submit(work)
        except RuntimeError:
            from concurrent.futures import Future

            done: Future[T] = Future()
            try:
                done.set_result(operation(*arguments))
            except Exception as error:  # noqa: BLE001 - it is raised where the result is asked for
                done.set_exception(error)
            return done

    def close(self) -> None:
        """Let connections and threads go; they come back when they are needed."""
        with self._lock:
            for name in ("_documents", "_bulky", "_payloads"):
                self.__dict__.pop(name, None)
            if self._pool is not None:
                self._pool.shutdown(wait=False)
                self._pool = None


def _check_process() -> None:
    global _started  # noqa: PLW0603 - a fact about this process
    if _inherited:
        raise ForkedProcessError(
            "This process was forked from one that had used an S3 store before; the client's threads do not survive a fork, "
            "and its requests would hang. Start workers with the 'spawn' or 'forkserver' method of multiprocessing."
        )
    _started = True


def _bundle(path: str) -> bytes:
    try:
        data = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ValueError(f"The ca_bundle {path} cannot be read: {error.strerror}.") from error
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise ValueError(f"The ca_bundle {path} has no certificate in it; PEM is expected.")
    return data


def _endpoint(bucket: str, options: Options) -> tuple[str, bool]:
    """Return the endpoint for the client, and True if requests name the bucket in the host."""
    url, style = options.endpoint_url, options.addressing_style
    if style == "auto":
        style = "path" if url or "." in bucket else "virtual"
    if not url:
        region = options.region or "us-east-1"
        url = f"https://s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
    if style == "path":
        return url, False
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{bucket}.{rest}", True
