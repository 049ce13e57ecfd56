"""What a fleet of tasks asks of Vault, in virtual time: ``python -m benchmarks.fleet --help``."""
