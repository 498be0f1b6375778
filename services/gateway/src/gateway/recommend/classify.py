"""Classification of a photo, with proposed filters."""

from gateway.model.price import photo_price
from gateway.model.query import Question
from gateway.model.response import Classified
from gateway.ranking.proposals import proposals
from gateway.recommend.validate import MOST_GUESSES, check_question
from gateway.retrieval.embedding import photo_error
from gateway.state.request_context import RequestDependencies
from servicekit.errors import ServiceError


async def classify(question: Question, deps: RequestDependencies) -> Classified:
    """Classify a photo by the catalog's newest fitted space.

    Raises errors of the caller and of the embedder, such as CLASSIFIER_UNAVAILABLE.
    """
    check_question(question, deps.catalogs)
    try:
        with deps.in_time():
            async with deps.prices.charged(photo_price(question.photo.image), question.catalog_id):
                # All guesses, regardless of the caller's limit: proposals are based on them.
                found = await deps.peers.embedder.classify(
                    question.catalog_id, question.photo, MOST_GUESSES
                )
    except ServiceError as error:
        raise photo_error(question.photo, error) or error from error
    proposed = proposals(found)
    del found.guesses[question.guess_count :]
    return Classified(found, proposed)
