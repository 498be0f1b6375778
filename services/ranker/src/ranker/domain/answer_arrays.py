"""Records of answers as arrays: a header in JSON, then a handful of arrays, in one piece of bytes.

The bytes are also those of an `AnswerRecord` with one product and an unknown field, so that
releases until 0.37 answer ANSWER_RECORD_MISSING. Records of those releases, of answers that the
ranker did not rank, and those in PostgreSQL of releases until 0.43, are serialized messages, which
are read here too.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from ranker.domain.arrays import AnyArray
from sightline.common.v1 import answer_pb2, candidate_pb2, event_pb2, product_pb2
from sightline.ranker.v1 import answer_service_pb2 as pb
from sightline.ranker.v1 import ranking_service_pb2 as ranking_pb

VERSION = 1
"""Version of a record's inputs; raise it when a release records other fields."""
PLACE = "<u2"
"""Stored type of an index among up to 2,000 candidates."""
_PREFIX = b"\x3a\x00" + b"\xc2\x3e"
"""An empty message in field 7, then the tag of field 1000 with a length."""
_MORE = 0x80

Header = Mapping[str, Any]
Arrays = Mapping[str, AnyArray]

ARRANGED = ("category_paths", "brands")
PRICED = ("price_micros", "currencies")
COSTS = ("cost_micros", "cost_currencies")
DESCRIBED = (*ARRANGED, *PRICED, "tags", "attributes", "titles")
"""Columns of which a product's features are made."""
NOTHING: Mapping[str, object] = {
    "category_paths": "",
    "brands": "",
    "price_micros": -1,
    "currencies": "",
    "cost_micros": -1,
    "cost_currencies": "",
    "tags": candidate_pb2.TextList(),
    "attributes": candidate_pb2.AttributeList(),
    "titles": "",
}
"""Columns that describe products, with their values for an undescribed product."""


def pack(header: Header, arrays: Arrays) -> bytes:
    """Return the bytes of a record."""
    kinds = [[name, array.dtype.str, array.size] for name, array in arrays.items()]
    head = orjson.dumps({**header, "arrays": kinds}, _plain, orjson.OPT_NON_STR_KEYS)
    size = 4 + len(head) + sum([array.nbytes for array in arrays.values()])
    pieces = (_PREFIX, _varint(size), len(head).to_bytes(4, "little"), head)
    return b"".join([*pieces, *[array.data for array in arrays.values()]])


def _plain(value: Any) -> object:
    """Return what orjson does not write itself, a named tuple or a float of NumPy, as plain."""
    return tuple(value) if isinstance(value, tuple) else float(value)


def unpack(content: bytes) -> tuple[Header, Arrays] | None:
    """Return header and arrays of a record; None if it is a serialized message."""
    if not content.startswith(_PREFIX):
        return None
    start = len(_PREFIX)
    while content[start] & _MORE:
        start += 1
    start += 5
    size = int.from_bytes(content[start - 4 : start], "little")
    header, start = json.loads(content[start : start + size]), start + size
    arrays = dict[str, AnyArray]()
    for name, kind, count in header.pop("arrays"):
        arrays[name] = np.frombuffer(content, kind, count, start)
        start += arrays[name].nbytes
    return header, arrays


def _varint(value: int) -> bytes:
    """Encode seven bits per byte, lowest first; all but the last byte have the top bit set."""
    found = bytearray()
    while value >= _MORE:
        found.append(value % _MORE | _MORE)
        value //= _MORE
    found.append(value)
    return bytes(found)


def read_record(content: bytes, *, inputs: bool = True) -> pb.AnswerRecord:
    """Return the message of a record in either form, with or without its inputs."""
    found = unpack(content)
    if found is None:
        made = pb.AnswerRecord.FromString(content)
        if not inputs:
            made.ClearField("inputs")
            made.ClearField("inputs_version")
        return made
    header, arrays = found
    made = pb.AnswerRecord(
        answer_id=header["answer_id"],
        request_digest=bytes.fromhex(header["digest"]),
        scene=header["versions"]["scene"],
        versions=answer_pb2.Versions(**header["versions"]),
        seed=header["seed"],
        degradations=map(_degradation, header["lost"]),
        hidden_count=header["hidden"],
        arms=header["arms"],
        controls=header["controls"],
        columns=_columns(header, arrays),
        inputs=_inputs(header, arrays) if inputs else None,
        inputs_version=header["version"] if inputs else 0,
    )
    for field, micros in (("answer_time", header["served"]), ("expire_time", header["expires"])):
        if micros:
            getattr(made, field).FromMicroseconds(micros)
    return made


def read_columns(content: bytes) -> pb.AnsweredColumns:
    """Return the columns of a record in either form."""
    found = unpack(content)
    return pb.AnswerRecord.FromString(content).columns if found is None else _columns(*found)


def _degradation(given: Sequence[Any]) -> answer_pb2.Degradation:
    stage, cause, substitute, as_of_micros = given
    made = answer_pb2.Degradation(stage=stage, cause=cause, substitute=substitute)
    if as_of_micros:
        made.as_of.FromMicroseconds(as_of_micros)
    return made


def _columns(header: Header, arrays: Arrays) -> pb.AnsweredColumns:
    ids, rows = header["ids"], arrays["rows"].tolist()
    count, images = len(rows), header["images"]
    parts = arrays["parts"].reshape(len(header["parts"]), count)
    moves = arrays["moves"].reshape(len(header["moves"]), count)
    shares = header.get("shares", {})  # releases until 0.39 do not record them
    return pb.AnsweredColumns(
        product_ids=[ids[row] for row in rows],
        raw_scores=arrays["raw_scores"].tobytes(),
        parts=[
            pb.PackedPart(name=name, values=values.tobytes(), share=shares.get(name, 0.0))
            for name, values in zip(header["parts"], parts, strict=True)
        ],
        matched_image_ids=[images[row] for row in rows] if images else (),
        branch_names=header["branch_names"],
        branches=arrays["branches"][rows].tolist() if len(arrays["branches"]) else (),
        collapsed_counts=arrays["member_counts"].tolist(),
        collapsed_product_ids=[ids[row] for row in arrays["members"].tolist()],
        score_ranks=arrays["score_ranks"].tolist(),
        moves=[
            pb.MoveColumn(
                cause=answer_pb2.Move.Cause.Value(f"CAUSE_{cause}"), places=steps.tolist()
            )
            for cause, steps in zip(header["moves"], moves, strict=True)
        ],
        propensities=arrays["propensities"].tobytes(),
        scores=arrays["chances"].tobytes(),
        score_event=event_pb2.EventType.Value(f"EVENT_TYPE_{header['event'] or 'UNSPECIFIED'}"),
    )


def _inputs(header: Header, arrays: Arrays) -> pb.RankInputs:
    ids, rows, members = header["ids"], arrays["rows"], arrays["members"]
    named = np.concatenate([rows, members])
    others = np.ones(len(ids), bool)
    others[named] = False
    left_out = np.flatnonzero(others)
    return pb.RankInputs(
        request=_request(header, arrays),
        left_out_product_ids=[ids[row] for row in left_out.tolist()],
        places=np.concatenate([named, left_out]).astype(PLACE).tobytes(),
        popularity=arrays["popularity"].tobytes(),
        recent_events=arrays["recent_events"].tolist(),
        marking_events=arrays["marking_events"].tolist(),
        shopper_place=header["shopper_place"],
        attributes_digest=bytes.fromhex(header["attributes"]),
        draws=bytes.fromhex(header["draws"]),
        settings_digest=bytes.fromhex(header["settings"]),
        personal=header["personal"],
    )


def _request(header: Header, arrays: Arrays) -> ranking_pb.RankRequest:
    """Return the request of a record without the candidates' ids."""
    count = len(header["ids"])
    similarities = arrays["similarities"].reshape(len(header["branches"]), count)
    made = ranking_pb.RankRequest(
        branches=[
            ranking_pb.BranchSignal(branch=branch, similarities=values.tolist())
            for branch, values in zip(header["branches"], similarities, strict=True)
        ],
        fused=arrays["fused"].tolist(),
        weights=[
            ranking_pb.PartWeight(part=part, weight=weight)
            for part, weight in header["weights"].items()
        ],
        drop_seen=header["drop_seen"],
        seed=header["seed"],
        time_micros=header["time_micros"],
        model_version=header["model_version"],
    )
    if header["policy"]:
        caps = [ranking_pb.CategoryCap(level=level, cap=cap) for level, cap in header["caps"]]
        made.diversity.CopyFrom(ranking_pb.Diversity(**header["policy"], category_caps=caps))
    if header["anchors"]:
        made.anchors.product_ids.extend(header["anchors"])
    if header["controlled"]:
        made.controls.CopyFrom(_controls(header))
    made.candidates.create_time_micros.extend(arrays["created"].tolist())
    if header["own"] is not None:
        _add_likeness(made, header, arrays)
    _add_described(made.candidates, header["described"], count)
    return made


def _controls(header: Header) -> ranking_pb.Controls:
    found = ranking_pb.Controls(page_size=header["page_size"], pins_first=header["pins_first"])
    for name, kind, rows, place, boost, by_merit in header["controlled"]:
        each = found.controls.add(name=name, candidates=rows, by_merit=by_merit)
        if kind == "pin":
            each.place = place
        elif kind == "boost":
            each.boost = boost
        else:
            each.bury = True
    return found


def _add_likeness(made: ranking_pb.RankRequest, header: Header, arrays: Arrays) -> None:
    """Add the keys by which near-duplicates collapse."""
    made.collapse = True
    own, hashes = header["own"], arrays["hashes"].tolist()
    made.query_products.product_ids.extend(own)
    made.query_products.image_hashes.extend(hashes[: len(own)])
    made.candidates.parent_ids.extend(header["families"])
    made.candidates.image_hashes.extend(hashes[len(own) :])
    made.same_pictures.extend(arrays["same_pictures"].tolist())


def _add_described(
    made: candidate_pb2.CandidateColumns,
    described: Mapping[str, Mapping[str, Sequence[Any]]],
    count: int,
) -> None:
    """Add the columns of products that the record describes, with empty values for all others."""
    for name, rows in described.items():
        column = [NOTHING[name]] * count
        for row, value in rows.items():
            column[int(row)] = _value(name, value)
        getattr(made, name).extend(column)


def _value(name: str, value: Any) -> object:
    if name == "tags":
        return candidate_pb2.TextList(values=value)
    if name == "attributes":
        texts = (product_pb2.Attribute(key=key, text=text) for key, text in value)
        return candidate_pb2.AttributeList(values=texts)
    return value
