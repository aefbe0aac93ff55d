#!/bin/bash
# Brings up the interfaces that the firmware's iSCSI table describes.
# It runs in the booted image.
# dib-lint: disable=dibdebugtrace
set -eu
set -o pipefail

if ! iscsistart -v; then
    echo "init-ibft-interfaces: there is no iscsistart, nothing is connected" >&2
    exit 1
fi
# -f prints the table, and fails where there is none.
if ! iscsistart -f; then
    echo "init-ibft-interfaces: the firmware has no table"
    exit 0
fi
iscsistart -N
udevadm settle
