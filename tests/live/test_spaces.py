"""A space learned from a shop's photos by the whole suite, and searched in."""

import pytest

from examples.wines import loading
from examples.wines.catalogue import load_wines
from sightline_client import (
    FailedPrecondition,
    JobState,
    SightlineClient,
    SpaceState,
    SpaceVerdict,
)
from sightline_client.cli.upgrade import Upgrade, upgrade


async def test_a_shop_learns_a_space_and_its_searches_use_it(gateway: str) -> None:
    wines = load_wines()[:30]
    async with SightlineClient(gateway, catalog="learned", timeout=90) as client:
        await loading.import_wines(client, wines)
        await loading.wait_indexed(client, len(wines))

        begun = await client.fit_space(backbone="efficientnet_lite0", seed=1)
        assert (await client.fit_space(seed=2)).job_id == begun.job_id
        job = [each async for each in client.watch_job(begun.job_id)][-1]
        assert job.state is JobState.SUCCEEDED, job.error
        assert (job.done, job.total, job.results["skipped"]) == (30, 30, "0")
        model = job.results["model"]

        known = {each.model: each for each in await client.list_spaces(include_all=True)}
        made = known[model]
        assert made.state is SpaceState.CANDIDATE
        assert made.evaluation is not None
        assert made.evaluation.verdict is not SpaceVerdict.BETTER, "30 photos of 30 wines"
        with pytest.raises(FailedPrecondition, match="not proven"):
            await client.promote_space(model)
        promoted = await client.promote_space(model, force=True)
        assert (promoted.state, promoted.forced) == (SpaceState.SERVING, True)

        rolled = Upgrade()
        await upgrade(client, "visual", model, rolled)
        assert rolled.done, rolled.steps
        found = await client.search(image=wines[3].image, page_size=3)
        assert [each.version for each in found.versions.spaces] == [made.version]
        assert found.results[0].product.product_id == wines[3].id
        with pytest.raises(FailedPrecondition, match="generations stand"):
            await client.retire_space(model)

        again = await client.fit_space(backbone="efficientnet_lite0", seed=3)
        await client.cancel_job(again.job_id)
        ended = [each async for each in client.watch_job(again.job_id)][-1]
        assert ended.state is JobState.CANCELLED
    async with SightlineClient(gateway) as other:
        spaces = await other.list_spaces(include_all=True)
        assert model not in {each.model for each in spaces}, "it is another shop's"
