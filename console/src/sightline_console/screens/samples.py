"""A request as code: curl, Python and TypeScript."""

import json
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sightline_console.screens.asked import SORTS, USUAL_SIZE, Asked

PHOTO = "photo.jpg"
"""Name of the photo in the examples."""


@dataclass(frozen=True, slots=True)
class Target:
    """The suite that examples call."""

    grpc: str
    http: str
    catalog: str
    keyed: bool
    """True if calls need a key."""


def samples(asked: Asked, target: Target) -> list[tuple[str, str]]:
    """Return the examples, each with its language."""
    return [
        ("curl", curl(asked, target)),
        ("Python", python(asked, target)),
        ("TypeScript", typescript(asked, target)),
    ]


def _call(asked: Asked) -> str:
    if asked.sort not in SORTS:
        return "recommend"
    return "search" if asked.has_signal else "list"


def curl(asked: Asked, target: Target) -> str:
    """Return the request as a command."""
    words = ["curl", "-s", f"{target.http}/v1/catalogs/{target.catalog}:{_call(asked)}"]
    # A semicolon would end the value of a form's part.
    body = json.dumps(_message(asked), ensure_ascii=False).replace(";", "\\u003b")
    lines = [shlex.join(words)]
    if target.keyed:
        lines.append('-H "authorization: Bearer $SIGHTLINE_TOKEN"')
    if asked.photo:
        lines.append(f"-F {shlex.quote(f'signals[0].image=@{PHOTO}')}")
        lines.append(f"-F {shlex.quote(f'request={body};type=application/json')}")
    else:
        lines.append("-H 'content-type: application/json'")
        lines.append(f"-d {shlex.quote(body)}")
    return " \\\n  ".join(lines)


def _message(asked: Asked) -> dict[str, object]:
    """Return the request as JSON; a photo is beside it."""
    condition = {"text": asked.filter, "marketId": asked.market}
    made: dict[str, object] = {
        "signals": [*_signals(asked)],
        "filter": {name: value for name, value in condition.items() if value},
        "pageSize": _size(asked),
    }
    if _call(asked) == "recommend":
        shopper = "userId" if asked.kind == "user" else "visitorId"
        made |= {"shopper": {shopper: asked.shopper} if asked.shopper else {}}
        made |= {"scene": asked.scene}
    else:
        made["sort"] = f"SORT_{asked.sort}"
    return {name: value for name, value in made.items() if value}


def _signals(asked: Asked) -> Iterator[dict[str, object]]:
    if asked.photo:
        yield {"box": _sides(asked)} if asked.box() else {}
    if asked.text:
        yield {"text": asked.text}
    if asked.product:
        yield {"productId": asked.product}


def _sides(asked: Asked) -> dict[str, float]:
    box = asked.box()
    return {} if box is None else {side: getattr(box, side) for side in box.__slots__}


def _size(asked: Asked) -> int:
    return int(asked.size or USUAL_SIZE)


def python(asked: Asked, target: Target) -> str:
    """Return the request as a program in Python."""
    call = {"list": "listing"}.get(_call(asked), _call(asked))
    names = ["SyncSightlineClient"]
    names += ["Box"] * (asked.photo != "" and asked.box() is not None)
    names += ["Sort"] * (call != "recommend") + ["parse_filter"] * bool(asked.filter)
    options = ", ".join([f"{target.grpc!r}", *_connection(target)])
    lines = [
        *(["import os"] if target.keyed else []),
        *(["from pathlib import Path"] if asked.photo else []),
        *([""] if target.keyed or asked.photo else []),
        f"from sightline_client import {', '.join(sorted(names, key=_case))}",
        "",
        f"with SyncSightlineClient({options}) as client:",
        f"    answer = client.{call}(",
        *(f"        {each}," for each in _arguments(asked, call)),
        "    )",
        "for each in answer.results:",
        "    print(each.rank, each.product.product_id, each.product.title)",
    ]
    return "\n".join(lines)


def _case(name: str) -> tuple[bool, str]:
    return name[0].islower(), name


def _connection(target: Target) -> Iterator[str]:
    if target.catalog != "default":
        yield f"catalog={target.catalog!r}"
    if target.keyed:
        yield 'token=os.environ["SIGHTLINE_TOKEN"]'


def _arguments(asked: Asked, call: str) -> Iterator[str]:
    if asked.photo:
        yield f'image=Path("{PHOTO}")'
        if box := asked.box():
            yield f"box=Box({box.left!r}, {box.top!r}, {box.right!r}, {box.bottom!r})"
    yield from _given(("text", asked.text), ("products", asked.product))
    if call == "recommend" and asked.shopper:
        yield f"{'user' if asked.kind == 'user' else 'visitor'}={asked.shopper!r}"
    if asked.filter:
        yield f"filter=parse_filter({asked.filter!r})"
    yield from _given(("scene", asked.scene if call == "recommend" else ""))
    yield from _given(("market", asked.market))
    if call != "recommend":
        yield f"sort=Sort.{asked.sort}"
    yield f"page_size={_size(asked)}"


def _given(*options: tuple[str, str]) -> Iterator[str]:
    return (f"{name}={value!r}" for name, value in options if value)


def typescript(asked: Asked, target: Target) -> str:
    """Return the request as a module in TypeScript."""
    call = _call(asked)
    helpers = {
        "photoSignal": asked.photo,
        "productSignal": asked.product,
        "Sort": call != "recommend",
        "textSignal": asked.text,
        asked.kind or "visitor": asked.shopper and call == "recommend",
    }
    names = ["createSightlineClient", *(name for name, used in helpers.items() if used)]
    options = [f"address: {_quoted(target.http)}"]
    if target.catalog != "default":
        options.append(f"catalog: {_quoted(target.catalog)}")
    if target.keyed:
        options.append("key: process.env.SIGHTLINE_TOKEN")
    lines = [
        *(['import { readFile } from "node:fs/promises";'] if asked.photo else []),
        f'import {{ {", ".join(names)} }} from "sightline-client";',
        "",
        f"const client = createSightlineClient({{ {', '.join(options)} }});",
        f"const answer = await client.recommendations.{call}({{",
        *(f"  {each}," for each in _members(asked, call)),
        "});",
        "for (const { rank, product } of answer.results) console.log(rank, product?.title);",
    ]
    return "\n".join(lines)


def _members(asked: Asked, call: str) -> Iterator[str]:
    signals: list[str] = []
    if asked.photo:
        part = f", {{ box: {json.dumps(_sides(asked))} }}" if asked.box() else ""
        signals.append(f'await photoSignal(await readFile("{PHOTO}"){part})')
    if asked.text:
        signals.append(f"textSignal({_quoted(asked.text)})")
    if asked.product:
        signals.append(f"productSignal({_quoted(asked.product)})")
    if signals:
        yield f"signals: [{', '.join(signals)}]"
    if call == "recommend" and asked.shopper:
        yield f"shopper: {asked.kind or 'visitor'}({_quoted(asked.shopper)})"
    yield from _condition(asked)
    if call == "recommend" and asked.scene:
        yield f"scene: {_quoted(asked.scene)}"
    if call != "recommend":
        yield f"sort: Sort.{asked.sort}"
    yield f"pageSize: {_size(asked)}"


def _condition(asked: Asked) -> Iterable[str]:
    members: list[str] = []
    if asked.filter:
        members.append(f'expression: {{ case: "text", value: {_quoted(asked.filter)} }}')
    if asked.market:
        members.append(f"marketId: {_quoted(asked.market)}")
    return [f"filter: {{ {', '.join(members)} }}"] if members else []


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
