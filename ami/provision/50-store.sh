#!/usr/bin/env bash
# The store of /twitter, if the bundle has one: verified, world-readable, never written again.
set -euo pipefail

bake=/opt/trident-bake
if [[ -d $bake/store ]]; then
    install -d -m 0755 /var/lib/trident
    rm -rf /var/lib/trident/store
    /usr/bin/trident store restore "$bake/store" /var/lib/trident/store
    chmod -R a+rX /var/lib/trident/store
fi
