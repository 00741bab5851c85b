"""`k0rdentd bench site`."""

import math
import os
import time
from pathlib import Path
from typing import Any

import click
import httpx
import orjson

from bench.corpus import ByteSize
from bench.site.entry import enter
from bench.site.forecast import Forecast, Ground, forecast
from bench.site.ground import disk_rate, encryption_seconds, link_rate, memory_available
from bench.site.probe import Manners, Probe, probe
from bench.site.survey import Survey, survey
from bench.traffic.endpoint import Endpoint
from registry.credentials import credential_options
from registry.path_name import NewFile, PathName
from registry.transfer.access import Credentials
from registry.units import human

_DISK_SECONDS = 3.0


class _BitRate(click.ParamType[float]):
    """`10G` or `2500M`: bits a second, as network cards are sold."""

    name = "bit rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        units = {"M": 1e6, "G": 1e9}
        text = str(value).removesuffix("bit").strip()
        try:
            return float(text[:-1]) * units[text[-1:].upper()] / 8
        except (KeyError, ValueError):
            self.fail(f"{value!r} is no speed of a network card, such as 10G or 2500M", param, ctx)


@click.command()
@click.argument("url")
@click.option("-s", "--storage", multiple=True, type=PathName(), help="Its storage here, to measure the disk.")
@click.option("--nodes", type=click.IntRange(1), default=10, show_default=True, help="That pull everything at once.")
@click.option("--platform", default="linux/amd64", show_default=True, help="Of the nodes.")
@click.option(
    "--share",
    type=click.FloatRange(0.01, 1),
    default=0.25,
    show_default=True,
    help="Of the time, in which the registry may be kept busy.",
)
@click.option("--rate", type=ByteSize(), help="Bytes a second that may be pulled.  [default: as many as come]")
@click.option(
    "--seconds", type=click.IntRange(4, 240), default=40, show_default=True, help="That pulls and requests may last."
)
@click.option(
    "--link", type=_BitRate(), help="Speed of the network card here, such as 10G.  [default: as it says itself]"
)
@click.option("--node-link", type=_BitRate(), help="Speed of a node's network card.  [default: the same]")
@credential_options
@click.option("--json", "json_file", type=NewFile(), help="Write everything here.")
def site(
    *,
    url: str,
    storage: tuple[Path, ...],
    nodes: int,
    platform: str,
    credentials: Credentials,
    share: float,
    rate: int | None,
    seconds: int,
    link: float | None,
    node_link: float | None,
    json_file: Path | None,
) -> None:
    """Foretell how long nodes need to pull everything that the registry at URL serves, and what holds them up.

    Run it on the machine of the registry: it asks in short bursts with rests between, and writes nothing.
    """
    access = credentials.access((url,), 1)
    began, endpoint = time.monotonic(), Endpoint.parse(url, access.security)
    system, _, architecture = platform.partition("/")
    with httpx.Client(base_url=url, verify=access.security.context(), timeout=60) as client:
        endpoint = endpoint.let_in(enter(client, access))
        found = survey(client, (system, architecture), share)
        endpoint = endpoint.let_in(enter(client, access))  # a survey may take as long as a token lasts
    click.echo(_surveyed(found, platform))
    manners = Manners(share, rate or math.inf, seconds / 2)
    probed = probe(endpoint, found.images, (system, architecture), manners)
    click.echo(_probed(probed))
    ground = _ground(storage, share, link, node_link)
    told = forecast(found, probed, ground, nodes, tls=endpoint.tls)
    _tell(told, ground, time.monotonic() - began)
    if json_file:
        document = {"survey": {"images": len(found.images), "bytes": found.bytes}, "probe": probed, "ground": ground}
        json_file.write_bytes(orjson.dumps({**document, "forecast": told}, option=orjson.OPT_INDENT_2))


def _ground(storage: tuple[Path, ...], share: float, link: float | None, node_link: float | None) -> Ground:
    card, disk = link or link_rate(), disk_rate(storage, _DISK_SECONDS, share)
    cores = len(os.sched_getaffinity(0))
    return Ground(cores, memory_available(), disk, card, node_link or card, encryption_seconds())


def _surveyed(found: Survey, platform: str) -> str:
    passed = f"; {found.passed_over} names have nothing for it" if found.passed_over else ""
    blobs = f"{len(found.blobs)} blobs, {human(found.bytes)}"
    return f"one {platform} node that pulls everything: {len(found.images)} images, {blobs}{passed}"


def _probed(found: Probe) -> str:
    times = f"a manifest takes {found.median * 1000:.1f} ms, 99 % less than {found.slowest * 1000:.1f} ms"
    return f"measured: {human(int(found.bytes_per_second))} a second from here; {times}"


def _tell(told: Forecast, ground: Ground, seconds: float) -> None:
    for limit in told.limits:
        click.echo(f"  {limit.name + ':':<26}{_time(limit.seconds):>9}   {limit.told}")
    unknown = [name for name, value in (("disk (--storage)", ground.disk), ("NIC (--link)", ground.link)) if not value]
    if unknown:
        click.echo(f"  not known: {', '.join(unknown)}")
    click.echo(
        f"{told.nodes} nodes have pulled everything after {_time(told.seconds)}; the bottleneck is {told.bottleneck}"
    )
    click.echo(f"(unpacking on the nodes not counted; foretold in {seconds:.0f} s)")


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
