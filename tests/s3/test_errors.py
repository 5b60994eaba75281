"""Each fault of a bucket, or of the access to it, has its error, which says what to do and shows no secret."""

from __future__ import annotations

import random
import re
import socket

import attrs
import pytest

import molexp as me
from molexp.errors import (
    CredentialsError,
    MolexpError,
    StorageFullError,
    StorePermissionError,
    UnavailableError,
    UnsupportedOperationError,
)
from molexp_s3_store import (
    BucketNotFoundError,
    ClockSkewError,
    ExpiredCredentialsError,
    S3Store,
    WrongRegionError,
)
from tests.cli.helpers import program
from tests.record.helpers import Place
from tests.s3.answering import Reply, answering, error, passing_on
from tests.servers import ceph as ceph_server

KEY, SECRET = "AKIALABKEY", "a/very+secret/word"

SAID = {
    "another region": (
        error(301, "PermanentRedirect", "The bucket you are attempting to access must be addressed otherwise."),
        WrongRegionError,
        "AWS_REGION",
    ),
    "a region that the signature is not for": (
        error(400, "AuthorizationHeaderMalformed", "the region 'us-east-1' is wrong; expecting 'eu-central-1'"),
        WrongRegionError,
        "eu-central-1",
    ),
    "a redirect": (error(307, "TemporaryRedirect", "Please re-send."), WrongRegionError, "endpoint_url"),
    "a wrong clock": (
        error(403, "RequestTimeTooSkewed", "The difference between the request time and the server's is too large."),
        ClockSkewError,
        "Set the clock",
    ),
    "an expired token": (
        error(400, "ExpiredToken", "The provided token has expired."),
        ExpiredCredentialsError,
        "aws sso login",
    ),
    "an unknown key": (
        error(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
        CredentialsError,
        "Check access key, secret and endpoint",
    ),
    "a wrong secret": (
        error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match."),
        CredentialsError,
        "Check access key, secret and endpoint",
    ),
    "no access": (error(403, "AccessDenied", "Access Denied"), StorePermissionError, "s3:PutObject"),
    "no bucket": (error(404, "NoSuchBucket", "The specified bucket does not exist"), BucketNotFoundError, "create it"),
    "a full server": (error(507, "XMinioStorageFull", "no space is left"), StorageFullError, "no space is left"),
    "a web page": (Reply(403, b"<html>this is a proxy</html>"), StorePermissionError, "403"),
}

OPERATIONS = {
    "create": lambda store: store.create("k", b"x"),
    "write": lambda store: store.write("k", b"x"),
    "read": lambda store: store.read("k"),
    "delete": lambda store: store.delete("k"),
    "list": lambda store: list(store.list()),
    "children": lambda store: store.children(),
    "stat": lambda store: store.stat("k"),
}


def opened(url: str, **options: object) -> S3Store:
    given = {"endpoint_url": url, "access_key_id": KEY, "secret_access_key": SECRET, "retry_timeout": 0.1}
    return S3Store.open("s3://bucket/lab", {**given, **options})


@pytest.mark.parametrize("said", SAID)
def test_each_answer_of_a_server_has_its_error(said):
    reply, expected, hint = SAID[said]
    with answering(reply) as server:
        store = opened(server.url)
        for name, act in OPERATIONS.items():
            server.heard.clear()
            if name == "stat" and reply.status == 404:
                continue  # without a body a missing bucket looks like a missing key
            with pytest.raises(expected) as caught:
                act(store)
            assert type(caught.value) is expected, name
            assert hint in str(caught.value), name
            assert getattr(caught.value, "url", None) == "s3://bucket/lab"
            assert SECRET not in f"{caught.value!r}{caught.value}{caught.value.__cause__!r}"
            assert len(server.heard) <= 2, f"{name}: what will not pass is not asked for again and again"
        store.close()


def test_a_server_that_is_busy_is_asked_again_and_then_given_up():
    with answering(error(503, "SlowDown", "Please reduce your request rate.")) as server:
        store = opened(server.url)
        with pytest.raises(UnavailableError, match="Please reduce your request rate"):
            store.read("k")
        assert len(server.heard) > 1
        store.close()


def test_pauses_between_requests_leave_the_numbers_of_a_seeded_program_alone():
    replies = iter([error(503, "SlowDown", "Please reduce your request rate.")] * 2)
    with answering(lambda heard: next(replies, Reply(200, b"", {"ETag": '"1"'}))) as server:
        store = opened(server.url, retry_timeout=300.0)
        random.seed(0)
        before = random.getstate()
        store.write("k", b"x")
        assert random.getstate() == before
        assert len(server.heard) == 3
        store.close()


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
def test_a_conflict_of_two_creations_is_asked_again_and_is_no_refusal(code):
    """Amazon says so where two conditional writes of one key meet, none of which has been done yet."""
    replies = iter([error(409, code, "A conflicting conditional operation is in progress.")] * 2)
    with answering(lambda heard: next(replies, Reply(200, b"", {"ETag": '"1"'}))) as server:
        store = opened(server.url, retry_timeout=300.0)
        store.create("k", b"x")
        assert [heard.headers["if-none-match"] for heard in server.heard] == ["*"] * 3
        store.close()


# ----------------------------------------------------------------------------------------------------- on real servers


@pytest.mark.parametrize("server", ["moto", pytest.param("ceph", marks=pytest.mark.s3)])
def test_a_bucket_that_is_not_there(server, request):
    bucket = attrs.evolve(request.getfixturevalue(server).fresh(), name="molexp-nowhere")
    store = S3Store.open(bucket.url, bucket.storage_options)
    for name, act in OPERATIONS.items():
        if name not in ("stat", "delete"):
            with pytest.raises(BucketNotFoundError, match=r"molexp-nowhere.*create it"):
                act(store)
    with pytest.raises(MolexpError, match="molexp-nowhere"):
        me.Workspace(bucket.url, storage_options=bucket.storage_options).materialize()
    store.close()


@pytest.mark.s3
@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (ceph_server.STRANGER, StorePermissionError),
        ((ceph_server.KEYS[0], "wrong"), CredentialsError),
        (("nobody", "wrong"), CredentialsError),
    ],
    ids=["a stranger", "a wrong secret", "an unknown key"],
)
def test_a_server_that_looks_at_credentials(keys, expected, ceph):
    mine = ceph.fresh()
    mine.raw_write("k", b"mine")
    theirs = mine.as_user(*keys)
    store = S3Store.open(theirs.url, theirs.storage_options)
    for name, act in OPERATIONS.items():
        with pytest.raises(expected) as caught:
            act(store)
        assert type(caught.value) is expected, name
        assert keys[1] not in f"{caught.value!r}{caught.value}"
    with pytest.raises(expected):
        me.Workspace(theirs.url, storage_options=theirs.storage_options).Project("metals").Experiment(
            "cu"
        ).Run().start()
    assert mine.raw_keys() == {"k"}
    assert mine.raw_read("k") == b"mine"
    store.close()


@pytest.mark.s3
def test_a_server_that_ignores_conditions_is_refused_and_nothing_stays_there(s3rver):
    bucket = s3rver.fresh()
    place = Place(bucket.url, bucket.storage_options)
    with pytest.raises(UnsupportedOperationError, match="If-None-Match"):
        place.workspace().Project("metals").Experiment("cu").Run({"a": 1}).start()
    assert bucket.raw_keys() == set()


def test_a_sweep_stops_when_its_credentials_are_refused_and_leaves_the_rest_as_it_was(bucket, capsys):
    there, runs = passing_on(bucket.server.url), set[str]()

    def reply(heard):
        runs.update(re.findall("/runs/([0-9a-f]{20})/", heard.path))
        if len(runs) < 3:
            return there(heard)
        return error(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")

    def double(ctx):
        ctx.set_result("twice", 2 * ctx.params["a"])

    with answering(reply) as front:
        options = {**bucket.storage_options, "endpoint_url": front.url}
        exp = me.Workspace(bucket.url, storage_options=options).Project("metals").Experiment("cu")
        with pytest.raises(CredentialsError):
            exp.sweep(double, space={"a": range(4)})
        told = capsys.readouterr().err
        assert told.count("failed: CredentialsError") == 1
        assert "2 succeeded, 1 failed, 1 not begun" in told
        assert len(runs) == 3, "nothing was asked about the last one"

    exp = me.Workspace(bucket.url, storage_options=bucket.storage_options).project("metals").experiment("cu")
    assert [run.status for run in exp.runs] == ["succeeded"] * 2
    assert [row.results["twice"] for row in exp.sweep(double, space={"a": range(4)})] == [0, 2, 4, 6]


# ------------------------------------------------------------------------------------------------------ no credentials


def silent():
    """A server that takes connections and says nothing; its URL."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(16)
    return listening, f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_without_credentials_nobody_is_asked_for_long(bare, monkeypatch):
    """Of a laptop, the address where a machine in a cloud finds credentials never answers."""
    listening, url = silent()
    with listening:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        store = S3Store.open("s3://bucket/lab", {"endpoint_url": url})
        with pytest.raises(CredentialsError, match=r"AWS_ACCESS_KEY_ID.*AWS_PROFILE.*anonymous=True"):
            store.read("k")
        listening.setblocking(False)
        connections = []
        while True:
            try:
                connections.append(listening.accept()[0])
            except BlockingIOError:
                break
        assert len(connections) <= 2, "it is asked once or twice, a second each"
        for connection in connections:
            connection.close()


def test_a_machine_without_metadata_is_not_asked_at_all(bare, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = S3Store.open("s3://bucket/lab", {"endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(CredentialsError, match="no credentials were found"):
        store.create("k", b"x")


# ---------------------------------------------------------------------------------------------------- the command line


@pytest.mark.s3
@pytest.mark.parametrize("said", SAID)
def test_the_command_says_it_in_a_sentence(said, bare, tmp_path):
    reply, _, hint = SAID[said]
    with answering(reply) as server:
        found = program(
            tmp_path,
            "-w",
            "s3://bucket/lab",
            "runs",
            "list",
            env={"AWS_ENDPOINT_URL": server.url, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET},
        )
    assert found.code not in (0, 130)
    assert found.out == ""
    assert hint in " ".join(found.err.split())
    assert "Traceback" not in found.err
    assert SECRET not in found.err
    assert found.err.startswith("molexp: "), found.err


@pytest.mark.s3
def test_the_command_without_credentials(bare, tmp_path):
    found = program(tmp_path, "-w", "s3://bucket/lab", "runs", "list", env={"AWS_EC2_METADATA_DISABLED": "true"})
    assert found.code not in (0, 130)
    assert "AWS_ACCESS_KEY_ID" in found.err
    assert "Traceback" not in found.err
