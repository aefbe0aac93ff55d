# Read by the shims beside it: answers from /goldsmith/boot/facts, which goldsmith wrote.
# shellcheck shell=bash

boot_dir=${GOLDSMITH_BOOT:-/goldsmith/boot}

fact() {
    sed -n "s|^$1=||p" "$boot_dir/facts" | head -n 1
}

# Number of the file system that holds path $1: the longest mount point above it.
filesystem_of_path() {
    local path best='' best_length=-1 n point
    path=$(readlink -m -- "$1")
    for ((n = 0; ; n++)); do
        point=$(fact "fs[.]$n[.]mount")
        [ -n "$point" ] || break
        if [ "$point" = / ] || [[ "$path/" == "$point/"* ]]; then
            if [ "${#point}" -gt "$best_length" ]; then
                best=$n
                best_length=${#point}
            fi
        fi
    done
    echo "$best"
}

# Number of the file system on device $1.
filesystem_of_device() {
    local n device
    for ((n = 0; ; n++)); do
        device=$(fact "fs[.]$n[.]device")
        [ -n "$device" ] || return 1
        if [ "$device" = "$1" ]; then
            echo "$n"
            return 0
        fi
    done
}

fs_fact() {
    fact "fs[.]$1[.]$2"
}

# With the loop backend the devices are real: the program of the image itself is asked. GRUB's
# would ask device-mapper about volumes, which have none.
real() {
    local directory name=${GOLDSMITH_SHIM:-${0##*/}}
    [ "$(fact backend)" = loop ] || return 0
    case $name in
        *grub*) ! grep -q '^fs[.][0-9]*[.]lvm=' "$boot_dir/facts" || return 0 ;;
    esac
    for directory in /usr/sbin /usr/bin /sbin /bin; do
        if [ -x "$directory/$name" ]; then
            exec "$directory/$name" "$@"
        fi
    done
    echo "$name: not installed in the image" >&2
    exit 127
}

refuse() {
    echo "${0##*/}: $*" >&2
    echo "${0##*/}: this step sees no devices: the layout of the image is all it can be asked about" >&2
    exit 1
}
