"""``leasekeeper completion``: completion of commands and options for bash, zsh and fish."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping

from leasekeeper.commands import COMMANDS
from leasekeeper.commands.configuration import command_parser
from leasekeeper.errors import EXIT_DONE

_DESCRIPTION = "Print the completion of commands, options and files for a shell."
_EXAMPLES = """\
  source <(leasekeeper completion bash)                        # this shell
  leasekeeper completion bash > /etc/bash_completion.d/leasekeeper
  leasekeeper completion zsh > "${fpath[1]}/_leasekeeper"
  leasekeeper completion fish > ~/.config/fish/completions/leasekeeper.fish
"""
# What `cli` itself parses, and the health check.
_BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "run": ("--config", "--once", "--log-level", "--log-format"),
    "health": ("--listen", "--ready", "--quiet"),
    "agent": ("-config", "-lenient", "-log-level", "-test-verify-only"),
    "convert": ("-lenient",),
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = command_parser("completion", _DESCRIPTION, _EXAMPLES)
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))
    return parser


def main(arguments: list[str]) -> int:
    """Print the script."""
    options = parser().parse_args(arguments)
    sys.stdout.write({"bash": _bash, "zsh": _zsh, "fish": _fish}[options.shell](words()))
    return EXIT_DONE


def words() -> dict[str, tuple[str, ...]]:
    """Return the options of every command."""
    found = dict(_BUILT_IN)
    for name in COMMANDS:
        module = importlib.import_module(f"leasekeeper.commands.{name}")
        actions = module.parser()._actions  # noqa: SLF001 - argparse has no other way
        options = [o for action in actions for o in action.option_strings if o.startswith("--")]
        choices = [str(c) for action in actions for c in action.choices or ()]
        found[name] = (*options, *choices)
    return found


def _cases(known: Mapping[str, tuple[str, ...]]) -> str:
    return "".join(
        f'    {name}) words="{" ".join(options)}" ;;\n' for name, options in sorted(known.items())
    )


def _bash(known: Mapping[str, tuple[str, ...]]) -> str:
    return f"""\
_leasekeeper() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" words="{" ".join(sorted(known))}"
  if [ "$COMP_CWORD" -gt 1 ]; then
    case "${{COMP_WORDS[1]}}" in
{_cases(known)}    *) words="" ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _leasekeeper leasekeeper
"""


def _zsh(known: Mapping[str, tuple[str, ...]]) -> str:
    return f"""\
#compdef leasekeeper
_leasekeeper() {{
  local words_="{" ".join(sorted(known))}"
  if (( CURRENT > 2 )); then
    case "${{words[2]}}" in
{_cases(known).replace("words=", "words_=")}    *) words_="" ;;
    esac
  fi
  compadd -- ${{=words_}}
  _files
}}
compdef _leasekeeper leasekeeper
"""


def _fish(known: Mapping[str, tuple[str, ...]]) -> str:
    lines = [
        f"complete -c leasekeeper -n __fish_use_subcommand -a {name}" for name in sorted(known)
    ]
    for name, options in sorted(known.items()):
        seen = f"'__fish_seen_subcommand_from {name}'"
        lines += [f"complete -c leasekeeper -n {seen} -a '{option}'" for option in options]
    return "\n".join(lines) + "\n"
