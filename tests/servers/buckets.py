"""Servers, and prefixes in a bucket of theirs with a back door that bypasses what is tested."""

from __future__ import annotations

import uuid
from functools import cached_property
from typing import Any

import attrs

REGION = "us-east-1"
BUCKET = "molexp-tests"
PATIENCE = 300  # seconds that a server may take for an answer: what is tested has limits of its own


@attrs.frozen(slots=False)
class Server:
    """An S3 server that runs, and the keys of a user."""

    name: str
    url: str
    access_key: str
    secret_key: str = attrs.field(repr=False)

    @property
    def kind(self) -> str:
        """The program: "moto", "ceph" or "s3rver"."""
        return self.name.partition(" ")[0]

    @cached_property
    def client(self) -> Any:
        """boto3's client, which tries once. Threads may share it."""
        import boto3
        from botocore.config import Config

        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                connect_timeout=PATIENCE,
                read_timeout=PATIENCE,
                max_pool_connections=32,
                request_checksum_calculation="when_required",  # not every server knows the newer ones
                response_checksum_validation="when_required",
            ),
        )

    def make_bucket(self) -> None:
        """Make the bucket that all tests share."""
        self.client.create_bucket(Bucket=BUCKET)

    def fresh(self, label: str = "lab") -> Bucket:
        """A prefix that nobody has used."""
        return Bucket(self, f"{label}-{uuid.uuid4().hex[:12]}")

    def seen_at(self, url: str) -> Server:
        """The same server as seen through a proxy."""
        return attrs.evolve(self, url=url)

    def as_user(self, access_key: str, secret_key: str) -> Server:
        """The same server for somebody else."""
        return attrs.evolve(self, access_key=access_key, secret_key=secret_key)


@attrs.frozen
class Bucket:
    """A prefix in the bucket of a server; keys are relative to it.

    `front` is the server as what is tested sees it, `server` the one that the back door uses.
    """

    server: Server
    prefix: str
    name: str = BUCKET
    front: Server = attrs.field(default=attrs.Factory(lambda self: self.server, takes_self=True))

    @property
    def url(self) -> str:
        return f"s3://{self.name}/{self.prefix}"

    @property
    def storage_options(self) -> dict[str, Any]:
        return {
            "endpoint_url": self.front.url,
            "key": self.front.access_key,
            "secret": self.front.secret_key,
            "region": REGION,
        }

    def as_environment(self) -> tuple[str, dict[str, str]]:
        """The URL, and the variables by which any process gets there."""
        return self.url, {
            "AWS_ENDPOINT_URL_S3": self.front.url,
            "AWS_ACCESS_KEY_ID": self.front.access_key,
            "AWS_SECRET_ACCESS_KEY": self.front.secret_key,
            "AWS_REGION": REGION,
        }

    def fresh(self, prefix: str) -> Bucket:
        """A prefix below this one."""
        return attrs.evolve(self, prefix=f"{self.prefix}/{prefix}")

    def through(self, url: str) -> Bucket:
        """Connect to the proxy at `url`, for what is tested; the back door does not go through it."""
        return attrs.evolve(self, front=self.server.seen_at(url))

    def as_user(self, access_key: str, secret_key: str) -> Bucket:
        """Connect with other keys, for what is tested; the back door has its own."""
        return attrs.evolve(self, front=self.front.as_user(access_key, secret_key))

    # ------------------------------------------------------------------------------------------------- the back door

    def raw_write(self, key: str, data: bytes) -> None:
        self.server.client.put_object(Bucket=self.name, Key=f"{self.prefix}/{key}", Body=data)

    def raw_read(self, key: str) -> bytes | None:
        client = self.server.client
        try:
            answer = client.get_object(Bucket=self.name, Key=f"{self.prefix}/{key}")
        except client.exceptions.NoSuchKey:
            return None
        with answer["Body"] as body:
            data: bytes = body.read()
            return data

    def raw_keys(self) -> set[str]:
        """All keys; an upload in parts that was not completed is "upload: KEY"."""
        start = f"{self.prefix}/"
        pages = self.server.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=start)
        keys = {found["Key"].removeprefix(start) for page in pages for found in page.get("Contents", [])}
        return keys | {f"upload: {key.removeprefix(start)}" for key, _ in self._uploads()}

    def raw_delete(self, key: str) -> None:
        self.server.client.delete_object(Bucket=self.name, Key=f"{self.prefix}/{key}")

    def raw_clear(self) -> None:
        """Delete all of it, as a test of large objects should: these servers keep them in memory."""
        for key, upload in self._uploads():
            self.server.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)
        for key in self.raw_keys():
            self.raw_delete(key)

    def _uploads(self) -> list[tuple[str, str]]:
        if self.server.kind == "s3rver":
            return []  # it has no uploads in parts to list
        pages = self.server.client.get_paginator("list_multipart_uploads").paginate(Bucket=self.name)
        uploads = [(found["Key"], found["UploadId"]) for page in pages for found in page.get("Uploads", [])]
        return [(key, upload) for key, upload in uploads if key.startswith(f"{self.prefix}/")]
