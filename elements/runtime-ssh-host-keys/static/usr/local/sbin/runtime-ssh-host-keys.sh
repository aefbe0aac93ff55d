#!/bin/bash
# Runs at boot: makes the ssh host keys that are missing.
# dib-lint: disable=dibdebugtrace
set -eu
set -o pipefail

# A key that was cut short, by a power failure while it was written, is none.
find /etc/ssh -maxdepth 1 -name 'ssh_host_*_key*' -size 0 -delete
ssh-keygen -A
sync -f /etc/ssh
