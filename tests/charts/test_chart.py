"""What the chart renders keeps the rules of Kubernetes, of the restricted standard, and of least rights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kpl_lab.engines.kubernetes.options import load_options
from kpl_lab.formats.pools_yml import PoolsFile
from kpl_lab.settings import load
from kpl_lab.supervisor.cluster import ENDING, LEAVING
from tests.charts.conftest import Objects, Render
from tests.engines.kubernetes.rights import named as names_of
from tests.engines.kubernetes.rights import of_running
from tests.engines.kubernetes.standards import CRDS, check_schema, repeated, unrestricted
from tests.helm import CHART, helm

ALL = Path(__file__).with_name("all-options.yaml")
# Of objects that all options leave out, because they say that somebody else makes them.
MADE = ["--set", "rbac.create=true,rbac.nodes=true,serviceAccount.create=true"]
MADE += ["--set", "networkPolicy.enabled=true,podDisruptionBudget.enabled=true"]
MADE += ["--set", "volume.existingClaim=,admin.existingSecret="]
VALUES = {
    "default": [],
    "minimal": ["-f", str(CHART / "values-minimal.yaml")],
    "air-gapped": ["-f", str(CHART / "values-air-gapped.yaml")],
    "all options": ["-f", str(ALL)],
    "all options, all made": ["-f", str(ALL), *MADE],
}


@pytest.fixture(params=VALUES.values(), ids=list(VALUES))
def words(request: pytest.FixtureRequest) -> list[str]:
    found: list[str] = request.param
    return found


@pytest.fixture
def objects(words: list[str], render: Render) -> Objects:
    return render(*words)


def of_kind(objects: Objects, kind: str) -> Objects:
    return [one for one in objects if one["kind"] == kind]


def named(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found


def pods(objects: Objects) -> Iterator[dict[str, Any]]:
    for one in objects:
        if one["kind"] in ("StatefulSet", "Deployment", "Job"):
            yield one["spec"]["template"]["spec"]


def platform(objects: Objects) -> dict[str, Any]:
    (found,) = of_kind(objects, "StatefulSet")
    pod: dict[str, Any] = found["spec"]["template"]["spec"]
    return pod


def variables(objects: Objects) -> dict[str, Any]:
    return {one["name"]: one.get("value") for one in platform(objects)["containers"][0]["env"]}


def test_helm_finds_nothing_wrong(words: list[str]) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), *words).stdout


def test_every_object_is_one_that_the_api_knows(objects: Objects) -> None:
    assert len(objects) > 5
    for one in objects:
        check_schema(one)
        assert list(repeated(one)) == []


def test_objects_of_other_projects_are_among_those_that_are_checked(render: Render) -> None:
    kinds = {one["kind"] for one in render("-f", str(ALL))}
    assert {path.stem for path in CRDS.glob("*.json")} <= kinds


def test_no_two_objects_are_the_same(objects: Objects) -> None:
    keys = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(keys) == len(set(keys))


def test_every_pod_keeps_the_restricted_standard(objects: Objects) -> None:
    found = list(pods(objects))
    # The platform and the hook that ends it; with a PostgreSQL and replicas one more of each.
    assert len(found) == (4 if of_kind(objects, "Deployment") else 2)
    for pod in found:
        assert unrestricted(pod) == []
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"requests", "limits"} <= set(container["resources"])


def test_no_right_is_for_everything(objects: Objects) -> None:
    for one in objects:
        for rule in one.get("rules", ()) if "rbac" in one["apiVersion"] else ():
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def rights(role: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {
        (verb, group, resource)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_the_roles_of_leaving_are_what_it_ends_and_clears_away(render: Render) -> None:
    objects = render()
    assert rights(named(objects, "Role", "lab-kpl-lab-leave")) == names_of(LEAVING)
    own = named(objects, "Role", "lab-kpl-lab-leave-platform")
    assert rights(own) == names_of(ENDING)
    assert [rule["resourceNames"] for rule in own["rules"]] == [["lab-kpl-lab"]]


def test_the_role_is_what_running_needs(render: Render) -> None:
    # That the runner asks for all of it and for no more: tests/engines/kubernetes/test_rights.py.
    objects = render()
    given = rights(named(objects, "Role", "lab-kpl-lab"))
    everywhere = rights(of_kind(objects, "ClusterRole")[0])
    assert given | everywhere == of_running()
    assert everywhere == {("list", "", "nodes")}


def test_what_the_platform_reads_is_what_the_values_say(render: Render, tmp_path: Path) -> None:
    objects = render("-f", str(ALL))
    told = variables(objects)
    config = named(objects, "ConfigMap", "everything")
    for name, text in config["data"].items():
        (tmp_path / name).write_text(text)
    told = {name: value for name, value in told.items() if value is not None}
    settings = load({**told, "KPL_HOME": str(tmp_path)})
    options = load_options(settings.home, settings.cluster)
    values = yaml.safe_load(ALL.read_text())
    assert settings.instance == values["instance"]
    assert settings.users == ("ann", "ben")
    assert settings.listen == "0.0.0.0"
    assert (options.connect_host, options.gate_port) == ("everything-gate.here.svc", 17000)
    assert (options.base_image, options.pull_policy) == ("registry.example/base:1", "IfNotPresent")
    assert (options.namespace, options.reach, options.user_id) == ("work", "pods", 12345)
    assert (options.home_volume, options.home_mb) == ("shared-homes", 2048)
    assert (options.keep_seconds, options.node_autoscaling) == (3600, True)
    assert (options.queue, options.registry) == ("everybody", "registry.example/built")
    assert options.tolerations == values["workloads"]["tolerations"]
    assert options.scratch_mb == 1024
    assert options.builder_image == "registry.example/buildkit:1"
    assert set(config["data"]) == {"kubernetes_engine.py", "platform.py", "jupyterhub_config.py", "images.yml", "pools.yml"}  # fmt: skip
    assert [one.name for one in PoolsFile(tmp_path).pools] == ["a100"]


def test_base_and_builder_come_from_where_the_platform_does(render: Render) -> None:
    registry = "workloads.registry=registry.example/built"
    assert "KPL_BUILDER_IMAGE" not in variables(render())
    assert variables(render("--set", registry))["KPL_BUILDER_IMAGE"].startswith("kpl-lab/builder:")
    own = "image.repository=registry.example/kpl-lab/platform,image.tag=v7"
    found = variables(render("--set", f"{registry},{own}"))
    assert found["KPL_BUILDER_IMAGE"] == "registry.example/kpl-lab/builder:v7"
    assert found["KPL_IMAGE"] == "registry.example/kpl-lab/base:v7"
    with pytest.raises(AssertionError, match=r"workloads\.builderImage is needed"):
        render("--set", f"{registry},image.repository=registry.example/ours")


def test_probes_ask_what_answers(render: Render) -> None:
    container = platform(render())["containers"][0]
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"]
              for name in ("startup", "readiness", "liveness")}  # fmt: skip
    assert probes == {
        "startup": "/hub/health",
        "readiness": "/kpl/api/v1/readyz",
        "liveness": "/kpl/api/v1/healthz",
    }


def test_the_database_is_upgraded_before_the_platform_starts(render: Render) -> None:
    (before,) = platform(render("-f", str(ALL)))["initContainers"]
    assert before["command"] == ["kpl-lab", "db", "upgrade"]
    (url,) = [one for one in before["env"] if one["name"] == "KPL_DATABASE_URL"]
    assert url["valueFrom"]["secretKeyRef"] == {"name": "postgres", "key": "address"}


def test_a_database_server_is_upgraded_before_anything_new_starts(render: Render) -> None:
    assert [o["metadata"]["name"] for o in of_kind(render(), "Job")] == ["lab-kpl-lab-leave"]
    objects = render("--set", "database.existingSecret=postgres")
    job = named(objects, "Job", "lab-kpl-lab-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["kpl-lab", "db", "upgrade"]
    # Before the release is there, so of nothing that comes with it.
    assert job["spec"]["template"]["spec"]["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert not any(selects(one, labels) for one in of_kind(objects, "Service"))


def test_files_go_to_a_bucket_with_keys_of_a_secret(render: Render) -> None:
    words = "storage.url=s3://lab/kpl,storage.endpoint=http://s3:9000,storage.existingSecret=keys"
    (pod,) = [o for o in render("--set", words) if o["kind"] == "StatefulSet"]
    (platform,) = [
        one for one in pod["spec"]["template"]["spec"]["containers"] if one["name"] == "platform"
    ]
    told = {one["name"]: one for one in platform["env"]}
    assert told["KPL_STORAGE_URL"]["value"] == "s3://lab/kpl"
    assert told["AWS_ENDPOINT_URL"]["value"] == "http://s3:9000"
    keys = {name: told[name]["valueFrom"]["secretKeyRef"] for name in told if "KEY" in name}
    assert {name: (key["name"], key["key"], key["optional"]) for name, key in keys.items()} == {
        "AWS_ACCESS_KEY_ID": ("keys", "AWS_ACCESS_KEY_ID", False),
        "AWS_SECRET_ACCESS_KEY": ("keys", "AWS_SECRET_ACCESS_KEY", False),
    }
    assert "AWS_DEFAULT_REGION" not in told


def test_without_a_bucket_nothing_of_it_is_told(render: Render) -> None:
    said = str(render("--set", "storage.existingSecret=keys"))
    assert "KPL_STORAGE_URL" not in said
    assert "AWS_" not in said


SEVERAL = "api.replicas=3,database.existingSecret=postgres,volume.accessMode=ReadWriteMany"


def selects(service: dict[str, Any], labels: dict[str, str]) -> bool:
    return bool(service["spec"]["selector"].items() <= labels.items())


def labels_of(objects: Objects, kind: str) -> dict[str, str]:
    (found,) = of_kind(objects, kind)
    labels: dict[str, str] = found["spec"]["template"]["metadata"]["labels"]
    return labels


def test_replicas_answer_beside_the_platform_and_are_no_front_door(render: Render) -> None:
    objects = render("--set", SEVERAL)
    one, more = labels_of(objects, "StatefulSet"), labels_of(objects, "Deployment")
    door, gate, api = (
        named(objects, "Service", f"lab-kpl-lab{end}") for end in ("", "-gate", "-api")
    )
    assert [selects(door, one), selects(door, more)] == [True, False]
    assert [selects(gate, one), selects(gate, more)] == [True, False]
    assert [selects(api, one), selects(api, more)] == [True, True]
    ports = {
        kind: {p["name"]: p["containerPort"] for p in pod["containers"][0]["ports"]}
        for kind, pod in (
            (kind, of_kind(objects, kind)[0]["spec"]["template"]["spec"])
            for kind in ("StatefulSet", "Deployment")
        )
    }
    assert api["spec"]["ports"][0]["targetPort"] == "http"
    assert ports["StatefulSet"]["http"] == 8000
    assert ports["Deployment"]["http"] == 8001
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        spec = named(objects, kind, "lab-kpl-lab-api")["spec"]
        chosen = spec.get("selector", spec.get("podSelector"))["matchLabels"]
        assert chosen.items() <= more.items()
        assert not chosen.items() <= one.items()


def test_a_replica_has_the_files_and_no_account_of_the_cluster(render: Render) -> None:
    objects = render("--set", SEVERAL)
    pod = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["args"][-2:] == ["--replica", "0.0.0.0:8001"]
    mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
    assert mounts["/var/lib/kpl"] == "home"
    # Two pods at one socket would take it from each other.
    assert mounts["/var/lib/kpl/home/run"] == "run"
    volumes = {v["name"]: v for v in pod["volumes"]}
    assert volumes["home"]["persistentVolumeClaim"] == {"claimName": "lab-kpl-lab-home"}
    assert "emptyDir" in volumes["run"]
    told = {one["name"]: one for one in container["env"]}
    assert told["KPL_HUB_URL"]["value"] == "http://lab-kpl-lab.here.svc:80"
    assert told["KPL_DATABASE_URL"]["valueFrom"]["secretKeyRef"]["name"] == "postgres"
    (spread,) = pod["topologySpreadConstraints"]
    assert (
        spread["labelSelector"]["matchLabels"].items() <= labels_of(objects, "Deployment").items()
    )


def test_whoever_may_call_the_front_door_may_call_replicas(render: Render) -> None:
    peer = "networkPolicy.frontDoorFrom[0].ipBlock.cidr=192.0.2.0/24"
    objects = render("--set", f"{SEVERAL},{peer}")
    door, api = (
        named(objects, "NetworkPolicy", f"lab-kpl-lab{end}")["spec"]["ingress"][0]
        for end in ("", "-api")
    )
    assert api["from"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
    (_, replicas) = door["from"]
    chosen = replicas["podSelector"]["matchLabels"]
    assert chosen.items() <= labels_of(objects, "Deployment").items()


@pytest.mark.parametrize("kind", ["Ingress", "HTTPRoute"])
def test_calls_of_the_api_are_sent_to_all_of_them(kind: str, render: Render) -> None:
    ways = "ingress.enabled=true,ingress.host=a.example,httpRoute.enabled=true"
    words = ["--set", f"{ways},httpRoute.parentRefs[0].name=gateway"]
    for more in ([], ["--set", SEVERAL]):
        (found,) = of_kind(render(*words, *more), kind)
        text = json.dumps(found["spec"]["rules"])
        assert ("/kpl/api" in text) == ("lab-kpl-lab-api" in text) == bool(more)


@pytest.mark.parametrize(("egress", "networks"), [("none", 0), ("internet", 1), ("open", 1)])
def test_workloads_never_reach_metadata_services(
    egress: str, networks: int, render: Render
) -> None:
    changes = f"networkPolicy.egress={egress},networkPolicy.blocked={{203.0.113.0/24}}"
    policy = named(render("--set", changes), "NetworkPolicy", "lab-kpl-lab-workloads")
    blocks = [to["ipBlock"] for rule in policy["spec"]["egress"] for to in rule["to"] if "ipBlock" in to]  # fmt: skip
    assert len(blocks) == networks
    for block in blocks:
        assert {"169.254.0.0/16", "203.0.113.0/24"} <= set(block["except"])
        assert ("10.0.0.0/8" in block["except"]) == (egress == "internet")
    (rule,) = policy["spec"]["ingress"]
    (peer,) = rule["from"]
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "platform"


def test_the_policies_select_pods_by_the_labels_that_these_have(render: Render) -> None:
    objects = render()
    chosen = named(objects, "NetworkPolicy", "lab-kpl-lab-workloads")["spec"]["podSelector"]
    assert chosen["matchLabels"] == {"kpl-lab.io/installation": variables(objects)["KPL_INSTANCE"]}
    labels = of_kind(objects, "StatefulSet")[0]["spec"]["template"]["metadata"]["labels"]
    for kind, place in (("Service", "selector"), ("PodDisruptionBudget", "selector")):
        for one in of_kind(objects, kind):
            wanted = one["spec"][place]
            assert set(wanted.get("matchLabels", wanted).items()) <= set(labels.items())


def test_a_release_of_the_same_name_has_the_same_instance_and_another_not(render: Render) -> None:
    def instance(*words: str) -> str:
        return str(variables(render(*words))["KPL_INSTANCE"])

    assert instance() == instance("--set", "service.type=NodePort")
    assert instance() != instance("-n", "elsewhere")


@pytest.mark.parametrize(("type", "claims", "volumes"), [("claim", 1, 0), ("hostPath", 1, 1), ("emptyDir", 0, 0)])  # fmt: skip
def test_the_platforms_folder_is_a_volume_that_pods_may_have(
    type: str, claims: int, volumes: int, render: Render
) -> None:
    objects = render("--set", f"volume.type={type},volume.hostPath=/srv/kpl")
    assert len(of_kind(objects, "PersistentVolumeClaim")) == claims
    assert len(of_kind(objects, "PersistentVolume")) == volumes
    (home,) = [one for one in platform(objects)["volumes"] if one["name"] == "home"]
    assert set(home) == {"name", "persistentVolumeClaim" if claims else "emptyDir"}


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ("publicUrl=https://a.example", "https://a.example"),
        ("ingress.enabled=true,ingress.host=b.example,ingress.tlsSecret=x", "https://b.example"),
        ("ingress.enabled=true,ingress.host=b.example", "http://b.example"),
    ],
)
def test_notebooks_show_the_address_that_browsers_use(
    values: str, url: str, render: Render
) -> None:
    (config,) = of_kind(render("--set", values), "ConfigMap")
    assert config["data"]["jupyterhub_config.py"].strip() == (
        f'c.PlatformSpawner.front_door_url = "{url}"'
    )


def test_the_notes_say_how_to_sign_in() -> None:
    done = helm("install", "lab", str(CHART), "-n", "here", "--dry-run=client")
    assert "Sign in as `admin`" in done.stdout
    assert "secrets/admin-password" in done.stdout
