"""Which events a job is about, as its parameters say it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from pydantic import TypeAdapter

from ranker.model import Selection

_SELECTION = TypeAdapter(Selection)


def params(selection: Selection) -> dict[str, Any]:
    """What a job has to know, as JSON values. People appear as pseudonyms."""
    given = asdict(selection)
    del given["catalog_id"]
    return given


def selection_of(catalog_id: str, given: Mapping[str, Any]) -> Selection:
    """What `params` was made of; what else the job knows is passed over."""
    return _SELECTION.validate_python({**given, "catalog_id": catalog_id})


def request_key(request_id: str, selection: Selection) -> str:
    """What makes a job be asked for once: the request's id and its conditions, so that an id that
    is used again for other ones never stands in its way. Empty without an id."""
    if not request_id:
        return ""
    # What came in between two tries makes no other request.
    conditions = params(replace(selection, last_sequence=None))
    digest = hashlib.sha256(json.dumps(conditions, sort_keys=True).encode()).hexdigest()
    return f"{request_id}:{digest[:16]}"
