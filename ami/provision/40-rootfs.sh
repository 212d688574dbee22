#!/usr/bin/env bash
# Lays ami/rootfs over the file system: owner root, modes as in the repository.
set -euo pipefail

bake=/opt/trident-bake
(cd "$bake/ami/rootfs" && find . -type f -print0) | while IFS= read -r -d '' file; do
    mode=0644
    [[ ! -x $bake/ami/rootfs/$file ]] || mode=0755
    install -D -m "$mode" "$bake/ami/rootfs/$file" "/$file"
done
