"""What every call of the synchronous client needs.

Made from api by generate_sync.py: change that and run it.
"""

from sightline_client.client import SightlineClient
from sightline_client.transport.looping import Loop


class SyncConnected:
    """Calls that are answered when they return."""

    _loop: Loop
    _client: SightlineClient
