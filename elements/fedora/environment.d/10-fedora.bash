# shellcheck shell=bash
export DISTRO_NAME=fedora
export DIB_RELEASE=${DIB_RELEASE:-37}
export EFI_BOOT_DIR=EFI/fedora
export YUM=dnf
