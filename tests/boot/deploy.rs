//! Deploy ramdisks offer the machine's disk to the server that it booted from, both ways.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use goldsmith_tests::{MAC, TestEnv, Vm, free_port};

const TARGET: &str = "iqn.2026-01.test:disk";

#[test]
fn full_tgtd_offers_the_disk() -> Result<()> {
    deploys("ramdisk", "cloud")
}

#[test]
fn full_the_kernel_offers_the_disk() -> Result<()> {
    deploys("dracut-ramdisk", "standard")
}

#[test]
fn full_new_hardware_is_described_and_tested() -> Result<()> {
    let env = TestEnv::new()?;
    build(&env, "ramdisk", "cloud", &["hwburnin", "hwdiscovery"])?;
    let disk = env.path("disk");
    fs_err::File::create(&disk)?.set_len(32 << 20)?;
    let words = format!("{} hwburnin_mib=16 hwburnin_loops=1 hwburnin_disks=vda", boot_words());
    let mut vm = Vm::ramdisk(&env.path("deploy"), &words, "", Some(&disk))?;
    vm.expect("\"disk size\" : \"33554432 bytes\"", Duration::from_secs(240))?;
    vm.expect(&format!("\"pxe mac\" : \"{MAC}\""), Duration::from_secs(60))?;
    vm.expect("overwriting /dev/vda, 32 MiB", Duration::from_secs(240))?;
    vm.expect("the hardware stood the test", Duration::from_secs(240))?;
    ensure!(fs_err::read(&disk)?.iter().any(|byte| *byte != 0), "nothing was written");
    Ok(())
}

#[test]
fn full_another_system_starts_without_the_firmware() -> Result<()> {
    let env = TestEnv::new()?;
    let round = "echo \"GOLD$((40 + 2)) round=$(get_kernel_parameter round)\"\n";
    env.element("mine/init.d/60-mine", round)?;
    build(&env, "ramdisk", "cloud", &["deploy-kexec", "mine"])?;
    let line = "default x\nlabel x\n  kernel deploy.kernel\n  append initrd=deploy.initramfs console=ttyS0 round=2\n";
    fs_err::create_dir(env.path("pxelinux.cfg"))?;
    fs_err::write(env.path(&format!("pxelinux.cfg/01-{}", dashed())), line)?;
    let words = format!("{} boot_server=10.0.2.2 round=1", boot_words());
    let tftp = format!(",tftp={}", env.directory.path().display());
    let mut vm = Vm::ramdisk(&env.path("deploy"), &words, &tftp, None)?;
    vm.expect("GOLD42 round=1", Duration::from_secs(240))?;
    vm.expect("GOLD42 round=2", Duration::from_secs(300))
}

fn dashed() -> String {
    MAC.replace(':', "-")
}

/// What a PXE boot loader says of the card.
fn boot_words() -> String {
    format!("BOOTIF=01-{}", dashed())
}

/// Builds the ramdisk `deploy` of Debian and these elements.
fn build(env: &TestEnv, by: &str, kernel: &str, elements: &[&str]) -> Result<()> {
    let output = env
        .command("goldsmith")?
        .args(["ramdisk", "--ramdisk-element", by, "-o", "deploy", "--progress", "plain"])
        .arg("debian-minimal")
        .args(elements)
        .env("DIB_DEBIAN_KERNEL", kernel)
        .output()?;
    goldsmith_tests::succeeded(&output)?;
    Ok(())
}

fn deploys(element: &str, kernel: &str) -> Result<()> {
    let env = TestEnv::new()?;
    build(&env, element, kernel, &["deploy-baremetal"])?;
    let disk = env.path("disk");
    fs_err::File::create(&disk)?.set_len(32 << 20)?;
    let server = TcpListener::bind("127.0.0.1:0")?;
    let (iscsi, notice) = (free_port()?, free_port()?);
    let network = format!(
        ",hostfwd=tcp:127.0.0.1:{iscsi}-:3260,hostfwd=tcp:127.0.0.1:{notice}-:10000,\
         guestfwd=tcp:10.0.2.100:10000-tcp:127.0.0.1:{}",
        server.local_addr()?.port()
    );
    let words = format!(
        "{} ip=10.0.2.15:10.0.2.100:10.0.2.2:255.255.255.0 deployment_id=ID deployment_key=KEY \
         iscsi_target_iqn={TARGET} disk=sda,vda",
        boot_words()
    );
    let request = std::thread::spawn(move || request(&server));
    let mut vm = Vm::ramdisk(&env.path("deploy"), &words, &network, Some(&disk))?;
    vm.expect("waiting until somebody says", Duration::from_secs(300))?;
    let request = request.join().ok().context("the server panicked")??;
    ensure!(request.ends_with(&format!("i=ID&k=KEY&a=10.0.2.15&n={TARGET}&e=")), "{request}");
    ensure!(login(iscsi, TARGET)? == 0, "the target refuses");
    ensure!(login(iscsi, "iqn.2026-01.test:other")? != 0, "any name is taken");
    TcpStream::connect(("127.0.0.1", notice))?;
    vm.expect("reboot: machine restart", Duration::from_secs(60))
}

/// Answers one POST and returns it.
fn request(server: &TcpListener) -> Result<String> {
    let (mut stream, _) = server.accept()?;
    let mut text = String::new();
    let mut chunk = [0; 2048];
    while !text.contains("&e=") {
        let count = stream.read(&mut chunk)?;
        ensure!(count > 0, "cut short: {text}");
        text.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(text)
}

/// Logs in at the iSCSI target `name` and returns the status, 0 for success (RFC 7143, 11.12).
fn login(port: u16, name: &str) -> Result<u16> {
    let data = format!(
        "InitiatorName=iqn.2026-01.test:me\0TargetName={name}\0SessionType=Normal\0AuthMethod=None\0"
    );
    let mut message = vec![0; 48];
    // A login request, at once, from security negotiation to the next stage.
    message[0] = 0x43;
    message[1] = 0x81;
    message[5..8].copy_from_slice(&u32::try_from(data.len())?.to_be_bytes()[1..]);
    message[8] = 0x80;
    message[19] = 1;
    message.extend(data.as_bytes());
    message.resize(message.len().next_multiple_of(4), 0);
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(&message)?;
    let mut answer = [0; 48];
    stream.read_exact(&mut answer)?;
    ensure!(answer[0] == 0x23, "no answer to a login: {answer:?}");
    Ok(u16::from_be_bytes([answer[36], answer[37]]))
}
