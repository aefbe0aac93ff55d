#!/bin/bash
# Merging svc-map files, and looking services up.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
bin=$repository/elements/svc-map/bin
mkdir "$work/bin"
cp "$bin/svc-map" "$repository/elements/pkg-map/bin/dib-json" "$work/bin"
export SVC_MAP_FILE=$work/services
cat > "$SVC_MAP_FILE" <<'JSON'
{"web": {"debian": "apache2", "redhat": "httpd", "default": "www"}, "db": {"suse": "pg"}}
JSON
at() {
    DISTRO_NAME=$1 "$work/bin/svc-map" "${@:2}"
}
expect 'distribution' 0 apache2 at debian web
expect 'family' 0 httpd at fedora web
expect 'default' 0 www at plan9 web
expect 'several' 0 $'apache2\nno-such-service' at debian web no-such-service
expect 'other family' 0 db at debian db
expect 'no name' 1 '' at debian
if python3 -c 'import yaml' 2>/dev/null; then
    printf 'a:\n  debian: b\n' > "$work/one"
    printf 'c: {default: d}\n' > "$work/two"
    expect 'merge' 0 '' "$bin/svc-map-merge" "$SVC_MAP_FILE" "$work/one" "$work/two"
    expect 'merged' 0 $'b\nd' at debian a c
    expect 'twice' 1 '' "$bin/svc-map-merge" "$SVC_MAP_FILE" "$work/one" "$work/one"
fi
