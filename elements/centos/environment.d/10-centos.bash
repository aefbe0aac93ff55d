# shellcheck shell=bash
export DISTRO_NAME=centos
export DIB_RELEASE=${DIB_RELEASE:-9-stream}
if [ "$DIB_RELEASE" = 9 ] || [ "$DIB_RELEASE" = 10 ]; then
    export DIB_RELEASE=$DIB_RELEASE-stream
fi
export EFI_BOOT_DIR=EFI/centos
export YUM=dnf
