"""From settings and wishes to the steps of an installation."""

from collections.abc import Sequence

from installer import outline
from installer.config import ConfigurationInvalid
from installer.errors import SourceUnusable
from installer.host import Host
from installer.plan import Step
from installer.settings import Join, Settings
from installer.site import Wishes, survey


def install_steps(host: Host, settings: Settings, wishes: Wishes, mode: str | None, *, join: bool) -> Sequence[Step]:
    """What there is to do for the first controller, or for a node that joins.

    Raises:
        ConfigurationInvalid: settings and command line do not go together.
        SourceUnusable, WillNot: as `survey`.
    """
    joining = _joining(settings, mode, join=join)
    site = survey(host, settings, wishes)
    if joining is None:
        return outline.first_controller(site)
    token = _token(joining)
    return outline.worker(site, token) if (mode or joining.mode) == "worker" else outline.controller(site, token)


def _joining(settings: Settings, mode: str | None, *, join: bool) -> Join | None:
    if settings.join is None and join:
        raise ConfigurationInvalid(
            "there is no section 'join' in the configuration file: bring one from a controller, "
            "where 'k0rdentd export-join-config' writes it"
        )
    if settings.join is not None and not join:
        raise ConfigurationInvalid("the configuration file has a section 'join': add --join, or take it out")
    if settings.join is not None and mode not in (None, settings.join.mode):
        raise ConfigurationInvalid(f"--mode {mode} contradicts join.mode {settings.join.mode}, which the token is for")
    return settings.join


def _token(join: Join) -> str:
    try:
        return join.secret_token()
    except OSError as error:
        raise SourceUnusable(f"cannot read join.tokenFile: {error}") from error
