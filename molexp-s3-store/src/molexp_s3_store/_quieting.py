"""Keep credentials out of botocore's debug log, which shows whole signed requests."""

from __future__ import annotations

import logging
import re

_SHOWN = re.compile(r"(?i)(x-amz-security-token['\"]?\s*[:=]\s*b?['\"]?|x-amz-security-token=|credential=)[^\s'\"&/,]+")


class _Hide(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record, without access keys and session tokens."""
        record.msg, record.args = _SHOWN.sub(r"\1...", record.getMessage()), ()
        return True


_HIDE = _Hide()


def quiet_botocore() -> None:
    """Remove credentials from botocore's log records, for every handler. You can call it again."""
    for name in ("botocore.auth", "botocore.endpoint"):
        logging.getLogger(name).addFilter(_HIDE)
