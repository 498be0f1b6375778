"""Categories that a photo proposes as filters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.response import Proposal
from gateway.ranking.proposals import proposals
from gateway.servicer.answers import proposal_message
from sightline.common.v1.photo_pb2 import CategoryGuess, Classification
from sightline_client.convert.filter_text import parse_filter
from sightline_client.convert.to_wire import filter_


def classified(*guesses: tuple[str, float], unknown: bool = False) -> Classification:
    return Classification(
        guesses=[
            CategoryGuess(category_path=path.split("/"), probability=chance)
            for path, chance in guesses
        ],
        unknown_probability=1 - sum(chance for _, chance in guesses),
        unknown=unknown,
        space_version="v1",
    )


def spelt(found: tuple[Proposal, ...]) -> list[tuple[str, float]]:
    return [(" | ".join(map("/".join, item.paths)), round(item.probability, 6)) for item in found]


def test_a_sure_category_is_proposed_with_all_above_it_the_likeliest_first():
    found = proposals(classified(("Fruit/Apple/Gala", 0.85), ("Fruit/Pear", 0.1), ("Juice", 0.02)))

    assert spelt(found) == [
        ("Fruit", 0.95),
        ("Fruit/Apple/Gala", 0.85),
        ("Fruit/Apple", 0.85),
    ]


def test_where_no_category_is_sure_the_few_that_are_sure_together_are_proposed():
    found = proposals(
        classified(("Fruit/Apple", 0.4375), ("Juice/Apple", 0.40625), ("Fruit/Pear", 0.0625))
    )

    assert spelt(found) == [("Fruit/Apple | Juice/Apple", 0.84375), ("Fruit", 0.5)]


def test_many_guesses_of_little_chance_propose_nothing():
    assert proposals(classified(*((f"C{place}", 0.1) for place in range(8)))) == ()


def test_what_is_unknown_proposes_nothing():
    assert proposals(classified(("Fruit", 0.9), unknown=True)) == ()


@pytest.mark.parametrize(
    "paths",
    [
        (("Fruit",),),
        (("Fruit", 'Apple "Gala" \\ sweet'),),
        (("Fruit", "Apple"), ("Juice",), ("水果", "苹果 AND pears")),
    ],
)
def test_a_proposals_text_is_its_filter_as_the_command_line_reads_it(paths):
    message = proposal_message(Proposal(paths, 0.9))
    as_text = filter_(parse_filter(message.text))

    assert list(as_text.all.filters) == [message.filter]


@given(st.lists(st.floats(0, 1, allow_nan=False), max_size=20))
def test_chances_stay_chances_and_fall(weights):
    total = sum(weights) or 1.0
    guesses = [(f"A/B{place % 3}/C{place}", chance / total) for place, chance in enumerate(weights)]
    chances = [item.probability for item in proposals(classified(*guesses))]

    assert chances == sorted(chances, reverse=True)
    assert all(0.5 <= chance <= 1 for chance in chances)
