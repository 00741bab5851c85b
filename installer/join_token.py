"""The token by which a node joins: a kubeconfig, gzipped, in base64. k0s would tell of a wrong one in its log alone."""

import base64
import zlib

import yaml

from installer.cluster_config import part
from installer.errors import SourceUnusable
from installer.settings import Join

_USERS = {"controller-bootstrap": "controller", "kubelet-bootstrap": "worker"}
_LARGEST = 1 << 20
_ANOTHER = (
    "have a controller make one with 'k0s token create --role {mode} --expiry 1h', or 'k0rdentd export-join-config'"
)


def read_token(join: Join) -> str:
    """The token that the settings say or name, once it is known to be one, and for this mode; it is never told.

    Raises:
        SourceUnusable: it cannot be read, or no node can join by it as it is to.
    """
    where = "join.token" if join.token_file is None else f"{join.token_file}, which join.tokenFile names,"
    another = _ANOTHER.format(mode=join.mode)
    try:
        text = join.secret_token()
        unzipping = zlib.decompressobj(wbits=31)
        plain = unzipping.decompress(base64.b64decode(text, validate=False), _LARGEST)
        document = yaml.safe_load(plain if unzipping.eof else b"")
    except OSError as error:
        raise SourceUnusable(f"cannot read join.tokenFile {join.token_file}: {error.strerror}") from error
    except (ValueError, zlib.error, yaml.YAMLError):
        raise SourceUnusable(f"{where} is no token of k0s, or a part of one: {another}") from None
    contexts = part(document, "contexts")
    first = contexts[0] if isinstance(contexts, list) and contexts else None
    mode = _USERS.get(str(part(first, "context", "user")))
    if mode is None:
        raise SourceUnusable(f"{where} is no token of k0s: {another}")
    if mode != join.mode:
        raise SourceUnusable(f"{where} is a token for a {mode}, and join.mode is {join.mode}: {another}")
    return text
