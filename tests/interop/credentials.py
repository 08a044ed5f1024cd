"""Calls the service with a certificate and a token, as docs/callers.md says.

Usage: credentials.py FETCHD ROOT

FETCHD is the binary, and ROOT the folder of the project. The files come from
deploy/secrets.sh. The commands and the Python code of the page are run as they are
printed, with another folder, a local origin and a port of localhost. Without the token,
or without the certificate, the Python call must fail.
"""

import http.server
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

import grpc

from fetch import generate_client, start_service
from readme import Origin, blocks, commands


def check_commands(text, folder, environment):
    """Runs the commands of the page."""
    checked = 0
    for command, _ in commands(text):
        if command.startswith("grpcurl") and not shutil.which("grpcurl", path=environment["PATH"]):
            print("skipped, since there is no grpcurl:", command)
        elif not command.startswith("cd "):
            options = {"cwd": folder, "env": environment, "timeout": 60}
            done = subprocess.run(command, shell=True, capture_output=True, text=True, **options)
            assert done.returncode == 0, f"{command}: {done.stderr}"
            assert "200" in done.stdout or "SERVING" in done.stdout, done.stdout
            checked += 1
    assert checked >= 2, "there are fewer commands than expected"


def check_python(text, origin, modules):
    """Makes the channel of the page, then one without a token and one without a certificate."""
    scope = {}
    for code in blocks(text, "python"):
        exec(code, scope)
    target = re.search(r'"(dns:///\S+)", credentials', text)[1]
    ca = (scope["FOLDER"] / "ca.crt").read_bytes()
    assert call(scope["channel"], origin, modules) == 200
    for credentials, code in [
        (scope["tls"], grpc.StatusCode.UNAUTHENTICATED),
        (grpc.ssl_channel_credentials(ca), grpc.StatusCode.UNAVAILABLE),
    ]:
        try:
            call(grpc.secure_channel(target, credentials), origin, modules)
        except grpc.RpcError as error:
            assert error.code() == code, error
        else:
            raise AssertionError(f"expected {code}")


def call(channel, origin, modules):
    """Fetches the origin, and returns the status of its response."""
    messages, services = modules
    batch = messages.FetchBatchRequest(requests=[messages.FetchRequest(url=origin)])
    with channel:
        stub = services.FetchServiceStub(channel)
        parts = [part for message in stub.FetchBatch(batch, timeout=10) for part in message.parts]
    return max(part.head.status for part in parts)


def main(binary, root):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    origin = f"http://127.0.0.1:{server.server_port}/"
    with tempfile.TemporaryDirectory() as made:
        secrets = [root / "deploy/secrets.sh", made, "crawler"]
        subprocess.run(secrets, check=True, stdout=subprocess.DEVNULL)
        settings = {
            "TLS_CERT": f"{made}/server/tls.crt",
            "TLS_KEY": f"{made}/server/tls.key",
            "TLS_CLIENT_CA": f"{made}/ca.crt",
            "AUTH_TOKEN_FILE": f"{made}/tokens",
        }
        environment = dict(os.environ, **{f"FETCHD_{name}": v for name, v in settings.items()})
        service, address = start_service([binary, "serve"], env=environment)
        try:
            folder = f"{made}/callers/crawler"
            text = (root / "docs/callers.md").read_text().replace("/etc/fetchd", folder)
            text = text.replace("https://example.com/", origin)
            host = address.replace("127.0.0.1", "localhost")
            text = re.sub(r"fetchd(-headless)?\.fetchd\.svc:50051", host, text)
            environment["PATH"] = f"{binary.parent}:{environment['PATH']}"
            check_commands(text, folder, environment)
            check_python(text, origin, generate_client(root / "proto"))
        finally:
            service.kill()
            service.wait()
    print("the commands and the Python code of docs/callers.md work with TLS and a token")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve())
