"""The gateway's calls that make a message and go over a channel in one process too: a new one is a
decision. What shops ask for often is lent (clients/local_*.py of the gateway)."""

from __future__ import annotations

import inspect
import re

import pytest

from gateway.clients.embedder import EmbedderClient
from gateway.clients.local_embedder import LocalEmbedder
from gateway.clients.local_ranker import LocalRanker
from gateway.clients.local_retriever import LocalRetriever
from gateway.clients.ranker import RankerClient
from gateway.clients.retriever import RetrieverClient

HELPERS = {"_call", "_columns", "_decode", "_model_states"}
SENDS = re.compile(rf"self\.(_caller\.\w+|{'|'.join(HELPERS)})\(")
"""How a client sends a message."""
STAY = {
    (RetrieverClient, LocalRetriever): {
        "photo": "a heat map, which takes the model two photos",
        "word_counts": "an operator's preview of synonyms",
        "published_scenes": "after a publication",
        **dict.fromkeys(("count", "holding"), "the state that operators read"),
    },
    (RankerClient, LocalRanker): {
        "search_counts": "past searches, read once a minute; an operator's list",
        "control_counts": "read once for some minutes",
        "in_experiments": "kept by shopper",
        "last_erasure": "kept for all requests",
        "record": "answers without the ranker, by the batch",
        **dict.fromkeys(("replay", "newest_answers"), "an operator's comparison of scenes"),
        **dict.fromkeys(("register", "experiments"), "when files of experiments change"),
        **dict.fromkeys(
            ("experiment_products", "experiment_report", "counted_experiment"),
            "an operator's report",
        ),
        **dict.fromkeys(("serving_model", "has_model"), "an operator's call"),
    },
    (EmbedderClient, LocalEmbedder): {
        "spaces": "kept for all requests",
        **dict.fromkeys(
            ("classify", "embed_regions", "read_label", "compare"),
            "photos, of which a model takes a hundred times as long as a message",
        ),
    },
}
"""Calls by client, and the class that lends its others, with why they stay."""


@pytest.mark.parametrize(("client", "local"), STAY)
def test_a_call_that_is_not_lent_is_listed(client: type, local: type) -> None:
    sent = {
        name
        for name, each in vars(client).items()
        if inspect.isfunction(each) and SENDS.search(inspect.getsource(each))
    }
    assert sent - vars(local).keys() - HELPERS == STAY[client, local].keys()
