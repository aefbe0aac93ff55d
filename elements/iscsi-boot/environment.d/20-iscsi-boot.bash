# shellcheck shell=bash
# After dracut-regenerate has set its default at 10. Sourced for every phase
# anew, so nothing is added twice.
if [ "$DISTRO_NAME" = centos ]; then
    export DIB_DRACUT_ENABLED_MODULES="${DIB_DRACUT_ENABLED_MODULES:-}
- name: network
- name: iscsi
"
fi
