"""Connects to Kubeflow Pipelines, through the usual port-forward or over HTTPS with a token."""

import os
import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import kfp_server_api
from kfp_server_api.exceptions import ApiException
from urllib3.exceptions import HTTPError

from components.errors import UserError
from components.kubernetes.kubeflow_pipelines import Access, Object, PipelinesApi, message
from components.orchestration.client import Kubeflow

HOST_VARIABLE = "KF_PIPELINES_ENDPOINT"
UI_VARIABLE = "KF_PIPELINES_UI_ENDPOINT"
TOKEN_FILE_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"
"""`kfp.Client` reads these three too."""
TOKEN_VARIABLE = "KFP_EXISTING_TOKEN"
"""The `kfp` command reads it too."""
CA_VARIABLE = "SSL_CERT_FILE"
AUDIENCE = "pipelines.kubeflow.org"
PORT_FORWARD = "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80"


def connect(
    host: str | None, namespace: str | None, token_file: str | None, ca_file: str | None, outage_s: float
) -> Kubeflow:
    """Connects to Kubeflow Pipelines.

    Args:
        host: URL of the UI or of the API server; None: what `KF_PIPELINES_ENDPOINT` says.
        namespace: that of the user's profile; an installation for a single user does not look at it.
        token_file: a file that holds a token; None: what `KF_PIPELINES_SA_TOKEN_PATH` says, else the token itself
            comes from `KFP_EXISTING_TOKEN`, if there is one.
        ca_file: certificates by which the server's is checked; None: what `SSL_CERT_FILE` says, else certifi's.
        outage_s: what the server may be away in all, once it has answered.

    Raises:
        UserError: there is no host, it cannot be reached, it wants a token or another one, or it wants a namespace.
    """
    url = (host or os.environ.get(HOST_VARIABLE) or "").partition("#")[0]  # a page of the UI, out of a browser
    if not url:
        raise UserError(
            f"no host is given; give --host or set {HOST_VARIABLE}: http://localhost:8080 while `{PORT_FORWARD}` runs"
        )
    api = PipelinesApi(_access(url, namespace, token_file, ca_file or os.environ.get(CA_VARIABLE)), outage_s)
    serves_many = bool(_health(api, url).get("multi_user"))
    if serves_many and not namespace:
        raise UserError(f"{api.server} serves many users; give --namespace, or cluster.namespace in model.yaml")
    return Kubeflow(api, namespace if serves_many and namespace else "", os.environ.get(UI_VARIABLE) or url)


def sends_token_in_clear(host: str | None, token_file: str | None) -> bool:
    """Whether a token would travel unencrypted to another machine."""
    try:
        parts = urlsplit(host or os.environ.get(HOST_VARIABLE) or "")
    except ValueError:  # nothing travels there
        return False
    has_token = any((token_file, os.environ.get(TOKEN_FILE_VARIABLE), os.environ.get(TOKEN_VARIABLE)))
    return has_token and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1")


def _access(host: str, namespace: str | None, token_file: str | None, ca_file: str | None) -> Access:
    if ca_file:
        _check_certificates(ca_file)
    path = token_file or os.environ.get(TOKEN_FILE_VARIABLE) or None
    # KFP's API server refuses the tokens that kubectl makes when it is told no audience.
    new = f"`kubectl create token ACCOUNT -n {namespace or 'NAMESPACE'} --audience {AUDIENCE}` makes one"
    if path or os.environ.get(TOKEN_VARIABLE):
        unknown = f"the token of {path or TOKEN_VARIABLE} may have expired: {new}"
    else:
        unknown = f"give a token by --token-file or {TOKEN_VARIABLE}: {new}"
    role = f"bind a role for pipelines.kubeflow.org in namespace {namespace or 'kubeflow'} to its account"
    return Access(host, lambda: _token(path), {401: unknown, 403: role}, ca_file)


def _check_certificates(file: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        raise UserError(f"{file} holds no certificates; mend --ca-file or {CA_VARIABLE}") from None
    except OSError as error:
        raise UserError(
            f"the certificates in {file} cannot be read ({error.strerror}); mend --ca-file or {CA_VARIABLE}"
        ) from None


def _token(path: str | None) -> str | None:
    if path is None:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
    else:
        try:
            token = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            said = type(error).__name__
            raise UserError(f"the token file {path} cannot be read ({said}); mend --token-file") from None
        if not token:
            raise UserError(f"the token file {path} is empty; mend --token-file")
    if not re.fullmatch("[!-~]*", token):  # HTTP's client would show it in its error
        raise UserError(f"{path or TOKEN_VARIABLE} holds more than a token; give the bare token, without Bearer")
    return token or None


def _health(api: PipelinesApi, host: str) -> Object:
    """Asks once whether the server is there: nobody waits for a host that was mistyped."""
    call = kfp_server_api.HealthzServiceApi(api.client).healthz_service_get_healthz
    try:
        api.ask_bare(call)
    except ApiException as error:
        if error.status == 0:
            raise UserError(_insecure(host, message(error))) from None
    except HTTPError as error:
        raise UserError(f"{host} cannot be reached ({message(error)}); mend --host, or run `{PORT_FORWARD}`") from None
    found = api.find("connect", call)
    if found is None:  # Kubernetes and KFP answer so where a path is none of theirs
        raise api.no_api()
    return found


def _insecure(host: str, said: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return f"the certificate of {host} is not trusted ({said}); give that of its authority by --ca-file"
    return f"no secure connection to {host} comes about ({said}); mend --host: is it http://?"
