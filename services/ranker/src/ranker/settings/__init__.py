"""Settings of the ranker's processes; the only package that reads the environment."""

from ranker.settings.process_settings import (
    BackupCommandSettings,
    RankerSettings,
    TrainSettings,
    WorkerSettings,
)
from ranker.settings.recipe_file import RECIPE_KEYS, RecipeFile
from ranker.settings.shared import LogSettings, RecordSettings

__all__ = [
    "RECIPE_KEYS",
    "BackupCommandSettings",
    "LogSettings",
    "RankerSettings",
    "RecipeFile",
    "RecordSettings",
    "TrainSettings",
    "WorkerSettings",
]
