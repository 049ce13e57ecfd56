"""Leasekeeper: keeps Vault secrets on disk fresh for an application on Amazon ECS."""

__version__ = "0.1.0"
