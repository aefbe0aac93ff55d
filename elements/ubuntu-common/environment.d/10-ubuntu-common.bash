# shellcheck shell=bash
export DISTRO_NAME=${DISTRO_NAME:-ubuntu}
export DIB_RELEASE=${DIB_RELEASE:-noble}
export DIB_DEBIAN_COMPONENTS=${DIB_DEBIAN_COMPONENTS:-main,universe}
export EFI_BOOT_DIR=EFI/ubuntu
export DIB_INIT_SYSTEM=systemd
case ${ARCH:-} in
    arm64|armhf|powerpc|ppc64el|riscv64|s390x)
        export DIB_DISTRIBUTION_MIRROR=${DIB_DISTRIBUTION_MIRROR:-http://ports.ubuntu.com/ubuntu-ports}
        ;;
    *) export DIB_DISTRIBUTION_MIRROR=${DIB_DISTRIBUTION_MIRROR:-http://archive.ubuntu.com/ubuntu} ;;
esac
