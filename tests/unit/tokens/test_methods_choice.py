"""Which method is made from which settings, and what that loads."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from leasekeeper.errors import ConfigError
from leasekeeper.settings.model import AppRoleAuth, Auth, AwsIamAuth, TokenFileAuth
from leasekeeper.tokens.methods import create_method


@pytest.mark.parametrize(
    ("auth", "name", "described"),
    [
        (AwsIamAuth(role="web"), "aws_iam", 'role "web" at "auth/aws"'),
        (AppRoleAuth(role_id="canary"), "approle", 'an AppRole at "auth/approle"'),
        (TokenFileAuth(token_file="/run/token"), "token_file", 'the token in "/run/token"'),
    ],
)
def test_each_settings_class_has_its_method(auth: Auth, name: str, described: str) -> None:
    method = create_method(auth)

    assert (method.name, method.describe()) == (name, described)


def test_an_unusable_sts_endpoint_is_found_before_anything_is_asked() -> None:
    with pytest.raises(ConfigError, match=r"auth\.sts_endpoint"):
        create_method(AwsIamAuth(role="web", sts_endpoint="https://sts.amazonaws.com/?x=1"))


def test_aws_libraries_load_for_aws_logins_only() -> None:
    script = (
        "import sys\n"
        "from leasekeeper.settings.model import AppRoleAuth, TokenFileAuth\n"
        "from leasekeeper.tokens.methods import create_method\n"
        "create_method(AppRoleAuth(role_id='r'))\n"
        "create_method(TokenFileAuth(token_file='/t'))\n"
        "import leasekeeper.aws.ecs\n"
        "print([name for name in sys.modules if 'botocore' in name])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"
