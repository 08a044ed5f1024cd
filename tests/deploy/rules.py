"""What must hold for the manifests of every folder.

Each rule yields its problems. `check.py` runs them all, and `mutations.py` breaks each.
"""

import ipaddress
import re
import urllib.parse

from manifests import port, read, seconds, selects, size

RULES = []

# What a pod needs besides the limits that can be set: code, runtime, connections that wait.
# ARCHITECTURE.md, "Bounded", has the sum.
EVERYTHING_ELSE = 192 << 20
# The kernel charges the buffers of sockets to the pod too. They get half as much again.
KERNEL = 1.5


def rule(function):
    RULES.append(function)
    return function


def covers(networks, network):
    return any(net.version == network.version and network.subnet_of(net) for net in networks)


@rule
def selectors_select_the_pods(rendered, _):
    labels = rendered.template["metadata"]["labels"]
    chosen = {"Deployment": rendered.one("Deployment")["spec"]["selector"]}
    for service in rendered.all("Service"):
        chosen[f"Service {service['metadata']['name']}"] = {
            "matchLabels": service["spec"].get("selector") or {"": "none"}
        }
    for kind, key in [
        ("PodDisruptionBudget", "selector"),
        ("PodMonitor", "selector"),
        ("NetworkPolicy", "podSelector"),
    ]:
        chosen |= {kind: doc["spec"][key] for doc in rendered.all(kind)}
    for spread in rendered.pod.get("topologySpreadConstraints", []):
        chosen[f"spread over {spread['topologyKey']}"] = spread["labelSelector"]
    for name, selector in chosen.items():
        if not selector or not selects(selector, labels):
            yield f"{name}: {selector} does not select pods with {labels}"
    for scaler in rendered.all("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        if (target["apiVersion"], target["kind"], target["name"]) != (
            "apps/v1",
            "Deployment",
            "fetchd",
        ):
            yield f"HorizontalPodAutoscaler: scales {target}"


@rule
def ports_exist(rendered, _):
    container, settings = rendered.container, rendered.settings()
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    listeners = {
        "grpc": port(settings["FETCHD_LISTEN"]),
        "admin": port(settings["FETCHD_ADMIN_LISTEN"]),
    }
    listeners = {name: number for name, number in listeners.items() if number}
    if ports != listeners:
        yield f"the container has the ports {ports}, but fetchd listens on {listeners}"
    for listener in ("FETCHD_LISTEN", "FETCHD_ADMIN_LISTEN"):
        if settings[listener].startswith(("127.", "localhost", "[::1]")):
            yield f"{listener}: nobody outside the pod can connect to {settings[listener]}"
    used = []
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if probe not in container:
            yield f"there is no {probe}"
            continue
        for kind, target in container[probe].items():
            if kind in ("httpGet", "grpc"):
                used.append((probe, target["port"], "admin" if kind == "httpGet" else "grpc"))
            if kind == "grpc" and "FETCHD_TLS_CERT" in settings:
                yield f"{probe}: gRPC probes don't speak TLS"
    for service in rendered.all("Service"):
        for entry in service["spec"]["ports"]:
            used.append((f"Service {service['metadata']['name']}", entry["targetPort"], "grpc"))
    for policy in rendered.all("NetworkPolicy"):
        for entry in policy["spec"]["ingress"]:
            used += [("NetworkPolicy", p["port"], p["port"]) for p in entry.get("ports", [])]
    for monitor in rendered.all("PodMonitor"):
        used += [("PodMonitor", e["port"], "admin") for e in monitor["spec"]["podMetricsEndpoints"]]
    annotations = rendered.template["metadata"].get("annotations", {})
    if "prometheus.io/port" in annotations:
        used.append(("prometheus.io/port", int(annotations["prometheus.io/port"]), "admin"))
        if rendered.all("PodMonitor"):
            yield "the pods are scraped twice: by their annotations and by a PodMonitor"
    for user, wanted, expected in used:
        if expected not in ports or wanted not in (expected, ports[expected]):
            yield f"{user}: expected the port {expected} of {ports}, got {wanted}"


@rule
def probes_tell_a_drain_from_a_failure(rendered, _):
    wanted = {
        "startupProbe": ("/healthz", ""),
        "readinessProbe": ("/readyz", "fetchd.v1.FetchService"),
        "livenessProbe": ("/healthz", ""),
    }
    for name, (path, service) in wanted.items():
        probe = rendered.container.get(name, {})
        if "httpGet" in probe and probe["httpGet"]["path"] != path:
            yield f"{name}: expected {path}, got {probe['httpGet']['path']}"
        if "grpc" in probe and probe["grpc"].get("service", "") != service:
            yield f"{name}: expected the service \"{service}\", got {probe['grpc']}"
        if ("httpGet" in probe) == ("grpc" in probe):
            yield f"{name}: expected httpGet or grpc, got {probe}"


@rule
def settings_are_flags(rendered, context):
    for variable in rendered.settings():
        if variable not in context.variables and not variable.startswith("OTEL_"):
            yield f"fetchd serve has no variable {variable}"
    for name, value in rendered.settings().items():
        if not isinstance(value, str):
            yield f"{name}: expected a text, got {value!r}"


@rule
def the_grace_period_is_longer_than_a_drain(rendered, _):
    settings = rendered.settings()
    delay, timeout = (seconds(settings[f"FETCHD_DRAIN_{n}"]) for n in ("DELAY", "TIMEOUT"))
    grace = rendered.pod.get("terminationGracePeriodSeconds", 30)
    if grace <= delay + timeout + 1:
        yield f"terminationGracePeriodSeconds: {grace} is not longer than {delay} + {timeout} + 1"
    if delay < 3:
        yield f"FETCHD_DRAIN_DELAY: endpoints need more than {delay} s to remove a pod"


@rule
def the_memory_limit_holds(rendered, _):
    settings, resources = rendered.settings(), rendered.container["resources"]
    # TLS takes as much again.
    connection = (128 if "FETCHD_TLS_CERT" in settings else 64) << 10
    total = (
        int(settings["FETCHD_MAX_IN_FLIGHT"]) * (256 << 10)
        + int(settings["FETCHD_MAX_BATCHES"]) * (1 << 20)
        + size(settings["FETCHD_MAX_QUEUED_BYTES"])
        + int(settings["FETCHD_MAX_CONNECTIONS"]) * connection
        + EVERYTHING_ELSE
    )
    limit = resources.get("limits", {}).get("memory")
    if limit is None or size(limit) < KERNEL * total:
        yield f"memory limit: expected at least {KERNEL} * {total >> 20}Mi, got {limit}"
    requests = resources.get("requests", {})
    if not {"cpu", "memory"} <= requests.keys() or size(requests["memory"]) > size(limit or 0):
        yield f"requests: expected cpu, and memory up to the limit, got {requests}"
    if "FETCHD_WORKER_THREADS" not in settings and "cpu" not in resources.get("limits", {}):
        yield "without a CPU limit or FETCHD_WORKER_THREADS, memory depends on the node"


@rule
def pod_security_is_restricted(rendered, _):
    pod, container = rendered.pod, rendered.container
    if len(pod["containers"]) != 1 or pod.get("initContainers"):
        yield "expected one container"
    outer, inner = pod.get("securityContext", {}), container.get("securityContext", {})
    both = {**outer, **inner}
    capabilities = inner.get("capabilities", {})
    for fact, holds in {
        "runAsNonRoot": both.get("runAsNonRoot") is True,
        "runAsUser and runAsGroup": 0 not in (both.get("runAsUser", 0), both.get("runAsGroup", 0)),
        "seccompProfile": both.get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "allowPrivilegeEscalation": inner.get("allowPrivilegeEscalation") is False,
        "privileged": not inner.get("privileged"),
        "capabilities": capabilities.get("drop") == ["ALL"] and not capabilities.get("add"),
        "readOnlyRootFilesystem": inner.get("readOnlyRootFilesystem") is True,
        "host namespaces": not any(pod.get(f"host{n}") for n in ("Network", "PID", "IPC")),
        "host ports": not any("hostPort" in p for p in container["ports"]),
        "volumes": all("secret" in v or "configMap" in v for v in pod.get("volumes", [])),
        "sysctls": not outer.get("sysctls"),
        "automountServiceAccountToken": pod.get("automountServiceAccountToken") is False
        and rendered.one("ServiceAccount").get("automountServiceAccountToken") is False,
        "serviceAccountName": pod.get("serviceAccountName") == "fetchd",
        "enableServiceLinks": pod.get("enableServiceLinks") is False,
    }.items():
        if not holds:
            yield f"{fact}: not as Pod Security `restricted` and ours have it"
    for namespace in rendered.all("Namespace"):
        level = namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce")
        if level != "restricted":
            yield f"Namespace: expected Pod Security restricted, got {level}"


@rule
def secrets_are_mounted_as_directories(rendered, _):
    secrets = {v["name"]: v["secret"] for v in rendered.pod.get("volumes", []) if "secret" in v}
    mounts = {m["name"]: m for m in rendered.container.get("volumeMounts", [])}
    for name, secret in secrets.items():
        if secret.get("optional"):
            yield f"{name}: an optional Secret lets fetchd start without it"
        mount = mounts.get(name, {})
        if not mount or "subPath" in mount or "subPathExpr" in mount or not mount.get("readOnly"):
            yield f"{name}: expected a read-only mount without subPath, got {mount}"
    paths = [mounts[name]["mountPath"] for name in secrets if name in mounts]
    files = [v for v in rendered.settings().values() if str(v).startswith("/")]
    for file in files:
        if file.rsplit("/", 1)[0] not in paths:
            yield f"{file}: is not in a mounted Secret ({paths})"
    for path in paths:
        if not any(file.rsplit("/", 1)[0] == path for file in files):
            yield f"{path}: no setting refers to it"


def leads_elsewhere(entry, collector):
    """Yields what an egress rule allows besides the pods of the collector."""
    namespace = collector.hostname.split(".")[1]
    expected = {"kubernetes.io/metadata.name": namespace}
    for peer in entry["to"]:
        labels = peer.get("namespaceSelector", {}).get("matchLabels")
        if labels != expected or not peer.get("podSelector", {}).get("matchLabels"):
            yield f"expected only pods of {namespace} with a label, got {peer}"


@rule
def egress_repeats_the_policy(rendered, context):
    endpoint = rendered.settings().get("FETCHD_OTLP_ENDPOINT")
    collector = urllib.parse.urlsplit(endpoint) if endpoint else None
    for policy in rendered.all("NetworkPolicy"):
        spec = policy["spec"]
        if set(spec["policyTypes"]) != {"Ingress", "Egress"}:
            yield f"policyTypes: expected both, got {spec['policyTypes']}"
        blocks, dns, collects = [], set(), False
        for entry in spec["egress"]:
            if not entry.get("to") or not entry.get("ports"):
                yield "an egress rule without `to` or `ports` allows everything"
                continue
            ports = {p["port"] for p in entry["ports"]}
            if collector and ports == {collector.port}:
                yield from leads_elsewhere(entry, collector)
                collects = True
                continue
            if ports == {53}:
                dns |= {p.get("protocol", "TCP") for p in entry["ports"]}
                continue
            if ports != {int(p) for p in rendered.settings()["FETCHD_ALLOW_PORT"].split(",")}:
                yield f"the ports {ports} are not those of FETCHD_ALLOW_PORT"
            if any("ipBlock" not in peer for peer in entry["to"]):
                yield f"expected only ipBlocks for {ports}, got {entry['to']}"
            blocks += [peer["ipBlock"] for peer in entry["to"] if "ipBlock" in peer]
        if collector and not collects:
            yield f"the collector at {collector.netloc} cannot be reached"
        if dns != {"UDP", "TCP"}:
            yield f"DNS needs UDP and TCP, got {dns}"
        if not blocks:
            yield "no origin can be reached"
        for block in blocks:
            allowed = ipaddress.ip_network(block["cidr"])
            exceptions = [ipaddress.ip_network(net) for net in block.get("except", [])]
            for net in exceptions:
                if net.version != allowed.version or net == allowed or not net.subnet_of(allowed):
                    yield f"except: {net} must be a part of {allowed}"
            if allowed.version == 6 and not allowed.subnet_of(context.global_v6):
                yield f"{allowed} is not within {context.global_v6}"
            for net in context.denied:
                if (
                    net.version == allowed.version
                    and net.overlaps(allowed)
                    and not covers(exceptions, net)
                ):
                    yield f"the exceptions of {allowed} lack {net}"


@rule
def ingress_is_closed(rendered, _):
    if len(rendered.all("NetworkPolicy")) != 1:
        yield "expected one NetworkPolicy"
    for policy in rendered.all("NetworkPolicy"):
        for entry in policy["spec"]["ingress"]:
            peers = entry.get("from") or [{}]
            if not entry.get("ports"):
                yield "an ingress rule without ports opens them all"
            for peer in peers:
                selectors = [
                    s for s in (peer.get("podSelector"), peer.get("namespaceSelector")) if s
                ]
                if not selectors:
                    yield f"the peer {peer} is everyone"
                for labels in (s.get("matchLabels", {}) for s in selectors):
                    if "fetchd" == labels.get("app.kubernetes.io/name"):
                        yield f"the peer {peer} has the label of fetchd's own pods"


@rule
def a_rollout_keeps_its_capacity(rendered, _):
    spec = rendered.one("Deployment")["spec"]
    rolling = spec["strategy"].get("rollingUpdate", {})
    if rolling.get("maxUnavailable") != 0 or rolling.get("maxSurge") in (None, 0):
        yield f"strategy: expected maxUnavailable 0 and some maxSurge, got {rolling}"
    scalers = rendered.all("HorizontalPodAutoscaler")
    if scalers and "replicas" in spec:
        yield "each apply would undo the autoscaler's number of replicas"
    for scaler in (scaler["spec"] for scaler in scalers):
        if not 2 <= scaler["minReplicas"] < scaler["maxReplicas"]:
            yield f"replicas: {scaler['minReplicas']} to {scaler['maxReplicas']}"
        if "cpu" not in rendered.container["resources"].get("requests", {}):
            yield "utilization needs a request for CPU"
    for budget in (budget["spec"] for budget in rendered.all("PodDisruptionBudget")):
        if budget.get("maxUnavailable") != 1 or "minAvailable" in budget:
            yield f"PodDisruptionBudget: expected maxUnavailable 1, got {budget}"
    for service in rendered.all("Service"):
        if service["spec"].get("publishNotReadyAddresses"):
            yield "callers would find pods that start or drain"


@rule
def the_service_says_what_it_speaks(rendered, _):
    settings = rendered.settings()
    tls = "FETCHD_TLS_CERT" in settings
    expected = "https" if tls else "kubernetes.io/h2c"
    for service in rendered.all("Service"):
        for entry in service["spec"]["ports"]:
            if entry.get("appProtocol") != expected:
                yield f"appProtocol: expected {expected}, got {entry.get('appProtocol')}"
    files = ("FETCHD_TLS_CERT", "FETCHD_TLS_KEY", "FETCHD_TLS_CLIENT_CA")
    if tls and any(file not in settings for file in files):
        yield f"TLS: expected all of {files}"
    if rendered.name == "production" and not (tls and "FETCHD_AUTH_TOKEN_FILE" in settings):
        yield "production is open to strangers"


@rule
def the_image_has_the_version_of_the_package(rendered, context):
    manifest = read(f"{context.root}/Cargo.toml")
    version = re.search(r'^version = "(.+)"', manifest, re.MULTILINE)[1]
    name, _, tag = rendered.container["image"].rpartition(":")
    if (name, tag) != ("fetchd", version):
        yield f"image: expected fetchd:{version}, got {rendered.container['image']}"


@rule
def everything_is_in_one_namespace(rendered, _):
    for namespace in rendered.all("Namespace"):
        for doc in rendered.docs:
            if (
                doc is not namespace
                and doc["metadata"].get("namespace") != namespace["metadata"]["name"]
            ):
                yield f"{doc['kind']} {doc['metadata']['name']}: is in another namespace"
    for certificate in rendered.all("Certificate"):
        names = certificate["spec"].get("dnsNames", [])
        mounted = [
            v["secret"]["secretName"] for v in rendered.pod.get("volumes", []) if "secret" in v
        ]
        if certificate["spec"]["secretName"] in mounted:
            for service in rendered.all("Service"):
                for suffix in ("", ".fetchd", ".fetchd.svc", ".fetchd.svc.cluster.local"):
                    if service["metadata"]["name"] + suffix not in names:
                        yield f"Certificate: lacks {service['metadata']['name']}{suffix}"
        issuer = certificate["spec"]["issuerRef"]["name"]
        if issuer not in [doc["metadata"]["name"] for doc in rendered.all("Issuer")]:
            yield f"Certificate: there is no Issuer {issuer}"


def denied_networks(root):
    """Reads the denied networks, and the global IPv6 network, from the source."""
    text = read(f"{root}/src/egress/ranges.rs").split("/// Translators map")[0]
    denied, global_v6 = [], None
    for line in text.splitlines():
        found = re.search(r"v4\(\[([\d, ]+)\], (\d+)\)", line)
        if found:
            denied.append(ipaddress.ip_network(f"{found[1].replace(', ', '.')}/{found[2]}"))
        found = re.search(r"v6\(\[([\da-fx, ]+)\], (\d+)\)", line)
        if found:
            groups = [f"{int(group, 0):x}" for group in found[1].split(", ")]
            network = ipaddress.ip_network(f"{':'.join(groups)}::/{found[2]}")
            if "GLOBAL_V6" in line:
                global_v6 = network
            else:
                denied.append(network)
    count = len([net for net in denied if net.version == 4])
    declared = int(re.search(r"SPECIAL_V4: \[\(Ipv4Net, &str\); (\d+)\]", text)[1])
    assert count == declared and global_v6, f"ranges.rs: read {count} of {declared} networks"
    return denied, global_v6
