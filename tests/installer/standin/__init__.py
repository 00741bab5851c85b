"""A stand-in for k0s and systemd: programs that behave as the real ones do, on a machine that is a folder.

    machine = Machine(tmp_path / "host")                  # its folder holds etc/, usr/, var/, run/ as a root does
    machine.install_programs()                            # systemctl, journalctl, update-ca-certificates
    machine.install_k0s("1.32.8")                         # to usr/local/bin/k0s; machine.k0s_program(…): its bytes
    subprocess.run(["k0s", …], env=machine.environment)   # PATH leads to its usr/local/bin and usr/bin first
    machine.calls()                                       # every call so far: ("systemctl", "start", "k0scontroller")
    machine.stop()                                        # ends what it started; a fixture calls it

Every program finds its machine by the variable K0S_STANDIN_ROOT. The version of k0s is in the program, as in life: who
replaces the file upgrades k0s, and a service goes on with the old one until it is started again. A path in a
command line or a unit may be written with the machine's folder in front or without it.

`k0s start` and `systemctl start k0scontroller` run ExecStart of the unit that `k0s install` wrote, and that process
(`k0s controller`) reads the configuration, refuses what k0s refuses (then the service is not active, and
`journalctl -u` says why), and serves a small Kubernetes API at admin.conf. `k0s kubectl` is the real kubectl, found
on the PATH (the fixture `kubectl` sees to it), and it asks that API. `k0s worker` has no API; its token must be one.

What lasts is below var/lib/k0s, and `k0s reset` removes it. A service also ends when the process that made the
machine has ended, so nothing is left of tests that were killed.

**How the cluster moves.** Nothing happens by the clock: an object moves on when it is looked at. Each state lasts
for `looks` looks. /readyz; then the Node becomes Ready; a Chart gets its version (out of `spec.extensions.helm` of
k0s.yaml; its file must exist); one named kcm or k0rdent* brings the kinds of k0rdent, a ready Release and the
Management `kcm`; whose components succeed one after the other; a provider of clusters brings the kind of its
identities; a template is valid; a Credential is ready when its identity exists.
A Management whose `spec.release` is changed goes through
its components again; if there is no such Release it says so.

**Knobs**, all optional, by `machine.script(looks=2, …)` before or while it runs (the file standin/script.json):

    looks              how many looks each state lasts (1)
    readyz             false: the API never gets ready
    connected          false: WorkerToAPIConnectionStatus.Success stays false, with a message
    node_ready         false: the Node never gets Ready, and says why
    chart_error        text: the Chart gets this as status.error and no version
    components         names of the Management's components, in the order in which they come up
    component_errors   {name: text}: this component does not succeed and tells this
    template_errors    {name: text}: this template is not valid and tells this
    credential_errors  {name: text}: this Credential does not get ready and tells this
    webhook_down       true: whatever is applied, a webhook is asked that does not answer
    start_error        text: the service ends at its start with this
    stop_error         text: `k0s stop` fails with this
"""
