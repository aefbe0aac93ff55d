//! Disks as Debian, Ubuntu and Fedora divide them: their partitions' numbers and types, their
//! file systems and what their fstab says, below the names under which they publish and sign.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use goldsmith_tests::{HostInvariant, TestEnv, ran};

use super::{Publisher, serve, text, tool};
use crate::{member, ok};

/// Makes the disks. The root of Debian's is the first partition and the last on the disk, its ESP
/// is known by the partition's own identifier; Ubuntu's has a /boot as partition 16, found by label.
const DISKS: &str = r#"
set -eu
export PATH=$PATH:/usr/sbin:/sbin
bios=21686148-6449-6E6F-744E-656564454649 esp=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
boot=BC13C2FF-59E6-4262-A352-B275FD6F7172 root=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
linux=0FC63DAF-8483-4772-8E79-3D69D8477DE4

# An ESP with the loader of $1.
esp() {
    truncate -s 16M $1.esp
    mkfs.vfat -n UEFI $1.esp > /dev/null
    echo "loader of $1" > loader
    mmd -i $1.esp ::EFI ::EFI/$1
    mcopy -i $1.esp loader ::EFI/$1/grubx64.efi
}
# A root of the system $1, and its fstab.
tree() {
    mkdir -p $1/etc $1/usr/bin $1/boot/efi $1/home
    echo "ID=$1" > $1/etc/os-release
    cat > $1/etc/fstab
    echo tool > $1/usr/bin/tool
    chmod 4755 $1/usr/bin/tool
    ln -s usr/bin $1/bin
}
ext4() {
    mke2fs -q -F -t ext4 -L "$2" -U "$3" -E root_owner=0:0 -d $1 $1.ext4 24M
}
# The partitions of the disk $1, as START=FILE in MiB.
lay() {
    local disk=$1 pair
    shift
    for pair in "$@"; do
        dd if="${pair#*=}" of="$disk" bs=1M seek="${pair%%=*}" conv=notrunc,sparse status=none
    done
}

esp debian
tree debian << END
PARTUUID=00000000-0000-4000-8000-000000000001 / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1
PARTUUID=00000000-0000-4000-8000-000000000015 /boot/efi vfat defaults 0 0
END
ext4 debian "" 11111111-0000-4000-8000-000000000001
truncate -s 64M debian.raw
sfdisk -q debian.raw << END
label: gpt
1 : start=49152, size=65536, type=$root, uuid=00000000-0000-4000-8000-000000000001
14 : start=2048, size=6144, type=$bios
15 : start=8192, size=32768, type=$esp, uuid=00000000-0000-4000-8000-000000000015
END
lay debian.raw 24=debian.ext4 4=debian.esp

esp ubuntu
tree ubuntu << END
LABEL=cloudimg-rootfs	/	 ext4	discard,commit=30,errors=remount-ro	0 1
LABEL=BOOT	/boot	ext4	defaults	0 2
LABEL=UEFI	/boot/efi	vfat	umask=0077	0 1
END
ext4 ubuntu cloudimg-rootfs 22222222-0000-4000-8000-000000000001
mkdir ubuntu-boot
echo "kernel of ubuntu" > ubuntu-boot/vmlinuz-6.8.0-1-generic
ext4 ubuntu-boot BOOT 22222222-0000-4000-8000-000000000016
truncate -s 96M ubuntu.raw
sfdisk -q ubuntu.raw << END
label: gpt
1 : start=114688, size=65536, type=$linux
14 : start=2048, size=8192, type=$bios
15 : start=10240, size=32768, type=$esp
16 : start=49152, size=65536, type=$boot
END
lay ubuntu.raw 56=ubuntu.ext4 5=ubuntu.esp 24=ubuntu-boot.ext4

esp fedora
mkdir fedora-boot
echo "kernel of fedora" > fedora-boot/vmlinuz-6.14.0-63.fc42.x86_64
ext4 fedora-boot BOOT 33333333-0000-4000-8000-000000000003
truncate -s 320M fedora.raw
sfdisk -q fedora.raw << END
label: gpt
1 : start=2048, size=4096, type=$bios
2 : start=6144, size=32768, type=$esp
3 : start=49152, size=65536, type=$boot
4 : start=114688, size=524288, type=$root
END
lay fedora.raw 3=fedora.esp 24=fedora-boot.ext4 56=fedora.btrfs

debian=www/bookworm/latest ubuntu=www/noble/current fedora=www/42/Cloud/x86_64/images
mkdir -p $debian $ubuntu $fedora
qemu-img convert -c -O qcow2 debian.raw $debian/debian-12-genericcloud-amd64.qcow2
qemu-img convert -O qcow2 ubuntu.raw $ubuntu/noble-server-cloudimg-amd64.img
qemu-img convert -c -O qcow2 fedora.raw $fedora/Fedora-Cloud-Base-Generic-42-1.1.x86_64.qcow2
xz -0 -T0 -c fedora.raw > $fedora/Fedora-Cloud-Base-AmazonEC2-42-1.1.x86_64.raw.xz
(cd $debian && sha512sum *.qcow2 > SHA512SUMS)
(cd $ubuntu && sha256sum -b *.img > SHA256SUMS)
(cd $fedora && sha256sum --tag *.qcow2 *.xz > plain)
"#;

/// Fedora's file system: the tools container of the suite that goldsmith takes has a mkfs.btrfs
/// that makes subvolumes without mounting anything.
const BTRFS: &str = r#"#!/bin/bash
set -eu
set -o pipefail
tree=$(mktemp -d)
mkdir -p $tree/root/{etc,usr/bin,boot/efi,home,var} $tree/home/fedora $tree/var/lib/dnf
echo "ID=fedora" > $tree/root/etc/os-release
cat > $tree/root/etc/fstab << END
UUID=33333333-0000-4000-8000-000000000004 / btrfs compress=zstd:1,subvol=root 0 0
UUID=33333333-0000-4000-8000-000000000003 /boot ext4 defaults 1 2
UUID=33333333-0000-4000-8000-000000000004 /home btrfs compress=zstd:1,subvol=home 0 0
UUID=33333333-0000-4000-8000-000000000004 /var btrfs compress=zstd:1,subvol=var 0 0
LABEL=UEFI /boot/efi vfat defaults,umask=0077,shortname=winnt 0 2
END
echo tool > $tree/root/usr/bin/tool
chmod 4755 $tree/root/usr/bin/tool
ln -s usr/bin $tree/root/bin
seq 20000 > $tree/root/etc/large
echo "of the home" > $tree/home/fedora/.bashrc
chown -R 1000:1000 $tree/home/fedora
echo "of var" > $tree/var/lib/dnf/state
truncate -s 256M fedora.btrfs
mkfs.btrfs -q -L fedora -U 33333333-0000-4000-8000-000000000004 --rootdir $tree \
    --subvol root --subvol home --subvol var fedora.btrfs
"#;

const DEBIAN: &str = "cloud-image:
  url: ${DIB_CLOUD_IMAGES}/bookworm/latest/debian-12-genericcloud-${ARCH}.qcow2
  sums: ${DIB_CLOUD_IMAGES}/bookworm/latest/SHA512SUMS
  signature: ${DIB_CLOUD_IMAGES}/bookworm/latest/SHA512SUMS.sign
  keyring: ../publisher/keys.asc
";
const UBUNTU: &str = "cloud-image:
  url: ${DIB_CLOUD_IMAGES}/noble/current/noble-server-cloudimg-${ARCH}.img
  format: qcow2
  sums: ${DIB_CLOUD_IMAGES}/noble/current/SHA256SUMS
  signature: ${DIB_CLOUD_IMAGES}/noble/current/SHA256SUMS.gpg
  keyring: ../publisher/keys.asc
";
const FEDORA: &str = "cloud-image:
  url: ${DIB_CLOUD_IMAGES}/42/Cloud/${MACHINE}/images/Fedora-Cloud-Base-${DIB_KIND}
  sums: ${DIB_CLOUD_IMAGES}/42/Cloud/${MACHINE}/images/Fedora-Cloud-42-1.1-${MACHINE}-CHECKSUM
  signature: inside
  keyring: ../publisher/keys.asc
";

fn element(env: &TestEnv, name: &str, base: &str) -> Result<()> {
    env.element(&format!("{name}/element-provides"), "operating-system\n")?;
    env.element(&format!("{name}/environment.d/10-x.bash"), "export DISTRO_NAME=x\n")?;
    env.element(&format!("{name}/base.yaml"), base)
}

/// Makes and publishes the disks.
fn published(env: &TestEnv) -> Result<Publisher> {
    env.small_os()?;
    env.element("maker/cleanup.d/50-btrfs", BTRFS)?;
    let line = ["build", "-n", "-t", "tar", "-o", "maker", "--tools-package", "btrfs-progs"];
    ok(&env.run(&[&line[..], &["small", "maker"]].concat())?)?;
    for (name, base) in [("of-debian", DEBIAN), ("of-ubuntu", UBUNTU), ("of-fedora", FEDORA)] {
        element(env, name, base)?;
    }
    // The directory of the keyring.
    env.element("publisher/README.rst", "Keys.\n")?;
    let publisher = Publisher::new(env)?;
    tool("sh", &["-c", &format!("cd '{}'\n{DISKS}", text(env.directory.path()))])?;
    let sums = publisher.root.join("noble/current/SHA256SUMS");
    let signature = publisher.root.join("noble/current/SHA256SUMS.gpg");
    let words = ["--output", text(&signature), "--detach-sign", text(&sums)];
    publisher.gpg("20240301T000000", &words)?;
    // Debian's is armored, and called otherwise.
    let sums = publisher.root.join("bookworm/latest/SHA512SUMS");
    let signature = publisher.root.join("bookworm/latest/SHA512SUMS.sign");
    let words = ["--armor", "--output", text(&signature), "--detach-sign", text(&sums)];
    publisher.gpg("20240301T000000", &words)?;
    let place = publisher.root.join("42/Cloud/x86_64/images");
    let (plain, around) = (place.join("plain"), place.join("Fedora-Cloud-42-1.1-x86_64-CHECKSUM"));
    let words = ["--output", text(&around), "--clear-sign", text(&plain)];
    publisher.gpg("20250401T000000", &words)?;
    Ok(publisher)
}

/// What every one of these systems has, by `ls -l`'s letters of its tool.
fn is_whole(tar: &Path, id: &str, texts: &[(&str, &str)]) -> Result<()> {
    ensure!(member(tar, "./etc/os-release")? == format!("ID={id}\n"));
    let loader = member(tar, &format!("./boot/efi/EFI/{id}/grubx64.efi"))?;
    ensure!(loader == format!("loader of {id}\n"), "{loader}");
    for (path, wanted) in texts {
        let found = member(tar, path)?;
        ensure!(found == *wanted, "{path}: {found}");
    }
    let list = Command::new("tar").arg("--numeric-owner").arg("-tvf").arg(tar).output()?;
    let list = String::from_utf8(list.stdout)?;
    let line = |path: &str| list.lines().find(|line| line.ends_with(path));
    let tool = line(" ./usr/bin/tool").context("no tool")?;
    ensure!(tool.starts_with("-rwsr-xr-x "), "{tool}");
    ensure!(line(" ./bin -> usr/bin").is_some(), "{list}");
    // Nothing of a disk's own.
    ensure!(!list.contains("lost+found"), "{list}");
    Ok(())
}

#[test]
fn the_disks_of_debian_ubuntu_and_fedora_become_bases() -> Result<()> {
    let env = TestEnv::new()?;
    let host = HostInvariant::take(env.cache())?;
    let publisher = published(&env)?;
    let sums = publisher.root.join("bookworm/latest/SHA512SUMS");
    let good = fs_err::read_to_string(&sums)?;
    let (address, asked) = serve(publisher.root.clone())?;
    let count = || asked.lock().map(|list| list.len()).unwrap_or_default();
    let large: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
    let of_ubuntu = [("./boot/vmlinuz-6.8.0-1-generic", "kernel of ubuntu\n")];
    let of_fedora = [
        ("./boot/vmlinuz-6.14.0-63.fc42.x86_64", "kernel of fedora\n"),
        ("./home/fedora/.bashrc", "of the home\n"),
        ("./var/lib/dnf/state", "of var\n"),
        ("./etc/large", large.as_str()),
    ];
    for (id, kind, texts) in [
        ("debian", "", &[][..]),
        ("ubuntu", "", &of_ubuntu),
        ("fedora", "Generic*.qcow2", &of_fedora),
        ("fedora", "AmazonEC2*.raw.xz", &of_fedora),
    ] {
        let build = |more: &[&str]| {
            let line = ["build", "-n", "-a", "amd64", "-t", "tar", "-o", "x"];
            let mut command = env.command("goldsmith")?;
            command.env("DIB_CLOUD_IMAGES", &address).env("DIB_KIND", kind);
            ran(command.args(line).args(more).arg(format!("of-{id}")))
        };
        if id == "debian" {
            // First with sums that are not the signed ones.
            fs_err::write(&sums, good.replace(['a', 'b', 'c'], "d"))?;
            let refused = build(&[])?;
            ensure!(refused.status == 6, "{refused:#?}");
            ensure!(refused.stderr.contains("no key of the keyring"), "{refused:#?}");
            fs_err::write(&sums, &good)?;
        }
        let before = count();
        ok(&build(&[])?).with_context(|| format!("{id} {kind}"))?;
        let between = count();
        ensure!(between > before, "{id}: nothing was fetched");
        is_whole(&env.path("x.tar"), id, texts).with_context(|| format!("{id} {kind}"))?;
        for more in [&[][..], &["--offline"]] {
            fs_err::remove_file(env.path("x.tar"))?;
            ok(&build(more)?)?;
        }
        ensure!(count() == between, "{id}: {:?}", asked.lock());
    }
    drop(publisher);
    host.check(env.cache())
}
