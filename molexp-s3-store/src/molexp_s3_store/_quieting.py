"""What botocore logs at DEBUG is the whole signed request: without who signed it, here."""

from __future__ import annotations

import logging
import re

_SHOWN = re.compile(r"(?i)(x-amz-security-token['\"]?\s*[:=]\s*b?['\"]?|x-amz-security-token=|credential=)[^\s'\"&/,]+")


class _Hide(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Every record is kept, without access keys and session tokens."""
        record.msg, record.args = _SHOWN.sub(r"\1...", record.getMessage()), ()
        return True


_HIDE = _Hide()


def quiet_botocore() -> None:
    """Let botocore's loggers show no credentials, whoever listens to them. Doing it again changes nothing."""
    for name in ("botocore.auth", "botocore.endpoint"):
        logging.getLogger(name).addFilter(_HIDE)
