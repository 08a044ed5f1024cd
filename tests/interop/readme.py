"""Runs the commands and the samples of the README as they are printed.

Usage: readme.py FETCHD ROOT PYTHON

FETCHD is the binary, ROOT the folder of the README, and PYTHON one that has the client. The client
for TypeScript is built, and there is Go. Only what needs another network
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
        body = b"<html></html>".ljust(513)
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


def check_samples(readme, root, folder, environment, python, local):
    """Runs the samples in Python, Go and TypeScript, and compares what they print."""
    folder = pathlib.Path(folder)
    [sample] = blocks(readme, "python")
    [printed] = blocks(readme, "text")
    lines = run(shlex.join([python, "-c", local(sample)]), folder, environment)
    assert lines == local(printed).splitlines(), lines

    # The others print the same in their manner.
    expected = [line.replace("(", "").replace(")", "").replace(",", "") for line in lines]
    [sample] = blocks(readme, "go")
    module = folder / "go"
    module.mkdir()
    (module / "main.go").write_text(local(sample))
    name = "github.com/fetchd/fetchd/clients/go"
    for command in "init sample", f"edit -replace {name}={root}/clients/go", "tidy":
        run(f"go mod {command} 2>&1", module, environment)
    lines = run("go run .", module, environment)
    assert lines == expected, lines

    [sample] = blocks(readme, "ts")
    (folder / "node_modules").mkdir()
    (folder / "node_modules/fetchd").symlink_to(root / "clients/typescript")
    # Without its types, of which it has none, it is JavaScript.
    (folder / "sample.mjs").write_text(local(sample))
    lines = run("node sample.mjs", folder, environment)
    assert lines == expected, lines


def main(binary, root, python):
    readme = (root / "README.md").read_text()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    origin = f"http://127.0.0.1:{server.server_port}"
    folder = tempfile.mkdtemp()
    os.symlink(root / "proto", os.path.join(folder, "proto"))
    environment = dict(os.environ)

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
                # It was installed so in the environment of PYTHON.
                assert (root / command.split()[2] / "pyproject.toml").exists(), command
            else:
                raise AssertionError(f"no check for the command: {command}")
            checked.append(command)
        here = lambda text: local(text).replace("localhost:50051", address)
        check_samples(readme, root, folder, environment, python, here)
    finally:
        service.terminate()
        server.shutdown()
        service.wait(timeout=30)
    print(f"{len(checked)} commands and three samples of the README work")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), sys.argv[3])
