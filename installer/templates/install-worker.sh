#!/bin/sh
# Makes this machine a worker of a cluster: sudo ./install-worker.sh TOKEN-FILE
# It may be interrupted and run again. k0rdentd need not be here; to undo it: k0s stop, k0s reset, and remove /etc/k0s.
set -eu

say() { printf '%s\n' "$*"; }
fail() { printf 'install-worker: %s\n' "$*" >&2; exit 3; }

token=${1:-}
here=$(cd "$(dirname "$0")" && pwd)
root=${K0RDENTD_ROOT:-} # a folder that stands for the whole machine, for tests
k0s=$root/usr/local/bin/k0s
kept=/etc/k0s/join-token
units=$root/etc/systemd/system
anchor=k0rdentd-registry.crt

[ "$(id -u)" -eq 0 ] || fail 'only root may do this: run it with sudo'
[ ! -e "$units/k0scontroller.service" ] || fail 'this machine is a controller of a cluster'

connected() { "$k0s" status -o json 2>/dev/null | grep -q '"Success": *true'; }
joined() { [ -e "$root/var/lib/k0s/kubelet.conf" ] || connected; }
if ! joined && { [ -z "$token" ] || [ ! -s "$token" ]; }; then
    fail "name the file with the token: a controller prints one with 'k0s token create --role worker --expiry 1h'"
fi
# A token of another kind, or half of one, k0s would only tell of in its log, over and over.
if ! joined && command -v base64 >/dev/null && command -v gunzip >/dev/null &&
    ! base64 -d <"$token" 2>/dev/null | gunzip 2>/dev/null | grep -q kubelet-bootstrap; then
    fail "$token holds no token for a worker: a controller prints one with 'k0s token create --role worker --expiry 1h'"
fi

# Beside its place first, so that nobody ever sees half of it.
place() {
    mkdir -p "$(dirname "$root$2")"
    (umask 077 && cp "$1" "$root$2.partial") # it may be a secret
    chmod "$3" "$root$2.partial"
    mv "$root$2.partial" "$root$2"
}

say 'trusting the registry'
place "$here/registry-ca.crt" /etc/k0rdentd/registry-ca.crt 0644
if command -v update-ca-certificates >/dev/null; then
    place "$here/registry-ca.crt" "/usr/local/share/ca-certificates/$anchor" 0644
    update-ca-certificates >/dev/null
elif command -v update-ca-trust >/dev/null; then
    place "$here/registry-ca.crt" "/etc/pki/ca-trust/source/anchors/$anchor" 0644
    update-ca-trust extract
fi

say 'having containerd pull from the registry'
(cd "$here" && find etc -type f) | while IFS= read -r file; do
    place "$here/$file" "/$file" 0644
done

if ! cmp -s "$here/k0s" "$k0s"; then
    if [ -e "$k0s" ] && [ ! -e "$units/k0sworker.service" ]; then
        fail "$k0s is another k0s, which was not installed by this script: remove it first"
    fi
    say 'placing k0s'
    place "$here/k0s" /usr/local/bin/k0s 0755
fi

if ! joined; then
    place "$token" "$kept" 0600
fi
if [ ! -e "$units/k0sworker.service" ]; then
    say 'installing the service'
    "$k0s" install worker --token-file "$kept"
fi
if ! "$k0s" status >/dev/null 2>&1; then
    "$k0s" start
fi

say 'waiting for the node to join (up to 10 minutes)'
tries=0
until connected; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || fail "it did not join; 'journalctl -u k0sworker' tells why. Run this again to go on"
    sleep 2
done
rm -f "$root$kept"
say 'joined'
