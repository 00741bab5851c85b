"""`k0s kubectl`: the real one, with the cluster's administrator's configuration."""

import json
import os
import sys


def main() -> int:
    """Apart from the other commands, and without what those need."""
    root = os.environ["K0S_STANDIN_ROOT"]
    with open(f"{root}/standin/calls.jsonl", "a", encoding="utf-8") as calls:
        calls.write(json.dumps(["k0s", *sys.argv[1:]]) + "\n")
    admin = f"{root}/var/lib/k0s/pki/admin.conf"
    if not os.path.exists(admin):
        sys.stderr.write("Error: failed to load admin kubeconfig: is k0s running as a controller?\n")
        return 1
    # kubectl keeps what it learns of a server below HOME, by its address.
    environment = os.environ | {"KUBECONFIG": admin, "HOME": f"{root}/root", "no_proxy": "127.0.0.1"}
    try:
        os.execvpe("kubectl", ["kubectl", *sys.argv[2:]], environment)
    except FileNotFoundError:
        sys.stderr.write("Error: this stand-in needs a real kubectl on the PATH (fixture kubectl)\n")
    return 1
