#!/usr/bin/env bash
# The binary, its units and settings (scripts/install-units), its documents.
set -euo pipefail

bake=/opt/trident-bake
"$bake/scripts/install-units" --root / --binary "$bake/trident"
# Put into place by trident-userdata on an instance that uses a database.
install -D -m 0644 "$bake/systemd/database.conf" /usr/lib/trident/database.conf
install -D -m 0644 "$bake/image.json" /usr/share/doc/trident/image.json
install -D -m 0644 "$bake/sbom.json" /usr/share/doc/trident/sbom.json
install -D -m 0644 "$bake/copyright" /usr/share/doc/trident/copyright
install -D -m 0644 "$bake/ami/README.md" /usr/share/doc/trident/ami.md
install -D -m 0644 "$bake/docs/tuning.md" /usr/share/doc/trident/tuning.md
