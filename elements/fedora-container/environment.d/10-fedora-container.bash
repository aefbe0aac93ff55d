# shellcheck shell=bash
export DISTRO_NAME=fedora
export DIB_RELEASE=${DIB_RELEASE:-34}
export EFI_BOOT_DIR=EFI/fedora
export DIB_YUM_MINIMAL_CREATE_INTERFACES=0
export YUM=dnf
