"""JWT, Kubernetes, certificate, password and wrapped AppRole logins at a real server (OpenBao)."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from leasekeeper.errors import LoginDenied, LoginInputError, VaultUnavailable
from leasekeeper.settings.model import (
    AppRoleAuth,
    CertAuth,
    JwtAuth,
    KubernetesAuth,
    LdapAuth,
    VaultSection,
)
from leasekeeper.tokens.method import AuthMethod
from leasekeeper.tokens.methods import create_method
from leasekeeper.vault.client import VaultClient
from tests.fakes.authority import Authority
from tests.fakes.openbao import Server, openbao
from tests.fakes.wire import Request, http, serving

WRAPPED_BY = "auth/approle/role/web/secret-id"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Server]:
    with openbao(tmp_path_factory.mktemp("bao"), authority=authority) as running:
        yield running


@pytest.fixture
def vault(server: Server) -> VaultSection:
    return VaultSection(address=server.address)


@pytest.fixture
def tls(server: Server, authority: Authority) -> VaultSection:
    return VaultSection(address=server.tls_address, ca_file=str(authority.file))


@pytest.fixture
async def client(vault: VaultSection) -> AsyncIterator[VaultClient]:
    talking = VaultClient(vault)
    yield talking
    await talking.close()


@pytest.fixture
async def mount(server: Server, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The auth method that a test names in its parameter, mounted under its own name."""
    method = str(request.param)
    await server.ask("POST", f"sys/auth/{method}", type=method)
    yield method
    await server.ask("DELETE", f"sys/auth/{method}")


def mounted(method: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("mount", [method], indirect=True)


class Issuer:
    """Signs JWTs."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        self.public_key = (
            self._key.public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .decode()
        )

    def jwt(self, **claims: object) -> str:
        now = int(time.time())
        standard = {"iss": "ci", "aud": "vault", "sub": "web", "iat": now, "nbf": now}
        parts = ({"alg": "RS256", "typ": "JWT"}, {**standard, "exp": now + 600, **claims})
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encoded(signature)}"


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


# -- jwt ------------------------------------------------------------------------------------------


@pytest.fixture
async def jwt_login(
    server: Server, issuer: Issuer, tmp_path: Path, mount: str
) -> Callable[..., AuthMethod]:
    """Return a function that makes a method with a JWT of the given claims in its file."""
    await server.ask(
        "POST",
        f"auth/{mount}/config",
        jwt_validation_pubkeys=[issuer.public_key],
        bound_issuer="ci",
    )
    await server.ask(
        "POST",
        f"auth/{mount}/role/web",
        role_type="jwt",
        user_claim="sub",
        bound_subject="web",
        bound_audiences=["vault"],
        bound_claims={"env": "prod"},
        token_ttl="1h",
    )

    def login(*, role: str = "web", signed_by: Issuer = issuer, **claims: object) -> AuthMethod:
        (tmp_path / "jwt").write_text(signed_by.jwt(**{"env": "prod", **claims}) + "\n")
        auth = JwtAuth(role=role, path=str(tmp_path / "jwt"), remove_jwt_after_reading=True)
        return create_method(auth)

    return login


@mounted("jwt")
async def test_a_jwt_logs_in_and_its_file_goes(
    client: VaultClient, jwt_login: Callable[..., AuthMethod], tmp_path: Path
) -> None:
    method = jwt_login()

    auth = await method.login(client)

    assert (auth.lease_duration_s, auth.metadata) == (3600, {"role": "web"})
    assert not (tmp_path / "jwt").exists()
    assert (await method.login(client)).client_token != auth.client_token


@mounted("jwt")
@pytest.mark.parametrize(
    ("claims", "meaning", "mend"),
    [
        ({"env": "test"}, 'the claim "env" of the JWT does not match', "bound_claims"),
        ({"aud": "other"}, "for another audience", "bound_audiences"),
        ({"iss": "other"}, "another issuer", "auth/jwt/config"),
        ({"sub": "other"}, "another subject", "bound_subject"),
        ({"exp": 1000, "nbf": 1, "iat": 1}, "the JWT has expired", "a new one"),
        ({"nbf": time.time() + 9000}, "from the future", "clocks"),
        ({"role": "nowhere"}, 'no role "nowhere" at "auth/jwt"', "auth.role"),
        ({"signed_by": Issuer()}, "cannot verify the signature", "auth/jwt/config"),
    ],
)
async def test_a_refused_jwt_is_explained(
    client: VaultClient,
    jwt_login: Callable[..., AuthMethod],
    claims: dict[str, Any],
    meaning: str,
    mend: str,
) -> None:
    with pytest.raises(LoginDenied, match=meaning) as caught:
        await jwt_login(**claims).login(client)
    assert mend in str(caught.value.hint)


@mounted("jwt")
async def test_a_mount_without_configuration_is_explained(
    client: VaultClient, issuer: Issuer, mount: str, tmp_path: Path
) -> None:
    (tmp_path / "jwt").write_text(issuer.jwt())

    with pytest.raises(LoginDenied, match="is not configured"):
        await create_method(JwtAuth(role="web", path=str(tmp_path / "jwt"))).login(client)


# -- kubernetes -----------------------------------------------------------------------------------


def service_account(issuer: Issuer, name: str = "web", namespace: str = "default") -> str:
    pod = {"namespace": namespace, "serviceaccount": {"name": name, "uid": "u-1"}}
    issued_by = "https://kubernetes.default.svc.cluster.local"
    subject = f"system:serviceaccount:{namespace}:{name}"
    claims = {"iss": issued_by, "sub": subject, "aud": [issued_by], "kubernetes.io": pod}
    return issuer.jwt(**claims)


def token_review(known: str, name: str = "web") -> Callable[[Request], bytes]:
    """Return what the API server of Kubernetes does for Vault: it knows one token."""

    def answer(request: Request) -> bytes:
        assert request.target == "/apis/authentication.k8s.io/v1/tokenreviews"
        review = json.loads(request.body)
        user = {
            "username": f"system:serviceaccount:default:{name}",
            "uid": "u-1",
            "groups": ["system:serviceaccounts", "system:serviceaccounts:default"],
        }
        good = review["spec"]["token"] == known
        accepted = {"authenticated": True, "user": user, "audiences": review["spec"]["audiences"]}
        review["status"] = accepted if good else {"error": "unknown"}
        return http(201, review)

    return answer


async def configure_kubernetes(
    server: Server, address: str, authority: Authority, **role: object
) -> None:
    await server.ask(
        "POST",
        "auth/kubernetes/config",
        kubernetes_host=address,
        kubernetes_ca_cert=authority.file.read_text(),
        token_reviewer_jwt="reviewer",
        disable_local_ca_jwt=True,
    )
    bound = {"bound_service_account_names": "web", "bound_service_account_namespaces": "default"}
    await server.ask("POST", "auth/kubernetes/role/web", token_ttl="1h", **{**bound, **role})


@mounted("kubernetes")
async def test_a_service_account_logs_in(
    client: VaultClient,
    server: Server,
    authority: Authority,
    issuer: Issuer,
    mount: str,
    tmp_path: Path,
) -> None:
    token = service_account(issuer)
    (tmp_path / "token").write_text(token)
    method = create_method(KubernetesAuth(role="web", token_path=str(tmp_path / "token")))

    tls = authority.server("127.0.0.1")
    async with serving(token_review(token), tls=tls) as kubernetes:
        await configure_kubernetes(server, kubernetes.address, authority)
        auth = await method.login(client)

    assert auth.metadata["service_account_name"] == "web"
    assert len(kubernetes.requests) == 1


@mounted("kubernetes")
@pytest.mark.parametrize(
    ("known", "role", "meaning"),
    [
        (True, {"bound_service_account_names": "other"}, "the service account is not one that"),
        (True, {"bound_service_account_namespaces": "other"}, "the Kubernetes namespace is not"),
        (False, {}, "Kubernetes does not accept the service account token"),
    ],
)
async def test_a_refused_service_account_is_explained(
    client: VaultClient,
    server: Server,
    authority: Authority,
    issuer: Issuer,
    mount: str,
    tmp_path: Path,
    known: bool,
    role: dict[str, str],
    meaning: str,
) -> None:
    token = service_account(issuer)
    (tmp_path / "token").write_text(token)
    method = create_method(KubernetesAuth(role="web", token_path=str(tmp_path / "token")))

    tls = authority.server("127.0.0.1")
    async with serving(token_review(token if known else "another"), tls=tls) as kubernetes:
        await configure_kubernetes(server, kubernetes.address, authority, **role)
        with pytest.raises(LoginDenied, match=meaning):
            await method.login(client)


# -- cert -----------------------------------------------------------------------------------------


@pytest.fixture
async def trusting(server: Server, authority: Authority, mount: str) -> None:
    """Vault trusts certificates of our authority that are called web."""
    await server.ask(
        "POST",
        f"auth/{mount}/certs/web",
        certificate=authority.file.read_text(),
        allowed_common_names=["web"],
        token_ttl="1h",
    )


async def log_in(method: AuthMethod, client: VaultClient) -> str:
    try:
        return (await method.login(client)).client_token
    finally:
        await method.close()


@mounted("cert")
@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("name", [None, "web"])
async def test_a_client_certificate_logs_in(
    client: VaultClient, tls: VaultSection, authority: Authority, mount: str, name: str | None
) -> None:
    certificate, key = authority.issue("web")
    method = create_method(CertAuth(name=name, client_cert=certificate, client_key=key), tls)

    assert await log_in(method, client)


@mounted("cert")
@pytest.mark.usefixtures("trusting")
async def test_the_certificate_of_the_vault_section_logs_in_too(
    client: VaultClient, tls: VaultSection, authority: Authority, mount: str
) -> None:
    certificate, key = authority.issue("web")
    vault = tls.model_copy(update={"client_cert_file": certificate, "client_key_file": key})

    assert await log_in(create_method(CertAuth(), vault), client)


@mounted("cert")
@pytest.mark.usefixtures("trusting")
async def test_the_login_may_trust_an_authority_of_its_own(
    client: VaultClient, tls: VaultSection, authority: Authority, mount: str, tmp_path: Path
) -> None:
    certificate, key = authority.issue("web")
    elsewhere = tls.model_copy(update={"ca_file": str(Authority(tmp_path, "other").file)})
    own = CertAuth(client_cert=certificate, client_key=key, ca_cert=str(authority.file))
    other = CertAuth(client_cert=certificate, client_key=key)

    unused = elsewhere.model_copy(update={"ca_path": str(tmp_path / "nowhere")})
    assert await log_in(create_method(own, unused), client)
    with pytest.raises(VaultUnavailable, match="certificate that cannot be verified"):
        await log_in(create_method(other, elsewhere), client)


@mounted("cert")
@pytest.mark.usefixtures("trusting")
async def test_a_certificate_that_no_role_trusts_is_explained(
    client: VaultClient, tls: VaultSection, authority: Authority, mount: str
) -> None:
    certificate, key = authority.issue("somebody-else")

    with pytest.raises(LoginDenied, match="no certificate role trusts") as caught:
        await log_in(create_method(CertAuth(client_cert=certificate, client_key=key), tls), client)
    assert 'certificate "' in caught.value.message


@mounted("cert")
@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("reload", [True, False])
async def test_a_renewed_certificate_counts_at_the_next_login_unless_reload_is_off(
    client: VaultClient,
    tls: VaultSection,
    authority: Authority,
    mount: str,
    tmp_path: Path,
    reload: bool,
) -> None:
    paths = tmp_path / "tls.crt", tmp_path / "tls.key"
    auth = CertAuth(client_cert=str(paths[0]), client_key=str(paths[1]), reload=reload)
    method = create_method(auth, tls)
    put_pair(authority.issue("web"), paths)
    await method.login(client)

    put_pair(authority.issue("somebody-else"), paths)

    try:
        if reload:
            with pytest.raises(LoginDenied):
                await method.login(client)
        else:
            assert (await method.login(client)).client_token
    finally:
        await method.close()


def put_pair(pair: tuple[str, str], paths: tuple[Path, Path]) -> None:
    for source, target in zip(pair, paths, strict=True):
        target.write_bytes(Path(source).read_bytes())


@mounted("cert")
@pytest.mark.usefixtures("trusting")
async def test_the_last_good_certificate_outlives_its_files(
    client: VaultClient, tls: VaultSection, authority: Authority, mount: str, tmp_path: Path
) -> None:
    paths = tmp_path / "tls.crt", tmp_path / "tls.key"
    put_pair(authority.issue("web"), paths)
    auth = CertAuth(client_cert=str(paths[0]), client_key=str(paths[1]))
    method = create_method(auth, tls)
    await method.login(client)

    paths[0].write_text("half a cert")
    paths[1].unlink()

    assert await log_in(method, client)


async def test_a_certificate_that_is_not_there_yet_is_waited_for(
    client: VaultClient, tls: VaultSection, tmp_path: Path
) -> None:
    auth = CertAuth(client_cert=str(tmp_path / "tls.crt"), client_key=str(tmp_path / "tls.key"))

    with pytest.raises(LoginInputError, match="No such file") as caught:
        await create_method(auth, tls).login(client)
    assert "auth.client_cert:" in caught.value.message
    assert "vault." not in caught.value.message
    assert caught.value.retryable


# -- user name and password -----------------------------------------------------------------------


@mounted("userpass")
async def test_a_user_logs_in_with_a_password_from_a_file(
    client: VaultClient, server: Server, vault: VaultSection, mount: str, tmp_path: Path
) -> None:
    """OpenBao has no `ldap`; the login of `userpass` is the same request."""
    await server.ask("POST", "auth/userpass/users/web.app", password="correct horse")
    (tmp_path / "password").write_text("correct horse\n")
    auth = LdapAuth(
        username="web.app",
        password_file_path=str(tmp_path / "password"),
        mount=mount,
        remove_password_after_reading=True,
    )
    method = create_method(auth, vault)

    assert (await method.login(client)).metadata == {"username": "web.app"}
    assert not (tmp_path / "password").exists()
    assert (await method.login(client)).client_token


@mounted("userpass")
async def test_a_wrong_password_is_explained_and_not_shown(
    client: VaultClient, server: Server, vault: VaultSection, mount: str, tmp_path: Path
) -> None:
    await server.ask("POST", "auth/userpass/users/web", password="correct horse")
    (tmp_path / "password").write_text("canary-password")
    auth = LdapAuth(username="web", password_file_path=str(tmp_path / "password"), mount="userpass")

    with pytest.raises(LoginDenied, match="user name or the password is wrong") as caught:
        await create_method(auth, vault).login(client)
    assert 'user "web" at "auth/userpass"' in caught.value.message
    assert "canary" not in str(caught.value)


# -- a wrapped secret id --------------------------------------------------------------------------


@pytest.fixture
async def role_id(server: Server, mount: str) -> str:
    await server.ask("POST", f"auth/{mount}/role/web", token_ttl="1h")
    answer = await server.ask("GET", f"auth/{mount}/role/web/role-id")
    return str(answer["data"]["role_id"])


async def wrapped(server: Server, path: str = WRAPPED_BY, **data: object) -> str:
    answer = await server.ask("POST", path, wrap_ttl="60s", **data)
    return str(answer["wrap_info"]["token"])


def wrapped_login(role_id: str, file: Path, vault: VaultSection, **keys: Any) -> AuthMethod:
    keys = {"secret_id_response_wrapping_path": WRAPPED_BY, **keys}
    auth = AppRoleAuth(role_id=role_id, secret_id_file=str(file), **keys)
    return create_method(auth, vault)


@mounted("approle")
@pytest.mark.parametrize("remove", [True, False])
async def test_a_wrapped_secret_id_is_unwrapped_once_and_kept(
    client: VaultClient,
    server: Server,
    vault: VaultSection,
    role_id: str,
    tmp_path: Path,
    remove: bool,
) -> None:
    file = tmp_path / "secret-id"
    file.write_text(await wrapped(server) + "\n")
    method = wrapped_login(role_id, file, vault, remove_secret_id_file_after_reading=remove)

    first, second = await method.login(client), await method.login(client)

    assert first.client_token != second.client_token
    assert file.exists() is not remove


@mounted("approle")
async def test_a_wrapping_token_that_another_path_made_is_not_used(
    client: VaultClient, server: Server, vault: VaultSection, role_id: str, tmp_path: Path
) -> None:
    """Whoever takes the secret id can wrap another one, by sys/wrapping/wrap."""
    token = await wrapped(server, "sys/wrapping/wrap", secret_id="canary-secret-id")
    (tmp_path / "secret-id").write_text(token)

    with pytest.raises(LoginDenied, match='made by "sys/wrapping/wrap"') as caught:
        await wrapped_login(role_id, tmp_path / "secret-id", vault).login(client)
    assert "canary" not in str(caught.value)
    assert token not in str(caught.value)
    # It is not used up: whoever looks into the matter can still see what is in it.
    found = await server.ask("PUT", "sys/wrapping/unwrap", token=token)
    assert found["data"] == {"secret_id": "canary-secret-id"}


@mounted("approle")
async def test_a_wrapping_token_that_somebody_has_used_is_explained(
    client: VaultClient, server: Server, vault: VaultSection, role_id: str, tmp_path: Path
) -> None:
    token = await wrapped(server)
    await server.ask("PUT", "sys/wrapping/unwrap", token=token)
    (tmp_path / "secret-id").write_text(token)

    with pytest.raises(LoginDenied, match="has been used, or has expired") as caught:
        await wrapped_login(role_id, tmp_path / "secret-id", vault).login(client)
    assert "somebody else knows the secret id" in str(caught.value.hint)
    assert "auth/approle/role/NAME/secret-id" in str(caught.value.hint)


@mounted("approle")
async def test_a_wrapped_answer_without_a_secret_id_is_explained(
    client: VaultClient, server: Server, vault: VaultSection, role_id: str, tmp_path: Path
) -> None:
    made_by = "auth/approle/role/web/secret-id/lookup"
    secret = await server.ask("POST", WRAPPED_BY)
    token = await wrapped(server, made_by, secret_id=secret["data"]["secret_id"])
    (tmp_path / "secret-id").write_text(token)
    method = wrapped_login(
        role_id, tmp_path / "secret-id", vault, secret_id_response_wrapping_path=made_by
    )

    with pytest.raises(LoginDenied, match="there is no secret id in the wrapping token"):
        await method.login(client)


@mounted("approle")
async def test_an_outage_before_the_unwrapping_costs_nothing(
    client: VaultClient, server: Server, vault: VaultSection, role_id: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret-id"
    file.write_text(await wrapped(server))
    away = VaultSection(address="http://127.0.0.1:1")
    remove = {"remove_secret_id_file_after_reading": True}

    with pytest.raises(VaultUnavailable):
        await wrapped_login(role_id, file, away, **remove).login(client)

    assert file.exists()
    assert (await wrapped_login(role_id, file, vault, **remove).login(client)).client_token
