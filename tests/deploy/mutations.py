"""Breaks each rule on purpose. A rule that doesn't notice is reported.

Each entry is a rule, the manifests that are changed, and the change.
"""

import rules


def policy(rendered):
    return rendered.one("NetworkPolicy")["spec"]


def setting(name, value):
    def change(rendered):
        rendered.config_map()["data"][name] = value

    return change


def without_setting(name):
    return lambda rendered: rendered.config_map()["data"].pop(name)


def container(**fields):
    return lambda rendered: rendered.container.update(fields)


def pod(**fields):
    return lambda rendered: rendered.pod.update(fields)


def security(**fields):
    return lambda rendered: rendered.container["securityContext"].update(fields)


def limit(**fields):
    return lambda rendered: rendered.container["resources"]["limits"].update(fields)


def probe(name, **fields):
    return lambda rendered: rendered.container[name]["httpGet"].update(fields)


def spec(kind, name="fetchd", **fields):
    return lambda rendered: rendered.one(kind, name)["spec"].update(fields)


def service_port(name, **fields):
    return lambda rendered: rendered.one("Service", name)["spec"]["ports"][0].update(fields)


def volume(**fields):
    return lambda rendered: rendered.container["volumeMounts"][0].update(fields)


def exceptions(version, network):
    def change(rendered):
        policy(rendered)["egress"][1]["to"][version]["ipBlock"]["except"].remove(network)

    return change


def each_exception():
    """Yields a change for every exception of the policy."""
    v4 = """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16
        172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15
        198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4"""
    for index, networks in enumerate([v4, "2001::/23 2001:db8::/32 2002::/16 3fff::/20"]):
        for network in networks.split():
            yield rules.egress_repeats_the_policy, "base", exceptions(index, network)


OTHER = {"matchLabels": {"app.kubernetes.io/name": "other"}}

MUTATIONS = [
    (rules.selectors_select_the_pods, "base", spec("Service", selector=OTHER["matchLabels"])),
    (rules.selectors_select_the_pods, "base", spec("Service", "fetchd-headless", selector={})),
    (rules.selectors_select_the_pods, "base", spec("Deployment", selector=OTHER)),
    (rules.selectors_select_the_pods, "base", spec("NetworkPolicy", podSelector=OTHER)),
    (rules.selectors_select_the_pods, "production", spec("PodDisruptionBudget", selector=OTHER)),
    (rules.selectors_select_the_pods, "production", spec("PodMonitor", selector=OTHER)),
    (
        rules.selectors_select_the_pods,
        "production",
        lambda r: r.pod["topologySpreadConstraints"][0].update(labelSelector=OTHER),
    ),
    (
        rules.selectors_select_the_pods,
        "production",
        lambda r: r.one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="x"),
    ),
    (rules.ports_exist, "base", setting("FETCHD_LISTEN", "0.0.0.0:50052")),
    (rules.ports_exist, "base", setting("FETCHD_ADMIN_LISTEN", "127.0.0.1:9090")),
    (rules.ports_exist, "base", setting("FETCHD_ADMIN_LISTEN", "off")),
    (rules.ports_exist, "base", probe("readinessProbe", port="grpc")),
    (rules.ports_exist, "base", probe("livenessProbe", port=9091)),
    (rules.ports_exist, "base", lambda r: r.container.pop("startupProbe")),
    (rules.ports_exist, "base", service_port("fetchd", targetPort="http")),
    (rules.ports_exist, "base", service_port("fetchd-headless", targetPort="admin")),
    (rules.ports_exist, "base", lambda r: policy(r)["ingress"][0]["ports"][0].update(port="http")),
    (
        rules.ports_exist,
        "base",
        lambda r: r.template["metadata"]["annotations"].update({"prometheus.io/port": "50051"}),
    ),
    (
        rules.ports_exist,
        "production",
        lambda r: r.one("PodMonitor")["spec"]["podMetricsEndpoints"][0].update(port="metrics"),
    ),
    (
        rules.ports_exist,
        "production",
        lambda r: r.template["metadata"].update(annotations={"prometheus.io/port": "9090"}),
    ),
    (
        rules.ports_exist,
        "base + grpc-probes",
        setting("FETCHD_TLS_CERT", "/etc/fetchd/tls/tls.crt"),
    ),
    (rules.probes_tell_a_drain_from_a_failure, "base", probe("livenessProbe", path="/readyz")),
    (rules.probes_tell_a_drain_from_a_failure, "base", probe("readinessProbe", path="/healthz")),
    (
        rules.probes_tell_a_drain_from_a_failure,
        "base + grpc-probes",
        lambda r: r.container["readinessProbe"]["grpc"].pop("service"),
    ),
    (rules.settings_are_flags, "base", setting("FETCHD_MAX_IN_FLIGTH", "1024")),
    (rules.settings_are_flags, "base", setting("FETCHD_MAX_IN_FLIGHT", 1024)),
    (rules.settings_are_flags, "base", container(env=[{"name": "RUST_LOOG", "value": "info"}])),
    (rules.the_grace_period_is_longer_than_a_drain, "base", pod(terminationGracePeriodSeconds=66)),
    (rules.the_grace_period_is_longer_than_a_drain, "base", setting("FETCHD_DRAIN_TIMEOUT", "5m")),
    (rules.the_grace_period_is_longer_than_a_drain, "base", setting("FETCHD_DRAIN_DELAY", "0s")),
    (rules.the_memory_limit_holds, "base", limit(memory="1216Mi")),
    (rules.the_memory_limit_holds, "base", setting("FETCHD_MAX_IN_FLIGHT", "2048")),
    (rules.the_memory_limit_holds, "base", setting("FETCHD_MAX_BATCHES", "512")),
    (rules.the_memory_limit_holds, "base", setting("FETCHD_MAX_QUEUED_BYTES", "1GiB")),
    (rules.the_memory_limit_holds, "base", setting("FETCHD_MAX_CONNECTIONS", "10000")),
    (rules.the_memory_limit_holds, "production", setting("FETCHD_MAX_CONNECTIONS", "4096")),
    (rules.the_memory_limit_holds, "base", without_setting("FETCHD_WORKER_THREADS")),
    (rules.the_memory_limit_holds, "base", lambda r: r.container["resources"].pop("limits")),
    (rules.the_memory_limit_holds, "dev", limit(memory="256Mi")),
    (rules.pod_security_is_restricted, "base", security(allowPrivilegeEscalation=True)),
    (rules.pod_security_is_restricted, "base", security(readOnlyRootFilesystem=False)),
    (rules.pod_security_is_restricted, "base", security(capabilities={"drop": ["NET_RAW"]})),
    (rules.pod_security_is_restricted, "base", security(privileged=True)),
    (rules.pod_security_is_restricted, "base", security(runAsUser=0)),
    (rules.pod_security_is_restricted, "base", security(runAsNonRoot=False)),
    (
        rules.pod_security_is_restricted,
        "base",
        lambda r: r.pod["securityContext"].pop("seccompProfile"),
    ),
    (rules.pod_security_is_restricted, "base", pod(hostNetwork=True)),
    (
        rules.pod_security_is_restricted,
        "base",
        pod(volumes=[{"name": "x", "hostPath": {"path": "/"}}]),
    ),
    (rules.pod_security_is_restricted, "base", pod(automountServiceAccountToken=True)),
    (rules.pod_security_is_restricted, "base", pod(serviceAccountName="default")),
    (rules.pod_security_is_restricted, "base", pod(enableServiceLinks=True)),
    (
        rules.pod_security_is_restricted,
        "dev",
        lambda r: r.all("Namespace")[0]["metadata"].update(labels={}),
    ),
    (rules.secrets_are_mounted_as_directories, "production", volume(subPath="tokens")),
    (rules.secrets_are_mounted_as_directories, "production", volume(readOnly=False)),
    (rules.secrets_are_mounted_as_directories, "production", volume(mountPath="/etc/fetchd")),
    (
        rules.secrets_are_mounted_as_directories,
        "production",
        lambda r: r.pod["volumes"][0]["secret"].update(optional=True),
    ),
    (rules.secrets_are_mounted_as_directories, "production", setting("FETCHD_TLS_KEY", "/tls.key")),
    (
        rules.secrets_are_mounted_as_directories,
        "production",
        without_setting("FETCHD_AUTH_TOKEN_FILE"),
    ),
    *each_exception(),
    (rules.egress_repeats_the_policy, "base", setting("FETCHD_ALLOW_PORT", "80,443,8080")),
    (rules.egress_repeats_the_policy, "base", lambda r: policy(r)["egress"].append({})),
    (rules.egress_repeats_the_policy, "base", lambda r: policy(r)["egress"][0]["ports"].pop()),
    (rules.egress_repeats_the_policy, "base", lambda r: policy(r).update(policyTypes=["Ingress"])),
    (rules.egress_repeats_the_policy, "base", lambda r: policy(r)["egress"].pop(1)),
    (
        rules.egress_repeats_the_policy,
        "base",
        lambda r: policy(r)["egress"][1]["to"].append({"namespaceSelector": {}}),
    ),
    (
        rules.egress_repeats_the_policy,
        "base",
        lambda r: policy(r)["egress"][1]["to"][1]["ipBlock"].update(cidr="::/0"),
    ),
    (
        rules.egress_repeats_the_policy,
        "base",
        lambda r: policy(r)["egress"][1]["to"][0]["ipBlock"].update(cidr="128.0.0.0/1"),
    ),
    (
        rules.egress_repeats_the_policy,
        "base + traces",
        setting("FETCHD_OTLP_ENDPOINT", "http://otel-collector.observability:4318"),
    ),
    (
        rules.egress_repeats_the_policy,
        "base + traces",
        setting("FETCHD_OTLP_ENDPOINT", "http://otel-collector.monitoring:4317"),
    ),
    (rules.egress_repeats_the_policy, "base + traces", lambda r: policy(r)["egress"].pop()),
    (
        rules.egress_repeats_the_policy,
        "base + traces",
        lambda r: policy(r)["egress"][2]["to"][0].pop("podSelector"),
    ),
    (rules.egress_repeats_the_policy, "base + traces", without_setting("FETCHD_OTLP_ENDPOINT")),
    (rules.ingress_is_closed, "base", lambda r: policy(r)["ingress"][0].pop("from")),
    (rules.ingress_is_closed, "base", lambda r: policy(r)["ingress"][0].pop("ports")),
    (
        rules.ingress_is_closed,
        "base",
        lambda r: policy(r)["ingress"][0]["from"][0].pop("podSelector"),
    ),
    (
        rules.ingress_is_closed,
        "base",
        lambda r: policy(r)["ingress"][0]["from"][0]["podSelector"]["matchLabels"].update(
            {"app.kubernetes.io/name": "fetchd"}
        ),
    ),
    (rules.ingress_is_closed, "base", lambda r: r.docs.remove(r.one("NetworkPolicy"))),
    (
        rules.a_rollout_keeps_its_capacity,
        "base",
        lambda r: r.one("Deployment")["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1),
    ),
    (rules.a_rollout_keeps_its_capacity, "production", spec("Deployment", replicas=3)),
    (
        rules.a_rollout_keeps_its_capacity,
        "production",
        spec("HorizontalPodAutoscaler", minReplicas=1),
    ),
    (rules.a_rollout_keeps_its_capacity, "production", spec("PodDisruptionBudget", minAvailable=3)),
    (rules.a_rollout_keeps_its_capacity, "production", lambda r: r.container.update(resources={})),
    (
        rules.a_rollout_keeps_its_capacity,
        "base",
        spec("Service", "fetchd-headless", publishNotReadyAddresses=True),
    ),
    (rules.the_service_says_what_it_speaks, "base", service_port("fetchd", appProtocol="http")),
    (
        rules.the_service_says_what_it_speaks,
        "production",
        service_port("fetchd-headless", appProtocol="kubernetes.io/h2c"),
    ),
    (rules.the_service_says_what_it_speaks, "production", without_setting("FETCHD_TLS_CLIENT_CA")),
    (
        rules.the_service_says_what_it_speaks,
        "production",
        without_setting("FETCHD_AUTH_TOKEN_FILE"),
    ),
    (rules.the_image_has_the_version_of_the_package, "base", container(image="fetchd")),
    (rules.the_image_has_the_version_of_the_package, "base", container(image="fetchd:latest")),
    (
        rules.everything_is_in_one_namespace,
        "production",
        lambda r: r.one("PodMonitor")["metadata"].update(namespace="default"),
    ),
    (
        rules.everything_is_in_one_namespace,
        "base + tls + cert-manager",
        lambda r: r.one("Certificate", "fetchd-tls")["spec"]["dnsNames"].remove(
            "fetchd.fetchd.svc"
        ),
    ),
    (
        rules.everything_is_in_one_namespace,
        "base + tls + cert-manager",
        lambda r: r.one("Certificate", "fetchd-tls")["spec"]["issuerRef"].update(name="x"),
    ),
]


def unnoticed(rendered, context):
    """Yields the mutations that their rules don't notice, and the rules without one."""
    for index, (rule, name, change) in enumerate(MUTATIONS):
        changed = rendered[name].changed(change)
        if not list(rule(changed, context)):
            yield f"mutation {index + 1} of {name} is not noticed by {rule.__name__}"
    broken = {rule for rule, _, _ in MUTATIONS}
    yield from (f"no mutation breaks {r.__name__}" for r in rules.RULES if r not in broken)
