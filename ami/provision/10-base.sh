#!/usr/bin/env bash
# Packages the instance scripts need, and nothing that wakes up by itself.
#   SSM_AGENT_URL, CLOUDWATCH_AGENT_URL  the agents of Session Manager and for logs, ARCH in them replaced; empty = none
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
agent() { # package, its address or nothing
    [[ -n $2 ]] && ! dpkg-query -W "$1" >/dev/null 2>&1 || return 0
    curl -sSf --retry 5 -o "/tmp/$1.deb" "${2/ARCH/$(dpkg --print-architecture)}"
    dpkg -i "/tmp/$1.deb"
    rm "/tmp/$1.deb"
}
# Session Manager is the only way in, and Debian's images come without its agent.
agent amazon-ssm-agent "${SSM_AGENT_URL:-}"
[[ -z ${SSM_AGENT_URL:-} ]] || systemctl enable --quiet amazon-ssm-agent.service
# Runs only where the stack keeps logs: trident-log-agent starts it.
agent amazon-cloudwatch-agent "${CLOUDWATCH_AGENT_URL:-}"
[[ -z ${CLOUDWATCH_AGENT_URL:-} ]] || systemctl disable --quiet amazon-cloudwatch-agent.service
# An image is replaced, not updated: an upgrade in the middle of a load test helps nobody.
systemctl disable --quiet apt-daily.timer apt-daily-upgrade.timer 2>/dev/null || true
