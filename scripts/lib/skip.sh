# shellcheck shell=bash
# Sourced by the test scripts: what may be left out. TRIDENT_SKIP names it, separated by commas: steps of scripts/test
# (fleet, cluster, spark, image, oci, page, …), a tool that a step can do without (terraform, cargo-deny), or tests that need something by
# the names that the tests give in their messages (Rust: mariadb, moto, strace, promtool, pictures, descriptors, root, sample, zsh, fish, groff; tests/ops/skipping.py:
# binary, processors, root).
# Anything else that cannot run is a failure under CI and for root, who can install and do everything.
is_skipped() { [[ ,${TRIDENT_SKIP:-}, == *,"$1",* ]]; }
must_run() { [[ -n ${CI:-} || $(id -u) == 0 ]]; }
