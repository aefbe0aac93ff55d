#!/bin/bash
# Sections, names without translation, and exit statuses of pkg-map.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
pkg_map=$repository/elements/pkg-map/bin/pkg-map
dib_json=$repository/elements/pkg-map/bin/dib-json
unset DISTRO_NAME DIB_RELEASE
map=$work/map
cat > "$map" <<'JSON'
{"release": {"debian": {"bookworm": {"a": "a-rel b-rel", "n": ""}},
             "centos": {"8": {"a": "c8"}, "9": {"a": "c9"}}},
 "distro": {"debian": {"a": "a-dist", "d": "d-dist"}},
 "family": {"debian": {"a": "a-fam", "f": "f-fam"}, "redhat": {"a": "rh"}},
 "default": {"a": "a-def", "e": "", "z": "z-def"}}
JSON
at_bookworm=(--pkg-map "$map" --distro debian --release bookworm)

expect 'sections' 0 $'a-rel b-rel\nd-dist\nf-fam\nz-def' "$pkg_map" "${at_bookworm[@]}" a d f e z n
expect 'unknown' 1 'a-rel b-rel' "$pkg_map" "${at_bookworm[@]}" a what
expect 'missing ok' 0 $'a-rel b-rel\nwhat' "$pkg_map" "${at_bookworm[@]}" --missing-ok a what
expect 'other release' 0 a-dist "$pkg_map" --pkg-map "$map" --distro debian --release sid a
expect 'stream 8' 0 c8 "$pkg_map" --pkg-map="$map" --distro=centos --release=8-stream a
expect 'stream 9' 0 rh "$pkg_map" --pkg-map "$map" --distro centos --release 9-stream a
expect 'unknown distribution' 0 a-def "$pkg_map" --pkg-map "$map" --distro plan9 a
expect 'environment' 0 'a-rel b-rel' env DISTRO_NAME=debian DIB_RELEASE=bookworm "$pkg_map" --pkg-map "$map" a
expect 'prefix' 0 $'P-a-dist\nP-what' "$pkg_map" --pkg-map "$map" --distro debian --missing-ok --prefix P- a what
expect 'no names' 0 '' "$pkg_map" "${at_bookworm[@]}"
expect 'no distribution' 1 '' "$pkg_map" --pkg-map "$map" a
expect 'no map named' 1 '' "$pkg_map" --distro debian a
expect 'no map' 2 '' "$pkg_map" --element nobody-has-this --distro debian a
expect 'no map, missing ok' 0 $'a\nb' "$pkg_map" --element nobody-has-this --distro debian --missing-ok a b
expect 'element' 0 a-dist env PKG_MAP_DIRECTORY="$work" "$pkg_map" --element map --distro debian a
echo '{"default": {"a": ' > "$map"
expect 'broken map' 1 '' "$pkg_map" --pkg-map "$map" --distro debian --missing-ok a

json() {
    printf '%s' "$1" > "$work/json"
    "$dib_json" "$work/json"
}
expect 'json: nothing' 0 '' json '{}'
expect 'json: array' 0 $'a\t0\tx\na\t1\t2\na\t2\ttrue\na\t3\t' json '{"a": ["x", 2, true, null]}'
expect 'json: escapes' 0 $'q"\\/\tA' json '{"q\"\\\/": "\u0041"}'
expect 'json: trailing' 1 $'a\tb' json '{"a": "b"} x'
expect 'json: comma' 1 $'a\tb' json '{"a": "b",}'
expect 'json: bare' 1 '' json '{a: "b"}'
expect 'json: wide' 1 '' json '{"a": "\u00e9"}'
