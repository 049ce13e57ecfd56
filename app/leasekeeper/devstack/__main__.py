"""`python -m leasekeeper.devstack`: the local world from a shell.

::

    demo [--seconds 120]   Leasekeeper at work, with a summary; exit code 0 if it held its promises
    up [--json]            keep a world up until Ctrl-C and say how to use it
    aws                    STS and the ECS endpoints alone, for a stack of containers
    product-api            the tutorial's application, reading the file named by CONFIG_FILE
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from leasekeeper.devstack.ecs import LINK_LOCAL
from leasekeeper.devstack.errors import INSTALL, DevstackError

if TYPE_CHECKING:
    from leasekeeper.devstack.world import World


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return asyncio.run(_run(options))
    except DevstackError as error:
        print(f"error: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is not installed ({INSTALL})", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m leasekeeper.devstack", description="A local world for Leasekeeper."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="show Leasekeeper at work")
    demo.add_argument("--seconds", type=float, default=120.0, help="how long (default: 120)")
    up = commands.add_parser("up", help="keep a world up until Ctrl-C")
    up.add_argument("--json", action="store_true", help="one line of JSON when it is ready")
    up.add_argument("--port", type=int, default=0, help="port of the Vault address (default: any)")
    up.add_argument("--sts-port", type=int, default=0, help="port of STS (default: any)")
    up.add_argument("--postgres-port", type=int, default=0, help="port of PostgreSQL")
    _add_ecs(up)
    up.add_argument("--namespace", default="", help="OpenBao namespace that holds everything")
    up.add_argument("--server-id", default=None, help="ask logins for this server id")
    up.add_argument("--durable", action="store_true", help="keep OpenBao's data on disk")
    for name, what, default in (
        ("role-ttl", "life of a database credential", 3600),
        ("role-max-ttl", "longest life of a database credential", 86400),
        ("token-ttl", "life of a token", 3600),
        ("token-max-ttl", "longest life of a token; 0 is 768 h", 0),
    ):
        help_text = f"{what}, in seconds (default: {default})"
        up.add_argument(f"--{name}", type=int, default=default, help=help_text)
    aws = commands.add_parser("aws", help="STS, and what ECS gives to a task, alone")
    aws.add_argument("--listen", default="127.0.0.1", help="address of STS (default: 127.0.0.1)")
    aws.add_argument("--port", type=int, default=5000, help="port of STS (default: 5000)")
    _add_ecs(aws)
    commands.add_parser("product-api", help="the tutorial's application, with CONFIG_FILE")
    return parser


def _add_ecs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ecs",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where credentials and metadata are served; 169.254.170.2 (port 80) is as on ECS",
    )
    parser.add_argument("--task-id", default="", help="id of the task (default: random)")


def _ecs_port(options: argparse.Namespace) -> int:
    return 80 if options.ecs == LINK_LOCAL else 0


async def _run(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if options.command == "demo":
        from leasekeeper.devstack.demo import Demo

        return await Demo(options.seconds, stop, lambda text: print(text, flush=True)).run()
    if options.command == "up":
        return await _up(options, stop)
    if options.command == "aws":
        return await _aws(options, stop)
    return await _product_api(stop)


async def _up(options: argparse.Namespace, stop: asyncio.Event) -> int:
    from leasekeeper.devstack.product_setup import DatabaseRules, TokenRules
    from leasekeeper.devstack.world import World, WorldSettings

    settings = WorldSettings(
        database=DatabaseRules(ttl_s=options.role_ttl, max_ttl_s=options.role_max_ttl),
        tokens=TokenRules(ttl_s=options.token_ttl, max_ttl_s=options.token_max_ttl),
        namespace=options.namespace,
        server_id=options.server_id,
        durable=options.durable,
        gateway_port=options.port,
        sts_port=options.sts_port,
        postgres_port=options.postgres_port,
        ecs_port=_ecs_port(options),
        ecs_host=options.ecs,
        task_id=options.task_id,
    )
    async with World(settings) as world:
        environment = world.environment()
        if options.json:
            print(json.dumps(_described(world, environment)), flush=True)
        else:
            print("The local world is up; Ctrl-C ends it. For a program under test:\n")
            for name, value in environment.items():
                print(f"export {name}={value}")
            print("\nFor you, with every right (the token ends with this world):\n")
            print(f"export VAULT_ADDR={world.address} VAULT_TOKEN={world.openbao.root_token}")
            print("\nWhat the role may read, for your templates:\n")
            print(f"  {world.creds_path}  secret/product (KV 2)  kv/ (KV 1)  pki/issue/product")
            print(f"Files: {world.directory}", flush=True)
        await stop.wait()
    return 0


def _described(world: World, environment: dict[str, str]) -> dict[str, object]:
    return {
        "id": world.id,
        "directory": str(world.directory),
        "environment": environment,
        "openbao_address": world.openbao.address,
        "root_token": world.openbao.root_token,
        "postgres_dsn": world.products_dsn,
        "creds_path": world.creds_path,
    }


async def _aws(options: argparse.Namespace, stop: asyncio.Event) -> int:
    from leasekeeper.devstack.ecs import EcsEndpoint
    from leasekeeper.devstack.processes import Processes
    from leasekeeper.devstack.sts import Sts
    from leasekeeper.devstack.world import WorldSettings

    defaults = WorldSettings()
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leasekeeper-")))
        processes = Processes(secrets.token_hex(8))
        processes.open(directory)
        stack.push_async_callback(processes.close)
        sts = Sts(
            processes, directory, port=options.port, region=defaults.region, listen=options.listen
        )
        stack.push_async_callback(sts.close)
        await sts.start()
        await sts.create_role(defaults.role)
        ecs = EcsEndpoint(
            sts,
            role=defaults.role,
            ttl_s=defaults.task_credentials_ttl_s,
            directory=directory,
            task_id=options.task_id,
        )
        stack.push_async_callback(ecs.close)
        await ecs.start(_ecs_port(options), host=options.ecs)
        for name, value in ecs.environment().items():
            print(f"export {name}={value}", flush=True)
        await stop.wait()
    return 0


async def _product_api(stop: asyncio.Event) -> int:
    from leasekeeper.devstack.product_api import ProductApi

    if not (config_file := os.environ.get("CONFIG_FILE")):
        raise DevstackError("CONFIG_FILE is not set", hint="set it to the path of conf.json")
    async with ProductApi(Path(config_file)) as application:
        print(f"serving {application.address}/coffees", flush=True)
        await stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
