"""Renders the manifests, and finds things in them."""

import copy
import functools
import pathlib
import re
import shutil
import subprocess
import tempfile

import yaml

# Components that only work on top of others.
NEEDS = {"cert-manager": ["tls"]}


def kustomize(folder):
    """Returns the text of the manifests of a folder."""
    tool = ["kubectl", "kustomize"] if shutil.which("kubectl") else ["kustomize", "build"]
    run = subprocess.run([*tool, str(folder)], capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(f"{' '.join(tool)} {folder}:\n{run.stderr}")
    return run.stdout


def render_all(root):
    """Renders the base, the overlays, and the base with each component, by name."""
    deploy = pathlib.Path(root).resolve() / "deploy"
    folders = {"base": deploy / "base"}
    for overlay in sorted((deploy / "overlays").glob("[a-z]*")):
        folders[overlay.name] = overlay
    rendered = {name: Rendered(name, kustomize(folder)) for name, folder in folders.items()}
    # Next to the others, since kustomizations may only refer to relative paths.
    with tempfile.TemporaryDirectory(dir=deploy, prefix=".check-") as scratch:
        for component in sorted((deploy / "components").iterdir()):
            names = NEEDS.get(component.name, []) + [component.name]
            text = {"resources": ["../base"], "components": [f"../components/{n}" for n in names]}
            pathlib.Path(scratch, "kustomization.yaml").write_text(yaml.safe_dump(text))
            name = f"base + {' + '.join(names)}"
            rendered[name] = Rendered(name, kustomize(scratch))
    return rendered


class Rendered:
    """The manifests of one folder. They hold one Deployment, with one container."""

    def __init__(self, name, text):
        self.name = name
        self.text = text
        self.docs = [doc for doc in yaml.safe_load_all(text) if doc]

    def __eq__(self, other):
        def by_name(rendered):
            return {(d["kind"], d["metadata"]["name"]): d for d in rendered.docs}

        return by_name(self) == by_name(other)

    def changed(self, change):
        """Returns a copy to which `change` has been applied."""
        other = copy.copy(self)
        other.docs = copy.deepcopy(self.docs)
        change(other)
        return other

    def all(self, kind):
        return [doc for doc in self.docs if doc["kind"] == kind]

    def one(self, kind, name="fetchd"):
        """Returns the manifest of this kind and name."""
        found = [doc for doc in self.all(kind) if doc["metadata"]["name"] == name]
        if len(found) != 1:
            raise AssertionError(f"{self.name}: expected one {kind} {name}, got {len(found)}")
        return found[0]

    @property
    def template(self):
        return self.one("Deployment")["spec"]["template"]

    @property
    def pod(self):
        return self.template["spec"]

    @property
    def container(self):
        return self.pod["containers"][0]

    def config_map(self):
        """Returns the ConfigMap with the settings: the one that the container refers to."""
        name = self.container["envFrom"][0]["configMapRef"]["name"]
        return self.one("ConfigMap", name)

    def settings(self):
        """Returns the variables of the container's environment, by name."""
        settings = dict(self.config_map()["data"])
        for variable in self.container.get("env", []):
            settings[variable["name"]] = variable.get("value")
        return settings


def selects(selector, labels):
    """Returns true if a label selector selects these labels. An empty one selects all."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for rule in selector.get("matchExpressions", []):
        value, operator = labels.get(rule["key"]), rule["operator"]
        if operator == "Exists" and value is None or operator == "DoesNotExist" and value:
            return False
        if operator == "In" and value not in rule["values"]:
            return False
        if operator == "NotIn" and value in rule["values"]:
            return False
    return True


UNITS = {"": 1, "B": 1, "Ki": 1 << 10, "KiB": 1 << 10, "Mi": 1 << 20, "MiB": 1 << 20}
UNITS |= {"Gi": 1 << 30, "GiB": 1 << 30}
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


def size(text):
    """Reads a quantity of Kubernetes, or a size of fetchd, as bytes."""
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]*)", str(text)).groups()
    return int(number) * UNITS[unit]


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([a-z]+)", text).groups()
    return int(number) * SECONDS[unit]


def port(address):
    """Returns the port of a listen address, or None if the listener is off."""
    return None if address == "off" else int(address.rsplit(":", 1)[1])


@functools.cache
def read(path):
    return pathlib.Path(path).read_text()
