"""Runs the questions that docs/operations.md asks a log, on a log of the service.

Usage: log.py FETCHD ROOT

FETCHD is the binary, and ROOT the folder of the repository. The commands run as printed; only
the IDs of the batch and of the trace are replaced by those of this log.
"""

import http.server
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
import threading
import time

from samples import blocks

BODY = b"x" * 1000

DELAY = 0.2

TIMEOUT = 30


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers slowly if the path says so."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/slow":
            time.sleep(DELAY)
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_):
        pass


def serve(fetchd, folder, log):
    """Starts the service, and returns it with its address once it serves."""
    service = subprocess.Popen(
        [fetchd, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "off"]
        + ["--allow-net", "127.0.0.0/8", "--auth-token-file", folder / "tokens"]
        + ["--log-format", "json"],
        stderr=log.open("w"),
        env={"RUST_LOG": "debug"},
    )
    deadline = time.monotonic() + TIMEOUT
    while True:
        for line in log.read_text().splitlines(keepends=True):
            if line.endswith("\n") and "address" in json.loads(line):
                return service, json.loads(line)["address"]
        assert service.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)


def fetch(fetchd, address, token, urls):
    """Fetches a batch as a caller with this token."""
    command = [fetchd, "get", "--server", f"http://{address}", "--token-file", token]
    subprocess.run([*command, "--quiet", "--no-body", *urls], stdout=subprocess.DEVNULL)


def questions(root):
    """Returns the commands of the page by the sentence before them."""
    page = pathlib.Path(root, "docs/operations.md").read_text()
    commands = [block.removeprefix("$ ").strip() for block in blocks(page, "console")]
    return [command for command in commands if command.startswith("jq ")]


def ask(question, folder):
    """Runs a question, and returns the values that it prints."""
    command = shlex.split(question)
    output = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    decoder, text, values = json.JSONDecoder(), output.stdout, []
    while text.strip():
        value, end = decoder.raw_decode(text.lstrip())
        values.append(value)
        text = text.lstrip()[end:]
    return values


def check(root, folder, lines):
    """Compares the answers with what was fetched."""
    slowest, failed, by_caller, of_batch, phase = questions(root)
    answers = ask(slowest, folder)
    assert len(answers) == 10, answers
    durations = [answer["duration_s"] for answer in answers]
    assert durations == sorted(durations, reverse=True) and durations[0] >= DELAY, durations
    assert answers[0]["caller"] == "slow" and answers[0]["outcomes"] == {"2xx": 1}, answers[0]
    # 12 batches of the caller `web`, each with a request of three that is blocked.
    [shares] = ask(failed, folder)
    assert shares == {"blocked": 12 / 37}, shares
    [sizes] = ask(by_caller, folder)
    assert sizes == {"slow": len(BODY), "web": 24 * len(BODY)}, sizes
    batch = next(line["batch"] for line in lines if line.get("outcomes") and line["requests"] == 3)
    answers = ask(of_batch.replace("5f0c1c2f9d1b7a33", batch), folder)
    assert [line["message"] for line in answers].count("request ended") == 3, answers
    assert {line["batch"] for line in answers} == {batch}, answers
    # The sample on the page looks like a line of this log. Only it belongs to a trace.
    page = pathlib.Path(root, "docs/operations.md").read_text()
    [sample] = blocks(page, "json")
    line = next(line for line in lines if line.get("batch") == batch and line.get("outcomes"))
    assert json.loads(sample).keys() - {"trace_id"} == line.keys(), line
    [answer] = ask(phase, folder)
    # The slow caller's request waits for the origin, longer than all others for anything.
    assert answer["phase"] == "other_s" and answer["total_s"] >= DELAY, answer


def main(fetchd, root):
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{origin.server_port}"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tokens = {"web": "a-token-of-web", "slow": "a-token-of-slow"}
        for name, token in tokens.items():
            (folder / name).write_text(token)
        lines = [f"{name} {token}\n" for name, token in tokens.items()]
        (folder / "tokens").write_text("".join(lines))
        log = folder / "fetchd.log"
        service, address = serve(fetchd, folder, log)
        try:
            fetch(fetchd, address, folder / "slow", [f"{url}/slow"])
            for _ in range(12):
                fetch(fetchd, address, folder / "web", [url, url, "http://10.0.0.1/"])
        finally:
            service.terminate()
            service.wait(TIMEOUT)
        check(root, folder, [json.loads(line) for line in log.read_text().splitlines()])
    print(f"{len(questions(root))} questions were answered")


if __name__ == "__main__":
    main(*sys.argv[1:])
