"""Runs Prometheus on loopback, and asks it."""

import contextlib
import json
import pathlib
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT = 20


class Prometheus:
    """A running Prometheus that scrapes replicas of fetchd every second."""

    def __init__(self, folder, replicas, rules):
        """Starts it with the groups `rules`. `replicas` are the addresses by pod."""
        folder = pathlib.Path(folder, "prometheus")
        folder.mkdir()
        # JSON is YAML too.
        (folder / "rules.yaml").write_text(json.dumps(rules))
        # As a PodMonitor's configuration adds them.
        targets = [
            {
                "targets": [address],
                "labels": {
                    "namespace": "fetchd",
                    "pod": pod,
                    "container": "fetchd",
                    "endpoint": "admin",
                },
            }
            for pod, address in replicas.items()
        ]
        config = {
            "global": {
                "scrape_interval": "1s",
                "scrape_timeout": "1s",
                "evaluation_interval": "1s",
            },
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "fetchd", "static_configs": targets}],
        }
        (folder / "prometheus.yaml").write_text(json.dumps(config))
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    "prometheus",
                    "--config.file=prometheus.yaml",
                    "--storage.tsdb.path=data",
                    "--web.listen-address=127.0.0.1:0",
                ],
                cwd=folder,
                stderr=log,
            )
        try:
            self.url = f"http://127.0.0.1:{self.port()}"
            self.until(lambda: self.get("/-/ready"))
        except BaseException:
            self.stop()
            raise

    def stop(self):
        self.process.kill()
        self.process.wait()

    def until(self, is_true):
        """Waits until `is_true` returns something true, and returns that."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                if result := is_true():
                    return result
            time.sleep(0.1)
        raise SystemExit(f"Prometheus:\n{self.log.read_text()}")

    def port(self):
        """Finds the port in the log: Prometheus has chosen a free one."""

        def logged():
            for line in self.log.read_text().splitlines():
                if "Listening on" in line and "address=" in line:
                    return line.split("address=")[1].split()[0].rsplit(":", 1)[1]

        return self.until(logged)

    def get(self, path, **arguments):
        url = f"{self.url}{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return answer.read().decode()

    def api(self, path, **arguments):
        """Returns the data of an answer, or raises ValueError with the message."""
        try:
            return json.loads(self.get(f"/api/v1/{path}", **arguments))["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.loads(error.read())["error"]) from error

    def query(self, expression):
        """Returns the samples of an instant query: their labels and values."""
        result = self.api("query", query=expression)["result"]
        return [(sample["metric"], float(sample["value"][1])) for sample in result]

    def series(self, selector):
        """Returns the labels of the series that a selector selects."""
        return self.api("series", **{"match[]": selector})
