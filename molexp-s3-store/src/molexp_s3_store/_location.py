"""From what a user types to a bucket and a prefix."""

from __future__ import annotations

import re

import attrs

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")  # wider than Amazon's own rule: other servers keep older ones
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]|(?:^|/)\.{1,2}(?:/|$)")


@attrs.frozen
class Location:
    """A bucket and the prefix below which a workspace lies, which has no slash at either end."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        """The URL of this location."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"


def locate(url: str) -> Location:
    """Parse ``s3://bucket/prefix``.

    Raises:
        ValueError: it is not one.
    """
    scheme, mark, rest = url.partition("://")
    if scheme.lower() != "s3" or not mark:
        raise ValueError(f"{url!r} is not s3://BUCKET/PREFIX.")
    bucket, _, prefix = rest.partition("/")
    if "?" in rest:  # a key may hold one, but hardly anybody means that
        raise ValueError(
            f"{url.partition('?')[0]!r} is followed by a query: options are no part of a URL. Pass storage_options={{'region': ...}}, or write them into "
            "storage.toml."
        )
    if "@" in bucket:
        raise ValueError("A URL carries no credentials: pass storage_options, or set AWS_ACCESS_KEY_ID or a profile.")
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(f"{url!r} is not s3://BUCKET/PREFIX: {bucket!r} is no name of a bucket.")
    prefix = "/".join(part for part in prefix.split("/") if part)
    if _FORBIDDEN.search(prefix):
        raise ValueError(f"{url!r} has a '.' or '..' segment, a backslash or a control character in its prefix.")
    return Location(bucket, prefix)
