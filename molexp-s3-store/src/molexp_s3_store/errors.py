"""Errors of buckets and of the access to them, in addition to those of `molexp.errors`."""

from __future__ import annotations

from molexp.errors import CredentialsError, StoreError


class BucketNotFoundError(StoreError):
    """The bucket does not exist at this endpoint. MolExp creates no buckets: they have owners, regions and policies."""


class WrongRegionError(StoreError):
    """The bucket is in another region than the one that requests were signed for."""


class ExpiredCredentialsError(CredentialsError):
    """The credentials have expired."""


class ClockSkewError(CredentialsError):
    """The clocks of this machine and the server differ so much that the server refuses signatures."""


class ForkedProcessError(StoreError):
    """This process was forked from one that had used an S3 store, and does not have its threads."""
