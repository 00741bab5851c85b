"""The registry that the cluster will pull from, as the installer reads it: tags, manifests, blobs, each verified."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from installer.errors import SourceUnusable
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import OCIError
from registry.oci.manifest import SIZE_LIMIT, Manifest
from registry.oci.mediatype import MANIFEST_TYPES

_PATIENCE = httpx.Timeout(60, connect=10)
_PIECE = 1 << 20
_PAGES = 10_000  # a registry that never ends its list is not believed
_NEXT = re.compile(r'<([^>]+)>;\s*rel="?next"?')


@dataclass(frozen=True, slots=True)
class Remote:
    """A registry at `address` (host:port), over TLS; with `ca` (PEM) nobody else's certificate will do."""

    address: str
    ca: bytes | None = None

    def ping(self) -> None:
        """Know that it is there, and is who it should be.

        Raises:
            SourceUnusable: it is not.
        """
        self._get("/v2/")

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository; none where there is no such repository.

        Raises:
            SourceUnusable: the registry does not answer as one.
        """
        return list(self._listed(f"/v2/{repository}/tags/list?n=1000", "tags"))

    def repositories(self) -> list[str]:
        """All repositories.

        Raises:
            SourceUnusable: the registry does not answer as one.
        """
        return list(self._listed("/v2/_catalog?n=1000", "repositories"))

    def manifest(self, repository: str, reference: str) -> Manifest:
        """A manifest by tag or digest; by digest it is the one that was asked for.

        Raises:
            SourceUnusable: there is none, or it is broken.
        """
        answer = self._get(f"/v2/{repository}/manifests/{reference}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise SourceUnusable(f"{self.address} has no {repository}:{reference}: load the bundle that has it")
        try:
            if len(answer.content) > SIZE_LIMIT:
                raise SourceUnusable(f"{self.address}/{repository}: the manifest of {reference} is too large")
            if ":" in reference and Digest.of(answer.content, reference.partition(":")[0]) != Digest.parse(reference):
                raise SourceUnusable(f"{self.address}/{repository}: the manifest {reference} is another one")
            return Manifest.parse(answer.content, answer.headers.get("content-type", "").partition(";")[0] or None)
        except OCIError as error:
            raise SourceUnusable(f"{self.address}/{repository}:{reference}: {error}") from error

    def image(self, repository: str, reference: str, architecture: str) -> Manifest:
        """The manifest of an image for linux on `architecture`; where there is only one, that one.

        Raises:
            SourceUnusable: there is none.
        """
        found = self.manifest(repository, reference)
        if found.config is not None:
            return found
        for child in found.children:
            if child.platform is not None and child.platform.startswith(f"linux/{architecture}"):
                return self.manifest(repository, str(child.digest))
        raise SourceUnusable(f"{self.address}: {repository}:{reference} has no image for linux/{architecture}")

    def blob(self, repository: str, blob: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob; whoever takes all of them knows that they are right.

        Raises:
            SourceUnusable: it cannot be had, or is another one.
        """
        hashing, size = blob.digest.hasher(), 0
        path = f"/v2/{repository}/blobs/{blob.digest}"
        with self._failures(path), self._client() as client, client.stream("GET", path) as answer:
            answer.raise_for_status()
            for piece in answer.iter_bytes(_PIECE):
                hashing.update(piece)
                size += len(piece)
                if size > blob.size:
                    break
                yield piece
        if (size, hashing.hexdigest()) != (blob.size, blob.digest.hex):
            raise SourceUnusable(f"{self.address}{path}: the bytes that came are not those of this digest")

    def _listed(self, path: str, key: str) -> Iterator[str]:
        for _ in range(_PAGES):
            answer = self._get(path)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return
            try:
                yield from (str(each) for each in answer.json().get(key) or ())
            except (ValueError, AttributeError, TypeError) as error:
                raise SourceUnusable(f"https://{self.address}{path} answers with no list") from error
            following = _NEXT.search(answer.headers.get("link", ""))
            if following is None:
                return
            path = str(httpx.URL(f"https://{self.address}{path}").join(following[1]).raw_path.decode())

    def _get(self, path: str) -> httpx.Response:
        with self._failures(path), self._client() as client:
            answer = client.get(path, headers={"Accept": ", ".join(sorted(MANIFEST_TYPES))})
            if answer.status_code != httpx.codes.NOT_FOUND:
                answer.raise_for_status()
            return answer

    def _client(self) -> httpx.Client:
        trust = ssl.create_default_context(cadata=None if self.ca is None else self.ca.decode("ascii", "replace"))
        # A proxy for the internet has no business between a node and its registry.
        return httpx.Client(base_url=f"https://{self.address}", verify=trust, timeout=_PATIENCE, trust_env=False)

    @contextmanager
    def _failures(self, path: str) -> Iterator[None]:
        url = f"https://{self.address}{path}"
        try:
            yield
        except httpx.HTTPStatusError as error:
            code = error.response.status_code
            hint = "; k0rdent pulls without credentials, so the registry must let anybody pull" if code == 401 else ""
            raise SourceUnusable(f"{url} answers {code}{hint}") from error
        except httpx.HTTPError as error:
            raise SourceUnusable(
                f"cannot get {url}: {error or type(error).__name__}; is the registry running?"
            ) from error


def own_ca(port: int, kept: bytes | None) -> bytes:
    """The CA of the registry on this machine, as it tells over the loopback; `kept` is the one in its storage.

    Where it tells nothing, as without plain HTTP, the one in its storage has to do; its certificate will show.

    Raises:
        SourceUnusable: there is no CA, or what answers has another one.
    """
    url = f"http://127.0.0.1:{port}/ca.crt"
    try:
        answer = httpx.get(url, timeout=_PATIENCE, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        if kept is not None:
            return kept
        raise SourceUnusable(
            f"the registry on this machine does not tell its CA at {url} ({error or type(error).__name__}): "
            "start 'k0rdentd registry', or name its address and CA (airgap.registry.address, caFile)"
        ) from error
    if kept is not None and fingerprint(kept) != fingerprint(answer.content):
        raise SourceUnusable(
            f"what answers at {url} has another CA ({fingerprint(answer.content)}) than the storage "
            f"({fingerprint(kept)}): another program listens on the registry's port"
        )
    return answer.content


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of the first certificate in a PEM file, as operators compare it.

    Raises:
        SourceUnusable: it is no certificate.
    """
    found = re.search(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", certificate, re.DOTALL)
    try:
        der = ssl.PEM_cert_to_DER_cert(found[0].decode("ascii")) if found else b""
    except ValueError as error:
        raise SourceUnusable(f"a certificate cannot be read: {error}") from error
    if not der:
        raise SourceUnusable("a file that should hold the registry's CA holds no certificate (PEM)")
    text = Digest.of(der).hex.upper()
    return ":".join(text[place : place + 2] for place in range(0, len(text), 2))
