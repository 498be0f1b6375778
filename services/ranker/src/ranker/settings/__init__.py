"""What the ranker's processes read from the environment, and nothing else reads it."""

from ranker.settings.process_settings import (
    BackupCommandSettings,
    RankerSettings,
    TrainSettings,
    WorkerSettings,
)
from ranker.settings.recipe_file import RecipeFile
from ranker.settings.shared import LogSettings, RecordSettings

__all__ = [
    "BackupCommandSettings",
    "LogSettings",
    "RankerSettings",
    "RecipeFile",
    "RecordSettings",
    "TrainSettings",
    "WorkerSettings",
]
