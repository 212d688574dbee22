#!/usr/bin/env bash
# Runs inside the booted image (tests/ops/image/boot.py): an instance whose settings are wrong must go off by itself.
printf 'TRIDENT_WORKERS=many\n' >/etc/trident/trident.env
systemctl restart trident
