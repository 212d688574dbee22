#!/usr/bin/env bash
# Packages the instance scripts need, and nothing that wakes up by itself.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

packages=(awscli ca-certificates chrony curl ethtool python3-minimal zstd)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
# An image is replaced, not updated: an upgrade in the middle of a load test helps nobody.
systemctl disable --quiet apt-daily.timer apt-daily-upgrade.timer 2>/dev/null || true
