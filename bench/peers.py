"""Our registry, Debian's docker-registry and nginx, each serving the same sample from a directory of its own."""

import getpass
import ssl
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.errors import BenchFailed
from bench.process import k0rdentd, require, serving
from bench.sample import Sample
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
events {{ worker_connections 1024; }}
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
    listen 127.0.0.1:{port}{secured};
    root {folder}/files;
    default_type application/octet-stream;
    location ~ /manifests/ {{ default_type {media_type}; }}
  }}
}}
"""


# The rest as nginx comes: records of 16 KiB, no KTLS, the client's choice of cipher.
NGINX_TLS = " ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}; ssl_protocols TLSv1.2 TLSv1.3"


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that is running: what a report calls it, where it answers, and whom to trust there if it is HTTPS."""

    name: str
    url: str
    ca: Path | None = None


@contextmanager
def all_peers(sample: Sample, folder: Path, workers: int = 2) -> Iterator[tuple[Peer, ...]]:
    """All three, ours first; each has proven to answer every target with the very same bytes.

    Raises:
        BenchFailed: one is not installed, does not start, or answers other bytes.
    """
    with ExitStack() as stack:
        peers = (
            Peer(OURS, stack.enter_context(ours(sample, _made(folder / OURS), workers))),
            Peer(DISTRIBUTION, stack.enter_context(_pushed(sample, _made(folder / DISTRIBUTION)))),
            Peer(NGINX, stack.enter_context(nginx(sample, _made(folder / NGINX)))),
        )
        for peer in peers:
            _check(peer, sample)
        yield peers


@contextmanager
def secured_peers(sample: Sample, folder: Path, workers: int = 2) -> Iterator[tuple[Peer, ...]]:
    """Our registry and nginx over HTTPS, with one certificate; proven as `all_peers`.

    Raises:
        BenchFailed: as `all_peers`.
    """
    layout = Layout(folder / OURS / "storage")
    with ExitStack() as stack:
        plain = stack.enter_context(ours(sample, _made(folder / OURS), workers))
        beside = stack.enter_context(nginx(sample, _made(folder / NGINX), layout.server_certificate))
        peers = (
            Peer(OURS, _secured(plain), layout.ca_certificate),
            Peer(NGINX, _secured(beside), layout.ca_certificate),
        )
        for peer in peers:
            _check(peer, sample)
        yield peers


@contextmanager
def ours(sample: Sample, folder: Path, workers: int = 2) -> Iterator[str]:
    """Our registry, as an operator starts it."""
    store = Store.open([folder / "storage"])
    publish(sample, store)
    store.close()

    def command(port: int) -> Sequence[str]:
        place = ("-H", "127.0.0.1", "-p", str(port), "-s", folder / "storage")
        return k0rdentd("registry", *place, "--workers", str(workers))

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
def nginx(sample: Sample, folder: Path, certificate: Path | None = None) -> Iterator[str]:
    """Plain files, served by nginx, that lie where the paths of the API point; with a certificate (and key) by TLS."""
    program = require("nginx")
    write_files(sample, folder / "files")

    def command(port: int) -> Sequence[str]:
        media_type, user = sample.manifest.media_type, getpass.getuser()
        config = folder / "nginx.conf"
        secured = "" if certificate is None else NGINX_TLS.format(certificate=certificate)
        place = {"folder": folder, "port": port, "user": user, "secured": secured}
        config.write_text(NGINX_CONF.format(media_type=media_type, **place))
        return program, "-e", "stderr", "-p", str(folder), "-c", str(config)

    with serving(command, folder) as url:
        yield url


def publish(sample: Sample, store: Store) -> None:
    """Put the sample into `store`."""
    blobs = []
    for digest, body in sample.blobs:
        with store.blobs.create(digest) as writer:
            writer.write(body)
            blobs.append(writer.commit(digest, len(body)))
    store.publish(Image(sample.reference, sample.digest, ((sample.digest, sample.manifest),), tuple(blobs)))


def push(sample: Sample, url: str) -> None:
    """Push the sample over HTTP (distribution-spec, "Pushing"): blobs in one request each, then the manifest."""
    with httpx.Client(base_url=url) as client:
        for digest, body in sample.blobs:
            session = client.post(f"{sample.prefix}/blobs/uploads/").raise_for_status()
            place = httpx.URL(session.headers["Location"]).copy_merge_params({"digest": str(digest)})
            client.put(place, content=body).raise_for_status()
        headers = {"Content-Type": sample.manifest.media_type}
        path = sample.targets[0].path
        client.put(path, content=sample.manifest.body, headers=headers).raise_for_status()


def write_files(sample: Sample, root: Path) -> None:
    """Lay the targets out as files under the paths that a registry gives them."""
    for target in sample.targets:
        path = root / target.path.removeprefix("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(target.body)


@contextmanager
def _pushed(sample: Sample, folder: Path) -> Iterator[str]:
    with distribution(folder) as url:
        push(sample, url)
        yield url


def _check(peer: Peer, sample: Sample) -> None:
    trust = True if peer.ca is None else ssl.create_default_context(cafile=peer.ca)
    for target in sample.targets:
        answer = httpx.get(peer.url + target.path, headers={"Accept": sample.manifest.media_type}, verify=trust)
        if answer.content != target.body:
            raise BenchFailed(f"{peer.name} answers {target.path} with {answer.status_code} and other bytes")


def _secured(url: str) -> str:
    return url.replace("http:", "https:", 1)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
