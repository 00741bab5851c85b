"""Where a bundle is on the network, and what its file is called here."""

import re

import httpx

from loader.errors import LoaderError
from registry.transfer.text import printable

DEFAULT_TEMPLATE = "https://get.mirantis.com/k0rdent-enterprise/{version}/airgap-bundle-{version}.tar.gz"

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,127}")
_NAME = re.compile(r"[0-9A-Za-z_][0-9A-Za-z.+_-]{0,199}")


class FetchFailed(LoaderError):
    """The bundle cannot be fetched from there, or to that place."""


def bundle_url(bundle: str, template: str) -> httpx.URL:
    """Where a bundle is: at a URL, or where `template` puts its version.

    Raises:
        FetchFailed: it is neither, or nothing that a file could be called by.
    """
    if "://" not in bundle:
        if not _VERSION.fullmatch(bundle) or "{version}" not in template:
            raise FetchFailed(
                f"{printable(bundle)} is neither a version nor a URL, or --url-template lacks {{version}}"
            )
        bundle = template.replace("{version}", bundle)
    try:
        url = httpx.URL(bundle)
    except (httpx.InvalidURL, UnicodeEncodeError) as error:
        raise FetchFailed(f"{printable(bundle)} is no URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise FetchFailed(f"{printable(str(url.copy_with(userinfo=b'')))} is no URL of a file: write https://HOST/FILE")
    file_name(url)
    return url


def file_name(url: httpx.URL) -> str:
    """What the file at a URL is called here.

    Raises:
        FetchFailed: its path does not end in a name.
    """
    name = url.path.rpartition("/")[2]
    if not _NAME.fullmatch(name):
        raise FetchFailed(f"{printable(url.path)!r} does not end in the name of a file")
    return name
