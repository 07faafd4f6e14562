"""What a job is told: folders, channels and hyperparameters, and how it says that something is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from recommender.errors import InvalidInput, NotFound

from training_jobs.environment import Freshness, JobEnvironment, read_metrics


@dataclass(frozen=True)
class Settings:
    epochs: int = 3
    rate: float = 0.1
    kind: str = "full"
    warm: bool = True


def environment(tmp_path: Path, **variables: str) -> JobEnvironment:
    return JobEnvironment.from_environment({**_folders(tmp_path), **variables})


def _folders(tmp_path: Path) -> dict[str, str]:
    return {
        "SM_MODEL_DIR": str(tmp_path / "model"),
        "SM_OUTPUT_DATA_DIR": str(tmp_path / "output"),
        "SM_CHECKPOINT_DIR": str(tmp_path / "checkpoints"),
    }


def test_folders_are_made_and_channels_are_found(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()

    job = environment(tmp_path, SM_CHANNEL_TWO_TOWER=str(tmp_path / "data"))

    assert job.model_dir.is_dir()
    assert job.checkpoint_dir.is_dir()
    assert job.channel("two_tower") == tmp_path / "data"


def test_a_missing_channel_names_its_variable(tmp_path: Path) -> None:
    job = environment(tmp_path, SM_CHANNEL_CONTENT=str(tmp_path / "nowhere"))

    with pytest.raises(NotFound, match="SM_CHANNEL_EXPORTS is not set"):
        job.channel("exports")
    with pytest.raises(NotFound, match="nowhere, which is no folder"):
        job.channel("content")


def test_hyperparameters_replace_defaults_even_when_sent_as_text(tmp_path: Path) -> None:
    job = environment(tmp_path, SM_HPS='{"epochs": "5", "rate": 1, "warm": "false"}')

    assert job.settings(Settings) == Settings(epochs=5, rate=1.0, kind="full", warm=False)


def test_without_hyperparameters_the_defaults_hold(tmp_path: Path) -> None:
    assert environment(tmp_path).settings(Settings) == Settings()


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ('{"epoch": 5}', "/SM_HPS/epoch is 5, expected one of epochs, kind, rate, warm"),
        ('{"epochs": "many"}', "/SM_HPS/epochs is 'many', expected int such as 3"),
        ('{"warm": "maybe"}', "/SM_HPS/warm is 'maybe', expected true or false"),
    ],
)
def test_a_wrong_hyperparameter_is_refused_by_name(tmp_path: Path, sent: str, message: str) -> None:
    job = environment(tmp_path, SM_HPS=sent)

    with pytest.raises(InvalidInput, match=message):
        job.settings(Settings)


@pytest.mark.parametrize("sent", ["[1]", "no json"])
def test_hyperparameters_must_be_an_object(tmp_path: Path, sent: str) -> None:
    with pytest.raises(InvalidInput, match="expected a JSON object"):
        environment(tmp_path, SM_HPS=sent)


def test_metrics_are_read_by_the_next_job(tmp_path: Path) -> None:
    job = environment(tmp_path)

    job.write_metrics({"recall@20": 0.25})

    assert read_metrics(job.model_dir) == {"recall@20": 0.25}


def test_metrics_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        environment(tmp_path).write_metrics({"loss": float("nan")})


def test_missing_metrics_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"metrics\.json does not exist"):
        read_metrics(tmp_path)


def test_data_may_be_of_any_age_unless_the_container_says_how_old(tmp_path: Path) -> None:
    assert environment(tmp_path).freshness is None
    asked = JobEnvironment.from_environment(
        {"TRAINING_MAX_AGE_DAYS": "3", **_folders(tmp_path)}, today=date(2026, 3, 4)
    )

    assert asked.freshness == Freshness(date(2026, 3, 4), max_age_days=3)
    with pytest.raises(InvalidInput, match="TRAINING_MAX_AGE_DAYS is 'soon'"):
        environment(tmp_path, TRAINING_MAX_AGE_DAYS="soon")
