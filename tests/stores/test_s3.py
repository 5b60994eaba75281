"""`S3Store` keeps the store contract on every server; the back door is another client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from molexp.contracts import Store
from molexp.testing import StoreTests
from molexp_s3_store import S3Store
from tests.servers.buckets import Bucket, Server

_BUCKETS: dict[str, Bucket] = {}


class S3StoreTests(StoreTests, abstract=True):
    """The whole kit, with the keys given as options."""

    refuses_keys_below_keys = False

    @pytest.fixture
    def server(self) -> Server:
        raise NotImplementedError

    @pytest.fixture
    def store(self, server: Server) -> Iterator[Store]:
        bucket = server.fresh()
        _BUCKETS[bucket.url] = bucket
        store = S3Store.open(bucket.url, bucket.storage_options)
        yield store
        store.close()

    def raw_write(self, store: Store, key: str, data: bytes) -> None:
        _BUCKETS[store.url].raw_write(key, data)

    def raw_read(self, store: Store, key: str) -> bytes | None:
        return _BUCKETS[store.url].raw_read(key)

    def raw_keys(self, store: Store) -> set[str]:
        return _BUCKETS[store.url].raw_keys()

    def break_storage(self, store: Store) -> None:
        pytest.skip("other tests use the server at the same time; tests/s3 has servers that fail")


@pytest.mark.s3
@pytest.mark.long
class TestOnMoto(S3StoreTests):
    secrets = ("labsecret",)

    @pytest.fixture
    def server(self, moto: Server) -> Server:
        return moto


@pytest.mark.s3
class TestOnCeph(S3StoreTests):
    secrets = ("labsecret",)

    @pytest.fixture
    def server(self, ceph: Server) -> Server:
        return ceph
