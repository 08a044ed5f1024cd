"""Starts the real binary with the settings of a Deployment, and asks for its probes."""

import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

TIMEOUT = 20

# The start of an HTTP/2 connection, with empty settings.
OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def problems(fetchd, deploy, rendered):
    """Yields what is wrong with a service that has these settings.

    The listeners get free ports on loopback, and the files of Secrets are those that
    secrets.sh makes.
    """
    settings = rendered.settings()
    with tempfile.TemporaryDirectory() as folder:
        command = [deploy / "secrets.sh", folder, "caller"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        mounted = {"tls.crt": "server/tls.crt", "tls.key": "server/tls.key"}
        for name, value in settings.items():
            if value.startswith("/etc/fetchd/"):
                file = pathlib.PurePath(value).name
                settings[name] = str(pathlib.Path(folder, mounted.get(file, file)))
        for listener in ("FETCHD_LISTEN", "FETCHD_ADMIN_LISTEN"):
            if settings[listener] != "off":
                settings[listener] = "127.0.0.1:0"
        # Without the delay, the test would wait for it.
        settings["FETCHD_DRAIN_DELAY"] = "0s"
        process = subprocess.Popen(
            [fetchd, *rendered.container["args"]],
            env={"PATH": os.environ["PATH"], **settings},
            stderr=subprocess.PIPE,
            text=True,
        )
        # Ends a process that neither starts nor stops, and with it the wait for its lines.
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        try:
            yield from lifetime(process, rendered, folder)
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()


def self_test(fetchd, deploy, production):
    """Yields the mistakes in settings and probes that aren't noticed."""

    def setting(name, value):
        return lambda r: r.config_map()["data"].update({name: value})

    for number, change in enumerate(
        [
            setting("FETCHD_MAX_IN_FLIGHT", "many"),
            setting("FETCHD_MAX_BATCHES", "1024"),
            setting("FETCHD_MAX_BATCH", "1"),
            setting("FETCHD_TLS_KEY", "/etc/fetchd/tls/ca.crt"),
            setting("FETCHD_TLS_CLIENT_CA", ""),
            setting("FETCHD_OTLP_ENDPOINT", "collector:4317"),
            setting("FETCHD_AUTH_TOKEN_FILE", "/etc/fetchd/auth/token"),
            lambda r: r.container["readinessProbe"]["httpGet"].update(path="/ready"),
            lambda r: r.container.update(args=["server"]),
        ]
    ):
        if not list(problems(fetchd, deploy, production.changed(change))):
            yield f"mistake {number + 1} in the settings is not noticed"


def lifetime(process, rendered, folder):
    """Yields the problems between the start of the process and its end."""
    seen = []
    for line in process.stderr:
        seen.append(line)
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if "ignoring the environment variable" in entry["message"]:
            yield entry["message"]
        if entry["message"] == "serving":
            break
    else:
        yield f"it does not start: {''.join(seen)}"
        return
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        if "httpGet" in rendered.container[name]:
            path = rendered.container[name]["httpGet"]["path"]
            try:
                probe(f"http://{entry['admin']}{path}")
            except OSError as error:
                yield f"{name}: {path}: {error}"
    if "FETCHD_TLS_CERT" in rendered.settings():
        host, port = entry["address"].rsplit(":", 1)
        if not speaks_http2((host, int(port)), folder, f"{folder}/callers/caller"):
            yield "a caller with a certificate gets no answer"
        if speaks_http2((host, int(port)), folder, None):
            yield "a caller without a certificate gets an answer"
    process.send_signal(signal.SIGTERM)
    for _ in process.stderr:
        pass
    if process.wait() != 0:
        yield f"it ended with {process.returncode} after SIGTERM"


def probe(url):
    """Waits until the answer is 200. As long as it is 503, the service is about to be ready."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            return urllib.request.urlopen(url, timeout=TIMEOUT).close()
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def speaks_http2(address, folder, certificate):
    """Returns true if the service answers a caller with this certificate over TLS."""
    context = ssl.create_default_context(cafile=f"{folder}/ca.crt")
    context.set_alpn_protocols(["h2"])
    if certificate:
        context.load_cert_chain(f"{certificate}/tls.crt", f"{certificate}/tls.key")
    try:
        with socket.create_connection(address, TIMEOUT) as tcp:
            with context.wrap_socket(tcp, server_hostname="fetchd.fetchd.svc") as tls:
                tls.sendall(OPENING)
                return tls.recv(9) != b""
    except OSError:
        return False
