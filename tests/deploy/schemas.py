"""Validates manifests strictly: unknown fields and wrong types are errors."""

import json
import pathlib
import subprocess

import kubernetes_validate

# The oldest version that deploy/README.md names, one that is common, and the newest.
VERSIONS = ("1.27", "1.32", "1.37")

# Kinds of operators, and the npm packages with their types.
MODELS = "@kubernetes-models"
CUSTOM = {
    "PodMonitor": f"{MODELS}/prometheus-operator/monitoring.coreos.com/v1/PodMonitor",
    "PrometheusRule": f"{MODELS}/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule",
    "Certificate": f"{MODELS}/cert-manager/cert-manager.io/v1/Certificate",
    "Issuer": f"{MODELS}/cert-manager/cert-manager.io/v1/Issuer",
}


def builtin_problems(docs):
    """Yields what Kubernetes would refuse about its own kinds."""
    for doc in docs:
        if doc["kind"] in CUSTOM:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(doc, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                path = ".".join(str(step) for step in error.path)
                name = f"{doc['kind']} {doc['metadata']['name']}"
                yield f"{name} ({version}): {path}: {error.message}"
            except kubernetes_validate.SchemaNotFoundError as error:
                yield error.message


def custom_problems(docs, tools):
    """Yields what the operators would refuse about theirs.

    The manifests become a TypeScript program. The compiler reports unknown fields and wrong
    types, and the program itself wrong values, such as durations.
    """
    docs = [doc for doc in docs if doc["kind"] in CUSTOM]
    lines = [f'import {{ {kind} }} from "{path}";' for kind, path in CUSTOM.items()]
    for doc in docs:
        # The version is in the path of the import.
        if f"/{doc['apiVersion']}/" not in CUSTOM[doc["kind"]]:
            yield f"{doc['kind']}: unexpected version {doc['apiVersion']}"
        fields = {key: doc[key] for key in doc if key not in ("apiVersion", "kind")}
        lines.append(f"new {doc['kind']}({json.dumps(fields)}).validate();")
    program = pathlib.Path(tools, "manifests.mts")
    program.write_text("\n".join(lines) + "\n")
    compiler = "node_modules/typescript/bin/tsc --strict --skipLibCheck --module nodenext"
    for command in (["node", *compiler.split(), program.name], ["node", "manifests.mjs"]):
        run = subprocess.run(command, cwd=tools, capture_output=True, text=True)
        if run.returncode != 0:
            text = (run.stdout + run.stderr).splitlines()
            yield from (line for line in text if "rror" in line)
            return


def validate(docs, tools):
    """Yields the problems of all manifests."""
    unique = list({json.dumps(doc, sort_keys=True): doc for doc in docs}.values())
    yield from builtin_problems(unique)
    yield from custom_problems(unique, tools)


def self_test(rendered, tools):
    """Yields the mistakes that validation doesn't notice."""
    mistakes = [
        ("Deployment", lambda spec: spec.update(replica=3)),
        ("Deployment", lambda spec: spec.update(replicas="3")),
        ("Service", lambda spec: spec["ports"][0].update(port="grpc")),
        ("NetworkPolicy", lambda spec: spec["ingress"][0].update(form=[])),
        ("HorizontalPodAutoscaler", lambda spec: spec.pop("maxReplicas")),
        ("PodDisruptionBudget", lambda spec: spec.update(unhealthyPodEviction="AlwaysAllow")),
        ("PodMonitor", lambda spec: spec["podMetricsEndpoints"][0].update(prot="admin")),
        ("PodMonitor", lambda spec: spec["podMetricsEndpoints"][0].update(interval="15 s")),
        ("PrometheusRule", lambda spec: spec["groups"][0]["rules"][0].update(labels=["page"])),
    ]
    for kind, mistake in mistakes:
        changed = rendered.changed(lambda r: mistake(r.one(kind)["spec"]))
        if not list(validate([changed.one(kind)], tools)):
            yield f"validation does not notice a mistake in a {kind}"
