"""The HTTP API: documents for programs, under ``/api/v1``."""
