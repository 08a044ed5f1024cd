"""An origin that behaves well and badly, over HTTP and HTTPS, with kept connections."""

import http.server
import pathlib
import ssl
import subprocess
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self):
        kind, _, argument = self.path[1:].partition("/")
        if kind == "cut":
            self.close_connection = True
            return
        if kind == "slow":
            time.sleep(float(argument))
        status = int(argument) if kind == "status" else 302 if kind == "redirect" else 200
        self.send_response(status)
        body = b"" if status in (204, 304) else b"x" * 10_000
        self.send_header("Content-Length", str(len(body)))
        if status == 302:
            self.send_header("Location", f"/{argument}")
        if status in (429, 503):
            self.send_header("Retry-After", "0")
        if kind == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1000

    def handle_error(self, *_):
        """A connection that the service closes early is no error."""


def certificate(folder):
    """Makes a certificate for localhost, which is its own root."""
    cert, key = pathlib.Path(folder, "origin.crt"), pathlib.Path(folder, "origin.key")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    options = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    options += ["-addext", "basicConstraints=critical,CA:FALSE", "-out", cert, "-keyout", key]
    subprocess.run([*command.split(), *options], check=True, capture_output=True)
    return cert, key


def start(certificate=None):
    """Starts an origin, and returns its port."""
    server = Server(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        # The handshake is up to the connection's thread.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port
