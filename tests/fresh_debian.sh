#!/bin/sh
# Both README commands from nothing on a fresh Debian 13, before each release: `sudo make debian`, an hour on 2 cores and 20 GB
# in /tmp. Then: whether the pipeline's figures are those committed. Other targets: `sudo tests/fresh_debian.sh check`.
#
# It needs debootstrap, and root for chroot; make itself runs as an ordinary user. What is tested is the last commit.
# SUITE is another release (forky), MIRROR another archive of Debian, TMPDIR another place, TORCH=cpu a smaller torch.
# The resolver, certificates, proxies and pip's settings are those of this machine.
set -eu
suite=${SUITE:-trixie} mirror=${MIRROR:-http://deb.debian.org/debian} targets=${*:-repro test}
project=$(cd "$(dirname "$0")/.." && pwd)
root=$(mktemp -d "${TMPDIR:-/tmp}/fresh-debian.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 1' INT TERM

newcomer() {  # a shell command of a user who has just logged in; his mounts and processes end with it
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child sh -euc '
        mount --rbind /dev "$0/dev"
        mount --rbind /sys "$0/sys"
        mount -t proc proc "$0/proc"
        exec chroot --userspec=newcomer "$0" env -i HOME=/home/newcomer LANG=C.UTF-8 sh -elc "cd; $1"' "$root" "$1"
}

debootstrap --variant=minbase --include=git,make,python3,python3-venv "$suite" "$root" "$mirror" >"$root.log" ||
    { tail "$root.log" >&2; exit 1; }
rm "$root.log"
chmod 755 "$root"
chroot "$root" useradd --create-home newcomer
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/xdg/pip /etc/ssl/certs/ca-certificates.crt; do
    [ ! -e $file ] || cp -rL --parents $file "$root"
done
export -p | grep -iE '^export (PIP_[A-Z_]*|[a-z]+_proxy|SSL_CERT_FILE|TORCH)=' >"$root/etc/profile.d/outside.sh" || true
git -C "$project" bundle create -q "$root/taqyryp.bundle" HEAD
newcomer 'git -c advice.detachedHead=false -c init.defaultBranch=main clone -q /taqyryp.bundle taqyryp'

failed=0 results=
for target in $targets; do
    began=$(date +%s)
    newcomer "cd taqyryp && make $target" && how="ended well" || { how=FAILED; failed=1; }
    results="$results
make $target $how after $((($(date +%s) - began) / 60)) minutes"
done
echo "
$(. "$root/etc/os-release"; echo "$PRETTY_NAME"), $(chroot "$root" python3 --version),$(grep -m 1 '^model name' /proc/cpuinfo | cut -d : -f 2)$results"
case " $targets " in *" repro "*) newcomer 'cd taqyryp && python3 -m tests.figures' || failed=1 ;; esac
exit $failed
