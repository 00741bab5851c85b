"""Registries that an operator names as peers: a program that is started and stopped, or one that runs somewhere."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from bench.errors import BenchFailed
from bench.fleet import FleetImage
from bench.process import require, serving
from bench.sample import Sample
from bench.traffic.endpoint import TRUSTING
from registry.transfer.transport import Security

_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a report calls it, and its address or its command line, in which {port} and {folder} are filled in."""

    name: str
    place: str
    security: Security = TRUSTING
    """Whom to trust at an address."""

    @classmethod
    def parse(cls, text: str, security: Security = TRUSTING) -> Self:
        """Read NAME=URL or NAME=COMMAND.

        Raises:
            BenchFailed: it is neither.
        """
        name, equals, place = text.partition("=")
        if not (name and equals and place):
            raise BenchFailed(f"--peer {text}: give NAME=http://HOST:PORT, or NAME=COMMAND with {{port}} in it")
        if not place.startswith(("http://", "https://")) and "{port}" not in place:
            raise BenchFailed(f"--peer {text}: the command must say {{port}} where it takes the port to listen on")
        return cls(name, place, security)


@contextmanager
def visited(foreign: Foreign, sample: Sample, folder: Path) -> Iterator[str]:
    """Its address, while it serves the sample; what was pushed to a registry that runs anyway is deleted at the end.

    Raises:
        BenchFailed: it does not start, or takes no push.
    """
    with ExitStack() as stack:
        if foreign.place.startswith(("http://", "https://")):
            url = foreign.place.rstrip("/")
            stack.callback(_forget, sample, url, foreign.security)
        else:
            own = folder / foreign.name
            own.mkdir()
            url = stack.enter_context(serving(_command(foreign.place, own), own))
        try:
            push(sample, url, foreign.security)
        except httpx.HTTPError as error:
            raise BenchFailed(f"{foreign.name} at {url} takes no push: {error}") from error
        yield url


def images(sample: Sample) -> Iterator[FleetImage]:
    """All of the sample, in one shape."""
    yield FleetImage(sample.reference, ((sample.digest, sample.manifest),), sample.blobs)
    yield from sample.fleet


def push(sample: Sample, url: str, security: Security = TRUSTING) -> None:
    """Push the sample (distribution-spec, "Pushing"): blobs in one request each, then the manifests, the tag last.

    Raises:
        httpx.HTTPError: it is refused, or nobody answers.
    """
    with httpx.Client(base_url=url, timeout=_PATIENCE, verify=security.context()) as client:
        for image in images(sample):
            prefix = f"/v2/{image.reference.repository}"
            for digest, body in image.blobs:
                session = client.post(f"{prefix}/blobs/uploads/").raise_for_status()
                place = httpx.URL(session.headers["Location"]).copy_merge_params({"digest": str(digest)})
                client.put(place, content=body).raise_for_status()
            names = [str(digest) for digest, _ in image.documents[:0:-1]] + [str(image.reference.tag)]
            for name, (_, document) in zip(names, image.documents[::-1], strict=True):
                headers = {"Content-Type": document.media_type}
                client.put(f"{prefix}/manifests/{name}", content=document.body, headers=headers).raise_for_status()


def _forget(sample: Sample, url: str, security: Security) -> None:
    """As far as the registry lets us: one that deletes nothing keeps repositories below `bench/`."""
    client = httpx.Client(base_url=url, timeout=_PATIENCE, verify=security.context())
    with suppress(httpx.HTTPError), client:  # one that cannot be reached was told of by the push
        for image in images(sample):
            prefix = f"/v2/{image.reference.repository}"
            for kind, parts in (("manifests", image.documents), ("blobs", image.blobs)):
                for digest, _ in parts:
                    client.delete(f"{prefix}/{kind}/{digest}")


def _command(text: str, folder: Path) -> Callable[[int], Sequence[str]]:
    program, *arguments = shlex.split(text)

    def command(port: int) -> Sequence[str]:
        filled = [each.replace("{port}", str(port)).replace("{folder}", str(folder)) for each in arguments]
        return require(program), *filled

    return command
