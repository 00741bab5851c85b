"""The ledger of missing images: counted across stores, bounded, and fair to who asks for little."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from registry.oci.digest import Digest
from registry.oci.reference import RepositoryName, Tag, parse_tag_or_digest
from registry.storage import ledger
from registry.storage.ledger import Ledger, short_name
from registry.storage.misses import Miss, Wanted, keep_fairly
from registry.storage.store import Store
from tests.images import publish, small_image
from tests.registry.oci.test_reference import NAMES, TAGS

CLIENTS = st.sampled_from(["10.0.0.1", "10.0.0.2", "2001:db8::1", "2001:db8::2", ""])


def wanted(name: str, upstream: str | None = None, reference: str = "1") -> Wanted:
    return Wanted(upstream, RepositoryName(name), parse_tag_or_digest(reference))


def miss(name: str, at: float, client: str = "10.0.0.1", count: int = 1) -> Miss:
    return Miss(wanted(name), count, at, at, client)


@given(st.none() | st.sampled_from(["docker.io", "[::1]:5000"]), NAMES, TAGS, st.booleans(), CLIENTS)
def test_a_record_comes_back(upstream: str | None, name: str, tag: str, by_digest: bool, client: str) -> None:
    reference = Digest.of(tag.encode()) if by_digest else Tag(tag)
    made = Miss(Wanted(upstream, RepositoryName(name), reference), 3, 1.5, 2.5, client)
    back = Miss.from_row(made.to_row())
    assert back == made
    assert type(back.wanted.reference) is type(reference)


@given(st.lists(st.tuples(CLIENTS, st.integers(0, 50)), max_size=40), st.integers(0, 20), st.integers(1, 10))
def test_who_asks_for_little_keeps_it_all(asked: list[tuple[str, int]], limit: int, each: int) -> None:
    misses = [miss(f"a{number}", at, client) for number, (client, at) in enumerate(asked)]
    kept = keep_fairly(misses, limit, each)
    assert len(kept) <= limit
    had, has = (Counter(one.client for one in some) for some in (misses, kept))
    ipv6 = "2001:db8::1", "2001:db8::2"
    assert sum(has[client] for client in ipv6) <= each, "they are one network"
    for client in set(had) - set(ipv6):
        assert has[client] <= each
        oldest = min((one.last for one in kept if one.client == client), default=51)
        dropped = [one.last for one in misses if one.client == client and one not in kept]
        assert all(last <= oldest for last in dropped), "the newest of a client stay"


def test_a_flood_of_names_pushes_out_none_of_who_asks_for_few() -> None:
    quiet = [miss(f"quiet{number}", 1, f"10.0.0.{number}") for number in range(20)]
    flood = [miss(f"flood{number}", 2, "10.9.9.9") for number in range(1000)]
    kept = keep_fairly([*quiet, *flood], 100, 1000)
    assert set(quiet) <= set(kept)
    assert len(kept) == 100


def test_counts_add_up_and_the_newest_client_is_kept(store: Store) -> None:
    store.ledger.add([miss("a", 5, "10.0.0.1", 2), miss("b", 6)])
    store.ledger.add([miss("a", 9, "10.0.0.2", 3)])
    store.ledger.add([miss("a", 7, "10.0.0.3")])
    newest, other = store.ledger.still_missing()
    assert newest == Miss(wanted("a"), 6, 5, 9, "10.0.0.2")
    assert other == miss("b", 6)


def test_one_name_of_two_upstreams_is_two_records(store: Store) -> None:
    for upstream in (None, "docker.io", "quay.io"):
        store.ledger.add([Miss(wanted("a", upstream), 1, 1, 1, "")])
    assert sorted(str(each.wanted) for each in store.ledger.still_missing()) == ["a:1", "docker.io/a:1", "quay.io/a:1"]


def test_the_ledger_is_bounded_and_the_newest_stay(store: Store) -> None:
    small = Ledger(store._index, limit=20, client_limit=8)
    for number in range(50):
        small.add([miss(f"a{number}", number, f"10.0.0.{number % 5}")])
    assert [str(each.wanted.repository) for each in small.still_missing()] == [f"a{n}" for n in range(49, 29, -1)]
    small.add(miss(f"b{number}", 100 + number, "10.9.9.9") for number in range(1000))
    left = Counter(each.client for each in small.still_missing())
    assert left == {"10.9.9.9": 4, **{f"10.0.0.{number}": left[f"10.0.0.{number}"] for number in range(5)}}
    assert set(left.values()) <= {3, 4}
    assert sum(left.values()) == 20


def test_the_limits_are_those_that_are_promised(store: Store) -> None:
    store.ledger.add(miss(f"a{number}", number) for number in range(ledger.LIMIT))
    assert len(store.ledger.still_missing()) == ledger.CLIENT_LIMIT
    store.ledger.add(miss(f"b{number}", number, f"10.0.{number % 50}.1") for number in range(ledger.LIMIT + 500))
    assert len(store.ledger.still_missing()) == ledger.LIMIT


def test_what_has_come_since_is_left_out(store: Store) -> None:
    root = Digest.of(b"not here")
    store.ledger.add(Miss(each, 1, 1, 1, "") for each in (wanted("a"), wanted("library/a", "docker.io")))
    store.ledger.add([Miss(wanted("library/a"), 1, 1, 1, ""), Miss(wanted("a", None, str(root)), 1, 1, 1, "")])
    assert len(store.ledger.still_missing()) == 4
    root = publish(store, small_image(), "a:1")
    store.ledger.add([Miss(wanted("a", None, str(root)), 1, 1, 1, "")])
    assert {each.wanted.repository for each in store.ledger.still_missing()} == {"library/a", "a"}
    assert len(store.ledger.still_missing()) == 2


def test_a_cleared_ledger_is_empty(store: Store) -> None:
    store.ledger.add(miss(f"a{number}", number) for number in range(10))
    store.ledger.clear()
    assert store.ledger.still_missing() == []


def test_a_short_name_is_one_of_docker_hub() -> None:
    def short(name: str, upstream: str | None = "docker.io") -> str | None:
        return short_name(upstream, RepositoryName(name))

    assert short("library/nginx") == "nginx"
    assert short("library/a/b") is None
    assert short("library") is None
    assert short("nginx") is None
    assert short("my/library/nginx") is None
    assert short("library/nginx", "quay.io") is None
    assert short("library/nginx", None) is None
