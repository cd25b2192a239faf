"""The description that comes with the project, and what is rendered from it."""

from pathlib import Path

import pytest

from orchestrator.launch.description import Description
from orchestrator.launch.loading import load_description

ROOT = Path(__file__).parents[3]
SOURCE = Path("clusters/spot_l4.yaml")


@pytest.fixture(scope="session")
def description() -> Description:
    return load_description(ROOT / SOURCE)
