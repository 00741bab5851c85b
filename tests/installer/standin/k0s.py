"""`k0s`: the commands an installer needs, with the refusals of the real one; any error ends with 1."""

import json
import shutil
import sys
from pathlib import Path

import click

from tests.installer.standin import token as tokens
from tests.installer.standin.clusterconfig import read_config, section
from tests.installer.standin.flags import add_install_flags, add_service_flags, as_words
from tests.installer.standin.images import is_at_least, list_images
from tests.installer.standin.place import Place
from tests.installer.standin.program import K0s
from tests.installer.standin.units import Refused, k0s_service

_UNIT = """\
[Unit]
Description=k0s - Zero Friction Kubernetes
ConditionFileIsExecutable={program}
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={program} {arguments}
Restart=always
{environment}
[Install]
WantedBy=multi-user.target
"""
_CONTAINERD = {"1.32": "1.7.27", "1.36": "2.3.1"}


def main(version: str) -> int:
    place = Place.here()
    words = [word.removesuffix("=true") if word.startswith("--") else word for word in sys.argv[1:]]
    if words[:1] not in (["controller"], ["worker"]):
        place.log_call("k0s", *words)
    try:
        k0s.main(words, "k0s", standalone_mode=False, obj=K0s(place, version))
    except click.ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        return 1
    except Refused as error:
        click.echo(str(error), err=True)
        return 1
    return 0


_pass = click.pass_obj


@click.group()
def k0s() -> None: ...


@k0s.command()
@click.option("--all", "-a", "everything", is_flag=True)
@click.option("--json", "-j", "as_json", is_flag=True)
@_pass
def version(this: K0s, everything: bool, as_json: bool) -> None:
    line = "1.36" if is_at_least(this.version, 1, 36) else "1.32"
    parts = {
        "k0s": this.full_version,
        "containerd": _CONTAINERD[line],
        "kubernetes": this.full_version[1:].split("+")[0],
    }
    if as_json:
        click.echo(json.dumps(parts))
    elif everything:
        click.echo("\n".join(f"{name}: {number}" for name, number in parts.items()))
    else:
        click.echo(this.full_version)


@k0s.group()
def install() -> None: ...


@install.command("controller")
@_pass
def install_controller(this: K0s, /, force: bool, start: bool, env: tuple[str, ...], **said: object) -> None:
    if said["config"] == "-":
        raise Refused("Error: --config=- is not supported when installing the service")
    read_config(this.place, Path(str(said["config"])) if said["config"] else None)
    _install(this, "controller", force, start, env, said)


@install.command("worker")
@_pass
def install_worker(this: K0s, /, force: bool, start: bool, env: tuple[str, ...], **said: object) -> None:
    _install(this, "worker", force, start, env, said)


def _install(this: K0s, role: str, force: bool, start: bool, env: tuple[str, ...], said: dict[str, object]) -> None:
    if start and not is_at_least(this.version, 1, 36):
        raise Refused("Error: unknown flag: --start")
    unit = this.place.units / f"k0s{role}.service"
    if unit.exists() and not force:
        raise Refused(f"Error: failed to install {role} service: Init already exists: /etc/systemd/system/{unit.name}")
    program = Path(sys.argv[0]).absolute()
    environment = "".join(f'Environment="{each}"\n' for each in env)
    words = " ".join([role, *as_words(said)])
    unit.write_text(_UNIT.format(program=program, arguments=words, environment=environment))
    wanted = this.place.units / "multi-user.target.wants" / unit.name
    wanted.parent.mkdir(parents=True, exist_ok=True)
    wanted.unlink(missing_ok=True)
    wanted.symlink_to(unit)
    if start:
        _start(this)


@k0s.command()
@_pass
def start(this: K0s) -> None:
    _start(this)


def _start(this: K0s) -> None:
    service = k0s_service(this.place)
    if service is None:
        raise Refused("Error: k0s has not been installed as a service")
    if service.active:
        raise Refused("Error: already running")
    service.start()


@k0s.command()
@_pass
def stop(this: K0s) -> None:
    service = k0s_service(this.place)
    if service is None:
        raise Refused("Error: k0s has not been installed as a service")
    if not service.active:
        raise Refused("Error: already stopped")
    if this.place.script.stop_error:
        raise Refused(f"Error: {this.place.script.stop_error}")
    service.stop()


@k0s.command()
@click.option("--out", "-o", "form", default="", type=click.Choice(["", "json", "yaml"]))
@_pass
def status(this: K0s, form: str) -> None:
    if form == "json":
        click.echo(this.status())
    elif form == "":
        found = json.loads(this.ask("/standin/status"))
        click.echo(f"Version: {found['Version']}\nProcess ID: {found['Pid']}\nRole: {found['Role']}")
        if found["WorkerToAPIConnectionStatus"]["Success"]:
            click.echo("Kube-api probing successful: true")


@k0s.command()
@click.option("--data-dir")
@click.option("--config", "-c")
@_pass
def reset(this: K0s, data_dir: str | None, config: str | None) -> None:
    service = k0s_service(this.place)
    if service is not None and service.active:
        raise Refused("Error: k0s seems to be running. please stop k0s before reset")
    if service is not None:
        service.unit.unlink()
        (this.place.units / "multi-user.target.wants" / service.unit.name).unlink(missing_ok=True)
    shutil.rmtree(this.place.lasting, ignore_errors=True)
    shutil.rmtree(this.place.root / "run/k0s", ignore_errors=True)
    click.echo("k0s cleanup operations done.\nTo ensure a full reset, a node reboot is recommended.")


@k0s.group()
def token() -> None: ...


@token.command()
@click.option("--role", default="worker", type=click.Choice(["controller", "worker"]))
@click.option("--expiry", default="0s")
@click.option("--config", "-c")
@click.option("--wait", is_flag=True)
@_pass
def create(this: K0s, role: str, expiry: str, config: str | None, wait: bool) -> None:
    found = json.loads(this.ask("/standin/status"))
    if found["SingleNode"]:
        raise Refused("Error: refusing to create token: cannot join into a single node cluster")
    click.echo(tokens.create(this.place, role, expiry, section(found["ClusterConfig"], "spec", "api")))


@k0s.group()
def kubeconfig() -> None: ...


@kubeconfig.command()
@_pass
def admin(this: K0s) -> None:
    if not this.place.admin.exists():
        raise Refused("Error: failed to read admin config, check if the control plane is initialized on this node")
    click.echo(this.place.admin.read_text(), nl=False)


@k0s.group("config")
def config_group() -> None: ...


@config_group.command()
@click.option("--config", "-c", type=Path)
@_pass
def validate(this: K0s, config: Path | None) -> None:
    read_config(this.place, config)


@k0s.group()
def airgap() -> None: ...


@airgap.command("list-images")
@click.option("--all", "everything", is_flag=True)
@click.option("--config", "-c", type=Path)
@_pass
def list_images_command(this: K0s, everything: bool, config: Path | None) -> None:
    spec = section(read_config(this.place, config), "spec")
    provider = str(section(spec, "network").get("provider", "kuberouter"))
    repository = str(section(spec, "images").get("repository", ""))
    number = this.full_version.removeprefix("v").split("+")[0]
    for image in list_images(number, provider, repository, everything=everything):
        click.echo(image)


@k0s.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
@_pass
def ctr(this: K0s, words: tuple[str, ...]) -> None:
    this.ask("/standin/status")
    if "ls" in words or "list" in words:
        click.echo("REF TYPE DIGEST SIZE PLATFORMS LABELS")


@k0s.command("controller")
@_pass
def controller(this: K0s, /, **said: object) -> None:
    _run(this, "controller", said)


@k0s.command("worker")
@_pass
def worker(this: K0s, /, **said: object) -> None:
    _run(this, "worker", said)


def _run(this: K0s, role: str, said: dict[str, object]) -> None:
    # Imported here: the other commands are quicker without a server.
    from tests.installer.standin.daemon import run

    run(this.place, this.full_version, role, said)


for _each in (install_controller, install_worker):
    add_install_flags(_each)
for _each in (controller, worker):
    add_service_flags(_each)
