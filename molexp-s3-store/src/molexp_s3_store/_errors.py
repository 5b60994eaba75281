"""From what the client and the server say to errors of MolExp."""

from __future__ import annotations

import re
from typing import Literal

from molexp.errors import (
    CredentialsError,
    InvalidKeyError,
    KeyNotFoundError,
    StorageFullError,
    StoreError,
    StorePermissionError,
    UnavailableError,
)
from molexp_s3_store.errors import BucketNotFoundError, ClockSkewError, ExpiredCredentialsError, WrongRegionError

Action = Literal["read", "write", "delete", "list"]

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>\s*([A-Za-z0-9.]+)\s*</Code>")
_DETAIL = re.compile(r"<Message>\s*([^<]*?)\s*</Message>")
_SECRET = re.compile(r"(?i)(X-Amz-[A-Za-z-]+|Signature|AWSAccessKeyId)=[^&\s\"]+")

_PASSING = frozenset({408, 429, 500, 502, 503, 504, 509})
_PASSING_CODES = frozenset(
    {
        "ConditionalRequestConflict",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"})
_UNKNOWN_KEYS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity"})
_ELSEWHERE = frozenset(
    {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}
)
_FULL = frozenset({"QuotaExceeded", "XMinioStorageFull", "EntityTooLarge", "InsufficientStorage"})
_NO_CREDENTIALS = re.compile(r"(?i)credential|instance metadata|169\.254\.|no provider")
_CAUSE = re.compile(r'error: "([^"]+)"|invalid peer certificate: (\w+)|message: "([^"]+)"')
_TRANSPORT = re.compile(
    r"(?i)error sending request|HTTP error|timed? ?out|connection|decoding response|error reading a body|request or response body|incomplete|reset|broken pipe|eof"
)


class Answer:
    """The outcome of a failed request.

    Attributes:
        status: the HTTP status; 0 if there was no whole answer.
        code: S3's name of the error; "" if there is none.
        detail: the message for users, without signatures.
    """

    def __init__(self, error: BaseException) -> None:
        said, _, debug = str(error).partition("\n\nDebug source:")
        status, code, detail = _STATUS.search(said), _CODE.search(said), _DETAIL.search(said)
        self.status: int = int(status[1]) if status else 0
        self.code: str = code[1] if code else ""
        self.detail: str = _SECRET.sub(
            r"\1=...", detail[1] if detail and detail[1] else said.partition("<?xml")[0]
        ).strip()
        self._certificate = not status and "certificate" in debug.lower()
        cause = _CAUSE.search(debug)
        if not status and cause:
            self.detail = f"{self.detail} ({next(filter(None, cause.groups()))})"
        self._transport = not status and bool(_TRANSPORT.search(said) or "HttpError" in debug)
        self._without_credentials = not status and bool(_NO_CREDENTIALS.search(said))
        self._provider = said.partition("CredentialsError: ")[2].strip()  # the message of `_credentials`
        self._redirected = "redirect without LOCATION" in said

    @property
    def passing(self) -> bool:
        """Tell whether the same request may succeed in a moment."""
        if self._without_credentials or self._certificate:
            return False
        return self._transport or self.status in _PASSING or self.code in _PASSING_CODES

    @property
    def uncertain(self) -> bool:
        """Tell whether the server may have done what was asked all the same."""
        return self.passing and self.code not in {"ConditionalRequestConflict", "OperationAborted"}

    @property
    def absent(self) -> bool:
        """Tell whether the object is not there, and the bucket is as far as one can tell."""
        return self.status == 404 and self.code != "NoSuchBucket"

    def to_error(self, key: str, url: str, action: Action, *, hint: str = "") -> StoreError:
        """Return the error of MolExp. The caller raises it from the client's error."""
        what = f"Cannot {action} {key or 'keys'!r} in {url}"
        if self.code == "NoSuchBucket" or (self.status == 404 and action in {"write", "list"}):
            bucket = url.partition("://")[2].partition("/")[0]
            return BucketNotFoundError(
                f"There is no bucket {bucket!r} at {hint or 'this endpoint'}. Check the name and the endpoint, or create it "
                "first: MolExp creates none.",
                key=key,
                url=url,
            )
        if self.absent:
            return KeyNotFoundError(key, url=url)
        for error in (self._access(what, key, url, action), self._trouble(what, key, url)):
            if error is not None:
                return error
        return StoreError(f"{what}: {self.detail} ({self.code or self.status or 'no answer'}).", key=key, url=url)

    def _access(self, what: str, key: str, url: str, action: Action) -> StoreError | None:
        if self.code in _EXPIRED:
            return ExpiredCredentialsError(
                f"{what}: the credentials have expired ({self.code}). Get new ones (`aws sso login`, a new session token) and "
                "try again; what was acknowledged is kept.",
                key=key,
                url=url,
            )
        if self.code == "RequestTimeTooSkewed":
            return ClockSkewError(
                f"{what}: this machine's clock is wrong by too much, so that the server refuses its signatures "
                "(RequestTimeTooSkewed). Set the clock (`timedatectl`, NTP) and try again.",
                key=key,
                url=url,
            )
        if self.code in _ELSEWHERE or self._redirected or self.status in {301, 307}:
            return WrongRegionError(
                f"{what}: the bucket lies in another region, or behind another endpoint ({self.detail}). Set the region "
                "(storage_options={'region': ...} or AWS_REGION) or the endpoint_url.",
                key=key,
                url=url,
            )
        if self.code in _UNKNOWN_KEYS or self.status == 401:
            return CredentialsError(
                f"{what}: the server does not accept the credentials ({self.code or self.status}: {self.detail}). Check access "
                "key, secret and endpoint.",
                key=key,
                url=url,
            )
        if self._without_credentials:
            if self._provider and "\n" not in self._provider and not self._provider.startswith("No credentials"):
                return CredentialsError(f"{what}: {self._provider}", key=key, url=url)
            return CredentialsError(
                f"{what}: no credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile "
                "(AWS_PROFILE), pass storage_options, or anonymous=True for a public bucket.",
                key=key,
                url=url,
            )
        if self.status == 403:
            error = StorePermissionError(key, url=url, detail=self.code or "403", action=action)
            message = (
                f"{what}: access is denied ({self.detail or self.code or 403}). The policy of the bucket or user must allow "
                "s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket here."
            )
            error.args = (message,)
            return error
        return None

    def _trouble(self, what: str, key: str, url: str) -> StoreError | None:
        if self.code in _FULL or self.status == 507:
            return StorageFullError(key, url=url, detail=self.detail)
        if self._certificate:
            return StoreError(
                f"{what}: the server's certificate is not trusted ({self.detail}). If the server has an authority of its own, "
                "name its certificate: storage_options={'ca_bundle': 'ca.pem'} or AWS_CA_BUNDLE.",
                key=key,
                url=url,
            )
        if self.code == "KeyTooLongError":
            return InvalidKeyError(key, "with the workspace's prefix it is longer than the 1024 bytes that S3 allows")
        if self.passing:
            return UnavailableError(
                f"{what}: {self.detail or 'no answer'}. The server does not answer, or refuses for now, also after retries; "
                "check the network and the endpoint_url, and try again.",
                key=key,
                url=url,
            )
        return None
