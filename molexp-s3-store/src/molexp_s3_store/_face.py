"""Paths over s3fs for other libraries, with the configuration and the credentials of the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from molexp_s3_store._client import Client
from molexp_s3_store._credentials import Keys
from molexp_s3_store._retrying import attempts

if TYPE_CHECKING:
    from upath import UPath


def path(client: Client, key: str) -> UPath:
    """Return the object or folder as a path. No request is made."""
    from upath import UPath

    return UPath(f"{client.url}/{key}", protocol="s3", **storage_options(client))


def storage_options(client: Client) -> dict[str, Any]:
    """Return options that let s3fs reach the same place. It caches no listings, because other processes write there, too."""
    options = client.options
    style = options.addressing_style
    if style == "auto" and options.endpoint_url:
        style = "path"
    found: dict[str, Any] = {
        "anon": options.anonymous,
        "use_listings_cache": False,
        # An empty AWS_CA_BUNDLE would be taken for "verify nothing".
        "client_kwargs": {"region_name": options.region or "us-east-1", "verify": options.ca_bundle or True},
        "config_kwargs": {
            "s3": {"addressing_style": style},
            "connect_timeout": min(options.request_timeout, 10.0),
            "read_timeout": options.transfer_timeout,
            "retries": {"mode": "standard", "max_attempts": attempts(options.retry_timeout)},
            # Not every server knows the newer checksums; Amazon asks nobody for them.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
    }
    if options.endpoint_url:
        found["endpoint_url"] = options.endpoint_url
    if options.requester_pays:
        found["requester_pays"] = True
    encryption = {"ServerSideEncryption": options.server_side_encryption, "SSEKMSKeyId": options.kms_key_id}
    if any(encryption.values()):
        found["s3_additional_kwargs"] = {name: value for name, value in encryption.items() if value}
    if not options.anonymous:
        from molexp_s3_store._session import Session

        keys = client.keys
        found["session"] = Session(
            keys if isinstance(keys, Keys) else None, None if isinstance(keys, Keys) else options.profile
        )
    return found
