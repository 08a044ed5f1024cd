"""Calls the service with a certificate and a token, as docs/callers.md says.

Usage: credentials.py FETCHD ROOT

FETCHD is the binary, and ROOT the folder of the project. The files come from
deploy/secrets.sh. The commands and the Python code of the page are run as they are
printed, with another folder, a local origin and a port of localhost. Without the token,
or without the certificate, the Python client must fail.
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

from fetchd import Client

from readme import Origin, commands
from samples import blocks
from service import start_service


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


def check_python(text, origin):
    """Makes the client of the page, then one without a token and one without a certificate."""
    scope = {}
    [code] = [block for block in blocks(text, "python") if "from fetchd" in block]
    exec(code, scope)
    [result] = scope["client"].fetch_all([origin])
    assert result.status_code == 200, result.error
    endpoint = re.search(r'"(https://\S+)",$', code, re.MULTILINE)[1]
    files = {"tls_ca": "ca.crt", "tls_cert": "tls.crt", "tls_key": "tls.key"}
    files = {name: f"{scope['FOLDER']}/{file}" for name, file in files.items()}
    for settings, reason in [(files, "CALL_FAILED"), ({"tls_ca": files["tls_ca"]}, "SERVICE_LOST")]:
        with Client(endpoint, give_up_after=1, **settings) as client:
            [result] = client.fetch_all([origin])
        assert result.error and result.error.reason == reason, result.error


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
            check_python(text, origin)
        finally:
            service.kill()
            service.wait()
    print("the commands and the Python code of docs/callers.md work with TLS and a token")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve())
