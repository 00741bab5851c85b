"""Our registry, docker-registry, nginx and others, each serving the same sample from a directory of its own."""

import getpass
import ssl
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
from bench.traffic.endpoint import Endpoint
from registry.oci.digest import Digest
from registry.storage.blobs import StoredBlob
from registry.storage.layout import Layout
from registry.storage.store import Image, Store

OURS, DISTRIBUTION, NGINX = "k0rdentd", "docker-registry", "nginx"

DISTRIBUTION_YAML = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: {folder}/storage}}
http: {{addr: "127.0.0.1:{port}"}}
"""

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

    `secured` is its address over HTTPS and `ca` whom to trust there; `files` is what it serves from, if we know.
    """

    name: str
    url: str
    secured: str | None = None
    ca: Path | None = None
    files: Path | None = None

    def speaks(self, *, tls: bool) -> bool:
        """Whether it can be asked that way."""
        return self.secured is not None if tls else self.url.startswith("http:")

    def endpoint(self, *, tls: bool = False) -> Endpoint:
        """Where a generator connects to."""
        return Endpoint.parse(self.secured or self.url if tls else self.url, self.ca)


@contextmanager
def all_peers(sample: Sample, folder: Path, foreign: Sequence[Foreign] = ()) -> Iterator[tuple[Peer, ...]]:
    """Ours first, then docker-registry, nginx and the foreign ones; each has shown to answer the very same bytes.

    Ours and nginx answer by HTTPS too, with one certificate.

    Raises:
        BenchFailed: one is not installed, does not start, or answers other bytes.
    """
    with ExitStack() as stack:
        layout = Layout(folder / OURS / "storage")
        url = stack.enter_context(ours(sample, _made(folder / OURS)))
        peers = [Peer(OURS, url, url.replace("http:", "https:", 1), layout.ca_certificate, folder / OURS)]
        url = stack.enter_context(_pushed(sample, _made(folder / DISTRIBUTION)))
        peers.append(Peer(DISTRIBUTION, url, files=folder / DISTRIBUTION))
        plain, secured = stack.enter_context(nginx(sample, _made(folder / NGINX), layout.server_certificate))
        peers.append(Peer(NGINX, plain, secured, layout.ca_certificate, folder / NGINX))
        for each in foreign:
            url = stack.enter_context(visited(each, sample, folder))
            secured = url if url.startswith("https:") else None
            peers.append(Peer(each.name, url, secured))
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
def distribution(folder: Path) -> Iterator[str]:
    """An empty docker-registry that keeps blobs in files, and their descriptors in memory as Debian sets it up."""
    program = require("docker-registry")

    def command(port: int) -> Sequence[str]:
        config = folder / "config.yml"
        config.write_text(DISTRIBUTION_YAML.format(folder=folder, port=port))
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
def _pushed(sample: Sample, folder: Path) -> Iterator[str]:
    with distribution(folder) as url:
        push(sample, url)
        yield url


def _check(peer: Peer, sample: Sample) -> None:
    for url in filter(None, (peer.url, peer.secured)):
        trust = True if peer.ca is None else ssl.create_default_context(cafile=peer.ca)
        for target in sample.targets:
            answer = httpx.get(url + target.path, headers={"Accept": sample.manifest.media_type}, verify=trust)
            if answer.content != target.body:
                raise BenchFailed(f"{peer.name} answers {target.path} with {answer.status_code} and other bytes")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
