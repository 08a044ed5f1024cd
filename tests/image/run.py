"""Runs the image as Kubernetes would, and checks that fetchd works in it.

Usage: run.py FOLDER FETCHD

FOLDER is that of `build`, with the images and the CA. FETCHD is a binary that calls the
service. The test needs a network namespace of its own, which the containers share.

The container has no capability, no user but its numeric one, and no file that it could
write. It must be SERVING within a second, fetch a batch, keep its promise to drain, and
fit the limits of size and memory below.
"""

import contextlib
import http.server
import json
import pathlib
import re
import ssl
import subprocess
import sys
import threading
import time

# Measured on two cores: 17.7 MB, 0.03 to 0.2 s, and 10 MiB.
MAX_SIZE = 25_000_000
MAX_START = 1.0
MAX_IDLE_MEMORY = 32 << 20
COUNT = 200
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
BEGIN = "-----BEGIN CERTIFICATE-----"


def output(*command):
    """Runs a command, and returns its standard output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stderr}"
    return done.stdout.strip()


def wait_until(condition, what, limit=10):
    """Polls `condition` until it is true, and returns the seconds that it took."""
    started = time.monotonic()
    while not condition():
        elapsed = time.monotonic() - started
        assert elapsed < limit, f"expected {what} within {limit} s"
        time.sleep(0.002)
    return time.monotonic() - started


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers every request, but those to /held only when `release` is set."""

    protocol_version = "HTTP/1.1"
    release = threading.Event()
    held = threading.Semaphore(0)

    def do_GET(self):
        if self.path.startswith("/held"):
            self.held.release()
            self.release.wait(60)
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class OriginServer(http.server.ThreadingHTTPServer):
    """Serves each connection in a thread, with a backlog for all of them."""

    daemon_threads = True
    request_queue_size = COUNT

    def handle_error(self, *_):
        pass  # A caller that does not trust the certificate closes its connection.


def start_origin(tls=None):
    """Starts an origin, with the certificate of the folder `tls` if there is one."""
    server = OriginServer(("127.0.0.1", 0), Origin)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "origin.pem", tls / "origin.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"


class Image:
    """An image in the storage of buildah."""

    def __init__(self, folder, name):
        self.buildah = ["buildah", "--root", folder / "root", "--runroot", folder / "runroot"]
        self.buildah += ["--storage-driver", (folder / "driver").read_text()]
        image = json.loads(output(*self.buildah, "inspect", "--type", "image", name))
        self.config = image["OCIv1"]["config"]
        # Those of a test that was stopped.
        output(*self.buildah, "rm", "--all")
        container = output(*self.buildah, "from", "--pull-never", name)
        self.root = pathlib.Path(output(*self.buildah, "mount", container))

    def files(self):
        """Returns the paths and the sizes of the files."""
        return {
            str(path.relative_to(self.root)): path.stat().st_size
            for path in self.root.rglob("*")
            if not path.is_dir()
        }

    def close(self):
        output(*self.buildah, "rm", "--all")


class Container:
    """A running container. It has the limits that a strict cluster would set."""

    def __init__(self, folder, image, fetchd):
        self.runtime = ["runc", "--root", folder / "runc"]
        self.fetchd = fetchd
        # That of a test that was stopped.
        subprocess.run([*self.runtime, "delete", "--force", "fetchd"], capture_output=True)
        bundle = folder / "bundle"
        bundle.mkdir(exist_ok=True)
        (bundle / "config.json").write_text(json.dumps(self.specification(image)))
        pid = bundle / "pid"
        pid.unlink(missing_ok=True)
        self.log = open(bundle / "log", "w+")
        self.process = subprocess.Popen(
            [*self.runtime, "run", "--bundle", bundle, "--pid-file", pid, "fetchd"],
            stdin=subprocess.DEVNULL,
            stderr=self.log,
        )
        self.start = wait_until(self.serving, "the service to be SERVING")
        self.pid = int(pid.read_text())

    @staticmethod
    def specification(image):
        user, group = image.config["User"].split(":")
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": int(user), "gid": int(group)},
                "args": image.config["Entrypoint"] + image.config["Cmd"],
                "env": image.config["Env"] + ["FETCHD_ALLOW_NET=127.0.0.0/8"],
                "cwd": "/",
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "root": {"path": str(image.root), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]},
            ],
            "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]},
        }

    def serving(self):
        """Returns true if the service is SERVING, as seen from outside."""
        exited = self.process.poll()
        assert exited is None, f"the container exited with {exited}\n{self.logged()}"
        return subprocess.run([self.fetchd, "health"], capture_output=True).returncode == 0

    def logged(self):
        self.log.seek(0)
        return self.log.read()

    def status(self, name):
        """Returns a line of the status that the kernel keeps of the process."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return dict(line.split(":\t", 1) for line in status.splitlines())[name].split()

    def memory(self):
        return int(self.status("VmRSS")[0]) << 10

    def run(self, *command):
        return output(*self.runtime, "exec", "fetchd", *command)

    def get(self, *arguments):
        """Starts `fetchd get` through the service."""
        command = [self.fetchd, "get", "--quiet", "--server", "http://127.0.0.1:50051"]
        return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)

    def terminate(self):
        output(*self.runtime, "kill", "fetchd", "TERM")

    def close(self):
        if self.process.poll() is None:
            subprocess.run([*self.runtime, "kill", "fetchd", "KILL"], capture_output=True)
            self.process.wait(timeout=10)
        self.log.close()


def results(get):
    """Waits for `fetchd get`, and returns the status or the reason of each result."""
    lines = get.communicate(timeout=60)[0].splitlines()
    return [line.get("status") or line["error"]["reason"] for line in map(json.loads, lines)]


def check_contents(image, folder, trusted):
    """Checks the files and the labels of an image, and returns its size."""
    files = image.files()
    assert sorted(files) == [CERTIFICATES, "fetchd"], f"unexpected files: {sorted(files)}"
    size = sum(files.values())
    assert size < MAX_SIZE, f"expected less than {MAX_SIZE} bytes, got {size}"
    roots = (image.root / CERTIFICATES).read_text()
    assert roots.count(BEGIN) > 100, f"expected the public roots, got {roots.count(BEGIN)}"
    ca = (folder / "ca" / "ca.pem").read_text()
    assert (ca in roots) == trusted, f"expected a CA of the build in the image: {trusted}"
    # Kubernetes refuses to run a name as non-root, since it might be root's.
    user = image.config.get("User", "")
    assert re.fullmatch("[1-9][0-9]*:[1-9][0-9]*", user), f"expected a numeric user, got {user!r}"
    for label in "title description source licenses version revision created".split():
        name = f"org.opencontainers.image.{label}"
        assert image.config["Labels"].get(name), f"expected a value for the label {name}"
    return size


def check_confinement(container):
    """Checks that the container is as confined as it was meant to be."""
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert container.status(name) == ["0" * 16], f"{name}: {container.status(name)}"
    assert container.status("Uid") == ["65532"] * 4, container.status("Uid")
    assert container.status("NoNewPrivs") == ["1"], container.status("NoNewPrivs")
    mounts = pathlib.Path(f"/proc/{container.pid}/mountinfo").read_text().splitlines()
    fields = [line.split() for line in mounts]
    assert ["ro" in line[5].split(",") for line in fields if line[4] == "/"] == [True], mounts


def check_drain(container, origin):
    """Stops the container while a batch is open, whose requests must finish."""
    get = container.get(*(f"{origin}/held/{index}" for index in range(COUNT // 10)))
    for _ in range(COUNT // 10):
        assert Origin.held.acquire(timeout=10), "expected the requests to reach the origin"
    container.terminate()
    wait_until(lambda: not container.serving(), "the service to report that it drains")
    Origin.release.set()
    got = results(get)
    assert got == [200] * (COUNT // 10), f"expected the open batch to finish, got {got}"
    code = container.process.wait(timeout=10)
    assert code == 0, f"expected exit code 0 after SIGTERM, got {code}\n{container.logged()}"


def main(folder, fetchd):
    output("ip", "link", "set", "lo", "up")
    origin, tls_origin = start_origin(), start_origin(folder)
    with contextlib.closing(Image(folder, "fetchd")) as image:
        size = check_contents(image, folder, trusted=False)
        with contextlib.closing(Container(folder, image, fetchd)) as container:
            idle = container.memory()
            check_confinement(container)
            container.run("/fetchd", "health")
            got = results(container.get(*(f"{origin}/{index}" for index in range(COUNT))))
            assert got == [200] * COUNT, got
            busy = container.memory()
            got = results(container.get(tls_origin))
            assert got == ["TLS"], f"expected the build's CA not to be trusted, got {got}"
            check_drain(container, origin)
    with contextlib.closing(Image(folder, "fetchd-trusting")) as image:
        check_contents(image, folder, trusted=True)
        with contextlib.closing(Container(folder, image, fetchd)) as container:
            got = results(container.get(tls_origin))
            assert got == [200], f"expected the build's CA to be trusted, got {got}"
    print(
        f"{size / 1e6:.1f} MB, SERVING after {container.start:.3f} s, "
        f"{idle / 2**20:.1f} MiB idle, {busy / 2**20:.1f} MiB after {COUNT} URLs"
    )
    assert container.start < MAX_START, f"expected to be SERVING within {MAX_START} s"
    assert idle < MAX_IDLE_MEMORY, f"expected less than {MAX_IDLE_MEMORY} bytes of memory"


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2])
