"""Workspaces on Amazon S3 and compatible servers, ``s3://bucket/prefix``."""

from molexp_s3_store._fsspec_store import FsspecStore
from molexp_s3_store._store import S3Store
from molexp_s3_store.errors import (
    BucketNotFoundError,
    ClockSkewError,
    ExpiredCredentialsError,
    ForkedProcessError,
    WrongRegionError,
)

__all__ = [
    "BucketNotFoundError",
    "ClockSkewError",
    "ExpiredCredentialsError",
    "ForkedProcessError",
    "FsspecStore",
    "S3Store",
    "WrongRegionError",
    "__version__",
]

__version__ = "0.1.0"
