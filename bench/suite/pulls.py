"""Many nodes that pull a fleet of images at once, from a warm and a cold page cache, with layers whole or in parts."""

from collections.abc import Iterator
from itertools import product

from bench.results import Figure
from bench.suite.field import Field, Watch, evict
from bench.traffic.nodes import visit
from bench.traffic.paced import percentile
from bench.traffic.script import Pulling


def nodes(field: Field) -> Iterator[Figure]:
    """Every way of pulling at every peer; bytes a second until the last node has all."""
    count, images = field.plan.nodes, field.sample.wanted
    for number, tls, begin, peers in field.turns():
        for is_cold, in_parts in product((False, True), (False, True)):
            case = f"{begin}, {'cold' if is_cold else 'warm'}, layers {'in parts' if in_parts else 'whole'}"
            for peer in peers:
                if is_cold:
                    if peer.files is None:
                        continue
                    evict(peer.files)
                endpoint = peer.endpoint(tls=tls)
                watch = Watch(endpoint)
                found = visit(endpoint, images, count, Pulling(in_parts))
                details = {"seconds": round(found.seconds, 3), "requests": found.requests, "bytes": found.bytes}
                slowest = {f"image_p{share}": round(percentile(found.images, share / 100), 4) for share in (50, 99)}
                rate = round(found.bytes / found.seconds / 1e6, 1)
                yield field.figure(("nodes", case, peer.name, number), rate, "MB/s", watch.told() | details | slowest)
