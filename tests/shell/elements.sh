#!/bin/bash
# House rules for the elements: what dib-lint asks for, and shellcheck where
# Names have no blanks, and the guard is looked for as it is written.
# shellcheck disable=SC2016,SC2086
# it is installed.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
cd "$repository/elements" || exit 1
shopt -s nullglob
broken() {
    failures=$((failures + 1))
    echo "FAILED $1"
}

for element in *; do
    [[ -f $element/README.rst ]] || broken "$element has no README.rst"
    if [[ -f $element/element-deps ]]; then
        LC_ALL=C sort -c "$element/element-deps" 2>/dev/null || broken "$element/element-deps is not sorted"
        while read -r dependency; do
            [[ -d $dependency ]] || grep -qx "$dependency" -- */element-provides ||
                broken "$element needs $dependency, which is not ours"
        done < "$element/element-deps"
    fi
    for file in "$element"/*.d/*; do
        name=${file##*/}
        case $file in
            */environment.d/*)
                [[ ! -x $file ]] || broken "$file is executable"
                head -1 "$file" | grep -qx '# shellcheck shell=bash' || broken "$file does not say what shell it is for"
                ;;
            *)
                [[ -x $file ]] || broken "$file is not executable"
                [[ $name =~ ^[0-9]{2}-[0-9A-Za-z_-]+$ ]] || broken "$file will not run by that name"
                [[ $(head -2 "$file") == "#!/bin/bash
# Runs in: $(basename "$(dirname "$file")"), "* ]] || broken "$file does not say where it runs"
                for line in 'set -eu' 'set -o pipefail' 'if [ "${DIB_DEBUG_TRACE:-0}" -gt 0 ]; then'; do
                    grep -qxF "$line" "$file" || broken "$file lacks: $line"
                done
                ;;
        esac
        ! grep -qP '\t' "$file" || broken "$file has a tab"
        [[ -z $(tail -c 1 "$file") ]] || broken "$file does not end in a newline"
    done
done

# Two elements with a hook of the same name cannot be in one build.
# Those that provide the same name never are.
twice=$(find . -mindepth 3 -maxdepth 3 -type f \( -path './*.d/*' -o -path './*/bin/*' -o -path './*/*.d/*' \) |
    sed 's#^\./[^/]*/##' | LC_ALL=C sort | uniq -d | grep -vx environment.d/15-block-device.bash)
same 'names of hooks' '' "$twice"

if type -P shellcheck >/dev/null; then
    scripts=$(find . -type f -perm -u+x -exec grep -lE '^#!/bin/bash' {} +; find . -path '*/environment.d/*' -type f)
    expect 'shellcheck' 0 '' shellcheck $scripts
fi
