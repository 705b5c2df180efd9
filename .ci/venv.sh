#!/bin/sh
# Makes .venv, or brings it up to date, for the Makefile: the newest supported Python that runs here, or $PYTHON, with what
# requirements.lock pins. $TORCH takes torch from PyTorch's own index (cpu, cu130, …) or from any other (a URL).
set -eu
cd "${0%/*}/.."
SUPPORTED="3.14 3.13 3.12 3.11"  # newest first; pyproject.toml says the same
RANGE="${SUPPORTED##* } to ${SUPPORTED%% *}"
PATH=${PATH#"$PWD/.venv/bin:"}  # the Pythons outside of it

stop() {
    echo "make: $1" >&2
    exit 1
}

version() {  # nothing for what is there but does not run, as pyenv's shims of versions that are not active
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

newest() {
    for python in $(printf 'python%s ' $SUPPORTED) python3; do
        if [ -n "$(version "$python")" ]; then
            echo "$python"
            return
        fi
    done
}

pip() {
    .venv/bin/python -m pip "$@" --disable-pip-version-check
}

git --version >/dev/null 2>&1 || stop "git does not run: install it (on Debian and Ubuntu: apt install git)"
python=${PYTHON:-$(newest)}
[ -n "$python" ] || stop "no Python found: install $RANGE (on Debian and Ubuntu: apt install python3 python3-venv)"
found=$(version "$python")
[ -n "$found" ] || stop "PYTHON=$python does not run; expected the command of a Python $RANGE"
case " $SUPPORTED " in
    *" $found "*) ;;
    *) stop "$python is Python $found; expected $RANGE: install one, or name it (make PYTHON=python3.13)" ;;
esac
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    stop "$python has no venv module: install it (on Debian and Ubuntu: apt install python$found-venv)"
"$python" -c 'import fcntl; fcntl.flock(open("requirements.lock", "ab"), fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null ||
    stop "$PWD knows no file locks, which DVC and MLflow need (a network folder?): clone to a local disk"
temporary=${TMPDIR:-/tmp}
free=$("$python" -c 'import shutil, sys; print(shutil.disk_usage(sys.argv[1]).free // 10**6)' "$temporary")
[ "$free" -ge 4000 ] || stop "$temporary has $free MB free; expected 4000: name another folder (TMPDIR=/var/tmp make repro)"

echo "Python $found ($(command -v "$python")) goes into .venv, with all that requirements.lock pins: some minutes"
[ "$(version .venv/bin/python)" = "$found" ] && keep= || keep=--clear  # libraries of another Python are of no use
"$python" -m venv $keep .venv

if [ -n "${TORCH:-}" ]; then
    case $TORCH in
        *://*) index=$TORCH ;;
        *) index=https://download.pytorch.org/whl/$TORCH ;;
    esac
    torch=$(grep '^torch==' requirements.lock)
    pip install -q --no-deps --force-reinstall --retries 1 --index-url "$index" "$torch" 2>/dev/null ||
        echo "make: $index gives no $torch; PyPI's build in its place (on Linux one for CUDA, 3.7 GB more)" >&2
fi
pip install -q -r requirements.lock
pip install -q --no-build-isolation -c requirements.lock -e '.[pipeline,formats,dev]'
touch .venv/installed
