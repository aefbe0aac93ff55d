#!/bin/bash
# A module of dracut: runs the pieces of /init where a root file system would be mounted.
# dracut sources this file; it does not do well under set -e or set -u.
# dib-lint: disable=setu sete setpipefail dibdebugtrace

check() {
    return 0
}

depends() {
    echo bash
}

# $moddir is the directory of this file.
install() {
    # shellcheck disable=SC2154
    inst_hook cmdline 80 "$moddir/no-root.sh"
    inst_hook pre-mount 50 "$moddir/init.sh"
}
