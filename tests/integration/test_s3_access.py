"""Where an S3 server is and as whom it is asked: certificates of one's own, profiles, and a base store with its own."""

import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import polars as pl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from resources.errors import StoreError
from resources.settings import load_settings
from resources.storage import refs
from resources.storage.datasets import read_frame, write_table
from resources.storage.files import file_path, put_bytes
from resources.storage.object_store import ObjectStore
from resources.workspace import open_workspace
from tests.integration.ports import on_free_ports
from tests.integration.seaweed import BUCKET, GRPC_APART, PORT_NAMES, Seaweed, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PROFILE = """
[profile production]
endpoint_url = {endpoint}
region = us-east-1
aws_access_key_id = {key}
aws_secret_access_key = {secret}
{more}
"""


@dataclass(frozen=True)
class Secured:
    """A server that speaks TLS with a certificate that no system trusts."""

    server: Seaweed
    endpoint: str
    authority: Path


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Make an authority and a certificate of 127.0.0.1 by it; return the files of both, and that of the key."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("an authority", "a server")]
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    now, found = datetime.now(UTC), list[Path]()
    for name, key, is_authority in zip(names, keys, (True, False), strict=True):
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(address, critical=False)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(keys[0], hashes.SHA256())
        )
        found.append(folder / f"{'authority' if is_authority else 'server'}.pem")
        found[-1].write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(keys[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return found[0], found[1], folder / "key.pem"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    authority, pem, key = certificates(folder)

    @contextmanager
    def start(ports: list[int]) -> Iterator[Secured]:
        *plain, https = ports
        options = (f"-s3.cert.file={pem}", f"-s3.key.file={key}", f"-s3.port.https={https}")
        named = dict(zip(PORT_NAMES, plain, strict=True))
        with serving(Path(tempfile.mkdtemp(dir=folder)), named, *options) as server:
            yield Secured(server=server, endpoint=f"https://127.0.0.1:{https}", authority=authority)

    with on_free_ports(start, count=len(PORT_NAMES) + 1, apart=GRPC_APART) as found:
        yield found


@pytest.fixture
def profile(secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what writes the profile `production` of the secured server, with more lines."""

    def write(more: str) -> None:
        text = PROFILE.format(
            endpoint=secured.endpoint, key=secured.server.access_key, secret=secured.server.secret_key, more=more
        )
        (tmp_path / "config").write_text(text, encoding="ascii")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)

    return write


def test_a_server_with_a_certificate_of_its_own_is_reached_by_the_bundle_that_vouches_for_it(
    secured, tmp_path, monkeypatch
):
    for name, value in secured.server.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", secured.endpoint)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    with pytest.raises(StoreError, match=r"certificate of its authority, a PEM file, by AWS_CA_BUNDLE") as refused:
        ObjectStore(f"s3://{BUCKET}/tls", cache=tmp_path, retries=0).put("key", b"value")
    assert secured.server.secret_key not in str(refused.value)

    monkeypatch.setenv("AWS_CA_BUNDLE", str(secured.authority))
    store = ObjectStore(f"s3://{BUCKET}/tls", cache=tmp_path)

    large = secrets.token_bytes(9 * 2**20)
    assert file_path(store, put_bytes(store, large)).read_bytes() == large


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot read AWS_CA_BUNDLE"),
        (b"no certificate", r"AWS_CA_BUNDLE .*bundle.pem holds no certificate"),
        (b"\xff", "cannot read"),
    ],
)
def test_a_bundle_that_is_none_is_refused_by_its_name(secured, tmp_path, monkeypatch, content, told):
    for name, value in secured.server.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", secured.endpoint)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "bundle.pem"))
    if content is not None:
        (tmp_path / "bundle.pem").write_bytes(content)

    with pytest.raises(StoreError, match=rf"{told}.*PEM"):
        ObjectStore(f"s3://{BUCKET}/tls", cache=tmp_path / "cache").get("key")


def test_a_base_store_on_another_server_is_read_by_its_own_profile_and_ones_own_store_by_the_environment(
    secured, profile, s3_url, tmp_path
):
    profile(f"ca_bundle = {secured.authority}")
    theirs, url = pl.DataFrame({"n": range(100)}), f"s3://{BUCKET}/{secrets.token_hex(4)}"
    production = ObjectStore(url, cache=tmp_path / "there", profile="production")
    digest = write_table(production, theirs, scratch=tmp_path / "scratch")
    refs.save(production, "main", ("bike", "raw"), None, digest)

    given = {"PENSTOCK_HOME": str(tmp_path / "home"), "PENSTOCK_STORE": url, "PENSTOCK_BASE_STORE": url}
    store = open_workspace(load_settings(given | {"PENSTOCK_BASE_PROFILE": "production"})).store

    assert read_frame(store, refs.load(store, "main", ("bike", "raw"), None).digest).equals(theirs)
    mine = write_table(store, theirs.head(5), scratch=tmp_path / "scratch")
    assert ObjectStore(url, cache=tmp_path / "cache").exists(f"objects/{mine.digest[:2]}/{mine.digest}")
    assert not production.exists(f"objects/{mine.digest[:2]}/{mine.digest}")


def test_a_profile_that_is_missing_or_without_credentials_is_named(profile, tmp_path, monkeypatch):
    profile("")
    with pytest.raises(StoreError, match=r"profile 'staging' .* could not be found; add it to ~/.aws/config"):
        ObjectStore(f"s3://{BUCKET}/x", cache=tmp_path, profile="staging").get("key")

    (tmp_path / "config").write_text("[profile empty]\nregion = us-east-1\n", encoding="ascii")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(StoreError, match=r"no S3 credentials: give profile 'empty' of the AWS configuration some"):
        ObjectStore(f"s3://{BUCKET}/x", cache=tmp_path, profile="empty").get("key")
