#!/usr/bin/env bash
# Unpacks the bundle of scripts/bake into /opt/trident-bake, where the next steps find it.
#   BUNDLE  the archive    SHA256  checksum of the binary in it; empty = not checked
set -euo pipefail

bake=/opt/trident-bake
rm -rf "$bake"
install -d -m 0700 "$bake"
tar -xf "$BUNDLE" -C "$bake"
[[ -z ${SHA256:-} ]] || printf '%s  %s\n' "$SHA256" "$bake/trident" | sha256sum --check --quiet
