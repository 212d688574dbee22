#!/usr/bin/env bash
# The account, the directories, and what starts at boot.
set -euo pipefail

systemd-sysusers
systemd-tmpfiles --create trident.conf
systemctl enable --quiet trident.socket trident-admin.socket trident.service \
    trident-userdata.service trident-lifecycle.service trident-publish.timer trident-store.timer \
    trident-metrics.socket trident-log-file.service trident-log-agent.service trident-tune.service
