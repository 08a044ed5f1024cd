"""Runs what deploy/README.md prints, as far as it goes without a cluster."""

import pathlib
import re
import subprocess
import tempfile

import yaml

from manifests import Rendered, kustomize

CLUSTER = " | kubectl apply -f -"


def blocks(text, language):
    """Returns the contents of the code blocks of `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def page(root):
    return pathlib.Path(root, "deploy", "README.md").read_text()


def problems(root, production, text):
    """Yields what doesn't work as the text prints it."""
    root = pathlib.Path(root).resolve()
    groups = [block.splitlines() for block in blocks(text, "console")]
    groups += [[command] for command in re.findall(r"`(kubectl [^`]+)`", text)]
    with tempfile.TemporaryDirectory() as folder:
        # The commands are for the root of the repository, but write into the current folder.
        pathlib.Path(folder, "deploy").symlink_to(root / "deploy")
        for commands in groups:
            where = pathlib.Path(folder)
            for command in commands:
                if found := re.fullmatch(r"cd (\S+)", command):
                    where /= found[1]
                else:
                    yield from (f"{command}: {p}" for p in run(command, where, production))
    yield from (f"sample: {p}" for p in samples(text, root))
    listed = set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))
    components = {one.name for one in (root / "deploy" / "components").iterdir()}
    if listed != components:
        yield f"lists the components {listed}, but there are {components}"


def run(command, folder, production):
    """Yields the problems of one command."""
    if command.startswith("deploy/secrets.sh"):
        if not command.endswith(CLUSTER):
            yield "does not apply the Secrets"
        command = command.removesuffix(CLUSTER)
        made = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)
        docs = list(yaml.safe_load_all(made.stdout))
        secrets = {d["metadata"]["name"]: d["data"].keys() for d in docs if d["kind"] == "Secret"}
        wanted = {}
        for volume, mount in zip(production.pod["volumes"], production.container["volumeMounts"]):
            files = [v for v in production.settings().values() if v.startswith(mount["mountPath"])]
            names = {file.rsplit("/", 1)[1] for file in files}
            wanted[volume["secret"]["secretName"]] = names
        if secrets != wanted:
            yield f"makes the Secrets {secrets}, but the pods need {wanted}"
        elif docs[0] != production.all("Namespace")[0]:
            yield "changes the Namespace of the overlay"
    elif found := re.fullmatch(r"kubectl apply -k (\S+)", command):
        if not (pathlib.Path(folder) / found[1] / "kustomization.yaml").exists():
            yield "there is no such overlay"
    elif found := re.search(r"create secret .* --from-file=(\S+)", command):
        names = {file.name for file in (pathlib.Path(folder) / found[1]).glob("*")}
        if names != {"ca.crt", "tls.crt", "tls.key", "token"}:
            yield f"the folder has {names}"
    elif found := re.match(r"kubectl -n (\S+) (?:rollout|port-forward).* (\w+)/(\S+)", command):
        namespace, kind, name = found.groups()
        docs = [doc for doc in production.docs if doc["kind"].lower() == kind]
        if {"name": name, "namespace": namespace} not in [
            {key: doc["metadata"].get(key) for key in ("name", "namespace")} for doc in docs
        ]:
            yield "there is no such object"
    elif command.startswith("fetchd get "):
        for file in re.findall(r" --(?:tls-ca|tls-cert|tls-key|token-file) (\S+)", command):
            if not (pathlib.Path(folder) / file).exists():
                yield f"there is no {file}"
    elif found := re.search(r"docker build .* -t (\S+) ", command):
        if found[1] != production.container["image"]:
            yield f"expected the image {production.container['image']}"
    else:
        yield "is a command that this test does not know"


def self_test(root, production):
    """Yields the mistakes in the page that aren't noticed."""
    text = page(root)
    for old, new in [
        ("-t fetchd:", "-t fetchd/fetchd:"),
        ("deploy/secrets.sh fetchd-secrets", "deploy/secrets.sh"),
        ("overlays/production\n", "overlays/prod\n"),
        ("--from-file=fetchd-secrets/callers", "--from-file=fetchd-secrets"),
        ("| `auth` |", "| `tokens` |"),
        ("behavior: merge", "behavior: replace"),
        ("deployment/fetchd\n", "deployment/fetch\n"),
        ("--tls-cert tls.crt", "--tls-cert crawler.crt"),
        ("/metadata/labels/release", "/metadata/labels/releases"),
        ("value: observability", "value: monitoring"),
        ("securityContext/runAsUser", "securityContext/runAsNonRoot"),
        ("name: openshift-dns", "name: kube-system"),
        ("name: OTEL_EXPORTER_OTLP_HEADERS", "name: OTEL_EXPORTER_OTLP_TIMEOUT"),
    ]:
        if old not in text or not list(problems(root, production, text.replace(old, new))):
            yield f"deploy/README.md may say {new}"


def samples(text, root):
    """Yields the problems of the overlays that the page shows."""
    mine, openshift, traced = (overlay(block, root) for block in blocks(text, "yaml"))
    if mine.container["image"].split("/")[0] != "registry.example.com":
        yield f"has the image {mine.container['image']}"
    if not {"FETCHD_MAX_BODY_BYTES", "FETCHD_LISTEN"} <= mine.settings().keys():
        yield "does not add a setting to the others"
    for kind in ("PodMonitor", "PrometheusRule"):
        if "release" not in mine.one(kind)["metadata"]["labels"]:
            yield f"adds no label to the {kind}"
    if "observability" not in str(mine.one("NetworkPolicy")["spec"]["ingress"]):
        yield "does not change the namespace of Prometheus"
    if {"runAsUser", "runAsGroup"} & openshift.pod["securityContext"].keys():
        yield "sets a user that OpenShift refuses"
    if "openshift-dns" not in str(openshift.one("NetworkPolicy")["spec"]["egress"][0]):
        yield "does not reach the DNS of OpenShift"
    [headers] = traced.container["env"]
    if headers["name"] != "OTEL_EXPORTER_OTLP_HEADERS" or "secretKeyRef" not in headers["valueFrom"]:
        yield "gives the collector no token from a Secret"


def overlay(block, root):
    """Renders an overlay that the page shows."""
    with tempfile.TemporaryDirectory(dir=root / "deploy" / "overlays", prefix=".check-") as mine:
        pathlib.Path(mine, "kustomization.yaml").write_text(block)
        return Rendered("sample", kustomize(mine))
