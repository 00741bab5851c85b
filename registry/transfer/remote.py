"""A registry as a place to copy from and to; where it does not know the referrers API, the fallback tag stands in."""

import json
import threading
from collections.abc import Iterator

from registry.oci.descriptor import Descriptor
from registry.oci.digest import HEX_LENGTH, Digest
from registry.oci.errors import DigestInvalid, ManifestUnknown
from registry.oci.manifest import Manifest
from registry.oci.mediatype import OCI_INDEX
from registry.oci.reference import RepositoryName, Tag, TagOrDigest
from registry.storage.index import StoredManifest
from registry.transfer.client import RegistryClient
from registry.transfer.errors import RegistryRefused, TransferError
from registry.transfer.selection import Named
from registry.transfer.source import Chunks
from registry.transfer.target import Read
from registry.transfer.tree import Tree


class RegistrySource:
    """A registry to read from."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client

    def list_images(self) -> Iterator[Named]:
        """Every tag of every repository, but for those that only stand in for the referrers API.

        Raises:
            TransferError: the registry does not tell what it has.
        """
        try:
            repositories = list(self._client.list_repositories())
        except RegistryRefused as error:
            raise TransferError(f"{error}; where the catalog is closed, name the images behind SRC and DST") from error
        for name in repositories:
            yield from (Named(name, tag) for tag in self._client.list_tags(name) if not self._stands_in(name, tag))

    def get_manifest(self, name: RepositoryName, reference: TagOrDigest) -> StoredManifest:
        """The manifest behind a tag or digest; ManifestUnknown where there is none."""
        return self._client.get_manifest(name, reference)

    def list_referrers(self, name: RepositoryName, subject: Digest) -> list[Descriptor]:
        """Manifests of this repository that name `subject`."""
        found = self._client.list_referrers(name, subject)
        return list(fallback(self._client, name, subject).values()) if found is None else found

    def read_blob(self, name: RepositoryName, blob: Descriptor, offset: int) -> Chunks:
        """The bytes of a blob from `offset` on."""
        return self._client.read_blob(name, blob, offset)

    def _stands_in(self, name: RepositoryName, tag: Tag) -> bool:
        subject = fallback_subject(tag)
        return subject is not None and self._client.list_referrers(name, subject) is None


class RegistryTarget:
    """A registry to write to."""

    def __init__(self, client: RegistryClient) -> None:
        self._client = client
        self._fallback_lock = threading.Lock()

    def tagged(self, name: RepositoryName, tag: Tag) -> Digest | None:
        """What a tag stands for there."""
        return self._client.stat_manifest(name, tag)

    def has_manifest(self, name: RepositoryName, digest: Digest) -> bool:
        """Whether the repository has this manifest."""
        return self._client.stat_manifest(name, digest) is not None

    def has_blob(self, name: RepositoryName, blob: Descriptor) -> bool:
        """Whether the repository has this blob."""
        return self._client.has_blob(name, blob)

    def put_blob(self, name: RepositoryName, blob: Descriptor, read: Read, mount_from: RepositoryName | None) -> None:
        """Bring a blob, or have it mounted."""
        self._client.put_blob(name, blob, read, mount_from)

    def mount_blob(self, name: RepositoryName, blob: Descriptor, source: RepositoryName) -> bool:
        """Let a repository see a blob that `source` has; False where it takes the bytes."""
        return self._client.mount_blob(name, blob, source)

    def publish(self, tree: Tree, tag: Tag | None) -> None:
        """Push the manifests, children first; the tag comes with the root, and last."""
        for digest, manifest in tree.manifests:
            listed = self._client.put_manifest(tree.repository, digest, manifest, tag if digest == tree.root else None)
            if manifest.subject is not None and not listed:
                self._list_in_fallback(tree.repository, manifest.subject.digest, manifest.descriptor(digest))

    def _list_in_fallback(self, name: RepositoryName, subject: Digest, referrer: Descriptor) -> None:
        """distribution-spec, "Pushing Manifests with Subject": without OCI-Subject the client keeps the list."""
        with self._fallback_lock:
            listed = fallback(self._client, name, subject)
            if referrer.digest in listed:
                return
            entries = [each.to_json() for each in (*listed.values(), referrer)]
            body = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
            self._client.put_manifest(name, Digest.of(body), Manifest.parse(body), fallback_tag(subject))


def fallback(client: RegistryClient, name: RepositoryName, subject: Digest) -> dict[Digest, Descriptor]:
    """What the fallback tag of `subject` lists, by digest."""
    try:
        stored = client.get_manifest(name, fallback_tag(subject))
    except ManifestUnknown:
        return {}
    listed = Manifest.parse(stored.body, stored.media_type).manifests
    return {descriptor.digest: descriptor for descriptor in listed}


def fallback_tag(subject: Digest) -> Tag:
    """distribution-spec, "Referrers Tag Schema": at most 32 and 64 characters."""
    return Tag(f"{subject.algorithm[:32]}-{subject.hex[:64]}")


def fallback_subject(tag: Tag) -> Digest | None:
    """The digest whose referrers such a tag lists; None for any other tag."""
    algorithm, _, text = tag.partition("-")
    try:
        return Digest.parse(f"{algorithm}:{text}") if len(text) == HEX_LENGTH["sha256"] else None
    except DigestInvalid:
        return None
