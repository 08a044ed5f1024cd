"""Runs a real Prometheus on two replicas under load, and asks it what people would ask.

Usage: check.py FETCHD ROOT

FETCHD is the binary, and ROOT the folder of the repository. Checks:

- `promtool check metrics` on the output of a replica
- every query of the dashboard, and every alert without its threshold, returns data
- every selector in them selects series, and their labels exist
- no scrape fails or takes a second, no sample is a duplicate, and no series comes or goes

Then it makes mistakes in the dashboard and the alerts, each of which must be noticed.
"""

import collections
import contextlib
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import yaml

import expressions
import origin
from prometheus import Prometheus

TOKEN = "0123456789abcdef0123456789abcdef"
SECONDS_OF_LOAD = 8
MAX_SERIES = 250

# Metrics that are not there, and why.
ABSENT = {
    "container_memory_working_set_bytes": "from the kubelet",
    "kube_pod_container_resource_limits": "from kube-state-metrics",
}

# Metrics that stay 0, so that their quantiles are NaN, and why.
ZERO = {"fetchd_dns_duration_seconds_bucket": "a look-up would ask the name server of the system"}

# Alerts that select nothing even without their threshold, and why.
EMPTY = {"FetchdDown": "absent() returns nothing if there are replicas"}


class Replica:
    """A running `fetchd serve`."""

    def __init__(self, fetchd, folder):
        self.process = subprocess.Popen(
            [fetchd, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
            + ["--allow-net", "127.0.0.0/8", "--log-format", "json", "--max-in-flight", "40"]
            + ["--ca-cert", folder / "origin.crt", "--auth-token-file", folder / "tokens"],
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in self.process.stderr:
            entry = json.loads(line)
            if "admin" in entry:
                break
        else:
            raise SystemExit("the service exited before it logged its addresses")
        self.url, self.admin = f"http://{entry['address']}", entry["admin"]
        # A full pipe would stop the service.
        drain = (self.process.stderr, 0)
        threading.Thread(target=collections.deque, args=drain, daemon=True).start()

    def stop(self):
        self.process.kill()
        self.process.wait()


def urls(plain, encrypted):
    """Returns a list with all kinds of results."""
    paths = [f"status/{status}" for status in (200, 204, 404, 429, 500, 503)]
    paths += ["fine"] * 40 + ["status/503"] * 20
    paths += ["close", "redirect/fine", "redirect/status/404", "cut", "slow/0.2", "slow/3"]
    return [
        *(f"http://127.0.0.1:{plain}/{path}" for path in paths),
        *(f"https://localhost:{encrypted}/{path}" for path in ["fine", "close", "close"]),
        "https://127.0.0.1:1/",
        f"https://127.0.0.1:{plain}/",
        # A label that is too long, so that no name server is asked.
        f"http://{'nowhere' * 10}.invalid/",
        "http://10.0.0.1/",
        "http://[2002::1]/",
        "ftp://127.0.0.1/",
    ]


def load(fetchd, replica, folder, tokens):
    """Fetches the list again and again for a while. Returns the number of rounds."""
    command = [fetchd, "get", "-q", "--server", replica.url, "-i", folder / "urls", "--no-body"]
    command += ["--token-file", folder / tokens, "--timeout", "1s", "-c", "30"]
    deadline = time.monotonic() + SECONDS_OF_LOAD
    rounds = 0
    while time.monotonic() < deadline:
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
        expected = 1 if tokens == "token" else 3
        assert run.returncode == expected, f"fetchd get: {run.returncode}: {run.stderr}"
        rounds += 1
    return rounds


@contextlib.contextmanager
def running(fetchd, rules):
    """Runs replicas and Prometheus, with a load for a while. Gives Prometheus and a replica."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        folder = pathlib.Path(folder)
        (folder / "tokens").write_text(f"reports {TOKEN}\n")
        (folder / "token").write_text(TOKEN)
        (folder / "wrong").write_text(TOKEN[::-1])
        ports = (origin.start(), origin.start(origin.certificate(folder)))
        (folder / "urls").write_text("\n".join(urls(*ports)))
        replicas = {}
        for pod in ("fetchd-0", "fetchd-1"):
            replicas[pod] = Replica(fetchd, folder)
            stack.callback(replicas[pod].stop)
        addresses = {pod: replica.admin for pod, replica in replicas.items()}
        prometheus = Prometheus(folder, addresses, rules)
        stack.callback(prometheus.stop)
        # A rate needs a sample before the first event.
        prometheus.until(lambda: len(prometheus.query("up == 1")) == 2)
        run_load(fetchd, replicas, folder)
        yield prometheus, replicas["fetchd-0"]


def run_load(fetchd, replicas, folder):
    results = []
    threads = [
        threading.Thread(target=lambda a=arguments: results.append(load(fetchd, *a)))
        for replica in replicas.values()
        for arguments in ((replica, folder, "token"), (replica, folder, "wrong"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(threads), "a load failed"
    print(f"load: {sum(results)} lists of {len((folder / 'urls').read_text().splitlines())} URLs")


def check_metrics(replica):
    """Yields what promtool finds in the output of a replica."""
    with urllib.request.urlopen(f"http://{replica.admin}/metrics", timeout=10) as answer:
        text = answer.read()
    run = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True)
    if run.returncode != 0 or run.stderr:
        yield f"promtool check metrics: {run.stderr.decode()}"


def missing(prometheus, expression):
    """Yields the selectors that select nothing, and the labels that no series has."""
    labels = set()
    for name, matchers in expressions.selectors(expression):
        if name in ABSENT:
            if prometheus.series(name):
                yield f"{name} is there: remove it from ABSENT"
            continue
        for selector in expressions.alternatives(name, matchers):
            if not prometheus.series(selector):
                yield f"{selector} selects nothing"
        for series in prometheus.series(name):
            labels |= series.keys()
    if labels:
        yield from (
            f"no series has the label {label}"
            for label in expressions.grouping_labels(expression) - labels
        )


def uses(expression, metrics):
    return any(name in metrics for name, _ in expressions.selectors(expression))


def data(prometheus, expression, labels):
    """Yields what is wrong with the result of a query, which must have these labels."""
    try:
        samples = prometheus.query(expression)
    except ValueError as error:
        yield f"{expression}: {error}"
        return
    if not uses(expression, ABSENT):
        is_data = (lambda _: True) if uses(expression, ZERO) else math.isfinite
        if not any(is_data(value) for _, value in samples):
            yield f"{expression}: returns no data: {samples}"
        for label in labels:
            if not all(label in metric for metric, _ in samples):
                yield f"{expression}: the result lacks the label {label}"


def dashboard_problems(prometheus, dashboard):
    """Yields the problems of the dashboard's queries."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]).groups()
            if not any(label in series for series in prometheus.series(name)):
                yield f"${variable['name']}: {name} has no label {label}"
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$namespace", "fetchd")
            expression = expression.replace("$__rate_interval", "1m")
            labels = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            for problem in [
                *data(prometheus, expression, labels),
                *missing(prometheus, expression),
            ]:
                yield f"{panel['title']}: {problem}"


def alert_problems(prometheus, groups):
    """Yields the problems of the alerts' expressions."""
    for rule in (rule for group in groups for rule in group["rules"]):
        expression = expressions.without_threshold(rule["expr"].strip())
        if expression == rule["expr"].strip() and rule["alert"] not in EMPTY:
            yield f"{rule['alert']}: has no threshold"
        labels = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]))
        found = list(missing(prometheus, rule["expr"]))
        if rule["alert"] not in EMPTY:
            found += data(prometheus, expression, labels)
        yield from (f"{rule['alert']}: {problem}" for problem in found)


def rule_problems(prometheus):
    """Yields the rules that Prometheus itself cannot evaluate."""
    for group in prometheus.api("rules")["groups"]:
        for rule in group["rules"]:
            if rule["health"] != "ok":
                yield f"{rule['name']}: {rule['health']}: {rule.get('lastError')}"


def scrape_problems(prometheus):
    """Yields the problems of scraping."""
    targets = prometheus.api("targets")["activeTargets"]
    if len(targets) != 2:
        yield f"expected two targets, got {targets}"
    for target in targets:
        if target["health"] != "up" or target["lastError"]:
            yield f"{target['scrapeUrl']}: {target['health']}: {target['lastError']}"
    # After the first, which may come before the replica listens.
    if prometheus.query("min_over_time(up[10s]) == 0"):
        yield "a scrape failed or took more than a second"
    text = prometheus.get("/metrics")
    for name in (
        "prometheus_target_scrapes_sample_duplicate_timestamp_total",
        "prometheus_target_scrapes_sample_out_of_order_total",
        "prometheus_target_scrapes_sample_out_of_bounds_total",
        "prometheus_target_scrapes_exceeded_sample_limit_total",
        "prometheus_rule_evaluation_failures_total",
    ):
        values = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE)
        if not values or any(float(value) for value in values):
            yield f"{name}: {values}"
    for metric, most in prometheus.query("max_over_time(scrape_samples_scraped[1m])"):
        [(_, fewest)] = prometheus.query(
            f'min_over_time(scrape_samples_scraped{{pod="{metric["pod"]}"}}[1m])'
        )
        if most != fewest:
            yield f"{metric['pod']}: has {fewest} to {most} series"
        if most > MAX_SERIES:
            yield f"{metric['pod']}: {most} series are more than {MAX_SERIES}"
    for series in prometheus.series('{job="fetchd"}'):
        clashes = [label for label in series if label.startswith("exported_")]
        if clashes:
            yield f"{series['__name__']}: its own labels clash with Prometheus': {clashes}"
    [(_, count)] = prometheus.query("max(max_over_time(scrape_samples_scraped[1m]))")
    [(_, longest)] = prometheus.query("max(max_over_time(scrape_duration_seconds[1m]))")
    print(f"scrapes: {count:.0f} samples, at most {longest * 1000:.0f} ms under load")


# Mistakes in the dashboard or the alerts: what is replaced, and by what.
MISTAKES = [
    ("fetchd_stalled", "fetchd_waiting"),
    ("sum by (outcome)", "sum by (result)"),
    ("{{outcome}}", "{{result}}"),
    ('side=\\"caller\\"', 'side=\\"callers\\"'),
    ('limit=\\"max-batches\\"', 'limit=\\"max_batches\\"'),
    ("/ on (namespace, pod)", "/ on (namespace, node)"),
    ("label_values(fetchd_draining, namespace)", "label_values(fetchd_draining, ns)"),
    ("histogram_quantile(0.5, sum by (le)", "histogram_quantile(0.5, sum by (pod)"),
    ('code=\\"RESOURCE_EXHAUSTED\\"', 'code=\\"EXHAUSTED\\"'),
    ("dns|connect|tls", "dns|connection|tls"),
    ("scheme|allow-port", "scheme|allow_port"),
    ("sum by (namespace, rule)", "sum by (namespace, rules)"),
    ("on (namespace) group_left", "on (name) group_left"),
    ("fetchd_tls_last_reload_successful ==", "fetchd_tls_reload_successful =="),
    ("process_max_fds", "process_fds"),
]


def self_test(prometheus, dashboard, groups):
    """Yields the mistakes that aren't noticed."""
    sources = json.dumps(dashboard), json.dumps(groups)
    for wanted, mistake in MISTAKES:
        changed = [source.replace(wanted, mistake) for source in sources]
        if changed == list(sources):
            yield f"there is no {wanted} to replace"
            continue
        found = [
            *dashboard_problems(prometheus, json.loads(changed[0])),
            *alert_problems(prometheus, json.loads(changed[1])),
        ]
        if not found:
            yield f"{mistake} in place of {wanted} is not noticed"


def main(fetchd, root):
    monitoring = pathlib.Path(root, "deploy/components/monitoring")
    dashboard = json.loads((monitoring / "fetchd.json").read_text())
    spec = yaml.safe_load((monitoring / "alerts.yaml").read_text())["spec"]
    problems = []

    def add(title, found):
        found = list(found)
        print(f"{title}: {'ok' if not found else f'{len(found)} problems'}", flush=True)
        problems.extend(f"{title}: {problem}" for problem in found)

    with running(fetchd, spec) as (prometheus, replica):
        queries = sum(len(panel["targets"]) for panel in dashboard["panels"])
        rules = sum(len(group["rules"]) for group in spec["groups"])
        add("promtool check metrics", check_metrics(replica))
        add("scrapes", scrape_problems(prometheus))
        add("rules", rule_problems(prometheus))
        add(f"{queries} queries of the dashboard", dashboard_problems(prometheus, dashboard))
        add(f"{rules} alerts", alert_problems(prometheus, spec["groups"]))
        add(
            f"{len(MISTAKES)} mistakes are noticed",
            self_test(prometheus, dashboard, spec["groups"]),
        )
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(bool(problems))


main(*sys.argv[1:])
