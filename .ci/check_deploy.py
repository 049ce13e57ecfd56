"""Check everything that is deployed: containers, Terraform, CloudFormation, IAM, tasks, alerts.

Run as ``make check-deploy``. Works on a copy, so that nothing is left in the tree, and runs every
step even if one fails. Exit code 1 if something is broken, or could not be looked at: a check that
is left out is none. ``--only WORD`` runs the steps with that word in their name; ``--prove`` breaks
files one by one in the copy and demands that the step which should notice does.

What each checker can and cannot see is in ``ecs/README.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from deploy.documents import (
    TEMPLATE,
    policies_of_cloudformation,
    policies_of_terraform,
    tasks_of_cloudformation,
    tasks_of_terraform,
    with_every_option,
)
from deploy.policies import check_policy
from deploy.programs import Broken, Missing, output, program, run
from deploy.proofs import PROOFS
from deploy.task_definition import Wrong, check_task_definition

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
TASK_DEFINITIONS = (Path("ecs/task-definition.json"), Path("ecs/task-definition.tutorial.json"))
FIXES = {
    "docker": "install Docker with the compose plugin",
    "terraform": "install Terraform 1.9 or newer",
    "promtool": "install Prometheus (Debian: apt-get install prometheus)",
    "amtool": "install Alertmanager (Debian: apt-get install prometheus-alertmanager)",
}
# Without an engine there is nothing to deploy the compose files to, so they are not missed.
OPTIONAL = {"docker"}


Step = Callable[[Path], None]


def main() -> int:
    """Run the steps; return 1 if one found something, or could not look."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", metavar="WORD", default="", help="steps with WORD in their name")
    parser.add_argument("--prove", action="store_true", help="break things: is it noticed?")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="leasekeeper-deploy-") as scratch:
        tree = copy_of_the_tree(Path(scratch) / "tree")
        steps = {name: step for name, step in all_steps(tree).items() if options.only in name}
        good = prove(tree, steps) if options.prove else run_all(tree, steps)
    return 0 if good else 1


def copy_of_the_tree(target: Path) -> Path:
    """Copy what is committed or could be; a lock file of Terraform would bind to its provider."""
    listed = output("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.endswith(".terraform.lock.hcl"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def all_steps(tree: Path) -> dict[str, Step]:
    """Return every step by its name, in the order in which they run."""
    folders = sorted({path.parent for path in (tree / "ecs/terraform").glob("*/*/*.tf")})
    terraform_steps = {
        f"terraform {folder.relative_to(tree / 'ecs/terraform')}": partial(
            terraform, folder=folder.relative_to(tree)
        )
        for folder in folders
    }
    return {
        "hadolint": hadolint,
        "shellcheck": shellcheck,
        "compose": compose,
        "alerts": alerts,
        "cfn-lint": cfn_lint,
        "checkov": checkov,
        **terraform_steps,
        "iam": iam,
        "task definitions": task_definitions,
    }


def run_all(tree: Path, steps: Mapping[str, Step]) -> bool:
    """Run *steps* and say how each went; return whether all is good."""
    good = True
    for name, step in steps.items():
        try:
            step(tree)
        except (Broken, Wrong) as problem:
            good = False
            say(f"BROKEN  {name}\n{problem}")
        except Missing as tool:
            needed = str(tool) not in OPTIONAL
            good = good and not needed
            say(f"{'NOT CHECKED' if needed else 'left out'}  {name}: {FIXES[str(tool)]}")
        else:
            say(f"good  {name}")
    return good


def hadolint(tree: Path) -> None:
    """The Dockerfiles keep to the rules of hadolint and, inside RUN, of ShellCheck."""
    run(TOOLS / "hadolint", "docker/Dockerfile", "docker/Dockerfile.devstack", cwd=tree)


def shellcheck(tree: Path) -> None:
    """The shell scripts that are deployed or run in CI."""
    run(TOOLS / "shellcheck", "docker/vault", "docker/setup.sh", ".ci/run", cwd=tree)


def compose(tree: Path) -> None:
    """Both stacks are compose files: known keys, known services and volumes."""
    program("docker")
    for name in ("compose.yaml", "compose.test.yaml"):
        environment = {**os.environ, "TEMPLATE": "-"}
        run("docker", "compose", "-f", f"docker/{name}", "config", "-q", cwd=tree, env=environment)


def alerts(tree: Path) -> None:
    """Rules, their cases, and the configurations of Prometheus and Alertmanager."""
    folder = tree / "config/monitoring"
    promtool = program("promtool")
    run(promtool, "check", "rules", "prometheus-rules.yml", cwd=folder)
    run(promtool, "test", "rules", "prometheus-rules-test.yml", cwd=folder)
    run(promtool, "check", "config", "prometheus.yml", cwd=folder)
    run(program("amtool"), "check-config", "alertmanager.yml", cwd=folder)


def cfn_lint(tree: Path) -> None:
    """The template, against the schemas of CloudFormation's resources."""
    run(TOOLS / "cfn-lint", TEMPLATE, cwd=tree)


def checkov(tree: Path) -> None:
    """Terraform and CloudFormation, by rules of security; exceptions stand where they apply."""
    # It leaves out what the parameters' defaults switch off, so a copy has everything switched on.
    (tree / TEMPLATE.with_stem("every-option")).write_text(with_every_option(tree))
    frameworks = ("--framework", "terraform", "cloudformation")
    words = ("--compact", "--quiet", "--skip-download", *frameworks)
    run(TOOLS / "checkov", "--directory", "ecs", *words, cwd=tree)


def terraform(tree: Path, folder: Path) -> None:
    """Format, validity and tests of the module or example in *folder*.

    Its providers come from where TF_CLI_CONFIG_FILE says, if it is set, else from the registry.
    """
    tool = program("terraform")
    run(tool, "fmt", "-check", "-diff", "-recursive", "-no-color", cwd=tree / folder)
    try:
        run(tool, "init", "-backend=false", "-input=false", "-no-color", cwd=tree / folder)
    except Broken as problem:
        hint = (
            "without a way to the registry, let TF_CLI_CONFIG_FILE name a mirror of the providers"
        )
        raise Broken(f"{problem}\n  ({hint})") from problem
    run(tool, "validate", "-no-color", cwd=tree / folder)
    run(tool, "test", "-no-color", cwd=tree / folder)


def iam(tree: Path) -> None:
    """Each policy, as text: known actions that fit their resources, and no wildcard."""
    documents = {**policies_of_terraform(tree), **policies_of_cloudformation(tree)}
    if len(documents) < 8:
        raise Broken(f"too few policies have been found: {sorted(documents)}")
    for name, document in documents.items():
        check_policy(name, document)


def task_definitions(tree: Path) -> None:
    """Each task definition is one to botocore, to moto, to ECS' rules and to Leasekeeper."""
    found = {
        **{path.name: json.loads((tree / path).read_text()) for path in TASK_DEFINITIONS},
        **tasks_of_terraform(tree),
        **tasks_of_cloudformation(tree),
    }
    for name, definition in found.items():
        check_task_definition(name, definition)
        for container in definition["containerDefinitions"]:
            if "leasekeeper" in container["image"]:
                check_configuration(name, container)


def check_configuration(name: str, container: dict[str, Any]) -> None:
    """Leasekeeper itself understands the environment of *container*."""
    environment = {each["name"]: each["value"] for each in container["environment"]}
    environment |= {each["name"]: "x" * 40 for each in container.get("secrets", ())}
    program_text = (
        "import json, sys\n"
        "from leasekeeper.errors import AgentError\n"
        "from leasekeeper.settings.loading import load_settings\n"
        "try: load_settings(config_file=None, environ=json.load(sys.stdin), overrides={})\n"
        "except AgentError as error: sys.exit(str(error))\n"
    )
    python = ROOT / ".venv/bin/python"
    done = subprocess.run(
        [python, "-c", program_text], input=json.dumps(environment), text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "app")}, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Broken(f"{name}: Leasekeeper does not start with this:\n{done.stderr.strip()}")


def prove(tree: Path, steps: Mapping[str, Step]) -> bool:
    """Break one thing after the other; return whether each was noticed by its step."""
    proofs = [
        (name, change) for wanted, *change in PROOFS for name in steps if name.startswith(wanted)
    ]
    # A step that fails anyhow would seem to notice everything.
    good = run_all(tree, {name: steps[name] for name, _ in proofs})
    for name, (file, old, new) in proofs if good else ():
        good = is_noticed(tree, name, steps[name], (file, old, new)) and good
    return good


def is_noticed(tree: Path, name: str, step: Step, change: tuple[str, str, str]) -> bool:
    """Make *change* for as long as *step* takes, and return whether that fails."""
    file, old, new = change
    what = f"{name}: {file}: {old.strip()!r} -> {new.strip()!r}"
    path = tree / file
    text = path.read_text()
    if old not in text:
        say(f"OUT OF DATE  {what}")
        return False
    path.write_text(text.replace(old, new))
    try:
        step(tree)
    except (Broken, Wrong):
        say(f"noticed  {what}")
        return True
    except Missing as tool:
        say(f"left out  {what}: no {tool}")
        return str(tool) in OPTIONAL
    finally:
        path.write_text(text)
    say(f"NOT NOTICED  {what}")
    return False


def say(text: str) -> None:
    """Tell how it goes."""
    print(f"check-deploy: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
