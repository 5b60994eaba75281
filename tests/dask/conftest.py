"""A server for workspaces on S3."""

from tests.servers.fixtures import moto

__all__ = ["moto"]
