"""Kinds of media: what a job asks of them reaches them, and a new one needs nothing else."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from orchestrator.config.images import ImageBudget
from orchestrator.config.videos import VideoBudget
from orchestrator.data.bad_sample import BadRow, BadSampleError
from orchestrator.data.coder import ImageCoder, Pixels
from orchestrator.data.measure import MeasureSettings, measure_records
from orchestrator.data.media.image import ImageMedium
from orchestrator.data.media.kinds import media_kinds
from orchestrator.data.media.medium import ImageSize, Medium, Probed, Targets
from orchestrator.data.media.video import VideoMedium
from orchestrator.data.places.content import Content
from orchestrator.data.places.location import Location
from orchestrator.data.placing import parse
from orchestrator.data.render import Renderer, render, request_rows, request_table
from orchestrator.data.rows import RenderMedium, RenderRow, SampleRow
from orchestrator.data.sources.record import Record
from tests.unit.data.media.films import Grid, content_of, numbers, write_film

FIRST_LINE = "volume"


@dataclass(frozen=True, slots=True)
class VolumeMedium:
    """Stacked grey slices as text: ``volume 3 32 48``, then one line of brightness a slice."""

    most: int = 16

    def probe(self, content: Content, /) -> Probed:
        word, *numbers = content.read().decode().split("\n")[0].split()
        if word != FIRST_LINE:
            raise BadSampleError(f"volume {content.name} is none", "Write it again")
        slices, height, width = map(int, numbers)
        return Probed((ImageSize(width=width, height=height),) * min(self.most, slices))

    def cost(self, probed: Probed, coder: ImageCoder, /) -> Targets:
        return tuple(coder.target_size(size.height, size.width) for size in probed.pictures)

    def load(self, content: Content, targets: Targets, /) -> list[Pixels]:
        greys = [int(line) for line in content.read().decode().split("\n")[1:] if line]
        return [
            np.full((*target, 3), grey, dtype=np.uint8)
            for grey, target in zip(greys, targets, strict=False)
        ]


def with_volumes(images: ImageBudget, videos: VideoBudget) -> dict[str, Medium]:
    return {**media_kinds(images, videos), "volume": VolumeMedium()}


KINDS = with_volumes(ImageBudget(), VideoBudget(frames=4))


@pytest.fixture
def record(tmp_path: Path) -> Record:
    (tmp_path / "scan.txt").write_text("volume 3 32 48\n10\n20\n30\n")
    write_film(tmp_path / "walk.mp4")
    value = {
        "id": "mixed",
        "conversations": [
            {"role": "user", "content": "First <volume>, then <video>. What changed?"},
            {"role": "assistant", "content": "All of it."},
        ],
        "volumes": ["scan.txt"],
        "videos": "walk.mp4",
    }
    return Record(1, value)


@pytest.fixture
def with_a_third(settings: MeasureSettings) -> MeasureSettings:
    return dataclasses.replace(settings, kinds=KINDS, coder=Grid(16))


def test_what_a_job_says_reaches_every_kind() -> None:
    images = ImageBudget(max_source_pixels=77, background="#010203", exact_pixels=True)
    videos = VideoBudget(frames=3, select="key", max_pixels=1234)
    kinds = media_kinds(images, videos)
    assert set(kinds) == {"image", "video"}
    image, video = kinds["image"], kinds["video"]
    assert isinstance(image, ImageMedium)
    assert (image.max_source_pixels, image.background, image.exact_pixels) == (
        77,
        "#010203",
        True,
    )
    assert video == VideoMedium(
        frames=3, select="key", max_pixels=1234, max_source_pixels=77, background="#010203"
    )


def test_every_field_of_the_video_section_changes_what_is_taken() -> None:
    changes = {"frames": 3, "select": "key", "max_pixels": 999}
    assert set(changes) == set(VideoBudget.model_fields)
    given = media_kinds(ImageBudget(), VideoBudget())["video"]
    for name, value in changes.items():
        changed = VideoBudget.model_validate({name: value})
        assert media_kinds(ImageBudget(), changed)["video"] != given


def test_a_third_kind_gives_its_pictures_by_itself(tmp_path: Path) -> None:
    (tmp_path / "scan.txt").write_text("volume 2 32 48\n10\n20\n")
    content, volume = content_of(tmp_path / "scan.txt"), KINDS["volume"]
    targets = volume.cost(volume.probe(content), Grid(16))
    assert targets == ((32, 48), (32, 48))
    assert [pixels_HWC.mean() for pixels_HWC in volume.load(content, targets)] == [10, 20]


def test_a_third_kind_is_placed_by_its_own_mark(record: Record) -> None:
    conversation = parse(record, kinds=tuple(KINDS))
    assert [(ref.kind, ref.uri) for ref in conversation.media] == [
        ("volume", "scan.txt"),
        ("video", "walk.mp4"),
    ]
    assert conversation.turns[0].text == "First , then . What changed?"


def test_a_third_kind_is_measured_and_rendered_with_nothing_else_changed(
    record: Record, with_a_third: MeasureSettings
) -> None:
    (row,) = measure_records([record], "data.jsonl", with_a_third)
    assert isinstance(row, SampleRow), row
    assert row.kinds == ("volume", "video")
    assert row.pictures == (3, 4)
    assert (row.ids_L == -1).sum() == 7
    targets = tuple(zip(row.target_heights, row.target_widths, strict=True))
    assert targets == ((32, 48),) * 3 + ((48, 64),) * 4
    media = tuple(
        RenderMedium(kind, Location(url), sizes)
        for kind, url, sizes in zip(
            row.kinds, row.urls, (targets[:3], targets[3:]), strict=True
        )
    )
    asked = [RenderRow(0, row.id, row.ids_L, row.labels_L, media)]
    table = request_table((0, 0, 0), asked)
    batch = render(request_rows(table), (0, 0, 0), Renderer(with_a_third.coder, KINDS))
    assert batch.faults == ()
    assert batch.images_S.tolist() == [7]
    assert batch.grids_I3.tolist() == [[1, 2, 3]] * 3 + [[1, 3, 4]] * 4
    patches_PD = np.split(batch.patches_PD, np.cumsum([6, 6, 6, 12, 12, 12]))
    assert [float(one_PD.mean()) for one_PD in patches_PD[:3]] == [10, 20, 30]
    assert numbers([one_PD[:, :, None] for one_PD in patches_PD[3:]]) == [2, 7, 12, 17]


def test_a_broken_one_of_a_third_kind_is_a_line_of_the_ledger(
    record: Record, with_a_third: MeasureSettings, tmp_path: Path
) -> None:
    (tmp_path / "scan.txt").write_text("no such thing")
    (row,) = measure_records([record], "data.jsonl", with_a_third)
    assert isinstance(row, BadRow)
    assert (row.row, row.reason, row.remedy) == (1, "volume scan.txt is none", "Write it again")
