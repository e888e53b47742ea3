"""A fake Kubernetes API server that tells a pod what it may do, over HTTPS on this machine.

Reviews are created with POST and answered with 201 and their status; a wrong token gets 401 (Kubernetes API reference,
SelfSubjectAccessReview). Tokens of service accounts are JSON Web Tokens whose subject is
system:serviceaccount:NAMESPACE:NAME (Kubernetes documentation, "Managing Service Accounts").
"""

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.servers.loopback import serving_requests

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass
class Kubernetes:
    """A running fake.

    Attributes:
        port: Its port on localhost.
        service_account: The folder that a pod finds its token and the server's certificate in.
        allowed: What may be created, by namespace and resource.
    """

    port: int
    service_account: Path
    allowed: set[tuple[str, str]] = field(default_factory=set)


def token(subject: str, audience: str) -> str:
    """Returns a token as Kubernetes issues it to service accounts, without a valid signature."""
    payload = json.dumps({"sub": subject, "aud": [audience]}).encode()
    return f"e30.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.signature"


@contextlib.contextmanager
def running_kubernetes(folder: Path, certificate: Path, subject: str) -> Iterator[Kubernetes]:
    """Runs the server during the block.

    Args:
        folder: Where to make the pod's folder.
        certificate: Folder of cert.pem and key.pem, for localhost.
        subject: The pod's identity.
    """
    own = token(subject, "https://kubernetes.default.svc")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = self.path == _REVIEWS and self.headers["Authorization"].casefold() == f"bearer {own}".casefold()
            attributes = body["spec"]["resourceAttributes"]
            asked = (attributes["namespace"], attributes["resource"])
            allowed = attributes["group"] == "pipelines.kubeflow.org" and attributes["verb"] == "create"
            self.send_response(201 if known else 401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            answer = {**body, "status": {"allowed": allowed and asked in kubernetes.allowed}}
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    with serving_requests(Handler, certificate) as port:
        kubernetes = Kubernetes(port, folder / "serviceaccount")
        kubernetes.service_account.mkdir()
        (kubernetes.service_account / "token").write_text(own)
        (kubernetes.service_account / "ca.crt").write_bytes((certificate / "cert.pem").read_bytes())
        yield kubernetes
