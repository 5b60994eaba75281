"""What can be wrong with a bucket or with the access to it, beyond what `molexp.errors` has."""

from __future__ import annotations

from molexp.errors import CredentialsError, StoreError


class BucketNotFoundError(StoreError):
    """There is no such bucket at this endpoint. Buckets are not created: they have owners, regions and policies."""


class WrongRegionError(StoreError):
    """The bucket lies in another region than requests were signed for."""


class ExpiredCredentialsError(CredentialsError):
    """The credentials were valid once."""


class ClockSkewError(CredentialsError):
    """This machine's clock and the server's differ so much that signatures are refused."""


class ForkedProcessError(StoreError):
    """This process was forked from one that had used an S3 store, whose threads it has not got."""
