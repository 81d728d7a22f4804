#!/bin/sh
# Installs what the base image lacks: Python 3.11 or newer, git, SSH, an init program, certificates;
# and makes the account. An image that has all of them needs neither apt nor a network.
set -eu
here=/usr/local/lib/kpl
# Without an environment of ours: in an image that stands on one of our images, Python is below it.
PATH=$(echo "$PATH" | sed 's#/opt/kpl/bin:##'):/usr/sbin:/sbin

lacks() { ! command -v "$1" >/dev/null 2>&1; }

find_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        path=$(command -v "$name") || continue
        if "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            echo "$path"
            return 0
        fi
    done
    return 1
}

apt_install() {
    if lacks apt-get; then
        echo "The base image has no apt-get to install these with: $*." >&2
        echo "Choose one like Debian or Ubuntu (BASE_IMAGE), or one that has them." >&2
        exit 1
    fi
    echo "== installing $*"
    export DEBIAN_FRONTEND=noninteractive
    [ -n "${updated:-}" ] || apt-get update -qq
    updated=1
    # Licences stay, other documentation does not.
    apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Options::=--path-exclude='/usr/share/doc/*' \
        -o Dpkg::Options::=--path-include='/usr/share/doc/*/copyright' \
        -o Dpkg::Options::=--path-exclude='/usr/share/man/*' \
        -o Dpkg::Options::=--path-exclude='/usr/share/info/*' \
        "$@" >/var/log/kpl-apt.log 2>&1 || { tail -n 20 /var/log/kpl-apt.log >&2; return 1; }
}

# Given to stay: from here on, apt over HTTPS trusts them too.
keep_certificates() {
    if [ -s "$here/certificates/ca-certificates.crt" ]; then
        mkdir -p /etc/ssl/certs
        cp "$here/certificates/ca-certificates.crt" /etc/ssl/certs/ca-certificates.crt
    fi
}

make_account() {
    # Ubuntu's images bring an account of this number.
    taken=$(getent passwd 1000 | cut -d: -f1)
    if [ -n "$taken" ] && [ "$taken" != kpl ]; then userdel "$taken"; fi
    getent group 1000 >/dev/null || groupadd --gid 1000 kpl
    [ "$taken" = kpl ] || useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash kpl
    mkdir -p /home/kpl
    chown 1000:1000 /home/kpl
}

keep_certificates
wanted=
[ -s /etc/ssl/certs/ca-certificates.crt ] || wanted="$wanted ca-certificates"
lacks curl && wanted="$wanted curl"
lacks git && wanted="$wanted git"
lacks ssh && wanted="$wanted openssh-client"
lacks sshd && wanted="$wanted openssh-server"
lacks tini && wanted="$wanted tini"
find_python >/dev/null || wanted="$wanted python3"
# shellcheck disable=SC2086  # a list of words
[ -z "$wanted" ] || apt_install $wanted
if ! find_python >/dev/null; then
    # Where the distribution's own Python is older, it may have a newer one beside it.
    apt_install python3.12 || apt_install python3.11 || {
        echo "The base image's distribution has no Python 3.11 or newer; choose another BASE_IMAGE." >&2
        exit 1
    }
fi
ln -sf "$(readlink -f "$(find_python)")" /usr/local/bin/kpl-python
keep_certificates
make_account
# Keys that every copy of an image has are no keys: whoever starts sshd makes some.
rm -f /etc/ssh/ssh_host_*
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/kpl-apt.log /var/log/apt /var/log/dpkg.log
