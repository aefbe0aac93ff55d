# shellcheck shell=bash
case "${ARCH:-}" in
    ppc*|powerpc*)
        echo "ERROR: block-device-efi-lvm cannot be used for $ARCH: such machines have no UEFI, use block-device-gpt" >&2
        exit 1
        ;;
esac
export DIB_BLOCK_DEVICE=efi
