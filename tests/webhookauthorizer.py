"""A webhook authorizer, as a process of its own: `python webhookauthorizer.py CERTIFICATE KEY`; says its port.

It allows user `hook-allowed` everything, denies user `hook-denied` everything, and has no opinion of anybody else.
"""

from __future__ import annotations

import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REASON = "the policy of the house says no"


class Authorizer(BaseHTTPRequestHandler):
    """Answers SubjectAccessReviews."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:  # the name that http.server calls
        """Decide."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        user = review["spec"].get("user", "")
        status: dict[str, object] = {"allowed": user == "hook-allowed"}
        if user == "hook-denied":
            status |= {"denied": True, "reason": REASON}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "status": status}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each."""


def main() -> None:
    """Serve until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Authorizer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
