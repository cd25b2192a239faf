"""A cluster's file is looked at from all sides: each mistake is found, and nothing crashes."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cluster.launching import check, launcher_file_findings
from orchestrator.errors import ConfigError
from orchestrator.launch.loading import load_description
from orchestrator.launch.rendering import Target, render, rendered
from orchestrator.launch.rules.finding import Finding
from orchestrator.launch.rules.kubernetes import kubernetes_findings

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "clusters/spot_l4.yaml"
DESCRIPTION = load_description(SOURCE)
FILES: dict[str, list[Any]] = {
    "aws": rendered(DESCRIPTION, "aws", SOURCE),
    "gcp": rendered(DESCRIPTION, "gcp", SOURCE),
    "azure": rendered(DESCRIPTION, "azure", SOURCE),
    "cluster": rendered(DESCRIPTION, "kuberay", SOURCE, "cluster"),
    "job": rendered(DESCRIPTION, "kuberay", SOURCE, "job"),
}
SPOT, STAYS = "gpu_spot_g6_2xlarge", "gpu_on_demand_g6_2xlarge"
TYPES = "available_node_types"
HEAD, TRAINS = f"{TYPES}.head", f"{TYPES}.{SPOT}"
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats()
    | st.dates()
    | st.text(max_size=5)
    | st.sampled_from(["spot", "head", "RayJob", "1e999", "{", '"{\\"a\\": 1}"', 10**400]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["", "head", "kind", "spec", "limits"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


def crds() -> Path:
    """KubeRay's definitions, which are no part of this project."""
    named = os.environ.get("KUBERAY_CRDS")
    folder = Path(named) if named else ROOT.parent / "shared/data/kuberay-crds"
    if not folder.exists():
        pytest.skip("KubeRay's definitions are not here: name their folder in KUBERAY_CRDS")
    return folder


def found(key: str, documents: list[Any]) -> list[Finding]:
    if key in {"cluster", "job"}:
        return list(kubernetes_findings(documents))
    return [one for document in documents for one in launcher_file_findings(document)]


def changed(key: str, change: Callable[[Any], object], document: int = 0) -> list[Finding]:
    documents = copy.deepcopy(FILES[key])
    change(documents[document])
    return found(key, documents)


def put(*path: str | int, value: Any) -> Callable[[Any], object]:
    def change(tree: Any) -> None:
        for step in path[:-1]:
            tree = tree[step]
        tree[path[-1]] = value

    return change


def drop(*path: str | int) -> Callable[[Any], object]:
    def change(tree: Any) -> None:
        for step in path[:-1]:
            tree = tree[step]
        del tree[path[-1]]

    return change


@pytest.mark.parametrize("key", FILES)
def test_nothing_is_wrong_with_what_is_rendered(key: str) -> None:
    assert found(key, FILES[key]) == []


CONFIG = (TYPES, SPOT, "node_config")


@pytest.mark.parametrize(
    ("key", "change", "place", "problem"),
    [
        ("aws", put(TYPES, SPOT, "min_workers", value=9), TRAINS, "fewer than the l"),
        ("aws", put("max_workers", value=1.5), "max_workers", "is not of type 'integer'"),
        ("aws", put(TYPES, SPOT, "min_workers", value=-1), TRAINS, "than none"),
        ("aws", put("surprise", value=1), "the file", "'surprise' was unexpected"),
        ("aws", drop(TYPES, STAYS), TRAINS, "no on-demand group"),
        ("aws", put(TYPES, STAYS, "max_workers", value=0), TRAINS, "no on-demand gr"),
        ("aws", put(TYPES, STAYS, "resources", value={"CPU": 8, "GPU": 4}), TRAINS, "no"),
        ("aws", put(TYPES, "head", "resources", "GPU", value=1), HEAD, "would train"),
        ("aws", put(TYPES, "head", "resources", "CPU", value=1), HEAD, "fewer than 2"),
        ("aws", put(TYPES, "head", "node_config", "InstanceMarketOptions",
                    value={"MarketType": "spot"}), HEAD, "may be taken away"),
        ("aws", put("head_node_type", value="x"), "head_node_type", "is none of"),
        ("aws", put("worker_start_ray_commands", value=["ray start"]),
         "worker_start_ray_commands", "have no watchman"),
        ("aws", put("worker_start_ray_commands", value=["nohup orchestrator watch &"]),
         "worker_start_ray_commands", "not started again"),
        ("aws", put("head_start_ray_commands", 1, value="ray start --dashboard-host=0.0.0.0"),
         "head_start_ray_commands.1", "listens on all"),
        ("aws", put("head_start_ray_commands", 1, value="ray start --head"),
         "head_start_ray_commands", "asks for spot again"),
        ("aws", drop("docker", "run_options"), "docker.run_options", "authentication is off"),
        ("aws", put("file_mounts", value={}), "file_mounts", "nobody brings it"),
        ("aws", put("setup_commands", value=["pip install torch"]),
         "setup_commands.0", "newest"),
        ("aws", put("docker", "image", value="rayproject/ray:2.9.0"),
         "docker.image", "another"),
        ("aws", drop("idle_timeout_minutes"), "idle_timeout_minutes", "is missing"),
        ("aws", put("idle_timeout_minutes", value=0), "idle_timeout_minutes", "at once"),
        ("aws", drop("max_workers"), "max_workers", "is missing, and Ray allows 2"),
        ("aws", put("provider", "security_group",
                    value={"IpPermissions": [{"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}),
         "provider.security_group.IpPermissions.0", "open to the internet"),
        ("aws", drop(*CONFIG, "SecurityGroupIds"), f"{TRAINS}.node_config.SecurityGroupIds",
         "open to the internet at port 22"),
        ("aws", drop(*CONFIG, "MetadataOptions"),
         f"{TRAINS}.node_config.MetadataOptions.HttpTokens", "version 1"),
        ("aws", put(*CONFIG, "BlockDeviceMappings", 0, "Ebs", "Encrypted", value=False),
         f"{TRAINS}.node_config.BlockDeviceMappings.0.Ebs.Encrypted", "is not encrypted"),
        ("aws", drop(*CONFIG, "BlockDeviceMappings"),
         f"{TRAINS}.node_config.BlockDeviceMappings", "not encrypted"),
        ("aws", drop(*CONFIG, "IamInstanceProfile"),
         f"{TRAINS}.node_config.IamInstanceProfile", "no role"),
        ("aws", drop(TYPES, "head", "node_config", "IamInstanceProfile"),
         f"{HEAD}.node_config.IamInstanceProfile", "anything with EC2"),
        ("aws", drop(*CONFIG, "TagSpecifications", 1),
         f"{TRAINS}.node_config.TagSpecifications", "no tags on volume"),
        ("aws", drop("provider", "cache_stopped_nodes"),
         "provider.cache_stopped_nodes", "stopped"),
        ("aws", put(*CONFIG, "InstanceMarketOptions", "SpotOptions", value={"MaxPrice": "0.1"}),
         f"{TRAINS}.node_config.InstanceMarketOptions.SpotOptions.MaxPrice", "sooner"),
        ("aws", put(*CONFIG, "InstanceTipe", value="g6.2xlarge"), f"{TRAINS}.node_config",
         'Unknown parameter in input: "InstanceTipe"'),
        ("aws", put(*CONFIG, "BlockDeviceMappings", 0, "Ebs", "VolumeSize", value="150"),
         f"{TRAINS}.node_config", "Invalid type for parameter BlockDeviceMappings[0].Ebs.Vol"),
        ("gcp", put(TYPES, "head", "node_config", "networkInterfaces", 0, "accessConfigs",
                    value=[{"type": "ONE_TO_ONE_NAT"}]),
         f"{HEAD}.node_config.networkInterfaces.0.accessConfigs", "a public address"),
        ("gcp", drop(TYPES, "head", "node_config", "serviceAccounts"),
         f"{HEAD}.node_config.serviceAccounts", "may do anything"),
        ("azure", drop("provider", "use_internal_ips"), "provider.use_internal_ips", "public"),
        ("azure", put(TYPES, "gpu_spot_standard_nc24ads_a100_v4", "node_config",
                      "azure_arm_parameters", "evictionPolicy", value="Deallocate"),
         f"{TYPES}.gpu_spot_standard_nc24ads_a100_v4.node_config.azure_arm_parameters."
         "evictionPolicy", "quota"),
        ("azure", put("provider", "availability_zone", value="1"),
         f"{TYPES}.gpu_spot_standard_nc24ads_a100_v4", "one pool"),
        ("cluster", put("spec", "headGroupSpec", "rayStartParams", "num-gpus", value="1"),
         "spec.headGroupSpec", "would train"),
        ("cluster", drop("spec", "authOptions"), "spec.authOptions.mode", "is off"),
        ("cluster", put("spec", "headGroupSpec", "serviceType", value="LoadBalancer"),
         "spec.headGroupSpec.serviceType", "open outside"),
        ("cluster", put("spec", "workerGroupSpecs", 0, "template", "spec",
                        "terminationGracePeriodSeconds", value=30),
         "spec.workerGroupSpecs.0.template.spec.terminationGracePeriodSeconds", "is over"),
        ("cluster", drop("spec", "workerGroupSpecs", 0, "template", "spec",
                         "terminationGracePeriodSeconds"),
         "spec.workerGroupSpecs.0.template.spec.terminationGracePeriodSeconds", "is over"),
        ("cluster", put("spec", "workerGroupSpecs", 0, "template", "spec", "containers", 0,
                        "lifecycle", value={}),
         "spec.workerGroupSpecs.0.template.spec.containers.0.lifecycle", "no watchman"),
        ("cluster", put("spec", "workerGroupSpecs", 0, "template", "spec", "containers", 0,
                        "lifecycle", "preStop", value={"exec": {"command": ["ray stop"]}}),
         "spec.workerGroupSpecs.0.template.spec.containers.0.lifecycle.preStop", "before the"),
        ("cluster", put("spec", "workerGroupSpecs", 0, "maxReplicas", value=-1),
         "spec.workerGroupSpecs.0", "than none"),
        ("cluster", drop("spec", "workerGroupSpecs", 1),
         "spec.workerGroupSpecs.0", "no on-demand group"),
        ("cluster", put("spec", "workerGroupSpecs", 1, "priority", value=20),
         "spec.workerGroupSpecs.1.priority", "is not behind"),
        ("cluster", put("spec", "autoscalerOptions", "version", value="v1"),
         "spec.autoscalerOptions.version", "no priorities"),
        ("cluster", put("spec", "headGroupSpec", "template", "spec", "nodeSelector",
                        value={"cloud.google.com/gke-spot": "true"}),
         "spec.headGroupSpec", "may be taken away"),
        ("job", drop("spec", "rayClusterSpec", "authOptions"),
         "spec.rayClusterSpec.authOptions.mode", "is off"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_with_its_place(
    key: str, change: Callable[[Any], object], place: str, problem: str
) -> None:
    findings = changed(key, change)
    matching = [one for one in findings if one.place == place and problem in one.problem]
    assert matching, findings
    assert all(one.remedy for one in findings)


def test_several_gpu_models_are_named() -> None:
    def change(values: Any) -> None:
        kind = values[TYPES]["gpu_spot_g6_4xlarge"]
        kind["resources"] = {"CPU": 16, "GPU": 1, "spot": 1}
        kind["node_config"]["InstanceType"] = "g5.4xlarge"

    [finding] = changed("aws", change)
    assert finding.value == "L4 and A10G"
    assert "several GPU models" in finding.problem


@pytest.mark.parametrize("guard", [1, 3])
def test_a_head_that_nobody_guards_is_found(guard: int) -> None:
    documents = copy.deepcopy(FILES["cluster"])
    del documents[guard]
    [finding] = found("cluster", documents)
    assert ("PodDisruptionBudget" in finding.problem) == (guard == 1)
    assert ("NetworkPolicy" in finding.problem) == (guard == 3)


def test_all_mistakes_are_found_in_one_pass() -> None:
    def change(values: Any) -> None:
        del values["docker"]["run_options"]
        values["idle_timeout_minutes"] = 0
        values[TYPES]["head"]["resources"]["GPU"] = 1
        values["surprise"] = True

    assert len(changed("aws", change)) == 4


@pytest.mark.parametrize("key", ["cluster", "job"])
def test_what_is_rendered_is_what_kuberays_schemas_want(tmp_path: Path, key: Any) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text(render(DESCRIPTION, "kuberay", SOURCE, key))
    checked = check(file, crds())
    assert (checked.kind, checked.findings) == ("kubernetes", ())
    assert not any("--crds" in note for note in checked.notes)


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("enableInTreeAutoscaling: true", "enableInTreeAutoscaling: yes please",
         "spec.enableInTreeAutoscaling"),
        ("serviceType: ClusterIP", "serviceTipe: ClusterIP", "spec.headGroupSpec"),
        ("maxReplicas: 8", "maxReplicas: many", "spec.workerGroupSpecs.0.maxReplicas"),
        ("  - name: ray-worker\n", "  - nome: ray-worker\n",
         "spec.workerGroupSpecs.0.template.spec.containers.0"),
        ("mode: token", "mode: maybe", "spec.authOptions.mode"),
    ],
)  # fmt: skip
def test_kuberays_schemas_find_what_kubernetes_would_drop_or_refuse(
    tmp_path: Path, before: str, after: str, place: str
) -> None:
    text = render(DESCRIPTION, "kuberay", SOURCE)
    assert before in text
    file = tmp_path / "pods.yaml"
    file.write_text(text.replace(before, after, 1))
    assert place in {one.place for one in check(file, crds()).findings}


def test_without_definitions_it_is_said_that_they_were_not_asked(tmp_path: Path) -> None:
    file = tmp_path / "pods.yaml"
    file.write_text(render(DESCRIPTION, "kuberay", SOURCE))
    assert "--crds" in check(file, None).notes[-1]


def test_what_is_still_the_examples_is_a_note_and_no_mistake() -> None:
    checked = check(ROOT / "cluster.yaml", None)
    assert checked.findings == ()
    assert [note.split()[0] for note in checked.notes] == ["my-bucket", "sg-0123456789abcdef0"]


def test_a_description_is_checked_in_all_its_renderings(tmp_path: Path) -> None:
    text = SOURCE.read_text(encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace("m6i.xlarge, cpus: 4", "m6i.large, cpus: 2"))
    checked = check(file, None)
    assert checked.kind == "description"
    [finding] = checked.findings
    assert finding.place == "aws, rendered: available_node_types.head"


@pytest.mark.parametrize(
    "text",
    [
        "", "# nothing", "[", "a: b: c", "a: 1\na: 2", "x: &x [*x]", "\0",
        "!!python/object:os 1", "a: !!bool b", "a: !!int b",
        "&a [&b [&c [*a, *b]]]", "? [1, 2]\n: 3", "- - - -", "provider: 2020-99-99",
        "a: !!timestamp nonsense", "x: " + "[" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_cluster_file_is_refused_in_a_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        check(file, None)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("cluster_name: a\n---\nb: 1", "document 2", "does not belong"),
        ("apiVersion: v1\nkind: Pod", "the file", "neither a RayCluster nor a RayJob"),
        ("kind: RayCluster\n---\ncluster_name: a", "document 2", "does not belong"),
        ("apiVersion: ray.io/v1beta1\nkind: RayJob", "apiVersion", "KubeRay serves"),
    ],
)
def test_a_file_of_the_wrong_things_is_said_to_be_one(
    tmp_path: Path, text: str, place: str, problem: str
) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    found = check(file, None).findings
    assert [one for one in found if one.place == place and problem in one.problem], found


def test_aliases_that_multiply_are_refused_quickly(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    file = tmp_path / "laughs.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="too large"):
        check(file, None)


@pytest.mark.parametrize("key", FILES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_odd_value_anywhere_makes_it_crash(key: str, data: st.DataObject) -> None:
    documents = copy.deepcopy(FILES[key])
    for _ in range(data.draw(st.integers(1, 3))):
        tree: Any = documents
        while True:
            keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
            place = data.draw(st.sampled_from(keys))
            deeper = isinstance(tree[place], dict | list) and len(tree[place]) > 0
            if not deeper or data.draw(st.booleans()):
                break
            tree = tree[place]
        tree[place] = data.draw(ODD)
    for finding in found(key, documents):
        assert finding.line("file").startswith(f"file: {finding.place}: ")
        assert "\n" not in finding.line("file")


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_odd_value_in_a_description_makes_it_crash(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    values: Any = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    tree = values
    while True:
        place = data.draw(
            st.sampled_from(list(tree) if isinstance(tree, dict) else range(len(tree)))
        )
        deeper = isinstance(tree[place], dict | list) and len(tree[place]) > 0
        if not deeper or data.draw(st.booleans()):
            break
        tree = tree[place]
    tree[place] = data.draw(ODD)
    file = tmp_path_factory.mktemp("odd") / "cluster.yaml"
    file.write_text(yaml.safe_dump(values))
    said: list[str] = []
    try:
        said = [one.line(str(file)) for one in check(file, None).findings]
    except ConfigError as error:
        said = [str(error)]
    assert all(line.startswith(f"{file}") for line in said)


def test_a_folder_and_bytes_are_no_cluster_files(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(bytes(range(256)))
    for path in (tmp_path, tmp_path / "bytes", tmp_path / "missing"):
        with pytest.raises(ConfigError):
            check(path, None)


@pytest.mark.parametrize("to", ["aws", "gcp", "azure"])
def test_the_image_holds_the_installed_ray(to: Target) -> None:
    [values] = FILES[to]
    assert values["docker"]["image"] == f"rayproject/ray:{ray.__version__}-py311-gpu"
    assert yaml.safe_load(render(DESCRIPTION, to, SOURCE)) == values
