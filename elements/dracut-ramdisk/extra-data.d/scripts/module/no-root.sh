#!/bin/bash
# A hook of dracut that is sourced: nothing is ever mounted as the root file system, but dracut
# goes on with a name only.
# dib-lint: disable=setu sete setpipefail dibdebugtrace
# shellcheck disable=SC2034
root=/dev/zero
# shellcheck disable=SC2034
rootok=1

# PXE boot loaders write ip=CLIENT:SERVER:GATEWAY:NETMASK. dracut takes the second field for the
# other end of a line, and wants to be told that nobody is to be asked for an address.
four='(^| )ip=([0-9.]+):([0-9.]*):([0-9.]*):([0-9.]+)( |$)'
if grep -qE "$four" /proc/cmdline; then
    sed -E "s/$four/\1ip=\2::\4:\5:::off boot_server=\3\6/" /proc/cmdline > /run/ramdisk-cmdline
    mount --bind /run/ramdisk-cmdline /proc/cmdline
    # dracut reads it again.
    # shellcheck disable=SC2034
    CMDLINE=
fi
