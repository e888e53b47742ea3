"""What Google's services share, on this machine: a certificate, a service account, tokens, a container registry."""

import contextlib
import datetime
import ipaddress
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from google.auth import jwt
from google.oauth2 import credentials

from tests.servers.loopback import serving_requests

PROJECT = "flowers-prod"
_EMAIL = f"runner@{PROJECT}.iam.gserviceaccount.com"
_TOKEN = "token-of-the-server"
# The audience of every request for a token.
_AUDIENCE = "https://oauth2.googleapis.com/token"


@dataclass
class Google:
    """A running fake.

    Attributes:
        folder: Holds the certificate (cert.pem, key.pem) and the account's key file (account.json).
        url: Where tokens and container images are served.
        public_key: The account's public key, PEM.
        container_images: What the registry holds: "petalflow/cpu:0.1.0".
        revoked: True if neither the account's key nor the user's refresh token is accepted any longer.
        tired: True if tokens cannot be had for the moment.
    """

    folder: Path
    url: str = ""
    public_key: bytes = b""
    container_images: set[str] = field(default_factory=set)
    revoked: bool = False
    tired: bool = False

    @property
    def user(self) -> credentials.Credentials:
        """Credentials as `gcloud auth application-default login` makes them, which must ask for a token first."""
        known = {"refresh_token": "1//r", "client_id": "c", "client_secret": "s"}
        return credentials.Credentials(None, token_uri=f"{self.url}/token", **known)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that make a process and its children trust the certificate and use the account."""
        certificate = str(self.folder / "cert.pem")
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.folder / "account.json"),
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": certificate,
            "REQUESTS_CA_BUNDLE": certificate,
            "NO_GCE_CHECK": "true",
        }

    @property
    def registry(self) -> str:
        """What the names of container images begin with."""
        return f"{self.url.removeprefix('https://')}/petalflow"

    def knows(self, authorization: str) -> bool:
        """Returns True if a request's Authorization header is the account's."""
        token = authorization.removeprefix("Bearer ")
        if token == _TOKEN:
            return True
        try:
            return bool(jwt.decode(token, certs=self.public_key)["iss"] == _EMAIL)
        except ValueError:
            return False


@contextlib.contextmanager
def running_google(folder: Path) -> Iterator[Google]:
    """Serves tokens and container images over HTTPS for the block's time."""
    google = Google(folder)
    _write_certificate(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            if google.tired:
                self._answer(503, {"error": "service_unavailable", "error_description": "try later"})
                return
            if form["grant_type"] == ["refresh_token"]:
                # RFC 6749, 5.2; the description is seen where a refresh token was revoked or has expired.
                bad = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
                good = {"access_token": _TOKEN, "expires_in": 3600, "token_type": "Bearer"}
                self._answer(400, bad) if google.revoked else self._answer(200, good)
                return
            asked = jwt.decode(form["assertion"][0], certs=google.public_key)
            if google.revoked or self.path != "/token" or asked["aud"] != _AUDIENCE or not asked["scope"]:
                self._answer(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
            else:
                self._answer(200, {"access_token": _TOKEN, "expires_in": 3600, "token_type": "Bearer"})

        def do_HEAD(self) -> None:
            _, version, *name, kind, tag = self.path.split("/")
            there = version == "v2" and kind == "manifests" and f"{'/'.join(name)}:{tag}" in google.container_images
            self.send_response(200 if there else 404)
            self.end_headers()

        def _answer(self, status: int, value: object) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with serving_requests(Handler, folder) as port:
        google.url = f"https://localhost:{port}"
        google.public_key = _write_account(folder, google.url)
        yield google


def _write_account(folder: Path, url: str) -> bytes:
    """Writes a service account's key file; returns the public key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "client_email": _EMAIL,
        "private_key_id": "1",
        "private_key": _private(key).decode(),
        "token_uri": f"{url}/token",
    }
    (folder / "account.json").write_text(json.dumps(account))
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _write_certificate(folder: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(_private(key))


def _private(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
