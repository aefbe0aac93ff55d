//! Disks that GRUB boots from, in QEMU: firmware, boot code, core image, and GRUB's own
//! reading of our ext4 and FAT. GRUB itself says the token; no kernel is involved.
//!
//! Slow, so ignored: `cargo nextest run -p goldsmith-images --run-ignored only grub`.
//! `GOLDSMITH_TEST_GRUB` names a tree with `bin/grub-mkimage` and `lib/grub`, else `/usr`.

use std::process::Stdio;

use super::super::test_support::lacks;
use super::*;

const TOKEN: &str = "the-disk-boots";
const MODULES: [&str; 13] = [
    "part_gpt",
    "part_msdos",
    "ext2",
    "fat",
    "search",
    "search_label",
    "normal",
    "configfile",
    "echo",
    "serial",
    "terminal",
    "halt",
    "cat",
];
const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// GRUB's images for a platform, or nothing when GRUB is not there.
struct Grub {
    usr: PathBuf,
    scratch: PathBuf,
}

impl Grub {
    fn find(scratch: &Path) -> Option<Self> {
        let usr = std::env::var_os("GOLDSMITH_TEST_GRUB").map_or("/usr".into(), PathBuf::from);
        if !usr.join("bin/grub-mkimage").exists() {
            lacks("GRUB is not installed");
            return None;
        }
        have("qemu-system-x86_64").then(|| Self { usr, scratch: scratch.to_owned() })
    }

    fn core(&self, platform: &str, label: &str, disk: &[&str]) -> Vec<u8> {
        let (early, out) = (self.scratch.join("early.cfg"), self.scratch.join("core"));
        let script = format!(
            "serial --unit=0\nterminal_output serial\nsearch --no-floppy --label {label} \
             --set=root\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n"
        );
        fs_err::write(&early, script).unwrap();
        let directory = self.usr.join("lib/grub").join(platform);
        let text = |p: &Path| p.to_str().unwrap().to_owned();
        let mut args: Vec<String> = ["-O", platform, "-p", "/boot/grub"].map(Into::into).to_vec();
        args.extend(["-d".into(), text(&directory), "-c".into(), text(&early)]);
        args.extend(["-o".into(), text(&out)]);
        args.extend(MODULES.iter().chain(disk).map(|m| (*m).to_owned()));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        run(&text(&self.usr.join("bin/grub-mkimage")), &args);
        fs_err::read(&out).unwrap()
    }

    fn bios(&self) -> BiosBoot {
        let boot_img = fs_err::read(self.usr.join("lib/grub/i386-pc/boot.img")).unwrap();
        BiosBoot { boot_img, core_img: self.core("i386-pc", "root", &["biosdisk"]) }
    }
}

/// A tree whose GRUB reads a token from a file behind many others, then stops.
fn bootable(grub: &Grub) -> Tree {
    let mut tree = system();
    tree.insert(dir("boot/grub"));
    let script = b"echo started\ncat /deep/file-01999\nhalt\n";
    tree.insert(file("boot/grub/grub.cfg", script));
    tree.insert(dir("deep"));
    for i in 0..2000 {
        let text = if i == 1999 { format!("{TOKEN}\n") } else { String::new() };
        tree.insert(file(&format!("deep/file-{i:05}"), text.as_bytes()));
    }
    let loader = grub.core("x86_64-efi", "root", &[]);
    tree.insert(file("boot/efi/EFI/BOOT/BOOTX64.EFI", &loader));
    tree
}

fn boots(disk: &Path, format: &str, firmware: &[&str]) {
    let drive = format!("file={},if=virtio,format={format},snapshot=on", disk.display());
    let fixed =
        "-accel tcg -m 256 -display none -nodefaults -serial stdio -monitor none -no-reboot";
    let child = std::process::Command::new("timeout")
        .args(["120", "qemu-system-x86_64"])
        .args(fixed.split(' '))
        .args(["-drive", &drive])
        .args(firmware)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let seen = String::from_utf8_lossy(&child.stdout);
    assert!(seen.contains(TOKEN), "{seen}{}", String::from_utf8_lossy(&child.stderr));
}

fn qcow2(layout: &DiskLayout, tree: &Tree, boot: &BootFiles, path: &Path) {
    let options = Qcow2Options { compression: Compression::Zlib { level: 6 }, threads: 2 };
    let mut sink = Qcow2Sink::new(create(path), layout.size_bytes, &options).unwrap();
    write(layout, tree, &mut sink, boot).unwrap();
}

#[test]
#[ignore = "boots QEMU"]
fn grub_boots_by_bios_from_gpt_and_from_the_gap_of_an_mbr() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(grub) = Grub::find(scratch.path()) else { return };
    let disk = scratch.path().join("disk");
    let boot = BootFiles { bios: Some(grub.bios()) };
    for layout in [gpt_layout(), mbr_layout()] {
        qcow2(&layout, &bootable(&grub), &boot, &disk);
        boots(&disk, "qcow2", &[]);
    }
}

#[test]
#[ignore = "boots QEMU"]
fn grub_boots_by_uefi_from_the_esp() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(grub) = Grub::find(scratch.path()) else { return };
    if !Path::new(FIRMWARE).exists() {
        lacks(&format!("{FIRMWARE} is not installed"));
        return;
    }
    let disk = scratch.path().join("disk");
    let variables = scratch.path().join("vars");
    let code = format!("if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE}");
    let vars = format!("if=pflash,unit=1,format=raw,file={}", variables.display());
    let mut wide = gpt_layout();
    for fs in &mut wide.filesystems {
        if let FsKind::Vfat(options) = &mut fs.kind {
            options.fat_bits = Some(12);
        }
    }
    // An ESP of FAT32 needs more room: put it where root was, and root behind.
    let mut large = gpt_layout();
    large.size_bytes = 700 * MIB;
    large.partitions[1].start_lba = 100 * 2048;
    large.partitions[1].sectors = 550 * 2048;
    for layout in [gpt_layout(), wide, large] {
        fs_err::copy(VARIABLES, &variables).unwrap();
        qcow2(&layout, &bootable(&grub), &BootFiles::default(), &disk);
        boots(&disk, "qcow2", &["-drive", &code, "-drive", &vars]);
    }
}
