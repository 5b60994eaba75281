"""The store finds its server and its credentials in options, then in the environment, then in the files of AWS's tools."""

from __future__ import annotations

import re
import stat
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from molexp.errors import CredentialsError, MolexpError, UnavailableError
from molexp_s3_store import S3Store
from tests.s3.answering import Answering, Heard, Reply, answering, make_certificates, passing_on

HERE = Reply(200, b"found", {"ETag": '"1"', "Last-Modified": "Thu, 26 Nov 2026 12:00:00 GMT"})
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def server():
    """A server that has everything, and remembers what it was asked."""
    with answering(HERE) as server:
        yield server


@pytest.fixture
def config(bare: Path):
    """Writes the files of AWS's tools."""

    def write(config: str = "", credentials: str = "") -> Path:
        (bare / ".aws" / "config").write_text(dedent(config))
        (bare / ".aws" / "credentials").write_text(dedent(credentials))
        return bare / ".aws"

    return write


def asked(server: Answering, **options: object) -> Heard:
    """Return what a store asks for when it reads a key."""
    server.heard.clear()
    store = S3Store.open("s3://bucket/lab", options)
    assert store.read("k") == b"found"
    store.close()
    (heard,) = server.heard
    return heard


def signer(heard: Heard) -> tuple[str, str] | None:
    """The access key and the region that a request was signed with."""
    match = re.search(r"Credential=([^/]+)/\d+/([^/]+)/s3/", heard.headers.get("authorization", ""))
    return (match[1], match[2]) if match else None


OPTIONS = {"key": "from-options", "secret": "s"}
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "from-environment", "AWS_SECRET_ACCESS_KEY": "s"}
FILES = """
    [default]
    aws_access_key_id = from-file
    aws_secret_access_key = s
    [lab]
    aws_access_key_id = from-profile
    aws_secret_access_key = s
"""


# --------------------------------------------------------------------------------------------------------- credentials


@pytest.mark.parametrize(
    ("environ", "options", "expected"),
    [
        ({}, {}, "from-file"),
        ({"AWS_PROFILE": "lab"}, {}, "from-profile"),
        ({"AWS_DEFAULT_PROFILE": "lab"}, {}, "from-profile"),
        ({}, {"profile": "lab"}, "from-profile"),
        (ENVIRONMENT, {}, "from-environment"),
        ({**ENVIRONMENT, "AWS_PROFILE": "lab"}, {}, "from-environment"),
        (ENVIRONMENT, {"profile": "lab"}, "from-profile"),
        ({**ENVIRONMENT, "AWS_PROFILE": "lab"}, OPTIONS, "from-options"),
        (ENVIRONMENT, {"anonymous": True}, None),
        (ENVIRONMENT, {"anon": True}, None),
    ],
)
def test_who_asks(environ, options, expected, server, config, monkeypatch):
    config(credentials=FILES)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = signer(asked(server, endpoint_url=server.url, **options))
    assert (found and found[0]) == expected


@pytest.mark.parametrize(
    ("environ", "options", "token"),
    [
        ({**ENVIRONMENT, "AWS_SESSION_TOKEN": "t1"}, {}, "t1"),
        ({}, {**OPTIONS, "token": "t2"}, "t2"),
        ({}, {**OPTIONS, "aws_session_token": "t2"}, "t2"),
        ({}, {}, "t3"),
        ({**ENVIRONMENT, "AWS_SESSION_TOKEN": "t1"}, OPTIONS, None),
        (ENVIRONMENT, {}, None),
    ],
)
def test_a_session_token_belongs_to_its_keys(environ, options, token, server, config, monkeypatch):
    config(credentials="[default]\naws_access_key_id = k\naws_secret_access_key = s\naws_session_token = t3\n")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    heard = asked(server, endpoint_url=server.url, **options)
    assert heard.headers.get("x-amz-security-token") == token


def test_files_may_lie_elsewhere(server, bare, tmp_path, monkeypatch):
    (tmp_path / "c").write_text(f"[profile lab]\nregion = eu-west-3\nendpoint_url = {server.url}\n")
    (tmp_path / "s").write_text("[lab]\naws_access_key_id = elsewhere\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "c"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "s"))
    assert signer(asked(server, profile="lab")) == ("elsewhere", "eu-west-3")


@pytest.fixture
def process(tmp_path):
    """A command that tells credentials, as `credential_process` has it, and counts how often it does."""
    script = tmp_path / "tell"
    script.write_text(
        f"#!{sys.executable}\n"
        f"open({str(tmp_path / 'count')!r}, 'a').write('x')\n"
        'print(\'{"Version": 1, "AccessKeyId": "from-process", "SecretAccessKey": "s", "SessionToken": "t"}\')\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def test_a_profile_may_name_a_process(server, config, process):
    config(f"[profile lab]\ncredential_process = {process}\n")
    store = S3Store.open("s3://bucket/lab", {"endpoint_url": server.url, "profile": "lab"})
    for _ in range(3):
        store.read("k")
    assert {signer(heard) for heard in server.heard} == {("from-process", "us-east-1")}
    assert process.with_name("count").read_text() == "x", "it is asked once"
    store.close()


def test_a_profile_may_lean_on_another(server, config, monkeypatch):
    """A role is assumed with the keys of `source_profile`, at the service that grants such."""
    granted = b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
        <Credentials><AccessKeyId>from-role</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
        <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
    config(
        "[profile lab]\nrole_arn = arn:aws:iam::123456789012:role/lab\nsource_profile = default\nregion = eu-west-1\n",
        FILES.replace("[lab]", "[other]"),
    )
    with answering(Reply(200, granted, {"Content-Type": "text/xml"})) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)
        heard = asked(server, endpoint_url=server.url, profile="lab")
        assert "Credential=from-file/" in service.heard[0].headers["authorization"]
    assert signer(heard) == ("from-role", "eu-west-1")


def test_a_process_that_fails_is_named(server, config, tmp_path):
    config(f"[profile lab]\ncredential_process = {sys.executable} -c 'raise SystemExit(3)'\n")
    store = S3Store.open("s3://bucket/lab", {"endpoint_url": server.url, "profile": "lab"})
    with pytest.raises(CredentialsError, match=r"profile 'lab'.*gives no credentials"):
        store.read("k")
    assert server.heard == []


# ------------------------------------------------------------------------------------------------ endpoint and region


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_the_environment_names_the_server(variable, server, bare, monkeypatch):
    monkeypatch.setenv(variable, server.url)
    assert asked(server, **OPTIONS).path == "/bucket/lab/k"


@pytest.mark.parametrize(
    ("environ", "config_text", "options"),
    [
        (
            {"AWS_ENDPOINT_URL": NOBODY, "AWS_ENDPOINT_URL_S3": NOBODY},
            "endpoint_url = {nobody}",
            {"endpoint_url": "{url}"},
        ),
        ({"AWS_ENDPOINT_URL": NOBODY, "AWS_ENDPOINT_URL_S3": "{url}"}, "endpoint_url = {nobody}", {}),
        ({"AWS_ENDPOINT_URL": "{url}"}, "endpoint_url = {nobody}", {}),
        ({}, "endpoint_url = {url}", {}),
        ({}, "endpoint_url = {nobody}\nservices = those\n[services those]\ns3 =\n  endpoint_url = {url}", {}),
        ({"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": NOBODY}, "", {"endpoint_url": "{url}"}),
        ({}, "", {"client_kwargs": {"endpoint_url": "{url}"}}),
    ],
    ids=["option", "the service's variable", "variable", "profile", "services", "ignored", "client_kwargs"],
)
def test_which_server_counts(environ, config_text, options, server, config, monkeypatch):
    def filled(value):
        if isinstance(value, dict):
            return {name: filled(each) for name, each in value.items()}
        return value.format(url=server.url, nobody=NOBODY)

    config("[default]\n" + filled(config_text) + "\n")
    for name, value in environ.items():
        monkeypatch.setenv(name, filled(value))
    assert asked(server, **OPTIONS, **filled(options)).path == "/bucket/lab/k"


@pytest.mark.parametrize(
    ("environ", "options", "region"),
    [
        ({}, {}, "eu-file-1"),
        ({"AWS_DEFAULT_REGION": "eu-default-1"}, {}, "eu-default-1"),
        ({"AWS_DEFAULT_REGION": "eu-default-1", "AWS_REGION": "eu-region-1"}, {}, "eu-region-1"),
        ({"AWS_REGION": "eu-region-1"}, {"region": "eu-option-1"}, "eu-option-1"),
        ({"AWS_REGION": "eu-region-1"}, {"region_name": "eu-option-1"}, "eu-option-1"),
        ({"AWS_REGION": "eu-region-1"}, {"client_kwargs": {"region_name": "eu-option-1"}}, "eu-option-1"),
    ],
)
def test_which_region_counts(environ, options, region, server, config, monkeypatch):
    config("[default]\nregion = eu-file-1\n")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert signer(asked(server, endpoint_url=server.url, **OPTIONS, **options)) == ("from-options", region)


@pytest.mark.parametrize(
    ("options", "config_text", "address"),
    [
        ({}, "", "s3.example.org/bucket/lab/k"),
        ({"addressing_style": "path"}, "", "s3.example.org/bucket/lab/k"),
        ({"addressing_style": "virtual"}, "", "bucket.s3.example.org/lab/k"),
        ({}, "s3 =\n  addressing_style = virtual", "bucket.s3.example.org/lab/k"),
        ({"addressing_style": "path"}, "s3 =\n  addressing_style = virtual", "s3.example.org/bucket/lab/k"),
    ],
)
def test_where_requests_name_the_bucket(options, config_text, address, server, config, monkeypatch):
    config(f"[default]\n{config_text}\n")
    monkeypatch.setenv("HTTP_PROXY", server.url)  # which sees what is asked of servers that do not exist
    heard = asked(server, endpoint_url="http://s3.example.org", **OPTIONS, **options)
    assert heard.path == f"http://{address}"
    assert heard.headers["host"] == address.partition("/")[0]


def test_settings_of_nobody_else_are_heeded(server, bare, monkeypatch):
    """The client below has variables of its own, which no tool of AWS knows."""
    for name in ("AWS_SKIP_SIGNATURE", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "AWS_UNSIGNED_PAYLOAD", "AWS_S3_EXPRESS"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("AWS_ENDPOINT", NOBODY)
    monkeypatch.setenv("AWS_BUCKET", "another")
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    heard = asked(server, endpoint_url=server.url, **OPTIONS)
    assert heard.path == "/bucket/lab/k"
    assert signer(heard) == ("from-options", "us-east-1")


# ------------------------------------------------------------------------------------------------------------------ TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority's certificate, and a server's with its key."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("way", ["ca_bundle", "verify", "AWS_CA_BUNDLE", "profile"])
def test_an_authority_of_ones_own(way, bucket, bare, certificates, monkeypatch):
    authority, server = certificates
    options = {**bucket.storage_options}
    with answering(passing_on(bucket.server.url), server) as front:
        options["endpoint_url"] = front.url
        if way == "AWS_CA_BUNDLE":
            monkeypatch.setenv(way, str(authority))
        elif way == "profile":
            (bare / ".aws" / "config").write_text(f"[default]\nca_bundle = {authority}\n")
        else:
            options[way] = str(authority)
        store = S3Store.open(bucket.url, options)
        store.create("k", b"over TLS")
        assert store.read("k") == b"over TLS"
        assert store.path("k").read_bytes() == b"over TLS"
        store.close()
    assert bucket.raw_read("k") == b"over TLS"


def test_a_certificate_that_nobody_vouches_for_is_said_at_once(bucket, bare, certificates):
    _, server = certificates
    with answering(passing_on(bucket.server.url), server) as front:
        store = S3Store.open(bucket.url, {**bucket.storage_options, "endpoint_url": front.url})
        with pytest.raises(MolexpError, match=r"certificate.*ca_bundle") as caught:
            store.create("k", b"x")
        assert not isinstance(caught.value, UnavailableError), "which would mean that it may pass"
        store.close()
    assert bucket.raw_keys() == set()


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_a_bundle_that_cannot_be_read_is_named(content, tmp_path, bare):
    if content:
        (tmp_path / "bundle.pem").write_text(content)
    store = S3Store.open("s3://bucket/lab", {**OPTIONS, "ca_bundle": str(tmp_path / "bundle.pem")})
    with pytest.raises((ValueError, MolexpError), match=r"bundle\.pem"):
        store.read("k")


# ----------------------------------------------------------------------------------------------------- what makes no sense


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"endpoint": "http://x"}, TypeError, "no option 'endpoint'; it knows .*endpoint_url"),
        ({"client_kwargs": {"verfy": "x"}}, TypeError, "no option 'verfy'"),
        ({"client_kwargs": "x"}, TypeError, "client_kwargs"),
        ({"key": "k"}, ValueError, "belong together"),
        ({"secret": "s"}, ValueError, "belong together"),
        ({"token": "t"}, ValueError, "session_token belongs"),
        ({"key": "k", "access_key_id": "k", "secret": "s"}, TypeError, "another name for 'access_key_id'"),
        ({"endpoint_url": "http://x", "client_kwargs": {"endpoint_url": "http://y"}}, TypeError, "endpoint_url"),
        ({"anon": True, **OPTIONS}, ValueError, "exclude each other"),
        ({"anon": True, "profile": "lab"}, ValueError, "exclude each other"),
        ({"anon": "yes"}, TypeError, "not a bool"),
        ({"endpoint_url": "s3.example.org"}, ValueError, "not a URL like"),
        ({"endpoint_url": "https://me:secret@s3.example.org"}, ValueError, "carries credentials"),
        ({"addressing_style": "virtually"}, ValueError, "auto, path, virtual"),
        ({"retry_timeout": 0}, ValueError, "seconds above 0"),
        ({"request_timeout": "1"}, ValueError, "seconds above 0"),
        ({"max_concurrency": 0}, ValueError, "max_concurrency"),
        ({"secret": 5, "key": "k"}, TypeError, r"secret_access_key=\.\.\. is not a text"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_once(options, error, said):
    with pytest.raises(error, match=said) as caught:
        S3Store.open("s3://bucket/lab", options)
    assert "secret@" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///x",
        "s3://key:secret@bucket/lab",
        "s3://bucket/../x",
        "s3://bucket/a\\b",
        "s3://bucket/lab?region=x&secret=y",
    ],
)
def test_urls_that_make_no_sense_are_refused_at_once(url):
    with pytest.raises(ValueError, match=r"s3://BUCKET/PREFIX|credentials|segment|storage\.toml") as caught:
        S3Store.open(url, {})
    assert "secret" not in str(caught.value)


def test_a_profile_that_is_not_there_is_named(config, monkeypatch):
    config("[profile lab]\nregion = eu-west-1\n")
    with pytest.raises((ValueError, MolexpError), match="no profile 'lob'"):
        S3Store.open("s3://bucket/lab", {"profile": "lob"}).read("k")
    monkeypatch.setenv("AWS_PROFILE", "lub")
    with pytest.raises((ValueError, MolexpError), match="no profile 'lub'"):
        S3Store.open("s3://bucket/lab", {}).read("k")


def test_half_of_the_keys_in_the_environment_are_not_taken_for_none(server, bare, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CredentialsError, match="AWS_SECRET_ACCESS_KEY"):
        S3Store.open("s3://bucket/lab", {"endpoint_url": server.url}).read("k")
    assert server.heard == []


def test_no_option_shows_a_secret():
    store = S3Store.open("s3://bucket/lab", {"key": "k", "secret": "hidden-4711", "token": "hidden-4712"})
    assert "hidden" not in f"{store!r}{store!s}{vars(store)!r}"
