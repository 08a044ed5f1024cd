"""Checks the alerts and the dashboard: names of metrics, annotations and unit tests."""

import copy
import json
import pathlib
import re
import subprocess

import yaml

PAGE = "docs/operations.md"
RUNBOOK = f"https://github.com/fetchd/fetchd/blob/main/{PAGE}#"
# Metrics of others: Prometheus itself, the process collector, the kubelet and
# kube-state-metrics.
FOREIGN = {
    "up",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "container_memory_working_set_bytes",
    "kube_pod_container_resource_limits",
}


def known_metrics(root):
    """Returns the names that the source registers, with the series of histograms."""
    names = set(FOREIGN)
    for file in pathlib.Path(root, "src").rglob("*.rs"):
        for name in re.findall(r'"(fetchd_[a-z_]+)"', file.read_text()):
            names |= {name, f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    return names


def used_metrics(expression):
    """Returns the names of the metrics of an expression."""
    words = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|on) \([^)]*\)', " ", expression)
    return set(re.findall(r"\b[a-z]+_[a-z_]+\b|\bup\b", words)) - {
        "histogram_quantile",
        "group_left",
    }


def alerts(rendered):
    groups = rendered.one("PrometheusRule")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def problems(rendered, root, cases):
    """Yields the problems of the alerts, the dashboard, and the unit tests `cases`."""
    known = known_metrics(root)
    page = pathlib.Path(root, PAGE)
    runbook = page.read_text() if page.exists() else None
    tested = [test for case in cases["tests"] for test in case["alert_rule_test"]]
    for alert in alerts(rendered):
        name = alert["alert"]
        for metric in used_metrics(alert["expr"]) - known:
            yield f"{name}: there is no metric {metric}"
        if alert.get("labels", {}).get("severity") not in ("critical", "warning"):
            yield f"{name}: expected the severity critical or warning"
        notes = alert.get("annotations", {})
        if notes.keys() != {"summary", "description", "runbook_url"}:
            yield f"{name}: has the annotations {list(notes)}"
        elif notes["runbook_url"] != RUNBOOK + name.lower():
            yield f"{name}: expected the runbook {RUNBOOK}{name.lower()}"
        if runbook and not re.search(rf"^#+ {name}$", runbook, re.MULTILINE):
            yield f"{name}: {PAGE} has no heading of this name"
        own = [test for test in tested if test["alertname"] == name]
        fires = [test["exp_alerts"] for test in own if test["exp_alerts"]]
        if not fires or not any(not test["exp_alerts"] for test in own):
            yield f"{name}: needs a test that fires, and one that doesn't"
        for label in re.findall(r"\$labels\.(\w+)", notes.get("description", "")):
            if not all(label in one["exp_labels"] for some in fires for one in some):
                yield f"{name}: its description uses the label {label}, which it lacks"
    dashboard = rendered.one("ConfigMap", "fetchd-dashboard")
    if dashboard["metadata"]["labels"].get("grafana_dashboard") != "1":
        yield "the dashboard lacks the label for Grafana's sidecar"
    panels = json.loads(dashboard["data"]["fetchd.json"])["panels"]
    for panel in panels:
        for target in panel["targets"]:
            for metric in used_metrics(target["expr"]) - known:
                yield f"dashboard: {panel['title']}: there is no metric {metric}"
    drawn = set().union(*(used_metrics(t["expr"]) for p in panels for t in p["targets"]))
    if len(drawn) < 15:
        yield f"dashboard: shows only {drawn}"


def promtool(rendered, tools, cases):
    """Yields what promtool finds in the alerts and their unit tests."""
    folder = pathlib.Path(tools, "alerts")
    folder.mkdir(parents=True, exist_ok=True)
    spec = copy.deepcopy(rendered.one("PrometheusRule")["spec"])
    (folder / "annotated.yaml").write_text(yaml.safe_dump(spec))
    for group in spec["groups"]:
        for rule in group["rules"]:
            del rule["annotations"]
    (folder / "rules.yaml").write_text(yaml.safe_dump(spec))
    (folder / "tests.yaml").write_text(yaml.safe_dump(cases))
    for arguments in (["check", "rules", "annotated.yaml"], ["test", "rules", "tests.yaml"]):
        run = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True)
        if run.returncode != 0:
            yield f"promtool {' '.join(arguments)}:\n{run.stdout}{run.stderr}"


def self_test(rendered, root, tools, cases):
    """Yields the mistakes that the checks don't notice."""

    def rule(**fields):
        return lambda r: alerts(r)[1].update(fields)

    for number, change in enumerate(
        [
            rule(expr='fetchd_replicas{job="fetchd"} == 0'),
            rule(labels={}),
            rule(annotations={"summary": "x"}),
            rule(alert="FetchdUntested"),
            lambda r: alerts(r)[1]["annotations"].update(runbook_url=f"{RUNBOOK}other"),
            lambda r: alerts(r)[1]["annotations"].update(description="{{ $labels.zone }}"),
            lambda r: r.one("ConfigMap", "fetchd-dashboard")["metadata"].update(labels={}),
            lambda r: r.one("ConfigMap", "fetchd-dashboard")["data"].update(
                {
                    "fetchd.json": r.one("ConfigMap", "fetchd-dashboard")["data"][
                        "fetchd.json"
                    ].replace("fetchd_stalled", "fetchd_waiting")
                }
            ),
        ]
    ):
        if not list(problems(rendered.changed(change), root, cases)):
            yield f"mistake {number + 1} in the alerts or the dashboard is not noticed"
    for wrong in ('up{job="fetchd"} == 2', "up{"):
        if not list(promtool(rendered.changed(rule(expr=wrong)), tools, cases)):
            yield f"promtool accepts {wrong}"
