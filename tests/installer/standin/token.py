"""Join tokens: a kubeconfig with a bootstrap token, gzipped, in base64."""

import base64
import gzip
import re
import secrets
from pathlib import Path

import yaml

from tests.installer.standin.place import Place
from tests.installer.standin.units import Refused

_DURATION = re.compile(r"(\d+(\.\d+)?(ns|us|ms|s|m|h))+|0")
_USERS = {"controller": "controller-bootstrap", "worker": "kubelet-bootstrap"}


def create(place: Place, role: str, expiry: str, api: dict[str, object]) -> str:
    """For one role; its server is the address that k0s.yaml gives."""
    if not _DURATION.fullmatch(expiry):
        raise Refused(f'Error: invalid argument "{expiry}" for "--expiry" flag: time: invalid duration "{expiry}"')
    host = api.get("externalAddress") or api.get("address") or "127.0.0.1"
    port = api.get("k0sApiPort", 9443) if role == "controller" else api.get("port", 6443)
    user = _USERS[role]
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "k0s", "cluster": {"server": f"https://{host}:{port}", "certificate-authority-data": ""}}
        ],
        "contexts": [{"name": "k0s", "context": {"cluster": "k0s", "user": user}}],
        "current-context": "k0s",
        "users": [{"name": user, "user": {"token": f"{secrets.token_hex(3)}.{secrets.token_hex(8)}"}}],
    }
    return base64.b64encode(gzip.compress(yaml.safe_dump(document).encode())).decode()


def check(place: Place, path: str, role: str) -> None:
    """As k0s does when it joins: a token of the role, or it ends."""
    try:
        text = place.at(path).read_text()
        document = yaml.safe_load(gzip.decompress(base64.b64decode(text, validate=False)))
        user = document["contexts"][0]["context"]["user"]
    except FileNotFoundError as error:
        raise Refused(f"Error: failed to read token file {Path(path)}: no such file or directory") from error
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, IndexError) as error:
        raise Refused(f"Error: failed to decode join token: {error}") from error
    if user != _USERS[role]:
        raise Refused(f"Error: wrong token type {user}, expected type: {_USERS[role]}")
