"""The environment of the tutorial's image: one template, one file, one AWS role.

A task definition that runs HashiCorp's demonstration image for Vault Agent on ECS has these
variables already; the configuration that they stand for is made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leasekeeper.settings import environment, texts
from leasekeeper.settings.draft import Draft, Origin, Path

if TYPE_CHECKING:
    from leasekeeper.settings.environment import Variables
    from leasekeeper.settings.problems import Problems

ROLE = "VAULT_ROLE"
TEMPLATE = "VAULT_AGENT_TEMPLATE"
TARGET = "TARGET_FILE_NAME"
EXIT_AFTER_AUTH = "VAULT_AGENT_EXIT_AFTER_AUTH"
VARIABLES = (ROLE, TEMPLATE, TARGET, EXIT_AFTER_AUTH)
DEFAULT_DIR = "/config"

# The image renders once and exits unless it is told otherwise. Task definitions rely on it: the
# application's `dependsOn` waits for the sidecar's exit, which would never come.
EXITS_BY_DEFAULT = Origin(f"environment contract, {EXIT_AFTER_AUTH} not set")
ORIGIN = Origin("environment contract")


def is_used(variables: Variables) -> bool:
    """Tell whether the environment speaks the tutorial's language."""
    return variables.first(ROLE, TEMPLATE, TARGET) is not None


def draft_from(variables: Variables, problems: Problems) -> Draft:
    """Return what the variables stand for; ours can still change and add to it."""
    draft = Draft(ORIGIN)
    draft.put(("auth", "method"), "aws_iam", ORIGIN)
    draft.put(("outputs", 0), {}, ORIGIN)
    # As the image's Vault Agent writes it: the application may run as anybody, and only the image
    # is to change.
    draft.put(("outputs", 0, "mode"), "0644", ORIGIN)
    if role := variables.get(ROLE):
        draft.put(("auth", "role"), role, environment.origin(ROLE))
    if once := variables.get(EXIT_AFTER_AUTH):
        draft.put(("lifecycle", "exit_after_auth"), once, environment.origin(EXIT_AFTER_AUTH))
    else:
        draft.put(("lifecycle", "exit_after_auth"), True, EXITS_BY_DEFAULT)
    if name := variables.get(TARGET):
        _put_destination(draft, name, variables, problems)
    if template := variables.get(TEMPLATE):
        _put_template(draft, template, problems)
    return draft


def note_missing(draft: Draft, problems: Problems) -> None:
    """Add what the contract needs and nothing else has set."""
    _need(draft, problems, "VAULT_ADDR", ("vault", "address"))
    _need(draft, problems, TARGET, ("outputs", 0, "destination"))
    if draft.get(("auth", "method")) == "aws_iam":
        _need(draft, problems, ROLE, ("auth", "role"))
    if not any(draft.get(("outputs", 0, key)) for key in ("template_file", "secret")):
        _need(draft, problems, TEMPLATE, ("outputs", 0, "template"))


def _need(draft: Draft, problems: Problems, name: str, path: Path) -> None:
    if draft.get(path) is None:
        problems.add(environment.origin(name), "is needed", path)


def _put_destination(draft: Draft, name: str, variables: Variables, problems: Problems) -> None:
    path: Path = ("outputs", 0, "destination")
    directory = variables.get(environment.OUTPUT_DIR) or DEFAULT_DIR
    if not directory.startswith("/"):
        problems.add(environment.origin(environment.OUTPUT_DIR), "needs an absolute path")
        directory = DEFAULT_DIR
    if name.startswith("/") or not {"", ".", ".."}.isdisjoint(name.split("/")):
        text = f"needs the name of a file below {environment.OUTPUT_DIR}, without `..`"
        problems.add(environment.origin(TARGET), text, path)
        return
    draft.put(path, f"{directory.rstrip('/')}/{name}", environment.origin(TARGET))


def _put_template(draft: Draft, template: str, problems: Problems) -> None:
    path: Path = ("outputs", 0, "template")
    try:
        text = texts.decoded(texts.from_base64(template))
    except texts.NotText as error:
        problems.add(environment.origin(TEMPLATE), str(error), path)
        return
    draft.put(path, text, environment.origin(TEMPLATE))
