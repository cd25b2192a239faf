"""What a cluster's description may say, and what its errors say."""

from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.launch.description import Description
from orchestrator.launch.loading import load_description

FLEET = """\
    head: {type: m, cpus: 4}
    gpu_model: L4
    gpu: [{type: g, cpus: 8, gpus: 1}]
    data: [{type: c, cpus: 8}]
"""
AWS = f"""\
name: mine
image: rayproject/ray:2.60.0-py311-gpu
bucket: my-bucket
aws:
  region: r
  zones: [a]
  image: ami-1
  security_group: sg-0123456789abcdef0
  fleet:
{FLEET}"""


def error_lines(folder: Path, text: str) -> list[str]:
    (folder / "cluster.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_description(folder / "cluster.yaml")
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_a_short_description_has_defaults_for_the_rest(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(AWS)
    found = load_description(tmp_path / "cluster.yaml")
    assert (found.gpu_spot, found.gpu_on_demand, found.gcp) == ((0, 8), (0, 8), None)
    assert found.ray_version == "2.60.0"
    assert found.all_tags == {"cluster": "mine"}


def test_the_description_of_the_project_names_every_cloud(description: Description) -> None:
    assert all((description.aws, description.gcp, description.azure, description.kubernetes))


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("name: mine", "nome: mine", "cluster.yaml: nome: unknown field (did you mean name?)"),
        ("name: mine", "name: My_Cluster", "cluster.yaml: name: string should match pattern"),
        ("name: mine", "name: mine\ngpu_spot: [3, 2]", "gpu_spot: the least (3) is above"),
        ("name: mine", "name: mine\ngpu_spot: [13, 20]", "most_nodes: 12, but at least 13"),
        ("sg-0123456789abcdef0", "mine", "cluster.yaml: aws.security_group: string should"),
        ("type: c, cpus: 8", "type: c, cpus: 8, gpus: 1", "c does not train"),
        ("gpus: 1", "gpus: 0", "gpu: g has no GPU"),
        ("cpus: 8, gpus: 1}", "cpus: 8, gpus: 1}, {type: h, cpus: 8, gpus: 4}", "the same num"),
        ("2.60.0-py311-gpu", "latest", "cluster.yaml: image: string should match pattern"),
        ("zones: [a]", "zones: []", "cluster.yaml: aws.zones: "),
        (
            "cpus: 4",
            "cpus: '4'",
            "cluster.yaml: aws.fleet.head.cpus: input should be a valid i",
        ),
        ("image: rayp", "image: [rayp]\nx: ", "cluster.yaml: x: unknown field"),
    ],
)
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, before: str, after: str, line: str
) -> None:
    assert before in AWS
    assert any(line in one for one in error_lines(tmp_path, AWS.replace(before, after, 1)))


def test_all_mistakes_are_named_in_one_pass(tmp_path: Path) -> None:
    text = AWS.replace("mine", "M").replace("cpus: 4", "cpus: 0").replace("[a]", "a")
    assert len(error_lines(tmp_path, text)) == 3
