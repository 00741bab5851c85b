"""What gc leaves for no other reason than that it is young."""

from dataclasses import replace

from registry.storage.errors import StorageBusy
from registry.storage.gc import Collection, Policy
from registry.storage.store import Store


def kept_by_grace(store: Store, policy: Policy) -> int:
    """Bytes that a gc without a grace period would free now; after a dry run, those of the dry run among them.

    It is what a dry run counts, so it follows the very rules of gc for files, links, manifests and blobs.
    """
    if policy.grace <= 0:
        return 0
    try:
        return sum(each.size for each in Collection(store, replace(policy, grace=0, dry_run=True)).removals())
    except StorageBusy:  # the next gc has begun, and will tell
        return 0
