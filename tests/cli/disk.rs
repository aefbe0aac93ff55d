//! `goldsmith disk`: plans, graphs and disks that are empty.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::TestEnv;

use super::with_os;

/// The examples of docs/disks.md.
fn examples() -> Result<Vec<String>> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/disks.md");
    let page = fs_err::read_to_string(page)?;
    let blocks = page.split("```yaml\n").skip(1);
    Ok(blocks.filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect())
}

fn plan(env: &TestEnv, text: &str, options: &[&str]) -> Result<goldsmith_tests::Ran> {
    fs_err::write(env.path("layout.yaml"), text)?;
    env.run(&[&["disk", "plan", "--config", "layout.yaml"][..], options].concat())
}

#[test]
fn the_examples_of_the_page_are_layouts() -> Result<()> {
    let env = with_os()?;
    let examples = examples()?;
    ensure!(examples.len() == 6, "{} examples", examples.len());
    for text in &examples {
        for size in [&[][..], &["--size", "16GiB"]] {
            let ran = plan(&env, text, size)?;
            ensure!(ran.status == 0 && ran.stderr.is_empty(), "{text}\n{ran:?}");
            ensure!(
                ran.stdout.contains(" /etc/fstab\n") || ran.stdout.contains("\n/etc/fstab\nLABEL="),
                "{}",
                ran.stdout
            );
        }
    }
    // What the page shows is what comes out.
    let page = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/disks.md"))?;
    let shown = page.split("--size 4GiB\n").nth(1).and_then(|rest| rest.split("\n```").next());
    let ran = plan(&env, &examples[0], &["--size", "4GiB"])?;
    let shown = shown.context("no example")?;
    ensure!(ran.stdout.starts_with(shown), "{shown}\nis\n{}", ran.stdout);
    Ok(())
}

const LVM_PLAN: &str = "\
image0: 4 GiB, gpt, sectors of 512 bytes

#  NAME        START     SIZE      HOLDS      LABEL            MOUNTED AT
1  BSP         1 MiB     8 MiB     type EF02
2  system      9 MiB     4086 MiB  lvm        vg
   vg/lv_root  10 MiB    2 GiB     ext4       cloudimg-rootfs  /
   vg/lv_var   2058 MiB  1224 MiB  ext4       mkfs_lv_var      /var
   vg/lv_home  3282 MiB  812 MiB   ext4       mkfs_lv_home     /home

|BSP |system                                                           |
|lv_root                         |lv_var               |lv_home         |  volume group vg

/etc/fstab
LABEL=cloudimg-rootfs / ext4 defaults 0 1
LABEL=mkfs_lv_home /home ext4 defaults 0 2
LABEL=mkfs_lv_var /var ext4 defaults 0 2
";

const OPEN_PLAN: &str = "\
image0: a size that depends on what it will hold (--size gives one), mbr, sectors of 512 bytes

#  NAME  START        SIZE              HOLDS  LABEL            MOUNTED AT
1  boot  1 MiB        512 MiB           ext4   mkfs_boot        /boot
5  root  514 MiB      70% of the rest   ext4   cloudimg-rootfs  /
6  swap  behind root  100% of the rest  swap   mkfs_swap

|boot                            |root              |swap               |

/etc/fstab
LABEL=cloudimg-rootfs / ext4 defaults 0 1
LABEL=mkfs_boot /boot ext4 defaults 0 2
LABEL=mkfs_swap none swap sw 0 0
";

/// The text without the last column, whose identifiers are long.
fn without_uuids(text: &str) -> String {
    let Some(head) = text.lines().find(|line| line.starts_with('#')) else {
        return text.to_owned();
    };
    let at = head.find("UUID").unwrap_or(head.len());
    let mut rows = false;
    let mut kept = String::new();
    for line in text.lines() {
        rows = line.starts_with('#') || (rows && !line.is_empty());
        let line = if rows { line.get(..at).unwrap_or(line).trim_end() } else { line };
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

#[test]
fn a_plan_is_a_table_and_a_picture() -> Result<()> {
    let env = with_os()?;
    let examples = examples()?;
    for (text, options, wanted) in
        [(&examples[3], &["--size", "4"][..], LVM_PLAN), (&examples[2], &[], OPEN_PLAN)]
    {
        let ran = plan(&env, text, options)?;
        let shown = without_uuids(&ran.stdout);
        ensure!(ran.status == 0 && shown == wanted, "{}\n{shown}\nis not\n{wanted}", ran.stderr);
    }
    let ran = plan(&env, &examples[4], &["--json"])?;
    let plan: serde_json::Value = serde_json::from_str(&ran.stdout)?;
    let disks = &plan["disks"];
    ensure!(disks[0]["size_bytes"].is_null() && disks[1]["size_bytes"] == 8_u64 << 30, "{plan}");
    ensure!(disks[1]["directory"] == "disks" && disks[1]["table"].is_null(), "{plan}");
    let row = &disks[1]["partitions"][0];
    ensure!(row["mount_point"] == "/srv" && row["device"] == "/dev/loop1", "{plan}");
    Ok(())
}

#[test]
fn a_plan_of_elements_has_the_identifiers_of_the_image() -> Result<()> {
    let env = with_os()?;
    let run = |words: &[&str]| {
        let line = ["disk", "plan", "--json", "--size", "2GiB", "-a", "amd64", "-n", "fake-os"];
        env.run(&[&line[..], words].concat())
    };
    let first = run(&["block-device-efi"])?;
    ensure!(first.status == 0, "{first:?}");
    ensure!(run(&["block-device-efi"])?.stdout == first.stdout);
    ensure!(run(&["block-device-gpt"])?.stdout != first.stdout);
    let plan: serde_json::Value = serde_json::from_str(&first.stdout)?;
    let names: Vec<_> =
        (0..3).map(|at| plan["disks"][0]["partitions"][at]["name"].as_str()).collect();
    ensure!(names == [Some("ESP"), Some("BSP"), Some("root")], "{plan}");
    let bad = env.run(&["disk", "plan", "fake-os", "--size", "much"])?;
    ensure!(bad.status == 2 && bad.stderr.contains("--size: \"much\""), "{bad:?}");
    Ok(())
}

#[test]
fn mistakes_are_told_with_file_line_and_node() -> Result<()> {
    let env = with_os()?;
    let examples = examples()?;
    for (example, from, to, options, message) in [
        (0, "type: vfat", "type: zfs", &[][..], "layout.yaml:12: mkfs_ESP: file system zfs"),
        (
            0,
            "    label: gpt\n",
            "    label: gtp\n",
            &[],
            "layout.yaml:7: partitioning_image0: label",
        ),
        (
            0,
            "name: mkfs_root",
            "label: MKFS_ESP",
            &[],
            "layout.yaml:23: mkfs_root: the label MKFS_ESP is used",
        ),
        (
            0,
            "mount_point: /\n",
            "mount_point: /boot/efi\n",
            &[],
            "two file systems are mounted at /boot/efi",
        ),
        (
            0,
            "size: 8MiB",
            "size: 8GiB",
            &["--size", "4GiB"],
            "layout.yaml:18: partition BSP: its 8GiB do not fit",
        ),
        (
            3,
            "size: 2GiB",
            "size: 20GiB",
            &["--size", "4GiB"],
            "layout.yaml:15: lv_root: its 20GiB do not fit",
        ),
        (
            3,
            "size: 2GiB",
            "size: 2GiB, type: thin",
            &[],
            "layout.yaml:15: lv_root: a volume of type thin",
        ),
        (1, "mount_point: /}", "mount_point: /srv}", &[], "layout.yaml:1: nothing is mounted at /"),
    ] {
        let text = &examples[example];
        ensure!(text.contains(from), "{from}");
        let ran = plan(&env, &text.replace(from, to), options)?;
        ensure!(ran.status == 3 && ran.stderr.contains(message), "{to}: {message}: {ran:?}");
    }
    Ok(())
}

#[test]
fn a_build_refuses_mistakes_before_it_runs_anything() -> Result<()> {
    let env = with_os()?;
    let examples = examples()?;
    fs_err::write(env.path("layout.yaml"), examples[0].replace("size: 8MiB", "size: 8GiB"))?;
    let output = env
        .command("goldsmith")?
        .env("DIB_BLOCK_DEVICE_CONFIG", "file://layout.yaml")
        .args(["plan", "-n", "--offline", "--image-size", "4", "fake-os"])
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(3) && told.contains("layout.yaml:18: partition BSP"),
        "{told}"
    );
    let output = env
        .command("goldsmith")?
        .env(
            "DIB_BLOCK_DEVICE_CONFIG",
            format!("{}- local_loop: {{name: data, directory: .}}\n", examples[0]),
        )
        .args(["plan", "-n", "--offline", "--backend", "loop", "fake-os"])
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(4) && told.contains(": data: the loop backend makes one disk"),
        "{told}"
    );
    ensure!(told.contains("--backend image"), "{told}");
    Ok(())
}

#[test]
fn a_graph_is_in_the_order_in_which_it_is_made() -> Result<()> {
    let env = with_os()?;
    let examples = examples()?;
    fs_err::write(env.path("layout.yaml"), &examples[3])?;
    let graph = |words: &[&str]| {
        env.run(&[&["disk", "graph", "--config", "layout.yaml"][..], words].concat())
    };
    let ran = graph(&[])?;
    let names: Vec<_> = ran.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    let wanted = ["image0", "BSP", "system", "lvm", "pv", "vg", "lv_root", "lv_var", "lv_home"];
    ensure!(ran.status == 0 && names[..9] == wanted, "{ran:?}");
    ensure!(
        ran.stdout.contains("lv_root                  logical volume   vg\n"),
        "{}",
        ran.stdout
    );
    let json: serde_json::Value = serde_json::from_str(&graph(&["--json"])?.stdout)?;
    ensure!(json["mounts"] == serde_json::json!(["/", "/home", "/var"]), "{json}");
    ensure!(json["volumes"][0]["size_bytes"] == 2_u64 << 30, "{json}");
    // What goldsmith cannot write has a graph nevertheless.
    fs_err::write(
        env.path("layout.yaml"),
        "- mkfs: {name: a, base: b, type: zfs, mount: {mount_point: /}}\n",
    )?;
    ensure!(graph(&[])?.stderr.contains("layout.yaml:1: a: there is no b"));
    let list: serde_json::Value = serde_json::from_str(&graph(&["--list"])?.stdout)?;
    let mount = serde_json::json!({"mount": {"base": "a", "name": "mount_a", "mount_point": "/"}});
    ensure!(list[0] == mount && list[1]["mkfs"]["type"] == "zfs", "{list}");
    Ok(())
}

#[test]
fn an_empty_disk_has_its_partitions_and_file_systems() -> Result<()> {
    let env = with_os()?;
    let examples = examples()?;
    for (index, partitions) in [(0, 3), (2, 4), (3, 2), (4, 2)] {
        fs_err::write(env.path("layout.yaml"), &examples[index])?;
        fs_err::create_dir_all(env.path("disks"))?;
        let create = ["disk", "create", "--config", "layout.yaml", "--size", "4GiB", "disk.raw"];
        let ran = env.run(&create)?;
        ensure!(ran.status == 0 && ran.stderr.is_empty(), "{ran:?}");
        let disk = env.path("disk.raw");
        ensure!(fs_err::metadata(&disk)?.len() == 4 << 30);
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
        let output = Command::new("sfdisk").env("PATH", path).arg("-J").arg(&disk).output();
        let output = output.context("sfdisk")?;
        let table: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let found = table["partitiontable"]["partitions"].as_array().map(Vec::len);
        ensure!(found == Some(partitions), "example {index}: {table}");
    }
    ensure!(fs_err::metadata(env.path("disks/data.raw"))?.len() == 8 << 30);
    let ran = env.run(&["disk", "create", "--config", "layout.yaml", "x.raw"])?;
    ensure!(ran.status == 2 && ran.stderr.contains("--size"), "{ran:?}");
    Ok(())
}
