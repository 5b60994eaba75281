"""The servers and the proxy."""

from tests.servers.fixtures import bucket, ceph, moto, proxied, s3_server, s3rver

__all__ = ["bucket", "ceph", "moto", "proxied", "s3_server", "s3rver"]
