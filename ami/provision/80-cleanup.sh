#!/usr/bin/env bash
# Removes what must not be the same on two instances, and what only the bake needed.
set -euo pipefail

rm -rf /opt/trident-bake /tmp/bundle.tar
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
rm -f /root/.bash_history /home/*/.bash_history /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys
rm -rf /var/lib/cloud/instances /var/lib/cloud/instance /var/lib/cloud/data /var/lib/cloud/sem
# The journal of the bake itself stays in memory from here on (nothing to ask in a bare root).
journalctl --relinquish-var 2>/dev/null || true
rm -rf /var/log/journal/* /run/log/journal/*
find /var/log -type f -exec truncate -s 0 {} +
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/trident
# Empty, not absent: systemd makes a new one at the first boot.
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed
