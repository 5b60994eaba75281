"""A store that goes through a proxy, and its bucket as seen from behind."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import attrs

from molexp_s3_store import S3Store
from tests.record.helpers import Place
from tests.servers.buckets import Bucket
from tests.servers.http1 import Request
from tests.servers.proxy import Fault, Proxy

MIB = 1 << 20


@attrs.frozen(slots=False)
class Behind:
    """A bucket behind a proxy."""

    bucket: Bucket
    proxy: Proxy
    options: dict[str, Any] = attrs.Factory(dict)

    @cached_property
    def store(self) -> S3Store:
        return self.open()

    def open(self, **options: Any) -> S3Store:
        """Another store, which shares nothing with the first."""
        return S3Store.open(self.bucket.url, {**self.bucket.storage_options, **self.options, **options})

    @property
    def place(self) -> Place:
        return Place(self.bucket.url, {**self.bucket.storage_options, **self.options})

    def lose(self, fault: Fault, *, times: int = 1, method: str = "", query: str = "") -> None:
        """The next requests (of a method, with a word in their query) suffer `fault`."""
        self.proxy.once(
            lambda request: method in ("", request.method) and query in request.query,
            fault,
            times=times,
        )

    @property
    def suffered(self) -> list[str]:
        """The faults that happened."""
        return [request.fault for request in self.proxy.requests if request.fault]

    def applied(self, method: str) -> list[Request]:
        """Requests that the server carried out."""
        return [
            request
            for request in self.proxy.requests
            if request.method == method and request.served is not None and request.served < 300
        ]
