"""The flags that `k0s install` takes, and the service itself."""

import os

import click


def add_service_flags(command: click.Command) -> click.Command:
    """What `k0s install` and the service itself both take."""
    for name in ("--config", "-c"), ("--token-file",), ("--data-dir",), ("--labels",), ("--taints",), ("--profile",):
        click.option(*name)(command)
    for name in ("--kubelet-extra-args",), ("--disable-components",), ("--cri-socket",), ("--logging",):
        click.option(*name)(command)
    for flag in ("--enable-worker", "--no-taints", "--single", "--enable-dynamic-config", "--ignore-pre-flight-checks"):
        click.option(flag, is_flag=True)(command)
    click.option("--debug", "-d", is_flag=True)(command)
    click.option("--verbose", "-v", is_flag=True)(command)
    return command


def add_install_flags(command: click.Command) -> click.Command:
    click.option("--force", is_flag=True)(command)
    click.option("--start", is_flag=True)(command)
    click.option("--env", "-e", multiple=True)(command)
    return add_service_flags(command)


def as_words(said: dict[str, object]) -> list[str]:
    """As words again, with absolute paths."""
    paths = ("config", "token_file", "data_dir")
    words = []
    for name, value in said.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(f"{flag}=true")
        elif value:
            words.append(f"{flag}={os.path.abspath(str(value)) if name in paths else value}")
    return words
