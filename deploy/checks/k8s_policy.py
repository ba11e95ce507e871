"""What the Kubernetes manifests must never lose. Reads rendered YAML, prints each breach, exits 1.

    k8s_policy.py rendered.yaml...

The schema is another tool's business; this asks for the pod security level "restricted" and more:
probes, resources, no token, secrets only as files, a disruption budget and a network policy for every
workload.
"""

import sys

import yaml

WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob")
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
MAX_TERMINATION_SECONDS = 60


def pod_template(manifest):
    spec = manifest["spec"]
    if manifest["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    return spec["template"]


def selects(selector, labels):
    """A label selector as Kubernetes reads it; the operators that the manifests use."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions") or []:
        if term["operator"] == "In" and labels.get(term["key"]) not in term["values"]:
            return False
        if term["operator"] not in ("In",):
            raise ValueError(f"operator {term['operator']} is not known to this check")
    return True


def image_breaches(image):
    if "@sha256:" in image:
        return
    tag = image.rpartition("/")[2].partition(":")[2]
    if tag in ("", "latest"):
        yield f"image {image} has neither a digest nor a version"


def container_breaches(container, is_service):
    yield from image_breaches(container["image"])
    security = container.get("securityContext") or {}
    if security.get("allowPrivilegeEscalation") is not False:
        yield "may escalate privileges"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "root file system is writable"
    if security.get("privileged"):
        yield "is privileged"
    capabilities = security.get("capabilities") or {}
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield "does not drop all capabilities"
    resources = container.get("resources") or {}
    for kind in ("cpu", "memory"):
        if kind not in (resources.get("requests") or {}):
            yield f"requests no {kind}"
    if "memory" not in (resources.get("limits") or {}):
        yield "has no memory limit"
    for entry in container.get("env") or []:
        if "secretKeyRef" in (entry.get("valueFrom") or {}):
            yield f"takes secret {entry['name']} from the environment; mount it as a file"
    for source in container.get("envFrom") or []:
        if "secretRef" in source:
            yield "takes a whole secret from the environment; mount it as files"
    for port in container.get("ports") or []:
        if port.get("hostPort"):
            yield "opens a port of the host"
    if is_service:
        yield from probe_breaches(container)


def probe_breaches(container):
    for name in PROBES:
        probe = container.get(name)
        if not probe:
            yield f"has no {name}"
        elif (probe.get("httpGet") or {}).get("host"):
            yield f"{name} names a host"
    liveness = (container.get("livenessProbe") or {}).get("httpGet") or {}
    if liveness.get("path") != "/health/live":
        yield "liveness does not ask /health/live: a dependency's outage would restart the pod"
    if not (container.get("lifecycle") or {}).get("preStop"):
        yield "has no preStop"


def pod_breaches(manifest):
    template = pod_template(manifest)
    spec = template["spec"]
    security = spec.get("securityContext") or {}
    if security.get("runAsNonRoot") is not True:
        yield "may run as root"
    if security.get("runAsUser") in (None, 0):
        yield "names no user id"
    if (security.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if spec.get("automountServiceAccountToken") is not False:
        yield "mounts a service account token"
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"uses {field}"
    for volume in spec.get("volumes") or []:
        if "hostPath" in volume:
            yield f"mounts {volume['hostPath'].get('path')} of the host"
    is_service = manifest["kind"] in ("Deployment", "StatefulSet")
    if is_service and spec.get("terminationGracePeriodSeconds", 30) < MAX_TERMINATION_SECONDS:
        yield f"is given less than {MAX_TERMINATION_SECONDS} s to stop"
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        for breach in container_breaches(container, is_service and container in spec["containers"]):
            yield f"container {container['name']} {breach}"


def company_breaches(manifest, manifests):
    """What must stand beside a workload."""
    labels = pod_template(manifest)["metadata"].get("labels") or {}
    policies = [m["spec"] for m in manifests if m["kind"] == "NetworkPolicy"]
    if not any(
        selects(p["podSelector"], labels) and (p["podSelector"].get("matchLabels") or p["podSelector"].get("matchExpressions"))
        for p in policies
    ):
        yield "has no network policy of its own"
    denied = any(
        not p["podSelector"] and set(p.get("policyTypes") or []) == {"Ingress", "Egress"} and not p.get("ingress") and not p.get("egress")
        for p in policies
    )
    if not denied:
        yield "stands in a namespace without a default deny in both directions"
    if manifest["kind"] in ("Deployment", "StatefulSet"):
        budgets = [m["spec"]["selector"] for m in manifests if m["kind"] == "PodDisruptionBudget"]
        # An empty selector takes every pod of the namespace: it is no budget of this workload.
        if not any(budget and selects(budget, labels) for budget in budgets):
            yield "has no disruption budget"


def namespace_breaches(manifests):
    for manifest in manifests:
        if manifest["kind"] != "Namespace":
            continue
        labels = manifest["metadata"].get("labels") or {}
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"Namespace/{manifest['metadata']['name']}: does not enforce pod security restricted"


def check(path):
    with open(path, encoding="utf-8") as file:
        manifests = [m for m in yaml.safe_load_all(file) if m]
    found = list(namespace_breaches(manifests))
    workloads = [m for m in manifests if m["kind"] in WORKLOADS]
    if not workloads:
        found.append("no workload found")
    for manifest in workloads:
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        for breach in [*pod_breaches(manifest), *company_breaches(manifest, manifests)]:
            found.append(f"{name}: {breach}")
    for breach in found:
        print(f"{path}: {breach}")
    return not found


def main():
    paths = sys.argv[1:]
    if not paths:
        sys.exit("usage: k8s_policy.py rendered.yaml...")
    # Every file is read, so that one run shows every breach.
    if not all([check(path) for path in paths]):
        sys.exit(1)


if __name__ == "__main__":
    main()
