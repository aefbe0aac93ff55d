#!/bin/bash
# House rules for the elements beside those of `goldsmith elements lint`, and
# shellcheck where it is installed.
# Names have no blanks, and the guard is looked for as it is written.
# shellcheck disable=SC2016,SC2086
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
cd "$repository/elements" || exit 1
shopt -s nullglob
broken() {
    failures=$((failures + 1))
    echo "FAILED $1"
}

for element in *; do
    if [[ -f $element/element-deps ]]; then
        while read -r dependency; do
            [[ -d $dependency ]] || grep -qx "$dependency" -- */element-provides ||
                broken "$element needs $dependency, which is not ours"
        done < "$element/element-deps"
    fi
    for file in "$element"/*.d/* "$element"/install.d/*-install/*; do
        name=${file##*/}
        [[ -f $file ]] || continue
        ! grep -qP '\t' "$file" || broken "$file has a tab"
        [[ -z $(tail -c 1 "$file") ]] || broken "$file does not end in a newline"
        case $file in
            */binary-deps.d/* | */dracut-drivers.d/* | */udev.d/* | */modprobe.d/* | */yum.repos.d/* | */dracut.conf.d/* | \
                */install.d/package-installs-* | */install.d/*-install/package-installs-*)
                # Lists, rules and settings: data.
                [[ ! -x $file ]] || broken "$file is executable"
                ;;
            */init.d/*)
                [[ ! -x $file ]] || broken "$file is executable"
                [[ $name =~ ^[0-9]{2}-[0-9A-Za-z_-]+$ ]] || broken "$file has no place in /init"
                head -1 "$file" | grep -qx '# shellcheck shell=bash' || broken "$file does not say what shell it is for"
                ;;
            */environment.d/*)
                [[ ! -x $file ]] || broken "$file is executable"
                head -1 "$file" | grep -qx '# shellcheck shell=bash' || broken "$file does not say what shell it is for"
                ;;
            *)
                [[ -x $file ]] || broken "$file is not executable"
                [[ $name =~ ^[0-9]{2,3}-[0-9A-Za-z_-]+$ ]] || broken "$file will not run by that name"
                [[ $(head -2 "$file") == "#!/bin/bash
# Runs in: "?*.d", "* ]] || broken "$file does not say where it runs"
                for line in 'set -eu' 'set -o pipefail' 'if [ "${DIB_DEBUG_TRACE:-0}" -gt 0 ]; then'; do
                    grep -qxF "$line" "$file" || broken "$file lacks: $line"
                done
                ;;
        esac
    done
done

# Two elements with a hook of the same name cannot be in one build.
# Those that provide the same name never are, nor are two package managers.
twice=$(find . -mindepth 3 -maxdepth 3 -type f \( -path './*.d/*' -o -path './*/bin/*' -o -path './*/*.d/*' \) |
    sed 's#^\./[^/]*/##' | LC_ALL=C sort | uniq -d | grep -vxE 'environment.d/15-block-device.bash|bin/install-packages')
same 'names of hooks' '' "$twice"

if type -P shellcheck >/dev/null; then
    scripts=$(find . -type f -perm -u+x -exec grep -lE '^#!/bin/bash' {} +; find . \( -path '*/environment.d/*' -o -path '*/init.d/*' -o -path '*/extract-image/*' \) -type f)
    expect 'shellcheck' 0 '' shellcheck $scripts
fi
