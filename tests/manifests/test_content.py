"""What the manifests say agrees with each other and with the code."""

import re

import yaml

from components import artifacts
from components.cluster_config import StepSettings
from components.deploy.config import InferenceService
from components.deploy.manifest import created, new_spec
from components.serve.__main__ import _parser as serve_parser
from components.serve.app import App
from components.serve.fleet import Fleet
from components.serve.limits import Limits
from components.serve.routes import Routes
from components.storage.address import parent_of
from tests.manifests.found import Object, one, pods


def runtime(objects: list[Object]) -> Object:
    (container,) = one(objects, "ServingRuntime", "evergreen")["spec"]["containers"]
    return container


def test_every_container_is_confined_and_bounded(objects: list[Object]) -> None:
    found = pods(objects)
    assert len(found) >= 2
    for name, pod in found.items():
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"]:
            context = {**pod.get("securityContext", {}), **container["securityContext"]}
            assert context["runAsNonRoot"] is True and context["runAsUser"] > 0, name
            assert context["readOnlyRootFilesystem"] is True and context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert set(container["resources"]["limits"]) >= {"cpu", "memory"}, name
            (tmp,) = [mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == "/tmp"]
            assert "sizeLimit" in volumes[tmp]["emptyDir"], name


def test_only_accounts_that_ask_the_api_server_have_a_token(objects: list[Object]) -> None:
    assert one(objects, "ServiceAccount", "evergreen-serving")["automountServiceAccountToken"] is False
    assert one(objects, "InferenceService", "flights")["spec"]["predictor"]["automountServiceAccountToken"] is False
    tokens = {name for name, pod in pods(objects).items() if pod.get("automountServiceAccountToken", True)}
    assert tokens == {"CronJob evergreen-cleanup", "ServingRuntime evergreen"}  # the second is the service's


def test_the_server_understands_what_the_runtime_tells_it(objects: list[Object]) -> None:
    container = runtime(objects)
    assert container["name"] == "kserve-container" and container["command"] == ["python", "-m", "components.serve"]
    options = serve_parser().parse_args([argument.replace("{{.Name}}", "flights") for argument in container["args"]])
    assert options.folder == ["flights=/mnt/models"] and options.host == "0.0.0.0"
    assert [port["containerPort"] for port in container["ports"]] == [options.port]
    predictor = one(objects, "InferenceService", "flights")["spec"]["predictor"]
    assert predictor["terminationGracePeriodSeconds"] > options.drain_s + options.timeout_s


def test_prometheus_finds_the_services_that_kserve_makes(base: list[Object]) -> None:
    # KServe's raw deployment hands the InferenceService's labels on and adds which part a service belongs to.
    given = {**one(base, "InferenceService", "flights")["metadata"]["labels"], "component": "predictor"}
    monitor = one(base, "ServiceMonitor", "evergreen-serving")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= given.items()
    assert set(monitor["targetLabels"]) <= set(given)


def test_the_server_has_what_is_asked_of_it(base: list[Object]) -> None:
    app = App(Limits())
    routes = Routes(app, Fleet(None, [], [], None, Limits()))
    routes.renew()
    container = runtime(base)
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")]
    assert {probe["path"] for probe in probes} <= set(app.gets)
    assert {probe["port"] for probe in probes} == {8080}
    (endpoint,) = one(base, "ServiceMonitor", "evergreen-serving")["spec"]["endpoints"]
    assert endpoint["path"] in app.gets and endpoint["port"] == container["ports"][0]["name"]


def test_a_model_that_is_not_ready_gets_no_requests_and_is_not_killed_at_once(base: list[Object]) -> None:
    container = runtime(base)
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] >= 60


def test_the_service_is_standard_uses_our_runtime_and_leaves_the_version_to_deploy(objects: list[Object]) -> None:
    service = one(objects, "InferenceService", "flights")
    assert service["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    model = service["spec"]["predictor"]["model"]
    spec = one(objects, "ServingRuntime", "evergreen")["spec"]
    assert model["runtime"] == "evergreen" and model["protocolVersion"] in spec["protocolVersions"]
    formats = [{name: each[name] for name in ("name", "version")} for each in spec["supportedModelFormats"]]
    assert model["modelFormat"] in formats
    # `kubectl apply` would take a service that names a version back to it.
    assert "storageUri" not in model and "storage" not in model


def test_the_autoscaler_is_ours_alone_and_finds_the_deployment(objects: list[Object]) -> None:
    service = one(objects, "InferenceService", "flights")
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "external"
    assert not {"minReplicas", "maxReplicas", "autoScaling"} & set(service["spec"]["predictor"])
    scaler = one(objects, "HorizontalPodAutoscaler", "flights")
    assert scaler["spec"]["scaleTargetRef"]["name"] == "flights-predictor"
    # Objects of that name KServe makes, changes and deletes itself.
    kinds = {"HorizontalPodAutoscaler", "PodDisruptionBudget"}
    names = {each["metadata"]["name"] for each in objects if each["kind"] in kinds}
    assert names == {"flights"}
    assert "cpu" in runtime(objects)["resources"]["requests"], "utilization is a share of what is requested"


def test_a_budget_never_holds_up_a_drain_for_good(objects: list[Object]) -> None:
    spec = one(objects, "PodDisruptionBudget", "flights")["spec"]
    assert spec["maxUnavailable"] >= 1 and "minAvailable" not in spec
    assert spec["selector"]["matchLabels"]["serving.kserve.io/inferenceservice"] == "flights"


def endpoints(objects: list[Object]) -> set[str]:
    launcher = yaml.safe_load(one(objects, "ConfigMap", "kfp-launcher")["data"]["providers"])["s3"]["default"]
    logs = yaml.safe_load(one(objects, "ConfigMap", "artifact-repositories")["data"]["evergreen"])["s3"]
    annotations = one(objects, "Secret", "evergreen-serving-s3")["metadata"]["annotations"]
    urls = [
        one(objects, "ConfigMap", name)["data"]["AWS_ENDPOINT_URL"] for name in ("evergreen-s3", "evergreen-cleanup")
    ]
    secure = (not launcher["disableSSL"], not logs["insecure"], annotations["serving.kserve.io/s3-usehttps"] == "1")
    assert set(secure) == {url.startswith("https://") for url in urls}
    return {
        launcher["endpoint"],
        logs["endpoint"],
        annotations["serving.kserve.io/s3-endpoint"],
        *(url.partition("://")[2] for url in urls),
    }


def test_everybody_is_led_to_the_same_bucket(base: list[Object], local: list[Object]) -> None:
    assert len(endpoints(base)) == 1
    assert endpoints(local) == {"evergreen-s3:8333"}
    port = one(local, "Service", "evergreen-s3")["spec"]["ports"][0]
    assert port["port"] == 8333


def test_servers_log_requests_where_the_steps_look_for_them(objects: list[Object]) -> None:
    work = one(objects, "ConfigMap", "evergreen-cleanup")["data"]["WORK"]
    places = one(objects, "ConfigMap", "evergreen-s3")["data"]
    container = runtime(objects)
    assert places["REQUESTS"] == str(parent_of(artifacts.request_log(work, "flights")))
    assert container["args"][container["args"].index("--requests") + 1] == "$(REQUESTS)"
    names = [next(iter(source.values()))["name"] for source in container["envFrom"]]
    assert names == ["evergreen-s3", "evergreen-serving-s3"], "not the key with which steps write models"


def test_cleanup_looks_where_kfp_and_argo_write(objects: list[Object]) -> None:
    places = one(objects, "ConfigMap", "evergreen-cleanup")["data"]
    assert places["PIPELINE_ROOT"] == one(objects, "ConfigMap", "kfp-launcher")["data"]["defaultPipelineRoot"]
    logs = yaml.safe_load(one(objects, "ConfigMap", "artifact-repositories")["data"]["evergreen"])["s3"]
    whole = f"s3://{logs['bucket']}/{logs['keyFormat']}"
    assert whole.startswith(places["LOGS"] + "/{{workflow.namespace}}/{{workflow.name}}/")


def test_what_is_referred_to_by_name_is_there(objects: list[Object]) -> None:
    text = yaml.safe_dump_all(objects)
    for kind, pattern in (
        ("Secret", r"secret(?:Name|Ref): *\n? *(?:name: )?([a-z0-9-]+)"),
        ("ServiceAccount", r"serviceAccountName: ([a-z0-9-]+)"),
    ):
        there = {each["metadata"]["name"] for each in objects if each["kind"] == kind}
        assert {name for name in re.findall(pattern, text) if name.startswith("evergreen")} <= there
    maps = {each["metadata"]["name"] for each in objects if each["kind"] in ("Secret", "ConfigMap")}
    for pod in pods(objects).values():
        for source in (source for container in pod["containers"] for source in container.get("envFrom", [])):
            assert next(iter(source.values()))["name"] in maps


def test_the_launchers_credentials_are_those_that_the_steps_have(objects: list[Object]) -> None:
    launcher = yaml.safe_load(one(objects, "ConfigMap", "kfp-launcher")["data"]["providers"])["s3"]["default"]
    secret = launcher["credentials"]["secretRef"]
    data = one(objects, "Secret", secret["secretName"])["data"]
    assert (
        {secret["accessKeyKey"], secret["secretKeyKey"]} == set(data) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    )
    role = one(objects, "Role", "evergreen-pipeline")["rules"]
    assert {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["evergreen-s3"], "verbs": ["get"]} in role
    assert sum("secrets" in rule["resources"] for rule in role) == 1, "no other secret may be read"


def test_steps_find_the_variables_that_they_have_by_default(objects: list[Object]) -> None:
    settings = StepSettings()
    for kind, sources in (("Secret", settings.secrets), ("ConfigMap", settings.config_maps)):
        assert sources
        for name, variables in sources.items():
            assert set(variables.values()) <= set(one(objects, kind, name)["data"])


def test_deploys_default_runtime_is_the_one_that_is_there(objects: list[Object]) -> None:
    settings = InferenceService()
    spec = new_spec(settings)["predictor"]["model"]
    runtime_spec = one(objects, "ServingRuntime", settings.runtime)["spec"]
    assert spec["modelFormat"]["name"] in [each["name"] for each in runtime_spec["supportedModelFormats"]]
    assert spec["protocolVersion"] in runtime_spec["protocolVersions"]
    selected = {"app.kubernetes.io/name": "evergreen"}
    assert selected.items() <= created("m", "n", {})["metadata"]["labels"].items(), "ServiceMonitor finds it by that"


def test_servers_are_asked_by_who_may_and_ask_only_for_their_model(base: list[Object]) -> None:
    spec = one(base, "NetworkPolicy", "evergreen-serving")["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    (ingress,) = spec["ingress"]
    assert [port["port"] for port in ingress["ports"]] == [8080]
    assert {"podSelector": {}} in ingress["from"], "deploy asks the new version from its own pod"
    outside = [to["ipBlock"] for rule in spec["egress"] for to in rule["to"] if "ipBlock" in to]
    assert [block for block in outside if "except" not in block] == [{"cidr": "169.254.20.10/32"}], "a cache of names"
    assert all("169.254.0.0/16" in block["except"] for block in outside if block["cidr"] == "0.0.0.0/0")
    assert one(base, "NetworkPolicy", "evergreen-no-ingress")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_no_pod_is_refused_for_want_of_requests_under_the_quota(base: list[Object]) -> None:
    hard = one(base, "ResourceQuota", "evergreen")["spec"]["hard"]
    (limit,) = one(base, "LimitRange", "evergreen")["spec"]["limits"]
    for part in ("cpu", "memory"):
        assert f"requests.{part}" in hard and part in limit["defaultRequest"]
    assert "limits.memory" in hard and "memory" in limit["default"]
    assert "limits.cpu" not in hard, "or Argo's containers, which have none, are refused"


def test_all_objects_are_in_the_overlays_namespace(base: list[Object], local: list[Object]) -> None:
    assert one(base, "Namespace", "evergreen")
    assert {each["metadata"]["namespace"] for each in base if each["kind"] != "Namespace"} == {"evergreen"}
    assert {each["metadata"]["namespace"] for each in local} == {"kubeflow"}
    bound = {subject["namespace"] for each in local if each["kind"] == "RoleBinding" for subject in each["subjects"]}
    assert bound == {"kubeflow"}


def test_nothing_bounds_or_shuts_off_the_pods_of_kfp_in_its_own_namespace(local: list[Object]) -> None:
    kinds = {each["kind"] for each in local}
    assert not {"Namespace", "ResourceQuota", "LimitRange"} & kinds
    assert all(each["spec"]["podSelector"] for each in local if each["kind"] == "NetworkPolicy")
    assert not {"ServiceMonitor", "PrometheusRule"} & kinds, "a cluster without the operator refuses these"
