"""Checks the manifests of deploy/.

Usage: check.py FETCHD ROOT TOOLS [--write]

FETCHD is the binary, ROOT the folder of the repository, and TOOLS a folder with the npm
packages. Renders the base, each overlay, and the base with each component, and checks:

- the schemas of three versions of Kubernetes, and those of the operators' kinds
- the rules of rules.py
- the alerts and the dashboard
- that deploy/rendered/ is current (`--write` makes it so)
- that deploy/README.md works as printed
- that the binary starts with the settings, and answers probes and callers

Then it breaks the manifests in many ways, each of which must be noticed.
"""

import pathlib
import re
import subprocess
import sys
import types

import yaml

import metrics
import mutations
import readme
import rules
import schemas
import service
from manifests import render_all

HEADER = "# Rendered from deploy/overlays/{}. `make rendered` writes it anew.\n"


def variables(fetchd):
    """Returns the variables that `fetchd serve` takes."""
    run = subprocess.run([fetchd, "serve", "--help"], capture_output=True, text=True, check=True)
    found = set(re.findall(r"\bFETCHD_[A-Z_]+\b", run.stdout))
    assert len(found) > 20, f"fetchd serve --help names only {found}"
    return found


def current(rendered, deploy, write):
    """Yields the rendered files that differ from their overlays."""
    overlays = sorted(folder.name for folder in (deploy / "overlays").glob("[a-z]*"))
    for name in overlays:
        file = deploy / "rendered" / f"{name}.yaml"
        if write:
            file.write_text(HEADER.format(name) + rendered[name].text)
        elif not file.exists() or type(rendered[name])(name, file.read_text()) != rendered[name]:
            yield f"{file.relative_to(deploy.parent)} is stale: run `make rendered`"
    for file in (deploy / "rendered").iterdir():
        if file.stem not in overlays:
            yield f"{file}: there is no such overlay"


def idle(rendered):
    """Yields the components that change nothing on their own."""
    components = [name for name in rendered if name.startswith("base +")]
    yield from (name for name in components if rendered[name] == rendered["base"])


def comparison_self_test(rendered, deploy):
    """Yields the differences that aren't noticed."""
    changed = rendered["dev"].changed(lambda r: r.pod.update(hostname="x"))
    if not list(current({**rendered, "dev": changed}, deploy, False)):
        yield "a stale file in deploy/rendered/"
    if not list(idle({**rendered, "base + tls": rendered["base"]})):
        yield "a component that does nothing"


def main(fetchd, root, tools, *flags):
    deploy = pathlib.Path(root, "deploy").resolve()
    rendered = render_all(root)
    stale = list(current(rendered, deploy, "--write" in flags))
    if flags:
        return
    problems = []
    denied, global_v6 = rules.denied_networks(root)
    context = types.SimpleNamespace(
        root=root, variables=variables(fetchd), denied=denied, global_v6=global_v6
    )
    steps = 0

    def add(title, found):
        nonlocal steps
        steps += 1
        found = list(found)
        print(f"{title}: {'ok' if not found else f'{len(found)} problems'}", flush=True)
        problems.extend(f"{title}: {problem}" for problem in found)

    docs = [doc for one in rendered.values() for doc in one.docs]
    add(
        f"schemas of Kubernetes {', '.join(schemas.VERSIONS)} and operators",
        schemas.validate(docs, tools),
    )
    for name, one in rendered.items():
        add(name, (f"{r.__name__}: {p}" for r in rules.RULES for p in r(one, context)))
    production = rendered["production"]
    add("deploy/rendered/ is current", stale)
    add("components do something", idle(rendered))
    cases = yaml.safe_load(pathlib.Path(__file__).with_name("alerts.test.yaml").read_text())
    add("alerts and dashboard", metrics.problems(production, root, cases))
    add("promtool", metrics.promtool(production, tools, cases))
    add("deploy/README.md works as printed", readme.problems(root, production, readme.page(root)))
    for name in ("base", "dev", "production", "base + grpc-probes", "base + traces"):
        add(
            f"fetchd serve with the settings of {name}",
            service.problems(fetchd, deploy, rendered[name]),
        )
    add(f"{len(mutations.MUTATIONS)} mutations are noticed", mutations.unnoticed(rendered, context))
    add("differences are noticed", comparison_self_test(rendered, deploy))
    add("mistakes in deploy/README.md are noticed", readme.self_test(root, production))
    add("mistakes in settings are noticed", service.self_test(fetchd, deploy, production))
    add("mistakes in fields are noticed", schemas.self_test(production, tools))
    add("mistakes in alerts are noticed", metrics.self_test(production, root, tools, cases))
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{steps - len({p.split(':')[0] for p in problems})} passed, {len(problems)} failed")
    sys.exit(bool(problems))


main(*sys.argv[1:])
