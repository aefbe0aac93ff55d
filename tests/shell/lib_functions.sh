#!/bin/bash
# Functions of $_LIB that hooks source.
# shellcheck source=tests/shell/lib.bash
source "$(dirname "$0")/lib.bash"
library=$repository/builder/lib

boot=$work/root/boot
mkdir -p "$boot"
selected() {
    (
        set -eu
        # shellcheck source=builder/lib/img-functions
        source "$library/img-functions"
        select_boot_kernel_initrd "$work/root" || exit
        [[ $BOOTDIR == "$boot" ]] || exit
        echo "$KERNEL $RAMDISK"
    )
}
expect 'no kernel' 1 '' selected
touch "$boot/vmlinuz-6.1.0-9-amd64"
expect 'no RAM disk' 1 '' selected
touch "$boot"/{vmlinuz,initrd.img}-6.1.0-10-amd64 "$boot/initrd.img-6.1.0-9-amd64" "$boot/vmlinuz-0-rescue-x"
expect 'newest' 0 'vmlinuz-6.1.0-10-amd64 initrd.img-6.1.0-10-amd64' selected
touch "$boot"/bzImage-1 "$boot"/rd-1
DIB_BAREMETAL_KERNEL_PATTERN='bzImage-*' DIB_BAREMETAL_INITRD_PATTERN='rd-*' \
    expect 'patterns' 0 'bzImage-1 rd-1' selected
rm "$boot"/*
touch "$boot/vmlinuz-5.14.0-1.el9.x86_64" "$boot/initramfs-5.14.0-1.el9.x86_64.img"
expect 'other names' 0 'vmlinuz-5.14.0-1.el9.x86_64 initramfs-5.14.0-1.el9.x86_64.img' selected

dies() {
    (
        # shellcheck source=builder/lib/die
        source "$library/die"
        die "because"
    )
}
expect 'die' 1 '' dies

# Programs that are goldsmith by another name.
script "$work/program" <<'EOF'
#!/bin/bash
printf '%s|' "$0" "$@"
exit 7
EOF
for name in dib-block-device element-info; do
    # What a script is called is the kernel's choice, what a program is, its caller's.
    GOLDSMITH_PROGRAM=$work/program \
        expect "$name.py" 7 "$work/program|getval|a b|" python3 "$library/$name.py" getval 'a b'
done
GOLDSMITH_PROGRAM=/bin/bash expect 'called by its name' 0 'element-info' \
    python3 "$library/element-info.py" -c 'echo "$0"'
