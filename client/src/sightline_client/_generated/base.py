"""Base of the synchronous client's calls.

Made from api by generate_sync.py: change that and run it.
"""

from sightline_client.client import SightlineClient
from sightline_client.transport.looping import Loop


class SyncConnected:
    """Calls that block until they are answered."""

    _loop: Loop
    _client: SightlineClient
