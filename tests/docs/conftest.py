"""A page about S3 finds the bucket that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository import ROOT
from tests.servers.buckets import REGION, Server
from tests.servers.fixtures import moto

__all__ = ["moto"]

BUCKETS = {ROOT / "docs" / "how-to" / "use-s3.md": "my-group"}


@pytest.fixture
def _server(page: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the user of the page a bucket, and the environment that says how to get there."""
    if (bucket := BUCKETS.get(page)) is None:
        return
    server: Server = request.getfixturevalue("moto")
    server.client.create_bucket(Bucket=bucket)
    for name, value in {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "AWS_REGION": REGION,
    }.items():
        monkeypatch.setenv(name, value)
