#!/bin/bash
# create_allowlist.sh FILE PROGRAM
find /etc/ima -type f -exec "$2" {} + > "$1"
