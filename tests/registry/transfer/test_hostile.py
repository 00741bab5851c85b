"""Registries that lie, trickle and lure: the client believes nothing, gives no secret away, and comes to an end."""

import itertools
import json
from collections.abc import Iterator

import pytest

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, ManifestInvalid, ManifestUnknown, SizeInvalid
from registry.oci.mediatype import OCI_MANIFEST
from registry.oci.reference import RepositoryName, Tag, TagOrDigest
from registry.storage.index import StoredManifest
from registry.transfer.client import RegistryClient
from registry.transfer.errors import AnswerInvalid, PlaceInvalid, RegistryRefused, RegistryUnavailable, TransferError
from registry.transfer.login import Login
from registry.transfer.remote import RegistrySource
from registry.transfer.tree import read_tree
from tests.registry.transfer.scripted import Handler, Scripted, connected, scripted

APP = RepositoryName("app")
BODY = b"0123456789" * 1000
BLOB = Descriptor("application/octet-stream", Digest.of(BODY), len(BODY))
PATH = f"/v2/app/blobs/{BLOB.digest}"
ALICE = Login("alice", "secret")


@pytest.fixture
def script() -> Iterator[Scripted]:
    with scripted() as running:
        yield running


@pytest.fixture
def client(script: Scripted) -> Iterator[RegistryClient]:
    with connected(script) as connection:
        yield connection


def read(client: RegistryClient, blob: Descriptor = BLOB) -> bytes:
    return b"".join(client.read_blob(APP, blob, 0))


def endless(handler: Handler) -> None:
    handler.begin(200, Transfer_Encoding="chunked", Content_Type="application/json")
    while True:
        handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")


def test_an_endless_manifest_is_refused(script: Scripted, client: RegistryClient) -> None:
    script.plays["GET /v2/app/manifests/1"] = endless
    with pytest.raises(AnswerInvalid, match="more than"):
        client.get_manifest(APP, Tag("1"))


def test_an_endless_blob_is_refused_at_its_size(script: Scripted, client: RegistryClient) -> None:
    script.plays[f"GET {PATH}"] = endless
    with pytest.raises(SizeInvalid, match="more than"):
        read(client)


def test_an_endless_error_is_not_read_to_its_end(script: Scripted, client: RegistryClient) -> None:
    def play(handler: Handler) -> None:
        handler.begin(403, Transfer_Encoding="chunked")
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    script.plays[f"GET {PATH}"] = play
    with pytest.raises(RegistryRefused, match="403"):
        read(client)


def test_a_blob_that_ends_early_every_time_is_given_up(script: Scripted, client: RegistryClient) -> None:
    script.plays[f"GET {PATH}"] = lambda handler: handler.answer(200, BODY[:100])
    with pytest.raises(RegistryUnavailable, match=r"ends too early \(after 100 of 10000 bytes\)"):
        read(client)


def test_a_broken_blob_is_gone_on_with_where_it_broke(script: Scripted, client: RegistryClient) -> None:
    def play(handler: Handler) -> None:
        asked = handler.headers.get("Range")
        if asked is None:
            handler.begin(200, Content_Length=str(len(BODY)))
            handler.wfile.write(BODY[:4000])
            handler.cut()
            return
        assert asked == "bytes=4000-"
        handler.answer(206, BODY[4000:], Content_Range=f"bytes 4000-{len(BODY) - 1}/{len(BODY)}")

    script.plays[f"GET {PATH}"] = play
    assert read(client) == BODY


def test_a_registry_without_ranges_sends_all_again_and_nothing_comes_twice(
    script: Scripted, client: RegistryClient
) -> None:
    numbers = itertools.count()

    def play(handler: Handler) -> None:
        handler.begin(200, Content_Length=str(len(BODY)))
        handler.wfile.write(BODY if next(numbers) else BODY[:4000])
        handler.cut()

    script.plays[f"GET {PATH}"] = play
    assert read(client) == BODY


def test_another_part_than_was_asked_for_is_refused(script: Scripted, client: RegistryClient) -> None:
    def play(handler: Handler) -> None:
        if handler.headers.get("Range") is None:
            handler.begin(200, Content_Length=str(len(BODY)))
            handler.wfile.write(BODY[:4000])
            handler.cut()
        else:
            handler.answer(206, BODY[5000:], Content_Range=f"bytes 5000-{len(BODY) - 1}/{len(BODY)}")

    script.plays[f"GET {PATH}"] = play
    with pytest.raises(AnswerInvalid, match="another part"):
        read(client)


def test_a_manifest_of_another_digest_is_refused(script: Scripted, client: RegistryClient) -> None:
    body = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    lie = str(Digest.of(b"other"))
    script.plays["GET /v2/app/manifests/1"] = lambda handler: handler.answer(200, body, Docker_Content_Digest=lie)
    with pytest.raises(DigestInvalid):
        client.get_manifest(APP, Tag("1"))


def test_a_list_that_leads_in_circles_ends(script: Scripted, client: RegistryClient) -> None:
    def play(handler: Handler) -> None:
        handler.answer(200, b'{"tags": ["a"]}', Link='</v2/app/tags/list?n=1000>; rel="next"')

    script.plays["GET /v2/app/tags/list"] = play
    with pytest.raises(AnswerInvalid, match="circles"):
        list(client.list_tags(APP))


def test_a_list_is_not_followed_to_another_host(script: Scripted, client: RegistryClient) -> None:
    def play(handler: Handler) -> None:
        handler.answer(200, b'{"tags": ["a"]}', Link='<http://127.0.0.2:1/v2/app/tags/list>; rel="next"')

    script.plays["GET /v2/app/tags/list"] = play
    with pytest.raises(AnswerInvalid, match="elsewhere"):
        list(client.list_tags(APP))


def test_a_closed_catalog_is_told_with_the_way_out(script: Scripted, client: RegistryClient) -> None:
    script.plays["GET /v2/_catalog"] = lambda handler: handler.answer(401, b"{}")
    with pytest.raises(TransferError, match="name the images"):
        list(RegistrySource(client).list_images())


def test_an_index_of_too_many_manifests_is_refused(script: Scripted, client: RegistryClient) -> None:
    children = [{"mediaType": OCI_MANIFEST, "digest": f"sha256:{each:064x}", "size": 1} for each in range(20_000)]
    body = json.dumps({"schemaVersion": 2, "manifests": children}).encode()
    script.plays["GET /v2/app/manifests/1"] = lambda handler: handler.answer(200, body)
    with pytest.raises(ManifestInvalid, match="more than"):
        read_tree(_Sparse(client), APP, Tag("1"))


class _Sparse(RegistrySource):
    """Asks for the root alone: ten thousand answers of 404 take seconds, and are not the claim."""

    def get_manifest(self, name: RepositoryName, reference: TagOrDigest) -> StoredManifest:
        if isinstance(reference, Digest):
            raise ManifestUnknown(str(reference))
        return super().get_manifest(name, reference)


def test_redirects_in_circles_end(script: Scripted, client: RegistryClient) -> None:
    script.plays[f"GET {PATH}"] = lambda handler: handler.answer(307, Location=PATH)
    with pytest.raises(AnswerInvalid, match="circles"):
        read(client)


def test_a_redirect_to_plain_http_elsewhere_is_not_followed(script: Scripted, client: RegistryClient) -> None:
    script.plays[f"GET {PATH}"] = lambda handler: handler.answer(307, Location="http://192.0.2.1/blob")
    with pytest.raises(PlaceInvalid, match="not encrypted"):
        read(client)


def test_a_blob_is_taken_from_another_host_that_never_sees_credentials(script: Scripted) -> None:
    def guarded(handler: Handler) -> None:
        if handler.headers.get("Authorization") is None:
            handler.answer(401, WWW_Authenticate='Basic realm="r"')
        else:
            handler.answer(307, Location=f"{other.url}/elsewhere?signature=x")

    with scripted() as other, connected(script, ALICE) as client:
        script.plays[f"GET {PATH}"] = guarded
        other.plays["GET /elsewhere"] = lambda handler: handler.answer(200, BODY)
        assert read(client) == BODY
        assert [credentials for _, _, credentials in script.seen][-1] == ALICE.header
        assert [credentials for _, _, credentials in other.seen] == [None]


def test_a_challenge_of_another_host_gets_no_password(script: Scripted) -> None:
    with scripted() as other, connected(script, ALICE) as client:
        script.plays[f"GET {PATH}"] = lambda handler: handler.answer(307, Location=f"{other.url}/elsewhere")
        other.plays["GET /elsewhere"] = lambda handler: handler.answer(401, WWW_Authenticate='Basic realm="r"')
        with pytest.raises(RegistryRefused):
            read(client)
        assert [credentials for _, _, credentials in other.seen] == [None]


def test_an_upload_that_is_sent_to_another_host_carries_no_credentials(script: Scripted) -> None:
    def start(handler: Handler) -> None:
        if handler.headers.get("Authorization") is None:
            handler.answer(401, WWW_Authenticate='Basic realm="r"')
        else:
            handler.answer(202, Location=f"{other.url}/session")

    def take(handler: Handler) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        handler.answer(201)

    with scripted() as other, connected(script, ALICE) as client:
        script.plays["POST /v2/app/blobs/uploads/"] = start
        other.plays["PUT /session"] = take
        client.put_blob(APP, BLOB, lambda offset: (each for each in [BODY[offset:]]), None)
        assert [credentials for _, _, credentials in other.seen] == [None]


@pytest.mark.parametrize("realm", ["http://192.0.2.1/token", "file:///etc/passwd", ""])
def test_a_password_is_not_taken_to_where_it_could_be_read(script: Scripted, realm: str) -> None:
    challenge = f'Bearer realm="{realm}",service="s"'
    script.plays[f"GET {PATH}"] = lambda handler: handler.answer(401, WWW_Authenticate=challenge)
    with connected(script, ALICE) as client, pytest.raises((PlaceInvalid, AnswerInvalid)):
        read(client)
    assert all(credentials is None for _, _, credentials in script.seen)


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"token": 5}', b'{"token": "a\\r\\nb"}'])
def test_an_answer_without_a_token_is_told(script: Scripted, client: RegistryClient, answer: bytes) -> None:
    challenge = f'Bearer realm="{script.url}/token"'
    script.plays[f"GET {PATH}"] = lambda handler: handler.answer(401, WWW_Authenticate=challenge)
    script.plays["GET /token"] = lambda handler: handler.answer(200, answer)
    with pytest.raises(AnswerInvalid, match="token"):
        read(client)


def test_what_a_registry_says_cannot_paint_the_terminal(script: Scripted, client: RegistryClient) -> None:
    script.plays[f"GET {PATH}"] = lambda handler: handler.answer(403, b"\x1b[2J\x1b]0;owned\x07\nno")
    with pytest.raises(RegistryRefused) as refusal:
        read(client)
    assert str(refusal.value).isprintable()


def test_an_upload_that_never_gets_on_is_given_up(script: Scripted, client: RegistryClient) -> None:
    large = Descriptor(BLOB.media_type, Digest.of(bytes(2_000_000)), 2_000_000)

    def patch(handler: Handler) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        handler.answer(503)

    script.plays["POST /v2/app/blobs/uploads/"] = lambda handler: handler.answer(202, Location="/session")
    script.plays["PATCH /session"] = patch
    script.plays["GET /session"] = lambda handler: handler.answer(204, Range="0-1499999")
    script.plays["DELETE /session"] = lambda handler: handler.answer(204)
    with pytest.raises(RegistryUnavailable, match="503"):
        client.put_blob(APP, large, lambda offset: (each for each in [bytes(2_000_000)[offset:]]), None)
    assert script.seen[-1][:2] == ("DELETE", "/session")
