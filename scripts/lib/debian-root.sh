# shellcheck shell=bash
# Sourced by the test scripts that need a Debian: debian_root NAME PACKAGES prints the path of its root, packed.
# It is made once and kept in target/image; another list of packages makes another one.
debian_root() {
    local base
    base=target/image/$1-$(printf %s "trixie,$2" | sha256sum | head -c 12).tar.zst
    mkdir -p target/image
    if [[ ! -e $base ]]; then
        echo '== Debian root (once)' >&2
        rm -f "target/image/$1"-*
        mmdebstrap --quiet --format=tar --variant=minbase --include="$2" trixie "$base.part.tar" >&2 || return 69
        zstd --quiet --rm -o "$base" "$base.part.tar"
    fi
    printf '%s\n' "$base"
}
