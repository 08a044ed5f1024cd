"""Runs the commands and the Python sample of the README as they are printed.

Usage: readme.py FETCHD ROOT

FETCHD is the binary, and ROOT the folder of the README. Only what needs another network
or would build the project again is replaced: `cargo run --release --` by FETCHD, the
host names of the samples by a local origin, and the port of the service by a free one.
"""

import http.server
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading

from samples import blocks, commands
from service import start_service


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers every request with a short page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b"<html></html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


def shape(line):
    """Returns the keys of a JSON object, in order, with those of the objects in it."""
    def keys(value):
        if isinstance(value, dict):
            return [(key, keys(inner)) for key, inner in value.items() if key != "headers"]
        return type(value).__name__
    return keys(json.loads(line, parse_int=float))


def run(command, folder, environment, codes=(0,)):
    """Runs a command, and returns its lines."""
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode in codes, f"{command}: exit code {done.returncode}\n{done.stderr}"
    return done.stdout.splitlines()


def check_get(command, printed, folder, environment):
    """Runs `get`, and compares its lines with the printed ones, if there are any."""
    command = command.replace(" get ", " get --allow-net 127.0.0.0/8 ")
    lines = run(command, folder, environment, codes=(0, 1))
    assert len(lines) == 2, f"{command}: expected two lines, got {lines}"
    for line, sample in zip(lines, printed):
        # A plain origin at an address has no look-up and no handshake.
        sample = sample.replace('"dns":12.4,', "").replace('"tls":21.7,', "")
        assert shape(line) == shape(sample), f"{line}\nis not like\n{sample}"


def check_demo(command, printed, folder, environment):
    lines = run(command, folder, environment)
    assert lines[:2] == printed[:2], f"{lines[:2]} is not {printed[:2]}"
    columns = [line.split()[:3] for line in lines[2:5]]
    assert columns == [line.split()[:3] for line in printed[2:5]], columns
    json.loads(lines[-1])


def main(binary, root):
    readme = (root / "README.md").read_text()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    origin = f"http://127.0.0.1:{server.server_port}"
    folder = tempfile.mkdtemp()
    os.symlink(root / "proto", os.path.join(folder, "proto"))
    # `python` is the one that runs this test.
    environment = dict(os.environ, PYTHONPATH=folder)
    environment["PATH"] = f"{pathlib.Path(sys.executable).parent}:{environment['PATH']}"

    def local(text):
        text = text.replace("cargo run --release --", str(binary))
        text = text.replace("https://example.com", origin)
        return text.replace("https://www.rust-lang.org", origin)

    found = [(local(command), [local(line) for line in printed]) for command, printed in commands(readme)]
    serve = next(command for command, _ in found if command.endswith(" serve"))
    service, address = start_service(shlex.split(serve), cwd=folder, env=environment)
    checked = []
    try:
        for command, printed in found:
            command = command.replace("localhost:50051", address)
            if command.endswith(" serve"):
                pass
            elif " demo" in command:
                check_demo(command, printed, folder, environment)
            elif " get " in command:
                check_get(command, printed, folder, environment)
            elif command.startswith(("grpcurl ", "buf curl ")):
                tool = command.split()[0]
                if not shutil.which(tool):
                    print(f"skipped, since there is no {tool}:", command)
                    continue
                lines = run(command, folder, environment)
                assert '"status": 200,' in "".join(lines), lines
            elif command.startswith("pip install "):
                names = [name.replace("-", "_") for name in command.split()[2:]]
                assert set(names) == {"grpcio", "grpcio_tools"}, names
            elif command.startswith("python -m grpc_tools.protoc "):
                run(command, folder, environment)
            else:
                raise AssertionError(f"no check for the command: {command}")
            checked.append(command)
        [sample] = blocks(readme, "python")
        sample = local(sample).replace("localhost:50051", address)
        script = os.path.join(folder, "sample.py")
        pathlib.Path(script).write_text(sample)
        lines = run(f"python {script}", folder, environment)
        assert lines == [f"{origin}/ (200, 13)"] * 2, lines
    finally:
        service.terminate()
        server.shutdown()
        service.wait(timeout=30)
    print(f"{len(checked)} commands and the Python sample of the README work")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve())
