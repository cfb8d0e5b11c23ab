import datetime
import ipaddress
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.orchestration.connection import CA_VARIABLE, HOST_VARIABLE, TOKEN_FILE_VARIABLE, TOKEN_VARIABLE
from tests.kfp_server.server import API, KfpServer
from tests.submit.conftest import WORK, Command

SECRET = "a-secret-token"


def test_without_a_host_the_way_to_one_is_told(bare: Command, monkeypatch: pytest.MonkeyPatch, kfp: KfpServer) -> None:
    bare("submit", "--work", WORK).refused("--host", HOST_VARIABLE, "kubectl port-forward")
    monkeypatch.setenv(HOST_VARIABLE, kfp.url)
    assert bare("submit", "--work", WORK).code == 0


def test_a_host_without_scheme_is_refused(bare: Command) -> None:
    bare("submit", "--work", WORK, "--host", "localhost:8080").refused("'localhost:8080' is no URL")


@pytest.mark.parametrize("host", ["http://bob:s3cret@localhost:8080", "bob:s3cret@localhost:8080"])
def test_a_user_in_the_host_is_refused_and_not_shown(bare: Command, host: str) -> None:
    done = bare("submit", "--work", WORK, "--host", host)
    done.refused("leave that out and give a token")
    assert "s3cret" not in done.err + done.out


def test_an_empty_variable_names_no_token(bare: Command, kfp: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, "")
    assert bare("submit", "--work", WORK, "--host", kfp.url).code == 0


@pytest.mark.parametrize("host", ["http://localhost:{port}", "http://nowhere.invalid"])
def test_a_host_that_is_not_there_is_told_at_once(bare: Command, host: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bare("schedule", "--list", "--host", host.format(port=port)).refused("cannot be reached", "kubectl port-forward")


@pytest.mark.parametrize("host", ["http://", "http://[::1", "http://localhost:99999"])
def test_a_host_that_cannot_be_is_told(bare: Command, host: str) -> None:
    bare("submit", "--work", WORK, "--host", host).refused("cannot be reached", "mend --host")


def test_an_address_out_of_the_browser_will_do(bare: Command, kfp: KfpServer) -> None:
    done = bare("submit", "--work", WORK, "--host", f"{kfp.url}/#/pipelines")
    assert done.code == 0 and f"{kfp.url}/#/runs/details/" in done.out
    bare("submit", "--work", WORK, "--host", f"{kfp.url}{API}/nowhere").refused("does not answer as the API does")


def test_a_login_is_told_from_the_api(command: Command, kfp: KfpServer) -> None:
    kfp.proxy = lambda method, path: True
    command("submit").refused("does not answer as the API does")
    kfp.proxy = lambda method, path: False
    kfp.token, kfp.login = SECRET, f"{kfp.url}/dex/auth"
    command("submit").refused("sends us elsewhere, as a login does; give a token by --token-file or KFP_EXISTING_TOKEN")


def test_a_path_before_the_api_is_kept(bare: Command, kfp: KfpServer) -> None:
    kfp.proxy = lambda method, path: not path.startswith(API)
    bare("submit", "--work", WORK, "--host", f"{kfp.url}/pipeline/").refused("does not answer as the API does")
    assert kfp.requests[0][1] == f"/pipeline{API}/healthz"


def test_a_token_comes_from_the_environment_or_a_file(
    command: Command, kfp: KfpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kfp.token = SECRET
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    dones = [command("submit", "--token-file", str(file))]
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(file))
    dones.append(command("submit"))
    monkeypatch.delenv(TOKEN_FILE_VARIABLE)
    monkeypatch.setenv(TOKEN_VARIABLE, SECRET)
    dones.append(command("submit"))
    assert [done.code for done in dones] == [0, 0, 0]
    assert SECRET not in "".join(done.out + done.err for done in dones)


@pytest.mark.parametrize("token", ["a-sec\nret", "Bearer a-secret", "ä-secret", "\U0001f600"])
def test_what_is_no_token_is_refused_without_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, token: str
) -> None:
    (tmp_path / "token").write_text(token, encoding="utf-8")
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    for done in (command("submit"), command("submit", "--token-file", str(tmp_path / "token"))):
        done.refused("holds more than a token")
        assert token not in done.out + done.err
    (tmp_path / "token").write_text("\n")
    command("submit", "--token-file", str(tmp_path / "token")).refused("is empty; mend --token-file")


def test_a_token_that_is_missing_or_expired_is_told_without_it(
    command: Command, kfp: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kfp.token = SECRET
    command("submit").refused("does not let this account", "give a token by --token-file", "kubectl create token")
    monkeypatch.setenv(TOKEN_VARIABLE, "an-old-one")
    done = command("submit")
    done.refused("does not let this account", f"the token of {TOKEN_VARIABLE} may have expired", "kubectl create token")
    assert "an-old-one" not in done.out + done.err
    command("submit", "--token-file", "/nowhere/token").refused("the token file /nowhere/token cannot be read")
    assert not kfp.pipelines


def test_an_account_without_rights_needs_a_role(command: Command, kfp: KfpServer) -> None:
    kfp.fault = lambda method, path: 403 if method == "POST" else None
    command("submit", "--namespace", "team").refused(
        "make pipelines", "bind a role for pipelines.kubeflow.org in", "team"
    )


def test_an_unencrypted_token_is_noted(bare: Command, kfp: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, SECRET)
    assert "unencrypted" not in bare("submit", "--work", WORK, "--host", kfp.url).err
    done = bare("submit", "--work", WORK, "--host", "http://kubeflow.invalid")
    assert "the token travels unencrypted" in done.err
    assert SECRET not in done.err


@pytest.fixture
def https(tmp_path: Path) -> Iterator[tuple[KfpServer, Path]]:
    """A server with a certificate that no authority signed, and that certificate."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "server.crt", tmp_path / "server.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    with KfpServer(certificate=files) as server:
        yield server, files[0]


def test_https_wants_a_certificate_that_is_trusted(
    bare: Command, https: tuple[KfpServer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    kfp, file = https
    kfp.token = SECRET
    monkeypatch.setenv(TOKEN_VARIABLE, SECRET)
    given = ("submit", "--work", WORK, "--host", kfp.url)
    bare(*given).refused("is not trusted", "--ca-file")
    (file.parent / "none.crt").write_text("no certificate")
    bare(*given, "--ca-file", str(file.parent / "none.crt")).refused("none.crt holds no certificates", "--ca-file")
    assert not kfp.requests, "no token went to a server that may be anybody's"
    assert bare(*given, "--ca-file", str(file)).code == 0
    monkeypatch.setenv(CA_VARIABLE, str(file))
    assert bare(*given).code == 0
    with KfpServer() as plain:
        host = plain.url.replace("http://", "https://")
        bare("submit", "--work", WORK, "--host", host).refused("no secure connection", "is it http://?")
    bare(*given, "--ca-file", "/nowhere.crt").refused("/nowhere.crt cannot be read", "mend --ca-file")
