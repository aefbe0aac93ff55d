#!/bin/bash
# Functions of $_LIB that make ramdisks, and those of /init.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
library=$repository/builder/lib
# shellcheck disable=SC2034  # read by the library
_LIB=$library

# Runs a function of the library as hooks have it.
library() {
    (
        set -eu -o pipefail
        for file in common-defaults ramdisk-defaults common-functions ramdisk-functions; do
            # shellcheck source=/dev/null
            source "$library/$file"
        done
        "$@"
    )
}

boot=$work/boot
mkdir "$boot"
expect 'no kernel' 1 '' library find_kernel_version "$boot"
grep -q "no kernel in $boot" "$work/stderr" || same 'no kernel: message' there missing
touch "$boot"/vmlinuz-6.1.0-{9,30,30.signed,4}-amd64 "$boot/vmlinuz-6.1.0-40-amd64.signed"
expect 'newest kernel' 0 6.1.0-30.signed-amd64 library find_kernel_version "$boot"

DIB_NO_TMPFS=1 expect 'a tmpfs is forbidden' 1 '' library tmpfs_check
DIB_NO_TMPFS=0 DIB_MIN_TMPFS=0 expect 'a tmpfs of nothing fits' 0 '' library tmpfs_check
DIB_NO_TMPFS=0 DIB_MIN_TMPFS=9999999 expect 'a tmpfs is too large' 1 '' library tmpfs_check
grep -q WARNING "$work/stderr" || same 'a tmpfs is too large: message' there missing
DIB_NO_TMPFS=0 DIB_MIN_TMPFS=9999999 library tmpfs_check 0 2> "$work/stderr"
same 'a silent check' '' "$(cat "$work/stderr")"

script "$work/hooks/mine.d/10-b" <<< $'#!/bin/sh\necho b'
script "$work/hooks/mine.d/2-a" <<< $'#!/bin/sh\necho a'
script "$work/hooks/bad.d/10-x" <<< $'#!/bin/sh\nexit 7'
export TMP_HOOKS_PATH=$work/hooks
expect 'hooks in order' 0 $'a\nb' library run_d mine
expect 'no hooks' 0 '' library run_d none
expect 'a failing hook' 7 '' library run_d bad
expect 'hooks into a file' 0 $'a\nb' library run_d mine "$work/said"
same 'the file' $'a\nb' "$(cat "$work/said")"
expect 'a failing hook with a file' 7 '' library run_d bad "$work/said"

built() {
    export TMP_DIR=$work
    mk_build_dir > /dev/null
    echo content > "$TMP_IMAGE_PATH"
    save_image "$work/saved" > /dev/null
    [[ -d $TMP_BUILD_DIR && $TMP_BUILD_DIR == "$work"/dib_build.* ]]
}
expect 'a build directory' 0 '' library built
same 'the saved image' content "$(cat "$work/saved")"

ramdisk() {
    export TMP_MOUNT_PATH=$work/ramdisk LIB_UDEV=$work/none
    create_ramdisk_base > /dev/null
    copy_program "$(type -P bash)" /bin
    copy_program "$(type -P bash)" /bin
    [[ -x $TMP_MOUNT_PATH/usr/bin/bash && -d $TMP_MOUNT_PATH/lib64 ]]
    # The loader's own path and the C library.
    compgen -G "$TMP_MOUNT_PATH/lib*/ld-linux*" > /dev/null
    [[ -e $TMP_MOUNT_PATH/lib/libc.so.6 ]]
}
expect 'a tree with a program' 0 '' library ramdisk

init() {
    (
        set -u
        # shellcheck source=/dev/null
        source "$repository/elements/ramdisk-base/extra-data.d/scripts/d/init-func"
        "$@"
    )
}
while read -r name status output arguments; do
    # shellcheck disable=SC2086  # several words
    expect "$name $arguments" "$status" "${output/#-/}" init "$name" $arguments
done <<'TABLE'
whole_disk_name 0 /dev/sda /dev/sda3
whole_disk_name 0 /dev/vdb vdb
whole_disk_name 0 /dev/nvme0n1 nvme0n1p2
whole_disk_name 0 /dev/nvme0n1 nvme0n1
whole_disk_name 0 /dev/cciss/c0d0 cciss/c0d0p1
whole_disk_name 1 - floppy
partition_name 0 /dev/sda1 sda 1
partition_name 0 /dev/nvme0n1p2 /dev/nvme0n1 2
strip_dev 0 sda /dev/sda
prepend_dev 0 /dev/sda sda
string_contains 0 - abcd bc
string_contains 1 - abcd bd
partition_exists 1 - no-such-disk
find_disk 1 - nope,nope2
wait_for 0 - 3 0 true
wait_for 1 - 3 0 false
safe_url_encode 0 a+b.c a&+b.c
TABLE
echo 'quiet BOOTIF=01-aa ip=1:2 last=x=y' > "$work/cmdline"
expect 'a parameter' 0 01-aa init find_parameter_from_file BOOTIF "$work/cmdline"
expect 'a value with =' 0 x=y init find_parameter_from_file last "$work/cmdline"
expect 'a word' 0 '' init find_parameter_from_file quiet "$work/cmdline"
expect 'no parameter' 1 '' init find_parameter_from_file qui "$work/cmdline"
