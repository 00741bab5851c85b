"""All checks of a machine, in the order in which they are told."""

from collections.abc import Callable, Iterator

from installer.preflight import machine_checks as machine
from installer.preflight import network_checks as network
from installer.preflight.facts import Facts
from installer.preflight.finding import Finding, Severity, refuse
from installer.settings import Settings

Check = Callable[[Facts, Settings], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    machine.check_user,
    machine.check_systemd,
    machine.check_clock,
    machine.check_cpu,
    machine.check_memory,
    machine.check_disk,
    machine.check_cgroups,
    machine.check_modules,
    machine.check_name,
    machine.check_software,
    network.check_ports,
    network.check_routes,
    network.check_networks,
    network.check_proxy,
    machine.check_swap,
    machine.check_security,
)


def findings(facts: Facts, settings: Settings) -> Iterator[Finding]:
    """Whatever one of them has to say."""
    for check in CHECKS:
        yield from check(facts, settings)


def require_fit(facts: Facts, settings: Settings) -> None:
    """Know that nothing makes an installation pointless.

    Raises:
        WillNot: something does; tells all of it, and what to do.
    """
    found = [each for each in findings(facts, settings) if each.severity is Severity.FATAL]
    refuse(found, "this machine will not do")
