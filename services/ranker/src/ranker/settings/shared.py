"""Settings shared by several of the ranker's processes."""

import re
from collections.abc import Iterator
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from ranker.domain.signals import DEFAULTS, MOST_STARS, Signals
from servicekit.artefacts.backup_settings import known_store
from servicekit.config import Place, Secret, ServiceSettings, is_local
from servicekit.keys.wrapping import KeyWrapper, key_wrapper
from servicekit.sql.database import check_secret_url
from servicekit.sql.migrations import MigrationSettings

PREFIX = SettingsConfigDict(env_prefix="RANKER_")


class RecordSettings(MigrationSettings):
    """Settings of the record, all that `python -m ranker.migrate` needs."""

    model_config = PREFIX

    database_url: Annotated[Secret, AfterValidator(check_secret_url)] = SecretStr(
        "sqlite:///.data/ranker/ranker.db"
    )
    """SQLAlchemy URL of the record: `sqlite:////dir/ranker.db` or `postgresql+psycopg://…`."""


class StoreSettings(RecordSettings):
    """Settings shared by server, worker and trainings."""

    model_config = PREFIX

    model_store: Annotated[Place, AfterValidator(known_store)] = ".data/ranker/models"
    """Folder or fsspec URL (such as s3://bucket/models) in which models are stored."""

    encryption_keys_file: Path | None = None
    """File with keys that encrypt the record's data keys, one a line of 64 hexadecimal digits, the
    current one first; reloaded when it changes. With it, attributes of shoppers and words of
    searches are stored encrypted. Server, worker and trainings need the same file. `None`: plain,
    unless RANKER_ENCRYPTION_COMMAND is set. Once set, the record can't be read without it."""

    encryption_command: Path | None = None
    """Program that encrypts the record's data keys in place of the file, such as one that calls a
    key management service: it is started with `wrap` or `unwrap`, and gets and prints base64. With
    both, the program is current, and data keys of the file are encrypted by it again."""

    export_store: Annotated[Place, AfterValidator(known_store)] = ".data/ranker/exports"
    """Folder or fsspec URL (such as s3://bucket/exports) to which events are exported."""

    def wrapper(self) -> KeyWrapper | None:
        """Return the holder of the wrapping keys; None without encryption. Raise Unreadable."""
        return key_wrapper(self.encryption_keys_file, self.encryption_command)


class KeySettings(ServiceSettings):
    """Settings of pseudonyms."""

    model_config = PREFIX

    key_file: Path = Path(".data/ranker/pseudonym.key")
    """File with the key of the pseudonyms: 64 random hexadecimal digits. Keep a copy apart from the
    record: without it, stored events can never be matched to a shopper again."""


def _known_log(brokers: tuple[str, ...]) -> tuple[str, ...]:
    """Return `brokers` if a Kafka client is installed. Raise ValueError."""
    bad = [one for one in brokers if not re.fullmatch(r"[^\s,:/@]+:\d{1,5}", one)]
    if bad:
        raise ValueError(f"{', '.join(bad)}: not host:port")
    if brokers and find_spec("confluent_kafka") is None:
        raise ValueError("needs sightline-ranker[kafka]")
    return brokers


class LogSettings(ServiceSettings):
    """Settings of the event log, for server and worker."""

    model_config = PREFIX

    kafka_brokers: Annotated[tuple[str, ...], AfterValidator(_known_log)] = ()
    """Brokers of the Kafka protocol, as `host:9092,host:9092`. Events are acknowledged once the
    brokers have them, and the worker writes them to the record. Empty: events are written to the
    record directly. Needs the extra `kafka`; see docs/operate/events-at-scale.md."""

    kafka_topic: str = Field(default="sightline-events", pattern=r"^[A-Za-z0-9._-]{1,249}$")
    """The topic. It must exist."""

    kafka_folder: Path | None = None
    """Folder with files for TLS to the brokers: `ca.crt` (default: the system's authorities),
    `tls.crt` and `tls.key`, `username` and `password`, each optional. Read at start. `None`: plain
    text."""

    kafka_login: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    """SASL mechanism of user name and password."""

    kafka_keys_file: Path | None = None
    """File with keys that sign events in the topic (docs/operate/keys.md), one a line, the signing
    one first; reloaded when it changes. Server and worker need the same keys: the worker takes only
    signed events into the record. Without it, whoever may write into the topic may invent events.
    """

    kafka_unsigned: bool = False
    """If true, the worker accepts unsigned events too: while the topic has events of a release
    before 0.17. A wrong signature is rejected in any case."""

    def unsafe(self) -> Iterator[str]:
        yield from super().unsafe()
        away = [one for one in self.kafka_brokers if not is_local(one)]
        if away and self.kafka_folder is None:
            variable = self.variable("kafka_brokers")
            folder = self.variable("kafka_folder")
            yield f"{variable}: {away[0]} is called in plain text: set {folder}"
        if self.kafka_brokers and self.kafka_keys_file is None:
            keys = self.variable("kafka_keys_file")
            yield f"events in the topic are not signed: set {keys}"


class FloorSettings(ServiceSettings):
    """The floor of counts of shoppers, for server and worker."""

    model_config = PREFIX

    least_shoppers: int = Field(default=20, ge=1, le=1_000_000)
    """Minimum number of shoppers of a count that is exported with differential privacy, in addition
    to the threshold that its epsilon needs, and of a text of a search that is suggested to others.
    """


class NightSettings(ServiceSettings):
    """When trainings run, for the worker; the server says it to whoever lists the models."""

    model_config = PREFIX

    auto_promote: bool = False
    """If true, each catalog with events is trained once a night, and the model is promoted if its
    evaluation passes; otherwise the serving model stays. The same for server and worker."""

    auto_promote_hour: int = Field(default=3, ge=0, le=23)
    """Hour of the day (UTC) from which nightly trainings start, and erased shoppers are subtracted
    from models."""


class SignalSettings(ServiceSettings):
    """Weights of events, for server, worker and trainings; see signals.py."""

    model_config = PREFIX

    signal_view: float = Field(default=DEFAULTS.view, ge=0, le=1)
    """Probability that a VIEW means that the shopper likes the product, 0 to 1."""

    signal_click: float = Field(default=DEFAULTS.click, ge=0, le=1)
    """The same probability for a CLICK."""

    signal_add_to_cart: float = Field(default=DEFAULTS.add_to_cart, ge=0, le=1)
    """The same probability for one unit of an ADD_TO_CART."""

    signal_purchase: float = Field(default=DEFAULTS.purchase, ge=0, le=1)
    """The same probability for one unit of a PURCHASE; below 1, repeated purchases increase it."""

    signal_liked_rating: float = Field(default=DEFAULTS.liked_rating, ge=0, le=MOST_STARS)
    """Minimum stars of a positive rating; a lower rating cancels earlier interest."""

    signal_rating_power: float = Field(default=DEFAULTS.rating_power, ge=0, le=10)
    """Exponent of the weight (stars / 5) of positive ratings. 0: all count equally."""

    signal_half_life_days: float = Field(default=DEFAULTS.half_life_days, ge=0, le=36500)
    """Days after which an event counts half in interests. 0: events do not decay. Popularity always
    halves every 365 days."""

    signal_session_gap_minutes: float = Field(default=DEFAULTS.session_gap_minutes, gt=0, le=1440)
    """Minutes without an event after which the next one starts another visit, if no session is
    given."""

    signal_robot_events_a_day: int = Field(default=DEFAULTS.robot_events_a_day, ge=1)
    """Maximum number of events of interest on one day (UTC) of a person; a shopper with more is
    classified as a robot."""

    signal_robot_products_a_day: int = Field(default=DEFAULTS.robot_products_a_day, ge=1)
    """The same limit for different products on one day."""

    signal_robot_views_a_minute: int = Field(default=DEFAULTS.robot_views_a_minute, ge=1)
    """The same limit for views and clicks within 60 seconds."""

    signal_robot_weight: float = Field(default=DEFAULTS.robot_weight, gt=0, le=1000)
    """Maximum total weight of a robot's interests, in certainly liked products."""

    @property
    def signals(self) -> Signals:
        names = [field.name for field in fields(Signals)]
        return Signals(**{name: getattr(self, f"signal_{name}") for name in names})
