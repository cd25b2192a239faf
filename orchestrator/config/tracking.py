"""The ``tracking`` section: where the record of runs is kept. It may change between resumes."""

from pydantic import Field

from orchestrator.config.section import Section


class TrackingConfig(Section):
    """Where MLflow keeps the record."""

    uri: str = Field(default="sqlite:///mlflow.db", min_length=1)
    """MLflow tracking URI: a SQLite file, or a server such as http://host:5000."""

    experiment: str = Field(default="default", min_length=1)
    """The MLflow experiment that the run is listed under."""
