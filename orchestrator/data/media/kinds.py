"""The kinds of media that a job may use, by the name that a reference gives its kind."""

from orchestrator.config.images import ImageBudget
from orchestrator.config.videos import VideoBudget
from orchestrator.data.media.image import ImageMedium
from orchestrator.data.media.medium import Medium
from orchestrator.data.media.video import VideoMedium


def media_kinds(images: ImageBudget, videos: VideoBudget) -> dict[str, Medium]:
    """Set up every kind as a job asks for it. A new kind is one more line here."""
    return {
        "image": ImageMedium(
            max_source_pixels=images.max_source_pixels,
            background=images.background,
            exact_pixels=images.exact_pixels,
        ),
        "video": VideoMedium(
            frames=videos.frames,
            select=videos.select,
            max_pixels=videos.max_pixels,
            max_source_pixels=images.max_source_pixels,
            background=images.background,
        ),
    }
