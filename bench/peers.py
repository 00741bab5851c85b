"""Our registry, docker-registry, nginx and others, each serving the same sample from a directory of its own."""

import getpass
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.errors import BenchFailed
from bench.fleet import FleetImage
from bench.foreign import Foreign, images, push, visited
from bench.process import free_port, k0rdentd, require, serving
from bench.sample import Sample
from bench.traffic.endpoint import TRUSTING, Endpoint
from registry.oci.digest import Digest
from registry.storage.blobs import StoredBlob
from registry.storage.layout import Layout
from registry.storage.store import Image, Store
from registry.transfer.transport import Security

OURS, DISTRIBUTION, NGINX = "k0rdentd", "docker-registry", "nginx"

DISTRIBUTION_YAML = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: {storage}}}
http: {{addr: "127.0.0.1:{port}"{secured}}}
"""

DISTRIBUTION_TLS = ", tls: {{certificate: {certificate}, key: {certificate}}}"

# keepalive_requests and open_file_cache: nginx at its best, not closing connections or opening files again and again.
NGINX_CONF = """\
daemon off;
user {user};
worker_processes 2;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  open_file_cache max=100;
  client_body_temp_path {folder}/temp;
  proxy_temp_path {folder}/temp;
  fastcgi_temp_path {folder}/temp;
  uwsgi_temp_path {folder}/temp;
  scgi_temp_path {folder}/temp;
  server {{
    listen 127.0.0.1:{port};
    {secured}
    root {folder}/files;
    default_type application/octet-stream;
    location ~ /manifests/ {{ default_type {media_type}; }}
  }}
}}
"""


# The rest as nginx comes: records of 16 KiB, no KTLS, the client's choice of cipher.
NGINX_TLS = """listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {certificate}; ssl_certificate_key {certificate};"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that is running: what a report calls it, and where it answers.

    `secured` is its address over HTTPS and `security` whom to trust there; `files` is what it serves from, if we know.
    """

    name: str
    url: str
    secured: str | None = None
    security: Security = TRUSTING
    files: Path | None = None

    def speaks(self, *, tls: bool) -> bool:
        """Whether it can be asked that way."""
        return self.secured is not None if tls else self.url.startswith("http:")

    def endpoint(self, *, tls: bool = False) -> Endpoint:
        """Where a generator connects to."""
        return Endpoint.parse(self.secured or self.url if tls else self.url, self.security)


@contextmanager
def all_peers(sample: Sample, folder: Path, foreign: Sequence[Foreign] = ()) -> Iterator[tuple[Peer, ...]]:
    """Ours first, then docker-registry, nginx and the foreign ones; each has shown to answer the very same bytes.

    They answer by HTTPS too, with one certificate; a foreign one by the one or the other.

    Raises:
        BenchFailed: one is not installed, does not start, or answers other bytes.
    """
    with ExitStack() as stack:
        layout = Layout(folder / OURS / "storage")
        url = stack.enter_context(ours(sample, _made(folder / OURS)))
        own, certificate = Security(layout.ca_certificate), layout.server_certificate
        peers = [Peer(OURS, url, url.replace("http:", "https:", 1), own, folder / OURS)]
        for name, serve in ((DISTRIBUTION, _pushed), (NGINX, nginx)):
            plain, secured = stack.enter_context(serve(sample, _made(folder / name), certificate))
            peers.append(Peer(name, plain, secured, own, folder / name))
        for each in foreign:
            url = stack.enter_context(visited(each, sample, folder))
            secured = url if url.startswith("https:") else None
            peers.append(Peer(each.name, url, secured, each.security))
        for peer in peers:
            _check(peer, sample)
        yield tuple(peers)


@contextmanager
def ours(sample: Sample, folder: Path, workers: int = 2, *options: str) -> Iterator[str]:
    """Our registry, as an operator starts it, but that anyone may push."""
    store = Store.open([folder / "storage"])
    publish(sample, store)
    store.close()
    with serving_ours(folder / "storage", folder, workers, *options) as url:
        yield url


@contextmanager
def serving_ours(storage: Path, folder: Path, workers: int = 2, *options: str) -> Iterator[str]:
    """Our registry over a store that is there; it keeps its log in `folder`."""

    def command(port: int) -> Sequence[str]:
        place = ("-H", "127.0.0.1", "-p", str(port), "-s", storage)
        return k0rdentd("registry", *place, "--workers", str(workers), "--push", "anonymous", *options)

    with serving(command, folder) as url:
        yield url


@contextmanager
def distribution(folder: Path, storage: Path | None = None, certificate: Path | None = None) -> Iterator[str]:
    """A docker-registry that keeps blobs in files, and their descriptors in memory as Debian sets it up.

    It is empty if it has no `storage` of another one. With a certificate (and key) it speaks TLS alone.
    """
    program = require("docker-registry")
    secured = "" if certificate is None else DISTRIBUTION_TLS.format(certificate=certificate)

    def command(port: int) -> Sequence[str]:
        config = folder / "config.yml"
        config.write_text(DISTRIBUTION_YAML.format(storage=storage or folder / "storage", port=port, secured=secured))
        return program, "serve", str(config)

    with serving(command, folder) as url:
        yield url


@contextmanager
def nginx(sample: Sample, folder: Path, certificate: Path | None = None) -> Iterator[tuple[str, str | None]]:
    """Plain files, served by nginx, that lie where the paths of the API point; with a certificate (and key) by TLS too.

    The block gets both addresses.
    """
    program, other = require("nginx"), free_port()
    write_files(sample, folder / "files")

    def command(port: int) -> Sequence[str]:
        media_type, user = sample.manifest.media_type, getpass.getuser()
        config = folder / "nginx.conf"
        secured = "" if certificate is None else NGINX_TLS.format(certificate=certificate, port=other)
        place = {"folder": folder, "port": port, "user": user, "secured": secured}
        config.write_text(NGINX_CONF.format(media_type=media_type, **place))
        return program, "-e", "stderr", "-p", str(folder), "-c", str(config)

    with serving(command, folder) as url:
        yield url, None if certificate is None else f"https://127.0.0.1:{other}"


def publish(sample: Sample, store: Store) -> None:
    """Put the sample into `store`."""
    publish_images(store, images(sample))


def publish_images(store: Store, images: Iterable[FleetImage]) -> None:
    """Put images into `store`, blobs that they share once."""
    known: dict[Digest, StoredBlob] = {}
    for image in images:
        _publish(store, image, known)


def _publish(store: Store, image: FleetImage, known: dict[Digest, StoredBlob]) -> None:
    for digest, body in image.blobs:
        if digest not in known:
            with store.blobs.create(digest) as writer:
                writer.write(body)
                known[digest] = writer.commit(digest, len(body))
    blobs = tuple(known[digest] for digest, _ in image.blobs)
    store.publish(Image(image.reference, image.documents[0][0], image.documents[::-1], blobs))


def write_files(sample: Sample, root: Path) -> None:
    """Lay everything out as files under the paths that a registry gives it."""
    for image in images(sample):
        folder = root / "v2" / str(image.reference.repository)
        for name in ("manifests", "blobs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for digest, document in image.documents:
            (folder / "manifests" / str(digest)).write_bytes(document.body)
        (folder / "manifests" / str(image.reference.tag)).write_bytes(image.documents[0][1].body)
        for digest, body in image.blobs:
            (folder / "blobs" / str(digest)).write_bytes(body)


@contextmanager
def _pushed(sample: Sample, folder: Path, certificate: Path) -> Iterator[tuple[str, str | None]]:
    """Two of them, as one speaks only one protocol."""
    with distribution(folder) as url:
        push(sample, url)
        with distribution(_made(folder / "secured"), folder / "storage", certificate) as secured:
            yield url, secured.replace("http:", "https:", 1)


def _check(peer: Peer, sample: Sample) -> None:
    for url in filter(None, (peer.url, peer.secured)):
        trust = peer.security.context()
        for target in sample.targets:
            answer = httpx.get(url + target.path, headers={"Accept": sample.manifest.media_type}, verify=trust)
            if answer.content != target.body:
                raise BenchFailed(f"{peer.name} answers {target.path} with {answer.status_code} and other bytes")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
