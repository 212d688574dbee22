#!/usr/bin/env bash
# Packages the instance scripts need, and nothing that wakes up by itself.
#   SSM_AGENT_URL  the agent of Session Manager, ARCH in it replaced; empty = none
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

# cloud-init uses apt itself at the first boot.
if command -v cloud-init >/dev/null; then
    cloud-init status --wait >/dev/null || true
fi
packages=(awscli ca-certificates chrony curl ethtool python3-minimal systemd-coredump zstd)
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
    apt-get -o DPkg::Lock::Timeout=120 update -qq
    apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends "${missing[@]}"
fi
# Session Manager is the only way in, and Debian's images come without its agent.
if [[ -n ${SSM_AGENT_URL:-} ]] && ! dpkg-query -W amazon-ssm-agent >/dev/null 2>&1; then
    curl -sSf --retry 5 -o /tmp/amazon-ssm-agent.deb "${SSM_AGENT_URL/ARCH/$(dpkg --print-architecture)}"
    dpkg -i /tmp/amazon-ssm-agent.deb
    rm /tmp/amazon-ssm-agent.deb
    systemctl enable --quiet amazon-ssm-agent.service
fi
# An image is replaced, not updated: an upgrade in the middle of a load test helps nobody.
systemctl disable --quiet apt-daily.timer apt-daily-upgrade.timer 2>/dev/null || true
