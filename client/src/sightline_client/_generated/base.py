"""Base of the synchronous client's calls.

Made from api by client/generator: change that and run ``make proto``.
"""

from sightline_client.client import SightlineClient
from sightline_client.transport.looping import Loop


class SyncConnected:
    """Calls that block until they are answered."""

    _loop: Loop
    _client: SightlineClient
