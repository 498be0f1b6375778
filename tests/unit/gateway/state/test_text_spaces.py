"""Spaces that accept texts."""

from gateway.model.causes import Peer
from gateway.model.errors import PeerUnavailable
from gateway.state.text_spaces import LOOK_SECONDS, TextQuerySpaces
from sightline.embedder.v1.embedding_service_pb2 import Space


class Spaces:
    def __init__(self) -> None:
        self.states = (
            Space(space="visual", version="v1", default_version=True),
            Space(space="visual", version="f1", takes_texts=True),
            Space(space="text", version="t1", takes_texts=True),
        )
        self.fails = False
        self.calls = 0

    async def __call__(self, catalog_id: str) -> tuple[Space, ...]:
        self.calls += 1
        if self.fails:
            raise PeerUnavailable(Peer.EMBEDDER)
        return self.states


async def test_what_takes_texts_is_asked_for_now_and_then():
    now, spaces = [0.0], Spaces()
    text_spaces = TextQuerySpaces(lambda: now[0])

    assert await text_spaces.of("default", spaces) == ("f1",)
    assert await text_spaces.of("default", spaces) == ("f1",)
    assert spaces.calls == 1
    spaces.states = spaces.states[:1]
    now[0] = LOOK_SECONDS + 1
    assert await text_spaces.of("default", spaces) == ("f1",)  # looked up beside the request
    await text_spaces.of("other", spaces)
    assert await text_spaces.of("default", spaces) == ()


async def test_what_took_texts_does_while_the_embedder_is_unavailable():
    now, spaces = [0.0], Spaces()
    text_spaces = TextQuerySpaces(lambda: now[0])
    await text_spaces.of("default", spaces)
    spaces.fails, now[0] = True, LOOK_SECONDS + 1
    await text_spaces.of("default", spaces)
    await text_spaces.of("other", spaces)

    assert await text_spaces.of("default", spaces) == ("f1",)
    assert await text_spaces.of("other", spaces) == ()
