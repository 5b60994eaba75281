"""`S3Store` keeps the store contract on every server; the back door is another client."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import attrs
import pytest

from molexp.contracts import Store
from molexp.testing import StoreTests
from molexp_s3_store import S3Store
from tests.servers.buckets import Bucket, Server

_BUCKETS: dict[str, Bucket] = {}

NOTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::*"}],
}
"""The policy of a bucket in which nobody may do anything."""


class S3StoreTests(StoreTests, abstract=True):
    """The whole kit, with the keys given as options."""

    refuses_keys_below_keys = False

    @pytest.fixture
    def server(self) -> Server:
        raise NotImplementedError

    @pytest.fixture
    def store(self, server: Server, request: pytest.FixtureRequest) -> Iterator[Store]:
        bucket = server.fresh()
        if request.function.__name__ == "test_no_error_of_a_driver_escapes":  # which deletes the whole bucket
            bucket = attrs.evolve(bucket, name=f"molexp-{uuid.uuid4().hex[:12]}")
            server.client.create_bucket(Bucket=bucket.name)
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
        """Delete the bucket; if a server with much to do counts keys in it that are gone, forbid everything instead."""
        bucket = _BUCKETS[store.url]
        client = bucket.server.client
        for _ in range(10):
            for upload in client.list_multipart_uploads(Bucket=bucket.name).get("Uploads", []):
                client.abort_multipart_upload(Bucket=bucket.name, Key=upload["Key"], UploadId=upload["UploadId"])
            for found in client.list_objects_v2(Bucket=bucket.name).get("Contents", []):
                client.delete_object(Bucket=bucket.name, Key=found["Key"])
            try:
                client.delete_bucket(Bucket=bucket.name)
            except client.exceptions.ClientError as error:
                if "BucketNotEmpty" not in str(error):
                    raise
                time.sleep(0.5)
            else:
                return
        client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(NOTHING))


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
