"""Asks each service whether it takes the settings that compose and the manifests give it.

    settings.py BIN_DIR compose.json rendered.yaml...

A key that no service has (a typing mistake, a setting that was renamed) stops a service at its start;
this finds it without a container. Secrets are stand-ins of the right form.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import yaml

SERVICES = ("tenant-service", "agent-portal-service", "outbound-message-service")
KEY = "key1:" + "A" * 43 + "="
# By the end of a secret file's name; anything else is any text.
STAND_INS = {
    "database-url": "postgres://role:password@database:5432/whatsapp_genesys",
    "rabbitmq-url": "amqp://user:password@broker:5672/%2f",
    "redis-url": "redis://cache:6379/0",
    "vault-keys": KEY,
    "sha256": "0" * 64,
}


def environments_of_compose(path):
    services = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["services"]
    for name in SERVICES:
        yield f"{path}: {name}", name, services[name]["environment"]


def environments_of_manifests(path, folder):
    with open(path, encoding="utf-8") as file:
        manifests = [m for m in yaml.safe_load_all(file) if m]
    config_maps = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}
    for manifest in manifests:
        if manifest["kind"] != "Deployment":
            continue
        name = manifest["metadata"]["name"]
        container = manifest["spec"]["template"]["spec"]["containers"][0]
        mounts = [m["mountPath"] for m in container["volumeMounts"]]
        environment = {}
        for source in container["envFrom"]:
            environment |= config_maps[source["configMapRef"]["name"]]
        for key, value in environment.items():
            if key.endswith("_FILE"):
                if not any(value.startswith(f"{mount}/") for mount in mounts):
                    sys.exit(f"{path}: {name}: {key} names {value}, where nothing is mounted")
                environment[key] = stand_in_file(folder, value)
        yield f"{path}: {name}", name, environment


def stand_in_file(folder, path):
    name = pathlib.PurePath(path).name
    content = next((text for end, text in STAND_INS.items() if name.endswith(end)), "stand-in")
    file = pathlib.Path(folder) / name
    file.write_text(content, encoding="utf-8")
    return str(file)


def takes(bin_dir, what, service, environment):
    done = subprocess.run(
        [f"{bin_dir}/{service}", "check-config"], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        print(f"{what}: {done.stderr.strip() or done.stdout.strip()}")
    return done.returncode == 0


def main():
    bin_dir, compose, *rendered = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        wanted = list(environments_of_compose(compose))
        for path in rendered:
            wanted += environments_of_manifests(path, folder)
        if not all([takes(bin_dir, *one) for one in wanted]):
            sys.exit(1)


if __name__ == "__main__":
    main()
