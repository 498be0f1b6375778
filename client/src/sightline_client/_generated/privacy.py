"""The data of one shopper: a copy, its erasure, and consent to its use.

Made from api/privacy.py by generate_sync.py: change that one and run it.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sightline_client._generated.base import SyncConnected
from sightline_client.values.events import EventType
from sightline_client.values.operations import Job
from sightline_client.values.privacy import Consents, Erasure, PrivacyBudget, Purpose


class SyncPrivacyCalls(SyncConnected):
    """The data of one shopper: a copy, its erasure, and consent to its use."""

    def export_user(
        self, *, user: str | None = None, visitor: str | None = None, timeout: float | None = None
    ) -> dict[str, list[dict[str, Any]]]:
        """Return everything that is stored on ``user`` or ``visitor``: records by store. NotFound
        (SHOPPER_NOT_FOUND) if nothing is. ``timeout`` is that of one page."""
        return self._loop.run(self._client.export_user(user=user, visitor=visitor, timeout=timeout))

    def erase_user(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        force: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that erases ``user`` or ``visitor`` from all stores; follow it with
        ``watch_job``. NotFound (SHOPPER_NOT_FOUND) if the record has nothing on them.

        Args:
            user: The customer, with all visitors merged into them.
            visitor: The visitor.
            force: Search models and exports although the record has nothing.
            request_id: Id of the request in logs.
        """
        return self._loop.run(
            self._client.erase_user(
                user=user, visitor=visitor, force=force, request_id=request_id, timeout=timeout
            )
        )

    def get_erasure(
        self, *, user: str | None = None, visitor: str | None = None, timeout: float | None = None
    ) -> Erasure:
        """Return the receipt of the newest erasure of ``user`` or ``visitor``. NotFound
        (ERASURE_NOT_FOUND) if there was none."""
        return self._loop.run(self._client.get_erasure(user=user, visitor=visitor, timeout=timeout))

    def set_consent(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        as_default: bool = False,
        given: Iterable[Purpose] = (),
        withdrawn: Iterable[Purpose] = (),
        source: str,
        timeout: float | None = None,
    ) -> Consents:
        """Store what ``user`` or ``visitor`` consents to, and return what applies then. It applies
        from the next call on; what no consent covers is deleted within minutes.

        Args:
            user: The customer.
            visitor: The visitor.
            as_default: Store the default of the catalog instead, for shoppers who have not decided.
            given: Purposes that are consented to.
            withdrawn: Purposes whose consent is withdrawn.
            source: Where the decision was made, such as "cookie banner 3", up to 128 bytes.
        """
        return self._loop.run(
            self._client.set_consent(
                user=user,
                visitor=visitor,
                as_default=as_default,
                given=given,
                withdrawn=withdrawn,
                source=source,
                timeout=timeout,
            )
        )

    def get_consent(
        self,
        *,
        user: str | None = None,
        visitor: str | None = None,
        as_default: bool = False,
        timeout: float | None = None,
    ) -> Consents:
        """Return what ``user`` or ``visitor`` consents to, or ``as_default`` the catalog's default,
        with all decisions."""
        return self._loop.run(
            self._client.get_consent(
                user=user, visitor=visitor, as_default=as_default, timeout=timeout
            )
        )

    def export_counts(
        self,
        *,
        epsilon: float,
        types: Iterable[EventType] = (),
        since: datetime | None = None,
        before: datetime | None = None,
        attribute: str = "",
        most_products: int = 0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Start a job that counts the shoppers of each product with differential privacy and writes
        the counts to a file, which the job's result names; follow it with ``watch_job``.
        FailedPrecondition (PRIVACY_BUDGET_SPENT) if the catalog's budget does not suffice.

        Args:
            epsilon: Share of the budget to spend, above 0, at most 10; smaller values need more
                noise.
            types: Events of these types; none = PURCHASE.
            since: Events from this time on; None = all.
            before: Events before this time; None = all.
            attribute: Count by the values of this attribute of shoppers.
            most_products: Maximum number of products in which one shopper is counted, 1 to 100;
                0 = 8.
            request_id: The same id returns the same job, and spends the budget once, as long as
                the job is known.
        """
        return self._loop.run(
            self._client.export_counts(
                epsilon=epsilon,
                types=types,
                since=since,
                before=before,
                attribute=attribute,
                most_products=most_products,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def get_privacy_budget(self, *, timeout: float | None = None) -> PrivacyBudget:
        """Return what is left of the catalog's budget for counts, and what spent it."""
        return self._loop.run(self._client.get_privacy_budget(timeout=timeout))
