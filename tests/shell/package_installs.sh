#!/bin/bash
# What package-installs-squash makes of files, and package-installs of that.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
bin=$repository/elements/package-installs/bin
if ! python3 -c 'import yaml' 2>/dev/null; then
    squash_name=package-installs.json
else
    squash_name=package-installs.yaml
fi

# JSON is YAML as well, so that the test needs no PyYAML.
element() {
    mkdir -p "$work/$1/$2"
    cat > "$work/$1/$2/$squash_name"
}
squash() {
    local elements=$1
    shift
    env ARCH=amd64 V=yes W=x "$@" python3 "$bin/package-installs-squash" \
        --elements="$elements" --path="$work/first:$work/second" "$work/out" &&
        "$repository/elements/pkg-map/bin/dib-json" "$work/out" |
            awk -F '\t' '$4 == 0 { p = $5; next } { printf "%s%s/%s/%s/%s", sep, $1, $2, p, $5; sep = " " }'
}
one() {
    element first e <<< "$1"
    shift
    squash e "$@"
}
in='install.d/install/p/e'
out='install.d/uninstall/p/e'

expect 'null' 0 "$in" one '{"p": null}'
expect 'empty' 0 "$in" one '{"p": {}}'
expect 'phase' 0 'post-install.d/install/p/e' one '{"p": {"phase": "post-install.d"}}'
expect 'uninstall' 0 "$out" one '{"p": {"uninstall": true}}'
expect 'uninstall false' 0 "$in" one '{"p": {"uninstall": false}}'
expect 'build only' 0 "$in $out" one '{"p": {"build-only": true}}'
expect 'arch' 0 "$in" one '{"p": {"arch": "arm64, amd64"}}'
expect 'other arch' 0 '' one '{"p": {"arch": "arm64"}}'
expect 'not arch' 0 '' one '{"p": {"not-arch": "arm64,amd64"}}'
expect 'arch and not arch' 1 '' one '{"p": {"arch": "amd64", "not-arch": "arm64"}}'
expect 'list' 0 "$in" one '{"p": [{"arch": "arm64"}, {"arch": "amd64"}]}'
expect 'when' 0 "$in" one '{"p": {"when": "V = yes"}}'
expect 'when not' 0 '' one '{"p": {"when": "V != yes"}}'
expect 'when all' 0 '' one '{"p": {"when": ["V = yes", "W = y"]}}'
expect 'when unset' 1 '' one '{"p": {"when": "NOT_SET = yes"}}'
expect 'when nonsense' 1 '' one '{"p": {"when": "V"}}'
expect 'type' 0 '' one '{"p": {"installtype": "package"}}'
expect 'default type' 0 "$in" one '{"p": {"installtype": "package"}}' DIB_DEFAULT_INSTALLTYPE=package
expect 'own type' 0 "$in" one '{"p": {"installtype": "package"}}' DIB_INSTALLTYPE_e=package
expect 'python' 0 "$in" one '{"p": {"dib_python_version": 3}}' DIB_PYTHON_VERSION=3
expect 'other python' 0 '' one '{"p": {"dib_python_version": 2}}' DIB_PYTHON_VERSION=3
expect 'no map' 1 '' one '["p"]'

element first e <<< '{"p": {"uninstall": true}}'
element first f <<< '{"p": null}'
element second e <<< '{"q": null}'
expect 'install wins' 0 'install.d/install/p/f' squash 'e f'
expect 'install wins, other order' 0 'install.d/install/p/f' squash 'f e'
expect 'first directory wins' 0 "$out" squash 'e'
element first f <<< '{"p": {"arch": "arm64"}}'
expect 'what does not count has no influence' 0 "$out" squash 'e f'

# The consumer, with pkg-map and install-packages that only show their call.
script "$work/bin/pkg-map" <<'STUB'
#!/bin/bash
shift 3
for name in "$@"; do [ "$name" != two ] || name='two-a two-b'; echo "$name"; done
STUB
script "$work/bin/install-packages" <<< $'#!/bin/bash\necho "$*"'
cp "$repository/elements/pkg-map/bin/dib-json" "$bin/package-installs" "$work/bin"
cat > "$work/squashed.json" <<'JSON'
{"install.d": {"install": [["one", "e"], ["two", "f"], ["one", "f"]], "uninstall": [["old", "e"]]}}
JSON
mkdir "$work/flat"
printf 'flat\n-gone\n# remark\n\n' > "$work/flat/package-installs-e"
export PATH=$work/bin:$PATH
expect 'one call' 0 'one two-a two-b' package-installs --phase install.d "$work/squashed.json"
expect 'flat' 0 'one flat two-a two-b' package-installs --phase install.d --flat "$work/flat" "$work/squashed.json"
expect 'removal' 0 '-e old gone' package-installs --uninstall --phase install.d --flat "$work/flat" "$work/squashed.json"
expect 'nothing' 0 '' package-installs --phase post-install.d "$work/squashed.json"
expect 'no file' 0 '' package-installs --phase install.d "$work/absent"
expect 'no phase' 1 '' package-installs "$work/squashed.json"
