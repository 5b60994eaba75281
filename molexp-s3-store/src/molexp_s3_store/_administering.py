"""Operations that the fast client lacks, done by botocore: unfinished uploads, and listings with unusual keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import attrs

from molexp.errors import KeyNotFoundError, StoreError, UnavailableError
from molexp_s3_store._client import Client
from molexp_s3_store._credentials import Keys
from molexp_s3_store._quieting import quiet_botocore
from molexp_s3_store._reading import fetch, look
from molexp_s3_store._retrying import attempts
from molexp_s3_store._writing import MARK


@attrs.frozen
class Unfinished:
    """An upload of parts that nobody completed."""

    key: str
    upload: str
    started: datetime


@cache
def _loader(data_path: str | None) -> Any:
    """Return the descriptions of services. They are read once for each process, because that takes a sixth of a second."""
    from botocore.loaders import create_loader

    return create_loader(data_path)


def connect(client: Client) -> Any:
    """Return a client of botocore with the configuration of `client`."""
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.session import Session

    quiet_botocore()
    options, keys = client.options, client.keys
    session = Session(profile=options.profile)
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    style = options.addressing_style
    config = Config(
        signature_version=UNSIGNED if options.anonymous else None,
        s3={"addressing_style": "path" if style == "auto" and options.endpoint_url else style},
        connect_timeout=10,
        read_timeout=options.request_timeout,
        retries={"mode": "standard", "max_attempts": attempts(options.retry_timeout)},
    )
    given = (
        {
            "aws_access_key_id": keys.access_key_id,
            "aws_secret_access_key": keys.secret_access_key,
            "aws_session_token": keys.session_token,
        }
        if isinstance(keys, Keys)
        else {}
    )
    return session.create_client(
        "s3",
        endpoint_url=options.endpoint_url,
        region_name=options.region or "us-east-1",
        verify=options.ca_bundle,
        config=config,
        **given,
    )


def pages(client: Client, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield the pages of a listing, with each object's key in the workspace as ``key``."""
    start = _below(client, prefix)
    base = len(_below(client, ""))
    try:
        for page in (
            connect(client).get_paginator("list_objects_v2").paginate(Bucket=client.location.bucket, Prefix=start)
        ):
            for item in page.get("Contents", ()):
                item["key"] = item["Key"][base:]
            yield page
    except Exception as error:
        raise _explain(error, client) from error


def unfinished(client: Client, older_than: float) -> list[Unfinished]:
    """Return the unfinished uploads that began more than `older_than` seconds ago."""
    limit = datetime.now(UTC) - timedelta(seconds=older_than)
    try:
        pages = connect(client).get_paginator("list_multipart_uploads")
        return [
            Unfinished(found["Key"], found["UploadId"], found["Initiated"])
            for page in pages.paginate(Bucket=client.location.bucket, Prefix=_below(client, ""))
            for found in page.get("Uploads", ())
            if found["Initiated"] < limit
        ]
    except Exception as error:
        raise _explain(error, client) from error


def abort(client: Client, uploads: list[Unfinished], older_than: float) -> None:
    """Free what unfinished uploads hold, and the keys that their writers took and did not live to fill."""
    if not uploads:
        return
    administrator = connect(client)
    base = len(_below(client, ""))
    try:
        for found in uploads:
            administrator.abort_multipart_upload(Bucket=client.location.bucket, Key=found.key, UploadId=found.upload)
            _give_back(client, found.key[base:], older_than)
    except Exception as error:
        raise _explain(error, client) from error


def _give_back(client: Client, key: str, older_than: float) -> None:
    """Delete the mark under `key`, if one is there, which its writer would have replaced within seconds."""
    with suppress(KeyNotFoundError):
        meta = look(client, key)
        old = meta["last_modified"] < datetime.now(UTC) - timedelta(seconds=older_than)
        if old and meta["size"] < 2 * len(MARK) and fetch(client, key).data.startswith(MARK):
            client.ask("delete", key, lambda native: native.delete(key))


def _below(client: Client, prefix: str) -> str:
    parts = [part for part in (client.location.prefix, prefix) if part]
    return "/".join(parts) + "/" if parts else ""


def _explain(error: Exception, client: Client) -> StoreError:
    if isinstance(error, StoreError):
        return error
    return UnavailableError(f"Cannot list {client.url}: {error}. Try again.", url=client.url)
