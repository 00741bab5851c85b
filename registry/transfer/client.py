"""The distribution API from a client's side: what it answers is checked before it is believed."""

import re
from collections.abc import Iterator
from typing import TypeVar

import httpx

from registry.oci import mediatype
from registry.oci.descriptor import Descriptor, as_list, as_object
from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, ManifestUnknown, OCIError
from registry.oci.manifest import Manifest, load_json
from registry.oci.reference import RepositoryName, Tag, TagOrDigest
from registry.storage.index import StoredManifest
from registry.transfer.download import download
from registry.transfer.errors import AnswerInvalid, Interrupted, RegistryRefused, RegistryUnavailable
from registry.transfer.login import Login
from registry.transfer.patience import Endurance
from registry.transfer.place import Address, may_be_plain
from registry.transfer.source import Chunks
from registry.transfer.target import Read
from registry.transfer.text import printable
from registry.transfer.transport import Answer, Call, Security, Transport, follow
from registry.transfer.upload import Upload

# Of a manifest, an index or one page of a list.
_DOCUMENT_BYTES = 8 * 1024 * 1024
_PAGES = 10_000
_NAMES = 1_000_000
_REFERRERS = 10_000
_PAGE_SIZE = 1000
_ACCEPT = ", ".join(sorted(mediatype.MANIFEST_TYPES))
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')
_FOUND_OR_NOT = frozenset({200, 404})

T = TypeVar("T", RepositoryName, Tag)


class RegistryClient:
    """One registry; names are those below the address's prefix. Safe for threads."""

    def __init__(self, address: Address, transport: Transport) -> None:
        self._address = address
        self._transport = transport

    @classmethod
    def connect(
        cls, address: Address, security: Security, login: Login | None, endurance: Endurance, connections: int = 32
    ) -> "RegistryClient":
        """A client of a registry that answers; `docker://` is spoken to in plain text only where that is allowed.

        Raises:
            PlaceInvalid: it may not be spoken to in plain text.
            RegistryUnavailable, RegistryUntrusted: nothing that is a registry answers.
        """
        schemes = [address.scheme]
        if address.scheme == "docker":
            plain = may_be_plain(address.origin("https"), insecure=security.insecure)
            schemes = ["https", "http"] if plain else ["https"]
        fault: Interrupted | None = None
        for scheme in schemes:
            client = cls(address, Transport(address.origin(scheme), security, login, endurance, connections))
            try:
                client._ping()
            except Interrupted as error:
                client.close()
                fault = fault or error
            else:
                return client
        raise RegistryUnavailable(f"{address} does not answer: {fault}") from fault

    def __str__(self) -> str:
        return str(self._address)

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    # Names

    def list_repositories(self) -> Iterator[RepositoryName]:
        """All repositories below the prefix (`_catalog`).

        Raises:
            RegistryRefused: the registry does not tell.
        """
        url = self._url("_catalog", n=str(_PAGE_SIZE))
        for full in self._names(url, "registry:catalog:*", "repositories", RepositoryName):
            name = self._address.short_name(full)
            if name is not None:
                yield name

    def list_tags(self, name: RepositoryName) -> Iterator[Tag]:
        """All tags of a repository; none of one that does not exist."""
        return self._names(self._named(name, "tags/list", n=str(_PAGE_SIZE)), self._pulling(name), "tags", Tag)

    # Manifests

    def get_manifest(self, name: RepositoryName, reference: TagOrDigest) -> StoredManifest:
        """The manifest behind a tag or digest, as it was pushed.

        Raises:
            ManifestUnknown: there is none.
            DigestInvalid: it is not what its digest says.
        """
        call = self._manifest_call("GET", name, reference, _FOUND_OR_NOT)
        answer = self._transport.fetch(call, _DOCUMENT_BYTES)
        if answer.status == httpx.codes.NOT_FOUND:
            raise ManifestUnknown(f"{self._address} has no {name} {reference}")
        expected = reference if isinstance(reference, Digest) else _content_digest(answer)
        digest = Digest.of(answer.body, expected.algorithm if expected else "sha256")
        if expected is not None and digest != expected:
            raise DigestInvalid(f"{self._address} calls a manifest of {name} {expected}, and it is {digest}")
        manifest = Manifest.parse(answer.body, _media_type(answer))
        return StoredManifest(digest, manifest.media_type, answer.body)

    def stat_manifest(self, name: RepositoryName, reference: TagOrDigest) -> Digest | None:
        """What a tag or digest stands for; None where there is nothing."""
        answer = self._transport.fetch(self._manifest_call("HEAD", name, reference, _FOUND_OR_NOT))
        if answer.status == httpx.codes.NOT_FOUND:
            return None
        if isinstance(reference, Digest):
            return reference
        return _content_digest(answer) or self.get_manifest(name, reference).digest

    def put_manifest(self, name: RepositoryName, digest: Digest, manifest: Manifest, tag: Tag | None = None) -> bool:
        """Push a manifest, under a tag if there is one; whether the registry lists it as a referrer of its subject.

        Raises:
            RegistryRefused: the registry does not want it.
            AnswerInvalid: it took it for something else.
        """
        # A tag alone makes a registry choose the algorithm; sha256 is what all of them choose.
        by_digest = tag is None or digest.algorithm != "sha256"
        url = self._named(name, f"manifests/{digest if by_digest else tag}")
        if by_digest and tag is not None:
            url = url.copy_merge_params({"tag": tag})
        headers = {"Content-Type": manifest.media_type, "Content-Length": str(len(manifest.body))}
        call = Call("PUT", url, self._pushing(name), frozenset({201}), headers, lambda: manifest.body)
        answer = self._transport.fetch(call)
        taken = _content_digest(answer)
        if taken not in (None, digest):
            raise AnswerInvalid(f"{self._address} took {name}@{digest} for {taken}")
        if by_digest and tag is not None and tag not in answer.headers.get("oci-tag", ""):
            raise AnswerInvalid(f"{self._address} cannot tag {name}@{digest}: only sha256 manifests")
        return "oci-subject" in answer.headers

    def list_referrers(self, name: RepositoryName, subject: Digest) -> list[Descriptor] | None:
        """The manifests that name `subject`; None where the registry does not know the referrers API."""
        found: list[Descriptor] = []
        url = self._named(name, f"referrers/{subject}")
        for answer in self._pages(url, self._pulling(name), frozenset({200, 400, 404, 405})):
            if answer.status != httpx.codes.OK:
                return None
            found += [Descriptor.parse(each) for each in as_list(_document(answer), "manifests")]
            if len(found) > _REFERRERS:
                raise AnswerInvalid(f"{self._address} lists more than {_REFERRERS} manifests that refer to {subject}")
        return found

    # Blobs

    def has_blob(self, name: RepositoryName, blob: Descriptor) -> bool:
        """Whether the repository has a blob, of that size."""
        url = self._named(name, f"blobs/{blob.digest}")
        answer = self._transport.fetch(Call("HEAD", url, self._pulling(name), _FOUND_OR_NOT))
        return answer.status == httpx.codes.OK and answer.headers.get("content-length") == str(blob.size)

    def read_blob(self, name: RepositoryName, blob: Descriptor, offset: int) -> Chunks:
        """The bytes of a blob from `offset` on, over as many connections as it takes; never more than its size.

        Raises:
            RegistryUnavailable: connections broke too often.
            RegistryRefused: there is no such blob.
            SizeInvalid: there are more bytes.
        """
        return download(self._transport, self._named(name, f"blobs/{blob.digest}"), self._pulling(name), blob, offset)

    def put_blob(self, name: RepositoryName, blob: Descriptor, read: Read, mount_from: RepositoryName | None) -> None:
        """Bring a blob, or have it mounted from a repository that is known to have it.

        Raises:
            RegistryUnavailable, RegistryRefused: the registry did not take it.
            DigestInvalid, SizeInvalid: the source gave other bytes.
        """
        if mount_from is not None and self.mount_blob(name, blob, mount_from):
            return
        start = self._named(name, "blobs/uploads/")
        Upload(self._transport, start, self._pushing(name), blob, read, lambda: self.has_blob(name, blob)).run()

    def mount_blob(self, name: RepositoryName, blob: Descriptor, source: RepositoryName) -> bool:
        """Let a repository see a blob that `source` has; False where the registry wants the bytes instead."""
        full = self._address.full_name(source)
        url = self._named(name, "blobs/uploads/", mount=str(blob.digest), **{"from": full})
        scope = f"{self._pushing(name)} {self._pulling(source)}"
        answer = self._transport.fetch(Call("POST", url, scope, frozenset({201, 202})))
        if answer.status == httpx.codes.CREATED:
            return True
        if "location" in answer.headers:  # an upload was begun instead; ours begins with a clean slate
            session = follow(answer.url, answer.headers["location"])
            self._transport.fetch(Call("DELETE", session, self._pushing(name), frozenset({202, 204, 404, 405})))
        return False

    # Requests

    def _ping(self) -> None:
        answer = self._transport.fetch_once(
            Call("GET", self._transport.origin.join("/v2/"), "", frozenset({200, 401, 403, 404})), _DOCUMENT_BYTES
        )
        if answer.status == httpx.codes.NOT_FOUND:
            raise RegistryRefused(f"{self._address} is no registry: it has no /v2/", answer.status)

    def _names(self, url: httpx.URL, scope: str, key: str, kind: type[T]) -> Iterator[T]:
        count = 0
        for answer in self._pages(url, scope, _FOUND_OR_NOT if kind is Tag else frozenset({200})):
            if answer.status == httpx.codes.NOT_FOUND:
                return
            for text in as_list(_document(answer), key):
                count += 1
                if not isinstance(text, str) or count > _NAMES:
                    raise AnswerInvalid(f"{self._address} lists what is no name, or no end of them")
                yield kind.parse(text)

    def _pages(self, url: httpx.URL, scope: str, expected: frozenset[int]) -> Iterator[Answer]:
        """The pages of a list, from Link to Link; not in circles, and not to other hosts."""
        seen: set[httpx.URL] = set()
        while True:
            seen.add(url)
            answer = self._transport.fetch(Call("GET", url, scope, expected), _DOCUMENT_BYTES)
            yield answer
            link = _NEXT.search(answer.headers.get("link", ""))
            if link is None:
                return
            url = follow(answer.url, link[1])
            if url in seen or len(seen) >= _PAGES or url.netloc != self._transport.origin.netloc:
                raise AnswerInvalid(f"{self._address} lists in circles, without end, or elsewhere")

    def _manifest_call(
        self, method: str, name: RepositoryName, reference: TagOrDigest, expected: frozenset[int]
    ) -> Call:
        return Call(
            method, self._named(name, f"manifests/{reference}"), self._pulling(name), expected, {"Accept": _ACCEPT}
        )

    def _url(self, path: str, **query: str) -> httpx.URL:
        return self._transport.origin.join(f"/v2/{path}").copy_merge_params(query)

    def _named(self, name: RepositoryName, path: str, **query: str) -> httpx.URL:
        return self._url(f"{self._address.full_name(name)}/{path}", **query)

    def _pulling(self, name: RepositoryName) -> str:
        return f"repository:{self._address.full_name(name)}:pull"

    def _pushing(self, name: RepositoryName) -> str:
        return f"{self._pulling(name)},push"


def _document(answer: Answer) -> dict[str, object]:
    try:
        return as_object(load_json(answer.body), "list")
    except OCIError as error:
        raise AnswerInvalid(f"{printable(str(answer.url.copy_with(query=None)))} answers with no list") from error


def _content_digest(answer: Answer) -> Digest | None:
    text = answer.headers.get("docker-content-digest")
    return None if text is None else Digest.parse(text)


def _media_type(answer: Answer) -> str | None:
    """The type it was sent as; None where that says nothing, and the document itself has to."""
    kind = str(answer.headers.get("content-type", "")).partition(";")[0].strip()
    return kind if kind in mediatype.MANIFEST_TYPES else None
