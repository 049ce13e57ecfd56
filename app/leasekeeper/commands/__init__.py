"""The commands that look, ask and explain. Each is a module, imported when it is run."""

COMMANDS = {
    "check": "check configuration, templates and destinations; --online asks Vault as well",
    "completion": "print the completion of a shell: bash, zsh or fish",
    "diff": "say what a run would change on disk, without writing and without showing secrets",
    "explain": "say in sentences what becomes of a secret or output, or what an error code means",
    "policy": "print the least that Vault has to allow for this configuration",
    "quit": "stop the running Leasekeeper",
    "refresh": "have the running Leasekeeper look for newer values now",
    "render": "render the outputs with made-up values, without Vault",
    "rotate": "have the running Leasekeeper get a new credential now",
    "schema": "print the JSON Schema of the configuration, for editors",
    "status": "show what the running Leasekeeper holds, until when, and what comes next",
}
"""Names, and what stands beside them in ``leasekeeper --help``."""
