# shellcheck shell=bash
# Sourced by scripts/package: oci_image makes a container image of the binary and the C library it needs, without a daemon.
#
# Two layers: what comes from Debian (C library, certificates of authorities, their licences), and Trident's files. There
# is no shell and no package manager in it. Scanners find Debian's packages in var/lib/dpkg/status.d, as in distroless
# images. The caller sets what is not set here.
# shellcheck disable=SC2154 # work, version, architecture

oci_suite=trixie
# The program runs as this user, who owns the directories for state and cache and nothing else.
oci_user=65532

# Debian's part, from its packages as they are now: an image gets the C library's newest corrections.
oci_base() { # binary, directory to make
    local binary=$1 tree=$2 debian=$work/debian loader libraries file name
    mmdebstrap --quiet --format=tar --variant=extract --skip=cleanup/apt/cache --include=libc6,libgcc-s1,ca-certificates \
        "$oci_suite" "$work/debian.tar" >&2 || fail 69 'mmdebstrap cannot get Debian'\''s packages; the reason is above'
    mkdir "$debian"
    tar --extract --file "$work/debian.tar" --directory "$debian" --exclude './dev/*' --no-same-owner
    mkdir -p "$tree"/{dev,proc,sys,tmp,etc/ssl/certs,usr/lib,usr/lib64,var/lib/dpkg/status.d}
    ln -s usr/lib usr/lib64 "$tree"
    chmod 1777 "$tree/tmp"
    # The loader is asked which libraries it would load.
    loader=$(LC_ALL=C readelf --program-headers "$binary" | sed -n 's|.*interpreter: \(/lib[^]]*\)\]|\1|p')
    libraries=$(dirname "$(find "$debian/usr/lib" -name libc.so.6)")
    cp -P "$debian/usr$loader" "$tree/usr$loader"
    "$debian/usr$loader" --inhibit-cache --library-path "$libraries" --list "$binary" | sed -n 's|.* => \(/[^ ]*\) .*|\1|p' |
        while IFS= read -r file; do
            file=$(realpath "$file")
            [[ $file == "$debian"/* ]] || fail 1 "the image would lack ${file##*/}"
            install -D -m 0755 "$file" "$tree${file#"$debian"}"
        done
    (cd "$debian/usr/share/ca-certificates" && find . -name '*.crt' -print0 | LC_ALL=C sort -z | xargs -0 cat) \
        >"$tree/etc/ssl/certs/ca-certificates.crt"
    printf 'root:x:0:0::/:/sbin/nologin\ntrident:x:%d:%d::/var/lib/trident:/sbin/nologin\n' $oci_user $oci_user >"$tree/etc/passwd"
    printf 'root:x:0:\ntrident:x:%d:\n' $oci_user >"$tree/etc/group"
    printf 'hosts: files dns\n' >"$tree/etc/nsswitch.conf"
    for name in libc6 libgcc-s1 gcc-14-base ca-certificates; do
        for file in "$debian/var/cache/apt/archives/${name}_"*.deb; do
            dpkg-deb --field "$file" >"$tree/var/lib/dpkg/status.d/$name"
        done
        install -D -m 0644 "$debian/usr/share/doc/$name/copyright" "$tree/usr/share/doc/$name/copyright"
    done
}

# Trident's part: binary, configuration, licences, and the built-in sample as a store, because its place is read-only later.
oci_trident() { # binary, documents, directory to make
    local binary=$1 documents=$2 tree=$3 seal
    install -D -m 0755 "$binary" "$tree/usr/bin/trident"
    install -D -m 0644 config/trident.toml "$tree/etc/trident/trident.toml"
    install -D -m 0644 -t "$tree/usr/share/doc/trident" "$documents/copyright" "$documents/sbom.json"
    install -d -m 0755 "$tree/var/lib/trident" "$tree/var/cache/trident"
    env -i CACHE_DIRECTORY="$tree/var/cache/trident" "$binary" explain '/twitter?user_id=1&type=both&phrase=a&hashtag=a' >/dev/null
    # Made up from time and process; here the same commit gives the same bytes.
    for seal in "$tree"/var/cache/trident/sample-*/seal.json; do
        sed -i 's/"id":"[^"]*"/"id":"image"/' "$seal"
    done
}

# The names under which containerd and `docker load` find the image in an archive.
oci_name() { # layout
    python3 - "$1" "trident:$version" <<'NAME'
import json, pathlib, sys
layout, name = pathlib.Path(sys.argv[1]), sys.argv[2]
index = json.loads((layout / "index.json").read_text())
entry, = index["manifests"]
entry["annotations"]["io.containerd.image.name"] = f"docker.io/library/{name}"
(layout / "index.json").write_text(json.dumps(index, sort_keys=True))
blob = lambda descriptor: "blobs/" + descriptor["digest"].replace(":", "/")
manifest = json.loads((layout / blob(entry)).read_text())
docker = {"Config": blob(manifest["config"]), "RepoTags": [name], "Layers": [blob(layer) for layer in manifest["layers"]]}
(layout / "manifest.json").write_text(json.dumps([docker]))
NAME
}

oci_layer() { # image, directory, what made it, directories that the user owns...
    local image=$1 tree=$2 by=$3
    shift 3
    tar --create --file "$tree.tar" --directory "$tree" --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" --format=gnu "${@/#/--exclude=}" .
    (($# == 0)) || tar --append --file "$tree.tar" --directory "$tree" --sort=name --owner=$oci_user --group=$oci_user --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" --format=gnu "$@"
    umoci raw add-layer --image "$image" --history.created "$oci_created" --history.created_by "$by" "$tree.tar"
}

oci_image() { # binary, documents, file to make
    local binary=$1 documents=$2 output=$3 layout=$work/layout image labels=() label
    image=$layout:$version
    oci_created=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
    oci_base "$binary" "$work/base"
    oci_trident "$binary" "$documents" "$work/trident"
    umoci init --layout "$layout"
    umoci new --image "$image"
    oci_layer "$image" "$work/base" "Debian $oci_suite: libc6, libgcc-s1, ca-certificates"
    oci_layer "$image" "$work/trident" 'scripts/package --oci' ./var/lib/trident ./var/cache/trident
    for label in title=trident "version=$version" "revision=$(git rev-parse HEAD)" "created=$oci_created" \
        'description=HTTP server for /blockchain, /qrcode and /twitter' 'licenses=MIT OR Apache-2.0' \
        'documentation=/usr/share/doc/trident' 'vendor=The Trident developers'; do
        labels+=(--config.label "org.opencontainers.image.$label" --manifest.annotation "org.opencontainers.image.$label")
    done
    # In a container the sample store is found where it was built, and other containers have the same processors.
    umoci config --image "$image" --no-history --created "$oci_created" --architecture "$architecture" --os linux \
        --author 'The Trident developers' --config.user $oci_user:$oci_user --config.workingdir / \
        --config.entrypoint /usr/bin/trident --config.cmd serve --config.exposedports 8080/tcp --config.stopsignal SIGTERM \
        --config.env CACHE_DIRECTORY=/var/cache/trident --config.env TRIDENT_PIN_WORKERS=false "${labels[@]}"
    umoci gc --layout "$layout" >/dev/null
    oci_name "$layout"
    tar --create --file "$output" --directory "$layout" --sort=name --owner=0 --group=0 --numeric-owner --mode=a+r \
        --mtime="@$SOURCE_DATE_EPOCH" --format=gnu .
}
