# shellcheck shell=bash
case "${ARCH:-}" in
    arm64|aarch64)
        echo "ERROR: block-device-gpt cannot be used for $ARCH: such machines boot by UEFI, use block-device-efi" >&2
        exit 1
        ;;
esac
export DIB_BLOCK_DEVICE=gpt
