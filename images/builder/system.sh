#!/bin/sh
# Installs buildah and skopeo, and lets the account 1000 have a range of accounts in a namespace of its own.
set -eu
export DEBIAN_FRONTEND=noninteractive
PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
apt-get update -qq
apt-get install -y -qq --no-install-recommends buildah skopeo uidmap libcap2-bin >/var/log/kpl-apt.log 2>&1 ||
    { tail -n 20 /var/log/kpl-apt.log >&2; exit 1; }
# As programs of root they would need the right to open files of others, which no pod gives them: one
# capability each is all that they have, and all that a pod has to leave them.
chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap
setcap cap_setuid=ep /usr/bin/newuidmap
setcap cap_setgid=ep /usr/bin/newgidmap
name=$(getent passwd 1000 | cut -d: -f1)
echo "$name:100000:65536" >/etc/subuid
echo "$name:100000:65536" >/etc/subgid
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/kpl-apt.log /var/log/apt /var/log/dpkg.log
